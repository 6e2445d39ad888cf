"""Levels outside the ladder's window: compact ascending arrays of prices, one pair a side.

far_prices[owner] and far_slots[owner] hold far_cnt levels in ascending order of price; a slot is an
index of far_levels, from the partition's pool. They are searched by the C SIMD scan and shifted by
memmove, so a far price costs tens of nanoseconds where a ladder price costs few. Both ends of the
window end up here: bids above it, asks below it too.
"""

import numpy as np
from numba import types

from ..native import external
from .kernel import kernel

_scan = external("wm_scan", types.int64, types.uintp, types.int64, types.int32)
_gap_open = external("wm_gap_open", types.int64, types.uintp, types.int64, types.int64, types.int32)
_gap_close = external("wm_gap_close", types.int64, types.uintp, types.int64, types.int64)


@kernel
def _row_address(array, owner):
    """Address of a 2-D int32 or uint32 array's row."""
    return np.uint64(array.ctypes.data) + np.uint64(owner * array.shape[1] * 4)


@kernel
def far_find(book, owner, price_ticks):
    """First place in the far arrays whose price is not below price_ticks; far_cnt when none."""
    book.engine[0]["far_scans"] += np.uint64(1)
    return np.int64(_scan(_row_address(book.far_prices, owner),
                          np.int64(book.sides[owner]["far_cnt"]), np.int32(price_ticks)))


@kernel
def far_slot_at(book, owner, price_ticks):
    """The far level of that price (its slot), 0 when there is none."""
    at = far_find(book, owner, price_ticks)
    if at < np.int64(book.sides[owner]["far_cnt"]):
        if np.int64(book.far_prices[owner, at]) == price_ticks:
            return np.int64(book.far_slots[owner, at])
    return np.int64(0)


@kernel
def far_best_slot(book, owner):
    """The slot of the best far level; there must be one."""
    at = np.int64(0)
    if owner & 1 == 0:
        at = np.int64(book.sides[owner]["far_cnt"]) - 1
    return np.int64(book.far_slots[owner, at])


@kernel
def far_has_room(book, owner):
    """Can this side take one more far level?"""
    engine = book.engine[0]
    used = np.int64(book.sides[owner]["far_cnt"])
    return used < np.int64(engine["far_cap"]) and np.int64(engine["free_far"]) > 0


@kernel
def far_add(book, owner, price_ticks):
    """A new empty far level; its slot. The caller has asked far_has_room."""
    engine = book.engine[0]
    free = np.int64(engine["free_far"]) - 1
    slot = np.int64(book.far_free[free])
    engine["free_far"] = np.uint64(free)
    level = book.far_levels[slot]
    level["head"] = level["tail"] = np.uint32(0)
    level["price_ticks"] = np.int32(price_ticks)
    level["owner"] = np.uint32(owner)
    at = far_find(book, owner, price_ticks)
    used = np.int64(book.sides[owner]["far_cnt"])
    _gap_open(_row_address(book.far_prices, owner), used, at, np.int32(price_ticks))
    _gap_open(_row_address(book.far_slots, owner), used, at, np.int32(slot))
    book.sides[owner]["far_cnt"] = np.uint32(used + 1)
    return slot


@kernel
def far_drop(book, slot):
    """An empty far level goes back to the pool."""
    engine = book.engine[0]
    owner = np.int64(book.far_levels[slot]["owner"])
    at = far_find(book, owner, np.int64(book.far_levels[slot]["price_ticks"]))
    used = np.int64(book.sides[owner]["far_cnt"])
    _gap_close(_row_address(book.far_prices, owner), used, at)
    _gap_close(_row_address(book.far_slots, owner), used, at)
    book.sides[owner]["far_cnt"] = np.uint32(used - 1)
    free = np.int64(engine["free_far"])
    book.far_free[free] = np.uint32(slot)
    engine["free_far"] = np.uint64(free + 1)


@kernel
def far_next(book, owner, price_ticks, none):
    """Best far price strictly worse than price_ticks, `none` when there is none. Needs far_cnt > 0.

    The end of the array is looked at first: after the best level has gone it is the answer.
    """
    used = np.int64(book.sides[owner]["far_cnt"])
    if owner & 1 == 0:
        at = used - 1
        if np.int64(book.far_prices[owner, at]) >= price_ticks:
            at = far_find(book, owner, price_ticks) - 1
            if at < 0:
                return none
        return np.int64(book.far_prices[owner, at])
    at = np.int64(0)
    if np.int64(book.far_prices[owner, at]) <= price_ticks:
        if price_ticks >= 2147483647:
            return none
        at = far_find(book, owner, price_ticks + 1)
        if at >= used:
            return none
    return np.int64(book.far_prices[owner, at])
