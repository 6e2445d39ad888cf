"""What each durability level costs: orders a second through the whole path, the wait for answers.

    wirematch bench durability [--orders N] [--rounds N] [--levels L ...] [--directory DIR] [--json]

The place of `bench path`, with acknowledgements and both feeds into a peer that drops. In turn, by
rounds: the appliance at level "none", "process" and "disk", one order a frame and 28, and then
orders one by one, --rate a second, for the time from when an order was due to its acknowledgement.
Ratios are to "none" of the same round, medians over the rounds. --directory should lie on the disk
that is asked about; journals are removed again. Before a figure is printed each journal is read and
must hold exactly the commands that were taken. It needs root.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from appliance.journal.scan import scan
from tools.bench.latency import WARM, Answering, Traffic
from tools.bench.open_loop import OpenLoop
from tools.bench.path import rate
from tools.bench.path_place import PACK, STATUS_S, Ground, offered_and_done
from tools.bench.tracer import over_the_neighbours
from tools.netns import why_not

LEVELS = ("none", "process", "disk")
RING = 1 << 18               # 32 MiB: what a slow sync leaves waiting
SINGLE, PACKED, SAMPLE = "one a frame", f"{PACK} a frame", 400
OFFERED = 2.5e6              # orders a second of packed frames


class Kept(Ground):
    """A Ground whose appliance keeps a journal: level and folder, set before it starts."""

    level, journal = "none", ""

    def _write_config(self):
        path = Path(super()._write_config())
        text = path.read_text().replace("[capacity]\n", f"[capacity]\njournal = {RING}\n")
        path.write_text(text + f'[durability]\nlevel = "{self.level}"\n'
                        f'directory = "{self.journal}"\n')
        return str(path)


def holds(folder, commands: int) -> None:
    """RuntimeError unless the only partition's journal holds so many commands."""
    (day,) = Path(folder).iterdir()
    found = scan(day / "p0")
    if found is None:
        raise RuntimeError(f"{day / 'p0'} holds no journal")
    if found.last_seq != commands or not found.clean:
        raise RuntimeError(f"the journal holds {found.last_seq} commands of {commands}, "
                           f"{'closed' if found.clean else 'not closed'}")


@contextlib.contextmanager
def served(ground, options, level):
    """An appliance with a day of its own; afterwards its journal has been read."""
    ground.level, ground.journal = level, tempfile.mkdtemp(dir=options.directory)
    try:
        with Answering(ground, "native") as server:
            yield server
            server.verdict()
            commands = int(server.blocks["status"][0]["journal_seq"])
        if level != "none":
            holds(ground.journal, commands)
    finally:
        shutil.rmtree(ground.journal, ignore_errors=True)


def at_level(ground, loop, options, level) -> dict:
    """{SINGLE, PACKED: orders a second, "ack_us": percentiles, "sync_us", "sync_max_us"}."""
    ground.peer_does("drop")
    with served(ground, options, level) as server:
        ground.offer(options.orders // 10)
        found = {SINGLE: rate(offered_and_done(ground, server, options.orders)),
                 PACKED: rate(offered_and_done(
                     ground, server, max(1, options.orders // PACK),
                     int(PACK * 1e9 / OFFERED), packed=True))}
        time.sleep(STATUS_S)
    ground.peer_does("bare")
    with served(ground, options, level) as server:
        traffic = Traffic(loop, server)
        traffic.run(options.rate, min(WARM, SAMPLE))
        outcome, _ = traffic.run(options.rate, SAMPLE)
        status = server.house.fresh_status()["partitions"][0]["durability"]
        time.sleep(STATUS_S)
    found["ack_us"] = outcome.percentiles()
    return found | {name: status.get(name, 0) for name in ("sync_us", "sync_max_us")}


def measure(options, note) -> dict:
    """The report that --json prints."""
    rows = {level: [] for level in ("none", *options.levels)}
    with Kept(options.chunks) as ground, OpenLoop(ground) as loop:
        for _ in range(options.rounds):
            for level in rows:
                row = at_level(ground, loop, options, level)
                rows[level].append(row)
                note(f"{level}: {row[SINGLE] / 1e6:.2f} M orders/s one a frame, "
                     f"{row[PACKED] / 1e6:.2f} packed; {row['ack_us']['p50']:.1f} us to the answer")
    report = {"orders": options.orders, "rounds": options.rounds, "directory": options.directory,
              "load_average": os.getloadavg()[0], "levels": {}}
    for level, found in rows.items():
        report["levels"][level] = {
            **{name: statistics.median(row[name] for row in found)
               for name in (SINGLE, PACKED, "sync_us", "sync_max_us")},
            "ratio": {name: statistics.median(
                row[name] / base[name] for row, base in zip(found, rows["none"], strict=True))
                for name in (SINGLE, PACKED)},
            "ack_us": {name: statistics.median(row["ack_us"][name] for row in found)
                       for name in found[0]["ack_us"]}}
    return report


def show(report: dict) -> None:
    """The report for people."""
    print(f"{report['rounds']} rounds of {report['orders']:,} orders, journal in "
          f"{report['directory']}, load {report['load_average']:.1f}")
    for level, row in report["levels"].items():
        ratio, ack = row["ratio"], row["ack_us"]
        print(f"  {level:<8} {row[SINGLE] / 1e6:5.2f} M orders/s one a frame "
              f"({ratio[SINGLE]:.0%}), {row[PACKED] / 1e6:.2f} packed ({ratio[PACKED]:.0%}); to "
              f"the answer p50 {ack['p50']:.1f}, p99 {ack['p99']:.0f} us; longest sync "
              f"{row['sync_max_us']} us")


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench durability", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=400_000, help="offered a round and level")
    parser.add_argument("--rounds", type=int, default=3, help="medians over this many rounds")
    parser.add_argument("--rate", type=float, default=500, help="orders a second, one by one")
    parser.add_argument("--directory", default="/var/tmp", help="where the journals lie meanwhile")
    parser.add_argument("--levels", nargs="+", choices=LEVELS[1:], default=LEVELS[1:],
                        help="beside none")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if options.orders < 1000 or options.rounds < 1 or options.rate <= 0:
        parser.error("--orders: at least 1,000; --rounds: at least 1; --rate: more than 0")
    if (reason := why_not()):
        print(f"bench durability: {reason}", file=sys.stderr)
        return 77
    options.chunks = 64 + options.orders * 3 * 130 // 65536

    def note(text):
        if not options.as_json:
            print(f"  {text}", file=sys.stderr, flush=True)

    try:
        with over_the_neighbours(-20):
            report = measure(options, note)
    except (RuntimeError, OSError, ValueError) as error:
        print(f"bench durability: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report)) if options.as_json else show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
