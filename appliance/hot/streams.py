"""Account streams: every acknowledgement of the day, as SoupBinTCP blocks ready to be sent.

A stream is a list of chunks. In a chunk blocks (u16 length, `S`, message) grow up from 0 and their
u32 offsets grow down from the end, so a block is found by its number without a search. Chunks are
found through jump pointers: `chunk.jump` holds the depth in the list (upper half) and an earlier
chunk (lower half) such that a search backwards takes a number of steps logarithmic in the list.
"""

import numpy as np

from appliance.hot.endian import load_le32, store_be16, store_le32
from appliance.hot.kernel import later
from appliance.hot.types import CORE, ENGINE, I64, INLINE, INNER, KERNEL, SESSIONS, SPAN, STREAMS
from appliance.layout.shared import CHUNK_SZ, COUNTER_INDEX

_ONE = np.uint64(1)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_STREAM_FULL = COUNTER_INDEX["stream_full"]
_BLOCK_HEAD, _OFFSET_SZ = 3, 4
_SEQUENCED = ord("S")
_ORDER_RESERVE = 128       # bytes that the rest of a live order's life can need, see reserve
PART_RESERVE = 160         # bytes for each further part that a reserve order may show


@later(I64(ENGINE), **INLINE)
def reserve(engine):
    """Free chunks that must stay so that every live order can be answered to its end.

    A trade ends one order at least and is two `E` of 43 bytes with their offsets, an order that
    ends otherwise one message of 39 at most: 128 bytes an order. A part that a reserve order shows
    anew is two `E` and an `R`. Each account may have to begin one chunk more than its bytes fill.
    """
    head = engine[0]
    owed = ((np.int64(head["live_orders"]) + 1) * _ORDER_RESERVE
            + np.int64(head["parts_owed"]) * PART_RESERVE)
    return np.int64(head["account_cnt"]) + owed // CHUNK_SZ + 1


@later(I64(STREAMS, SESSIONS, ENGINE, I64), **INNER)
def _next_chunk(streams, sessions, engine, account):
    """Puts a free chunk at the end of the account's list; its index, 0 when none is free."""
    free_cnt = np.int64(engine[0]["free_chunk"])
    if free_cnt == 0:
        return np.int64(0)
    heads, session = streams.heads, sessions[account]
    chunk = np.int64(streams.free[free_cnt - 1])
    engine[0]["free_chunk"] = np.uint64(free_cnt - 1)
    last = np.int64(session["last_chunk"])
    head = heads[chunk]
    head["first_seq"] = session["next_seq"]
    head["message_cnt"] = np.uint32(0)
    head["data_off"] = np.uint32(0)
    head["next"] = np.uint32(0)
    head["prev"] = np.uint32(last)
    head["account"] = np.uint32(account)
    depth, jump = np.uint64(0), last
    if last != 0:
        depth = (heads[last]["jump"] >> _HALF) + _ONE
        first = np.int64(heads[last]["jump"] & _LOW)
        second = np.int64(heads[first]["jump"] & _LOW)
        gap = (heads[last]["jump"] >> _HALF) - (heads[first]["jump"] >> _HALF)
        if first != 0 and gap == (heads[first]["jump"] >> _HALF) - (heads[second]["jump"] >> _HALF):
            jump = second
        heads[last]["next"] = np.uint32(chunk)
    else:
        session["first_chunk"] = np.uint32(chunk)
    head["jump"] = (depth << _HALF) | np.uint64(jump)
    session["last_chunk"] = np.uint32(chunk)
    session["chunk_cnt"] += np.uint32(1)
    return chunk


@later(I64(CORE, I64, I64), **INLINE)
def append_begin(core, account, length):
    """Place of the account's next message of `length` bytes in streams.data, to be filled in now.

    -1, counted, when no chunk is free: the message has then no number and is not sent.
    """
    streams, session = core.streams, core.accounts.sessions[account]
    chunk = np.int64(session["last_chunk"])
    used = np.int64(streams.heads[chunk]["data_off"])
    count = np.int64(streams.heads[chunk]["message_cnt"])
    needed = used + _BLOCK_HEAD + length + _OFFSET_SZ * (count + 1)
    if chunk == 0 or needed > CHUNK_SZ:
        chunk = _next_chunk(streams, core.accounts.sessions, core.book.engine, account)
        if chunk == 0:
            core.counters[_STREAM_FULL] += _ONE
            return np.int64(-1)
        used, count = np.int64(0), np.int64(0)
    base = chunk * CHUNK_SZ
    store_le32(streams.data, base + CHUNK_SZ - _OFFSET_SZ * (count + 1), used)
    store_be16(streams.data, base + used, length + 1)
    streams.data[base + used + 2] = np.uint8(_SEQUENCED)
    streams.heads[chunk]["data_off"] = np.uint32(used + _BLOCK_HEAD + length)
    streams.heads[chunk]["message_cnt"] = np.uint32(count + 1)
    session["next_seq"] += _ONE
    session["dirty"] = np.uint32(1)
    return base + used + _BLOCK_HEAD


@later(I64(STREAMS, I64, I64), **INNER)
def _chunk_of(streams, last, seq):
    """The chunk of the list ending in `last` that holds number seq (which the list does hold)."""
    heads, chunk = streams.heads, last
    while np.int64(heads[chunk]["first_seq"]) > seq:
        jump = np.int64(heads[chunk]["jump"] & _LOW)
        if np.int64(heads[jump]["first_seq"]) > seq:
            chunk = jump
        else:
            chunk = np.int64(heads[chunk]["prev"])
    return chunk


@later(SPAN(STREAMS, SESSIONS, I64, I64, I64), **KERNEL)
def gather(streams, sessions, account, seq, room):
    """(offset, bytes, count) of the whole blocks from number seq on that fit `room` bytes.

    They lie side by side in streams.data; the end of a chunk ends the run. Count 0 when the stream
    does not hold seq or its block is larger than room.
    """
    if seq < 1 or seq >= np.int64(sessions[account]["next_seq"]):
        return np.int64(0), np.int64(0), np.int64(0)
    chunk = _chunk_of(streams, np.int64(sessions[account]["last_chunk"]), seq)
    head = streams.heads[chunk]
    base, total = chunk * CHUNK_SZ, np.int64(head["message_cnt"])
    number = seq - np.int64(head["first_seq"])
    index_end = base + CHUNK_SZ
    start = np.int64(load_le32(streams.data, index_end - _OFFSET_SZ * (number + 1)))
    if np.int64(head["data_off"]) - start <= room:
        return base + start, np.int64(head["data_off"]) - start, total - number
    fits, over = number, total              # blocks [number, fits) fit, [number, over) do not
    end = start
    while over - fits > 1:
        middle = (fits + over) >> 1
        edge = np.int64(load_le32(streams.data, index_end - _OFFSET_SZ * (middle + 1)))
        if edge - start <= room:
            fits, end = middle, edge
        else:
            over = middle
    return base + start, end - start, fits - number
