#!/bin/sh
# Whole pictures as a CPU with AMX would compute them, by the twin of its instructions: the tests that others pass, bf16's among them.
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build/release}
export DIFFUSE_ISA=amx_twin
bad=0
for test in test_pipeline test_dpt; do
    out=$("$BUILD/$test" 2>&1) || { bad=1; echo "$test:"; echo "$out" | tail -n 30; }
    case $out in *SKIPPED*) bad=1; echo "$test: something was skipped" ;; esac
done
exit $bad
