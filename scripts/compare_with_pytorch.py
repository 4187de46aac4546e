"""Trains the same nets with Partita and with PyTorch in turn, one thread a rank, and prints samples per second and their ratio.

Five interleaved pairs, so that a machine whose speed drifts slows both. PyTorch runs in plain eager mode on slices of one tensor
in memory (no data loader is charged to it); on several ranks with DistributedDataParallel over gloo on loopback. Partita gathers its
shuffled batches from uint8 images. The first steps and all evaluation are excluded on both sides.

With --device cuda both compute on one GPU: PyTorch eagerly and with the whole step in a CUDA graph, its data in the device's memory,
mlp-wide in bfloat16 (autocast), the others in float32 without TF32.

  python3 scripts/compare_with_pytorch.py                       # needs PARTITA_DATA_DIR with mnist, and torch
  python3 scripts/compare_with_pytorch.py --ranks 2 --python /path/of/another/python3
  python3 scripts/compare_with_pytorch.py --device cuda --binaries build/cuda/bin --json pytorch.json
"""
import argparse
import gzip
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
# name: (run file, batch, steps of each side)
WORKLOADS = {"mlp-mnist": ("mnist_mlp", 100, 3000), "cnn-mnist": ("mnist_cnn", 64, 900), "mlp-wide": ("mnist_mlp_wide", 256, 60)}
# On a GPU: (run file, batch, steps of each side, precision).
CUDA_WORKLOADS = {"cnn-mnist": ("mnist_cnn", 64, 4000, "fp32"), "mlp-mnist": ("mnist_mlp", 100, 8000, "fp32"),
                  "mlp-wide": ("mnist_mlp_wide", 4096, 400, "bf16")}
CUDA_MODES = ("eager", "graph")
WARM_UP = 5


def images_and_labels(data):
    """MNIST's training set: normalised images [n, 1, 28, 28] and labels."""
    import numpy as np
    import torch

    def idx(name, header):
        with gzip.open(pathlib.Path(data) / "mnist" / f"train-{name}-ubyte.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=header)

    x = torch.from_numpy((idx("images-idx3", 16).astype(np.float32) / 255 - 0.1307) / 0.3081).reshape(-1, 1, 28, 28)
    return x, torch.from_numpy(idx("labels-idx1", 8).astype(np.int64))


def network(workload):
    from torch import nn

    linear, relu, flatten = nn.Linear, nn.ReLU, nn.Flatten
    return {
        "mlp-mnist": lambda: nn.Sequential(flatten(), linear(784, 128), relu(), linear(128, 10)),
        "mlp-wide": lambda: nn.Sequential(flatten(), linear(784, 2048), relu(), linear(2048, 2048), relu(), linear(2048, 2048),
                                          relu(), linear(2048, 10)),
        "cnn-mnist": lambda: nn.Sequential(nn.Conv2d(1, 10, 5), nn.MaxPool2d(2), relu(), nn.Conv2d(10, 20, 5), nn.MaxPool2d(2),
                                           relu(), flatten(), linear(320, 50), relu(), linear(50, 10)),
    }[workload]()


def cuda_peer(workload, modes, device, data, steps):
    """PyTorch on a GPU, `eager` and `graph`, one after the other in a process that takes long to start: prints samples per second of each.
    `device` is cuda, or cpu to try the eager loop without one."""
    for mode in modes:
        print(json.dumps({"mode": mode} | cuda_rate(workload, mode, device, data, steps)), flush=True)


def cuda_rate(workload, mode, device, data, steps):
    import torch
    from torch import nn

    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    _, batch, usual_steps, precision = CUDA_WORKLOADS[workload]
    steps = steps or usual_steps
    x, y = (tensor.to(device) for tensor in images_and_labels(data))
    net = network(workload).to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    batches = (len(x) - batch) // batch
    images, labels = x[:batch].clone(), y[:batch].clone()

    def compute():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
            loss = nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()

    def wait():
        if device == "cuda":
            torch.cuda.synchronize()

    run = compute
    if mode == "graph":
        # Warmed up beside the default stream, as PyTorch's manual asks for.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                compute()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            compute()
        run = graph.replay
    for step in range(steps + WARM_UP):
        if step == WARM_UP:
            wait()
            start = time.perf_counter()
        first = step % batches * batch
        if mode == "graph":  # a graph reads where it was recorded
            images.copy_(x[first:first + batch])
            labels.copy_(y[first:first + batch])
        else:
            images, labels = x[first:first + batch], y[first:first + batch]
        run()
    wait()
    return {"torch": torch.__version__, "samples_per_second": steps * batch / (time.perf_counter() - start)}


def peer(workload, rank, ranks, port, data):
    """One PyTorch process: prints its samples per second over all ranks."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(1)
    _, batch, steps = WORKLOADS[workload]
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
        torch.distributed.init_process_group("gloo", rank=rank, world_size=ranks)

    x, y = images_and_labels(data)
    net = network(workload)
    model = nn.parallel.DistributedDataParallel(net) if ranks > 1 else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    share = batch // ranks
    batches = (len(x) - batch) // batch
    for step in range(steps + WARM_UP):
        if step == WARM_UP:
            start = time.perf_counter()
        first = step % batches * batch + rank * share
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(model(x[first:first + share]), y[first:first + share]).backward()
        optimizer.step()
    seconds = time.perf_counter() - start
    if ranks > 1:
        slowest = torch.tensor(seconds)
        torch.distributed.all_reduce(slowest, op=torch.distributed.ReduceOp.MAX)
        seconds = slowest.item()
        torch.distributed.destroy_process_group()
    if rank == 0:
        print(json.dumps({"torch": torch.__version__, "samples_per_second": steps * batch / seconds}))


def run_peer(python, workload, ranks, data):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen([python, __file__, "--peer", workload, str(rank), str(ranks), str(port), data],
                                  stdout=subprocess.PIPE, text=True, env=environment) for rank in range(ranks)]
    try:
        outputs = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    # The figures count even when a process group crashes while it is torn down, as gloo's sometimes does.
    if not outputs[0].strip():
        sys.exit(f"{python}: the PyTorch side failed")
    return json.loads(outputs[0])


def run_cuda_peer(python, workload, data, steps):
    """What each of `CUDA_MODES` reached."""
    output = subprocess.run([python, __file__, "--cuda-peer", workload, "cuda", data, str(steps), *CUDA_MODES], capture_output=True,
                            text=True, timeout=600)
    if output.returncode != 0:
        sys.exit(f"{python}: the PyTorch side failed\n{output.stderr}")
    return {result["mode"]: result for result in map(json.loads, output.stdout.splitlines()[-len(CUDA_MODES):])}


def run_partita(binaries, workload, ranks, device, steps=0):
    run, batch, usual_steps, *precision = (CUDA_WORKLOADS if device == "cuda" else WORKLOADS)[workload]
    options = ["--compute.backend=cuda", f"--train.precision={precision[0]}"] if device == "cuda" else []
    output = subprocess.run(
        ["mpiexec", "-n", str(ranks), str(binaries / "partita-train"), "--config", str(ROOT / "inputs" / "runs" / f"{run}.ini"),
         f"--train.batch={batch}", f"--train.steps={(steps or usual_steps) + WARM_UP}", "--evaluate.every=0", "--compute.threads=1",
         *options], capture_output=True, text=True, timeout=600)
    if output.returncode != 0:
        sys.exit(output.stdout + output.stderr)
    return float(re.search(r"name=throughput value=([\d.e+]+)", output.stdout).group(1))


def compare_on_cuda(options, pythons):
    """Rounds of Partita, PyTorch eager and PyTorch with CUDA graphs in turn."""
    records = []
    for workload in options.workload or CUDA_WORKLOADS:
        _, batch, _, precision = CUDA_WORKLOADS[workload]
        sides = [(python, mode) for python in pythons for mode in CUDA_MODES]
        ours, theirs = [], {side: [] for side in sides}
        for _ in range(options.pairs):
            ours.append(run_partita(options.binaries, workload, 1, "cuda", options.steps))
            for python in pythons:
                for mode, result in run_cuda_peer(python, workload, options.data, options.steps).items():
                    theirs[python, mode].append(result)
        for (python, mode), results in theirs.items():
            rates = [result["samples_per_second"] for result in results]
            ratios = [a / b for a, b in zip(ours, rates)]
            print(f"{workload:10} batch {batch:4} {precision}: partita {statistics.median(ours):10.0f}   torch {results[0]['torch']:12} "
                  f"{mode:5} {statistics.median(rates):10.0f} samples/s   ratio {statistics.median(ratios):6.2f} "
                  f"({min(ratios):.2f} to {max(ratios):.2f}, {options.pairs} rounds)", flush=True)
            records.append({"workload": workload, "batch": batch, "precision": precision, "mode": mode, "torch": results[0]["torch"],
                            "python": python, "partita": ours, "pytorch": rates, "ratios": ratios})
            if options.json:  # after each, so that what was measured survives an end before the last
                options.json.write_text(json.dumps(records, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build" / "release" / "bin")
    parser.add_argument("--python", action="append", help="interpreter with torch; may be repeated (default: this one)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=pathlib.Path, help="file for every rate (--device cuda)")
    parser.add_argument("--steps", type=int, default=0, help="of each run instead of the workload's own (--device cuda)")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workload", action="append", choices=WORKLOADS, help="may be repeated (default: all)")
    parser.add_argument("--data", default=os.environ.get("PARTITA_DATA_DIR"), help="folder with mnist/ (default: PARTITA_DATA_DIR)")
    options = parser.parse_args()
    if not options.data or not (pathlib.Path(options.data) / "mnist").is_dir():
        parser.error("no mnist in --data; partita-data fetch mnist --dir DIR gets it")
    if options.device == "cuda" and options.ranks != 1:
        parser.error("--device cuda compares one process on one device: --ranks 1")
    for workload in options.workload or WORKLOADS:
        if WORKLOADS[workload][1] % options.ranks != 0:
            parser.error(f"--ranks {options.ranks} does not divide the batch of {workload}, and DistributedDataParallel needs equal shares")
    pythons = options.python or [sys.executable]
    for python in pythons:
        found = subprocess.run([python, "-c", "import numpy, torch; print(torch.cuda.is_available())"], capture_output=True, text=True)
        if found.returncode != 0:
            parser.error(f"{python} has no torch and numpy")
        if options.device == "cuda" and found.stdout.strip() != "True":
            parser.error(f"{python}: its torch finds no CUDA device")
    if options.device == "cuda":
        compare_on_cuda(options, pythons)
        return
    for workload in options.workload or WORKLOADS:
        ours, theirs = [], {python: [] for python in pythons}
        for _ in range(options.pairs):
            ours.append(run_partita(options.binaries, workload, options.ranks, "cpu"))
            for python in pythons:
                theirs[python].append(run_peer(python, workload, options.ranks, options.data))
        for python, results in theirs.items():
            rates = [result["samples_per_second"] for result in results]
            ratios = [a / b for a, b in zip(ours, rates)]
            print(f"{workload:10} batch {WORKLOADS[workload][1]:3} ranks {options.ranks}: partita {statistics.median(ours):9.0f}   "
                  f"torch {results[0]['torch']:12} {statistics.median(rates):9.0f} samples/s   ratio {statistics.median(ratios):6.2f} "
                  f"({min(ratios):.2f} to {max(ratios):.2f}, {options.pairs} pairs)", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(sys.argv[2], *map(int, sys.argv[3:6]), sys.argv[6])
    elif sys.argv[1:2] == ["--cuda-peer"]:
        cuda_peer(sys.argv[2], sys.argv[6:], *sys.argv[3:5], int(sys.argv[5]))
    else:
        main()
