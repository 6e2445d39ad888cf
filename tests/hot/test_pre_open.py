"""A day that opens later: the burst loop and the oracle before, at and after the opening."""

from itertools import islice

import pytest

from appliance.hot import burst
from appliance.layout import shared
from tests.hot import harness
from tests.hot.test_against_oracle import ACCOUNTS, SYMBOLS, assert_same, blocks, stream_of
from tests.oracle import venue as oracle
from tests.oracle.generate import realistic
from tests.oracle.words import itch_words, ouch_words

MILLISECOND, CLOSED, CROWD = 1_000_000, 2, 4


class Both:
    """The product and the oracle before their opening, taking the same messages."""

    def __init__(self):
        self.accounts = ACCOUNTS[:CROWD]
        symbols = [dict(each, window_ticks=10_000 - 2_048) for each in SYMBOLS]
        self.product = harness.Venue(
            symbols, self.accounts, day=326, opened=False,
            sizes=dict(pages=1024, lg_ladder=12, far_cap=1024, far_levels=4096, chunks=256,
                       feed_bytes=1 << 22, feed_messages=1 << 17))
        self.product.advance(MILLISECOND)
        product = self.product
        product._clock()
        burst.start_day(product.core, product.port, product.io, product.params, True)
        product.run()
        self.oracle = oracle.Venue(0, SYMBOLS, self.accounts, day=326)
        self.oracle.start(product.now_ns, opens_later=True)
        self.flow = realistic(5, SYMBOLS, self.accounts, 6000, middle=10_000,
                              is_live=self.oracle.is_live)
        for idx, each in enumerate(product.clients.values()):
            product.login(each.name)
            self.oracle.login(idx, each.token.encode(), *each.source)

    def send(self, count):
        """The next messages of the flow, one burst each."""
        names = list(self.product.clients)
        for account, data in islice(self.flow, count):
            self.product.advance(MILLISECOND)
            self.product.send(names[account], [data])
            self.product.run()
            self.oracle.message(account, data, self.product.now_ns)

    def open(self):
        self.product.advance(MILLISECOND)
        self.product.tell(kind=shared.LINK_OPEN)
        self.product.run()
        self.oracle.open_market(self.product.now_ns)

    def end(self):
        self.product.advance(MILLISECOND)
        self.product.tell(kind=shared.LINK_END_DAY)
        self.product.run()
        self.oracle.end(self.product.now_ns)

    def compare(self):
        log = self.product.core.feed.log[0]
        feed = self.product.core.feed.ring[:int(log["write_off"])].tobytes()
        assert_same("feed", feed, self.oracle.feed, b"", itch_words)
        for idx in range(CROWD):
            assert_same(f"account {idx}", stream_of(self.product.core, idx),
                        self.oracle.streams[idx], b"S", ouch_words)

    def events(self):
        """Letters of the feed's system events so far."""
        return b"".join(message[11:12] for message in self.oracle.feed if message[:1] == b"S")


@pytest.fixture
def both():
    return Both()


def test_before_the_opening_orders_are_rejected_and_after_it_they_trade(both):
    both.compare()
    assert both.events() == b"OS", "no market hours yet"
    both.send(200)
    both.compare()
    rejects = both.product.counters["rejects"]
    assert rejects > 50 and both.product.counters["orders"] == 0
    both.open()
    both.open()
    assert both.events() == b"OSQ"
    both.send(400)
    both.compare()
    assert both.product.counters["orders"] > 100 and both.product.counters["trades"] > 0
    both.end()
    both.compare()
    assert both.events() == b"OSQMEC"


def test_reason_before_the_opening_is_closed(both):
    both.send(50)
    answers = [message for stream in both.oracle.streams for message in stream
               if message[:1] == b"J"]
    assert answers and {int.from_bytes(each[13:15], "big") for each in answers} == {CLOSED}
    both.compare()


def test_day_that_never_opened_ends_without_market_hours(both):
    both.send(20)
    both.end()
    assert both.events() == b"OSEC"
    both.open()
    both.send(20)
    both.compare()
    assert both.product.counters["orders"] == 0
