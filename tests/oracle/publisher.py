"""Turns every effect of a command into its messages: account streams, feed, tallies.

`streams[account]` and `feed` are lists of bytes in the order a participant receives them.
"""

from collections import Counter

from tests.oracle import feed, reports


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
        number = self.top | match
        for party, flag in ((resting, b"A"), (order, b"R")):
            self.streams[party.account].append(reports.executed(
                self.time, party, quantity, resting.price, flag, number))
        self.feed.append(feed.executed(
            self.time, self.locate(order), self.reference(resting), quantity, number))
        self.counters["trades"] += 1
        self.trades.append((match, order.symbol, resting.price, quantity,
                            (order.account, order.user_ref_num),
                            (resting.account, resting.user_ref_num)))

    def booked(self, order):
        attribution = None
        if order.display == b"A":
            attribution = order.tags.get(2, b"    ")
            if attribution == b"    ":
                attribution = self.firms[order.account]
        symbol = self.symbols[order.symbol]
        self.feed.append(feed.add(self.time, symbol.locate, symbol.name, self.reference(order),
                                  order.buy, order.open, order.price, attribution))

    def moved(self, order, old_number):
        self.feed.append(feed.replace(self.time, self.locate(order), self.top | old_number,
                                      self.reference(order), order.open, order.price))

    def unbooked(self, order):
        self.feed.append(feed.delete(self.time, self.locate(order), self.reference(order)))

    def canceled(self, order, removed, reason, was_booked):
        self.streams[order.account].append(
            reports.canceled(self.time, order, removed, reason))
        if not was_booked:
            return
        if order.open:
            self.feed.append(feed.cancel(
                self.time, self.locate(order), self.reference(order), removed))
        else:
            self.unbooked(order)

    def modified(self, order, removed, old_number):
        stream = self.streams[order.account]
        stream.append(reports.modified(self.time, order))
        if old_number is not None:
            stream.append(reports.priority_update(self.time, order, self.reference(order)))
            self.moved(order, old_number)
        elif removed:
            self.feed.append(feed.cancel(
                self.time, self.locate(order), self.reference(order), removed))

    def prevented_oldest(self, order, resting):
        self.streams[resting.account].append(reports.prevented(
            self.time, resting, resting.open, min(order.open, resting.open), resting.price,
            b"A", b"O"))
        self.unbooked(resting)

    def prevented_newest(self, order, resting):
        self.streams[order.account].append(reports.prevented(
            self.time, order, order.open, min(order.open, resting.open), resting.price,
            b"R", b"W"))

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
            self.feed.append(feed.trading_action(self.time, symbol.locate, symbol.name))
