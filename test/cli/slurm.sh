#!/bin/sh
# examples/slurm.sbatch under a real Slurm: eight array tasks, one of them cancelled and submitted again, draw every job once. The daemons
# run as root from a folder of their own, without systemd, munge or cgroups.
. "$(dirname "$0")/common"
for program in slurmctld-wlm slurmd-wlm slurmstepd-wlm sbatch squeue; do
    PATH=$PATH:/usr/sbin command -v $program >/dev/null || skip "no $program here: Debian's slurm-wlm has it"
done
[ "$(id -u)" = 0 ] || skip 'Slurm without munge wants to be root'
unset SLURM_ARRAY_TASK_ID SLURM_PROCID SLURM_STEP_ID
jobs=${JOBS:-200}
examples=${MODEL%/test/*}/examples
here=$PWD
mkdir bin state spool
# Slurm asks under which name it was started, and drops its generic resources under any other
for daemon in slurmctld slurmd slurmstepd; do ln -s /usr/sbin/$daemon-wlm bin/$daemon; done
port=$((20000 + $$ % 20000))
cat >slurm.conf <<END
ClusterName=one
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$here/state
SlurmdSpoolDir=$here/spool
SlurmctldPidFile=$here/slurmctld.pid
SlurmdPidFile=$here/slurmd.pid
SlurmctldLogFile=$here/slurmctld.log
SlurmdLogFile=$here/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=1
ReturnToService=2
KillWait=5
GresTypes=gpu
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=2 SocketsPerBoard=1 CoresPerSocket=2 ThreadsPerCore=1 RealMemory=500 Gres=gpu:2 State=UNKNOWN
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
mknod gpu0 c 1 3 && mknod gpu1 c 1 3 || skip 'no devices can be made here'
printf 'AutoDetect=off\nName=gpu File=%s/gpu[0-1]\n' "$here" >gres.conf
export SLURM_CONF="$here/slurm.conf"
bin/slurmctld -D -f "$SLURM_CONF" >ctld.out 2>&1 &
controller=$!
bin/slurmd -D -f "$SLURM_CONF" -d "$here/bin/slurmstepd" >slurmd.out 2>&1 &
node=$!
trap 'kill $controller $node; wait $controller $node; rm -rf "$work"' EXIT

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    left=$(($1 * 5))
    shift
    until "$@" >check 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || {
            fail "waited in vain for: $*: $(tail -n 3 check slurmctld.log slurmd.log)"
            finish
        }
        sleep 0.2
    done
}
ready() { sinfo -h -o %T | grep -q -x idle; }
over() { [ -z "$(squeue -h -o %i)" ]; }
submit() { sbatch --parsable --output="$here/task-%a.log" --open-mode=append --chdir="$here" "$@"; }

what='Slurm'
wait_for 60 ready
seq "$jobs" | sed 's/.*/{"prompt":"a cat, number &","seed":&}/' >jobs.jsonl
ask="-m $MODEL --device cpu --threads 1 --steps 20 -q -b jobs.jsonl -o out/"
# shellcheck disable=SC2086
array=$(submit "$examples/slurm.sbatch" $ask) || fail 'sbatch failed'
wait_for 120 [ -e out/00000006.png ] # task 5's first
scancel "${array}_5"
wait_for 300 over
n=$(ls out | wc -l)
[ "$n" -lt "$jobs" ] || fail 'it was cancelled too late'
echo "$n of $jobs before"
# shellcheck disable=SC2086
submit --array=5 "$examples/slurm.sbatch" $ask >again || fail 'sbatch failed'
wait_for 120 over
cat task-*.log manifest-*.jsonl >err
[ "$(ls -A out | wc -l)" = "$jobs" ] || fail "$(ls -A out | wc -l) of $jobs"
for file in out/*; do expect_png "$file"; done
cat manifest-*.jsonl | sed 's/.*"line":\([0-9]*\),.*"code":\([0-9]*\).*/\1 \2/' | sort | uniq -d >twice
[ ! -s twice ] || fail "drawn twice: $(cat twice)"
[ "$(sort -u task-*.log | grep -c '^out/')" = "$jobs" ] || fail "told of were $(sort -u task-*.log | grep -c '^out/')"
finish
