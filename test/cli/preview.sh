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

# And where nobody reads what it prints.
what='SIGPIPE'
{
    "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -c 3 --batch-size 1 -o 'box/{n}.png' --preview box/now.png 2>err
    echo $? >died
} | :
[ "$(cat died)" = 141 ] || fail "exit code $(cat died)"
[ ! -e box/now.png ] || fail 'the preview is there still'
rm -f box/* died

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
draw x --preview box/a.png --sheet ./box/a.png
expect_error 2 'diffuse: --preview and --sheet: both have this name'
draw -b - --preview box/a.png --manifest box//a.png
expect_error 2 'diffuse: --preview and --manifest: both have this name'

# It takes the place of no picture of the run, however its name is written …
printf 'a\nb\n' >two.txt
draw -c 2 x -o old.png -q
cp old-1.png kept.png
stays() { expect_same "$1" kept.png; }
draw -c 2 --preview ./old-1.png -o old.png -f -q x
expect_error 2 'diffuse: old-1.png: --preview has this name, too'
stays old-1.png
cp kept.png box/00000002.png
draw -b two.txt --preview "$work/box/00000002.png" -o box/ -f -q
expect_error 2 'diffuse: two.txt: line 2: box/00000002.png: --preview has this name, too'
stays box/00000002.png
expect_box 00000002.png
cp kept.png box/a-step0001.png
draw x --steps 2 --save-every 1 -o box/a.png --preview box/a-step0001.png -f -q
expect_error 2 'diffuse: box/a-step0001.png: --preview has this name, too'
printf '{"id":"a","prompt":"x","save-every":1,"steps":2}\n' >every.jsonl
draw -b every.jsonl -o box/ --preview box/a-step0001.png -f -q
expect_error 2 'diffuse: every.jsonl: line 1: box/a-step0001.png: --preview has this name, too'
stays box/a-step0001.png
rm box/*
draw x -o box/new/../new/a.png --preview box/new/a.png --mkdirs -q
expect_error 2 'diffuse: box/new/../new/a.png: --preview has this name, too'
expect_box

# … nor of one that it reads.
cp kept.png in.png
ln -s in.png link.png
reads() {
    draw x -o box/a.png --preview in.png -f -q "$@"
    expect_error 2 "diffuse: ${name:-in.png}: --preview has this name, too"
    stays in.png
    expect_box
}
reads --strength 1 -i in.png
name=./in.png reads --strength 1 -i ./in.png
name=link.png reads --strength 1 -i link.png
reads -i kept.png --mask in.png
reads --from in.png
draw -o - --from in.png --preview in.png -f -q
expect_error 2 'diffuse: in.png: --preview has this name, too'
for key in image mask depth latents control-image lora embedding; do
    printf '{"prompt":"a"}\n{"prompt":"a","image":"kept.png","%s":"in.png"}\n' $key | sed 's/"image":"kept.png","image"/"image"/' >reads.jsonl
    draw -b reads.jsonl -o box/ --preview in.png -f -q
    expect_error 2 'diffuse: reads.jsonl: line 2: in.png: --preview has this name, too'
done
draw x --sweep image=kept.png,in.png -o box/ --preview in.png -f -q
expect_code 2
stays in.png
expect_box

# Of a pipe nobody knows what will be read: there it replaces no file; and a job whose file it is is not drawn.
piped() { printf "$1" | "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 -q -b - -o box/ -f --preview "$2" >out 2>err; }
what='a pipe'
piped 'a\n' in.png
code=$?
expect_error 73 'diffuse: --preview: in.png: the file exists, and a job to come may read it' 'hint: take it away, or give the jobs in a file'
stays in.png
piped 'a\nb\n' box/00000002.png
code=$?
expect_code 1
printf '%s\n' 'diffuse: standard input: line 2: box/00000002.png: --preview has this name, too' | cmp -s - err || fail 'the second is not refused'
expect_box 00000001.png
rm box/*
[ -x "$BUILD/test_synthetic" ] || finish
mkdir checked
(cd "$ROOT" && "$BUILD/test_synthetic" --write "$work/checked" safety-checker) || fail 'no checkpoint'
run -m checked x -s 1 --steps 1 --threads 1 --size 64x64 -o box/a.png --preview box/now.png --dry-run
grep -q "^diffuse: warning: --preview has no effect: the model's safety checker would not see it (--no-safety-checker, or --save-every)$" err || fail 'not said'
finish
