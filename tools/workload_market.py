"""The random market behind the common workload: books followed while orders are drawn for them.

Adds rest a geometric distance behind a slowly walking middle (w3: evenly over 1,000 ticks a side).
The share of cancels keeps each book near its target. A marketable order takes one to four levels
(in w3 one of fifty takes twenty to eighty), often less than whole, sometimes with a rest to book.

Every draw comes from one xoshiro256** stream in a fixed order. That order is the format's: the
standard files stay the same bytes only as long as no draw is added, dropped or moved.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from tools.workload import ADD, CANCEL_ALL, MARKETABLE, RECORD, REDUCE
from tools.workload_draws import below, fraction, geometric, one_side, stream

PRICES = 20_000                     # 1..19999 are legal; 0 and 20000 stand for an empty side
MID_LOW, MID_HIGH = 8_000, 12_000
ORDERS_A_BOOK = 200_000
GAP_NS = 100.0
DISTANCE_MAX = 1_500
NEAR_LEVELS = 8                     # quotes near the touch live short while there are many of them
BUY, SELL = 0, 1

_U = np.uint64
_ORDER = np.dtype([("next", "<u4"), ("prev", "<u4"), ("qty", "<u4"), ("price", "<i4"),
                   ("place", "<u4"), ("side", "<u4")])
_CHECKSUM_SEED = 0x9E3779B97F4A7C15


class Market(NamedTuple):
    """All that the generator changes; the books are indexed by symbol, then side."""

    draws: np.ndarray       # u64[4], the random stream
    clock_ns: np.ndarray    # f64[1]
    counts: np.ndarray      # i64[2], records written, next order id
    trades: np.ndarray      # u64[2], how many, their checksum
    records: np.ndarray     # RECORD[messages]
    orders: np.ndarray      # by id
    heads: np.ndarray       # u32[symbols, 2, prices], oldest order of a level
    tails: np.ndarray       # u32[symbols, 2, prices]
    sizes: np.ndarray       # u32[symbols, 2, prices], orders of a level
    best: np.ndarray        # i64[symbols, 2]
    live: np.ndarray        # u32[symbols, ORDERS_A_BOOK], ids in no order
    live_cnt: np.ndarray    # i64[symbols]
    middle: np.ndarray      # f64[symbols]


_OPTIONS = {"cache": True, "_nrt": False}
_inlined = njit(**_OPTIONS, forceinline=True)


@_inlined
def _mix(checksum, value):
    checksum = (checksum ^ _U(value)) * _U(0xFF51AFD7ED558CCD)
    return checksum ^ checksum >> _U(32)


@njit(**_OPTIONS)
def _write(m, op, order, symbol, side, price, qty):
    number = m.counts[0]
    m.clock_ns[0] += -GAP_NS * math.log(1 - fraction(m.draws))
    record = m.records[number]
    record["order_id"], record["time_ns"] = order, _U(m.clock_ns[0])
    record["price"], record["qty"], record["symbol"] = price, qty, symbol
    record["op"], record["side"], record["number"] = op, side, number
    m.counts[0] = number + 1


@njit(**_OPTIONS)
def _book(m, symbol, side, order, price, qty):
    """The order rests behind the others of its price."""
    tail, place = m.tails[symbol, side, price], m.live_cnt[symbol]
    mine = m.orders[order]
    mine["next"], mine["prev"], mine["qty"], mine["price"] = 0, tail, qty, price
    mine["side"], mine["place"] = side, place
    if tail != 0:
        m.orders[tail]["next"] = order
    else:
        m.heads[symbol, side, price] = order
    m.tails[symbol, side, price] = order
    m.sizes[symbol, side, price] += 1
    m.live[symbol, place] = order
    m.live_cnt[symbol] = place + 1
    best = m.best[symbol, side]
    if (price > best) if side == BUY else (price < best):
        m.best[symbol, side] = price


@njit(**_OPTIONS)
def _unbook(m, symbol, order):
    """The order leaves; the last of the list of live orders takes its place there."""
    mine = m.orders[order]
    side, price = np.int64(mine["side"]), np.int64(mine["price"])
    before, after, place = mine["prev"], mine["next"], mine["place"]
    if before != 0:
        m.orders[before]["next"] = after
    else:
        m.heads[symbol, side, price] = after
    if after != 0:
        m.orders[after]["prev"] = before
    else:
        m.tails[symbol, side, price] = before
    m.sizes[symbol, side, price] -= 1
    m.live_cnt[symbol] -= 1
    last = m.live[symbol, m.live_cnt[symbol]]
    m.live[symbol, place] = last
    m.orders[last]["place"] = place
    if m.sizes[symbol, side, price] == 0 and m.best[symbol, side] == price:
        step = -1 if side == BUY else 1
        while 0 < price < PRICES and m.sizes[symbol, side, price] == 0:
            price += step
        m.best[symbol, side] = price


@_inlined
def _quantity(m):
    kind = below(m.draws, 100)
    if kind < 45:
        return np.int64(100)
    if kind < 65:
        return 100 * (1 + below(m.draws, 5))
    if kind < 90:
        return 1 + below(m.draws, 99)
    return 100 * (5 + below(m.draws, 20))


@njit(**_OPTIONS)
def _add(m, kind, symbol, middle):
    side = one_side(m.draws)
    if kind == 3:
        distance = 1 + below(m.draws, 1000)
    else:
        sort = below(m.draws, 100)
        mean = 4.0 if sort < 72 else 15.0 if sort < 94 else 150.0
        distance = min(1 + geometric(m.draws, mean), DISTANCE_MAX)
    if side == BUY:
        price = min(middle - distance + 1, m.best[symbol, SELL] - 1)
    else:
        price = max(middle + distance, m.best[symbol, BUY] + 1)
    price = min(max(price, 1), PRICES - 1)
    qty, order = _quantity(m), m.counts[1]
    _write(m, ADD, order, symbol, side, price, qty)
    _book(m, symbol, side, order, price, qty)
    m.counts[1] = order + 1


@njit(**_OPTIONS)
def _any_live(m, symbol):
    return np.int64(m.live[symbol, below(m.draws, m.live_cnt[symbol])])


@njit(**_OPTIONS)
def _near_touch(m, kind, symbol, otherwise):
    """An order of the first levels of a side, each alike likely, while those hold many."""
    side = one_side(m.draws)
    step, total = -1 if side == BUY else 1, 0
    price = m.best[symbol, side]
    for _ in range(NEAR_LEVELS):
        if not 0 < price < PRICES:
            break
        total += np.int64(m.sizes[symbol, side, price])
        price += step
    if total <= NEAR_LEVELS * (3 if kind == 1 else 2):
        return otherwise
    place, price = below(m.draws, total), m.best[symbol, side]
    while place >= np.int64(m.sizes[symbol, side, price]):
        place -= np.int64(m.sizes[symbol, side, price])
        price += step
    order = np.int64(m.heads[symbol, side, price])
    for _ in range(place):
        order = np.int64(m.orders[order]["next"])
    return order


@njit(**_OPTIONS)
def _cancel(m, kind, symbol):
    order = _any_live(m, symbol)
    if kind != 3:
        order = _near_touch(m, kind, symbol, order)
    _write(m, CANCEL_ALL, order, symbol, m.orders[order]["side"], 0, 0)
    _unbook(m, symbol, order)


@njit(**_OPTIONS)
def _reduce(m, symbol):
    """Nothing is written when twenty draws found no order of more than one share."""
    for _ in range(20):
        order = _any_live(m, symbol)
        open_qty = np.int64(m.orders[order]["qty"])
        if open_qty > 1:
            off = 1 + below(m.draws, open_qty - 1)
            _write(m, REDUCE, order, symbol, m.orders[order]["side"], 0, off)
            m.orders[order]["qty"] = open_qty - off
            return


@njit(**_OPTIONS)
def _appetite(m, kind, symbol, target):
    """(levels, orders, whether it is a small one) that a marketable order is meant to take."""
    sort = below(m.draws, 100)
    levels = 1 if sort < 70 else 2 if sort < 87 else 3 if sort < 95 else 4
    orders = np.int64(12)
    if levels == 1:
        orders = 1 + geometric(m.draws, 0.5)
    small = below(m.draws, 100) < 50
    if small:
        levels, orders = 1, np.int64(1)
    if kind == 3:
        if not small:
            orders = 1 + geometric(m.draws, 0.8)
        levels = 1 + below(m.draws, 4)
        if below(m.draws, 50) == 0:
            levels, orders, small = 20 + below(m.draws, 60), np.int64(400), False
    if m.live_cnt[symbol] < target * 0.6:
        orders = np.int64(1)
    return levels, orders, small


@njit(**_OPTIONS)
def _reach(m, symbol, side, levels, orders):
    """(quantity, limit price) of what the incoming order of a side would take of the other."""
    other, step = 1 - side, 1 if side == BUY else -1
    price = limit = m.best[symbol, other]
    qty, taken, passed = 0, 0, 0
    while 0 < price < PRICES and passed < levels and taken < orders:
        order = np.int64(m.heads[symbol, other, price])
        if order != 0:
            passed, limit = passed + 1, price
        while order != 0 and taken < orders:
            qty, taken = qty + np.int64(m.orders[order]["qty"]), taken + 1
            order = np.int64(m.orders[order]["next"])
        price += step
    return qty, limit


@njit(**_OPTIONS)
def _match(m, symbol, side, order, limit, qty):
    """Trades against the other side up to the limit; the quantity left."""
    other = 1 - side
    while qty > 0:
        price = m.best[symbol, other]
        if (price > limit or price >= PRICES) if side == BUY else (price < limit or price <= 0):
            break
        resting = np.int64(m.heads[symbol, other, price])
        traded = min(np.int64(m.orders[resting]["qty"]), qty)
        checksum = _mix(_mix(m.trades[1], resting), order)
        m.trades[1] = _mix(_mix(checksum, price), traded)
        m.trades[0] += _U(1)
        qty -= traded
        m.orders[resting]["qty"] -= np.uint32(traded)
        if m.orders[resting]["qty"] == 0:
            _unbook(m, symbol, resting)
    return qty


@njit(**_OPTIONS)
def _marketable(m, kind, symbol, target):
    """Nothing is written when the other side is empty."""
    side = one_side(m.draws)
    if not 0 < m.best[symbol, 1 - side] < PRICES:
        return
    levels, orders, small = _appetite(m, kind, symbol, target)
    qty, limit = _reach(m, symbol, side, levels, orders)
    if small or below(m.draws, 100) < 30:
        cut = below(m.draws, min(qty, 100))
        if cut < qty:
            qty -= cut
    elif below(m.draws, 100) < 15:
        qty += 100
    qty, order = max(qty, 1), m.counts[1]
    _write(m, MARKETABLE, order, symbol, side, limit, qty)
    left = _match(m, symbol, side, order, limit, qty)
    if left > 0:
        _book(m, symbol, side, order, limit, left)
    m.counts[1] = order + 1


@_inlined
def _choose(m, symbol, target):
    """The next operation: adds and cancels in such shares that the book stays near its target."""
    share = fraction(m.draws)
    fill = m.live_cnt[symbol] / target
    adds, cancels = 0.48, 0.42
    if fill < 0.7:
        adds, cancels = adds + 0.15, cancels - 0.15
    elif fill < 1.0:
        adds, cancels = adds + 0.01, cancels - 0.01
    elif fill > 1.15:
        adds, cancels = adds - 0.03, cancels + 0.03
    if m.live_cnt[symbol] < 64 or share < adds:
        return ADD
    if share < adds + cancels:
        return CANCEL_ALL
    return REDUCE if share < adds + cancels + 0.05 else MARKETABLE


@njit(**_OPTIONS)
def _fill(m, kind, weights, targets):
    """Writes records until there are enough. weights: cumulated, by symbol."""
    symbols = len(weights)
    while m.counts[0] < len(m.records):
        symbol = 0
        if symbols > 1:
            wanted = fraction(m.draws) * weights[symbols - 1]
            while symbol < symbols - 1 and weights[symbol] < wanted:
                symbol += 1
        if below(m.draws, 200) == 0:
            moved = m.middle[symbol] + (fraction(m.draws) - 0.5) * 2.0
            m.middle[symbol] = min(max(moved, MID_LOW + 600.0), MID_HIGH - 600.0)
        middle = np.int64(m.middle[symbol])
        op = _choose(m, symbol, targets[symbol])
        if op == ADD:
            _add(m, kind, symbol, middle)
        elif op == CANCEL_ALL:
            _cancel(m, kind, symbol)
        elif op == REDUCE:
            _reduce(m, symbol)
        else:
            _marketable(m, kind, symbol, targets[symbol])


def play(kind, messages, symbols, target, seed):
    """(records, trades, checksum as 16 hex digits) of a market of kind 1, 2 or 3.

    target: resting orders aimed at in a book (of many: 1.6 times that in the busiest one).
    """
    books = (symbols, 2, PRICES + 2)
    m = Market(stream(seed), np.zeros(1),
               np.array([0, 1]), np.array([0, _CHECKSUM_SEED], np.uint64),
               np.zeros(messages, RECORD), np.zeros(messages + 2, _ORDER),
               np.zeros(books, np.uint32), np.zeros(books, np.uint32), np.zeros(books, np.uint32),
               np.tile(np.array([0, PRICES]), (symbols, 1)),
               np.zeros((symbols, ORDERS_A_BOOK), np.uint32), np.zeros(symbols, np.int64),
               np.full(symbols, (MID_LOW + MID_HIGH) / 2))
    targets = np.full(symbols, target)
    if symbols > 1:
        for symbol in range(symbols):
            m.middle[symbol] = MID_LOW + 500 + below(m.draws, MID_HIGH - MID_LOW - 1000)
            targets[symbol] = target * (0.4 + 1.2 * float(symbols - symbol) / symbols)
    weights = np.cumsum([1 / math.pow(symbol + 3, 0.8) for symbol in range(symbols)])
    _fill(m, kind, weights, targets)
    return m.records, int(m.trades[0]), f"{int(m.trades[1]):016x}"
