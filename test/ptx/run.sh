#!/bin/sh
# What nvcc made of the kernels, run by an interpreter of PTX: DIRECTORY has a folder of .ptx for each architecture. 77 where there is no
# Python with numpy.
# usage: test/ptx/run.sh DIRECTORY ARCHITECTURE…
: "${PYTHON:=python3}"
directory=$1
shift
export OMP_NUM_THREADS=1
"$PYTHON" -c 'import numpy' 2>/dev/null || {
    echo "check-ptx: skipped: $PYTHON has no numpy"
    exit 77
}
set -- $(for a; do echo "sm_$a=$directory/sm_$a"; done)
for how in --planted '' --early; do
    "$PYTHON" "$(dirname "$0")/check.py" "$@" $how || exit 1
done
