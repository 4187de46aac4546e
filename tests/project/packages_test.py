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


def owners(paths):
    """The packages that each file belongs to. A file of a merged /usr may be listed under its old place, and a link of the
    alternatives' under none: what it leads to stands for it."""
    names = {path: {path, path.removeprefix("/usr"), os.path.realpath(path)} for path in paths}
    belongs = {}
    for line in subprocess.run(["dpkg-query", "-S", *sorted(set().union(*names.values()))], capture_output=True, text=True).stdout.splitlines():
        if not line.startswith("diversion"):
            packages, name = line.rsplit(": ", 1)
            belongs.setdefault(name, set()).update(package.strip().split(":")[0] for package in packages.split(","))
    # A link such as libz.so belongs to the package that one builds with; what it leads to, to another.
    return {path: belongs.get(path) or belongs.get(path.removeprefix("/usr")) or belongs.get(os.path.realpath(path)) or set()
            for path in paths}


listed = lines_of("bash", source / "scripts/install_dependencies.sh", "--tests", "--list")
# A machine's own MPI is used.
listed += sorted(set().union(*owners([shutil.which("mpicxx"), shutil.which("mpiexec")]).values()))
closure = set(listed)
for line in lines_of("apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
                     "--no-replaces", "--no-enhances", "--installed", *listed):
    closure.add(re.sub(r"^[ |]*(\w+: )?|[<>]|:\w+$", "", line))
# CMake's own modules look for these unasked and do without.
optional = {"valgrind", "pkg-config", "pkgconf", "pkgconf-bin"}
named = {}
for entry in (build / "CMakeCache.txt").read_text().splitlines():
    match = re.match(r"(\w[\w.-]*):(FILEPATH|PATH|STRING)=(/.*)", entry)
    for path in match[3].split(";") if match else []:
        if path.startswith(("/usr/", "/lib", "/bin")) and not path.startswith("/usr/local/") and os.path.exists(path):
            named.setdefault(path, match[1])
found = {path: packages for path, packages in owners(list(named)).items() if packages}
foreign = [f"{named[path]} = {path} belongs to {', '.join(sorted(packages))}" for path, packages in found.items()
           if not packages & (closure | optional)]
print(f"{len(found)} things that CMake found, {len(closure)} packages that the set-up brings")
assert len(found) >= 20, "CMakeCache.txt names too few files of packages to say anything"
assert not foreign, "not installed by scripts/install_dependencies.sh:\n" + "\n".join(foreign)
