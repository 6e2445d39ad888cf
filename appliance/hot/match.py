"""The incoming order meets the other side: trades, self-match prevention, minimum quantity.

`take` is everything that can happen to an accepted order before its rest is booked; it is called
only for orders that meet somebody or are special. Rules: price, then shown before hidden, then
time, at the resting price. Shown queues are swept here, hidden ones in `hidden`.
"""

import numpy as np

from ..layout.record import (
    CANCELED, EXTRA_BIT, MARKET, ORDER_DEAD, POST_ONLY, PREVENTED, REFRESHED, RESERVE,
    RESTING_DEAD, SMP_DECREMENT, SMP_NEWEST, SMP_OFF, SMP_OLDEST, TRADE, WAS_BOOKED,
)
from .events import may_spend, put_event
from .far import far_best_slot, far_drop_best
from .hidden import hidden_level, meets_hidden, tradable
from .kernel import inlined, kernel, unlikely
from .ladder import unmark
from .levels import (
    NO_ASK, NO_BID, is_far, ladder_place, meets, next_aside, next_best, set_best, shown_owners,
)
from .rest import owe_parts

IMMEDIATE = np.int64(3)                # command.tif
_BY_POST_ONLY, _BY_IMMEDIATE = np.int64(ord("G")), np.int64(ord("I"))
_BY_COLLAR = np.int64(ord("K"))
_EXTRA_BIT = np.int64(EXTRA_BIT)


@inlined
def may_not_rest(command):
    """Immediate or cancel, or a market order."""
    return np.int64(command["tif"]) == IMMEDIATE or np.int64(command["flags"]) & MARKET != 0


@inlined
def bound_of(book, owner):
    """The worst price at which orders of this side may trade: the symbol's collar."""
    symbol = book.symbols[owner >> 1]
    if owner & 1 == 0:
        return np.int64(symbol["buy_bound_ticks"])
    return np.int64(symbol["sell_bound_ticks"])


@inlined
def is_beyond(book, owner, price_ticks):
    """Does the limit lie beyond the collar, on the side where it could trade too far?"""
    worse = -(owner & 1)
    return (price_ticks ^ worse) > (bound_of(book, owner) ^ worse)


@inlined
def meets_any(book, owner, price_ticks, qty):
    """Could an order of this side, limit and quantity trade at least one share now?"""
    if meets(book, owner, price_ticks):
        return True
    if unlikely(np.int64(book.sides[owner ^ 1]["hidden_cnt"]) > 0):
        return meets_hidden(book, owner, price_ticks, qty)
    return False


@inlined
def take(book, command, order, owner, price_ticks, qty, events, event_cnt, is_new):
    """Lets an accepted order of open quantity qty take what it may; (event_cnt, qty to book).

    is_new: 0 when it goes on where the room for events had ended. Then, and when that happens
    again, engine.unfinished is what still looks for a trade.
    """
    side, least, flags = owner & 1, np.int64(command["min_qty"]), np.int64(command["flags"])
    limit, collared = price_ticks, is_beyond(book, owner, price_ticks)
    if unlikely(collared):
        limit = bound_of(book, owner)
    if flags & RESERVE != 0:
        least = np.int64(0)
    if is_new != 0 and flags & POST_ONLY != 0 and meets_any(book, owner, limit, qty):
        return put_event(events, event_cnt, CANCELED, side, _BY_POST_ONLY, ORDER_DEAD, order, 0,
                         qty, 0, 0, 0), np.int64(0)
    trades = True
    if unlikely(least > 0) and is_new != 0:
        trades = least <= qty and tradable(book, command, owner, limit, qty, least)
        if not trades and may_not_rest(command):
            return put_event(events, event_cnt, CANCELED, side, _BY_IMMEDIATE, ORDER_DEAD, order,
                             0, qty, 0, 0, 0), np.int64(0)
    if trades:
        event_cnt, qty = _sweep(book, command, order, owner, limit, qty, events, event_cnt)
        if unlikely(book.engine[0]["unfinished"] != np.uint64(0)):
            return event_cnt, np.int64(0)
    if qty > 0 and (collared or may_not_rest(command)):
        event_cnt = put_event(events, event_cnt, CANCELED, side,
                              _BY_COLLAR if collared else _BY_IMMEDIATE, ORDER_DEAD, order, 0, qty,
                              0, 0, 0)
        qty = np.int64(0)
    return event_cnt, qty


@kernel
def _refresh(book, order, next_, far, slot, level, price_ticks, events, event_cnt):
    """The head of a shown queue, its shown part used up, shows more of its reserve at the back.

    The new event_cnt. The queue's head is its caller's to set.
    """
    extra, engine = book.extras[order], book.engine[0]
    number = np.int64(engine["next_order_ref"])
    engine["next_order_ref"] = np.uint64(number + 1)
    qty = min(np.int64(extra["floor"]), np.int64(extra["reserve"]))
    extra["reserve"] = np.uint32(np.int64(extra["reserve"]) - qty)
    engine["parts_owed"] -= np.uint64(1)
    record = book.orders[order]
    record["qty"] = np.uint32(qty)
    if next_ != 0:
        if far:
            tail = np.int64(book.far_levels[slot]["tail"])
            book.far_levels[slot]["tail"] = np.uint32(order)
        else:
            tail = np.int64(book.levels[level]["tail"])
            book.levels[level]["tail"] = np.uint32(order)
        book.orders[tail]["next"] = np.uint32(order)
        record["prev"], record["next"] = np.uint32(tail), np.uint32(0)
    return put_event(events, event_cnt, REFRESHED, 0, 0, 0, order, 0, qty, price_ticks, 0, number)


@kernel
def _prevent(book, command, order, head, side, qty, shown, left_open, price_ticks, events,
             event_cnt):
    """PREVENTED of an incoming order and the own shown order at the head of its queue.

    (event_cnt, incoming quantity left, resting shown quantity left). left_open: the whole open
    quantity of the resting one.
    """
    smp = np.int64(command["smp"])
    if smp == SMP_NEWEST:
        return put_event(events, event_cnt, PREVENTED, side, SMP_NEWEST, ORDER_DEAD, order, head,
                         qty, price_ticks, min(qty, left_open), 0), np.int64(0), shown
    if smp == SMP_OLDEST:
        if left_open != shown:
            owe_parts(book, head, -1)
        return put_event(events, event_cnt, PREVENTED, side ^ 1, SMP_OLDEST,
                         ORDER_DEAD | WAS_BOOKED, head, order, left_open, price_ticks,
                         min(qty, left_open), 0), qty, np.int64(0)
    lost = min(qty, shown)
    dead = ORDER_DEAD if lost == left_open else 0
    event_cnt = put_event(events, event_cnt, PREVENTED, side ^ 1, SMP_DECREMENT, WAS_BOOKED | dead,
                          head, order, lost, price_ticks, shown - lost, 0)
    event_cnt = put_event(events, event_cnt, PREVENTED, side, SMP_DECREMENT,
                          ORDER_DEAD if lost == qty else 0, order, head, lost, price_ticks, lost, 0)
    return event_cnt, qty - lost, shown - lost


@inlined
def _sweep_queue(book, command, order, side, qty, head, far, slot, level, price_ticks, match,
                 events, event_cnt):
    """Trades with the orders of one shown queue from `head` on.

    (event_cnt, qty left, its head now, next match n, orders gone, out of room for events).
    """
    account, smp = np.int64(command["account"]), np.int64(command["smp"])
    gone, stop = np.int64(0), False
    while qty > 0 and head != 0:
        resting = book.orders[head]
        open_qty, next_ = np.int64(resting["qty"]), np.int64(resting["next"])
        reserve = np.int64(0)
        if unlikely(np.int64(resting["level"]) & _EXTRA_BIT != 0):
            reserve = np.int64(book.extras[head]["reserve"])
            if not may_spend(book.engine, 2):
                stop = True
                break
        if unlikely(smp != SMP_OFF) and np.int64(book.orders[head]["account"]) == account:
            if smp == SMP_DECREMENT and not may_spend(book.engine, 1):
                stop = True
                break
            event_cnt, qty, left = _prevent(
                book, command, order, head, side, qty, open_qty, open_qty + reserve, price_ticks,
                events, event_cnt)
            if smp == SMP_OLDEST:
                reserve = np.int64(0)
        else:
            traded = min(qty, open_qty)
            qty -= traded
            left = open_qty - traded
            flags = ((ORDER_DEAD if qty == 0 else 0)
                     | (RESTING_DEAD if left + reserve == 0 else 0))
            event_cnt = put_event(events, event_cnt, TRADE, side, 0, flags, order, head, traded,
                                  price_ticks, left, match)
            match += 1
        resting["qty"] = np.uint32(left)
        if left != 0:
            continue
        if unlikely(reserve > 0):
            event_cnt = _refresh(book, head, next_, far, slot, level, price_ticks, events,
                                 event_cnt)
            if next_ != 0:
                head = next_
        else:
            gone += 1
            head = next_
    return event_cnt, qty, head, match, gone, stop


@inlined
def _sweep(book, command, order, owner, price_ticks, qty, events, event_cnt):
    """Trades from the other side's best price on, as far as price_ticks; (event_cnt, qty left)."""
    engine, other = book.engine[0], owner ^ 1
    lg_ladder = np.int64(engine["lg_ladder"])
    worse, beside = -(owner & 1), shown_owners(book) + other
    none = NO_ASK if other & 1 else NO_BID
    hidden = none
    if unlikely(np.int64(book.sides[other]["hidden_cnt"]) > 0):
        hidden = next_aside(book, beside, NO_BID if other & 1 else NO_ASK)
    best = np.int64(book.sides[other]["best_ticks"])
    booked = np.int64(book.sides[other]["order_cnt"])
    match, gone, stop = np.int64(engine["next_match"]), np.int64(0), False
    while True:
        reach = price_ticks
        if unlikely(hidden != none) and (hidden ^ worse) < (reach ^ worse):
            reach = hidden
        while qty > 0 and gone < booked and (best ^ worse) <= (reach ^ worse) and not stop:
            place = ladder_place(book, other, best)
            level, slot = other << lg_ladder | place, np.int64(0)
            far = is_far(book, place)
            if unlikely(far):
                slot = far_best_slot(book, other)
                head = np.int64(book.far_levels[slot]["head"])
            else:
                head = np.int64(book.levels[level]["head"])
            event_cnt, qty, head, match, left, stop = _sweep_queue(
                book, command, order, owner & 1, qty, head, far, slot, level, best, match, events,
                event_cnt)
            gone += left
            book.orders[head]["prev"] = np.uint32(0)
            if unlikely(far):
                book.far_levels[slot]["head"] = np.uint32(head)
            else:
                book.levels[level]["head"] = np.uint32(head)
            if head == 0:
                if unlikely(far):
                    far_drop_best(book, other, slot)
                else:
                    book.levels[level]["tail"] = np.uint32(0)
                    unmark(book.bits, book.bits2, level)
                best = next_best(book, other, best)
        if not unlikely(hidden != none):
            break
        if qty == 0 or stop or (hidden ^ worse) > (price_ticks ^ worse):
            break
        engine["next_match"] = np.uint64(match)
        event_cnt, qty, stop = hidden_level(book, command, order, owner, beside, hidden, qty,
                                            events, event_cnt)
        match = np.int64(engine["next_match"])
        hidden = next_aside(book, beside, hidden)
    set_best(book, other, best)
    book.sides[other]["order_cnt"] = np.uint32(booked - gone)
    engine["live_orders"] = np.uint64(np.int64(engine["live_orders"]) - gone)
    engine["next_match"] = np.uint64(match)
    if unlikely(stop):
        engine["unfinished"] = np.uint64(qty)
    return event_cnt, qty
