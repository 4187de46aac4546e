"""Reads a result file whole and hands its groups out as pandas tables and xarray data sets."""
import functools
import pathlib

import h5py
import numpy

from .key_roles import NOT_USED

SCHEMA_VERSION = 1  # the newest that is understood
SIGNATURE = b"\x89HDF\r\n\x1a\n"
# By group: the table's index, and what to say when it was not recorded.
TABLES = {
    "model": ("layer", "the run has no model"),
    "epochs": ("epoch", "no epoch was completed"),
    "traffic": ("row", "the run counted no traffic"),
    "peers": ("row", "one rank exchanges nothing, and older files do not name the peers: run again"),
    "reductions": ("reduction", "nothing was reduced between ranks"),
    "memory": ("rank", "the run recorded no memory"),
    "figures": ("figure", "the run ended before it had figures of merit"),
    "benchmarks": ("row", "the file is not of a benchmark"),
    "plans": ("candidate", "the run was not started with strategy=auto"),
    "replans": ("replan", "the run kept its plan"),
    "critical_path": ("share", "only predictions of partita-simulate have it"),
    "scaling": ("row", "only partita-simulate --scaling writes it"),
    "timeline": ("span", "record it with --timeline.steps=2"),
}
DATASETS = {"steps": "no training step was completed", "inference": "the file is not of partita-infer",
            "environment": "the run recorded no environment"}


class BadFile(Exception):
    """A file that cannot be used as a result: the message names the file and says why."""


class NotRecorded(KeyError):
    """A group that the run did not record: the message says how to get it."""

    def __str__(self):
        return self.args[0]


def _text(value):
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value.item() if hasattr(value, "item") else value


def column_sum(content):
    """Of a column's bytes, as lib/results/column_sum.hpp makes it; each word goes into the state that the last one left."""
    odd, mask = 0x9e3779b97f4a7c15, 2**64 - 1
    state = odd ^ len(content)
    for word in numpy.frombuffer(content + bytes(-len(content) % 8), "<u8").tolist():
        state ^= word
        state = ((state << 29 | state >> 35) & mask) * odd & mask
    return state ^ state >> 32


def _column(dataset):
    """Numbers as they are, text as an array of str; both as they were written, or `BadFile`."""
    values = dataset[()]
    if "checksum" in dataset.attrs and int(dataset.attrs["checksum"]) != column_sum(values.tobytes()):
        raise BadFile(f"{dataset.file.filename}: is damaged: column {dataset.name} does not hold the values that were written")
    return numpy.char.decode(values, "utf-8", "backslashreplace").astype(object) if values.dtype.kind == "S" else values


def _grid_of(text):
    """Extents of "data=2 pipeline=1 tensor=1", by axis."""
    return {axis: int(extent) for axis, extent in (word.split("=") for word in text.split())}


def _columns(group):
    return {name: _column(item) for name, item in group.items() if isinstance(item, h5py.Dataset)}


class Result:
    """One run. Every group of the file is an attribute; a group that was not recorded raises `NotRecorded`.

    pandas tables: `epochs` (by epoch), `traffic`, `peers`, `reductions`, `memory` (by rank), `figures`, `benchmarks`, `timeline`,
    `plans`, `replans`, `critical_path`, `scaling` (of predictions),
    `model` (by layer), `ranks_table` (by rank: host, cpu_model, cores, device, grid_data, grid_pipeline, grid_tensor).
    xarray data sets: `steps` (loss, samples, seconds, learning_rate, gradient_norm where gradients are clipped, synchronised where steps are local [step]; rank_seconds [step, rank]; phase_seconds
    [phase, step, rank]), `inference` (latency_seconds [batch]; prediction [sample] or output [sample, feature]).
    Plain: `path`, `attributes` (of the file), `environment` (versions, Slurm variables), `config` (by "section.key"; `layer` is a
    list), `unused` (keys of `config` that had no effect beside the others), `grid` (extents by axis), `ranks` (their number), `clock_uncertainty_seconds` (of the timeline, or None).
    """

    def __init__(self, path, attributes, groups, environment, clock_uncertainty_seconds):
        self.path, self.attributes, self.environment = pathlib.Path(path), attributes, environment
        self.clock_uncertainty_seconds = clock_uncertainty_seconds
        self._groups = groups
        self.grid = _grid_of(attributes["grid"])
        self.ranks = self.grid["data"] * self.grid["pipeline"] * self.grid["tensor"]
        self.config, self.unused = parse_config(attributes["config"])

    def __contains__(self, group):
        return group in self._groups

    def __repr__(self):
        return f"<partita.Result {self.path}: {self.attributes['model']} on {self.ranks} ranks, {self.attributes['status']}>"

    @property
    def groups(self):
        """Names of the groups that were recorded."""
        return sorted(group for group in self._groups if "/" not in group)

    def columns(self, group):
        """The arrays of a group by name, as they are in the file."""
        if group not in self._groups:
            reason = TABLES[group][1] if group in TABLES else DATASETS.get(group, "no such group is known")
            raise NotRecorded(f"{self.path} has no /{group}: {reason}")
        return self._groups[group]

    def plan_at(self, step):
        """Extents by axis and the schedule of this step, "" without a pipeline: a run that changed its plan on the way had another before."""
        grid, schedule = self.grid, self.config.get("pipeline.schedule", "")
        if "replans" in self:
            columns = self.columns("replans")
            over = columns["step"] <= step
            name = columns["after"][over][-1] if over.any() else columns["before"][0]
            axes, _, rest = name.partition(", ")
            grid = _grid_of(axes)
            schedule = rest.partition(",")[0].partition(" with ")[0] if grid["pipeline"] > 1 else ""
        return grid, schedule

    def __getattr__(self, name):
        if name not in TABLES:
            raise AttributeError(f"a result has no {name}")
        import pandas
        table = pandas.DataFrame(self.columns(name)).set_index(TABLES[name][0])
        if "modelled_wire_bytes" in table:  # -1 of an MPI library whose inside nobody knows
            table["modelled_wire_bytes"] = table["modelled_wire_bytes"].where(table["modelled_wire_bytes"] >= 0)
        self.__dict__[name] = table
        return table

    @functools.cached_property
    def steps(self):
        import xarray
        columns, phases = self.columns("steps"), self.columns("steps/phase")
        sets = {name: ("step", columns[name]) for name in ("loss", "samples", "seconds", "learning_rate", "gradient_norm", "synchronised") if name in columns}
        sets["rank_seconds"] = (("step", "rank"), columns["rank_seconds"])
        sets["phase_seconds"] = (("phase", "step", "rank"), numpy.stack(list(phases.values())))
        return xarray.Dataset(sets, {"step": columns["step"], "rank": columns["rank"], "phase": list(phases)})

    @functools.cached_property
    def inference(self):
        import xarray
        columns = self.columns("inference")
        dims = {"latency_seconds": ("batch",), "prediction": ("sample",), "output": ("sample", "feature")}
        return xarray.Dataset({name: (dims[name], values) for name, values in columns.items() if name in dims})

    @functools.cached_property
    def ranks_table(self):
        import pandas
        return pandas.DataFrame(self.columns("environment")).set_index("rank")


def parse_config(text):
    """INI text by "section.key"; keys before the first section stand alone; `layer`, which is repeated, becomes a list.
    A line ends at a line feed alone, and a value in quotes is what stands between them. With them the set of keys that the run did
    not use."""
    values, unused, section = {}, set(), ""
    for line in text.split("\n"):
        line = line.strip(" \t")
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1] + "."
        elif "=" in line and not line.startswith(("#", ";")):
            key, value = (part.strip(" \t") for part in line.split("=", 1))
            if value.endswith(" " + NOT_USED):
                unused.add(section + key)
                value = value.removesuffix(NOT_USED).rstrip(" \t")
            if len(value) > 1 and value[0] in "\"'" and value[-1] == value[0]:
                value = value[1:-1]
            if section + key == "model.layer":
                values.setdefault(section + key, []).append(value)
            else:
                values[section + key] = value
    return values, unused


def _check(path, attributes, groups):
    """What the rest relies on: lengths that agree, ranks that the grid has."""
    def require(holds, what):
        if not holds:
            raise BadFile(f"{path}: is damaged: {what}")

    extents = [int(word.split("=")[1]) for word in attributes["grid"].split()]
    ranks = int(numpy.prod(extents, dtype=object))
    require(len(extents) == 3 and all(0 < e < 2**31 for e in extents), f"its grid is {attributes['grid']!r}")
    for name in TABLES:
        columns = groups.get(name, {})
        lengths = {values.shape for values in columns.values()}
        require(len(lengths) <= 1 and all(len(shape) == 1 for shape in lengths), f"columns of /{name} differ in length")
        require(not columns or TABLES[name][0] in columns, f"/{name} has no column {TABLES[name][0]}")
        for column in ("rank", "peer"):
            values = columns.get(column, numpy.zeros(1))
            require(values.size == 0 or 0 <= values.min() <= values.max() < ranks, f"/{name} names a {column} outside the grid")
    for name in (*groups.get("replans", {}).get("before", ()), *groups.get("replans", {}).get("after", ())):
        grid = _grid_of(name.partition(", ")[0])
        require(grid.keys() == {"data", "pipeline", "tensor"} and numpy.prod(list(grid.values()), dtype=object) == ranks,
                f"/replans names {name!r}, a plan of other ranks")
    if "steps" in groups:
        steps, phases = groups["steps"], groups.get("steps/phase", {})
        shape = (len(steps["seconds"]), ranks)
        require(all(steps[name].shape == shape[:1] for name in ("step", "loss", "samples", "learning_rate", *(name for name in ("gradient_norm", "synchronised") if name in steps)))
                and steps["rank_seconds"].shape == shape and len(steps["rank"]) == ranks, "columns of /steps differ in length")
        require(phases and all(values.shape == shape for values in phases.values()), "columns of /steps/phase differ in length")
    if "timeline" in groups:
        spans = groups["timeline"]
        require((spans["start_seconds"] <= spans["end_seconds"]).all(), "a span of /timeline ends before it starts")


def _read(path):
    with h5py.File(path, "r") as file:
        attributes = {name: _text(value) for name, value in file.attrs.items()}
        if attributes.get("software") != "partita":
            raise BadFile(f"{path}: was not written by Partita")
        if attributes.get("content") != "result":
            raise BadFile(f"{path}: is not a result but a file of content {attributes.get('content')!r}")
        if attributes["schema_version"] > SCHEMA_VERSION:
            raise BadFile(f"{path}: has schema version {attributes['schema_version']}, newer than {SCHEMA_VERSION}, which this"
                          " program reads: use a newer Partita")
        groups = {}
        for name in (*TABLES, *DATASETS):
            if name in file and (name != "environment" or "rank" in file[name]):
                groups[name] = _columns(file[name])
        if "steps" in file:
            groups["steps/phase"] = _columns(file["steps/phase"])
        environment = {name: _text(value) for name, value in file["environment"].attrs.items()} if "environment" in file else {}
        uncertainty = float(file["timeline"].attrs["clock_uncertainty_seconds"]) if "timeline" in file else None
        _check(path, attributes, groups)
        return Result(path, attributes, groups, environment, uncertainty)


def open(path):
    """The run of a result file, read whole; raises `BadFile`, which names the file, for whatever cannot be used."""
    path = pathlib.Path(path)
    try:
        if path.exists() and not path.is_file():  # a FIFO would be waited for
            raise BadFile(f"{path}: is not a regular file")
        with path.open("rb") as file:
            start = file.read(len(SIGNATURE))
    except OSError as refused:
        raise BadFile(f"{path}: cannot be read: {refused.strerror}") from None
    if start != SIGNATURE:
        raise BadFile(f"{path}: is not an HDF5 file")
    try:
        return _read(path)
    except BadFile:
        raise
    except BlockingIOError:
        raise BadFile(f"{path}: is locked by another process; HDF5_USE_FILE_LOCKING=FALSE reads it nevertheless") from None
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, IndexError, OverflowError) as wrong:
        text = " ".join(str(wrong).split())
        reason = "is truncated" if "truncated" in text else "is damaged or lacks parts"
        raise BadFile(f"{path}: {reason} ({text})") from None
