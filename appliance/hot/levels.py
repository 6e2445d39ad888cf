"""Orders in their queues: a booked order joins the back of its price, leaves, or goes to the back.

A shown order's price inside the symbol's window is a level of the flat ladder; every other price,
and all of the groups beside the shown one (`aside`), are far levels. Both have a head and a tail.
`next_best` is the one place that decides the next best price across ladder and far levels.

Prices compare by `price ^ mask` with mask = 0 for buys and -1 for sells: greater is better, so the
two sides need no branch. orders[0] is nobody: it is written to, never read.
"""

import numpy as np

from ..layout.record import EXTRA_BIT, FAR_BIT, ORDER
from .far import far_drop, far_join, far_next
from .kernel import inlined, kernel, unlikely
from .ladder import mark, next_above, next_below, unmark
from .raw import raw_store64
from .reach import forget_reach

NO_BID = np.int64(-1)
NO_ASK = np.int64(1 << 31)             # beyond every price; stored as 2147483647
_LAST_PRICE = np.int64(2147483647)
_FAR_BIT, _EXTRA_BIT = np.int64(FAR_BIT), np.int64(EXTRA_BIT)
UNUSUAL = np.int64(FAR_BIT | EXTRA_BIT)
PLACE = np.int64(EXTRA_BIT - 1)        # of ORDER.level: the number of the level or far slot

assert [(field.name, field.off) for field in ORDER.fields][:6] == [
    ("next", 0), ("prev", 4), ("qty", 8), ("level", 12), ("total", 16), ("account", 20)], \
    "write_place and write_terms store these as words"


@inlined
def shown_owners(book):
    """How many owners the shown group has; owners from here on are aside and have no ladder."""
    return np.int64(book.symbols.shape[0]) << 1


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
    """May an order of this side and limit trade with the other side's shown best now?"""
    other = book.sides[owner ^ 1]
    worse = -(owner & 1)
    return (np.int64(other["order_cnt"]) > 0
            and (np.int64(other["best_ticks"]) ^ worse) <= (price_ticks ^ worse))


@inlined
def next_best(book, owner, price_ticks):
    """Best price of a shown side strictly worse than price_ticks; NO_BID or NO_ASK when none."""
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


@kernel
def next_aside(book, owner, price_ticks):
    """The same of a side that has far levels only."""
    none = NO_ASK if owner & 1 else NO_BID
    if np.int64(book.sides[owner]["far_cnt"]) == 0:
        return none
    return far_next(book, owner, price_ticks, none)


@inlined
def set_best(book, owner, price_ticks):
    """Stores a best price as next_best gives it."""
    book.sides[owner]["best_ticks"] = np.int32(min(price_ticks, _LAST_PRICE))


@kernel
def _append_far(book, owner, price_ticks, order):
    """Joins a far level, made when there is none; (level, tail before). Room has been asked for."""
    slot = far_join(book, owner, price_ticks)
    level = book.far_levels[slot]
    tail = np.int64(level["tail"])
    level["tail"] = np.uint32(order)
    if tail == 0:
        level["head"] = np.uint32(order)
    return _FAR_BIT | slot, tail


@inlined
def _count_in(book, owner, price_ticks):
    """One order more on a side, its best price perhaps a better one."""
    side = book.sides[owner]
    side["order_cnt"] = np.uint32(np.int64(side["order_cnt"]) + 1)
    better = -(owner & 1)
    best = np.int64(side["best_ticks"])
    side["best_ticks"] = np.int32(
        price_ticks if (price_ticks ^ better) > (best ^ better) else best)


@inlined
def write_place(book, order, tail, qty, level):
    """The half of an order's record that changes as it joins the back of a queue."""
    raw_store64(book.orders, order, 0, tail << 32)
    raw_store64(book.orders, order, 8, qty | level << 32)


@inlined
def write_terms(book, order, total, account):
    """The half that an order has before it is booked."""
    raw_store64(book.orders, order, 16, total | account << 32)


@inlined
def append(book, owner, price_ticks, place, order, qty, extra):
    """Books a shown order at the back of its price; place = ladder_place.

    qty > 0: its shown quantity. extra: EXTRA_BIT when book.extras[order] has been written, else 0.
    """
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
    write_place(book, order, tail, qty, level | extra)
    book.orders[tail]["next"] = np.uint32(order)
    _count_in(book, owner, price_ticks)


@kernel
def append_aside(book, owner, price_ticks, order, qty, extra):
    """The same on a side that has far levels only."""
    level, tail = _append_far(book, owner, price_ticks, order)
    write_place(book, order, tail, qty, level | extra)
    book.orders[tail]["next"] = np.uint32(order)
    _count_in(book, owner, price_ticks)
    _tell_shown(book, owner)


@inlined
def _tell_shown(book, owner):
    """A shown side knows how many orders are hidden beside it."""
    shown = owner - shown_owners(book)
    if shown >= 0 and shown < shown_owners(book):
        book.sides[shown]["hidden_cnt"] = book.sides[owner]["order_cnt"]
        forget_reach(book, shown >> 1)


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
            if owner < shown_owners(book):
                set_best(book, owner, next_best(book, owner, price_ticks))
            else:
                set_best(book, owner, next_aside(book, owner, price_ticks))
    return owner


@inlined
def unlink_ladder(book, order, level):
    """`unlink` of an order that stands at ladder level `level`."""
    record = book.orders[order]
    prev, next_ = np.int64(record["prev"]), np.int64(record["next"])
    record["qty"] = np.uint32(0)
    book.orders[prev]["next"] = np.uint32(next_)
    book.orders[next_]["prev"] = np.uint32(prev)
    owner = _leave_level(book, level, prev, next_)
    side = book.sides[owner]
    side["order_cnt"] = np.uint32(np.int64(side["order_cnt"]) - 1)
    return owner


@inlined
def _leave_level(book, level, prev, next_):
    """An order between prev and next_ has left a ladder level; the level's owner."""
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
    return owner


@inlined
def unlink(book, order):
    """Takes a booked order out of its queue and out of life; its owner."""
    record = book.orders[order]
    prev, next_ = np.int64(record["prev"]), np.int64(record["next"])
    level = np.int64(record["level"])
    record["qty"] = np.uint32(0)
    book.orders[prev]["next"] = np.uint32(next_)
    book.orders[next_]["prev"] = np.uint32(prev)
    if unlikely(level & _FAR_BIT != 0):
        owner = _unlink_far(book, level & PLACE, prev, next_)
    else:
        owner = _leave_level(book, level & PLACE, prev, next_)
    side = book.sides[owner]
    side["order_cnt"] = np.uint32(np.int64(side["order_cnt"]) - 1)
    if unlikely(owner >= shown_owners(book)):
        _tell_shown(book, owner)
    return owner


@inlined
def owner_of(book, order):
    """Owner of a booked order."""
    level = np.int64(book.orders[order]["level"])
    if unlikely(level & _FAR_BIT != 0):
        return np.int64(book.far_levels[level & PLACE]["owner"])
    return (level & PLACE) >> np.int64(book.engine[0]["lg_ladder"])


@kernel
def price_of(book, order):
    """Price in ticks of a booked order."""
    level = np.int64(book.orders[order]["level"])
    if level & _FAR_BIT:
        return np.int64(book.far_levels[level & PLACE]["price_ticks"])
    lg_ladder = np.int64(book.engine[0]["lg_ladder"])
    owner = (level & PLACE) >> lg_ladder
    return ((level & PLACE) - (owner << lg_ladder)
            + np.int64(book.symbols[owner >> 1]["window_ticks"]))


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
        queue = book.far_levels[level & PLACE]
        tail = np.int64(queue["tail"])
        queue["tail"] = np.uint32(order)
        if prev == 0:
            queue["head"] = np.uint32(next_)
    else:
        row = book.levels[level & PLACE]
        tail = np.int64(row["tail"])
        row["tail"] = np.uint32(order)
        if prev == 0:
            row["head"] = np.uint32(next_)
    book.orders[tail]["next"] = np.uint32(order)
    record["prev"] = np.uint32(tail)
    record["next"] = np.uint32(0)
