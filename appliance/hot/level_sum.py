"""What stands at one price of one side: open quantity and orders, read off the level's queue."""

import numpy as np
from numba import int64, types

from appliance.hot.book import BOOK_TYPE
from appliance.hot.far import far_slot_at
from appliance.hot.kernel import later
from appliance.hot.levels import is_far, ladder_place
from appliance.hot.types import INLINE


@later(types.UniTuple(int64, 2)(BOOK_TYPE, int64, int64), **INLINE)
def level_sum(book, owner, price_ticks):
    """(open quantity, orders) of `owner` (symbol * 2 + side) at a price; (0, 0) when none."""
    place = ladder_place(book, owner, price_ticks)
    if is_far(book, place):
        order = np.int64(book.far_levels[far_slot_at(book, owner, price_ticks)]["head"])
    else:
        level = owner << np.int64(book.engine[0]["lg_ladder"]) | place
        order = np.int64(book.levels[level]["head"])
    qty, order_cnt = np.int64(0), np.int64(0)
    while order != 0:
        qty += np.int64(book.orders[order]["qty"])
        order_cnt += 1
        order = np.int64(book.orders[order]["next"])
    return qty, order_cnt
