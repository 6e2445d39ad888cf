"""A hash of a core's state that is cheap enough for every 4,096 commands, and what it said since.

`state` covers the engine's figures, every account and symbol, the best prices and counts of every
side, and the orders of every SHARE-th page: which pages, is told by their account and number and by
`turn`, so that each page has its turn within SHARE checks, whatever its handle. The full hash
(state_hash) is that of the snapshots.

`Said` is the outputs' checksum since a command: of the accounts' streams in the upper half, of the
feed in the lower. `look` has to be called at the same commands wherever it is to come out equal: at
every multiple of CHECK_LOOK. What the feed's log has forgotten in between is not in it.
"""

import hashlib

import numpy as np

from ..layout.journal import CHECK_EVERY
from ..layout.record import ORDER_COLD
from ..layout.shared import CHUNK_SZ
from ..native import ffi, lib
from .sections import ENGINE_ROW, JOURNAL_ROW, SESSION_ROW, SYMBOL_ROW
from .snapshot import feed_pieces

SHARE = 256
_PAGE_ORDERS = 256
_SESSION_FIELDS = tuple(name for name in SESSION_ROW.names if name != "session_name")
_SIDE_FIELDS = ("best_ticks", "order_cnt", "hidden_cnt")
_ENGINE_FIELDS, _JOURNAL_FIELDS = ENGINE_ROW.names, JOURNAL_ROW.names
_COLD_WORDS = ORDER_COLD.size // 8


def state(core, seq: int) -> int:
    """64 bits of the core's state behind command seq."""
    digest = hashlib.blake2b(digest_size=8)
    for records, names in ((core.book.engine, _ENGINE_FIELDS),
                           (core.journal.header, _JOURNAL_FIELDS),
                           (core.accounts.sessions, _SESSION_FIELDS),
                           (core.book.symbols, SYMBOL_ROW.names), (core.book.sides, _SIDE_FIELDS)):
        for name in names:
            digest.update(np.ascontiguousarray(records[name]))
    for part in _sample(core, seq // CHECK_EVERY):
        digest.update(np.ascontiguousarray(part))
    return int.from_bytes(digest.digest(), "little")


def _sample(core, turn):
    """Owners, quantities and terms of the live orders in the pages whose turn it is."""
    pages = core.accounts.pages
    used = np.flatnonzero(pages["live_cnt"])
    account, key = pages["account"][used].astype(np.int64), pages["key"][used].astype(np.int64)
    picked = (account * 31 + key + turn) % SHARE == 0
    used, account, key = used[picked], account[picked], key[picked]
    order = np.lexsort((key, account))
    used = used[order]
    handles = (used[:, None] * _PAGE_ORDERS + np.arange(_PAGE_ORDERS)).reshape(-1)
    orders = core.book.orders
    handles = handles[orders["qty"][handles] != 0]
    cold = core.accounts.cold.view(np.uint64).reshape(-1, _COLD_WORDS)
    return (account[order], key[order], orders["qty"][handles], orders["total"][handles],
            orders["account"][handles], cold[handles])


class Said:
    """The running checksum; `restart` begins anew behind the last `look`."""

    def __init__(self, core):
        self.core, self.streams, self.feed = core, 0, 0
        sessions, heads = core.accounts.sessions, core.streams.heads
        last = sessions["last_chunk"].astype(np.int64)
        self._chunks, self._taken = last, np.where(last, heads["data_off"][last], 0).astype("i8")
        self._told = sessions["next_seq"].copy()
        self._feed_seq = int(core.feed.log[0]["next_seq"])

    def look(self) -> None:
        """Takes what the core has said since the last call."""
        log, sessions = self.core.feed.log[0], self.core.accounts.sessions
        for piece in feed_pieces(self.core.feed, max(self._feed_seq, int(log["oldest_seq"])))[3:]:
            self.feed = _crc(self.feed, piece)
        self._feed_seq = int(log["next_seq"])
        for account in np.flatnonzero(sessions["next_seq"] != self._told).tolist():
            self._stream(account)
        self._told[:] = sessions["next_seq"]

    def _stream(self, account):
        streams, taken = self.core.streams, int(self._taken[account])
        chunk = int(self._chunks[account]) or int(
            self.core.accounts.sessions[account]["first_chunk"])
        while chunk:
            end, base = int(streams.heads[chunk]["data_off"]), chunk * CHUNK_SZ
            self.streams = _crc(self.streams, streams.data[base + taken:base + end])
            self._chunks[account], self._taken[account] = chunk, end
            chunk, taken = int(streams.heads[chunk]["next"]), 0

    def restart(self) -> int:
        """The checksum since the last restart."""
        found, self.streams, self.feed = self.streams << 32 | self.feed, 0, 0
        return found


def _crc(value, piece):
    return lib.wm_crc32c(value, ffi.from_buffer(piece), len(piece)) if len(piece) else value
