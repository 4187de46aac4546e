"""--virtual-clock: times are a machine's, the same in every run; what is trained stays as it is; no comparison takes them for measured.

usage: virtual_clock_test.py MPIEXEC PARTITA_TRAIN PARTITA_COMPARE SOURCE_FOLDER
"""
import os
import pathlib
import sys
import tempfile

import h5py
import numpy

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, compare, source = sys.argv[1:5]
NET = ["--model.input=13", "--model.layer=linear 11", "--model.layer=relu", "--model.layer=linear 5", "--data.name=random",
       "--data.task=classification", "--data.features=13", "--data.classes=5", "--data.train-samples=60", "--data.test-samples=20",
       "--train.batch=20", "--train.epochs=2", "--compute.threads=1", "--sync.algorithm=ring", "--checkpoint.every=2",
       "--timeline.first=1", "--timeline.steps=3"]


def run(*words, code=0):
    done = jobs.run([mpiexec, "-n", 2, train, *NET, *words])
    assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


with tempfile.TemporaryDirectory() as scratch:
    folder = pathlib.Path(scratch)
    shipped = (pathlib.Path(source) / "inputs" / "machines" / "default.machine").read_text()
    machine, copy, slow = folder / "a.machine", folder / "b.machine", folder / "slow.machine"
    machine.write_text(shipped)
    copy.write_text(shipped + "# the same\n")
    slow.write_text("compute flops_per_second=1e6\nmemory level=main bytes_per_second=1e9\n"
                    "link latency_seconds=1 bytes_per_second=1e9\n")

    def result(name, *words):
        text = run(f"--output={folder}/{name}.h5", *words)
        return h5py.File(folder / f"{name}.h5"), text

    def columns(file, group):
        return {name: column[()] for name, column in file[group].items() if isinstance(column, h5py.Dataset)}

    def exchanged(file):
        """In steps and evaluations: besides, ranks ask each other for what real time brings, such as snapshots."""
        traffic = columns(file, "traffic")
        steps = numpy.isin(traffic["activity"].astype(str), ("train", "evaluate"))
        assert steps.any()
        return {name: column[steps] for name, column in traffic.items()}

    measured, _ = result("measured")
    first, text = result("first", f"--virtual-clock={machine}")
    again, _ = result("again", f"--virtual-clock={copy}")
    slower, _ = result("slower", f"--virtual-clock={slow}")
    assert "all times are those of" in text, text

    # The machine's times, to the last bit the same; a message that takes a second is in every step.
    for here, there in [(columns(first, group), columns(again, group)) for group in ("steps", "epochs", "timeline")] + [
            (exchanged(first), exchanged(again))]:
        assert here.keys() == there.keys() and here
        for name in here:
            assert numpy.array_equal(here[name], there[name]), (name, here[name], there[name])
    # A ring of two rounds for the gradients, and one for the loss beside it.
    assert (columns(slower, "steps")["seconds"] > 2).all() and (columns(first, "steps")["seconds"] < 1).all()
    # What is trained, and what is exchanged for it, is the same as ever.
    for name in ("loss", "samples"):
        assert numpy.array_equal(columns(measured, "steps")[name], columns(first, "steps")[name]), name
    for name in ("calls", "messages", "payload_bytes", "wire_bytes", "wire_bytes_received"):
        assert numpy.array_equal(exchanged(measured)[name], exchanged(first)[name]), name

    # The result says so.
    for file in (first, again):
        assert file.attrs["kind"] in (b"virtual", "virtual")
    assert first["environment"].attrs["clock_machine_hash"] == again["environment"].attrs["clock_machine_hash"]
    assert first["environment"].attrs["clock_machine_hash"] != slower["environment"].attrs["clock_machine_hash"]
    assert "kind" not in measured.attrs and "clock_machine_hash" not in measured["environment"].attrs
    hashes = [file.attrs["config_hash"] for file in (measured, first, again, slower)]
    assert hashes[1] == hashes[2] and len(set(hashes)) == 3, hashes

    def laid(*names):
        done = jobs.run([compare, *(f"{folder}/{name}.h5" for name in names)])
        return done.returncode, done.stdout + done.stderr

    assert laid("first", "again")[0] == 0 and laid("first", "slower")[0] == 0, laid("first", "slower")
    code, text = laid("measured", "first")
    assert code == 0 and "prediction" in text and "worse" not in text, (code, text)

    # No step of one clock goes on in the record of another.
    code = jobs.run([mpiexec, "-n", 2, train, *NET, f"--output={folder}/first.h5", "--train.epochs=3", "--resume"]).returncode
    assert code == 2, code

    # All that is wrong, at once.
    text = run(f"--virtual-clock={folder}/none", "--compute.backend=cuda", "--train.momentum=2", code=2)
    for part in ("cannot be read: No such file", "excludes compute.backend=cuda", "train.momentum"):
        assert part in text, (part, text)
    machine.write_text(shipped + "level name=one ranks=1\nmessage level=one min_bytes=0 latency_seconds=1 byte_seconds=0\n")
    assert "more than the machine holds: its level one has 1" in run(f"--virtual-clock={machine}", code=2)
    machine.write_text("compute flops_per_second=-1\n")
    assert "a.machine, line 1" in run(f"--virtual-clock={machine}", code=2)
print("all hold")
