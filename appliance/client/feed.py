"""FeedHandler: both feeds of a partition, every message once and in order, books always current.

    A packets --+
                +--> arbitration by number --> in order --> books, on_message
    B packets --+        | hole on both
                         +--> re-request, unicast, from a socket of its own --> in order
                         | no answer: forgotten there, or too much to ask for
                         +--> snapshot (snapshot.py), then in order from its number on

Whichever feed shows a number first delivers it. A hole is asked for at once, again as answers come,
and every `retry_s` while none does; what comes meanwhile is kept. For a large one AHEAD requests
are under way at a time. With a `login`, a hole that stays unanswered for STUCK_S, or has more than
`hole_max` messages, is passed over by a snapshot: the books are whole again, the messages in
between are never seen. A session name not seen before is a new day or a partition that begins anew:
books start afresh and the first number is 1 again.
"""

import select
import socket
import struct
import time

from ..host.nic import join
from ..layout.datagram import build_request
from ..layout.wire_session import PACKET_MAX
from .book import Books
from .inorder import InOrder
from .snapshot import Joining, SnapshotRefused

_HEADER = struct.Struct(">10sQH")
END_OF_SESSION = 0xFFFF
PROGRESS_S = 0.0002
COUNTS = ("packets_a", "packets_b", "packets_rerequest", "first_on_a", "first_on_b", "duplicates",
          "overflow", "heartbeats", "malformed", "stale", "gaps", "requests", "unsent", "sessions",
          "snapshots", "snapshots_failed", "skipped")
STUCK_S, STUCK_REQUESTS = 0.4, 8            # no answer for so long, to so many requests
LARGE = 256                                 # messages of a hole for which
AHEAD, AHEAD_SZ = 16, 32                    # so many requests of so many are under way
HURRY = 3                                   # later answers that tell of a lost one
SNAPSHOT_PAUSE_S = 0.5                      # after one that was refused


def messages_of(payload: bytes, count: int) -> list | None:
    """The `count` messages of a MoldUDP64 packet; None when they and its length disagree."""
    off, total, messages = _HEADER.size, len(payload), []
    if count == 1 and total > 21:
        return [payload[22:]] if (payload[20] << 8 | payload[21]) == total - 22 else None
    for _ in range(count):
        start = off + 2
        if start > total:
            return None
        off = start + (payload[off] << 8 | payload[off + 1])
        messages.append(payload[start:off])
    return messages if off == total else None


class FeedHandler:
    """Follows one partition's feed on the interface with address `ip`; feed B on that with address
    `ip_b`, where B comes by a network of its own.

    on_message(number, message) is called for each ITCH message after the books took it;
    on_packet(side, payload) for each packet before anything else; side: "a", "b", "rerequest".
    on_snapshot(first, next) when a snapshot took the place of the messages [first, next).
    `books` is current after every poll, `ended` turns True at the end of the session, and
    `statistics()` says what happened. `receive_bytes`: buffer of each feed's socket. login:
    (account, password) that may have snapshots; hole_max: larger holes are not asked for.

    OSError when a group cannot be joined. A FeedError of the books leaves `poll` after the number
    of the message that caused it; the messages behind it are asked for again.
    """

    def __init__(self, partition, ip, on_message=None, *, on_packet=None, retry_s=0.02,
                 clock=time.monotonic, receive_bytes=1 << 26, ip_b="", login=(), hole_max=50_000,
                 on_snapshot=None):
        self.partition, self.on_message, self.on_packet = partition, on_message, on_packet
        self.login, self.hole_max, self.on_snapshot, self.ip = login, hole_max, on_snapshot, ip
        self.joining, self.join_at, self.stuck = None, 0.0, (0, 0.0, 0)
        self.retry_s, self.clock = retry_s, clock
        self.counts = dict.fromkeys(COUNTS, 0)
        self.sockets, self.poller, self.names = [], select.poll(), {}
        self.asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.asker.bind((ip, 0))
            for group, address in ((partition.group_a, ip), (partition.group_b, ip_b or ip)):
                self.sockets.append(join(group, partition.feed_port, address, receive_bytes))
        except OSError:
            self.close()
            raise
        for idx, sock in enumerate((*self.sockets, self.asker)):
            self.names[sock.fileno()] = idx, ("a", "b", "rerequest")[idx]
            self.poller.register(sock, select.POLLIN)
        self.session, self.past = b"", set()
        self._restart()

    def _restart(self):
        self.books = Books()
        self._leave_joining()
        self.hole_stop = self.ahead = self.beyond = self.asked = 0
        self.window, self.refused = AHEAD, False
        self.stream = InOrder(1, self.counts, self.retry_s, PROGRESS_S)

    def poll(self, timeout: float = 0.0, packet_max: int = 4096) -> int:
        """Takes what has arrived, at most `packet_max` packets of each socket; how many.

        Waits up to `timeout` s for the first, or until a missing message must be asked for again.
        """
        wait = max(0.0, min(timeout, self.asks_in(self.clock())))
        taken, everyone = 0, (*self.sockets, self.asker)
        for fd, _ in self.poller.poll(wait * 1000):
            if fd not in self.names:
                continue                        # a snapshot's, which has its turn below
            idx, name = self.names[fd]
            sock = everyone[idx]
            for _ in range(packet_max):
                try:
                    payload = sock.recv(PACKET_MAX, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                self.counts["packets_" + name] += 1
                if self.on_packet is not None:
                    self.on_packet(name, payload)
                taken += 1
                self.take(payload, name)
        self._ask()
        if self.login:
            self._join(self.clock())
        return taken

    def take(self, payload: bytes, side: str) -> None:
        """One packet of side "a", "b" or "rerequest". FeedError when its messages contradict."""
        if len(payload) < _HEADER.size:
            self.counts["malformed"] += 1
            return
        session, seq, count = _HEADER.unpack_from(payload)
        stream = self.stream
        if session == self.session and 0 < seq <= stream.expected - count < stream.expected:
            self.counts["duplicates"] += 1      # the other feed's copy: half of all packets
            return
        messages = messages_of(payload, count if count < END_OF_SESSION else 0)
        if messages is None or seq == 0:
            self.counts["malformed"] += 1
            return
        if session != self.session:
            if side == "rerequest" or session in self.past:
                self.counts["stale"] += 1       # an answer or a late packet of an earlier session
                return
            self._begin(session)
            stream = self.stream
        if not messages:
            self.counts["heartbeats"] += count == 0
            stream.tell(seq, count == END_OF_SESSION)
        elif stream.take(seq, messages):
            if side != "rerequest":
                self.counts["first_on_" + side] += 1
            elif seq > stream.expected:
                self.beyond += 1
                if self.beyond == HURRY:
                    self.asked = 0
                    stream.hurry()
            self._deliver()

    def _begin(self, session):
        if self.session:
            self.past.add(self.session)
        self.session = session
        self.counts["sessions"] += 1
        self._restart()

    def _deliver(self):
        apply, hook = self.books.apply, self.on_message
        for number, message in self.stream.due():
            apply(message)
            if hook is not None:
                hook(number, message)

    def _ask(self):
        stream = self.stream
        if self._awaits_snapshot():
            return
        wanted = stream.ask(self.clock())
        if wanted is not None:
            self.beyond = 0                     # fewer while the host does not answer
            self.window = self.window // 2 if wanted[0] == self.asked else min(
                AHEAD, self.window + 1)
            self.asked = wanted[0]
            if stream.expected >= self.hole_stop:
                self.hole_stop = sum(wanted)
                self.ahead = 0 if wanted[1] > LARGE else self.hole_stop
            self._request(*wanted)
        self.ahead = max(self.ahead, stream.expected + AHEAD_SZ)
        while self.ahead < min(self.hole_stop, stream.expected + self.window * AHEAD_SZ):
            self._request(self.ahead, min(AHEAD_SZ, self.hole_stop - self.ahead))
            self.ahead += AHEAD_SZ

    def _request(self, number, count):
        self.counts["requests"] += 1
        try:
            self.asker.sendto(build_request(self.session, number, count),
                              (self.partition.rerequest_ip, self.partition.rerequest_port))
        except OSError:
            self.counts["unsent"] += 1          # like a lost one: asked again after retry_s

    # -- snapshots -------------------------------------------------------------------------------

    def _join(self, now):
        """Begins a snapshot where re-requests do not help, and takes what has come of it."""
        stream = self.stream
        if self.joining is None:
            if not self._is_stuck(now) or now < self.join_at:
                return
            self.join_at = now + SNAPSHOT_PAUSE_S
            try:
                self.joining = Joining(self.partition, *self.login, self.session.decode(), self.ip,
                                       now)
            except OSError:
                self._failed(now)
                return
            self.poller.register(self.joining.sock, select.POLLIN)
        try:
            if not self.joining.turn(now):
                return
        except SnapshotRefused:
            self._failed(now)
            return
        done, first = self.joining, stream.expected
        self._leave_joining()
        if done.session.encode() == self.session and done.next_seq > first:
            self.counts["snapshots"] += 1
            self.counts["skipped"] += done.next_seq - first
            self.books = done.books
            stream.skip(done.next_seq)
            if self.on_snapshot is not None:
                self.on_snapshot(first, done.next_seq)
            self._deliver()

    def _is_stuck(self, now):
        """Whether what is missing will not come by asking."""
        stream, (number, since, requests) = self.stream, self.stuck
        if not stream.lacking or number != stream.expected:
            self.stuck = stream.expected, now, self.counts["requests"]
            return stream.lacking and stream.newest - stream.expected > self.hole_max
        return (stream.newest - stream.expected > self.hole_max or now - since >= STUCK_S
                and self.counts["requests"] - requests >= STUCK_REQUESTS)

    def _awaits_snapshot(self):
        """Whether there is too much to ask for, and no snapshot was refused yet."""
        return (bool(self.login) and not self.refused
                and self.stream.newest - self.stream.expected > self.hole_max)

    def asks_in(self, now: float) -> float:
        """Seconds until a request or a snapshot has its turn though nothing arrives."""
        return self.retry_s if self._awaits_snapshot() else self.stream.asks_in(now)

    def _failed(self, now):
        self.counts["snapshots_failed"] += 1
        self.join_at, self.refused = now + SNAPSHOT_PAUSE_S, True
        self._leave_joining()

    def _leave_joining(self):
        if self.joining is not None:
            if self.joining.sock.fileno() >= 0:
                self.poller.unregister(self.joining.sock)
            self.joining.close()
            self.joining = None

    def all_sockets(self) -> list:
        """Every socket that may become readable."""
        return [*self.sockets, self.asker, *([self.joining.sock] if self.joining else [])]

    @property
    def expected(self) -> int:
        """Number of the next message to deliver."""
        return self.stream.expected

    @property
    def ended(self) -> bool:
        """Whether the session has ended and every message of it was delivered."""
        return self.stream.ended

    def missing(self) -> int:
        """Messages known to exist and not received."""
        return self.stream.missing()

    def statistics(self) -> dict:
        """What happened since the start, and in the books of the present session.

        packets_*: by socket; first_on_*: packets that a feed was first to show; duplicates: packets
        with nothing new, not looked into; malformed: not MoldUDP64; stale: of an earlier session;
        gaps: times that messages were found missing; requests (unsent: those that the kernel
        refused); snapshots (and snapshots_failed), skipped: messages in whose place they came;
        overflow: too early while too much was kept; then messages, trades, crossed,
        missing.
        """
        return dict(self.counts, messages=self.books.message_cnt, trades=self.books.trade_cnt,
                    crossed=self.books.crossed_cnt, missing=self.missing())

    def close(self) -> None:
        """Leaves the groups; may be called twice."""
        self._leave_joining()
        for sock in (*self.sockets, self.asker):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
