"""recovery: answers MoldUDP64 re-requests for the feed from the matcher's log (wire-spec 1.4), and
runs what is served over TCP beside it (tcp.py) in one loop.

    run as    python -m appliance.stages.recovery --config FILE --partition P --instance N

Re-requests read the feed log's shared blocks, read-only, and never the matcher's state. One
request is answered by at most one packet with the leading messages that fit. Requests for messages
not held, of an unknown session, of count 0 or FFFF, beyond the newest, or over the rate get no
answer and one named counter each; so do answers that the kernel does not take.
"""

import argparse
import selectors
import signal
import socket
import struct
import sys
import time

import numpy as np

from appliance import faultpoint, notify
from appliance import topology as topo
from appliance.config import load
from appliance.host import nic
from appliance.layout import shared
from appliance.layout.wire_session import MOLD_PAYLOAD_MAX
from appliance.native import lib
from appliance.shm import cache, region
from appliance.stages import rights, sandbox

HEADER = struct.Struct(">10sQH")
END_OF_SESSION = 0xFFFF
REFUSALS = ("short", "unknown_session", "bad_count", "beyond_newest", "too_old", "rate")
TALLIES = ("served", *REFUSALS, "send_failed")


class FeedReader:
    """Messages [oldest, next) of a feed log written by another process, as MoldUDP64 blocks."""

    def __init__(self, log, ring, index):
        self.log, self.ring, self.index = log, ring, index

    @property
    def session(self) -> bytes:
        """Session name of the feed, ten characters."""
        return self.log[0]["session_name"].tobytes()[:10]

    def bounds(self) -> tuple[int, int]:
        """(oldest number held, first number that neither A nor B has come to): what may not be
        published yet is not answered, because no cursor passes the publish gate, not even one that
        leaves messages out; and what a cursor has passed is whole in the log."""
        row = self.log[0]
        return int(row["oldest_seq"]), max(int(row["sent_seq"]), int(row["twin_seq"]))

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

    def __init__(self, reader, requests_per_second, payload=MOLD_PAYLOAD_MAX):
        self.reader, self.rate, self.payload = reader, requests_per_second, payload
        self.tallies = dict.fromkeys(TALLIES, 0)
        self.buckets = {}

    def answer(self, payload: bytes, source: str, now: float) -> bytes:
        """The packet for one request, or b"" and a counter."""
        outcome, packet = self._answer(payload, source, now)
        self.tallies[outcome] += 1
        return packet

    def not_sent(self) -> None:
        """The newest answer did not leave: it was not served."""
        self.tallies["served"] -= 1
        self.tallies["send_failed"] += 1

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
        blocks, taken = self.reader.blocks(seq, count, self.payload - HEADER.size)
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


def serve(server: Server, sock: socket.socket, tallies: np.ndarray, selector, tcp) -> None:
    """Answers until SIGTERM; tallies go to the shared block after each turn."""
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    selector.register(sock, selectors.EVENT_READ, None)
    while not stopping:
        ready = selector.select(tcp.patience_s(time.monotonic()))
        now = time.monotonic()
        for key, mask in ready:
            if key.data is None:
                _answer_all(server, sock, now)
            elif key.fileobj.fileno() >= 0:            # not ended by one before it
                tcp.ready(key.data, mask, now)
        tcp.turn(now)
        counts = [*server.tallies.values(), *tcp.tallies()]
        tallies[:len(counts)] = counts
    tcp.turn(time.monotonic())
    tcp.close()


def _answer_all(server, sock, now):
    for _ in range(256):
        try:
            payload, address = sock.recvfrom(2048)
        except BlockingIOError:
            return
        packet = server.answer(payload, address[0], now)
        if packet:
            try:
                sock.sendto(packet, address)
            except OSError:
                server.not_sent()


def await_core(status, journal) -> None:
    """Until a matcher that comes back has its core, and has left the image if it must (seed.py)."""
    while journal["begin_seq"] and status["state"] < shared.WARMING:
        time.sleep(0.005)


def _remake(snapshots, topology, partition, midnight_ns):
    """An image without snapshots is made anew from the journal, where there is one; it stays as it
    is when that cannot be."""
    config = topology.config
    if not snapshots.why_not or config.durability.level == "none":
        return
    from appliance.journal.errors import JournalError
    from appliance.journal.restore import SnapshotError
    from appliance.stages.seed import remake                     # the kernels of a replay
    folder, why = partition.journal_folder(
        config, topo.date_of(config.day.time_zone, midnight_ns)), snapshots.why_not
    try:
        seq = remake(snapshots, folder)
    except (JournalError, SnapshotError, OSError) as error:
        print(f"recovery@{partition.idx}: no snapshots: {why}; nor from the journal: {error}",
              file=sys.stderr, flush=True)
        return
    if seq:
        print(f"recovery@{partition.idx}: snapshots again, from the journal up to command {seq}: "
              f"{why}", file=sys.stderr, flush=True)


def names() -> tuple[str, ...]:
    """What each of the shared block's counters counts."""
    from appliance.stages.tcp import NAMES
    return (*(f"rerequests_{name}" for name in TALLIES), *NAMES)


def main(arguments=None) -> int:
    """Exit codes: 0 stopped, 1 failure (a port is taken, a region does not fit)."""
    parser = argparse.ArgumentParser(prog="appliance.stages.recovery")
    parser.add_argument("--config", required=True)
    parser.add_argument("--partition", type=int, default=0)
    parser.add_argument("--instance", type=int, default=0)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    cache.use_cache()
    from appliance.stages.tcp import Tcp           # compiles or loads kernels
    topology = topo.build(load.thaw(options.config), instance=options.instance)
    config, partition = topology.config, topology.partitions[options.partition]
    selector = selectors.DefaultSelector()
    try:
        ip = config.interface.ip or nic.look_up(config.interface.name).ip
        sock = nic.order_socket(ip, partition.rerequest_port)
        reader = FeedReader(*(region.attach(partition.blocks[name], instance=options.instance)
                              for name in ("feed_log", "feed", "feed_index")))
        control = region.attach(partition.blocks["control"], instance=options.instance)[0]
        tallies = region.attach(partition.blocks["recovery_counters"], write=True)
        await_core(*(region.attach(partition.blocks[name], instance=options.instance)[0]
                     for name in ("status", "journal_status")))
        tcp = Tcp(config, partition, options.instance, ip, selector, reader,
                  [source for person in (*config.accounts, *config.drop_copies)
                   for source in person.sources],
                  topo.day_of_year(config.day.time_zone, int(control["midnight_ns"])))
    except (OSError, region.RegionError) as error:
        print(f"recovery@{options.partition}: {error}", file=sys.stderr, flush=True)
        return 1
    _remake(tcp.snapshots, topology, partition, int(control["midnight_ns"]))
    faultpoint.at("recovery-start")
    rights.drop(partition.recovery_uid, deny_write_execute=True)
    notify.ready(sandbox.text("recovery", config.process.sandbox))
    sandbox.enter("recovery", config.process.sandbox)
    server = Server(reader, config.feed.rerequests_per_second, config.interface.payload)
    server.tallies = dict(zip(TALLIES, tallies.tolist(), strict=False))   # of those that died too
    serve(server, sock, tallies, selector, tcp)
    return 0


if __name__ == "__main__":
    sys.exit(main())
