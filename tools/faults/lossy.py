"""`wirematch faults lossy`: a trading day through the relay, judged by the journal.

    wirematch faults lossy [--messages N] [--seed S] [--joins N] [--outage SECONDS]

Traders and subscribers reach a real appliance through a wire that loses, doubles, reorders and
spoils frames both ways. When all have heard everything, the journal is replayed: its checksums must
be those of each trader's stream and of the feed as each subscriber received it, the numbers
upstream must be whole, and every book equal. --joins: late joiners, by snapshot and by re-request
in turn. --outage: both feeds dead for so long under load; how soon all have converged is told.
Exit codes: 0 all equal, 1 a difference, 77 it cannot run here.
"""

import argparse
import contextlib
import json
import os
import random
import sys
import time
from pathlib import Path

from appliance import topology
from appliance.config import load as config_loader
from appliance.shm import region
from tools import netns
from tools.demo import house
from tools.faults.lossy_people import (
    EXPECTED, HEARD, MISSING, SENT, Person, first_partition, join_late, subscribe, trade,
)
from tools.faults.lossy_truth import Truth
from tools.faults.relay_scene import RelayedScene
from tools.faults.relay_way import BLOCK_MULTICAST, OPEN, Faults

CANNOT_RUN = 77
USUAL = Faults(drop=0.05, duplicate=0.05, reorder=0.05, flip=0.01)
SYMBOL, PRICE, TRADERS, SUBSCRIBERS, LATE = "ACME", 1_250_000, 2, 2, "LATE"
PATIENCE_S, CONVERGE_S = 300.0, 60.0


class Difference(Exception):
    """Somebody was told something else than the journal says."""


class Day:
    """A running appliance behind the relay, and the people of its day."""

    def __init__(self, scene, messages, seed, level, mode, rate):
        self.scene, self.messages, self.seed, self.people = scene, messages, seed, []
        self.rate = rate
        names = [f"ACC{n}" for n in range(TRADERS)] + [LATE]
        made = max(messages, 20_000)
        pages = 2 * made // 256 + 64
        settings = {
            "symbols": [{"name": SYMBOL, "tick_size": 100, "lot_size": 1,
                         "reference_price": PRICE}],
            "accounts": [{"name": name, "password": f"secret{name}", "firm": "", "smp": "off",
                          "max_pages": min(65535, pages - 1)} for name in names]}
        sizes = {"pages": pages, "chunks": made * 200 // 65536 + 64,
                 "feed_bytes": _power(made * 100), "feed_messages": _power(made * 2)}
        self.path = house.write_config(
            scene, settings, mode, [(name, "", scene.source(n)) for n, name in enumerate(names)],
            sizes=sizes)
        file = Path(self.path)
        file.write_text(file.read_text().replace(
            f"gap_hold_us = {house.GAP_HOLD_US}", "gap_hold_us = 1000000")
            + f'[durability]\nlevel = "{level}"\ndirectory = "{scene.folder}/journal"\n')
        self.house = house.House(scene, self.path)

    def begin(self):
        """The appliance is ready, subscribers follow, traders trade."""
        self.house.wait_ready()
        part, ip = first_partition(self.house.channel), self.scene.market_ip
        table = topology.build(config_loader.load(self.path))
        self.blocks = {name: region.attach(table.partitions[0].blocks[name])[0]
                       for name in ("feed_log", "journal_header")}
        late = (LATE, f"secret{LATE}")
        self.subscribers = [self._person(f"subscriber{n}", subscribe, part, ip, ())
                            for n in range(SUBSCRIBERS)]
        self.traders = [
            self._person(f"trader{n}", trade, part, (f"ACC{n}", f"secretACC{n}"), ip, SYMBOL, PRICE,
                         self.messages // TRADERS, self.seed + n, self.rate // TRADERS)
            for n in range(TRADERS)]
        self.join = lambda count: self._person("joiner", join_late, part, ip, late, count,
                                               self.seed + 99)

    def _person(self, *arguments):
        made = Person(self.scene, *arguments)
        self.people.append(made)
        return made

    def until(self, condition, what, patience_s=0.0):
        """Waits until condition() is true; patience_s 0: as long as such a day may take."""
        patience_s = patience_s or PATIENCE_S + self.messages / 1000
        deadline = time.monotonic() + patience_s
        while not condition():
            gone = [each.path.stem for each in self.people if not each.process.is_alive()]
            if gone or self.house.process.poll() is not None or time.monotonic() > deadline:
                raise Difference(f"{what}: not within {patience_s:.0f} s; ended: {gone}; "
                                 f"{[list(map(int, each.shown)) for each in self.people]}; "
                                 f"{self.scene.relay.counts}\n{self.house.words()}")
            time.sleep(0.005)

    @property
    def sent(self):
        """Messages that the traders have sent."""
        return sum(int(each.shown[SENT]) for each in self.traders)

    def outage(self, seconds) -> dict:
        """Both feeds dead for so long; seconds until every subscriber had what was said by then."""
        self.until(lambda: self.sent >= self.messages // 3, "a third of the day")
        log, until = self.blocks["feed_log"], time.monotonic() + seconds
        self.scene.relay.block(OPEN, BLOCK_MULTICAST)
        first = int(log["sent_seq"])
        self.until(lambda: time.monotonic() >= until and (
            int(log["sent_seq"]) > first or self.sent >= self.messages), "something is said")
        self.scene.relay.block(OPEN, OPEN)
        newest, begun = int(log["sent_seq"]), time.monotonic()
        self.until(lambda: all(int(each.shown[EXPECTED]) >= newest for each in self.subscribers),
                   "convergence", CONVERGE_S)
        return {"missed": newest - first, "converged_s": round(time.monotonic() - begun, 3)}

    def settle(self):
        """Everybody has heard everything; (last command of the journal, next of the feed)."""
        sessions = {}
        self.until(lambda: self.sent >= self.messages // TRADERS * TRADERS
                   and not any(int(each.shown[MISSING]) for each in self.traders),
                   "all is sent and answered")
        self.until(lambda: self._is_quiet(sessions), "all is said and heard")
        return int(self.blocks["journal_header"]["ready_seq"]), \
            int(self.blocks["feed_log"]["next_seq"])

    def _is_quiet(self, before):
        """Nothing has moved for half a second and the subscribers are at the feed's end."""
        now = (int(self.blocks["journal_header"]["ready_seq"]),
               *(int(each.shown[HEARD]) for each in self.traders),
               *(int(each.shown[EXPECTED]) for each in self.subscribers))
        if before.get("now") != now:
            before["now"], before["since"] = now, time.monotonic()
        at_end = all(int(each.shown[EXPECTED]) == int(self.blocks["feed_log"]["next_seq"])
                     for each in self.subscribers)
        return at_end and time.monotonic() - before["since"] > 1.5

    def close(self):
        """Ends everything."""
        for each in self.people:
            each.close()
        if self.house.process.poll() is None:
            self.house.process.kill()
            self.house.process.wait()
        self.house.log.close()


def run(messages, seed, *, there=USUAL, back=USUAL, joins=0, outage_s=0.0, level="process",
        mode="native", rate=0) -> dict:
    """A day of so many order messages, `rate` a second (0: as fast as they are answered); what
    came of it. Raises Difference."""
    begun = time.monotonic()
    with contextlib.ExitStack() as undo:
        scene = RelayedScene(seed=seed)
        undo.callback(scene.close)
        day = Day(scene, messages, seed, level, mode, rate)
        undo.callback(day.close)
        scene.relay.set(there, back)
        day.begin()
        trading = time.monotonic()
        joiner = day.join(joins) if joins else None
        gone = day.outage(outage_s) if outage_s else {}
        if joiner:
            day.until(lambda: int(joiner.shown[HEARD]) >= joins, "late joiners")
        last_seq, feed_seq = day.settle()
        traded = time.monotonic() - trading
        told = {each.path.stem: each.result() for each in day.people}
        ways = scene.relay.counts
        scene.relay.set(Faults(), Faults())
        if day.house.stop() != 0:
            raise Difference(f"the appliance did not end well:\n{day.house.words()}")
        (date,) = filter(str.isdigit, os.listdir(scene.folder / "journal"))
        late = told.get("joiner", {}).get("joins", [])
        truth = Truth(str(scene.folder / "journal" / date / "p0"), last_seq,
                      [each["number"] for each in late] + [feed_seq])
        wrong = differences(truth, told, feed_seq)
        if wrong:
            raise Difference("\n".join(wrong))
    found = {"fault": "lossy", "seed": seed, "count": day.sent
             + sum(each - 1 for each in truth.stream_seqs) + feed_seq - 1, "verdict": "equal",
             "orders": day.sent, "answers": sum(each - 1 for each in truth.stream_seqs),
             "feed": feed_seq - 1, "trading_s": round(traded, 1),
             "gaps_upstream": sum(told[f"trader{n}"]["counts"]["gaps_answered"]
                                  for n in range(TRADERS)),
             "gaps_feed": [told[f"subscriber{n}"]["counts"]["gaps"] for n in range(SUBSCRIBERS)],
             "frames": {name: row["received"] for name, row in ways.items()}, "ways": ways,
             "seconds": round(time.monotonic() - begun, 1)}
    if late:
        found["joins"] = [[each["number"], each["by"], each["seconds"]] for each in late]
    return found | ({"outage": gone} if gone else {})


def differences(truth, told, feed_seq) -> list[str]:
    """Where what somebody was told is not what the journal says."""
    wrong = []

    def same(who, what, is_, wanted):
        if is_ != wanted:
            wrong.append(f"{who}: {what} is {is_}, the journal says {wanted}")

    same("feed", "next number", feed_seq, truth.feed_seq)
    same("journal", "messages out of turn", truth.out_of_turn, 0)
    same("journal", "holes given up", truth.skips, 0)
    for n in range(TRADERS):
        who, row = f"trader{n}", told[f"trader{n}"]
        same(who, "messages sent", row["upstream"], truth.taken.get(n, 0))
        same(who, "answers", row["heard"], truth.stream_seqs[n] - 1)
        same(who, "checksum of its stream", row["told"], truth.streams[n])
        same(who, "orders accepted twice", row["accepted_twice"], 0)
    for n in range(SUBSCRIBERS):
        who, row = f"subscriber{n}", told[f"subscriber{n}"]
        same(who, "next number", row["expected"], truth.feed_seq)
        same(who, "checksum of the feed", row["told"], truth.feed)
        same(who, "book", row["book"], truth.books_at.get(feed_seq))
        same(who, "crossed books", row["crossed"], truth.books.crossed_cnt)
    for each in told.get("joiner", {}).get("joins", []):
        same(f"joiner at {each['number']} by {each['by']}", "book", each["book"],
             truth.books_at.get(each["number"]))
    return wrong


def _power(number):
    return 1 << max(16, int(number - 1).bit_length())


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults lossy",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=60_000,
                        help="order messages, of both traders (default 60000)")
    parser.add_argument("--seed", type=int, help="of traffic and faults (default: a new one)")
    parser.add_argument("--joins", type=int, default=0, help="late joiners")
    parser.add_argument("--outage", type=float, default=0.0, metavar="SECONDS",
                        help="both feeds dead for so long")
    parser.add_argument("--rate", type=int, default=0, metavar="N",
                        help="messages a second (default: as fast as they are answered)")
    parser.add_argument("--level", default="process", choices=("process", "disk"))
    parser.add_argument("--mode", default="native", help="rung of the appliance's interface")
    parser.add_argument("--quiet-wire", action="store_true", help="no faults but the outage")
    options = parser.parse_args(arguments)
    why = netns.why_not()
    if why:
        print(f"wirematch faults lossy: {why}", file=sys.stderr)
        return CANNOT_RUN
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    faults = Faults() if options.quiet_wire else USUAL
    try:
        found = run(options.messages, seed, there=faults, back=faults, joins=options.joins,
                    outage_s=options.outage, level=options.level, mode=options.mode,
                    rate=options.rate)
    except Difference as difference:
        print(json.dumps({"fault": "lossy", "seed": seed, "count": options.messages,
                          "verdict": "different"}))
        print(f"wirematch faults lossy: seed {seed}: {difference}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
