"""A rank that leaves the others waiting ends the job, and is named with what it does; in the full set within the limit and 5 s.

Usage: hang_test.py MPIEXEC PROGRAM fast|full
"""
import concurrent.futures
import os
import re
import sys
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

mpiexec, program, part = sys.argv[1:]
LIMIT = 2.0
ATTEMPTS = 3  # to be in time beside other processes


def job(how, ranks, limit=LIMIT, ranks_per_node=0):
    begin = time.time()
    run = jobs.run([mpiexec, "-n", ranks, program, how, limit, ranks_per_node])
    return run, time.time() - begin


def start_up(ranks, ranks_per_node):
    """What the job takes without any fault: more ranks than cores take long to find each other."""
    run, seconds = job("clean", ranks, ranks_per_node=ranks_per_node)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return seconds


def verdict(how, ranks, ranks_per_node, plain):
    run, seconds = job(how, ranks, ranks_per_node=ranks_per_node)
    text = run.stderr
    case = f"{how}, {ranks} ranks, nodes of {ranks_per_node}:\n{text}"
    assert run.returncode == 1, f"exit code {run.returncode}: {case}"
    lines = [line for line in text.splitlines() if "verdict" in line or "counts differ" in line or "exits" in line]
    assert lines, case
    if "watchdog" in text:
        for rank in range(ranks):
            assert re.search(rf"^  rank {rank}: ", text, re.M), case
    print(f"{how:14} {ranks} ranks, nodes of {ranks_per_node}: {seconds - plain:4.1f} s more than a clean run; {lines[0]}", flush=True)
    return "\n".join(lines), seconds - plain


def expect_in_time(how, ranks, ranks_per_node, plain):
    for attempt in range(ATTEMPTS):
        seconds = expect(how, ranks, ranks_per_node, plain)
        if seconds < LIMIT + 5:
            return
    raise AssertionError(f"{how}, {ranks} ranks: {seconds:.1f} s after a clean run's; load average {os.getloadavg()}")


def expect(how, ranks, ranks_per_node, plain=0.0):
    """The verdict on a fault; returns the seconds that it took beyond `plain`."""
    last = ranks - 1
    others = " ".join(map(str, range(last)))
    here = f"rank{'s' if last > 1 else ''} {others}"
    waits = f"where {here} wait"
    hidden = ranks_per_node == 1
    silent = "does not answer"
    said, seconds = verdict(how, ranks, ranks_per_node, plain)
    wanted = {
        "skipped": [f"{here} and rank {last} disagree: all_reduce #", "broadcast #", "on data"],
        "skipped_last": [f"rank {last} has not reached all_reduce #", "on data", waits],
        "mismatched": ["disagree: ", "all_reduce #", "broadcast #", f"rank {last}"],
        "count": ["counts differ: ", "100 elements", "90 elements", f"rank {last}"],
        "sleeping": [f"rank {last} has not reached all_reduce #", waits, silent if hidden else "in `instruction 7`"],
        "exiting": [f"rank {last}: exits in the middle of the job"],
        "stopped": [f"rank {last} has not reached all_reduce #", silent if hidden else "stopped"],
        "planning": [f"rank {last} has not reached all_gather #", silent if hidden else "in `instruction 7`"],
        "setup": [f"rank {last} has not reached barrier #", "on world"],
        "no_message": [f"rank {last - 1} has not sent what rank {last} waits for in receive #1 from rank {last - 1} on data"],
        "empty_message": [f"counts differ: rank {last - 1} sends 0 elements, rank {last} expects 100"],
        "short_message": [f"counts differ: rank {last - 1} sends 360 bytes, this rank expects 400"],
        "long_message": [f"counts differ: rank {last - 1} sends more than 360 bytes, this rank expects 360"],
    }[how]
    for words in wanted:
        assert words in said, f"{how}: '{words}' is not in: {said}"
    return seconds


faults = ["skipped", "skipped_last", "mismatched", "count", "sleeping", "exiting", "stopped", "planning", "setup", "no_message",
          "empty_message", "short_message", "long_message"]
if part == "fast":
    some = [("skipped", 3, 0), ("sleeping", 3, 0), ("stopped", 3, 0), ("sleeping", 2, 1), ("short_message", 2, 0), ("long_message", 2, 0)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:  # they mostly wait
        slow = pool.submit(job, "slow", 3, 120)  # far above any wait, on a busy machine too
        for judged in [pool.submit(expect, *case) for case in some]:
            judged.result()
    run, _ = slow.result()
    assert run.returncode == 0 and not run.stderr, run.stderr
else:
    for ranks, nodes in (2, 0), (3, 0), (4, 0), (8, 0), (2, 1), (3, 1), (4, 2), (4, 1), (8, 4):
        plain = start_up(ranks, nodes)
        for how in faults:
            expect_in_time(how, ranks, nodes, plain)
    for i in range(100):
        run, _ = job("slow" if i % 10 == 0 else "clean", 2 + i % 3, limit=2.5, ranks_per_node=i // 3 % 3)
        assert run.returncode == 0 and not run.stderr, f"run {i}: {run.stderr}"
    print("100 clean runs without an alarm")
