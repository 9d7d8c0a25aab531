#!/bin/sh
# --json: one event a line, in order; errors too, and never anything else on stdout.
. "$(dirname "$0")/common"

draw x -c 2 --batch-size 1 -o box/a.png -j
expect_code 0
sed 's/.*"event":"\([a-z]*\)".*/\1/' out | uniq -c | awk '{print $2}' | tr '\n' ' ' >order
[ "$(cat order)" = 'start load step image step image end ' ] || fail "events: $(cat order)"
grep -vq '^{"v":1,"event":".*}$' out && fail 'a line that is no event'
grep '"event":"image"' out | sed 's/"ms":[0-9.e+-]*/"ms":0/' >images
printf '{"v":1,"event":"image","n":%d,"file":"box/a-%d.png","seed":%d,"ms":0}\n' 1 1 1 2 2 2 >expected
expect_same expected images

# What fails is an event too, the other images are still tried, and the exit code says that some are missing.
rm box/*
what='a disk that takes no file'
{
    (ulimit -f 1; exec "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --size 128x128 x -c 2 -o box/a.png -j 2>/dev/null)
    echo $? >code
} | cat >out
code=$(cat code)
expect_code 1
expect_box
printf '{"v":1,"event":"error","code":74,"message":"box/a-%d.png: File too large"}\n' 1 2 >expected
grep '"event":"error"' out >errors
expect_same expected errors

run -m "$MODEL" x -j -s -2
expect_code 2
printf '%s\n' "{\"v\":1,\"event\":\"error\",\"code\":2,\"message\":\"--seed: expected a whole number from 0 to 18446744073709551615, found '-2'\"}" \
    '{"v":1,"event":"end","code":2,"images":0,"ms":N}' >expected
sed 's/"ms":[0-9.]*[1-9]}/"ms":N}/' out >told
expect_same expected told
# and a signal is the end, with the pictures that were made
what='SIGTERM after some pictures'
"$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 3 -c 100000 --threads 1 -o box/ -j x >out 2>err </dev/null &
until grep -q '"event":"image","n":3,' out || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
kill -TERM $!
kill -TERM $! # as timeout(1) does it
wait $!
code=$?
expect_code 143
n=$(grep -c '"event":"image"' out)
tail -n 1 out | grep -q '^{"v":1,"event":"end","code":143,"images":[0-9]*,"ms":[1-9][0-9]*}$' || fail "last line: $(tail -n 1 out)"
made=$(tail -n 1 out | sed 's/.*"images":\([0-9]*\),.*/\1/')
[ "$made" -eq "$n" ] || fail "$made pictures in the end event, $n before it"
rm -f box/*
# A failure before any image is told there as well.
run -m nowhere x -j
expect_code 66
printf '%s\n' '{"v":1,"event":"error","code":66,"message":"nowhere: no such directory, and not in the Hugging Face cache"}' \
    '{"v":1,"event":"end","code":66,"images":0,"ms":N}' >expected
sed 's/"ms":[0-9.]*[1-9]}/"ms":N}/' out >told
expect_same expected told
finish
