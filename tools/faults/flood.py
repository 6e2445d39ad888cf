"""`wirematch faults flood`: hostile frames at full rate beside honest participants.

    wirematch faults flood [--frames N] [--gap NS] [--json]       3,000,000, one a microsecond

An appliance over AF_XDP in a namespace of its own. The kernel's generator sends frames of an
unknown source out of the market's device as fast as it can; an account of an address of its own
sends far over its limit; two honest accounts go on trading. What must hold: no honest order is
lost; the gate has counted every hostile frame that came to it, under one name; nothing is asked of
the wild account's address while it is dropped. The rate is told, not judged. Exit codes: 0 all
held, 1 not, 77 it cannot run here.
"""

import argparse
import json
import sys
import time

from appliance.client.orders import OrderSession
from appliance.layout.datagram import build_mold
from tools import netns
from tools.faults.hostile_place import PATIENCE_S, HostilePlace, Person, generated
from tools.faults.killer_place import PRICE, TICK, symbol_of

CANNOT_RUN = 77
WILD, WILD_IP, ROUNDS = 2, "10.77.0.3", 300
RATE, BURST = 4000, 400                    # of a source; the two good accounts send 1,000 at most
FRAMES, GAP_NS = 3_000_000, 1000
PACKET_MESSAGES, PACKETS = 20, 40          # of the wild account, every 2 ms at most
QUIET_MS = 9                               # the guard counts as dropping for at least so long
ORDERS = {"flood_rate": RATE, "flood_burst": BURST, "gap_hold_us": 500_000}


def place() -> HostilePlace:
    """The appliance of a flood."""
    return HostilePlace(ORDERS, WILD_IP)


class Flood:
    """One flood over a place; `run` gives what was found."""

    def __init__(self, where, frames=FRAMES, gap_ns=GAP_NS):
        self.place, self.frames, self.gap_ns = where, frames, gap_ns
        self.good, self.wild_seq, self.rounds = [], 1, 0
        for account in range(2):
            with where.scene.market():
                session = OrderSession(where.partition(0), *where.people[account],
                                       bind=(where.scene.market_ip, 0))
            where.keep(session)
            session.login(1, timeout=PATIENCE_S)
            self.good.append(session)
        self.wild = Person(where, WILD, WILD_IP)
        self.sent, self.taken = ([], []), [set(), set()]

    def run(self) -> dict:
        """Everything; {"faults": sentences, ...}"""
        where = self.place
        before, lost_before = where.counted(), where.lost_on_the_way()
        hostile = where.whole(bytes(60), ("10.77.0.99", 5555))
        may_ask, attack_s = 0.0, 0.0
        with generated(where, [hostile], self.frames, self.gap_ns) as attack:
            begun = last = time.monotonic()
            while self.rounds < ROUNDS or attack.is_alive():
                self._round()
                now = time.monotonic()
                may_ask, last = may_ask + max(0.0, (now - last) * 1000 - QUIET_MS), now
                attack_s = now - begun if attack.is_alive() else attack_s
        wild_s, found = max(now - begun, 1e-3), where.matcher()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and any(
                set(sent) - taken for sent, taken in zip(self.sent, self.taken, strict=True)):
            self._listen(0.05)
        after = where.counted()
        asked = {name: found[name] - before["matcher"][name]
                 for name in ("gap_requests", "gap_requests_withheld")}
        row = {"frames": self.frames, "on_the_way": where.lost_on_the_way() - lost_before,
               "xdp": {name: after["xdp"][name] - before["xdp"][name] for name in after["xdp"]},
               "socket_lost": after["lost"] - before["lost"], "may_ask": round(may_ask, 1), **asked,
               "orders": sum(map(len, self.sent)),
               "orders_lost": sum(len(set(sent) - taken) for sent, taken
                                  in zip(self.sent, self.taken, strict=True)),
               "wild_rate": round((self.wild_seq - 1) / wild_s)}
        row["sent_rate"] = round(self.frames / max(attack_s, 1e-3))
        row["rate"] = round((self.frames - row["on_the_way"]) / max(attack_s, 1e-3))
        return {"fault": "flood", "count": self.frames, **row, "faults": judge(row)}

    def _round(self):
        """The wild account's burst, an order of each honest one."""
        for _ in range(PACKETS):
            self.wild.sock.sendto(build_mold(self.wild.token, self.wild_seq,
                                             [b""] * PACKET_MESSAGES), self.place.target)
            self.wild_seq += PACKET_MESSAGES
        for who, session in enumerate(self.good):
            if self.rounds < ROUNDS:
                self.sent[who].append(session.enter(
                    "BS"[who], 1, symbol_of(0), PRICE + (1 - 2 * who) * -TICK))
        self._listen(0.0)
        self.rounds += 1
        time.sleep(0.002)

    def _listen(self, wait_s):
        for who, session in enumerate(self.good):
            self.taken[who] |= {answer.get("user_ref_num") for answer in session.poll(wait_s)
                                if answer.letter == "A"}


def judge(row) -> list:
    """Everything that is wrong with a flood's figures, as sentences."""
    refused, faults = row["xdp"]["drop_unknown_source"], []
    if row["orders_lost"]:
        faults.append(f"{row['orders_lost']} of {row['orders']} honest orders were not accepted")
    if refused + row["on_the_way"] != row["frames"]:
        faults.append(f"{row['frames']} hostile frames: {refused} counted as drop_unknown_source, "
                      f"{row['on_the_way']} never came to the gate")
    if row["on_the_way"] >= row["frames"] // 2:
        faults.append(f"{row['on_the_way']} of {row['frames']} frames never came to the gate: that "
                      "was no flood; use a larger --gap")
    if row["socket_lost"]:
        faults.append(f"the socket dropped {row['socket_lost']} frames of honest sources")
    if not row["xdp"]["drop_flood"] or not row["gap_requests_withheld"]:
        faults.append(f"the wild account: {row['xdp']['drop_flood']} datagrams dropped, "
                      f"{row['gap_requests_withheld']} requests withheld; neither may be 0")
    if row["gap_requests"] > row["may_ask"]:
        faults.append(f"{row['gap_requests']} gap requests, at most {row['may_ask']} were due")
    return faults


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults flood",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"how many (default {FRAMES:,})")
    parser.add_argument("--gap", type=int, default=GAP_NS, metavar="NS",
                        help=f"between two of them (default {GAP_NS:,})")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if options.frames < 1 or options.gap < 0:
        parser.error(f"--frames {options.frames} --gap {options.gap}: at least 1, at least 0")
    if why := netns.why_not():
        print(f"wirematch faults flood: {why}", file=sys.stderr)
        return CANNOT_RUN
    try:
        with place() as where:
            found = Flood(where, options.frames, options.gap).run()
    except (RuntimeError, OSError) as error:
        print(f"wirematch faults flood: {error}", file=sys.stderr)
        return CANNOT_RUN
    print(json.dumps(found) if options.json else report(found))
    return 1 if found["faults"] else 0


def report(found) -> str:
    """A flood in words."""
    return "\n".join([
        f"hostile frames/s: {found['sent_rate']:,} sent, {found['rate']:,} reached the program; "
        f"{found['xdp']['drop_unknown_source']:,} refused as drop_unknown_source, "
        f"{found['on_the_way']:,} lost before it",
        f"wild account: {found['wild_rate']:,} messages/s sent, its limit is {RATE:,}; "
        f"{found['xdp']['drop_flood']:,} datagrams refused as drop_flood",
        f"honest orders: {found['orders']} sent, {found['orders_lost']} lost",
        *(found["faults"] or ["all held"])])


if __name__ == "__main__":
    sys.exit(main())
