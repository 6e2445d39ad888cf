"""Published depth: equal to the book after every burst, each touched symbol once, others never."""

import random
from dataclasses import replace as replace_fields

import numpy as np
import pytest

from appliance.hot import depth as hot_depth
from appliance.hot.depth_state import HEAD_WORDS, LEVEL_WORDS, SEEN_SEQ, WORDS, row_words
from appliance.hot.io_state import build_io
from appliance.layout.shared import DEPTH, DEPTH_LEVEL
from tests.hot.book_kit import levels_of
from tests.hot.core_kit import Kit, cancel, enter, mass_cancel, replace
from tests.hot.harness import Venue
from tests.hot.test_session import enter as session_enter

NAMES = (b"EXAMPLE ", b"OTHER   ")
NOW = 43_200_000_000_777


class Window:
    """A core and its depth block, read as plain records."""

    def __init__(self, levels=10, **sizes):
        self.kit, self.levels = Kit(**sizes), levels
        self.book, self.symbol_cnt = self.kit.core.book, self.kit.sizes.symbols
        self.io = build_io(replace_fields(self.kit.sizes, depth_levels=levels))
        self.depth, self.touched = self.io.depth, self.io.touched

    def publish(self):
        """Passes of the burst loop until there is nothing to publish; how many published."""
        published = 0
        while self.follow():
            published += 1
        assert not self.touched[WORDS + self.symbol_cnt:].any()
        return published

    def follow(self, now=NOW, busy=False):
        return hot_depth.follow(self.kit.core, self.io, np.int64(now), busy)

    def row(self, symbol):
        words = self.depth.reshape(self.symbol_cnt, -1)[symbol]
        head = words[:HEAD_WORDS].view(DEPTH.dtype)[0]
        levels = words[HEAD_WORDS:][:2 * self.levels * LEVEL_WORDS].view(DEPTH_LEVEL.dtype)
        return head, levels

    def sides(self, symbol):
        """[(price, qty, orders)] of buys and of sells, as published."""
        head, levels = self.row(symbol)
        assert head["seq"] % 2 == 0
        return [[(int(row["price_ticks"]), int(row["qty"]), int(row["orders"]))
                 for row in levels[first:first + int(count)]]
                for first, count in ((0, head["bid_cnt"]), (self.levels, head["ask_cnt"]))]

    def twin(self, symbol):
        """The same, slowly, from the queues of the book."""
        found = []
        for side in (0, 1):
            rows = levels_of(self.book, symbol * 2 + side)
            best = sorted(rows, reverse=side == 0)[:self.levels]
            found.append([(price, sum(qty for _, qty in rows[price]), len(rows[price]))
                          for price in best])
        return found

    def seqs(self):
        return [int(self.row(symbol)[0]["seq"]) for symbol in range(self.symbol_cnt)]


def test_first_call_publishes_the_symbols_of_the_day_start():
    window = Window()
    window.publish()
    assert window.seqs() == [2, 2] and window.sides(0) == [[], []]
    head, _ = window.row(1)
    assert head["time_ns"] == NOW
    assert head["feed_seq"] == window.kit.core.feed.log[0]["next_seq"]


def test_only_what_was_touched_is_published_and_only_once():
    window = Window()
    assert window.publish() == 2
    for ref in range(1, 6):
        window.kit.send(enter(ref, b"B", 100 * ref, NAMES[1], 16334 - ref))
    assert window.publish() == 1
    assert window.seqs() == [2, 4]
    assert window.sides(1) == [[(16334 - ref, 100 * ref, 1) for ref in range(1, 6)], []]
    assert window.publish() == 0 and window.seqs() == [2, 4]
    window.kit.send(cancel(3, 10))
    window.publish()
    assert window.seqs() == [2, 6] and window.sides(1)[0][2] == (16331, 10, 1)


def test_one_symbol_a_pass_and_under_load_one_in_a_while():
    window, lag = Window(), hot_depth.LAG_NS
    window.publish()
    for ref, name in enumerate(NAMES, 1):
        window.kit.send(enter(ref, b"B", 1, name, 1600000 if ref == 1 else 16000))
    assert window.follow(NOW + lag - 1, busy=True) == 0
    assert window.follow(NOW + lag, busy=True) == 1 and window.seqs() == [4, 2]
    window.kit.send(cancel(1, 0))
    assert window.follow(NOW + lag, busy=True) == 0
    assert window.follow(NOW + lag) == 1 and window.seqs() == [4, 4]
    assert window.follow(NOW + lag) == 1 and window.seqs() == [6, 4]
    assert window.follow(NOW + lag) == 0 and window.sides(0) == [[], []]


def test_no_levels_publish_nothing():
    window = Window(levels=0)
    window.kit.send(enter(1, b"B", 1, NAMES[1], 16000))
    assert window.publish() == 0 and not window.depth.any()


@pytest.mark.parametrize("levels", [1, 3, 10, 64])
def test_every_row_equals_the_book_after_every_burst(levels):
    """Random messages around both edges of the ladder, cancels, replaces, mass cancels."""
    window, generator = Window(levels), random.Random(levels)
    refs, ref, seen = [], 0, set()
    tick = (100, 1)
    edges = (16334 - 2048, 16334, 16334 + 2047)
    for _ in range(150):
        for _ in range(generator.randrange(1, 9)):
            account, symbol = generator.randrange(3), generator.randrange(2)
            style = generator.randrange(20)
            if style == 0 and refs:
                ref += 1
                window.kit.send(mass_cancel(ref), account)
            elif style < 6 and refs:
                owner, number = generator.choice(refs)
                window.kit.send(cancel(number, generator.choice((0, 5))), owner)
            elif style < 8 and refs:
                ref += 1
                owner, number = generator.choice(refs)
                window.kit.send(replace(number, ref, 50, 16334 * 100), owner)
                refs.append((owner, ref))
            else:
                ref += 1
                price = generator.choice(edges) + generator.randrange(-40, 41)
                window.kit.send(enter(ref, generator.choice((b"B", b"S")),
                                      generator.choice((1, 10, 300)), NAMES[symbol],
                                      price * tick[symbol]), account)
                refs.append((account, ref))
        window.publish()
        for symbol in (0, 1):
            assert window.sides(symbol) == window.twin(symbol)
            seen |= {len(side) for side in window.sides(symbol)}
    assert max(seen) == levels or levels == 64
    assert window.book.sides["far_cnt"].any()


def test_feed_that_has_overrun_the_reader_touches_every_symbol():
    window = Window(feed_messages=1 << 6)
    window.publish()
    for ref in range(1, 101):
        window.kit.send(enter(ref, b"B", 1, NAMES[1], 16000))
    assert window.kit.core.feed.log[0]["oldest_seq"] > window.touched[SEEN_SEQ]
    window.publish()
    assert window.seqs() == [4, 4] and window.sides(1) == [[(16000, 100, 100)], []]


def test_locates_need_not_count_on():
    window = Window()
    window.book.symbols["locate"] = (900, 3)
    window.publish()
    window.kit.send(enter(1, b"S", 7, NAMES[1], 16000))
    before = window.seqs()
    window.publish()
    assert window.seqs() == [before[0], before[1] + 2]


def test_rows_are_whole_cache_lines():
    assert [row_words(levels) for levels in (0, 1, 2, 10, 64)] == [8, 16, 16, 48, 264]


def test_burst_loop_publishes_what_it_did():
    """An order rests, and a whole row of the block that others map says so."""
    venue = Venue(symbols=("EXAMPLE", "OTHER"))
    levels = venue.sizes.depth_levels
    rows = venue.blocks["depth"].reshape(2, -1)
    assert rows[:, 0].tolist() == [2, 2], "the day's start publishes every symbol, once"
    venue.login("ALPHA")
    venue.send("ALPHA", [session_enter(1)])
    venue.run()
    assert rows[:, 0].tolist() == [4, 2]
    head = rows[0, :HEAD_WORDS].view(DEPTH.dtype)[0]
    side = int(venue.core.book.sides[0]["order_cnt"] == 0)
    best = rows[0, HEAD_WORDS + side * levels * LEVEL_WORDS:].view(DEPTH_LEVEL.dtype)[0]
    assert (head["bid_cnt"], head["ask_cnt"]) == ((1, 0), (0, 1))[side]
    assert best["price_ticks"] == venue.core.book.sides[side]["best_ticks"] and best["orders"] == 1
    assert best["qty"] == venue.core.book.orders["qty"].max()
    assert head["feed_seq"] == venue.core.feed.log[0]["next_seq"]
