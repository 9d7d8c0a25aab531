#!/bin/sh
# --sweep: every combination of values on one load; --sheet: all pictures of a run on one.
. "$(dirname "$0")/common"

# The product, in order, the last setting fastest; each picture is byte for byte the command's.
run -m "$MODEL" -q -s 3 'a cat' --steps 1 --sweep steps=1,3 --sweep 'scheduler=ddim,euler\,karras,unipc:solver_type=bh2' -o box/ --sheet box/grid.png
expect_code 0
expect_out box/steps-1_scheduler-ddim.png box/steps-1_scheduler-euler_karras.png box/steps-1_scheduler-unipc_solver_type_bh2.png \
    box/steps-3_scheduler-ddim.png box/steps-3_scheduler-euler_karras.png box/steps-3_scheduler-unipc_solver_type_bh2.png box/grid.png
one() {
    name=$1
    shift
    run -m "$MODEL" -q -s 3 'a cat' -f -o one.png "$@"
    expect_same "box/$name.png" one.png
}
one steps-1_scheduler-ddim --steps 1 -x ddim
one steps-3_scheduler-euler_karras --steps 3 -x euler,karras
one steps-3_scheduler-unipc_solver_type_bh2 --steps 3 -x unipc:solver_type=bh2
expect_png box/grid.png

# One load, whatever is swept: texts, sizes, flags, seeds; other programs' names do, too.
rm box/*
run -m "$MODEL" -j --steps 1 -s 1 --sweep 'prompt=a cat,a dog\, 灯台,' --sweep cfg=1,7.5 --sweep seed=4,5 -o box/
expect_code 0
[ "$(grep -c '"event":"load"' out) $(grep -c '"event":"image"' out)" = '1 12' ] || fail 'expected one load and twelve images'
[ "$(ls box | head -n 1)" = prompt-a_cat_guidance-1_seed-4.png ] || fail "the first is $(ls box | head -n 1)"
run --info box/prompt-a_dog_________guidance-7.5_seed-5.png
grep -qx '  prompt: a dog, 灯台' out || fail 'not its prompt'
[ -e box/prompt-no3_guidance-1_seed-4.png ] || fail 'an empty prompt has no name'
rm box/*
run -m "$MODEL" -q --steps 1 x --sweep size=64,64x32 --sweep clip_skip=0,1 -o box/
expect_code 0
expect_box size-64_clip-skip-0.png size-64_clip-skip-1.png size-64x32_clip-skip-0.png size-64x32_clip-skip-1.png
rm box/*
run -m "$MODEL" -q --steps 1 x -i "$MODEL/../recorded/a1111.png" --mask "$MODEL/../recorded/a1111.png" --sweep invert-mask=true,false --size 32 -o box/
expect_code 0
expect_box invert-mask-false.png invert-mask-true.png

rm box/*
run -m "$MODEL" -q --steps 1 x -s 1 --size 32 --sweep vae-dtype=auto,fp32 -o box/
expect_code 0
expect_box vae-dtype-auto.png vae-dtype-fp32.png

# Values that look alike in a name are numbered.
rm box/*
run -m "$MODEL" -q --steps 1 -s 1 --sweep 'prompt=a b,a_b,c' -o box/
expect_box prompt-c.png prompt-no1.png prompt-no2.png

# Without a seed it is one for all, and told once.
rm box/*
run -m "$MODEL" x --sweep steps=1,2 -o 'box/{steps}-{seed}.png'
expect_code 0
[ "$(wc -l <err)" -eq 1 ] || fail 'expected one line of the seed'
seed=$(sed -n 's/^seed //p' err)
expect_box "1-$seed.png" "2-$seed.png"

# One that cannot be drawn leaves the others.
rm box/*
run -m "$MODEL" -q x -s 1 --steps 1 --sweep clip-skip=0,99,1 -o box/ --sheet box/s.png
expect_code 1
expect_box clip-skip-0.png clip-skip-1.png s.png

# Without a prompt, where the model takes one, nothing is drawn.
rm box/*
run -m "$MODEL" -q -s 1 --steps 1 --sweep clip-skip=0,1 -o box/
expect_error 2 'diffuse: expected a prompt, found none' "hint: try 'diffuse --help'"
expect_box
run -m "$MODEL" -q -s 1 --steps 1 --sweep prompt=a,b -o box/
expect_code 0
run -m "$MODEL/../tiny-ddpm" -q -s 1 --steps 1 --sweep steps=1,2 -o box/
expect_code 0
expect_box prompt-a.png prompt-b.png steps-1.png steps-2.png

# What is wrong with it is said before anything is read.
wrong() {
    message=$1
    shift
    run -m nowhere x "$@"
    expect_code 2
    [ "$(head -n 1 err)" = "diffuse: $message" ] || fail "expected $message"
}
wrong "--sweep: expected NAME=VALUE,VALUE…, found 'steps'" --sweep steps
wrong "--sweep: unknown setting 'stesp'" --sweep stesp=1,2
wrong "--sweep steps: expected a whole number from 1 to 1000000, found 'x'" --sweep steps=1,x
wrong "--sweep invert-mask: expected true or false, found '1'" --sweep invert-mask=1
wrong "--sweep: expected a setting of one picture, found 'model'" --sweep model=a,b
wrong "--sweep: expected a setting of one picture, found 'refiner'" --sweep refiner=a,b
wrong "--sweep refine-at: expected a number from 0 to 1, found '2'" --sweep refine-at=0.5,2
wrong "--sweep: expected a setting of one picture, found 'count'" --sweep count=1,2
wrong "--sweep: 'steps' is given twice, expected once" --sweep steps=1 --sweep steps=2
many=$(seq -s , 1 256)
wrong '--sweep: 16777216 pictures, expected at most 65536' --sweep "steps=$many" --sweep "guidance=$(seq -s , 0.1 0.1 25.6)" --sweep "seed=$many"
wrong '--sweep: expected at most 256 values, found more' --sweep "steps=$many,257"
wrong '--sweep and --batch: expected one of them' --sweep steps=1 -b -
wrong '--sweep and --count: --sweep seed=1,2,3 draws several' --sweep steps=1 -c 2
wrong '--sweep and --output -: each picture is a file' --sweep steps=1 -o -
wrong "--sweep steps: '2' is given twice, expected once" --sweep steps=2,3,2
wrong '--sheet: expected a file, found -' --sweep steps=1,2 --sheet -
wrong '--sweep and --bench: one request is measured' --sweep steps=1 --bench 2
wrong '--sheet and --output -: expected a file for each picture' --sheet s.png -o -
wrong "--sheet and --bench: no picture is written" --sheet s.png --bench 2

# The sheet of -c and of a batch; never over a file that is there, which is said before the first picture.
rm box/*
run -m "$MODEL" -q x -s 1 --steps 1 -c 3 --size 32 -o box/ --sheet box/s.jpg
expect_code 0
expect_box diffuse-1.png diffuse-2.png diffuse-3.png s.jpg
# --quality is the sheet's where the pictures are PNGs.
run -m "$MODEL" -q x -s 1 --steps 1 -c 3 --size 32 -f -o box/ --sheet box/s10.jpg --quality 10
expect_code 0
[ "$(wc -c <box/s10.jpg)" -lt "$(wc -c <box/s.jpg)" ] || fail 'not of that quality'
rm box/s10.jpg
printf 'a\nb {\n' >two.txt
run -m "$MODEL" -j -b two.txt -s 1 --steps 1 --size 32 -o box/ --sheet box/b.webp
expect_code 0
tail -n 2 out | head -n 1 | grep -qx '{"v":1,"event":"sheet","file":"box/b.webp"}' || fail 'no event of the sheet'
rm box/diffuse-*
run -m "$MODEL" -q x -s 1 --steps 1 -c 2 -o box/ --sheet box/s.jpg
expect_code 73
expect_box 00000001.png 00000002.png b.webp s.jpg
# It says that it is synthetic, and nothing of prompts.
grep -aq trainedAlgorithmicMedia box/s.jpg || fail 'no disclosure'
run -m "$MODEL" -q 'a secret' -s 1 --steps 1 -c 2 -o box/ --sheet box/none.png --metadata none
grep -aq -e trainedAlgorithmicMedia -e secret box/none.png && fail '--metadata none'
finish
