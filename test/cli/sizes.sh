#!/bin/sh
# Files one can hold in mind: none of the program's is longer than 400 lines, and no folder of engine/ holds more than a fifth of them all.
cd "$(dirname "$0")/../.." || exit 1
sources() { find "$@" -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.cpp' -o -name '*.py' -o -name '*.sh'; }
lines() { sources "$@" | xargs cat | wc -l; }
bad=0
for file in Makefile $(sources main.c cli engine cuda schedulers tokenizer bench models); do
    n=$(wc -l <"$file")
    [ "$n" -le 400 ] || { echo "$file: $n lines, expected at most 400"; bad=1; }
done
all=$(lines main.c cli engine cuda schedulers tokenizer)
[ "$all" -gt 10000 ] || { echo "$all lines in all: the sources were not found"; bad=1; }
for folder in engine/*/; do
    n=$(lines "$folder")
    [ $((n * 5)) -le "$all" ] || { echo "$folder: $n lines of $all, expected at most a fifth"; bad=1; }
done
exit $bad
