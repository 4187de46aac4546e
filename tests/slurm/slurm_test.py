"""The job scripts of slurm/ on a real Slurm of two nodes.

Usage: slurm_test.py end_to_end|scripts|array|study|refused|requeued|cancelled|killed[=TIMES] SOURCE_FOLDER FOLDER_OF_PROGRAMS MPIEXEC
"""
import os
import pathlib
import random
import signal
import sys
import time

import h5py
import numpy

from two_nodes import TwoNodes, Unavailable, descendants

part, source, programs, mpiexec = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
part, _, times = part.partition("=")
seconds = {"end_to_end": 50}.get(part, 500)  # ends by itself before CTest would kill it


def environment(**more):
    return {"PARTITA_HOME": str(source), "PARTITA_BIN": str(programs)} | more


def script(name):
    return source / "slurm" / f"{name}.sbatch"


def passed(slurm, number):
    """The job completed and says so; what it printed."""
    tasks, printed = slurm.wait_for(number), slurm.printed(number)
    assert all(task["JobState"] == "COMPLETED" for task in tasks) and "STATUS: PASS" in printed, (tasks, printed)
    return printed


def end_to_end(slurm):
    """Four ranks, two on each node, each bound to a core; the result names the job; without pmi2 nothing runs."""
    job = slurm.submit(script("data"), "--train.steps=10", env=environment())
    assert "grid data=4 pipeline=1 tensor=1" in passed(slurm, job)
    with h5py.File(slurm.work / f"partita-data-{job}.h5") as result:
        entries = {name: value.decode() for name, value in result["environment"].attrs.items()}
    expected = {"SLURM_JOB_ID": str(job), "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "4", "SLURM_CPUS_PER_TASK": "1",
                "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_TASKS_PER_NODE": "2(x2)"}
    if slurm.binds:
        expected["SLURM_CPU_BIND"] = "quiet,mask_cpu:0x1,0x2"
    assert expected.items() <= entries.items(), entries
    without_pmi2(slurm)


def without_pmi2(slurm):
    job = slurm.submit(script("data"), "--train.steps=10", env=environment(PARTITA_MPI="none"))
    task, = slurm.wait_for(job)
    printed = slurm.printed(job)
    assert task["ExitCode"] == "2:0" and "SLURM_STEP_NUM_TASKS = 4" in printed and "--mpi=pmi2" in printed, (task, printed)
    assert "STATUS" not in printed and not (slurm.work / f"partita-data-{job}.h5").exists()


def scripts(slurm):
    """Every script runs; those for GPUs say that there is no such back-end, as long as there is none."""
    grids = {"data": "data=4 pipeline=1 tensor=1", "layer": "data=1 pipeline=4 tensor=1", "tensor": "data=1 pipeline=1 tensor=4",
             "hybrid": "data=2 pipeline=2 tensor=1"}
    for name, grid in grids.items():
        job = slurm.submit(script(name), "--train.steps=10", env=environment())
        assert f"strategy {name}: grid {grid}" in passed(slurm, job), name
    job = slurm.submit(script("data"), "--train.steps=10", env=environment(PARTITA_LAUNCHER="mpiexec"))
    passed(slurm, job)
    job = slurm.submit(script("hybrid"), "--train.steps=10", env=environment(PARTITA_GRID="data=2 tensor=2"))
    passed(slurm, job)
    with h5py.File(slurm.work / f"partita-hybrid-{job}.h5") as result:
        assert result.attrs["grid"] == b"data=2 pipeline=1 tensor=2", result.attrs["grid"]
    for name in grids:
        job = slurm.submit("--cpus-per-task=1", script(f"{name}_gpu"), "--train.steps=10", env=environment())
        task, = slurm.wait_for(job)
        printed = slurm.printed(job)
        assert task["ExitCode"] == "2:0" and "has no back-end cuda" in printed and "compute.backend" in printed, (task, printed)
        assert "gres/gpu=2" in task["TresPerNode" if "TresPerNode" in task else "TRES"] or "gres:gpu" in task["TresPerTask"], task


def array(slurm):
    """An array of four tasks: four seeds, four results."""
    job = slurm.submit("--array=1-4", script("sweep"), "--train.steps=10", env=environment(PARTITA_OUTPUT=str(slurm.work / "seeds")))
    printed = passed(slurm, job)
    assert printed.count("STATUS: PASS") == 4, printed
    seeds = {}
    for path in (slurm.work / "seeds").glob("seeds.*.h5"):
        with h5py.File(path) as result:
            entries = result["environment"].attrs
            seeds[int(result.attrs["seed"])] = (int(entries["SLURM_ARRAY_TASK_ID"]), int(entries["SLURM_ARRAY_JOB_ID"]))
    assert seeds == {n: (n, job) for n in (1, 2, 3, 4)}, seeds


def study(slurm):
    """One and two nodes by turns, and a job that waits for it and compares them; it never runs after a study that failed."""
    folder = slurm.work / "study"
    job = slurm.submit(script("scaling"), "--train.steps=10", env=environment(PARTITA_OUTPUT=str(folder), PARTITA_REPETITIONS="2"))
    report = slurm.submit(f"--dependency=afterok:{job}", script("report"), folder, env=environment())
    passed(slurm, job)
    task, = slurm.wait_for(report)
    assert task["JobState"] == "COMPLETED", slurm.printed(report)
    assert sorted(p.name for p in folder.glob("*.h5")) == ["nodes-1.1.h5", "nodes-1.2.h5", "nodes-2.1.h5", "nodes-2.2.h5"]
    ranks = [len(h5py.File(folder / f"nodes-{n}.1.h5")["environment/rank"]) for n in (1, 2)]
    assert ranks == [2, 4], ranks
    table = (folder / "comparison.txt").read_text()
    assert "nodes-1" in table and "nodes-2" in table and "step_time" in table, table
    job = slurm.submit(script("scaling"), "--train.batch=-1", env=environment(PARTITA_OUTPUT=str(slurm.work / "failed")))
    report = slurm.submit(f"--dependency=afterok:{job}", script("report"), slurm.work / "failed", env=environment())
    assert slurm.wait_for(job)[0]["ExitCode"] == "2:0" and slurm.wait_for(report)[0]["JobState"] == "CANCELLED"


def refused(slurm):
    """What is wrong with a job's environment is said at once, with exit code 2."""
    without_pmi2(slurm)
    for wrong, said in (({"PARTITA_BIN": "/nonexistent"}, "PARTITA_BIN = /nonexistent"), ({"PARTITA_LAUNCHER": "aprun"}, "must be srun or mpiexec"),
                        ({"PARTITA_CONFIG": "/nonexistent.ini"}, "/nonexistent.ini")):
        job = slurm.submit(script("data"), env=environment(**wrong))
        task, = slurm.wait_for(job)
        assert task["ExitCode"] == "2:0" and said in slurm.printed(job), (task, slurm.printed(job))
    job = slurm.submit(script("report"), slurm.work / "nowhere", env=environment())
    assert slurm.wait_for(job)[0]["ExitCode"] == "2:0" and "nowhere" in slurm.printed(job)


def timed_out(*_):
    raise TimeoutError(f"{part} took more than {seconds} s")


signal.signal(signal.SIGALRM, timed_out)
signal.alarm(seconds)
try:
    with TwoNodes() as two_nodes:
        globals()[part](two_nodes)
except Unavailable as reason:
    print(f"SKIPPED: no Slurm can run here: {reason}")
    sys.exit(77)
