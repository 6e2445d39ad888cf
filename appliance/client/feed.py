"""FeedHandler: both feeds of a partition, every message once and in order, books always current.

    A packets --+
                +--> arbitration by number --> in order --> books, on_message
    B packets --+        | hole on both
                         +--> re-request, unicast, from a socket of its own --> in order

Whichever feed shows a number first delivers it. A hole is asked for at once, again as answers come,
and every `retry_s` while none does; what comes meanwhile is kept. A session name not seen before is
a new day or a restarted partition: books start afresh and the first number is 1 again.
"""

import select
import socket
import struct
import time

from ..host.nic import join
from ..layout.datagram import build_request
from .book import Books
from .inorder import InOrder

_HEADER = struct.Struct(">10sQH")
END_OF_SESSION = 0xFFFF
PROGRESS_S = 0.0002
COUNTS = ("packets_a", "packets_b", "packets_rerequest", "first_on_a", "first_on_b", "duplicates",
          "overflow", "heartbeats", "malformed", "stale", "gaps", "requests", "unsent", "sessions")


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
    """Follows one partition's feed on the interface with address `ip`.

    on_message(number, message) is called for each ITCH message after the books took it;
    on_packet(side, payload) for each packet before anything else; side: "a", "b", "rerequest".
    `books` is current after every poll, `ended` turns True at the end of the session, and
    `statistics()` says what happened. `receive_bytes`: buffer of each feed's socket.

    OSError when a group cannot be joined. A FeedError of the books leaves `poll` after the number
    of the message that caused it; the messages behind it are asked for again.
    """

    def __init__(self, partition, ip, on_message=None, *, on_packet=None, retry_s=0.02,
                 clock=time.monotonic, receive_bytes=1 << 26):
        self.partition, self.on_message, self.on_packet = partition, on_message, on_packet
        self.retry_s, self.clock = retry_s, clock
        self.counts = dict.fromkeys(COUNTS, 0)
        self.sockets, self.poller, self.names = [], select.poll(), {}
        self.asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.asker.bind((ip, 0))
            for group in (partition.group_a, partition.group_b):
                self.sockets.append(join(group, partition.feed_port, ip, receive_bytes))
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
        self.stream = InOrder(1, self.counts, self.retry_s, PROGRESS_S)

    def poll(self, timeout: float = 0.0, packet_max: int = 4096) -> int:
        """Takes what has arrived, at most `packet_max` packets of each socket; how many.

        Waits up to `timeout` s for the first, or until a missing message must be asked for again.
        """
        wait = max(0.0, min(timeout, self.stream.asks_in(self.clock())))
        taken, everyone = 0, (*self.sockets, self.asker)
        for fd, _ in self.poller.poll(wait * 1000):
            idx, name = self.names[fd]
            sock = everyone[idx]
            for _ in range(packet_max):
                try:
                    payload = sock.recv(2048, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                self.counts["packets_" + name] += 1
                if self.on_packet is not None:
                    self.on_packet(name, payload)
                taken += 1
                self.take(payload, name)
        self._ask()
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
        wanted = self.stream.ask(self.clock())
        if wanted is None:
            return
        self.counts["requests"] += 1
        try:
            self.asker.sendto(build_request(self.session, *wanted),
                              (self.partition.rerequest_ip, self.partition.rerequest_port))
        except OSError:
            self.counts["unsent"] += 1          # like a lost one: asked again after retry_s

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
        refused); overflow: too early while too much was kept; then messages, trades, crossed,
        missing.
        """
        return dict(self.counts, messages=self.books.message_cnt, trades=self.books.trade_cnt,
                    crossed=self.books.crossed_cnt, missing=self.missing())

    def close(self) -> None:
        """Leaves the groups; may be called twice."""
        for sock in (*self.sockets, self.asker):
            sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
