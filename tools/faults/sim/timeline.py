"""Virtual time: a heap of what is due, one clock for everybody, and a digest of all that happens.

    timeline.after(ns, call)        later; calls of one instant keep their order
    timeline.run(until_ns)          until then, or until nothing is due
    timeline.note("send", ...)      goes into the digest, and into the trace where one is wanted

`Clock` stands where a module has imported `time`.
"""

import hashlib
import heapq

MIDNIGHT_NS = 1_767_225_600_000_000_000       # 2026-01-01, UTC
OPENS_NS = 34_200_000_000_000
LOOKS = 32                     # calls between two looks at whether all is done


class Timeline:
    """trace: called with each line, or None."""

    def __init__(self, trace=None):
        self.now_ns, self.heap, self.count, self.trace = OPENS_NS, [], 0, trace
        self.sum = hashlib.blake2b(digest_size=16)

    def after(self, ns: int, call) -> None:
        """Has `call()` made in so many nanoseconds."""
        self.count += 1
        heapq.heappush(self.heap, (self.now_ns + max(0, int(ns)), self.count, call))

    def run(self, until_ns: int, done=lambda: False) -> bool:
        """Makes the calls up to that instant; whether `done()`, asked now and then, was true."""
        turns = 0
        while self.heap and self.heap[0][0] <= until_ns:
            turns += 1
            if turns % LOOKS == 0 and done():
                return True
            due_ns, _, call = heapq.heappop(self.heap)
            self.now_ns = max(self.now_ns, due_ns)
            call()
        if not done():
            self.now_ns = max(self.now_ns, until_ns)
            return False
        return True

    def note(self, what: str, *details) -> None:
        """Something has happened: texts, numbers or bytes."""
        self.sum.update(f"{self.now_ns} {what}".encode())
        for each in details:
            self.sum.update(each if isinstance(each, bytes) else str(each).encode())
        if self.trace is not None:
            words = (each.hex() if isinstance(each, bytes) else str(each) for each in details)
            self.trace(f"{(self.now_ns - OPENS_NS) / 1e9:13.9f} {what} {' '.join(words)}")

    def seconds(self) -> float:
        """The clock of those who count in seconds."""
        return self.now_ns / 1e9


class Clock:
    """What the appliance takes from `time`."""

    def __init__(self, timeline):
        self.timeline = timeline

    def monotonic_ns(self) -> int:
        """Nanoseconds of the day."""
        return self.timeline.now_ns

    def monotonic(self) -> float:
        """Seconds of the day."""
        return self.timeline.seconds()

    def time_ns(self) -> int:
        """The wall clock."""
        return MIDNIGHT_NS + self.timeline.now_ns

    def sleep(self, seconds) -> None:
        """Time passes for everybody at once."""
        self.timeline.now_ns += int(seconds * 1e9)
