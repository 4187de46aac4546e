"""partita-timeline as a user runs it: the trace's structure, event by event, and refusals that say what is wrong.

The sample (sample_timeline in sample_record.hpp) is a pipeline of as many stages as ranks, 10 ms a step.

usage: timeline_program.py PARTITA_TIMELINE WRITE_SAMPLE
"""
import collections
import json
import os
import subprocess
import sys
import tempfile

program, write_sample = sys.argv[1:3]
fields = {
    "M": {"name", "ph", "pid", "tid", "args"},
    "X": {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"},
    "s": {"name", "cat", "ph", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "ph", "id", "ts", "pid", "tid", "bp"},
    "C": {"name", "ph", "ts", "pid", "tid", "args"},
}
rounding = 1e-6  # microseconds; times are whole nanoseconds


def sample(name, **keys):
    subprocess.run([write_sample, name, *(f"{k}={v}" for k, v in keys.items())], check=True)
    return name


def run(*arguments, code=0):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert done.returncode == code, f"{arguments}: exit {done.returncode}, not {code}\n{done.stdout}\n{done.stderr}"
    if code != 0:
        assert done.stdout == "" and done.stderr.startswith("partita-timeline: "), done
    return done.stdout, done.stderr


def end(span):
    return span["ts"] + span["dur"]


def lanes_of(spans):
    lanes = collections.defaultdict(list)
    for span in spans:
        lanes[span["pid"], span["tid"]].append(span)
    return lanes


def check_lanes(spans, names):
    """Spans of a lane follow each other, and are of the queue that the lane is named after."""
    lanes = lanes_of(spans)
    assert lanes.keys() == names.keys(), (lanes.keys(), names)
    for lane, content in lanes.items():
        content.sort(key=lambda span: (span["ts"], end(span)))
        for before, after in zip(content, content[1:]):
            assert end(before) <= after["ts"] + rounding, (before, after)
        assert {span["cat"] for span in content} == {names[lane].split(" ")[0]}, (names[lane], content)


def check_flows(events, spans):
    """An arrow leaves a send and arrives in the receive of another rank."""
    lanes = lanes_of(spans)
    ids = {event["id"] for event in events}
    for flow in ids:
        (start,) = [e for e in events if e["id"] == flow and e["ph"] == "s"]
        (finish,) = [e for e in events if e["id"] == flow and e["ph"] == "f"]
        assert (start["name"], start["cat"]) == (finish["name"], finish["cat"]) and finish["bp"] == "e"
        assert start["pid"] + 1 == finish["pid"] and start["ts"] <= finish["ts"], (start, finish)
        for event, kind in ((start, "send"), (finish, "receive")):
            inside = [s for s in lanes[event["pid"], event["tid"]] if s["ts"] <= event["ts"] < end(s)]
            assert [s["name"].split(" ")[0] for s in inside] == [kind], (event, inside)
    return len(ids)


def check_counters(counters, spans, ranks):
    """The bytes are those of the communications that have begun and not ended."""
    for rank in range(ranks):
        own = [c for c in counters if c["pid"] == rank]
        assert own and own[-1]["args"]["bytes"] == 0
        assert [c["ts"] for c in own] == sorted({c["ts"] for c in own}), own
        for counter in own:
            now = sum(s["args"]["bytes"] for s in spans if s["pid"] == rank and s["cat"] == "communication"
                      and s["ts"] <= counter["ts"] + rounding and counter["ts"] + rounding < end(s))
            assert counter["args"]["bytes"] == now, (counter, now)


def check_trace(text, steps, ranks):
    trace = json.loads(text)
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"} and trace["displayTimeUnit"] == "ms"
    assert trace["otherData"]["clock_uncertainty_seconds"] == 2e-6
    by_phase = collections.defaultdict(list)
    for event in trace["traceEvents"]:
        assert set(event) == fields[event["ph"]], event
        assert all(event.get(key, 0) >= 0 for key in ("ts", "dur", "pid", "tid")), event
        by_phase[event["ph"]].append(event)
    spans, metadata = by_phase["X"], by_phase["M"]
    assert len(spans) == len(steps) * (ranks * 9 + 2 * (ranks - 1)), len(spans)
    assert {span["args"]["step"] for span in spans} == set(steps)
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in metadata if e["name"] == "thread_name"}
    order = {(e["pid"], e["tid"]): e["args"]["sort_index"] for e in metadata if e["name"] == "thread_sort_index"}
    assert order == {lane: lane[1] for lane in names}
    processes = {e["pid"]: e["args"]["name"] for e in metadata if e["name"] == "process_name"}
    assert processes == {r: f"rank {r} (data {r}, pipeline 0, tensor 0)" for r in range(ranks)}, processes
    for rank in range(ranks):
        expected = ["compute", "copy", "communication", "communication 2"]
        assert [names[lane] for lane in sorted(names) if lane[0] == rank] == expected, names
    check_lanes(spans, names)
    assert check_flows(by_phase["s"] + by_phase["f"], spans) == len(steps) * (ranks - 1)
    check_counters(by_phase["C"], spans, ranks)
    return spans


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    for ranks in (1, 2, 3):
        result = sample(f"{ranks}.h5", ranks=ranks)
        text, message = run(result)
        spans = check_trace(text, range(3), ranks)
        assert message == "", message
        check_trace(run(result, "--steps", "1:2")[0], (1, 2), ranks)
        check_trace(run(result, "--steps=2:9")[0], (2,), ranks)
        assert {s["name"] for s in spans} >= {"forward conv1 mb 1", "backward conv1 parameters mb 3", "all_reduce",
                                              "update schön1"}
    # Times to the nanosecond: step 1 of rank 2, whose clock starts 20 µs early, which the whole trace is moved by.
    (forward,) = [s for s in spans if s["name"] == "forward conv1 mb 1" and s["pid"] == 2 and s["args"]["step"] == 1]
    assert abs(forward["ts"] - 11000) < rounding and abs(forward["dur"] - 1000) < rounding, forward
    (send,) = [s for s in spans if s["name"] == "send mb 0" and s["pid"] == 0 and s["args"]["step"] == 0]
    assert send["args"] == {"step": 0, "axis": "pipeline", "purpose": "activation", "microbatch": 0, "chunk": 1,
                            "bytes": 4096}, send

    # A file holds the same; it is replaced only when asked.
    assert run("3.h5", "--output", "t.json") == ("", "")
    with open("t.json", encoding="utf-8") as file:
        assert file.read() == text
    _, message = run("3.h5", "--output", "t.json", code=2)
    assert "t.json" in message and "--overwrite" in message, message
    run("2.h5", "--output", "t.json", "--overwrite")
    with open("t.json", encoding="utf-8") as file:
        check_trace(file.read(), range(3), 2)
    assert sorted(os.listdir()) == ["1.h5", "2.h5", "3.h5", "t.json"]

    # One end of a message: no arrow, and a note.
    text, message = run(sample("alone.h5", ranks=2, timeline="alone"))
    assert "1 message " in message and not {"s", "f"} & {e["ph"] for e in json.loads(text)["traceEvents"]}, message

    # Bad input: everything wrong is named at once.
    _, message = run("missing.h5", "--steps", "3:1", "--output", "none/t.json", code=2)
    assert "missing.h5: cannot be read" in message and "--steps" in message and "none" in message, message
    _, message = run(sample("none.h5", timeline="none"), code=2)
    assert "none.h5 /timeline" in message and "missing" in message, message
    _, message = run(sample("backwards.h5", timeline="backwards"), code=2)
    assert "row 2" in message, message
    _, message = run("2.h5", "--steps", "3:4", code=2)
    assert "--steps" in message and "0:2" in message, message
    for steps in (":", "1", "1:", ":1", "-1:2", "2:1", "a:b", "1:2:3", "1:99999999999999999999"):
        assert "FIRST:LAST" in run("2.h5", f"--steps={steps}", code=2)[1]
    with open("text.h5", "w") as file:
        file.write("no HDF5")
    assert "not an HDF5 file" in run("text.h5", code=2)[1]
    assert "name a result file" in run(code=2)[1]
    _, message = run("2.h5", "3.h5", "--stepps=0:1", code=2)
    assert "there are --output, --overwrite, --steps, --help, --version; did you mean --steps?" in message, message
    assert "3.h5: is one too many" in message, message
    run("2.h5", "--output=", "--steps=")  # as if neither were given
    for arguments in (("3.h5",), ("--nonsense",), ("--step", "1:2"), ("--output",)):
        run("2.h5", *arguments, code=2)

    assert "FIRST:LAST" in run("--help")[0]
    assert run("--version")[0].startswith("partita-timeline 0")
    with open("/dev/full", "w") as full:
        assert subprocess.run([program, "2.h5"], stdout=full, stderr=subprocess.DEVNULL).returncode == 1
print("all hold")
