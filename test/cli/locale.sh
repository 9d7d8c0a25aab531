#!/bin/sh
# The same bytes in every locale: decimal commas and Turkish letters must not reach numbers, names or metadata.
. "$(dirname "$0")/common"
for locale in de_DE tr_TR; do
    localedef -i $locale -f UTF-8 "$work/$locale.UTF-8" 2>err || skip "localedef cannot make $locale"
done
export LOCPATH="$work"

draw 'I like TITLES' -g 7.5 --eta 0.25 -x DDIM -o 'box/{slug}.png' -j
expect_code 0
cp box/i-like-titles.png first.png || fail 'no picture'
sed 's/"ms":[0-9.e+-]*/"ms":0/' out >first.json
run -m "$MODEL" --show-schedule --json --steps 5
cp out first.schedule
for locale in de_DE.UTF-8 tr_TR.UTF-8 C.UTF-8 no_such_LOCALE; do
    rm box/*
    export LC_ALL=$locale LANG=$locale
    draw 'I like TITLES' -g 7.5 --eta 0.25 -x DDIM -o 'box/{slug}.png' -j
    what="$what in $locale"
    expect_code 0
    expect_same first.png box/i-like-titles.png
    sed 's/"ms":[0-9.e+-]*/"ms":0/' out >again.json
    expect_same first.json again.json
    run -m "$MODEL" --show-schedule --json --steps 5
    expect_same first.schedule out
done
finish
