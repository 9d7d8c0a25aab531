#!/bin/sh
# What the Makefile remembers, rebuilds, says and installs, in a tree of its own.
. "$(dirname "$0")/common"
root=$(dirname "$(dirname "$(dirname "$MODEL")")")
unset MAKEFLAGS MAKELEVEL MFLAGS BUILD CC CUDA MARCH PREFIX CUDA_ARCH config
tree=$work/tree
mkdir "$tree"
for f in bench cli cuda engine main.c models schedulers test tokenizer LICENSE README.md SECURITY.md Makefile; do ln -s "$root/$f" "$tree/$f"; done
cd "$tree" || exit 1
now() { make "$@" help | tail -n 1; }
object=build/release/engine/base/text.o

# a setting holds until given anew, from the command line or the environment
case $(now CUDA=no MARCH=x86-64 CUDA_ARCH="80 90") in *"config=release MARCH=x86-64 "*"CUDA=no CUDA_ARCH=80 90"*) ;; *) fail "settings are not taken: $(now)" ;; esac
case $(now) in *"config=release MARCH=x86-64 "*"CUDA=no CUDA_ARCH=80 90"*) ;; *) fail "settings are forgotten: $(now)" ;; esac
case $(CC=gcc now MARCH=x86-64-v2) in *"MARCH=x86-64-v2 CC=gcc "*"CUDA=no"*) ;; *) fail "a new setting is not taken: $(now)" ;; esac
case $(now) in *"MARCH=x86-64-v2 CC=gcc "*"CUDA=no"*) ;; *) fail "the environment's is forgotten: $(now)" ;; esac
# a build in a folder of its own, and a dry run, change none
make BUILD=build/other MARCH=x86-64 help >/dev/null
make -n MARCH=x86-64 help >/dev/null
case $(now) in *"MARCH=x86-64-v2 CC=gcc "*) ;; *) fail "another folder's settings are remembered: $(now)" ;; esac
make config=debug help >/dev/null
case $(now) in *"config=debug "*) ;; *) fail "the configuration is forgotten: $(now)" ;; esac
make config=release help >/dev/null

# what another setting made is made again, and nothing else
[ "$(make $object)" = "CC    engine/base/text.c" ] || fail "$object: not one quiet line"
[ -z "$(make -s $object)" ] || fail "$object: made twice"
case $(make MARCH=x86-64 V=1 $object) in *"gcc -std=c11"*"-march=x86-64 "*) ;; *) fail "MARCH= or V=1 ignored" ;; esac
make build/asan/engine/base/text.o >/dev/null || fail "build/asan/…: the folder does not name the configuration"
nm build/asan/engine/base/text.o | grep -q __asan || fail "build/asan: no sanitizer"
case $(now) in *"config=release "*) ;; *) fail "a file asked for changes the configuration" ;; esac
make -n test 2>&1 | grep -q 'test/run.sh .*test_arena\|test/run.sh .*test_text' || fail "make test is not make check"

# a library that is not there is named as its package
printf '#!/bin/sh\n[ "$1" != -E ] || exit 0\nfor a; do [ "$a" != -E ] || { grep -q dnnl && exit 1; exit 0; }; done\nexec gcc "$@"\n' >cc
chmod +x cc
make CC="$tree/cc" $object >out 2>&1 && fail "made without oneDNN"
grep -qx 'missing: apt-get install libdnnl-dev' out || fail "the package is not named: $(cat out)"

# what install puts there, uninstall takes away
cp "$DIFFUSE" diffuse
make -o diffuse CC=gcc PREFIX="$work/usr" install >/dev/null || fail "install"
for f in bin/diffuse share/bash-completion/completions/diffuse share/zsh/site-functions/_diffuse share/fish/vendor_completions.d/diffuse.fish share/diffuse/doodle/model_index.json share/doc/diffuse/LICENSE; do
    [ -s "$work/usr/$f" ] || fail "not installed: $f"
done
make uninstall >/dev/null
[ -z "$(find "$work/usr" ! -type d)" ] || fail "left by uninstall: $(find "$work/usr" ! -type d)"
finish
