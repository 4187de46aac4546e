"""In a control group with the time of one core a run starts one thread, whatever it is bound to.

Skipped (77) where this process may make no control group. Usage: cores_of_group_test.py MPIEXEC PARTITA_TRAIN SOURCE_FOLDER
"""
import os
import pathlib
import sys
import tempfile

import h5py

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, train, source = sys.argv[1:4]


def limited_group():
    """A new group of one core, version 2 or 1; None where that is not allowed."""
    own = {line.split(":")[1]: line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")}
    for line in open("/proc/self/mountinfo"):
        before, after = line.split(" - ")
        kind, options = after.split()[0], after.split()[2].split(",")
        if kind == "cgroup2":
            below, quota = own.get("", "/"), {"cpu.max": "100000 100000"}
        elif kind == "cgroup" and "cpu" in options:
            below = next(path for names, path in own.items() if "cpu" in names.split(","))
            quota = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}
        else:
            continue
        root, mount = before.split()[3:5]
        group = pathlib.Path(mount) / os.path.relpath(below, root) / f"partita-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name, value in quota.items():
                if not (group / name).exists():  # a controller that is not delegated to groups here
                    raise OSError(name)
                (group / name).write_text(value)
            return group
        except OSError:
            group.rmdir()
    return None


def cores_of(*command, group):
    """What a run counted: the node's cores, and the threads of its first rank."""
    with tempfile.TemporaryDirectory() as folder:
        join = (lambda: (group / "cgroup.procs").write_text(str(os.getpid()))) if group else None
        result = jobs.run((*command, train, f"--config={source}/inputs/runs/digits_mlp.ini", "--train.steps=1", "--evaluate.every=0",
                           f"--output={folder}/r.h5"), preexec_fn=join)
        assert result.returncode == 0, result
        with h5py.File(f"{folder}/r.h5") as file:
            environment = file["environment"]
            return int(environment.attrs["node_cores"]), [int(cores) for cores in environment["cores"][()]]


group = limited_group() if len(os.sched_getaffinity(0)) > 1 else None
if group is None:
    print("no control group can be made here, or all are bound to one core anyway")
    sys.exit(77)
try:
    assert cores_of(group=group) == (1, [1])
    assert cores_of(mpiexec, "-n", "2", group=group) == (1, [1, 1]), "ranks of one group share its core"
finally:
    group.rmdir()
