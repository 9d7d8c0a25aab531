#!/bin/sh
# What a batch says of its lines beside errors.
. "$(dirname "$0")/common"
long=$(seq 90 | tr '\n' ' ')

# forecast FILE ARGUMENT...: nothing is drawn, but for what is said of it.
forecast() {
    jobs=$1
    shift
    run -m "$MODEL" -b "$jobs" -s 1 -o box/ --dry-run "$@"
    expect_code 0
    sed -n "/ warning: /{ s/prompt: [0-9]* tokens beyond .*/cut/; s/: height is .*/: height/; s|$MODEL|m|; p }" err >said
}

# expect_said LINE...: these warnings.
expect_said() {
    : >expected
    [ $# -eq 0 ] || printf '%s\n' "$@" >expected
    cmp -s expected said || fail "warnings: $(cat said)"
}

# A warning has the place of the first job it is of, as an error has; what is the same for others is not said again.
printf '%s\n' '{"prompt":"a"}' "{\"prompt\":\"$long\"}" '{"prompt":"a","width":64}' '{"prompt":"a","eta":0.5}' "{\"prompt\":\"$long\"}" \
    '{"prompt":"b","eta":0.5,"width":64}' "{\"prompt\":\"$long 1\"}" >jobs.jsonl
forecast jobs.jsonl
expect_said 'diffuse: warning: jobs.jsonl: line 2: cut' 'diffuse: warning: jobs.jsonl: line 3: width alone was given: height' \
    'diffuse: warning: jobs.jsonl: line 4: --eta has no effect: PNDMScheduler has none' 'diffuse: warning: jobs.jsonl: line 7: cut'
what='the same from a pipe'
sed -n 4p jobs.jsonl | "$DIFFUSE" --device cpu -m "$MODEL" -b - -s 1 -o box/ --dry-run >out 2>err
grep -q '^diffuse: warning: standard input: line 1: --eta has no effect' err || fail 'no place'

# What is of no job has none.
printf 'a\n' >one.txt
forecast one.txt --no-safety-checker -W 64
expect_said 'diffuse: warning: --no-safety-checker has no effect: m has none' \
    'diffuse: warning: one.txt: line 1: width alone was given: height'
: >none.txt
forecast none.txt
expect_said 'diffuse: warning: none.txt: no jobs'
run -m "$MODEL" -s 1 'a cat' --eta 0.5 --sweep steps=1,2 -o box/ --dry-run
grep -q '^diffuse: warning: --sweep: line 1: --eta has no effect' err || fail 'no place'
DIFFUSE_ISA=amx_twin draw -q x --dtype bf16x3 -o x3.png
DIFFUSE_ISA=avx2 run -m "$MODEL" --from x3.png -b one.txt -o box/ --dry-run
grep -qx 'diffuse: warning: the picture was drawn in bf16x3, which the CPU has not: fp32' err || fail 'a place'

# Prompts that are JSON: quotes and brackets may be meant, among objects they are an error.
printf '%s\n' '"a dog" in the snow' '"a cat"' '[7] dogs' '["a", "b"]' '[red] fox' '[]' '"a fox"' >json.txt
forecast json.txt
expect_said 'diffuse: warning: json.txt: line 2: prompt: a JSON string, drawn with its quotes: jq -r writes it without' \
    'diffuse: warning: json.txt: line 4: prompt: a JSON array, drawn as text: a job is an object, {"prompt":…}'
for line in '["a"]' '"a"' 7 null; do
    printf '%s\n' '{"prompt":"a"}' "$line" >mixed.jsonl
    run -m "$MODEL" -b mixed.jsonl -s 1 -o box/
    expect_error 65 'diffuse: mixed.jsonl: line 2 column 1: expected an object'
    printf '%s\n' "$line" '{"prompt":"a"}' >mixed.jsonl
    run -m "$MODEL" -b mixed.jsonl -s 1 -o box/
    expect_error 65 'diffuse: mixed.jsonl: line 2: a JSON object, where the first line is a prompt: expected all lines of one kind'
done

finish
