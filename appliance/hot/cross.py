"""The cross: all orders of a symbol that take part trade at once and at one price.

Who takes part: the orders that waited for this cross (the auction group) and the continuous book,
hidden orders with a minimum quantity excepted. The price is the limit with the largest volume, then
the least imbalance, then nearest to the reference, then the lower one. Then price, shown before
not shown, and order reference decide who trades (ITCH 5.0, Cross Trade and NOII).

Nothing here is on the way of an order: a cross walks every level of its symbol.
"""

import numpy as np

from ..layout.record import (
    CROSSED, CROSS_DONE, EXTRA_BIT, HIDDEN_GROUP, ORDER_DEAD, ORDER_UNSHOWN, REFRESHED,
    RESTING_DEAD, UNSHOWN,
)
from .events import put_event
from .far import far_above, far_slot_at
from .kernel import inlined, kernel
from .ladder import next_above
from .levels import (
    NO_ASK, NO_BID, is_far, ladder_place, next_aside, owner_of, shown_owners, to_back, unlink,
)
from .plain import take_number
from .reach import forget_reach
from .rest import count_live, owe_parts, reserve_of

_EXTRA_BIT = np.int64(EXTRA_BIT)
_MARKET_BUY, _MARKET_SELL = np.int64(2147483647), np.int64(0)
_LOW = np.int64(0xFFFF_FFFF)
_NO_ORDERS, _BUY, _SELL, _NONE = (np.int64(ord(letter)) for letter in "OBSN")
_BLANK, _LITTLE, _DIGIT = np.int64(ord(" ")), np.int64(ord("L")), np.int64(ord("0"))
_TENS = np.int64(ord("A"))             # 10 to 19.99 %, and so on to C


@kernel
def _price_above(book, owner, price_ticks):
    """Lowest price of a side above price_ticks, NO_ASK when there is none."""
    found = NO_ASK
    if owner < shown_owners(book):
        lg_ladder = np.int64(book.engine[0]["lg_ladder"])
        first, size = owner << lg_ladder, np.int64(1) << lg_ladder
        place = max(ladder_place(book, owner, price_ticks), np.int64(-1)) + 1
        if place < size:
            level = next_above(book.bits, book.bits2, first + place, first + size)
            if level >= 0:
                found = level - first + np.int64(book.symbols[owner >> 1]["window_ticks"])
    return min(found, far_above(book, owner, price_ticks, NO_ASK))


@kernel
def _head_at(book, owner, price_ticks):
    """The oldest order of a side at a price, 0 when there is none."""
    if owner < shown_owners(book):
        place = ladder_place(book, owner, price_ticks)
        if not is_far(book, place):
            lg_ladder = np.int64(book.engine[0]["lg_ladder"])
            return np.int64(book.levels[owner << lg_ladder | place]["head"])
    if np.int64(book.sides[owner]["far_cnt"]) == 0:
        return np.int64(0)
    slot = far_slot_at(book, owner, price_ticks)
    return np.int64(book.far_levels[slot]["head"]) if slot != 0 else np.int64(0)


@inlined
def _stays_out(book, order):
    """Does this hidden order's minimum quantity keep it out of crosses?"""
    return (np.int64(book.orders[order]["level"]) & _EXTRA_BIT != 0
            and book.extras[order]["least"] != np.uint32(0))


@kernel
def _qty_at(book, owner, price_ticks):
    """Shares of a side at a price that take part."""
    order, qty = _head_at(book, owner, price_ticks), np.int64(0)
    while order != 0:
        if not _stays_out(book, order):
            qty += np.int64(book.orders[order]["qty"]) + reserve_of(book, order)
        order = np.int64(book.orders[order]["next"])
    return qty


@inlined
def _owner(book, symbol, side, group):
    return group * shown_owners(book) + symbol * 2 + side


@kernel
def _qty_between(book, symbol, side, group, whole, low, high):
    """Shares of one side with low <= limit <= high; whole 0: of the auction group alone."""
    qty = np.int64(0)
    for each in range(3):
        if each == 0 or whole != 0:
            owner = _owner(book, symbol, side, group if each == 0 else np.int64(each - 1))
            price = _price_above(book, owner, low - 1)
            while price <= high:
                qty += _qty_at(book, owner, price)
                price = _price_above(book, owner, price)
    return qty


@kernel
def _next_limit(book, symbol, group, whole, price_ticks):
    """Lowest limit of either side above price_ticks, markets excepted; NO_ASK when none."""
    found = NO_ASK
    for each in range(6):
        if each < 2 or whole != 0:
            home = group if each < 2 else np.int64((each >> 1) - 1)
            price = _price_above(book, _owner(book, symbol, np.int64(each & 1), home), price_ticks)
            found = min(found, price)
    return found if found < _MARKET_BUY else NO_ASK


@kernel
def _qty_here(book, symbol, side, group, whole, price_ticks):
    qty = _qty_at(book, _owner(book, symbol, side, group), price_ticks)
    if whole != 0:
        qty += _qty_at(book, _owner(book, symbol, side, np.int64(0)), price_ticks)
        qty += _qty_at(book, _owner(book, symbol, side, np.int64(HIDDEN_GROUP)), price_ticks)
    return qty


@kernel
def find_price(book, symbol, group, whole):
    """(price, volume) of a cross now, (0, 0) when nothing would trade.

    whole: 1 with the continuous book, 0 of the auction orders among themselves.
    """
    reference = np.int64(book.symbols[symbol]["reference_ticks"])
    buy, sell = np.int64(0), np.int64(1)
    demand = _qty_between(book, symbol, buy, group, whole, np.int64(0), _MARKET_BUY)
    supply = _qty_here(book, symbol, sell, group, whole, _MARKET_SELL)
    best_price, best_volume, best_gap = reference, np.int64(0), np.int64(0)
    only_markets = min(demand, supply)
    price = _next_limit(book, symbol, group, whole, np.int64(0))
    while price != NO_ASK:
        leaving = _qty_here(book, symbol, buy, group, whole, price)
        coming = _qty_here(book, symbol, sell, group, whole, price)
        if leaving + coming > 0:
            supply, only_markets = supply + coming, np.int64(0)
            volume, gap = min(demand, supply), abs(demand - supply)
            nearer = abs(price - reference) < abs(best_price - reference)
            if volume > best_volume or (volume == best_volume and volume > 0 and (
                    gap < best_gap or (gap == best_gap and nearer))):
                best_price, best_volume, best_gap = price, volume, gap
            demand -= leaving
        price = _next_limit(book, symbol, group, whole, price)
    best_volume = max(best_volume, only_markets)
    return (best_price, best_volume) if best_volume > 0 else (np.int64(0), np.int64(0))


@kernel
def _takes_part(book, order):
    """The first order of a queue from `order` on that takes part, 0 when there is none."""
    while order != 0 and _stays_out(book, order):
        order = np.int64(book.orders[order]["next"])
    return order


@inlined
def _best_of(book, owner):
    """Best price of an aside side, whatever takes part there."""
    return next_aside(book, owner, NO_BID if owner & 1 else NO_ASK)


@kernel
def _first(book, symbol, side, group):
    """The order that trades first on one side, 0 when there is none."""
    better = -side
    none = NO_ASK if side & 1 else NO_BID
    shown, hidden = _owner(book, symbol, side, np.int64(0)), _owner(
        book, symbol, side, np.int64(HIDDEN_GROUP))
    auction = _owner(book, symbol, side, group)
    at_shown, at_hidden, at_auction = none, _best_of(book, hidden), _best_of(book, auction)
    if np.int64(book.sides[shown]["order_cnt"]) > 0:
        at_shown = np.int64(book.sides[shown]["best_ticks"])
    behind = np.int64(0)
    while behind == 0 and at_hidden != none:
        behind = _takes_part(book, _head_at(book, hidden, at_hidden))
        if behind == 0:
            at_hidden = next_aside(book, hidden, at_hidden)
    waiting = np.int64(0)
    if at_auction != none:
        waiting = _head_at(book, auction, at_auction)
    if at_shown != none and (at_shown ^ better) >= (at_hidden ^ better) \
            and (at_shown ^ better) >= (at_auction ^ better):
        return _head_at(book, shown, at_shown)
    if waiting == 0 or (behind != 0 and (at_hidden ^ better) > (at_auction ^ better)):
        return behind
    if behind == 0 or (at_auction ^ better) > (at_hidden ^ better):
        return waiting
    if book.extras[behind]["number"] < book.extras[waiting]["number"]:
        return behind
    return waiting


@kernel
def _part(book, order):
    """(shares, whether they are shown): what of an order trades next."""
    qty = np.int64(book.orders[order]["qty"])
    if qty == 0:
        return np.int64(book.extras[order]["reserve"]), False
    return qty, owner_of(book, order) < shown_owners(book)


@kernel
def _fill(book, order, qty):
    """Takes qty shares of the part that trades next; whether the order is gone."""
    if np.int64(book.orders[order]["qty"]) == 0:
        extra = book.extras[order]
        owe_parts(book, order, -1)
        extra["reserve"] = np.uint32(np.int64(extra["reserve"]) - qty)
        owe_parts(book, order, 1)
    else:
        record = book.orders[order]
        record["qty"] = np.uint32(np.int64(record["qty"]) - qty)
    if np.int64(book.orders[order]["qty"]) + reserve_of(book, order) > 0:
        return False
    unlink(book, order)
    count_live(book, -1)
    return True


@kernel
def _refresh(book, order, price_ticks, events, event_cnt):
    """Shows more of a live order whose shown part the cross has used up."""
    if order == 0 or np.int64(book.orders[order]["qty"]) != 0 or reserve_of(book, order) == 0:
        return event_cnt
    extra, number = book.extras[order], take_number(book)
    qty = min(np.int64(extra["floor"]), np.int64(extra["reserve"]))
    owe_parts(book, order, -1)
    extra["reserve"] = np.uint32(np.int64(extra["reserve"]) - qty)
    owe_parts(book, order, 1)
    extra["number"] = np.uint64(number)
    book.orders[order]["qty"] = np.uint32(qty)
    to_back(book, order)
    return put_event(events, event_cnt, REFRESHED, 0, 0, 0, order, 0, qty, price_ticks, 0, number)


@kernel
def _set_reference(book, symbol, price_ticks):
    row = book.symbols[symbol]
    row["reference_ticks"] = np.int32(price_ticks)
    collar = np.int64(row["collar_ticks"])
    if collar > 0:
        row["buy_bound_ticks"] = np.int32(min(price_ticks + collar, _MARKET_BUY))
        row["sell_bound_ticks"] = np.int32(max(price_ticks - collar, np.int64(1)))
        forget_reach(book, symbol)


@kernel
def run(book, symbol, group, letter, events, event_cnt):
    """Crosses a symbol; the new event_cnt. Nothing happens when nothing would trade.

    group: OPENING_GROUP or CLOSING_GROUP, whose orders take part beside the book. letter: of the
    cross, for its CROSS_DONE. CROSSED for each fill, CROSS_DONE, REFRESHED of at most one order a
    side. `events` has room for four events a live order.
    """
    price, volume = find_price(book, symbol, group, np.int64(1))
    if volume == 0:
        return event_cnt
    engine, left = book.engine[0], volume
    match = np.int64(engine["next_match"])
    last_buy, last_sell = np.int64(0), np.int64(0)
    while left > 0:
        buy = _first(book, symbol, np.int64(0), group)
        sell = _first(book, symbol, np.int64(1), group)
        buy_qty, buy_shown = _part(book, buy)
        sell_qty, sell_shown = _part(book, sell)
        qty = min(left, min(buy_qty, sell_qty))
        flags = (0 if sell_shown else UNSHOWN) | (0 if buy_shown else ORDER_UNSHOWN)
        last_buy, last_sell = buy, sell
        if _fill(book, buy, qty):
            flags |= ORDER_DEAD
            last_buy = np.int64(0)
        if _fill(book, sell, qty):
            flags |= RESTING_DEAD
            last_sell = np.int64(0)
        event_cnt = put_event(events, event_cnt, CROSSED, 0, 0, flags, buy, sell, qty, price, 0,
                              match)
        match += 1
        left -= qty
    event_cnt = put_event(events, event_cnt, CROSS_DONE, 0, letter, 0, symbol, 0, volume & _LOW,
                          price, volume >> 32, match)
    engine["next_match"] = np.uint64(match + 1)
    event_cnt = _refresh(book, last_buy, price, events, event_cnt)
    event_cnt = _refresh(book, last_sell, price, events, event_cnt)
    _set_reference(book, symbol, price)
    return event_cnt


@kernel
def _variation(near, reference):
    """The letter of how far the near price lies from the reference."""
    if near == 0:
        return _BLANK
    percent = abs(near - reference) * 100 // reference
    if percent < 1:
        return _LITTLE
    return _DIGIT + percent if percent < 10 else _TENS + min(percent // 10, np.int64(3)) - 1


@kernel
def imbalance(book, symbol, group):
    """What a NOII message says of a cross to come; prices in ticks, shares, letters.

    (paired, imbalance, direction, far, near, reference, variation). Direction O: nobody waits for
    this cross, and all else is 0.
    """
    zero, top = np.int64(0), np.int64(2147483647)
    orders = (np.int64(book.sides[_owner(book, symbol, zero, group)]["order_cnt"])
              + np.int64(book.sides[_owner(book, symbol, zero + 1, group)]["order_cnt"]))
    if orders == 0:
        return zero, zero, _NO_ORDERS, zero, zero, zero, _BLANK
    reference = np.int64(book.symbols[symbol]["reference_ticks"])
    bids, asks = book.sides[symbol * 2], book.sides[symbol * 2 + 1]
    if np.int64(bids["order_cnt"]) > 0:
        reference = max(reference, np.int64(bids["best_ticks"]))
    if np.int64(asks["order_cnt"]) > 0:
        reference = min(reference, np.int64(asks["best_ticks"]))
    demand = _qty_between(book, symbol, zero, group, zero + 1, reference, top)
    supply = _qty_between(book, symbol, zero + 1, group, zero + 1, zero, reference)
    direction = _BUY if demand > supply else _SELL if supply > demand else _NONE
    far, _ = find_price(book, symbol, group, zero)
    near, _ = find_price(book, symbol, group, zero + 1)
    return (min(demand, supply), abs(demand - supply), direction, far, near, reference,
            _variation(near, reference))
