"""Books made to hurt: deep, far, swept, stormed, at both ends of the prices; what each must give.

A `Case` is the commands that fill a book of one symbol, the commands that are judged, and what must
come of them, worked out here by sorting, without the book: every trade in its order, and who stands
in the book at the end. Handles are 1, 2, 3 ...; every order is of QTY shares.
"""

from typing import NamedTuple

import numpy as np

from appliance.hot import state
from appliance.layout.codes import PRICE_MAX
from appliance.layout.record import CANCEL, COMMAND, ENTER

BUY, SELL = 0, 1
IMMEDIATE = 3
QTY = 10
LG_LADDER = 14                       # the window of the default configuration
WINDOW = 1_000_000                   # its first price: the book begins far from both ends of prices
MIDDLE = WINDOW + (1 << LG_LADDER - 1)
TOP = PRICE_MAX                      # highest limit price, in ticks of 0.0001


class Case(NamedTuple):
    """One adversarial book."""

    name: str
    before: np.ndarray      # COMMAND, not judged
    judged: np.ndarray      # COMMAND
    trades: np.ndarray      # i64[n, 4]: resting, incoming, price in ticks, quantity, as they happen
    live: dict              # handle -> (side, price) of each order in the book at the end

    @property
    def touched(self):
        """Orders that the judged commands enter, take off or trade with."""
        return len(self.judged) + len(self.trades)


def enters(side, prices, first=1):
    """Commands that enter an order at each price, handles from `first` on."""
    made = np.zeros(len(prices), COMMAND.dtype)
    made["kind"], made["side"], made["qty"], made["price_ticks"] = ENTER, side, QTY, prices
    made["order"] = np.arange(first, first + len(prices))
    return made


def cancels(orders):
    made = np.zeros(len(orders), COMMAND.dtype)
    made["kind"], made["target"] = CANCEL, orders
    return made


def _shuffled(array, seed):
    return np.random.Generator(np.random.PCG64(seed)).permutation(array)


def _live(commands):
    return {int(one["order"]): (int(one["side"]), int(one["price_ticks"])) for one in commands}


def _none():
    return np.zeros(0, COMMAND.dtype), np.zeros((0, 4), np.int64)


def _levels(count, apart):
    """Both sides' levels around the window's middle, so many ticks apart, in a shuffled order."""
    bids = enters(BUY, MIDDLE - 1 - apart * np.arange(count))
    asks = enters(SELL, MIDDLE + apart * np.arange(count), count + 1)
    return _shuffled(np.concatenate([bids, asks]), 1)


def _deep(count, apart):
    made, (nothing, no_trades) = _levels(count, apart), _none()
    yield Case("levels a side, entered shuffled", nothing, made, no_trades, _live(made))
    yield Case("levels a side, cancelled shuffled", made,
               cancels(_shuffled(made["order"], 2)), no_trades, {})
    away = np.argsort(np.abs(2 * made["price_ticks"].astype(np.int64) - 2 * MIDDLE + 1),
                      kind="stable")
    yield Case("levels a side, cancelled from the touch", made, cancels(made["order"][away]),
               no_trades, {})


def _far(count):
    """Orders beyond the window on both sides, ten a price, a hundred ticks between prices."""
    steps = np.arange(count) // 10 * 100
    made = _shuffled(np.concatenate([
        enters(BUY, WINDOW - 1000 - steps),
        enters(SELL, WINDOW + (1 << LG_LADDER) + 1000 + steps, count + 1)]), 3)
    nothing, no_trades = _none()
    yield Case("far orders a side, ten a price, entered shuffled", nothing, made, no_trades,
               _live(made))
    yield Case("far orders a side, ten a price, cancelled shuffled", made,
               cancels(_shuffled(made["order"], 4)), no_trades, {})


def _sweep(name, side, prices):
    """One order takes all of `prices`, which rest on `side`, and keeps one share too many."""
    resting = enters(side, prices)
    best_first = np.argsort(-prices if side == BUY else prices, kind="stable")
    order, rest = len(prices) + 1, 1
    taker = enters(1 - side, np.array([prices.min() if side == BUY else prices.max()]), order)
    taker["qty"] = QTY * len(prices) + rest
    trades = np.stack([resting["order"][best_first], np.full(len(prices), order),
                       prices[best_first], np.full(len(prices), QTY)], axis=1).astype(np.int64)
    return Case(name, resting, taker, trades, _live(taker))


def _sweeps(count):
    at = np.arange(count)
    yield _sweep("orders at one price, swept", SELL, np.full(count, MIDDLE))
    inside = min(count, 1 << LG_LADDER - 1)
    yield _sweep("orders, swept through the window", SELL, _shuffled(MIDDLE + at % inside, 5))
    yield _sweep("far levels, swept", BUY, _shuffled(WINDOW - 1 - at * 7, 6))
    yield _sweep("orders from the lowest price to the highest, swept", SELL,
                 _shuffled(np.linspace(1, TOP, count).astype(np.int64), 7))


def _storms(count):
    nothing, no_trades = _none()
    for where, price in (("one price", MIDDLE), ("one far price", WINDOW - 1)):
        made = enters(BUY, np.full(count, price))
        yield Case(f"orders at {where}, entered", nothing, made, no_trades, _live(made))
        for how, order in (("oldest first", made["order"]), ("newest first", made["order"][::-1]),
                           ("shuffled", _shuffled(made["order"], 8))):
            yield Case(f"orders at {where}, cancelled {how}", made, cancels(order), no_trades, {})


def _alone(name, stay, side, price, count):
    """An order comes alone to the top and leaves again, `count` times; `stay` rests beneath it."""
    made = np.zeros(2 * count, COMMAND.dtype)
    made[0::2] = enters(side, np.full(count, price), len(stay) + 1)
    made[1::2] = cancels(made["order"][0::2])
    return Case(name, stay, made, _none()[1], _live(stay))


def _ends(count):
    lowest, highest = WINDOW, WINDOW + (1 << LG_LADDER) - 1
    yield _alone("times the best bid jumps over the whole window", enters(BUY, [lowest]), BUY,
                 highest, count)
    yield _alone("times the best bid jumps from the lowest to the highest price",
                 enters(BUY, [1]), BUY, TOP, count)
    yield _alone("times the best ask jumps from the highest to the lowest price",
                 enters(SELL, [TOP]), SELL, 1, count)
    made = np.zeros(2 * count, COMMAND.dtype)
    made[0::2] = enters(BUY, np.full(count, TOP))
    made[1::2] = enters(SELL, np.full(count, 1), count + 1)
    made["order"] = np.arange(1, 2 * count + 1)
    made["tif"][1::2] = IMMEDIATE
    pairs = np.arange(1, 2 * count, 2)
    trades = np.stack([pairs, pairs + 1, np.full(count, TOP), np.full(count, QTY)], axis=1)
    yield Case("times a bid at the highest price meets an offer at the lowest", _none()[0], made,
               trades, {})


def cases(levels=20_000, orders=10_000, apart=1):
    """Every case, with so many levels a side, ticks between them, and so many orders."""
    for case in _deep(levels, apart):
        yield case._replace(name=f"{levels:,} {case.name}")
    for make in (_far, _sweeps, _storms, _ends):
        for case in make(orders):
            yield case._replace(name=f"{orders:,} {case.name}")


def build(case):
    """(Book, events) for a case: empty, large enough for all of it."""
    orders = int(max(case.before["order"].max(initial=0), case.judged["order"].max(initial=0)))
    core = state.build(state.Sizes(
        symbols=1, accounts=1, pages=orders // 256 + 2, lg_ladder=LG_LADDER, far_cap=1 << 15,
        far_levels=1 << 16, chunks=1, feed_bytes=1 << 12, feed_messages=1 << 8, journal=1 << 8))
    core.book.symbols[0]["window_ticks"] = WINDOW
    for array in core.book:
        touched = array.reshape(-1).view(np.uint8)[::4096]
        touched[:] = touched.copy()
    return core.book, core.burst.events
