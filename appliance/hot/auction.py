"""Orders of a cross that is over: found and put in order of their references, to be cancelled.

They stand in far levels alone, by price. `collect` writes their handles into the upper end of
burst.events, which no event of a cancel reaches, as EVENTs with `order` and `number` (reference),
and sorts them there: no memory is taken.
"""

import numpy as np

from appliance.hot.far import far_above, far_slot_at
from appliance.hot.kernel import later
from appliance.hot.levels import NO_ASK
from appliance.hot.types import CORE, EVENTS, I64, INNER, KERNEL, VOID
from appliance.layout import codes
from appliance.layout.record import CLOSING_GROUP, OPENING_GROUP


@later(I64(I64), **INNER)
def group_of(letter):
    """The group of sides where the orders of this cross wait; O and H share one."""
    closing = letter == codes.CROSS_CLOSING
    return np.int64(CLOSING_GROUP) if closing else np.int64(OPENING_GROUP)


@later(VOID(EVENTS, I64, I64, I64), **INNER)
def _sink(events, base, count, place):
    """Of a heap of `count` events, the last reference on top, puts the one at `place` right."""
    order, number = events[base + place]["order"], events[base + place]["number"]
    child = 2 * place + 1
    while child < count:
        if child + 1 < count \
                and events[base + child + 1]["number"] > events[base + child]["number"]:
            child += 1
        if events[base + child]["number"] <= number:
            break
        events[base + place]["order"] = events[base + child]["order"]
        events[base + place]["number"] = events[base + child]["number"]
        place, child = child, 2 * child + 1
    events[base + place]["order"], events[base + place]["number"] = order, number


@later(I64(CORE), **INNER)
def first_place(core):
    """Where in burst.events the collected orders begin: behind all that a command can bring."""
    return np.int64(core.burst.events.size - core.book.orders.size)


@later(I64(CORE, I64, I64), **KERNEL)
def collect(core, symbol, letter):
    """Collects the symbol's orders of a cross, ascending by reference; how many there are."""
    book, events, base, count = core.book, core.burst.events, first_place(core), np.int64(0)
    owner = (group_of(letter) * np.int64(book.symbols.size) + symbol) * 2
    for side in range(2):
        price = far_above(book, owner + side, np.int64(-1), NO_ASK)
        while price != NO_ASK:
            slot = far_slot_at(book, owner + side, price)
            handle = np.int64(book.far_levels[slot]["head"])
            while handle != 0:
                events[base + count]["order"] = np.uint32(handle)
                events[base + count]["number"] = core.accounts.cold[handle]["order_ref"]
                count += 1
                handle = np.int64(book.orders[handle]["next"])
            price = far_above(book, owner + side, price, NO_ASK)
    for place in range((count >> 1) - 1, -1, -1):
        _sink(events, base, count, np.int64(place))
    for last in range(count - 1, 0, -1):
        order, number = events[base + last]["order"], events[base + last]["number"]
        events[base + last]["order"] = events[base]["order"]
        events[base + last]["number"] = events[base]["number"]
        events[base]["order"], events[base]["number"] = order, number
        _sink(events, base, np.int64(last), np.int64(0))
    return count


@later(I64(CORE, I64), **INNER)
def collected(core, place):
    """Handle of the collected order at `place`, counted from 0."""
    return np.int64(core.burst.events[first_place(core) + place]["order"])
