"""Valid HDF5 with hostile content: seeded changes to whole result and model files, written by h5py, and what the readers say.

Every file must be refused with a message that names it, or be read; no program may crash, hang or take memory without bound.

usage: hostile_hdf5.py CORRUPTION PARTITA_COMPARE WRITE_SAMPLE COUNT [SEED [FOLDER]]; files that break this are kept in FOLDER.
Exit 77 without h5py.
"""
import collections
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import jobs

try:
    import h5py
    import numpy as np
    from h5py import h5d, h5p, h5s, h5t
except ImportError:
    print("SKIP: no h5py here")
    sys.exit(77)

corruption, compare, write_sample = map(os.path.abspath, sys.argv[1:4])
count, seed = int(sys.argv[4]), int((sys.argv[5:] or ["1"])[0])
kept = sys.argv[6] if len(sys.argv) > 6 else None
HUGE = [2**31, 2**32 + 1, 2**40, 2**62, 2**63 - 1]
TEXTS = [b"", b"\xff\xfe", b"\x1b[31mred\x07", b"a" * 5000, b"../../etc/passwd", "ß".encode(), b"%s%n%d", b'"quoted"', b"nan"]


def members(group, kind):
    found = []
    group.visititems(lambda name, item: found.append(name) if isinstance(item, kind) else None)
    return found


def pick_dataset(file, draw):
    return draw.choice(members(file, h5py.Dataset))


def replace(file, name, put):
    """The dataset or group `name` by whatever `put(parent, leaf)` makes."""
    parent, leaf = file[os.path.dirname(name) or "/"], os.path.basename(name)
    del parent[leaf]
    put(parent, leaf)


def low_level(parent, leaf, datatype, shape, chunk=None, fill_late=True, filters=()):
    creation = h5p.create(h5p.DATASET_CREATE)
    if chunk:
        creation.set_chunk(chunk)
    for number in filters:
        creation.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    if fill_late:
        creation.set_alloc_time(h5d.ALLOC_TIME_LATE if not chunk else h5d.ALLOC_TIME_INCR)
    space = h5s.create_simple(shape, tuple(h5s.UNLIMITED for _ in shape) if chunk and len(shape) < 3 else shape)
    h5d.create(parent.id, leaf.encode(), datatype, space, creation)


def other_type(file, draw):
    n = draw.choice([0, 1, 7, 14, 30])
    compound = np.dtype([("a", "i8"), ("b", "f8"), ("c", "S7")])
    makers = [
        lambda p, l: p.create_dataset(l, data=np.array([b"text"] * n, "S9")),
        lambda p, l: p.create_dataset(l, (n,), compound),
        lambda p, l: p.create_dataset(l, (n,), h5py.vlen_dtype(np.int32)),
        lambda p, l: p.create_dataset(l, (n,), h5py.string_dtype()),
        lambda p, l: p.create_dataset(l, (n,), h5py.ref_dtype),
        lambda p, l: p.create_dataset(l, (n,), h5py.regionref_dtype),
        lambda p, l: p.create_dataset(l, (n,), h5py.enum_dtype({"RED": 0, "GREEN": 1}, basetype="i4")),
        lambda p, l: p.create_dataset(l, (n,), np.dtype("V33")),
        lambda p, l: p.create_dataset(l, (n,), np.dtype(("i8", (3,)))),
        lambda p, l: p.create_dataset(l, (n,), draw.choice(["i1", ">u8", "f2", ">f8", "u2", "f16", "c16", "?"])),
        lambda p, l: p.create_dataset(l, data=h5py.Empty("f8")),
        lambda p, l: p.__setitem__(l, np.dtype("f8")),
    ]
    replace(file, pick_dataset(file, draw), draw.choice(makers))


def other_shape(file, draw):
    shapes = [(), (0,), (1,), (6,), (8,), (7, 2), (7, 2, 1), (0, 5), (1,) * 9, (100000,), (2,) * 16]
    name = pick_dataset(file, draw)
    kind, shape = file[name].dtype, draw.choice(shapes)
    replace(file, name, lambda p, l: p.create_dataset(l, shape, kind))


def absurd_size(file, draw):
    name = pick_dataset(file, draw)
    kind = h5t.py_create(file[name].dtype, logical=True)
    if draw.random() < 0.15:
        kind = h5t.C_S1.copy()
        kind.set_size(draw.choice([2**20, 2**31 - 1]))
    shape = draw.choice([(draw.choice(HUGE[:4]),), (2**33, 2**31), (2**20, 2**40, 4), (1, 2**62), (2**24, 8)])
    chunk = draw.choice([None, tuple(min(s, 2**20) if i == 0 else 1 for i, s in enumerate(shape)),
                         tuple(min(s, 2**13) for s in shape)])
    filters = draw.choice([(), (1,), (3,), (32015,), (305, 1), (1, 3)]) if chunk else ()
    replace(file, name, lambda p, l: low_level(p, l, kind, shape, chunk, True, filters))


def sizes_that_agree(file, draw):
    """Every column of a table without storage, of the same absurd length."""
    table = draw.choice([name for name in members(file, h5py.Group) if members(file[name], h5py.Dataset)])
    n = draw.choice([10**7, 10**9, 2**40])
    for name in list(file[table]):
        if not isinstance(file[table][name], h5py.Dataset):
            continue
        kind = h5t.py_create(file[table][name].dtype, logical=True)
        compressed = draw.random() < 0.5
        replace(file, f"{table}/{name}", lambda p, l: low_level(p, l, kind, (n,), (2**20,) if compressed else None))


def missing(file, draw):
    name = draw.choice(members(file, (h5py.Group, h5py.Dataset)))
    del file[name]


def attribute(file, draw):
    names = ["/"] + members(file, (h5py.Group, h5py.Dataset))
    item = file[draw.choice(["/"] * len(names) + names)]
    values = [1, -1, 2**63 - 1, float("nan"), float("inf"), np.arange(9), h5py.Empty("f8"), np.void(b"opaque"), "text of h5py",
              np.array(["a", "b"], "S3"), np.zeros((2, 2)), item.ref, np.bytes_(b"x" * 60000), np.bytes_(b"x" * 200000),
              np.uint64(2**64 - 1)] + [np.bytes_(t or b"\0") for t in TEXTS]
    known = list(item.attrs)
    name = draw.choice(known) if known and draw.random() < 0.8 else draw.choice(["new", "ü", "a/b", "x" * 3000])
    if draw.random() < 0.2 and name in item.attrs:
        del item.attrs[name]
    else:
        item.attrs[name] = draw.choice(values)


def marks(file, draw):
    file.attrs[draw.choice(["software", "content"])] = np.bytes_(draw.choice(TEXTS) or b"\0")
    file.attrs["schema_version"] = draw.choice([1, 0, -5, 2**62, 1.5, 99])


def link(file, draw):
    name = draw.choice(members(file, (h5py.Group, h5py.Dataset)))
    other = draw.choice(members(file, (h5py.Group, h5py.Dataset)) + ["/"])
    hard = file[other] if other in file else file["/"]
    targets = [h5py.SoftLink("/" + other), h5py.SoftLink("/" + name), h5py.SoftLink("nowhere"), h5py.SoftLink(".."),
               h5py.ExternalLink("other.h5", "/"), h5py.ExternalLink("/etc/passwd", "/x"), h5py.ExternalLink("/dev/zero", "/"),
               h5py.ExternalLink("/proc/self/mem", "/a"), h5py.ExternalLink("fifo", "/"), hard, file["/"], file[name].parent]
    target = draw.choice(targets)
    replace(file, name, lambda p, l: p.__setitem__(l, target))


def outside_storage(file, draw):
    name = pick_dataset(file, draw)
    shape, kind = file[name].shape, file[name].dtype
    if draw.random() < 0.5:
        where = draw.choice(["/etc/passwd", "/dev/zero", "fifo", "nowhere"])
        replace(file, name, lambda p, l: p.create_dataset(l, shape, kind, external=[(where, 0, 2**20)]))
    else:
        layout = h5py.VirtualLayout(shape=shape, dtype=kind)
        layout[...] = h5py.VirtualSource(draw.choice([".", "other.h5", "fifo"]), name, shape=shape)
        replace(file, name, lambda p, l: p.create_virtual_dataset(l, layout))


def names(file, draw):
    group = file[draw.choice(["/"] + members(file, h5py.Group))]
    name = draw.choice([b"\xff\xfe", b"\x1b[2J", b" ", b"x" * 3000, "ü".encode(), b"\n", b"a\tb", b"."])
    make = draw.choice([lambda: h5py.h5g.create(group.id, name), lambda: low_level(group, "y", h5t.NATIVE_DOUBLE, (3,)),
                        lambda: group.id.links.create_soft(name, b"/")])
    try:
        make()
    except (ValueError, KeyError, RuntimeError):
        pass  # HDF5 itself refuses it


def group_and_dataset(file, draw):
    if draw.random() < 0.5:
        replace(file, pick_dataset(file, draw), lambda p, l: p.create_group(l))
    else:
        name = draw.choice(members(file, h5py.Group))
        replace(file, name, lambda p, l: p.create_dataset(l, data=np.arange(7)))


def values(file, draw):
    item = file[pick_dataset(file, draw)]
    if draw.random() < 0.9 and "checksum" in item.attrs:
        del item.attrs["checksum"]
    data = item[...]
    if data.dtype.kind == "f":
        data.flat[draw.randrange(data.size)] = draw.choice([float("nan"), float("inf"), -1e308, 5e-324])
    elif data.dtype.kind == "i":
        data.flat[draw.randrange(data.size)] = draw.choice([-1, 2**31, -(2**63), 2**63 - 1, 0])
    else:
        data.flat[draw.randrange(data.size)] = draw.choice(TEXTS)
    item[...] = data


def deep_and_many(file, draw):
    group = file[draw.choice(["/"] + members(file, h5py.Group))]
    if draw.random() < 0.5:
        for _ in range(300):
            group = group.create_group("d")
    else:
        for i in range(2000):
            group.attrs[f"a{i}"] = i


changes = [other_type, other_shape, absurd_size, sizes_that_agree, missing, attribute, marks, link, outside_storage, names,
           group_and_dataset, values, deep_and_many]


def limits():
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(*command):
    """Exit code, what was said, and the most memory of the reader or a child of it (MiB)."""
    with tempfile.TemporaryFile() as said:
        reader = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, preexec_fn=limits)
        deadline, gone = time.monotonic() + jobs.LIMIT_SECONDS, 0
        while not gone:
            gone, status, usage = os.wait4(reader.pid, os.WNOHANG)
            if not gone and time.monotonic() > deadline:
                reader.kill()
                reader.wait()
                return -999, b"", 0
            time.sleep(0 if gone else 0.002)
        reader.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return reader.returncode, said.read(), usage.ru_maxrss >> 10


def judge(kind, name):
    code, said, memory = run(corruption, "--read", kind, name)
    if code != 0:
        return "crash" if code != -999 else "hang"
    # What a reader grants a file, see lib/results/contained.hpp, and what a process has anyway.
    most = 1024 + 64 * (os.path.getsize(name) >> 20) + 512
    if memory > most:
        return f"takes {memory} MiB"
    if b"crashes on it" in said:
        return "contained"
    if b"does not end" in said:
        return "hang"
    if not said.startswith(name.encode()) or b"\x1b" in said or len(said) > 3000:
        return "unclear"
    if not said.endswith(b": is read\n"):
        return "refused"
    if kind == "result":
        for form in ("table", "csv", "json"):
            code, said, memory = run(compare, name, "other.h5", "--force", "--no-gate", "--format", form)
            if memory > most:
                return f"compare-{form}-takes {memory} MiB"
            if code not in (0, 2) or (code == 2 and not said.startswith(b"partita-compare: ")):
                return f"compare-{form}-exit-{code}"
    return "read"


def make(name, change, draw):
    """Changes the file in a child process, since HDF5 may crash on what other changes have left, or wait for ever: for
    a partner of the FIFO that one of them put in the place of a dataset's bytes. How it went."""
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # not all that this machine has
        made = True
        with h5py.File(name, "r+", libver=draw.choice([("v110", "v110"), ("earliest", "v110")])) as file:
            for each in [change] + draw.choices(changes, k=draw.choice([0, 0, 0, 1, 3])):
                try:
                    each(file, draw)
                except Exception:  # after other changes: what it needs may be gone, or HDF5 itself refuses
                    made = made and each is not change
        os._exit(0 if made else 1)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return "the writer waited" if os.WTERMSIG(status) == signal.SIGALRM else "the writer crashed"
    return "made" if status == 0 else "not possible"


outcome, failures = collections.Counter(), 0
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    os.mkfifo("fifo")
    subprocess.run([write_sample, "other.h5", "steps=7"], check=True)
    subprocess.run([write_sample, "result.h5"], check=True)
    subprocess.run([write_sample, "model.h5", "model=30"], check=True)
    for i in range(count):
        draw = random.Random(seed * 1_000_003 + i)
        kind = "model" if i % 4 == 3 else "result"
        name = f"hostile-{i}.h5"
        change = changes[i % len(changes)]
        shutil.copy(f"{kind}.h5", name)
        outcome[make(name, change, draw)] += 1
        what = judge(kind, name)
        outcome[change.__name__, what] += 1
        if what not in ("read", "refused", "contained"):
            failures += 1
            print(f"{name} ({change.__name__}, seed {seed}): {what}")
            if kept:
                shutil.copy(name, pathlib.Path(kept, f"{what}-{seed}-{i}.h5"))
        os.unlink(name)
print(f"{count} hostile files, seed {seed}")
for key, n in sorted(outcome.items(), key=str):
    print(f"{n:6}", *([key] if isinstance(key, str) else key))
assert any(key[1] == "refused" for key in outcome) and any(key[1] == "read" for key in outcome), "the test shows nothing"
sys.exit(1 if failures else 0)
