#!/bin/sh
# What fish completes by --completion fish.
. "$(dirname "$0")/common"
command -v fish >/dev/null || skip 'there is no fish'
export HOME=$work XDG_CONFIG_HOME=$work XDG_DATA_HOME=$work
commit=0123456789abcdef0123456789abcdef01234567
mkdir hub bin adapters box/dir
touch adapter.safetensors adapter.txt
mkdir -p hub/models--org--name/snapshots/$commit hub/models--org--name/refs
printf %s $commit >hub/models--org--name/refs/main
echo '{}' >hub/models--org--name/snapshots/$commit/model_index.json
ln -s "$DIFFUSE" bin/diffuse
export HF_HUB_CACHE=$work/hub PATH=$work/bin:$PATH
run --completion fish
mv out diffuse.fish
fish -n diffuse.fish 2>err || fail 'not a fish script'

# completes LINE WORD...: to these, in the shell's order.
completes() {
    what=$1
    fish -c 'source diffuse.fish; complete -C "$argv[1]"' "$1" 2>err | cut -f 1 | tr '\n' ' ' >out
    shift
    [ "$(cat out)" = "$* " ] || fail "completes to '$(cat out)', expected '$*'"
}
completes 'diffuse --on-exists s' skip
completes 'diffuse --on-exists=' --on-exists=error --on-exists=number --on-exists=overwrite --on-exists=skip
completes 'diffuse -f --sheet=box/d' --sheet=box/dir/
completes 'diffuse --no-cl' --no-clobber
completes 'diffuse -x eul' euler euler_a
completes 'diffuse --scheduler unipc,solver_o' unipc,solver_order=
completes 'diffuse -m org/n' org/name
# what can be one before what cannot
completes 'diffuse --lora adap' adapter.safetensors adapter.txt adapters/
completes 'diffuse --lora-dir adap' adapters/
finish
