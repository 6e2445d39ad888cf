"""Order to acknowledgement, open loop, beside the barest AF_XDP echo.

    wirematch bench latency [--seconds S] [--rate N] [--rounds N] [--picture FILE] [--json]

A spinning sender on an AF_XDP socket at the peer's end sends an order when it is due, whether or
not earlier ones are answered, and counts each answer from when its order was due (no coordinated
omission). The floor is the same sender against an echo in C behind a one-line redirect, measured
before and after the appliance. `inside` is the matcher's own histogram at the same rate, from the
return of the receive that brought a frame until all its answers are queued (an appliance with
mode = "null", which builds and queues every frame); `inside_and_sent` is the same with the transmit
system calls, which in copy mode carry each frame to the peer themselves.

The second table does so at shares of the capacity: the highest rate of a ladder that is answered
without a growing queue, the sender's own included. Every order sent must have been answered, or be
in a drop counter. It needs root.
"""

import argparse
import json
import math
import os
import sys

from appliance.hot.counters import quantile
from appliance.layout import shared
from tools.bench.open_loop import PERCENTILES, OpenLoop, Outcome, together
from tools.bench.path_place import Bare, Ground, Server
from tools.bench.tracer import over_the_neighbours
from tools.netns import why_not

SHARES = (0.1, 0.5, 0.8)
LADDER = (50e3, 100e3, 150e3, 200e3, 300e3, 400e3, 500e3, 600e3, 800e3, 1e6, 1.5e6)   # a second
KEPT_UP_US = 500                          # a median beyond that: a queue that grows
STEPS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0)
WARM, STEP_S, MOST = 2000, 0.25, 100_000  # orders; length and orders of a step


class Traffic:
    """Numbers orders on; `run` has every order of a step accounted for."""

    def __init__(self, loop, server=None):
        self.loop, self.server, self.next = loop, server, 1
        self.token = server.token if server else "T" * 10

    def run(self, rate: float, count: int) -> tuple[Outcome, dict]:
        """(outcome, {"sent", "accepted", "rejected", "dropped"}); RuntimeError where an order is
        neither answered nor dropped by a counter of the kernel."""
        server = self.server
        count += count & 1                               # each pair trades
        if server is None:
            outcome = self.loop.send(rate, count, self.token, self.next, True)
            self.next += count
            return outcome, {}
        names = ("orders", "rejects")
        before = [server.count(name) for name in names]
        drops, veth = server.drops_now(), server.field.lost_on_veth()
        outcome = self.loop.send(rate, count, self.token, self.next, False)
        self.next += count
        accepted, rejected = (server.count(name) - was
                              for name, was in zip(names, before, strict=True))
        dropped = server.drops_now() - drops + server.field.lost_on_veth() - veth
        if outcome.sent != accepted + rejected + dropped:
            raise RuntimeError(f"{outcome.sent} orders sent at {rate:.0f} a second, {accepted} "
                               f"accepted, {rejected} rejected, {dropped} in drop counters")
        return outcome, {"sent": outcome.sent, "accepted": accepted, "rejected": rejected,
                         "dropped": dropped, "answers_not_heard":
                         accepted + rejected - outcome.accepted - outcome.rejected}


class Answering(Server):
    """A Server that tells its session's token and its drops without waiting for portd."""

    def _login(self):
        super()._login()
        self.token = f"FL00{self.field.logins:06d}"

    def drops_now(self) -> int:
        """Frames dropped between the XDP program and the socket, by the interface."""
        return self.field.dropped_at_redirect()


def floor(ground, loop, options, note) -> Outcome:
    """The echo's round trips."""
    with Bare(ground, echo=True):
        traffic = Traffic(loop)
        traffic.run(options.rate, min(WARM, options.count))
        outcome, _ = traffic.run(options.rate, options.count)
    note(f"bare echo: {outcome.percentiles()}")
    return outcome


def inside_of(server, before) -> dict[str, int]:
    """Percentiles of the matcher's histogram since `before`, nanoseconds."""
    histogram = server.inside() - before
    return {name: quantile(histogram, share / 100) for name, share in PERCENTILES.items()}


def inside_queued(ground, loop, options) -> dict[str, int]:
    """inside_of an appliance that queues its answers and drops them there."""
    with Answering(ground, "null") as server:
        traffic = Traffic(loop, server)
        traffic.run(options.rate, min(WARM, options.count))
        before = server.inside()
        traffic.run(options.rate, options.count)
        found = inside_of(server, before)
        server.verdict()
    return found


def without_infinity(value):
    """The same report for JSON: null where unanswered orders leave a percentile without end."""
    if isinstance(value, dict):
        return {key: without_infinity(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_infinity(each) for each in value]
    return None if isinstance(value, float) and math.isinf(value) else value


def step(traffic, rate: float, seconds: float) -> dict:
    """A row of the second table."""
    before = traffic.server.inside()
    outcome, accounts = traffic.run(rate, int(min(MOST, max(100, rate * seconds))))
    return {"offered": rate, "answered": (outcome.accepted + outcome.rejected)
            / outcome.seconds if outcome.seconds else 0.0, "ack_us": outcome.percentiles(),
            "inside_and_sent_ns": inside_of(traffic.server, before)} | accounts


def climb(traffic) -> tuple[list, float]:
    """(rows, capacity): up the ladder until two rates in a row are too much."""
    rows, capacity, failed = [], 0.0, 0
    for rate in LADDER:
        rows.append(step(traffic, rate, STEP_S))
        if rows[-1]["ack_us"]["p50"] <= KEPT_UP_US:
            capacity, failed = rate, 0
        elif (failed := failed + 1) == 2:
            break
    return rows, capacity or LADDER[0]


def measure(options, note) -> tuple[dict, dict]:
    """(the report that --json prints, {"floor": microseconds, "ack": microseconds})."""
    with Ground(options.chunks) as ground, OpenLoop(ground) as loop:
        floors = [floor(ground, loop, options, note)]
        queued = inside_queued(ground, loop, options)
        with Answering(ground, "native") as server:
            traffic = Traffic(loop, server)
            traffic.run(options.rate, min(WARM, options.count))
            acks, accounts, before = [], [], server.inside()
            for _ in range(options.rounds):
                outcome, account = traffic.run(options.rate, options.count)
                acks.append(outcome)
                accounts.append(account)
                note(f"appliance: {outcome.percentiles()}")
            sent = inside_of(server, before)
            climbed, capacity = climb(traffic)
            note(f"capacity {capacity:.0f} orders/s")
            table = [step(traffic, capacity * share, options.seconds) | {"share": share}
                     for share in SHARES]
            sweep = [step(traffic, capacity * each, STEP_S) for each in options.steps]
            facts = server.facts() | {"wait": server.wait()}
            server.verdict()
        floors.append(floor(ground, loop, options, note))
    echo, ack = together(floors), together(acks)
    if echo.unanswered:
        raise RuntimeError(f"the echo left {echo.unanswered} of {echo.sent} frames unanswered")
    floor_us, ack_us = echo.percentiles(), ack.percentiles()
    report = {
        "ceiling": floor_us["p50"], "measured": ack_us["p50"],
        "ratio": ack_us["p50"] / floor_us["p50"],
        "lost": ack.unanswered, "accounts": accounts,
        "mode": facts["rung"], "wait": facts["wait"], "cores": facts["cores"],
        "floor_us": floor_us, "ack_us": ack_us,
        "added_us": {name: ack_us[name] - floor_us[name] for name in PERCENTILES},
        "inside_ns": queued, "inside_and_sent_ns": sent, "rate": options.rate, "orders": ack.sent,
        "capacity": capacity,
        "table": table, "climb": climbed, "sweep": sweep,
        "load_average": os.getloadavg()[0]}
    return report, {"floor": echo.us, "ack": ack.us}


def _cells(values, form) -> str:
    return " / ".join(format(values[name], form) for name in PERCENTILES)


def show(report: dict) -> None:
    """The report for people."""
    print(f"rung {report['mode']}, {report['cores']}; {report['orders']:,} orders at "
          f"{report['rate']:,.0f} a second, load {report['load_average']:.1f}; p50 / p99 / p99.9")
    print(f"  bare echo, C      {_cells(report['floor_us'], '.2f')} us")
    print(f"  acknowledgement   {_cells(report['ack_us'], '.2f')} us")
    print(f"  added             {_cells(report['added_us'], '+.2f')} us")
    print(f"  inside            {_cells(report['inside_ns'], 'd')} ns until queued, "
          f"{_cells(report['inside_and_sent_ns'], 'd')} with the system calls that send")
    print(f"  lost              {report['lost']}")
    print(f"  capacity of this sender and the appliance: {report['capacity']:,.0f} orders/s")
    for row in report["table"]:
        print(f"  {row['share']:>4.0%} {row['offered']:>10,.0f}/s  ack "
              f"{_cells(row['ack_us'], '.1f')} us  inside "
              f"{_cells(row['inside_and_sent_ns'], 'd')} ns  dropped {row['dropped']}")


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench latency", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round")
    parser.add_argument("--rate", type=float, default=2000.0, help="orders a second (2,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of the appliance, taken together")
    parser.add_argument("--picture", metavar="FILE", help="distribution and answered rate, as PNG")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if options.seconds <= 0 or not 1 <= options.rate <= 1e6 or options.rounds < 1:
        parser.error("--seconds: more than 0; --rate: 1 to 1,000,000; --rounds: at least 1")
    if (reason := why_not()):
        print(f"bench latency: {reason}", file=sys.stderr)
        return 77
    options.count = int(options.seconds * options.rate)
    options.steps = STEPS if options.picture else ()
    most = MOST * (len(LADDER) + len(SHARES) + len(options.steps))
    options.chunks = 64 + (most + WARM + options.count * options.rounds) * 130 // shared.CHUNK_SZ

    def note(text):
        if not options.as_json:
            print(f"  {text}", file=sys.stderr, flush=True)

    try:
        with over_the_neighbours(-20):
            report, times = measure(options, note)
        if options.picture:
            from tools.bench import path_picture
            path_picture.latency(report, times, options.picture)
    except (RuntimeError, OSError, ValueError, ImportError) as error:
        print(f"bench latency: {error}", file=sys.stderr)
        return 1
    if options.as_json:
        print(json.dumps(without_infinity(report)))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
