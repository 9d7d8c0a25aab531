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

# The run and --tokens cut by one rule: what the tokenizer says, but no more than the encoder has positions for.
cp -r "$MODEL" m
chmod -R u+w m
sed -i 's/"model_max_length": *[0-9]*/"model_max_length": 20/' m/tokenizer/tokenizer_config.json
[ ! -f m/tokenizer/tokenizer.json ] || sed -i 's/"model_max_length": *[0-9]*/"model_max_length": 20/' m/tokenizer/tokenizer.json
run -m m --tokens "$long"
tail -n 1 out | grep -q ', room for 18, ' || fail "last line: $(tail -n 1 out)"
cut=$(tail -n 1 out | sed 's/.*, \([0-9]*\) cut off$/\1/')
run -m m -s 1 --steps 1 --threads 1 "$long" -o box/short.png
grep -q "^diffuse: warning: prompt: $cut tokens beyond" err || fail "--tokens says $cut"
sed -i 's/"max_position_embeddings": *[0-9]*/"max_position_embeddings": 12/' m/text_encoder/config.json
run -m m --tokens "$long"
tail -n 1 out | grep -q ', room for 10, ' || fail "last line: $(tail -n 1 out)"
mv m/tokenizer/* m
rmdir m/tokenizer
run -m m --tokens "$long"
expect_code 0
run -m "$(dirname "$MODEL")/tiny-ddpm" --tokens a
expect_error 78 "diffuse: $(dirname "$MODEL")/tiny-ddpm: a DDPMPipeline draws without a prompt: it has no tokenizer"
rm -r m box/short.png

draw "$long" -o box/a.png
expect_code 0
grep -q '^diffuse: warning: prompt: ' err || fail 'no warning'
draw "$long" -o box/b.png --strict
expect_code 2
expect_box a.png

finish
