"""Several matchers under a flood of valid orders, beside bare receivers on the same ports.

    wirematch bench partitions [--partitions 4] [--orders N] [--rounds N] [--json]

The kernel's live frames offer one valid order a packet, in turn to every partition, as fast as they
go (bpf/flood.bpf.c). The appliance runs with mode = "null": it receives, checks, matches and writes
its logs, and sends nothing. The bare receivers are processes that ask the same portd for the same
ports and do nothing but take frames and give them back. Rounds of both stand next to each other;
then the appliance gets a share of its rate at which nothing may be lost. It needs root.

Orders are counted by the matchers (`messages`, `trades`): a figure is printed only when every
applied order was accepted and each pair of them traded.
"""

import argparse
import json
import statistics
import sys
import time

from tools.bench import partitions_ends as ends
from tools.netns import why_not

LOSSLESS_SHARES = (0.3, 0.5, 0.7)
SETTLE_S = 0.3


def saturate(field, end, count: int) -> dict:
    """Offers `count` orders at full speed: rates a second, and each partition's share."""
    before = end.received()
    seconds = field.flood(count)
    time.sleep(SETTLE_S)
    got = [now - then for now, then in zip(end.received(), before, strict=True)]
    return {"offered": count / seconds, "received": sum(got) / seconds,
            "spread": min(got) / max(got) if max(got) else 0.0}


def pace(field, end, count: int, rate: float) -> dict:
    """Offers `count` orders evenly at `rate` a second: how many of them never arrived."""
    before = sum(end.received())
    seconds = field.flood(count, int(1e9 / rate))
    time.sleep(SETTLE_S)
    return {"rate": count / seconds, "lost": count - (sum(end.received()) - before)}


def measure(options, note) -> dict:
    """Both ends in turn; the report that --json prints."""
    rounds = {"bare": [], "matchers": []}
    with ends.Field(options.partitions) as field:
        for number in range(options.rounds):
            for name, kind in (("bare", ends.BareEnds), ("matchers", ends.Appliance)):
                with kind(field) as end:
                    field.flood(options.orders // 4)                   # warm
                    time.sleep(SETTLE_S)
                    rounds[name].append(saturate(field, end, options.orders))
                    note(f"round {number + 1}, {name}: {rounds[name][-1]}")
                    if name == "matchers" and number == options.rounds - 1:
                        facts, rate = end.facts(), rounds[name][-1]["received"]
                        paced = [pace(field, end, options.orders // 2, rate * share)
                                 for share in LOSSLESS_SHARES]
                        verdict = end.verdict()
    table = {name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
             for name, rows in rounds.items()}
    ratio = table["matchers"]["received"] / table["bare"]["received"]
    return {**facts, "partitions": options.partitions, "rounds": options.rounds, **table,
            "matchers_to_bare": ratio, "paced": paced, "verdict": verdict}


def show(report: dict) -> None:
    """The report for people."""
    print(f"{report['partitions']} partitions, {report['layout']}, rung {report['rung']}, output "
          f"null; {report['cores']}; medians of {report['rounds']}")
    for name in ("bare", "matchers"):
        row = report[name]
        print(f"  {name:<10} offered {row['offered'] / 1e6:.2f} M/s, received "
              f"{row['received'] / 1e6:.2f} M/s, least to most {row['spread']:.3f}")
    print(f"  matchers took {report['matchers_to_bare']:.1%} of what the bare receivers took")
    for row in report["paced"]:
        print(f"  at {row['rate'] / 1e6:.2f} M/s: {row['lost']} lost")
    print(f"  {report['verdict']}")


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench partitions", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--orders", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if (reason := why_not()):
        print(f"bench partitions: {reason}", file=sys.stderr)
        return 77

    def note(text):
        print(text, file=sys.stderr, flush=True)

    try:
        report = measure(options, note)
    except (RuntimeError, OSError, ValueError) as error:
        print(f"bench partitions: {error}", file=sys.stderr)
        return 1
    if options.as_json:
        print(json.dumps(report))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
