"""FeedHandler on loopback multicast: arbitration, holes, sessions, and what is no packet."""

import errno
import random
import time

import pytest

from appliance.client.book import Books, FeedError
from appliance.client.feed import FeedHandler
from tests.client.feed_kit import END_OF_SESSION, NAME, Feed, Log
from tests.client.market import day
from tests.oracle.session import packet

MESSAGES = day(1, 1200).feed


@pytest.fixture
def feed():
    made = Feed(MESSAGES)
    yield made
    made.close()


def book_of(messages):
    books = Books()
    for message in messages:
        books.apply(message)
    return books


def followed(feed, **options):
    seen = []
    return feed.handler(lambda *each: seen.append(each), **options), seen


def assert_whole(handler, seen, messages=MESSAGES):
    assert seen == list(enumerate(messages, 1))
    assert {name: book.levels for name, book in handler.books.by_name.items()} == {
        name: book.levels for name, book in book_of(messages).by_name.items()}
    facts = handler.statistics()
    assert (facts["messages"], facts["missing"], facts["crossed"], facts["malformed"]) == (
        len(messages), 0, 0, 0)


SITUATIONS = {
    "nothing is lost": (0, 0, 0, 0),
    "losses on A": (0.3, 0, 0, 0), "losses on B": (0, 0.3, 0, 0),
    "losses on both": (0.2, 0.2, 0, 0), "A is silent": (1, 0, 0, 0), "B is silent": (0, 1, 0, 0),
    "duplicates": (0, 0, 0.5, 0), "reordering": (0, 0, 0, 8),
    "everything at once": (0.3, 0.3, 0.3, 8),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_message_once_and_in_order_when(feed, name):
    lost_a, lost_b, doubled, shuffle = SITUATIONS[name]
    rng, (handler, seen) = random.Random(name), followed(feed)
    order = [(n + rng.random() * shuffle, n, p) for n, p in enumerate(feed.packets())]
    lost_both = 0
    for _, _, payload in sorted(order):
        kept = [f for f, share in (("a", lost_a), ("b", lost_b)) if rng.random() >= share]
        lost_both += not kept
        feed.send(payload, kept)
        if rng.random() < doubled:
            feed.send(payload, kept)
        handler.poll()
        feed.serve()
    feed.send(feed.bare(len(MESSAGES) + 1))
    feed.settle(handler)
    feed.settle(handler, until=lambda: handler.poll() == 0)
    assert_whole(handler, seen)
    counts = handler.counts
    assert bool(counts["requests"]) == bool(lost_both or shuffle)
    assert counts["first_on_a"] >= 1 or lost_a == 1
    assert bool(counts["first_on_b"]) == bool(lost_a)
    assert feed.server.tallies["served"] == len(feed.answers) == counts["packets_rerequest"]
    assert counts["sessions"] == 1 and counts["stale"] == 0
    assert (counts["gaps"] > 0) == bool(lost_both or shuffle)
    packets = len(feed.packets())
    if name == "nothing is lost":
        assert (counts["packets_a"], counts["packets_b"]) == (packets + 1, packets + 1)
        assert counts["first_on_a"] == counts["duplicates"] == packets
        assert (counts["first_on_b"], counts["heartbeats"]) == (0, 2)


def test_a_heartbeat_reveals_a_lost_tail(feed):
    handler, seen = followed(feed)
    for payload in feed.packets()[:-2]:
        feed.send(payload)
    handler.poll(1.0)
    assert handler.missing() == 0 and len(seen) < len(MESSAGES)
    feed.send(feed.bare(len(MESSAGES) + 1), "b")
    handler.poll(1.0)
    assert handler.missing() == len(MESSAGES) - len(seen)
    feed.settle(handler)
    assert_whole(handler, seen)


def test_one_who_comes_late_gets_the_day_from_its_beginning(feed):
    """1,200 messages, 40 a packet: requests follow the answers, they do not wait for retry_s."""
    handler, seen = followed(feed, retry_s=30.0)
    feed.send(feed.bare(len(MESSAGES) + 1))
    begun = time.monotonic()
    feed.settle(handler)
    assert time.monotonic() - begun < 25
    assert_whole(handler, seen)
    assert handler.counts["requests"] == len(feed.answers) > 20


def test_a_lost_answer_is_asked_for_again_after_retry_s(feed):
    handler, seen = followed(feed, retry_s=0.3)
    lost = []
    feed.lost = lambda payload: len(lost) < 3 and not lost.append(payload)
    feed.send(feed.bare(11))
    begun = time.monotonic()
    feed.settle(handler, until=lambda: handler.expected == 11)
    assert time.monotonic() - begun >= 0.9
    assert handler.counts["requests"] == 4 and [number for number, _ in seen] == list(range(1, 11))


def test_a_server_that_refuses_for_a_while_fills_the_hole_in_the_end():
    feed = Feed(MESSAGES, rate=20)                       # a bucket of 20, then 20 a second
    try:
        handler, seen = followed(feed, retry_s=0.01)
        feed.send(feed.bare(len(MESSAGES) + 1))
        feed.settle(handler, patience_s=60)
        assert_whole(handler, seen)
        assert feed.server.tallies["rate"] > 0
    finally:
        feed.close()


def test_what_the_server_holds_no_longer_stays_missing_and_is_said(feed):
    handler, seen = followed(feed, retry_s=0.01)
    feed.log.log[0]["oldest_seq"] = 50
    feed.send(feed.packet(100, 3))
    feed.settle(handler, until=lambda: handler.counts["requests"] >= 5)
    assert (handler.missing(), seen, handler.ended) == (99, [], False)
    assert feed.server.tallies["too_old"] >= 4


def test_the_end_of_a_session_waits_for_what_is_missing(feed):
    handler, seen = followed(feed)
    for payload in feed.packets()[:-3]:
        feed.send(payload)
    for _ in range(3):
        feed.send(feed.bare(len(MESSAGES) + 1, END_OF_SESSION))
    handler.poll(1.0)
    assert not handler.ended
    feed.settle(handler)
    assert handler.ended
    assert_whole(handler, seen)
    assert handler.counts["heartbeats"] == 0


def test_a_new_session_starts_afresh_and_the_old_one_is_stale(feed):
    handler, seen = followed(feed)
    feed.send(feed.packet(1, 30))
    feed.send(feed.packet(100, 3))                       # asked for, and answered too late
    handler.poll(1.0)
    assert handler.counts["requests"] == 1
    feed.name = b"327F010000"
    feed.send(feed.packet(1, 12))
    handler.poll(1.0)
    assert (handler.session, handler.expected) == (b"327F010000", 13)
    feed.serve()
    feed.name = NAME
    feed.send(feed.packet(31, 10))
    feed.send(feed.bare(500))
    feed.send(feed.bare(500, END_OF_SESSION))
    feed.settle(handler, until=lambda: handler.counts["stale"] == 7)
    assert seen == [*enumerate(MESSAGES[:30], 1), *enumerate(MESSAGES[:12], 1)]
    assert handler.books.message_cnt == 12 and not handler.ended and handler.missing() == 0
    assert handler.counts["sessions"] == 2
    feed.name = b"327F010000"
    feed.log = Log(MESSAGES, feed.name)
    feed.server.reader.log = feed.log.log
    feed.send(feed.bare(len(MESSAGES) + 1, END_OF_SESSION))
    feed.settle(handler)
    assert handler.ended
    assert_whole(handler, seen[30:])


GOOD = packet(NAME, 2, MESSAGES[1:3])
MALFORMED = {
    "empty": b"", "shorter than a header": GOOD[:19],
    "cut in a block": GOOD[:-1], "cut in a length": GOOD[:21],
    "fewer blocks than it says": packet(NAME, 2, MESSAGES[1:3], 3),
    "more blocks than it says": packet(NAME, 2, MESSAGES[1:3], 1),
    "bytes after the last block": GOOD + b"\0",
    "bytes after one block": packet(NAME, 2, MESSAGES[1:2]) + b"\0",
    "one block cut": packet(NAME, 2, MESSAGES[1:2])[:-1],
    "a heartbeat with a tail": packet(NAME, 1, [], 0) + b"\0\0",
    "an end of session with a tail": packet(NAME, 1, [], 0xFFFF) + b"\0\0",
    "a request": packet(NAME, 1, [], 5), "number 0": packet(NAME, 0, MESSAGES[:2]),
    "a malformed packet of another session": packet(b"999F010000", 1, MESSAGES[:2], 3),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_packet_is_counted_and_changes_nothing(feed, name):
    handler, seen = followed(feed)
    feed.send(feed.packet(1, 1), "a")
    handler.poll(1.0)
    before = handler.session, handler.expected, handler.missing()
    feed.send(MALFORMED[name], "b")
    handler.poll(1.0)
    assert handler.counts["malformed"] == 1 and handler.counts["packets_b"] == 1
    assert before == (handler.session, handler.expected, handler.missing()) and len(seen) == 1
    feed.send(feed.packet(2, 10), "b")
    handler.poll(1.0)
    assert seen == list(enumerate(MESSAGES[:11], 1))


def test_empty_messages_take_a_number(feed):
    handler, seen = followed(feed)
    feed.send(packet(NAME, 1, [b"", MESSAGES[0], b""]))
    handler.poll(1.0)
    assert seen == [(1, b""), (2, MESSAGES[0]), (3, b"")] and handler.books.message_cnt == 3


def test_a_contradiction_leaves_poll_and_what_follows_is_not_lost(feed):
    broken = feed.messages = list(MESSAGES)
    broken.insert(20, b"D" + bytes(18))                  # number 21 deletes an unknown order
    feed.log = Log(broken, NAME)
    feed.server.reader = type(feed.server.reader)(feed.log.log, feed.log.ring, feed.log.index)
    handler, seen = followed(feed)
    for payload in feed.packets(50):
        feed.send(payload, "a")
    with pytest.raises(FeedError, match="order reference 0 is not in the book"):
        handler.poll(1.0)
    assert len(seen) == 20 and handler.expected == 22
    feed.settle(handler)
    assert [number for number, _ in seen] == [*range(1, 21), *range(22, len(broken) + 1)]
    assert handler.books.orders.keys() == book_of(MESSAGES).orders.keys()


def test_packets_are_shown_as_they_came(feed):
    shown = []
    handler = feed.handler(on_packet=lambda *each: shown.append(each))
    feed.send(feed.packet(1, 2), "a")
    feed.send(feed.packet(1, 2), "b")
    feed.send(feed.bare(5), "b")
    feed.settle(handler, until=lambda: handler.expected == 5)
    assert shown == [("a", feed.packet(1, 2)), ("b", feed.packet(1, 2)), ("b", feed.bare(5)),
                     ("rerequest", feed.packet(3, 2))]


def test_poll_takes_no_more_packets_than_told_and_waits_no_longer(feed):
    handler, _ = followed(feed)
    for payload in feed.packets()[:10]:
        feed.send(payload, "a")
    assert [handler.poll(1.0, packet_max=4) for _ in range(3)] == [4, 4, 2]
    begun = time.monotonic()
    assert handler.poll(0.05) == 0
    assert 0.04 < time.monotonic() - begun < 2


def test_a_request_that_cannot_be_sent_is_counted_and_repeated(feed):
    handler, seen = followed(feed, retry_s=0.001)
    right = handler.partition
    handler.partition = type(right)(*(getattr(right, name) for name in right.__match_args__[:7]),
                                    "255.255.255.255", 9, "", {}, {})
    feed.send(feed.bare(11))
    feed.settle(handler, until=lambda: handler.counts["unsent"] >= 2)
    handler.partition = right
    feed.settle(handler, until=lambda: handler.expected == 11)
    assert len(seen) == 10


def test_an_address_of_no_interface_is_an_error_and_nothing_stays_open(feed):
    with pytest.raises(OSError) as raised:
        FeedHandler(feed.partition, "192.0.2.1")
    assert raised.value.errno == errno.EADDRNOTAVAIL


def test_it_closes_with_the_block_and_twice(feed):
    with feed.handler() as handler:
        pass
    handler.close()
    assert [sock.fileno() for sock in (*handler.sockets, handler.asker)] == [-1] * 3


@pytest.mark.parametrize("per", [1, 3, 30])
def test_a_core_keeps_up_with_a_feed(feed, per):
    """Both copies of each packet through `take`; measured 200,000 to 500,000 messages/s."""
    packets, rate = feed.packets(per), 0
    for _ in range(5):                                   # the best of five: others may be at work
        handler, seen = followed(feed)
        begun = time.process_time()
        for payload in packets:
            handler.take(payload, "a")
            handler.take(payload, "b")
        rate = max(rate, len(seen) / (time.process_time() - begun))
        assert len(seen) == len(MESSAGES)
        if rate > 40_000:
            break
    assert rate > 40_000


def test_a_large_hole_is_filled_by_many_requests_at_a_time():
    """Half of the answers get lost: what later answers tell is asked for without waiting."""
    feed = Feed([b"S" + number.to_bytes(11, "big") for number in range(3000)])
    draw, seen = random.Random(4), []
    try:
        handler = feed.handler(lambda number, message: seen.append((number, message)), retry_s=0.5)
        feed.send(feed.packet(2990, 5))
        handler.poll(1.0)
        assert handler.counts["requests"] == 16, "before any answer has come"
        feed.lost = lambda payload: int.from_bytes(payload[10:18], "big") > 1 and draw.random() < .2
        feed.settle(handler, lambda: handler.expected == 2995, patience_s=60.0)
        assert [number for number, _ in seen] == list(range(1, 2995))
        assert all(message == feed.messages[number - 1] for number, message in seen)
    finally:
        feed.close()
