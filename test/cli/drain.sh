#!/bin/sh
# SIGUSR1: the picture under way is finished, then exit code 75 where work is left. SIGTERM: nothing is left behind.
. "$(dirname "$0")/common"
mkfifo q answers

# start ARGUMENT...: in the background, standard output to the FIFO `answers`.
start() {
    what="diffuse $*"
    "$DIFFUSE" --device cpu -m "$MODEL" --threads 1 -s 1 "$@" >answers 2>err </dev/null &
    process=$!
    exec 4<answers
}

# ended CODE
ended() {
    exec 4<&-
    wait $process
    code=$?
    expect_code "$1"
}

# Under way: the picture is finished, the next one not begun.
start -b q -o box/ --steps 400
exec 3>q
printf 'a\nb\nc\n' >&3
read -r path <&4
kill -USR1 $process
read -r path <&4 || path=none
case $path in
box/00000002.png) expect_box 00000001.png 00000002.png ;;
none) expect_box 00000001.png ;; # it came before the second was begun
*) fail "found $path" ;;
esac
ended 75
[ "$(tail -n 1 err)" = 'stopped on SIGUSR1: the same command with --resume goes on' ] || fail 'it is not said'
for file in box/*; do expect_png "$file"; done
exec 3>&-
rm box/*

# Waiting for a job.
start -b q -o box/ --steps 1 -q
exec 3>q
echo a >&3
read -r path <&4
kill -USR1 $process
ended 75
expect_box 00000001.png
exec 3>&-
rm box/*

# Waiting for somebody who has jobs: none has opened the FIFO yet, nor need anybody.
for pair in USR1:75 TERM:143 HUP:129; do
    start -b q -o box/ --steps 1 -q
    until grep -q '^SigCgt:.*[2367abef]..$' "/proc/$process/status"; do sleep 0.05; done
    sleep 0.3 # to where it waits; earlier is no error
    kill -s "${pair%:*}" $process
    timeout 60 cat <&4 >rest || { fail 'it waits on' && kill -KILL $process; }
    ended "${pair#*:}"
    expect_box
done
what='a writer that comes late'
start -b q -o box/ --steps 1 -q
(sleep 0.5 && echo a >q) &
read -r path <&4
ended 0
expect_box 00000001.png
rm box/*

# Nothing left to do: an end like any other. Of several images of one command the rest is left.
start x -o box/a.png --steps 400 -j
sed '/"event":"step"/q' <&4 >first
kill -USR1 $process
cat <&4 >rest
ended 0
expect_box a.png
rm box/*
start x -c 3 -o 'box/{n}.png' --steps 400 --batch-size 1 -j
sed '/"event":"image"/q' <&4 >first
kill -USR1 $process
cat <&4 >rest
ended 75
[ -e box/3.png ] && fail 'the third was drawn'
grep -q '"event":"end","code":75' rest || fail 'the end does not say so'
rm box/*

# Pictures drawn at once are under way together.
start x -c 9 -o 'box/{n}.png' --steps 300 --batch-size 3 -j
sed '/"event":"image"/q' <&4 >first
kill -USR1 $process
cat <&4 >rest
ended 75
case $(ls box | wc -l) in
3 | 6) for file in box/*; do expect_png "$file"; done ;;
*) fail "of groups of 3 there are $(ls box | tr '\n' ' ')" ;;
esac
rm box/*

# SIGTERM.
for files in 1 2 3; do
    start -b q -o box/ --steps 400 -f
    exec 3>q
    printf 'a\nb\nc\n' >&3
    [ $files = 1 ] || read -r path <&4
    kill -TERM $process
    ended 143
    exec 3>&-
    for file in box/* box/.[!.]*; do
        [ ! -e "$file" ] || expect_png "$file"
    done
    rm -f box/*
done
finish
