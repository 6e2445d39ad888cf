"""`wirematch faults inject`: hostile frames by name, raw, at a running appliance, each counted.

    wirematch faults inject [NAME ...] [--count N] [--seed S] [--json]       all, or those named
    wirematch faults inject --list

An appliance over AF_XDP in a namespace of its own; frames leave another's device as they are. For
each fault N frames are sent, and then every counter is read: exactly the named one must have moved
by N, and no other counter of frames. Names and rows are the catalogue's F rows. Exit codes: 0 every
frame in exactly one counter, the named one; 1 not; 2 no such name; 77 it cannot run here.
"""

import argparse
import json
import random
import sys
import time

from appliance.layout.shared import DISPOSITIONS
from tools import netns
from tools.faults.hostile_place import HostilePlace, Person
from tools.faults.inject_kinds import KINDS, Maker

CANNOT_RUN = 77
PORTION = 40                         # frames between two pauses: a veth's end holds 256
HEARD = "rx_heartbeat"


def one(place, people, kind, count, seed) -> dict:
    """Sends `count` frames of a kind; {"sent", "expected", "moved", "fault"}."""
    maker, calm = Maker(place, people, random.Random(f"{seed}/{kind.name}")), people[0]
    if kind.prepare:
        kind.prepare(maker)
    before, told = place.counted(), 0
    for number in range(count):
        place.send(kind.make(maker, number))
        if number % PORTION == PORTION - 1 or number == count - 1:
            told += calm.settle()
    after = place.counted()
    frames = {name for name, _ in DISPOSITIONS}
    xdp = {name: after["xdp"][name] - before["xdp"][name] for name in after["xdp"]}
    matcher = {name: after["matcher"][name] - before["matcher"][name] for name in frames}
    taken = after["matcher"]["rx_frames"] - before["matcher"]["rx_frames"]
    lost = after["lost"] - before["lost"]
    wanted_xdp, wanted_matcher = maker.wanted(kind, count)
    wanted_xdp["redirected"] = wanted_xdp.get("redirected", 0) + told      # our own heartbeats
    wanted_matcher[HEARD] = wanted_matcher.get(HEARD, 0) + told
    moved = {name: n for name, n in {**xdp, **matcher}.items() if n}
    fault = ""
    if {name: n for name, n in xdp.items() if n} != wanted_xdp:
        fault = f"the program counted {moved}, expected {wanted_xdp}"
    elif lost or taken != sum(matcher.values()) or taken != xdp["redirected"]:
        fault = (f"{xdp['redirected']} frames went to the matcher, it took {taken} and has reasons "
                 f"for {sum(matcher.values())}; the socket dropped {lost}")
    elif {name: n for name, n in matcher.items() if n} != wanted_matcher:
        fault = f"the matcher counted {moved}, expected {wanted_matcher}"
    return {"name": kind.name, "row": kind.row, "sent": count, "expected": kind.counter,
            "moved": moved, "fault": fault}


def run(names=(), count=50, seed=1, note=lambda row: None, place=None) -> dict:
    """The kinds of these names, all without; what was found. place: a running one, else its own.
    RuntimeError when it cannot run here."""
    begun = time.monotonic()
    if place is None:
        with HostilePlace() as own:
            return run(names, count, seed, note, own)
    place.guests = place.guests or [Person(place, 0), Person(place, 1)]
    rows = []
    for kind in KINDS.values():
        if not names or kind.name in names:
            rows.append(one(place, place.guests, kind, count, seed))
            note(rows[-1])
    faults = [f"{row['name']}: {row['fault']}" for row in rows if row["fault"]]
    if int(place.regions["engine"][0]["fault"]) or place.look()["state"] != "running":
        faults.append("the appliance does not run as before")
    return {"fault": "inject", "seed": seed, "count": sum(row["sent"] for row in rows),
            "kinds": rows, "faults": faults, "seconds": round(time.monotonic() - begun, 1),
            "verdict": "faults" if faults else "every frame in its counter"}


def line(row) -> str:
    """A kind's result in words."""
    return (f"{row['row']:<4}{row['name']:<20}{row['sent']:>7} sent, {row['expected']:<22}"
            f"{row['fault'] or 'exact'}")


def main(arguments=None) -> int:
    """The command line; exit code 0, 1, 2 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults inject",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="these kinds (default: all)")
    parser.add_argument("--count", type=int, default=50, help="frames of each kind (default 50)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="the names, and what must count them")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(f"{kind.row:<4}{kind.name:<20}{kind.counter:<22}{kind.text}"
                        for kind in KINDS.values()))
        return 0
    if strange := [name for name in options.names if name not in KINDS]:
        parser.error(f"{' '.join(strange)}: there are {', '.join(KINDS)}")
    if options.count < 1:
        parser.error(f"--count {options.count}: at least 1")
    if why := netns.why_not():
        print(f"wirematch faults inject: {why}", file=sys.stderr)
        return CANNOT_RUN
    try:
        found = run(options.names, options.count, options.seed,
                    (lambda row: None) if options.json else lambda row: print(line(row)))
    except (RuntimeError, OSError) as error:
        print(f"wirematch faults inject: {error}", file=sys.stderr)
        return CANNOT_RUN
    print(json.dumps(found) if options.json else "\n".join([
        f"{found['count']} frames, {found['seconds']} s: {found['verdict']}", *found["faults"]]))
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
