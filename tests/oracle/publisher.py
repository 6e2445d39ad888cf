"""Turns every effect of a command into its messages: account streams, feed, tallies.

`streams[account]` and `feed` are lists of bytes in the order a participant receives them.
"""

from collections import Counter

from tests.oracle import feed, reports

BREAKABLE = 65_536


class Publisher:
    """The `out` of book and entry. `time` is the record time of the command being applied."""

    def __init__(self, partition, symbols, accounts):
        self.symbols = symbols
        self.firms = [account.firm for account in accounts]
        self.top = partition << 56
        self.time = 0
        self.streams = [[] for _ in accounts]
        self.feed = []
        self.trades = []
        self.parties = {}           # match number -> the symbol's index, buyer's and seller's order
        self.rejects = Counter()
        self.counters = Counter()

    def reference(self, order):
        return self.top | order.number

    def locate(self, order):
        return self.symbols[order.symbol].locate

    # -- answers of order entry ----------------------------------------------------------------

    def rejected(self, account, user_ref_num, reason, clordid):
        self.rejects[reason] += 1
        self.counters["rejects"] += 1
        self.streams[account].append(reports.rejected(self.time, user_ref_num, reason, clordid))

    def query_answer(self, account, next_user_ref_num):
        self.streams[account].append(reports.query_answer(self.time, next_user_ref_num))

    def mass_canceled(self, account, user_ref_num, firm, symbol):
        self.streams[account].append(
            reports.mass_canceled(self.time, user_ref_num, firm, symbol))

    def switched(self, account, user_ref_num, firm, disabled):
        make = reports.disabled if disabled else reports.enabled
        self.streams[account].append(make(self.time, user_ref_num, firm))

    # -- effects of the book -------------------------------------------------------------------

    def accepted(self, order):
        self.counters["orders"] += 1
        self.streams[order.account].append(reports.accepted(
            self.time, order, self.symbols[order.symbol].name, self.reference(order)))

    def replaced(self, order, old):
        self.counters["orders"] += 1
        self.streams[order.account].append(reports.replaced(
            self.time, order, old, self.symbols[order.symbol].name, self.reference(order)))

    def traded(self, order, resting, quantity, match):
        number, symbol = self.top | match, self.symbols[order.symbol]
        for party, flag in ((resting, b"A" if resting.is_on_feed() else b"J"), (order, b"R")):
            self.streams[party.account].append(reports.executed(
                self.time, party, quantity, resting.price, flag, number))
        if resting.is_on_feed():
            self.feed.append(feed.executed(
                self.time, symbol.locate, self.reference(resting), quantity, number))
        else:
            self.feed.append(feed.trade(
                self.time, symbol.locate, symbol.name, quantity, resting.price, number))
        self.note_trade(match, order, resting, quantity, resting.price)

    def note_trade(self, match, one, other, quantity, price):
        """What is told of trades, and what is needed to break one."""
        self.counters["trades"] += 1
        self.risk.traded(one, quantity)
        self.risk.traded(other, quantity)
        self.trades.append((match, one.symbol, price, quantity, (one.account, one.user_ref_num),
                            (other.account, other.user_ref_num)))
        buyer, seller = (one, other) if one.buy else (other, one)
        self.parties[match] = (one.symbol, *((each.account, each.user_ref_num, each.clordid)
                                             for each in (buyer, seller)))

    def booked(self, order):
        attribution = None
        if order.display == b"A":
            attribution = order.tags.get(2, b"    ")
            if attribution == b"    ":
                attribution = self.firms[order.account]
        symbol = self.symbols[order.symbol]
        self.feed.append(feed.add(self.time, symbol.locate, symbol.name, self.reference(order),
                                  order.buy, order.shown, order.price, attribution))

    def restated(self, order):
        """A reserve order shows its next part."""
        self.streams[order.account].append(reports.restated(
            self.time, order.user_ref_num, self.reference(order), order.shown))
        self.booked(order)

    def moved(self, order, old_number):
        self.feed.append(feed.replace(self.time, self.locate(order), self.top | old_number,
                                      self.reference(order), order.shown, order.price))

    def unbooked(self, order):
        self.feed.append(feed.delete(self.time, self.locate(order), self.reference(order)))

    def canceled(self, order, removed, reason, cut):
        """A live order lost `removed` shares, `cut` of them shown ones."""
        self.counters["orders_expired"] += reason == b"T"
        self.streams[order.account].append(
            reports.canceled(self.time, order, removed, reason))
        self.shown_less(order, cut, not order.open)

    def dropped(self, order, reason):
        """What is left of an incoming order goes without having been booked."""
        self.streams[order.account].append(
            reports.canceled(self.time, order, order.open, reason))

    def shown_less(self, order, cut, is_gone):
        """The feed's word on shown shares that went without a trade."""
        if not order.is_on_feed() or not cut:
            return
        if is_gone:
            self.unbooked(order)
        else:
            self.feed.append(feed.cancel(
                self.time, self.locate(order), self.reference(order), cut))

    def modified(self, order, cut, old_number):
        """`old_number`: of the place it had, when it grew and has a new one."""
        stream = self.streams[order.account]
        stream.append(reports.modified(self.time, order))
        if old_number is None:
            self.shown_less(order, cut, False)
            return
        stream.append(reports.priority_update(self.time, order, self.reference(order)))
        if order.is_on_feed():
            self.moved(order, old_number)

    # -- self-match prevention -----------------------------------------------------------------

    def prevented(self, order, decrement, quantity, price, flag, strategy):
        self.streams[order.account].append(reports.prevented(
            self.time, order, decrement, quantity, price, flag, strategy))

    def prevented_oldest(self, order, resting):
        self.prevented(resting, resting.open, min(order.open, resting.open), resting.price,
                       b"A" if resting.is_on_feed() else b"J", b"O")
        if resting.is_on_feed():
            self.unbooked(resting)

    def prevented_newest(self, order, resting):
        self.prevented(order, order.open, min(order.open, resting.open), resting.price, b"R", b"W")

    def decremented(self, order, resting, quantity):
        """Both have lost `quantity` already; strategy Y keeps the details back."""
        for party, flag in ((resting, b"A" if resting.is_on_feed() else b"J"), (order, b"R")):
            details = (quantity, resting.price, flag) if order.strategy == b"D" else (0, 0, b" ")
            self.prevented(party, quantity, *details, order.strategy)
        self.shown_less(resting, quantity, not resting.shown)

    # -- crosses and their like ----------------------------------------------------------------

    def crossed(self, buy, sell, quantity, price, letter, match):
        """One fill of a cross; buy and sell: the pieces (`cross.Piece`) that it fills."""
        number = self.top | match
        for piece in (buy, sell):
            order = piece.order
            self.streams[order.account].append(reports.executed(
                self.time, order, quantity, price, letter, number))
            if piece.is_shown:
                self.feed.append(feed.executed_at(
                    self.time, self.locate(order), self.reference(order), quantity, number,
                    price))
        self.note_trade(match, buy.order, sell.order, quantity, price)

    def cross_done(self, symbol_idx, shares, price, letter, match):
        symbol = self.symbols[symbol_idx]
        self.feed.append(feed.cross(self.time, symbol.locate, symbol.name, shares, price,
                                    self.top | match, letter))

    def imbalance(self, symbol, letter, numbers):
        self.feed.append(feed.imbalance(self.time, symbol.locate, symbol.name, letter, numbers))

    def broken(self, match, reason, newest):
        """Tells both parties and everybody that a trade is void. `newest`: last match number."""
        if match <= newest - BREAKABLE or match not in self.parties:
            self.counters["busts_ignored"] += 1
            return
        symbol_idx, *parties = self.parties.pop(match)
        for account, user_ref_num, clordid in parties:
            self.streams[account].append(reports.broken(
                self.time, user_ref_num, self.top | match, reason, clordid))
        self.feed.append(feed.broken(
            self.time, self.symbols[symbol_idx].locate, self.top | match))

    # -- the day -------------------------------------------------------------------------------

    def feed_event(self, code):
        self.feed.append(feed.system_event(self.time, code))

    def stream_event(self, code):
        for stream in self.streams:
            stream.append(reports.system_event(self.time, code))

    def directory(self):
        for symbol in self.symbols:
            self.feed.append(feed.directory(
                self.time, symbol.locate, symbol.name, symbol.lot_size))
        for symbol in self.symbols:
            self.trading_action(symbol)

    def trading_action(self, symbol, reason=b"    "):
        self.feed.append(feed.trading_action(
            self.time, symbol.locate, symbol.name, symbol.state, reason))
