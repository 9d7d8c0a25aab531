#!/bin/sh
# --tokens: a table for people, JSON for programs.
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

finish
