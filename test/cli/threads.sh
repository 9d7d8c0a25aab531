#!/bin/sh
# However many threads there are and whatever the environment says of them: the same picture, byte for byte; stdout is ours alone.
. "$(dirname "$0")/common"
unset OMP_NUM_THREADS

# same COMMAND...: in ./same.png, what ./expected.png is; the command runs the program.
same() {
    what="$* diffuse"
    rm -f same.png
    "$@" "$DIFFUSE" --device cpu -m "$MODEL" --dtype "$dtype" -s 1 --steps 2 -f -o same.png "a fox" >out 2>err </dev/null
    code=$?
    expect_code 0
    expect_same same.png expected.png
}

# few_threads COMMAND...: of five, the system grants two. The limit is none of root's.
few_threads() (
    [ "$(id -u)" -ne 0 ] || set -- setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    exec prlimit --nproc=2 "$@" --threads 5
)

chmod 777 .
for dtype in fp32 bf16 amx; do # bf16 by the twin of AMX, which every CPU has, too
    [ $dtype != amx ] || { dtype=bf16; export DIFFUSE_ISA=amx_twin; }
    run -m "$MODEL" --dtype "$dtype" --threads 1 -s 1 --steps 2 -f -o expected.png "a fox"
    [ "$dtype $code" = "bf16 69" ] && { echo "bf16: not run, this CPU has none"; continue; }
    expect_code 0
    for n in 2 3 5; do
        run -m "$MODEL" --dtype "$dtype" --threads $n -s 1 --steps 2 -f -o same.png "a fox"
        expect_code 0
        expect_same same.png expected.png
    done
    same env OMP_THREAD_LIMIT=1
    same env OMP_DYNAMIC=true
    same env OMP_MAX_ACTIVE_LEVELS=0
    same env OMP_NUM_THREADS=7
    same env OMP_WAIT_POLICY=active
    ! command -v taskset >/dev/null || same taskset -c "$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')"
    ! command -v prlimit >/dev/null || same few_threads
done
unset DIFFUSE_ISA

# A log of oneDNN's would stand in the PNG.
ONEDNN_VERBOSE=1 DNNL_VERBOSE=1 ONEDNN_JIT_DUMP=1 "$DIFFUSE" --device cpu -m "$MODEL" -s 1 --steps 1 -o - "a fox" >out.png 2>err
code=$? what='ONEDNN_VERBOSE=1 diffuse -o -'
expect_code 0
expect_png out.png
[ "$(head -c 4 out.png | tail -c 3)" = PNG ] || fail "stdout does not begin with a PNG"
ls dnnl_dump* >/dev/null 2>&1 && fail "oneDNN's kernels were dumped"
finish
