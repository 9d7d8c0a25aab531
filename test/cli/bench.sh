#!/bin/sh
# -v's time line and --bench: what is said about times and memory, where, and in which order.
root=$PWD
. "$(dirname "$0")/common"
DDPM=$root/test/fixtures/tiny-ddpm

draw --size 64x64 --steps 3 -v -c 2 --batch-size 1 -o box/a.png x
expect_code 0
[ "$(lines)" = 'memory,start,load,text,steps,vae,png,steps,vae,png,peak memory,' ] || fail "lines: $(lines)"
ms='[0-9]+\.[0-9] ms'
for line in 'memory: weights [0-9.]+ GB, activations [0-9.]+ GB, scratch [0-9.]+ GB: [0-9.]+ GB of [0-9.]+ GB free on cpu; the program [0-9.]+ GB' \
    "start: $ms \(files $ms, cpu $ms, plan $ms\)" "load: [0-9.]+ GB in $ms \([0-9.]+ GB/s\)" "text: $ms" \
    "steps: 4, median [0-9.]+ ms, p95 [0-9.]+ ms, in all $ms" "vae: $ms" "png: $ms" \
    "peak memory: [0-9.]+ GB \(planned [0-9.]+ GB\); $ms since the start"; do
    grep -Eqx "$line" err || fail "no line '$line'"
done
run -m "$DDPM" -s 1 --steps 2 -v -o box/b.png
[ "$(lines)" = 'memory,start,load,steps,png,peak memory,' ] || fail "lines: $(lines)"
draw --size 64x64 --dry-run -o box/c.png x
[ "$(lines)" = 'memory,' ] || fail "lines: $(lines)"
expect_box a-1.png a-2.png b.png

# --bench: a table on stdout, no file
draw --size 64x64 --steps 3 --bench 3 x
expect_code 0
[ ! -s err ] || fail 'stderr is not empty'
expect_box a-1.png a-2.png b.png
sed 1q out | grep -q '^cpu (..*) fp32, 64x64, PNDMScheduler, 3 steps (4 model calls of 2 images)$' || fail "$(cat out)"
[ "$(sed -n 3,6p out | awk '{print $1}' | tr '\n' ' ')" = 'text step vae image ' ] || fail "$(cat out)"
sed -n 3,6p out | awk '!($4 > 0 && $4 <= $2 && $2 <= $3) {exit 1}' || fail "not min <= median <= p95: $(cat out)"
# a picture is its parts: the quickest is no quicker than four of the quickest steps and the rest
sed -n 3,6p out | awk '{min[$1] = $4} END {exit !(min["image"] >= min["text"] + 4 * min["step"] + min["vae"] - 0.01)}' || fail "$(cat out)"
run -m "$DDPM" -s 1 --steps 2 --bench 1
expect_code 0
sed 1q out | grep -q '^cpu (..*) fp32, 16x16, DDPMScheduler, 2 steps (2 model calls of 1 image)$' || fail "$(cat out)"
[ "$(sed -n 3,4p out | awk '{print $1}' | tr '\n' ' ')" = 'step image ' ] || fail "$(cat out)"

# the same as one JSON object
draw --size 64x64 --steps 3 --bench 2 -j x
expect_code 0
[ "$(wc -l <out)" -eq 1 ] || fail 'not one line'
spread='{"median":[0-9.]*,"p95":[0-9.]*,"min":[0-9.]*}'
for part in '^{"v":1,' '"bench":2,"product":"..*",' '"model_calls":4,' '"images_a_call":2,' "\"ms\":{\"text\":$spread,\"step\":$spread,\"vae\":$spread,\"image\":$spread}," \
    '"start_ms":{"files":[0-9.]*,"device":[0-9.]*,"plan":[0-9.]*,"ready":[0-9.]*},' '"load_bytes":[1-9][0-9]*,"load_ms":[0-9.]*,' \
    '"planned_bytes":[1-9][0-9]*,"peak_bytes":[1-9][0-9]*,' '"steps":3,' '"width":64,"height":64,' '"scheduler_class":"PNDMScheduler",' \
    '"dtype":"fp32","device":"cpu","isa":"[a-z0-9_]*",.*}$'; do
    grep -q "$part" out || fail "no $part in $(cat out)"
done

# what cannot be measured or would write
for pair in '--output box/z.png:no picture is written' '--save-every 1:no picture is written' '--dump d:no tensor is written' \
    '--count 2:one picture is drawn again and again' '--dry-run:expected one of them'; do
    option=${pair%%:*}
    draw --bench 2 $option x
    expect_error 2 "diffuse: --bench and ${option%% *}: ${pair#*:}"
done
draw --bench 2 --inspect x
expect_error 2 'diffuse: --bench: expected a picture to measure, found another command'
draw --bench 0 x
expect_error 2 "diffuse: --bench: expected a whole number from 1 to 1000000, found '0'"
finish
