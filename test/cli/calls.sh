#!/bin/sh
# What engine/base/sys.h has a table for is called through it, so that test_faults can make it fail.
cd "$(dirname "$0")/../.." || exit 1
names=$(sed -n 's/.*(\*\([a-z_0-9]*\))(.*/\1/p' engine/base/sys.h | tr '\n' '|')
[ -n "$names" ] || { echo "engine/base/sys.h has no table"; exit 1; }
! find main.c cli engine cuda schedulers tokenizer -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' | grep -v -e engine/base/sys -e cuda/emu |
    xargs grep -nE "(^|[^a-z_.>*\"])(${names}strdup|posix_memalign|fdatasync|rename|renameat|link|creat)\([^2]" |
    grep -vE '^[^:]*:[0-9]*: ?(/?\*| \*)'
