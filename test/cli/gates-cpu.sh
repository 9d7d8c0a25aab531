#!/bin/sh
# Every task on the CPU in bf16 against diffusers: by the CPU's own instructions where it computes in bf16, and where it is refused for
# want of them by the twin of AMX's, as one with them would draw.
: "${DIFFUSE:=$PWD/diffuse}"
export DIFFUSE
"$DIFFUSE" -q -m test/fixtures/tiny-sd1 --device cpu --dtype bf16 --dry-run x >/dev/null 2>&1
case $? in
0) ;;
69) export DIFFUSE_ISA=amx_twin ;;
*) echo 'neither drawn nor refused'; exit 1 ;;
esac
DEVICE=cpu exec "$(dirname "$0")/gates.sh"
