"""The page of a report in headless Chromium: every picture decodes, nothing is asked of the network, the console stays empty, and
something is to be seen.

usage: page_test.py PARTITA_REPORT; exit 77 where Chromium is missing.
"""
import html
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
import packages

packages.require("h5py", "numpy", "pandas", "matplotlib", "PIL")
import numpy  # noqa: E402
from PIL import Image  # noqa: E402

import many_ranks  # noqa: E402

chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if not chromium:
    print("SKIP: no Chromium")
    sys.exit(77)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
         "--disable-extensions", "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
         "--user-data-dir=profile", "--window-size=1100,3000")
# Tells what became of the page in an element of its own, which --dump-dom prints.
PROBE = """<script>
addEventListener("load", () => {
  const seen = {
    images: [...document.images].map(i => [i.complete, i.naturalWidth, i.naturalHeight, i.alt.length]),
    requests: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
    wide: document.documentElement.scrollWidth, headings: document.querySelectorAll("h1, h2, h3").length,
    anchors: [...document.querySelectorAll("nav a")].every(a => document.getElementById(a.getAttribute("href").slice(1))),
  };
  const probe = document.body.appendChild(document.createElement("pre"));
  probe.id = "probe";
  probe.textContent = JSON.stringify(seen);
});
</script></body>"""


def browse(page, *flags):
    """(standard output, lines of the console) of a page from a file."""
    done = jobs.run([chromium, *FLAGS, *flags, page.absolute().as_uri()], env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": "disabled:"})
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def check_text(text):
    """Nothing in the text itself points outside."""
    assert "<script" not in text and "@import" not in text and 'lang="en"' in text
    for attribute, address in re.findall(r'\b(src|href|url|action)\s*[=(]\s*"?([^"\s>)]{1,80})', text):
        assert address.startswith(("data:", "#")) or re.fullmatch(r"\w+\.(png|svg)", address), (attribute, address)
    assert "Content-Security-Policy" in text and "default-src 'none'" in text


def check_loaded(page, pictures):
    probed = page.with_name("probed.html")
    text = page.read_text().replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    probed.write_text(text.replace("</body>", PROBE))
    dom, console = browse(probed, "--dump-dom")
    assert console == [], console
    seen = json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', dom, re.S)[1]))
    assert len(seen["images"]) == pictures, seen
    for complete, width, height, described in seen["images"]:
        assert complete and width > 300 and height > 100 and described > 40, seen
    assert seen["requests"] == [] and seen["wide"] <= 1100 and seen["headings"] > pictures and seen["anchors"], seen


def check_seen(page):
    _, console = browse(page, "--screenshot=page.png")
    assert console == [], console
    pixels = numpy.asarray(Image.open("page.png").convert("RGB"))
    ink = (pixels.min(axis=2) < 200).mean()
    assert pixels.shape == (3000, 1100, 3) and 0.02 < ink < 0.6, (pixels.shape, ink)
    colours = {tuple(c) for c in pixels[::3, ::3].reshape(-1, 3)}
    assert {(86, 180, 233), (0, 114, 178)} <= colours, "the colours of forward and backward"


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    many_ranks.make("hybrid.h5", 1, 4, 2)
    subprocess.run([sys.argv[1], "hybrid.h5", "-o", "report"], check=True, stdout=subprocess.DEVNULL)
    page = pathlib.Path("report/index.html")
    check_text(page.read_text())
    check_loaded(page, 7)
    check_seen(page)
    os.chdir("/")
print("all hold")
