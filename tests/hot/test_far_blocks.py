"""The sorted blocks of far levels against a plain dict: split, refilled, emptied, drained, full.

The kernels of hot/far.py work here on a book without orders; after each round every block, limit
and pool is checked as declared (book_validate).
"""

import random

import numpy as np
import pytest
from numba import njit

from appliance.hot import far, state
from appliance.layout.record import FAR_BLOCK, FAR_LEAST
from tests.hot.book_validate import blocks_of, check_pools, far_of

JOIN, DROP, DROP_BEST = 0, 1, 2
HIGHEST, NONE = 2147483647, 1 << 40


@njit
def work(book, owner, kinds, values, slots):
    """JOINs prices, DROPs slots; the slot of each goes to `slots`."""
    for i in range(len(kinds)):
        if kinds[i] == JOIN:
            slots[i] = far.far_join(book, np.int64(owner), values[i])
        elif kinds[i] == DROP:
            far.far_drop(book, values[i])
        else:
            slots[i] = far.far_best_slot(book, np.int64(owner))
            far.far_drop_best(book, np.int64(owner), slots[i])


@njit
def ask(book, owner, price, found):
    """Slot at a price, next worse price, lowest above; NONE where there is none."""
    owner, price = np.int64(owner), np.int64(price)
    found[0] = far.far_slot_at(book, owner, price)
    found[1] = far.far_next(book, owner, price, np.int64(NONE))
    found[2] = far.far_above(book, owner, price, np.int64(NONE))


class Side:
    """One side's far levels beside a dict of the same: {price: slot}."""

    def __init__(self, book, owner):
        self.book, self.owner, self.plain = book, owner, {}

    def _work(self, kind, values):
        slots = np.zeros(len(values), np.int64)
        work(self.book, self.owner, np.full(len(values), kind), np.array(values, np.int64), slots)
        return slots.tolist()

    def join(self, prices):
        for price, slot in zip(prices, self._work(JOIN, prices), strict=True):
            assert self.plain.get(price, slot) == slot, f"{price} has had another slot"
            self.plain[price] = slot

    def drop(self, prices):
        self._work(DROP, [self.plain.pop(price) for price in prices])

    def drain(self, count):
        best = sorted(self.plain, reverse=self.owner % 2 == 0)[:count]
        assert self._work(DROP_BEST, best) == [self.plain.pop(price) for price in best]

    def check(self):
        assert dict(far_of(self.book, self.owner)) == self.plain

    def check_answers(self, prices):
        worse = min if self.owner % 2 else max
        is_worse = (lambda a, b: a > b) if self.owner % 2 else (lambda a, b: a < b)
        found = np.zeros(3, np.int64)
        for price in prices:
            ask(self.book, self.owner, price, found)
            assert found.tolist() == [
                self.plain.get(price, 0),
                worse((other for other in self.plain if is_worse(other, price)), default=NONE),
                min((other for other in self.plain if other > price), default=NONE)], price


def make_book(**sizes):
    return state.build(state.Sizes(**{
        "symbols": 1, "accounts": 1, "pages": 2, "lg_ladder": 12, "far_cap": 4096,
        "far_levels": 8192, "chunks": 2, "feed_bytes": 64, "feed_messages": 2, "journal": 2,
        "holds": 1, "link_depth": 2} | sizes)).book


def check_all(book, sides):
    for side in sides:
        side.check()
    check_pools(book, [slot for side in sides for slot in side.plain.values()],
                [block for side in sides for block, _ in blocks_of(book, side.owner)])


@pytest.mark.parametrize("seed", range(6))
def test_random_joins_and_drops_equal_a_dict(seed):
    """Two sides that share the pools grow, shrink and change, by few or by hundreds of levels."""
    draw = random.Random(seed)
    book = make_book()
    sides = [Side(book, 0), Side(book, 1)]
    reach = (300, 3000, HIGHEST)[seed % 3]
    for turn in range(120):
        side = draw.choice(sides)
        many = draw.choice((1, 2, FAR_LEAST, FAR_BLOCK, 300))
        shape, room = draw.randrange(6), 4000 - len(side.plain)
        if (shape < 3 or not side.plain) and room > 0:
            made = [draw.randrange(reach + 1) for _ in range(min(many, room))]
            if shape == 1:
                made.sort(reverse=draw.random() < 0.5)
            side.join(made + made[:3])
        elif shape == 3:
            side.drain(min(many, len(side.plain)))
        else:
            held = sorted(side.plain)
            start = draw.randrange(len(held))
            part = held[start:start + many] if shape == 4 else draw.sample(
                held, min(many, len(held)))
            draw.shuffle(part)
            side.drop(part)
        side.check()
        if turn % 10 == 0:
            check_all(book, sides)
            for each in sides:
                if each.plain:
                    near = [price + step for price in draw.sample(sorted(each.plain), 1)
                            for step in (-1, 0, 1)]
                    each.check_answers([*near, 0, HIGHEST, draw.randrange(reach + 1)])
    for side in sides:
        side.drop(draw.sample(sorted(side.plain), len(side.plain)))
    check_all(book, sides)
    assert not book.far_index[:, 0].any()


@pytest.mark.parametrize("owner", [0, 1])
@pytest.mark.parametrize("count", [1, FAR_LEAST, FAR_BLOCK - 1, FAR_BLOCK, FAR_BLOCK + 1,
                                   3 * FAR_BLOCK, 2000])
def test_every_way_to_fill_and_to_empty(owner, count):
    """Up, down and shuffled in; best first, worst first and shuffled out: nothing is left."""
    book = make_book()
    side, rising = Side(book, owner), list(range(7, 7 + 3 * count, 3))
    shuffled = random.Random(count).sample(rising, count)
    for entering in (rising, rising[::-1], shuffled):
        for leaving in (rising, rising[::-1], shuffled[::-1], None):
            side.join(entering)
            check_all(book, [side])
            if leaving is None:
                side.drain(count)
            else:
                side.drop(leaving[:count // 2])
                side.check()
                side.drop(leaving[count // 2:])
            check_all(book, [side])


def test_answers_at_both_ends_of_the_prices():
    for owner in (0, 1):
        side = Side(make_book(), owner)
        side.join([0, 1, HIGHEST - 1, HIGHEST])
        side.check_answers([0, 1, 2, HIGHEST - 2, HIGHEST - 1, HIGHEST])
        side.join(range(1000, 1000 + 2 * FAR_BLOCK))
        side.check()
        side.check_answers([0, 1, 2, 999, 1000, 1064, 1127, HIGHEST - 2, HIGHEST - 1, HIGHEST])


def test_blocks_suffice_for_all_far_levels():
    """The worst that can be done: no far level is left, and no block holds more than it must.

    Every side fills its blocks, then all but FAR_LEAST levels of each block leave, and the levels
    that came free are used so on the next side, until there are none.
    """
    book = make_book(symbols=3, far_levels=2048, far_cap=2048)
    sides, blocks = [Side(book, owner) for owner in range(24)], 0
    for side in sides[:-1]:
        free = int(book.engine[0]["free_far"])
        side.join(range(free - len(sides)))
        for entry, (block, used) in reversed(list(enumerate(blocks_of(book, side.owner)))):
            is_last = entry + 1 == len(blocks_of(book, side.owner))
            ranks = book.far_blocks.reshape(-1, 2, FAR_BLOCK)[block, 0, :used].tolist()
            keep = 1 if is_last else FAR_LEAST
            side.drop([rank ^ -(side.owner & 1) for rank in ranks[keep:]])
        blocks += len(blocks_of(book, side.owner))
        check_all(book, sides)
    sides[-1].join(range(int(book.engine[0]["free_far"])))
    check_all(book, sides)
    assert book.engine[0]["free_far"] == 0 and blocks > 2048 // FAR_LEAST * 3 // 4
