"""Ways to synchronise against PyTorch's on the same net, samples and batches: two gloo processes in float64 with ZeroRedundancyOptimizer, with
gradients that are used a step late, with parameters that are averaged now and then. Skipped (77) where torch is not installed.

usage: torch_synchronisation_test.py MPIEXEC PARTITA_TRAIN PARTITA_DATA
"""
import os
import pathlib
import struct
import sys
import tempfile

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
try:
    import torch
    import torch.distributed as dist
    import torch.multiprocessing
    from torch.distributed.optim import ZeroRedundancyOptimizer
except ImportError as error:
    print(f"SKIP: {error}")
    sys.exit(77)
import numpy

import jobs
from tensors import parameters

steps, batch, of_epoch, clip, period = 13, 24, 5, 0.5, 3  # epochs of 120 samples
adam, adamw, nesterov = (("--train.optimizer=adam", "--train.learning-rate=0.01", "--train.epsilon=1e-4"),
                         ("--train.optimizer=adamw", "--train.learning-rate=0.01", "--train.weight-decay=0.1", "--train.epsilon=1e-4"),
                         ("--train.optimizer=nesterov", "--train.learning-rate=0.05", "--train.momentum=0.9"))
optimizers = {adam: (torch.optim.Adam, {"lr": 0.01, "eps": 1e-4}), adamw: (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-4}),
              nesterov: (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True})}
# By name: keys, optimizer, what the processes do.
cases = {"zero adam": (("--sync.split=state",), adam, "zero"), "zero adamw clipped": (("--sync.split=parameter", f"--train.clip-norm={clip}"), adamw, "zero"),
         "zero nesterov": (("--sync.split=gradient",), nesterov, "zero"), "delayed adam": (("--sync.delay=1",), adam, "delay"),
         "delayed nesterov clipped": (("--sync.delay=1", "--sync.split=state", f"--train.clip-norm={clip}"), nesterov, "delay"),
         "local nesterov": ((f"--sync.local.period={period}",), nesterov, "local"),
         "local adam averaged": ((f"--sync.local.period={period}", "--sync.local.states=average"), adam, "local average")}


def read_idx(path):
    content = path.read_bytes()
    extents = struct.unpack(f">{content[3]}I", content[4:4 + 4 * content[3]])
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * content[3]).reshape(extents)


def gradients(net, images, labels):
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(images), labels).backward()
    return [p.grad.clone() for p in net.parameters()]


def mean_over_ranks(tensors):
    for tensor in tensors:
        dist.all_reduce(tensor)
        tensor /= dist.get_world_size()
    return tensors


def worker(rank, folder, start, images, labels, results):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for name, (keys, optimizer_keys, way) in cases.items():
        net = torch.nn.Sequential(torch.nn.Linear(784, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)).double()
        with torch.no_grad():
            for p, value in zip(net.parameters(), start):
                p.copy_(torch.from_numpy(value))
        kind, settings = optimizers[optimizer_keys]
        optimizer = ZeroRedundancyOptimizer(net.parameters(), optimizer_class=kind, **settings) if way == "zero" else kind(net.parameters(), **settings)

        def update(by):
            for p, gradient in zip(net.parameters(), by):
                p.grad = gradient
            if any("clip" in key for key in keys):
                torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
            optimizer.step()

        waiting = None
        for step in range(steps):
            first = step % of_epoch * batch + rank * batch // 2
            own = gradients(net, images[first:first + batch // 2], labels[first:first + batch // 2])
            if way == "zero":
                update(mean_over_ranks(own))
            elif way == "delay":
                if waiting is not None:
                    update(waiting)
                waiting = mean_over_ranks(own)
            else:
                update(own)
                if (step % of_epoch + 1) % period == 0 or step % of_epoch + 1 == of_epoch or step + 1 == steps:
                    with torch.no_grad():
                        mean_over_ranks(list(net.parameters()))
                        if way == "local average":
                            mean_over_ranks([state[key] for state in optimizer.state.values() for key in ("exp_avg", "exp_avg_sq")])
        if way == "delay":
            update(waiting)
        if rank == 0:
            results[name] = [p.detach().numpy() for p in net.parameters()]
    dist.destroy_process_group()


def main():
    mpiexec, train, data = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        result = jobs.run([data, "generate", "--output", folder / "my-digits", "--train-samples", of_epoch * batch, "--test-samples", 10, "--plain"])
        assert result.returncode == 0, result
        images = torch.from_numpy(read_idx(folder / "my-digits/train-images-idx3-ubyte").reshape(-1, 784) / 255.0)
        labels = torch.from_numpy(read_idx(folder / "my-digits/train-labels-idx1-ubyte").astype(numpy.int64))

        def trained(*keys):
            result = jobs.run([mpiexec, "-n", 2, train, "--model.input=1x28x28", "--model.layer=flatten", "--model.layer=linear 32", "--model.layer=relu",
                               "--model.layer=linear 10", f"--data.dir={folder}", "--data.name=my-digits", "--data.mean=0", "--data.std=1", "--train.shuffle=false",
                               f"--train.batch={batch}", "--train.precision=fp64", "--compute.backend=reference", f"--output={folder}/run.h5", "--overwrite",
                               f"--save-model={folder}/run.model", *keys])
            assert result.returncode == 0, (keys, result)
            found = parameters(folder / "run.model")
            return [found[name] for name in ("linear1/weight", "linear1/bias", "linear2/weight", "linear2/bias")]

        start = trained("--train.steps=0")
        results = torch.multiprocessing.Manager().dict()
        torch.multiprocessing.spawn(worker, args=(folder, start, images, labels, results), nprocs=2)
        assert set(results.keys()) == set(cases)
        for name, (keys, optimizer_keys, _) in cases.items():
            for ours, theirs, begin in zip(trained(f"--train.steps={steps}", *keys, *optimizer_keys), results[name], start):
                moved = numpy.linalg.norm(theirs - begin)
                assert moved > 1e-3 * numpy.linalg.norm(begin), name
                assert numpy.linalg.norm(ours - theirs) <= 1e-9 * moved, (name, numpy.linalg.norm(ours - theirs) / moved)
            print(f"{name}: equal within 1e-9 of the way")


if __name__ == "__main__":
    main()
