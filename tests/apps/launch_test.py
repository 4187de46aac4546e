"""Ranks that srun started as worlds of their own refuse to run; those that a process manager started do not.

The launcher's variables are set by hand, so that no scheduler is needed. Usage: launch_test.py MPIEXEC PARTITA_TRAIN PARTITA_INFER PARTITA_BENCH_COMM PARTITA_SWEEP SOURCE_FOLDER
"""
import os
import pathlib
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, infer, bench, sweep, source = sys.argv[1:7]
clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PMI"))}
config = f"--config={source}/inputs/runs/digits_mlp.ini"


def run(*command, **variables):
    return jobs.run(command, env=clean | variables)


with tempfile.TemporaryDirectory() as folder:
    output = pathlib.Path(folder) / "result.h5"
    alone = {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}
    for command in ((train, config, "--train.steps=1"), (infer, config), (bench, "--bytes=64", "--samples=2"),
                    (sweep, f"--config={source}/inputs/sweeps/digits_learning_rate_batch.ini", "--sweep.ranks=1")):
        result = run(*command, f"--output={output}", **alone)
        assert result.returncode == 2 and result.stderr.count("SLURM_STEP_NUM_TASKS = 4") == 1, result
        assert "--mpi=pmi2" in result.stderr and "STATUS" not in result.stdout and not output.exists(), result
    both = run(train, config, "--train.batch=-1", **alone)
    assert both.returncode == 2 and "train.batch" in both.stderr and "--mpi=pmi2" in both.stderr, both
    short = (train, config, "--train.steps=1", "--evaluate.every=0")
    # One task; a program in a batch script outside any step; mpiexec, whose proxies are a step of their own.
    assert run(*short, **alone | {"SLURM_STEP_NUM_TASKS": "1"}).returncode == 0
    assert run(*short, SLURM_JOB_ID="7", SLURM_NTASKS="4").returncode == 0
    for ranks in ("1", "3"):
        result = run(mpiexec, "-n", ranks, *short, **alone | {"SLURM_STEP_NUM_TASKS": "2"})
        assert result.returncode == 0, result
    assert run(train, "--help", **alone).returncode == 0
