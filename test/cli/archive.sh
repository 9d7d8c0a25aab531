#!/bin/sh
# --archive: a batch's pictures as a tar stream on standard output, each with its settings beside it.
. "$(dirname "$0")/common"
command -v tar >/dev/null || skip 'no tar here'

# archive ARGUMENT...: of jobs.jsonl, into ./out.
archive() { run -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b jobs.jsonl -o - --archive tar "$@"; }

# What comes out is what -o box/ writes, and its own settings; nothing is named by chance.
printf '%s\n' '{"id":"a","prompt":"a cat"}' '{"prompt":"a dog","count":2}' '{"prompt":"a","output":"sub/c.webp","quality":100}' >jobs.jsonl
archive
expect_code 0
cp out first.tar
tar tf first.tar >names 2>err || fail 'tar does not take it'
[ ! -s err ] || fail "tar says $(cat err)"
printf '%s\n' a.png a.json 00000002-1.png 00000002-1.json 00000002-2.png 00000002-2.json sub/c.webp sub/c.json >expected
expect_same expected names
[ $(($(wc -c <first.tar) % 512)) = 0 ] || fail 'no whole blocks'
mkdir tree
tar xf first.tar -C tree
mkdir sub
run -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b jobs.jsonl -o ./
for file in a.png 00000002-1.png 00000002-2.png sub/c.webp; do expect_same $file tree/$file; done
run --info tree/a.png -j
seed=$(grep -o '"seed":[0-9]*' tree/00000002-2.json)
[ "$seed" = '"seed":2' ] || fail "its JSON says $seed"
grep -q '"prompt":"a dog"' tree/00000002-2.json || fail 'no prompt'
archive
expect_same first.tar out # the same bytes: no time, no owner
tar tvf first.tar | grep -q '1970' || fail 'a time is in it'

[ "$(tail -c 1024 out | tr -d '\0' | wc -c)" = 0 ] || fail 'no end of the archive'

# An entry that ends where a block does has nothing behind it.
n=$(wc -c <tree/a.json)
printf '{"id":"a","prompt":"a cat%s"}\n{"id":"b","prompt":"b"}\n' "$(head -c $((512 - n % 512)) /dev/zero | tr '\0' x)" >jobs.jsonl
archive
tar tvf out >names 2>err
[ "$(awk '$NF == "a.json" {print $3 % 512}' names) $(wc -l <names)" = '0 4' ] || fail "entries: $(cat names)"

# Nobody's settings with --metadata none.
archive --metadata none
tar tf out >names
grep json names && fail 'settings are told'

# A job that fails leaves no entry, and the archive is whole.
printf '%s\n' '{"id":"a","prompt":"a"}' '{"id":"b","prompt":"a","clip_skip":99}' '{"id":"a","prompt":"b"}' '{"id":"a.b","prompt":"b"}' '{"id":"d","prompt":"a"}' >fails.jsonl
what='a pipe of jobs, some of which fail'
cat fails.jsonl | "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b - -o - --archive tar >out 2>err
code=$?
expect_code 1
tar tf out >names || fail 'tar does not take it'
printf '%s\n' a.png a.json d.png d.json >expected
expect_same expected names
printf '%s\n' 'diffuse: standard input: line 2: --clip-skip 99: the text encoder has 3 layers' \
    'diffuse: standard input: line 3: a.png: line 1 made it: expected another "id" or "output"' \
    'diffuse: standard input: line 4: a.b.png: expected one dot for --archive, where the extension begins, found more' >expected
expect_same expected err

# A reader that goes, and a full disk.
what='a reader that goes'
(
    "$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b jobs.jsonl -o - --archive tar 2>err
    echo $? >code
) | head -c 100 >/dev/null
[ "$(cat code)" = 141 ] || fail "exit code $(cat code)"
"$DIFFUSE" --device cpu -m "$MODEL" --steps 1 --threads 1 -q -s 1 -b jobs.jsonl -o - --archive tar >/dev/full 2>err
code=$?
expect_code 74

# What does not go together.
refused() {
    message=$1
    shift
    archive "$@"
    expect_error 2 "diffuse: $message"
}
refused '--archive and --resume: no picture is a file' --resume
refused '--sheet and --output -: expected a file for each picture' --sheet s.png
refused '--archive and --json: both write to standard output' --json
refused '--archive and --null: both write to standard output' --null
refused 'jobs.jsonl: line 1: save-every and --archive: finished pictures alone go into it' --save-every 1
run -m "$MODEL" -b jobs.jsonl -o box/ --archive tar
expect_error 2 'diffuse: --archive: it is written to standard output: expected -o -, found -o box/' 'hint: -o - --archive tar >FILE.tar'
draw x -o - --archive tar
expect_error 2 'diffuse: --archive: expected --batch with it, found none'
finish
