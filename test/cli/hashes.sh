#!/bin/sh
# A picture says which weights drew it: the SHA-256 of each component's.
. "$(dirname "$0")/common"
command -v sha256sum >/dev/null || skip 'no sha256sum here'
export HOME=$PWD XDG_CACHE_HOME=$PWD/cache
hash() { sha256sum "$1" | cut -c 1-64; }
unet=$(hash "$MODEL/unet/diffusion_pytorch_model.safetensors")

# Computed and kept; the same bytes with the cache as without, and where there is none.
draw -q -o a.png x
expect_code 0
run --info a.png
grep -qx "  components.unet: $unet" out || fail 'no hash of the UNet'
grep -qx "  components.vae: $(hash "$MODEL/vae/diffusion_pytorch_model.safetensors")" out || fail 'no hash of the VAE'
grep -qx "  components.text_encoder: $(hash "$MODEL/text_encoder/model.safetensors")" out || fail 'no hash of the text encoder'
[ "$(ls cache/diffuse/sha256 | wc -l)" -eq 3 ] || fail 'expected three entries'
draw -q -o b.png x
expect_same a.png b.png
what='no place to keep them'
env -u HOME -u XDG_CACHE_HOME "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 -q -o c.png x >out 2>err
expect_same a.png c.png
XDG_CACHE_HOME=/dev/null draw -q -o d.png x
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
expect_same a.png d.png

# An entry is believed for the file it is of, at that size and time, and only where it is whole.
entry=$(grep -l "$unet" cache/diffuse/sha256/*)
told() { run --info "$1" && sed -n 's/^  components.unet: //p' out; }
lie=$(printf '%064d' 7)
kept=$(sed "s/$unet/$lie/" "$entry")
echo "$kept" >"$entry"
draw -q -f -o e.png x
[ "$(told e.png)" = "$lie" ] || fail 'the entry is not asked'
for text in '' nonsense "${kept%??}" "$(echo "$kept" | sed 's/^2 [0-9]* \(.*\) [0-9]* /2 17 \1 17 /')" "$(echo "$kept" | sed 's/^2 /1 /')" "$(head -c 5000 /dev/zero | tr '\0' 1)"; do
    printf '%s\n' "$text" >"$entry"
    draw -q -f -o e.png x
    [ "$(told e.png)" = "$unet" ] || fail "an entry '$text' is believed"
done
cp -r "$MODEL" model
draw -q -f -o e.png -m model x
touch -d '2001-01-01' model/unet/diffusion_pytorch_model.safetensors
draw -q -f -o f.png -m model x
expect_same e.png f.png
what='bytes changed, with the time set back'
file=model/unet/diffusion_pytorch_model.safetensors
printf x | dd of=$file bs=1 seek=$(($(wc -c <$file) - 4)) conv=notrunc 2>/dev/null
touch -d '2001-01-01' $file
draw -q -f -o f.png -m model x
[ "$(told f.png)" = "$(hash $file)" ] || fail 'the hash is that of other bytes'

# What another process began goes on: a state after one MiB of a file that is larger.
if command -v python3 >/dev/null; then
    python3 - "$MODEL/unet/diffusion_pytorch_model.safetensors" <<'P'
import json, struct, sys, os
data = open(sys.argv[1], 'rb').read()
n = struct.unpack('<Q', data[:8])[0]
head = json.loads(data[8:8 + n])
end = max(v['data_offsets'][1] for k, v in head.items() if k != '__metadata__')
head['padding'] = {'dtype': 'F32', 'shape': [10 << 20], 'data_offsets': [end, end + (40 << 20)]}
text = json.dumps(head).encode()
text += b' ' * (-len(text) % 8)
os.remove('model/unet/diffusion_pytorch_model.safetensors')
open('model/unet/diffusion_pytorch_model.safetensors', 'wb').write(struct.pack('<Q', len(text)) + text + data[8 + n:] + bytes(40 << 20))
P
    # a large file's is not waited for, and told once it is there
    large=$(hash model/unet/diffusion_pytorch_model.safetensors)
    draw -q -f -o g.png -m model x
    [ -z "$(told g.png)" ] || fail 'the first picture waited'
    grep -aq '"request"' g.png && fail 'the hash of a request whose model is not known'
    # nor by a later picture of the same run, which is then as it is alone
    rm -r cache
    draw -q -o 'g-{n}.png' -c 40 --batch-size 1 -m model --steps 20 x
    [ -z "$(told g-40.png)" ] || fail 'a later picture is told of a hash'
    rm -r g-*.png cache
    # but many wait, and who will ask for the same again
    draw -q -f -o g.png -m model x
    cp -r cache kept_cache
    draw -v -o r.png -m model --resume x
    [ "$(grep -c '^hashing 0\.043 GB of weights, once: the hashes are kept$' err)" -eq 1 ] || fail 'the wait is not said, or more than once'
    grep -aq '"request"' r.png || fail 'no hash of the request'
    draw -v -o r.png -m model --resume x
    expect_code 0
    grep -q '^hashing' err && fail 'what is kept is hashed again'
    rm -r cache && mv kept_cache cache
    i=1
    while [ $i -lt 300 ] && [ -z "$(told g.png)" ]; do
        draw -q -f -o g.png -m model --steps 20 x
        i=$((i + 1))
    done
    [ "$(told g.png)" = "$large" ] || fail "after $i pictures: '$(told g.png)', expected $large"
fi

# In the hub's cache the blob's name is the hash.
mkdir -p hub/models--org--name/blobs hub/models--org--name/refs
commit=0123456789abcdef0123456789abcdef01234567 repo=hub/models--org--name
mkdir -p $repo/snapshots && cp -r "$MODEL" $repo/snapshots/$commit
printf %s $commit >$repo/refs/main
mv $repo/snapshots/$commit/unet/diffusion_pytorch_model.safetensors $repo/blobs/$lie
ln -s ../../../blobs/$lie $repo/snapshots/$commit/unet/diffusion_pytorch_model.safetensors
HF_HUB_CACHE=$PWD/hub draw -q -o h.png -m org/name x
[ "$(told h.png)" = "$lie" ] || fail 'not the blob it is'

# --verify says whose weights are others.
draw -q -f -o i.png x
vae=model/vae/diffusion_pytorch_model.safetensors
tail -c 40000 $vae | head -c 20000 >part
dd if=part of=$vae bs=1 seek=$(($(wc -c <$vae) - 20000)) conv=notrunc 2>/dev/null
run -m model --verify i.png
grep -q 'components.vae [0-9a-f]*, now [0-9a-f]*' out || fail "says $(cat out)"
finish
