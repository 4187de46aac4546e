"""Ranks of several machines: predictions, plans, exports and virtual clocks take them from the machine file; results say which is which; what is
wrong in any of the files is refused.

usage: machines_of_ranks_test.py MPIEXEC PARTITA_TRAIN PARTITA_SIMULATE PARTITA_PLAN SOURCE_FOLDER
"""
import os
import pathlib
import re
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, simulate, plan, source = sys.argv[1:6]
shipped = pathlib.Path(source) / "inputs" / "machines"
NET = ["--model.input=30", *["--model.layer=linear 30"] * 8, "--data.name=random", "--data.task=classification", "--data.features=30",
       "--data.classes=30", "--data.train-samples=40", "--data.test-samples=10", "--train.batch=20", "--train.epochs=1",
       "--compute.threads=1", "--evaluate.every=0", "--timeline.first=0", "--timeline.steps=1"]


def run(*words, code=0):
    done = jobs.run(words)
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    (folder / "slow").mkdir()
    (folder / "slow/old.machine").write_text("compute flops_per_second=2e9\nmemory level=main bytes_per_second=1e9\n"
                                             "overhead start_seconds=1e-6 wait_seconds=2e-6 step_seconds=3e-6\n"
                                             "link latency_seconds=1 bytes_per_second=1\n")
    fleet = folder / "fleet.machine"
    fleet.write_text((shipped / "default.machine").read_text() + "ranks first=1 last=1 file=slow/old.machine\n")
    split = ["--grid.pipeline=2", "--pipeline.microbatches=2", "--machine", fleet]

    # What is predicted is what a virtual clock says: the fast stage has most of the layers.
    shown = run(simulate, *NET, *split, "--ranks=2", "--output", folder / "predicted.h5")
    assert "machine ranks 0 as the file says, 1 old\n" in shown, shown
    run(mpiexec, "-n", 2, train, *NET, *split, "--virtual-clock", fleet, "--output", folder / "virtual.h5")
    with h5py.File(folder / "predicted.h5") as predicted, h5py.File(folder / "virtual.h5") as virtual:
        for file in (predicted, virtual):
            named = file["environment"].attrs["machine_ranks"]
            assert (named.decode() if isinstance(named, bytes) else named) == "0 as the file says, 1 old", named
            assert (numpy.unique(file["model/stage"][()], return_counts=True)[1] == [7, 1]).all(), file["model/stage"][()]
        for phase in ("load", "forward", "backward", "update", "other"):
            one, other = (file[f"steps/phase/{phase}"][0] for file in (predicted, virtual))
            assert numpy.allclose(one, other, rtol=1e-12, atol=1e-15), (phase, one, other)
        assert virtual["environment"].attrs["machine_hash"] == virtual["environment"].attrs["clock_machine_hash"]
        assert predicted["environment"].attrs["machine_hash"] == virtual["environment"].attrs["machine_hash"]

    # Hosts and traces of one export fit each other.
    run(simulate, *NET, *split, "--ranks=2", "--export=platform", "--export-to", folder / "platform.xml")
    assert re.findall(r'speed="(\S+)f"', (folder / "platform.xml").read_text()) == ["6e+10", "2e+09"]

    # Plans and tables are of all machines, and nothing is guessed on any of them.
    shown = run(plan, *NET, "--machine", fleet, "--ranks=2", "--top=3")
    assert "machine ranks 0 as the file says, 1 old\n" in shown and "best of all" in shown, shown
    shown = run(simulate, *NET, "--machine", shipped / "cpu-beside-gpu.machine", "--scaling=1..8")
    assert [line.split()[0] for line in shown.splitlines()[1:5]] == ["1", "2", "4", "8"], shown
    shown = run(simulate, *NET, *split, "--ranks=2", "--no-extrapolation", code=2)
    assert "; the machine file has no such kernel" in shown and "; old has no such kernel" in shown, shown

    # Everything that is wrong, at once.
    (folder / "slow/worse.machine").write_text("compute flops_per_second=0\nmemory level=main bytes_per_second=1e9\n"
                                               "ranks first=0 last=0 file=old.machine\n")
    wrong = folder / "wrong.machine"
    wrong.write_text((shipped / "default.machine").read_text() + "ranks first=0 last=3 file=slow/odl.machine\n"
                     "ranks first=2 last=4 file=slow/worse.machine\nranks first=7 last=6\n")
    shown = run(simulate, *NET, "--machine", wrong, code=2)
    for words in ("slow/odl.machine; the nearest is old.machine", "worse.machine, line 1 = compute flops_per_second=0: flops_per_second must be",
                  "worse.machine, line 3", "worse.machine, link latency_seconds=SECONDS bytes_per_second=RATE", "the nearest is first=4",
                  "last must not be below first; the nearest is last=7"):
        assert words in shown, (words, shown)
print("ranks of several machines are predicted, planned, run and refused")
