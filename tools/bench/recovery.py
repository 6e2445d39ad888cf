"""How soon a partition is ready again: a day's journal on disk, made into a core, and checked.

    wirematch bench recovery [w1 w2 w3] [--messages N] [--together N] [--dir DIR] [--json]

The first N messages of each workload become a journal of segments in DIR (default: here; it is
taken away afterwards), with a snapshot at nine tenths, or where --snapshot-at says. Measured:
replay alone, from memory and from an empty core; ready from the genesis (scan, read, replay); ready
by the snapshot (scan, restore and what is behind it: what journal@p and then the matcher do). Best
of the rounds. A figure is printed only when every way ends in the same state hash and the trades
are those of the market that made the workload.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time

from appliance.shm.cache import use_cache

if not any(name.startswith("appliance.hot") for name in sys.modules):
    use_cache()                                             # before the first kernel is imported

from appliance.journal import snapshot_file, state_hash  # noqa: E402
from appliance.journal.errors import JournalError  # noqa: E402
from appliance.journal.genesis import build_core  # noqa: E402
from appliance.journal.recover import recover, resume  # noqa: E402
from appliance.journal.replay import apply  # noqa: E402
from appliance.journal.restore import restore  # noqa: E402
from appliance.journal.scan import scan  # noqa: E402
from appliance.journal.snapshot import canonical  # noqa: E402
from appliance.journal.writer import Writer  # noqa: E402
from appliance.layout.shared import COUNTER_INDEX  # noqa: E402
from tools.bench import recovery_day  # noqa: E402
from tools.bench.core import cpu_name  # noqa: E402
from tools.workload_maker import STANDARD, make  # noqa: E402

GROUP = 4096
SNAPSHOT_AT = 0.9


class WrongState(Exception):
    """Two ways to a state ended in different ones, or the trades are not the known ones."""


def timed(function, *arguments, **options):
    """(result, seconds by the wall, seconds of this process's CPU time)."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments, **options)
    return result, time.perf_counter() - wall, time.process_time() - cpu


def replayed(genesis, records):
    """A core that has taken all records."""
    core = build_core(genesis)
    apply(core, records)
    return core


def keep(folder, genesis, records, snapshot_at):
    """Writes the journal, and the snapshot that lies behind so much of it; how long that took:
    (seconds to take and to write it, live orders in it)."""
    with Writer(folder, genesis, 0) as writer:
        for first in range(0, len(records), GROUP):
            writer.append(records[first:first + GROUP])
        writer.sync()
    core = build_core(genesis)
    apply(core, records[:int(len(records) * snapshot_at)])
    began = time.perf_counter()
    snapshot_file.write(folder, genesis, canonical(core))
    return time.perf_counter() - began, int(core.book.engine[0]["live_orders"])


def started(folder):
    """The core as a start makes it: journal@p scans, the matcher resumes."""
    return resume(folder, scan(folder).last_seq).core


def check(name, core, trades, expected):
    """The state hash of a core. WrongState when it, or the trades, are not as they must be."""
    found, counted = state_hash.of(core), int(core.counters[COUNTER_INDEX["trades"]])
    refused = int(core.counters[COUNTER_INDEX["rejects"]])
    if counted != trades or refused or core.book.engine[0]["fault"]:
        raise WrongState(f"{name}: {counted} trades and {refused} rejects, not {trades} and 0")
    if expected not in (None, found):
        raise WrongState(f"{name}: state {found:016x}, by another way {expected:016x}")
    return found


def measure(name, folder, options) -> dict:
    """The figures of one workload."""
    messages, trades, _ = make(name, options.messages)
    genesis, records = recovery_day.genesis(messages), recovery_day.records(
        messages, options.together)
    snapshot_seconds, live = keep(folder, genesis, records, options.snapshot_at)
    ways = {"replay": lambda: replayed(genesis, records),
            "genesis": lambda: recover(folder, snapshots=False).core,
            "snapshot": lambda: started(folder)}
    best, known = {}, None
    for _ in range(options.rounds):
        for way, function in ways.items():
            core, wall, cpu = timed(function)
            known = check(f"{name} by {way}", core, trades, known)
            before = best.get(way, (wall, cpu))
            best[way] = min(before[0], wall), min(before[1], cpu)
            del core
    wall, cpu = best["replay"]
    return {"workload": name, "commands": len(records), "of_one_time": options.together,
            "trades": trades, "state_hash": f"{known:016x}",
            "replay_commands_per_second": round(len(records) / wall),
            "snapshot_at": options.snapshot_at,
            "replay_commands_per_cpu_second": round(len(records) / cpu),
            "ready_seconds": round(best["snapshot"][0], 4),
            "ready_seconds_without_snapshot": round(best["genesis"][0], 4),
            "snapshot_seconds": round(snapshot_seconds, 4), "snapshot_live_orders": live}


def text(result) -> str:
    """One workload's figures, for people."""
    return (f"{result['workload']}: {result['commands']:,} commands, {result['of_one_time']} of "
            f"one time, {result['trades']:,} trades, state {result['state_hash']} by every way\n"
            f"  replay     {result['replay_commands_per_second'] / 1e6:.2f} M commands/s, "
            f"{result['replay_commands_per_cpu_second'] / 1e6:.2f} by CPU time\n"
            f"  ready in   {result['ready_seconds']:.3f} s by a snapshot at "
            f"{result['snapshot_at']:.0%}, "
            f"{result['ready_seconds_without_snapshot']:.3f} s without one\n"
            f"  snapshot   {result['snapshot_seconds']:.3f} s to take and write, "
            f"{result['snapshot_live_orders']:,} live orders")


def main(arguments=None) -> int:
    """Exit codes: 0 measured, 1 a way ended in another state or the disk failed."""
    parser = argparse.ArgumentParser(prog="wirematch bench recovery",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("workloads", nargs="*", metavar="NAME",
                        help="w1, w2, w3 (default all)")
    parser.add_argument("--messages", type=int, default=1_000_000, metavar="N",
                        help="of each workload (default %(default)s)")
    parser.add_argument("--together", type=int, default=8, metavar="N",
                        help="commands of one time (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N",
                        help="best of how many (default %(default)s)")
    parser.add_argument("--snapshot-at", type=float, default=SNAPSHOT_AT, metavar="PART",
                        help="where in the day the snapshot lies (default %(default)s)")
    parser.add_argument("--dir", metavar="DIR", help="where the journal is made (default: here)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    unknown = set(options.workloads) - set(STANDARD)
    if unknown:
        parser.error(f"no workload is called {', '.join(sorted(unknown))}: {', '.join(STANDARD)}")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    results = []
    try:
        _load()
        for name in options.workloads or STANDARD:
            folder = tempfile.mkdtemp(prefix="recovery-", dir=options.dir or os.getcwd())
            try:
                results.append(measure(name, folder, options))
            finally:
                shutil.rmtree(folder)
            if not options.json:
                print(text(results[-1]), flush=True)
    except (WrongState, JournalError, OSError) as error:
        print(f"bench recovery: {error}", file=sys.stderr)
        return 1
    finally:
        os.sched_setaffinity(0, allowed)
    if options.json:
        print(json.dumps({
            "ready_seconds": max(each["ready_seconds"] for each in results),
            "replay_commands_per_second": min(each["replay_commands_per_second"]
                                              for each in results),
            "cpu": cpu_name(), "core": max(allowed), "workloads": results}))
    else:
        print(f"  one thread on core {max(allowed)}; {cpu_name()}")
    return 0


def _load():
    """Compiles or loads every kernel, so that no figure has that in it."""
    messages, _, _ = make("w1", 100)
    genesis = recovery_day.genesis(messages)
    restore(genesis, canonical(replayed(genesis, recovery_day.records(messages, 1))))


if __name__ == "__main__":
    sys.exit(main())
