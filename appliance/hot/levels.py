"""Orders in their queues: a booked order joins the back of its price, leaves, or goes to the back.

A price inside the symbol's window is a level of the flat ladder, any other a far level. Both have a
head and a tail; who calls here need not know which it is. `next_best` is the one place that decides
the next best price across ladder and far arrays.

Prices compare by `price ^ mask` with mask = 0 for buys and -1 for sells: greater is better, so the
two sides need no branch. orders[0] is nobody: it is written to, never read.
"""

import numpy as np

from ..layout.record import FAR_BIT
from .far import far_add, far_drop, far_next, far_slot_at
from .kernel import inlined, kernel, unlikely
from .ladder import mark, next_above, next_below, unmark

NO_BID = np.int64(-1)
NO_ASK = np.int64(1 << 31)             # beyond every price; stored as 2147483647
_LAST_PRICE = np.int64(2147483647)
_FAR_BIT = np.int64(FAR_BIT)
_SLOT = np.int64(FAR_BIT - 1)


@inlined
def ladder_place(book, owner, price_ticks):
    """Distance of the price from the window's first; a place in the ladder unless `is_far`."""
    return price_ticks - np.int64(book.symbols[owner >> 1]["window_ticks"])


@inlined
def is_far(book, place):
    """Does the place lie outside the window, below or above it?"""
    return np.uint64(place) >> np.uint64(book.engine[0]["lg_ladder"]) != np.uint64(0)


@inlined
def meets(book, owner, price_ticks):
    """May an order of this side and limit trade with the other side's best now?"""
    other = book.sides[owner ^ 1]
    worse = -(owner & 1)
    return (np.int64(other["order_cnt"]) > 0
            and (np.int64(other["best_ticks"]) ^ worse) <= (price_ticks ^ worse))


@inlined
def next_best(book, owner, price_ticks):
    """Best price of the side strictly worse than price_ticks; NO_BID or NO_ASK when none."""
    lg_ladder = np.int64(book.engine[0]["lg_ladder"])
    window = np.int64(book.symbols[owner >> 1]["window_ticks"])
    first, size = owner << lg_ladder, np.int64(1) << lg_ladder
    has_far = np.int64(book.sides[owner]["far_cnt"]) > 0
    if owner & 1 == 0:
        best = NO_BID
        place = min(price_ticks - window, size) - 1
        if place >= 0:
            level = next_below(book.bits, book.bits2, first + place, first)
            if level >= 0:
                best = level - first + window
        return max(best, far_next(book, owner, price_ticks, NO_BID)) if has_far else best
    best = NO_ASK
    place = max(price_ticks - window, np.int64(-1)) + 1
    if place < size:
        level = next_above(book.bits, book.bits2, first + place, first + size)
        if level >= 0:
            best = level - first + window
    return min(best, far_next(book, owner, price_ticks, NO_ASK)) if has_far else best


@inlined
def set_best(book, owner, price_ticks):
    """Stores a best price as next_best gives it."""
    book.sides[owner]["best_ticks"] = np.int32(min(price_ticks, _LAST_PRICE))


@kernel
def _append_far(book, owner, price_ticks, order):
    """Joins a far level, made when there is none; (level, tail before). Room has been asked for."""
    slot = far_slot_at(book, owner, price_ticks)
    if slot == 0:
        slot = far_add(book, owner, price_ticks)
    level = book.far_levels[slot]
    tail = np.int64(level["tail"])
    level["tail"] = np.uint32(order)
    if tail == 0:
        level["head"] = np.uint32(order)
    return _FAR_BIT | slot, tail


@inlined
def append(book, owner, price_ticks, place, order, qty):
    """Books an order of open quantity qty > 0 at the back of its price; place = ladder_place."""
    if unlikely(is_far(book, place)):
        level, tail = _append_far(book, owner, price_ticks, order)
    else:
        level = owner << np.int64(book.engine[0]["lg_ladder"]) | place
        queue = book.levels[np.uint64(level)]
        tail = np.int64(queue["tail"])
        queue["tail"] = np.uint32(order)
        if tail == 0:
            queue["head"] = np.uint32(order)
            mark(book.bits, book.bits2, level)
    record = book.orders[order]
    record["next"] = np.uint32(0)
    record["prev"] = np.uint32(tail)
    record["qty"] = np.uint32(qty)
    record["level"] = np.uint32(level)
    book.orders[tail]["next"] = np.uint32(order)
    side = book.sides[owner]
    side["order_cnt"] = np.uint32(np.int64(side["order_cnt"]) + 1)
    better = -(owner & 1)
    best = np.int64(side["best_ticks"])
    side["best_ticks"] = np.int32(
        price_ticks if (price_ticks ^ better) > (best ^ better) else best)


@kernel
def _unlink_far(book, slot, prev, next_):
    """Takes an order between prev and next_ out of a far level; the level's owner."""
    level = book.far_levels[slot]
    owner, price_ticks = np.int64(level["owner"]), np.int64(level["price_ticks"])
    if prev == 0:
        level["head"] = np.uint32(next_)
    if next_ == 0:
        level["tail"] = np.uint32(prev)
    if prev == 0 and next_ == 0:
        far_drop(book, slot)
        if np.int64(book.sides[owner]["best_ticks"]) == price_ticks:
            set_best(book, owner, next_best(book, owner, price_ticks))
    return owner


@inlined
def unlink(book, order):
    """Takes a booked order out of its queue and out of life; its owner (symbol * 2 + side)."""
    record = book.orders[order]
    prev, next_ = np.int64(record["prev"]), np.int64(record["next"])
    level = np.int64(record["level"])
    record["qty"] = np.uint32(0)
    book.orders[prev]["next"] = np.uint32(next_)
    book.orders[next_]["prev"] = np.uint32(prev)
    if unlikely(level & _FAR_BIT != 0):
        owner = _unlink_far(book, level & _SLOT, prev, next_)
    else:
        lg_ladder = np.int64(book.engine[0]["lg_ladder"])
        owner = level >> lg_ladder
        if prev == 0:
            book.levels[level]["head"] = np.uint32(next_)
        if next_ == 0:
            book.levels[level]["tail"] = np.uint32(prev)
        if unlikely(prev | next_ == 0):
            unmark(book.bits, book.bits2, level)
            price_ticks = (level - (owner << lg_ladder)
                           + np.int64(book.symbols[owner >> 1]["window_ticks"]))
            if np.int64(book.sides[owner]["best_ticks"]) == price_ticks:
                set_best(book, owner, next_best(book, owner, price_ticks))
    side = book.sides[owner]
    side["order_cnt"] = np.uint32(np.int64(side["order_cnt"]) - 1)
    return owner


@inlined
def owner_of(book, order):
    """Owner (symbol * 2 + side) of a booked order."""
    level = np.int64(book.orders[order]["level"])
    if unlikely(level & _FAR_BIT != 0):
        return np.int64(book.far_levels[level & _SLOT]["owner"])
    return level >> np.int64(book.engine[0]["lg_ladder"])


@kernel
def price_of(book, order):
    """Price in ticks of a booked order."""
    level = np.int64(book.orders[order]["level"])
    if level & _FAR_BIT:
        return np.int64(book.far_levels[level & _SLOT]["price_ticks"])
    lg_ladder = np.int64(book.engine[0]["lg_ladder"])
    owner = level >> lg_ladder
    return level - (owner << lg_ladder) + np.int64(book.symbols[owner >> 1]["window_ticks"])


@kernel
def to_back(book, order):
    """A booked order goes to the back of its own price; nothing else changes."""
    record = book.orders[order]
    prev, next_ = np.int64(record["prev"]), np.int64(record["next"])
    level = np.int64(record["level"])
    if next_ == 0:
        return
    book.orders[prev]["next"] = np.uint32(next_)
    book.orders[next_]["prev"] = np.uint32(prev)
    if level & _FAR_BIT:
        queue = book.far_levels[level & _SLOT]
        tail = np.int64(queue["tail"])
        queue["tail"] = np.uint32(order)
        if prev == 0:
            queue["head"] = np.uint32(next_)
    else:
        row = book.levels[level]
        tail = np.int64(row["tail"])
        row["tail"] = np.uint32(order)
        if prev == 0:
            row["head"] = np.uint32(next_)
    book.orders[tail]["next"] = np.uint32(order)
    record["prev"] = np.uint32(tail)
    record["next"] = np.uint32(0)
