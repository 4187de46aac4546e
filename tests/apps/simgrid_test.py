"""A step exported for SimGrid and replayed there on the exported platform takes what partita-simulate says, on grids of 4 to 64 ranks.

SimGrid has a model of links of its own: latency, bandwidth, max-min sharing. Machines here have what both can say: one latency and one
bandwidth a level. Skipped where SimGrid is not installed (package libsimgrid-dev).
Usage: simgrid_test.py PARTITA_SIMULATE SOURCE_FOLDER
"""
import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

simulate, source = sys.argv[1], pathlib.Path(sys.argv[2])
if not shutil.which("smpirun"):
    print("SKIPPED: SimGrid's smpirun is not installed")
    sys.exit(77)
folder = pathlib.Path(tempfile.mkdtemp())
SECONDS = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}

LINK = """version schema=1
compute flops_per_second=10e9 call_seconds=1e-6
memory level=main bytes_per_second=10e9
link latency_seconds=2e-6 bytes_per_second=2e9
overhead start_seconds=5e-7 wait_seconds=2e-7 step_seconds=5e-6
"""
LEVELS = LINK + """level name=node ranks=8
level name=cluster ranks=64
message level=node min_bytes=0 send_seconds=2e-7 latency_seconds=5e-7 byte_seconds=1e-10 receive_seconds=3e-7
message level=cluster min_bytes=0 send_seconds=4e-7 latency_seconds=2e-6 byte_seconds=5e-10 receive_seconds=5e-7
"""
CROSSBAR = LINK + """level name=cluster ranks=64
topology level=cluster kind=crossbar link_bytes_per_second=2e9
message level=cluster min_bytes=0 send_seconds=0 latency_seconds=2e-6 byte_seconds=1e-10 receive_seconds=0
"""
MACHINES = {"link": LINK, "levels": LEVELS, "crossbar": CROSSBAR}
CASES = [  # machine, run file, ranks, keys
    ("link", "digits_cnn.ini", 4, ["--sync.algorithm=ring"]),
    ("link", "digits_mlp.ini", 8, ["--sync.algorithm=recursive-doubling"]),
    ("link", "digits_mlp.ini", 6, ["--sync.algorithm=halving-doubling"]),
    ("levels", "digits_cnn.ini", 16, ["--sync.algorithm=ring", "--train.batch=256"]),
    ("levels", "digits_cnn.ini", 64, ["--sync.algorithm=recursive-doubling", "--train.batch=512"]),
    ("levels", "digits_cnn.ini", 32, ["--sync.algorithm=double-tree", "--train.batch=256"]),
    ("link", "digits_lenet5_pipeline.ini", 4, ["--grid.pipeline=4", "--grid.data=1", "--pipeline.microbatches=8"]),
    ("levels", "digits_lenet5_pipeline.ini", 16, ["--grid.pipeline=4", "--grid.data=4", "--grid.tensor=1", "--sync.algorithm=ring",
                                                  "--train.batch=256"]),
    ("link", "digits_cnn_hybrid.ini", 8, ["--grid.data=4", "--grid.pipeline=1", "--grid.tensor=2", "--sync.algorithm=ring"]),
    ("levels", "digits_cnn_hybrid.ini", 64, ["--grid.data=16", "--grid.pipeline=2", "--grid.tensor=2", "--sync.algorithm=recursive-doubling",
                                             "--train.batch=512", "--pipeline.microbatches=4"]),
]


def run(*command, **options):
    ended = jobs.run(command, **options)
    assert ended.returncode == 0, (command, ended.returncode, ended.stdout, ended.stderr)
    return ended.stdout + ended.stderr


def replayed(machine, traces, ranks):
    """Seconds that SimGrid takes for the traces."""
    hosts = (traces / "hosts.txt").read_text().splitlines()
    assert len(set(hosts)) == ranks, hosts
    said = run("smpirun", "-np", len(hosts), "-hostfile", "hosts.txt", "-platform", machine, "-replay", "index.txt",
               "--cfg=network/model:CM02", "--cfg=surf/precision:1e-12", "--cfg=smpi/host-speed:1e9f", cwd=traces)
    return float(re.search(r"Simulation time ([\d.e+-]+)", said)[1])


for name, text in MACHINES.items():
    (folder / f"{name}.machine").write_text(text)
print(f"{'machine':8}{'run':28}{'ranks':>6}{'here':>13}{'SimGrid':>13}{'off by':>9}")
wrong = []
for number, (machine, config, ranks, keys) in enumerate(CASES):
    traces, platform = folder / f"traces-{number}", folder / f"platform-{number}.xml"
    keys = ["--config", source / "inputs/runs" / config, f"--ranks={ranks}", "--machine", folder / f"{machine}.machine", *keys]
    said = run(simulate, *keys, "--export=smpi", "--export-to", traces)
    run(simulate, *keys, "--export=platform", "--export-to", platform)
    value, unit = re.search(r"begin together, ([\d.e+-]+) (\w+)", said).groups()
    here, there = float(value) * SECONDS[unit], replayed(platform, traces, ranks)
    print(f"{machine:8}{config:28}{ranks:6}{here:12.7f}s{there:12.7f}s{100 * (there / here - 1):8.2f}%")
    if abs(there / here - 1) > 0.01:  # a round more or less is above
        wrong.append(number)
assert not wrong, [CASES[number] for number in wrong]

# Eight ranks send to one at once: its link, a crossbar's, is shared by all of them, though each alone could have more.
traces, platform, size = folder / "incast", folder / "crossbar.xml", 4000000
traces.mkdir()
(traces / "hosts.txt").write_text("".join(f"rank-{r}\n" for r in range(9)))
(traces / "index.txt").write_text("".join(f"{r}.txt\n" for r in range(9)))
for r in range(8):
    (traces / f"{r}.txt").write_text(f"{r} init\n{r} send 8 {r} {size}\n{r} finalize\n")
posted = "".join(f"8 irecv {r} {r} {size}\n" for r in range(8)) + "".join(f"8 wait {r} 8 {r}\n" for r in range(8))
(traces / "8.txt").write_text(f"8 init\n{posted}8 finalize\n")
run(simulate, "--config", source / "inputs/runs/digits_mlp.ini", "--ranks=9", "--machine", folder / "crossbar.machine", "--export=platform",
    "--export-to", platform)
there, shared = replayed(platform, traces, 9), 2e-6 + 8 * size / 2e9
print(f"incast of 8 on a crossbar: {there:.7f} s; shared link {shared:.7f} s, of its own for each {2e-6 + size / 2e9:.7f} s")
assert abs(there / shared - 1) < 0.01, there
