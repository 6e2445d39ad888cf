"""`wirematch faults simulate`: the whole appliance in one process, one run a seed.

    wirematch faults simulate [--seeds N] [--first S] [--json]      500 seeds; --long: 100,000
    wirematch faults simulate --seed S [--trace]                    one run, step by step
    wirematch faults simulate --smoke                               40 seeds, two of them twice
    wirematch faults simulate --canary NAME [--seeds N]             must be found: a broken part
    wirematch faults simulate --list                                the canaries

A run is made of its seed alone, so a seed is a whole bug report: the same seed gives the same
digest, with every datagram and every write of the disk in it. What is real and what is not, and
what must hold, is said in tools/faults/sim/world.py and ledger.py.
Exit codes: 0 all held (with --canary: it was found), 1 something did not, 2 wrong use.
"""

import argparse
import gc
import json
import sys
import time

from appliance.shm import cache

SMOKE, TWICE = 40, 2
LONG = 100_000
SWEEP = 16                # worlds between two collections: a world refers to itself


def _arguments(arguments):
    parser = argparse.ArgumentParser(prog="wirematch faults simulate",
                                     description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=500, help="how many runs")
    parser.add_argument("--first", type=int, default=0, help="the first one's seed")
    parser.add_argument("--seed", type=int, help="only this run")
    parser.add_argument("--trace", action="store_true", help="with --seed: every step")
    parser.add_argument("--smoke", action="store_true", help="a short form, a few runs twice")
    parser.add_argument("--long", action="store_true", help=f"{LONG:,} runs")
    parser.add_argument("--canary", metavar="NAME", help="break this on purpose; it must be found")
    parser.add_argument("--list", action="store_true", help="the names of canaries")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


class Totals:
    """What many runs come to."""

    def __init__(self, first):
        self.content = {"first": first, "seeds": 0, "seconds": 0.0, "failed": [], "points": {},
                        "repeated": 0}
        self.begun = time.monotonic()

    def add(self, result) -> None:
        """One run."""
        content = self.content
        content["seeds"] += 1
        for name, value in result.counts.items():
            content[name] = content.get(name, 0) + value
        for name, value in result.points.items():
            content["points"][name] = content["points"].get(name, 0) + value
        if result.failures:
            content["failed"].append({"seed": result.seed, "digest": result.digest, "failures": [
                list(each) for each in result.failures]})
        content["seconds"] = round(time.monotonic() - self.begun, 2)

    def text(self) -> str:
        """In words."""
        content = self.content
        lines = [f"seed {each['seed']}: {invariant}: {found}"
                 for each in content["failed"] for invariant, found in each["failures"]]
        return "\n".join([*lines, f"{content['seeds']} seeds from {content['first']} in "
                          f"{content['seconds']:.1f} s: {content.get('commands', 0):,} commands, "
                          f"{content.get('shown', 0):,} messages shown, "
                          f"{content.get('starts', 0):,} starts, "
                          f"{len(content['failed'])} with a violated invariant"])


def _run(options, names):
    from tools.faults.sim.world import simulate
    if options.canary is not None and options.canary not in names:
        print(f"--canary {options.canary}: there are {', '.join(names)}", file=sys.stderr)
        return 2
    count, first = options.seeds, options.first
    if options.seed is not None:
        count, first = 1, options.seed
    elif options.smoke:
        count = SMOKE
    elif options.long:
        count = LONG
    totals, trace = Totals(first), print if options.trace and options.seed is not None else None
    for seed in range(first, first + count):
        result = simulate(seed, options.canary or "", trace)
        if seed - first < (TWICE if options.smoke else 0):
            totals.content["repeated"] += 1
            if simulate(seed).digest != result.digest:
                result.failures.append(("digest", "a second run of the seed was another"))
        totals.add(result)
        if (seed - first) % SWEEP == SWEEP - 1:
            gc.collect()
        if options.canary and result.failures:
            break
    if count == 1:
        totals.content["digest"] = result.digest
    failed = bool(totals.content["failed"])
    print(json.dumps(totals.content) if options.json else totals.text())
    if count == 1 and not options.json:
        print(f"digest {result.digest}")
    return int(failed == (options.canary is None))


def main(arguments=None) -> int:
    """See above."""
    options = _arguments(sys.argv[1:] if arguments is None else arguments)
    cache.use_cache()
    from tools.faults.sim.canary import NAMES
    if options.list:
        print("\n".join(f"{name:18} {text}" for name, text in NAMES.items()))
        return 0
    return _run(options, NAMES)


if __name__ == "__main__":
    sys.exit(main())
