"""`wirematch bench core`: the matching core's rate on files of the common workload.

    python -m tools.bench.core --workload FILE [--workload FILE ...] [--rounds N] [--json]

Runs the very kernel that the matcher runs (`KERNEL`), 64 commands a call, events into one reused
buffer, and folds the trades of the events into the workload's checksum inside the timed loop.
Making commands of the file and the first touch of the memory are outside it. One JSON object a
file. The standard files w1, w2, w3 must give their known trades, else nothing but an error.
"""

import argparse
import gc
import json
import sys
import time
from pathlib import Path

import numpy as np

from appliance.shm.cache import use_cache

if not any(name.startswith("appliance.hot") for name in sys.modules):
    use_cache()                                             # before the first kernel is imported

from numba import njit  # noqa: E402

from appliance.hot import state  # noqa: E402
from appliance.hot.book import EVENTS_A_COMMAND, apply  # noqa: E402
from appliance.hot.kernel import inlined  # noqa: E402
from appliance.layout.record import EVENT, TRADE  # noqa: E402
from tools import workload  # noqa: E402

KERNEL = apply
BURST = 64
LG_LADDER = 15              # a window of 0..32767 holds every price of the format

# Stem of a standard file's name: its messages and symbols, trades and checksum (workload/README).
STANDARD = {
    "w1": (8_000_000, 1, 952_455, "e8bcaee770631c27"),
    "w2": (8_000_000, 100, 851_713, "a52fd7a109dc7ae6"),
    "w3": (5_000_000, 1, 792_317, "36eef0867456d9c2"),
}

_SEED = np.uint64(0x9E3779B97F4A7C15)
_FACTOR = np.uint64(0xFF51AFD7ED558CCD)
_HALF = np.uint64(32)


class WrongTrades(Exception):
    """A file did not give its known trades, or two rounds differed."""


@inlined
def _mix(checksum, value):
    checksum = (checksum ^ np.uint64(value)) * _FACTOR
    return checksum ^ (checksum >> _HALF)


@njit(cache=True, _nrt=False)
def run(book, commands, burst, events):
    """Applies all commands, `burst` a call of the kernel; (trades, checksum)."""
    trade_cnt, checksum = 0, _SEED
    for start in range(0, commands.shape[0], burst):
        stop = min(start + burst, commands.shape[0])
        event_cnt = KERNEL(book, commands, start, stop, events, 0)
        for i in range(event_cnt):
            event = events[i]
            if np.int64(event["kind"]) == TRADE:
                trade_cnt += 1
                checksum = _mix(checksum, event["resting"])
                checksum = _mix(checksum, event["order"])
                checksum = _mix(checksum, event["price_ticks"])
                checksum = _mix(checksum, event["qty"])
    return trade_cnt, checksum


def make_book(records, lg_ladder=LG_LADDER, far_levels=64):
    """An empty book, its memory touched, for the records' orders and symbols, and its events."""
    handles = int(records["order_id"].max()) + 1
    sizes = state.Sizes(symbols=int(records["symbol"].max()) + 1, accounts=1,
                        pages=handles // 256 + 1, lg_ladder=lg_ladder, far_cap=far_levels // 2,
                        far_levels=far_levels, chunks=1, feed_bytes=1 << 12,
                        feed_messages=1 << 8, journal=1 << 8)
    book = state.build(sizes).book
    for array in (book.orders, book.totals, book.owners, book.levels, book.bits, book.bits2):
        array.fill(0)
    return book, np.zeros(handles + EVENTS_A_COMMAND * BURST, EVENT.dtype)


def measure(path, rounds=3, burst=BURST):
    """Messages, trades, checksum (16 hex digits) and the best of `rounds` rates of one file.

    Raises WrongTrades, workload.WorkloadError, OSError.
    """
    records = workload.read(path)
    commands = workload.to_commands(records)
    book, events = make_book(records[:1])
    run(book, commands[:1], burst, events)                  # compiled or loaded here
    best_s, results = float("inf"), set()
    for _ in range(rounds):
        book, events = make_book(records)
        gc.collect()
        began = time.perf_counter()
        trade_cnt, checksum = run(book, commands, burst, events)
        best_s = min(best_s, time.perf_counter() - began)
        results.add((int(trade_cnt), f"{int(checksum):016x}"))
    judge(path, records, results, int(book.engine[0]["fault"]))
    (trades, checksum), = results
    return {"file": Path(path).name, "messages": len(records), "trades": trades,
            "checksum": checksum, "messages_per_second": round(len(records) / best_s)}


def judge(path, records, results, fault):
    """Raises WrongTrades unless all rounds agree and a standard file gave what it must give."""
    if fault:
        raise WrongTrades(f"{path}: the book refused a command (engine.fault = {fault:#x}); "
                          "make the file again with gen.c")
    if len(results) != 1:
        raise WrongTrades(f"{path}: the rounds differ in trades and checksum: {sorted(results)}")
    messages, symbols, *known = STANDARD.get(Path(path).stem, (0, 0))
    if (messages, symbols) == (len(records), int(records["symbol"].max()) + 1):
        if results != {tuple(known)}:
            raise WrongTrades(f"{path}: trades and checksum {sorted(results)[0]} are not the "
                              f"standard file's {tuple(known)}; either the core is wrong or the "
                              "file was made with another seed: make it again with gen.c")


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(prog="wirematch bench core",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--workload", metavar="FILE", action="append", nargs="+", required=True,
                        help="workload file made by gen.c; may be given several times")
    parser.add_argument("--rounds", type=int, default=3, help="best of how many (default 3)")
    parser.add_argument("--json", action="store_true", help="print only JSON, one object a file")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least one is needed")
    for path in (path for group in options.workload for path in group):
        try:
            result = measure(path, options.rounds)
        except (WrongTrades, workload.WorkloadError, OSError) as error:
            print(f"wirematch bench core: {error}", file=sys.stderr)
            return 1
        if not options.json:
            print(f"{result['file']}: {result['messages_per_second'] / 1e6:.1f} M messages/s on "
                  f"one core, {result['trades']} trades, no port, one thread", file=sys.stderr)
        print(json.dumps(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
