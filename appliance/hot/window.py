"""The ladder's window follows the market: where the touch has gone, the flat levels go after it.

A symbol counts the shown orders that were booked at the best price of their side and outside the
window. Once there are half as many as the symbol has orders, `engine.follow_after` at least, the
window moves so that the newest of them lies in its middle: levels that fall out become far levels,
far levels inside become flat ones. So each such order pays for about two that are moved, however
the market is driven. Nothing that a participant can see changes, and a replay moves it alike.
"""

import numpy as np

from ..layout.record import EXTRA_BIT, FAR_BIT
from .far import far_above, far_drop, far_join, far_slot_at
from .kernel import inlined, kernel
from .ladder import mark, next_above, next_below, unmark
from .reach import forget_reach

_FAR_BIT, _EXTRA_BIT = np.int64(FAR_BIT), np.int64(EXTRA_BIT)
_PRICES = np.int64(1 << 31)


@inlined
def _next(book, level, end):
    """Lowest marked level in [level, end), -1 when there is none; end: of the side's ladder."""
    return next_above(book.bits, book.bits2, level, end) if level < end else np.int64(-1)


@kernel
def _falling_out(book, first, end, shift):
    """Levels of a side that have no place in a window `shift` ticks higher."""
    low, high = first + max(shift, np.int64(0)), end + min(shift, np.int64(0))
    found, level = np.int64(0), _next(book, first, end)
    while level >= 0:
        if level < low or level >= high:
            found += 1
        level = _next(book, level + 1, end)
    return found


@kernel
def _settle(book, level, head, tail):
    """A queue stands at ORDER.level `level` from now on, a ladder level or FAR_BIT | slot."""
    if level & _FAR_BIT:
        row = book.far_levels[level ^ _FAR_BIT]
        row["head"], row["tail"] = np.uint32(head), np.uint32(tail)
    else:
        flat = book.levels[level]
        flat["head"], flat["tail"] = np.uint32(head), np.uint32(tail)
        mark(book.bits, book.bits2, level)
    while head != 0:
        record = book.orders[head]
        record["level"] = np.uint32(level | np.int64(record["level"]) & _EXTRA_BIT)
        head = np.int64(record["next"])


@kernel
def _shift(book, owner, first, end, shift, window):
    """Moves a side's ladder levels down by `shift` places, those without a place to far levels."""
    level = _next(book, first, end)
    if shift < 0:
        level = next_below(book.bits, book.bits2, end - 1, first)
    while level >= 0:
        flat = book.levels[level]
        head, tail, target = np.int64(flat["head"]), np.int64(flat["tail"]), level - shift
        flat["head"] = flat["tail"] = np.uint32(0)
        unmark(book.bits, book.bits2, level)
        if target < first or target >= end:
            target = _FAR_BIT | far_join(book, owner, level - first + window)
        _settle(book, target, head, tail)
        if shift > 0:
            level = _next(book, level + 1, end)
        else:
            level = (next_below(book.bits, book.bits2, level - 1, first) if level > first
                     else np.int64(-1))


@kernel
def _take_in(book, owner, first, size, window):
    """Far levels of a side that lie inside the window become ladder levels."""
    price_ticks = far_above(book, owner, window - 1, window + size)
    while price_ticks < window + size:
        slot = far_slot_at(book, owner, price_ticks)
        row = book.far_levels[slot]
        head, tail = np.int64(row["head"]), np.int64(row["tail"])
        far_drop(book, slot)
        _settle(book, first + price_ticks - window, head, tail)
        price_ticks = far_above(book, owner, price_ticks, window + size)


@kernel
def _touch(book, symbol, price_ticks):
    """Counts an order at the touch outside the window; moves the window when it is time.

    It stays where far levels would run out.
    """
    engine, listing = book.engine[0], book.symbols[symbol]
    least = np.int64(engine["follow_after"])
    orders = (np.int64(book.sides[symbol * 2]["order_cnt"])
              + np.int64(book.sides[symbol * 2 + 1]["order_cnt"]))
    drift = np.int64(listing["drift"]) + 1
    if drift < max(least, orders >> 1):
        listing["drift"] = np.uint32(drift)
        return
    listing["drift"] = np.uint32(0)
    lg_ladder, was = np.int64(engine["lg_ladder"]), np.int64(listing["window_ticks"])
    size = np.int64(1) << lg_ladder
    window = min(max(price_ticks - (size >> 1), np.int64(0)), _PRICES - size)
    bids, asks = symbol * 2 << lg_ladder, symbol * 2 + 1 << lg_ladder
    more_bids = _falling_out(book, bids, bids + size, window - was)
    more_asks = _falling_out(book, asks, asks + size, window - was)
    cap = np.int64(engine["far_cap"])
    if np.int64(book.sides[symbol * 2]["far_cnt"]) + more_bids > cap \
            or np.int64(book.sides[symbol * 2 + 1]["far_cnt"]) + more_asks > cap \
            or more_bids + more_asks > np.int64(engine["free_far"]):
        return
    _shift(book, symbol * 2, bids, bids + size, window - was, was)
    _shift(book, symbol * 2 + 1, asks, asks + size, window - was, was)
    listing["window_ticks"] = np.int32(window)
    forget_reach(book, symbol)
    _take_in(book, symbol * 2, bids, size, window)
    _take_in(book, symbol * 2 + 1, asks, size, window)
    engine["windows_moved"] += np.uint64(1)


@inlined
def follow(book, owner, price_ticks):
    """Told of each shown order that was booked outside the window."""
    if np.int64(book.sides[owner]["best_ticks"]) == price_ticks \
            and book.engine[0]["follow_after"] != np.uint64(0):
        _touch(book, owner >> 1, price_ticks)
