"""A receiver of the feed: keeps the shown book as the ITCH rules say, and objects to nonsense.

`Follower().follow(message)` for every message in order; AssertionError says what is wrong: more
shares gone than there were, an unknown or reused reference, a crossed or locked book, a broken
trade that never was, a cross whose print is not what its shown parts allow.
"""


def number(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


class Shown:
    """An order of the shown book."""

    def __init__(self, locate, is_buy, shares, price):
        self.locate, self.is_buy, self.shares, self.price = locate, is_buy, shares, price


class Follower:
    """orders: reference -> Shown, only those with shares left. levels: (locate, is_buy) ->
    {price: shares}. volume: shares printed. matches: numbers of trades that can be broken.
    """

    def __init__(self):
        self.orders, self.levels = {}, {}
        self.known, self.matches, self.broken = set(), set(), set()
        self.volume = self.unprinted = 0
        self.states = {}

    def follow(self, m):
        kind, ref = m[:1], number(m, 11, 8)
        if kind in (b"A", b"F"):
            self.add(ref, Shown(number(m, 1, 2), m[19:20] == b"B", number(m, 20, 4),
                                number(m, 32, 4)))
        elif kind in (b"E", b"C"):
            shares = number(m, 19, 4)
            self.take(ref, shares)
            self.matches.add(number(m, 23, 8))
            if kind == b"E" or m[31:32] == b"Y":
                self.volume += shares
            else:
                self.unprinted += shares
        elif kind == b"X":
            assert number(m, 19, 4) < self.orders[ref].shares, "a partial cancel of the whole"
            self.take(ref, number(m, 19, 4))
        elif kind == b"D":
            self.take(ref, self.orders[ref].shares)
        elif kind == b"U":
            old = self.orders[ref]
            self.take(ref, old.shares)
            self.add(number(m, 19, 8), Shown(old.locate, old.is_buy, number(m, 27, 4),
                                             number(m, 31, 4)))
        elif kind == b"P":
            assert ref == 0 and m[19:20] == b"B"
            self.volume += number(m, 20, 4)
            self.matches.add(number(m, 36, 8))
        elif kind == b"Q":
            assert self.unprinted <= 2 * ref, "a cross prints less than its shown parts"
            self.volume += ref
            self.unprinted = 0
        elif kind == b"B":
            assert ref not in self.broken
            self.broken.add(ref)
        elif kind == b"H":
            self.states[number(m, 1, 2)] = m[19:20]

    def add(self, ref, order):
        assert ref not in self.known and order.shares > 0, f"reference {ref & 0xFFFFFFFF} again"
        self.known.add(ref)
        self.orders[ref] = order
        level = self.levels.setdefault((order.locate, order.is_buy), {})
        level[order.price] = level.get(order.price, 0) + order.shares
        bid, ask = self.best(order.locate)
        assert bid is None or ask is None or bid < ask, f"crossed: {bid} against {ask}"

    def take(self, ref, shares):
        order = self.orders[ref]
        assert 0 < shares <= order.shares, f"{shares} of {order.shares} of {ref & 0xFFFFFFFF}"
        order.shares -= shares
        level = self.levels[order.locate, order.is_buy]
        level[order.price] -= shares
        if not level[order.price]:
            del level[order.price]
        if not order.shares:
            del self.orders[ref]

    def best(self, locate):
        """(bid, ask) of the symbol with this locate, None where there is none."""
        return (max(self.levels.get((locate, True), ()), default=None),
                min(self.levels.get((locate, False), ()), default=None))
