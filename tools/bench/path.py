"""What a partition does with a flood of orders, beside the barest AF_XDP receiver.

    wirematch bench path [--orders N] [--rounds N] [--payload BYTES] [--picture FILE] [--json]

One veth pair, one generator (the kernel's live frames made into valid orders, each pair of which
trades). In turn: a C loop that only takes frames, behind a one-line redirect (`ceiling`) and behind
the appliance's program; the appliance with mode = "null", which sends nothing (`measured`); the
appliance with acknowledgements and both feeds, into a peer that drops and into joined subscribers;
and the burst loop on frames in memory. Rates run until the last answer has left.

Before a figure is printed, every frame offered is accounted for: taken, or in one of the kernel's
or the port's drop counters; every order taken: accepted or rejected. It needs root.
"""

import argparse
import json
import os
import statistics
import sys
import time

from appliance.config.model import PAYLOAD_MIN
from appliance.layout.wire_session import MOLD_PAYLOAD_MAX
from tools.bench import path_null, path_place
from tools.bench.path_place import PACK, Bare, Ground, Joined, Server, offered_and_done
from tools.bench.tracer import over_the_neighbours
from tools.netns import why_not

MOST_PAYLOAD = 3470                  # MTU 3498
BELOW = 0.7                          # of what was taken at full speed: nothing may be lost there
STEPS = (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)      # of capacity, for the picture
PACED_ORDERS = (2e6, 3e6, 4e6, 6e6, 8e6)     # a second, packed: the best rate done counts


def accounted(ground, server, frames: int, gap_ns: int = 0) -> dict:
    """An offer of single orders with every frame accounted for; RuntimeError where one is not.

    {"offered", "answered" (rates), "sent", "accepted", "rejected", "dropped"}
    """
    names = ("orders", "rejects")
    before = {name: server.count(name) for name in names}
    time.sleep(path_place.STATUS_S)
    drops, veth = sum(server.drops().values()), ground.lost_on_veth()
    kernel = ground.dropped_at_redirect()
    row = offered_and_done(ground, server, frames, gap_ns)
    time.sleep(path_place.STATUS_S)
    at_socket = sum(server.drops().values()) - drops
    at_redirect = ground.dropped_at_redirect() - kernel
    accepted, rejected = (server.count(name) - before[name] for name in names)
    dropped = at_socket + ground.lost_on_veth() - veth
    if accepted + rejected + dropped != frames or at_redirect != at_socket:
        raise RuntimeError(
            f"{frames} orders sent, {accepted} accepted, {rejected} rejected, {dropped} in drop "
            f"counters (sockets {at_socket}, the interface says {at_redirect}): "
            f"{frames - accepted - rejected - dropped} are nowhere")
    return {"offered": frames / row["offer_s"], "answered": row["done"] / row["all_s"],
            "sent": frames, "accepted": accepted, "rejected": rejected, "dropped": dropped}


def rate(row: dict) -> float:
    """Done a second, until all was said."""
    return row["done"] / row["all_s"]


def best_packed(ground, server, orders: int, note, what: str) -> float:
    """The most orders a second done of packed frames, over several rates of offering."""
    best, frames = 0.0, max(1, orders // PACK)
    for offered in PACED_ORDERS:
        row = offered_and_done(ground, server, frames, int(PACK * 1e9 / offered), packed=True)
        note(f"{what}: offered {row['orders'] / row['offer_s'] / 1e6:.2f} M orders/s, "
             f"{rate(row) / 1e6:.2f} done, {row['orders'] - row['done']} lost")
        best = max(best, rate(row))
    return best


def bare_rates(ground, options, note) -> dict:
    """Frames a second that the C receiver takes: behind a redirect, behind our program."""
    found = {}
    for name, steered in (("redirect", False), ("steer", True)):
        with Bare(ground, steered=steered) as end:
            ground.offer(options.orders // 10)
            rows = [offered_and_done(ground, end, options.orders) for _ in range(options.rounds)]
            found[name] = statistics.median(map(rate, rows))
        note(f"bare receiver behind {name}: {found[name] / 1e6:.2f} M/s")
    return found


def taken(ground, server, options, note, what) -> float:
    """Single orders a second, the median of full-speed rounds."""
    ground.offer(options.orders // 10)
    time.sleep(path_place.SETTLE_S)
    found = statistics.median(rate(offered_and_done(ground, server, options.orders))
                              for _ in range(options.rounds))
    note(f"{what}: {found / 1e6:.2f} M orders/s, one a frame")
    return found


def measure(options, note) -> dict:
    """The report that --json prints."""
    with Ground(options.chunks, options.payload) as ground:
        bare = [bare_rates(ground, options, note)]
        with Server(ground, "null") as server:
            measured = taken(ground, server, options, note, "no output")
            below = accounted(ground, server, options.orders, int(1e9 / (BELOW * measured)))
            packed_in = best_packed(ground, server, options.orders, note, "no output, packed")
            facts = server.facts() | {"wait": server.wait()}
            server.verdict()
        with Server(ground, "native") as server:
            single = taken(ground, server, options, note, "with output")
            below_out = accounted(ground, server, options.orders, int(1e9 / (BELOW * single)))
            overload = accounted(ground, server, options.orders)
            packed_drop = best_packed(ground, server, options.orders, note, "peer drops")
            sweep = [accounted(ground, server, max(1000, options.orders // 4),
                               int(1e9 / (step * single))) for step in options.steps]
            server.verdict()
        with Server(ground, "native") as server:
            part = server.table.partitions[0]
            ground.peer_does("pass")
            with Joined(ground, (part.group_a, part.group_b), part.feed_port) as joined:
                packed_joined = best_packed(ground, server, options.orders, note, "joined")
                heard, sent = joined.packets(), server.count("feed_packets")
            ground.peer_does("drop")
            server.verdict()
        bare.append(bare_rates(ground, options, note))
        ceiling = {name: statistics.mean(each[name] for each in bare) for name in bare[0]}
        null = {name: path_null.measure(frame, options.orders)
                for name, frame in (("single", ground.single), ("packed", ground.bundle))}
    if min(heard) == 0:
        raise RuntimeError(f"subscribers heard {heard} of {sent} feed packets")
    return {
        "ceiling": ceiling["redirect"], "measured": measured,
        "ratio": measured / ceiling["redirect"],
        "lost": below["dropped"] + below_out["dropped"],
        "mode": facts["rung"], "wait": facts["wait"], "cores": facts["cores"],
        "ratio_with_output": single / ceiling["redirect"],
        "ceiling_behind_our_program": ceiling["steer"],
        "ratio_behind_our_program": measured / ceiling["steer"],
        "ratio_null_port": null["single"]["rate"] / ceiling["redirect"],
        "orders_per_second": {
            "single": single, "packed_drop": packed_drop, "packed_joined": packed_joined,
            "null_port": null["packed"]["rate"], "null_port_single": null["single"]["rate"],
            "packed_no_output": packed_in},
        "inside_ns_null_port": null["single"]["inside_ns"],
        "below_saturation": [below, below_out], "overload": overload, "sweep": sweep,
        "joined": {"heard": heard, "sent": sent}, "orders": options.orders,
        "rounds": options.rounds, "pack": PACK, "payload": options.payload,
        "load_average": os.getloadavg()[0]}


def show(report: dict) -> None:
    """The report for people."""
    million = {name: value / 1e6 for name, value in report["orders_per_second"].items()}
    print(f"rung {report['mode']}, {report['cores']}; {report['rounds']} rounds of "
          f"{report['orders']:,} orders, load {report['load_average']:.1f}")
    print(f"  bare C receiver      {report['ceiling'] / 1e6:6.2f} M frames/s behind a redirect, "
          f"{report['ceiling_behind_our_program'] / 1e6:.2f} behind our program")
    print(f"  one order a frame    {report['measured'] / 1e6:6.2f} M orders/s without output: "
          f"{report['ratio']:.0%} and {report['ratio_behind_our_program']:.0%} of these")
    print(f"                       {million['single']:6.2f} with acknowledgements and both feeds: "
          f"{report['ratio_with_output']:.0%}")
    print(f"  {report['pack']} orders a frame    {million['packed_no_output']:6.2f} no output, "
          f"{million['packed_drop']:.2f} into a peer that drops, {million['packed_joined']:.2f} "
          "into joined subscribers")
    print(f"  frames in memory     {million['null_port']:6.2f} packed, "
          f"{million['null_port_single']:.2f} one a frame "
          f"({report['ratio_null_port']:.0%} of the bare receiver)")
    print(f"  lost at {BELOW:.0%} of these  {report['lost']}")
    over = report["overload"]
    print(f"  overload             {over['sent']} sent = {over['accepted']} accepted + "
          f"{over['rejected']} rejected + {over['dropped']} in drop counters")


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench path", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=500_000, help="offered a round")
    parser.add_argument("--rounds", type=int, default=3, help="medians over this many rounds")
    parser.add_argument("--payload", type=int, default=MOLD_PAYLOAD_MAX, metavar="BYTES",
                        help="interface.payload, with links that carry it")
    parser.add_argument("--picture", metavar="FILE", help="answered against offered, as PNG")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if options.orders < 1000 or options.rounds < 1:
        parser.error("--orders: at least 1,000; --rounds: at least 1")
    if not PAYLOAD_MIN <= options.payload <= MOST_PAYLOAD:
        parser.error(f"--payload: {PAYLOAD_MIN} to {MOST_PAYLOAD}, as much as a veth with a native "
                     "program takes")
    if (reason := why_not()):
        print(f"bench path: {reason}", file=sys.stderr)
        return 77
    options.steps = STEPS if options.picture else ()
    runs = options.rounds + 4 + len(PACED_ORDERS) + len(options.steps) / 4
    options.chunks = 64 + int(runs * options.orders * 130 / 65536)

    def note(text):
        if not options.as_json:
            print(f"  {text}", file=sys.stderr, flush=True)

    try:
        with over_the_neighbours(-20):
            report = measure(options, note)
        if options.picture:
            from tools.bench import path_picture
            path_picture.answered(report["sweep"], report["cores"], options.picture)
    except (RuntimeError, OSError, ValueError, ImportError) as error:
        print(f"bench path: {error}", file=sys.stderr)
        return 1
    if options.as_json:
        print(json.dumps(report))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
