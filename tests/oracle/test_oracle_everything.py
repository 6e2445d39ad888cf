"""Whole generated days with every order type: what must hold whatever happens."""

import zlib
from collections import Counter

import pytest

from tests.oracle.adversary import adversarial
from tests.oracle.everything import apply, everything
from tests.oracle.follower import Follower, number
from tests.oracle.generate import realistic
from tests.oracle.venue import Venue

SYMBOLS = [dict(name="AAA", tick_size=100, reference_price=1_000_000, collar=40),
           dict(name="BBB", tick_size=1, reference_price=10_000),
           dict(name="LONGNAME", tick_size=25)]
ACCOUNTS = [dict(name=f"A{idx}", firm=f"F{idx}", smp=smp)
            for idx, smp in enumerate(("off", "oldest", "newest", "decrement", "off"))]


class Day:
    """A generated day, applied to an oracle; `after(day)` is called after every action."""

    def __init__(self, seed, count, after=lambda day: None, symbols=SYMBOLS, accounts=ACCOUNTS,
                 **options):
        self.venue = Venue(2, symbols, accounts)
        self.follower, self.followed = Follower(), 0
        self.actions = Counter()
        for action in everything(seed, symbols, accounts, count, is_live=self.venue.is_live,
                                 last_match=lambda: self.venue.book.last_match, **options):
            self.actions[action[0]] += 1
            apply(self.venue, action)
            for message in self.venue.feed[self.followed:]:
                self.follower.follow(message)
            self.followed = len(self.venue.feed)
            after(self)

    def live(self):
        return [order for orders in self.venue.book.live for order in orders.values()]

    def heard(self, kind):
        return [m for stream in self.venue.streams for m in stream if m[:1] == kind]


@pytest.fixture(scope="module")
def day():
    return Day(11, 20_000)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_follower_has_the_shown_book_after_every_action(seed):
    def compare(day):
        expected = {order.number: order.shown for order in day.live() if order.is_on_feed()}
        found = {ref & 0xFFFFFFFF: each.shares for ref, each in day.follower.orders.items()}
        assert found == expected

    day = Day(seed, 4_000, compare)
    assert not day.follower.orders and day.actions["message"] > 3_000


@pytest.mark.parametrize("seed", [4, 5])
def test_the_books_own_books_hold_after_every_action(seed):
    crossings = []

    def check(day):
        book, placed = day.venue.book, []
        for places in book.places:
            for side in places.sides:
                for price in side.prices:
                    queue = [*side.shown.get(price, {}).values()]
                    numbers = [order.number for order in queue]
                    assert numbers == sorted(numbers)
                placed += list(side.in_priority())
            for letter in (b"O", b"C", b"H"):
                placed += places.by_number(letter)
            sells, buys = places.sides
            crossings.append(bool(buys.prices and sells.prices and buys.best() >= sells.best()))
        assert sorted(map(id, placed)) == sorted(map(id, day.live()))
        for order in placed:
            assert 0 <= order.shown <= order.open <= order.total and order.open > 0
            assert bool(order.shown) == order.is_on_feed()
            assert order.tif != b"6" or order.expires_ns > day.venue.publisher.time
            if order.is_on_feed():
                assert order.shown == order.open or order.shown <= order.max_floor

    Day(seed, 3_000, check)
    assert any(crossings), "no hidden order with a minimum ever lay across the book"


@pytest.mark.parametrize("seed", [6, 7])
def test_hidden_orders_without_a_minimum_never_stay_crossed(seed):
    def check(day):
        for sells, buys in day.venue.book.sides:
            bids = [each.price for each in buys.in_priority() if not each.min_qty]
            asks = [each.price for each in sells.in_priority() if not each.min_qty]
            assert not bids or not asks or max(bids) < min(asks)

    Day(seed, 3_000, check, mix=dict(hidden=0.5))


def test_shares_are_conserved_and_every_life_ends(day):
    for stream in day.venue.streams:
        left = {}
        for m in stream:
            ref = number(m, 9, 4)
            if m[:1] == b"A":
                left[ref] = number(m, 14, 4)
            elif m[:1] == b"U":
                assert number(m, 18, 4) <= 999_999 and left.pop(ref) > 0
                left[number(m, 13, 4)] = number(m, 18, 4)
            elif m[:1] in (b"C", b"D", b"E"):
                left[ref] -= number(m, 13, 4)
                assert left[ref] >= 0
            elif m[:1] == b"M":
                left[ref] = number(m, 14, 4)
            elif m[:1] == b"R":
                assert 0 < number(m, 29, 4) <= left[ref]
        assert len(left) > 500 and set(left.values()) == {0}
    assert not day.live() and not day.follower.orders


def test_every_trade_has_two_sides_and_is_on_the_feed_once(day):
    sides = {}
    for m in day.heard(b"E"):
        sides.setdefault(number(m, 26, 8), []).append((m[13:25], m[25:26]))
    assert all(len(found) == 2 and found[0][0] == found[1][0] for found in sides.values())
    in_cross = {match for match, found in sides.items() if found[0][1] in (b"O", b"C", b"H")}
    printed = Counter(number(m, 23 if m[:1] == b"E" else 36, 8)
                      for m in day.venue.feed if m[:1] in (b"E", b"P"))
    assert set(printed) == set(sides) - in_cross and set(printed.values()) == {1}
    crosses = [m for m in day.venue.feed if m[:1] == b"Q"]
    assert len(sides) + len(crosses) == day.venue.book.last_match
    assert day.venue.counters["trades"] == len(sides) == len(day.venue.trades)
    assert day.follower.volume == sum(trade[3] for trade in day.venue.trades)
    assert sum(number(m, 11, 8) for m in crosses) == sum(
        number(found[0][0], 0, 4) for match, found in sides.items() if match in in_cross)
    assert {ref & 0xFFFFFF for ref in day.follower.broken} <= {ref & 0xFFFFFF for ref in sides}


def test_no_trade_is_worse_than_the_orders_limit(day):
    limits = [{} for _ in ACCOUNTS]
    for limit, stream in zip(limits, day.venue.streams):
        for m in stream:
            if m[:1] == b"A":
                limit[number(m, 9, 4)] = (m[13:14] == b"B", number(m, 26, 8))
            elif m[:1] == b"U":
                limit[number(m, 13, 4)] = (m[17:18] == b"B", number(m, 30, 8))
            elif m[:1] == b"E":
                is_buy, worst = limit[number(m, 9, 4)]
                price = number(m, 17, 8)
                assert worst == 0x7FFFFFFF or (price <= worst if is_buy else price >= worst)


def test_a_day_reaches_every_message_reason_and_flag(day):
    assert {m[:1] for stream in day.venue.streams for m in stream} == {
        bytes([letter]) for letter in b"SAUCDEJTMQXGKRB"}
    assert {m[:1] for m in day.venue.feed} == {bytes([letter]) for letter in b"SRHAFEXDUCPQBI"}
    assert {m[17:18] for m in day.heard(b"C")} == {bytes([each]) for each in b"UIGTKE"}
    assert {m[25:26] for m in day.heard(b"E")} == {bytes([each]) for each in b"ARJOCH"}
    assert {m[30:32] for m in day.heard(b"D")} == {b"AO", b"JO", b"RW", b"AD", b"JD", b"RD", b" Y"}
    assert {m[39:40] for m in day.venue.feed if m[:1] == b"Q"} == {b"O", b"C", b"H"}
    assert {m[27:28] for m in day.venue.feed if m[:1] == b"I"} >= {b"B", b"S", b"O"}
    assert set(day.venue.rejects) >= {0x02, 0x03, 0x04, 0x07, 0x09, 0x0C, 0x0F, 0x13, 0x14, 0x17,
                                      0x1D, 0x40}
    assert set(day.actions) == {"start", "open", "end", "message", "halt", "imbalance", "bust",
                                "clock"}
    assert day.venue.counters["busts_ignored"] > 10


def test_itchfeed_reads_every_message_of_a_day(day, monkeypatch):
    monkeypatch.setenv("ITCH_NO_CPP", "1")
    itch = pytest.importorskip("itch.messages", reason="itchfeed is not installed")
    for data in day.venue.feed:
        assert bytes(itch.messages[data[:1]](data).to_bytes()) == data


def test_sweeps_refresh_a_reserve_order_many_times(day):
    runs = []
    for stream in day.venue.streams:
        refreshed = Counter((m[1:9], m[9:13]) for m in stream if m[:1] == b"R")
        runs += refreshed.values()
    assert max(runs) > 5 and sum(1 for run in runs if run > 1) > 100


def test_same_seed_same_actions_and_another_seed_others():
    first, again, other = (list(everything(seed, SYMBOLS, ACCOUNTS, 2_000)) for seed in (5, 5, 6))
    assert first == again and first != other and len(first) == 2_003
    times = [action[-1] for action in first]
    assert times == sorted(times) and len(set(times)) < len(times)


def test_weights_and_mix_decide_what_is_made():
    plain = dict.fromkeys(("halt", "imbalance", "bust", "wait", "auction"), 0)
    made = Counter(action[0] for action in everything(
        1, SYMBOLS, ACCOUNTS, 1_000, actions=plain, pre_open_share=0))
    assert made == {"start": 1, "message": 1_000, "end": 1}
    only = dict.fromkeys(("aggressive", "ioc", "gtt", "reserve", "post_only", "smp", "group"), 0)
    actions = everything(1, SYMBOLS, ACCOUNTS, 50, mix=only | dict(hidden=1, minimum=0),
                         actions=dict.fromkeys(("sweep_book", "self_meeting"), 0))
    entered = [action[2] for action in actions if action[0] == "message"
               and action[2][:1] == b"O" and action[2][30:31] == b"N" and len(action[2]) == 47]
    assert {data[26:28] for data in entered} >= {b"0N"}


@pytest.mark.parametrize("generator, seed, checksum", [
    (realistic, 1, 0x432368E4), (realistic, 7, 0x8E176FA8), (adversarial, 3, 0x14A5E5D5),
    (adversarial, 8, 0x5E709727)])
def test_older_streams_are_what_they_were(generator, seed, checksum):
    made = generator(seed, SYMBOLS, ACCOUNTS, 5_000)
    assert zlib.crc32(b"".join(bytes([account]) + data for account, data in made)) == checksum
