#!/bin/sh
# What the CUDA device would do for a picture, counted without a GPU: launches, FLOP and bytes of a denoising step and of
# the VAE, and the memory planned, at full size (checkpoints of the true shapes that are holes on the disk) on the emulated
# device, which counts kernels instead of running them. As on an H200: sm_90, 132 multiprocessors.
#   bench/counts.sh            two tables; KERNELS=1: also each kernel's launches in one step
# BUILD (build/release)   WORK (build/bench): the checkpoints   DTYPE (fp16)   MODELS (all of them)
set -eu
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build/release} WORK=${WORK:-build/bench} DTYPE=${DTYPE:-fp16} MODELS=${MODELS:-sd15 sd21 sdxl ddpm-cat}
mkdir -p "$WORK"
libraries="$BUILD/emu/libcuda.a $BUILD/libdiffuse.a"
# shellcheck disable=SC2086
make -s BUILD="$BUILD" $libraries "$BUILD/make_checkpoint" >&2
# shellcheck disable=SC2046,SC2086
${CXX:-g++} -std=c++20 -D_GNU_SOURCE -O1 -Itest/emu -I. -fopenmp bench/count_work.cpp $libraries \
    -o "$BUILD/emu/count_work" $(pkg-config --cflags --libs libpng zlib libjpeg libwebp libcjson libutf8proc) -ldnnl -lm

count() { # MODEL STEPS: its lines and the emulation's
    EMU_SKIP=1 EMU_REPORT=1 EMU_ARCH=90 EMU_SM=132 EMU_MEMORY=150000000000 \
        "$BUILD/emu/count_work" "$WORK/sparse-$1" "$2" "$DTYPE" 2>&1
}

# Each kernel's launches in the run of three steps less those in the run of two: one replay of the graph.
difference() {
    awk '/^emu: +[0-9]+  / {
             n = $2
             sub(/^emu: +[0-9]+  /, "")
             total[$0] += FNR == NR ? -n : n
         }
         / GEMMs,/ {total["(a product by cuBLASLt)"] += FNR == NR ? -$6 : $6}
         END {for (k in total) if (total[k]) printf "%6d  %s\n", total[k], k}' "$1" "$2" | sort -k1,1nr -k2
}

for model in $MODELS; do
    [ -d "$WORK/sparse-$model" ] ||
        "$BUILD/make_checkpoint" $model "$WORK/sparse-$model" test/fixtures/tokenizer/clip --sparse --dtype F16
    for steps in 1 2 3; do
        count $model $steps >"$WORK/counts-$model-$steps" || {
            cat "$WORK/counts-$model-$steps"
            exit 1
        }
    done
    difference "$WORK/counts-$model-2" "$WORK/counts-$model-3" >"$WORK/kernels-$model"
done

echo "| | nodes of the graph | of them cuBLASLt | TFLOP | GB, each operand once | FLOP a byte |"
echo "|---|---|---|---|---|---|"
row() { # NAME LINE NODES GEMMS FILE
    awk -v name="$1" -v nodes="$3" -v gemms="$4" -v line="$2" '$1 == line {
        printf "| %s | %s | %s | %.3f | %.2f | %.0f |\n", name, nodes ? nodes : $2, gemms, $3 / 1e12, $4 / 1e9, $3 / $4}' "$5"
}
for model in $MODELS; do
    case $model in
    sd15) name='SD 1.5 512²' ;;
    sd21) name='SD 2.1 768²' ;;
    sdxl) name='SDXL 1024²' ;;
    *) name='ddpm-cat 256²' ;;
    esac
    nodes=$(awk '/launches of graphs/ {print $6 / $2}' "$WORK/counts-$model-3")
    gemms=$(awk '/cuBLASLt/ {print $1}' "$WORK/kernels-$model")
    row "$name, one step" step "$nodes" "${gemms:-0}" "$WORK/counts-$model-1"
    [ $model = ddpm-cat ] || row "$name, VAE (launches)" after '' '' "$WORK/counts-$model-1"
done
echo
echo "| planned device memory, MiB | weights | activations | scratch | beyond the weights |"
echo "|---|---|---|---|---|"
for model in $MODELS; do
    awk -v name=$model '$1 == "memory" {
        printf "| %s | %.0f | %.0f | %.0f | %.0f |\n", name, $2 / 2^20, $3 / 2^20, $4 / 2^20, ($3 + $4) / 2^20}' "$WORK/counts-$model-1"
done
[ "${KERNELS:-0}" = 0 ] && exit
for model in $MODELS; do
    printf '\n%s, one step:\n' $model
    cat "$WORK/kernels-$model"
done
