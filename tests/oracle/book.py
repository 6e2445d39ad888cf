"""Price-time matching of one partition: the plain truth about who trades with whom.

Prices are in units of 0.0001, quantities in shares. Nothing here knows a byte: every effect is a
call on `out` (accepted, replaced, traded, booked, moved, unbooked, canceled, modified, prevented,
decremented, restated), in the order in which the participants and the feed must see it.
"""

from bisect import insort

from tests.oracle.order import DECREMENT, NEWEST, OFF, OLDEST
from tests.oracle.places import Places


class Book:
    """All symbols of one partition; `live[account][user_ref_num]`: every order with open shares.

    symbols: for each its tick_size, and reference (a price) and collar (ticks), 0 for none.
    """

    def __init__(self, symbols, account_cnt, out):
        self.out, self.symbols = out, symbols
        self.places = [Places() for _ in symbols]
        self.sides = [places.sides for places in self.places]
        self.live = [{} for _ in range(account_cnt)]
        self.deadlines = []         # (when, number at entry, order), sorted; some are dead by now
        self.last_number = 0
        self.last_match = 0

    # -- commands ------------------------------------------------------------------------------

    def enter(self, order):
        """A new order: accepted, then matched, unless it waits for its cross."""
        order.number = order.first_number = self.next_number()
        self.out.accepted(order)
        if order.is_auction():
            self.rest(order)
        else:
            self.match(order)

    def replace(self, old, new):
        """`old` leaves; `new` (its open shares reckoned already) comes in without its priority."""
        new.number = new.first_number = self.next_number()
        self.remove(old)
        self.out.replaced(new, old)
        if new.is_auction():
            self.rest(new)
            return
        if old.is_on_feed() and new.is_on_feed() and self.rests_untouched(new):
            self.rest(new)
            self.out.moved(new, old.number)
            return
        if old.is_on_feed():
            self.out.unbooked(old)
        self.match(new)

    def rests_untouched(self, order):
        return not (order.is_immediate() or self.is_beyond_collar(order)
                    or self.first_met(order) is not None)

    def cancel(self, order, removed, reason):
        """Takes `removed` shares off a live order; the rest keeps its place."""
        cut = order.lose_back(removed)
        order.total -= removed
        if order.open == 0:
            self.remove(order)
        self.out.canceled(order, removed, reason, cut)

    def cancel_account(self, account, reason, wanted=None):
        """Every live order of the account that `wanted` agrees to, by ascending UserRefNum."""
        live = self.live[account]
        for user_ref_num in sorted(live):
            order = live[user_ref_num]
            if wanted is None or wanted(order):
                self.cancel(order, order.open, reason)

    def modify(self, order, side, quantity):
        """New side letter and intended total (not 0, more than executed) of a live order."""
        order.side = side
        added = quantity - order.total
        order.total = quantity
        if added > 0:
            old_number = order.number
            self.places[order.symbol].leave(order)
            order.number = self.next_number()
            order.open += added
            order.shown = order.to_show()
            self.places[order.symbol].enter(order)
            self.out.modified(order, 0, old_number)
        else:
            self.out.modified(order, order.lose_back(-added), None)

    def expire(self, now_ns):
        """Good-till-time orders due by now leave, the earliest first, then as they came in."""
        while self.deadlines and self.deadlines[0][0] <= now_ns:
            _, _, order = self.deadlines.pop(0)
            if self.live[order.account].get(order.user_ref_num) is order:
                self.cancel(order, order.open, b"T")

    # -- matching ------------------------------------------------------------------------------

    def match(self, order):
        """Lets a continuous order meet the other side, then books or cancels what is left."""
        if order.post_only and self.first_met(order) is not None:
            self.out.dropped(order, b"G")
            return
        enough = min(order.open, self.tradable(order)) >= order.min_qty
        if not enough and order.is_immediate():
            self.out.dropped(order, b"I")
            return
        if enough:
            self.sweep(order)
        if not order.open:
            return
        if self.is_beyond_collar(order):
            self.out.dropped(order, b"K")
        elif order.is_immediate():
            self.out.dropped(order, b"I")
        else:
            self.rest(order)
            if order.is_on_feed():
                self.out.booked(order)

    def sweep(self, order):
        """Meets one resting order after the other, until nothing is left on one of the sides."""
        while order.open:
            resting = self.first_met(order)
            if resting is None:
                return
            if resting.account != order.account or order.smp == OFF:
                self.trade(order, resting)
            elif order.smp == OLDEST:
                self.remove(resting)
                self.out.prevented_oldest(order, resting)
            elif order.smp == NEWEST:
                self.out.prevented_newest(order, resting)
                order.open = 0
            elif order.smp == DECREMENT:
                self.decrement(order, resting)

    def trade(self, order, resting):
        quantity = min(order.open, resting.in_front())
        order.open -= quantity
        resting.lose_front(quantity)
        self.out.traded(order, resting, quantity, self.next_match())
        self.tidy(resting)

    def decrement(self, order, resting):
        """Both orders of one owner lose what they would have traded."""
        quantity = min(order.open, resting.in_front())
        order.open -= quantity
        resting.lose_front(quantity)
        self.out.decremented(order, resting, quantity)
        self.tidy(resting)

    def tidy(self, resting):
        """After its front was hit: a dead order leaves, a used-up shown part comes back."""
        if not resting.open:
            self.remove(resting)
        elif resting.is_on_feed() and not resting.shown:
            self.refresh(resting)

    def refresh(self, order):
        """The next part of the reserve is shown: new reference, back of the queue."""
        self.places[order.symbol].leave(order)
        order.number = self.next_number()
        order.shown = order.to_show()
        self.places[order.symbol].enter(order)
        self.out.restated(order)

    def first_met(self, order):
        """The resting order that this one would meet next, None without one."""
        for resting in self.sides[order.symbol][not order.buy].in_priority():
            if not self.allows(order, resting.price):
                return None
            if order.open >= resting.least():
                return resting
        return None

    def tradable(self, order):
        """Shares the order is sure to trade at once, of its minimum quantity.

        Queue by queue: first what is in front, in turn, then what is held back, which comes again
        behind the whole queue. What an own order and this one lose of each other is gone before
        others come again.
        """
        found, left = 0, order.open
        queues = {}
        for resting in self.sides[order.symbol][not order.buy].in_priority():
            if not order.min_qty or not self.allows(order, resting.price):
                break
            queues.setdefault((resting.price, resting.is_on_feed()), []).append(resting)
        for queue in queues.values():
            again = {True: 0, False: 0}                      # own: shares
            for resting in queue:
                own = resting.account == order.account and order.smp != OFF
                if left < resting.least() or own and order.smp == OLDEST:
                    continue
                if own and order.smp == NEWEST:
                    return found
                part = min(left, resting.in_front())
                left -= part
                found += 0 if own else part
                again[own] += resting.open - resting.in_front()
            left -= min(left, again[True])
            part = min(left, again[False])
            left, found = left - part, found + part
        return found

    def allows(self, order, price):
        """May the order trade at this price, by its limit and by the collar?"""
        bound = self.collar_bound(order)
        if bound is not None and (price > bound if order.buy else price < bound):
            return False
        return order.allows(price)

    def collar_bound(self, order):
        """The worst price that the collar lets the order trade at, None without a collar."""
        symbol = self.symbols[order.symbol]
        if not symbol.collar or not symbol.reference:
            return None
        reference = symbol.reference // symbol.tick_size
        if order.buy:
            return (reference + symbol.collar) * symbol.tick_size
        return max(1, reference - symbol.collar) * symbol.tick_size

    def is_beyond_collar(self, order):
        bound = self.collar_bound(order)
        if bound is None:
            return False
        return order.is_market() or (order.price > bound if order.buy else order.price < bound)

    # -- places --------------------------------------------------------------------------------

    def next_number(self):
        self.last_number += 1
        return self.last_number

    def next_match(self):
        self.last_match += 1
        return self.last_match

    def rest(self, order):
        """A new order takes its place."""
        order.shown = order.to_show()
        self.places[order.symbol].enter(order)
        self.live[order.account][order.user_ref_num] = order
        if order.tif == b"6":
            insort(self.deadlines, (order.expires_ns, order.first_number, order))

    def remove(self, order):
        """The order leaves its place for good."""
        self.places[order.symbol].leave(order)
        del self.live[order.account][order.user_ref_num]
