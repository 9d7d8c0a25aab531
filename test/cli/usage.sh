#!/bin/sh
# Usage errors: exit code 2, one line that names the option, a hint where there is one, nothing on stdout.
. "$(dirname "$0")/common"
try="hint: try 'diffuse --help'"

run
expect_error 2 'diffuse: expected a prompt, found none' "$try"
run "a cat"
expect_error 2 'diffuse: expected a model, found none' 'hint: -m DIR, or DIFFUSE_MODEL in the environment'
run -m "$MODEL" a cat
expect_error 2 "diffuse: expected one prompt, found a second: 'cat'" 'hint: put a prompt of several words in quotes'
run -m "$MODEL" -rf
expect_error 2 "diffuse: unknown option '-r' in '-rf'" "$try"
run -m "$MODEL" --guidanse 4 x
expect_error 2 "diffuse: unknown option '--guidanse'" "hint: did you mean --guidance?"
run -m "$MODEL" "-- a cat"
expect_error 2 "diffuse: unknown option '-- a cat'" "hint: a prompt that starts with '-' goes after '--'"
run -m "$MODEL" -s -2 x
expect_error 2 "diffuse: --seed: expected a whole number from 0 to 18446744073709551615, found '-2'" \
    'hint: leave --seed out for a random one'
run -m "$MODEL" --steps 0 x
expect_error 2 "diffuse: --steps: expected a whole number from 1 to 1000000, found '0'"
run -m "$MODEL" -g nan x
expect_error 2 "diffuse: --guidance: expected a number from 0 to 100, found 'nan'"
run -m "$MODEL" -W 511 x
expect_error 2 "diffuse: --width: expected a multiple of 8 from 8 to 8192, found '511'; the nearest are 504 and 512"
run -m "$MODEL" -x eulr x
expect_error 2 "diffuse: --scheduler: unknown scheduler 'eulr'" "hint: did you mean 'euler'?"
run -m "$MODEL" --on-exists overwite x
expect_error 2 "diffuse: --on-exists: expected error, skip, number or overwrite, found 'overwite'" "hint: did you mean 'overwrite'?"
run -m "$MODEL" -o '{foo}.png' x
expect_error 2 "diffuse: --output: unknown field '{foo}'" \
    "hint: fields are {seed} {n} {slug} {model} {scheduler} {steps} {step} {w} {h}; '{{' stands for a brace"
run -m "$MODEL" -o x.jpg x
expect_error 2 "diffuse: --output: 'x.jpg': expected a name ending in .png, the only format written" \
    "hint: pipe '-o -' into a converter"
run -m "$MODEL" -o - -c 2 x
expect_error 2 'diffuse: --output - and --count: expected one image on standard output'
run -m "$MODEL" -o - -j x
expect_error 2 'diffuse: --output - and --json: both write to standard output'
run -m "$MODEL" -p x y
expect_error 2 'diffuse: --prompt and a prompt operand: expected one of them'
run -m "$MODEL" "$(printf 'ab\377')"
expect_error 2 'diffuse: prompt: expected UTF-8, found an invalid byte at offset 2'
run -m "$MODEL" -o "$(printf 'x\n\033[31m.gif')" x # nothing that moves the cursor reaches the terminal
expect_error 2 "diffuse: --output: 'x\\x0a\\x1b[31m.gif': expected a name ending in .png, the only format written" \
    "hint: pipe '-o -' into a converter"

what='a prompt on standard input that is too long'
head -c 70000 /dev/zero | tr '\0' a | "$DIFFUSE" -m "$MODEL" - >out 2>err
code=$?
expect_error 2 'diffuse: prompt: expected at most 65536 bytes, found more'
what='a prompt on standard input with a NUL'
printf 'a\0b' | "$DIFFUSE" -m "$MODEL" - >out 2>err
code=$?
expect_error 2 'diffuse: prompt: standard input: expected text, found a NUL byte at offset 1'
what='an endless prompt on standard input'
timeout 20 "$DIFFUSE" -m "$MODEL" - </dev/zero >out 2>err
code=$?
expect_error 2 'diffuse: prompt: standard input: expected text, found a NUL byte at offset 0'
finish
