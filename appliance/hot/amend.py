"""A booked order leaves or changes its quantity: Cancel and Modify.

Quantities asked for are intended totals, executed and decremented shares included. A reserve gives
before the shown part does.
"""

import numpy as np

from ..layout.record import (
    CANCELED, EXTRA_BIT, MODIFIED, MOVED, ORDER_DEAD, RESERVE, UNSHOWN, WAS_BOOKED,
)
from .events import put_event
from .kernel import inlined, unlikely
from .levels import owner_of, price_of, shown_owners, to_back, unlink, unlink_ladder
from .plain import take_number
from .rest import count_live, owe_parts, reserve_of

QTY_MAX = 999_999
BY_USER = np.int64(ord("U"))
_EXTRA_BIT = np.int64(EXTRA_BIT)
_LOW, _HALF = np.uint64(0xFFFF_FFFF), np.uint64(32)


@inlined
def remove(book, target, reason, events, event_cnt):
    """A booked order leaves whole: CANCELED."""
    shown, reserve, unshown = np.int64(book.orders[target]["qty"]), np.int64(0), np.int64(0)
    if unlikely(np.int64(book.orders[target]["level"]) & _EXTRA_BIT != 0):
        reserve = np.int64(book.extras[target]["reserve"])
        owe_parts(book, target, -1)
    owner, removed = unlink(book, target), shown + reserve
    count_live(book, -1)
    if unlikely(owner >= shown_owners(book)):
        unshown, shown = np.int64(UNSHOWN), np.int64(0)
    return put_event(events, event_cnt, CANCELED, owner & 1, reason,
                     ORDER_DEAD | WAS_BOOKED | unshown, target, 0, removed, shown, 0, 0)


@inlined
def _shrink(book, target, count):
    """Takes shares off a booked order that keeps some; how many of them were shown."""
    shown = count
    if unlikely(np.int64(book.orders[target]["level"]) & _EXTRA_BIT != 0):
        reserve = np.int64(book.extras[target]["reserve"])
        shown = max(count - reserve, np.int64(0))
        owe_parts(book, target, -1)
        book.extras[target]["reserve"] = np.uint32(reserve - (count - shown))
        owe_parts(book, target, 1)
    book.orders[target]["qty"] = np.uint32(np.int64(book.orders[target]["qty"]) - shown)
    return shown


@inlined
def cancel_plain(book, command, target, place, events, event_cnt):
    """`cancel` of an order that stands on the ladder and has no EXTRA.

    place: its quantity and level, as ORDER has them in one word.
    """
    reason, wanted = np.int64(command["tif"]), np.int64(command["qty"])
    reason = BY_USER if reason == 0 else reason
    open_qty, level = np.int64(place & _LOW), np.int64(place >> _HALF)
    if wanted != 0:
        total = np.int64(book.orders[target]["total"])
        if wanted >= total:
            return event_cnt
        left = wanted - (total - open_qty)
        if left > 0:
            book.orders[target]["qty"] = np.uint32(left)
            book.orders[target]["total"] = np.uint32(wanted)
            side = level >> np.int64(book.engine[0]["lg_ladder"]) & 1
            removed = open_qty - left
            return put_event(events, event_cnt, CANCELED, side, reason, WAS_BOOKED, target, 0,
                             removed, removed, left, 0)
    owner = unlink_ladder(book, target, level)
    count_live(book, -1)
    return put_event(events, event_cnt, CANCELED, owner & 1, reason, ORDER_DEAD | WAS_BOOKED,
                     target, 0, open_qty, open_qty, 0, 0)


@inlined
def cancel(book, command, target, events, event_cnt):
    """Down to an intended total of qty; 0 is the whole."""
    reason, wanted = np.int64(command["tif"]), np.int64(command["qty"])
    if reason == 0:
        reason = BY_USER
    left = np.int64(0)
    if wanted != 0:
        total = np.int64(book.orders[target]["total"])
        if wanted >= total:
            return event_cnt
        open_qty = np.int64(book.orders[target]["qty"]) + reserve_of(book, target)
        left = wanted - (total - open_qty)
    if left <= 0:
        return remove(book, target, reason, events, event_cnt)
    shown, owner, unshown = _shrink(book, target, open_qty - left), owner_of(book, target), 0
    book.orders[target]["total"] = np.uint32(wanted)
    if unlikely(owner >= shown_owners(book)):
        unshown, shown = UNSHOWN, np.int64(0)
    return put_event(events, event_cnt, CANCELED, owner & 1, reason, WAS_BOOKED | unshown, target,
                     0, open_qty - left, shown, left, 0)


@inlined
def modify(book, command, target, events, event_cnt):
    """A new intended total for a booked order: less keeps its place, more goes to the back.

    With RESERVE one that grows has the floor command.min_qty from now on, whatever it had.
    """
    wanted, total = np.int64(command["qty"]), np.int64(book.orders[target]["total"])
    open_qty = np.int64(book.orders[target]["qty"]) + reserve_of(book, target)
    left = wanted - (total - open_qty)
    if wanted > QTY_MAX and wanted > total:
        return event_cnt
    if left <= 0:
        return remove(book, target, BY_USER, events, event_cnt)
    owner = owner_of(book, target)
    unshown = UNSHOWN if owner >= shown_owners(book) else 0
    book.orders[target]["total"] = np.uint32(wanted)
    if wanted <= total:
        shown = _shrink(book, target, open_qty - left)
        return put_event(events, event_cnt, MODIFIED, owner & 1, 0, unshown, target, 0, left, 0,
                         shown if unshown == 0 else np.int64(0), 0)
    shown, extra, record = left, book.extras[target], book.orders[target]
    if np.int64(record["level"]) & _EXTRA_BIT != 0:
        owe_parts(book, target, -1)
    if np.int64(command["flags"]) & RESERVE != 0:
        extra["floor"], extra["least"] = command["min_qty"], np.uint32(0)
        extra["reserve"] = np.uint32(0)
        record["level"] = np.uint32(np.int64(record["level"]) | _EXTRA_BIT)
    if np.int64(record["level"]) & _EXTRA_BIT != 0 and extra["floor"] != 0:
        shown = min(left, np.int64(extra["floor"]))
        extra["reserve"] = np.uint32(left - shown)
        owe_parts(book, target, 1)
    book.orders[target]["qty"] = np.uint32(shown)
    event_cnt = put_event(events, event_cnt, MODIFIED, owner & 1, 0, unshown, target, 0, left, 0, 0,
                          0)
    to_back(book, target)
    number = take_number(book)
    book.extras[target]["number"] = np.uint64(number)
    return put_event(events, event_cnt, MOVED, owner & 1, 0, unshown, target, target, shown,
                     price_of(book, target), 0, number)
