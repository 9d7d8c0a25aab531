#!/bin/sh
# The progress bar: on a terminal only, erased at the end, whatever TERM and COLUMNS say.
. "$(dirname "$0")/common"
command -v script >/dev/null || skip 'no script(1)'
escape=$(printf '\033')

# on_terminal WORDS...: all output of the command line, as the terminal gets it, to ./out
on_terminal() {
    what="$*"
    rm -f box/*
    script -qec "$* '$DIFFUSE' --device cpu -m '$MODEL' -s 1 --steps $steps --threads 1 --size 64x64 x -o box/a.png 2>&1" /dev/null </dev/null >out 2>err
    code=$?
    expect_code 0
    expect_png box/a.png
}

steps=900 start=$(date +%s) # enough to outlast the 300 ms after which the bar appears …
on_terminal TERM=xterm
[ $(($(date +%s) - start)) -lt 4 ] || steps=100 # … of which fewer will do where the program is slow (sanitizers)
grep -q "${escape}\[K" out || fail 'no bar'
grep -q 'step [0-9]*/90[01]' out || fail 'no steps'
tr '\r' '\n' <out | tail -n 2 | grep -q "^${escape}\[Kbox/a.png\$" || fail 'the bar is not erased before the path'
for columns in -1 0 1 1000000000 x; do
    on_terminal TERM=xterm COLUMNS=$columns
done
on_terminal TERM=dumb
! grep -q "$escape" out || fail 'escapes on a dumb terminal'
on_terminal "TERM='$(printf '%%n%%s')'" NO_COLOR=1
! grep -q "${escape}\[3" out || fail 'colour'

draw x -o box/b.png
[ ! -s err ] || fail 'stderr is not empty'
run -m "$MODEL" -x ddim --steps 2 x -o box/c.png --progress always
grep -q '^step 2/2, ' err || fail 'no line'
run -m "$MODEL" --steps 1 x -o 'box/{seed}.png'
seed=$(sed -n 's/^seed //p' err)
expect_out "box/$seed.png" # a random seed is told
run -m "$MODEL" --steps 1 x -o box/d.png -q
[ ! -s err ] || fail 'stderr is not empty'
finish
