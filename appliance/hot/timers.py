"""Orders that expire: a binary heap of handles, earliest (due_ns, first order reference) first.

`timers.places` says where an order stands in the heap, so it leaves at once when it dies: nothing
outdated is ever in it. All O(log n); the heap has room for every handle.
"""

import numpy as np
from numba import njit, types

from appliance.hot.kernel import later
from appliance.hot.types import CORE, I64, INLINE, INNER, KERNEL, TIMERS, U64, VOID

_NONE = np.uint32(0)


@njit(types.boolean(TIMERS, I64, I64), **INLINE)
def _earlier(timers, one, other):
    """Does order `one` expire before order `other`?"""
    due, other_due = timers.due_ns[one], timers.due_ns[other]
    return due < other_due or (due == other_due
                               and timers.first_refs[one] < timers.first_refs[other])


@later(VOID(TIMERS, I64, I64), **INLINE)
def _put(timers, place, handle):
    timers.heap[place] = np.uint32(handle)
    timers.places[handle] = np.uint32(place + 1)


@later(VOID(TIMERS, I64, I64), **INNER)
def _rise(timers, place, handle):
    """Stands at `place` or nearer to the top, wherever it belongs."""
    while place > 0:
        parent = (place - 1) >> 1
        above = np.int64(timers.heap[parent])
        if not _earlier(timers, handle, above):
            break
        _put(timers, place, above)
        place = parent
    _put(timers, place, handle)


@later(VOID(TIMERS, I64, I64, I64), **INNER)
def _sink(timers, count, place, handle):
    """Stands at `place` or further down in a heap of `count`, wherever it belongs."""
    child = 2 * place + 1
    while child < count:
        if child + 1 < count and _earlier(timers, np.int64(timers.heap[child + 1]),
                                          np.int64(timers.heap[child])):
            child += 1
        below = np.int64(timers.heap[child])
        if not _earlier(timers, below, handle):
            break
        _put(timers, place, below)
        place, child = child, 2 * child + 1
    _put(timers, place, handle)


@later(VOID(CORE, I64, U64, U64), **KERNEL)
def start_timer(core, handle, due_ns, first_ref):
    """The live order expires at record time due_ns. It has no timer yet."""
    timers, engine = core.timers, core.book.engine[0]
    count = np.int64(engine["timer_cnt"])
    timers.due_ns[handle], timers.first_refs[handle] = due_ns, first_ref
    engine["timer_cnt"] = np.uint64(count + 1)
    _rise(timers, count, handle)


@later(VOID(CORE, I64), **KERNEL)
def stop_timer(core, handle):
    """The order left. Nothing when it has no timer."""
    timers, engine = core.timers, core.book.engine[0]
    place = np.int64(timers.places[handle]) - 1
    if place < 0:
        return
    timers.places[handle] = _NONE
    count = np.int64(engine["timer_cnt"]) - 1
    engine["timer_cnt"] = np.uint64(count)
    last = np.int64(timers.heap[count])
    if last == handle:
        return
    if place > 0 and _earlier(timers, last, np.int64(timers.heap[(place - 1) >> 1])):
        _rise(timers, place, last)
    else:
        _sink(timers, count, place, last)


@njit(types.boolean(CORE, I64), **INLINE)
def timer_due(core, now_ns):
    """Is some order's time over at now_ns?"""
    if core.book.engine[0]["timer_cnt"] == np.uint64(0):
        return False
    return np.int64(core.timers.due_ns[np.int64(core.timers.heap[0])]) <= now_ns


@later(I64(CORE), **INLINE)
def expiring_order(core):
    """The order whose time is over first at the present record's time, 0 none."""
    if timer_due(core, np.int64(core.book.engine[0]["time_ns"])):
        return np.int64(core.timers.heap[0])
    return np.int64(0)
