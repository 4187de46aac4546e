# How a job script starts Partita's programs, survives its time limit and continues after it. Sourced by the scripts beside it.
#
# All of it is set by environment variables at submission, such as PARTITA_CONFIG=my.ini sbatch slurm/data.sbatch; what follows
# the script's name goes to the program: sbatch slurm/data.sbatch --train.epochs=20.
#
#   PARTITA_HOME      folder that holds slurm/ and inputs/: a checkout, or share/partita of an installation  [where sbatch was called]
#   PARTITA_BIN       folder of the programs              [build/release/bin in PARTITA_HOME, else PREFIX/bin, else found by PATH]
#   PARTITA_CONFIG    run file                            [inputs/runs/digits_cnn.ini in PARTITA_HOME]
#   PARTITA_OUTPUT    result file, or folder of the results of an array or a study              [NAME-JOB.h5 or NAME-JOB where sbatch was called]
#   PARTITA_GRID      "data=2 tensor=4": a grid instead of the script's strategy, or "file": the run file's own
#   PARTITA_LAUNCHER  srun or mpiexec                     [srun]
#   PARTITA_MPI       interface between srun and the MPI library                                [pmi2]
#   PARTITA_CPU_BIND  of srun                             [cores]
#   PARTITA_RESTARTS  requeues after which a job that keeps being checkpointed is given up      [100]
#   PARTITA_RESUME    1: continue from the checkpoints of an earlier job; PARTITA_OUTPUT names its result

: "${PARTITA_HOME:=$SLURM_SUBMIT_DIR}"
: "${PARTITA_CONFIG:=$PARTITA_HOME/inputs/runs/digits_cnn.ini}"
: "${PARTITA_LAUNCHER:=srun}" "${PARTITA_MPI:=pmi2}" "${PARTITA_CPU_BIND:=cores}" "${PARTITA_RESTARTS:=100}"

# Exit codes of the programs.
readonly partita_bad_input=2 partita_checkpointed=75

# Says what is wrong with the job's environment and ends it.
partita_refuse() {
  echo "$SLURM_JOB_NAME: $*" >&2
  exit "$partita_bad_input"
}

# Path of a program.
partita_program() {
  local folder
  for folder in ${PARTITA_BIN:+"$PARTITA_BIN"} "$PARTITA_HOME/build/release/bin" "$PARTITA_HOME/../../bin"; do
    if [ -x "$folder/$1" ]; then
      echo "$folder/$1"
      return
    fi
    [ -z "${PARTITA_BIN:-}" ] || partita_refuse "PARTITA_BIN = $PARTITA_BIN: has no program $1"
  done
  command -v "$1" || partita_refuse "$1 is neither below PARTITA_HOME = $PARTITA_HOME nor in PATH; set PARTITA_BIN to its folder"
}

# Starts a command on so many nodes and tasks and waits for it; the exit code. A signal of the batch shell's (sbatch
# --signal=B:USR1@…) is handed on to the launcher, and by it to the ranks.
#
# -K1 ends the step when a rank dies, else the others would wait for ever. Since Slurm 22.05 a step does not inherit the CPUs
# of a task from its job, so that they are named. Not every launcher hands the ranks' exit code on after a signal (MPICH's
# mpiexec may answer 0), so that a checkpoint is known by the last line.
partita_launch() {
  local nodes=$1 tasks=$2 launcher folder printer process status
  shift 2
  case "$PARTITA_LAUNCHER" in
    srun)
      launcher=(srun "--mpi=$PARTITA_MPI" -K1 "--nodes=$nodes" "--ntasks=$tasks" "--cpus-per-task=${SLURM_CPUS_PER_TASK:-1}"
                "--cpu-bind=$PARTITA_CPU_BIND") ;;
    mpiexec) launcher=(mpiexec -n "$tasks" -ppn $(((tasks + nodes - 1) / nodes))) ;;
    *) partita_refuse "PARTITA_LAUNCHER = $PARTITA_LAUNCHER: must be srun or mpiexec" ;;
  esac
  folder=$(mktemp -d)
  mkfifo "$folder/pipe"
  (trap '' USR1 && exec tee "$folder/printed" <"$folder/pipe") &
  printer=$!
  "${launcher[@]}" "$@" >"$folder/pipe" &
  process=$!
  trap 'kill -USR1 "$process" 2>/dev/null || true' USR1
  # wait returns early when a signal was handed on.
  while true; do
    status=0
    wait "$process" || status=$?
    kill -0 "$process" 2>/dev/null || break
  done
  trap - USR1
  wait "$printer"
  ! grep -q '^STATUS: FAIL checkpointed' "$folder/printed" || status=$partita_checkpointed
  rm -r "$folder"
  return "$status"
}

# --strategy=$1, or what PARTITA_GRID says instead; one argument a line.
partita_split() {
  local extent
  case "${PARTITA_GRID:-}" in
    "") echo "--strategy=$1" ;;
    file) ;;
    *) for extent in $PARTITA_GRID; do echo "--grid.$extent"; done ;;
  esac
}

# Ends the job where a back-end cannot be had (a build without it, a node without a device), before other nodes are kept waiting for it.
partita_require_backend() {
  local program message
  program=$(partita_program partita-train)
  message=$("$program" "--config=$PARTITA_CONFIG" "--compute.backend=$1" --dry-run 2>&1 >/dev/null) && return
  case "$message" in
    *compute.backend*) partita_refuse "$program cannot compute with back-end $1, which this script is for: $message" ;;
  esac
}

# Puts the job back into the queue after a checkpoint, where it continues with --resume; returns where it may not.
partita_requeue() {
  local restarts=${SLURM_RESTART_COUNT:-0}
  if [ "$restarts" -ge "$PARTITA_RESTARTS" ]; then
    echo "$SLURM_JOB_NAME: checkpointed, and given up after $restarts restarts (PARTITA_RESTARTS)" >&2
  else
    echo "$SLURM_JOB_NAME: checkpointed, restart $((restarts + 1)) is requeued" >&2
    if scontrol requeue "$SLURM_JOB_ID"; then sleep 60; fi  # until Slurm ends this script
  fi
}

# Runs a program on all tasks of the job, after a restart with --resume: partita_run PROGRAM ARGUMENT… A checkpoint on a
# signal requeues the job.
partita_run() {
  local program status=0
  program=$(partita_program "$1")
  local arguments=("${@:2}")
  if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] || [ "${PARTITA_RESUME:-0}" = 1 ]; then arguments+=(--resume); fi
  partita_launch "$SLURM_JOB_NUM_NODES" "$SLURM_NTASKS" "$program" "${arguments[@]}" || status=$?
  [ "$status" -ne "$partita_checkpointed" ] || partita_requeue
  return "$status"
}

# Trains on all tasks of the job: partita_train STRATEGY OUTPUT ARGUMENT…
partita_train() {
  local split
  readarray -t split < <(partita_split "$1")
  partita_run partita-train "--config=$PARTITA_CONFIG" "--output=$2" "--compute.threads=${SLURM_CPUS_PER_TASK:-1}" "${split[@]}" "${@:3}"
}
