#!/bin/bash
# Plants each mistake of mutants.txt by itself, builds the test that it names and expects that test to fail: a mistake that stays green
# is a hole in the tests. In copies of the tree, build/mutants/N, which are kept between runs.
# ONLY: an extended regular expression of the lines to try. JOBS: so many at a time (1).
cd "$(dirname "$0")/../.." || exit 1
root=$PWD place=$PWD/build/mutants jobs=${JOBS:-1}
unset MAKEFLAGS MAKELEVEL DIFFUSE_MODEL
mkdir -p "$place" || exit 1
(git ls-files -co --exclude-standard | sort | while read -r f; do [ ! -f "$f" ] || echo "$f"; done) >"$place/files"

# Into a copy go files of today, and none that are gone; build outputs stay, so that little is compiled.
refresh() {
    restore
    find . -path ./build -prune -o -type f -printf '%P\n' | sort | comm -23 - "$place/files" | grep -vx log | xargs -r -d '\n' rm -f
    local f
    while read -r f; do
        [ "$root/$f" -nt "$f" ] || continue
        mkdir -p "$(dirname "$f")" && cp -p "$root/$f" "$f"
    done <"$place/files"
}

# Programs that run the command say so.
build() {
    local targets=build/release/$1
    case $1 in *.sh) targets= ;; esac
    if [ -z "$targets" ] || grep -qs DIFFUSE "test/$1.c"; then targets="$targets build/release/diffuse"; fi
    # what a script runs beside it
    ! grep -qs test_synthetic "test/cli/$1" || targets="$targets build/release/test_synthetic"
    # shellcheck disable=SC2086
    make -s CUDA=no $targets >log 2>&1
}

run() {
    local program=build/release/$1
    case $1 in *.sh) program=test/cli/$1 ;; esac
    DIFFUSE=$tree/build/release/diffuse BUILD=$tree/build/release timeout -k 5 "${TEST_SECONDS:-300}" "$program" >log 2>&1 </dev/null
}

restore() {
    [ -e mutated ] || return
    cp "$root/$(cat mutated)" "$(cat mutated)"
    rm mutated
}

# plant FILE OLD NEW: OLD, which must stand there once, becomes NEW
plant() {
    local text rest
    text=$(<"$1") && rest=${text#*"$2"}
    [ "$rest" != "$text" ] && [ "${rest#*"$2"}" = "$rest" ] || return 1
    echo "$1" >mutated
    printf '%s%s%s\n' "${text%%"$2"*}" "$3" "$rest" >"$1"
}

# Says what is wrong, with so many lines of the log.
say() {
    wrong=$((wrong + 1))
    echo "$1: $file: $old => $new ($test)"
    [ -z "$2" ] || tail -n "$2" log | sed 's/^/    /'
}

# try FILE TEST OLD NEW
try() {
    file=$1 test=$2 old=$3 new=$4
    n=$((n + 1))
    case $green in
    *" $test "*) ;;
    *)
        case $red in *" $test "*) say 'red without a mistake'; return ;; esac
        # again: some measure time
        build "$test" && { run "$test" || run "$test" || run "$test"; } || { red="$red$test "; say 'red without a mistake' 10; return; }
        green="$green$test "
        ;;
    esac
    plant "$file" "$old" "$new" || { say 'not there once'; return; }
    if ! build "$test"; then say 'does not build' 5
    elif run "$test"; then say SURVIVED
    else echo "red: $file: $old => $new ($test)"; fi
    restore
}

# work I: the I-th share of the list; the lines of one test are of one share
work() {
    tree=$place/$1 n=0 wrong=0 green=' ' red=' '
    local file test rest old seen=0
    local -A share
    mkdir -p "$tree" && cd "$tree" || exit 1
    trap restore EXIT
    trap 'exit 130' INT TERM
    refresh
    while read -r file test rest; do
        case $file in '' | '#'*) continue ;; esac
        [[ "$file $test $rest" =~ ${ONLY:-.} ]] || continue
        [ -n "${share[$test]}" ] || share[$test]=$((seen++ % jobs + 1))
        [ "${share[$test]}" -eq "$1" ] || continue
        old=${rest%% =>*} rest=${rest#* =>}
        try "$file" "$test" "$old" "${rest# }"
    done <"$root/test/mutants/mutants.txt"
    echo "$n $wrong" >"$place/result.$1"
}

rm -f "$place"/result.*
for ((i = 1; i <= jobs; i++)); do work $i & done
wait
n=0 wrong=0
for ((i = 1; i <= jobs; i++)); do
    read -r count bad <"$place/result.$i" || exit 1
    n=$((n + count)) wrong=$((wrong + bad))
done
echo "$n mistakes, $wrong wrong"
[ "$n" -gt 0 ] && [ "$wrong" -eq 0 ]
