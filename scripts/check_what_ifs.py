"""Changes a machine for real, and holds what that does to a training against what partita-simulate says it would do.

Usage: python3 scripts/check_what_ifs.py MACHINE [--rounds 5]
Wants h5py, MNIST under PARTITA_DATA_DIR, taskset, and two cores. MACHINE: a file of partita-calibrate for two ranks. Four trainings on two
ranks, as the machine is and changed, in turn. Measured and predicted change may differ by 10 %: the ratio of steps where a speed changes,
their difference where sends take longer.
  a slow rank     another process computes on one rank's core, which has half of it then        rank.1.speed=0.5x
  half the cores  both ranks on one core                                                          compute.speed=0.5x
  slow sends      every MPI_Isend takes its core 100 microseconds more (a preloaded library)      send_seconds of the machine file
"""
import contextlib
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

from partita.trainings import BINARIES, WARM_UP, parser, run, run_file, step_seconds, steps_within

delay, allowed = 100e-6, 0.10

slow_send = """
#include <mpi.h>
#include <time.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; }
int MPI_Isend(const void* buffer, int count, MPI_Datatype type, int target, int tag, MPI_Comm comm, MPI_Request* request) {
  const double until = now() + DELAY;
  while (now() < until) {}
  return PMPI_Isend(buffer, count, type, target, tag, comm, request);
}
"""
wide = ["--config", run_file("mlp-wide")]
deep = ["--config", run_file("mlp-deep"), "--train.batch=256"]
trainings = {
    "a slow rank, data 2": (wide + ["--grid.data=2"], "rank.1.speed=0.5x"),
    "a slow rank, pipeline 2": (deep + ["--grid.pipeline=2", "--pipeline.microbatches=4"], "rank.1.speed=0.5x"),
    "half the cores, data 2": (wide + ["--grid.data=2"], "compute.speed=0.5x"),
    "slow sends, pipeline 2": (["--config", run_file("mlp-mnist"), "--grid.pipeline=2", "--pipeline.microbatches=4"], ""),
}


def predict(keys, machine, what_if, folder):
    result = folder / "predicted.h5"
    split = [key for key in keys if not str(key).startswith("--machine=")]
    run([BINARIES / "partita-simulate", *split, "--train.steps=4", f"--machine={machine}", "--output", result, "--overwrite",
         *([f"--what-if={what_if}"] if what_if else [])])
    return step_seconds(result, 0)


@contextlib.contextmanager
def busy(core):
    """A process that computes on one core all the time."""
    process = subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def measure(name, keys, steps, changed, cores, library, folder):
    result = folder / "measured.h5"
    launch = ["mpiexec", "-n", 2]
    environment = dict(os.environ)
    if name.startswith("a slow rank"):  # each rank on its core, so that it is known which one is slow
        launch += ["-bind-to", f"user:{cores[0]},{cores[1]}"]
    if changed and name.startswith("half"):
        launch = ["taskset", "-c", str(cores[0]), *launch]
    if changed and name.startswith("slow sends"):
        environment["LD_PRELOAD"] = str(library)
    with busy(cores[1]) if changed and name.startswith("a slow rank") else contextlib.nullcontext():
        run([*launch, BINARIES / "partita-train", *keys, f"--train.steps={steps}", "--output", result, "--overwrite"], env=environment)
    return step_seconds(result, WARM_UP)


def main():
    options = parser(__doc__).parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("check_what_ifs.py: wants two cores")
    right = True
    print(f"{'change':<26}{'measured ms':>12}{'changed':>10}{'ratio':>8}{'predicted ms':>15}{'changed':>10}{'ratio':>8}{'error':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "slow.c").write_text(slow_send.replace("DELAY", str(delay)))
        run(["mpicc", "-shared", "-fPIC", "-O2", "-o", folder / "slow.so", folder / "slow.c"])
        slower = folder / "slower.machine"
        slower.write_text(re.sub(r"(?m)^(message .*)\bsend_seconds=(\S+)", lambda m: f"{m[1]}send_seconds={float(m[2]) + delay}",
                                 options.machine.read_text()))
        for name, (keys, what_if) in trainings.items():
            keys = [*keys, f"--machine={options.machine}", "--compute.threads=1", "--evaluate.every=0"]
            predicted = predict(keys, options.machine, "", folder), predict(keys, options.machine if what_if else slower, what_if, folder)
            steps = WARM_UP + steps_within(1, predicted[0], least=8)
            seen = ([], [])
            for _ in range(options.rounds):
                for changed in (False, True):
                    seen[changed].append(measure(name, keys, steps, changed, cores, folder / "slow.so", folder))
            measured = [statistics.median(seconds) for seconds in seen]
            ratios = measured[1] / measured[0], predicted[1] / predicted[0]
            added = measured[1] - measured[0], predicted[1] - predicted[0]
            error = (ratios if what_if else added)[1] / (ratios if what_if else added)[0] - 1
            right = right and abs(error) <= allowed
            print(f"{name:<26}{measured[0] * 1e3:12.3f}{measured[1] * 1e3:10.3f}{ratios[0]:8.2f}{predicted[0] * 1e3:15.3f}"
                  f"{predicted[1] * 1e3:10.3f}{ratios[1]:8.2f}{error:+8.1%}{'' if abs(error) <= allowed else '  EXCEEDS 10 %'}", flush=True)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
