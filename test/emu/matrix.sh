#!/bin/sh
# The CUDA device's tests under the emulation, in every order of threads it knows, with a stream that does nothing before it must, and
# under the sanitizers. A few minutes on two cores. JOBS: of make.
cd "$(dirname "$0")/../.." || exit 1
JOBS=${JOBS:-$(nproc)}
failed=0
export TSAN_OPTIONS="suppressions=$PWD/test/emu/tsan.supp"

run() { # CONFIG WHAT [VARIABLE=VALUE…]
    config=$1 what=$2
    shift 2
    echo "== $config, $what"
    # shellcheck disable=SC2046
    env "$@" ONLY="${ONLY:-test_*}" BUILD=build/$config test/run.sh $(find build/"$config"/emu -maxdepth 1 -type f \( -name 'test_cuda_*' -o -name test_lanes \) ! -name '*.d' | sort) || failed=1
}

for config in release asan tsan; do make -s -j"$JOBS" BUILD=build/$config config=$config emu-tests || exit 1; done
for seed in 1 2 3; do run release "order $seed" EMU_SEED=$seed; done
run release "reverse order" EMU_ORDER=reverse
run release "lazy stream" EMU_LAZY=1
run release "copies at once, order 1" EMU_ASYNC=early EMU_SEED=1
run release "copies at once or late, order 2" EMU_ASYNC=random EMU_SEED=2
run release "kernels begin early, lazy stream" EMU_EARLY=1 EMU_LAZY=1
run asan "first order"
run asan "order 1, lazy stream" EMU_SEED=1 EMU_LAZY=1
run tsan "first order"
exit $failed
