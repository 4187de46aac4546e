"""A result file as the rest of the world reads it: h5py and xarray (h5netcdf), units, checksums, dimensions.

usage: open_result.py FILE; exit 0 when all holds, 1 otherwise, 77 where a package is missing.
"""
import sys

try:
    import h5py
    import xarray
    import h5netcdf  # noqa: F401
except ImportError as missing:
    print("SKIP:", missing)
    sys.exit(77)

path = sys.argv[1]
groups = {"environment", "model", "steps", "epochs", "reductions", "traffic", "peers", "memory", "figures", "benchmarks",
          "timeline", "inference", "changes", "plans", "replans", "critical_path", "scaling"}
columns = 0


def check(condition, message):
    if not condition:
        print("FAIL:", message)
        sys.exit(1)


def check_column(name, item):
    global columns
    if not isinstance(item, h5py.Dataset):
        return
    columns += 1
    if item.dtype.kind in "iuf":
        units = item.attrs.get("units")
        check(units is not None and len(units) > 0, f"{name} has no units")
    else:
        check(h5py.check_string_dtype(item.dtype) == ("utf-8", item.dtype.itemsize), f"{name} is {item.dtype}")
    check(item.fletcher32, f"{name} has no checksum")
    for dimension in item.dims:
        check(len(dimension) == 1 or item.attrs.get("CLASS") == b"DIMENSION_SCALE", f"{name} has a dimension without a scale")


with h5py.File(path) as file:
    check(set(file) == groups, f"groups are {set(file)}")
    file.visititems(check_column)
    check(columns > 60, f"only {columns} columns")
    check(file.attrs["schema_version"] == 1, "schema_version")
    check(file.attrs["status"] == b"complete", "status")
    check(file["steps/phase/backward"].shape == (7, 2), "shape of phases")
    check(file["steps/phase/backward"][3, 1] == 3 * 100 + 1 * 10 + 2, "a phase's number")
    check(abs(file["timeline"].attrs["clock_uncertainty_seconds"] - 2e-6) < 1e-12, "uncertainty of the clocks")
    check(list(file["timeline/kind"].asstr()[:2]) == ["forward", "forward"], "kinds of spans")
    check(set(file["timeline/flow"][:]) == {-1, 0, 2, 4}, "flows")
    check(list(file["inference/prediction"][:]) == [7, 0, 9], "predictions")
    check(list(file["inference/latency_seconds"][:]) == [0.25, 0.125], "latencies")
    check(list(file["model/name"].asstr()) == ["conv1", "relu1"], "names of layers")

for group in sorted(groups) + ["steps/phase"]:
    with xarray.open_dataset(path, group=group, engine="h5netcdf") as data:
        data.load()
        check(len(data.data_vars) > 0, f"xarray sees nothing in {group}")
        check(not any(str(d).startswith("phony") for d in data.dims), f"{group} has unnamed dimensions")
with xarray.open_dataset(path, group="steps", engine="h5netcdf") as steps:
    check(steps.rank_seconds.dims == ("step", "rank"), "dimensions of rank_seconds")
    check(float(steps.loss.sel(step=1)) == 2.3 / 2, "loss of step 1")
    check(steps.seconds.dtype == "float64" and steps.seconds.attrs["units"] == "s", "seconds stay numbers")
print(columns, "columns read")
