"""The feed's log: MoldUDP64 message blocks in a ring of bytes, and a ring of where each begins.

Offsets are virtual and only grow; a block never straddles the end of the ring. New messages push
out the oldest ones: `oldest_seq` says where what is held begins.
"""

import numpy as np

from appliance.hot.endian import load_be16, store_be16
from appliance.hot.kernel import later
from appliance.hot.types import CORE, COUNTERS, FEED, I64, INLINE, INNER, KERNEL, SPAN, VOID
from appliance.layout.shared import COUNTER_INDEX

_ONE = np.uint64(1)
_OVERRUN = COUNTER_INDEX["feed_overrun"]
_BLOCK_HEAD = 2


@later(VOID(FEED, COUNTERS, I64), **INNER)
def _push_out(feed, counters, limit):
    """Forgets messages that begin before virtual offset `limit`; one where the index is full."""
    log, mask = feed.log[0], np.int64(feed.index.size - 1)
    oldest, following = np.int64(log["oldest_seq"]), np.int64(log["next_seq"])
    sent = np.int64(log["sent_seq"])
    while oldest < following and (following - oldest > mask
                                  or np.int64(feed.index[oldest & mask]) < limit):
        if oldest >= sent:
            counters[_OVERRUN] += _ONE
        oldest += 1
    log["oldest_seq"] = np.uint64(oldest)


@later(I64(CORE, I64), **INLINE)
def append_begin(core, length):
    """Place of the feed's next message of `length` bytes in feed.ring, to be filled in now."""
    feed, log = core.feed, core.feed.log[0]
    ring_sz, seq = np.int64(feed.ring.size), log["next_seq"]
    begin = np.int64(log["write_off"])
    place = begin & (ring_sz - 1)
    if place + _BLOCK_HEAD + length > ring_sz:
        begin += ring_sz - place
        place = np.int64(0)
    end = begin + _BLOCK_HEAD + length
    if end > ring_sz or np.int64(seq - log["oldest_seq"]) >= feed.index.size:
        _push_out(feed, core.counters, end - ring_sz)
    feed.index[np.int64(seq) & np.int64(feed.index.size - 1)] = np.uint64(begin)
    store_be16(feed.ring, place, length)
    log["write_off"] = np.uint64(end)
    log["next_seq"] = seq + _ONE
    return place + _BLOCK_HEAD


@later(SPAN(FEED, I64, I64), **KERNEL)
def gather(feed, seq, room):
    """(offset, bytes, count) of the whole blocks from number seq on that fit `room` bytes.

    They lie side by side in feed.ring; its end ends the run. Count 0 when seq is no longer or not
    yet held, or its block is larger than room.
    """
    log, mask = feed.log[0], np.int64(feed.index.size - 1)
    following = np.int64(log["next_seq"])
    if seq < np.int64(log["oldest_seq"]) or seq >= following:
        return np.int64(0), np.int64(0), np.int64(0)
    ring_mask = np.int64(feed.ring.size - 1)
    begin = np.int64(feed.index[seq & mask])
    start, end, count = begin & ring_mask, begin, np.int64(0)
    while seq + count < following and np.int64(feed.index[(seq + count) & mask]) == end:
        block_sz = _BLOCK_HEAD + np.int64(load_be16(feed.ring, end & ring_mask))
        if end - begin + block_sz > room or (count > 0 and end & ring_mask == 0):
            break
        end += block_sz
        count += 1
    return start, end - begin, count
