"""The oracle's feed read by itchfeed and followed as a book; the generators' promises."""

from collections import Counter

import pytest

from tests.oracle.adversary import adversarial
from tests.oracle.generate import realistic
from tests.oracle.venue import Venue

SYMBOLS = [dict(name="AAA", tick_size=100, lot_size=100), dict(name="BBB", tick_size=1),
           dict(name="LONGNAME", tick_size=25)]
ACCOUNTS = [dict(name=f"A{idx}", firm=f"F{idx}", smp=("off", "oldest", "newest")[idx % 3])
            for idx in range(5)]


def letters(text):
    return [bytes([value]) for value in text]


def day_of(generator, count, seed=7):
    venue = Venue(2, SYMBOLS, ACCOUNTS)
    venue.start(1)
    for number, (account, data) in enumerate(
            generator(seed, SYMBOLS, ACCOUNTS, count, is_live=venue.is_live), 2):
        venue.message(account, data, number)
    shown = sum(order.shown for live in venue.book.live for order in live.values())
    return venue, shown, count + 3


@pytest.mark.parametrize("generator", [realistic, adversarial])
def test_itchfeed_reads_every_message_and_a_follower_ends_with_the_same_book(
        generator, monkeypatch):
    monkeypatch.setenv("ITCH_NO_CPP", "1")
    itch = pytest.importorskip("itch.messages", reason="itchfeed is not installed")
    venue, shown, end = day_of(generator, 20_000)
    shares, traded = {}, 0
    for data in venue.feed:
        message = itch.messages[data[:1]](data)
        assert bytes(message.to_bytes()) == data
        kind = data[:1]
        if kind in b"AF":
            shares[message.order_reference_number] = message.shares
        elif kind == b"E":
            shares[message.order_reference_number] -= message.executed_shares
            traded += message.executed_shares
        elif kind == b"P":
            traded += message.shares
        elif kind == b"X":
            shares[message.order_reference_number] -= message.cancelled_shares
        elif kind == b"D":
            del shares[message.order_reference_number]
        elif kind == b"U":
            del shares[message.order_reference_number]
            shares[message.new_order_reference_number] = message.shares
    assert min(shares.values()) >= 0 and sum(shares.values()) == shown > 0
    assert traded == sum(trade[3] for trade in venue.trades) > 0
    before = len(venue.feed)
    venue.end(end)
    assert Counter(m[:1] for m in venue.feed[before:])[b"D"] == sum(
        1 for left in shares.values() if left)


def test_the_book_is_never_crossed_between_commands():
    venue = Venue(2, SYMBOLS, ACCOUNTS)
    venue.start()
    for account, data in adversarial(3, SYMBOLS, ACCOUNTS, 20_000, is_live=venue.is_live):
        venue.message(account, data)
        for sells, buys in venue.book.sides:
            bid, ask = buys.best_shown(), sells.best_shown()
            assert bid is None or ask is None or bid < ask


def test_shares_are_conserved_for_every_order():
    venue, _, end = day_of(adversarial, 20_000)
    venue.end(end)
    for stream in venue.streams:
        left = {}
        for m in stream:
            ref = int.from_bytes(m[9:13], "big")
            if m[:1] == b"A":
                left[ref] = int.from_bytes(m[14:18], "big")
            elif m[:1] == b"U":
                del left[ref]
                left[int.from_bytes(m[13:17], "big")] = int.from_bytes(m[18:22], "big")
            elif m[:1] in b"CDE":
                left[ref] -= int.from_bytes(m[13:17], "big")
            elif m[:1] == b"M":
                left[ref] = int.from_bytes(m[14:18], "big")
        assert len(left) > 1000 and set(left.values()) == {0}


def test_same_seed_same_messages_and_another_seed_others():
    for generator in (realistic, adversarial):
        first, again, other = (list(generator(seed, SYMBOLS, ACCOUNTS, 3000))
                               for seed in (5, 5, 6))
        assert first == again and first != other and len(first) == 3000


def test_realistic_proportions_are_those_of_a_real_day():
    venue = Venue(2, SYMBOLS, ACCOUNTS)
    venue.start()
    kinds = Counter()
    for account, data in realistic(1, SYMBOLS, ACCOUNTS, 40_000, is_live=venue.is_live):
        venue.message(account, data)
        if data[:1] == b"X":
            kinds["delete" if data[5:9] == bytes(4) else "partial"] += 1
        else:
            kinds[data[:1]] += 1
    share = {kind: count / 400 for kind, count in kinds.items()}
    assert 44 < share[b"O"] < 52 and 38 < share["delete"] < 44 and 6 < share[b"U"] < 8
    assert 0.005 < len(venue.trades) / 40_000 < 0.06
    assert venue.counters["cancels_ignored"] < 40


def test_adversarial_streams_reach_every_answer_and_every_reason():
    venue, _, end = day_of(adversarial, 60_000)
    assert {m[:1] for stream in venue.streams for m in stream} == set(
        letters(b"SAUCDEJTMQXGKR"))
    assert {m[17:18] for stream in venue.streams for m in stream if m[:1] == b"C"} == {
        b"U", b"I", b"G"}
    assert set(venue.rejects) == {0x03, 0x04, 0x08, 0x09, 0x0C, 0x0D, 0x0F, 0x11, 0x13, 0x14,
                                  0x16, 0x17, 0x1D, 0x24, 0x40}
    assert {m[:1] for m in venue.feed} == set(letters(b"SRHAFEXDUP"))
