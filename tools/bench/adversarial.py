"""`wirematch bench adversarial`: what a touched order costs in books made to hurt, against w3.

    wirematch bench adversarial [--rounds N] [--messages N] [--json]

Each case of `adversarial_cases` and the workload w3 run through the very kernel of the matcher, 64
commands a call, in this process on one core. An order is touched when a command enters it, takes it
off or trades with it. Cost is CPU time of the best round over orders touched; the ratio is to w3 in
the same run. Trades, their order, and who is left in the book must be what the case says, and w3's
trades the bare ladder's, before a figure is printed. Exit code 1 when they are not.
"""

import argparse
import gc
import json
import os
import sys
import time

import numpy as np

from appliance.shm.cache import cache_root, use_cache

if not any(name.startswith("appliance.hot") for name in sys.modules):
    use_cache()                                             # before the first kernel is imported

from tools import workload  # noqa: E402
from tools.bench import adversarial_cases, core, core_run  # noqa: E402
from tools.workload_maker import MakeError  # noqa: E402

FAILURES = (core_run.WrongTrades, workload.WorkloadError, MakeError, OSError)
WORD = (1 << 64) - 1
LIMIT = 5                                                   # times w3's cost, the aim


def checksum_of(trades) -> int:
    """The workload's checksum of these (resting, incoming, price, quantity)."""
    checksum = int(core_run._SEED)
    for value in np.asarray(trades).reshape(-1).tolist():
        checksum = (checksum ^ value) * int(core_run._FACTOR) & WORD
        checksum ^= checksum >> 32
    return checksum


def judge(case, book, found):
    """Raises WrongTrades unless trades, fault, orders left and both best prices are the case's."""
    expected = len(case.trades), checksum_of(case.trades)
    best = [max((price for side, price in case.live.values() if side == 0), default=-1),
            min((price for side, price in case.live.values() if side == 1), default=2147483647)]
    for what, is_so, must in (
        ("engine.fault", int(book.engine[0]["fault"]), 0),
        ("trades and checksum", (int(found[0]), int(found[1])), expected),
        ("orders left", set(np.nonzero(book.orders["qty"])[0].tolist()), set(case.live)),
        ("live orders", int(book.engine[0]["live_orders"]), len(case.live)),
        ("best prices", book.sides["best_ticks"][:2].tolist(), best),
    ):
        if is_so != must:
            raise core_run.WrongTrades(f"{case.name}: {what}: {str(is_so)[:200]}, not "
                                       f"{str(must)[:200]}; the core is wrong")


def measure(case, rounds) -> dict:
    """Orders touched, trades and CPU nanoseconds a touched order. Raises WrongTrades."""
    best_s = float("inf")
    for _ in range(rounds):
        book, events = adversarial_cases.build(case)
        core_run.run(book, case.before, core_run.BURST, events)
        gc.collect()
        began = time.thread_time()
        found = core_run.run(book, case.judged, core_run.BURST, events)
        best_s = min(best_s, time.thread_time() - began)
        judge(case, book, found)
    return {"case": case.name, "touched": case.touched, "trades": len(case.trades),
            "ns_a_touched_order": round(best_s / case.touched * 1e9, 1)}


def _plain_ns(load, rounds):
    """(what w3 gave, its nanoseconds a touched order)."""
    plain = core_run.measure(load, rounds)
    touched = plain["messages"] + plain["trades"]
    return plain, plain["messages"] / plain["messages_per_cpu_second"] / touched * 1e9


def measure_all(load, rounds) -> dict:
    """w3's cost and each case's, with its ratio to that. Raises WrongTrades.

    A shared machine is slow for minutes, so w3 is timed again after each case, and a case's ratio
    is to the cheaper of the two beside it.
    """
    allowed, rows = os.sched_getaffinity(0), []
    os.sched_setaffinity(0, {max(allowed)})
    try:
        plain, plain_ns = _plain_ns(load, rounds)
        beside = [plain_ns]
        for case in adversarial_cases.cases():
            rows.append(measure(case, rounds))
            beside.append(_plain_ns(load, rounds)[1])
            rows[-1]["w3_ns"] = round(min(beside[-2:]), 1)
            rows[-1]["ratio"] = round(rows[-1]["ns_a_touched_order"] / min(beside[-2:]), 2)
    finally:
        os.sched_setaffinity(0, allowed)
    return {"w3": {"messages": plain["messages"], "trades": plain["trades"],
                   "checksum": plain["checksum"], "ns_a_touched_order": round(plain_ns, 1),
                   "from_ns": round(min(beside), 1), "to_ns": round(max(beside), 1)},
            "cases": rows, "core": max(allowed), "cpu": core.cpu_name()}


def text(result) -> str:
    """The result, for people."""
    plain = result["w3"]
    lines = [f"w3: {plain['messages']:,} messages, {plain['trades']:,} trades, as they must be; "
             f"{plain['ns_a_touched_order']} ns a touched order, {plain['from_ns']} to "
             f"{plain['to_ns']} between the cases",
             f"  {'ns':>7} {'to w3':>6} {'touched':>8}   case, results as they must be"]
    for row in result["cases"]:
        over = f"   over {LIMIT}" if row["ratio"] > LIMIT else ""
        lines.append(f"  {row['ns_a_touched_order']:>7} {row['ratio']:>6} {row['touched']:>8,}   "
                     f"{row['case']}{over}")
    lines.append(f"  CPU time, one thread on core {result['core']}, no port; {result['cpu']}")
    return "\n".join(lines)


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(prog="wirematch bench adversarial",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--folder", default=cache_root() / "workload",
                        help="where w3 lies and is made (default %(default)s)")
    parser.add_argument("--messages", type=int, help="only the first so many of w3")
    parser.add_argument("--rounds", type=int, default=5, help="best of how many (default 5)")
    parser.add_argument("--json", action="store_true", help="print only JSON")
    options = parser.parse_args(arguments)
    for name, value in (("--rounds", options.rounds), ("--messages", options.messages)):
        if value is not None and value < 1:
            parser.error(f"{name} {value}: at least one is needed")
    try:
        load = core_run.load(core.find("w3", options.folder), options.messages)
        result = measure_all(load, options.rounds)
    except FAILURES as error:
        print(f"wirematch bench adversarial: {error}", file=sys.stderr)
        return 1
    print(json.dumps(result) if options.json else text(result), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
