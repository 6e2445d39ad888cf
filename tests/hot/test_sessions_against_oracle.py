"""The burst loop against the oracle over a hostile network: every disposition, hole and byte.

Generated datagrams (`tests/oracle/network.py`) go through the whole compiled loop on the null port
and through `tests/oracle/venue.py`. Both have the same virtual time, so the streams must be equal
with their timestamps, and so must what leaves on its own: login answers and gap requests.
"""

from dataclasses import dataclass

import pytest

from appliance.layout.shared import DISPOSITIONS, LINK_DISCONNECT
from tests.hot import harness
from tests.hot.test_against_oracle import ACCOUNTS, SYMBOLS, assert_same, blocks, stream_of
from tests.oracle import venue as oracle
from tests.oracle.network import batches
from tests.oracle.words import itch_words, ouch_words

COUNTERS = ("messages", "messages_filler", "messages_unknown", "messages_short", "messages_stale",
            "messages_skipped", "gap_requests", "orders", "rejects", "cancels_ignored", "trades",
            "logins", "login_answers", "disconnects")
NEVER_HERE = {"rx_source_refused", "rx_not_udp", "rx_vlan", "rx_checksum", "rx_truncated",
              "rx_control_full"}


def differing(product, ours):
    """name -> (product's count, oracle's count) where they differ."""
    return {name: (product.get(name, 0), ours.get(name, 0))
            for name in product.keys() | ours.keys() if product.get(name, 0) != ours.get(name, 0)}


@dataclass(frozen=True)
class Weather:
    """One hostile day: seed, OUCH messages, how long holes are waited for, places to hold."""

    seed: int
    messages: int = 30_000
    gap_hold_ns: int = 1_000_000
    holds: int = 64

    def __str__(self):
        return f"seed-{self.seed}-hold-{self.gap_hold_ns}-places-{self.holds}"


WEATHERS = (Weather(1), Weather(2, gap_hold_ns=5_000_000), Weather(3, gap_hold_ns=0),
            Weather(4, gap_hold_ns=20_000_000, holds=12))


class Both:
    """The product and the oracle, taking the same batches at the same times."""

    def __init__(self, weather):
        self.accounts = [dict(each, cancel_on_disconnect=idx % 2 == 0) | self.limits(idx)
                         for idx, each in enumerate(ACCOUNTS[:4])]
        symbols = [dict(each, window_ticks=10_000 - 2_048) for each in SYMBOLS]
        self.product = harness.Venue(
            symbols, self.accounts, partition=1, day=326, gap_hold_ns=weather.gap_hold_ns,
            sizes=dict(pages=1024, lg_ladder=12, far_cap=1024, far_levels=4096, chunks=256,
                       feed_bytes=1 << 22, feed_messages=1 << 17, holds=weather.holds))
        self.oracle = oracle.Venue(1, SYMBOLS, self.accounts, day=326,
                                   gap_hold_ns=weather.gap_hold_ns, hold_pool=weather.holds)
        self.oracle.start(self.product.now_ns)
        self.clients = list(self.product.clients.values())
        self.batches = batches(weather.seed, SYMBOLS, self.accounts, self.oracle,
                               [each.source for each in self.clients], weather.messages)

    def limits(self, idx):
        """What more the account of that index has."""
        return {}

    def look_after(self, now):
        """What is due of itself, before anything else."""

    def deliver(self, datagrams, now):
        """One batch's datagrams."""
        for ip, port, payload in datagrams:
            self.product.datagram(ip, port, payload)
            self.oracle.datagram(ip, port, payload, now)
        self.product.run()

    def play(self):
        for number, batch in enumerate(self.batches):
            self.product.advance(batch.passed_ns)
            now = self.product.now_ns
            self.look_after(now)
            for account, token, requested in batch.logins:
                name = self.clients[account].name
                self.product.login(name, requested, token.decode(), run=False)
                self.oracle.publisher.time = now
                self.oracle.login(account, token, *self.clients[account].source, requested)
            for account in batch.disconnects:
                self.product.tell(kind=LINK_DISCONNECT, account=account)
                self.oracle.disconnect(account, now)
            self.product.run()                  # what that said is known before the datagrams
            self.oracle.tick(now)
            self.look_after(now)
            self.deliver(batch.datagrams, now)
            while self.product.to_supervisor.pop() is not None:
                pass
            different = differing(self.product.dispositions, self.oracle.dispositions)
            assert not different, (f"(product, oracle) {different} after batch {number} of "
                                   f"{len(batch.datagrams)} datagrams")

    def asked(self, client):
        """Login answers and gap requests that the client got, and those the oracle says it must."""
        def own(payload):
            return payload[10:18] == bytes(8) or payload[:10] != client.session.encode()
        expected = [payload for source, payload in self.oracle.sent if source == client.source]
        return list(filter(own, client.payloads)), list(filter(own, expected))


@pytest.mark.parametrize("weather", WEATHERS, ids=str)
def test_a_hostile_network_ends_in_the_oracles_streams_and_dispositions(weather):
    both = Both(weather)
    both.play()
    product, ours = both.product.counters, both.oracle.counters
    assert differing({name: product[name] for name in COUNTERS},
                     {name: ours[name] for name in COUNTERS}) == {}
    for client in both.clients:
        stream = both.oracle.streams[client.idx]
        assert_same(client.name, stream_of(both.product.core, client.idx), stream, b"S", ouch_words)
        got, expected = both.asked(client)
        assert got == expected and len(got) > 20
        for number, message in both.product.stream(client.name).items():
            assert message == stream[number - 1]
        assert len(both.product.stream(client.name)) > len(stream) // 4 > 100
    assert_same("feed", blocks(both.product.feed_messages("A")), both.oracle.feed, b"", itch_words)
    assert both.product.feed_messages("A") == both.product.feed_messages("B")
    seen = {name for name, cnt in both.oracle.dispositions.items() if cnt}
    wanted = {name for name, _ in DISPOSITIONS} - NEVER_HERE
    if weather.gap_hold_ns == 0:                # then nothing is held for long
        wanted.discard("rx_hold_full")
    assert seen >= wanted
