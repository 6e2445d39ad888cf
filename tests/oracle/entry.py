"""What an account's OUCH message does: the checks in their order, the answer, the book's command.

Every rule of order entry stands here once: stale numbers, rejects and their reasons, tags,
cancels that are ignored. `entry.Desk.message` is the whole road of one message.
"""

from copy import copy

from tests.oracle import message as wire
from tests.oracle.order import CONTINUOUS, DECREMENT, HALT, MARKET_PRICE, NEWEST, OFF, OLDEST, \
    OPENING, Order
from tests.oracle.risk import NORMAL, Risk

CLOSED, BAD_DISPLAY, BAD_FLOOR, HALTED, NO_SWEEP = 0x0002, 0x0003, 0x0004, 0x0007, 0x0008
BAD_SIDE, NOT_AUTHORISED, BAD_MIN_QTY, OTHER, NO_PEG = 0x0009, 0x000C, 0x000D, 0x000F, 0x0011
BAD_QUANTITY, BAD_CROSS, NO_ROUTE, BAD_SYMBOL = 0x0013, 0x0014, 0x0016, 0x0017
BAD_PRICE, RESTRICTED, BAD_AIQ, TOO_FAST = 0x001D, 0x0024, 0x0040, 0x0029

MARKET_PRICES = (2_000_000_000, 0x7FFFFFFF)
HIGHEST_PRICE = 1_999_999_900
HIGHEST_QUANTITY = 999_999
SIDE_CHANGES = {(b"S", b"E"), (b"S", b"T"), (b"E", b"T")}
LONGEST_S = 86_399
SECOND_NS = 1_000_000_000
AIQ_MODES = {b"O": OLDEST, b"o": OLDEST, b"W": NEWEST, b"w": NEWEST, b"D": DECREMENT,
             b"d": DECREMENT, b"Y": DECREMENT, b"y": DECREMENT, b"N": OFF}
BEFORE, PRE_OPEN, OPEN, OVER = "before the day", "pre-open", "open", "over"

TAG_SIZES = {2: 4, 3: 4, 4: 1, 5: 4, 6: 1, 12: 1, 15: 4, 16: 1, 17: 1, 24: 2, 25: 1, 28: 1,
             29: 1}
TAG_VALUES = {4: (b"R", b"N"), 12: (b"P", b"N"), 16: (b"N",), 17: (b" ",), 25: (b"Y", b"N"),
              28: (b"\0",)}
TAGS_REFUSED = {7: NO_PEG, 9: RESTRICTED, 10: RESTRICTED, 11: RESTRICTED, 13: BAD_FLOOR,
                14: NO_ROUTE, 30: BAD_AIQ}


def order_tag_fault(tags):
    """Reject reason of the first tag of an Enter or Replace that is not allowed, else 0."""
    for tag, value in tags:
        if tag in TAGS_REFUSED:
            return TAGS_REFUSED[tag]
        if tag not in TAG_SIZES or len(value) != TAG_SIZES[tag]:
            return OTHER
        if tag in TAG_VALUES and value not in TAG_VALUES[tag]:
            return OTHER
        if tag == 6 and value != b"L":
            return NO_PEG
        if tag == 29 and value not in AIQ_MODES and value != b"*":
            return BAD_AIQ
    return 0


def other_index(tags):
    """Is a UserRefIdx other than 0 asked for?"""
    return any(tag == 28 and value != b"\0" for tag, value in tags)


def number(tags, tag):
    """Value of a numeric tag, 0 when it was not sent."""
    return int.from_bytes(tags.get(tag, b""), "big")


class Account:
    """What order entry knows of an account."""

    def __init__(self, idx, firm, smp, throttle=None):
        self.idx, self.firm, self.smp = idx, firm, smp
        self.throttle = throttle or Throttle()
        self.last_user_ref_num = 0
        self.disabled = self.killed = False


class Throttle:
    """How many orders an account may send: a bucket of nanoseconds that fills as time passes.

    rate: orders a second, 0 any number; burst: orders at once; refusals: so many refused within a
    second, counted from the first of them on, and `overdone` says that the session must end.
    """

    def __init__(self, rate=0, burst=0, refusals=0):
        self.cost = SECOND_NS // rate if rate else 0
        self.burst, self.refusals = burst or rate, refusals
        self.owed, self.at, self.refused, self.overdone = 0, 0, [], False

    def refuses(self, now_ns, halved):
        """Whether an order at now_ns is one too many; it is charged if not."""
        if not self.cost:
            return False
        cost = 2 * self.cost if halved else self.cost
        self.owed = max(0, self.owed - (now_ns - self.at))
        self.at = now_ns
        if self.owed + cost <= self.burst * cost:
            self.owed += cost
            return False
        if self.refusals and not self.overdone:
            if self.refused and now_ns - self.refused[0] >= SECOND_NS:
                self.refused = []
            self.refused.append(now_ns)
            self.overdone = len(self.refused) == self.refusals
        return True

    def session_over(self):
        """Refusals of a session that is over do not count any more."""
        self.refused, self.overdone = [], False


class Desk:
    """Order entry of one partition: reads messages, drives the book, answers through `out`."""

    def __init__(self, symbols, accounts, book, out, counters):
        self.symbols, self.accounts, self.book, self.out = symbols, accounts, book, out
        self.counters = counters
        self.symbol_idx = {symbol.name: idx for idx, symbol in enumerate(symbols)}
        self.phase = BEFORE
        self.risk = Risk(symbols, book, counters)

    def too_fast(self, account):
        """Whether the account's throttle refuses its next order."""
        refused = account.throttle.refuses(self.out.time, self.risk.mode != NORMAL)
        self.counters["throttled"] += refused
        return refused

    def message(self, account_idx, data):
        """Applies one OUCH message (bytes) of an account."""
        account, m = self.accounts[account_idx], wire.read(data)
        if m.shape == wire.UNKNOWN:
            self.counters["messages_unknown"] += 1
        elif m.shape == wire.SHORT:
            self.counters["messages_short"] += 1
        elif m.kind in (b"O", b"U", b"C", b"D", b"E"):
            if m.user_ref_num <= account.last_user_ref_num:
                self.counters["messages_stale"] += 1
            elif m.shape == wire.MALFORMED:
                self.reject(account, m, TOO_FAST if self.too_fast(account) else OTHER)
            else:
                NUMBERED[m.kind](self, account, m)
        elif m.kind == b"X":
            self.cancel(account, m)
        elif m.kind == b"M":
            self.modify(account, m)
        elif not other_index(m.tags):
            self.out.query_answer(account.idx, account.last_user_ref_num + 1)

    def reject(self, account, m, reason):
        account.last_user_ref_num = m.user_ref_num
        self.out.rejected(account.idx, m.user_ref_num, reason, m.clordid)

    # -- orders --------------------------------------------------------------------------------

    def enter(self, account, m):
        fault = TOO_FAST if self.too_fast(account) else self.enter_fault(account, m)
        if fault:
            self.reject(account, m, fault)
            return
        order = Order()
        order.account, order.user_ref_num = account.idx, m.user_ref_num
        order.symbol, order.side, order.buy = self.symbol_idx[m.symbol], m.side, m.side == b"B"
        order.open = order.total = m.quantity
        order.capacity, order.cross = m.capacity, m.cross
        self.describe(order, account, m, dict(m.tags))
        fault = self.risk.fault(order, 0, self.out.time)
        if fault:
            self.reject(account, m, fault)
            return
        account.last_user_ref_num = m.user_ref_num
        self.book.enter(order)

    def enter_fault(self, account, m):
        """Reject reason of a new order, 0 when it is good. The order of the checks is the rule."""
        if self.phase in (BEFORE, OVER) or (self.phase == PRE_OPEN and m.cross not in (b"O", b"C")):
            return CLOSED
        if account.disabled or account.killed:
            return NOT_AUTHORISED
        if m.side not in (b"B", b"S", b"T", b"E"):
            return BAD_SIDE
        if not 1 <= m.quantity <= HIGHEST_QUANTITY:
            return BAD_QUANTITY
        if m.symbol not in self.symbol_idx:
            return BAD_SYMBOL
        symbol = self.symbols[self.symbol_idx[m.symbol]]
        if self.is_halted(symbol, m.cross):
            return HALTED
        fault = self.terms_fault(m, symbol, m.cross == CONTINUOUS)
        if fault:
            return fault
        if m.capacity not in (b"A", b"P", b"R", b"O"):
            return OTHER
        if m.sweep != b"N":
            return NO_SWEEP if m.sweep == b"Y" else OTHER
        if m.cross not in (b"N", b"O", b"C", b"H") or (m.cross != CONTINUOUS and m.tif == b"6"):
            return BAD_CROSS
        fault = order_tag_fault(m.tags) or self.tags_fault(m, m.cross)
        if fault:
            return fault
        too_late = m.cross == OPENING and self.phase == OPEN
        return BAD_CROSS if too_late or (m.cross == HALT and symbol.state == b"T") else 0

    @staticmethod
    def is_halted(symbol, cross):
        return symbol.state in (b"H", b"P") or (symbol.state == b"Q" and cross != HALT)

    @staticmethod
    def terms_fault(m, symbol, market_needs_immediate):
        """Price, time in force and display."""
        market = m.price in MARKET_PRICES
        if not market and not (1 <= m.price <= HIGHEST_PRICE and m.price % symbol.tick_size == 0):
            return BAD_PRICE
        if m.tif not in (b"0", b"3", b"6"):
            return OTHER
        if market and m.tif != b"3" and market_needs_immediate:
            return BAD_PRICE
        return 0 if m.display in (b"Y", b"A", b"N") else BAD_DISPLAY

    @staticmethod
    def tags_fault(m, cross):
        """What the tags say against the rest of the order."""
        tags, immediate, auction = dict(m.tags), m.tif == b"3", cross != CONTINUOUS
        min_qty, hidden = number(tags, 3), m.display == b"N"
        if min_qty > m.quantity or (min_qty and (auction or not (immediate or hidden))):
            return BAD_MIN_QTY
        if number(tags, 5) and (hidden or immediate or auction):
            return BAD_FLOOR
        if tags.get(12) == b"P" and (immediate or auction):
            return OTHER
        if (m.tif == b"6") != (15 in tags):
            return OTHER
        return OTHER if 15 in tags and not 1 <= number(tags, 15) <= LONGEST_S else 0

    def describe(self, order, account, m, tags):
        """The part that Enter and Replace have in common."""
        order.price = MARKET_PRICE if m.price in MARKET_PRICES else m.price
        order.tif, order.display, order.sweep, order.clordid = m.tif, m.display, m.sweep, m.clordid
        order.tags, order.shown = tags, 0
        order.min_qty, order.max_floor = number(tags, 3), number(tags, 5)
        order.expires_ns = self.out.time + number(tags, 15) * SECOND_NS
        order.post_only = tags.get(12) == b"P"
        order.smp = AIQ_MODES.get(tags.get(29), account.smp)
        order.strategy = b"Y" if tags.get(29) in (b"Y", b"y") else b"D"

    def replace(self, account, m):
        old = self.book.live[account.idx].get(m.orig_user_ref_num)
        if old is None:
            self.counters["cancels_ignored"] += 1
        elif self.too_fast(account):
            self.reject(account, m, TOO_FAST)
        elif self.phase in (BEFORE, OVER):
            self.reject(account, m, CLOSED)
        elif account.disabled or account.killed:
            self.reject(account, m, NOT_AUTHORISED)
        elif self.is_halted(self.symbols[old.symbol], old.cross):
            self.reject(account, m, HALTED)
        elif self.replace_invalid(old, m):
            self.book.cancel(old, old.open, b"U")
        else:
            account.last_user_ref_num = m.user_ref_num
            order = Order()
            order.account, order.user_ref_num = account.idx, m.user_ref_num
            order.symbol, order.side, order.buy = old.symbol, old.side, old.buy
            order.capacity, order.cross = old.capacity, old.cross
            order.total, order.open = m.quantity, m.quantity - old.executed()
            tags = {tag: value for tag, value in old.tags.items() if tag in (2, 4, 24, 25)}
            tags.update((tag, value) for tag, value in m.tags if tag in (3, 5, 12, 15, 29))
            self.describe(order, account, m, tags)
            fault = self.risk.fault(order, old.open, self.out.time)
            if fault:
                self.reject(account, m, fault)
            else:
                self.book.replace(old, order)

    def replace_invalid(self, old, m):
        return (not 1 <= m.quantity <= HIGHEST_QUANTITY or m.quantity <= old.executed()
                or self.terms_fault(m, self.symbols[old.symbol], True) or m.sweep != b"N"
                or (old.is_auction() and m.tif == b"6")
                or order_tag_fault(m.tags) or self.tags_fault(m, old.cross))

    def cancel(self, account, m):
        order = self.book.live[account.idx].get(m.user_ref_num)
        if order is None or other_index(m.tags) or m.quantity >= order.total:
            self.counters["cancels_ignored"] += 1
        else:
            self.book.cancel(order, min(order.open, order.total - m.quantity), b"U")

    def modify(self, account, m):
        order = self.book.live[account.idx].get(m.user_ref_num)
        if (order is None or other_index(m.tags) or m.quantity > HIGHEST_QUANTITY
                or (m.side != order.side and (order.side, m.side) not in SIDE_CHANGES)):
            self.counters["cancels_ignored"] += 1
        elif m.quantity <= order.executed():
            self.book.cancel(order, order.open, b"U")
        elif m.quantity > order.total and self.may_not_grow(order, m.quantity - order.total):
            self.counters["cancels_ignored"] += 1
        else:
            self.book.modify(order, m.side, m.quantity)

    def may_not_grow(self, order, more):
        grown = copy(order)
        grown.open += more
        return self.risk.fault(grown, order.open, self.out.time)

    # -- the account as a whole ----------------------------------------------------------------

    def mass_cancel(self, account, m):
        tags = dict(m.tags)
        fault = self.firm_fault(account, m)
        if not fault and m.symbol != b" " * 8 and m.symbol not in self.symbol_idx:
            fault = BAD_SYMBOL
        fault = fault or self.account_tag_fault(m, {24: 2, 27: 1, 28: 1})
        if fault:
            self.reject(account, m, fault)
            return
        account.last_user_ref_num = m.user_ref_num
        self.out.mass_canceled(account.idx, m.user_ref_num, m.firm, m.symbol)
        symbol = self.symbol_idx.get(m.symbol)

        def wanted(order):
            return (symbol in (None, order.symbol)
                    and (24 not in tags or order.tags.get(24) == tags[24])
                    and (27 not in tags or order.side == tags[27]))

        self.book.cancel_account(account.idx, b"U", wanted)

    def switch(self, account, m):
        """Disable or Enable Order Entry."""
        fault = self.firm_fault(account, m) or self.account_tag_fault(m, {28: 1})
        if fault:
            self.reject(account, m, fault)
            return
        account.last_user_ref_num = m.user_ref_num
        account.disabled = m.kind == b"D"
        self.out.switched(account.idx, m.user_ref_num, m.firm, account.disabled)

    @staticmethod
    def firm_fault(account, m):
        return 0 if m.firm in (b"    ", account.firm) else NOT_AUTHORISED

    @staticmethod
    def account_tag_fault(m, sizes):
        for tag, value in m.tags:
            if len(value) != sizes.get(tag) or (tag == 28 and value != b"\0"):
                return OTHER
            if tag == 27 and value not in (b"B", b"S", b"T", b"E"):
                return OTHER
        return 0


NUMBERED = {b"O": Desk.enter, b"U": Desk.replace, b"C": Desk.mass_cancel, b"D": Desk.switch,
            b"E": Desk.switch}
