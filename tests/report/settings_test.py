"""A report is the same, byte for byte, whatever its user told matplotlib: a matplotlibrc in the working folder, in the home, named by
MATPLOTLIBRC, one that is damaged, styles, a back-end, folders that cannot be written, no home. Names are shown as they are.

usage: settings_test.py PARTITA_REPORT
"""
import hashlib
import os
import pathlib
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

import packages

packages.require("h5py", "numpy", "pandas", "matplotlib")
import many_ranks  # noqa: E402

HOSTILE = """text.usetex: True
axes.facecolor: black
lines.linestyle: :
font.size: 31
savefig.bbox: tight
svg.fonttype: none
"""
NAMES = ("_a_$x$_%&<b>", "_b")


def report(folder, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MPL", "MATPLOTLIB", "XDG_"))}
    kept |= environment
    done = jobs.run([sys.argv[1], *(f"{name}.h5" for name in NAMES), "-o", folder],
                    env={name: value for name, value in kept.items() if value is not None})
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert all("recorded no timeline" in line for line in done.stderr.splitlines()), done.stderr
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in pathlib.Path(folder).iterdir()}


def write(path, content):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


with tempfile.TemporaryDirectory() as scratch:
    os.chdir(scratch)
    for i, name in enumerate(NAMES):
        many_ranks.make(f"{name}.h5", 1 + i, 1, 1, timeline=False)
    plain = report("plain", MPLCONFIGDIR=f"{scratch}/empty")
    assert {"curves.png", "scaling.svg", "index.html"} <= set(plain), sorted(plain)
    page = pathlib.Path("plain/index.html").read_text()
    assert "_a_$x$_%&amp;&lt;b&gt;" in page and "<b>" not in page

    hostile, damaged = HOSTILE.encode(), b"# caf\xe9\nno key at all\n"
    for place in ("matplotlibrc", "home/.config/matplotlib/matplotlibrc", "home/.config/matplotlib/stylelib/mine.mplstyle", "rc/matplotlibrc"):
        write(place, hostile)
    assert report("configured", HOME=f"{scratch}/home", MATPLOTLIBRC=f"{scratch}/rc", MPLBACKEND="module://nonsense") == plain
    for place in ("matplotlibrc", "config/matplotlibrc", "config/stylelib/mine.mplstyle"):
        write(place, damaged)
    assert report("damaged", MPLCONFIGDIR=f"{scratch}/config", MATPLOTLIBRC=f"{scratch}/config/matplotlibrc", MPLBACKEND="tkagg") == plain
    assert report("homeless", HOME="/nonexistent/home", MPLCONFIGDIR="/dev/null/none") == plain
    os.chdir("/")
print("all hold")
