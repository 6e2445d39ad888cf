"""The venue's risk limits, kill switches and modes, plainly: what a new order is refused for.

Limits are dicts of the words in ACCOUNT and SYMBOL; those of an account, of an account in a symbol
and of a symbol stand beside each other and the tightest counts. Positions count from an account's
first limit, by walking over its orders whenever one is to be judged.
"""

CLOSED, HALTED, EXPOSURE, RESTRICTED, FAT_FINGER = 0x0002, 0x0007, 0x0020, 0x0022, 0x0026
DUPLICATE, NOTIONAL, QUANTITY = 0x002A, 0x0030, 0x0031
NORMAL, THROTTLED, CANCEL_ONLY, STOPPED = range(4)
MS = 1_000_000


class Risk:
    """Everything that is known of limits; `book` has the live orders, `symbols` the references."""

    def __init__(self, symbols, book, counters):
        self.symbols, self.book, self.counters = symbols, book, counters
        self.of_account, self.of_pair, self.of_symbol = {}, {}, {}
        self.positions, self.recent = {}, {}
        self.killed_symbols, self.killed_venue, self.mode = set(), False, NORMAL

    def limit(self, account, symbol, rule, value):
        """A limit of an account, of a symbol (account None) or of both; 0 takes it away."""
        if account is None:
            self.of_symbol.setdefault(symbol, {})[rule] = value
            return
        if account not in self.of_account:
            if not value:
                return
            self.of_account[account] = {}
        if symbol is None:
            self.of_account[account][rule] = value
        else:
            self.of_pair.setdefault((account, symbol), {})[rule] = value

    def traded(self, order, quantity):
        if order.account in self.of_account:
            key = order.account, order.symbol
            self.positions[key] = self.positions.get(key, 0) + (
                quantity if order.buy else -quantity)

    def least(self, account, symbol, rule):
        """The tightest limit, None when there is none."""
        found = [limits.get(rule, 0) for limits in (
            self.of_account.get(account, {}), self.of_pair.get((account, symbol), {}),
            self.of_symbol.get(symbol, {}))]
        return min((value for value in found if value), default=None)

    def fault(self, order, before, now_ns, counted=True):
        """Reject reason of an order with its open shares; before: open shares that it takes the
        place of, 0 of a new one, which `counted` notes as entered."""
        name, code = self.judge(order, before, now_ns, counted)
        if name:
            self.counters["risk_" + name] += 1
        return code

    def judge(self, order, before, now_ns, counted):
        account, symbol = order.account, order.symbol
        if self.killed_venue:
            return "killed", CLOSED
        if self.mode == CANCEL_ONLY:
            return "mode", CLOSED
        if self.mode == STOPPED:
            return "mode", HALTED
        if symbol in self.killed_symbols:
            return "killed", HALTED
        if self.of_pair.get((account, symbol), {}).get("restricted"):
            return "restricted", RESTRICTED

        def over(rule, value):
            limit = self.least(account, symbol, rule)
            return limit is not None and value > limit

        reference = self.symbols[symbol].reference
        price = reference if order.is_market() else order.price
        if over("max_quantity", order.open):
            return "quantity", QUANTITY
        if over("max_notional", price * order.open):
            return "notional", NOTIONAL
        beyond = price - reference if order.buy else reference - price
        band = self.least(account, symbol, "price_band")
        if band is not None and beyond > 0 and beyond * 10_000 > band * reference:
            return "price", FAT_FINGER
        return self.exposure(order, before, now_ns, counted)

    def exposure(self, order, before, now_ns, counted):
        account, symbol = order.account, order.symbol
        mine = list(self.book.live[account].values())
        here = [each for each in mine if each.symbol == symbol]
        if not before:
            most = self.of_account.get(account, {}).get("max_open")
            most_here = self.of_pair.get((account, symbol), {}).get("max_open")
            if (most and len(mine) >= most) or (most_here and len(here) >= most_here):
                return "open", EXPOSURE
        limit = min((each["max_position"] for each in (
            self.of_account.get(account, {}), self.of_pair.get((account, symbol), {}))
            if each.get("max_position")), default=None)
        if limit is not None and order.open > before:
            waiting = sum(each.open for each in here if each.buy == order.buy)
            held = self.positions.get((account, symbol), 0) * (1 if order.buy else -1)
            if held + waiting - before + order.open > limit:
                return "position", EXPOSURE
        if not before and counted and self.repeats(order, now_ns):
            return "duplicate", DUPLICATE
        return "", 0

    def repeats(self, order, now_ns):
        """Like orders of a window; an account remembers one kind in each of 64 places."""
        limits = self.of_account.get(order.account, {})
        most, window = limits.get("duplicates", 0), limits.get("duplicate_window_ms", 0) * MS
        if not most:
            return False
        symbol = self.symbols[order.symbol]
        ticks = 0x7FFFFFFF if order.is_market() and order.buy else (
            0 if order.is_market() else order.price // symbol.tick_size)
        kind = order.symbol, int(not order.buy), ticks, order.open
        word = kind[0] << 52 ^ kind[1] << 51 ^ kind[2] << 20 ^ kind[3]
        place = order.account, ((word ^ word >> 32) & 0xFFFFFFFF) * 0x9E3779B1 >> 26 & 63
        known, first, count = self.recent.get(place, (None, 0, 0))
        if known == kind and now_ns - first < window:
            if count >= most:
                return True
            self.recent[place] = kind, first, count + 1
        else:
            self.recent[place] = kind, now_ns, 1
        return False
