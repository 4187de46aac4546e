"""partita.open: tables and data sets as they were written, groups that were not recorded, files that are none of ours.

usage: open_test.py WRITE_SAMPLE
"""
import os
import subprocess
import sys
import tempfile
import unittest

import packages

packages.require("h5py", "numpy", "pandas", "xarray")
import h5py  # noqa: E402
import numpy  # noqa: E402

import partita  # noqa: E402

write_sample = sys.argv.pop(1)


def sample(name, **keys):
    subprocess.run([write_sample, name, *(f"{k}={v}" for k, v in keys.items())], check=True)
    return name


class Open(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)

    def tearDown(self):
        os.chdir("/")
        self.folder.cleanup()

    def refuses(self, name, *words):
        with self.assertRaises(partita.BadFile) as refused:
            partita.open(name)
        for word in (name, *words):
            self.assertIn(word, str(refused.exception))

    def changed(self, change):
        """A sample with `change(file)` done to it."""
        sample("changed.h5")
        with h5py.File("changed.h5", "r+") as file:
            change(file)
        return "changed.h5"

    def test_attributes_and_configuration(self):
        run = partita.open(sample("r.h5"))
        self.assertEqual((run.attributes["model"], run.attributes["seed"], run.attributes["status"]),
                         ("cnn-mnist", 18446744073709551615, "complete"))
        self.assertEqual((run.grid, run.ranks), ({"data": 2, "pipeline": 1, "tensor": 1}, 2))
        self.assertEqual(run.config, {"train.batch": "64"})
        self.assertEqual(run.environment["mpi"], "MPICH 4.0.2")
        self.assertEqual(list(run.ranks_table.cpu_model), ["Xeon®", "Xeon®"])
        self.assertIn("cnn-mnist on 2 ranks", repr(run))

    def test_values_of_the_configuration_are_what_was_given(self):
        text = ("output = \"it's.h5\"\n[model]\nname = 'say \"a\"#1'\nlayer = relu name=a\u2028b\nlayer = \" linear 3 \"\n[data]\n"
                "dir = a\u0085b\x0bc\nname = '\n")
        run = partita.open(self.changed(lambda file: file.attrs.__setitem__("config", text)))
        self.assertEqual(run.config, {"output": "it's.h5", "model.name": 'say "a"#1', "model.layer": ["relu name=a\u2028b", " linear 3 "],
                                      "data.dir": "a\u0085b\x0bc", "data.name": "'"})

    def test_keys_without_effect_are_marked(self):
        text = "[train]\nsteps = 5\nepochs = 3 # not used\n[model]\nname = \"# not used\"\n"
        run = partita.open(self.changed(lambda file: file.attrs.__setitem__("config", text)))
        self.assertEqual(run.config, {"train.steps": "5", "train.epochs": "3", "model.name": "# not used"})
        self.assertEqual(run.unused, {"train.epochs"})

    def test_steps_are_an_xarray_data_set(self):
        steps = partita.open(sample("r.h5")).steps
        self.assertEqual(float(steps.loss.sel(step=1)), 2.3 / 2)
        self.assertEqual(float(steps.phase_seconds.sel(phase="backward", step=3, rank=1)), 312)
        self.assertEqual(steps.rank_seconds.dims, ("step", "rank"))
        self.assertEqual(steps.samples.values.tolist(), [64] * 6 + [32])

    def test_tables_are_pandas(self):
        run = partita.open(sample("r.h5"))
        self.assertEqual(run.epochs.test_accuracy[2], 0.97)
        self.assertTrue(numpy.isnan(run.epochs.test_accuracy[1]))
        self.assertEqual(run.traffic.groupby("rank").wire_bytes.sum().tolist(), [14002, 14002])
        self.assertEqual(run.peers.pivot_table("wire_bytes", "rank", "peer", "sum").loc[0, 1], 7001)
        self.assertEqual(run.memory.activations[1], 5_000_000_000)
        self.assertEqual(run.timeline.kind.iloc[0], "forward")
        self.assertEqual(set(run.timeline.layer), {"", "conv1", "schön1"})
        self.assertAlmostEqual(run.clock_uncertainty_seconds, 2e-6)
        self.assertEqual(run.figures.set_index("name").value["time_to_accuracy"], 3)
        self.assertEqual(run.inference.prediction.values.tolist(), [7, 0, 9])
        self.assertEqual((len(run.model), len(run.reductions), len(run.benchmarks)), (2, 2, 2))
        self.assertEqual(len(run.groups), 16)

    def test_what_was_not_recorded_says_how_to_get_it(self):
        run = partita.open(sample("r.h5", timeline="none"))
        self.assertNotIn("timeline", run)
        with self.assertRaises(partita.NotRecorded) as missing:
            run.timeline
        self.assertIn("--timeline.steps=2", str(missing.exception))
        with self.assertRaises(AttributeError):
            run.nonsense

    def test_a_file_older_than_peers_opens(self):
        run = partita.open(self.changed(lambda file: file.__delitem__("peers")))
        self.assertNotIn("peers", run)
        self.assertEqual(len(run.traffic), 4)
        with self.assertRaises(partita.NotRecorded) as missing:
            run.peers
        self.assertIn("older files", str(missing.exception))

    def test_files_that_are_none_of_ours(self):
        self.refuses("missing.h5", "No such file")
        with open("text.h5", "w") as file:
            file.write("no HDF5")
        self.refuses("text.h5", "not an HDF5 file")
        with h5py.File("other.h5", "w") as file:
            file["x"] = 1
        self.refuses("other.h5", "not written by Partita")
        self.refuses(self.changed(lambda file: file.attrs.__setitem__("content", b"model")), "not a result")
        self.refuses(self.changed(lambda file: file.attrs.__setitem__("schema_version", 2)), "schema version 2", "newer")

    def test_truncated_files(self):
        with open(sample("r.h5"), "rb") as file:
            whole = file.read()
        for share in (0.02, 0.3, 0.9):
            with open("cut.h5", "wb") as file:
                file.write(whole[:int(share * len(whole))])
            self.refuses("cut.h5", "truncated")

    def test_contents_that_contradict_each_other(self):
        def shorten(name):
            def change(file):
                values = file[name][:-1]
                del file[name]
                file[name] = values
            return change

        def put(name, place, value):
            def change(file):
                file[name][place] = value
                del file[name].attrs["checksum"]
            return change

        self.refuses(self.changed(shorten("traffic/wire_bytes")), "/traffic")
        self.refuses(self.changed(shorten("steps/loss")), "/steps")
        self.refuses(self.changed(shorten("steps/phase/load")), "/steps/phase")
        self.refuses(self.changed(put("peers/peer", 0, 2)), "/peers")
        self.refuses(self.changed(put("traffic/rank", 0, -1)), "/traffic")
        self.refuses(self.changed(put("timeline/end_seconds", 0, -1)), "/timeline")
        self.refuses(self.changed(lambda file: file.__delitem__("steps/rank_seconds")), "rank_seconds")
        self.refuses(self.changed(lambda file: file.attrs.__delitem__("grid")), "grid")
        self.refuses(self.changed(lambda file: file.attrs.__setitem__("grid", b"data=2 pipeline=0 tensor=1")), "grid")

    def test_a_flipped_byte_in_a_column_is_found(self):
        with open(sample("r.h5"), "rb") as file:
            content = bytearray(file.read())
        place = bytes(content).index(numpy.float64(2.3 / 3).tobytes())
        content[place] ^= 1
        with open("flipped.h5", "wb") as file:
            file.write(content)
        self.refuses("flipped.h5", "damaged")

    def test_values_other_than_were_written_are_found(self):
        for name, place, value in (("steps/loss", 1, 9.0), ("steps/phase/load", (0, 1), 9.0), ("timeline/kind", 0, b"wait"),
                                   ("inference/prediction", 2, 8), ("environment/host", 0, b"x")):
            self.refuses(self.changed(lambda file: file[name].__setitem__(place, value)), f"column /{name} does not hold")

    def test_what_is_no_regular_file(self):
        os.mkfifo("fifo.h5")
        for name in ("fifo.h5", "/dev/null", "."):
            self.refuses(name, "not a regular file")


unittest.main(verbosity=1)
