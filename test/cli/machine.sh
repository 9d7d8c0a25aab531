#!/bin/sh
# For programs: --progress-fd, an event for every end, a file of options; and what the system grants.
. "$(dirname "$0")/common"

# --progress-fd has what -j prints, and stdout keeps its paths.
what='--progress-fd 3'
"$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 -q -o box/a.png --progress-fd 3 x >out 2>err 3>events
code=$?
expect_code 0
expect_out box/a.png
[ ! -s err ] || fail 'stderr is not empty'
sed 's/.*"event":"\([a-z]*\)".*/\1/' events | tr '\n' ' ' >order
[ "$(cat order)" = 'start load step image end ' ] || fail "events: $(cat order)"
# both at once, the same
"$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 -f -j -o box/a.png --progress-fd=3 x >out 2>err 3>events
expect_same out events
# usage errors and signals are told there, too
"$DIFFUSE" --progress-fd 3 --steps 0 x >out 2>err 3>events
[ "$(wc -l <events)" -eq 2 ] && tail -n 1 events | grep -q '^{"v":1,"event":"end","code":2,"images":0,' || fail 'no end of a usage error'
[ ! -s out ] || fail 'stdout is not empty'
for value in 0 1 9 x -1 99999999999; do
    run -m "$MODEL" x --progress-fd $value
    expect_error 2 "diffuse: --progress-fd: expected a descriptor above 1 that is open for writing, found '$value'" 'hint: 3>FILE opens 3'
done
what='--progress-fd 3 3</dev/null'
"$DIFFUSE" -m "$MODEL" x --progress-fd 3 >out 2>err 3</dev/null
code=$?
expect_code 2
what='--progress-fd 3 3>/dev/full'
"$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 -f -o box/a.png --progress-fd 3 x >out 2>err 3>/dev/full
code=$?
expect_error 74 'diffuse: --progress-fd 3: No space left on device'
what='the same of a batch, which ends there'
printf 'a\nb\n' >jobs
mkdir lost
"$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 -b jobs -o lost/ --progress-fd 3 >out 2>err 3>/dev/full
code=$?
expect_error 74 'diffuse: --progress-fd 3: No space left on device'
[ -z "$(ls lost)" ] || fail "$(ls lost)"

# An end for each way a run goes: done, some failed, refused, missing, in the way, on a signal, stopped.
last() { # CODE: the last event
    expect_code "$1"
    tail -n 1 out | grep -q "^{\"v\":1,\"event\":\"end\",\"code\":$1,\"images\":[0-9]*,\"ms\":[0-9.]*}\$" || fail "last line: $(tail -n 1 out)"
    [ "$(grep -c '"event":"end"' out)" -eq 1 ] || fail 'expected one end'
}
draw -f -o box/a.png -j x
last 0
draw -o box/a.png -j x
last 73
printf '{"prompt":"a","seed":1}\n{"prompt":"a","clip_skip":99}\n' >jobs
what='a job of a pipe that fails'
cat jobs | "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 -f -b - -o box/ -j >out 2>err
code=$?
last 1
draw -j --nonesuch x
last 2
draw -j x y
last 2
draw -j --sweep steps=0 x
last 2
printf '{"prompt":7}\n' >jobs
draw -b jobs -j
last 65
draw -i nowhere.png -j x
last 66
draw --dtype fp16 -j x
last 69
for pair in INT:130 TERM:143 HUP:129 QUIT:131; do
    signal=${pair%:*}
    what="SIG$signal"
    : >out
    # what is ignored here is not there
    env --default-signal=INT,TERM,HUP,QUIT "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 3 -c 2000 --threads 1 -f -o box/ -j --progress-fd 3 x >out 2>err 3>events </dev/null &
    until grep -q '"event":"image"' out || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
    kill -s $signal $!
    wait $!
    code=$?
    last "${pair#*:}"
    [ "$(grep -c '"event":"end"' events)" -eq 1 ] || fail 'no end on --progress-fd'
done
what=SIGUSR1
: >out
"$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 3 -c 2000 --threads 1 -f -o box/ -j x >out 2>err </dev/null &
until grep -q '"event":"image"' out || ! kill -0 $! 2>/dev/null; do sleep 0.05; done
kill -s USR1 $!
wait $!
code=$?
last 75
rm -f box/*

# DIFFUSE_OPTIONS_FILE: words as a shell has them, on any lines; the command line's come after, and win.
cat >options <<'END'
# the way I like it
--steps 2   -g 3   # few
-n 'two words' --seed=4

--scheduler "ddim,eta=0.5" -q
--output b\ ox.png
END
what='DIFFUSE_OPTIONS_FILE=options diffuse'
export DIFFUSE_OPTIONS_FILE=options
run -m "$MODEL" --threads 1 -s 5 --size 32 'a cat'
expect_code 0
expect_out 'b ox.png'
DIFFUSE_OPTIONS_FILE= run -m "$MODEL" --threads 1 -q --steps 2 -g 3 -n 'two words' -s 5 -x ddim,eta=0.5 --size 32 -o wanted.png 'a cat'
expect_same wanted.png 'b ox.png'
# A backslash at a line's end goes on in the next one, and messages name the line where it began.
printf -- '--st\\\n\\\neps 2 \\\r\n  -g 3 # few \\\n-n "two \\\nwords" --seed 4 -x ddim,eta=0.5 \\\n\n-q --size 32\n' >options
run -m "$MODEL" --threads 1 -s 5 -o box/joined.png 'a cat'
expect_code 0
expect_same wanted.png box/joined.png
printf '\357\273\277--size 64\n' >options
draw --size 32 -f -o wanted.png -q x
[ ! -s err ] || fail 'a size of the file may be changed'
refused() {
    printf -- "$1" >options
    draw x
    shift
    expect_error "$@"
}
refused '-q\n\n--stesp 3\n' 2 "diffuse: options: line 3: unknown option '--stesp'" 'hint: did you mean --steps?'
refused '--steps 0' 2 "diffuse: options: line 1: --steps: expected a whole number from 1 to 1000000, found '0'"
refused '--steps\n' 2 'diffuse: options: line 1: --steps: expected N after it, found nothing'
refused '-n "open\n' 2 "diffuse: options: line 1: expected \", found the line's end"
refused '-n open\\' 2 "diffuse: options: line 1: expected a character after \\, found the file's end"
refused "-n 'open\\\\\nq'" 2 "diffuse: options: line 1: expected ', found the line's end"
refused '-q \\\n -g 3\n--steps \\\n0' 2 "diffuse: options: line 3: --steps: expected a whole number from 1 to 1000000, found '0'"
refused 'a cat\n' 2 "diffuse: options: line 1: expected options, found 'a'"
refused '-q\0' 65 'diffuse: options: expected text, found a NUL byte at offset 2'
printf -- '-j\n--steps 0' >options
draw x
last 2
head -c 70000 /dev/zero | tr '\0' ' ' >options
draw x
expect_code 65
(
    ulimit -s 64
    unset DIFFUSE_OPTIONS_FILE
    draw -o box/small.png x
    expect_error 71 'diffuse: the stack: expected at least 256 KiB, found 64' 'hint: ulimit -s 8192'
    [ "$failures" = 0 ]
) || failures=$((failures + 1))
DIFFUSE_OPTIONS_FILE=/dev/null draw --size 32 -f -o wanted.png -q x
expect_code 0
[ ! -s err ] || fail 'something is said'
DIFFUSE_OPTIONS_FILE=/dev/zero draw x
expect_error 66 'diffuse: /dev/zero: not a regular file but a device'
DIFFUSE_OPTIONS_FILE=nowhere
draw x
expect_error 66 'diffuse: nowhere: No such file or directory'
finish
