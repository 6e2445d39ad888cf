"""recovery: answers MoldUDP64 re-requests for the feed from the matcher's log (wire-spec 1.4).

    run as    python -m appliance.stages.recovery --config FILE --instance N

It reads the feed log's shared blocks, read-only, and never the matcher's state. One request is
answered by at most one packet with the leading messages that fit. Requests for messages not held,
of an unknown session, of count 0 or FFFF, beyond the newest, or over the rate get no answer and
one named counter each.
"""

import argparse
import selectors
import signal
import socket
import struct
import sys
import time

import numpy as np

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.host import nic
from appliance.native import lib
from appliance.shm import region
from appliance.stages import rights

HEADER = struct.Struct(">10sQH")
PAYLOAD_MAX = 1472
END_OF_SESSION = 0xFFFF
REFUSALS = ("short", "unknown_session", "bad_count", "beyond_newest", "too_old", "rate")
TALLIES = ("served", *REFUSALS)


class FeedReader:
    """Messages [oldest, next) of a feed log written by another process, as MoldUDP64 blocks."""

    def __init__(self, log, ring, index):
        self.log, self.ring, self.index = log, ring, index

    @property
    def session(self) -> bytes:
        """Session name of the feed, ten characters."""
        return self.log[0]["session_name"].tobytes()[:10]

    def bounds(self) -> tuple[int, int]:
        """(oldest number held, first number not sent yet): what was never sent is not answered,
        and what was sent is whole in the log."""
        return int(self.log[0]["oldest_seq"]), int(self.log[0]["sent_seq"])

    def blocks(self, seq: int, count: int, room: int) -> tuple[bytes, int]:
        """Blocks from `seq` on, at most `count` and `room` bytes: (bytes, how many); 0 when gone.

        The writer may lap the reader: what was copied counts only if `seq` is still held after.
        """
        oldest, newest = self.bounds()
        if not oldest <= seq < newest:
            return b"", 0
        mask, out, used, taken = self.ring.size - 1, [], 0, 0
        while taken < count and seq + taken < newest:
            off = int(self.index[(seq + taken) & (self.index.size - 1)]) & mask
            size = 2 + int.from_bytes(self.ring[off:off + 2].tobytes(), "big")
            if used + size > room:
                break
            out.append(self.ring[off:off + size].tobytes())
            used, taken = used + size, taken + 1
        if self.bounds()[0] > seq:
            return b"", 0
        return b"".join(out), taken


class Server:
    """Requests in, at most one packet out each; `tallies` counts how every request ended."""

    def __init__(self, reader, requests_per_second):
        self.reader, self.rate = reader, requests_per_second
        self.tallies = dict.fromkeys(TALLIES, 0)
        self.buckets = {}

    def answer(self, payload: bytes, source: str, now: float) -> bytes:
        """The packet for one request, or b"" and a counter."""
        outcome, packet = self._answer(payload, source, now)
        self.tallies[outcome] += 1
        return packet

    def _answer(self, payload, source, now):
        if len(payload) != HEADER.size:
            return "short", b""
        session, seq, count = HEADER.unpack(payload)
        if session != self.reader.session:
            return "unknown_session", b""
        if count in (0, END_OF_SESSION):
            return "bad_count", b""
        oldest, newest = self.reader.bounds()
        if seq >= newest:
            return "beyond_newest", b""
        if seq < oldest:
            return "too_old", b""
        if not self._within_rate(source, now):
            return "rate", b""
        blocks, taken = self.reader.blocks(seq, count, PAYLOAD_MAX - HEADER.size)
        if not taken:
            return "too_old", b""
        return "served", HEADER.pack(session, seq, taken) + blocks

    def _within_rate(self, source, now):
        """A token bucket of one second's requests a source address."""
        if len(self.buckets) > 4096:
            self.buckets.clear()
        tokens, then = self.buckets.get(source, (self.rate, now))
        tokens = min(self.rate, tokens + (now - then) * self.rate)
        self.buckets[source] = (tokens - 1 if tokens >= 1 else tokens, now)
        return tokens >= 1


def serve(server: Server, sock: socket.socket, tallies: np.ndarray) -> None:
    """Answers until SIGTERM; tallies go to the shared block after each batch."""
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    selector = selectors.DefaultSelector()
    selector.register(sock, selectors.EVENT_READ)
    while not stopping:
        selector.select(0.2)
        for _ in range(256):
            try:
                payload, address = sock.recvfrom(2048)
            except BlockingIOError:
                break
            packet = server.answer(payload, address[0], time.monotonic())
            if packet:
                try:
                    sock.sendto(packet, address)
                except OSError:
                    pass
        tallies[:len(TALLIES)] = [server.tallies[name] for name in TALLIES]


def main(arguments=None) -> int:
    """Exit codes: 0 stopped, 1 failure (the port is taken, a region does not fit)."""
    parser = argparse.ArgumentParser(prog="appliance.stages.recovery")
    parser.add_argument("--config", required=True)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    topology = topo.build(load.thaw(options.config), instance=options.instance)
    config, partition = topology.config, topology.partitions[options.partition]
    ip = config.interface.ip or nic.look_up(config.interface.name).ip
    try:
        sock = nic.order_socket(ip, partition.rerequest_port)
    except OSError as error:
        print(f"recovery: {error}", file=sys.stderr, flush=True)
        return 1
    reader = FeedReader(*(region.attach(partition.blocks[name], instance=options.instance)
                          for name in ("feed_log", "feed", "feed_index")))
    tallies = region.attach(partition.blocks["recovery_counters"], write=True)
    rights.drop(partition.recovery_uid, deny_write_execute=True)
    notify.ready()
    serve(Server(reader, config.feed.rerequests_per_second), sock, tallies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
