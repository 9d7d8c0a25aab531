#!/bin/sh
# Trains the shipped checkpoint from nothing, or goes on from what WORK holds, and exports it to OUT.
# Each stage saves as it goes: stop it at any time, run the same command again and it resumes. Settings, by environment:
#   DEVICE       cpu or cuda
#   VAE_MINUTES  of training for the autoencoder, in all
#   MINUTES      of training for text encoder and UNet, in all; more of them continue a finished run
#   STOP_AFTER   seconds after which to save and stop, for a machine that is only lent; exit status 75
#   THREADS      CPU threads; on cuda, processes that draw
#   VAE_OPTIONS, OPTIONS   of train_vae.py and train_diffusion.py, in place of those below
#   PYTHON, WORK, OUT
set -e
cd "$(dirname "$0")/../.."
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cpu} THREADS=${THREADS:-$(nproc)}
WORK=${WORK:-build/doodle} OUT=${OUT:-$WORK/export}
DEADLINE=$(($(date +%s) + ${STOP_AFTER:-100000000}))
if [ "$DEVICE" = cuda ]; then
    VAE_MINUTES=${VAE_MINUTES:-6} MINUTES=${MINUTES:-17}
    VAE_OPTIONS=${VAE_OPTIONS:---amp --batch 32}
    OPTIONS=${OPTIONS:---amp --batch 512 --lr 0.0015 --decay 0.9995 --pictures 400000 --prefill 250000 --fresh 16}
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
else
    VAE_MINUTES=${VAE_MINUTES:-30} MINUTES=${MINUTES:-300}
    VAE_OPTIONS=${VAE_OPTIONS:---batch 2}
    OPTIONS=${OPTIONS:---batch 8 --lr 0.0008 --prefill 256 --fresh 2}
    export OMP_NUM_THREADS="$THREADS" OPENBLAS_NUM_THREADS=1
fi
common="--work $WORK --device $DEVICE --threads $THREADS --deadline $DEADLINE"
train=models/train
[ -f "$WORK/tokenizer/vocab.json" ] || "$PYTHON" $train/make_tokenizer.py "$WORK/tokenizer"
[ -f "$WORK/autoencoder/config.json" ] || "$PYTHON" -u $train/train_vae.py $common --minutes "$VAE_MINUTES" $VAE_OPTIONS
"$PYTHON" -u $train/train_diffusion.py $common --minutes "$MINUTES" $OPTIONS
"$PYTHON" $train/export.py --work "$WORK" --out "$OUT"
