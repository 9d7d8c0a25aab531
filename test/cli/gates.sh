#!/bin/sh
# Every task on the emulated CUDA device against diffusers, in each type: a case of each, or with CASES=all (make check-tasks) all there are.
# fp32 as on the CPU; fp16 and bf16 within the means test_synthetic.c has.
# DEVICE=cpu (gates-cpu.sh): the same in bf16 on the CPU.
: "${DIFFUSE:=$PWD/diffuse}" "${DEVICE:=cuda}"
BUILD=$(dirname "$DIFFUSE")
program=$BUILD/emu/diffuse
[ "$DEVICE" = cuda ] || program=$DIFFUSE
[ -x "$program" ] || { echo "no $program"; exit 77; }
failed=0

# gate TYPE CASE...
gate() {
    dtype=$1
    shift
    SYNTHETIC_ARGS="--device $DEVICE" SYNTHETIC_DTYPE=$dtype DIFFUSE=$program "$BUILD/test_synthetic" "$@" || failed=1
}

if [ "${CASES:-}" = all ]; then
    set -- 'image-to-image' 'inpaint*' 'depth*' 'instruct*' 'safety*' 'latent-consistency' 'xl*' 'control*'
    few='' texts='words*'
else
    set -- 'image-to-image:Heun*-0.3-odd' 'inpaint:Euler*-0.75-odd' 'inpaint-nine:pixel-0.75-odd' 'depth-to-image:PNDM*-0.75-odd' \
        'instruct-pix2pix:unguided' 'xl-refiner:scores' 'control:window-0.2-0.7'
    texts='words:a1111-short words-xl:learned' # contexts of unequal lengths; a table that grew
    few='safety-checker:image-1.0 xl-image:mask-EulerAncestral* xl:DDIM* control-xl:guess-sizes'
fi
set -f
# shellcheck disable=SC2086
[ "$DEVICE" = cpu ] || gate fp16 "$@" $few
gate bf16 "$@"
# shellcheck disable=SC2086
[ "$DEVICE" = cpu ] || gate fp32 "$@" $texts
exit $failed
