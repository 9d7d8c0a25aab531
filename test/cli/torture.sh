#!/bin/sh
# Some of what `make torture` does: now and then an allocation or a thread of a small run is refused, whoever asks for it.
: "${DIFFUSE:=$PWD/diffuse}"
command -v cc >/dev/null || { echo 'no cc here'; exit 77; }
! grep -q -e __asan_init -e __tsan_init "$DIFFUSE" || { echo 'a sanitizer has its own malloc'; exit 77; }
BUILD=$(dirname "$DIFFUSE") STEP=${STEP:-499} exec test/torture/run.sh
