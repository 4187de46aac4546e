"""Ranks that do not see each other's processes, as in containers of their own, share windows all the same: every collective, through /dev/shm."""
import os
import subprocess
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, test = sys.argv[1:]
alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
try:
    possible = subprocess.run((*alone, "true"), capture_output=True).returncode == 0
except FileNotFoundError:
    possible = False
if not possible:
    print("skipped: needs unshare, and rights to make namespaces")
    sys.exit(77)
# Ranks that all are process 1 of their own namespace now and then keep each other waiting in MPI_Init (MPICH 4.0 over UCX), before any of
# this project's code: such a start is made again.
run = jobs.run_begun([mpiexec, "-n", "3", *alone, test], sign="[==========]")
assert run.returncode == 0 and "[  PASSED  ]" in run.stdout and "FAILED" not in run.stdout, (run.stdout[-2000:], run.stderr[-2000:])
left = [name for name in os.listdir("/dev/shm") if name.startswith("partita-")]
for name in left:  # of jobs that run beside this test, which hide theirs in a moment
    jobs.wait_for("end of " + name, lambda name=name: not os.path.exists("/dev/shm/" + name))
