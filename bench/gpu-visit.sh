#!/bin/sh
# A visit to a GPU machine, in commands of less than ten minutes that need nothing of each other. First, where the program
# is built (there may be no GPU there):
#   bench/gpu-visit.sh pack                      programs, the libraries they need and diffusers -> build/visit.tar.gz
# On the GPU machine, in the repository, with that file (git ignores build/: copy it by name) or with what a build needs:
#   bench/gpu-visit.sh smoke                     a minute or two: where this fails, mend that first
#   bench/gpu-visit.sh tests                     the kernels' tests; every PTX wrapper, lane by lane
#   bench/gpu-visit.sh sanitizer [TOOL…]         memcheck racecheck synccheck initcheck on them
#   bench/gpu-visit.sh ceilings                  GEMM, copies, launches, an empty context; tensor cores, L2, exponentials
#   bench/gpu-visit.sh sweep                     every product by every tile, split and proposal of cuBLASLt: for bench/model.py
#                                                --sweep, and bench/choices.py, which writes cuda/choices.h
#   bench/gpu-visit.sh polynomial                flash attention with none, 3 and 5 of 16 exponentials by a polynomial, in turns
#   bench/gpu-visit.sh models [MODEL…]           sd15 sd21 ddpm-cat: steps, VAE, cold start, memory
#   bench/gpu-visit.sh profile [MODEL…]          each kernel's share of a step, by ncu
#   bench/gpu-visit.sh peers [MODEL…]            pinned diffusers on the same files, in turns with ours
#   bench/gpu-visit.sh compile [MODEL…]          the same with torch.compile
# Then:
#   bench/gpu-visit.sh table                     all of it beside the goals, as bench/RESULTS.md has it
# OUT (build/visit): a NAME.tsv and a NAME.log of each command    WORK (/tmp/diffuse-visit): programs and checkpoints
# CUDA_ARCH (90)   PYTHON (python3, with torch)   ROUNDS (3)   MINUTES (9): a command starts nothing new after them
# A machine may be taken back as soon as a command ends: chain stages in one, with END, a time of the epoch, for all of them:
#   export END=$(($(date +%s) + 560)); for s in smoke tests ceilings; do bench/gpu-visit.sh $s || break; done
set -u
cd "$(dirname "$0")/.." || exit 1
OUT=${OUT:-build/visit} WORK=${WORK:-/tmp/diffuse-visit} CUDA_ARCH=${CUDA_ARCH:-90} PYTHON=${PYTHON:-python3}
ROUNDS=${ROUNDS:-3} PACK=build/visit.tar.gz PROMPT='a photo of an astronaut riding a horse on mars'
BIN=$WORK/programs
stage=${1:-help}
[ $# -eq 0 ] || shift
end=${END:-$(($(date +%s) + ${MINUTES:-9} * 60))}
mkdir -p "$OUT" "$WORK"

die() { echo "gpu-visit: $*" >&2; exit 1; }

left() { echo $((end - $(date +%s))); }

# in_time SECONDS COMMAND…: under that limit, and under what is left; 124 where there is too little.
in_time() {
    limit=$1 rest=$(left)
    shift
    [ "$rest" -gt 5 ] || return 124
    timeout -k 5 $((limit < rest ? limit : rest)) "$@"
}

# ---- programs ------------------------------------------------------------------------------------------------------

# Flash attention as it is and with FLASH_POLYNOMIAL 3 and 5, and a test of the last.
attentions='attention attention_polynomial_3 attention_polynomial_5'
attention_test=test_cuda_attention_polynomial_5

kernel_tests() { for t in test/test_cuda_*.c; do basename "$t" .c; done; }

# build DIR [MAKE ARGUMENT…]
build() {
    dir=$1
    shift
    # shellcheck disable=SC2046,SC2086
    make -s BUILD="$dir" CUDA_ARCH="$CUDA_ARCH" "$@" "$dir/diffuse" "$dir/make_checkpoint" "$dir/sweep" "$dir/test_lanes" \
        $({ kernel_tests; printf '%s\n' $attentions $attention_test; } | sed "s|^|$dir/|") || die 'the build failed'
    nvcc=$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)
    for program in ceilings limits; do
        # shellcheck disable=SC2046
        "$nvcc" -std=c++20 -O3 $(for a in $CUDA_ARCH; do echo "-gencode arch=compute_$a,code=sm_$a"; done) bench/$program.cu \
            -o "$dir/$program" -ldl || die "$program.cu was not compiled"
    done
}

# For any x86-64 of the last ten years. The system's own C and C++ libraries stay behind.
pack() {
    from=build/visit-$CUDA_ARCH to=build/visit-pack/programs
    build "$from" MARCH=x86-64-v3
    rm -rf build/visit-pack
    mkdir -p $to/lib $to/wheels
    for name in diffuse make_checkpoint sweep ceilings limits test_lanes $attentions $attention_test $(kernel_tests); do
        strip -o "$to/$name" "$from/$name" || die "no $name"
    done
    ldd "$to/diffuse" "$to"/test_cuda_* | awk '/=> \// {print $3}' | sort -u |
        grep -v -E '/(libc|libm|libstdc\+\+|libgcc_s|libdl|librt|libpthread|ld-linux.*)\.so' | while read -r file; do
            cp -L "$file" $to/lib/ || exit 1
        done || die 'a library was not found'
    # what the machine's Python lacks beside torch and transformers
    "$PYTHON" -m pip download -q --no-deps --only-binary=:all: -d $to/wheels importlib_metadata zipp \
        "$(grep '^diffusers==' test/reference/requirements.txt)" || echo 'gpu-visit: no diffusers in the pack: peers and compile need it installed' >&2
    tar -C build/visit-pack -czf $PACK.new programs && mv $PACK.new $PACK || die 'the pack was not written'
    ls -l $PACK
}

# ours COMMAND…: with the libraries of the pack, and cuBLASLt, wherever it is.
ours() (
    export LD_LIBRARY_PATH="$BIN/lib:$cublaslt${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    "$@"
)

find_programs() {
    if [ ! -x "$BIN/diffuse" ] && [ -f $PACK ]; then tar -C "$WORK" -xzf $PACK || die "$PACK cannot be unpacked"; fi
    [ -x "$BIN/diffuse" ] || build "$BIN"
    cublaslt=
    if ! ldconfig -p | grep -q 'libcublasLt\.so\.1[23]'; then
        cublaslt=$(find /usr/local /opt "$HOME" -name 'libcublasLt.so.1[23]' 2>/dev/null | head -n 1)
        cublaslt=${cublaslt%/*}
    fi
    ours "$BIN/diffuse" --version >/dev/null || die 'the program does not start on this machine'
}

find_diffusers() {
    if [ -d "$BIN/wheels" ] && [ ! -d "$WORK/site" ]; then
        "$PYTHON" -m pip install -q --no-index --no-deps --no-compile --target "$WORK/site" "$BIN"/wheels/*.whl ||
            die 'no diffusers'
    fi
    export PYTHONPATH="$WORK/site${PYTHONPATH:+:$PYTHONPATH}" TORCHINDUCTOR_CACHE_DIR="$WORK/inductor"
    "$PYTHON" -c 'import diffusers, torch, transformers
print("diffusers", diffusers.__version__, "torch", torch.__version__, "transformers", transformers.__version__)' ||
        die 'no diffusers'
}

# Random weights of a model's true shape, fp16; read once, so that they are in the page cache.
checkpoint() {
    [ -d "$WORK/$1" ] || ours "$BIN/make_checkpoint" "$1" "$WORK/$1.new" test/fixtures/tokenizer/clip --dtype F16 ||
        die "no checkpoint $1"
    [ -d "$WORK/$1" ] || mv "$WORK/$1.new" "$WORK/$1"
    cat "$WORK/$1"/*/*.safetensors >/dev/null
}

# ---- figures: "NAME<tab>VALUE<tab>UNIT" in $OUT/STAGE.tsv, often more than one of a name -------------------------------

record() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" | tee -a "$OUT/$stage.tsv"; }
record_all() { while read -r name value unit; do record "$1.$name" "$value" "$unit"; done; } # PREFIX, rows from stdin

machine() {
    {
        nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,temperature.gpu,power.draw --format=csv,noheader
        uname -r
    } | tee -a "$OUT/$stage.log"
}

# ---- stages ----------------------------------------------------------------------------------------------------------

# The wrappers, products, convolutions, whole pictures beside diffusers': where one is wrong, nothing else is worth the time.
run_smoke() {
    machine
    for t in test_lanes test_cuda_linear test_cuda_conv2d test_cuda_pipeline; do
        ours in_time 60 "$BIN/$t" >"$WORK/log" 2>&1
        code=$?
        cat "$WORK/log" >>"$OUT/smoke.log"
        record "smoke.$t" "$code" "exit: $(tail -n 1 "$WORK/log")"
        [ $code -eq 0 ] || die "$t failed: $OUT/smoke.log"
    done
}

# The last one draws a picture in each of some 80 processes; the one before it runs every layer of the models.
run_tests() {
    failed=0
    for t in test_lanes $(kernel_tests | grep -v -e test_cuda_faults -e test_cuda_shapes) test_cuda_shapes test_cuda_faults; do
        began=$(date +%s)
        ours in_time 300 "$BIN/$t" >"$WORK/log" 2>&1
        code=$?
        cat "$WORK/log" >>"$OUT/tests.log"
        [ $code -eq 0 ] || failed=1
        record "test.$t" "$code" "exit, $(($(date +%s) - began)) s: $(tail -n 1 "$WORK/log")"
    done
    return $failed
}

sanitize() { # TOOL NAME COMMAND…
    tool=$1 name=$2
    shift 2
    ours in_time 150 compute-sanitizer --tool "$tool" --error-exitcode 99 --print-limit 20 "$@" >"$WORK/log" 2>&1
    code=$?
    cat "$WORK/log" >>"$OUT/sanitizer.log"
    case $code in
    0) verdict=clean ;;
    99) verdict=$(grep 'SUMMARY' "$WORK/log" | tail -n 1 | sed 's/=* *//') ;;
    124 | 137) verdict='not finished' ;;
    *) verdict="exit $code: $(tail -n 1 "$WORK/log")" ;;
    esac
    record "sanitizer.$tool.$name" "$code" "$verdict"
}

# find_tool NAME: on the PATH, or where the toolkit puts it.
find_tool() {
    command -v "$1" >/dev/null || for dir in /usr/local/cuda/bin /usr/local/cuda/compute-sanitizer /opt/nvidia/nsight-compute/*; do
        [ ! -x "$dir/$1" ] || PATH=$PATH:$dir
    done
    command -v "$1" >/dev/null || die "$1 is not here"
}

# What only a GPU can show comes first: races within a block, on the kernels of tensor cores.
run_sanitizer() {
    find_tool compute-sanitizer
    if [ $# -eq 0 ]; then
        for t in test_cuda_attention test_cuda_conv2d test_cuda_linear test_cuda_norm; do
            for tool in racecheck synccheck; do sanitize "$tool" "$t" "$BIN/$t"; done
        done
        set -- memcheck racecheck synccheck initcheck
    fi
    for tool; do
        for model in tiny-sd1 tiny-sd2 tiny-ddpm; do
            prompt=x
            [ $model != tiny-ddpm ] || prompt=
            sanitize "$tool" $model "$BIN/diffuse" --device cuda -m test/fixtures/$model -s 1 --steps 3 -f \
                -o "$WORK/tiny.png" ${prompt:+"$prompt"}
        done
        for t in $(kernel_tests); do
            [ "$t" = test_cuda_faults ] || sanitize "$tool" "$t" "$BIN/$t" # its errors are made on purpose
        done
    done
    ! awk -F'\t' '$2 == 99' "$OUT/sanitizer.tsv" | grep -q .
}

run_ceilings() {
    machine
    ours "$BIN/ceilings" | record_all ceiling
    ours "$BIN/ceilings" library | record_all ceiling
    ours "$BIN/limits" | record_all ceiling
    ours "$BIN/ceilings" exec 7 "$BIN/ceilings" context | while read -r ms _; do record ceiling.context "$ms" ms; done
    ours "$BIN/ceilings" exec 21 "$BIN/diffuse" --version | while read -r ms _; do record ceiling.version "$ms" ms; done
    machine
}

# Cut short, it has the layers that it came to.
run_sweep() {
    machine
    ours in_time 500 "$BIN/sweep" "${TIMES:-20}" >"$WORK/sweep" 2>>"$OUT/sweep.log"
    code=$?
    grep -v '^#' "$WORK/sweep" | awk -F'\t' 'NF == 6' >"$WORK/sweep.rows"
    { grep '^#' "$WORK/sweep"; cat "$WORK/sweep.rows"; } >"$OUT/sweep-products.tsv"
    record sweep.ways "$(wc -l <"$WORK/sweep.rows")" "measured, exit $code"
    bench/model.py h100 --sweep "$OUT/sweep-products.tsv" | tee -a "$OUT/sweep.log"
    bench/choices.py "$OUT/sweep-products.tsv" >"$OUT/choices.h"
}

run_polynomial() {
    machine
    ours in_time 120 "$BIN/$attention_test" >>"$OUT/polynomial.log" 2>&1
    record "test.$attention_test" $? exit
    for _ in $(seq "$ROUNDS"); do
        for program in $attentions; do ours in_time 60 "$BIN/$program" | record_all "$program"; done
    done
    machine
}

# DDPM's 50 steps are DDIM's too.
steps_of() { if [ "$1" = ddpm-cat ]; then echo 50; else echo 25; fi; }

# picture MODEL STEPS DTYPE COMMAND…: the command with what it takes to draw that picture.
picture() {
    model=$1 steps=$2 dtype=$3
    shift 3
    set -- "$@" -m "$WORK/$model" --device cuda --dtype "$dtype" -x ddim --steps "$steps" -s 42
    [ ! -d "$WORK/$model/text_encoder" ] || set -- "$@" "$PROMPT"
    ours "$@"
}

number() { sed -n "s/.*\"$1\":\([0-9.e+]*\).*/\1/p" "$WORK/bench.json"; }

# bench_ours MODEL N: N warm pictures
bench_ours() {
    picture "$1" "$(steps_of "$1")" fp16 in_time 120 "$BIN/diffuse" --bench "$2" --json >"$WORK/bench.json" ||
        die "--bench $1 failed"
    cat "$WORK/bench.json" >>"$OUT/$stage.log"
    for part in text step vae image; do
        spread=$(sed -n "s/.*\"$part\":{\"median\":\([0-9.]*\),\"p95\":\([0-9.]*\).*/\1 \2/p" "$WORK/bench.json")
        [ -z "$spread" ] || record "$1.$part" "${spread% *}" ms
        [ $part != step ] || record "$1.step_p95" "${spread#* }" ms
    done
    record "$1.load" "$(number load_ms)" ms
    record "$1.peak" "$(number peak_bytes | awk '{printf "%.0f", $1 / 2^20}')" MiB
    record "$1.planned" "$(number planned_bytes | awk '{printf "%.0f", $1 / 2^20}')" MiB
}

cold_ours() { # MODEL N
    picture "$1" "$(steps_of "$1")" fp16 in_time 120 "$BIN/ceilings" exec "$2" "$BIN/diffuse" -q -f -o "$WORK/$1.png" |
        while read -r ms least most; do record "$1.cold" "$ms" "ms ($least … $most)"; done
}

run_models() {
    machine
    [ $# -gt 0 ] || set -- sd15 sd21 ddpm-cat
    for model; do
        checkpoint "$model"
        picture "$model" "$(steps_of "$model")" fp16 "$BIN/diffuse" -v -f -o "$WORK/$model.png" 2>&1 | tee -a "$OUT/models.log"
        bench_ours "$model" 20
        cold_ours "$model" 7
    done
    machine
}

# Two steps, of which the second is the graph's, less one step. The caches are left as they are: L2 holds most of a step. Every launch of the
# longer run is kept, in order, with its grid: the table by name hides the layers.
kernel_times() { # MODEL STEPS: "launches microseconds kernel"
    picture "$1" "$2" fp16 in_time 240 ncu --clock-control none --cache-control none --graph-profiling node --csv \
        --metrics gpu__time_duration.sum,launch__grid_size "$BIN/diffuse" -q -f -o "$WORK/profile.png" 2>>"$OUT/profile.log" |
        tee "$OUT/launches-$1.csv" | "$PYTHON" -c '
import collections, csv, re, sys
rows = csv.DictReader(line for line in sys.stdin if line.startswith("\""))
total = collections.defaultdict(lambda: [0, 0.0])
scale = {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3, "msecond": 1e3}
for row in rows:
    if row["Metric Name"] != "gpu__time_duration.sum":
        continue
    name = re.sub(r"\((anonymous namespace|int|bool)\)(::)?|<unnamed>::|^void ", "", row["Kernel Name"])
    name = re.sub(r"\(.*", "", name)
    total[name][0] += 1
    total[name][1] += float(row["Metric Value"].replace(",", "")) * scale[row["Metric Unit"]]
for name, (n, us) in total.items():
    print(n, us, name, sep="\t")'
}

run_profile() {
    find_tool ncu
    [ $# -gt 0 ] || set -- sd15
    for model; do
        checkpoint "$model"
        kernel_times "$model" 1 >"$WORK/one"
        kernel_times "$model" 2 >"$WORK/two"
        awk -F'\t' -v OFS='\t' 'FNR == NR {n[$3] = $1; us[$3] = $2; next}
            {print $1 - n[$3], $2 - us[$3], $3}' "$WORK/one" "$WORK/two" |
            awk -F'\t' '$1 > 0' | sort -t "$(printf '\t')" -k2,2nr >"$WORK/step"
        awk -F'\t' -v model="$model" '
            {rows[NR] = $0; sum += $2}
            END {
                for (i = 1; i <= NR; i++) {
                    split(rows[i], r, "\t")
                    printf "kernel.%s\t%.1f\tus in %d launches, %.1f %%: %s\n", model, r[2], r[1], 100 * r[2] / sum, r[3]
                }
            }' "$WORK/step" | tee -a "$OUT/profile.tsv"
    done
}

# rounds KIND EXTRA MODEL…: ours and theirs in turns.
rounds() {
    kind=$1 extra=$2
    shift 2
    find_diffusers
    machine
    for model; do
        checkpoint "$model"
        for _ in $(seq "$ROUNDS"); do
            [ "$(left)" -gt 60 ] || break
            bench_ours "$model" 5
            # shellcheck disable=SC2086
            in_time 400 "$PYTHON" bench/peer_diffusers.py -m "$WORK/$model" --steps "$(steps_of "$model")" $extra \
                >"$WORK/peer" 2>>"$OUT/$stage.log" && record_all "$kind.$model" <"$WORK/peer"
        done
    done
    machine
}

run_peers() {
    [ $# -gt 0 ] || set -- sd15 sd21 ddpm-cat
    rounds eager '' "$@"
    for model; do # cold, and how far the pictures are from ours in fp32
        cold_ours "$model" 3
        in_time 100 "$BIN/ceilings" exec 3 "$PYTHON" bench/peer_diffusers.py -m "$WORK/$model" \
            --steps "$(steps_of "$model")" --once "$WORK/diffusers-$model.png" 2>>"$OUT/peers.log" |
            while read -r ms least most; do record "eager.$model.cold" "$ms" "ms ($least … $most)"; done
        picture "$model" "$(steps_of "$model")" fp32 in_time 60 "$BIN/diffuse" -q -f -o "$WORK/fp32-$model.png" >/dev/null &&
            "$PYTHON" bench/peer_diffusers.py --compare "$WORK/fp32-$model.png" "$WORK/$model.png" "$WORK/diffusers-$model.png" |
            record_all pixels
    done
}

run_compile() {
    [ $# -gt 0 ] || set -- sd15
    rounds compiled '--compile --warmup 3' "$@"
}

case $stage in
pack) pack ;;
table) bench/gpu-table.sh ;;
smoke | tests | sanitizer | ceilings | sweep | polynomial | models | profile | peers | compile)
    find_programs
    rm -f "$OUT/$stage.tsv" "$OUT/$stage.log"
    "run_$stage" "$@"
    ;;
*) sed -n '2,/^set -u/s/^# \{0,1\}//p' "$0" ;;
esac
