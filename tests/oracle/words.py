"""Messages told in a few words, so that a test and a failing comparison can be read.

`ouch_words(b)` and `itch_words(b)`: kind, then the fields that matter, order references and match
numbers without the partition. `Floor` is a venue with methods instead of bytes.
"""

from tests.oracle.message import CANCEL, ENTER, MASS_CANCEL, MODIFY, REPLACE, SWITCH
from tests.oracle.order import MARKET_PRICE
from tests.oracle.venue import Venue

LOW = (1 << 56) - 1


def number(data, at, size):
    return int.from_bytes(data[at:at + size], "big")


def ouch_words(m):
    """One message to a participant, e.g. `accepted 1 B 100 at 10000 ref 1`."""
    kind, ref = chr(m[0]), number(m, 9, 4)
    letter = {at: chr(m[at]) for at in (9, 13, 17, 25, 30, 31) if at < len(m)}
    if kind == "S":
        return f"day {letter[9]}"
    if kind == "A":
        return (f"accepted {ref} {letter[13]} {number(m, 14, 4)} at {number(m, 26, 8)}"
                f" ref {number(m, 36, 8) & LOW}")
    if kind == "U":
        return (f"replaced {ref} by {number(m, 13, 4)} {letter[17]} {number(m, 18, 4)} at"
                f" {number(m, 30, 8)} ref {number(m, 40, 8) & LOW}")
    if kind == "C":
        return f"canceled {ref} {number(m, 13, 4)} {letter[17]}"
    if kind == "D":
        return (f"prevented {ref} {number(m, 13, 4)} of {number(m, 18, 4)} at"
                f" {number(m, 22, 8)} {letter[30]}{letter[31]}")
    if kind == "E":
        return (f"executed {ref} {number(m, 13, 4)} at {number(m, 17, 8)} {letter[25]}"
                f" match {number(m, 26, 8) & LOW}")
    if kind == "J":
        return f"rejected {ref} {number(m, 13, 2):04X}"
    if kind == "T":
        return f"priority {ref} at {number(m, 13, 8)} ref {number(m, 22, 8) & LOW}"
    if kind == "M":
        return f"modified {ref} {letter[13]} {number(m, 14, 4)}"
    if kind == "R":
        return f"restated {ref} {number(m, 29, 4)} ref {number(m, 18, 8) & LOW}"
    if kind == "B":
        return f"broken {ref} match {number(m, 13, 8) & LOW} {chr(m[21])}"
    names = {"Q": "next", "X": "mass canceled", "G": "disabled", "K": "enabled"}
    return f"{names[kind]} {ref}"


def itch_words(m):
    """One feed message, e.g. `add 1 B 100 at 10000`."""
    kind, ref = chr(m[0]), number(m, 11, 8) & LOW
    if kind in "AF":
        by = " by " + m[36:40].decode() if kind == "F" else ""
        return f"add {ref} {chr(m[19])} {number(m, 20, 4)} at {number(m, 32, 4)}{by}"
    if kind == "E":
        return f"executed {ref} {number(m, 19, 4)} match {number(m, 23, 8) & LOW}"
    if kind == "X":
        return f"cancel {ref} {number(m, 19, 4)}"
    if kind == "D":
        return f"delete {ref}"
    if kind == "U":
        return (f"replace {ref} by {number(m, 19, 8) & LOW} {number(m, 27, 4)} at"
                f" {number(m, 31, 4)}")
    if kind == "C":
        return (f"executed {ref} {number(m, 19, 4)} match {number(m, 23, 8) & LOW}"
                f" at {number(m, 32, 4)} {chr(m[31])}")
    if kind == "P":
        return f"trade {number(m, 20, 4)} at {number(m, 32, 4)} match {number(m, 36, 8) & LOW}"
    if kind == "Q":
        return (f"cross {chr(m[39])} {number(m, 11, 8)} at {number(m, 27, 4)}"
                f" match {number(m, 31, 8) & LOW}")
    if kind == "B":
        return f"broken match {ref}"
    if kind == "I":
        return (f"imbalance {chr(m[48])} paired {number(m, 11, 8)} {chr(m[27])}"
                f" {number(m, 19, 8)} far {number(m, 36, 4)} near {number(m, 40, 4)}"
                f" at {number(m, 44, 4)} {chr(m[49])}")
    if kind == "H":
        return f"action {chr(m[19])} {m[21:25].decode()}".rstrip()
    return {"S": "event " + chr(m[11]), "R": "directory"}[kind]


def options(min_qty, max_floor, life, post_only, smp):
    """TagValues of an order's options, None for one that is not wanted."""
    chosen = ((3, min_qty), (5, max_floor), (15, life))
    made = b"".join(b"\5" + bytes([tag]) + value.to_bytes(4, "big")
                    for tag, value in chosen if value is not None)
    made += b"\2\x0cP" if post_only else b""
    return made + (b"\2\x1d" + smp.encode() if smp else b"")


class Floor:
    """A venue of one symbol, ABC (tick 100), and two accounts: 0 (firm ALFA) and 1 (firm BETA).

    symbol: more keys of the symbol (reference_price, collar); symbols: more symbols after it.
    `now` is the time of whatever is sent, in nanoseconds.
    """

    def __init__(self, smp=("off", "off"), symbol=None, symbols=(), opens_later=False, **options):
        accounts = [dict(name="A", firm="ALFA", smp=smp[0], cancel_on_disconnect=True),
                    dict(name="B", firm="BETA", smp=smp[1])]
        first = dict(name="ABC", tick_size=100, lot_size=1) | (symbol or {})
        self.venue, self.now = Venue(1, [first, *symbols], accounts, **options), 0
        self.venue.start(opens_later=opens_later)
        self.told = [1, 1]
        self.feed_told = len(self.venue.feed)

    def send(self, account, data):
        self.venue.message(account, data, self.now)

    def enter(self, account, ref, side, quantity, price=10_000, tif="0", display="Y", sweep="N",
              cross="N", capacity="P", symbol=b"ABC     ", min_qty=None, max_floor=None, life=None,
              post_only=False, smp=None, tags=b""):
        """An Enter; price None is a market order, `life` (seconds) makes it good till time."""
        price, tif = MARKET_PRICE if price is None else price, tif if life is None else "6"
        tags = options(min_qty, max_floor, life, post_only, smp) + tags
        self.send(account, ENTER.pack(
            b"O", ref, side.encode(), quantity, symbol, price, tif.encode(), display.encode(),
            capacity.encode(), sweep.encode(), cross.encode(), b"CLORD-0001    ", len(tags))
            + tags)

    def replace(self, account, old, ref, quantity, price=10_000, tif="0", display="Y",
                min_qty=None, max_floor=None, life=None, post_only=False, smp=None, tags=b""):
        price, tif = MARKET_PRICE if price is None else price, tif if life is None else "6"
        tags = options(min_qty, max_floor, life, post_only, smp) + tags
        self.send(account, REPLACE.pack(b"U", old, ref, quantity, price, tif.encode(),
                                        display.encode(), b"N", b"CLORD-0002    ", len(tags))
                  + tags)

    def cancel(self, account, ref, total=0, appendage=b""):
        self.send(account, CANCEL.pack(b"X", ref, total) + appendage)

    def modify(self, account, ref, side, total):
        self.send(account, MODIFY.pack(b"M", ref, side.encode(), total))

    def mass_cancel(self, account, ref, firm=b"    ", symbol=b"        ", tags=b""):
        self.send(account, MASS_CANCEL.pack(b"C", ref, firm, symbol, len(tags)) + tags)

    def switch(self, account, ref, letter, firm=b"    ", tags=b""):
        self.send(account, SWITCH.pack(letter.encode(), ref, firm, len(tags)) + tags)

    def heard(self, account):
        """What the account was told since the last look."""
        words = [ouch_words(each) for each in self.venue.streams[account][self.told[account]:]]
        self.told[account] = len(self.venue.streams[account])
        return words

    def shown(self):
        """What the feed said since the last look."""
        words = [itch_words(each) for each in self.venue.feed[self.feed_told:]]
        self.feed_told = len(self.venue.feed)
        return words

    def hear_nothing(self):
        """Forgets what both accounts and the feed were told so far."""
        self.heard(0), self.heard(1), self.shown()
