#!/bin/sh
# Failing system calls, injected by strace: the exit code of an I/O error, one line, nothing left in the directory.
. "$(dirname "$0")/common"
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" # LeakSanitizer cannot work under strace
strace -o /dev/null true 2>err || skip "strace cannot trace here: $(cat err)"
draw x -o first.png

# inject RULE ARGUMENT...: draws box/a.png while strace meddles with its system calls.
inject() {
    rule=$1
    shift
    what="$rule: diffuse $*"
    strace -f -qq -o trace -e trace="${rule%%:*}" -e inject="$rule" \
        "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -o box/a.png "$@" >out 2>err
    code=$?
    grep -q 'INJECTED\|SIGTERM' trace || fail 'the call was never made'
}

inject write:error=ENOSPC:when=1
expect_error 74 'diffuse: box/a.png: No space left on device'
expect_box
inject write:error=EDQUOT:when=1
expect_error 74 'diffuse: box/a.png: Disk quota exceeded'
expect_box
inject fsync:error=EIO:when=1
expect_error 74 'diffuse: box/a.png: Input/output error'
expect_box
inject linkat:error=ENOSPC:when=1
expect_error 74 'diffuse: box/a.png: No space left on device'
expect_box
inject write:error=EINTR:when=1
expect_code 0
expect_same first.png box/a.png
rm box/a.png
for call in fsync linkat; do
    inject $call:error=EINTR:when=1+2
    expect_code 0
    expect_same first.png box/a.png
    rm -f box/a.png
done
for error in ENOENT EPERM EACCES EOPNOTSUPP; do # no /proc, a policy, a file system that promised more than it does
    inject linkat:error=$error
    expect_code 0
    expect_same first.png box/a.png
    expect_box a.png
    rm -f box/a.png
done
inject linkat:error=EEXIST:when=1 # somebody else was faster
expect_error 73 'diffuse: box/a.png: the file exists' 'hint: -f replaces it, --on-exists number picks another name'
expect_box
inject linkat:signal=SIGTERM:when=1
expect_code 143
rm -f box/a.png # linkat itself was done
inject linkat:signal=SIGTERM:when=1 --preview box/now.png
expect_code 143
expect_box

# A file system without O_TMPFILE: of the openat there, trying and doing, each of O_TMPFILE is refused.
fallback() {
    what="no O_TMPFILE: $*"
    strace -f -qq -o trace -P "$work/box" -e trace=openat,renameat2 -e inject=openat:error=EOPNOTSUPP:when=2+5 "$@" \
        "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -o "$work/box/a.png" >out 2>err
    code=$?
    grep -q 'O_TMPFILE.*INJECTED' trace || fail 'O_TMPFILE was not refused'
    ! grep -q 'O_TMPFILE.* = [0-9]' trace || fail 'O_TMPFILE was not refused each time'
}

# opening ERROR CODE: what a file of the checkpoint that cannot be opened is.
opening() {
    what="open: $1"
    strace -f -qq -o trace -P "$MODEL/unet/config.json" -e trace=openat -e inject=openat:error="$1" \
        "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 --threads 1 x -o box/a.png >out 2>err
    code=$?
    grep -q INJECTED trace || fail 'the call was never made'
    expect_code "$2"
    [ "$(wc -l <err)" -eq 1 ] || fail 'more than a line'
    expect_box
}
opening EMFILE 71
opening ENFILE 71
opening EIO 74
opening EACCES 66

fallback
expect_code 0
expect_same first.png box/a.png
rm -f box/a.png
fallback -e inject=renameat2:error=ENOSPC
expect_code 74
expect_box
fallback -e inject=renameat2:error=EIO:signal=SIGINT
expect_code 130
expect_box
finish
