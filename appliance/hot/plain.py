"""The straight way of plain orders: a limit order for the day, nothing else asked of it.

`enter_plain` books one that meets nobody, `trade_plain` lets one take plain orders from the ladder.
Both do what the general way of `book` and `match` does, in as few instructions as can be: they
decide first, change nothing until they have decided, and leave everything else to it (-1). That
they come to the same is tested against the plain model, with orders of both ways mixed.
"""

import numpy as np

from ..layout.record import (
    ACCEPTED, BOOKED, COMMAND, ENTER, ORDER_DEAD, RESTING_DEAD, TRADE, WAS_BOOKED,
)
from .bundle import opened
from .events import put_event, word_stores
from .kernel import inlined, kernel, unlikely
from .ladder import mark, next_above, next_below, unmark
from .levels import NO_ASK, NO_BID, UNUSUAL, set_best, write_place, write_terms
from .raw import raw_load64
from .reach import in_reach, reached_level

LG_QTY = 20                 # no quantity reaches 2 ** LG_QTY, so no sum of a book's overflows

# A command is read and its event written as four words; `events` checks EVENT's offsets.
_LOW, _SHORT, _ONE = np.uint64(0xFFFF_FFFF), np.uint64(0xFFFF), np.uint64(1)
_BYTE, _SIXTEEN, _HALF = np.uint64(8), np.uint64(16), np.uint64(32)
_UNUSUAL = np.uint64(62)                                # of an order's second word: UNUSUAL
_NOT_PLAIN = np.uint64(0xFFFF_FE00)                     # of the first: side above 1, tif, flags
_BOOKED_WHOLE = np.uint64(WAS_BOOKED << 24)
assert [(field.name, field.off) for field in COMMAND.fields][:12] == [
    ("kind", 0), ("side", 1), ("tif", 2), ("flags", 3), ("order", 4), ("target", 8), ("qty", 12),
    ("price_ticks", 16), ("min_qty", 20), ("symbol", 24), ("account", 26), ("smp", 28)] \
    and ENTER == ACCEPTED and UNUSUAL == 3 << 30


@inlined
def take_number(book):
    """Takes the next order reference n."""
    number = np.int64(book.engine[0]["next_order_ref"])
    book.engine[0]["next_order_ref"] = np.uint64(number + 1)
    return number


@inlined
def _book_whole(book, own, level, order, qty, price_ticks, better):
    """Puts an order at the back of a ladder level; own: its SIDE, better: 0 for buys, else -1."""
    queue = book.levels[np.uint64(level)]
    tail = np.int64(queue["tail"])
    queue["tail"] = np.uint32(order)
    if tail == 0:
        queue["head"] = np.uint32(order)
        mark(book.bits, book.bits2, level)
        best = np.int64(own["best_ticks"])
        own["best_ticks"] = np.int32(
            price_ticks if (price_ticks ^ better) > (best ^ better) else best)
    write_place(book, order, tail, qty, level)
    book.orders[tail]["next"] = np.uint32(order)
    own["order_cnt"] = np.uint32(np.int64(own["order_cnt"]) + 1)


@inlined
def enter_plain(book, commands, i, first, events, event_cnt):
    """A plain order in reach that meets nobody: booked whole. -1: it is not of that kind.

    `first` is the first word of commands[i]; in words the command is nearly its own event.
    """
    second, third = raw_load64(commands, i, 8), raw_load64(commands, i, 16)
    fourth = raw_load64(commands, i, 24)
    order, symbol, qty = first >> _HALF, fourth & _SHORT, np.int64(second >> _HALF)
    if np.uint64(np.int64(order) - 1) >= np.uint64(book.orders.shape[0] - 1) \
            or symbol >= np.uint64(book.symbols.shape[0]):
        return np.int64(-1)
    owner = symbol << _ONE | first >> _BYTE & _ONE
    own, other = book.sides[owner], book.sides[owner ^ _ONE]
    if (first & _NOT_PLAIN | second & _LOW | third >> _HALF | np.uint64((qty - 1) >> LG_QTY)
            | np.uint64(book.orders[order]["qty"])) != 0:
        return np.int64(-1)
    price_ticks, better = np.int64(third), -np.int64(owner & _ONE)
    if not in_reach(own, price_ticks) \
            or (np.int64(other["best_ticks"]) ^ better) <= (price_ticks ^ better):
        return np.int64(-1)
    write_terms(book, order, qty, np.int64(fourth >> _SIXTEEN & _SHORT))
    _book_whole(book, own, reached_level(own, price_ticks), order, qty, price_ticks, better)
    book.engine[0]["live_orders"] += _ONE
    word_stores(events, np.int64(event_cnt), first | _BOOKED_WHOLE, second, third | second,
                np.uint64(take_number(book)))
    return event_cnt + 1


@inlined
def _sweep_ladder(book, order, side, qty, level, limit, price_of_0, events, event_cnt):
    """Trades with plain orders from ladder level `level` on, as far as level `limit`.

    (event_cnt, qty left, level of the best price now or -1, next match n, orders gone, met
    something that is not plain).
    """
    size = np.int64(1) << np.int64(book.engine[0]["lg_ladder"])
    first, better = level & -size, -side
    match, gone = np.int64(book.engine[0]["next_match"]), np.int64(0)
    while True:
        head = np.int64(book.levels[np.uint64(level)]["head"])
        while head != 0 and qty != 0:
            place = raw_load64(book.orders, head, 8)
            if unlikely(place >> _UNUSUAL != 0):
                break
            open_qty = np.int64(place & _LOW)
            traded = min(qty, open_qty)
            qty, left = qty - traded, open_qty - traded
            event_cnt = put_event(
                events, event_cnt, TRADE, side, 0, (0 if qty else ORDER_DEAD)
                | (0 if left else RESTING_DEAD), order, head, traded, level + price_of_0, left,
                match)
            match += 1
            book.orders[np.uint64(head)]["qty"] = np.uint32(left)
            if left == 0:
                gone += 1
                head = np.int64(book.orders[np.uint64(head)]["next"])
        book.orders[np.uint64(head)]["prev"] = np.uint32(0)
        book.levels[np.uint64(level)]["head"] = np.uint32(head)
        if head != 0:
            return event_cnt, qty, level, match, gone, qty != 0
        book.levels[np.uint64(level)]["tail"] = np.uint32(0)
        unmark(book.bits, book.bits2, level)
        if side == 0:
            level = next_above(book.bits, book.bits2, level, first + size)
        else:
            level = next_below(book.bits, book.bits2, level, first)
        if level < 0 or qty == 0 or (level ^ better) > (limit ^ better):
            return event_cnt, qty, level, match, gone, False


@kernel
def trade_plain(work, command, event_cnt):
    """A plain order in reach takes plain orders from the ladder, and what is left of it is booked.

    work: a bundle of the book and the events. The new event_cnt; -1: it is not of that kind.
    engine.unfinished is what is left of it when it meets a reserve order: the general way goes on.
    """
    book, events = opened(work)
    engine, order, qty = book.engine[0], np.int64(command["order"]), np.int64(command["qty"])
    symbol, side = np.int64(command["symbol"]), np.int64(command["side"])
    price_ticks = np.int64(command["price_ticks"])
    if np.uint64(order - 1) >= np.uint64(book.orders.shape[0] - 1) \
            or symbol >= book.symbols.shape[0]:
        return np.int64(-1)
    if (side >> 1 | np.int64(command["tif"]) | np.int64(command["flags"])
            | np.int64(command["min_qty"]) | np.int64(command["smp"]) | (qty - 1) >> LG_QTY
            | price_ticks >> 31 | np.int64(book.orders[np.uint64(order)]["qty"])) != 0:
        return np.int64(-1)
    owner, better = symbol << 1 | side, -side
    own, other = book.sides[np.uint64(owner)], book.sides[np.uint64(owner ^ 1)]
    best, booked = np.int64(other["best_ticks"]), np.int64(other["order_cnt"])
    if not in_reach(own, price_ticks) or np.int64(other["far_cnt"]) != 0 or booked == 0 \
            or (best ^ better) > (price_ticks ^ better):
        return np.int64(-1)
    number = take_number(book)
    write_terms(book, order, qty, np.int64(command["account"]))
    event_cnt = put_event(events, event_cnt, ACCEPTED, side, 0, 0, order, 0, qty, 0, 0, number)
    size = np.int64(1) << np.int64(engine["lg_ladder"])
    limit, level = reached_level(own, price_ticks) ^ size, reached_level(own, best) ^ size
    price_of_0 = best - level
    event_cnt, qty, level, match, gone, more = _sweep_ladder(
        book, order, side, qty, level, limit, price_of_0, events, event_cnt)
    none = NO_BID if side else NO_ASK
    set_best(book, owner ^ 1, level + price_of_0 if level >= 0 else none)
    engine["next_match"], other["order_cnt"] = np.uint64(match), np.uint32(booked - gone)
    live = np.int64(engine["live_orders"]) - gone
    if qty > 0 and not more:
        _book_whole(book, own, limit ^ size, order, qty, price_ticks, better)
        event_cnt = put_event(events, event_cnt, BOOKED, side, 0, 0, order, 0, qty, price_ticks, 0,
                              0)
        live, qty = live + 1, np.int64(0)
    engine["live_orders"] = np.uint64(live)
    engine["unfinished"], engine["resume_owner"] = np.uint64(qty), np.uint64(owner)
    return event_cnt
