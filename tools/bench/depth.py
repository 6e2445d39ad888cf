"""`wirematch bench depth`: what publishing a symbol's depth costs the matcher, ns a publication.

    python -m tools.bench.depth --workload FILE [--messages N] [--rounds N] [--json]

Plays the file's first messages into a book, then publishes its symbols one after the other, over
and over. Before a figure is printed every row is compared with the queues of the book, walked in
plain Python. The best of the rounds, in CPU time; `orders` is how many orders a row's quantities
were added up from, on the average.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from numba import njit

from tools import workload
from tools.bench import core  # first: it chooses where kernels are cached
from tools.bench import core_run

from appliance.hot.depth import publish_symbol  # noqa: E402
from appliance.hot.depth_state import HEAD_WORDS, LEVEL_WORDS, row_words  # noqa: E402
from appliance.layout.shared import DEPTH, DEPTH_LEVEL  # noqa: E402

LEVELS = (1, 5, 10, 20)


class WrongDepth(Exception):
    """A published row is not what stands in the book."""


@njit
def _publish_all(book, depth, levels, times):
    for _ in range(times):
        for symbol in range(book.symbols.size):
            publish_symbol(book, depth, symbol, levels, 1, 1)


def _side(book, owner, levels):
    """[(price, orders, qty)] of a side's best levels by the ladder's heads, best first."""
    size = 1 << int(book.engine[0]["lg_ladder"])
    heads = book.levels[owner * size:(owner + 1) * size]["head"]
    places = np.flatnonzero(heads)
    found = []
    for place in (places[:levels] if owner & 1 else places[::-1][:levels]):
        order, qty, order_cnt = int(heads[place]), 0, 0
        while order:
            qty += int(book.orders[order]["qty"])
            order_cnt += 1
            order = int(book.orders[order]["next"])
        found.append((int(place), order_cnt, qty))
    return found


def _check(book, depth, levels):
    """Raises WrongDepth; how many orders all rows add up."""
    orders = 0
    for symbol, words in enumerate(depth.reshape(book.symbols.size, -1)):
        head = words[:HEAD_WORDS].view(DEPTH.dtype)[0]
        rows = words[HEAD_WORDS:][:2 * levels * LEVEL_WORDS].view(DEPTH_LEVEL.dtype)
        for side, count in enumerate((head["bid_cnt"], head["ask_cnt"])):
            said = [tuple(map(int, row)) for row in rows[side * levels:][:int(count)]]
            right = _side(book, symbol * 2 + side, levels)
            if said != right:
                raise WrongDepth(f"symbol {symbol}, side {side}: published {said}, in the book "
                                 f"{right}")
            orders += sum(row[1] for row in right)
    return orders


def measure(path, messages, rounds):
    """A row of figures for each of LEVELS. Raises WrongDepth, WorkloadError, OSError."""
    records = workload.read(path, messages)
    book, events = core_run.make_book(records)
    core_run.run(book, workload.to_commands(records), core_run.BURST, events)
    symbols, rows = book.symbols.size, []
    times = max(1, 100 // symbols)            # short rounds: the best of them was not interrupted
    for levels in LEVELS:
        depth = np.zeros(symbols * row_words(levels), np.uint64)
        _publish_all(book, depth, levels, 1)
        orders, best = _check(book, depth, levels), float("inf")
        for _ in range(rounds):
            began = time.thread_time_ns()
            _publish_all(book, depth, levels, times)
            best = min(best, (time.thread_time_ns() - began) / (times * symbols))
        rows.append({"file": Path(path).name, "symbols": symbols, "levels": levels,
                     "orders": round(orders / symbols, 1), "ns_a_publication": round(best, 1)})
    return rows


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(prog="wirematch bench depth",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--workload", metavar="FILE", action="append", required=True,
                        help="workload file made by gen.c; may be given several times")
    parser.add_argument("--messages", type=int, default=500_000, help="of a file (500,000)")
    parser.add_argument("--rounds", type=int, default=200, help="best of how many (default 200)")
    parser.add_argument("--json", action="store_true", help="print only JSON, one object a row")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.messages < 1:
        parser.error("--rounds and --messages: at least 1")
    for path in options.workload:
        try:
            rows = measure(path, options.messages, options.rounds)
        except (WrongDepth, workload.WorkloadError, OSError) as error:
            print(f"wirematch bench depth: {error}", file=sys.stderr)
            return 1
        for row in rows:
            print(json.dumps(row) if options.json else
                  f"{row['file']}: {row['symbols']} symbols, {row['levels']} levels a side, "
                  f"{row['orders']} orders: {row['ns_a_publication']} ns a publication, one core, "
                  "no port")
    return 0


if __name__ == "__main__":
    sys.exit(main())
