#!/bin/sh
# Disks that are full, pipes that close, limits: exit code 74 (or death by SIGPIPE), and nothing is left behind.
. "$(dirname "$0")/common"
set -- --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x

what='paths to /dev/full'
"$DIFFUSE" "$@" -o box/a.png >/dev/full 2>err
code=$?
: >out
expect_error 74 'diffuse: standard output: No space left on device'
expect_png box/a.png # it was complete before its path could not be said
rm box/*

what='events to /dev/full'
"$DIFFUSE" "$@" -o box/a.png -j >/dev/full 2>err
code=$?
expect_error 74 'diffuse: standard output: No space left on device'
expect_box

for more in -c2 -bjobs; do
    what="events to /dev/full: $more"
    printf 'a\nb\n' >jobs
    [ $more = -c2 ] || set -- --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1
    "$DIFFUSE" "$@" "$more" -o box/ -j >/dev/full 2>err
    code=$?
    expect_error 74 'diffuse: standard output: No space left on device'
    expect_box
done
set -- "$@" x

what='the picture to /dev/full'
"$DIFFUSE" "$@" -o - >/dev/full 2>err
code=$?
expect_error 74 'diffuse: standard output: No space left on device'

run "$@" -o /dev/full -f
expect_error 74 'diffuse: /dev/full: No space left on device'

what='stdout closed'
"$DIFFUSE" "$@" -o box/a.png >&- 2>err
code=$?
expect_error 74 'diffuse: standard output: Bad file descriptor'
rm -f box/*

what='a pipe closed early'
{ "$DIFFUSE" "$@" -o - 2>err; echo $? >code; } | :
code=$(cat code)
expect_error 141 # and no message
what='a pipe closed early, SIGPIPE ignored by the parent'
{ (trap '' PIPE; exec "$DIFFUSE" "$@" -o - 2>err); echo $? >code; } | :
code=$(cat code)
expect_code 141

what='file size limit'
(ulimit -f 1; exec "$DIFFUSE" "$@" --size 128x128 -o box/a.png >out 2>err)
code=$?
expect_error 74 'diffuse: box/a.png: File too large'
expect_box
what='file size limit 0'
(ulimit -f 0; exec "$DIFFUSE" "$@" -o box/a.png 2>/dev/null | cat >out)
expect_box

for n in 4 5 6 7 8; do
    what="$n descriptors"
    (ulimit -n $n; exec "$DIFFUSE" "$@" -o box/a.png) >out 2>err
    code=$?
    if [ $code -eq 0 ]; then
        expect_png box/a.png
        rm box/a.png
    else
        [ $code -lt 128 ] || fail "died of signal $((code - 128))"
        [ ! -s out ] || fail 'stdout is not empty'
        expect_box
    fi
done

what='stdin and stderr closed'
"$DIFFUSE" "$@" -o box/a.png >out <&- 2>&-
code=$?
: >err
expect_code 0
expect_out box/a.png
expect_png box/a.png
finish
