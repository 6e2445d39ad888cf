"""The order book: commands in, events out. Knows no bytes, no accounts' streams, no feed.

`apply` is the matching core's whole surface. It takes commands whose handles are resolved (see
layout/record.py) and writes what happened, in the order in which participants and the feed must see
it. Everything it changes lies in `Book`; the same commands on the same book give the same events.

One command gives these events (rules of the house, section 3):

    ENTER    a plain order booked whole: ACCEPTED with WAS_BOOKED, left = its shown quantity. Else
             ACCEPTED, then TRADE / PREVENTED / REFRESHED ..., then BOOKED or CANCELED unless
             nothing is left
    REPLACE  REPLACED MOVED when booked whole and untouched, shown before and after; else REPLACED,
             UNBOOKED if it was shown, and on as ENTER; CANCELED of the target when nothing of the
             chain would stay open
    CANCEL   CANCELED, left = what stays open        MODIFY  MODIFIED, MODIFIED MOVED, or CANCELED
    any      REFUSED alone when an order that may rest needs a far level and none is to be had

Event flags: ORDER_DEAD on the event that ends `order`, RESTING_DEAD on the one that ends `resting`
(TRADE, REPLACED), WAS_BOOKED on CANCELED and PREVENTED of an order that stood in the book, UNSHOWN
where the order that the feed would name is not on it.
"""

import numpy as np
from numba import from_dtype, int64, types

from ..layout import shared
from ..layout.record import (
    ACCEPTED, AUCTION, BOOKED, CANCEL, COMMAND, ENTER, EVENT, EXTRA, FAR_LEVEL, LEVEL, MODIFY,
    MOVED, ORDER, REFUSED, REPLACE, REPLACED, RESTING_DEAD, SIDE, SYMBOL, UNBOOKED, WAS_BOOKED,
)
from .amend import BY_USER, cancel, cancel_plain, modify, next_order_ref, remove
from .events import put_event
from .fence import prefetch
from .kernel import inlined, kernel, kernel_of, unlikely
from .levels import (
    UNUSUAL, append_plain, is_far, ladder_place, meets, owner_of, shown_owners, unlink,
)
from .match import is_beyond, may_not_rest, meets_any, take
from .raw import raw_load64
from .rest import ASIDE, count_live, far_refuses, owe_parts, reserve_of, rest, resting_owner
from .state import Book

# engine.fault: a broken invariant of the caller. The command, or the burst, was not applied.
FAULT_COMMAND = 0xB001      # an ENTER or REPLACE out of range, or whose handle is live already
FAULT_EVENTS = 0xB002       # less room for events than apply's contract asks for

EVENTS_A_COMMAND = 5        # at most, beside one for each order that it ends
EVENTS_SPARE = 4            # and for refreshes and decrements in a call; more is used where it is
AHEAD, NEARER = 8, 4        # commands between asking for a line of memory and needing it
LG_QTY = 20                 # no quantity reaches 2 ** LG_QTY, so no sum of a book's overflows

_LOW = 0xFFFF_FFFF
assert [(field.name, field.off) for field in COMMAND.fields][:10] == [
    ("kind", 0), ("side", 1), ("tif", 2), ("flags", 3), ("order", 4), ("target", 8), ("qty", 12),
    ("price_ticks", 16), ("min_qty", 20), ("symbol", 24)], "_enter_plain reads these as words"


def _records(struct):
    return from_dtype(struct.dtype)[::1]


BOOK_TYPE = types.NamedTuple(
    [_records(ORDER), types.uint32[::1], types.uint16[::1], _records(EXTRA), _records(LEVEL),
     types.uint64[::1], types.uint64[::1], _records(SIDE), _records(SYMBOL), _records(FAR_LEVEL),
     types.int32[:, ::1], types.uint32[:, ::1], types.uint32[::1], _records(shared.ENGINE)], Book)
SIGNATURE = int64(BOOK_TYPE, _records(COMMAND), int64, int64, _records(EVENT), int64)


@inlined
def _in_range(book, command, qty):
    """Every field that becomes an index or a sum is in its range; the handle is not in use."""
    order = np.int64(command["order"])
    if np.uint64(order - 1) >= np.uint64(book.orders.shape[0] - 1):
        return False
    if np.int64(command["symbol"]) >= book.symbols.shape[0]:
        return False
    over = (np.int64(command["side"]) >> 1 | (qty - 1) >> LG_QTY
            | np.int64(command["min_qty"]) >> LG_QTY
            | np.int64(command["price_ticks"]) >> 31 | np.int64(book.orders[order]["qty"]))
    return over == 0


@inlined
def _settle(book, command, order, owner, price_ticks, qty, events, event_cnt, is_new):
    """An accepted order takes what it may; what is left of it is booked."""
    flags = np.int64(command["flags"])
    details = np.int64(command["tif"]) | flags | np.int64(command["min_qty"])
    if flags & AUCTION == 0 and (details != 0 or meets(book, owner, price_ticks)
                                 or np.int64(book.sides[owner ^ 1]["hidden_cnt"]) > 0
                                 or is_beyond(book, owner, price_ticks)):
        event_cnt, qty = take(book, command, order, owner, price_ticks, qty, events, event_cnt,
                              is_new)
        if qty == 0:
            book.engine[0]["resume_owner"] = np.uint64(owner)
            return event_cnt
    return rest(book, command, order, owner, price_ticks, qty, events, event_cnt, BOOKED,
                np.int64(0))


@inlined
def _is_refused(book, command, owner, price_ticks, leaving):
    """Would the order, if it may rest, find no far level where it needs one?"""
    if may_not_rest(command) and np.int64(command["flags"]) & AUCTION == 0:
        return False
    flags = np.int64(command["flags"])
    if flags & ASIDE == 0 and not is_far(book, ladder_place(book, owner, price_ticks)):
        return False
    return far_refuses(book, resting_owner(book, owner, flags), price_ticks, leaving)


@kernel
def _enter(book, commands, i, events, event_cnt):
    """An ENTER of any kind, checked from the start."""
    command = commands[np.uint64(i)]
    qty = np.int64(command["qty"])
    if not _in_range(book, command, qty):
        book.engine[0]["fault"] = np.uint64(FAULT_COMMAND)
        return event_cnt
    order, side = np.int64(command["order"]), np.int64(command["side"])
    price_ticks = np.int64(command["price_ticks"])
    owner = np.int64(command["symbol"]) << 1 | side
    if _is_refused(book, command, owner, price_ticks, np.int64(0)):
        return put_event(events, event_cnt, REFUSED, side, 0, 0, order, 0, qty, price_ticks, 0, 0)
    book.totals[order] = np.uint32(qty)
    book.owners[order] = np.uint16(command["account"])
    number = next_order_ref(book)
    if np.int64(command["flags"]) & ASIDE != 0:
        book.extras[order]["number"] = np.uint64(number)
    event_cnt = put_event(events, event_cnt, ACCEPTED, side, 0, 0, order, 0, qty, 0, 0, number)
    return _settle(book, command, order, owner, price_ticks, qty, events, event_cnt, 1)


@inlined
def _enter_plain(book, commands, i, events, event_cnt):
    """A plain order inside the window that meets nobody: booked whole. -1: it is not of that kind.

    Nothing is changed then. Reads the command as four words; `_enter` has the same checks by name.
    """
    first, second = np.int64(raw_load64(commands, i, 0)), np.int64(raw_load64(commands, i, 8))
    third, fourth = np.int64(raw_load64(commands, i, 16)), np.int64(raw_load64(commands, i, 24))
    order, side, qty = first >> 32 & _LOW, first >> 8 & 0xFF, second >> 32 & _LOW
    price_ticks, symbol = third & _LOW, fourth & 0xFFFF
    if np.uint64(order - 1) >= np.uint64(book.orders.shape[0] - 1) \
            or symbol >= book.symbols.shape[0]:
        return np.int64(-1)
    owner = symbol << 1 | side & 1
    own, other, listing = book.sides[owner], book.sides[owner ^ 1], book.symbols[symbol]
    special = (first & 0xFFFF_FE00 | third >> 32 | (qty - 1) >> LG_QTY | price_ticks >> 31
               | np.int64(book.orders[order]["qty"]) | np.int64(other["hidden_cnt"]))
    if special != 0:
        return np.int64(-1)
    lg_ladder = np.uint64(book.engine[0]["lg_ladder"])
    place = price_ticks - np.int64(listing["window_ticks"])
    worse = -(side & 1)
    bound = np.int64(listing["sell_bound_ticks"] if side & 1 else listing["buy_bound_ticks"])
    ranked = price_ticks ^ worse
    if np.uint64(place) >> lg_ladder != np.uint64(0) \
            or (np.int64(other["best_ticks"]) ^ worse) <= ranked or ranked > (bound ^ worse):
        return np.int64(-1)
    book.totals[order] = np.uint32(qty)
    book.owners[order] = np.uint16(fourth >> 16 & 0xFFFF)
    number = next_order_ref(book)
    append_plain(book, own, np.int64(np.uint64(owner) << lg_ladder) | place, worse, price_ticks,
                 order, qty)
    count_live(book, 1)
    return put_event(events, event_cnt, ACCEPTED, side, 0, WAS_BOOKED, order, 0, qty, price_ticks,
                     qty, number)


@kernel
def _replace(book, command, target, events, event_cnt):
    """The target leaves and a new order takes its place, without its priority."""
    total, flags = np.int64(command["qty"]), np.int64(command["flags"])
    shown = np.int64(book.orders[target]["qty"])
    open_qty = shown + reserve_of(book, target)
    qty = total - (np.int64(book.totals[target]) - open_qty)
    if qty <= 0:
        return remove(book, target, BY_USER, events, event_cnt)
    if not _in_range(book, command, total):
        book.engine[0]["fault"] = np.uint64(FAULT_COMMAND)
        return event_cnt
    order, price_ticks = np.int64(command["order"]), np.int64(command["price_ticks"])
    owner = owner_of(book, target)
    was_shown = owner < shown_owners(book)
    while owner >= shown_owners(book):
        owner -= shown_owners(book)
    side = owner & 1
    if _is_refused(book, command, owner, price_ticks, target):
        return put_event(events, event_cnt, REFUSED, side, 0, 0, order, target, qty, price_ticks,
                         0, 0)
    if open_qty != shown:
        owe_parts(book, target, -1)
    unlink(book, target)
    count_live(book, -1)
    book.totals[order] = np.uint32(total)
    book.owners[order] = np.uint16(command["account"])
    number = next_order_ref(book)
    if flags & ASIDE != 0:
        book.extras[order]["number"] = np.uint64(number)
    event_cnt = put_event(events, event_cnt, REPLACED, side, 0, RESTING_DEAD, order, target, qty, 0,
                          0, number)
    if was_shown and flags & ASIDE == 0 and not may_not_rest(command) \
            and not is_beyond(book, owner, price_ticks) \
            and not meets_any(book, owner, price_ticks, qty):
        return rest(book, command, order, owner, price_ticks, qty, events, event_cnt, MOVED,
                    target)
    if was_shown:
        event_cnt = put_event(events, event_cnt, UNBOOKED, side, 0, 0, order, target, shown, 0, 0,
                              0)
    return _settle(book, command, order, owner, price_ticks, qty, events, event_cnt, 1)


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
        order = target | np.int64(commands[later]["order"]) & none
        prefetch(book.orders, order)
        prefetch(book.totals, order)
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
    no event. `events` has room for event_cnt + engine.live_orders + EVENTS_SPARE +
    EVENTS_A_COMMAND a command; with less the burst is not begun (engine.fault = FAULT_EVENTS).

    Reserve orders can trade more often than there is room for. Then engine.unfinished is not 0:
    take the events and call again, with start = engine.resume_at and the same command there.
    """
    engine = book.engine[0]
    room = np.int64(engine["live_orders"]) + EVENTS_A_COMMAND * (stop - start) + EVENTS_SPARE
    spare = events.shape[0] - event_cnt - room
    if event_cnt < 0 or start < 0 or stop > commands.shape[0] or spare < 0:
        engine["fault"] = np.uint64(FAULT_EVENTS)
        return event_cnt
    engine["spare_events"] = np.uint64(spare + EVENTS_SPARE)
    if unlikely(engine["unfinished"] != np.uint64(0)):
        command, qty = commands[np.uint64(start)], np.int64(engine["unfinished"])
        engine["unfinished"] = np.uint64(0)
        event_cnt = _settle(book, command, np.int64(command["order"]),
                            np.int64(engine["resume_owner"]), np.int64(command["price_ticks"]),
                            qty, events, event_cnt, 0)
        if engine["unfinished"] != np.uint64(0):
            engine["resume_at"] = np.uint64(start)
            return event_cnt
        start += 1
    for i in range(start, stop):
        _look_ahead(book, commands, i)
        command = commands[np.uint64(i)]
        kind = np.int64(command["kind"])
        if kind == ENTER:
            told = _enter_plain(book, commands, np.uint64(i), events, event_cnt)
            if unlikely(told < 0):
                told = _enter(book, commands, i, events, event_cnt)
                if unlikely(engine["unfinished"] != np.uint64(0)):
                    engine["resume_at"] = np.uint64(i)
                    return told
            event_cnt = told
            continue
        target = np.int64(command["target"])
        if target >= book.orders.shape[0] or np.int64(book.orders[target]["qty"]) == 0:
            continue
        if kind == CANCEL:
            if unlikely(np.int64(book.orders[target]["level"]) & UNUSUAL != 0):
                event_cnt = cancel(book, command, target, events, event_cnt)
            else:
                event_cnt = cancel_plain(book, command, target, events, event_cnt)
            continue
        if kind == REPLACE:
            event_cnt = _replace(book, command, target, events, event_cnt)
            if unlikely(engine["unfinished"] != np.uint64(0)):
                engine["resume_at"] = np.uint64(i)
                return event_cnt
        elif kind == MODIFY:
            event_cnt = modify(book, command, target, events, event_cnt)
    return event_cnt
