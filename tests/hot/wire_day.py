"""A whole generated day that reaches the burst loop as datagrams, links and passing time.

`tests/oracle/everything.py` makes orders of every type and what the operator does; here they become
frames of sessions that lose, repeat and skip numbers, log out, log in again and are cut off.

    day = WireDay(seed, 5_000)
    for _ in day.play():              # after each call of the loop
        ...
    day.venue.core, day.records(), day.twin()
"""

import random
from dataclasses import asdict

from appliance.hot import burst
from appliance.journal.replay import from_ring
from appliance.layout import record
from appliance.layout.shared import (
    LINK_BUST, LINK_DISCONNECT, LINK_END_DAY, LINK_HALT, LINK_IMBALANCE, LINK_KILL, LINK_LIMIT,
    LINK_MODE, LINK_OPEN, SESSION_ENDED,
)
from tests.hot.harness import Venue, mold
from tests.oracle.everything import everything

SYMBOLS = [dict(name="AAA", tick_size=100, lot_size=100, reference_price=1_000_000),
           dict(name="BBB", tick_size=1, lot_size=1, reference_price=10_000, collar=12),
           dict(name="LONGNAME", tick_size=25, lot_size=10, reference_price=250_000, collar=40)]
ACCOUNTS = [dict(name=f"ACC{idx}", firm=f"FI{idx}", cancel_on_disconnect=idx % 2 == 0,
                 smp=("off", "oldest", "newest", "decrement")[idx % 4]) | limits
            for idx, limits in enumerate((
                dict(disconnect_grace_ms=50), dict(orders_per_second=300, orders_burst=20,
                                                   throttle_refusals=40),
                dict(disconnect_grace_ms=1), dict(orders_per_second=600),
                dict(disconnect_grace_ms=1),
                {}))]
RULES = dict(max_quantity=record.MAX_QUANTITY, max_notional=record.MAX_NOTIONAL,
             max_open=record.MAX_OPEN, max_position=record.MAX_POSITION,
             price_band=record.PRICE_BAND, duplicates=record.DUPLICATES,
             duplicate_window_ms=record.DUPLICATE_WINDOW, restricted=record.RESTRICTED)
SIZES = dict(pages=1024, lg_ladder=12, far_cap=256, far_levels=1024, chunks=256,
             feed_bytes=1 << 22, feed_messages=1 << 17, journal=1 << 17, holds=32, link_depth=64)


class WireDay:
    """One day of `count` actions; `records` and `twin` may be asked for at any time."""

    def __init__(self, seed, count, window=10_000 - 2_048, generator=everything, **sizes):
        self.generator = generator
        self.rng, self.seed, self.count = random.Random(seed), seed, count
        self.options = dict(partition=1, day=326, sizes=SIZES | sizes, gap_hold_ns=1_000_000)
        self.symbols = [dict(each, window_ticks=window,
                             reference_ticks=each["reference_price"] // each["tick_size"])
                        for each in SYMBOLS]
        self.venue = self._venue()
        self.names = [each["name"] for each in ACCOUNTS]
        self.live = set()

    def _venue(self):
        quota = self.options["sizes"]["pages"] - 1          # as journal/genesis.py has it
        return Venue(self.symbols, [dict(each, page_quota=quota) for each in ACCOUNTS],
                     opened=False, **self.options)

    def twin(self):
        """A core of the same genesis that no command has reached."""
        return self._venue().core

    def genesis(self):
        """What `appliance.journal.genesis` and a journal know of this day's partition."""
        venue = self.venue
        return {
            "partition": 1, "date": 20261122, "midnight_ns": 0, "feed_session": venue.feed_name,
            "sizes": asdict(venue.sizes),
            "symbols": [{**each, "locate": 1001 + idx, "collar": each.get("collar", 0)}
                        for idx, each in enumerate(SYMBOLS)],
            "accounts": [{**each, "max_pages": venue.sizes.pages,
                          "session": venue.clients[each["name"]].session} for each in ACCOUNTS]}

    def records(self):
        """Every record of the day so far."""
        records = from_ring(self.venue.core)
        assert records[0]["seq"] == 1, "the journal ring is too small for this day"
        return records

    def play(self):
        """Yields after each call of the loop."""
        for action in self.generator(self.seed, SYMBOLS, ACCOUNTS, self.count):
            word, *rest, now_ns = action
            self.venue.now_ns = max(self.venue.now_ns, now_ns)
            if word == "message":
                self._message(*rest)
                if self.rng.random() < 0.9:
                    continue
            else:
                self._operator(word, rest)
            self._run()
            yield
        self.venue.advance(5_000_000)
        self._run()
        yield

    def _run(self):
        self.venue.run()
        while self.venue.to_supervisor.pop() is not None:
            pass

    def _message(self, account, message):
        name = self.names[account]
        if name not in self.live or self._is_expelled(account):
            self._run()
            self.venue.login(name, requested=self.rng.randrange(4))
            self.live.add(name)
        client, chance = self.venue.clients[name], self.rng.random()
        if chance < 0.01:
            client.seq += self.rng.randrange(1, 4)         # lost for good: skipped in the end
        elif chance < 0.02:                                # late: it fills the hole
            late = [b"U" + message]
            client.seq += 1
            self.venue.send(name, [b"Q"])
            self.venue.payload(name, mold(client.token, client.seq - 2, late))
            return
        elif chance < 0.03:
            self.venue.blocks_from(name, [b"", b"U", b"?whatever"], pack=2)
        elif chance < 0.035:
            self._leave(name, client)
            return
        self.venue.send(name, [message], pack=self.rng.randrange(1, 4))
        if chance > 0.98:
            self.venue.send(name, [message], seq=client.seq - 1)      # once more: a duplicate

    def _is_expelled(self, account):
        """Whether its throttle has ended its session."""
        return self.venue.core.accounts.sessions[account]["state"] == SESSION_ENDED

    def _leave(self, name, client):
        """Logs out in the stream or by an end of session, or is cut off, or logs in over itself."""
        way = self.rng.randrange(4)
        if way == 0:
            self.venue.blocks_from(name, [b"O"])
        elif way == 1:
            self.venue.payload(name, mold(client.token, client.seq, [], count=0xFFFF))
        elif way == 2:
            self.venue.tell(kind=LINK_DISCONNECT, account=client.idx)
            if client.idx == 2:                                # and stays away beyond its grace
                self._run()
                self.venue.advance(2_000_000)
                self._run()
        self.live.discard(name)

    def _operator(self, word, rest):
        venue = self.venue
        if word == "start":
            venue._clock()
            burst.start_day(venue.core, venue.port, venue.io, venue.params, rest[0])
        elif word == "halt":
            venue.tell(kind=LINK_HALT, account=rest[0], reason=ord(rest[1]),
                       token=rest[2].decode())
        elif word == "bust":
            venue.tell(kind=LINK_BUST, requested_seq=rest[0], reason=ord(rest[1]))
        elif word == "imbalance":
            venue.tell(kind=LINK_IMBALANCE, reason=ord(rest[0]))
        elif word == "limit":
            account, symbol, rule, value = rest
            venue.tell(kind=LINK_LIMIT, reason=RULES[rule], account=account or 0,
                       udp_port=symbol or 0, requested_seq=value, session="somebody",
                       scope=(account is not None) * record.SCOPE_ACCOUNT
                       + (symbol is not None) * record.SCOPE_SYMBOL)
        elif word == "kill":
            scope, idx, on = rest
            venue.tell(kind=LINK_KILL, reason=ord(scope[0].upper()),
                       scope=0 if on else record.LIFT, account=idx * (scope == "account"),
                       udp_port=idx * (scope == "symbol"))
        elif word == "mode":
            venue.tell(kind=LINK_MODE, reason=rest[0], token=rest[1].decode())
        elif word != "clock":
            venue.tell(kind={"open": LINK_OPEN, "end": LINK_END_DAY}[word])
