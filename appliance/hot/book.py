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
    ACCEPTED, AUCTION, BOOKED, CANCEL, COMMAND, ENTER, EVENT, EXTRA, FAR_BIT, FAR_LEVEL, LEVEL,
    MODIFY, MOVED, ORDER, REFUSED, REPLACE, REPLACED, RESERVE, RESTING_DEAD, SIDE, SYMBOL, UNBOOKED,
    WAS_BOOKED,
)
from .amend import BY_USER, cancel, cancel_plain, modify, remove
from .bundle import bundle, opened
from .events import put_event
from .fence import prefetch
from .kernel import inlined, kernel, kernel_of, unlikely
from .levels import (
    PLACE, UNUSUAL, is_far, ladder_place, meets, owner_of, shown_owners, unlink, write_terms,
)
from .match import is_beyond, may_not_rest, meets_any, take
from .plain import LG_QTY, enter_plain, take_number, trade_plain
from .raw import raw_load64
from .reach import find_reach
from .rest import ASIDE, count_live, far_refuses, owe_parts, reserve_of, rest, resting_owner
from .state import Book

# engine.fault: a broken invariant of the caller. The command, or the burst, was not applied.
# An ENTER or REPLACE out of range, or whose handle is live already; a reserve that cannot be.
FAULT_COMMAND = 0xB001
FAULT_EVENTS = 0xB002       # less room for events than apply's contract asks for

EVENTS_A_COMMAND = 5        # at most, beside one for each order that it ends
EVENTS_SPARE = 4            # and for refreshes and decrements in a call; more is used where it is

# Commands between asking for memory and needing it: of the command, its order, its neighbours.
_COMING, _AHEAD, _NEARER = np.uint64(40), np.uint64(8), np.uint64(4)
_ENTER, _CANCEL, _KIND = np.uint64(ENTER), np.uint64(CANCEL), np.uint64(0xFF)
_FAR_BIT = np.int64(FAR_BIT)
_LOW, _UNUSUAL = np.uint64(0xFFFF_FFFF), np.uint64(62)      # of an order's second word


def _records(struct):
    return from_dtype(struct.dtype)[::1]


BOOK_TYPE = types.NamedTuple(
    [_records(ORDER), _records(EXTRA), _records(LEVEL),
     types.uint64[::1], types.uint64[::1], _records(SIDE), _records(SYMBOL), _records(FAR_LEVEL),
     types.int32[:, ::1], types.int32[::1], _records(shared.ENGINE)], Book)
SIGNATURE = int64(BOOK_TYPE, _records(COMMAND), int64, int64, _records(EVENT), int64)


@inlined
def _in_range(book, command, qty):
    """Every field that becomes an index or a sum is in its range; the handle is not in use; a
    reserve order has a floor and is shown."""
    order, flags = np.int64(command["order"]), np.int64(command["flags"])
    if np.uint64(order - 1) >= np.uint64(book.orders.shape[0] - 1):
        return False
    if np.int64(command["symbol"]) >= book.symbols.shape[0]:
        return False
    if flags & RESERVE != 0 and (flags & ASIDE != 0 or np.int64(command["min_qty"]) == 0):
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


@inlined
def _enter(book, command, events, event_cnt):
    """An ENTER of any kind, checked from the start."""
    qty = np.int64(command["qty"])
    if not _in_range(book, command, qty):
        book.engine[0]["fault"] = np.uint64(FAULT_COMMAND)
        return event_cnt
    order, side = np.int64(command["order"]), np.int64(command["side"])
    price_ticks = np.int64(command["price_ticks"])
    owner = np.int64(command["symbol"]) << 1 | side
    if _is_refused(book, command, owner, price_ticks, np.int64(0)):
        return put_event(events, event_cnt, REFUSED, side, 0, 0, order, 0, qty, price_ticks, 0, 0)
    write_terms(book, order, qty, np.int64(command["account"]))
    number = take_number(book)
    if np.int64(command["flags"]) & ASIDE != 0:
        book.extras[order]["number"] = np.uint64(number)
    event_cnt = put_event(events, event_cnt, ACCEPTED, side, 0, 0, order, 0, qty, 0, 0, number)
    return _settle(book, command, order, owner, price_ticks, qty, events, event_cnt, 1)


@inlined
def _replace(book, command, target, events, event_cnt):
    """The target leaves and a new order takes its place, without its priority."""
    total, flags = np.int64(command["qty"]), np.int64(command["flags"])
    shown = np.int64(book.orders[target]["qty"])
    open_qty = shown + reserve_of(book, target)
    qty = total - (np.int64(book.orders[target]["total"]) - open_qty)
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
    write_terms(book, order, total, np.int64(command["account"]))
    number = take_number(book)
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


@kernel
def _specially(work, command, event_cnt):
    """Any command, checked from the start; `work` is a bundle of the book and the events."""
    book, events = opened(work)
    kind, target = np.int64(command["kind"]), np.int64(command["target"])
    if kind == ENTER:
        return _enter(book, command, events, event_cnt)
    if target >= book.orders.shape[0] or np.int64(book.orders[target]["qty"]) == 0:
        return event_cnt
    if kind == CANCEL:
        return cancel(book, command, target, events, event_cnt)
    if kind == REPLACE:
        return _replace(book, command, target, events, event_cnt)
    if kind == MODIFY:
        if np.int64(command["flags"]) & RESERVE != 0 \
                and owner_of(book, target) >= shown_owners(book):
            book.engine[0]["fault"] = np.uint64(FAULT_COMMAND)
            return event_cnt
        return modify(book, command, target, events, event_cnt)
    return event_cnt


@kernel
def _go_on(work, command, event_cnt):
    """A command of which engine.unfinished shares are left looks for more trades."""
    book, events = opened(work)
    engine = book.engine[0]
    qty = np.int64(engine["unfinished"])
    engine["unfinished"] = np.uint64(0)
    return _settle(book, command, np.int64(command["order"]), np.int64(engine["resume_owner"]),
                   np.int64(command["price_ticks"]), qty, events, event_cnt, 0)


@kernel
def _enter_other(work, commands, i, event_cnt):
    """An ENTER that is not booked at once: its side's reach may not be known, or there is none."""
    book, events = opened(work)
    command = commands[i]
    owner = np.int64(command["symbol"]) << 1 | np.int64(command["side"])
    if np.int64(command["side"]) > 1 or owner >= shown_owners(book):
        return _specially(work, command, event_cnt)
    side = book.sides[owner]
    if np.int64(side["plain_cnt"]) == 0:
        find_reach(book, owner)
        if np.int64(side["plain_cnt"]) == 0:
            return _specially(work, command, event_cnt)
        told = enter_plain(book, commands, i, raw_load64(commands, i, 0), events, event_cnt)
        if told >= 0:
            return told
    told = trade_plain(work, command, event_cnt)
    if told < 0:
        return _specially(work, command, event_cnt)
    if unlikely(book.engine[0]["unfinished"] != np.uint64(0)):
        return _go_on(work, command, told)
    return told


@inlined
def _look_ahead(book, commands, i):
    """Asks for the memory that commands a little later will touch, without a branch to mispredict.

    First the command itself, then its order (the target, or the new one when there is none); when
    that has come, its neighbours and its level. Hints only: what stands in commands past the burst
    may be anything.
    """
    prefetch(commands, i + _COMING)
    later = i + _AHEAD
    if later < np.uint64(commands.shape[0]):
        prefetch(book.orders, commands[later]["order"] | commands[later]["target"])
        target = np.uint64(commands[i + _NEARER]["target"])
        if target < np.uint64(book.orders.shape[0]):
            soon = book.orders[target]
            prefetch(book.orders, soon["prev"])
            prefetch(book.orders, soon["next"])
            prefetch(book.levels, soon["level"])


@inlined
def _look_far_ahead(book, commands, i):
    """Where far levels are at work, asks for that of a later command's order too."""
    later = i + _NEARER
    if later < np.uint64(commands.shape[0]):
        target = np.uint64(commands[later]["target"])
        if target < np.uint64(book.orders.shape[0]):
            level = np.int64(book.orders[target]["level"])
            if level & _FAR_BIT != 0:
                prefetch(book.far_levels, level & PLACE)


@kernel
def apply_work(work, commands, start, stop, event_cnt):
    """`apply` for kernels that hold a bundle of (book, events): nothing is handed over again."""
    book, events = opened(work)
    engine = book.engine[0]
    room = np.int64(engine["live_orders"]) + EVENTS_A_COMMAND * (stop - start) + EVENTS_SPARE
    spare = events.shape[0] - event_cnt - room
    if event_cnt < 0 or start < 0 or stop > commands.shape[0] or spare < 0:
        engine["fault"] = np.uint64(FAULT_EVENTS)
        return event_cnt
    engine["spare_events"] = np.uint64(spare + EVENTS_SPARE)
    if unlikely(engine["unfinished"] != np.uint64(0)):
        event_cnt = _go_on(work, commands[np.uint64(start)], event_cnt)
        if engine["unfinished"] != np.uint64(0):
            engine["resume_at"] = np.uint64(start)
            return event_cnt
        start += 1
    for idx in range(start, stop):
        i = np.uint64(idx)
        _look_ahead(book, commands, i)
        first, told = raw_load64(commands, i, 0), np.int64(-1)
        kind = first & _KIND
        if kind == _ENTER:
            told = enter_plain(book, commands, i, first, events, event_cnt)
            if told >= 0:
                event_cnt = told
                continue
            told = _enter_other(work, commands, i, event_cnt)
        else:
            if kind == _CANCEL:
                target = np.uint64(commands[i]["target"])
                if target < np.uint64(book.orders.shape[0]):
                    place = raw_load64(book.orders, target, 8)
                    if place & _LOW != 0 and place >> _UNUSUAL == 0:
                        event_cnt = cancel_plain(book, commands[i], np.int64(target), place,
                                                 events, event_cnt)
                        continue
            _look_far_ahead(book, commands, i)
            told = _specially(work, commands[i], event_cnt)
        if unlikely(engine["unfinished"] != np.uint64(0)):
            engine["resume_at"] = i
            return told
        event_cnt = told
    return event_cnt


@kernel_of(SIGNATURE)
def apply(book, commands, start, stop, events, event_cnt):
    """Applies commands[start:stop]; writes events from events[event_cnt] on; the new event_cnt.

    ENTER, CANCEL, REPLACE and MODIFY; other kinds are passed over. A target that is not live gives
    no event. `events` has room for event_cnt + engine.live_orders + EVENTS_SPARE +
    EVENTS_A_COMMAND a command; with less the burst is not begun (engine.fault = FAULT_EVENTS).

    Reserve orders can trade more often than there is room for. Then engine.unfinished is not 0:
    take the events and call again, with start = engine.resume_at and the same command there.
    """
    return apply_work(bundle((book, events)), commands, start, stop, event_cnt)
