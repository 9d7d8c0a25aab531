#!/bin/sh
# --device where there is no GPU, or none is to be seen: auto says so and takes the CPU, cuda is an error. Whether the program was built
# with CUDA code or without.
. "$(dirname "$0")/common"
export CUDA_VISIBLE_DEVICES=

draw --size 64x64 --metadata none -o box/cpu.png x
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
draw --size 64x64 --metadata none --device auto -o box/auto.png x
expect_code 0
expect_same box/cpu.png box/auto.png
if [ -s err ]; then # built with CUDA code
    [ "$(wc -l <err)" -eq 1 ] || fail 'more than one line'
    grep -q '^diffuse: .*: using the CPU$' err || fail 'not said why'
fi
draw --size 64x64 --metadata none --device auto -q -f -o box/auto.png x
expect_code 0
[ ! -s err ] || fail 'stderr is not empty, with -q'
expect_same box/cpu.png box/auto.png

for device in cuda cuda:0 cuda:3; do
    draw --device $device -o box/z.png x
    expect_code 69
    [ "$(wc -l <err)" -eq 2 ] || fail 'expected one line and a hint'
    grep -q '^diffuse: --device cuda: ' err || fail 'not named'
    grep -q '^hint: .*--device cpu' err || fail 'no way out'
    [ ! -s out ] || fail 'stdout is not empty'
done
draw --device cuda --dry-run -o box/z.png x # planning needs the device
expect_code 69
draw --device cuda -j -o box/z.png x
expect_code 69
grep -q '"event":"error","code":69,' out || fail "$(cat out)"
expect_box auto.png cpu.png

# what needs no device does not ask for one
run --device cuda --list schedulers
expect_code 0
run --device cuda -m "$MODEL" --inspect
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
# what is given goes before the environment
DIFFUSE_DEVICE=nowhere draw --dry-run --size 64x64 x
expect_code 0

# the CPU's instructions: the metadata say which; the last bits of a sum may differ, and no more
DIFFUSE_ISA=sse2 draw --device cpu --size 64x64 -f -o box/old.png x
expect_code 0
run --info box/old.png
grep -q '^  isa: .*_sse2$' out || fail "not said: $(grep isa out)"
unset DIFFUSE_ISA
run -m "$MODEL" --verify box/old.png
expect_code 0
DIFFUSE_ISA=abacus draw --device cpu -o box/z.png x
expect_code 2
grep -qx "diffuse: DIFFUSE_ISA: expected sse2, avx2, avx512 or amx, found 'abacus'" err || fail "$(cat err)"
finish
