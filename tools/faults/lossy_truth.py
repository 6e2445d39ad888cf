"""What a day's journal says was told: checksums of every stream and of the feed, and its books at
any number. Nothing of it comes from the running appliance or from those who listened to it.
"""

import numpy as np

from appliance.client.book import Books
from appliance.journal.genesis import build_core
from appliance.journal.outputs import Missed, Outputs
from appliance.journal.replay import apply
from appliance.journal.scan import read, scan
from appliance.journal.snapshot import feed_pieces
from appliance.layout.record import COMMAND, DETAIL, IGNORE, LOGIN, SKIP

BURST = 2000


class Truth:
    """The journal in `directory` replayed up to command `last_seq`.

    feed_seq: next number of the feed; feed, streams: checksums; stream_seqs: next number of each
    account's stream; books: at the end; books_at: {number: digest of the books} for `numbers`.
    taken: {account: number of its last message upstream}; out_of_turn: messages that were not the
    next of their account, as of one that was applied twice or left out; skips: holes given up.
    """

    def __init__(self, directory, last_seq, numbers=()):
        self.found = scan(directory)
        core = build_core(self.found.genesis)
        outputs, self.books, self.books_at = Outputs(core), Books(), {}
        self.number, self.wanted = 1, set(numbers)
        self._note()
        self.taken, self.out_of_turn, self.skips = {}, 0, 0
        for records in read(directory):
            for first in range(0, len(records), BURST):
                part = records[first:first + BURST]
                part = part[:max(0, last_seq + 1 - int(part["seq"][0]))]
                if not len(part):
                    break
                self._count(part)
                apply(core, part, BURST)
                self._follow(core)
                outputs.follow()
        self.feed_seq, self.feed, self.streams = outputs.feed_seq, outputs.feed, outputs.streams
        self.stream_seqs = [int(each) for each in core.accounts.sessions["next_seq"]]

    def _count(self, part):
        """The orders' numbers upstream, which must be 1, 2, 3 ... of each account."""
        commands = np.ascontiguousarray(part["command"]).view(COMMAND.dtype).reshape(-1)
        details = np.ascontiguousarray(part["detail"]).view(DETAIL.dtype).reshape(-1)
        kinds, accounts = commands["kind"], commands["account"]
        self.skips += int((kinds == SKIP).sum())
        numbers = np.where(kinds == LOGIN, 0, details["upstream_seq"]).astype(np.int64)
        counted = (kinds <= IGNORE) | (kinds == LOGIN)       # a login begins anew
        for account in np.unique(accounts[counted]).tolist():
            own = counted & (accounts == account)
            steps = np.diff(numbers[own], prepend=self.taken.get(account, 0))
            self.out_of_turn += int(((steps != 1) & (kinds[own] != LOGIN)).sum())
            self.taken[account] = int(numbers[own][-1])

    def _follow(self, core):
        """Takes the new messages of the feed into the books."""
        if self.number < int(core.feed.log[0]["oldest_seq"]):
            raise Missed("the feed's log is too small for one burst of the replay")
        for piece in feed_pieces(core.feed, self.number)[3:]:
            data, off = piece.tobytes(), 0
            while off < len(data):
                end = off + 2 + (data[off] << 8 | data[off + 1])
                self.books.apply(data[off + 2:end])
                off, self.number = end, self.number + 1
                self._note()

    def _note(self):
        if self.number in self.wanted:
            self.books_at[self.number] = self.books.digest()
