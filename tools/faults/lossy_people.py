"""Participants of a day under faults, a process each: traders, subscribers, and one who joins late
again and again. Each sums up all that it was told, in order, to compare with the journal.
"""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time

import numpy as np

from appliance.client.channel import load as load_channel
from appliance.client.feed import FeedHandler
from appliance.client.orders import OrderSession
from appliance.native import lib

QUERIES, BURST = 16, 32                  # bursts that wait for their answer, messages of one
DRAIN_S = 120.0
SENT, HEARD, EXPECTED, MISSING, STOP, WORDS = range(6)


def crc(value: int, message: bytes) -> int:
    """The checksum that `journal.outputs` takes of a stream or the feed, one message further."""
    framed = len(message).to_bytes(2, "big") + message
    return int(lib.wm_crc32c(value, framed, len(framed)))


class Told(OrderSession):
    """An order session that sums up its stream."""

    told = 0

    def _deliver(self, block):
        self.told = crc(self.told, bytes(block))
        super()._deliver(block)


def trade(shown, part, person, ip, symbol, price, messages, seed, rate):
    """Enters, replaces and cancels at random until `messages` are sent and all is answered.

    An Account Query ends each burst: it is always answered, whatever became of the orders. rate:
    messages a second, 0 as many as are answered.
    """
    draw, accepted, twice, refused = random.Random(seed), set(), 0, 0
    session = Told(part, *person, bind=(ip, 0), heartbeat_s=0.2)
    session.login(timeout=60.0)
    begun = last_heard = time.monotonic()
    sent = asked = answered = 0
    while True:
        due = not rate or sent < (time.monotonic() - begun) * rate
        if sent < messages and asked - answered < QUERIES and due:
            for _ in range(min(BURST, messages - sent) - 1):
                kind, at = draw.random(), price + 100 * draw.randint(-8, 8)
                if kind < 0.6 or session.user_ref < 60:
                    session.enter(draw.choice("BS"), draw.randint(1, 50), symbol, at)
                elif kind < 0.9:
                    session.cancel(session.user_ref - draw.randrange(60))
                else:
                    session.replace(session.user_ref - draw.randrange(30), 7, at)
            session.query()
            sent, asked = sent + min(BURST, messages - sent), asked + 1
        fresh = session.poll(0.0005 if sent < messages else 0.05)
        for record in fresh:
            number = record.get("user_ref_num", 0)
            if record.letter in "AU":
                twice += number in accepted
                accepted.add(number)
            elif record.letter == "J":
                refused += 1
            answered += record.letter == "Q"
        if fresh:
            last_heard = time.monotonic()
        shown[SENT], shown[HEARD] = sent, session.expected - 1
        shown[MISSING] = asked - answered
        if shown[STOP] or time.monotonic() - last_heard > DRAIN_S:
            break
    result = {"sent": sent, "upstream": session.next_up - 1, "refs": session.user_ref,
              "accepted": len(accepted), "accepted_twice": twice, "refused": refused,
              "heard": session.expected - 1, "told": session.told,
              "missing": session.stream.missing(), "counts": session.counts}
    session.sock.close()
    return result


def subscribe(shown, part, ip, login):
    """Follows the feed until it is told to stop; books and checksum of all."""
    told, noted = [0], []

    def message(_number, data):
        told[0] = crc(told[0], data)

    with FeedHandler(part, ip, message, login=login, on_snapshot=lambda *span: noted.append(span)
                     ) as feed:
        while not shown[STOP]:
            feed.poll(0.02, 256)
            shown[EXPECTED], shown[MISSING] = feed.expected, feed.stream.newest - feed.expected
        return {"expected": feed.expected, "told": told[0], "book": feed.books.digest(),
                "snapshots": noted, "crossed": feed.books.crossed_cnt,
                "counts": feed.statistics()}


def join_late(shown, part, ip, login, joins, seed):
    """Joins at random instants, by snapshot and by re-request in turn: where it was then, and the
    book it had. It leaves each time."""
    draw, found = random.Random(seed), []
    while len(found) < joins and not shown[STOP]:
        time.sleep(draw.uniform(0.02, 0.3))
        by_snapshot = len(found) % 2 == 0
        begun = time.monotonic()
        with FeedHandler(part, ip, login=login if by_snapshot else (), hole_max=0) as feed:
            while feed.expected == 1 or feed.stream.lacking or feed.joining:
                feed.poll(0.02)
                if time.monotonic() - begun > DRAIN_S or shown[STOP]:
                    break
            until, spent = time.monotonic() + draw.uniform(0, 0.2), time.monotonic() - begun
            while time.monotonic() < until:
                feed.poll(0.01)
            found.append({"number": feed.expected, "book": feed.books.digest(),
                          "by": "snapshot" if feed.counts["snapshots"] else "re-request",
                          "seconds": round(spent, 3)})
        shown[HEARD] = len(found)
    while not shown[STOP]:
        time.sleep(0.01)
    return {"joins": found}


class Person:
    """A process that runs one of these; `shown` is live, `result` what it returned."""

    def __init__(self, scene, name, work, *arguments):
        context = multiprocessing.get_context("fork")
        self.shown = np.frombuffer(context.RawArray("q", WORDS), np.int64)
        self.path = scene.folder / f"{name}.json"
        with scene.market():
            self.process = context.Process(target=_run, daemon=True, args=(
                str(self.path), work, self.shown, *arguments))
            self.process.start()

    def result(self, patience_s=60.0) -> dict:
        """Tells it to stop and waits for what it found."""
        self.shown[STOP] = 1
        self.process.join(patience_s)
        self.close()
        if not self.path.exists():
            raise RuntimeError(f"{self.path.stem} ended with exit code {self.process.exitcode} and "
                               "said nothing")
        return json.loads(self.path.read_text())

    def close(self) -> None:
        """Ends it, if it has not ended."""
        with contextlib.suppress(ValueError):
            if self.process.is_alive():
                self.process.kill()
                self.process.join()


def _run(path, work, shown, *arguments):
    lib.wm_die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    found = work(shown, *arguments)
    with open(path + ".new", "w") as file:
        json.dump(found, file)
    os.replace(path + ".new", path)
    os._exit(0)


def first_partition(channel):
    """The partition that everybody trades on."""
    return load_channel(channel).partitions[0]
