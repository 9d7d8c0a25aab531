#!/bin/sh
# What is printed and ends the program: on stdout, exit code 0, nothing on stderr, and an error where stdout is lost.
. "$(dirname "$0")/common"

for option in --help -h --version -V --man '--list schedulers=euler' '--completion bash' '--completion zsh' '--completion fish' '--list schedulers' \
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
[ "$(wc -l <out)" -le 64 ] || fail 'more than one screen'
grep -q '^  -o, --output=FILE ' out || fail 'no --output'
run --man
for option in $("$DIFFUSE" --help | sed -n 's/^ .*--\([a-z-]*\).*/\1/p'); do
    grep -qF -e "\\-\\-$(echo "$option" | sed 's/-/\\\\-/g' | sed 's/\\\\/\\/g')" out || fail "--man lacks --$option"
done
cp out manual
DIFFUSE_ISA=sse2 draw -q x -o isa.png # two names where oneDNN's instructions are others
run --info isa.png
names=$(sed -n 's/^  isa: [a-z0-9_]*_\([a-z0-9]*\)$/_\1/p' out)
grep -qF -e "$names" manual || fail "--man has no isa with $names"
cp manual out
if command -v groff >/dev/null; then
    groff -man -ww -Tascii out >/dev/null 2>warnings
    [ ! -s warnings ] || fail "groff: $(cat warnings)"
fi
run --list schedulers
[ "$(wc -l <out)" -eq 17 ] || fail "$(wc -l <out) lines, expected one for each of 17 schedulers"
run --list 'schedulers=DPM++ 2M'
grep -q '^dpm++2m: ' out && grep -q 'solver_order=2' out || fail 'no details'
run --list schedulers=nonesuch
expect_error 2 "diffuse: --list: unknown scheduler 'nonesuch'" 'hint: --list schedulers'
# Of the cache those that are pipelines, and whose main revision is there.
commit=0123456789abcdef0123456789abcdef01234567
export HF_HUB_CACHE=$PWD/hub
for repo in models--org--name models--lone models--org--lora models--org--old datasets--org--data models--a--b--c; do
    mkdir -p "hub/$repo/refs" "hub/$repo/snapshots/$commit"
    printf %s $commit >"hub/$repo/refs/main"
    echo '{}' >"hub/$repo/snapshots/$commit/model_index.json"
done
rm hub/models--org--lora/snapshots/$commit/model_index.json hub/models--org--old/refs/main
run --list models
expect_code 0
expect_out lone org/name
run --list models -j
expect_out '{"models":["lone","org/name"]}'
HF_HUB_CACHE=nowhere run --list models
expect_error 0 'no models in nowhere (HF_HUB_CACHE says where)'
HF_HUB_CACHE=nowhere run --list models -j
expect_out '{"models":[]}'

run --version
[ "$(head -n 1 out)" = 'diffuse 0.1.0' ] || fail "first line: $(head -n 1 out)"
if command -v bash >/dev/null; then
    run --completion bash
    bash -n out 2>err || fail 'not a bash script'
    words=$(bash -c '. ./out; COMP_WORDS=(diffuse --on-exists = s); COMP_CWORD=3; _diffuse; echo "${COMPREPLY[@]}"')
    [ "$words" = skip ] || fail "completes to '$words', expected 'skip'"
    # schedulers, their options, the models that are there
    completed() { bash -c '. ./out; COMP_WORDS=(diffuse "$1" "$2"); COMP_CWORD=2; _diffuse; echo "${COMPREPLY[@]}"' - "$1" "$2"; }
    [ "$(completed -x eul)" = 'euler euler_a' ] || fail "-x eul completes to '$(completed -x eul)'"
    [ "$(completed -x unipc,solver_o)" = unipc,solver_order= ] || fail "options: '$(completed -x unipc,solver_o)'"
    # adapters: the files that can be one, and where they may be
    mkdir adapters && touch adapter.safetensors adapter.txt
    [ "$(completed --lora adap)" = 'adapter.safetensors adapters' ] || fail "adapters: '$(completed --lora adap)'"
    [ "$(completed --lora-dir adap)" = adapters ] || fail "directories: '$(completed --lora-dir adap)'"
    # pictures are the operands of what looks at them
    what='pictures'
    operands() { bash -c '. ./out; COMP_WORDS=(diffuse "$@"); COMP_CWORD=$#; _diffuse; echo "${COMPREPLY[@]}"' - "$@"; }
    [ "$(operands --info adapter.txt adapter.s)" = adapter.safetensors ] || fail "a second picture: '$(operands --info adapter.txt adapter.s)'"
    [ "$(operands -j --verify adapter.s)" = adapter.safetensors ] || fail "a picture: '$(operands -j --verify adapter.s)'"
    [ "$(operands --info adapter.txt --qui)" = --quiet ] || fail "an option: '$(operands --info adapter.txt --qui)'"
    [ -z "$(operands --infos adapter.s)" ] || fail 'a file in place of the prompt'
    mkdir bin && ln -s "$DIFFUSE" bin/diffuse
    [ "$(PATH=$PWD/bin:$PATH completed -m org/n)" = org/name ] || fail "models: '$(PATH=$PWD/bin:$PATH completed -m org/n)'"
fi
finish
