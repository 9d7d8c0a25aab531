#!/bin/sh
# Runs the test programs given as arguments, then test/cli/*.sh with $DIFFUSE: one line each, the output of those that fail, a
# summary; exit 1 on any failure. A script that exits 77 could not run here, and says why in its last line.
# BUILD: where the binary is (build/release). ONLY: a shell pattern of test names to run.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build/release}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
export DIFFUSE="$BUILD/diffuse"
unset DIFFUSE_MODEL
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
n=0 failed=0 skipped=0 began=$(date +%s.%N)

seconds() { echo "$1 $(date +%s.%N)" | awk '{printf "%.1f s", $2 - $1}'; }

for test in "$@" test/cli/*.sh; do
    name=$(basename "$test")
    # shellcheck disable=SC2254
    case $name in ${ONLY:-*}) ;; *) continue ;; esac
    start=$(date +%s.%N)
    timeout -k 10 "${TEST_SECONDS:-600}" "$test" >"$log" 2>&1 </dev/null
    code=$?
    n=$((n + 1))
    case $code in
    0) echo "ok    $name  $(seconds "$start")" ;;
    77) skipped=$((skipped + 1)); echo "skip  $name  $(tail -n 1 "$log")" ;;
    *)
        failed=$((failed + 1))
        echo "FAIL  $name  exit code $code, $(seconds "$start")"
        sed 's/^/      /' "$log"
        ;;
    esac
done
echo "$n tests, $failed failed, $skipped skipped, $(seconds "$began")"
[ $n -gt 0 ] && [ $failed -eq 0 ]
