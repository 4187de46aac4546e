"""A rank that throws ends the job for all within 10 seconds, with its rank and its cause."""
import os
import sys

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

run = jobs.run([sys.argv[1], "-n", "3", sys.argv[2]])
assert run.returncode != 0, run
assert "rank 1: the cause of it all" in run.stderr, run.stderr
