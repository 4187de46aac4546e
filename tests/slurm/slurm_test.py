"""The job scripts of slurm/ on a real Slurm of two nodes.

Usage: slurm_test.py end_to_end|scripts|array|study|calibrated|refused|requeued|time_limit|cancelled|killed[=TIMES] SOURCE_FOLDER FOLDER_OF_PROGRAMS MPIEXEC
"""
import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy

from two_nodes import TwoNodes, Unavailable, descendants

part, source, programs, mpiexec = sys.argv[1], *map(pathlib.Path, sys.argv[2:5])
part, _, times = part.partition("=")
seconds = 1100  # before CTest would kill it


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


def was_refused(task):
    """Whether ranks ended with 2. `srun -K1` then ends those that are not so far, and the job has the highest of the codes."""
    return task["ExitCode"] in ("2:0", "143:0")


def without_pmi2(slurm):
    job = slurm.submit(script("data"), "--train.steps=10", env=environment(PARTITA_MPI="none"))
    task, = slurm.wait_for(job)
    printed = slurm.printed(job)
    assert was_refused(task) and "SLURM_STEP_NUM_TASKS = 4" in printed and "--mpi=pmi2" in printed, (task, printed)
    assert "STATUS" not in printed and not (slurm.work / f"partita-data-{job}.h5").exists()


def scripts(slurm):
    """Every script runs; those for GPUs say why they cannot where there is none."""
    grids = {"data": "data=4 pipeline=1 tensor=1", "layer": "data=1 pipeline=4 tensor=1", "tensor": "data=1 pipeline=1 tensor=4",
             "hybrid": "data=2 pipeline=2 tensor=1"}
    for name, grid in grids.items():
        job = slurm.submit(script(name), "--train.steps=10", env=environment())
        assert f"strategy {name}: grid {grid}" in passed(slurm, job), name
    job = slurm.submit(script("auto"), "--train.steps=10", env=environment())
    printed = passed(slurm, job)
    assert printed.count("strategy auto takes") == 1 and "measured" in printed, printed
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
        assert was_refused(task) and "cannot compute with back-end cuda" in printed and "compute.backend" in printed, (task, printed)
        assert "gres/gpu=2" in task["TresPerNode" if "TresPerNode" in task else "TRES"] or "gres:gpu" in task["TresPerTask"], task


def calibrated(slurm):
    """One job measures both nodes: what ranks of a node exchange, and what nodes do."""
    job = slurm.submit(script("calibrate"), "--quick", "--budget=1", env=environment())
    task, = slurm.wait_for(job)
    assert task["JobState"] == "COMPLETED" and "own error of" in slurm.printed(job), (task, slurm.printed(job))
    text = (slurm.work / f"partita-calibrate-{job}.machine").read_text()
    for statement in ("level name=node ranks=2", "level name=cluster", "message level=node min_bytes=0", "message level=cluster min_bytes=0"):
        assert f"\n{statement}" in text, (statement, text[:3000])


def array(slurm):
    """An array of four tasks shares the configurations of a sweep; each result names its task, and one index holds all."""
    folder = slurm.work / "swept"
    four = ("--sweep.seeds=1..2", "--vary.train.learning-rate=0.01, 0.03", "--vary.train.batch=64", "--data.train-samples=500")
    job = slurm.submit("--array=1-4", script("sweep"), *four, env=environment(PARTITA_OUTPUT=str(folder)))
    tasks = slurm.wait_for(job, seconds=120)
    assert len(tasks) == 4 and all(task["JobState"] == "COMPLETED" for task in tasks), (tasks, slurm.printed(job))
    runs = {}
    for path in folder.glob("0*.h5"):
        with h5py.File(path) as result:
            entries = result["environment"].attrs
            assert int(entries["SLURM_ARRAY_JOB_ID"]) == job
            runs[path.stem] = (int(entries["SLURM_ARRAY_TASK_ID"]), int(result.attrs["seed"]))
    assert runs == {"0001": (1, 1), "0002": (2, 2), "0003": (3, 1), "0004": (4, 2)}, runs
    sweep = source / "inputs/sweeps/digits_learning_rate_batch.ini"
    index = slurm.run(programs / "partita-sweep", f"--config={sweep}", f"--output={folder}", "--index-only", "--compute.threads=1", *four)
    assert index.returncode == 0 and len((folder / "index.csv").read_text().splitlines()) == 5, index


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
    assert was_refused(slurm.wait_for(job)[0]) and slurm.wait_for(report)[0]["JobState"] == "CANCELLED"


def refused(slurm):
    """What is wrong with a job's environment is said at once, with exit code 2."""
    without_pmi2(slurm)
    for wrong, said in (({"PARTITA_BIN": "/nonexistent"}, "PARTITA_BIN = /nonexistent"), ({"PARTITA_LAUNCHER": "aprun"}, "must be srun or mpiexec"),
                        ({"PARTITA_CONFIG": "/nonexistent.ini"}, "/nonexistent.ini")):
        job = slurm.submit(script("data"), env=environment(**wrong))
        task, = slurm.wait_for(job)
        assert was_refused(task) and said in slurm.printed(job), (task, slurm.printed(job))
    job = slurm.submit(script("report"), slurm.work / "nowhere", env=environment())
    assert was_refused(slurm.wait_for(job)[0]) and "nowhere" in slurm.printed(job)


def parameters(path):
    """Whole tensors by name, of a model file or of a checkpoint's manifest."""
    found = {}
    with h5py.File(path) as file:
        file["parameters"].visititems(lambda name, item: found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None)
    assert found, path
    return found


def same_bits(left, right):
    left, right = parameters(left), parameters(right)
    return left.keys() == right.keys() and all(numpy.array_equal(left[name], right[name]) for name in left)


def uninterrupted(slurm, *options):
    """The model of a run of its own."""
    model = slurm.work / f"model-{len(list(slurm.work.glob('model-*')))}.h5"
    passed(slurm, slurm.submit(script("data"), *options, f"--save-model={model}", env=environment()))
    return model


def under_way(slurm, job, restart):
    """Until the job has come to an epoch after so many restarts."""
    slurm.wait_for(job, ("RUNNING",))
    slurm.wait("an epoch", lambda: "epoch" in slurm.printed(job).split("is requeued")[-1] and slurm.printed(job).count("is requeued") == restart, 60)


def end_hold(slurm, job):
    """Slurm holds a requeued job for two minutes, so that none of its old processes meets the new ones."""
    slurm.wait_for(job, ("PENDING",))
    time.sleep(3)  # credentials of the same second are revoked
    result = slurm.run("scontrol", "update", f"JobId={job}", "StartTime=now")
    assert result.returncode == 0, result.stderr


def requeued(slurm):
    """A job that a signal hits checkpoints, is requeued and ends with the parameters of an uninterrupted run, bit for bit."""
    options = ("--train.epochs=25", "--data.train-samples=3000", "--data.test-samples=200")
    whole = uninterrupted(slurm, *options)
    for launcher, hit in (("srun", ["--signal=USR1"]), ("mpiexec", ["--batch", "--signal=USR1"])):
        model = slurm.work / f"{launcher}.h5"
        job = slurm.submit(script("data"), *options, f"--save-model={model}", env=environment(PARTITA_LAUNCHER=launcher))
        for restart in range(2):
            under_way(slurm, job, restart)
            assert slurm.run("scancel", *hit, str(job)).returncode == 0
            end_hold(slurm, job)
        printed = passed(slurm, job)
        assert printed.count("STATUS: FAIL checkpointed on a signal") == printed.count("going on from step") == 2, printed
        assert slurm.job(job)[0]["Restarts"] == "2" and same_bits(whole, model)
        with h5py.File(slurm.work / f"partita-data-{job}.h5") as result:
            assert result.attrs["restarts"] == 2 and result["environment"].attrs["SLURM_RESTART_COUNT"] == b"2"


def time_limit(slurm):
    """The signal that #SBATCH --signal asks for comes by itself; what it checkpoints are the parameters of so many steps."""
    options = ("--data.train-samples=3000", "--evaluate.every=0")
    job = slurm.submit("--time=00:02:00", "--signal=USR1@10", script("data"), "--train.epochs=100000", *options, env=environment())
    slurm.wait_for(job, ("RUNNING",))
    slurm.wait_for(job, ("PENDING",), 150)  # Slurm may send it a minute early: there are steps by then
    under = slurm.work / f"partita-data-{job}.checkpoints"
    kept = shutil.copytree(under, slurm.work / "kept")  # the restart is cancelled, and checkpoints in turn
    newest = max(kept.glob("step-*/manifest.h5"), key=lambda manifest: int(manifest.parent.name[5:]))
    end_hold(slurm, job)
    slurm.wait("the restart", lambda: f"going on from step {newest.parent.name[5:]}" in slurm.printed(job))
    slurm.run("scancel", str(job))
    slurm.wait_for(job)
    assert same_bits(newest, uninterrupted(slurm, *options, f"--train.steps={newest.parent.name[5:]}"))


def cancelled(slurm):
    """A job that its user cancels is not requeued, nor one whose rank died; one that was restarted too often is given up."""
    options = (script("data"), "--train.epochs=1000", "--data.train-samples=3000")
    job = slurm.submit(*options, env=environment())
    under_way(slurm, job, 0)
    slurm.run("scancel", str(job))
    assert slurm.wait_for(job)[0]["JobState"] == "CANCELLED" and "requeued" not in slurm.printed(job)
    job = slurm.submit(*options, env=environment())
    under_way(slurm, job, 0)
    os.kill(random.choice(ranks_below(os.getpid())), signal.SIGKILL)
    assert slurm.wait_for(job, seconds=10)[0]["ExitCode"] == "137:0" and "requeued" not in slurm.printed(job), slurm.job(job)
    job = slurm.submit(*options, env=environment(PARTITA_RESTARTS="0"))
    under_way(slurm, job, 0)
    slurm.run("scancel", "--signal=USR1", str(job))
    task, = slurm.wait_for(job)
    assert task["ExitCode"] == "75:0" and "given up after 0 restarts" in slurm.printed(job), (task, slurm.printed(job))


def ranks_below(pid):
    """Processes of the training program among the descendants of a process; slurmd's steps become children of this test's process."""
    def is_rank(pid):
        try:
            return os.readlink(f"/proc/{pid}/exe") == str(programs.resolve() / "partita-train")
        except OSError:
            return False
    return [child for child in descendants(pid) if is_rank(child)]


def killed(slurm):
    """kill -9 of a random rank: srun -K1 ends the others within ten seconds, and the newest checkpoint is whole."""
    chosen = random.Random(13)
    output, longest, restarts = slurm.work / "r.h5", 0.0, 0
    command = ["srun", "--nodes=2", "--ntasks=4", "--mpi=pmi2", "-K1", "--cpu-bind=cores", programs / "partita-train",
               f"--config={source}/inputs/runs/digits_mlp.ini", "--train.epochs=1000000", "--data.train-samples=2000", "--evaluate.every=0",
               "--compute.threads=1", "--checkpoint.every=7", "--resume", f"--output={output}"]
    for attempt in range(int(times or 20)):
        log = slurm.work / f"log-{attempt}"
        with open(log, "w") as messages:
            job = subprocess.Popen(command, env=slurm.environment, cwd=slurm.work, stdout=messages, stderr=messages)
        # Early in a run, or around a checkpoint.
        wanted, until = chosen.randrange(0, 6), time.monotonic() + 600
        while (len(ranks_below(os.getpid())) < 4 or log.read_text().count("checkpoint of step") < wanted) and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(chosen.uniform(0, 0.05))
        ranks = ranks_below(os.getpid())
        assert len(ranks) == 4, log.read_text()
        os.kill(chosen.choice(ranks), signal.SIGKILL)
        begin = time.monotonic()
        while ranks_below(os.getpid()) or job.poll() is None:
            assert time.monotonic() - begin < 10, f"attempt {attempt}: ranks outlive the killed one by 10 s; load average {os.getloadavg()}"
            time.sleep(0.02)
        longest = max(longest, time.monotonic() - begin)
        text = log.read_text()
        assert job.returncode == 137 and "damaged" not in text and "FAILED" not in text, text
        restarts += "going on from step" in text
        said = [int(step) for step in re.findall(r"^checkpoint of step (\d+): ", text, re.M)]
        whole = sorted((int(m.parent.name[5:]), m.parent) for m in (slurm.work / "r.checkpoints").glob("step-*/manifest.h5"))
        assert not said or whole[-1][0] >= said[-1], (whole, said)
        if whole:
            check_whole(whole[-1][1])
    print(f"{attempt + 1} kills, {restarts} restarts from a checkpoint, the others ended within {longest:.2f} s")
    assert restarts >= attempt // 2


def check_whole(folder):
    """Every file is the one that the manifest vouches for."""
    with h5py.File(folder / "manifest.h5") as manifest:
        for group in ("shards", "result"):
            for name, digest in zip(manifest[group]["name"].asstr(), manifest[group]["sha256"].asstr()):
                assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, folder / name


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
