"""Partita's result files for pandas and xarray.

    import partita
    run = partita.open("run.h5")
    run.attributes["model"], run.grid, run.ranks        # 'cnn-mnist', {'data': 2, 'pipeline': 1, 'tensor': 1}, 2
    run.steps.loss, run.steps.phase_seconds.sel(phase="backward")   # xarray: loss[step], phase_seconds[phase, step, rank]
    run.traffic.groupby("axis").wire_bytes.sum()        # pandas: a row per rank, activity, axis, operation, purpose
    run.peers.pivot_table("wire_bytes", "rank", "peer", "sum")
    "timeline" in run                                   # whether this run recorded a group

Seconds are seconds, bytes are bytes, accuracies lie between 0 and 1. `partita.report` draws pictures of the same objects; the
program `partita-report` is made of it.
"""
from .result import BadFile, NotRecorded, Result, open

__all__ = ["BadFile", "NotRecorded", "Result", "open"]
