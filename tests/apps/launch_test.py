"""Ranks that a launcher started as worlds of their own refuse to run; those that a process manager started do not.

The launchers' variables are set by hand, so that none of them is needed. Usage: launch_test.py MPIEXEC PARTITA_TRAIN PARTITA_INFER PARTITA_BENCH_COMM
PARTITA_BENCH_KERNELS PARTITA_SWEEP SOURCE_FOLDER
"""
import os
import pathlib
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, infer, bench, kernels, sweep, source = sys.argv[1:8]
counts = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "MVP_COMM_WORLD_SIZE", "FLUX_JOB_SIZE", "JSM_NAMESPACE_SIZE")
clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "PMI")) and name not in counts}
config = f"--config={source}/inputs/runs/digits_mlp.ini"


def run(*command, **variables):
    return jobs.run(command, env=clean | variables)


with tempfile.TemporaryDirectory() as folder:
    output = pathlib.Path(folder) / "result.h5"
    alone = {"SLURM_NTASKS": "4", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2"}
    for command in ((train, config, "--train.steps=1"), (infer, config), (bench, "--bytes=64", "--samples=2"), (kernels, "--benchmark_filter=none"),
                    (sweep, f"--config={source}/inputs/sweeps/digits_learning_rate_batch.ini", "--sweep.ranks=1")):
        result = run(*command, f"--output={output}", **alone)
        assert result.returncode == 2 and result.stderr.count("SLURM_STEP_NUM_TASKS = 4") == 1, result
        assert "--mpi=pmi2" in result.stderr and "STATUS" not in result.stdout and not output.exists(), result
    both = run(train, config, "--train.batch=-1", **alone)
    assert both.returncode == 2 and "train.batch" in both.stderr and "--mpi=pmi2" in both.stderr, both
    short = (train, config, "--train.steps=1", "--evaluate.every=0")
    for count in counts:
        result = run(*short, f"--output={output}", **{count: "4"})
        assert result.returncode == 2 and f"{count} = 4" in result.stderr and not output.exists(), (count, result)
    all_at_once = run(*short, **alone, **{count: "3" for count in counts})
    assert all(name in all_at_once.stderr for name in (*counts, "SLURM_STEP_NUM_TASKS")), all_at_once
    # A shell that mpiexec or srun started alone leaves counts of 1 to what is started from it by something else.
    for stale in ({"PMI_SIZE": "1"}, {"OMPI_COMM_WORLD_SIZE": "1"}):
        result = run(*short, **alone, **stale)
        assert result.returncode == 2 and "SLURM_STEP_NUM_TASKS = 4" in result.stderr, (stale, result)
    assert run(*short, OMPI_COMM_WORLD_SIZE="1", PMIX_NAMESPACE="slurm.pmix.7.0", **alone).returncode == 2
    assert run(mpiexec, "-n", "2", *short, f"--output={output}", FLUX_JOB_SIZE="3").returncode == 0, "mpiexec inside another launch"
    output.unlink()

    # One task; what a batch script inherits of its allocation; mpiexec, whose proxies are a step of their own.
    assert run(*short, **alone | {"SLURM_STEP_NUM_TASKS": "1"}, PMI_SIZE="1", FLUX_JOB_SIZE="1").returncode == 0
    assert run(*short, SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_NPROCS="4", OMPI_UNIVERSE_SIZE="4", PMI_SIZE="").returncode == 0
    for ranks in ("1", "3"):
        result = run(mpiexec, "-n", ranks, *short, **alone | {"SLURM_STEP_NUM_TASKS": "2"})
        assert result.returncode == 0, result
    for command in (train, bench, kernels, infer, sweep):
        for switch in ("--help", "--version"):
            assert run(command, switch, PMI_SIZE="4", **alone).returncode == 0, command
