#!/bin/bash
# The CUDA device's tests under the emulation, in every order of threads it knows, with a stream that does nothing before it must, and
# under the sanitizers: some hours of processor time. JOBS: so many of these at a time, each on one core (of all cores); each one's
# output is kept in build/matrix.
cd "$(dirname "$0")/../.." || exit 1
JOBS=${JOBS:-$(nproc)}
export TSAN_OPTIONS="suppressions=$PWD/test/emu/tsan.supp" OMP_NUM_THREADS=1 TEST_SECONDS=${TEST_SECONDS:-7200}
logs=build/matrix
rm -rf $logs && mkdir -p $logs || exit 1

run() { # CONFIG WHAT [VARIABLE=VALUE…]
    local config=$1 what=$2 log
    shift 2
    log="$logs/$config, $what.txt"
    # shellcheck disable=SC2046
    if ! env "$@" ONLY="${ONLY:-test_*}" BUILD="build/$config" test/run.sh \
        $(find "build/$config/emu" -maxdepth 1 -type f \( -name 'test_cuda_*' -o -name test_lanes \) ! -name '*.d' | sort) >"$log"; then
        touch $logs/failed
        sed '$d' "$log"
    fi
    echo "$config, $what: $(tail -n 1 "$log")"
}

# begin CONFIG WHAT…: as soon as one of JOBS places is free
begin() {
    [ "$(jobs -pr | wc -l)" -lt "$JOBS" ] || wait -n
    run "$@" &
}

for config in release asan tsan; do make -s BUILD=build/$config config=$config emu-tests || exit 1; done
begin tsan "first order"
begin asan "first order"
begin asan "order 1, lazy stream" EMU_SEED=1 EMU_LAZY=1
for seed in 1 2 3; do begin release "order $seed" EMU_SEED=$seed; done
begin release "reverse order" EMU_ORDER=reverse
begin release "lazy stream" EMU_LAZY=1
begin release "copies at once, order 1" EMU_ASYNC=early EMU_SEED=1
begin release "copies at once or late, order 2" EMU_ASYNC=random EMU_SEED=2
begin release "kernels begin early, lazy stream" EMU_EARLY=1 EMU_LAZY=1
wait
[ ! -e $logs/failed ]
