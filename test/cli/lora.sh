#!/bin/sh
# --lora: what it changes, in a batch too, what it refuses, what is said of it.
. "$(dirname "$0")/common"

# lora FILE BYTES HEADER: a safetensors file of that header and data of 0.0115s (bytes of '<').
lora() {
    safetensors "$3" >"$1"
    head -c "$2" /dev/zero | tr '\0' '<' >>"$1"
}
unet() { # FILE [MODULE [METADATA]]
    m=${2:-lora_unet_mid_block_attentions_0_proj_in}
    lora "$1" 1536 "{${3:-}\"$m.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[8,24],\"data_offsets\":[0,768]},\"$m.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[768,1536]}}"
}
text() {
    m=lora_te_text_model_encoder_layers_0_mlp_fc1
    lora "$1" 3072 "{\"$m.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[8,32],\"data_offsets\":[0,1024]},\"$m.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[64,8],\"data_offsets\":[1024,3072]}}"
}
fox() { run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none "$@" "a fox"; }

mkdir loras
unet loras/a.safetensors
text text.safetensors
fox -o plain.png
expect_code 0
fox -o a.png --lora loras/a.safetensors:400
expect_error 2 "diffuse: --lora: expected a weight from -100 to 100, found '400'"
fox -o a.png --lora loras/a.safetensors:50
expect_code 0
differ plain.png a.png
fox -o text.png --lora text.safetensors:50
expect_code 0
differ plain.png text.png
# nothing of it, a directory, another program's name, twice the same
fox -o b.png --lora loras/a.safetensors:0
expect_same plain.png b.png
fox -o b.png -f --lora loras:50
expect_same a.png b.png
# a repository in the hub's cache: the file of diffusers' name, or the one there is
repository=$(cached org/lora)
cp loras/a.safetensors "$repository/fox.safetensors"
HF_HUB_CACHE=hub fox -o b.png -f --lora org/lora:50
expect_code 0
expect_same a.png b.png
cp text.safetensors "$repository"
HF_HUB_CACHE=hub fox -o b.png -f --lora org/lora:50
expect_error 66 "diffuse: $repository: expected pytorch_lora_weights.safetensors or one .safetensors file, found 2"
mv "$repository/fox.safetensors" "$repository/pytorch_lora_weights.safetensors"
echo '{"prompt":"a fox","lora":"org/lora:50"}' >hub.jsonl
HF_HUB_CACHE=hub run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -b hub.jsonl -o hub.png
expect_code 0
expect_same a.png hub-00000001.png
HF_HUB_CACHE=hub run --inspect --lora org/lora
grep -q "^LoRA .*$repository/pytorch_lora_weights.safetensors\$" out || fail "it is not that file's: $(cat out)"
HF_HUB_CACHE=hub fox -o b.png -f --lora org/none
expect_code 66
fox -o half.png --lora loras/a.safetensors:25
fox -o twice.png --loras loras/a.safetensors:25 --lora loras/a.safetensors:25
grep -q '^diffuse: warning: --lora loras/a.safetensors: given twice, and added twice: 25 and 25 times$' err || fail 'twice is not said'
differ half.png twice.png
differ half.png a.png

# a prompt's tag, where there is a directory for it
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -f -o b.png --lora-dir loras '<lora:a:50>a fox'
expect_same a.png b.png
# in A1111's brackets, too: gone before they are read
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -o weighted.png --lora loras/a.safetensors:50 --prompt-syntax a1111 'a (red:1.2) fox'
expect_code 0
differ a.png weighted.png
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -f -o b.png --lora-dir loras --prompt-syntax a1111 'a (<lora:a:50>red:1.2) fox'
expect_same weighted.png b.png
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -f -o b.png --lora-dir loras --prompt-syntax a1111 '<lora:a:20>a (red:1.2<lora:a:30>) fox'
expect_code 0
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -f -o c.png --lora loras/a.safetensors:20 --lora loras/a.safetensors:30 --prompt-syntax a1111 'a (red:1.2) fox'
expect_same b.png c.png
rm c.png
run -m "$MODEL" -o c.png --lora-dir loras '<lora:a:0.5:0.7>a fox'
expect_error 2 "diffuse: prompt: '<lora:a:0.5:0.7>': expected <lora:NAME:WEIGHT>"
run -m "$MODEL" -o c.png --lora-dir loras '<lora:../text:1>a fox'
expect_error 2 "diffuse: prompt: '<lora:../text:1>': expected the name of a file in --lora-dir"
run -m "$MODEL" -o c.png --lora-dir loras '<lora:nobody>a fox'
expect_error 66 'diffuse: loras/nobody.safetensors: No such file or directory'

# a batch: weights come and go, the text encoder's with what it made of the same prompt
cat >jobs.jsonl <<'END'
{"id":"0"}
{"id":"1","lora":"loras/a.safetensors:50"}
{"id":"2","lora":["text.safetensors:50"]}
{"id":"3","lora":[]}
{"id":"4","lora":["loras/a.safetensors:25","loras/a.safetensors:25"]}
END
sed -i 's/{/{"prompt":"a fox",/' jobs.jsonl
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 --metadata none -b jobs.jsonl -o 'job-{id}.png'
expect_code 0
expect_same plain.png job-0.png
expect_same a.png job-1.png
expect_same text.png job-2.png
expect_same plain.png job-3.png
expect_same twice.png job-4.png

# a negative prompt calls up none
run -m "$MODEL" --dry-run --lora-dir loras -n '<lora:a:1>' "a fox <lora:a:1>" -o x.png
expect_code 0
grep -q '^diffuse: warning: --negative: <lora:…> is text here: those of the prompt are read' err || fail "not said: $(cat err)"

run -m "$MODEL" --dry-run --lora-dir loras "a fox <lora:a:1> <hypernet:b:1>" -o x.png
expect_code 0
grep -q '^diffuse: warning: prompt: <lyco:…> or <hypernet:…> is text here, with no meaning of its own$' err || fail "not said: $(cat err)"

# what is recorded draws the picture again
run -m "$MODEL" -s 1 --steps 2 --size 64x64 --threads 1 -f -o c.png --lora loras/a.safetensors:50 "a fox"
grep -q '"lora":\["loras/a.safetensors:50"\]' c.png || fail 'not recorded'
run -m "$MODEL" --threads 1 --metadata none -f --from c.png -o d.png
expect_same a.png d.png
# a file that is another one now is named, of a directory, too
run -m "$MODEL" -s 1 --steps 2 --size 64x64 -o e.png --lora loras:50 "a fox"
grep -q "\"lora_sha256\":\[\"$(sha256sum loras/a.safetensors | cut -c 1-64)\"\]" e.png || fail 'the hash is not recorded'
was=$(sha256sum loras/a.safetensors | cut -c 1-40)
cp loras/a.safetensors kept
tr '<' '=' <kept >loras/a.safetensors
run -m "$MODEL" --verify e.png
expect_code 1
grep -q "; lora_sha256.0 $was, now $(sha256sum loras/a.safetensors | cut -c 1-40)" out || fail "not named: $(cat out err)"
mv kept loras/a.safetensors

# what does not fit
unet other.safetensors lora_unet_nobody
fox -o x.png --lora other.safetensors
expect_error 78 "diffuse: other.safetensors: made for another model: none of its 1 modules is this one's: lora_unet_nobody"
m=lora_unet_mid_block_attentions_0_proj_in
lora wide.safetensors 1600 "{\"$m.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[8,26],\"data_offsets\":[0,832]},\"$m.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[24,8],\"data_offsets\":[832,1600]}}"
fox -o x.png --lora wide.safetensors
expect_error 78 "diffuse: wide.safetensors: tensor '$m.lora_down.weight': does not fit the weight it changes: expected some rows of 24 values, found 8 of 26"
lora some.safetensors 1536 "{\"$m.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[4,24],\"data_offsets\":[0,384]},\"$m.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[24,4],\"data_offsets\":[384,768]},\"lora_unet_nobody.lora_down.weight\":{\"dtype\":\"F32\",\"shape\":[4,24],\"data_offsets\":[768,1152]},\"lora_unet_nobody.lora_up.weight\":{\"dtype\":\"F32\",\"shape\":[24,4],\"data_offsets\":[1152,1536]}}"
fox -o x.png --lora some.safetensors
expect_error 78 "diffuse: some.safetensors: 1 of 2 modules are none of this model's: lora_unet_nobody" \
    'hint: --lora-lenient leaves them out, as diffusers does'
fox -o x.png --lora some.safetensors --lora-lenient
expect_code 0
grep -q '^diffuse: warning: some.safetensors: 1 of 2 modules' err || fail 'what is left out is not said'
fox -o x.png --lora nonesuch.pt
expect_error 66 'diffuse: nonesuch.pt: No such file or directory'
fox -o x.png --lora nonesuch.safetensors
expect_error 66 'diffuse: nonesuch.safetensors: No such file or directory'
[ ! -e x.png ] || rm x.png

# what it is
unet told.safetensors '' '"__metadata__":{"ss_output_name":"fox","modelspec.trigger_phrase":"f0x","ss_tag_frequency":"{\"10_fox\":{\"red\":3,\"snow\":9}}"},'
run --inspect --lora told.safetensors
expect_out 'LoRA           told.safetensors' 'format         kohya' 'title          fox' 'modules        1: 1 of the UNet, 0 of text encoders' \
    'rank           8' 'alpha          none given' 'base           not known' 'trigger        f0x' 'tags           snow, red'
run --inspect -j --lora text.safetensors
expect_out '{"lora":"text.safetensors","format":"kohya","dora":false,"title":null,"unet_modules":0,"text_modules":1,"other_tensors":0,"rank_min":8,"rank_max":8,"alpha_min":null,"alpha_max":null,"base":null,"trigger":null,"tags":null}'

finish
