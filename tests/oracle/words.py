"""Messages told in a few words, so that a test and a failing comparison can be read.

`ouch_words(b)` and `itch_words(b)`: kind, then the fields that matter, order references and match
numbers without the partition. `Floor` is a venue with methods instead of bytes.
"""

import struct

from tests.oracle.entry import MARKET_PRICE
from tests.oracle.message import CANCEL, ENTER, MASS_CANCEL, MODIFY, REPLACE, SWITCH
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
    return {"S": "event " + chr(m[11]), "R": "directory", "H": "action"}[kind]


class Floor:
    """A venue of one symbol, ABC (tick 100), and two accounts: 0 (firm ALFA) and 1 (firm BETA)."""

    def __init__(self, smp=("off", "off"), **options):
        accounts = [dict(name="A", firm="ALFA", smp=smp[0], cancel_on_disconnect=True),
                    dict(name="B", firm="BETA", smp=smp[1])]
        self.venue = Venue(1, [dict(name="ABC", tick_size=100, lot_size=1)], accounts, **options)
        self.venue.start()
        self.told = [1, 1]
        self.feed_told = len(self.venue.feed)

    def send(self, account, data):
        self.venue.message(account, data)

    def enter(self, account, ref, side, quantity, price=10_000, tif="0", display="Y", sweep="N",
              cross="N", capacity="P", symbol=b"ABC     ", tags=b""):
        price = MARKET_PRICE if price is None else price
        self.send(account, ENTER.pack(
            b"O", ref, side.encode(), quantity, symbol, price, tif.encode(), display.encode(),
            capacity.encode(), sweep.encode(), cross.encode(), b"CLORD-0001    ", len(tags))
            + tags)

    def replace(self, account, old, ref, quantity, price=10_000, tif="0", display="Y", tags=b""):
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
