#!/bin/sh
# No network, and no other program that could have one: whole runs open no socket and start nothing, where a model is not there, too.
. "$(dirname "$0")/common"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # LeakSanitizer cannot work under strace
strace -o /dev/null true 2>err || skip "strace cannot trace here: $(cat err)"

# alone CODE ARGUMENT...: of all calls of the network and those that start a program there is the one that starts it.
alone() {
    expected=$1
    shift
    what="diffuse $*"
    strace -f -qq -e signal=none -e trace=%network,execve,execveat -o trace "$DIFFUSE" --device cpu "$@" >out 2>err </dev/null
    code=$?
    expect_code "$expected"
    called=$(sed 's/^[0-9]* *//; s/(.*//' trace | tr '\n' ' ')
    [ "$called" = 'execve ' ] || fail "it calls $called"
}

export HF_HUB_CACHE=$PWD/hub
ln -s "$MODEL"/* "$(cached org/tiny)"
alone 0 -m org/tiny -s 1 --steps 1 --threads 2 --preview now.png -v -j -o box/a.png 'a fox'
expect_png box/a.png
alone 0 --verify box/a.png
alone 0 -m "$MODEL" --inspect
printf '{"prompt":"a fox","lora":"org/lora"}\n{"prompt":"a fox","seed":1}\n' >jobs.jsonl
alone 66 -m org/tiny --steps 1 -b jobs.jsonl -o box/
alone 66 -m org/none -o box/b.png 'a fox'
alone 2 -m https://huggingface.co/org/none -o box/b.png 'a fox'
for option in --vae --lora --embedding --refiner '--control-image box/a.png --control'; do
    # shellcheck disable=SC2086
    alone 66 -m org/tiny $option org/none -o box/b.png 'a fox'
done
expect_box a.png
finish
