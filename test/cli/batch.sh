#!/bin/sh
# --batch: jobs a line each, drawn in order by one model, equal to what the command draws alone.
. "$(dirname "$0")/common"

# batch ARGUMENT...: jobs of the smallest picture.
batch() { run -m "$MODEL" --steps 1 --threads 1 -q "$@"; }

# piped TEXT ARGUMENT...: the same, the jobs from a pipe.
piped() {
    text=$1
    shift
    what="a pipe into diffuse $*"
    printf "$text" | { "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -b - "$@" >out 2>err; echo $? >code; }
    code=$(cat code)
}

# Mixed settings on one load: every file is byte for byte the command's, its metadata too.
cat >jobs.jsonl <<'END'
{"id":"a","prompt":"a cat","seed":1}
{"id":"b","prompt":"a cat","seed":2,"steps":3}
{"id":"c","prompt":"a dog","seed":1,"size":"64x32"}
{"id":"d","prompt":"a dog","seed":1,"size":"32x64","scheduler":"ddim"}
{"id":"e","prompt":"a dog","seed":1,"scheduler":"euler,karras","steps":4}
{"id":"f","prompt":"a cat","seed":3,"guidance":1}
{"id":"g","prompt":"a cat","seed":3,"guidance":7.5,"negative":"blurry"}
{"id":"h","prompt":"a cat","seed":3,"guidance_rescale":0.7,"steps":2}
{"id":"i","prompt":"a cat","seed":18446744073709551615,"scheduler":"dpm++2m","steps":5}
{"id":"j","prompt":"","seed":4,"scheduler":"ddim","eta":0.5,"steps":3}
{"id":"k","prompt":"a cat","seed":1,"clip-skip":1}
{"id":"l","prompt":"a cat","seed":1,"rng":"cuda:132","scheduler":"euler-a","steps":2}
{"id":"m","prompt":"a cat","seed":1}
END
batch -b jobs.jsonl -o box/
expect_code 0
expect_out box/a.png box/b.png box/c.png box/d.png box/e.png box/f.png box/g.png box/h.png box/i.png box/j.png box/k.png box/l.png box/m.png
one() {
    id=$1
    shift
    run -m "$MODEL" --threads 1 -q -o "$id.png" "$@"
    expect_code 0
    expect_same "box/$id.png" "$id.png"
}
one a 'a cat' -s 1 --steps 1
one b 'a cat' -s 2 --steps 3
one c 'a dog' -s 1 --steps 1 --size 64x32
one d 'a dog' -s 1 --steps 1 --size 32x64 -x ddim
one e 'a dog' -s 1 --steps 4 -x euler,karras
one f 'a cat' -s 3 --steps 1 -g 1
one g 'a cat' -s 3 --steps 1 -g 7.5 -n blurry
one h 'a cat' -s 3 --steps 2 --guidance-rescale 0.7
one i 'a cat' -s 18446744073709551615 --steps 5 -x dpm++2m
one j '' -s 4 --steps 3 -x ddim --eta 0.5
one k 'a cat' -s 1 --steps 1 --clip-skip 1
one l 'a cat' -s 1 --steps 2 --rng cuda:132 -x euler-a
expect_same box/a.png box/m.png
differ box/a.png box/k.png

# A picture to begin from and a mask, behind a job of the same shape and before one, are planned anew.
printf '%s\n' '{"id":"1","prompt":"a cat","seed":2,"steps":3}' '{"id":"2","prompt":"a cat","seed":2,"steps":3,"image":"a.png","strength":1}' \
    '{"id":"3","prompt":"a cat","seed":2,"steps":3,"image":"a.png","mask":"b.png"}' '{"id":"4","prompt":"a cat","seed":2,"steps":3}' >images.jsonl
batch -b images.jsonl -o box/
expect_code 0
one 2 'a cat' -s 2 --steps 3 -i a.png --strength 1
one 3 'a cat' -s 2 --steps 3 -i a.png --mask b.png
expect_same box/1.png b.png
expect_same box/4.png b.png

# The same from a pipe, where no line is known before it is there.
rm box/*
what='the same jobs from a pipe'
piped '' -o box/ # an empty one first
expect_code 0
cat jobs.jsonl | "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -b - -o box/ >out 2>err || fail 'it failed'
for id in a b c d e f g h i j k l; do expect_same "box/$id.png" "$id.png"; done

# Prompts: BOM, CRLF and blank lines; the id is the line's number; an empty last line's newline may be missing.
rm box/*
printf '\357\273\277a cat\r\n\n \t\r\na {dog}' >prompts.txt
batch -b prompts.txt -s 1 -o box/
expect_code 0
expect_out box/00000001.png box/00000004.png
expect_same box/00000001.png a.png
batch 'a {dog}' -s 1 -o dog.png
expect_same box/00000004.png dog.png
rm box/*
(cd box && "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b ../prompts.txt >../out 2>../err)
expect_out 00000001.png 00000004.png

# Names: {id}, a name of the line's own, several images of a line.
rm box/*
printf '%s\n' '{"id":"x.1-_Y","prompt":"a","seed":7}' '{"prompt":"a","output":"box/own.png"}' '{"prompt":"a","count":2,"seed":7}' >names.jsonl
batch -b names.jsonl -s 1 -o 'box/{id}-{steps}.png'
expect_code 0
expect_out box/x.1-_Y-1.png box/own.png box/00000003-1-7.png box/00000003-1-8.png
rm box/*
printf 'a\nb\n' >two.txt
batch -b two.txt -s 1 -o box/fixed.png
expect_out box/fixed-00000001.png box/fixed-00000002.png
draw x -o 'box/{id}.png'
expect_error 2 'diffuse: --output: {id} is of a job: expected --batch with it, found none'

# A file is checked whole before the first picture.
rm box/*
wrong() { # CODE WHAT LINE [HINT]: of line 2; WHAT may begin with the column
    printf '%s\n' '{"prompt":"a"}' "$3" >wrong.jsonl
    batch -b wrong.jsonl -o box/
    case $2 in column*) said="diffuse: wrong.jsonl: line 2 $2" ;; *) said="diffuse: wrong.jsonl: line 2: $2" ;; esac
    [ -z "${4-}" ] && expect_error "$1" "$said"
    [ -n "${4-}" ] && expect_error "$1" "$said" "hint: $4"
    expect_box
}
wrong 65 'column 15: unknown key "stpes"' '{"prompt":"a","stpes":1}' 'did you mean "steps"?'
wrong 65 "column 15: field 'steps': expected a number, found true" '{"prompt":"a","steps":true}'
wrong 65 "column 15: field 'id': expected a string, found 7" '{"prompt":"a","id":7}'
wrong 65 "column 15: field 'output': expected a string, found 7" '{"prompt":"a","output":7}'
wrong 2 "column 15: steps: expected a whole number from 1 to 1000000, found '0'" '{"prompt":"a","steps":0}'
wrong 2 'column 15: scheduler: expected NAME[,K=V], found an empty string' '{"prompt":"a","scheduler":""}'
wrong 2 "column 15: output: expected a file, found '-'" '{"prompt":"a","output":"-"}'
wrong 2 'image: expected a file for a job, found -' '{"prompt":"a","image":"-"}'
wrong 2 '"model" is the whole run'\''s: expected --model on the command line' '{"prompt":"a","model":"other"}'
wrong 2 '"no_safety_checker" is the whole run'\''s: expected --no-safety-checker on the command line' '{"prompt":"a","no-safety-checker":true}'
wrong 65 "column 15: field 'size': expected a number, found a list" '{"prompt":"a","size":[64,64]}'
wrong 65 'column 26: "num_inference_steps" and "steps" are the same setting: expected one of them' '{"num_inference_steps":1,"steps":2}'
wrong 65 'column 16: "clip-skip" and "clip_skip" are the same setting: expected one of them' '{"clip-skip":1,"clip_skip":0}'
wrong 65 'column 2: unknown key "generator"' '{"generator":1}' '--seed N, and --rng cuda for a generator on the GPU'
wrong 65 'column 15: "styles" is not supported' '{"prompt":"a","styles":["x"]}'
wrong 65 'column 15: unknown key "outfile"' '{"prompt":"a","outfile":"x.png"}' 'did you mean "output"?'
wrong 65 'column 2: "torch_dtype" is the whole run'\''s: expected --dtype on the command line' '{"torch_dtype":"float16"}'
wrong 65 'expected UTF-8, found an invalid byte at column 12' "$(printf '{"prompt":"\377"}')"
wrong 65 'column 15: "device" is the whole run'\''s: expected --device on the command line' '{"prompt":"a","device":"cpu"}'
wrong 65 'column 15: "force" is an option alone: expected "on-exists":"overwrite"' '{"prompt":"a","force":true}'
wrong 65 'column 15: "no_clobber" is an option alone: expected "on-exists":"number"' '{"prompt":"a","no_clobber":true}'
wrong 65 "column 15: field 'mkdirs': expected true or false, found \"yes\"" '{"prompt":"a","mkdirs":"yes"}'
wrong 66 'nowhere.png: No such file or directory' '{"prompt":"a","image":"nowhere.png"}'
wrong 66 'nowhere.png: No such file or directory' '{"prompt":"a","image":"a.png","mask":"nowhere.png"}'
wrong 66 'nowhere.safetensors: No such file or directory' '{"prompt":"a","latents":"nowhere.safetensors"}'
wrong 2 '--clip-skip 99: the text encoder has 3 layers' '{"prompt":"a","clip_skip":99}'
wrong 66 'nowhere.safetensors: No such file or directory' '{"prompt":"a","lora":"nowhere.safetensors"}'
wrong 2 '--strength: there is no picture to begin from' '{"prompt":"a","strength":0.5}' '-i FILE'
wrong 73 'none/a.png: directory missing: No such file or directory' '{"prompt":"a","output":"none/a.png"}' '--mkdirs makes it'
wrong 65 'box/00000001.png: line 1 has this output, too' '{"prompt":"b","id":"00000001"}'
wrong 65 'box/00000001.png: line 1 has this output, too' '{"prompt":"b","id":"00000001","on-exists":"overwrite"}'
for id in ../x .x -x a/b '' 'a b'; do
    wrong 65 "id: expected 1 to 200 of A-Z a-z 0-9 . _ - with neither . nor - first, found '$id'" "{\"prompt\":\"a\",\"id\":\"$id\"}"
done
printf '{"prompt":"a"}\na cat\n' >wrong.jsonl
batch -b wrong.jsonl -o box/
expect_code 65
grep -q '^diffuse: wrong.jsonl: line 2 column 1: ' err || fail 'no line and column'
expect_box

printf '%s\n' 'a cat' '{"prompt":"a"}' >wrong.txt
batch -b wrong.txt -o box/
expect_error 65 'diffuse: wrong.txt: line 2: a JSON object, where the first line is a prompt: expected all lines of one kind'
expect_box
printf '%s\n' 'a cat' '{red|blue} dog' >braces.txt # a prompt, for all we know
batch -b braces.txt -s 1 -o box/
expect_code 0
rm box/*
for line in '[{"prompt":"b"},{"prompt":"c"}]' ' [ { "prompt":"b" } ]' '[' '[{'; do
    printf '%s\n' "$line" a >array.json
    batch -b array.json -s 1 -o box/
    expect_error 2 'diffuse: array.json: line 1: a JSON array: expected JSON Lines, an object a line' \
        "hint: jq -c '.[]' FILE makes JSON Lines of it"
done
expect_box
printf '%s\n' '[red] fox' '[{red}] fox' '[[{red}]]' '[]' >brackets.txt
batch -b brackets.txt -s 1 -o box/
expect_code 0
expect_box 00000001.png 00000002.png 00000003.png 00000004.png
rm box/*

# What one line may have of the options that are no settings.
printf '%s\n' '{"prompt":"a","output":"box/new/a.jpg","mkdirs":true,"quality":10,"metadata":"none"}' \
    '{"prompt":"a","output":"box/b.webp","quality":100}' '{"prompt":"b","output":"box/new/a.jpg","mkdirs":true,"on-exists":"number"}' \
    '{"prompt":"a","id":"s","save-every":1,"steps":2}' >own.jsonl
batch -b own.jsonl -s 1 -o box/
expect_code 0
expect_out box/new/a.jpg box/b.webp box/new/a-1.jpg box/s-step0001.png box/s-step0002.png box/s.png
grep -q diffuse box/new/a.jpg && fail 'metadata where none was wanted'
rm -r box/*

# The names that other programs have for the same; a size as a number.
printf '%s\n' '{"prompt":"a","negative_prompt":"b","num_inference_steps":1,"guidance_scale":3,"noise_seed":1,"size":64}' \
    '{"prompt":"a","negative":"b","steps":1,"guidance":3,"seed":1,"size":"64x64"}' >names.jsonl
batch -b names.jsonl -o box/
expect_code 0
expect_same box/00000001.png box/00000002.png
rm box/*

# What is odd about many jobs is said once.
printf '%s\n' '{"prompt":"a BREAK b"}' '{"prompt":"a BREAK c"}' '{"prompt":"a","width":64}' '{"prompt":"b","width":64}' >odd.jsonl
run -m "$MODEL" --steps 1 --threads 1 -b odd.jsonl -o box/ -s 1
[ "$(grep -c BREAK err) $(grep -c 'width alone' err)" = '1 1' ] || fail 'it is not said once'
rm box/*

# With -f a job does not take the place of another one of the same run, however its name is written.
piped '{"id":"a","prompt":"a"}\n{"prompt":"b","output":"./box//a.png"}\n{"prompt":"b","id":"b"}\n' -f -s 1 -o box/
expect_code 1
expect_out box/a.png box/b.png
printf '%s\n' 'diffuse: standard input: line 2: ./box//a.png: line 1 made it: expected another "id" or "output"' >expected
expect_same expected err
piped '{"id":"a","prompt":"a"}\n{"prompt":"b","id":"b"}\n' -f -s 1 -o box/ # of another run it does
expect_code 0
rm box/*

# In a file two ways of writing it are found before anything is drawn, in directories to come, too.
ln -s box link
for pair in box/a.png:./box//a.png link/a.png:box/a.png box/new/a.png:link/new/x/../a.png "$PWD/new/a.png:x/../new//a.png"; do
    printf '{"prompt":"a","output":"%s"}\n{"prompt":"b","output":"%s"}\n' "${pair%:*}" "${pair#*:}" >ways.jsonl
    batch -b ways.jsonl -f --mkdirs
    expect_error 65 "diffuse: ways.jsonl: line 2: ${pair#*:}: line 1 has this output, too"
done
expect_box

# So are directories of --dump, one of which would be lost; and one that has the picture's own name.
for pair in box/d:box/d box/d:./box//d/ link/d:box/d; do
    printf '{"prompt":"a","dump":"%s"}\n{"prompt":"b","dump":"%s"}\n' "${pair%:*}" "${pair#*:}" >dumps.jsonl
    batch -b dumps.jsonl -f -o box/
    dump=${pair#*:}
    expect_error 65 "diffuse: dumps.jsonl: line 2: ${dump%/}: line 1 has this --dump, too"
done
batch -b - -o box/x.png --dump box/x.png </dev/null
expect_code 2
run -m "$MODEL" -s 1 --steps 1 --threads 1 x -o box/x.png --dump box//x.png --mkdirs
expect_error 2 'diffuse: box/x.png: --dump has this name, too'
expect_box

# So do the pictures of --save-every: from a pipe, in either order, and before anything is drawn.
dog='{"id":"a-step0001","prompt":"dog"}' cat='{"id":"a","prompt":"cat","save_every":1,"steps":2}'
printf '%s\n' "$dog" >dog.jsonl
batch -b dog.jsonl -s 1 -o box/
cp box/a-step0001.png dog.png
rm box/*
piped "$dog\n$cat\n" -f -s 1 -o box/
expect_code 1
expect_box a-step0001.png
expect_same dog.png box/a-step0001.png
grep -q '^diffuse: standard input: line 2: box/a-step0001.png: line 1 made it: expected another' err || fail 'a step on its way replaces a picture'
rm box/*
piped "$cat\n$dog\n" -f -s 1 -o box/
expect_code 1
expect_box a-step0001.png a-step0002.png a.png
differ dog.png box/a-step0001.png
grep -q '^diffuse: standard input: line 2: box/a-step0001.png: line 1 made it: expected another' err || fail 'a picture replaces a step on its way'
rm box/*
printf '%s\n' "$dog" "$cat" >steps.jsonl
batch -b steps.jsonl -f -s 1 -o box/
expect_error 65 'diffuse: steps.jsonl: line 2: box/a-step0001.png: line 1 has this output, too'
piped "$cat\n$dog\n" -f -s 1 -o box/ --dry-run
expect_code 1
grep -q '^diffuse: standard input: line 2: box/a-step0001.png: line 1 has this output, too' err || fail 'not foreseen'
printf '%s\n' "$cat" >cat.jsonl
batch -b cat.jsonl -f -s 1 -o box/ --sheet box/a-step0002.png
expect_error 2 'diffuse: cat.jsonl: line 1: box/a-step0002.png: --sheet has this name, too'
expect_box

# --halt: what is behind a job that failed.
printf '%s\n' '{"id":"a","prompt":"a"}' '{"id":"b","prompt":"a","count":3,"output":"box/{id}{n}.png"}' '{"id":"c","prompt":"a"}' >halt.jsonl
if strace -o /dev/null true 2>err; then
    export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # LeakSanitizer cannot work under strace
    for halt in never soon now; do
        what="--halt $halt"
        strace -f -qq -o trace -e trace=linkat -e inject=linkat:error=EIO:when=3 \
            "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -b halt.jsonl -s 1 -o box/ --halt $halt >out 2>err
        code=$?
        expect_code 1
        case $halt in
        never) expect_box a.png b1.png b3.png c.png ;;
        soon) expect_box a.png b1.png b3.png ;;
        now) expect_box a.png b1.png ;;
        esac
        [ $halt = never ] || [ "$(tail -n 1 err)" = 'stopped: halt.jsonl: line 2 failed and --halt says so' ] || fail 'it is not said'
        rm box/*
    done
fi

# On a pipe such a line is a job that failed: the others are drawn, in order, and the exit code says that some are missing.
# A hint is given once.
piped '{"prompt":"a","seed":1}\n{"prompt":"a","stpes":1}\n{"prompt":"a","model":"other"}\n{"prompt":"a","seed":1}\n{"stpes":2}\n' -o box/
expect_code 1
expect_out box/00000001.png box/00000004.png
printf '%s\n' 'diffuse: standard input: line 2 column 15: unknown key "stpes"' 'hint: did you mean "steps"?' \
    'diffuse: standard input: line 3: "model" is the whole run'\''s: expected --model on the command line' \
    'diffuse: standard input: line 5 column 2: unknown key "stpes"' >expected
expect_same expected err

# So is one that cannot be drawn, wherever it comes from; -j has the id with every event, the failure too.
rm box/*
printf '%s\n' '{"id":"one","prompt":"a","seed":1}' '{"id":"two","prompt":"a","clip_skip":99}' '{"id":"one","prompt":"a","seed":1}' \
    '{"id":"last","prompt":"a","seed":2}' >fails.jsonl
piped "$(cat fails.jsonl)" -o box/ -j
expect_code 1
expect_box last.png one.png
sed 's/.*"event":"\([a-z]*\)"\(,"id":"[a-z]*"\)*.*/\1\2/' out | tr -d '"' | tr '\n' ' ' >order
[ "$(cat order)" = 'start,id:one load,id:one step,id:one image,id:one error,id:two error,id:one start,id:last step,id:last image,id:last end ' ] ||
    fail "events: $(cat order)"
grep -q '^diffuse: standard input: line 2: ' err || fail 'line 2 is not reported'
grep -q '^diffuse: standard input: line 3: box/one.png: ' err || fail 'line 3 is not reported'

# What is there and stays is told of and not drawn.
rm box/*
batch -b two.txt -s 1 -o box/
batch -b two.txt -s 1 -o box/ --on-exists skip
expect_code 0
expect_out box/00000001.png box/00000002.png
batch -b two.txt -s 1 -o box/ -j
expect_code 1
rm box/00000001.png
batch -b two.txt -s 1 -o box/ --on-exists skip -j
expect_code 0
[ "$(grep -c '"event":"step"' out) $(grep -c '"skipped":true' out)" = '1 1' ] || fail 'expected one drawn and one skipped'

# A path is there as soon as its picture is: a server without a port.
rm box/*
what='a FIFO with the model resident'
mkfifo q answers
"$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b q -o box/ >answers 2>err &
server=$!
exec 4<answers 3>q
for i in 1 2 3; do
    echo 'a cat' >&3
    read -r path <&4
    expect_same "$path" a.png
done
exec 3>&-
wait $server || fail "exit code $?"
exec 4<&-

rm box/*

# What a change costs. A text that was encoded is not encoded again, the empty one of every guided job among them.
printf '%s\n' '{"prompt":"a"}' '{"prompt":"a","seed":2,"guidance":3}' '{"prompt":"b"}' '{"prompt":"a","size":"32x64"}' '{"prompt":"b"}' \
    '{"prompt":"a","negative":"b","size":"32x64"}' >costs.jsonl
batch -b costs.jsonl -s 1 -o box/ -v
expect_code 0
grep anew err >costs
weights=$(sed -n '1s/.* texts 2 weights \(.*\) GB/\1/p' costs)
printf '%s\n' "00000001: anew: plan texts 2 weights $weights GB" '00000002: anew: nothing' '00000003: anew: texts 1' '00000004: anew: plan' \
    '00000005: anew: plan' '00000006: anew: plan' >expected
expect_same expected costs
rm box/*

# The prompt - is all of standard input, and says so.
what='a prompt of two lines'
printf 'a cat\na dog\n' | "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 -s 1 - -o box/a.png >out 2>err
expect_out box/a.png
[ "$(grep -c '^diffuse: warning: prompt: all lines of standard input are one prompt' err)" = 1 ] || fail 'it is not said once'
rm box/*

# --dry-run: every line is checked, nothing is written, made or read but headers; pictures, model calls and the largest job's memory are told.
cat >plan.jsonl <<'END'
{"id":"a","prompt":"a cat","output":"box/a.png"}
{"id":"b","prompt":"a cat","steps":3,"size":"256x256","count":2,"seed":7}
{"id":"c","prompt":"a cat","size":"32x32"}
END
draw -q 'a cat' -o box/a.png
batch -b plan.jsonl -s 1 --size 64x64 -o new/ --mkdirs --dry-run --manifest log --sheet sheets/s.png --on-exists skip
expect_code 0
[ ! -e new ] && [ ! -e log ] && [ ! -e sheets ] && [ ! -s out ] || fail "something was written: $(ls)"
grep -v '^memory: ' err >told
printf 'would write new/%s\n' 'b-7.png (seed 7)' 'b-8.png (seed 8)' 'c.png (seed 1)' >expected
echo 'in all: jobs 2, pictures 3, model calls 9' >>expected
expect_same expected told
grep -q '^memory: at most [0-9.]* GB, line 2: weights [0-9.]* GB, ' err || fail 'not the largest line'
batch -b plan.jsonl -s 1 -o box/ --dry-run -j --on-exists skip
memory() { sed 's/.*"weight_bytes":\([0-9]*\),"activation_bytes":\([0-9]*\),"scratch_bytes":\([0-9]*\),.*/\1 \2 \3/' out; }
grep -q '^{"dry_run":true,"jobs":2,"failed":0,"count":3,' out || fail "$(cat out)"
memory >together
draw 'a cat' --steps 3 --size 256x256 -s 7 --dry-run -j
memory >alone
expect_same alone together
# What cannot be drawn is a line, as when it is drawn; from a pipe, too, and two of one name.
batch -b plan.jsonl -o box/ --dry-run
expect_code 1
grep -q '^diffuse: plan.jsonl: line 1: box/a.png: the file exists' err || fail 'what is there is not told'
piped '{"id":"b","prompt":"a"}\n{"id":"b","prompt":"b"}\n{"id":"c","prompt":"c","clip-skip":99}\n' -s 1 -o box/ --dry-run
expect_code 1
grep -q '^diffuse: standard input: line 2: box/b.png: line 1 has this output, too' err || fail 'two of one name'
grep -q '^diffuse: standard input: line 3: --clip-skip 99' err || fail 'a line that cannot be drawn'
grep -q '^in all: jobs 1, pictures 1, model calls 1$' err || fail 'the others are not told'
batch -b two.txt -s 1 --sweep steps=1,2 --dry-run
expect_code 2
run -m "$MODEL" -q x -s 1 --sweep steps=2,3 -o box/ --dry-run
grep -q '^in all: jobs 2, pictures 2, model calls 7$' err || fail 'a sweep' # pndm: one more each
expect_box a.png
rm box/*

# What does not go together.
batch -b 4
expect_error 2 "diffuse: --batch: expected a file of jobs or -, found '4'" 'hint: -c 4 draws so many images; ./4 is the file'
batch -b two.txt x
expect_error 2 "diffuse: --batch and the prompt 'x': the lines are the prompts"
batch -b two.txt -o -
expect_error 2 'diffuse: --batch and --output -: each picture is a file' 'hint: --archive tar puts them into one'
batch -b two.txt --manifest -
expect_error 2 'diffuse: --manifest: expected a file, found -' 'hint: -j has a line for each picture'
run -m "$MODEL" -b plan.jsonl 'a dog' -s 1 -o box/ --dry-run
grep -q "^diffuse: warning: the prompt 'a dog' has no effect: every job has its own$" err || fail 'a prompt of no job'
echo '{"id":"d"}' >>plan.jsonl
run -m "$MODEL" -b plan.jsonl 'a dog' -s 1 -o box/ --dry-run
grep -q warning err && fail 'it is the prompt of one'
batch -b two.txt --bench 1
expect_error 2 'diffuse: --batch and --bench: one request is measured'
batch -b nowhere
expect_error 66 'diffuse: nowhere: No such file or directory'
batch -b .
expect_error 66 'diffuse: .: Is a directory'
finish
