"""The tracer: a thin, real line through the whole path, measured beside the barest C code.

    python -m tools.bench.tracer [--mode native|generic] [--rounds N] [--quick] [--json]

One veth pair between two namespaces, steer.bpf.c on the appliance's end, an unprivileged process
whose compiled loop answers every order with canned frames: none, an acknowledgement, or an
acknowledgement and both feeds. Prints packets per second (orders offered by the kernel's live
frames), round trips (a spinning AF_XDP pinger in C) and start-up times, and beside them the
same for a C receiver and a C echo behind a one-line redirect program. It needs root.
"""

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

from appliance.shm import steer, umem
from tools.bench.tracer_path import BareEnd, Path, StageEnd
from tools.netns import why_not

ROUND_TRIP_PERCENTILES = (50, 99, 99.9)
LOSSLESS_SHARE = 0.7         # of the saturated rate, for the pass in which nothing may be lost
SETTLE_S = 0.05
SESSION_GROUP = pathlib.Path("/proc/self/autogroup")


def saturate(path: Path, end, count: int) -> dict:
    """Offers `count` orders at full speed: rates per second of offered, received, sent frames."""
    received, seen = end.received(), path.seen_far()
    seconds = path.generate(count)
    got, out = end.received() - received, path.seen_far() - seen
    time.sleep(SETTLE_S)
    return {"offered": count / seconds, "received": got / seconds, "sent": out / seconds}


def pace(path: Path, end, rate: float, seconds: float) -> dict:
    """Offers orders evenly at `rate` a second: how many, and how many never arrived."""
    received, count = end.received(), int(rate * seconds)
    taken = path.generate(count, int(1e9 / rate))
    time.sleep(SETTLE_S)
    return {"paced": count, "paced_rate": count / taken,
            "lost": count - (end.received() - received)}


@contextlib.contextmanager
def over_the_neighbours(nice: int):
    """Raises this process (its children inherit that) over others, also over other sessions. At the
    end it has the priority and the CPUs that it had."""
    before, group_before = os.getpriority(os.PRIO_PROCESS, 0), session_group()
    cpus = os.sched_getaffinity(0)
    with contextlib.suppress(OSError):        # may need a right that a container lacks
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    if group_before is not None:
        with contextlib.suppress(OSError):
            SESSION_GROUP.write_text(str(nice))
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, before)
        if group_before is not None:
            with contextlib.suppress(OSError):
                SESSION_GROUP.write_text(str(group_before))


def session_group() -> int | None:
    """The niceness of this process's session group; None where the kernel keeps none for it.

    The file may be missing (no session groups in the kernel) or empty (a process without one,
    such as the children of a service manager or of another process namespace).
    """
    with contextlib.suppress(OSError):
        words = SESSION_GROUP.read_text().split()
        if words and words[-1].lstrip("-").isdigit():
            return int(words[-1])
    return None


def round_trips(path: Path, count: int, gap_ns: int) -> dict:
    """Percentiles of the round trip in microseconds, and how many orders had no answer."""
    path.ping(min(count, 1000), gap_ns)
    times = path.ping(count, gap_ns)
    values = np.percentile(times, ROUND_TRIP_PERCENTILES) / 1e3 if times.size else [0.0] * 3
    names = ("p50_us", "p99_us", "p99_9_us")
    return dict(zip(names, map(float, values), strict=True)) | {"unanswered": count - times.size}


def median_of(rounds: list[dict]) -> dict:
    """Per key the median over the rounds."""
    return {key: statistics.median(entry[key] for entry in rounds) for key in rounds[0]}


def measure(path: Path, options, note) -> list[dict]:
    """All rows of the table. Throughput rounds of bare and stage stand next to each other."""
    orders, pings, gap_ns = options.orders, options.pings, options.gap_ns
    rows = []
    with BareEnd(path, echo=False) as end:
        note("bare receiver")
        path.generate(orders // 10)
        rows.append({"end": "bare receiver, C, redirect only", "frames": 0}
                    | median_of([saturate(path, end, orders) for _ in range(options.rounds)]))
    with BareEnd(path, echo=False, steered=True) as end:
        note("bare receiver behind steer")
        rows.append({"end": "bare receiver, C, behind steer", "frames": 0}
                    | median_of([saturate(path, end, orders) for _ in range(options.rounds)]))
    with BareEnd(path, echo=True) as end:
        note("bare echo")
        row = median_of([saturate(path, end, orders) for _ in range(options.rounds)])
        row |= median_of([round_trips(path, pings, gap_ns) for _ in range(options.rounds)])
        rows.append({"end": "bare echo, C, redirect only", "frames": 1} | row)
    with StageEnd(path) as end:
        for frames, per_burst in ((0, False), (1, False), (3, False), (3, True)):
            note(f"stage, {frames} frames per {'burst' if per_burst else 'order'}")
            end.answer_with(frames, per_burst)
            row = median_of([saturate(path, end, orders) for _ in range(options.rounds)])
            if options.mode == "native":      # only the kernel's live frames can be paced
                row |= pace(path, end, LOSSLESS_SHARE * row["received"], options.seconds)
            if frames and not per_burst:
                row |= median_of([round_trips(path, pings, gap_ns)
                                  for _ in range(options.rounds)])
            unit = "burst" if per_burst else "order"
            rows.append({"end": f"stage, numba, behind steer, per {unit}", "frames": frames} | row)
        rows[-1]["stage_counters"] = end.counters()
        rows[-1]["socket_statistics"] = end.socket_statistics()
    return rows


def start_up(path: Path, note) -> list[dict]:
    """Start-up of the stage with an empty kernel cache and again with what that left behind."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in ("uncached", "cached"):
            note(f"start-up, kernels {name}")
            with StageEnd(path, cache_folder=folder) as end:
                results.append({"kernels": name} | end.report)
    return results


def _cell(row: dict, key: str, scale: float, form: str) -> str:
    return format(row[key] / scale, form) if key in row else "-"


def table(rows: list[dict]) -> str:
    """The rows as a Markdown table."""
    floor = rows[0]["received"]
    lines = ["| end | frames out | offered M/s | received M/s | of bare | frames out M/s | "
             f"lost at {LOSSLESS_SHARE:.0%} | p50 us | p99 us | p99.9 us |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for row in rows:
        lost = f"{row['lost']} of {row['paced']}" if "lost" in row else "-"
        cells = [row["end"], str(row["frames"]), _cell(row, "offered", 1e6, ".2f"),
                 _cell(row, "received", 1e6, ".2f"), f"{row['received'] / floor:.0%}",
                 _cell(row, "sent", 1e6, ".2f"), lost, _cell(row, "p50_us", 1, ".1f"),
                 _cell(row, "p99_us", 1, ".1f"), _cell(row, "p99_9_us", 1, ".1f")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def conditions(options) -> dict:
    """What every figure is printed with."""
    return {"rung": f"AF_XDP {options.mode}, copy", "wait_policy": "spin",
            "core_map": {"far end (generator, pinger)": options.far_core,
                         "appliance": options.near_core},
            "frames": f"{options.rx_frames} rx, {options.tx_frames} tx", "nice": options.nice,
            "rounds": options.rounds, "cores": os.cpu_count(), "kernel": os.uname().release,
            "load_average": os.getloadavg()[0]}


def main(arguments=None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("native", "generic"), default="native")
    parser.add_argument("--rounds", type=int, default=3, help="medians over this many rounds")
    parser.add_argument("--orders", type=int, default=1_000_000, help="orders offered a round")
    parser.add_argument("--pings", type=int, default=20_000, help="round trips a round")
    parser.add_argument("--gap-ns", type=int, default=0,
                        help="time from one ping to the next; 0: as soon as answered")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of the lossless pass")
    parser.add_argument("--rx-frames", type=int, default=4096, help="frames that receive")
    parser.add_argument("--tx-frames", type=int, default=4096, help="frames that transmit")
    parser.add_argument("--nice", type=int, default=-20,
                        help="scheduling priority of both ends, so that neighbours disturb less")
    parser.add_argument("--quick", action="store_true", help="small counts, one round")
    parser.add_argument("--json", action="store_true", help="print one JSON object only")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds, options.orders, options.pings, options.seconds = 1, 100_000, 2_000, 0.1
    if reason := why_not():
        print(f"tracer: {reason}", file=sys.stderr)
        return 1
    options.far_core, options.near_core = (0, 1) if (os.cpu_count() or 1) > 1 else (-1, -1)

    def note(text):
        if not options.json:
            print(f"  {text} ...", file=sys.stderr, flush=True)

    report = conditions(options)
    mode = {"native": steer.NATIVE, "generic": steer.GENERIC}[options.mode]
    geometry = umem.Geometry(2048, options.rx_frames, options.tx_frames)
    with over_the_neighbours(options.nice):
        if options.far_core >= 0:
            os.sched_setaffinity(0, {options.far_core})
        with Path(geometry, mode, options.far_core, options.near_core) as path:
            report["rows"] = measure(path, options, note)
            report["start_up"] = start_up(path, note)
            report["dispositions"] = path.steering.counters()
    if options.json:
        print(json.dumps(report))
        return 0
    print(", ".join(f"{key}: {value}" for key, value in report.items()
                    if key not in ("rows", "start_up", "dispositions")))
    print(table(report["rows"]))
    for entry in report["start_up"]:
        print(f"start-up, kernels {entry['kernels']}: import {entry['import_s']:.2f} s, kernels "
              f"{entry['kernel_s']:.2f} s, ready after {entry['ready_s']:.2f} s; as uid "
              f"{entry['uid']}, capabilities {entry['capabilities']:#x}, own AF_XDP socket: "
              f"{os.strerror(-entry['own_af_xdp_socket'])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
