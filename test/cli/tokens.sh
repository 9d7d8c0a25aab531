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

# Of a blend every text, and how much it counts; what has no effect on it is said.
run -m "$MODEL" --prompt-syntax compel --tokens '("a red cat", "a dog+").blend(1, 3)'
expect_code 0
[ "$(grep -c "  'cat'$" out) $(grep -c "  'dog'  x 1.1$" out)" = '1 1' ] || fail 'not both texts'
[ "$(grep ^---- out | tr '\n' ' ')" = '---- text 1, x 0.25 ---- text 2, x 0.75 ' ] || fail "$(grep ^---- out)"
run -m "$MODEL" --prompt-syntax compel --tokens '("a cat", "a dog").and(1, 0.5)'
[ "$(grep ^---- out)" = '---- chunk 2, text 1, x 0.5' ] || fail "$(grep ^---- out)"
run -m "$MODEL" --prompt-syntax compel --tokens '("a cat", "a dog").blend(1, 3)' -j
grep -q '"chunk":0,"blend":1,"share":0.75,"cut":false}' out || fail 'JSON has one text alone'
run -m "$MODEL" --prompt-syntax compel --tokens '("a", "b").blend(1, 2'
expect_error 2 "diffuse: --tokens: expected ')' behind the weights, found the end"
for text in 'a cat.withLora(x, 1)' '("a", "b").blend(1, 2).withLora(x)' '"a cat".useLora(x)' 'a withLora(x)'; do
    run -m "$MODEL" --prompt-syntax compel --tokens "$text"
    expect_error 2 'diffuse: --tokens: withLora() is not supported' 'hint: --lora FILE[:X]'
done
run -m "$MODEL" --tokens a --steps 3 -o x.png
[ "$(cat err)" = 'diffuse: warning: --steps has no effect on --tokens
diffuse: warning: --output has no effect on --tokens' ] || fail 'not said'

draw "$long" -o box/a.png
expect_code 0
grep -q '^diffuse: warning: prompt: ' err || fail 'no warning'
draw "$long" -o box/b.png --strict
expect_code 2
expect_box a.png

finish
