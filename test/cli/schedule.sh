#!/bin/sh
# --show-schedule and --list schedulers: tables for people, TSV and JSON for programs, and no weights needed.
root=$PWD
. "$(dirname "$0")/common"

# column NAME: of the TSV in ./out, one value a line.
column() { awk -F '\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i; next } { print $c }' out; }

run -m "$MODEL" --show-schedule --steps 4 -x ddim
expect_code 0
[ "$(wc -l <out)" -eq 6 ] || fail "$(wc -l <out) lines, expected 6"
run -m "$MODEL" --show-schedule --steps 4 -x ddim --json
expect_code 0
[ "$(tr '{' '\n' <out | grep -c '^"t":')" -eq 4 ] || fail 'not 4 rows'
! command -v jq >/dev/null || jq -e '.rows | length == 4' out >/dev/null || fail 'not JSON'

# every row has every column, for all schedulers the same ones
for x in ddim pndm heun dpm++2m:karras unipc ddpm lms; do
    run -m "$MODEL" --show-schedule --steps 5 -x $x --tsv
    expect_code 0
    head -n 1 out >head
    [ -f heads ] || cp head heads
    cmp -s head heads || fail 'another head'
    awk -F '\t' 'NR == 1 { n = NF } NF != n || n < 20 { exit 1 }' out || fail 'rows of different length'
    awk -F '\t' 'NR > 1 && $1 != NR - 1 { exit 1 } END { exit NR < 6 }' out || fail 'rows are not counted'
done
run -m "$MODEL" --show-schedule --steps 4 -x ddim --tsv
[ "$(column t | tr '\n' ' ')" = '751 501 251 1 ' ] || fail "timesteps are $(column t | tr '\n' ' ')"
[ "$(column noise | tr '\n' ' ')" = '0 0 0 0 ' ] || fail 'DDIM draws noise'

# the plot is for terminals
! grep -q 'sigma, logarithmic' out || fail 'a plot in a file'
if command -v script >/dev/null; then
    what='--show-schedule on a terminal'
    script -qec "'$DIFFUSE' -m '$MODEL' --show-schedule -x euler --steps 20" /dev/null </dev/null >out 2>err
    [ "$(tr -d '\r' <out | sed -n '/sigma, logarithmic/,$p' | wc -l)" -eq 11 ] || fail 'no plot of 11 lines'
    script -qec "'$DIFFUSE' -m '$MODEL' --show-schedule -x euler --steps 20 --tsv" /dev/null </dev/null >out 2>err
    [ "$(wc -l <out)" -eq 21 ] || fail 'TSV with more than its rows'
fi

# two files are enough
for model in tiny-sd1 tiny-ddpm-new; do
    mkdir -p bare/$model/scheduler
    cp "$root/test/fixtures/$model/model_index.json" bare/$model
    cp "$root/test/fixtures/$model/scheduler/scheduler_config.json" bare/$model/scheduler
    run -m "bare/$model" --show-schedule --steps 7
    mv out bare/out
    expect_code 0
    run -m "$root/test/fixtures/$model" --show-schedule --steps 7
    expect_same bare/out out
done
# model_index.json names the class, whoever wrote scheduler_config.json
sed -i 's/"PNDMScheduler"/"LMSDiscreteScheduler"/' bare/tiny-sd1/model_index.json
run -m bare/tiny-sd1 --show-schedule --steps 7
head -n 1 out | grep -q '^LMSDiscreteScheduler, 7 steps' || fail "draws with $(head -n 1 out)"
sed -i 's/"LMSDiscreteScheduler"/"FlowMatchEulerDiscreteScheduler"/' bare/tiny-sd1/model_index.json
run -m bare/tiny-sd1 --show-schedule --steps 7
expect_code 78
rm bare/tiny-sd1/scheduler/scheduler_config.json
run -m bare/tiny-sd1 --show-schedule
expect_code 78
sed -i 's/"FlowMatchEulerDiscreteScheduler"/"PNDMScheduler"/' bare/tiny-sd1/model_index.json
run -m bare/tiny-sd1 --show-schedule
expect_error 66 'diffuse: bare/tiny-sd1/scheduler/scheduler_config.json: No such file or directory'

run -m "$MODEL" --show-schedule --steps 100000 -x ddim
expect_code 2
[ ! -s out ] || fail 'stdout is not empty'
run -m "$MODEL" --show-schedule -x ddim --tsv --json
expect_error 2 'diffuse: --json and --tsv: expected one of them'
run -m "$MODEL" --show-schedule -x eulr
expect_error 2 "diffuse: --scheduler: unknown scheduler 'eulr'" "hint: did you mean 'euler'?"
run -m "$MODEL" --show-schedule -x euler,s_chrun=1
expect_error 2 "diffuse: --scheduler: EulerDiscreteScheduler has no option 's_chrun'; did you mean 's_churn'?"

# each scheduler is a paragraph: its names, model calls and options
run --list schedulers
expect_code 0
[ "$(wc -l <out)" -eq 17 ] || fail "$(wc -l <out) lines, expected 17"
[ -z "$(awk 'length > 84' out)" ] || fail 'a line beyond 84 columns'
cp out names
while read -r name rest; do
    run --list "schedulers=$name"
    expect_code 0
    grep -qF "$name: $rest" out || fail 'another name or summary'
    [ "$(grep -c '^  takes ' out)" -eq 1 ] || fail 'no options'
    [ "$(grep -c '^  calls .* for n steps$' out)" -eq 1 ] || fail 'no model calls'
    [ -z "$(sed -n '/^  takes/,/^$/p' out | awk 'length > 80 && NF > 1')" ] || fail 'options beyond 80 columns'
done <names
run --list schedulers=euler
grep -q ' s_churn=0' out || fail 'no option of step()'
run --list schedulers --json
expect_code 0
[ "$(wc -l <out)" -eq 1 ] || fail 'not one line'
grep -q '"model_calls":"2n - 1"' out || fail 'no model calls'
grep -q '{"key":"solver_type","default":"midpoint","values":\["midpoint","heun"\]}' out || fail 'no options'
! command -v jq >/dev/null || jq -e '.schedulers | length == 17' out >/dev/null || fail 'not JSON'
finish
