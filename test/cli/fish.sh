#!/bin/sh
# What fish completes by --completion fish.
shell=fish
. "$(dirname "$0")/shell"
mv out diffuse.fish
fish -n diffuse.fish 2>err || fail 'not a fish script'

# completes LINE WORD...: to these, in the shell's order.
completes() {
    what=$1
    fish -c 'source diffuse.fish; complete -C "$argv[1]"' "$1" 2>err | cut -f 1 | tr '\n' ' ' >out
    shift
    [ "$(cat out)" = "${*:+$* }" ] || fail "completes to '$(cat out)', expected '$*'"
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
# pictures are the operands of what looks at them
completes 'diffuse --info adapter.txt adapter.s' adapter.safetensors
completes 'diffuse -j --verify adapter.s' adapter.safetensors
completes 'diffuse -j adapter.s'
finish
