#!/bin/sh
# --resume: a picture of the same request is not drawn again, one of another request is not taken for it; --manifest.
. "$(dirname "$0")/common"

# batch ARGUMENT...: jobs of the smallest picture.
batch() { run -m "$MODEL" --steps 1 --threads 1 -q -s 1 "$@"; }

# drawn NAME...: of the batch just run, these were drawn and no other. With -v each says what it cost.
drawn() {
    names=$(sed -n 's/: anew:.*//p' err | tr '\n' ' ')
    [ "$names" = "${*:+$* }" ] || fail "drawn were '$names', expected '$*'"
}

cat >jobs.jsonl <<'END'
{"id":"a","prompt":"a cat"}
{"id":"b","prompt":"a cat","steps":2,"scheduler":"ddim"}
{"id":"c","prompt":"a dog","output":"box/c.jpg","quality":80}
{"id":"d","prompt":"a dog","output":"box/d.webp","quality":100}
{"id":"e","prompt":"a dog","count":3}
{"id":"f","prompt":"a cat","output":"box/f-{steps}-{w}x{h}-{scheduler}.png"}
END
all='a b c d e f'
batch -b jobs.jsonl -o box/ --resume -v
expect_code 0
drawn $all
cp out paths
cp -p -r box first

# All there: the paths are told, nothing is drawn, no picture is touched.
batch -b jobs.jsonl -o box/ --resume -v
expect_code 0
drawn
expect_same paths out
diff -r first box >check || fail "$(cat check)"
[ "$(ls -l --time-style=full-iso box)" = "$(ls -l --time-style=full-iso first)" ] || fail 'a picture was written anew'
batch -b jobs.jsonl -o box/ --resume
expect_code 0
[ ! -s err ] || fail 'something is said'

# From a pipe, and what the command draws alone is the same request.
what='the same from a pipe'
"$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -v -b - -o box/ --resume <jobs.jsonl >out 2>err || fail 'it failed'
cat jobs.jsonl | "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -v -b - -o box/ --resume >out 2>err || fail 'it failed'
drawn
expect_same paths out
rm box/a.png box/e-2.png
run -m "$MODEL" -q -s 1 --steps 1 --threads 1 'a cat' -o box/a.png
expect_same first/a.png box/a.png
batch -b jobs.jsonl -o box/ --resume -v
expect_code 0
drawn e
diff -r first box >check || fail "$(cat check)"

# changed COMMAND: jobs.jsonl as sed changes it; then each picture that is asked for otherwise is an error, whatever it was.
changed() {
    sed "$1" jobs.jsonl >other.jsonl
    shift
    batch -b other.jsonl -o box/ --resume -v
    drawn
    for name in "$@"; do grep -q "^diffuse: other.jsonl: line .: $name: the file exists, of another request" err || fail "$name is not told of"; done
    [ "$(grep -c 'of another request' err)" = $# ] || fail 'more are told of'
    if [ $# = 0 ]; then expect_code 0; else expect_code 1; fi
}
changed 's/a cat/a cow/' box/a.png box/b.png box/f-1-128x128-pndm.png
changed 's/"steps":2/"steps":3/' box/b.png
changed 's/ddim/ddim,eta=1/' box/b.png
changed 's/"quality":80/"quality":81/' box/c.jpg
changed 's/"prompt":"a cat"/"prompt":"a cat","negative":"blurry"/' box/a.png box/b.png box/f-1-128x128-pndm.png
changed 's/"prompt":"a cat"/"prompt":"a cat","negative":"","clip-skip":0,"guidance-rescale":0/' # as it is anyway
diff -r first box >check || fail "$(cat check)"

# …or what --on-exists says.
sed 's/a cat/a cow/' jobs.jsonl >other.jsonl
batch -b other.jsonl -o box/ --resume --on-exists skip -v
expect_code 0
drawn
diff -r first box >check || fail "$(cat check)"
# left FILE LINE...: of the jobs of FILE, --on-exists skip says that these stay, each with what is wrong with it, and how many jobs were done.
left() {
    file=$1
    shift
    run -m "$MODEL" --steps 1 --threads 1 -s 1 -b "$file" -o box/ --resume --on-exists skip
    expect_code 0
    printf '%s\n' "$@" >expected
    cmp -s expected err || fail "expected on stderr: $*"
    run -m "$MODEL" --steps 1 --threads 1 -s 1 -b "$file" -o box/ --resume --on-exists skip --dry-run
    grep 'done before' expected >count
    grep 'done before' err | cmp -s count - || fail 'a forecast counts otherwise'
    batch -b "$file" -o box/ --resume --on-exists skip
    [ ! -s err ] || fail 'it is not quiet'
}
other='the file exists, of another request'
left other.jsonl "skipped box/a.png: $other" "skipped box/b.png: $other" "skipped box/f-1-128x128-pndm.png: $other" '3 jobs were done before'
batch -b other.jsonl -o box/ --resume -f -v
expect_code 0
drawn a b f
batch -b other.jsonl -o box/ --resume -f -v
drawn

# Another type, another model, or no word of ours in it: another request.
rm -f box/*
echo '{"id":"a","prompt":"a"}' >one.jsonl
batch -b one.jsonl -o box/
cp -r "$MODEL" model
run -m model --steps 1 -q -s 1 -v -b one.jsonl -o box/ --resume # a copy is the same
expect_code 0
drawn
sed -i 's/"beta_end": *0.012/"beta_end": 0.013/' model/scheduler/scheduler_config.json
grep -q 0.013 model/scheduler/scheduler_config.json || fail "no config to change"
run -m model --steps 1 -q -s 1 -b one.jsonl -o box/ --resume
expect_code 1
printf '{"num_inference_steps": 7}' >generation_config.json
cp -r "$MODEL"/. model/
cp generation_config.json model/
run -m model -q -s 1 -b one.jsonl -o box/ --resume
expect_code 1
for level in minimal none; do
    rm -f box/a.png
    batch -b one.jsonl -o box/ --metadata $level
    batch -b one.jsonl -o box/ --resume
    expect_code 1
done
echo 'no picture' >box/a.png
batch -b one.jsonl -o box/ --resume
expect_code 1
[ "$(cat box/a.png)" = 'no picture' ] || fail 'it was overwritten'
rm box/a.png

# Whole, or not taken for done: what a crash or a copy that was cut short has left.
cat >kinds.jsonl <<'END'
{"id":"a","prompt":"a"}
{"id":"b","prompt":"a","output":"box/b.jpg"}
{"id":"c","prompt":"a","output":"box/c.webp"}
{"id":"d","prompt":"b"}
END
batch -b kinds.jsonl -o box/
cp -r box whole
for bytes in -1 -12 -500 1500 10 0; do
    for file in a.png b.jpg c.webp; do head -c $bytes whole/$file >box/$file; done
    batch -b kinds.jsonl -o box/ --resume
    what="$bytes bytes of a picture"
    expect_code 1
    [ "$(cat out)" = box/d.png ] || fail "found $(cat out)"
    for file in a.png b.jpg c.webp; do
        grep -q "^diffuse: kinds.jsonl: line .: box/$file: the file exists, and is not whole\$" err || fail "$file is not told of"
    done
done
batch -b kinds.jsonl -o box/ --resume --on-exists skip -v
expect_code 0
drawn
torn='the file exists, and is not whole'
left kinds.jsonl "skipped box/a.png: $torn" "skipped box/b.jpg: $torn" "skipped box/c.webp: $torn" '1 job was done before'
run -m "$MODEL" --steps 1 --threads 1 -s 1 a -o box/a.png --resume --on-exists skip
expect_code 0
[ "$(cat err)" = "skipped box/a.png: $torn" ] || fail 'of a single picture it is not said'
batch -b kinds.jsonl -o box/ --resume -f -v
drawn a b c
diff -r whole box >check || fail "$(cat check)"
head -c -1 whole/a.png >box/a.png
echo >>box/a.png # as long as it was
draw a -q -o box/a.png --resume
expect_error 73 'diffuse: box/a.png: the file exists, and is not whole' 'hint: -f replaces it, --on-exists skip leaves it'
rm -f -r box/* whole

# What a picture begins from counts by its contents.
run -m "$MODEL" --steps 1 -q -s 2 'a dog' -o from.png
echo '{"id":"a","prompt":"a","image":"from.png","strength":1}' >image.jsonl
batch -b image.jsonl -o box/
expect_code 0
batch -b image.jsonl -o box/ --resume -v
expect_code 0
drawn
cp from.png elsewhere.png
sed 's/from/elsewhere/' image.jsonl >image2.jsonl
batch -b image2.jsonl -o box/ --resume
expect_code 0
run -m "$MODEL" --steps 1 -q -s 3 'a dog' -f -o from.png
batch -b image.jsonl -o box/ --resume
expect_code 1
rm -f box/*

# A random seed: any will do.
what='no seed'
run -m "$MODEL" --steps 1 -q -b one.jsonl -o box/ --resume
cp box/a.png a.png
run -m "$MODEL" --steps 1 -q -b one.jsonl -o box/ --resume
expect_code 0
expect_same a.png box/a.png
rm box/a.png

# The command alone.
draw x -o box/a.png --resume -q
cp box/a.png a.png
draw x -o box/a.png --resume -v
expect_code 0
expect_out box/a.png
expect_same a.png box/a.png
draw y -o box/a.png --resume
expect_code 73
grep -q 'box/a.png: the file exists, of another request' err || fail 'it is not said'
expect_same a.png box/a.png
rm box/a.png

# Of weights the headers are read alone, once their hashes are known.
if strace -o /dev/null true 2>err; then
    export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # LeakSanitizer cannot work under strace
    batch -b jobs.jsonl -o box/
    what='all done: what is read'
    strace -f -y -qq -o trace -e trace=pread64,read,mmap,clone,clone3 "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b jobs.jsonl \
        -o box/ --resume >out 2>err || fail 'it failed'
    read_of() { grep "pread64([0-9]*<$1>" trace | sed 's/.* = //' | awk '{n += $1} END {print n + 0}'; }
    unet=$MODEL/unet/diffusion_pytorch_model.safetensors
    header=$(od -An -tu8 -N8 "$unet" | tr -d ' ')
    [ "$(read_of "$unet")" -le $((header + 64)) ] || fail "of the UNet $(read_of "$unet") bytes are read, its header has $header"
    rm box/*
fi

# What is hashed is what was drawn: a picture's own settings, with the defaults that the model filled in, ask for the same.
draw 'a cat' -o box/a.png
run -m "$MODEL" --threads 1 --from box/a.png -o box/a.png --resume -v
expect_code 0
expect_out box/a.png
grep -q steps: err && fail 'it is drawn again'
run -m "$MODEL" --threads 1 --from box/a.png -o box/a.png --resume --guidance 3
expect_code 73
rm box/a.png

# Another file under the same name and size is another model, and so is another LoRA's.
cp -r "$MODEL" model
draw x -m model -o box/a.png
draw x -m model -o box/a.png --resume
expect_code 0
vae=model/vae/diffusion_pytorch_model.safetensors
end=$(($(wc -c <$vae) - 1))
last=$(tail -c 1 $vae | od -An -tu1)
printf "\\$(printf %o $(((last + 1) % 256)))" | dd of=$vae bs=1 seek=$end conv=notrunc 2>err
draw x -m model -o box/a.png --resume
expect_code 73
cp "$MODEL/vae/diffusion_pytorch_model.safetensors" $vae
draw x -m model -o box/a.png --resume
expect_code 0
sed 's/"beta_start": [0-9.]*/"beta_start": 0.0002/' "$MODEL/scheduler/scheduler_config.json" >model/scheduler/scheduler_config.json
draw x -m model -o box/a.png --resume
expect_code 73
rm box/a.png
# lora VALUE: a LoRA of one layer, its values all VALUE's bytes.
lora() {
    head='{"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight":{"dtype":"F32","shape":[1,COLS],"data_offsets":[0,DOWN]},"lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight":{"dtype":"F32","shape":[ROWS,1],"data_offsets":[DOWN,END]}}'
    head=$(printf %s "$head" | sed "s/COLS/$side/; s/ROWS/$side/; s/DOWN/$((4 * side))/g; s/END/$((8 * side))/")
    safetensors "$head"
    head -c $((8 * side)) /dev/zero | tr '\0' "$1"
}
side=$(sed -n '/"block_out_channels"/,/]/p' "$MODEL/unet/config.json" | tr -d ' ' | grep -o '^[0-9]*' | grep . | tail -n 1)
lora '\074' >l.safetensors
draw x -o box/a.png --lora l.safetensors
expect_code 0
draw x -o box/a.png --lora l.safetensors --resume
expect_code 0
lora '\073' >l.safetensors
draw x -o box/a.png --lora l.safetensors --resume
expect_code 73
rm -r box/a.png model

# The sheet of what is there.
run -m "$MODEL" -q x -s 1 --steps 1 --threads 1 --sweep size=32,64 -o box/ --sheet box/s.png
cp box/s.png kept
run -m "$MODEL" -q x -s 1 --steps 1 --threads 1 --sweep size=32,64 -o box/ --sheet box/s.png --resume --on-exists skip -v
expect_code 0
grep -q steps: err && fail 'it is drawn again'
rm box/s.png
run -m "$MODEL" -q x -s 1 --steps 1 --threads 1 --sweep size=32,64 -o box/ --sheet box/s.png --resume -v
expect_code 0
grep -q -e steps: -e start: err && fail 'it is drawn again'
expect_same kept box/s.png
# A longer list makes its own sheet anew, of any kind, and takes the place of no picture.
for sheet in s.png s.jpg s.webp; do
    for sizes in 32,64 32,64,96; do
        run -m "$MODEL" -q x -s 1 --steps 1 --threads 1 --sweep size=$sizes -o box/ --sheet box/$sheet --resume
        expect_code 0
    done
    cmp -s kept box/$sheet && fail 'the sheet is the old one'
done
draw x -o box/picture.png --metadata minimal
cp box/picture.png kept
run -m "$MODEL" -q x -s 1 --steps 1 --threads 1 --sweep size=32,64 -o box/ --sheet box/picture.png --resume
expect_error 73 'diffuse: box/picture.png: the file exists' 'hint: -f replaces it, --on-exists number picks another name'
expect_same kept box/picture.png
rm box/*

# A thousand lines, all done: each costs a few system calls, whatever lies there. They ask for one picture under as many names.
what='a thousand lines'
draw 'a cat' -o one.png -q
size=$(wc -c <one.png)
yes one.png | head -n 1000 | xargs cat | split -b "$size" -a 3 -d --additional-suffix=.png - box/p
seq 0 999 | awk '{printf "{\"id\":\"p%03d\",\"prompt\":\"a cat\"}\n", $1}' >many.jsonl
batch -b many.jsonl -o box/ --resume
[ "$code $(wc -l <out)" = '0 1000' ] || fail 'they are not all done'
# calls FILE: system calls of the command with these jobs
calls() {
    strace -f -qq -o trace "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b "$1" -o box/ --resume >out 2>err || fail 'it failed'
    wc -l <trace
}
if strace -o /dev/null true 2>err; then
    head -n 100 many.jsonl >hundred.jsonl
    each=$((($(calls many.jsonl) - $(calls hundred.jsonl)) / 900))
    [ "$each" -le 9 ] || fail "$each system calls a line"
fi
rm -r box
mkdir box

# --manifest: what holds something else keeps it.
printf 'a cat\na dog\n' >jobs.txt
cp jobs.txt kept
rm -f box/*
batch -b jobs.txt -o box/ --manifest jobs.txt
expect_error 2 'diffuse: --manifest: jobs.txt: it holds the jobs'
batch -b jobs.txt -o box/ --manifest box/00000002.png
expect_error 2 'diffuse: jobs.txt: line 2: box/00000002.png: --manifest has this name, too'
cp kept other
batch -b jobs.txt -o box/ --manifest other
expect_error 73 'diffuse: other: a file that is no manifest'
expect_same kept other
expect_same kept jobs.txt
expect_box
batch -b jobs.txt -o new/ --mkdirs -f --manifest ./new/00000001.png
expect_error 2 'diffuse: jobs.txt: line 1: new/00000001.png: --manifest has this name, too'
batch -b jobs.txt -o box/ --sheet box/00000001.png -f
expect_error 2 'diffuse: jobs.txt: line 1: box/00000001.png: --sheet has this name, too'

# --manifest: a line for each picture made and each that failed, appended.
printf '%s\n' '{"id":"a","prompt":"a"}' '{"id":"b","prompt":"a","clip_skip":99}' '{"id":"c","prompt":"b","count":2}' >three.jsonl
printf '{"torn' >manifest
# piped ARGUMENT...: three.jsonl as it cannot be checked before the first picture.
piped() {
    what="a pipe: $*"
    cat three.jsonl | "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b - -o box/ "$@" >out 2>err
    code=$?
}
piped --manifest manifest
expect_code 1
[ "$(wc -l <manifest)" = 5 ] || fail "$(cat manifest)"
[ "$(head -n 1 manifest)" = '{"torn' ] || fail 'what was there is gone'
sed -n 2p manifest >line
sum=$(sha256sum box/a.png | cut -d' ' -f1)
grep -q '^{"v":1,"id":"a","line":1,"seed":1,"file":"box/a.png","request":"[0-9a-f]\{64\}","sha256":"'"$sum"'","ms":[0-9.]*,"code":0}$' line ||
    fail "$(cat line)"
grep -a -q "$(sed 's/.*"request":"\([0-9a-f]*\)".*/"request":"\1"/' line)" box/a.png || fail 'the picture has another hash'
sed -n 3p manifest | grep -q '^{"v":1,"id":"b","line":2,"code":2,"message":"--clip-skip 99: ' || fail "$(sed -n 3p manifest)"
sed -n 5p manifest | grep -q '"id":"c","line":3,"seed":2,"file":"box/c-2.png"' || fail "$(sed -n 5p manifest)"
piped --manifest manifest --resume
[ "$(wc -l <manifest)" = 6 ] || fail "$(cat manifest)"
piped --manifest none/manifest
expect_code 73
piped -f --manifest /dev/full
expect_code 74
# A line that was cut off keeps to itself, and it is said; one whose end alone is missing is a whole one.
printf 'a\n' >jobs.txt
rm -f manifest box/*
batch -b jobs.txt -o box/ --manifest manifest
cp manifest whole
truncate -s -20 manifest
cp manifest cut
run -m "$MODEL" -s 1 --steps 1 --threads 1 -b jobs.txt -o box/ -f --manifest manifest
expect_code 0
grep -qx 'diffuse: warning: manifest: its last line is cut off: it stays as it is, and what follows has lines of its own' err || fail 'not said'
head -n 1 manifest >line
(cat cut && echo) >expected
expect_same expected line
[ "$(sed 's/,"ms":[^,]*//' whole)" = "$(sed -n '2s/,"ms":[^,]*//p' manifest)" ] || fail 'no line of its own'
printf %s "$(cat whole)" >manifest
run -m "$MODEL" -s 1 --steps 1 --threads 1 -b jobs.txt -o box/ -f --manifest manifest
expect_code 0
grep -q 'cut off' err && fail 'said of a whole line'
[ "$(wc -l <manifest)" = 2 ] || fail "$(cat manifest)"

# A picture whose line was lost between the two gets one, the same but for how long it took; none where it has one, is another's or was not
# asked for.
rm -f manifest box/*
printf '%s\n' '{"id":"a","prompt":"a","seed":7}' '{"id":"b","prompt":"b","count":2,"output":"box/b{n}.png"}' '{"id":"c","prompt":"c"}' >lost.jsonl
batch -b lost.jsonl -o box/ --manifest manifest
sed 's/,"ms":[^,]*//' manifest >whole
again() { run -m "$MODEL" --steps 1 --threads 1 -b lost.jsonl -o box/ --resume --manifest manifest "$@"; }
again
[ "$(wc -l <manifest)" = 4 ] || fail "$(cat manifest)"
grep -q 'without a line' err && fail 'none was'
(sed -n 1p whole | sed 's/"request":"./"request":"x/' && sed -n '2s/}$//p' whole && sed -n 4p whole && printf '{"file":"box/b1.png"}\n[]\n') >manifest
cp manifest kept
again
expect_code 0
grep -qx 'manifest: pictures that were there without a line: 3: they have one now, but for "ms"' err || fail 'not said'
head -n 5 manifest >line
expect_same kept line
tail -n +6 manifest >line
sed -n 1,3p whole >expected
expect_same expected line
again
[ "$(wc -l <manifest)" = 8 ] || fail "$(cat manifest)"
sed 's/"prompt":"c"/"prompt":"other"/' lost.jsonl >other.jsonl
: >manifest
run -m "$MODEL" -q --steps 1 --threads 1 -b lost.jsonl -o box/ --on-exists skip --manifest manifest
[ ! -s manifest ] || fail "$(cat manifest)"
run -m "$MODEL" -q --steps 1 --threads 1 -b other.jsonl -o box/ --resume --on-exists skip --manifest manifest
expect_code 0
[ "$(wc -l <manifest)" = 3 ] || fail "$(cat manifest)"

# What does not go together.
refused() {
    expect_code 2
    [ "$(head -n 1 err)" = "diffuse: $1" ] || fail "expected $1"
}
batch -b one.jsonl -o box/ --resume --metadata none
refused 'one.jsonl: line 1: --resume and --metadata none: a picture is known by what it says'
batch -b one.jsonl -o box/ --resume --on-exists number
refused 'one.jsonl: line 1: --resume and --on-exists number: a picture is known by its name'
run -m "$MODEL" -b one.jsonl -o 'box/{id}-{seed}.png' --resume
refused 'one.jsonl: line 1: --resume: a name with {seed}, which is a random one: expected a seed, found none'
draw x -o - --resume
refused '--resume and --output -: expected a file'
draw x -o box/x.png --manifest manifest
refused '--manifest: expected --batch with it, found none'
finish
