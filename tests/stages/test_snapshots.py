"""Snapshots: a book of its own from the feed's log, the same for whoever joins late."""

import random
import struct

import numpy as np
import pytest

from appliance.client.book import Books
from appliance.hot import image
from appliance.layout import record
from appliance.stages.recovery import FeedReader
from appliance.stages.snapshots import Snapshots
from tests.hot.core_kit import Kit, cancel, enter, modify, replace, split

FIRST_LOCATE = 7


class Day:
    """A core under random orders, and a consumer who has heard all of its feed."""

    def __init__(self, seed=1, **sizes):
        self.random, self.kit = random.Random(seed), Kit(is_open=False, **sizes)
        self.kit.command(record.DAY_START)
        self.books, self.heard, self.refs = Books(), [], [0] * self.kit.sizes.accounts
        self.listen()

    def listen(self):
        """Everything so far is published and heard."""
        log = self.kit.core.feed.log[0]
        for message in self.kit.feed():
            self.heard.append(message)
            self.books.apply(message)
        log["sent_seq"] = log["next_seq"]

    def trade(self, count):
        """Random messages of random accounts."""
        draw = self.random
        for _ in range(count):
            account = draw.randrange(len(self.refs))
            last, kind = self.refs[account], draw.random()
            some = draw.randint(max(1, last - 40), max(1, last))
            qty, price = 100 * draw.randint(1, 9), 1633400 + 100 * draw.randint(-12, 12)
            if kind < 0.6 or not last:
                self.refs[account] += 1
                message = enter(last + 1, draw.choice((b"B", b"S")), qty,
                                draw.choice((b"EXAMPLE ", b"OTHER   ")), price,
                                display=draw.choice((b"Y", b"Y", b"A", b"N")))
            elif kind < 0.75:
                self.refs[account] += 1
                message = replace(some, last + 1, qty, price)
            elif kind < 0.9:
                message = cancel(some, draw.choice((0, 100)))
            else:
                message = modify(some, qty=qty)
            self.kit.take(message, account)
        self.listen()

    def snapshots(self, **arrays):
        feed = self.kit.core.feed
        reader = FeedReader(feed.log, feed.ring, feed.index)
        make = arrays.get("make") or (lambda name, dtype, count: np.zeros(count, dtype))
        return Snapshots(reader, image.build_image(self.kit.sizes, *feed, make), FIRST_LOCATE)


def apply(data):
    """(books, number to go on with) of a snapshot."""
    messages = [message[1:] for message in split(bytes(data)) if message[:1] == b"S"]
    assert messages[-1][:1] == b"G" and len(messages[-1]) == 21
    letters = bytes(message[0] for message in messages).decode()
    assert letters.strip("G").replace("F", "A").lstrip("R").lstrip("H").strip("A") == ""
    books = Books()
    for message in messages[:-1]:
        books.apply(message)
    return books, int(messages[-1][1:])


def state_of(books):
    """All that two consumers must agree on; orders in the sequence of their priority."""
    return ([(ref, row[0].name, *row[1:]) for ref, row in books.orders.items()],
            {book.name: (book.levels, book.state) for book in books.by_name.values()})


def test_twenty_late_joiners_have_the_book_of_who_heard_the_whole_day():
    day, joins = Day(), []
    followed = day.snapshots()
    for number in range(20):
        day.trade(day.random.randint(1, 400))
        if number % 3:
            followed.follow(day.random.randint(1, 600))
        data, next_seq = followed.take(1e6 * number)
        books, said = apply(data)
        assert said == next_seq == len(day.heard) + 1
        assert state_of(books) == state_of(day.books)
        joins.append((books, said))
    day.trade(500)
    assert len(day.books.orders) > 100 and day.books.trade_cnt > 300
    for books, next_seq in joins:
        for message in day.heard[next_seq - 1:]:
            books.apply(message)
        assert state_of(books) == state_of(day.books)
    day.kit.check_healthy()


def test_two_joiners_of_a_moment_share_one_snapshot():
    day = Day()
    snapshots = day.snapshots()
    one = snapshots.take(5.0)
    day.trade(50)
    assert snapshots.take(5.2) is one and snapshots.take(5.1 + snapshots.fresh_s)[1] > one[1]


def test_nothing_that_was_not_published_is_told():
    day = Day()
    day.trade(100)
    snapshots, log = day.snapshots(), day.kit.core.feed.log[0]
    known = state_of(day.books)
    log["sent_seq"], published = log["next_seq"] - 20, int(log["next_seq"]) - 20
    data, next_seq = snapshots.take(0.0)
    assert next_seq == published
    books, _ = apply(data)
    for message in day.heard[published - 1:]:
        books.apply(message)
    assert state_of(books) == known


def test_who_comes_after_a_dead_one_goes_on_with_its_image():
    day, kept = Day(feed_bytes=1 << 14, feed_messages=1 << 9), {}

    def make(name, dtype, count):
        return kept.setdefault(name, np.zeros(count, dtype))

    first = day.snapshots(make=make)
    for _ in range(8):
        day.trade(100)
        first.follow()
    assert first.reader.bounds()[0] > 1 and not first.why_not
    second = day.snapshots(make=make)
    assert not second.why_not
    assert state_of(apply(second.take(0.0)[0])[0]) == state_of(day.books)
    kept["image"][0]["busy"] = 1
    assert "killed" in day.snapshots(make=make).why_not


def test_who_was_killed_inside_a_burst_is_no_loss_while_the_log_has_the_whole_day():
    day, kept = Day(), {}

    def make(name, dtype, count):
        return kept.setdefault(name, np.zeros(count, dtype))

    day.trade(200)
    day.snapshots(make=make).follow()
    kept["image"][0]["busy"], kept["image_orders"][3]["shares"] = 1, 77
    assert state_of(apply(day.snapshots(make=make).take(0.0)[0])[0]) == state_of(day.books)


def test_an_image_that_was_overtaken_tells_nothing():
    day = Day(feed_bytes=1 << 14, feed_messages=1 << 9)
    snapshots = day.snapshots()
    snapshots.follow(10)
    for _ in range(8):
        day.trade(100)
    snapshots.follow()
    assert "overtaken" in snapshots.why_not
    assert "overtaken" in day.snapshots().why_not, "a new one cannot know the day's beginning"


@pytest.mark.parametrize("message", [
    struct.pack(">cHH6sQ", b"D", 7, 0, bytes(6), 1 << 40),
    struct.pack(">cHH6sQcI8sI", b"A", 99, 0, bytes(6), 5, b"B", 10, b"EXAMPLE ", 100),
    struct.pack(">cHH6sQcI8sI", b"A", 7, 0, bytes(6), 5, b"B", 0, b"EXAMPLE ", 100)])
def test_a_feed_that_contradicts_itself_ends_it(message):
    day = Day()
    feed = day.kit.core.feed
    log = feed.log[0]
    off, seq = int(log["write_off"]), int(log["next_seq"])
    feed.index[seq & (feed.index.size - 1)] = off
    raw = len(message).to_bytes(2, "big") + message
    feed.ring[off:off + len(raw)] = np.frombuffer(raw, np.uint8)
    log["next_seq"] = log["sent_seq"] = seq + 1
    snapshots = day.snapshots()
    snapshots.follow()
    assert "contradicts" in snapshots.why_not


def test_places_are_used_again():
    day = Day(pages=2)
    snapshots = day.snapshots()
    places = snapshots.image.orders.size
    for _ in range(4):
        day.trade(300)
        snapshots.follow()
    assert not snapshots.why_not and int(snapshots.image.head[0]["fresh"]) <= places
    assert int(snapshots.image.head[0]["live_cnt"]) == len(day.books.orders)
    assert np.count_nonzero(snapshots.image.orders["shares"]) == len(day.books.orders)
