"""A small matching core and the bytes to drive it: shared by the tests of codec, engine and feed.

Messages are built with `struct` from the published tables, not with the project's declarations.
"""

import struct

import numpy as np

from appliance.hot import codec, engine, feedlog, state, streams, symbols
from appliance.layout import record
from appliance.layout.shared import COUNTER_INDEX

NOON = 43_200_000_000_000
VECTOR_TIME = 34_200_123_456_789        # of the vectors of wire-spec 7
CLORDID = b"CLORD-0001    "
SIZES = dict(symbols=2, accounts=3, pages=64, lg_ladder=12, far_cap=64, far_levels=256, chunks=64,
             feed_bytes=1 << 18, feed_messages=1 << 12, journal=1 << 12)


class Kit:
    """A core with two symbols (EXAMPLE: tick 100, locate 7; OTHER: tick 1) and three accounts."""

    def __init__(self, partition=1, is_open=True, page_quota=16, **sizes):
        self.sizes = state.Sizes(**(SIZES | sizes))
        self.core = state.build(self.sizes, partition=partition)
        table = self.core.book.symbols
        for symbol in range(self.sizes.symbols):
            name = (b"EXAMPLE ", b"OTHER   ")[symbol] if symbol < 2 else b"S%-7d" % symbol
            table[symbol]["name"] = np.frombuffer(name, np.uint8)
            table[symbol]["tick_size"] = 1 if symbol == 1 else 100
            table[symbol]["lot_size"], table[symbol]["locate"] = 100, 7 + symbol
            table[symbol]["state"] = ord("T")
            table[symbol]["window_ticks"] = 16334 - 2048
        symbols.index_symbols(table)
        for account in range(self.sizes.accounts):
            session = self.core.accounts.sessions[account]
            session["page_quota"], session["cancel_on_disconnect"] = page_quota, 1
            session["default_firm"] = np.frombuffer(b"MMK%d" % (account % 9 + 1), np.uint8)
            session["aiq_default"] = ord("N")
        self.seen, self.feed_seen, self.now = [1] * self.sizes.accounts, 1, VECTOR_TIME
        if is_open:
            self.command(record.DAY_START)
            self.drain()
        self.now = NOON

    def send(self, message, account=0):
        """Decodes and steps one message; the account's new OUCH messages."""
        self.take(message, account)
        return self.out(account)

    def take(self, message, account=0):
        """Decodes and steps one message."""
        frames = np.frombuffer(b"\xee" * 5 + bytes(message) + b"\xee" * 5, np.uint8).copy()
        codec.decode(self.core, frames, 5, len(message), account, 0)
        engine.run(self.core, 0, 1, self.now)

    def command(self, kind, account=0, **fields):
        """Steps a command that is no OUCH message; `fields` go into its detail."""
        burst = self.core.burst
        burst.commands[0] = np.zeros(1, burst.commands.dtype)[0]
        burst.details[0] = np.zeros(1, burst.details.dtype)[0]
        burst.commands[0]["kind"], burst.commands[0]["account"] = kind, account
        for name, value in fields.items():
            burst.details[0][name] = value
        engine.run(self.core, 0, 1, self.now)

    def out(self, account=0):
        """OUCH messages of the account's stream since the last call."""
        found = []
        while True:
            off, size, count = streams.gather(self.core.streams, self.core.accounts.sessions,
                                              account, self.seen[account], 1452)
            if count == 0:
                return found
            block = self.core.streams.data[off:off + size].tobytes()
            messages = split(block)
            assert len(messages) == count and all(m[:1] == b"S" for m in messages)
            found += [m[1:] for m in messages]
            self.seen[account] += count

    def feed(self):
        """ITCH messages since the last call."""
        found = []
        while True:
            off, size, count = feedlog.gather(self.core.feed, self.feed_seen, 1452)
            if count == 0:
                return found
            messages = split(self.core.feed.ring[off:off + size].tobytes())
            assert len(messages) == count
            found += messages
            self.feed_seen += count

    def drain(self):
        """Forgets everything sent so far."""
        for account in range(self.sizes.accounts):
            self.out(account)
        self.feed()

    def count(self, name):
        """A counter."""
        return int(self.core.counters[COUNTER_INDEX[name]])

    def session(self, account=0):
        """An account's session record."""
        return self.core.accounts.sessions[account]

    def live(self):
        """UserRefNums of live orders as (account, number), read off the order records."""
        handles = np.flatnonzero(self.core.book.orders["qty"])
        cold = self.core.accounts.cold
        return sorted((int(cold[h]["account"]), int(cold[h]["user_ref_num"])) for h in handles)

    def check_counts(self):
        """Live counts of pages, sessions and engine agree with the order records."""
        live = self.live()
        assert int(self.core.book.engine[0]["live_orders"]) == len(live)
        for account in range(self.sizes.accounts):
            mine = [number for owner, number in live if owner == account]
            session = self.session(account)
            assert session["live_cnt"] == len(mine)
            pages, page, keys = self.core.accounts.pages, int(session["first_page"]), []
            while page:
                keys.append(int(pages[page]["key"]))
                held = sum(1 for number in mine if number >> 8 == pages[page]["key"])
                assert pages[page]["live_cnt"] == held
                assert held or page == session["last_page"]
                page = int(pages[page]["next"])
            assert keys == sorted(keys) and len(keys) == session["page_cnt"]
            assert {number >> 8 for number in mine} <= set(keys)

    def check_healthy(self):
        """What holds after every test with pools that are large enough."""
        self.check_counts()
        assert self.core.book.engine[0]["fault"] == 0 and self.count("stream_full") == 0


def split(block):
    """The messages of length-prefixed blocks."""
    found, place = [], 0
    while place < len(block):
        size = int.from_bytes(block[place:place + 2], "big")
        found.append(block[place + 2:place + 2 + size])
        place += 2 + size
    assert place == len(block)
    return found


def tags(*elements):
    """An appendage of (tag, value bytes), its length in front."""
    body = b"".join(bytes([len(value) + 1, tag]) + value for tag, value in elements)
    return struct.pack(">H", len(body)) + body


def enter(ref, side=b"B", qty=100, symbol=b"EXAMPLE ", price=1633400, tif=b"0", display=b"Y",
          capacity=b"P", sweep=b"N", cross=b"N", clordid=CLORDID, options=()):
    """Enter Order."""
    return struct.pack(">cIcI8sQccccc14s", b"O", ref, side, qty, symbol, price, tif, display,
                       capacity, sweep, cross, clordid) + tags(*options)


def replace(old, new, qty=100, price=1633400, tif=b"0", display=b"Y", sweep=b"N", clordid=CLORDID,
            options=()):
    """Replace Order."""
    return struct.pack(">cIIIQccc14s", b"U", old, new, qty, price, tif, display, sweep,
                       clordid) + tags(*options)


def cancel(ref, qty=0, end=b""):
    """Cancel Order."""
    return struct.pack(">cII", b"X", ref, qty) + end


def modify(ref, side=b"B", qty=100, end=b""):
    """Modify Order."""
    return struct.pack(">cIcI", b"M", ref, side, qty) + end


def mass_cancel(ref, firm=b"    ", symbol=b"        ", options=()):
    """Mass Cancel."""
    return struct.pack(">cI4s8s", b"C", ref, firm, symbol) + tags(*options)


def able(letter, ref, firm=b"    ", options=()):
    """Disable (D) or Enable (E) Order Entry."""
    return struct.pack(">cI4s", letter, ref, firm) + tags(*options)


def rejected(ref, code, clordid=CLORDID, time=NOON):
    """The `J` that is expected."""
    return struct.pack(">cQIH14s", b"J", time, ref, code, clordid)


def canceled(ref, qty, reason=b"U", time=NOON):
    """The `C` that is expected."""
    return struct.pack(">cQIIc", b"C", time, ref, qty, reason)


def kinds(messages):
    """The type letters of messages, as one text."""
    return b"".join(message[:1] for message in messages)
