"""The subscriber of a demo: one process that follows both feeds of every partition to the end.

It runs where the scene's market is, keeps every message (day-file form: a two-byte length before
each, one file a partition) and, if asked, every packet in one pcap. Its counts stand in shared
memory, for the live view; when it has ended, `report` reads the whole truth from its result files.
"""

import json
import multiprocessing
import os
import select
import signal
import sys
from pathlib import Path

import numpy as np

from appliance.client.channel import load
from appliance.client.feed import FeedHandler
from appliance.native import lib
from tools.record import Recorder

READY, MESSAGES, TRADES, CROSSED, BID, ASK, LAST, DONE, WORDS = range(9)
RECEIVE_BYTES = 1 << 29
WAIT_MS = 20                 # a handler repeats its requests no sooner


def day_file(folder, partition: int) -> Path:
    """Where the messages of a partition's feed are kept."""
    return Path(folder, f"feed.p{partition}.itch")


class Follower:
    """One partition's feed; `told` is its row of the live view. symbol: whose touch is shown."""

    def __init__(self, partition, ip, recorder, told, symbol):
        self.partition, self.told, self.symbol, self.kept = partition, told, symbol, bytearray()
        self.handler = FeedHandler(partition, ip, self._keep, receive_bytes=RECEIVE_BYTES,
                                   on_packet=recorder.of(partition) if recorder else None)

    def _keep(self, _number, message):
        self.kept.extend(len(message).to_bytes(2, "big") + message)

    def follow(self) -> None:
        """Takes what has arrived and tells of it."""
        self.handler.poll(0.0, 256)
        books, told = self.handler.books, self.told
        told[MESSAGES], told[TRADES], told[CROSSED] = (
            books.message_cnt, books.trade_cnt, books.crossed_cnt)
        book = books.by_name.get(self.symbol)
        if book is not None:
            told[BID], told[ASK], told[LAST] = book.best(0), book.best(1), book.last_price

    def finish(self, folder) -> None:
        """Writes the results."""
        day_file(folder, self.partition.number).write_bytes(self.kept)
        Path(folder, f"feed.p{self.partition.number}.json").write_text(json.dumps(
            self.handler.statistics() | {"ended": self.handler.ended,
                                         "open_orders": len(self.handler.books.orders)}))
        self.handler.close()


def watch(channel_file, ip, folder, record, shown, symbols) -> None:
    """Follows every feed until its session ends or SIGTERM comes; results into `folder`."""
    partitions = load(channel_file).partitions
    recorder = Recorder(record, ip) if record else None
    told = np.frombuffer(shown, np.int64).reshape(-1, WORDS)
    followers = [Follower(*each) for each in zip(
        partitions, [ip] * len(partitions), [recorder] * len(partitions), told, symbols,
        strict=True)]
    poller, stopping = select.poll(), []
    for each in followers:
        for sock in (*each.handler.sockets, each.handler.asker):
            poller.register(sock, select.POLLIN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told[:, READY] = 1
    while not stopping and not all(each.handler.ended for each in followers):
        poller.poll(WAIT_MS)
        for each in followers:
            each.follow()
    if recorder:
        recorder.close()
    for each in followers:
        each.finish(folder)
    told[:, DONE] = 1


class Audience:
    """Starts the subscriber; `shown` is its live state, a row a partition; `report` what it knows
    at the end. symbols: the one of each partition whose touch is shown."""

    def __init__(self, scene, channel_file, symbols, record=None):
        self.folder = scene.folder
        context = multiprocessing.get_context("fork")
        shared = context.RawArray("q", WORDS * len(symbols))
        self.shown = np.frombuffer(shared, np.int64).reshape(-1, WORDS)
        with scene.market():
            self.process = context.Process(
                target=_run, args=(channel_file, scene.market_ip, str(scene.folder), record,
                                   shared, symbols), daemon=True)
            self.process.start()

    def wait_ready(self, timeout: float = 10.0) -> None:
        """Until every group is joined; RuntimeError when the subscriber died before."""
        for _ in range(int(timeout * 100)):
            if self.shown[:, READY].all():
                return
            self.process.join(0.01)
            if self.process.exitcode is not None:
                break
        raise RuntimeError("the subscriber could not join the feeds: see its message above")

    def finish(self, timeout: float) -> None:
        """Waits for the end of the sessions; after `timeout` the subscriber is told to stop."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(30.0)

    def report(self, partition: int) -> tuple[dict, list]:
        """(statistics, ITCH messages in order) of a partition's feed."""
        facts = json.loads((self.folder / f"feed.p{partition}.json").read_text())
        raw, off, out = day_file(self.folder, partition).read_bytes(), 0, []
        while off < len(raw):
            size = raw[off] << 8 | raw[off + 1]
            out.append(raw[off + 2:off + 2 + size])
            off += 2 + size
        return facts, out

    def kill(self) -> None:
        """At an early end."""
        if self.process.is_alive():
            self.process.kill()
            self.process.join(5.0)


def _run(*arguments):
    lib.wm_die_with_parent(signal.SIGKILL)
    os.nice(10)                  # the sender goes first; the sockets hold what comes meanwhile
    try:
        watch(*arguments)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"subscriber: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)
