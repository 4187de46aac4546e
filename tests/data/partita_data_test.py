"""partita-data end to end: python3 partita_data_test.py PROGRAM commands|fetch. Exit code 77: skipped.

`commands` needs nothing; `fetch` serves the real MNIST (PARTITA_DATA_DIR) over HTTP from this process, with and
without range requests, and with failures.
"""

import gzip
import http.server
import os
import pathlib
import shutil
import struct
import sys
import tempfile
import threading
import unittest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

PROGRAM = sys.argv[1]
STEMS = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]


def partita_data(*words, environment=None):
    return jobs.run([PROGRAM, *words], env=environment)


def values(text):
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="partita-data-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def generate(self, name, *words):
        run = partita_data("generate", "--output", self.folder / name, *words)
        self.assertEqual(run.returncode, 0, run.stderr)
        return values(run.stdout)

    def refuse(self, *words, naming=()):
        run = partita_data(*words)
        self.assertEqual(run.returncode, 2, run.stdout + run.stderr)
        self.assertEqual(run.stdout, "")
        for text in naming:
            self.assertIn(text, run.stderr)

    def test_help_and_version(self):
        for command in ([], ["generate"], ["verify"], ["fetch"]):
            self.assertIn("Usage: partita-data", partita_data(*command, "--help").stdout)
            self.assertRegex(partita_data(*command, "--version").stdout, r"^partita-data \d+\.\d+\.\d+\n$")

    def test_generated_files_are_idx(self):
        self.generate("mine", "--train-samples", 30, "--test-samples", 10)
        plain = gzip.decompress((self.folder / "mine" / (STEMS[0] + ".gz")).read_bytes())
        self.assertEqual(struct.unpack(">IIII", plain[:16]), (0x0803, 30, 28, 28))
        self.assertEqual(len(plain), 16 + 30 * 784)
        labels = gzip.decompress((self.folder / "mine" / (STEMS[1] + ".gz")).read_bytes())
        self.assertEqual(struct.unpack(">II", labels[:8]), (0x0801, 30))
        self.assertEqual(sorted(labels[8:18]), list(range(10)))

    def test_verify_prints_what_generate_printed(self):
        for name, words in {"a": [], "b": ["--plain"], "c": ["--name", "random", "--features", "1x5x6"]}.items():
            made = self.generate(name, "--train-samples", 40, "--test-samples", 20, *words)
            run = partita_data("verify", self.folder / name)
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(values(run.stdout), made)
            self.assertEqual(made["train.samples"], "40")
        self.assertEqual(made["train.shape"], "1x5x6")
        same = [self.generate(n, "--train-samples", 40, "--test-samples", 20, *w) for n, w in
                (("d", []), ("e", ["--plain"]))]
        self.assertEqual(same[0]["sha256"], same[1]["sha256"])
        self.assertNotEqual(same[0]["sha256"], self.generate("f", "--train-samples", 40, "--seed", 2)["sha256"])

    def test_few_samples_make_a_good_set(self):
        """The training set lacks classes that the test set has: they are the set's own."""
        made = self.generate("few", "--train-samples", 3, "--test-samples", 10)
        self.assertEqual((made["train.classes"], made["test.classes"]), ("10", "10"))
        self.assertEqual((self.folder / "few" / "classes.txt").read_text(), "".join(f"{digit}\n" for digit in range(10)))
        made = self.generate("drawn", "--name", "random", "--train-samples", 1, "--test-samples", 4, "--classes", 7)
        self.assertEqual((made["test.classes"], made["class-names"]), ("7", "0, 1, 2, 3, 4, 5, 6"))
        (self.folder / "few" / "classes.txt").unlink()  # as earlier versions left it
        self.refuse("verify", self.folder / "few", naming=[STEMS[3], "out of range", "data.classes="])

    def test_images_of_several_channels(self):
        made = self.generate("colour", "--name", "random", "--features", "3x4x5", "--train-samples", 20, "--test-samples", 10,
                             "--plain")
        self.assertEqual(made["train.shape"], "3x4x5")
        self.assertEqual(len(made["train.mean"].split()), 3)
        plain = (self.folder / "colour" / "train-images-idx4-ubyte").read_bytes()
        self.assertEqual(struct.unpack(">IIIII", plain[:20]), (0x0804, 20, 3, 4, 5))
        self.generate("colour", "--train-samples", 20, "--test-samples", 10, "--overwrite")
        self.assertEqual(sorted(p.name for p in (self.folder / "colour").iterdir()),
                         sorted(["classes.txt", *(f"{stem}.gz" for stem in STEMS)]))

    def test_existing_files_are_kept(self):
        few = ["--train-samples", 20, "--test-samples", 10]
        self.generate("mine", *few)
        self.refuse("generate", "--output", self.folder / "mine", *few, naming=STEMS + ["--overwrite"])
        self.generate("mine", *few, "--overwrite", "--plain")
        self.assertEqual(sorted(p.name for p in (self.folder / "mine").iterdir()), sorted(STEMS + ["classes.txt"]))

    def test_bad_options_are_all_named(self):
        self.refuse("generate", "--output", "x", "--train-samples", "-1", "--seed", "1e3", "--features", "1xx", "--classes",
                    "nan", naming=["--train-samples = -1", "--seed = 1e3", "--features = 1xx", "--classes = nan"])
        self.refuse("generate", "--name", "digit", naming=["--name = digit", "--output"])
        self.refuse("generate", "--output", self.folder / "digits", naming=["my-digits"])
        self.refuse("generate", "--output", "x", "--name", "random", "--features", "8x8", naming=["CHANNELSxHEIGHTxWIDTH"])
        self.refuse("generate", "--outp", "x", naming=["--outp"])
        self.refuse("generate", "--output", "x", "stray", naming=["positional"])
        self.refuse("verify", naming=["folder"])
        self.refuse("fetch", "mnits", naming=["mnits", "mnist or fashion-mnist"])
        self.refuse("frobnicate", naming=["generate, verify or fetch"])
        self.refuse()

    def test_verify_names_every_fault(self):
        self.refuse("verify", self.folder / "absent", naming=["absent", "does not exist"])
        self.generate("mine", "--train-samples", 20, "--test-samples", 10, "--plain")
        mine = self.folder / "mine"
        (mine / STEMS[0]).write_bytes((mine / STEMS[0]).read_bytes()[:-1])
        (mine / STEMS[1]).write_bytes(b"\1\2\3\4\5")
        (mine / STEMS[2]).unlink()
        (mine / STEMS[3]).write_bytes(gzip.compress((mine / STEMS[3]).read_bytes())[:-3])
        self.refuse("verify", mine, naming=STEMS + ["truncated", "is no IDX file", "does not exist"])

    def test_a_failing_disk_is_a_failure(self):
        (self.folder / "file").write_text("in the way")
        run = partita_data("generate", "--output", self.folder / "file" / "set", "--train-samples", 10)
        self.assertEqual(run.returncode, 1)
        self.assertIn("partita-data: ", run.stderr)

    def test_fetch_without_a_mirror_that_answers(self):
        mirrors = ["--mirror", f"file://{self.folder}/a", "--mirror", f"file://{self.folder}/b"]
        run = partita_data("fetch", "mnist", "--dir", self.folder / "data", *mirrors)
        self.assertEqual(run.returncode, 1)
        for mirror in mirrors[1::2]:
            self.assertIn(mirror, run.stderr)
        self.assertEqual(list((self.folder / "data" / "mnist").iterdir()), [])


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


if __name__ == "__main__":
    suite = Commands
    if sys.argv[2] == "fetch":
        suite = FetchOverHttp
        MNIST = pathlib.Path(os.environ.get("PARTITA_DATA_DIR", "/nonexistent")) / "mnist"
        if not MNIST.is_dir():
            print("skipped: PARTITA_DATA_DIR does not lead to mnist")
            sys.exit(77)
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(suite)
    sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(tests).wasSuccessful() else 1)
