#!/bin/sh
# --tokens and --show-schedule: tables for people, JSON for programs.
. "$(dirname "$0")/common"
long=$(seq -s ' ' 200)

run -m "$MODEL" --tokens 'a cat'
expect_code 0
tail -n 1 out | grep -q '^[0-9]* tokens, room for 75$' || fail "last line: $(tail -n 1 out)"
run -m "$MODEL" --tokens "$long"
tail -n 1 out | grep -q '^[0-9]* tokens, room for 75, [0-9]* cut off$' || fail "last line: $(tail -n 1 out)"
[ "$(grep -c 'cut off$' out)" -gt 100 ] || fail 'pieces that are cut off are not marked'
run -m "$MODEL" --tokens "$long" --json
[ "$(wc -l <out)" -eq 1 ] || fail 'not one line'
[ "$(sed 's/.*"ids":\[\(.*\)\].*/\1/' out | tr ',' '\n' | wc -l)" -eq 77 ] || fail 'not 77 ids'
what='--tokens -'
echo 'a cat' | "$DIFFUSE" -m "$MODEL" --tokens - >again 2>err
run -m "$MODEL" --tokens 'a cat'
expect_same out again

draw "$long" -o box/a.png
expect_code 0
grep -q '^diffuse: warning: prompt: ' err || fail 'no warning'
draw "$long" -o box/b.png --strict
expect_code 2
expect_box a.png

run -m "$MODEL" --show-schedule --steps 4 -x ddim
expect_code 0
[ "$(wc -l <out)" -eq 6 ] || fail "$(wc -l <out) lines, expected 6"
run -m "$MODEL" --show-schedule --steps 4 -x ddim --json
[ "$(tr '{' '\n' <out | grep -c '^"t":')" -eq 4 ] || fail 'not 4 rows'
run -m "$MODEL" --show-schedule --steps 100000 -x ddim
expect_code 2
[ ! -s out ] || fail 'stdout is not empty'
finish
