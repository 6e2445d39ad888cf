"""Every booked order in the order of the books, and the way back: orders into an empty core.

`list_orders` is what a snapshot is made from, the `seat_...` functions are what a core is made from
again. They go through the functions that matching itself books and appends with, so whatever has
been seated is sound. Handles, far slots and chunks may become others: no byte depends on them.
"""

import numpy as np
from numba import int64

from appliance.hot.endian import load_be16, store_le32
from appliance.hot.far import far_slot_at
from appliance.hot.kernel import later
from appliance.hot.levels import (
    NO_ASK, NO_BID, append, append_aside, is_far, ladder_place, next_aside, next_best,
    shown_owners, write_terms,
)
from appliance.hot.pages import _take_page, find_page, order_lives
from appliance.hot.streams import _next_chunk
from appliance.hot.timers import start_timer
from appliance.hot.tokens import insert_token
from appliance.hot.types import BYTES, CORE, I64, INNER, KERNEL, VOID
from appliance.layout.record import EXTRA_BIT
from appliance.layout.shared import CHUNK_SZ, SESSION_LIVE

NUMBERS = int64[::1]
_NONE32 = np.uint32(0)
_EXTRA_BIT = np.int64(EXTRA_BIT)
_OFFSET_SZ, _BLOCK_HEAD = 4, 2


@later(I64(CORE, I64, I64), **INNER)
def _head_at(core, owner, price_ticks):
    """The oldest order of a side at a price at which there is one."""
    book = core.book
    if owner < shown_owners(book):
        place = ladder_place(book, owner, price_ticks)
        if not is_far(book, place):
            level = owner << np.int64(book.engine[0]["lg_ladder"]) | place
            return np.int64(book.levels[level]["head"])
    return np.int64(book.far_levels[far_slot_at(book, owner, price_ticks)]["head"])


@later(I64(CORE, NUMBERS, NUMBERS, NUMBERS), **KERNEL)
def list_orders(core, handles, owners, prices):
    """Writes handle, side and price of every booked order: side by side, best price first, oldest
    first; how many there are."""
    book, count = core.book, np.int64(0)
    for owner in range(book.sides.size):
        left = np.int64(book.sides[owner]["order_cnt"])
        none = NO_ASK if owner & 1 else NO_BID
        price = np.int64(book.sides[owner]["best_ticks"])
        while left > 0 and price != none and count < handles.size:
            order = _head_at(core, owner, price)
            while order != 0 and count < handles.size:
                handles[count], owners[count], prices[count] = order, owner, price
                count, left = count + 1, left - 1
                order = np.int64(book.orders[order]["next"])
            if owner < shown_owners(book):
                price = next_best(book, np.int64(owner), price)
            else:
                price = next_aside(book, np.int64(owner), price)
    return count


@later(VOID(CORE, NUMBERS, NUMBERS), **KERNEL)
def seat_pages(core, accounts, keys):
    """Gives each account its pages, oldest first."""
    pages = core.accounts.pages
    for i in range(keys.size):
        page = _take_page(core.accounts, core.book.engine, accounts[i], keys[i])
        pages[page]["live_cnt"] = np.uint16(1)        # an empty newest one would be given back
    for i in range(keys.size):
        pages[find_page(core.accounts, accounts[i], keys[i])]["live_cnt"] = np.uint16(0)


@later(I64(CORE, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
       **KERNEL)
def seat_orders(core, owners, prices, accounts, numbers, shown, totals, extras, handles):
    """Books orders as `list_orders` lists them; writes their handles.

    How many were booked: the next one's page or its side is not there, or its price cannot be.
    """
    book = core.book
    for i in range(owners.size):
        owner, price, account = owners[i], prices[i], accounts[i]
        page = find_page(core.accounts, account, numbers[i] >> 8)
        handle = page << 8 | numbers[i] & 255
        if page == 0 or owner >= book.sides.size or price < 0 or shown[i] <= 0 \
                or book.orders[handle]["qty"] != _NONE32:
            return np.int64(i)
        write_terms(book, handle, totals[i], account)
        extra = _EXTRA_BIT if extras[i] != 0 else np.int64(0)
        if owner < shown_owners(book):
            append(book, owner, price, ladder_place(book, owner, price), handle, shown[i], extra)
        else:
            append_aside(book, owner, price, handle, shown[i], extra)
        order_lives(core.accounts, account, handle)
        handles[i] = handle
    return owners.size


@later(VOID(CORE, NUMBERS, NUMBERS, NUMBERS), **KERNEL)
def seat_timers(core, handles, due_ns, first_refs):
    """The orders whose due time is not 0 expire then."""
    for i in range(handles.size):
        if due_ns[i] != 0:
            start_timer(core, handles[i], np.uint64(due_ns[i]), np.uint64(first_refs[i]))


@later(I64(CORE, NUMBERS, NUMBERS, NUMBERS, BYTES), **KERNEL)
def seat_chunks(core, accounts, counts, sizes, data):
    """Chunk by chunk the streams' blocks, which lie behind one another in data.

    How many chunks were taken: the pool is empty then, or blocks do not fill their chunk.
    """
    streams, sessions, at = core.streams, core.accounts.sessions, np.int64(0)
    for i in range(counts.size):
        account, begin = accounts[i], np.int64(0)
        if sizes[i] + _OFFSET_SZ * counts[i] > CHUNK_SZ or at + sizes[i] > data.size:
            return np.int64(i)
        chunk = _next_chunk(streams, sessions, core.book.engine, account)
        if chunk == 0:
            return np.int64(i)
        base = chunk * CHUNK_SZ
        for byte in range(sizes[i]):
            streams.data[base + byte] = data[at + byte]
        for block in range(counts[i]):
            if begin + _BLOCK_HEAD > sizes[i]:
                return np.int64(i)
            store_le32(streams.data, base + CHUNK_SZ - _OFFSET_SZ * (block + 1), begin)
            begin += _BLOCK_HEAD + np.int64(load_be16(streams.data, base + begin))
        if begin != sizes[i]:
            return np.int64(i)
        streams.heads[chunk]["message_cnt"] = np.uint32(counts[i])
        streams.heads[chunk]["data_off"] = np.uint32(sizes[i])
        sessions[account]["next_seq"] += np.uint64(counts[i])
        at += sizes[i]
    return np.int64(counts.size)


@later(I64(CORE, I64, I64, I64), **KERNEL)
def seat_feed(core, first_off, before, end):
    """Finds the blocks of the feed's log, oldest_seq to next_seq - 1, which lie in its ring.

    first_off: virtual offset of the oldest; `before` of them come before the ring's end, where the
    bytes used stop at virtual offset `end`. The offset behind the last one.
    """
    feed, log, off = core.feed, core.feed.log[0], first_off
    ring_sz, index_mask = np.int64(feed.ring.size), np.int64(feed.index.size - 1)
    oldest = np.int64(log["oldest_seq"])
    for seq in range(oldest, np.int64(log["next_seq"])):
        if seq - oldest == before:
            if off != end:
                return np.int64(-1)
            off = (off + ring_sz - 1) & -ring_sz
        place = off & (ring_sz - 1)
        feed.index[seq & index_mask] = np.uint64(off)
        if place + _BLOCK_HEAD > ring_sz:
            return np.int64(-1)
        off += _BLOCK_HEAD + np.int64(load_be16(feed.ring, place))
    return off


@later(VOID(CORE), **KERNEL)
def seat_tokens(core):
    """The tokens of live sessions are known again."""
    for account in range(core.accounts.sessions.size):
        if np.int64(core.accounts.sessions[account]["state"]) == SESSION_LIVE:
            insert_token(core.accounts, np.int64(account))
