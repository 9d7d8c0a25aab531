#!/bin/bash
# The CUDA device's tests under the emulation, in every order of threads it knows, with a stream that does nothing before it must, and
# under the sanitizers. Those of whole nets, pipelines and jobs, whose kernels are the same, run in some of the orders only: they alone take
# hours in all. JOBS: so many at a time, each on one core (of all cores); each one's output is kept in build/matrix.
cd "$(dirname "$0")/../.." || exit 1
JOBS=${JOBS:-$(nproc)}
export TSAN_OPTIONS="suppressions=$PWD/test/emu/tsan.supp" OMP_NUM_THREADS=1 TEST_SECONDS=${TEST_SECONDS:-7200}
logs=build/matrix
rm -rf $logs && mkdir -p $logs || exit 1

run() { # CONFIG all|kernels WHAT [VARIABLE=VALUE…]
    local config=$1 what=$3 log="$logs/$1, $3.txt" without='^$'
    [ "$2" = all ] || without='test_cuda_(models|dpt|safety|pipeline|resident|faults)$'
    shift 3
    # shellcheck disable=SC2046
    if ! env "$@" ONLY="${ONLY:-test_*}" BUILD="build/$config" test/run.sh \
        $(find "build/$config/emu" -maxdepth 1 -type f \( -name 'test_cuda_*' -o -name test_lanes \) ! -name '*.d' |
            grep -vE "$without" | sort) >"$log"; then
        touch $logs/failed
        sed '$d' "$log"
    fi
    echo "$config, $what: $(tail -n 1 "$log")"
}

# begin CONFIG…: as soon as one of JOBS places is free
begin() {
    [ "$(jobs -pr | wc -l)" -lt "$JOBS" ] || wait -n
    run "$@" &
}

for config in release asan tsan; do make -s BUILD=build/$config config=$config emu-tests || exit 1; done
begin tsan kernels "first order"
begin asan all "first order"
begin asan kernels "order 1, lazy stream" EMU_SEED=1 EMU_LAZY=1
begin release all "order 1" EMU_SEED=1
begin release all "kernels begin early, lazy stream" EMU_EARLY=1 EMU_LAZY=1
begin release kernels "order 2" EMU_SEED=2
begin release kernels "order 3" EMU_SEED=3
begin release kernels "reverse order" EMU_ORDER=reverse
begin release kernels "lazy stream" EMU_LAZY=1
begin release kernels "copies at once, order 1" EMU_ASYNC=early EMU_SEED=1
begin release kernels "copies at once or late, order 2" EMU_ASYNC=random EMU_SEED=2
wait
[ ! -e $logs/failed ]
