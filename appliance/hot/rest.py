"""Booking what is left of an order: on the shown side, hidden beside it, or to wait for a cross.

Sides are grouped (layout/record.py, GROUPS): the shown one has a ladder, the others far levels
only. A reserve order shows its floor at a time; what it holds back lies in `extras`.
"""

import numpy as np

from ..layout.record import (
    AUCTION, CLOSING_GROUP, EXTRA_BIT, FAR_BIT, HIDDEN, HIDDEN_GROUP, ON_CLOSE, OPENING_GROUP,
    RESERVE, UNSHOWN,
)
from .events import put_event
from .far import far_slot_at
from .kernel import inlined, kernel, unlikely
from .levels import PLACE, append, append_aside, is_far, ladder_place, shown_owners
from .window import follow

ASIDE = HIDDEN | AUCTION                 # command.flags of an order that is never shown
_SPECIAL = ASIDE | RESERVE
_FAR_BIT, _EXTRA_BIT = np.int64(FAR_BIT), np.int64(EXTRA_BIT)


@inlined
def count_live(book, change):
    """`change` more live orders."""
    book.engine[0]["live_orders"] = np.uint64(np.int64(book.engine[0]["live_orders"]) + change)


@kernel
def resting_owner(book, owner, flags):
    """The side on which an order of shown side `owner` and these command.flags rests."""
    group = np.int64(0)
    if flags & AUCTION != 0:
        group = np.int64(CLOSING_GROUP if flags & ON_CLOSE != 0 else OPENING_GROUP)
    elif flags & HIDDEN != 0:
        group = np.int64(HIDDEN_GROUP)
    return group * shown_owners(book) + owner


@kernel
def _finds_none(book, owner, price_ticks, leaving):
    """`far_refuses` of a side or a pool that is full."""
    used = np.int64(book.sides[owner]["far_cnt"])
    free = np.int64(book.engine[0]["free_far"])
    record = book.orders[leaving]
    if leaving != 0 and np.int64(record["level"]) & _FAR_BIT != 0 \
            and np.int64(record["prev"]) == 0 and np.int64(record["next"]) == 0:
        free += 1
        if np.int64(book.far_levels[np.int64(record["level"]) & PLACE]["owner"]) == owner:
            used -= 1
    if used < np.int64(book.engine[0]["far_cap"]) and free > 0:
        return False
    return far_slot_at(book, owner, price_ticks) == 0


@inlined
def far_refuses(book, owner, price_ticks, leaving):
    """An order that may rest at a far price finds no level: none there, none free.

    `leaving` is the booked order that it replaces (0 none): a far level of its own comes free.
    """
    engine = book.engine[0]
    if np.int64(book.sides[owner]["far_cnt"]) < np.int64(engine["far_cap"]) \
            and np.int64(engine["free_far"]) > 0:
        return False
    return _finds_none(book, owner, price_ticks, leaving)


@inlined
def _append(book, owner, price_ticks, order, shown, extra):
    """Books a shown order, inside the window or outside."""
    place = ladder_place(book, owner, price_ticks)
    append(book, owner, price_ticks, place, order, shown, extra)
    if unlikely(is_far(book, place)):
        follow(book, owner, price_ticks)


@kernel
def _rest_specially(book, order, owner, price_ticks, qty, flags, least, events, event_cnt, kind,
                    target):
    extra, shown = np.int64(0), qty
    if flags & RESERVE != 0:
        shown = min(qty, least)
        row = book.extras[order]
        row["reserve"], row["floor"] = np.uint32(qty - shown), np.uint32(least)
        row["least"] = np.uint32(0)
        owe_parts(book, order, 1)
        extra = _EXTRA_BIT
    elif flags & HIDDEN != 0 and least > 0:
        row = book.extras[order]
        row["reserve"], row["floor"], row["least"] = np.uint32(0), np.uint32(0), np.uint32(least)
        extra = _EXTRA_BIT
    unshown = np.int64(0)
    if flags & ASIDE != 0:
        unshown = np.int64(UNSHOWN)
        append_aside(book, resting_owner(book, owner, flags), price_ticks, order, shown, extra)
    else:
        _append(book, owner, price_ticks, order, shown, extra)
    return put_event(events, event_cnt, kind, owner & 1, 0, unshown, order, target, shown,
                     price_ticks, 0, 0)


@inlined
def rest(book, command, order, owner, price_ticks, qty, events, event_cnt, kind, target):
    """Books qty > 0 shares of an order; `kind` is BOOKED, or MOVED in the place of `target`."""
    count_live(book, 1)
    flags = np.int64(command["flags"])
    if flags & _SPECIAL != 0:
        return _rest_specially(book, order, owner, price_ticks, qty, flags,
                               np.int64(command["min_qty"]), events, event_cnt, kind, target)
    _append(book, owner, price_ticks, order, qty, np.int64(0))
    return put_event(events, event_cnt, kind, owner & 1, 0, 0, order, target, qty, price_ticks, 0,
                     0)


@inlined
def reserve_of(book, order):
    """Shares that a booked order holds back."""
    if np.int64(book.orders[order]["level"]) & _EXTRA_BIT != 0:
        return np.int64(book.extras[order]["reserve"])
    return np.int64(0)


@kernel
def owe_parts(book, order, sign):
    """Counts the parts that a reserve order may still show: -1 before its reserve changes, 1 after.

    Each part is an acknowledgement more that its account's stream must have room for.
    """
    extra, engine = book.extras[order], book.engine[0]
    floor = np.int64(extra["floor"])
    if floor > 0:
        parts = (np.int64(extra["reserve"]) + floor - 1) // floor
        engine["parts_owed"] = np.uint64(np.int64(engine["parts_owed"]) + sign * parts)
