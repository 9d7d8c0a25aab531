#!/bin/sh
# --batch-size: pictures drawn at once are, files and all that is said of them, those drawn one by one; where that cannot be they are
# drawn alone, and a line says so.
. "$(dirname "$0")/common"
kept() { sed -E 's/"(ms|load_ms|step_ms)":[0-9.e+-]*/"ms":0/g' "$1"; }

# twice N ARGUMENT...: the same with --batch-size 1 and N: every file and path, in order.
twice() {
    n=$1
    shift
    rm -rf box alone
    mkdir box
    draw "$@" --batch-size 1 -o 'box/{seed}.png'
    expect_code 0
    mv box alone
    mv out out.alone
    mkdir box
    draw "$@" --batch-size "$n" -o 'box/{seed}.png' -v
    expect_code 0
    expect_same out.alone out
    grep -q "^pictures drawn at once: " err || fail 'they were not drawn at once'
    for file in alone/*; do expect_same "$file" "box/${file##*/}"; done
}

twice 2 'a cat' -c 5
twice 3 'a cat' -c 7 -x euler_a --steps 3
twice 8 'a cat' -c 5 -x ddim --eta 1 --steps 4 --size 24x16
twice auto 'a cat' -c 4 -g 1 -x lcm --steps 3
for step in 1 2; do grep -q "its share of 4 pictures drawn at once" err || fail 'the share is not said'; done
draw x -o in.png --size 32 -f
twice 3 'a cat' -c 3 -i "$PWD/in.png" --strength 0.7 --steps 4
twice 3 'a cat' -c 3 -i "$PWD/in.png" --mask "$PWD/in.png" --steps 3 -x euler_a
twice 4 'a cat' -c 4 -n 'a dog' --guidance-rescale 0.7 --rng cuda --steps 2
twice 4 'a cat' -c 4 --threads 2 --steps 2
cat box/3.png >third.png

# Events are those of single pictures, but for the order of steps and for times.
rm box/*
draw 'a cat' -c 4 --steps 2 --batch-size 1 -j -o 'box/{seed}.png'
kept out | sort >alone.events
rm box/*
draw 'a cat' -c 4 --steps 2 --batch-size 3 -j -o 'box/{seed}.png'
kept out | sort >events
expect_same alone.events events
[ "$(sed -n 's/.*"event":"image".*"file":"\([^"]*\)".*/\1/p' out | tr '\n' ' ')" = 'box/1.png box/2.png box/3.png box/4.png ' ] || fail 'the order of images'

# What is there stays, and the group goes on behind it; one that cannot be written leaves the others.
rm box/1.png box/2.png box/4.png
echo mine >box/3.png
draw 'a cat' -c 4 --steps 2 --batch-size 4 --on-exists skip -o 'box/{seed}.png' --progress-fd 3 3>events
expect_code 0
expect_out box/1.png box/2.png box/3.png box/4.png
[ "$(cat box/3.png)" = mine ] || fail 'the file that was there is another'
grep -q '"event":"step".*"n":3,' events && fail 'it was drawn again'
grep -q '"event":"step".*"n":4,' events || fail 'no events'
rm box/*
mkdir box/2.png
draw 'a cat' -c 3 --steps 2 --batch-size 3 -f -o 'box/{seed}.png'
[ "$code" -ne 0 ] || fail 'a directory was replaced'
rmdir box/2.png
rm -f box/*
draw 'a cat' -c 4 --steps 2 --threads 2 -o 'box/{seed}.png'
expect_same third.png box/3.png

# Of a batch's jobs each has its own.
cat >jobs <<'J'
{"id":"a","prompt":"a cat","seed":1,"count":3,"batch_size":2,"output":"box/{id}-{seed}.png"}
{"id":"b","prompt":"a cat","seed":1,"count":3,"batch_size":"auto","output":"box/{id}-{seed}.png"}
{"id":"c","prompt":"a cat","seed":1,"count":3,"batch_size":1,"output":"box/{id}-{seed}.png"}
J
draw -b jobs --steps 2 -v
expect_code 0
for i in 1 2 3; do expect_same box/a-$i.png box/c-$i.png && expect_same box/b-$i.png box/c-$i.png; done
[ "$(grep '^pictures drawn at once' err | tr '\n' ' ')" = 'pictures drawn at once: 2 pictures drawn at once: 3 ' ] || fail 'not as each job says'

# One by one, and it is said.
rm -f box/*
for one in '--save-every 1' "--dump $PWD/dump"; do
    draw x -c 2 --steps 2 --batch-size 2 $one -f -o 'box/{seed}.png'
    expect_code 0
    grep -q '^diffuse: warning: --batch-size 2: pictures are drawn one by one on cpu: --' err || fail 'it is not said'
    draw x -c 2 --steps 2 $one -f -o 'box/{seed}.png'
    grep -q 'one by one' err && fail 'it is said unasked'
    draw x -c 2 --steps 2 $one -f -v -o 'box/{seed}.png'
    grep -q '^pictures are drawn one by one on cpu: --' err || fail 'it is not said with -v'
done
for bad in 0 65 x ''; do
    run -m "$MODEL" x --batch-size "$bad"
    expect_code 2
done
finish
