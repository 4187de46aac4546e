"""A result as a run on many ranks would leave it, without running one: the layout of a file, and plausible numbers.

usage: many_ranks.py FILE DATA PIPELINE TENSOR [--no-timeline]
"""
import sys

import h5py
import numpy

MICROBATCHES = 16
PHASES = ("load", "forward", "backward", "update", "exposed_transfer", "dependency", "straggler", "other")


def write(path, groups, attributes):
    with h5py.File(path, "w") as file:
        for name, value in attributes.items():
            file.attrs[name] = numpy.bytes_(value) if isinstance(value, str) else value
        for name, columns in groups.items():
            group = file.create_group(name)
            for column, values in columns.items():
                values = numpy.asarray(values)
                group[column] = numpy.char.encode(values.astype(str), "utf-8") if values.dtype.kind in "UO" else values
        if "timeline" in groups:
            file["timeline"].attrs["clock_uncertainty_seconds"] = 2e-6
        file.require_group("environment").attrs["mpi"] = numpy.bytes_("MPICH 4.0.2")


def table(rows, names, index="row"):
    columns = dict(zip(names, map(list, zip(*rows))))
    return columns if index in columns else {index: range(len(rows)), **columns}


def coordinates(grid):
    d, p, t = grid
    return [(r // (p * t), r // t % p, r % t) for r in range(d * p * t)]


def one_f_one_b(stages):
    """Spans (stage, kind, begin, end, microbatch) of one-forward-one-backward, waiting included."""
    forward, backward, ready, spans = 1e-3, 2e-3, {}, []
    orders = []
    for s in range(stages):
        warm_up = min(stages - 1 - s, MICROBATCHES)
        order = [("forward", m) for m in range(warm_up)]
        for m in range(MICROBATCHES - warm_up):
            order += [("forward", m + warm_up), ("backward", m)]
        orders.append(order + [("backward", m) for m in range(MICROBATCHES - warm_up, MICROBATCHES)])
    now, done = [0.0] * stages, [0] * stages
    while any(done[s] < len(orders[s]) for s in range(stages)):
        for s in range(stages):
            while done[s] < len(orders[s]):
                kind, m = orders[s][done[s]]
                before = (kind, m, s - 1) if kind == "forward" else (kind, m, s + 1)
                first = before[2] < 0 or before[2] >= stages
                if not first and before not in ready:
                    break
                begin = max(now[s], 0.0 if first else ready[before] + 1e-4)
                if begin > now[s]:
                    spans.append((s, "wait", now[s], begin, m))
                now[s] = begin + (forward if kind == "forward" else backward) * (1 + 0.1 * (s % 3))
                spans.append((s, kind, begin, now[s], m))
                ready[kind, m, s] = now[s]
                done[s] += 1
    return spans


def messages(made, spans, grid, rank, replica, stage, share):
    """Rows of what a stage receives where it waits, and of what it sends: at once when it is made, 0.1 ms long."""
    def flow(kind, m, sender):
        return (((replica * grid[2] + share) * grid[1] + sender) * MICROBATCHES + m) * 2 + (kind == "forward")

    rows, late = [], 2e-5 * (rank % 5)
    for i, (s, kind, begin, end, m) in enumerate(spans):
        if s == stage and kind == "wait":
            after = next(other[1] for other in spans[i + 1:] if other[0] == s)
            sender = stage - 1 if after == "forward" else stage + 1
            rows.append((rank, 5, begin + late, end + late, "receive", "", "", m, -1, "communication", "pipeline", "activation",
                         409600, flow(after, m, sender)))
    for (s, kind, m), end in made.items():
        if s == stage and kind != "wait" and 0 <= s + (1 if kind == "forward" else -1) < grid[1]:
            rows.append((rank, 5, end + late, end + late + 1e-4, "send", "", "", m, -1, "communication", "pipeline", "activation",
                         409600, flow(kind, m, stage)))
    return rows


def timeline_of(grid):
    names = ("rank", "step", "start_seconds", "end_seconds", "kind", "phase", "layer", "microbatch", "chunk", "queue", "axis",
             "purpose", "bytes", "flow")
    spans, rows = one_f_one_b(grid[1]), []
    made = {(s, kind, m): end for s, kind, _, end, m in spans}
    for rank, (replica, stage, share) in enumerate(coordinates(grid)):
        late = 2e-5 * (rank % 5)
        for s, kind, begin, end, m in spans:
            if s == stage:
                waits = kind == "wait"
                rows.append((rank, 5, begin + late, end + late, kind, "", "", m, -1 if waits else 0, "compute",
                             "pipeline" if waits else "", "activation" if waits else "", 0, -1))
        rows += messages(made, spans, grid, rank, replica, stage, share)
        last = max(end for s, _, _, end, _ in spans if s == stage) + late
        rows.append((rank, 5, last, last + 5e-4, "update", "", "", -1, -1, "compute", "", "", 0, -1))
    return table(rows, names, "span")


def traffic_of(grid, steps):
    """(/traffic, /peers): messages between stages, gradients in a ring along the data axis, windows along the tensor axis."""
    d, p, t = grid
    rank_of = {c: r for r, c in enumerate(coordinates(grid))}
    peers, sums = [], {}
    for (i, j, k), rank in rank_of.items():
        links = [((i, j + step, k), "pipeline", 409600, "wire_bytes") for step in (-1, 1) if 0 <= j + step < p]
        links += [(((i + 1) % d, j, k), "data", 1_700_000, "wire_bytes")] if d > 1 else []
        links += [((i, j, other), "tensor", 65536, "window_bytes_read") for other in range(t) if other != k]
        for peer, axis, count, column in links:
            counts = {"wire_bytes": 0, "window_bytes_read": 0, column: count * steps}
            peers.append((rank, rank_of[peer], "train", axis, counts["wire_bytes"], 0, counts["window_bytes_read"], 0))
            key = (rank, axis)
            sums[key] = [a + b for a, b in zip(sums.get(key, (0, 0)), (counts["wire_bytes"], counts["window_bytes_read"]))]
    purpose = {"pipeline": ("send", "activation"), "data": ("all_reduce", "gradient"), "tensor": ("all_reduce", "activation")}
    rows = [(rank, "train", axis, *purpose[axis], steps, steps, wire + read, wire, 0, read, 0, 0, 0, 0.01, 0.02)
            for (rank, axis), (wire, read) in sums.items()]
    names = ("rank", "activity", "axis", "operation", "purpose", "calls", "messages", "payload_bytes", "wire_bytes",
             "wire_bytes_received", "window_bytes_read", "window_bytes_written", "modelled_wire_bytes", "staged_bytes",
             "exposed_seconds", "hidden_seconds")
    peer_names = ("rank", "peer", "activity", "axis", "wire_bytes", "wire_bytes_received", "window_bytes_read",
                  "window_bytes_written")
    return table(rows, names), table(peers, peer_names)


def make(path, data, pipeline, tensor, timeline=True, batch=1024, seconds_scale=1.0, model="mlp-deep"):
    """`seconds_scale` slows the steps down."""
    grid, steps = (data, pipeline, tensor), 60
    ranks, random = data * pipeline * tensor, numpy.random.default_rng(1)
    where = coordinates(grid)
    phase_mean = numpy.array([0.1, 14, 28, 1.5, 3, 6, 2, 0.3]) * 1e-3 * seconds_scale
    phases = phase_mean[:, None, None] * (1 + 0.15 * random.random((8, steps, ranks)))
    own = phases.sum(axis=0)
    traffic, peers = traffic_of(grid, steps)
    stage = numpy.array([c[1] for c in where])
    parameters = 40_000_000 + 5_000_000 * stage
    groups = {
        "environment": table([(f"node{r // 16:02}", "Xeon Platinum 8480+", 4, "cpu", *c) for r, c in enumerate(where)],
                             ("host", "cpu_model", "cores", "device", "grid_data", "grid_pipeline", "grid_tensor"), "rank"),
        "steps": {"step": range(steps), "rank": range(ranks), "loss": 2.3 * numpy.exp(-numpy.arange(steps) / 20.0),
                  "samples": numpy.full(steps, batch), "seconds": own.max(axis=1), "learning_rate": numpy.full(steps, 0.01),
                  "rank_seconds": own},
        "steps/phase": dict(zip(PHASES, phases)),
        "memory": {"rank": range(ranks), "parameters": parameters, "gradients": parameters,
                   "optimizer_state": parameters, "activations": 500_000_000 // (1 + stage),
                   "communication_buffers": numpy.full(ranks, 8_000_000)},
        "figures": table([("throughput", batch / own.max(axis=1).mean(), "samples/s")], ("name", "value", "unit"), "figure"),
    }
    if ranks > 1:
        groups |= {"traffic": traffic, "peers": peers}
    if timeline:
        groups["timeline"] = timeline_of(grid)
    text = f"data={data} pipeline={pipeline} tensor={tensor}"
    write(path, groups, {
        "schema_version": 1, "software": "partita", "content": "result", "created": "2026-01-01T00:00:00Z",
        "software_version": "0.1.0", "git_commit": "0" * 40, "git_dirty": 0, "command_line": "partita-train", "seed": 1,
        "config": f"output = {path}\n\n[grid]\ndata = {data}\n\n[train]\nbatch = {batch}\n", "config_hash": "a" * 64,
        "status": "complete", "dataset": "digits", "dataset_hash": "b" * 64, "model": model, "precision": "fp32",
        "grid": text, "algorithm": "ring", "batch": batch})


if __name__ == "__main__":
    make(sys.argv[1], *map(int, sys.argv[2:5]), timeline="--no-timeline" not in sys.argv)
