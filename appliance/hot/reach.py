"""The reach of a shown side: prices at which a plain order needs no second look but at the best.

Inside the window, within the collar, and nobody hidden on the other side. It is kept beside the
best price (SIDE.plain_...), so that booking such an order reads one line of memory of its symbol.
Whoever moves the window, sets bounds or hides the first order forgets it; the next order that
takes the long way finds it out again.
"""

import numpy as np

from .kernel import inlined, kernel

_LOW = np.int64(0xFFFF_FFFF)


@inlined
def forget_reach(book, symbol):
    """Window, bounds or hidden orders of the symbol have changed."""
    book.sides[symbol * 2]["plain_cnt"] = np.uint32(0)
    book.sides[symbol * 2 + 1]["plain_cnt"] = np.uint32(0)


@kernel
def find_reach(book, owner):
    """Sets the reach of shown side `owner`; none while orders are hidden on the other side."""
    side, symbol = book.sides[owner], book.symbols[owner >> 1]
    window = np.int64(symbol["window_ticks"])
    low, end = window, window + (np.int64(1) << np.int64(book.engine[0]["lg_ladder"]))
    end = min(end, np.int64(1 << 31))
    if owner & 1 == 0:
        end = min(end, np.int64(symbol["buy_bound_ticks"]) + 1)
    else:
        low = max(low, np.int64(symbol["sell_bound_ticks"]))
    if np.int64(book.sides[owner ^ 1]["hidden_cnt"]) > 0:
        end = low
    side["plain_ticks"], side["plain_cnt"] = np.int32(low), np.uint32(max(end - low, np.int64(0)))
    first = owner << np.int64(book.engine[0]["lg_ladder"])
    side["plain_level"] = np.uint32((first - window) & _LOW)


@inlined
def in_reach(side, price_ticks):
    """Is the price (0 or more) in the reach of this side, a SIDE?"""
    return np.uint64(price_ticks - np.int64(side["plain_ticks"])) < np.uint64(side["plain_cnt"])


@inlined
def reached_level(side, price_ticks):
    """Ladder level of a price in the window of this side, whose reach is known."""
    return np.int64(side["plain_level"]) + price_ticks & _LOW
