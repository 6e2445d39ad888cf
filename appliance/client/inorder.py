"""InOrder: numbered messages from datagrams that get lost, doubled and shuffled, in order and once.

What a receiver of MoldUDP64 must keep in mind (wire-spec 1), for the feed and for an order session
alike: the next number, the newest number known to exist, datagrams that came too early, and when
the missing ones may be asked for.
"""

from heapq import heappop, heappush

KEPT_MAX = 1 << 16
REQUEST_MAX = 65534


class InOrder:
    """One stream. Numbers count messages, times are seconds of the caller's clock.

    expected: next number to hand out. newest: one past the highest number known to exist.
    retry_s: an unanswered request is repeated after this; progress_s: the least time between two
    requests while the answers come. `counts` gets "gaps", "duplicates" and "overflow" (datagrams
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
        self.asked_at = -1e9

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

    def ask(self, now: float) -> tuple | None:
        """(first, count) of the missing messages to request at this time, None when none is due."""
        if not self.lacking or self.asks_in(now) > 0:
            return None
        self.asked_at, self.asked_for = now, self.expected
        stop = self.order[0] if self.order else self.newest
        return self.expected, min(stop - self.expected, REQUEST_MAX)

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
