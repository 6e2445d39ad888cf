"""InOrder: numbered messages from datagrams that get lost, doubled and shuffled, in order and once.

What a receiver of MoldUDP64 must keep in mind (wire-spec 1), for the feed and for an order session
alike: the next number, the newest number known to exist, datagrams that came too early, and when
the missing ones may be asked for.
"""

from heapq import heapify, heappop, heappush

KEPT_MAX = 1 << 16
REQUEST_MAX = 65534
DATAGRAM_MAX = 128                          # no datagram has as many messages
LOST_MAX = 4                                # answers in a row that chance may lose
DOUBT_MAX = 16                              # ... and that a host with a limit may refuse


class InOrder:
    """One stream. Numbers count messages, times are seconds of the caller's clock.

    expected: next number to hand out. newest: one past the highest number known to exist.
    retry_s: an unanswered request is repeated after this; progress_s: the least time between two
    requests while the answers come. After LOST_MAX requests without an answer each is for half as
    many messages, down to one, and for twice as many after an answer: a path may take less than the
    datagrams that a host fills. A number that was answered is halved only after DOUBT_MAX of them:
    a host with a limit refuses some. `counts` gets "gaps", "duplicates" and "overflow" (datagrams
    that came too early when KEPT_MAX others were kept already; they are asked for again).
    """

    def __init__(self, first: int, counts: dict, retry_s: float, progress_s: float):
        self.counts, self.retry_s, self.progress_s = counts, retry_s, progress_s
        self.end_seq = 0                        # next number at the end of the session, once told
        self.kept, self.order = {}, []          # first number -> blocks; heap of those numbers
        self.begin(first)

    def begin(self, first: int) -> None:
        """Nothing was taken yet, and `first` is the next number."""
        self.expected = self.newest = self.asked_for = first
        self.asked_at, self.asked_cnt = -1e9, 0
        self.most, self.good, self.lost_cnt = REQUEST_MAX, 1, 0

    @property
    def lacking(self) -> bool:
        """Whether a message is known to exist that was not handed out."""
        return self.newest > self.expected

    @property
    def ended(self) -> bool:
        """Whether the session has ended and every message of it was handed out."""
        return 0 < self.end_seq <= self.expected

    def tell(self, newest: int, end: bool = False) -> None:
        """A heartbeat or an end of session names the next number to come."""
        if end:
            self.end_seq = newest
        self._know(newest, newest > self.expected)

    def take(self, seq: int, blocks) -> bool:
        """Takes the messages seq, seq + 1 ...; False when nothing in them is new."""
        end = seq + len(blocks)
        if seq == self.expected and not self.order:         # as nearly always
            if end > self.newest:
                self.newest = end
            self.kept[seq] = blocks
            self.order.append(seq)
            return True
        if end <= self.expected or len(self.kept.get(seq, ())) >= len(blocks):
            self.counts["duplicates"] += 1
            return False
        self._know(end, seq > self.expected)
        if seq > self.expected and len(self.kept) >= KEPT_MAX:
            self.counts["overflow"] += 1
            return False
        if seq not in self.kept:
            heappush(self.order, seq)
        self.kept[seq] = blocks
        return True

    def due(self):
        """Yields (number, message) while the next number is there.

        A number counts as handed out before its message is yielded: one whose consumer raises is
        not repeated, and the rest of its datagram becomes a hole to ask for.
        """
        kept, order = self.kept, self.order
        while order and order[0] <= self.expected:
            seq = heappop(order)
            blocks = kept.pop(seq)
            if seq < self.expected:
                blocks = blocks[self.expected - seq:]
            for number, block in enumerate(blocks, self.expected):
                self.expected = number + 1
                yield number, block

    def skip(self, number: int) -> None:
        """What comes before `number` is not needed any more."""
        if number <= self.expected:
            return
        self.expected, self.newest = number, max(self.newest, number)
        self.kept = {seq: blocks for seq, blocks in self.kept.items()
                     if seq + len(blocks) > number}
        self.order = list(self.kept)
        heapify(self.order)

    def ask(self, now: float) -> tuple | None:
        """(first, count) of the missing messages to request at this time, None when none is due."""
        if not self.lacking or self.asks_in(now) > 0:
            return None
        if self.expected > self.asked_for:
            if self.asked_cnt:
                self.good = self.asked_cnt
            self.most, self.lost_cnt = min(2 * self.most, REQUEST_MAX), 0
        elif self.asked_cnt:
            self.lost_cnt += 1
        if self.lost_cnt >= LOST_MAX or self.lost_cnt and self.most < REQUEST_MAX:
            if self.lost_cnt % DOUBT_MAX == 0:
                self.good = max(1, min(self.good, DATAGRAM_MAX) // 2)
            self.most = max(self.good, min(self.asked_cnt, DATAGRAM_MAX) // 2)
        stop = self.order[0] if self.order else self.newest
        self.asked_cnt = min(stop - self.expected, self.most)
        self.asked_at, self.asked_for = now, self.expected
        return self.expected, self.asked_cnt

    def hurry(self) -> None:
        """The newest request or its answer is lost, as answers to later ones tell: the next is due
        at once."""
        self.asked_at = -1e9

    def asks_in(self, now: float) -> float:
        """Seconds until the next request is due; infinite when nothing is missing."""
        if not self.lacking:
            return float("inf")
        moved = self.expected > self.asked_for
        return max(0.0, self.asked_at + (self.progress_s if moved else self.retry_s) - now)

    def missing(self) -> int:
        """How many messages are known to exist and were never received."""
        total, at = 0, self.expected
        for seq in sorted(self.kept):
            total += max(0, seq - at)
            at = max(at, seq + len(self.kept[seq]))
        return total + max(0, self.newest - at)

    def _know(self, newest, hole):
        if hole and not self.lacking:
            self.counts["gaps"] += 1
        self.newest = max(self.newest, newest)
