"""scripts/bare_machine.sh: what it runs ends with it, with a signal and with a kill. Namespaces are real, all that takes long is not.

Usage: bare_machine_test.py SOURCE_FOLDER
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

source = pathlib.Path(sys.argv[1])
if os.geteuid() != 0 or not all(map(shutil.which, ("git", "setpriv", "unshare"))) or jobs.run(["git", "-C", source, "rev-parse", "HEAD"]).returncode != 0:
    print("SKIPPED: needs root, git, setpriv, unshare and a checkout")
    sys.exit(77)
if jobs.run(["unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).returncode != 0:
    print("SKIPPED: no namespaces here")
    sys.exit(77)

# The root is a few empty folders, and what is run in it sleeps, as another user: whoever becomes that is asked by no kernel to end
# with its parent.
quick_mmdebstrap = """
for word; do case "$word" in *.partial) made=$word ;; esac; done
folder=$(mktemp -d)
mkdir "$folder/dev" "$folder/sys" "$folder/proc" "$folder/run" "$folder/etc" "$folder/root"
tar -C "$folder" -cf "$made" .
rm -r "$folder"
"""
sleeping_chroot = """case "$1" in --userspec=*) exec setpriv --reuid=65534 sleep 1000 ;; esac"""
git_without_clones = f"""
case "$1" in clone) exit ;; esac
exec {shutil.which("git")} "$@"
"""


def sleeping(job):
    """What the script has started, once it sleeps."""
    def found():
        started = jobs.descendants(job.pid)
        return any(name_of(pid) == "sleep" for pid in started) and started
    return jobs.wait_for("sleep", found, job)


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def check(mmdebstrap, chroot, number):
    with tempfile.TemporaryDirectory() as folder:
        programs = pathlib.Path(folder) / "bin"
        programs.mkdir()
        for name, text in (("mmdebstrap", mmdebstrap), ("chroot", chroot), ("git", git_without_clones)):
            (programs / name).write_text(f"#!/bin/sh -e\n{text}\n")
            (programs / name).chmod(0o755)
        job = subprocess.Popen(["bash", source / "scripts" / "bare_machine.sh", "--quick", "bookworm"], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}",
                                                                          "PARTITA_BARE_DIR": f"{folder}/bare", "PARTITA_BARE_MIRROR": "none"})
        started = []
        try:
            started = sleeping(job)
            os.kill(job.pid, number)
            code = job.wait(jobs.LIMIT_SECONDS)
            jobs.wait_for(f"end of what {number.name} left", lambda: not any(map(jobs.is_running, started)))
            assert code == (-number if number == signal.SIGKILL else 128 + number), code
        finally:
            jobs.end(job)
            for pid in filter(jobs.is_running, started):
                os.kill(pid, signal.SIGKILL)


for number in (signal.SIGTERM, signal.SIGINT, signal.SIGKILL):
    check(quick_mmdebstrap, sleeping_chroot, number)
    check("exec sleep 1000", "", number)
