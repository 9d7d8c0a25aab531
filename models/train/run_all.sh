#!/bin/sh
# Trains the shipped checkpoint from nothing, or goes on from what WORK holds, and exports it to OUT.
# Each stage saves as it goes: stop it at any time, run the same command again and it resumes. Settings, by environment:
#   DEVICE       cpu or cuda
#   VAE_MINUTES, TEXT_MINUTES, MINUTES, DECODER_MINUTES
#                of training for the autoencoder, the text encoder, the UNet, and the decoder once more; all in all, so that more continue a finished run
#   PICTURES     to draw and encode
#   STOP_AFTER   seconds after which a training saves and stops, for a machine that is only lent; exit status 75
#   THREADS      CPU threads; on cuda, processes that draw
#   OLD          an older checkpoint to go on from (warm.py); models/doodle's latents, words and UNet, say
#   OPTIONS      of the trainings, in place of those below
#   PYTHON, WORK, OUT
set -e
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cpu} THREADS=${THREADS:-$(nproc)}
WORK=${WORK:-build/doodle} OUT=${OUT:-$WORK/export}
DEADLINE=$(($(date +%s) + ${STOP_AFTER:-100000000}))
if [ "$DEVICE" = cuda ]; then
    PICTURES=${PICTURES:-200000} VAE_MINUTES=${VAE_MINUTES:-6} TEXT_MINUTES=${TEXT_MINUTES:-1} MINUTES=${MINUTES:-15} DECODER_MINUTES=${DECODER_MINUTES:-4}
    VAE_OPTIONS="--amp --batch 32" UNET_OPTIONS=${OPTIONS:---amp --batch 256 --decay 0.9995} DECODER_OPTIONS="--amp --batch 32"
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
else
    PICTURES=${PICTURES:-24000} VAE_MINUTES=${VAE_MINUTES:-23} TEXT_MINUTES=${TEXT_MINUTES:-2} MINUTES=${MINUTES:-75} DECODER_MINUTES=${DECODER_MINUTES:-10}
    VAE_OPTIONS="--amp" UNET_OPTIONS=${OPTIONS:---amp} DECODER_OPTIONS="--amp"
    export OMP_NUM_THREADS="$THREADS" OPENBLAS_NUM_THREADS=1
fi
train=models/train
stage() {
    script=$1
    shift
    "$PYTHON" -u $train/"$script".py --work "$WORK" --device "$DEVICE" --threads "$THREADS" "$@"
}
[ -f "$WORK/tokenizer/vocab.json" ] || "$PYTHON" $train/make_tokenizer.py "$WORK/tokenizer"
[ -z "${OLD:-}" ] || [ -d "$WORK/start" ] || "$PYTHON" $train/warm.py --old "$OLD" --work "$WORK"
[ -f "$WORK/autoencoder/config.json" ] || stage train_vae --deadline "$DEADLINE" --minutes "$VAE_MINUTES" $VAE_OPTIONS
stage train_text --deadline "$DEADLINE" --minutes "$TEXT_MINUTES"
stage encode --pictures "$PICTURES"
stage train_diffusion --deadline "$DEADLINE" --minutes "$MINUTES" $UNET_OPTIONS
stage train_decoder --deadline "$DEADLINE" --minutes "$DECODER_MINUTES" $DECODER_OPTIONS
"$PYTHON" $train/export.py --work "$WORK" --out "$OUT"
