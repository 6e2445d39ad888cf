"""Where orders rest: the two sides of each symbol's book, and those that wait for a cross."""

from bisect import bisect_left, insort
from collections import OrderedDict

from tests.oracle.order import CLOSING, HALT, OPENING


class Side:
    """One side of one symbol: at each price the shown orders, then the hidden ones, by time."""

    def __init__(self, buy):
        self.buy = buy
        self.shown, self.hidden = {}, {}
        self.prices = []

    def best(self):
        """Best price, None when empty."""
        if not self.prices:
            return None
        return self.prices[-1] if self.buy else self.prices[0]

    def best_shown(self):
        """Best price that the feed shows, None when it shows none."""
        return next((price for price in self.prices_from_best() if price in self.shown), None)

    def prices_from_best(self):
        return reversed(self.prices) if self.buy else iter(self.prices)

    def in_priority(self):
        """Every order: price, then shown before hidden, then time."""
        for price in self.prices_from_best():
            yield from self.shown.get(price, {}).values()
            yield from self.hidden.get(price, {}).values()

    def enter(self, order):
        """To the back of its queue."""
        queues = self.shown if order.is_on_feed() else self.hidden
        if order.price not in self.shown and order.price not in self.hidden:
            insort(self.prices, order.price)
        queues.setdefault(order.price, OrderedDict())[order.number] = order

    def leave(self, order):
        queues = self.shown if order.is_on_feed() else self.hidden
        del queues[order.price][order.number]
        if not queues[order.price]:
            del queues[order.price]
            if order.price not in self.shown and order.price not in self.hidden:
                del self.prices[bisect_left(self.prices, order.price)]


class Places:
    """One symbol: `sides[buy]`, and `waiting[cross letter]`: auction orders by number."""

    def __init__(self):
        self.sides = (Side(False), Side(True))
        self.waiting = {OPENING: {}, CLOSING: {}, HALT: {}}

    def enter(self, order):
        if order.is_auction():
            self.waiting[order.cross][order.number] = order
        else:
            self.sides[order.buy].enter(order)

    def leave(self, order):
        if order.is_auction():
            del self.waiting[order.cross][order.number]
        else:
            self.sides[order.buy].leave(order)

    def by_number(self, letter):
        """Auction orders of one cross, buys and sells together, by ascending order reference."""
        return [order for _, order in sorted(self.waiting[letter].items())]
