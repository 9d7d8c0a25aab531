#!/bin/sh
# Files: complete or absent, never overwritten unasked; their paths, and nothing else, on stdout.
. "$(dirname "$0")/common"

draw x -o box/a.png
expect_code 0
expect_out box/a.png
expect_png box/a.png
expect_box a.png
cp box/a.png first.png

draw x -o box/b.png
expect_same first.png box/b.png # the same command, the same bytes
rm box/b.png

echo mine >box/a.png
draw x -o box/a.png
expect_error 73 'diffuse: box/a.png: the file exists' 'hint: -f replaces it, --on-exists number picks another name'
[ "$(cat box/a.png)" = mine ] || fail 'the file was changed'

draw x -o box/a.png --on-exists skip
expect_code 0
expect_out box/a.png
[ "$(cat err)" = 'skipped box/a.png: the file exists' ] || fail 'not said to be skipped, or more'
draw x -o box/a.png --on-exists skip --json
grep -q '"event":"image","n":1,"file":"box/a.png","skipped":true}' out || fail 'no event'
! grep -q '"event":"load"' out || fail 'the model was loaded to draw nothing'
[ "$(cat box/a.png)" = mine ] || fail 'the file was changed'
cp box/a.png mine
cp first.png box/a.png # a picture says its seed, not the one that was asked for now
draw x -s 9 -o box/a.png --on-exists skip --json
grep -q '"event":"image","n":1,"file":"box/a.png","seed":1,"skipped":true}' out || fail 'no event with the seed of the file'
[ "$(cat err)" = 'skipped box/a.png: the file exists, seed 1' ] || fail 'its seed is not said'
cp mine box/a.png
draw x -o box/a.png --no-clobber
expect_code 0
expect_out box/a-1.png
expect_same first.png box/a-1.png
draw x -o box/a.png -f
expect_out box/a.png
expect_same first.png box/a.png
expect_box a-1.png a.png
rm box/*

draw x -o missing/a.png
expect_error 73 'diffuse: missing/a.png: directory missing: No such file or directory' 'hint: --mkdirs makes it'
draw x -o box/deep/er/a.png --mkdirs --dry-run
expect_code 0
[ ! -e box/deep ] || fail 'a dry run made a directory'
draw x -o box/deep/er/a.png --mkdirs
expect_code 0
expect_out box/deep/er/a.png
rm -r box/deep
# So do the others that a run writes.
draw x -o box/a.png --dump new/dump/
expect_error 73 'diffuse: new/dump: directory missing: No such file or directory' 'hint: --mkdirs makes it'
expect_box
[ -e new ] && fail 'a directory was made'
# Its place is tried before any work, as an output's is, whatever becomes of the picture.
echo text >file
for dry in '' --dry-run; do
    for place in /dev/full:/noise.safetensors file:/noise.safetensors /proc/x: file/x:; do
        case $place in /proc/*) why='No such file or directory' ;; *) why='Not a directory' ;; esac
        draw x -o box/a.png --dump "${place%:*}" $dry
        expect_error 73 "diffuse: ${place%:*}${place#*:}: $why"
    done
    draw x -o box/a.png --dump file -c 2 $dry
    expect_error 73 'diffuse: file/seed-1: Not a directory'
    draw x -o - --dump none/x $dry
    expect_error 73 'diffuse: none/x: directory missing: No such file or directory' 'hint: --mkdirs makes it'
    expect_box
done
rm file
draw x -o box/a.png --dump new/dump/ --mkdirs --dry-run
expect_code 0
[ -e new ] && fail 'a directory was made'
draw x -o box/a.png --dump new/dump/ --mkdirs
expect_code 0
[ -e new/dump/noise.safetensors ] || fail 'no dump'
rm box/a.png
echo a >jobs
draw -b jobs -o box/ --manifest list/of/them
expect_error 73 'diffuse: list/of/them: directory missing: No such file or directory' 'hint: --mkdirs makes it'
expect_box
draw -b jobs -o box/ --manifest list/of/them --mkdirs --dry-run
expect_code 0
[ ! -e list ] || fail 'a dry run made a directory'
draw -b jobs -o box/ --manifest list/of/them --mkdirs
expect_code 0
[ -s list/of/them ] || fail 'no manifest'
rm -r box/* list new
draw x -o box
expect_error 73 'diffuse: box: is a directory' 'hint: -o box/ draws into it'
draw x -o box -f
expect_error 73 'diffuse: box: is a directory' 'hint: -o box/ draws into it'
draw x -o "box/$(printf '%0300d' 1).png"
expect_code 2
[ ! -s out ] || fail 'stdout is not empty'
expect_box

echo mine >target
ln -s ../target box/link.png
ln -s nowhere box/dangling.png
for name in link dangling; do
    draw x -o box/$name.png
    expect_error 73 "diffuse: box/$name.png: the file exists" 'hint: -f replaces it, --on-exists number picks another name'
    draw x -o box/$name.png -f
    expect_code 0
    [ ! -L box/$name.png ] || fail 'still a link'
    expect_same first.png box/$name.png
done
[ "$(cat target)" = mine ] || fail 'wrote through the link'
[ ! -e box/nowhere ] || fail 'wrote through the dangling link'
rm box/*

what='-f onto a link to a FIFO that nobody reads'
mkfifo pipe
ln -s ../pipe box/link.png
timeout -s KILL 60 "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -f -o box/link.png >out 2>err
code=$?
expect_code 0
[ ! -L box/link.png ] || fail 'still a link'
expect_same first.png box/link.png
rm box/* pipe

what='a directory that may be written to, not read'
mkdir -m 0333 drop
user=
if [ "$(id -u)" -eq 0 ]; then
    chmod 755 "$work"
    chown 65534 drop
    user='setpriv --reuid 65534 --clear-groups --inh-caps=-all'
fi
if $user test -x "$DIFFUSE" -a -r "$MODEL/model_index.json"; then # somebody else sees the program
    for f in '' -f; do
        $user "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x $f -o drop/a.png >out 2>err
        code=$?
        expect_code 0
    done
    chmod 755 drop
    expect_same first.png drop/a.png
    [ "$(ls -A drop)" = a.png ] || fail "left $(ls -A drop)"
fi
rm -rf drop

draw x -c 3 -o box/a.png
expect_out box/a-1.png box/a-2.png box/a-3.png
draw x -s 2 -o box/two.png
expect_same box/two.png box/a-2.png # image k is the image of seed + k alone
draw x -c 2 -s 5 -o 'box/{slug}-{model}-{n}-{steps}-{w}x{h}-{{.png' -W 16 -H 24 'A  Cat!'
expect_code 2 # two prompts
draw -c 2 -s 5 -o 'box/{slug}-{model}-{n}-{steps}-{w}x{h}-{{.png' -W 16 -H 24 'A  Cat!'
expect_out 'box/a-cat-tiny-sd1-1-1-16x24-{.png' 'box/a-cat-tiny-sd1-2-1-16x24-{.png'
rm box/*
draw x -c 2 -o box/ -0
printf 'box/diffuse-1.png\0box/diffuse-2.png\0' >expected
expect_same expected out
rm box/*

draw x -o box/a.jpg
expect_out box/a.jpg
[ "$(od -An -tx1 -N3 box/a.jpg)" = ' ff d8 ff' ] || fail 'no JPEG'
grep -qa 'trainedAlgorithmicMedia' box/a.jpg || fail 'no disclosure'
draw x -o box/a.WebP --quality 100
[ "$(dd if=box/a.WebP bs=1 skip=8 count=8 2>/dev/null)" = WEBPVP8X ] || fail 'no WebP'
grep -qa 'trainedAlgorithmicMedia' box/a.WebP || fail 'no disclosure'
draw x -o box/b.webp --quality 1
[ "$(wc -c <box/b.webp)" -lt "$(wc -c <box/a.WebP)" ] || fail '--quality makes no difference'
draw x -o box/c.webp --metadata none
grep -qa 'VP8X' box/c.webp && fail 'metadata, asked for none'
draw x -o box/a.png --quality 9
expect_error 2 "diffuse: --quality: a PNG keeps every pixel, expected NAME.jpg or NAME.webp, found 'box/a.png'"
draw x -o /dev/null
expect_error 73 'diffuse: /dev/null: no file, a device or a pipe' 'hint: -f writes into it'
rm box/*

draw x -o -
expect_same first.png out
what='diffuse -o - into a full pipe that does not block'
draw x --size 256x256 -o box/large.png
{ dd if=/dev/null oflag=nonblock 2>dd; "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x --size 256x256 -o - 2>err; } |
    { sleep 2; cat; } >out
expect_same box/large.png out
rm box/large.png

what='diffuse -o - on a terminal'
if command -v script >/dev/null; then
    script -qec "'$DIFFUSE' -m '$MODEL' x -o -" /dev/null </dev/null >out 2>err
    code=$?
    expect_code 2
    grep -q 'standard output is a terminal' out || fail "printed $(cat out)"
fi

what='umask'
(umask 077 && "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 x -o box/private.png >out 2>err)
[ "$(stat -c %a box/private.png)" = 600 ] || fail "mode $(stat -c %a box/private.png), expected 600"
(umask 022 && "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 x -o box/public.png >out 2>err)
[ "$(stat -c %a box/public.png)" = 644 ] || fail "mode $(stat -c %a box/public.png), expected 644"

draw 'a "quoted" prompt' -n ugly -o box/full.png
strings -n 4 box/full.png >text
grep -q '^Negative prompt: ugly' text || fail 'no infotext'
grep -q '"prompt":"a \\"quoted\\" prompt"' text || fail 'no JSON'
grep -q trainedAlgorithmicMedia text || fail 'no disclosure'
draw 'a "quoted" prompt' -o box/minimal.png --metadata minimal
! grep -q quoted box/minimal.png || fail 'the prompt is in the file'
grep -q trainedAlgorithmicMedia box/minimal.png || fail 'no disclosure'
draw 'a "quoted" prompt' -o box/none.png --metadata none
! grep -q -e quoted -e trainedAlgorithmicMedia box/none.png || fail 'text in the file'
for file in box/*.png; do expect_png "$file"; done

rm box/*
draw "$(printf 'a\033[31m\nb \342\200\256c')" -o 'box/{slug}.png' -v
expect_code 0
expect_out box/a-31m-b-c.png
! LC_ALL=C grep -q "$(printf '\033')" err out || fail 'an escape sequence reached the terminal'
rm box/*

# One of several that fails keeps its hint: somebody else makes the second while the first is drawn.
run -m "$MODEL" -s 1 --steps 300 --threads 1 x -c 2 -o 'box/{n}.png' &
until [ -e box/1.png ]; do sleep 0.01; done
: >box/2.png
wait $!
printf '%s\n' 'diffuse: image 2: box/2.png: the file exists' 'hint: -f replaces it, --on-exists number picks another name' >expected
what='a file that appears' code=1
cmp -s expected err || fail 'expected the message and its hint'
[ ! -s box/2.png ] || fail 'it was replaced'
rm box/*

draw x -o box/a.png --dry-run
expect_code 0
expect_box
[ ! -s out ] || fail 'stdout is not empty'
finish
