"""Throttles and graces in the burst loop: refused, told, ended, kept; and the oracle agrees."""

import random

import numpy as np
import pytest

from appliance.hot import burst
from appliance.journal.replay import apply, from_ring
from appliance.layout.record import COMMAND, DISCONNECT, GRACE_OVER, LOGOUT
from appliance.layout.shared import LINK_DISCONNECT, SESSION_ENDED, SESSION_LIVE
from tests.hot.harness import Venue, blocks_of, mold
from tests.hot.test_session import MS, enter
from tests.hot.test_sessions_against_oracle import Both, Weather, differing
from tests.hot.test_against_oracle import assert_same, stream_of
from tests.oracle.words import ouch_words

TOO_FAST = (0x0029).to_bytes(2, "big")


def account(name="ALPHA", **limits):
    return {"name": name, "cancel_on_disconnect": True} | limits


def venue_of(*accounts):
    made = Venue(accounts=list(accounts))
    for each in accounts:
        made.login(each["name"])
    return made


def codes(venue, name="ALPHA"):
    """A for an accepted order, the code of a refused one, else the letter."""
    return [message[13:15] if message[:1] == b"J" else message[:1] for message in venue.acks(name)
            if message[:1] not in b"S"]


def kinds(venue):
    records = from_ring(venue.core)
    return records["command"].view(COMMAND.dtype).ravel()["kind"].tolist()


def state(venue, account=0):
    return int(venue.core.accounts.sessions[account]["state"])


def cancel(reference, qty=0):
    return b"X" + reference.to_bytes(4, "big") + qty.to_bytes(4, "big") + bytes(2)


def replace(old, new, qty=100, price=10000):
    body = enter(new, qty=qty, price=price)
    return (b"U" + old.to_bytes(4, "big") + new.to_bytes(4, "big") + qty.to_bytes(4, "big")
            + price.to_bytes(8, "big") + b"0YN" + body[-16:-2] + bytes(2))


def test_orders_beyond_the_burst_are_refused_and_time_pays_for_more():
    venue = venue_of(account(orders_per_second=10, orders_burst=3))
    venue.send("ALPHA", [enter(number) for number in range(1, 6)], pack=5)
    venue.run()
    assert codes(venue) == [b"A"] * 3 + [TOO_FAST] * 2
    assert venue.counters["throttled"] == 2 == venue.core.accounts.sessions[0]["throttled"]
    for passed, number, expected in ((99 * MS, 6, TOO_FAST), (1 * MS, 7, b"A"), (0, 8, TOO_FAST)):
        venue.advance(passed)
        venue.send("ALPHA", [enter(number)])
        venue.run()
        assert codes(venue)[-1] == expected, number
    venue.advance(10_000 * MS)                   # a long rest pays for a burst, not for more
    venue.send("ALPHA", [enter(number) for number in range(9, 14)], pack=5)
    venue.run()
    assert codes(venue)[-5:] == [b"A"] * 3 + [TOO_FAST] * 2
    assert state(venue) == SESSION_LIVE


def test_cancels_reductions_and_queries_are_free_and_a_refused_replace_leaves_its_target():
    venue = venue_of(account(orders_per_second=1, orders_burst=2))
    venue.send("ALPHA", [enter(1), enter(2), replace(2, 3), b"Q", cancel(2, 50), cancel(1),
                         cancel(2)], pack=7)
    venue.run()
    letters = codes(venue)
    assert letters == [b"A", b"A", TOO_FAST, b"Q", b"C", b"C", b"C"]
    assert venue.counters["throttled"] == 1


def test_malformed_orders_are_charged_and_others_are_not_held_up():
    venue = venue_of(account(orders_per_second=1, orders_burst=1), account("BETA"))
    venue.send("ALPHA", [enter(1, side=b"?"), enter(2)])
    venue.send("BETA", [enter(number) for number in range(1, 50)], pack=10)
    venue.run()
    assert codes(venue) == [b"\0\x09", TOO_FAST]
    assert codes(venue, "BETA") == [b"A"] * 49


def test_too_many_refusals_within_a_second_end_the_session_and_the_client_is_told():
    venue = venue_of(account(orders_per_second=1, orders_burst=2, throttle_refusals=3,
                             disconnect_grace_ms=60_000))
    venue.send("ALPHA", [enter(1), enter(2), enter(3), enter(4)], pack=4)
    venue.run()
    assert state(venue) == SESSION_LIVE
    venue.send("ALPHA", [enter(5), enter(6)], pack=2)
    venue.run()
    assert state(venue) == SESSION_ENDED and kinds(venue).count(DISCONNECT) == 1
    assert codes(venue) == [b"A"] * 2 + [TOO_FAST] * 4      # all of it was told before the end
    client = venue.clients["ALPHA"]
    session, seq, count, blocks = blocks_of(client.payloads[-1])
    assert (session, seq, blocks) == (client.token.encode(), 0, [b"JS"])
    row = venue.core.accounts.sessions[0]
    assert (row["expulsions"], row["refused_cnt"], row["grace_ns"]) == (1, 0, 0)
    assert venue.counters["throttle_disconnects"] == 1
    assert venue.core.book.engine[0]["expelled_cnt"] == 0 == \
        venue.core.book.engine[0]["live_orders"]             # at once, without a grace
    venue.login("ALPHA", requested=1)
    assert codes(venue)[-2:] == [b"C"] * 2
    venue.send("ALPHA", [enter(7)])
    venue.run()
    assert codes(venue)[-1] == TOO_FAST                      # a new login pays for nothing
    venue.advance(1000 * MS)
    venue.send("ALPHA", [enter(8)])
    venue.run()
    assert codes(venue)[-1] == b"A"


def test_refusals_apart_by_more_than_a_second_do_not_end_it():
    venue = venue_of(account(orders_per_second=1, orders_burst=1, throttle_refusals=2))
    for number in range(1, 20, 2):
        venue.send("ALPHA", [enter(number), enter(number + 1)], pack=2)
        venue.run()
        venue.advance(1000 * MS)
    assert codes(venue) == [b"A", TOO_FAST] * 10 and state(venue) == SESSION_LIVE


def test_a_degraded_appliance_halves_the_rate():
    venue = venue_of(account(orders_per_second=10, orders_burst=2))
    venue.core.book.engine[0]["mode"] = 1
    taken = 0
    for step in range(40):
        venue.send("ALPHA", [enter(step + 1)])
        venue.run()
        venue.advance(50 * MS)
    taken = codes(venue).count(b"A")
    assert taken == 2 + 9                                   # 2 s at 5 a second, and a burst of 2


def lose(venue, name="ALPHA"):
    venue.tell(kind=LINK_DISCONNECT, account=venue.clients[name].idx)
    venue.run()


def live_orders(venue):
    return int(venue.core.book.engine[0]["live_orders"])


def test_a_lost_session_has_its_grace_and_then_its_orders_leave_once():
    venue = venue_of(account(disconnect_grace_ms=500), account("BETA", disconnect_grace_ms=200))
    for name in ("ALPHA", "BETA"):
        venue.send(name, [enter(1), enter(2, price=9000)], pack=2)
    venue.run()
    lose(venue)
    venue.advance(100 * MS)
    lose(venue, "BETA")
    assert live_orders(venue) == 4 and kinds(venue).count(GRACE_OVER) == 0
    venue.advance(199 * MS)
    venue.run()
    assert live_orders(venue) == 4
    venue.advance(1 * MS)
    venue.run()
    assert live_orders(venue) == 2                          # BETA's, which was lost later
    venue.advance(200 * MS)
    venue.run()
    venue.advance(5000 * MS)
    venue.run()
    assert live_orders(venue) == 0 and kinds(venue).count(GRACE_OVER) == 2
    venue.login("ALPHA", requested=1)
    assert codes(venue) == [b"A"] * 2 + [b"C"] * 2
    assert venue.counters["graces"] == venue.counters["graces_over"] == 2


def test_a_login_within_the_grace_keeps_the_orders_and_a_logout_does_not_wait():
    venue = venue_of(account(disconnect_grace_ms=500))
    venue.send("ALPHA", [enter(1)])
    venue.run()
    lose(venue)
    venue.advance(499 * MS)
    venue.login("ALPHA")
    venue.advance(5000 * MS)
    venue.run()
    assert live_orders(venue) == 1 and venue.core.book.engine[0]["grace_due_ns"] == 0
    venue.blocks_from("ALPHA", [b"O"])
    venue.run()
    assert live_orders(venue) == 0 and LOGOUT in kinds(venue) and GRACE_OVER not in kinds(venue)


def test_an_end_of_session_is_a_goodbye_too():
    venue = venue_of(account(disconnect_grace_ms=500))
    venue.send("ALPHA", [enter(1)])
    venue.run()
    client = venue.clients["ALPHA"]
    venue.payload("ALPHA", mold(client.token, client.seq, [], count=0xFFFF))
    venue.run()
    assert live_orders(venue) == 0


def test_a_replay_in_the_middle_of_a_grace_goes_on_with_it():
    accounts = [account(disconnect_grace_ms=500, orders_per_second=5, throttle_refusals=9)]
    venue = venue_of(*accounts)
    venue.send("ALPHA", [enter(number) for number in range(1, 9)], pack=4)
    venue.run()
    lose(venue)
    again = Venue(accounts=accounts, opened=False)
    apply(again.core, from_ring(venue.core))
    for name in ("throttle_ns", "refused_ns", "refused_cnt", "grace_ns", "throttled"):
        assert again.core.accounts.sessions[0][name] == venue.core.accounts.sessions[0][name], name
    assert again.core.book.engine[0]["grace_due_ns"] == 1_500_000_000 > 0
    again.now_ns = venue.now_ns
    for each in (venue, again):
        each.advance(500 * MS)
        each.run()
        assert live_orders(each) == 0
    assert again.core.journal.header[0]["checksum"] == venue.core.journal.header[0]["checksum"]
    assert stream_of(again.core, 0) == stream_of(venue.core, 0)


class Limited(Both):
    """Accounts with limits, and both looked after at the same places: before each of the product's
    passes, which takes at most `batch` datagrams."""

    LIMITS = (dict(orders_per_second=2_000, orders_burst=20, throttle_refusals=25,
                   disconnect_grace_ms=40), dict(orders_per_second=500),
              dict(disconnect_grace_ms=1), dict(orders_per_second=4_000, throttle_refusals=10))
    at_once = 16

    def __init__(self, weather):
        super().__init__(weather)
        self.batches = self.with_losses(self.batches, random.Random(weather.seed))

    @staticmethod
    def with_losses(batches, dice):
        """More sessions that fall silent, of accounts that have a grace."""
        for batch in batches:
            if dice.random() < 0.05:
                batch.disconnects.append(dice.choice((0, 2)))
            yield batch

    def limits(self, idx):
        return self.LIMITS[idx]

    def deliver(self, datagrams, now):
        for first in range(0, len(datagrams), self.at_once):
            for ip, port, payload in datagrams[first:first + self.at_once]:
                self.product.datagram(ip, port, payload)
                self.oracle.datagram(ip, port, payload, now)
            self.product.run()
            self.oracle.look_after(now)

    def look_after(self, now):
        self.oracle.look_after(now)


WEATHERS = (Weather(11, 12_000), Weather(13, 12_000), Weather(12, 12_000, gap_hold_ns=0))


@pytest.mark.parametrize("weather", WEATHERS, ids=str)
def test_throttles_and_graces_in_a_hostile_network_are_the_oracles(weather):
    both = Limited(weather)
    both.play()
    product, ours = both.product.counters, both.oracle.counters
    names = ("throttled", "throttle_disconnects", "graces", "graces_over", "orders", "rejects",
             "logins", "login_answers", "disconnects", "trades", "cancels_ignored")
    assert differing({name: product[name] for name in names},
                     {name: ours[name] for name in names}) == {}
    for name in ("throttled", "throttle_disconnects", "graces", "graces_over"):
        assert product[name] > 1, name
    assert product["graces"] > product["graces_over"]
    for client in both.clients:
        assert_same(client.name, stream_of(both.product.core, client.idx),
                    both.oracle.streams[client.idx], b"S", ouch_words)
        got, expected = both.asked(client)
        assert got == expected


def test_nothing_due_costs_one_look():
    """Without expulsions and graces the loop makes no command of its own."""
    venue = venue_of(account(), account("BETA"))
    before = len(kinds(venue))
    venue.advance(3_600_000 * MS)
    for _ in range(3):
        venue.run()
        burst.run(venue.core, venue.port, venue.io, venue.params)
    assert len(kinds(venue)) == before
    assert not np.any(venue.core.accounts.sessions["grace_ns"])
