"""The order book: commands in, events out. Knows no bytes, no accounts' streams, no feed.

`apply` is the matching core's whole surface. It takes commands whose handles are resolved (see
layout/record.py) and writes what happened, in the order in which participants and the feed must see
it. Everything it changes lies in `Book`; the same commands on the same book give the same events.

One command gives these events (rules of the house, section 3):

    ENTER    ACCEPTED, then TRADE / PREVENTED ..., then BOOKED or CANCELED unless nothing is left
    REPLACE  REPLACED MOVED when booked whole and untouched; else REPLACED UNBOOKED and on as ENTER;
             CANCELED of the target when nothing of the chain would stay open
    CANCEL   CANCELED, left = what stays open        MODIFY  MODIFIED, MODIFIED MOVED, or CANCELED
    any      REFUSED alone when an order that may rest needs a far level and none is to be had

Event flags: ORDER_DEAD on the event that ends `order`, RESTING_DEAD on the one that ends `resting`
(TRADE, REPLACED), WAS_BOOKED on CANCELED and PREVENTED of an order that stood in the book.
"""

import numpy as np
from numba import from_dtype, int64, types

from ..layout import shared
from ..layout.record import (
    ACCEPTED, BOOKED, CANCEL, CANCELED, COMMAND, ENTER, EVENT, EXTRA, FAR_LEVEL, LEVEL, MODIFIED,
    MODIFY, MOVED, ORDER, ORDER_DEAD, REFUSED, REPLACE, REPLACED, RESTING_DEAD, SIDE, SYMBOL,
    UNBOOKED, WAS_BOOKED,
)
from .events import put_event
from .far import far_has_room, far_slot_at
from .fence import prefetch
from .kernel import inlined, kernel, kernel_of, unlikely
from .levels import (
    FAR_BIT, append, is_far, ladder_place, meets, owner_of, price_of, to_back, unlink,
)
from .match import may_not_rest, take
from .state import Book

# engine.fault: a broken invariant of the caller. The command, or the burst, was not applied.
FAULT_COMMAND = 0xB001      # an ENTER or REPLACE out of range, or whose handle is live already
FAULT_EVENTS = 0xB002       # less room for events than live orders + EVENTS_A_COMMAND each

EVENTS_A_COMMAND = 5        # at most, beside one for each order that it ends
AHEAD, NEARER = 8, 4        # commands between asking for a line of memory and needing it
QTY_MAX = 999_999
LG_QTY = 20                 # no quantity reaches 2 ** LG_QTY, so no sum of a book's overflows

_USER = np.int64(ord("U"))


def _records(struct):
    return from_dtype(struct.dtype)[::1]


BOOK_TYPE = types.NamedTuple(
    [_records(ORDER), types.uint32[::1], types.uint16[::1], _records(EXTRA), _records(LEVEL),
     types.uint64[::1], types.uint64[::1], _records(SIDE), _records(SYMBOL), _records(FAR_LEVEL),
     types.int32[:, ::1], types.uint32[:, ::1], types.uint32[::1], _records(shared.ENGINE)], Book)
SIGNATURE = int64(BOOK_TYPE, _records(COMMAND), int64, int64, _records(EVENT), int64)


@kernel
def _far_refuses(book, owner, price_ticks, leaving):
    """An order that may rest at a far price finds no level: none there, none free.

    `leaving` is the booked order that it replaces (0 none): a far level of its own comes free.
    """
    if far_slot_at(book, owner, price_ticks) != 0 or far_has_room(book, owner):
        return False
    record = book.orders[leaving]
    return (leaving == 0 or np.int64(record["level"]) & FAR_BIT == 0
            or np.int64(record["prev"]) != 0 or np.int64(record["next"]) != 0)


@inlined
def _in_range(book, command, qty):
    """Every field that becomes an index or a sum is in its range; the handle is not in use."""
    order = np.int64(command["order"])
    if np.uint64(order - 1) >= np.uint64(book.orders.shape[0] - 1):
        return False
    if np.int64(command["symbol"]) >= book.symbols.shape[0]:
        return False
    over = (np.int64(command["side"]) >> 1 | (qty - 1) >> LG_QTY
            | np.int64(command["price_ticks"]) >> 31 | np.int64(book.orders[order]["qty"]))
    return over == 0


@inlined
def _next_order_ref(book):
    number = np.int64(book.engine[0]["next_order_ref"])
    book.engine[0]["next_order_ref"] = np.uint64(number + 1)
    return number


@inlined
def _count_live(book, change):
    book.engine[0]["live_orders"] = np.uint64(np.int64(book.engine[0]["live_orders"]) + change)


@inlined
def _settle(book, command, order, owner, price_ticks, place, qty, events, event_cnt):
    """An accepted order takes what it may; what is left of it is booked."""
    details = (np.int64(command["tif"]) | np.int64(command["flags"])
               | np.int64(command["min_qty"]))
    if unlikely(details != 0 or meets(book, owner, price_ticks)):
        event_cnt, qty = take(book, command, order, owner, price_ticks, qty, events, event_cnt)
        if qty == 0:
            return event_cnt
    append(book, owner, price_ticks, place, order, qty)
    _count_live(book, 1)
    return put_event(events, event_cnt, BOOKED, owner & 1, 0, 0, order, 0, qty, price_ticks, 0, 0)


@inlined
def _enter(book, command, events, event_cnt):
    qty = np.int64(command["qty"])
    if unlikely(not _in_range(book, command, qty)):
        book.engine[0]["fault"] = np.uint64(FAULT_COMMAND)
        return event_cnt
    order, side = np.int64(command["order"]), np.int64(command["side"])
    price_ticks = np.int64(command["price_ticks"])
    owner = np.int64(command["symbol"]) << 1 | side
    place = ladder_place(book, owner, price_ticks)
    if unlikely(is_far(book, place)) and not may_not_rest(command):
        if _far_refuses(book, owner, price_ticks, np.int64(0)):
            return put_event(events, event_cnt, REFUSED, side, 0, 0, order, 0, qty, price_ticks,
                             0, 0)
    book.totals[order] = np.uint32(qty)
    book.owners[order] = np.uint16(command["account"])
    event_cnt = put_event(events, event_cnt, ACCEPTED, side, 0, 0, order, 0, qty, 0, 0,
                          _next_order_ref(book))
    return _settle(book, command, order, owner, price_ticks, place, qty, events, event_cnt)


@inlined
def _remove(book, target, reason, events, event_cnt):
    """A booked order leaves whole: CANCELED."""
    open_qty = np.int64(book.orders[target]["qty"])
    owner = unlink(book, target)
    _count_live(book, -1)
    return put_event(events, event_cnt, CANCELED, owner & 1, reason, ORDER_DEAD | WAS_BOOKED,
                     target, 0, open_qty, 0, 0, 0)


@inlined
def _cancel(book, command, target, events, event_cnt):
    """Down to an intended total of qty; 0 is the whole."""
    reason, wanted = np.int64(command["tif"]), np.int64(command["qty"])
    if reason == 0:
        reason = _USER
    open_qty, left = np.int64(book.orders[target]["qty"]), np.int64(0)
    if wanted != 0:
        total = np.int64(book.totals[target])
        if wanted >= total:
            return event_cnt
        left = wanted - (total - open_qty)
    if left <= 0:
        return _remove(book, target, reason, events, event_cnt)
    book.orders[target]["qty"] = np.uint32(left)
    book.totals[target] = np.uint32(wanted)
    return put_event(events, event_cnt, CANCELED, owner_of(book, target) & 1, reason, WAS_BOOKED,
                     target, 0, open_qty - left, 0, left, 0)


@kernel
def _replace(book, command, target, events, event_cnt):
    """The target leaves and a new order takes its place, without its priority."""
    total = np.int64(command["qty"])
    open_qty = np.int64(book.orders[target]["qty"])
    qty = total - (np.int64(book.totals[target]) - open_qty)
    if qty <= 0:
        return _remove(book, target, _USER, events, event_cnt)
    if not _in_range(book, command, total):
        book.engine[0]["fault"] = np.uint64(FAULT_COMMAND)
        return event_cnt
    order, price_ticks = np.int64(command["order"]), np.int64(command["price_ticks"])
    owner = owner_of(book, target)
    side = owner & 1
    may_rest = not may_not_rest(command)
    place = ladder_place(book, owner, price_ticks)
    if unlikely(is_far(book, place)) and may_rest:
        if _far_refuses(book, owner, price_ticks, target):
            return put_event(events, event_cnt, REFUSED, side, 0, 0, order, target, qty,
                             price_ticks, 0, 0)
    unlink(book, target)
    _count_live(book, -1)
    book.totals[order] = np.uint32(total)
    book.owners[order] = np.uint16(command["account"])
    event_cnt = put_event(events, event_cnt, REPLACED, side, 0, RESTING_DEAD, order, target, qty, 0,
                          0, _next_order_ref(book))
    if may_rest and not meets(book, owner, price_ticks):
        append(book, owner, price_ticks, place, order, qty)
        _count_live(book, 1)
        return put_event(events, event_cnt, MOVED, side, 0, 0, order, target, qty, price_ticks,
                         0, 0)
    event_cnt = put_event(events, event_cnt, UNBOOKED, side, 0, 0, order, target, open_qty, 0, 0, 0)
    return _settle(book, command, order, owner, price_ticks, place, qty, events, event_cnt)


@kernel
def _modify(book, command, target, events, event_cnt):
    """A new intended total for a booked order: less keeps its place, more goes to the back."""
    wanted = np.int64(command["qty"])
    open_qty, total = np.int64(book.orders[target]["qty"]), np.int64(book.totals[target])
    left = wanted - (total - open_qty)
    if wanted > QTY_MAX and wanted > total:
        return event_cnt
    if left <= 0:
        return _remove(book, target, _USER, events, event_cnt)
    side = owner_of(book, target) & 1
    book.orders[target]["qty"] = np.uint32(left)
    book.totals[target] = np.uint32(wanted)
    event_cnt = put_event(events, event_cnt, MODIFIED, side, 0, 0, target, 0, left, 0,
                          max(open_qty - left, np.int64(0)), 0)
    if wanted <= total:
        return event_cnt
    to_back(book, target)
    return put_event(events, event_cnt, MOVED, side, 0, 0, target, target, left,
                     price_of(book, target), 0, _next_order_ref(book))


@inlined
def _look_ahead(book, commands, i):
    """Asks for the memory that commands a little later will touch, without a branch to mispredict.

    First the order (the target, or the new one when there is none); when that has come, its
    neighbours and its level. Hints only: what stands in commands past the burst may be anything.
    """
    later = np.uint64(i + AHEAD)
    if later < np.uint64(commands.shape[0]):
        target = np.int64(commands[later]["target"])
        none = (target - 1) >> 63
        prefetch(book.orders, target | np.int64(commands[later]["order"]) & none)
        target = np.int64(commands[np.uint64(i + NEARER)]["target"])
        if target < book.orders.shape[0]:
            soon = book.orders[target]
            prefetch(book.orders, soon["prev"])
            prefetch(book.orders, soon["next"])
            prefetch(book.levels, soon["level"])


@kernel_of(SIGNATURE)
def apply(book, commands, start, stop, events, event_cnt):
    """Applies commands[start:stop]; writes events from events[event_cnt] on; the new event_cnt.

    ENTER, CANCEL, REPLACE and MODIFY; other kinds are passed over. A target that is not live gives
    no event. `events` has room for event_cnt + engine.live_orders + EVENTS_A_COMMAND a command;
    with less the burst is not begun (engine.fault = FAULT_EVENTS).
    """
    room = np.int64(book.engine[0]["live_orders"]) + EVENTS_A_COMMAND * (stop - start)
    if event_cnt < 0 or start < 0 or stop > commands.shape[0] or event_cnt + room > events.shape[0]:
        book.engine[0]["fault"] = np.uint64(FAULT_EVENTS)
        return event_cnt
    for i in range(start, stop):
        _look_ahead(book, commands, i)
        command = commands[np.uint64(i)]
        kind = np.int64(command["kind"])
        if kind == ENTER:
            event_cnt = _enter(book, command, events, event_cnt)
            continue
        target = np.int64(command["target"])
        if target >= book.orders.shape[0] or np.int64(book.orders[target]["qty"]) == 0:
            continue
        if kind == CANCEL:
            event_cnt = _cancel(book, command, target, events, event_cnt)
            continue
        if kind == REPLACE:
            event_cnt = _replace(book, command, target, events, event_cnt)
        elif kind == MODIFY:
            event_cnt = _modify(book, command, target, events, event_cnt)
    return event_cnt
