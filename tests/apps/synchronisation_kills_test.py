"""kill -9 of a rank or of the launcher, again and again, in every way to synchronise: the model at the end is, to the bit, that of a run that
nobody disturbed, so that nothing that a way carries from step to step was lost.

Usage: synchronisation_kills_test.py TIMES MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from tensors import parameters

times, mpiexec, train, source = sys.argv[1:5]
ways = {"shares of states": ["--sync.split=state"], "shares of gradients": ["--sync.split=gradient"], "shares of parameters": ["--sync.split=parameter"],
        **{codec: [f"--sync.compress={codec}"] for codec in ("fp16", "int8", "sign", "topk", "powersgd")},
        "bf16 with residuals": ["--sync.compress=bf16", "--sync.error-feedback=on"], "shares by int8": ["--sync.compress=int8", "--sync.split=parameter"],
        "delay": ["--sync.delay=1"], "local kept": ["--sync.local.period=3"], "local": ["--sync.local.period=3", "--sync.local.states=average"],
        "local reset": ["--sync.local.period=3", "--sync.local.states=reset"],
        "local outer": ["--sync.local.period=3", "--sync.local.states=average", "--sync.local.outer-rate=0.7", "--sync.local.outer-momentum=0.9"],
        "servers": ["--server.count=2"], "asynchronous servers": ["--server.count=1", "--server.bound=2", "--server.synchronous-steps=20"],
        "servers by sign": ["--server.count=2", "--sync.compress=sign"],
        "asynchronous servers by topk": ["--server.count=1", "--server.bound=none", "--sync.compress=topk"]}
ranks_of = {way: 4 for way in ways if "servers" in way}  # else 2
common = (f"--config={source}/inputs/runs/digits_mlp.ini", "--data.train-samples=1000", "--data.test-samples=20", "--train.epochs=80", "--evaluate.every=1000",
          "--checkpoint.every=7", "--snapshot.seconds=0", "--train.optimizer=adam", "--train.momentum=0", "--train.learning-rate=0.001", "--compute.threads=1")
chosen = random.Random(5)


def command(folder, name, way, *more):
    """Asynchronous servers that are killed take pushes in the order in which those did that nobody disturbed."""
    replay = [f"--server.replay={folder}/whole.h5"] if name == "killed" and "asynchronous" in way else []
    return [str(word) for word in (mpiexec, "-n", ranks_of.get(way, 2), train, *common, *ways[way], *replay, f"--output={folder}/{name}.h5",
                                   f"--save-model={folder}/{name}-model.h5", *more)]


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for way in ways:
        result = jobs.run(command(folder, "whole", way, "--overwrite"))
        assert result.returncode == 0, result
        kills = resumed = 0
        for attempt in range(int(times)):
            log = folder / "log"
            with open(log, "w") as messages:
                job = subprocess.Popen(command(folder, "killed", way, "--resume"), stdout=subprocess.DEVNULL, stderr=messages)
                try:
                    ranks = jobs.wait_for_ranks(job, train, ranks_of.get(way, 2))
                    wanted = chosen.randrange(1, 4)
                    jobs.wait_for(f"{wanted} checkpoints", lambda: log.read_text().count("checkpoint of step") >= wanted, job, 0.001)
                    time.sleep(chosen.uniform(0, 0.01))
                    os.kill(job.pid if chosen.random() < 0.3 else chosen.choice(ranks), signal.SIGKILL)
                    jobs.wait_for_end(job, ranks)
                    kills += 1
                finally:
                    jobs.end(job)
            resumed += "going on from step" in log.read_text()
        result = jobs.run(command(folder, "killed", way, "--resume"))
        assert result.returncode == 0 and "going on from step" in result.stderr, result
        whole, killed = parameters(folder / "whole-model.h5"), parameters(folder / "killed-model.h5")
        assert whole.keys() == killed.keys() and all(np.array_equal(whole[name], killed[name]) for name in whole), way
        print(f"{way}: {kills} kills, {resumed + 1} restarts, the same bits")
        for left in folder.glob("killed*"):
            subprocess.run(["rm", "-r", str(left)], check=True)
