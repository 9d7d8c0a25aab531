#!/bin/sh
# Arrows between folders point one way: no circle, and schedulers/ and tokenizer/ know engine/base alone.
cd "$(dirname "$0")/../.." || exit 1
folders() { # of each include: the folder it stands in, the folder it names
    find main.c cli engine cuda schedulers tokenizer -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' |
        xargs grep -HoE '^#include "[^"]+/' | sed 's|/[^/:]*:#include "| |; s|^main.c:#include "|main.c |; s|/$||' | sort -u |
        awk '$1 != $2'
}
bad=0 circles=$(mktemp)
folders | tsort >/dev/null 2>"$circles"
[ ! -s "$circles" ] || { echo 'folders in a circle:'; cat "$circles"; bad=1; }
rm -f "$circles"
others=$(folders | awk '$1 ~ /^(schedulers|tokenizer)$/ && $2 != "engine/base" || $1 == "engine/base"')
[ -z "$others" ] || { echo "arrows that should not be: $others"; bad=1; }
exit $bad
