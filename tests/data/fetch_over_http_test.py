"""partita-data fetches the real MNIST (PARTITA_DATA_DIR) over HTTP from this process, with and without range requests, and with failures.

Usage: fetch_over_http_test.py PROGRAM. Exit code 77: skipped.
"""
import http.server
import os
import pathlib
import shutil
import sys
import tempfile
import threading
import unittest

from data_program import STEMS, partita_data, values

MNIST = pathlib.Path(os.environ.get("PARTITA_DATA_DIR", "/nonexistent")) / "mnist"


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves files of `source`; `ranges` whether it can continue; `break_after` bytes the connection is cut once."""

    source, ranges, break_after, requests = None, True, None, []

    def do_GET(self):
        file = Handler.source / self.path.lstrip("/")
        Handler.requests.append((file.name, self.headers.get("Range")))
        if not file.is_file():
            self.send_error(404)
            return
        body, start = file.read_bytes(), 0
        if Handler.ranges and self.headers.get("Range"):
            start = int(self.headers["Range"].removeprefix("bytes=").split("-")[0])
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut, Handler.break_after = Handler.break_after, None
        self.wfile.write(body[start:] if cut is None else body[start:start + cut])

    def log_message(self, *unused):
        pass


class FetchOverHttp(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="partita-data-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        Handler.source, Handler.ranges, Handler.break_after, Handler.requests = MNIST, True, None, []

    def fetch(self):
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        return partita_data("fetch", "mnist", "--dir", self.folder, "--mirror",
                            f"http://127.0.0.1:{self.server.server_port}/", environment=clean)

    def expect_mnist(self, run):
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(values(run.stdout)["train.samples"], "60000")
        for stem in STEMS:
            self.assertEqual((self.folder / "mnist" / f"{stem}.gz").read_bytes(), (MNIST / f"{stem}.gz").read_bytes())
        self.assertEqual(len(list((self.folder / "mnist").iterdir())), 4)

    def test_a_cut_connection_is_continued(self):
        Handler.break_after = 1000
        first = self.fetch()
        self.assertEqual(first.returncode, 1)
        part = self.folder / "mnist" / f"{STEMS[0]}.gz.part"
        self.assertEqual(part.stat().st_size, 1000)
        self.expect_mnist(self.fetch())
        self.assertIn((f"{STEMS[0]}.gz", "bytes=1000-"), Handler.requests)

    def test_a_server_without_ranges_sends_all_again(self):
        Handler.ranges, Handler.break_after = False, 1000
        self.assertEqual(self.fetch().returncode, 1)
        self.expect_mnist(self.fetch())

    def test_missing_files_are_named(self):
        Handler.source = self.folder
        run = self.fetch()
        self.assertEqual(run.returncode, 1)
        self.assertIn("404", run.stderr)


if not MNIST.is_dir():
    print("skipped: PARTITA_DATA_DIR does not lead to mnist")
    sys.exit(77)
unittest.main(argv=sys.argv[:1], verbosity=2)
