#!/bin/sh
# Every task on the CPU in bf16 against diffusers. The device computes in bf16 where the CPU does (avx512_bf16), and is refused where it
# does not: nothing here stands in for the instructions. What roundings to bf16 do to a task is seen on any machine by gates.sh.
: "${DIFFUSE:=$PWD/diffuse}"
export DIFFUSE
"$DIFFUSE" -q -m test/fixtures/tiny-sd1 --device cpu --dtype bf16 --dry-run x >/dev/null 2>&1
case $? in
0) DEVICE=cpu exec "$(dirname "$0")/gates.sh" ;;
69) echo 'this CPU has no bf16 (avx512_bf16)'; exit 77 ;;
*) echo 'neither drawn nor refused'; exit 1 ;;
esac
