#!/bin/bash
# Each allocation and thread of a small run, the libraries' too, fails once: the picture is drawn all the same, or exit code 71, one
# line, nothing left. STEP=7: every seventh only. BUILD: where the binary is.
BUILD=$(realpath "${BUILD:-build/release}")
cc -O1 -shared -fPIC -o "$BUILD/torture.so" test/torture/fail.c -ldl || exit 1
DIFFUSE=$BUILD/diffuse MODEL=$PWD/test/fixtures/tiny-sd1
export OMP_NUM_THREADS=1
work=$(mktemp -d) && cd "$work" && mkdir box || exit 1
trap 'rm -rf "$work"' EXIT

draw() { { timeout -k 5 60 env LD_PRELOAD="$BUILD/torture.so" "$@" "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --size 64x64 --threads 2 x -o box/a.png >out 2>err; } 2>/dev/null; }

draw TORTURE_COUNT=count || { cat err; exit 1; }
mv box/a.png first.png
n=$(cat count) failed=0
for ((at = 1; at <= n; at += ${STEP:-1})); do
    draw TORTURE_AT=$at
    code=$?
    left=$(ls -A box | grep -vx a.png)
    if [ -n "$left" ] || { [ -e box/a.png ] && ! cmp -s first.png box/a.png; } ||
        ! { [ $code -eq 0 ] && [ -e box/a.png ] || { [ $code -eq 71 ] && [ "$(wc -l <err)" -eq 1 ]; }; }; then
        failed=$((failed + 1))
        echo "allocation $at of $n: exit code $code, left '$(ls -A box)', said: $(head -c 300 err)"
    fi
    rm -rf box && mkdir box
done
echo "$n allocations and threads, $failed wrong"
[ $failed -eq 0 ]
