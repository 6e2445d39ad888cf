"""Books made to hurt stay correct: deep, far, swept, stormed, at both ends of the legal prices.

The cases are those that `wirematch bench adversarial` measures (20,000 levels a side, 10,000
orders); what must come of them is worked out by sorting. The same shapes with fewer orders give,
command by command, the very events of the plain Model.
"""

import os

import numpy as np
import pytest

from appliance.hot.book import apply
from appliance.layout.record import REFUSED, TRADE
from tests.hot.book_kit import as_tuples
from tests.hot.book_model import Model
from tests.hot.book_validate import validate
from tools.bench.adversarial_cases import build, cases

FAR_CAP, FAR_LEVELS = 1 << 15, 1 << 16       # of cases.build
WHOLE = {case.name: case for case in cases()}
SMALL = {case.name: case for case in cases(levels=250, orders=60, apart=50)}
# Commands between two checks of the whole structure.
STEP = 4 if os.environ.get("WIREMATCH_LONG") == "1" else 16


def send(book, events, commands, burst):
    """The trades of these commands, as rows of Case.trades; no command is refused."""
    trades = [np.zeros((0, 4), np.int64)]
    for start in range(0, len(commands), burst):
        given = events[:apply(book, commands, start, min(start + burst, len(commands)), events, 0)]
        assert book.engine[0]["unfinished"] == 0 and not (given["kind"] == REFUSED).any()
        given = given[given["kind"] == TRADE]
        trades.append(np.stack([given[name].astype(np.int64) for name in
                                ("resting", "order", "price_ticks", "qty")], axis=1))
    return np.concatenate(trades)


@pytest.mark.parametrize("name", WHOLE)
def test_adversarial_book_gives_what_sorting_gives(name):
    case = WHOLE[name]
    book, events = build(case)
    assert not len(send(book, events, case.before, 64))
    validate(book)
    assert np.array_equal(send(book, events, case.judged, 64), case.trades)
    validate(book)
    live = np.nonzero(book.orders["qty"])[0].tolist()
    assert sorted(case.live) == live
    for side, none, best in ((0, -1, max), (1, 2147483647, min)):
        prices = [price for of, price in case.live.values() if of == side]
        assert int(book.sides[side]["best_ticks"]) == best(prices, default=none)


@pytest.mark.parametrize("name", SMALL)
def test_small_adversarial_book_gives_the_events_of_the_plain_model(name):
    case = SMALL[name]
    book, events = build(case)
    model = Model(FAR_CAP, FAR_LEVELS)
    commands = np.concatenate([case.before, case.judged])
    for i, command in enumerate(commands):
        given = as_tuples(events[:apply(book, commands, i, i + 1, events, 0)])
        assert given == model.send(command), f"command {i}: {command}"
        if i % STEP == 0:
            validate(book)
    validate(book)


def test_deep_books_reach_beyond_the_window():
    """The case means something only when both sides have ladder levels and far levels."""
    for named in (WHOLE, SMALL):
        case = next(iter(named.values()))
        book, events = build(case)
        send(book, events, case.judged, 64)
        far = book.sides["far_cnt"][:2].tolist()
        assert min(far) > 0 and sum(far) < len(case.live)
