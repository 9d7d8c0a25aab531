#!/bin/sh
# Many jobs of mixed settings on one load, each file byte for byte what the command draws alone; memory and descriptors stay as they are.
# JOBS=1000 for the full number; DEVICE: of the emulated GPU a tenth (slow).
. "$(dirname "$0")/common"
jobs=${JOBS:-60} emulated=${EMULATED:-0}

# mixed FIRST LAST: JSON lines of settings that follow from the line's number, each of another kind, size, length.
mixed() {
    seq "$1" "$2" | awk -v image="$work/from.png" '
        BEGIN {split("pndm ddim euler euler-a dpm++2m unipc heun lms deis lcm kdpm2 dpm++2s ddpm", schedulers, " ")
               split("32x32 64x32 32x64 64x64 48x32", sizes, " ")
               split("fox cat dog barn kite", words, " ")}
        {i = $1; line = "{\"id\":\"" i "\",\"prompt\":\"a " words[i % 5 + 1] (i % 7 ? "" : " in the snow") "\",\"seed\":" i * 7919
         line = line ",\"steps\":" i % 4 + 2 ",\"size\":\"" sizes[int(i / 2) % 5 + 1] "\",\"scheduler\":\"" schedulers[int(i / 3) % 13 + 1] "\""
         if (i % 3 == 0) line = line ",\"guidance\":" i % 9 ",\"negative\":\"blurry " i % 2 "\""
         if (i % 11 == 0) line = line ",\"clip-skip\":1"
         if (i % 13 == 0) line = line ",\"rng\":\"cuda:132\""
         if (i % 17 == 0) line = line ",\"image\":\"" image "\",\"strength\":0.8"
         if (i % 19 == 0) line = line ",\"guidance-rescale\":0.5"
         if (i % 23 == 0) line = line ",\"output\":\"box/" i ".webp\",\"quality\":100"
         print line "}"}'
}

# alone LINE: the same by one command, its flags being the line's keys.
alone() {
    arguments=$(printf '%s\n' "$1" | sed 's/^{"id":"\([0-9]*\)",/{/; s/^{//; s/}$//; s/","/" "/g; s/,"/ "/g; s/"\([a-z-]*\)":/--\1=/g')
    case $arguments in *--output*) ;; *) arguments="$arguments --output=box/$2.png" ;; esac
    (cd alone && eval "\"\$DIFFUSE\" \$DEVICE -m \"\$MODEL\" --threads 1 -q $arguments") >out 2>err || fail "alone: $(cat err)"
}

draw 'a dog' -o from.png -q
mkdir -p alone/box

# compare FIRST LAST
compare() {
    mixed "$1" "$2" >jobs.jsonl
    what="jobs $1 to $2 $DEVICE"
    # shellcheck disable=SC2086
    "$DIFFUSE" $DEVICE -m "$MODEL" --threads 1 -q -b jobs.jsonl -o box/ >paths 2>err || fail 'the batch failed'
    while read -r line; do
        id=${line#*id\":\"} id=${id%%\"*}
        alone "$line" "$id"
    done <jobs.jsonl
    diff -r box alone/box >check || fail "$(head -n 5 check)"
    [ "$(ls box | wc -l)" = $(($2 - $1 + 1)) ] || fail "$(ls box | wc -l) pictures"
    rm -f box/* alone/box/*
}
DEVICE='--device cpu'
compare 1 "$jobs"
[ "$emulated" = 0 ] || {
    DIFFUSE=$(dirname "$DIFFUSE")/emu/diffuse DEVICE='--device cuda --dtype fp32'
    compare 1 "$emulated"
    DIFFUSE=$(dirname "$DIFFUSE")/../diffuse
}

# grown FIRST LAST: VmRSS in KB and descriptors once so many jobs are done, by a FIFO the batch waits at.
what='memory and descriptors'
mkfifo q answers
"$DIFFUSE" --device cpu -m "$MODEL" --threads 1 -q -b q -o box/ >answers 2>err &
process=$!
exec 4<answers 3>q
state() {
    mixed "$1" "$2" >&3
    for i in $(seq "$1" "$2"); do read -r path <&4; rm "$path"; done
    echo "$(awk '/VmRSS/ {print $2}' /proc/$process/status) $(ls /proc/$process/fd | wc -l)"
}
state 1 "$jobs" >first # every shape, scheduler and size has been there
state $((jobs + 1)) $((2 * jobs)) >second
state $((2 * jobs + 1)) $((3 * jobs)) >third
exec 3>&-
wait $process || fail "exit code $?"
exec 4<&-
read -r memory1 files1 <first
read -r memory2 files2 <second
read -r memory3 files3 <third
echo "$jobs jobs, then as many, then as many: $memory1, $memory2, $memory3 KB; $files1, $files2, $files3 descriptors"
[ "$files1 $files2" = "$files2 $files3" ] || fail 'descriptors leak'
[ $((memory3 - memory2)) -lt $((2048 + memory2 / 50)) ] || fail 'memory grows'

# A forecast, of which nothing depends on the line before, asks once what memory there is, whatever the shapes.
what='a forecast'
if strace -o /dev/null true 2>err; then
    mixed 1 200 >jobs.jsonl
    strace -f -qq -e trace=openat -o trace "$DIFFUSE" --device cpu -m "$MODEL" --threads 1 -q -b jobs.jsonl -o box/ --dry-run >out 2>err || fail 'it failed'
    asked=$(grep -c /proc/meminfo trace)
    [ "$asked" -ge 1 ] && [ "$asked" -le 3 ] || fail "memory is asked for $asked times"
fi

# …and what its lines are planned for is not kept: of ten times as many its memory is what it was.
# program FIRST LAST: "program_bytes" of a forecast, in KB.
program() {
    mixed "$1" "$2" >jobs.jsonl
    "$DIFFUSE" --device cpu -m "$MODEL" --threads 1 -q -b jobs.jsonl -o box/ --dry-run -j >out 2>err || fail 'it failed'
    echo $(($(sed -n 's/.*"program_bytes":\([0-9]*\).*/\1/p' out) / 1024))
}
few=$(program 1 300) many=$(program 1 3000)
echo "forecasts of 300 and 3000 jobs: $few, $many KB"
[ "$few" -gt 0 ] && [ $((many - few)) -lt 2048 ] || fail "memory grows: $few, then $many KB"
finish
