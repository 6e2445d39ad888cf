"""A running checksum of everything a core says: each account's stream, and the feed.

It takes what is new since the last call, so a feed log that has forgotten the day's beginning does
not matter as long as somebody looks often enough, and what it comes to depends on neither the burst
size nor how often anybody looks.
"""

import numpy as np

from ..layout.shared import CHUNK_SZ
from ..native import ffi, lib
from .snapshot import feed_pieces


class Missed(Exception):
    """Feed messages were pushed out of the log before they were looked at."""


class Outputs:
    """CRC32C of every stream and of the feed of a core, from its first command on."""

    def __init__(self, core):
        self.core, count = core, len(core.accounts.sessions)
        self.streams, self.feed, self.feed_seq = [0] * count, 0, 1
        self._places = [(0, 0)] * count               # (chunk, bytes of it that were taken)
        self.follow()

    def follow(self) -> None:
        """Takes what the core has appended since. Missed, when a part of it is gone."""
        log = self.core.feed.log[0]
        if self.feed_seq < int(log["oldest_seq"]):
            raise Missed(f"feed messages {self.feed_seq} to {int(log['oldest_seq']) - 1} are gone: "
                         "follow more often, or make feed_bytes larger")
        for piece in feed_pieces(self.core.feed, self.feed_seq)[3:]:
            self.feed = _crc(self.feed, piece)
        self.feed_seq = int(log["next_seq"])
        for account in range(len(self.streams)):
            self._stream(account)

    def _stream(self, account):
        streams, (chunk, taken) = self.core.streams, self._places[account]
        chunk = chunk or int(self.core.accounts.sessions[account]["first_chunk"])
        while chunk:
            end, base = int(streams.heads[chunk]["data_off"]), chunk * CHUNK_SZ
            fresh = streams.data[base + taken:base + end]
            self.streams[account] = _crc(self.streams[account], fresh)
            self._places[account] = chunk, end
            chunk, taken = int(streams.heads[chunk]["next"]), 0

    def digest(self) -> int:
        """64 bits: the streams' in the upper half, the feed's in the lower."""
        streams = _crc(0, np.array(self.streams, "<u4").view(np.uint8))
        return streams << 32 | self.feed


def _crc(value, piece):
    return lib.wm_crc32c(value, ffi.from_buffer(piece), len(piece)) if len(piece) else value
