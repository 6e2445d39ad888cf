"""Seeded streams of OUCH messages over several accounts and symbols, for comparing two venues.

`realistic` has the proportions of a real Nasdaq day; `adversarial` tries bad fields, stale numbers,
self-matches and both ends of the price range; `everything` (in `everything.py`) has every order
type, crosses and the operator's commands. All remember what they believe is live, so that most
cancels hit. Same seed, same arguments: same bytes.
"""

import random
import struct

ENTER = struct.Struct(">cIcI8sQccccc14sH")
REPLACE = struct.Struct(">cIIIQccc14sH")
CANCEL = struct.Struct(">cII")
MODIFY = struct.Struct(">cIcI")
MARKET_PRICE = 0x7FFFFFFF
HIGHEST_PRICE = 1_999_999_900
LETTERS = [bytes([value]) for value in range(256)]
# Shares of the messages: adds, deletes, replaces, takers, partial cancels (percent, cumulated).
REALISTIC = (44, 87, 94, 96, 100)


def tag(number, value):
    return bytes((len(value) + 1, number)) + value


def u32(value):
    return value.to_bytes(4, "big")


class Live:
    """An order believed to be live."""

    __slots__ = ("account", "user_ref_num", "symbol", "side", "price", "total", "place")


class Maker:
    """Messages for a venue with these symbols and accounts (dicts as `venue.Venue` takes them).

    middle: each symbol's mid price in ticks, walking slowly. far_cnt: how many different prices
    are used at each end of the range, so that a venue's far levels can be sized. is_live: a
    function of (account, UserRefNum) that knows better than the maker's own memory, if there is
    one; it must have seen every message made so far. depth: fewer live orders than this, and a
    delete becomes an add.
    """

    def __init__(self, seed, symbols, accounts, middle=10_000, far_cnt=40, user_ref_jumps=True,
                 is_live=None, depth=1_000):
        self.rng = random.Random(seed)
        self.names = [each["name"].encode().ljust(8) if isinstance(each["name"], str)
                      else each["name"].ljust(8) for each in symbols]
        self.ticks = [each.get("tick_size", 1) for each in symbols]
        self.firms = [each.get("firm", "") for each in accounts]
        self.firms = [each.encode().ljust(4) if isinstance(each, str) else each.ljust(4)
                      for each in self.firms]
        self.middles = [middle] * len(symbols)
        self.last = [0] * len(accounts)
        self.live, self.depth = [], depth
        self.far_cnt, self.user_ref_jumps, self.is_live = far_cnt, user_ref_jumps, is_live
        self.sent_cnt = 0

    # -- choices -------------------------------------------------------------------------------

    def below(self, count):
        return int(self.rng.random() * count)

    def chance(self, share):
        return self.rng.random() < share

    def next_user_ref_num(self, account):
        step = 1
        if self.user_ref_jumps and self.chance(0.002):
            step = 2 + self.below(300)
        self.last[account] += step
        return self.last[account]

    def clordid(self):
        self.sent_cnt += 1
        return b"C%013d" % self.sent_cnt

    def price(self, symbol, buy, aggressive):
        """A price near the middle: on the far side of it when aggressive, else on the own side."""
        if self.chance(0.002):
            self.middles[symbol] = max(500, self.middles[symbol] + self.below(3) - 1)
        away = 1 + int(self.rng.random() ** 3 * 60)
        if aggressive:
            away = -away
        return (self.middles[symbol] - away if buy else self.middles[symbol] + away) \
            * self.ticks[symbol]

    def far_price(self, symbol):
        tick = self.ticks[symbol]
        step = 1 + self.below(self.far_cnt)
        if self.chance(0.5):
            return step * tick
        return (HIGHEST_PRICE // tick - step + 1) * tick

    # -- what is live --------------------------------------------------------------------------

    def remember(self, account, user_ref_num, symbol, side, price, total):
        order = Live()
        order.account, order.user_ref_num, order.symbol = account, user_ref_num, symbol
        order.side, order.price, order.total = side, price, total
        order.place = len(self.live)
        self.live.append(order)

    def forget(self, order):
        last = self.live.pop()
        if last is not order:
            self.live[order.place] = last
            last.place = order.place

    def some_live(self):
        """Any order believed live, None when there is none."""
        while self.live:
            order = self.live[self.below(len(self.live))]
            if self.is_live is None or self.is_live(order.account, order.user_ref_num):
                return order
            self.forget(order)
        return None

    # -- messages ------------------------------------------------------------------------------

    def enter(self, account, symbol, side, quantity, price, tif=b"0", display=b"Y", extra=b"",
              resting=True, cross=b"N"):
        user_ref_num = self.next_user_ref_num(account)
        if resting:
            self.remember(account, user_ref_num, symbol, side, price, quantity)
        return ENTER.pack(b"O", user_ref_num, side, quantity, self.names[symbol], price, tif,
                          display, b"P", b"N", cross, self.clordid(), len(extra)) + extra

    def add(self):
        account, symbol = self.below(len(self.last)), self.below(len(self.names))
        buy = self.chance(0.5)
        side = b"B" if buy else b"S"
        return account, self.enter(account, symbol, side, 100 * (1 + self.below(10)),
                                   self.price(symbol, buy, False))

    def take(self):
        account, symbol = self.below(len(self.last)), self.below(len(self.names))
        buy = self.chance(0.5)
        return account, self.enter(account, symbol, b"B" if buy else b"S",
                                   100 * (1 + self.below(4)), self.price(symbol, buy, True),
                                   b"3", resting=False)

    def delete(self):
        order = self.some_live()
        if order is None or len(self.live) < self.depth:
            return self.add()
        self.forget(order)
        return order.account, CANCEL.pack(b"X", order.user_ref_num, 0)

    def partial_cancel(self):
        order = self.some_live()
        if order is None or order.total < 2:
            return self.add()
        order.total -= 1 + self.below(order.total - 1)
        return order.account, CANCEL.pack(b"X", order.user_ref_num, order.total)

    def replace(self):
        order = self.some_live()
        if order is None:
            return self.add()
        price = self.price(order.symbol, order.side == b"B", False)
        return order.account, self.replace_message(order, 100 * (1 + self.below(10)), price)

    def replace_message(self, order, quantity, price, tif=b"0", display=b"Y", sweep=b"N",
                        extra=b""):
        user_ref_num = self.next_user_ref_num(order.account)
        data = REPLACE.pack(b"U", order.user_ref_num, user_ref_num, quantity, price, tif, display,
                            sweep, self.clordid(), len(extra)) + extra
        order.user_ref_num, order.price, order.total = user_ref_num, price, quantity
        return data

    def modify_message(self, order, quantity, side=None):
        data = MODIFY.pack(b"M", order.user_ref_num, side or order.side, quantity)
        order.total = quantity
        return data


def realistic(seed, symbols, accounts, count, **options):
    """`count` pairs of (account index, OUCH bytes); options as of `Maker`."""
    maker = Maker(seed, symbols, accounts, **options)
    kinds = (maker.add, maker.delete, maker.replace, maker.take, maker.partial_cancel)
    add_to, delete_to, replace_to, take_to, _ = REALISTIC
    for _ in range(count):
        dice = maker.rng.random() * 100
        kind = (0 if dice < add_to else 1 if dice < delete_to else 2 if dice < replace_to
                else 3 if dice < take_to else 4)
        yield kinds[kind]()
