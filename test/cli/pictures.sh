#!/bin/sh
# What pictures have to do with each other.
. "$(dirname "$0")/common"
paint() { draw --size 64x64 --metadata none "$@"; }

# image k is the one that seed + k gives alone
paint -c 2 -s 5 -o 'box/{seed}.png' x
paint -s 6 -o box/alone.png x
cmp box/6.png box/alone.png || fail "the second image of seed 5 is not that of seed 6"
! cmp -s box/5.png box/6.png || fail "two seeds, one picture"

# guidance of 1 and below is none, as in diffusers
paint -g 1 -o box/one.png x
paint -g 0.5 -n y -o box/half.png x
paint -g 1.5 -n y -o box/guided.png x
cmp box/one.png box/half.png || fail "guidance below 1 does something"
! cmp -s box/one.png box/guided.png || fail "guidance above 1 does nothing"
finish
