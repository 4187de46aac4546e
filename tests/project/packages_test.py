"""What CMake found on this machine belongs to the packages that the set-up installs, or to what those depend on.

A machine that has more than they bring hides a package that is missing in the list: a bare one would stop at it.
Usage: packages_test.py SOURCE_FOLDER BUILD_FOLDER
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys

source, build = map(pathlib.Path, sys.argv[1:3])
if not shutil.which("dpkg-query") or not shutil.which("apt-cache"):
    print("skipped: packages are asked of dpkg and apt, which are not here")
    sys.exit(77)


def lines_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def owners(path):
    """The packages that a file belongs to; a file of a merged /usr may be listed under its old place."""
    for name in (path, path.removeprefix("/usr"), os.path.realpath(path)):
        lines = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True).stdout.splitlines()
        packages = {part.strip().split(":")[0] for line in lines if not line.startswith("diversion")
                    for part in line.rsplit(": ", 1)[0].split(",")}
        if packages:
            return packages
    return set()


listed = lines_of("bash", source / "apps/install_dependencies.sh", "--tests", "--list")
# A machine's own MPI is used.
listed += sorted(owners(shutil.which("mpicxx")) | owners(shutil.which("mpiexec")))
closure = set(listed)
for line in lines_of("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
                     "--no-replaces", "--no-enhances", "--installed", *listed):
    closure.add(re.sub(r"^[ |]*(\w+: )?|[<>]|:\w+$", "", line))
# CMake's own modules look for these unasked and do without.
optional = {"valgrind", "pkg-config", "pkgconf", "pkgconf-bin"}
found, foreign = 0, []
for entry in (build / "CMakeCache.txt").read_text().splitlines():
    match = re.match(r"(\w[\w.-]*):(FILEPATH|PATH|STRING)=(/.*)", entry)
    if not match:
        continue
    for text in match[3].split(";"):
        path = pathlib.Path(text)
        if not text.startswith(("/usr/", "/lib", "/bin")) or text.startswith("/usr/local/") or not path.exists():
            continue
        packages = owners(text)
        if not packages:
            continue
        found += 1
        if not packages & (closure | optional):
            foreign.append(f"{match[1]} = {text} belongs to {', '.join(sorted(packages))}")
print(f"{found} things that CMake found, {len(closure)} packages that the set-up brings")
assert found >= 20, "CMakeCache.txt names too few files of packages to say anything"
assert not foreign, "not installed by apps/install_dependencies.sh:\n" + "\n".join(foreign)
