"""Far levels: prices beyond both ends of the window, their pool, and how a sweep passes through."""

import pytest

from appliance.layout.record import ACCEPTED, BOOKED, MOVED, REFUSED, REPLACED, TRADE
from tests.hot.book_kit import (
    BUY, Desk, IMMEDIATE, SELL, WINDOW, WINDOW_END, cancel, enter, replace,
)
from tests.hot.book_validate import far_of

PLACES = {BUY: (5, 400, WINDOW - 1, WINDOW, WINDOW + 1, 3000, WINDOW_END - 1, WINDOW_END, 9000),
          SELL: (9000, WINDOW_END, WINDOW_END - 1, 3000, WINDOW + 1, WINDOW, WINDOW - 1, 400, 5)}


@pytest.fixture
def desk():
    return Desk()


@pytest.mark.parametrize("side", [BUY, SELL])
def test_best_moves_from_end_to_end_of_window_and_far_arrays(desk, side):
    for number, price in enumerate(PLACES[side]):
        desk.send(enter(300 + number, side, 10, price))
        assert desk.best(side) == price
    for number in reversed(range(1, len(PLACES[side]))):
        desk.send(cancel(300 + number))
        assert desk.best(side) == PLACES[side][number - 1]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_sweep_passes_far_window_far_in_order_of_price(desk, side):
    for number, price in enumerate(PLACES[side]):
        desk.send(enter(300 + number, side, 10, price))
    events = desk.send(enter(400, 1 - side, 85, PLACES[side][0]))
    assert [event[7] for event in events if event[0] == TRADE] == list(reversed(PLACES[side]))
    assert desk.best(side) == PLACES[side][0] and desk.book.sides[side]["far_cnt"] == 1


def test_price_level_is_shared_by_orders_and_freed_with_the_last(desk):
    free = int(desk.engine["free_far"])
    desk.send(enter(300, BUY, 10, 9000), enter(301, BUY, 10, 9000), enter(302, BUY, 10, 9001))
    assert desk.queue(BUY, 9000) == [300, 301] and desk.engine["free_far"] == free - 2
    desk.send(cancel(300), cancel(301))
    assert desk.engine["free_far"] == free - 1 and desk.best(BUY) == 9001


def test_levels_inserted_in_any_order_stand_from_the_worst_to_the_best(desk):
    prices = [7000, 9, 6500, 800, 30, 6000, 999, 5096, 8000, 1]
    desk.send(*(enter(300 + number, SELL, 1, price) for number, price in enumerate(prices)))
    assert [price for price, _ in far_of(desk.book, SELL)] == sorted(prices, reverse=True)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_minimum_quantity_is_counted_through_far_levels(desk, side):
    for number, price in enumerate(PLACES[side]):
        desk.send(enter(300 + number, side, 10, price))
    for least, trades in ((91, 0), (90, 9)):
        events = desk.send(enter(500 + least, 1 - side, 100, PLACES[side][0], tif=IMMEDIATE,
                                 min_qty=least))
        assert sum(event[0] == TRADE for event in events) == trades


def test_scans_are_counted(desk):
    desk.send(enter(300, BUY, 10, 2000), cancel(300))
    assert desk.engine["far_scans"] == 0
    desk.send(enter(300, BUY, 10, 9000), enter(301, BUY, 10, 9001))
    assert desk.engine["far_scans"] > 0


def test_side_that_is_full_refuses_a_new_far_price_only():
    desk = Desk(far_cap=2)
    desk.send(enter(300, BUY, 10, 10), enter(301, BUY, 10, 20))
    assert desk.send(enter(302, BUY, 10, 30)) == [(REFUSED, BUY, 0, 0, 302, 0, 10, 30, 0, 0)]
    assert desk.engine["next_order_ref"] == 3 and desk.book.orders[302]["total"] == 0
    assert desk.kinds(enter(302, BUY, 10, 20)) == [(ACCEPTED, 302, 10), (BOOKED, 302, 10)]
    assert desk.kinds(enter(303, SELL, 10, 6000))[1:] == [(BOOKED, 303, 10)]
    assert desk.kinds(enter(304, BUY, 10, WINDOW))[1:] == [(BOOKED, 304, 10)]


def test_pool_that_is_empty_refuses_on_every_side():
    desk = Desk(far_levels=2)
    desk.send(enter(300, BUY, 10, 10))
    assert desk.kinds(enter(301, SELL, 10, 9000, symbol=1)) == [(REFUSED, 301, 10)]
    desk.send(cancel(300))
    assert desk.kinds(enter(301, SELL, 10, 9000, symbol=1))[1:] == [(BOOKED, 301, 10)]


def test_order_that_may_not_rest_needs_no_far_level():
    desk = Desk(far_cap=1)
    desk.send(enter(300, BUY, 10, 10), enter(301, SELL, 10, 1500))
    assert desk.kinds(enter(302, BUY, 20, 9000, tif=IMMEDIATE))[1][0] == TRADE


def test_replace_that_finds_no_far_level_leaves_the_old_order(desk):
    desk = Desk(far_cap=1)
    desk.send(enter(300, BUY, 10, 10), enter(301, BUY, 10, 2000))
    assert desk.send(replace(301, 302, BUY, 8, 20)) == [
        (REFUSED, BUY, 0, 0, 302, 301, 8, 20, 0, 0)]
    assert desk.queue(BUY, 2000) == [301] and desk.engine["next_order_ref"] == 3


@pytest.mark.parametrize("price", [10, 20])
def test_replace_takes_the_far_level_that_its_own_order_leaves(price):
    desk = Desk(far_cap=1, far_levels=2)
    desk.send(enter(300, BUY, 10, 10))
    assert desk.kinds(replace(300, 301, BUY, 8, price)) == [(REPLACED, 301, 8), (MOVED, 301, 8)]
    desk.send(enter(302, BUY, 5, price))
    assert desk.kinds(replace(301, 303, BUY, 8, 30)) == [(REFUSED, 303, 8)]


def test_far_queue_keeps_time_priority(desk):
    desk.send(*(enter(300 + number, SELL, 5, WINDOW_END) for number in range(4)), cancel(301))
    events = desk.send(enter(400, BUY, 12, WINDOW_END))
    assert [(event[5], event[8]) for event in events if event[0] == TRADE] == [
        (300, 0), (302, 0), (303, 3)]
    assert BOOKED not in [event[0] for event in events]
