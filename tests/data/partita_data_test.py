"""partita-data end to end: what its commands write, print and refuse.

Usage: partita_data_test.py PROGRAM
"""
import gzip
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs
from data_program import PROGRAM, STEMS, partita_data, values

CIFAR_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def cifar_10():
    """The files of a small CIFAR-10, two records a batch; and the pixels of its training set."""
    drawn = random.Random(3)
    pixels = [bytes(drawn.randrange(80 * c, 80 * c + 90) for c in range(3) for _ in range(1024)) for _ in range(13)]
    records = [bytes([n % 10]) + p for n, p in enumerate(pixels)]
    files = {f"data_batch_{b + 1}.bin": b"".join(records[2 * b:2 * b + 2]) for b in range(5)}
    files |= {"test_batch.bin": b"".join(records[10:]), "batches.meta.txt": ("\n".join(CIFAR_10) + "\n\n").encode()}
    return files, b"".join(pixels[:10])


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
        for command in ([], ["generate"], ["import"], ["verify"], ["fetch"]):
            self.assertIn("Usage: partita-data", partita_data(*command, "--help").stdout)
            self.assertRegex(partita_data(*command, "--version").stdout, r"^partita-data \d+\.\d+\.\d+ \(")

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

    def test_a_set_that_appears_meanwhile_is_kept(self):
        """The other is whole before the first, stopped while it draws, comes to write; again where it came to that too soon."""
        for attempt in range(20):
            target = self.folder / f"both-{attempt}"
            slow = subprocess.Popen([PROGRAM, "generate", "--output", target, "--train-samples", "60000"], stdout=subprocess.DEVNULL,
                                    stderr=subprocess.PIPE, text=True)
            slow.send_signal(signal.SIGSTOP)
            early = not target.exists()
            if early:
                self.generate(target.name, "--train-samples", 50)
            slow.send_signal(signal.SIGCONT)
            said = slow.communicate(timeout=jobs.LIMIT_SECONDS)[1]
            if early:
                break
        self.assertTrue(early)
        self.assertEqual(slow.returncode, 2, said)
        self.assertIn("exists; pass --overwrite", said)
        self.assertIn("train.samples = 50", partita_data("verify", target).stdout)

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
        # The bounds are those of the keys data.*; only a label's byte binds more.
        self.refuse("generate", "--output", "x", "--seed", str(2 ** 64), "--train-samples", 5_000_000_000, "--classes", 2 ** 20 + 1,
                    naming=["--seed", "to 18446744073709551615", "to 4999999999", "to 1048576"])
        self.refuse("generate", "--output", "x", "--name", "random", "--classes", 257, naming=["the nearest is 256"])
        self.refuse("generate", "--output", "x", "--name", "random", "--features", "8x8", naming=["CHANNELSxHEIGHTxWIDTH"])
        self.refuse("generate", "--outp", "x", naming=["--outp = x: is no option; there are --output", "did you mean --output?"])
        self.refuse("generate", "--output", "x", "stray", naming=["stray: is not an option"])
        self.refuse("verify", "a", "b", "--plian", naming=["b: is one too many", "--plian: is no option; there are --help, --version"])
        self.refuse("verify", naming=["folder"])
        self.refuse("verify", "a", "--=5", naming=["-- = 5: is no option; there are --help, --version"])
        self.refuse("verify", "--", "-a", "b", naming=["b: is one too many"])
        self.refuse("generate", "--", "--output=x", naming=["--: is no option; there are --output"])
        self.refuse("fetch", "mnits", naming=["mnits", "mnist, fashion-mnist, cifar-10, cifar-100; did you mean 'mnist'?"])
        self.refuse("frobnicate", naming=["generate, import, verify or fetch"])
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

    def import_cifar(self, files, *words):
        source = self.folder / "source" / "batches"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        for name, content in files.items():
            (source / name).write_bytes(content)
        return ["import", source, "--output", self.folder / "my-cifar", *words]

    def archive(self, mode, end):
        path = self.folder / f"cifar{end}"
        with tarfile.open(path, mode) as tar:
            tar.add(self.folder / "source" / "batches", "cifar-10-batches-bin")
        return path

    def test_import_of_cifar_10(self):
        files, pixels = cifar_10()
        command = self.import_cifar(files, "--plain")
        made = partita_data(*command)
        self.assertEqual(made.returncode, 0, made.stderr)
        found = values(made.stdout)
        self.assertEqual((found["train.samples"], found["test.samples"], found["train.shape"]), ("10", "3", "3x32x32"))
        self.assertEqual(found["class-names"], ", ".join(CIFAR_10))
        images = (self.folder / "my-cifar" / "train-images-idx4-ubyte").read_bytes()
        self.assertEqual(struct.unpack(">IIIII", images[:20]), (0x0804, 10, 3, 32, 32))
        self.assertEqual(images[20:], pixels)
        labels = (self.folder / "my-cifar" / "train-labels-idx1-ubyte").read_bytes()
        self.assertEqual(labels[8:], bytes(range(10)))
        for channel, mean in enumerate(found["train.mean"].split()):
            of_channel = [pixel for at in range(10) for pixel in pixels[3072 * at + 1024 * channel:][:1024]]
            self.assertAlmostEqual(float(mean), sum(of_channel) / len(of_channel) / 255, delta=6e-5)
        self.refuse(*command, naming=["train-images-idx4-ubyte", "classes.txt", "--overwrite"])
        for archive in (self.archive("w", ".tar"), self.archive("w:gz", ".tar.gz")):
            again = partita_data("import", archive, "--output", self.folder / "my-cifar", "--overwrite")
            self.assertEqual((again.returncode, again.stdout), (0, made.stdout), again.stderr)
            self.assertFalse((self.folder / "my-cifar" / "train-images-idx4-ubyte").exists(), "it would hide the new one")

    def test_import_of_cifar_100(self):
        def record(fine):
            return bytes([fine // 5, fine]) + bytes([fine]) * 3072

        names = [f"class {n}" for n in range(100)]
        run = partita_data(*self.import_cifar({"train.bin": record(98) + record(3), "test.bin": record(99),
                                               "fine_label_names.txt": "\n".join(names).encode()}))
        self.assertEqual(run.returncode, 0, run.stderr)
        found = values(run.stdout)
        self.assertEqual((found["train.samples"], found["test.classes"]), ("2", "100"))
        self.assertEqual(found["class-names"], ", ".join(names))

    def test_damaged_cifar_is_refused_with_its_place(self):
        whole, _ = cifar_10()
        first, third = whole["data_batch_1.bin"], whole["data_batch_3.bin"]
        for files, naming in (
                ({"data_batch_1.bin": first[:-1]}, ["data_batch_1.bin: holds 6145 bytes and ends inside record 1"]),
                ({"data_batch_3.bin": third[:3073]}, ["data_batch_3.bin: holds 3073 bytes, data_batch_1.bin 6146"]),
                ({"data_batch_3.bin": third[:3073] + b"\x0a" + third[3074:]},
                 ["data_batch_3.bin: label 10 of record 1 is out of range, expected 0 to 9"]),
                ({"test_batch.bin": b"", "data_batch_5.bin": None}, ["test_batch.bin: holds no records", "lacks data_batch_5.bin of CIFAR-10"]),
                ({"batches.meta.txt": b"one\ntwo\n"}, ["batches.meta.txt: names 2 classes, CIFAR-10 has 10"]),
                ({"batches.meta.txt": b"one\n\xff\n"}, ["batches.meta.txt: line 2 is not UTF-8"]),
                ({"data_batch_1.bin": None}, ["holds neither data_batch_1.bin (CIFAR-10) nor train.bin (CIFAR-100)"])):
            changed = {name: content for name, content in {**whole, **files}.items() if content is not None}
            self.refuse(*self.import_cifar(changed), naming=naming)
        self.import_cifar(whole)
        plain, packed = self.archive("w", ".tar").read_bytes(), self.archive("w:gz", ".tar.gz").read_bytes()
        size_at = plain.index(b"data_batch_1.bin") // 512 * 512 + 124
        lie = bytearray(plain)
        lie[size_at:size_at + 12] = b"77777777777\0"
        lie[size_at + 24:size_at + 32] = b" " * 8
        lie[size_at + 24:size_at + 32] = b"%06o\0 " % sum(lie[size_at - 124:size_at + 388])
        twice = plain[:len(plain) // 512 * 512].rstrip(b"\0")
        twice += bytes(-len(twice) % 512)
        for content, why in ((packed[:-20], "the gzip stream is truncated"), (packed[:1000] + b"\xff" * 40 + packed[1040:], "damaged"),
                             (packed + b"x", "1 bytes follow"), (plain[:size_at - 124 + 512 + 100], "data_batch_1.bin has 6146 bytes, 100 are there"),
                             (plain[:size_at], "ends inside a header"), (b"\1" * 600, "at byte 0 is no header of a tar archive"),
                             (bytes(lie), "has 8589934591 bytes"), (twice + plain, "the archive holds another"),
                             (plain[:size_at - 124], "without the block of zeros"), (b"", "without the block of zeros")):
            (self.folder / "x.tar").write_bytes(content)
            self.refuse("import", self.folder / "x.tar", "--output", self.folder / "my-cifar", naming=["x.tar", why])
        self.refuse("import", self.folder / "absent", "--output", self.folder / "my-cifar", naming=["absent: the file does not exist"])
        self.refuse("import", "--plain", naming=["--output", "must be followed by a folder or an archive"])
        self.assertFalse((self.folder / "my-cifar").exists())

    def test_a_failing_disk_is_a_failure(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

        run = jobs.run([PROGRAM, "generate", "--output", self.folder / "set", "--train-samples", 50, "--plain"], preexec_fn=small_files)
        self.assertEqual(run.returncode, 1)
        self.assertIn("partita-data: ", run.stderr)

    def test_what_is_broken_off_leaves_no_mixture(self):
        """New images never lie beside old labels, nor a new half beside an old one: the set is the old, the new, or none."""
        def too_large_for_the_disk():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (784 * 100, 784 * 100))

        # Where a file is written before it gets its name, there is a folder; the process id is in its name, and the shell's.
        blocked = {stem: ["sh", "-c", f'mkdir "$1/{stem}.tmp$$"; shift; exec "$@"', "sh"] for stem in STEMS}
        for name, test_samples in (("large", 200), *((stem, 10) for stem in STEMS)):
            target = self.folder / name
            old = self.generate(name, "--train-samples", 20, "--test-samples", 10, "--plain")
            command = [PROGRAM, "generate", "--output", target, "--overwrite", "--seed", 2, "--train-samples", 20, "--test-samples", test_samples, "--plain"]
            if name in blocked:
                run = jobs.run([*blocked[name], target, *command])
            else:
                run = jobs.run(command, preexec_fn=too_large_for_the_disk)
            self.assertEqual(run.returncode, 1, run)
            left = partita_data("verify", target)
            none = left.returncode == 2 and "does not exist" in left.stderr
            self.assertTrue(none or values(left.stdout) == old, (name, left))

    def test_a_folder_in_the_place_of_a_file_is_refused(self):
        self.generate("mine", "--train-samples", 20, "--test-samples", 10, "--plain")
        (self.folder / "mine" / "classes.txt").unlink()
        (self.folder / "mine" / "classes.txt" / "x").mkdir(parents=True)
        before = sorted(self.folder.rglob("*"))
        self.refuse("generate", "--output", self.folder / "mine", "--overwrite", "--train-samples", 10, naming=["mine/classes.txt: is a folder"])
        self.assertEqual(sorted(self.folder.rglob("*")), before)

    def test_a_folder_that_cannot_be_made_is_refused(self):
        (self.folder / "file").write_text("in the way")
        self.refuse("generate", "--output", self.folder / "file" / "set", "--train-samples", 10, naming=["file/set", "Not a directory"])

    def test_a_folder_that_may_not_be_written_is_refused(self):
        closed, whole, fetched = self.folder / "closed", self.folder / "whole", self.folder / "data" / "mnist"
        self.generate("whole", "--train-samples", 20, "--test-samples", 10)
        importing = self.import_cifar(cifar_10()[0])[:2]
        closed.mkdir()
        fetched.mkdir(parents=True)
        for folder in (closed, whole, fetched):
            folder.chmod(0o555)
            self.addCleanup(folder.chmod, 0o755)
        # The superuser may write everywhere, unless that right is taken away for good.
        bound = ["setpriv", "--bounding-set=-dac_override"] if os.geteuid() == 0 else []
        if bound and (not shutil.which("setpriv") or jobs.run([*bound, "true"]).returncode != 0):
            self.skipTest("needs setpriv, with the right to drop rights, or another user than root")
        few = ["--train-samples", 10]
        fetching = ["fetch", "mnist", "--mirror", f"file://{self.folder}/nowhere", "--dir"]
        for command, named in ((["generate", "--output", closed, *few, "--name", "digit"], ["--name = digit", f"--output = {closed}: cannot be written"]),
                               (["generate", "--output", whole, *few, "--overwrite"], [f"--output = {whole}: cannot be written"]),
                               ([*importing, "--output", closed], [f"--output = {closed}: cannot be written"]),
                               ([*fetching, fetched.parent], [f"{fetched}: cannot be written"]),
                               ([*fetching, closed], [f"{closed}/mnist: the folder cannot be made"])):
            run = jobs.run([*bound, PROGRAM, *command])
            self.assertEqual((run.returncode, run.stdout), (2, ""), run.stderr)
            for text in [*named, "Permission denied"]:
                self.assertIn(text, run.stderr)
        self.assertEqual([*closed.iterdir(), *fetched.iterdir()], [])

    def test_fetch_without_a_mirror_that_answers(self):
        mirrors = ["--mirror", f"file://{self.folder}/a", "--mirror", f"file://{self.folder}/b"]
        run = partita_data("fetch", "mnist", "--dir", self.folder / "data", *mirrors)
        self.assertEqual(run.returncode, 1)
        for mirror in mirrors[1::2]:
            self.assertIn(mirror, run.stderr)
        self.assertEqual(list((self.folder / "data" / "mnist").iterdir()), [])


unittest.main(argv=sys.argv[:1], verbosity=2)
