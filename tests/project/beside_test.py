"""tests/beside.sh: its processes compute while the command runs, and end with it, with a signal, and with a kill.

Usage: beside_test.py SOURCE_FOLDER
"""
import os
import pathlib
import signal
import subprocess
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

script = pathlib.Path(sys.argv[1]) / "tests" / "beside.sh"
assert jobs.run(["bash", script, 2, "sh", "-c", "echo said; exit 7"]).returncode == 7
assert jobs.run(["bash", script, 0, "cat"], input="read").stdout == "read"
ignored = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) == signal.SIG_IGN)"
assert jobs.run(["bash", script, 1, sys.executable, "-c", ignored]).returncode == 0


def running_beside(job):
    """The busy processes and the command, once all are there."""
    return jobs.wait_for("processes", lambda: len(found := jobs.descendants(job.pid)) == 3 and found, job)


for number in (signal.SIGTERM, signal.SIGKILL):
    job = subprocess.Popen(["bash", script, "2", "sleep", "1000"])
    started = running_beside(job)
    try:
        os.kill(job.pid, number)
        job.wait(jobs.LIMIT_SECONDS)
        if number == signal.SIGKILL:  # a command is no longer ours to end; what computes ends itself
            os.kill(started.pop(), signal.SIGKILL)
        jobs.wait_for("end of all", lambda: not any(map(jobs.is_running, started)))
    finally:
        jobs.end(job)
        for pid in filter(jobs.is_running, started):
            os.kill(pid, signal.SIGKILL)
for options, said in ((["--beside", "x"], "such as 8"), (["--full", "--beside", "8"], "without --full"), (["--shard", "2/1"], "1 <= k <= n")):
    refused = jobs.run(["bash", script.with_name("run.sh"), *options])
    assert refused.returncode == 2 and said in refused.stderr, refused
