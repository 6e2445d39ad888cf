"""`wirematch faults smoke`: a little of every fault tool, in one table.

    wirematch faults smoke [--seed S] [--only NAME ...] [--json]

Frames at the gate, hostile frames at an appliance, simulated worlds, torn tails, one kill of each
process; and the canary: a simulator with a part broken on purpose, which must be found, or none of
the others is worth anything. Exit codes: 0 all as it must be, 1 not.
"""

import argparse
import json
import sys
import time

from tools.faults.report import FAILED, run

CANARY = "lazy-writer"


def campaigns(seed: int) -> dict[str, tuple[str, list[str]]]:
    """{name in the table: (tool, arguments)}"""
    kills = [word for target in ("matcher", "journal", "recovery", "portd", "launcher")
             for word in (f"--{target}", "1")]
    same = ["--seed", str(seed), "--json"]
    return {
        "gate": ("xfuzz", ["--frames", "200000", *same]),
        "inject": ("inject", ["random", "truncated", "oversized", "udp-checksum", "vlan",
                              "unknown-source", "stolen-token", "--count", "20", *same]),
        "simulate": ("simulate", ["--seeds", "30", "--first", str(seed % 1_000_000), "--json"]),
        "tails": ("tails", ["--count", "400", *same]),
        "killer": ("killer", ["--partitions", "1", *kills, *same]),
        "canary": ("simulate", ["--canary", CANARY, "--seeds", "30", "--json"])}


def main(arguments=None) -> int:
    """The command line; exit code 0 or 1."""
    parser = argparse.ArgumentParser(prog="wirematch faults smoke",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=(), metavar="NAME", help="these rows")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    todo, begun, rows = campaigns(options.seed), time.monotonic(), {}
    if strange := sorted(set(options.only) - set(todo)):
        parser.error(f"--only {' '.join(strange)}: choose from {', '.join(todo)}")
    for name, (tool, words) in todo.items():
        if options.only and name not in options.only:
            continue
        rows[name] = found = run(tool, words, 1)
        if not options.json:
            print(f"{name:<10}{found['verdict']:<10}{found['seconds']:>6.1f} s  "
                  f"{_says(name, found)}", flush=True)
    bad = [name for name, found in rows.items() if found["verdict"] == FAILED]
    seconds = round(time.monotonic() - begun, 1)
    print(json.dumps({"fault": "smoke", "seed": options.seed, "rows": rows, "failed": bad,
                      "seconds": seconds}) if options.json else
          f"{len(rows)} rows, {seconds} s, failed: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def _says(name, found) -> str:
    says = found["says"]
    if not isinstance(says, dict):
        return str(says)
    if name == "canary":
        failed = says.get("failed") or [{"seed": "?", "failures": [["nothing"]]}]
        return (f"{CANARY} broken on purpose: seed {failed[0]['seed']} fails, "
                f"{failed[0]['failures'][0][0]}")
    return ", ".join(f"{key} {says[key]}" for key in ("verdict", "frames", "count", "seeds",
                                                     "commands") if key in says)


if __name__ == "__main__":
    sys.exit(main())
