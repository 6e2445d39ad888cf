"""What the settings of the receive side cost and bring, one at a time from the defaults.

    wirematch bench receive [--orders N] [--rate N] [--only NAME ...] [--json]

For each value of a setting an appliance with mode = "null" takes a flood of single orders
(`flood`: orders a second that it took; `dropped`: the share that nobody took), then --rate orders a
second (`inside`: p50 / p99 / p99.9 from the frame seen until its answers are queued), then three
bursts of 2,000 frames while the matcher stands still for 20 ms (`lost`).

Every order is accounted for before a figure is printed. It needs root.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import time

from appliance.hot.counters import quantile
from tools.bench import path_place
from tools.bench.open_loop import PERCENTILES
from tools.bench.path import accounted
from tools.bench.path_place import Ground, Server
from tools.bench.tracer import over_the_neighbours
from tools.netns import why_not

DEFAULTS = {"batch": 64, "rx_frames": 4096, "huge_pages": '"never"', "realtime": 0,
            "wait": '"auto"'}
TRIED = {
    "batch": (4, 8, 16, 32, 64),
    "rx_frames": (512, 1024, 2048, 4096, 8192, 16384),
    "huge_pages": ('"never"', '"always"'),
    "realtime": (0, 50),
    "wait": ('"spin"', '"yield"', '"block"'),
}
SECTIONS = {"batch": "port", "rx_frames": "port", "huge_pages": "port", "realtime": "cores",
            "wait": "cores"}
PAUSES, PAUSE_S, PAUSE_FRAMES = 3, 0.02, 2000


class Tuned(Ground):
    """A Ground whose next appliance has these settings."""

    def __init__(self, chunks):
        self.settings = dict(DEFAULTS)
        super().__init__(chunks)

    def tune(self, **settings) -> None:
        """The defaults but for these."""
        self.settings = DEFAULTS | settings
        self._write_config()

    def _write_config(self) -> str:
        path = super()._write_config()
        with open(path) as file:
            text = file.read()
        text += "[port]\n"
        for name, value in self.settings.items():
            line = f"{name} = {value}\n"
            text = text.replace(f"[{SECTIONS[name]}]\n", f"[{SECTIONS[name]}]\n{line}", 1)
        with open(path, "w") as file:
            file.write(text)
        return path


def paused(ground, server, pid: int) -> int:
    """Orders lost of bursts that come while the matcher stands still."""
    lost = 0
    for _ in range(PAUSES):
        os.kill(pid, signal.SIGSTOP)
        try:
            began, done = time.monotonic(), server.done()
            drops = sum(server.drops().values())
            ground.offer(PAUSE_FRAMES)
            time.sleep(max(0.0, PAUSE_S - (time.monotonic() - began)))
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(path_place.STATUS_S)
        dropped = sum(server.drops().values()) - drops
        if server.done() - done + dropped != PAUSE_FRAMES:
            raise RuntimeError(f"{PAUSE_FRAMES} orders sent to a matcher that stood still, "
                               f"{server.done() - done} taken, {dropped} in drop counters")
        lost += dropped
    return lost


def row_of(ground, options, name: str, value) -> dict:
    """Figures of one value."""
    ground.tune(**{name: value})
    with Server(ground, "null") as server:
        pid = next(row["pid"] for row in server.house.status["processes"]
                   if row["name"] == "matcher@0")
        ground.offer(options.orders // 10)
        floods = [accounted(ground, server, options.orders) for _ in range(options.rounds)]
        before = server.inside()
        calm = accounted(ground, server, options.orders // 10, int(1e9 / options.rate))
        histogram = server.inside() - before
        lost = paused(ground, server, pid)
        server.verdict()
    return {"setting": name, "value": value, "wait": server.wait(),
            "flood": statistics.median(each["answered"] for each in floods),
            "dropped": statistics.median(each["dropped"] for each in floods) / options.orders,
            "inside_ns": {each: quantile(histogram, share / 100)
                          for each, share in PERCENTILES.items()},
            "calm_dropped": calm["dropped"], "lost": lost}


def measure(options, note) -> list[dict]:
    """A row for each value; settings that cannot be had here are named and left out."""
    rows = []
    with Tuned(options.chunks) as ground:
        for name in options.only or TRIED:
            for value in TRIED[name]:
                try:
                    rows.append(row_of(ground, options, name, value))
                except RuntimeError as error:
                    if name not in ("huge_pages", "realtime", "wait"):
                        raise
                    note(f"{name} = {value}: cannot be had here: {str(error)[-300:]}")
                    continue
                note(text_of(rows[-1]))
    return rows


def text_of(row: dict) -> str:
    """One line."""
    inside = " / ".join(str(row["inside_ns"][each]) for each in PERCENTILES)
    return (f"{row['setting']:>10} = {str(row['value']):<9} {row['flood'] / 1e6:6.2f} M orders/s "
            f"of a flood, {row['dropped']:4.0%} of it dropped; inside {inside} ns; lost in "
            f"pauses {row['lost']}")


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench receive", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=300_000, help="of a flood")
    parser.add_argument("--rounds", type=int, default=3, help="floods for a value")
    parser.add_argument("--rate", type=int, default=50_000, help="orders a second when calm")
    parser.add_argument("--only", nargs="*", choices=tuple(TRIED), help="these settings")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if options.orders < 10_000 or options.rounds < 1 or options.rate < 1:
        parser.error("--orders: at least 10,000; --rounds and --rate: at least 1")
    if (reason := why_not()):
        print(f"bench receive: {reason}", file=sys.stderr)
        return 77
    options.chunks = 64 + int((options.rounds + 1) * options.orders * 130 / 65536)

    def note(text):
        if not options.as_json:
            print(text, flush=True)

    try:
        with over_the_neighbours(-20):
            rows = measure(options, note)
    except (RuntimeError, OSError, ValueError) as error:
        print(f"bench receive: {error}", file=sys.stderr)
        return 1
    if options.as_json:
        print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
