#!/bin/sh
# What zsh completes by --completion zsh: in a terminal of its own lines are typed, each ended by the tabulator and a key that says what stands
# there then, with < for the cursor: a whole word has a blank behind it.
shell=zsh
. "$(dirname "$0")/shell"
mkdir site
mv out site/_diffuse
zsh -n site/_diffuse 2>err || fail 'not a zsh script'

cat >typist <<'END'
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'fpath=($PWD/site $fpath); autoload -Uz compinit; compinit -u -d $PWD/dump; say() { print -r -- "$BUFFER<" >answer; BUFFER=; }; zle -N say; bindkey "^I" complete-word; bindkey "^T" say'
while read -r line; do
    zpty -w -n shell $line$'\t\x14'
    until read -r answer <answer; do :; done # the one before may not have closed it yet
    print -r -- $answer
done
zpty -d shell
END
mkfifo answer
cat >pairs <<'END'
diffuse --on-exists s|diffuse --on-exists skip <
diffuse --on-exists=ov|diffuse --on-exists=overwrite <
diffuse --no-cl|diffuse --no-clobber <
diffuse -f x --show-s|diffuse -f x --show-schedule <
diffuse -f --sheet=box/d|diffuse -f --sheet=box/dir/<
diffuse --info adapter.t|diffuse --info adapter.txt <
diffuse --info adapter.txt adapter.s|diffuse --info adapter.txt adapter.safetensors <
diffuse --verify adapter.txt adapter.s|diffuse --verify adapter.txt adapter.safetensors <
diffuse -x unip|diffuse -x unipc <
diffuse --scheduler unipc,solver_o|diffuse --scheduler unipc,solver_order=<
diffuse -m org/n|diffuse -m org/name <
diffuse --lora adapter.|diffuse --lora adapter.safetensors <
diffuse --lora-dir ad|diffuse --lora-dir adapters/<
END
what='lines typed'
cut -d '|' -f 1 pairs | timeout -k 5 120 zsh -f typist >out 2>err || fail 'the typist failed'
cut -d '|' -f 2 pairs >expected
expect_same expected out
[ "$failures" = 0 ] || diff expected out
finish
