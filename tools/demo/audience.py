"""The subscriber of a demo: a process of its own that follows both feeds to the end of the session.

It runs where the scene's market is, keeps every message (day-file form: a two-byte length before
each) and, if asked, every packet in a pcap. Its counts stand in shared memory, for the live view;
when it has ended, `report` reads the whole truth from its result file.
"""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import numpy as np

from appliance.client.channel import load
from appliance.client.feed import FeedHandler
from appliance.native import lib
from tools.record import Recorder

READY, MESSAGES, TRADES, CROSSED, BID, ASK, LAST, DONE = range(8)
RECEIVE_BYTES = 1 << 29


def watch(channel_file, ip, folder, record, shown, symbol) -> None:
    """Follows the feed until its session ends or SIGTERM comes; results into `folder`."""
    partition = load(channel_file).partitions[0]
    recorder = Recorder(record, partition, ip) if record else None
    kept, told = bytearray(), np.frombuffer(shown, np.int64)

    def keep(_number, message):
        kept.extend(len(message).to_bytes(2, "big") + message)

    handler = FeedHandler(partition, ip, keep, receive_bytes=RECEIVE_BYTES,
                          on_packet=recorder.packet if recorder else None)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told[READY] = 1
    while not handler.ended and not stopping:
        handler.poll(0.1, 256)
        books = handler.books
        told[MESSAGES], told[TRADES], told[CROSSED] = (
            books.message_cnt, books.trade_cnt, books.crossed_cnt)
        book = books.by_name.get(symbol)
        if book is not None:
            told[BID], told[ASK], told[LAST] = book.best(0), book.best(1), book.last_price
    if recorder:
        recorder.close()
    Path(folder, "feed.itch").write_bytes(kept)
    Path(folder, "feed.json").write_text(json.dumps(handler.statistics() | {
        "ended": handler.ended, "open_orders": len(handler.books.orders)}))
    told[DONE] = 1
    handler.close()


class Audience:
    """Starts the subscriber; `shown` is its live state, `report` what it knows at the end."""

    def __init__(self, scene, channel_file, symbol, record=None):
        self.folder = scene.folder
        context = multiprocessing.get_context("fork")
        self.shown = context.RawArray("q", 16)
        with scene.market():
            self.process = context.Process(
                target=_run, args=(channel_file, scene.market_ip, str(scene.folder), record,
                                   self.shown, symbol), daemon=True)
            self.process.start()

    def wait_ready(self, timeout: float = 10.0) -> None:
        """Until both groups are joined; RuntimeError when the subscriber died before."""
        for _ in range(int(timeout * 100)):
            if self.shown[READY]:
                return
            self.process.join(0.01)
            if self.process.exitcode is not None:
                break
        raise RuntimeError("the subscriber could not join the feeds: see its message above")

    def finish(self, timeout: float) -> None:
        """Waits for the end of the session; after `timeout` the subscriber is told to stop."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(30.0)

    def report(self) -> tuple[dict, list]:
        """(statistics, ITCH messages in order)."""
        facts = json.loads((self.folder / "feed.json").read_text())
        raw, off, out = (self.folder / "feed.itch").read_bytes(), 0, []
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
