#!/bin/sh
# SIGKILL at a random moment: a file under its final name is complete, and there is no other file. KILLS=200 for the full number.
. "$(dirname "$0")/common"
kills=${KILLS:-25} n_killed=0 n_complete=0

draw x -o first.png
expect_code 0
start=$(date +%s%N)
draw x -o second.png
ms=$((($(date +%s%N) - start) / 1000000))
rm second.png

for i in $(seq "$kills"); do
    delay=$(od -An -N4 -tu4 /dev/urandom | awk -v ms=$ms '{printf "%.4f", $1 / 4294967296 * 1.2 * ms / 1000}')
    what="kill $i after $delay s"
    timeout -s KILL "$delay" "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -o box/a.png >out 2>err
    [ $? -eq 0 ] || n_killed=$((n_killed + 1))
    if [ -e box/a.png ]; then
        n_complete=$((n_complete + 1))
        expect_box a.png
        expect_same first.png box/a.png
        rm -f box/a.png
    else
        expect_box
    fi
done
# With -f the picture has a name of its own for an instant. Who is killed then leaves it to the next to clear away.
if strace -o /dev/null true 2>err; then
    export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # LeakSanitizer cannot work under strace
    what='a kill between linkat and renameat2'
    echo mine >box/a.png
    echo somebody >box/.diffuse-note.txt
    strace -f -qq -o trace -e trace=renameat,renameat2 -e inject=renameat,renameat2:error=EIO:signal=SIGKILL \
        "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -f -o box/a.png >out 2>err
    [ "$(cat box/a.png)" = mine ] || fail 'what was there is gone'
    [ "$(find box -name '.diffuse-*.tmp' | wc -l)" -eq 1 ] || fail 'it was not killed in time'
    draw x -f -o box/a.png
    expect_same first.png box/a.png
    expect_box .diffuse-note.txt a.png
    rm -f box/a.png box/.diffuse-note.txt
fi

what="$kills kills"
[ $n_killed -gt $((kills / 4)) ] || fail "only $n_killed came in time"
echo "$n_killed of $kills killed, $n_complete complete files"
finish
