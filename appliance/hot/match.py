"""The incoming order meets the other side: trades, self-match prevention, minimum quantity.

`take` is everything that can happen to an accepted order before its rest is booked; it is called
only for orders that meet somebody or may not rest. Rules: price, then time, at the resting price.
"""

import numpy as np

from ..layout.record import (
    CANCELED, MARKET, ORDER_DEAD, POST_ONLY, PREVENTED, RESTING_DEAD, SMP_NEWEST, SMP_OFF,
    SMP_OLDEST, TRADE, WAS_BOOKED,
)
from .events import put_event
from .far import far_best_slot, far_drop, far_slot_at
from .kernel import inlined, kernel, unlikely
from .ladder import unmark
from .levels import NO_ASK, is_far, ladder_place, meets, next_best, set_best

IMMEDIATE = np.int64(3)                # command.tif
_BY_POST_ONLY, _BY_IMMEDIATE = np.int64(ord("G")), np.int64(ord("I"))


@inlined
def may_not_rest(command):
    """Immediate or cancel, or a market order."""
    return np.int64(command["tif"]) == IMMEDIATE or np.int64(command["flags"]) & MARKET != 0


@inlined
def take(book, command, order, owner, price_ticks, qty, events, event_cnt):
    """Lets an accepted order of open quantity qty take what it may; (event_cnt, qty to book)."""
    side, least = owner & 1, np.int64(command["min_qty"])
    if np.int64(command["flags"]) & POST_ONLY != 0 and meets(book, owner, price_ticks):
        return put_event(events, event_cnt, CANCELED, side, _BY_POST_ONLY, ORDER_DEAD, order, 0,
                         qty, 0, 0, 0), np.int64(0)
    if least > 0 and (least > qty or not tradable(book, command, owner, price_ticks, least)):
        return put_event(events, event_cnt, CANCELED, side, _BY_IMMEDIATE, ORDER_DEAD, order, 0,
                         qty, 0, 0, 0), np.int64(0)
    if meets(book, owner, price_ticks):
        event_cnt, qty = _sweep(book, command, order, owner, price_ticks, qty, events, event_cnt)
    if qty > 0 and may_not_rest(command):
        event_cnt = put_event(events, event_cnt, CANCELED, side, _BY_IMMEDIATE, ORDER_DEAD, order,
                              0, qty, 0, 0, 0)
        qty = np.int64(0)
    return event_cnt, qty


@inlined
def _sweep(book, command, order, owner, price_ticks, qty, events, event_cnt):
    """Trades from the other side's best price on; (event_cnt, qty left). The sides meet."""
    engine, other = book.engine[0], owner ^ 1
    lg_ladder = np.int64(engine["lg_ladder"])
    account, smp = np.int64(command["account"]), np.int64(command["smp"])
    worse = -(owner & 1)
    best = np.int64(book.sides[other]["best_ticks"])
    booked = np.int64(book.sides[other]["order_cnt"])
    match, gone = np.int64(engine["next_match"]), np.int64(0)
    while qty > 0 and gone < booked and (best ^ worse) <= (price_ticks ^ worse):
        place = ladder_place(book, other, best)
        level, slot = other << lg_ladder | place, np.int64(0)
        far = is_far(book, place)
        if unlikely(far):
            slot = far_best_slot(book, other)
            head = np.int64(book.far_levels[slot]["head"])
        else:
            head = np.int64(book.levels[level]["head"])
        while qty > 0 and head != 0:
            resting = book.orders[head]
            open_qty, next_ = np.int64(resting["qty"]), np.int64(resting["next"])
            if smp != SMP_OFF and np.int64(book.owners[head]) == account:
                prevented = min(qty, open_qty)
                if smp == SMP_NEWEST:
                    event_cnt = put_event(events, event_cnt, PREVENTED, owner & 1, SMP_NEWEST,
                                          ORDER_DEAD, order, head, qty, best, prevented, 0)
                    qty = np.int64(0)
                    break
                event_cnt = put_event(events, event_cnt, PREVENTED, other & 1, SMP_OLDEST,
                                      ORDER_DEAD | WAS_BOOKED, head, order, open_qty, best,
                                      prevented, 0)
                resting["qty"] = np.uint32(0)
                gone += 1
                head = next_
                continue
            traded = min(qty, open_qty)
            qty -= traded
            left = open_qty - traded
            flags = ((ORDER_DEAD if qty == 0 else 0) | (RESTING_DEAD if left == 0 else 0))
            event_cnt = put_event(events, event_cnt, TRADE, owner & 1, 0, flags, order, head,
                                  traded, best, left, match)
            match += 1
            resting["qty"] = np.uint32(left)
            if left == 0:
                gone += 1
                head = next_
        book.orders[head]["prev"] = np.uint32(0)
        if unlikely(far):
            book.far_levels[slot]["head"] = np.uint32(head)
        else:
            book.levels[level]["head"] = np.uint32(head)
        if head == 0:
            if unlikely(far):
                far_drop(book, slot)
            else:
                book.levels[level]["tail"] = np.uint32(0)
                unmark(book.bits, book.bits2, level)
            best = next_best(book, other, best)
    set_best(book, other, best)
    book.sides[other]["order_cnt"] = np.uint32(booked - gone)
    engine["live_orders"] = np.uint64(np.int64(engine["live_orders"]) - gone)
    engine["next_match"] = np.uint64(match)
    return event_cnt, qty


@kernel
def tradable(book, command, owner, price_ticks, least):
    """Could an order trade at least `least` at once? Counts in matching order, changes nothing.

    Own orders count nothing with SMP_OLDEST and end the count with SMP_NEWEST.
    """
    other, worse = owner ^ 1, -(owner & 1)
    account, smp = np.int64(command["account"]), np.int64(command["smp"])
    if not meets(book, owner, price_ticks):
        return False
    lg_ladder = np.int64(book.engine[0]["lg_ladder"])
    best, found = np.int64(book.sides[other]["best_ticks"]), np.int64(0)
    while best >= 0 and best < NO_ASK and (best ^ worse) <= (price_ticks ^ worse):
        place = ladder_place(book, other, best)
        if is_far(book, place):
            head = np.int64(book.far_levels[far_slot_at(book, other, best)]["head"])
        else:
            head = np.int64(book.levels[other << lg_ladder | place]["head"])
        while head != 0:
            own = smp != SMP_OFF and np.int64(book.owners[head]) == account
            if own and smp == SMP_NEWEST:
                return False
            if not own:
                found += np.int64(book.orders[head]["qty"])
            if found >= least:
                return True
            head = np.int64(book.orders[head]["next"])
        best = next_best(book, other, best)
    return False
