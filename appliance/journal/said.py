"""What a core has said since the last look: messages as bytes, each account's and the feed's.

Whoever looks after each command knows which command a message came of.
"""

from ..layout.shared import CHUNK_SZ
from .outputs import Missed
from .snapshot import feed_pieces

_KIND_SZ = 1                   # of a stream's packets: the letter S of SoupBinTCP


class Said:
    """Cursors at the end of every stream and of the feed of a core."""

    def __init__(self, core):
        self.core, self.feed_seq = core, 1
        self._next = core.accounts.sessions["next_seq"].copy()
        self._places = [(0, 0)] * len(self._next)             # (chunk, bytes of it that were taken)

    def streams(self, first=0) -> list:
        """(account index, number in its stream, OUCH message), account `first` before others."""
        following = self.core.accounts.sessions["next_seq"]
        changed = (following != self._next).nonzero()[0].tolist()
        found = []
        for account in sorted(changed, key=lambda each: (each != first, each)):
            number = int(self._next[account])
            messages = self._fresh(account)
            found += [(account, number + at, message) for at, message in enumerate(messages)]
            self._next[account] = following[account]
        return found

    def _fresh(self, account):
        streams, (chunk, taken) = self.core.streams, self._places[account]
        chunk, found = chunk or int(self.core.accounts.sessions[account]["first_chunk"]), []
        while chunk:
            end, base = int(streams.heads[chunk]["data_off"]), chunk * CHUNK_SZ
            found += _cut(streams.data[base + taken:base + end].tobytes(), _KIND_SZ)
            self._places[account] = chunk, end
            chunk, taken = int(streams.heads[chunk]["next"]), 0
        return found

    def feed(self) -> list:
        """(number, ITCH message). Missed, when a part of them is gone."""
        log, number = self.core.feed.log[0], self.feed_seq
        if number == int(log["next_seq"]):
            return []
        if number < int(log["oldest_seq"]):
            raise Missed(f"feed messages {number} to {int(log['oldest_seq']) - 1} are gone: one "
                         "command said more than feed_bytes holds")
        self.feed_seq = int(log["next_seq"])
        messages = [message for piece in feed_pieces(self.core.feed, number)[3:]
                    for message in _cut(piece.tobytes(), 0)]
        return list(enumerate(messages, number))


def _cut(data, kind_sz):
    """Messages behind their lengths of two bytes, without the letters of their packets."""
    found, at = [], 0
    while at < len(data):
        size = data[at] << 8 | data[at + 1]
        found.append(data[at + 2 + kind_sz:at + 2 + size])
        at += 2 + size
    return found
