"""The hostile half of the generator: every order type and every mistake a participant can make.

`adversarial` yields (account index, OUCH bytes) as `generate.realistic` does.
"""

import struct

from tests.oracle.generate import CANCEL, HIGHEST_PRICE, LETTERS, MARKET_PRICE, MODIFY, Maker, \
    tag, u32

MASS_CANCEL = struct.Struct(">cI4s8sH")
SWITCH = struct.Struct(">cI4sH")
SIDES = (b"B", b"B", b"B", b"S", b"S", b"T", b"E")
AIQ = (b"O", b"o", b"W", b"w", b"N", b"*")
GROUPS = (b"\0\1", b"\0\2", b"\1\0")
BAD_QUANTITIES = (0, 1_000_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
BAD_PRICES = (0, 1_999_999_901, 2_000_000_001, 0x7FFFFFFE, 0x80000000, 0xFFFFFFFF, 1 << 32,
              (1 << 32) + 10_000, 1 << 63, (1 << 64) - 1)
BAD_ELEMENTS = (tag(5, u32(100)), tag(6, b"P"), tag(6, b"LL"), tag(7, u32(5)), tag(9, bytes(8)),
                tag(10, b"L"), tag(11, u32(1)), tag(13, u32(9)), tag(14, b"NSDQ"),
                tag(15, u32(60)), tag(16, b"Y"), tag(17, b"I"), tag(26, b"ABCD"), tag(27, b"B"),
                tag(28, b"\1"), tag(30, b"AB"), tag(99, b""), tag(1, bytes(8)), tag(2, b"ABC"),
                tag(3, b"\0"), tag(4, b"X"), tag(12, b"Q"), tag(24, b"\0"), tag(25, b"y"),
                tag(29, b"D"), tag(29, b"Y"), tag(29, b"OO"), tag(0, b"\0"), tag(255, b"zz"))
FINE_ELEMENTS = (tag(6, b"L"), tag(16, b"N"), tag(17, b" "), tag(28, b"\0"), tag(12, b"N"))
# The structure of an appendage broken: element of length 0, past the end, a tag twice.
BROKEN = (b"\0", b"\5\3\0", tag(4, b"R") * 2, tag(29, b"O") + b"\0", b"\xff")


class Adversary(Maker):
    """Makes every kind of message; `kinds` lists them with their weights."""

    def __init__(self, seed, symbols, accounts, **options):
        super().__init__(seed, symbols, accounts, **options)
        self.disabled = set()
        self.kinds = (
            (self.plain, 30), (self.delete, 15), (self.odd_order, 14), (self.replace_any, 8),
            (self.modify_any, 6), (self.partial_cancel, 4), (self.far_order, 5),
            (self.self_match, 4), (self.bad_field, 4), (self.bad_tag, 3), (self.bad_shape, 2),
            (self.stale, 2), (self.lost_cancel, 2), (self.sweep_book, 1), (self.query, 1),
            (self.mass_cancel, 0.3), (self.switch, 0.5))

    def someone(self):
        return self.below(len(self.last)), self.below(len(self.names))

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def plain(self):
        """An order near the touch, crossing one time in four."""
        account, symbol = self.someone()
        side = self.pick(SIDES)
        price = self.price(symbol, side == b"B", self.chance(0.25))
        display = b"A" if self.chance(0.1) else b"Y"
        return account, self.enter(account, symbol, side, 1 + self.below(500), price,
                                   display=display)

    def tags(self):
        """Some tags that an order may carry, in any order."""
        chosen = []
        if self.chance(0.3):
            chosen.append(tag(2, self.pick((b"ABCD", b"MMK1", b"Z   "))))
        if self.chance(0.3):
            chosen.append(tag(4, self.pick((b"R", b"N"))))
        if self.chance(0.3):
            chosen.append(tag(24, self.pick(GROUPS)))
        if self.chance(0.3):
            chosen.append(tag(25, self.pick((b"Y", b"N"))))
        if self.chance(0.4):
            chosen.append(tag(29, self.pick(AIQ)))
        if self.chance(0.2):
            chosen.append(self.pick(FINE_ELEMENTS[:4]))
        self.rng.shuffle(chosen)
        return chosen

    def odd_order(self):
        """IOC, market, minimum quantity, fill or kill, post-only, attributed, tagged."""
        account, symbol = self.someone()
        side, quantity = self.pick(SIDES), 1 + self.below(800)
        price = self.price(symbol, side == b"B", self.chance(0.6))
        chosen, tif, kind = self.tags(), b"3", self.below(6)
        if kind == 1:
            price = self.pick((MARKET_PRICE, 2_000_000_000))
        elif kind == 2:
            chosen.append(tag(3, u32(self.below(quantity + 1))))
        elif kind == 3:
            chosen.insert(0, tag(3, u32(quantity)))
        elif kind == 4:
            tif = b"0"
            if all(element[1] != 12 for element in chosen):
                chosen.append(tag(12, b"P"))
        elif kind == 5:
            tif = b"0"
        if kind == 0 and self.chance(0.1):
            chosen.append(tag(3, u32(quantity + 1)))
        display = b"A" if self.chance(0.3) else b"Y"
        return account, self.enter(account, symbol, side, quantity, price, tif, display,
                                   b"".join(chosen), resting=tif == b"0")

    def far_order(self):
        """A price at either end of the range; many rest there, some sweep through everything."""
        account, symbol = self.someone()
        price = self.far_price(symbol)
        low = price < HIGHEST_PRICE // 2
        buy = low if self.chance(0.97) else not low
        return account, self.enter(account, symbol, b"B" if buy else b"S", 1 + self.below(200),
                                   price, resting=True)

    def self_match(self):
        """Crosses one of the account's own resting orders."""
        order = self.some_live()
        if order is None or not 1 <= order.price <= HIGHEST_PRICE:
            return self.plain()
        side = b"S" if order.side == b"B" else b"B"
        chosen = tag(29, self.pick(AIQ)) if self.chance(0.7) else b""
        if self.chance(0.2):
            quantity = 1 + self.below(300)
            chosen += tag(3, u32(quantity))
            return order.account, self.enter(order.account, order.symbol, side, quantity,
                                             order.price, b"3", extra=chosen, resting=False)
        return order.account, self.enter(order.account, order.symbol, side, 1 + self.below(600),
                                         order.price, extra=chosen)

    def sweep_book(self):
        """A large market or far-limit order."""
        account, symbol = self.someone()
        buy = self.chance(0.5)
        price = MARKET_PRICE if self.chance(0.5) else self.price(symbol, buy, True)
        return account, self.enter(account, symbol, b"B" if buy else b"S",
                                   1 + self.below(5_000), price, b"3", resting=False)

    def replace_any(self):
        """Replaces that are good, cross, immediate, post-only, wrong, or of nothing live."""
        order = self.some_live()
        if order is None:
            return self.plain()
        kind = self.below(12)
        buy = order.side == b"B"
        price = self.price(order.symbol, buy, self.chance(0.3))
        quantity, tif, display, sweep, extra = 1 + self.below(900), b"0", b"Y", b"N", b""
        if kind == 0:
            tif = b"3"
        elif kind == 1:
            extra = tag(12, b"P") + tag(29, self.pick(AIQ))
        elif kind == 2:
            tif, extra = b"3", tag(3, u32(1 + self.below(quantity + 20)))
        elif kind == 3:
            price, tif = MARKET_PRICE, self.pick((b"3", b"3", b"0"))
        elif kind == 4 and self.chance(0.5):
            quantity = self.pick(BAD_QUANTITIES)
        elif kind == 5 and self.chance(0.5):
            price = self.pick(BAD_PRICES)
        elif kind == 6 and self.chance(0.5):
            display, sweep, tif = self.pick(((b"N", b"N", b"0"), (b"Y", b"Y", b"0"),
                                             (b"Y", b"N", b"5")))
        elif kind == 7 and self.chance(0.5):
            extra = self.pick(BAD_ELEMENTS)
        elif kind == 8:
            price = self.far_price(order.symbol) if self.chance(0.3) else order.price
        elif kind == 9:
            display, extra = b"A", b"".join(self.tags())
        elif kind == 10:
            quantity = order.total
        data = self.replace_message(order, quantity, price, tif, display, sweep, extra)
        if kind == 11 and self.chance(0.3):
            data = data[:1] + u32(self.below(1 << 32)) + data[5:]
        if tif == b"3" or quantity in BAD_QUANTITIES or price in BAD_PRICES:
            self.forget(order)
        return order.account, data

    def modify_any(self):
        order = self.some_live()
        if order is None:
            return self.plain()
        kind = self.below(10)
        if kind == 0:
            return order.account, MODIFY.pack(b"M", order.user_ref_num, order.side,
                                              self.pick(BAD_QUANTITIES))
        if kind == 1:
            self.forget(order)
            return order.account, MODIFY.pack(b"M", order.user_ref_num, order.side, 0)
        side = self.pick(SIDES) if kind < 5 else order.side
        quantity = order.total if kind == 5 else 1 + self.below(900)
        before = order.total
        data = self.modify_message(order, quantity, side)
        if (order.side, side) in ((b"S", b"T"), (b"S", b"E"), (b"E", b"T")):
            order.side = side
        elif side != order.side:
            order.total = before
        if kind == 6:
            data += b"\0\0"
        elif kind == 7 and self.chance(0.3):
            data = data + b"\0\1\0" if self.chance(0.5) else data + b"\0"
        return order.account, data

    def bad_field(self):
        """An Enter with exactly one field spoilt, sometimes two."""
        account, symbol = self.someone()
        data = bytearray(self.enter(account, symbol, self.pick(SIDES), 100,
                                    self.price(symbol, True, False), resting=False))
        for _ in range(1 + self.chance(0.3)):
            kind = self.below(9)
            if kind == 0:
                data[6:10] = u32(self.pick(BAD_QUANTITIES))
            elif kind == 1:
                data[10:18] = self.pick((b"NOSUCH  ", b"        ", bytes(8), b"\xff" * 8))
            elif kind == 2:
                tick = self.ticks[symbol]
                off_tick = (10_000 * tick + 1,) if tick > 1 else ()
                data[18:26] = self.pick(BAD_PRICES + off_tick).to_bytes(8, "big")
            elif kind == 3:
                data[18:26] = MARKET_PRICE.to_bytes(8, "big")
            else:
                letters = b"BSTEYNAPRO0356 " if self.chance(0.7) else bytes(range(256))
                data[(5, 26, 27, 28, 29, 30)[self.below(6)]] = self.pick(letters)
        return account, bytes(data)

    def bad_tag(self):
        account, symbol = self.someone()
        chosen = [element for element in self.tags() if self.chance(0.5)]
        spoilt = self.pick(BAD_ELEMENTS)
        chosen = [element for element in chosen if element[1] != spoilt[1]] + [spoilt]
        self.rng.shuffle(chosen)
        return account, self.enter(account, symbol, self.pick(SIDES), 100,
                                   self.price(symbol, True, False), extra=b"".join(chosen),
                                   resting=False)

    def bad_shape(self):
        """Cut, lengthened, with a broken appendage, of an unknown type."""
        account, data = self.pick((self.plain, self.replace_any, self.delete, self.query,
                                   self.mass_cancel, self.switch, self.modify_any))()
        kind = self.below(4)
        if kind == 0:
            return account, data[:1 + self.below(len(data))]
        if kind == 1:
            return account, data + bytes(1 + self.below(4))
        if kind == 2 and data[:1] in b"OU":
            broken = self.pick(BROKEN)
            fixed = 47 if data[:1] == b"O" else 40
            return account, data[:fixed - 2] + len(broken).to_bytes(2, "big") + broken
        if kind == 2:
            return account, data[:1] + data[1:5] + b"\0\0\0\0\0\1\0"
        letter = self.pick(LETTERS)     # a type that takes a number would read a random one
        return account, (b"z" if letter in b"OUCDE" else letter) + data[1:]

    def stale(self):
        """A number used before, also in a message that is wrong in other ways."""
        account, data = self.pick((self.plain, self.bad_field, self.bad_shape, self.mass_cancel,
                                   self.switch))()
        at = 5 if data[:1] == b"U" else 1
        old = max(0, self.last[account] - self.below(50))
        return account, data[:at] + u32(old) + data[at + 4:]

    def lost_cancel(self):
        """Cancels, modifies and replaces of orders that are not live."""
        account = self.below(len(self.last))
        number = self.pick((0, self.last[account] + 1, 0xFFFFFFFF, self.below(1 << 32),
                            self.below(self.last[account] + 1)))
        kind = self.below(3)
        if kind == 0:
            return account, CANCEL.pack(b"X", number, self.pick((0, 1, 0xFFFFFFFF)))
        if kind == 1:
            return account, MODIFY.pack(b"M", number, self.pick(SIDES), 10)
        order = self.some_live()
        if order is None:
            return self.plain()
        too_large = min(order.total + self.below(3), 0xFFFFFFFF)
        return order.account, CANCEL.pack(b"X", order.user_ref_num, too_large) + self.pick(
            (b"", b"\0\0", b"\0\3" + tag(28, b"\0"), b"\0\3" + tag(28, b"\1")))

    def query(self):
        return self.below(len(self.last)), self.pick((b"Q", b"Q\0\0", b"Q\0\3\2\x1c\0"))

    def firm(self, account):
        return self.pick((self.firms[account], b"    ", b"    ", b"EVIL"))

    def mass_cancel(self):
        account = self.below(len(self.last))
        symbol = self.pick(self.names + [b"        ", b"NOSUCH  "])
        extra = self.pick((b"", b"", tag(24, self.pick(GROUPS)), tag(27, self.pick(SIDES)),
                           tag(24, self.pick(GROUPS)) + tag(27, b"B"), tag(28, b"\0"),
                           tag(28, b"\1"), tag(3, u32(1)), tag(24, b"\0"), tag(27, b"BB")))
        return account, MASS_CANCEL.pack(b"C", self.next_user_ref_num(account),
                                         self.firm(account), symbol, len(extra)) + extra

    def switch(self):
        """Disable or enable order entry; mostly enable, so that the venue stays busy."""
        account = self.below(len(self.last))
        extra = self.pick((b"", b"", tag(28, b"\0"), tag(28, b"\1"), tag(27, b"B")))
        kind = b"D" if self.chance(0.3) else b"E"
        data = SWITCH.pack(kind, self.next_user_ref_num(account), self.firm(account),
                           len(extra)) + extra
        if kind == b"D":
            self.disabled.add(account)
        else:
            self.disabled.discard(account)
        return account, data

    def enable(self):
        account = self.disabled.pop()
        return account, SWITCH.pack(b"E", self.next_user_ref_num(account), b"    ", 0)


def adversarial(seed, symbols, accounts, count, **options):
    """`count` pairs of (account index, OUCH bytes); options as of `generate.Maker`."""
    adversary = Adversary(seed, symbols, accounts, **options)
    makers = [maker for maker, _ in adversary.kinds]
    weights = [weight for _, weight in adversary.kinds]
    made = 0
    while made < count:
        for maker in adversary.rng.choices(makers, weights, k=min(1000, count - made)):
            if adversary.disabled and adversary.chance(0.05):
                maker = adversary.enable
            yield maker()
            made += 1
