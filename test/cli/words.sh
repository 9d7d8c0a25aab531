#!/bin/sh
# --embedding and --prompt-syntax: what they change, in a batch too, what they refuse, and that it comes back.
. "$(dirname "$0")/common"

# file NAME BYTES HEADER [DATA]: a safetensors file of that header and data of small numbers, DATA again and again. In turn of two values: of
# one alone a layer norm leaves nothing.
file() {
    safetensors "$3" >"$1"
    # shellcheck disable=SC2059
    yes "$(printf "${4:-<<<<;;;;}")" | tr -d '\n' | head -c "$2" >>"$1"
}
vectors() { # NAME WORD N [DATA]: of the tiny model's 32 values
    file "$1" $(($3 * 128)) "{\"$2\":{\"dtype\":\"F32\",\"shape\":[$3,32],\"data_offsets\":[0,$(($3 * 128))]}}" "${4:-}"
}
toy() { run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none "$@"; }

vectors toy.safetensors '<toy>' 3
vectors dull.safetensors emb_params 2 '====<<<<'
vectors other.safetensors '<toy>' 3 '>>>><<<<'
toy -o plain.png 'a <toy> fox'
toy -o toy.png --embedding toy.safetensors 'a <toy> fox'
expect_code 0
differ plain.png toy.png
toy -o same.png --embedding toy.safetensors=robot 'a robot fox'
expect_same toy.png same.png
toy -o dull.png -n dull 'a <toy> fox'
toy -o dull-learned.png -n dull --embedding dull.safetensors 'a <toy> fox'
differ dull.png dull-learned.png
# a file whose name has a '=' is itself
cp toy.safetensors 'x=y.safetensors'
toy -o same.png -f --embedding 'x=y.safetensors' 'a <toy> fox'
expect_same toy.png same.png
toy -o same.png -f --embedding 'x=y.safetensors=robot' 'a robot fox'
expect_same toy.png same.png
# a repository in the hub's cache
cp toy.safetensors "$(cached org/toy)/learned_embeds.safetensors"
HF_HUB_CACHE=hub toy -o same.png -f --embedding org/toy 'a <toy> fox'
expect_code 0
expect_same toy.png same.png
HF_HUB_CACHE=hub toy -o same.png -f --embedding org/toy=robot 'a robot fox'
expect_code 0
expect_same toy.png same.png

toy -o other.png --embedding other.safetensors 'a <toy> fox'
differ toy.png other.png

# a batch: tables come and go, with what was made of the same texts
cat >jobs.jsonl <<'END'
{"id":"0"}
{"id":"1","embedding":"toy.safetensors"}
{"id":"2","embedding":["dull.safetensors=<toy>"]}
{"id":"3","embedding":[]}
{"id":"5","embedding":"other.safetensors"}
{"id":"4","embedding":["toy.safetensors","dull.safetensors"]}
END
sed -i 's/{/{"prompt":"a <toy> fox",/' jobs.jsonl
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -b jobs.jsonl -o 'job-{id}.png'
expect_code 0
expect_same plain.png job-0.png
expect_same toy.png job-1.png
differ toy.png job-2.png
expect_same plain.png job-3.png
expect_same toy.png job-4.png
expect_same other.png job-5.png

# it is recorded, with the file's hash, and comes back; --resume sees a file that changed
run -m "$MODEL" -s 1 --dry-run -o r.png --embedding toy.safetensors 'a fox'
grep -q '^diffuse: warning: --embedding toy.safetensors has no effect: its word, <toy>, is in no prompt$' err || fail 'not said'
run -m "$MODEL" -s 1 --dry-run -o r.png --embedding toy.safetensors 'a fox' -n '<toy>'
grep -q 'has no effect' err && fail 'it is in the negative prompt'
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 -o r.png --embedding toy.safetensors 'a <toy> fox'
grep -q '"embedding":\["toy.safetensors"\]' r.png || fail 'not recorded'
grep -q "\"embedding_sha256\":\\[\"$(sha256sum toy.safetensors | cut -c 1-64)\"\\]" r.png || fail 'the hash is not recorded'
run -m "$MODEL" --threads 1 --metadata none -f --from r.png -o s.png
expect_same toy.png s.png
[ ! -s err ] || fail 'something of its own is not taken'
echo '{"id":"r","prompt":"a <toy> fox","embedding":"toy.safetensors"}' >one.jsonl
resume() { run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 -b one.jsonl -o 'resumed-{id}.png' --resume; }
resume
expect_code 0
cp resumed-r.png first.png
mv toy.safetensors kept.safetensors
cp kept.safetensors toy.safetensors
resume
expect_code 0
expect_same first.png resumed-r.png
vectors toy.safetensors '<toy>' 3 '>>>><<<<'
resume
expect_code 1
grep -q "resumed-r.png: the file exists, of another request$" err || fail "the change is not seen"
mv kept.safetensors toy.safetensors

# a word the model has as one token
run -m "$MODEL" -s 1 --dry-run --embedding toy.safetensors=fox 'a fox'
expect_code 0
grep -q "^diffuse: warning: --embedding toy.safetensors: 'fox' is a word of the model, too: the file's vectors take its place$" err ||
    fail 'the word that is replaced is not said'
run -m "$MODEL" -s 1 --dry-run --embedding toy.safetensors=a 'a fox'
expect_code 2
grep -q "^diffuse: --embedding: 'a' is a word of the model's tokenizer already$" err || fail 'the word is not refused'

# words never learned: neither syntax nor the words of embeddings
cp -r "$MODEL" learned
echo '{"known_words": ["a", "red", "fox"]}' >learned/generation_config.json
run -m learned -s 1 --dry-run --prompt-syntax a1111 --embedding toy.safetensors 'a (red:1.3) fox BREAK <toy>'
grep -q 'never learned' err && fail 'syntax is taken for words'
run -m learned -s 1 --dry-run --prompt-syntax compel --embedding toy.safetensors=Robot '("a fox", "red").blend(.7, .3)' -n robot
grep -q 'never learned' err && fail 'syntax is taken for words'
run -m learned -s 1 --dry-run --prompt-syntax a1111 'a (dog:1.3)'
grep -qx 'diffuse: warning: prompt: words learned never learned: dog' err || fail 'a word is not told'

# --tokens
run -m "$MODEL" --embedding toy.safetensors --tokens 'a <toy>'
grep -q "<toy>_2 *'<toy>_2'" out || fail 'the vectors are not shown'
run -m "$MODEL" --prompt-syntax a1111 --tokens 'a (red:1.5) fox BREAK fox'
grep -q "'red'  x 1.5$" out || fail 'no weight'
grep -q '^---- chunk 2$' out || fail 'no chunk'

# what does not fit, and what is none
vectors wide.safetensors '<wide>' 1
file wide.safetensors 96 '{"<wide>":{"dtype":"F32","shape":[1,24],"data_offsets":[0,96]}}'
toy -o x.png --embedding wide.safetensors a
expect_error 78 "diffuse: wide.safetensors: vectors of 24 values, but $MODEL's text encoder is of 32"
toy -o x.png --embedding toy.safetensors --embedding toy.safetensors a
expect_error 2 "diffuse: --embedding: toy.safetensors and toy.safetensors both have the word '<toy>'" 'hint: --embedding FILE=WORD takes another word'
toy -o x.png --embedding toy.safetensors= a
expect_error 2 "diffuse: --embedding: expected FILE[=WORD], found 'toy.safetensors='"
toy -o x.png --embedding nonesuch.safetensors a
expect_error 66 'diffuse: nonesuch.safetensors: No such file or directory'
for name in learned.pt learned_embeds.bin; do
    : >$name
    toy -o x.png --embedding "$name" a
    expect_code 78
    grep -q "^diffuse: $name: a pickle, which can run code: expected a .safetensors file$" err || fail 'not named'
    grep -q '^hint: .*save_file' err || fail 'no way to convert it'
done
file two.safetensors 256 '{"a":{"dtype":"F32","shape":[1,32],"data_offsets":[0,128]},"b":{"dtype":"F32","shape":[1,32],"data_offsets":[128,256]}}'
toy -o x.png --embedding two.safetensors a
expect_error 78 'diffuse: two.safetensors: not an embedding: expected one tensor, or clip_l and clip_g, found 2'
vectors nan.safetensors '<nan>' 1 '\377'
toy -o x.png --embedding nan.safetensors a
expect_error 65 "diffuse: nan.safetensors: tensor '<nan>': value 0 of 32 is not finite"
file cube.safetensors 128 '{"a":{"dtype":"F32","shape":[1,1,32],"data_offsets":[0,128]}}'
toy -o x.png --embedding cube.safetensors a
expect_error 78 "diffuse: cube.safetensors: tensor 'a': expected vectors, [n,width] or [width]"
file whole.safetensors 128 '{"a":{"dtype":"I32","shape":[1,32],"data_offsets":[0,128]}}'
toy -o x.png --embedding whole.safetensors a
expect_code 78
mkdir pickles && : >pickles/learned_embeds.bin
toy -o x.png --embedding ./pickles a
expect_code 78
[ ! -e x.png ] || fail 'a picture of what was refused'

# syntaxes come back, too, and their text is not taken for plain
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 -o w.png --prompt-syntax a1111 'a (red:1.5) fox'
run -m "$MODEL" --threads 1 --metadata none --from w.png -o w2.png
toy -o w3.png --prompt-syntax a1111 'a (red:1.5) fox'
expect_same w2.png w3.png
toy -o w4.png 'a (red:1.5) fox'
differ w3.png w4.png
toy -o x.png --prompt-syntax a1111 'a [red:blue:0.5] fox'
expect_error 2 "diffuse: prompt: '[red:blue:0.5]': prompts that change from step to step are not supported"
# swept
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none 'a (red:1.5) fox' --sweep prompt-syntax=plain,a1111 -o swept/ --mkdirs
expect_code 0
expect_same w4.png swept/prompt-syntax-plain.png
expect_same w3.png swept/prompt-syntax-a1111.png
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none 'a <toy> fox' --sweep 'embedding=toy.safetensors,dull.safetensors=<toy>' -o swept/
expect_code 0
expect_same toy.png swept/embedding-toy.safetensors.png
expect_same job-2.png swept/embedding-dull.safetensors__toy_.png

# what a file is
run --inspect --embedding toy.safetensors
expect_out 'embedding      toy.safetensors' 'word           <toy>' 'vectors        3 of 32 values' 'base           not known'
file pair.safetensors 16384 '{"clip_l":{"dtype":"F32","shape":[2,768],"data_offsets":[0,6144]},"clip_g":{"dtype":"F32","shape":[2,1280],"data_offsets":[6144,16384]}}'
run --inspect -j --embedding pair.safetensors --embedding dull.safetensors=grey
expect_out "{\"embedding\":\"pair.safetensors\",\"word\":\"pair\",\"vectors\":2,\"widths\":[768,1280],\"base\":\"SDXL\",\"sha256\":\"$(sha256sum pair.safetensors | cut -c 1-64)\"}" \
    "{\"embedding\":\"dull.safetensors\",\"word\":\"grey\",\"vectors\":2,\"widths\":[32],\"base\":null,\"sha256\":\"$(sha256sum dull.safetensors | cut -c 1-64)\"}"
for width in '768:SD 1.x' '1024:SD 2.x' '1280:SDXL'; do
    size=${width%%:*}
    file one.safetensors $((size * 4)) "{\"w\":{\"dtype\":\"F32\",\"shape\":[$size],\"data_offsets\":[0,$((size * 4))]}}"
    run --inspect --embedding one.safetensors
    expect_out 'embedding      one.safetensors' 'word           w' "vectors        1 of $size values" "base           ${width#*:}"
done
run --inspect --embedding nan.safetensors
expect_code 65

toy -o x.png --prompt-syntax a1112 a
expect_code 2
toy -o x.png --long-prompts "$(seq -s ' ' 2500)"
expect_error 2 'diffuse: prompt: more than 32 chunks of 75 tokens'

finish
