"""Price-time matching of one partition: the plain truth about who trades with whom.

Prices are in units of 0.0001, quantities in shares. Nothing here knows a byte: every effect is a
call on `out` (accepted, replaced, traded, booked, moved, unbooked, canceled, modified, prevented),
in the order in which the participants and the feed must see it.
"""

from bisect import bisect_left, insort
from collections import OrderedDict

OFF, OLDEST, NEWEST = "off", "oldest", "newest"
MARKET_PRICE = 0x7FFFFFFF


class Order:
    """An order and everything that reports say about it.

    open: shares that can still trade. total: intended size, executed shares included.
    number: n of its order reference. tags: the optional tags sent, tag -> value bytes.
    """

    __slots__ = ("account", "user_ref_num", "symbol", "buy", "side", "price", "open", "total",
                 "tif", "display", "capacity", "sweep", "cross", "clordid", "tags", "min_qty",
                 "post_only", "smp", "number")

    def is_immediate(self):
        return self.tif == b"3"

    def executed(self):
        return self.total - self.open


class Side:
    """One side of one symbol: a queue of orders for each price, and the sorted prices."""

    def __init__(self, buy):
        self.buy = buy
        self.queues = {}
        self.prices = []

    def best(self):
        """Best price, None when empty."""
        if not self.prices:
            return None
        return self.prices[-1] if self.buy else self.prices[0]

    def prices_from_best(self):
        return reversed(self.prices) if self.buy else iter(self.prices)

    def oldest(self, price):
        return next(iter(self.queues[price].values()))

    def enter(self, order):
        queue = self.queues.get(order.price)
        if queue is None:
            queue = self.queues[order.price] = OrderedDict()
            insort(self.prices, order.price)
        queue[order.number] = order

    def leave(self, order):
        queue = self.queues[order.price]
        del queue[order.number]
        if not queue:
            del self.queues[order.price]
            del self.prices[bisect_left(self.prices, order.price)]


class Book:
    """All symbols of one partition; `live[account][user_ref_num]`: every order with open shares."""

    def __init__(self, symbol_cnt, account_cnt, out):
        self.out = out
        self.sides = [(Side(False), Side(True)) for _ in range(symbol_cnt)]
        self.live = [{} for _ in range(account_cnt)]
        self.last_number = 0
        self.last_match = 0

    # -- commands ------------------------------------------------------------------------------

    def enter(self, order):
        """A new order: accepted, then matched."""
        order.number = self.next_number()
        self.out.accepted(order)
        self.match(order)

    def replace(self, old, new):
        """`old` leaves; `new` (its open shares reckoned already) comes in without its priority."""
        new.number = self.next_number()
        self.remove(old)
        self.out.replaced(new, old)
        if not new.is_immediate() and not self.can_meet(new):
            self.rest(new)
            self.out.moved(new, old.number)
            return
        self.out.unbooked(old)
        self.match(new)

    def cancel(self, order, removed, reason):
        """Takes `removed` shares off a booked order; the rest keeps its place."""
        order.open -= removed
        order.total -= removed
        if order.open == 0:
            self.remove(order)
        self.out.canceled(order, removed, reason, True)

    def cancel_account(self, account, reason, wanted=None):
        """Every live order of the account that `wanted` agrees to, by ascending UserRefNum."""
        live = self.live[account]
        for user_ref_num in sorted(live):
            order = live[user_ref_num]
            if wanted is None or wanted(order):
                self.cancel(order, order.open, reason)

    def modify(self, order, side, quantity):
        """New side letter and intended total (not 0, more than executed) of a booked order."""
        executed, was_total, old_number = order.executed(), order.total, order.number
        order.side = side
        grows = quantity > was_total
        if grows:
            self.sides[order.symbol][order.buy].leave(order)
            order.number = self.next_number()
        order.total, order.open = quantity, quantity - executed
        if grows:
            self.sides[order.symbol][order.buy].enter(order)
        self.out.modified(order, max(0, was_total - quantity), old_number if grows else None)

    # -- matching ------------------------------------------------------------------------------

    def match(self, order):
        """Lets an accepted order meet the other side, then books or cancels what is left."""
        if order.post_only and self.can_meet(order):
            self.out.canceled(order, order.open, b"G", False)
            return
        if order.min_qty and min(order.open, self.tradable(order)) < order.min_qty:
            self.out.canceled(order, order.open, b"I", False)
            return
        other = self.sides[order.symbol][not order.buy]
        while order.open and self.can_meet(order):
            resting = other.oldest(other.best())
            if resting.account == order.account and order.smp == NEWEST:
                self.out.prevented_newest(order, resting)
                return
            if resting.account == order.account and order.smp == OLDEST:
                self.remove(resting)
                self.out.prevented_oldest(order, resting)
                continue
            self.trade(order, resting)
        if not order.open:
            return
        if order.is_immediate():
            self.out.canceled(order, order.open, b"I", False)
            return
        self.rest(order)
        self.out.booked(order)

    def trade(self, order, resting):
        quantity = min(order.open, resting.open)
        order.open -= quantity
        resting.open -= quantity
        if not resting.open:
            self.remove(resting)
        self.last_match += 1
        self.out.traded(order, resting, quantity, self.last_match)

    def can_meet(self, order):
        """Is there an order on the other side whose price the limit allows?"""
        best = self.sides[order.symbol][not order.buy].best()
        return best is not None and self.allows(order, best)

    def tradable(self, order):
        """Shares the order could trade at once, counted up to its minimum quantity."""
        other = self.sides[order.symbol][not order.buy]
        found = 0
        for price in other.prices_from_best():
            if not self.allows(order, price):
                break
            for resting in other.queues[price].values():
                if resting.account == order.account and order.smp == OLDEST:
                    continue
                if resting.account == order.account and order.smp == NEWEST:
                    return found
                found += resting.open
                if found >= order.min_qty:
                    return found
        return found

    @staticmethod
    def allows(order, price):
        if order.price == MARKET_PRICE:
            return True
        return price <= order.price if order.buy else price >= order.price

    # -- places --------------------------------------------------------------------------------

    def next_number(self):
        self.last_number += 1
        return self.last_number

    def rest(self, order):
        self.sides[order.symbol][order.buy].enter(order)
        self.live[order.account][order.user_ref_num] = order

    def remove(self, order):
        self.sides[order.symbol][order.buy].leave(order)
        del self.live[order.account][order.user_ref_num]
