"""Snapshots of the displayed book as SoupBinTCP packets, from an image that follows the feed's log.

    snapshots.follow(most)          in bursts: what has been published since
    data, next_seq = snapshots.take(now)

The image's arrays lie in shared memory, so a recovery that is started again goes on where the dead
one was. Where that cannot be (the log has overtaken the image, or the process was killed inside a
burst) and the log does not begin with the day, there are no snapshots until the next instance:
`why_not` says so, and nothing wrong is ever told.
"""

import time

import numpy as np

from appliance.hot import image as hot_image
from appliance.layout import shared
from appliance.layout.wire_itch import ITCH
from appliance.stages.soup import packet

BURST = 65536              # messages followed in one call
FRESH_S = 0.25             # two joiners within this time get the same snapshot; longer where it
SHARE = 20                 # takes long to make: at most one part in so many of this process's time
_FAULTS = {shared.IMAGE_LAPPED: "the feed's log has overtaken it", shared.IMAGE_STRANGE:
           "the feed contradicts itself", shared.IMAGE_FULL: "it has no place for an order",
           shared.IMAGE_TORN: "recovery was killed while it was writing it"}
_DIRECTORY_SZ, _ACTION_SZ = ITCH["R"].size, ITCH["H"].size


class Snapshots:
    """reader: FeedReader. image: hot/image.py Image over the reader's arrays, new or taken over."""

    def __init__(self, reader, image, first_locate):
        self.reader, self.image = reader, image
        head, oldest = image.head[0], reader.bounds()[0]
        why = int(head["fault"]) or (shared.IMAGE_TORN if head["busy"] else 0)
        if int(head["next_seq"]) == 0:         # new and all zero: no page of it need be touched
            head["next_seq"] = 1
        elif why or int(head["next_seq"]) < oldest:
            self._clear()
        if int(head["next_seq"]) < oldest:
            head["fault"] = why or shared.IMAGE_LAPPED
        head["first_locate"] = first_locate
        self.made, self.made_s, self.fresh_s = None, 0.0, FRESH_S

    def _clear(self):
        for array in (self.image.head, self.image.chains, self.image.orders, self.image.symbols):
            array[:] = np.zeros(1, array.dtype)[0]
        self.image.head[0]["next_seq"] = 1

    @property
    def why_not(self) -> str:
        """Why there is no snapshot to be had; "" when there is."""
        return _FAULTS.get(int(self.image.head[0]["fault"]), "")

    def follow(self, most: int = BURST) -> int:
        """Applies what has been published, at most `most` messages; how many it were."""
        limit = self.reader.bounds()[1]
        if int(self.image.head[0]["next_seq"]) >= limit or self.why_not:
            return 0
        return int(hot_image.follow(self.image, limit, most))

    def load(self) -> None:
        """Compiles or loads the kernels, which needs rights."""
        hot_image.follow(self.image, 0, 0)
        hot_image.write_orders(self.image, np.zeros(0, np.int64), np.zeros(0, np.uint8), 0)

    def take(self, now: float) -> tuple[bytes, int]:
        """(Sequenced Data packets, the feed number to go on with): R, H, A and F, and last G.

        Orders come in the order in which the feed displayed them, which is their priority at a
        price.
        """
        if self.made is None or now - self.made_s > self.fresh_s:
            begun = time.thread_time()
            self.made, self.made_s = self._make(), now
            self.fresh_s = max(FRESH_S, SHARE * (time.thread_time() - begun))
        return self.made

    def _make(self):
        limit = self.reader.bounds()[1]
        while int(self.image.head[0]["next_seq"]) < limit and not self.why_not:
            hot_image.follow(self.image, limit, BURST)
        next_seq, orders = int(self.image.head[0]["next_seq"]), self.image.orders
        rows = self.image.symbols.reshape(-1, hot_image.SYMBOL_SZ)
        fronts = [packet("S", row[:_DIRECTORY_SZ].tobytes()) for row in rows if row[0]]
        fronts += [packet("S", row[_DIRECTORY_SZ:_DIRECTORY_SZ + _ACTION_SZ].tobytes())
                   for row in rows if row[_DIRECTORY_SZ]]
        front, end = b"".join(fronts), packet("S", b"G%20d" % next_seq)
        places = np.flatnonzero(orders["shares"])
        places = places[np.argsort(orders["seq"][places])]
        out = np.empty(len(front) + len(places) * (ITCH["F"].size + 3) + len(end), np.uint8)
        out[:len(front)] = np.frombuffer(front, np.uint8)
        off = int(hot_image.write_orders(self.image, places, out, len(front)))
        out[off:off + len(end)] = np.frombuffer(end, np.uint8)
        return memoryview(out)[:off + len(end)], next_seq
