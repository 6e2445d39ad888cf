"""`wirematch bench scan`: the C price scan against its scalar twin, over the length of the array.

    python -m tools.bench.scan [--rounds N] [--json]

Each round asks for QUERIES random prices, called from a compiled kernel as the book calls the scan;
a query waits for the answer before it. Every answer
is compared with numpy's before a figure is printed. The best of the rounds, in ns a scan; `pays
from` is the shortest length from which the vector scan is quicker at every longer one.
"""

import argparse
import json
import sys
import time

import numpy as np
from numba import njit, types

from appliance.native import SCAN_VARIANTS, external, ffi, lib

LENGTHS = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192,
           20_000)
QUERIES = 20_000
SCALAR = 0

_scan_with = external("wm_scan_with", types.int64, types.int32, types.uintp, types.int64,
                      types.int32)


class WrongScan(Exception):
    """A scan did not give what numpy gives."""


@njit
def _run(variant, prices, queries, found):
    last = np.int64(0)
    for i in range(len(queries)):
        last = _scan_with(variant, prices.ctypes.data, len(prices),
                          np.int32(queries[i] + (last >> 62)))
        found[i] = last


def measure(length, rounds):
    """{variant's name: ns a scan} of every variant this CPU has. Raises WrongScan."""
    generator = np.random.default_rng(length)
    prices = np.cumsum(generator.integers(1, 9, length)).astype(np.int32)
    queries = generator.integers(0, int(prices[-1]) + 2, QUERIES).astype(np.int32)
    right, found = np.searchsorted(prices, queries), np.empty(QUERIES, np.int64)
    best = {}
    for _ in range(rounds):
        for number, name in enumerate(SCAN_VARIANTS):
            if lib.wm_scan_with(number, ffi.NULL, 0, 0) < 0:
                continue
            began = time.perf_counter_ns()
            _run(np.int32(number), prices, queries, found)
            took = (time.perf_counter_ns() - began) / QUERIES
            if not np.array_equal(found, right):
                raise WrongScan(f"{name}, {length} prices: query "
                                f"{int((found != right).argmax())} has a wrong answer")
            best[name] = min(best.get(name, took), took)
    return best


def pays_from(rows, name):
    """The shortest measured length from which `name` is quicker than the scalar twin; None never.

    rows: {length: {variant's name: ns}}.
    """
    first = None
    for length in sorted(rows, reverse=True):
        if rows[length][name] >= rows[length][SCAN_VARIANTS[SCALAR]]:
            break
        first = length
    return first


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(prog="wirematch bench scan",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, help="best of how many (default 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds {options.rounds}: at least one is needed")
    measure(1, 1)                                           # compiled here
    try:
        rows = {length: measure(length, options.rounds) for length in LENGTHS}
    except WrongScan as error:
        print(f"wirematch bench scan: {error}", file=sys.stderr)
        return 1
    chosen = SCAN_VARIANTS[lib.wm_scan_best()]
    first = pays_from(rows, chosen) if chosen != SCAN_VARIANTS[SCALAR] else None
    if options.json:
        print(json.dumps({"chosen": chosen, "pays_from": first, "ns_a_scan": rows}))
        return 0
    names = list(rows[LENGTHS[0]])
    print("prices " + "".join(f"{name:>10}" for name in names) + "   scalar / chosen")
    for length, row in rows.items():
        ratio = row[SCAN_VARIANTS[SCALAR]] / row[chosen]
        print(f"{length:6d} " + "".join(f"{row[name]:10.1f}" for name in names) + f"{ratio:13.1f}")
    print(f"ns a scan, one core, no port; chosen: {chosen}; it pays from {first} prices on")
    return 0


if __name__ == "__main__":
    sys.exit(main())
