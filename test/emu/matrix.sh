#!/bin/bash
# The CUDA device's tests under the emulation, in every order of threads it knows, with a stream that does nothing before it must, and
# under the sanitizers. Those of whole nets, pipelines and jobs, whose kernels are the same, run in some of the orders only: they alone take
# hours in all. JOBS: so many at a time, each on one core (of all cores); each one's output is kept in build/matrix.
cd "$(dirname "$0")/../.." || exit 1
JOBS=${JOBS:-$(nproc)}
export TSAN_OPTIONS="suppressions=$PWD/test/emu/tsan.supp" OMP_NUM_THREADS=1 TEST_SECONDS=${TEST_SECONDS:-7200}
logs=build/matrix
rm -rf $logs && mkdir -p $logs || exit 1

run() { # CONFIG kernels|nets WHAT [VARIABLE=VALUE…]
    local config=$1 what="$1, $2, $3" but=v
    [ "$2" = kernels ] || but=
    shift 3
    # shellcheck disable=SC2046
    if ! env "$@" ONLY="${ONLY:-test_*}" BUILD="build/$config" test/run.sh \
        $(find "build/$config/emu" -maxdepth 1 -type f \( -name 'test_cuda_*' -o -name test_lanes \) ! -name '*.d' |
            grep -E$but 'test_cuda_(models|dpt|safety|pipeline|resident|faults)$' | sort) >"$logs/$what.txt"; then
        touch $logs/failed
        sed '$d' "$logs/$what.txt"
    fi
    echo "$what: $(tail -n 1 "$logs/$what.txt")"
}

# begin CONFIG…: as soon as one of JOBS places is free
begin() {
    [ "$(jobs -pr | wc -l)" -lt "$JOBS" ] || wait -n
    run "$@" &
}

# The longest first.
begin asan nets "first order"
begin tsan kernels "first order"
begin asan kernels "order 1, lazy stream" EMU_SEED=1 EMU_LAZY=1
begin asan kernels "first order"
begin release nets "kernels begin early, lazy stream" EMU_EARLY=1 EMU_LAZY=1
begin release nets "order 1" EMU_SEED=1
begin release kernels "kernels begin early, lazy stream" EMU_EARLY=1 EMU_LAZY=1
begin release kernels "order 1" EMU_SEED=1
begin release kernels "order 2" EMU_SEED=2
begin release kernels "order 3" EMU_SEED=3
begin release kernels "reverse order" EMU_ORDER=reverse
begin release kernels "lazy stream" EMU_LAZY=1
begin release kernels "copies at once, order 1" EMU_ASYNC=early EMU_SEED=1
begin release kernels "copies at once or late, order 2" EMU_ASYNC=random EMU_SEED=2
wait
[ ! -e $logs/failed ]
