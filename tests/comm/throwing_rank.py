"""A rank that throws ends the job for all within 10 seconds, with its rank and its cause."""
import subprocess
import sys

run = subprocess.run([sys.argv[1], "-n", "3", sys.argv[2]], capture_output=True, text=True, timeout=10)
assert run.returncode != 0, run
assert "rank 1: the cause of it all" in run.stderr, run.stderr
