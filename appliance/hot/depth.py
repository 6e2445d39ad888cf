"""Depth for other processes: each symbol's best levels in shared memory, under a sequence lock.

A symbol's row of the block is a DEPTH record, then DEPTH_LEVELs: `levels` buys from the best on, as
many sells. `seq` is odd while the row is written; readers read, and read again when `seq` was odd
or has changed (native/seqlock.c). Every word is stored by release, so no store passes the one
before it, on any CPU.

Which symbols have changed is read off the feed: whatever changes a book says so there. They queue,
each at most once, and `follow` publishes one of them in a pass of the burst loop that found no
frames: so an order waits for one publication at most. While every pass has frames, one comes every
LAG_NS: the quantities are added up over the orders of each level, which costs microseconds where
those are not in the cache (`wirematch bench depth`).
"""

import numpy as np
from numba import int64, njit, uint64

from ..layout.shared import DEPTH, DEPTH_LEVEL
from .book import BOOK_TYPE
from .depth_state import (
    HEAD_WORDS, LAST_NS, LEVEL_WORDS, LEVELS, SEEN_SEQ, TOUCHED_HEAD, TOUCHED_TAIL, WORDS,
)
from .endian import load_be16
from .fence import store_release_u64
from .kernel import later
from .level_sum import level_sum
from .levels import next_best
from .types import FEED, I64, INLINE, KERNEL, VOID

LAG_NS = 1_000_000

_SEQ, _FEED_SEQ, _TIME, _COUNTS = (DEPTH[name].off // 8
                                   for name in ("seq", "feed_seq", "time_ns", "bid_cnt"))
assert (DEPTH["ask_cnt"].off == DEPTH["bid_cnt"].off + 4 and DEPTH_LEVEL["orders"].off == 4
        and DEPTH_LEVEL["qty"].off == 8), "publish_symbol writes these fields as whole words"
_BLOCK_HEAD, _LOCATE = 2, 1          # of a feed message: bytes in front, and where its locate is
_LOW = 0xFFFF_FFFF
_NO_ASK = 2147483647


@later(VOID(BOOK_TYPE, uint64[::1], I64, I64, I64, I64), **KERNEL)
def publish_symbol(book, depth, symbol, levels, feed_seq, now):
    """Writes a symbol's row anew: at most `levels` prices a side, as they stand now."""
    row = symbol * (np.int64(depth.size) // np.int64(book.symbols.size))
    seq = depth[row + _SEQ]
    store_release_u64(depth, row + _SEQ, seq + np.uint64(1))
    store_release_u64(depth, row + _FEED_SEQ, np.uint64(feed_seq))
    store_release_u64(depth, row + _TIME, np.uint64(now))
    counts, place = np.int64(0), row + HEAD_WORDS
    for side in range(2):
        owner, used = symbol << 1 | side, np.int64(0)
        price_ticks = np.int64(book.sides[owner]["best_ticks"])
        word = place + side * levels * LEVEL_WORDS
        while used < levels and price_ticks >= 0 and price_ticks < _NO_ASK:
            qty, order_cnt = level_sum(book, owner, price_ticks)
            store_release_u64(depth, word, np.uint64(price_ticks & _LOW | order_cnt << 32))
            store_release_u64(depth, word + 1, np.uint64(qty))
            word += LEVEL_WORDS
            used += 1
            price_ticks = next_best(book, owner, price_ticks)
        counts |= used << (32 * side)
    store_release_u64(depth, row + _COUNTS, np.uint64(counts))
    store_release_u64(depth, row + _SEQ, seq + np.uint64(2))


@later(VOID(int64[::1], I64, I64), **INLINE)
def _touch(touched, symbol_cnt, symbol):
    """A symbol joins the queue, unless it is in it."""
    if touched[WORDS + symbol_cnt + symbol] == 0:
        touched[WORDS + symbol_cnt + symbol] = 1
        touched[WORDS + touched[TOUCHED_TAIL] % symbol_cnt] = symbol
        touched[TOUCHED_TAIL] += 1


@later(I64(BOOK_TYPE, I64), **INLINE)
def _symbol_at(book, locate):
    """Index of the symbol with an ITCH locate, -1 none; as a rule they count on from the first."""
    symbols = book.symbols
    symbol = locate - np.int64(symbols[0]["locate"])
    if symbol >= 0 and symbol < symbols.size and np.int64(symbols[symbol]["locate"]) == locate:
        return symbol
    for symbol in range(symbols.size):
        if np.int64(symbols[symbol]["locate"]) == locate:
            return np.int64(symbol)
    return np.int64(-1)


@later(VOID(BOOK_TYPE, FEED, int64[::1]), **KERNEL)
def listen(book, feed, touched):
    """Queues every symbol that the feed has spoken of since the last call."""
    log, symbol_cnt = feed.log[0], np.int64(book.symbols.size)
    seq, following = touched[SEEN_SEQ], np.int64(log["next_seq"])
    index_mask, ring_mask = np.int64(feed.index.size - 1), np.int64(feed.ring.size - 1)
    touched[SEEN_SEQ] = following
    if seq < np.int64(log["oldest_seq"]):
        for symbol in range(symbol_cnt):
            _touch(touched, symbol_cnt, symbol)
        return
    while seq < following:
        place = (np.int64(feed.index[seq & index_mask]) & ring_mask) + _BLOCK_HEAD + _LOCATE
        symbol = _symbol_at(book, np.int64(load_be16(feed.ring, place)))
        if symbol >= 0:
            _touch(touched, symbol_cnt, symbol)
        seq += 1


@later(VOID(BOOK_TYPE, uint64[::1], int64[::1], I64), **KERNEL)
def publish_next(book, depth, touched, now):
    """Publishes the symbol that has been queued longest; there must be one. listen has been called:
    every feed message so far is in."""
    symbol_cnt = np.int64(book.symbols.size)
    symbol = touched[WORDS + touched[TOUCHED_HEAD] % symbol_cnt]
    touched[TOUCHED_HEAD] += 1
    touched[WORDS + symbol_cnt + symbol] = 0
    touched[LAST_NS] = now
    publish_symbol(book, depth, symbol, touched[LEVELS], touched[SEEN_SEQ], now)


@njit(inline="always")
def follow(core, io, now, busy):
    """One pass: publishes at most one symbol; how many. busy: this pass had frames."""
    touched = io.touched
    if touched[LEVELS] == 0:
        return np.int64(0)
    if np.int64(core.feed.log[0]["next_seq"]) != touched[SEEN_SEQ]:
        listen(core.book, core.feed, touched)
    if touched[TOUCHED_HEAD] == touched[TOUCHED_TAIL] or (busy and now - touched[LAST_NS] < LAG_NS):
        return np.int64(0)
    publish_next(core.book, io.depth, touched, now)
    return np.int64(1)
