#!/bin/sh
# --preview: a file with the picture on its way, whatever the checkpoint; gone at the end, and it changes no picture.
BUILD=$(dirname "$DIFFUSE")
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
ROOT=$PWD
. "$(dirname "$0")/common"

# watched MODEL ARGUMENT...: one picture, box/1.png, by a batch that waits for more lines; its preview stands there meanwhile.
watched() {
    what="a batch that waits: $*"
    model=$1
    shift
    mkfifo q answers
    "$DIFFUSE" --device cpu -m "$model" --threads 1 -q -s 3 --steps 3 -b q --preview box/now.png "$@" >answers 2>err &
    process=$!
    exec 4<answers
    exec 3<>q # waits for nobody, should the run be over
    echo '{"id":"1","output":"box/1.png"}' >&3
    read -r path <&4
    expect_png box/now.png
    cp box/now.png kept.png
    [ "$(ls -A box | tr '\n' ' ')" = '1.png now.png ' ] || fail "box holds $(ls -A box)"
}
finished() {
    exec 3>&- 4<&-
    wait $process || fail "exit code $?"
    expect_box 1.png
    rm q answers
}
watched "$MODEL" 'a red cat' --size 64x96
finished
pngcheck kept.png | grep -q '64x96, 24-bit RGB' || fail "$(pngcheck kept.png)"
grep -aq trainedAlgorithmicMedia kept.png || fail 'no disclosure'
grep -aq 'a red cat' kept.png && fail 'the prompt stands in it'
run -m "$MODEL" --threads 1 -s 3 --steps 3 'a red cat' --size 64x96 -o alone.png
expect_same alone.png box/1.png
rm box/1.png
watched "$MODEL/../tiny-ddpm"
finished
rm box/1.png

# Where the run is ended it goes, too.
watched "$MODEL" a --size 64x64
what='SIGTERM'
kill -TERM $process
exec 3>&- 4<&-
wait $process 2>err
[ $? = 143 ] || fail 'not the death by a signal'
expect_box 1.png
rm q answers box/1.png

# What is there stays, unless it may be replaced; a picture that fails leaves none; several at once.
echo mine >box/now.jpg
draw x -o box/a.png --preview box/now.jpg
expect_error 73 'diffuse: box/now.jpg: the file exists' 'hint: -f replaces it, --on-exists number picks another name'
[ "$(cat box/now.jpg)" = mine ] || fail 'it was replaced'
draw x -o box/a.png --preview box/now.jpg -f -q --save-every 1 --steps 2
expect_code 0
expect_box a-step0001.png a-step0002.png a.png
rm box/*
draw x -o box/a.png --preview new/now.webp
expect_error 73 'diffuse: new/now.webp: directory missing: No such file or directory' 'hint: --mkdirs makes it'
draw x -c 3 -o 'box/{n}.png' --preview new/now.webp --mkdirs -q
expect_code 0
expect_box 1.png 2.png 3.png
[ -z "$(ls -A new)" ] || fail 'it is there still'
rm -r box/* new
draw x -o box/a.png --preview new/now.webp --mkdirs --dry-run
expect_code 0
[ ! -e new ] || fail '--dry-run makes a directory'

# What does not go together.
draw x --preview proj
expect_error 2 "diffuse: --preview: 'proj': expected a name ending in .png, .jpg or .webp"
draw x --preview a.png --bench 1
expect_error 2 'diffuse: --bench and --preview: no picture is written'
run -m "$MODEL" --inspect --preview a.png
expect_error 2 'diffuse: --preview: expected pictures to draw, found another command'
[ -x "$BUILD/test_synthetic" ] || finish
mkdir checked
(cd "$ROOT" && "$BUILD/test_synthetic" --write "$work/checked" safety-checker) || fail 'no checkpoint'
run -m checked x -s 1 --steps 1 --threads 1 --size 64x64 -o box/a.png --preview box/now.png --dry-run
grep -q "^diffuse: warning: --preview has no effect: the model's safety checker would not see it (--no-safety-checker, or --save-every)$" err || fail 'not said'
finish
