#!/bin/sh
# `make dist`: what is in the tarball, that nothing of the system but libc's and gcc's libraries is asked for, hardening, the same bytes again.
. "$(dirname "$0")/common"
command -v dpkg >/dev/null || skip 'no dpkg: the tarball is made of packages and their licences'
root=$(dirname "$(dirname "$(dirname "$MODEL")")")
unset MAKEFLAGS MAKELEVEL MFLAGS BUILD CC CUDA MARCH PREFIX CUDA_ARCH config
export SOURCE_DATE_EPOCH=1000000000
mkdir "$work/tree" "$work/elsewhere" && cd "$work/tree" || exit 1
for f in cli cuda engine main.c models schedulers tokenizer LICENSE README.md SECURITY.md Makefile; do ln -s "$root/$f" .; done

# not the compiler's best, which takes minutes
dist() {
    what='make dist'
    make -s CUDA=no EXTRA_CFLAGS=-O1 dist >out 2>err || fail "not made: $(tail -n 5 out err)"
}
dist
name=diffuse-$("$DIFFUSE" --version | sed -n '1s/.* //p')-linux-x86_64
made=build/release/dist/$name.tar.gz
cp "$made" first
rm -f build/release/dist/build/main.o build/release/dist/build/libdiffuse.a
(umask 077 && dist)
cmp first "$made" || fail 'another run, other bytes'

tar -tvzf first >list || fail 'no tarball'
awk '$2 != "0/0" || $4 != "2001-09-09" || $1 !~ /^(drwxr-xr-x|-rwxr-xr-x|-rw-r--r--)$/' list >bad
[ ! -s bad ] || fail "owner, time or mode: $(head -n 1 bad)"
awk '{print $6}' list >names
LC_ALL=C sort -c names || fail 'not sorted'
tar -xzf first -C "$work/elsewhere" && cd "$work/elsewhere" || exit 1
tree=$PWD/$name
[ "$(ls)" = "$name" ] || fail "unpacks to $(ls)"
grep -rlF "$work" "$name" >bad
[ ! -s bad ] || fail "the builder's folder is in $(cat bad)"
for f in bin/diffuse share/man/man1/diffuse.1 share/bash-completion/completions/diffuse share/zsh/site-functions/_diffuse \
    share/fish/vendor_completions.d/diffuse.fish share/diffuse/doodle/model_index.json share/doc/diffuse/README.md share/doc/diffuse/LICENSE share/doc/diffuse/SECURITY.md; do
    [ -s "$tree/$f" ] || fail "not there: $f"
done

# libraries: each with its licence; of the system libc's and gcc's alone
what=ldd
ldd "$tree/bin/diffuse" >libraries
awk '$3 ~ "^/" {print $3}' libraries | grep -v "^$tree/" | sed 's|.*/||' | sort >system
printf '%s\n' libc.so.6 libgcc_s.so.1 libm.so.6 libstdc++.so.6 | diff - system >&2 || fail "asks the system for: $(tr '\n' ' ' <system)"
! grep 'not found' libraries || fail 'a library is missing'
ours=$(cd "$tree/lib/diffuse" && ls *.so* | wc -l)
[ "$ours" -ge 8 ] && [ "$ours" -eq "$(ls "$tree/share/doc/diffuse/licences" | wc -l)" ] || fail "$ours libraries, licences: $(ls "$tree/share/doc/diffuse/licences")"
for f in "$tree"/share/doc/diffuse/licences/*; do grep -qiE 'licen[cs]e|permission' "$f" || fail "no licence: $f"; done
if grep -q '^VERSION_ID="12"' /etc/os-release && grep -q '^ID=debian' /etc/os-release; then
    newest=$(find "$tree" -type f \( -name '*.so*' -o -path '*/bin/*' \) -exec readelf -VW {} + | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -n 1)
    [ "$(printf '%s\n' GLIBC_2.36 "$newest" | sort -V | tail -n 1)" = GLIBC_2.36 ] || fail "needs $newest"
fi

# a binary that reads strangers' files
what='readelf'
readelf -WldhsS --dyn-syms "$tree/bin/diffuse" >elf
for has in 'Type: *DYN' GNU_RELRO 'FLAGS.*NOW' 'GNU_STACK.* RW  *0x'; do grep -qE "$has" elf || fail "no $has"; done
! grep -qE 'TEXTREL|RWE' elf || fail 'memory that is written and run'
for has in __stack_chk_fail '__[a-z]*printf_chk'; do grep -qE "$has" elf || fail "no $has"; done
[ "$(readelf -d "$tree/bin/diffuse" | grep -c 'RPATH.*\[$ORIGIN/../lib/diffuse\]')" -eq 1 ] || fail 'not RPATH: LD_LIBRARY_PATH would go first'

# draws from another folder, without any environment, what the build for this machine draws; and as a CPU of the oldest kind would
what='env -i diffuse'
for isa in '' sse2; do
    (cd / && env -i DIFFUSE_ISA=$isa "$tree/bin/diffuse" "a red cat" -s 7 --steps 3 -f -o "$work/cat.png") >out 2>err || fail "draws nothing: $isa"
    expect_png "$work/cat.png"
    "$DIFFUSE" --verify "$work/cat.png" >out 2>err || fail "another picture: $(cat out)"
done
finish
