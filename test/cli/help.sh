#!/bin/sh
# What is printed and ends the program: on stdout, exit code 0, nothing on stderr, and an error where stdout is lost.
. "$(dirname "$0")/common"

for option in --help -h --version -V '--completion bash' '--completion zsh' '--completion fish' '--list schedulers' \
    '--list schedulers --json'; do
    run $option
    expect_code 0
    [ -s out ] || fail 'stdout is empty'
    [ ! -s err ] || fail 'stderr is not empty'
    what="diffuse $option >/dev/full"
    "$DIFFUSE" $option >/dev/full 2>err
    code=$?
    : >out
    expect_error 74 'diffuse: standard output: No space left on device'
done

run --help
[ "$(wc -l <out)" -le 60 ] || fail 'more than one screen'
grep -q '^  -o, --output=FILE ' out || fail 'no --output'
run --version
[ "$(head -n 1 out)" = 'diffuse 0.1.0' ] || fail "first line: $(head -n 1 out)"
if command -v bash >/dev/null; then
    run --completion bash
    bash -n out 2>err || fail 'not a bash script'
    words=$(bash -c '. ./out; COMP_WORDS=(diffuse --on-exists = s); COMP_CWORD=3; _diffuse; echo "${COMPREPLY[@]}"')
    [ "$words" = skip ] || fail "completes to '$words', expected 'skip'"
fi
finish
