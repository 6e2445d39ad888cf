"""`wirematch faults cutter`: power cuts under load at level "disk", on a whole appliance.

    wirematch faults cutter [--cuts N] [--together K] [--seed S] [--json]

The journal lies on a disk of its own (cut_disk.py). After a seeded number of messages, with others
under way, every process stands still, the disk's image is copied, everything is killed and all
shared memory is gone. The next appliance starts from the copy under another boot id, and tells its
participants everything from number 1 on: each stream and the feed must begin with what they had
heard before the cut, byte by byte, under the same names. It is then the next one to be cut.
Of K cuts together, all but the last are copies of a disk that goes on: the journal on each is
recovered in this process and judged as strictly; no appliance is started from it (cut_copy.py).
Exit codes: 0 nothing that was heard is lost, 1 something is, 77 it cannot run here.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from appliance.client.channel import load as load_channel
from appliance.client.feed import FeedHandler
from appliance.client.orders import OrderSession
from appliance.journal.scan import scan
from tools import netns
from tools.demo import house
from tools.demo.scene import NamespaceScene
from tools.faults import cut_disk
from tools.faults.cut_copy import Copy, Lost
from tools.faults.lossy_people import crc
from tools.faults.lossy_truth import Truth

CANNOT_RUN = 77
SYMBOL, PRICE, ACCOUNTS, DAY_CUTS, DISK_MB = "ACME", 1_250_000, 2, 20, 48
SIZES = {"pages": 2048, "chunks": 512, "feed_bytes": 1 << 24, "feed_messages": 1 << 18}
BURST, QUERIES = 16, 4                     # messages between two queries; queries not answered
PATIENCE_S, QUIET_S = 30.0, 0.05


class Heard(OrderSession):
    """An order session that keeps every block of its stream."""

    def __init__(self, *arguments, **options):
        self.blocks = []
        super().__init__(*arguments, **options)

    def _deliver(self, block):
        self.blocks.append(bytes(block))
        super()._deliver(block)


class CutScene(NamespaceScene):
    """The appliance runs under the boot id in `boot`."""

    def __init__(self):
        super().__init__()
        self.boot = cut_disk.boot_file(self.folder)

    def command(self, arguments):
        return cut_disk.under_boot(self.boot, super().command(arguments))


class Life:
    """One day, appliance after appliance. `streams` and `feed`: all that was ever heard."""

    def __init__(self, scene, draw):
        self.scene, self.draw, self.names = scene, draw, None
        self.streams, self.feed = [[] for _ in range(ACCOUNTS)], []
        self.disk, self.house, self.people, self.followers = None, None, [], []
        self.disk_mb, self.config, self.copies = DISK_MB, "", []
        self.unheard = self.torn = self.cut_bytes = self.waiting = self.starts = 0

    def start(self, disk):
        """An appliance whose journal lies on `disk`; its participants hear all of the day again."""
        self.disk, self.starts = disk, self.starts + 1
        people = [(f"ACC{n}", "", self.scene.source(n)) for n in range(ACCOUNTS)]
        path = house.write_config(self.scene, {
            "symbols": [{"name": SYMBOL, "tick_size": 100, "lot_size": 1,
                         "reference_price": PRICE}],
            "accounts": [{"name": name, "password": f"secret{name}", "firm": "", "smp": "off",
                          "max_pages": 1000} for name, _, _ in people]}, "native", people,
            sizes=SIZES)
        with open(path, "a") as file:
            file.write(f'[durability]\nlevel = "disk"\ndirectory = "{disk.folder}/journal"\n'
                       "segment_mb = 2\n")
        self.config = path
        self.house = house.House(self.scene, path)
        self.house.wait_ready()
        self._hear()

    def _hear(self):
        """Everybody logs in and hears the day from its beginning. Lost."""
        part = load_channel(self.house.channel).partitions[0]
        names = part.feed_session, part.sessions
        if self.names not in (None, names):
            raise Lost(f"session names {names}, before the cut {self.names}")
        self.names, said = names, []
        with self.scene.market():
            self.followers = [FeedHandler(part, self.scene.market_ip,
                                          lambda _, message: said.append(message))]
            self.people = [Heard(part, f"ACC{n}", f"secretACC{n}", bind=(self.scene.market_ip, 0),
                                 heartbeat_s=0.2) for n in range(ACCOUNTS)]
        for each in self.people:
            each.login(1, timeout=PATIENCE_S)
        self._same("the feed", self.feed, said)
        for n, each in enumerate(self.people):
            self._same(f"the stream of ACC{n}", self.streams[n], each.blocks)
            each.resume(PATIENCE_S)
        self._poll()
        self.waiting = 0
        self.feed, self.streams = said, [each.blocks for each in self.people]

    def _same(self, what, before, now):
        deadline = time.monotonic() + PATIENCE_S
        while len(now) < len(before):
            self._poll(0.01)
            if time.monotonic() > deadline:
                raise Lost(f"{what}: {len(before)} messages were heard before the cut, only "
                           f"{len(now)} are there")
        for number, (old, new) in enumerate(zip(before, now, strict=False), 1):
            if old != new:
                raise Lost(f"{what}: message {number} was {old.hex()}, it is {new.hex()} now")
        self.unheard += len(now) - len(before)

    def _poll(self, timeout=0.0):
        taken, answers = self.followers[0].poll(timeout), []
        for each in self.people:
            answers += each.poll(0.0)
        self.waiting -= sum(answer.letter == "Q" for answer in answers)
        return taken + len(answers)

    def trade(self, messages):
        """Sends so many messages; the last of them are still under way then."""
        draw, deadline = self.draw, time.monotonic() + PATIENCE_S
        for number in range(messages):
            session = draw.choice(self.people)
            if number % BURST == BURST - 1:
                session.query()
                self.waiting += 1
            elif draw.random() < 0.7 or session.user_ref < 20:
                session.enter(draw.choice("BS"), draw.randint(1, 50), SYMBOL,
                              PRICE + 100 * draw.randint(-8, 8))
            else:
                session.cancel(session.user_ref - draw.randrange(20))
            self._poll()
            while self.waiting > QUERIES:
                self._poll(0.001)
                if time.monotonic() > deadline:
                    raise Lost(f"no answer for {PATIENCE_S} s\n{self.house.words()}")

    def _halt(self):
        """Every process stands still, and what has left the appliance is heard."""
        members = cut_disk.stop_all(self.house.process.pid)
        quiet = time.monotonic() + QUIET_S
        while time.monotonic() < quiet:
            if self._poll(0.005):
                quiet = time.monotonic() + QUIET_S
        return members

    def keep_copy(self) -> None:
        """As if the power were cut here; the appliance goes on."""
        members = self._halt()
        image = self.disk.copy().rename(self.scene.folder / f"copy{len(self.copies)}.img")
        self.copies.append(Copy(image, (len(self.feed), *map(len, self.streams))))
        cut_disk.go_on(members)

    def judge_copies(self) -> int:
        """All that were kept, against what has been heard by now; how many. Lost."""
        for number, copy in enumerate(self.copies, 1):
            try:
                found = copy.judge(self)
            except Lost as lost:
                raise Lost(f"copy {number} of {len(self.copies)}: {lost}") from lost
            self.torn, self.unheard = self.torn + bool(found["cut_bytes"]), \
                self.unheard + found["unheard"]
            self.cut_bytes += found["cut_bytes"]
        count, self.copies = len(self.copies), []
        return count

    def cut(self) -> Path:
        """The power is cut: the disk's image as it was then. Nothing else is left."""
        members = self._halt()
        copy = self.disk.copy()
        cut_disk.kill_all(members)
        self.house.process.wait()
        self.house.log.close()
        self._forget()
        shutil.rmtree(self.scene.runtime, ignore_errors=True)
        Path(f"{self.scene.runtime}.day").unlink(missing_ok=True)
        self.scene.boot = cut_disk.boot_file(self.scene.folder)
        self.disk.close()
        return copy

    def look(self, disk):
        """What the disk has after a cut, before anything is started from it."""
        (date,) = filter(str.isdigit, os.listdir(disk.folder / "journal"))
        found = scan(str(disk.folder / "journal" / date / "p0"), bytes(16))
        self.torn, self.cut_bytes = self.torn + bool(found.cut_bytes), self.cut_bytes \
            + found.cut_bytes
        if found.clean:
            raise Lost("the journal says that it was closed well")

    def end(self):
        """Stops it in good order; the journal must say all that was heard. Lost."""
        while self._poll(0.3):
            pass
        with contextlib.ExitStack() as undo:
            undo.callback(self._forget)
            if self.house.stop() != 0:
                raise Lost(f"the appliance did not end well:\n{self.house.words()}")
        (date,) = filter(str.isdigit, os.listdir(self.disk.folder / "journal"))
        folder = str(self.disk.folder / "journal" / date / "p0")
        truth, found = Truth(folder, 1 << 62), scan(folder)
        for n, blocks in enumerate(self.streams):
            if truth.stream_seqs[n] - 1 < len(blocks):
                raise Lost(f"the journal has {truth.stream_seqs[n] - 1} answers to ACC{n}, "
                           f"{len(blocks)} were heard")
            if truth.stream_seqs[n] - 1 == len(blocks) and sum_of(blocks) != truth.streams[n]:
                raise Lost(f"the journal has other answers to ACC{n} than were heard")
        if not found.clean or truth.out_of_turn:
            raise Lost(f"journal clean {found.clean}, {truth.out_of_turn} messages out of turn")

    def _forget(self):
        for each in (*self.followers, *(person.sock for person in self.people)):
            each.close()

    def close(self):
        """Ends what still runs."""
        if self.house is not None:
            if self.house.process.poll() is None:
                cut_disk.kill_all(cut_disk.family(self.house.process.pid))
                self.house.process.wait()
            self.house.log.close()
        self._forget()
        if self.disk is not None:
            self.disk.close()


def sum_of(blocks) -> int:
    """The checksum of a stream."""
    value = 0
    for block in blocks:
        value = crc(value, block)
    return value


def run(cuts, seed, tell=lambda text: None, together=1) -> dict:
    """So many cuts, `together` of each appliance, DAY_CUTS appliances a day; what came of it.
    Raises Lost."""
    draw, begun, done, found = random.Random(seed), time.monotonic(), 0, []
    while done < cuts:
        with contextlib.ExitStack() as undo:
            scene = CutScene()
            undo.callback(scene.close)
            life = Life(scene, draw)
            undo.callback(life.close)
            life.start(cut_disk.Disk(scene.folder, DISK_MB))
            for _ in range(DAY_CUTS):
                done += _cuts(life, min(together, cuts - done), done)
                tell(f"cut {done}: {sum(map(len, life.streams))} answers, {len(life.feed)} feed "
                     f"messages are there")
                if done == cuts:
                    break
            life.trade(100)
            life.end()
            found.append(life)
    return {"fault": "cutter", "seed": seed, "count": done, "verdict": "nothing lost", "lost": 0,
            "started_from": sum(life.starts - 1 for life in found),
            "answers": sum(len(each) for life in found for each in life.streams),
            "feed": sum(len(life.feed) for life in found),
            "durable_but_unheard": sum(life.unheard for life in found),
            "torn_tails": sum(life.torn for life in found),
            "cut_bytes": sum(life.cut_bytes for life in found),
            "seconds": round(time.monotonic() - begun, 1)}


def _cuts(life, together, done) -> int:
    """Cuts of one appliance; the next starts from the last of them. How many it were."""
    for _ in range(together - 1):
        life.trade(life.draw.randint(20, 900))
        life.keep_copy()
    life.trade(life.draw.randint(20, 900))
    image = life.cut()
    try:
        life.judge_copies()
        life.disk = disk = cut_disk.Disk(life.scene.folder, DISK_MB, image)
        life.look(disk)
        life.start(disk)
    except Lost as lost:
        raise Lost(f"cut {done + 1} to {done + together}: {lost}\n{life.house.words()}") from lost
    return together


def why_not() -> str:
    """Why it cannot run here, or an empty string."""
    if why := netns.why_not():
        return why
    with tempfile.TemporaryDirectory() as folder:
        return cut_disk.why_not(folder)


def main(arguments=None) -> int:
    """The command line; exit code 0, 1 or 77."""
    parser = argparse.ArgumentParser(prog="wirematch faults cutter",
                                     description=__doc__.split("\n")[0])
    parser.add_argument("--cuts", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--together", type=int, default=1, metavar="K",
                        help="cuts of one appliance: all but the last are judged without a start "
                        "(default 1)")
    parser.add_argument("--seed", type=int, help="of traffic and instants (default: a new one)")
    parser.add_argument("--json", action="store_true", help="only one JSON object")
    options = parser.parse_args(arguments)
    if why := why_not():
        print(f"wirematch faults cutter: {why}", file=sys.stderr)
        return CANNOT_RUN
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    try:
        found = run(options.cuts, seed, (lambda text: None) if options.json else print,
                    max(1, options.together))
    except Lost as lost:
        print(json.dumps({"fault": "cutter", "seed": seed, "count": options.cuts,
                          "verdict": "lost"}))
        print(f"wirematch faults cutter: seed {seed}: {lost}", file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
