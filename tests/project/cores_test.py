"""scripts/cores.sh counts what control groups of either version grant. Usage: cores_test.py SOURCE_FOLDER"""
import os
import pathlib
import subprocess
import sys
import tempfile

script = pathlib.Path(sys.argv[1]) / "scripts" / "cores.sh"
bound = len(os.sched_getaffinity(0))


def cores(files, **variables):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        # Three cores stand for those that the job is bound to, whatever this machine has.
        pathlib.Path(root, "bin").mkdir()
        nproc = pathlib.Path(root, "bin", "nproc")
        nproc.write_text("#!/bin/sh\necho ${OMP_NUM_THREADS:-3}\n")
        nproc.chmod(0o755)
        environment = os.environ | {"PATH": f"{root}/bin:{os.environ['PATH']}"} | variables
        done = subprocess.run(["bash", script, root], env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and not done.stderr, done
        return int(done.stdout)


two, one = "proc/self/cgroup", "sys/fs/cgroup"
assert cores({}) == 3 and cores({}, OMP_NUM_THREADS="1") == 3
assert cores({two: "0::/job", f"{one}/job/cpu.max": "max 100000"}) == 3
assert cores({two: "0::/job", f"{one}/job/cpu.max": "200000 100000"}) == 2
assert cores({two: "0::/job/step", f"{one}/job/cpu.max": "100000 100000", f"{one}/job/step/cpu.max": "250000 100000"}) == 1
assert cores({two: "0::/job", f"{one}/job/cpu.max": "50000 100000"}) == 1, "half a core"
assert cores({two: "0::/job", f"{one}/job/cpu.max": "900000 100000"}) == 3
assert cores({two: "0::/", f"{one}/cpu.max": "200000 100000"}) == 2, "a container's own tree"
assert cores({two: "0::/seen/from/outside", f"{one}/cpu.max": "200000 100000"}) == 2
first = f"{one}/cpu,cpuacct"
groups = "9:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/7f\n0::/"
assert cores({two: groups, f"{first}/docker/7f/cpu.cfs_quota_us": "-1", f"{first}/docker/7f/cpu.cfs_period_us": "100000"}) == 3
assert cores({two: groups, f"{first}/docker/cpu.cfs_quota_us": "100000", f"{first}/docker/cpu.cfs_period_us": "50000",
              f"{first}/docker/7f/cpu.cfs_quota_us": "-1", f"{first}/docker/7f/cpu.cfs_period_us": "100000"}) == 2
here = subprocess.run(["bash", script], capture_output=True, text=True, check=True)
assert 1 <= int(here.stdout) <= bound, (here, bound)
print("cores are counted")
