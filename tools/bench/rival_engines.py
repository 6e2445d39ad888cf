"""Engines of the package index behind one small interface, run as a program by `rivals`.

    PYTHONPATH=FOLDER python rival_engines.py ENGINE WORKLOAD MESSAGES

Needs nothing but the standard library and the engine. Plays a workload file's first messages on
it and prints one JSON object: CPU seconds, nanoseconds of CPU time an operation, trades, their
checksum and the orders that rest at the end. Turning the file into Python values comes before the
clock runs, and turning the engine's trades into the checksum after it.

An adapter has `enter(order, side, price, qty)`, `cancel(order)`, perhaps `reduce(order, off)`, and
`trades()`: (resting, incoming, price, qty) of each. Its `leaves_out` names what the engine cannot
do; those messages are left out, and its trades are judged on the rest.
"""

import json
import struct
import sys
import time

ADD, CANCEL, REDUCE, MARKETABLE = 1, 2, 3, 4
BUY = 0
NS_ROUNDS = 10_000


class Liquibook:
    """C++ behind SWIG; trades come by a callback into Python. A reduction loses its place in time,
    so it gets none."""

    leaves_out = ("reduce",)

    def __init__(self):
        import liquibook

        found, ids = [], {}

        class Listener(liquibook.OrderListener):
            def on_fill(self, incoming, resting, qty, price):
                resting.fill(qty, price, 0)
                incoming.fill(qty, price, 0)
                found.append((ids[resting.order_id_], ids[incoming.order_id_], price, qty))

            def on_nothing(self, *_arguments):
                pass

            on_accept = on_cancel = on_reject = on_cancel_reject = on_nothing

        self._found, self._ids, self._orders = found, ids, {}
        self._listener, self._make = Listener(), liquibook.SimpleOrder
        self._book = liquibook.DepthOrderBook()
        self._book.set_symbol("W1")
        self._book.set_order_listener(self._listener)

    def enter(self, order, side, price, qty):
        made = self._orders[order] = self._make(side == BUY, price, qty)
        self._ids[made.order_id_] = order
        self._book.add(made)

    def cancel(self, order):
        self._book.cancel(self._orders[order])

    def trades(self):
        return self._found


class LightMatchingEngine:
    """Pure Python; its own order numbers are the workload's. An order is reduced by its field."""

    def __init__(self):
        from lightmatchingengine.lightmatchingengine import LightMatchingEngine as Engine
        self._engine, self._orders, self._found = Engine(), {}, []

    def enter(self, order, side, price, qty):
        made, trades = self._engine.add_order("W1", price, qty, 1 if side == BUY else 2)
        self._orders[order] = made
        self._found += [(trade.order_id, order, trade.trade_price, trade.trade_qty)
                        for trade in trades if trade.order_id != order]

    def cancel(self, order):
        self._engine.cancel_order(order, "W1")

    def reduce(self, order, off):
        self._orders[order].leaves_qty -= off

    def trades(self):
        return self._found


class LimitOrderBook:
    """C++ behind ctypes; it tells no trades, only what rests. It has no reduction."""

    leaves_out = ("reduce",)
    tells_trades = False

    def __init__(self):
        from limit_order_book import LimitOrderBook as Book
        self._book = Book()

    def enter(self, order, side, price, qty):
        (self._book.limit_buy if side == BUY else self._book.limit_sell)(order, qty, price)

    def cancel(self, order):
        if self._book.has(order):       # the reductions are missing; an unknown one would abort
            self._book.cancel(order)

    def resting(self):
        """Orders in the book."""
        return self._book.count()


class OrderlyChaos:
    """C++ behind ctypes; trades come by a callback into Python."""

    def __init__(self):
        from orderly_chaos import LimitOrderBook as Book
        from orderly_chaos import Side
        self._found, self._buy, self._sell = [], Side.BUY, Side.SELL
        self._book = Book(on_trade=self._found.append)

    def enter(self, order, side, price, qty):
        self._book.limit(self._buy if side == BUY else self._sell, order, qty, price)

    def cancel(self, order):
        self._book.cancel(order)

    def reduce(self, order, off):
        self._book.reduce(order, off)

    def trades(self):
        return [(t.maker_id, t.taker_id, t.price, t.quantity) for t in self._found]


class Obook:
    """Go behind ctypes; events are drained after each order. Nobody trades with himself there, so
    each side has a user of its own."""

    def __init__(self):
        import obook
        self._book = obook.Book(max_orders=1_000_000)
        self._ids, self._theirs, self._totals, self._found = {}, {}, {}, []
        self._trade = obook.EventKind.TRADE

    def enter(self, order, side, price, qty):
        number = self._book.submit(1 + side, side, price, qty).order_id
        self._ids[number], self._theirs[order] = order, (number, 1 + side)
        self._totals[order] = qty
        self._found += [event for event in self._book.events() if event.kind == self._trade]

    def cancel(self, order):
        self._book.cancel(*self._theirs[order])

    def reduce(self, order, off):
        self._totals[order] -= off
        number, user = self._theirs[order]
        self._book.reduce(number, self._totals[order], user)

    def trades(self):
        return [(self._ids[t.maker_id], self._ids[t.taker_id], t.price, t.qty)
                for t in self._found]


class PyOrderBook:
    """Pure Python with Decimal prices. An order is reduced by its field."""

    def __init__(self):
        from pyorderbook import Book, ask, bid
        self._book, self._bid, self._ask = Book(), bid, ask
        self._orders, self._ids, self._found = {}, {}, []

    def enter(self, order, side, price, qty):
        made = (self._bid if side == BUY else self._ask)("W1", price, qty)
        self._orders[order], self._ids[made.id] = made, order
        self._found += self._book.match(made).trades

    def cancel(self, order):
        self._book.cancel(self._orders[order])

    def reduce(self, order, off):
        self._orders[order].quantity -= off

    def trades(self):
        return [(self._ids[t.standing_order_id], self._ids[t.incoming_order_id],
                 int(t.fill_price), t.fill_quantity) for t in self._found]


class Akhil4nOrderBook:
    """Pure Python over sortedcontainers; trades stand in its log. It has no reduction."""

    leaves_out = ("reduce",)
    module = "orderbook"

    def __init__(self):
        import importlib
        their = importlib.import_module(self.module)
        self._book, self._make = their.OrderBook(), their.Order
        self._sides = their.OrderSide.BID, their.OrderSide.ASK
        self._names, self._ids = {}, {}

    def enter(self, order, side, price, qty):
        made = self._make(side=self._sides[side], price=price, original_quantity=qty)
        self._names[order], self._ids[made.order_id] = made.order_id, order
        self._book.add_limit_order(made)

    def cancel(self, order):
        self._book.cancel_order(self._names[order])

    def trades(self):
        return [(self._ids[t.filler_id], self._ids[t.aggressor_id], t.price, t.quantity_filled)
                for t in self._book.trade_log]


class CythonOrderBook(Akhil4nOrderBook):
    """The same book, compiled by Cython."""

    module = "cython_orderbook"


class LiteBook:
    """Rust. It has no reduction."""

    leaves_out = ("reduce",)

    def __init__(self):
        from litebook import Order, OrderBook, OrderType
        self._book, self._make = OrderBook(tick_size=1.0), Order
        self._sides = OrderType.Buy, OrderType.Sell
        self._names, self._ids, self._found = {}, {}, []

    def enter(self, order, side, price, qty):
        made = self._make(self._sides[side], price, qty)
        self._names[order], self._ids[made.id] = made.id, order
        for fill in self._book.add(made):
            self._found.append((order, fill))

    def cancel(self, order):
        self._book.cancel(self._names[order])

    def trades(self):
        found = []
        for order, fill in self._found:
            buy, sell = self._ids[fill.buy_id], self._ids[fill.sell_id]
            found.append((sell if buy == order else buy, order, int(fill.price),
                          int(fill.quantity)))
        return found


class OrderMatching:
    """Pure Python, placed and matched by time stamps. It has no reduction; each order searches
    the whole book, so it gets few messages."""

    leaves_out = ("reduce",)
    most = 2_000

    def __init__(self):
        from datetime import datetime, timedelta

        from loguru import logger
        from order_matching.enums import Side
        from order_matching.matching_engine import MatchingEngine
        from order_matching.order import LimitOrder
        from order_matching.orders import Orders
        logger.disable("order_matching")
        self._engine, self._make, self._many = MatchingEngine(seed=1), LimitOrder, Orders
        self._sides = Side.BUY, Side.SELL
        self._now, self._step, self._found = datetime(2024, 1, 1), timedelta(microseconds=1), []

    def enter(self, order, side, price, qty):
        self._now += self._step
        self._engine.place(self._many([self._make(
            side=self._sides[side], price=price, size=qty, timestamp=self._now,
            order_id=str(order), trader_id="1")]))
        self._found += self._engine.match(timestamp=self._now).trades

    def cancel(self, order):
        try:
            self._engine.cancel_order(str(order))
        except ValueError:
            pass                        # not live any more; the reductions are missing

    def trades(self):
        return [(int(t.book_order_id), int(t.incoming_order_id), int(t.price), int(t.size))
                for t in self._found]


ENGINES = {"liquibook": Liquibook, "lightmatchingengine": LightMatchingEngine,
           "limit-order-book": LimitOrderBook, "orderly-chaos": OrderlyChaos, "obook": Obook,
           "pyorderbook": PyOrderBook, "akhil4n-orderbook": Akhil4nOrderBook,
           "cython-orderbook": CythonOrderBook, "litebook": LiteBook,
           "order-matching": OrderMatching}
NAMES = {ADD: "add", CANCEL: "cancel", REDUCE: "reduce", MARKETABLE: "marketable"}


def leaves_out(engine):
    """Names of the operations that an engine is not given."""
    return getattr(ENGINES[engine], "leaves_out", ())


def most(engine, message_cnt):
    """Of so many messages, how many an engine is given."""
    return min(message_cnt, getattr(ENGINES[engine], "most", message_cnt))


def tells_trades(engine):
    """Whether an engine says who traded with whom."""
    return getattr(ENGINES[engine], "tells_trades", True)


def read(path, message_cnt, without):
    """(op, order, side, price, qty) of the first records, but for those left out."""
    with open(path, "rb") as file:
        data = file.read(message_cnt * 32)
    return [(op, order, side, price, qty)
            for order, _, price, qty, _, op, side, _ in struct.iter_unpack("<QQiIHBBI", data)
            if NAMES[op] not in without]


def play(engine, rows):
    """Every row on a fresh engine."""
    enter, cancel, reduce = engine.enter, engine.cancel, getattr(engine, "reduce", None)
    for op, order, side, price, qty in rows:
        if op == CANCEL:
            cancel(order)
        elif op == REDUCE:
            reduce(order, qty)
        else:
            enter(order, side, price, qty)


def play_timed(engine, rows):
    """Nanoseconds of CPU time of each row on a fresh engine, less the clock's own."""
    clock = time.thread_time_ns
    nothing = []
    for _ in range(NS_ROUNDS):
        began = clock()
        nothing.append(clock() - began)
    overhead, taken = sorted(nothing)[NS_ROUNDS // 2], []
    enter, cancel, reduce = engine.enter, engine.cancel, getattr(engine, "reduce", None)
    for op, order, side, price, qty in rows:
        began = clock()
        if op == CANCEL:
            cancel(order)
        elif op == REDUCE:
            reduce(order, qty)
        else:
            enter(order, side, price, qty)
        taken.append(max(clock() - began - overhead, 0))
    return sorted(taken)


def checksum(trades):
    """The workload's checksum over trades, 16 hex digits."""
    mixed = 0x9E3779B97F4A7C15
    for trade in trades:
        for value in trade:
            mixed = (mixed ^ int(value)) * 0xFF51AFD7ED558CCD % (1 << 64)
            mixed ^= mixed >> 32
    return f"{mixed:016x}"


def main() -> int:
    """Plays once for the rate and once more for the time of an operation."""
    name, path, message_cnt = sys.argv[1], sys.argv[2], int(sys.argv[3])
    rows = read(path, message_cnt, leaves_out(name))
    engine = ENGINES[name]()
    began = time.thread_time()
    play(engine, rows)
    seconds = time.thread_time() - began
    trades = engine.trades() if tells_trades(name) else []
    answer = {"messages": len(rows), "seconds": seconds, "trades": len(trades),
              "checksum": checksum(trades)}
    if not tells_trades(name):
        answer["resting"] = engine.resting()
    taken = play_timed(ENGINES[name](), rows)
    answer["ns"] = {text: taken[min(int(len(taken) * share), len(taken) - 1)]
                    for text, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
