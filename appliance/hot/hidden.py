"""Hidden orders: behind the shown ones of their price, some with a minimum quantity (MAQ).

An incoming order that brings fewer shares than such a minimum passes the order by; it keeps its
place. So a hidden price may stand across the other side's without a trade.
"""

import numpy as np

from ..layout.record import (
    EXTRA_BIT, ORDER_DEAD, PREVENTED, RESTING_DEAD, SMP_DECREMENT, SMP_NEWEST, SMP_OFF, SMP_OLDEST,
    TRADE, UNSHOWN, WAS_BOOKED,
)
from .events import may_spend, put_event
from .far import far_slot_at
from .kernel import inlined, kernel
from .levels import (
    NO_ASK, NO_BID, is_far, ladder_place, next_aside, next_best, shown_owners, unlink,
)

_EXTRA_BIT = np.int64(EXTRA_BIT)


@inlined
def _passes_by(book, order, qty):
    """Does an incoming order of so many shares bring too few for this hidden one?"""
    record = book.orders[order]
    if np.int64(record["level"]) & _EXTRA_BIT == 0:
        return False
    return min(np.int64(book.extras[order]["least"]), np.int64(record["qty"])) > qty


@kernel
def hidden_level(book, command, order, owner, beside, price_ticks, qty, events, event_cnt):
    """Meets the hidden orders of one price; (event_cnt, qty left, out of room for events).

    beside: the hidden side. Counts live_orders and next_match by itself.
    """
    engine, side = book.engine[0], owner & 1
    account, smp = np.int64(command["account"]), np.int64(command["smp"])
    slot = far_slot_at(book, beside, price_ticks)
    head = np.int64(book.far_levels[slot]["head"])
    while head != 0 and qty > 0:
        open_qty, next_ = np.int64(book.orders[head]["qty"]), np.int64(book.orders[head]["next"])
        if _passes_by(book, head, qty):
            head = next_
            continue
        left = open_qty
        if smp != SMP_OFF and np.int64(book.orders[head]["account"]) == account:
            prevented = min(qty, open_qty)
            if smp == SMP_NEWEST:
                return put_event(events, event_cnt, PREVENTED, side, SMP_NEWEST, ORDER_DEAD, order,
                                 head, qty, price_ticks, prevented, 0), np.int64(0), False
            if smp == SMP_OLDEST:
                left = np.int64(0)
                event_cnt = put_event(events, event_cnt, PREVENTED, side ^ 1, SMP_OLDEST,
                                      ORDER_DEAD | WAS_BOOKED | UNSHOWN, head, order, open_qty,
                                      price_ticks, prevented, 0)
            else:
                if not may_spend(book.engine, 1):
                    return event_cnt, qty, True
                left = open_qty - prevented
                dead = ORDER_DEAD if left == 0 else 0
                event_cnt = put_event(events, event_cnt, PREVENTED, side ^ 1, SMP_DECREMENT,
                                      WAS_BOOKED | UNSHOWN | dead, head, order, prevented,
                                      price_ticks, left, 0)
                event_cnt = put_event(events, event_cnt, PREVENTED, side, SMP_DECREMENT,
                                      ORDER_DEAD if prevented == qty else 0, order, head,
                                      prevented, price_ticks, prevented, 0)
                qty -= prevented
        else:
            traded = min(qty, open_qty)
            qty, left = qty - traded, open_qty - traded
            match = np.int64(engine["next_match"])
            engine["next_match"] = np.uint64(match + 1)
            flags = ((ORDER_DEAD if qty == 0 else 0) | (RESTING_DEAD if left == 0 else 0))
            event_cnt = put_event(events, event_cnt, TRADE, side, 0, flags | UNSHOWN, order, head,
                                  traded, price_ticks, left, match)
        if left == 0:
            unlink(book, head)
            engine["live_orders"] -= np.uint64(1)
        else:
            book.orders[head]["qty"] = np.uint32(left)
        head = next_
    return event_cnt, qty, False


@kernel
def meets_hidden(book, owner, price_ticks, qty):
    """Is there a hidden order within the limit that would not be passed by?"""
    beside, worse = shown_owners(book) + (owner ^ 1), -(owner & 1)
    none = NO_BID if owner & 1 else NO_ASK
    price = next_aside(book, beside, NO_ASK if owner & 1 else NO_BID)
    while price != none and (price ^ worse) <= (price_ticks ^ worse):
        head = np.int64(book.far_levels[far_slot_at(book, beside, price)]["head"])
        while head != 0:
            if not _passes_by(book, head, qty):
                return True
            head = np.int64(book.orders[head]["next"])
        price = next_aside(book, beside, price)
    return False


@inlined
def _head_at(book, owner, price_ticks):
    """The oldest shown order of a price at which there is one."""
    place = ladder_place(book, owner, price_ticks)
    if is_far(book, place):
        return np.int64(book.far_levels[far_slot_at(book, owner, price_ticks)]["head"])
    return np.int64(
        book.levels[owner << np.int64(book.engine[0]["lg_ladder"]) | place]["head"])


@kernel
def tradable(book, command, owner, price_ticks, qty, least):
    """Is an order of qty shares sure to trade at least `least` at once? Changes nothing.

    Counts in matching order: at each price what stands in front, then the reserves behind it. Own
    orders count nothing with SMP_OLDEST, end the count with SMP_NEWEST, and with SMP_DECREMENT take
    of qty what both would lose, their reserves before those of others.
    """
    other, worse, shown = owner ^ 1, -(owner & 1), shown_owners(book)
    account, smp = np.int64(command["account"]), np.int64(command["smp"])
    none = NO_BID if owner & 1 else NO_ASK
    best = none
    if np.int64(book.sides[other]["order_cnt"]) > 0:
        best = np.int64(book.sides[other]["best_ticks"])
    hidden = next_aside(book, shown + other, NO_ASK if owner & 1 else NO_BID)
    found, left = np.int64(0), qty
    while True:
        is_hidden = (hidden ^ worse) < (best ^ worse)
        price = hidden if is_hidden else best
        if price == none or (price ^ worse) > (price_ticks ^ worse):
            return False
        if is_hidden:
            head = np.int64(book.far_levels[far_slot_at(book, shown + other, price)]["head"])
        else:
            head = _head_at(book, other, price)
        behind, lost = np.int64(0), np.int64(0)
        while head != 0:
            record = book.orders[head]
            own = smp != SMP_OFF and np.int64(book.orders[head]["account"]) == account
            if not (is_hidden and _passes_by(book, head, left)):
                if own and smp == SMP_NEWEST:
                    return False
                front, reserve = min(np.int64(record["qty"]), left), np.int64(0)
                if np.int64(record["level"]) & _EXTRA_BIT != 0:
                    reserve = np.int64(book.extras[head]["reserve"])
                if not own:
                    found, left, behind = found + front, left - front, behind + reserve
                elif smp == SMP_DECREMENT:
                    left, lost = left - front, lost + reserve
                if found >= least:
                    return True
            head = np.int64(record["next"])
        left -= min(left, lost)
        found, left = found + min(behind, left), left - min(behind, left)
        if found >= least:
            return True
        if is_hidden:
            hidden = next_aside(book, shown + other, price)
        else:
            best = next_best(book, other, price)
