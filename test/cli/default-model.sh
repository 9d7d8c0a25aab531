#!/bin/sh
# Without -m and DIFFUSE_MODEL the shipped checkpoint is drawn with: beside the executable, or where it was installed.
. "$(dirname "$0")/common"

built=$DIFFUSE
for place in models/doodle bin/../share/diffuse/doodle build/x/../../models/doodle; do
    mkdir -p tree/bin tree/models tree/share/diffuse tree/build/x
    ln -s "$MODEL" "tree/$place"
    case $place in models/*) program=tree/diffuse ;; *) program=tree/${place%%/..*}/diffuse ;; esac
    cp "$built" "$program"
    DIFFUSE=$work/$program
    run "a fox" -s 1 --steps 1 --threads 1 -o box/a.png
    expect_code 0
    expect_png box/a.png
    run -m doodle "a fox" -s 1 --steps 1 --threads 1 -f -o box/a.png # by its name
    expect_code 0
    run "a fox" -s 1 --no-safety-checker --dry-run # and is named as one would
    name=$(cd "$(dirname "tree/$place")" && pwd -P)/doodle
    grep -qxF "diffuse: warning: --no-safety-checker has no effect: $name has none" err || fail "expected $name"
    rm -rf tree box/a.png
done
finish
