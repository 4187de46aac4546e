"""A real Slurm of two nodes on this host: munged, slurmctld and two slurmd over loopback, in a temporary folder of their own.

    with TwoNodes() as slurm:
        slurm.run("srun", "-N2", "hostname")

Whatever it started, and whatever its jobs started, is ended by process id when the block is left; all of it ends with this process too.
`Unavailable` says why there can be none here.
"""
import contextlib
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "srun", "sbatch", "scontrol", "scancel", "squeue", "sinfo")
LIMIT_SECONDS = 600  # ends what hangs; no machine is too slow for it
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
libc = ctypes.CDLL(None)


FINAL = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


class Unavailable(Exception):
    """No Slurm can run here."""


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def adjacent_free_ports():
    """Three ports: of the controller, and two in a row of the nodes."""
    for _ in range(100):
        with socket.socket() as controller, socket.socket() as first, socket.socket() as last:
            try:
                controller.bind(("127.0.0.1", 0))
                first.bind(("127.0.0.1", 0))
                last.bind(("127.0.0.1", first.getsockname()[1] + 1))
                return controller.getsockname()[1], first.getsockname()[1]
            except (OSError, OverflowError):
                continue
    raise Unavailable("no three free ports")


def descendants(pid):
    """Processes below `pid`, the deepest last; steps that left their parents have become children of this process."""
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


class TwoNodes:
    def __init__(self):
        missing = [p for p in PROGRAMS if not find(p)]
        if missing:
            raise Unavailable("not installed: " + ", ".join(missing))
        self.daemons = []
        # These tests may themselves run in a job.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SBATCH", "PMI", "HYD"))}

    def __enter__(self):
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        self.already_there = set(descendants(os.getpid()))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="partita-slurm-"))
        try:
            self.start()
        except BaseException as error:
            self.print_logs()
            self.stop()
            raise Unavailable(str(error)) if isinstance(error, (OSError, TimeoutError)) else error
        return self

    def __exit__(self, kind, *_):
        if kind not in (None, SystemExit):
            self.print_logs()
        self.stop()

    def start(self):
        self.configure()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.daemon("munged", "--foreground", "--force", "--num-threads=2", f"--key-file={key}",
                    f"--socket={self.folder}/munge.socket", f"--pid-file={self.folder}/munged.pid",
                    f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munged.seed")
        self.wait("munged's socket", lambda: (self.folder / "munge.socket").exists())
        self.daemon("slurmctld", "-D", "-i")
        for node in ("n1", "n2"):
            self.daemon("slurmd", "-D", "-N", node)
        self.wait("two idle nodes", lambda: self.run("sinfo", "-h", "-o", "%T %D").stdout.split() == ["idle", "2"])

    def configure(self):
        controller_port, first_node_port = adjacent_free_ports()
        # Binding needs the CPUs that the nodes claim.
        self.binds = {0, 1} <= os.sched_getaffinity(0)
        values = {"FOLDER": self.folder, "USER": pwd.getpwuid(os.getuid()).pw_name, "CONTROLLER_PORT": controller_port,
                  "FIRST_NODE_PORT": first_node_port, "LAST_NODE_PORT": first_node_port + 1,
                  "TASK_PLUGIN": "task/affinity" if self.binds else "task/none"}
        text = pathlib.Path(__file__).with_suffix(".conf").read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        (self.folder / "slurm.conf").write_text(text)
        # Two devices that every host has stand for GPUs; nothing opens them.
        (self.folder / "gres.conf").write_text("".join(f"NodeName=n[1-2] Name=gpu File={d}\n" for d in ("/dev/null", "/dev/zero")))
        self.work = self.folder / "work"
        self.work.mkdir()
        (self.folder / "state").mkdir()
        for node in ("n1", "n2"):
            (self.folder / f"spool-{node}").mkdir()
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")

    def daemon(self, name, *arguments):
        log = open(self.folder / f"{len(self.daemons)}-{name}.printed", "ab")
        process = subprocess.Popen([find(name), *arguments], env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                   preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0))
        self.daemons.append((name, process))

    def wait(self, what, happened, seconds=LIMIT_SECONDS):
        deadline = time.monotonic() + seconds
        while not happened():
            ended = [name for name, process in self.daemons if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise TimeoutError(f"{', '.join(ended)} ended" if ended else f"no {what} in {seconds} s")
            time.sleep(0.05)

    def run(self, *command, timeout=LIMIT_SECONDS, env=None, **options):
        """A command of the user's, with this Slurm as its Slurm."""
        return subprocess.run(command, env=self.environment | (env or {}), capture_output=True, text=True, timeout=timeout, **options)

    def submit(self, *arguments, env=None):
        """The number of a new job; what it prints and writes lies in `work`."""
        result = self.run("sbatch", "--parsable", *map(str, arguments), env=env, cwd=self.work)
        assert result.returncode == 0, (arguments, result.stderr)
        return int(result.stdout)

    def job(self, number):
        """What Slurm knows of a job, of each task where it is an array."""
        lines = self.run("scontrol", "show", "job", "-o", str(number)).stdout.splitlines()
        return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]

    def wait_for(self, number, states=FINAL, seconds=LIMIT_SECONDS):
        """Until all tasks of a job are in one of these states; what Slurm knows of them."""
        self.wait(f"job {number} in {states}", lambda: all(task["JobState"] in states for task in self.job(number)), seconds)
        return self.job(number)

    def printed(self, number):
        """All that a job printed."""
        return "".join(path.read_text() for path in sorted(self.work.glob(f"*-{number}*.out")))

    def print_logs(self):
        for path in sorted(self.folder.glob("*.printed")):
            lines = path.read_text(errors="replace").splitlines()[-25:]
            print(f"--- {path.name}", *lines, sep="\n", file=sys.stderr)

    def stop(self):
        """Jobs first, so that the daemons end their steps themselves; then the daemons and what is left, by process id."""
        if all(process.poll() is None for _, process in self.daemons) and len(self.daemons) == 4:
            deadline = time.monotonic() + 5
            try:
                while time.monotonic() < deadline and (jobs := self.run("squeue", "-h", "-o", "%A", timeout=5).stdout.split()):
                    self.run("scancel", *jobs, timeout=5)
                    time.sleep(0.1)
            except subprocess.TimeoutExpired:
                pass
        for _, process in self.daemons:
            process.kill()
            process.wait()
        for pid in descendants(os.getpid()):
            if pid not in self.already_there:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        shutil.rmtree(self.folder, ignore_errors=True)
