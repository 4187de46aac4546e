"""Turns CTest's JUnit file into a record of a test run: commit, machine, load, counts, failures and durations.

Usage: record.py TESTS.xml wall_seconds=N load_before=X [shard=k/n | busy_processes=N]; run when the tests have just ended.
"""
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys
import xml.etree.ElementTree as xml


def git(*arguments):
    return subprocess.run(["git", *arguments], capture_output=True, text=True).stdout.strip()


def cpu_model():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


told = dict(word.split("=", 1) for word in sys.argv[2:])
suite = xml.parse(sys.argv[1]).getroot()
cases = suite.findall("testcase")
status = {case.get("name"): case.get("status") for case in cases}
json.dump(
    {
        "commit": git("rev-parse", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": {"cpu": cpu_model(), "cores": int(subprocess.check_output(["bash", pathlib.Path(__file__).parents[1] / "scripts" / "cores.sh"]))},
        **({"shard": told["shard"]} if "shard" in told else {"busy_processes": int(told["busy_processes"])}),
        "load_average": {"before": float(told["load_before"]), "after": round(os.getloadavg()[0], 2)},
        "wall_seconds": float(told["wall_seconds"]),
        "total_seconds": round(sum(float(case.get("time")) for case in cases), 1),
        "tests": len(cases),
        "passed": sum(s == "run" for s in status.values()),
        "failed": sorted(name for name, s in status.items() if s == "fail"),
        "skipped": sorted(name for name, s in status.items() if s not in ("run", "fail")),
        "seconds": {case.get("name"): round(float(case.get("time")), 2) for case in cases},
    },
    sys.stdout,
    indent=1,
)
print()
