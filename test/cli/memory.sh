#!/bin/sh
# The CPU's forecast of memory: what is planned and what is taken at the peak are the same to 3 %, or 2 MB, which the code of libraries
# differs by from one kind of CPU to another: oneDNN makes its own, and the system maps more or less around a page that is touched.
! grep -q -e __asan_init -e __tsan_init "${DIFFUSE:=$PWD/diffuse}" || { echo 'a sanitizer has memory of its own'; exit 77; }
root=$PWD
. "$(dirname "$0")/common"

agree() {
    run -s 1 --steps 2 -v -f -o box/out.png "$@"
    expect_code 0
    sed -n 's/^peak memory: \([0-9.]*\) GB (planned \([0-9.]*\) GB).*/\2 \1/p' err >sums
    awk '{off = ($1 > $2 ? $1 - $2 : $2 - $1); room = 0.03 * $2 > 0.002 ? 0.03 * $2 : 0.002} $2 > 0 && off <= room {n++} END {exit n != 1}' sums || fail "planned and taken: $(cat sums)"
    [ -z "${VERBOSE-}" ] || echo "$(awk '{printf "%.4f %.4f %+.1f %%", $1, $2, ($1 / $2 - 1) * 100}' sums): $*"
}

run -m "$MODEL" -s 1 --steps 1 --size 64 -o box/in.png fox
for model in "$MODEL" "$root/models/doodle"; do
    for offload in none stage; do
        agree -m "$model" --offload $offload fox
        agree -m "$model" --offload $offload --size 256 fox
        agree -m "$model" --offload $offload -i box/in.png fox
        agree -m "$model" --offload $offload -i box/in.png --mask box/in.png fox
    done
done
# what --dry-run says beforehand is what -v says afterwards
run -m "$root/models/doodle" --dry-run -j -o box/new.png fox
before=$(tr ',{}' '\n\n\n' <out | awk -F: '/^"(weight|activation|scratch|program)_bytes"/ {sum += $2} END {print sum}')
agree -m "$root/models/doodle" fox
awk -v b="$before" '{exit !(b > 0.97e9 * $2 && b < 1.03e9 * $2)}' sums || fail "--dry-run: $before bytes, taken $(cat sums)"
DIFFUSE_ISA=amx_twin
export DIFFUSE_ISA
agree -m "$MODEL" --dtype bf16 fox
agree -m "$root/models/doodle" --dtype bf16 fox
expect_box in.png out.png
finish
