"""Crosses that take the continuous book along: closing and halt crosses."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def test_auction_orders_trade_nowhere_else(floor):
    floor.enter(1, 1, "S", 50)
    floor.enter(0, 1, "B", 50, 10_100, cross="C")
    floor.enter(0, 2, "B", 50, 10_100, cross="C", tif="3")
    floor.enter(0, 3, "B", 10, 10_000)
    assert floor.heard(0) == [
        "accepted 1 B 50 at 10100 ref 2", "accepted 2 B 50 at 10100 ref 3",
        "accepted 3 B 10 at 10000 ref 4", "executed 3 10 at 10000 R match 1"]


def test_closing_cross_takes_the_continuous_book_along(floor):
    floor.enter(1, 1, "S", 100)
    floor.enter(1, 2, "S", 100, cross="C")
    floor.enter(1, 3, "S", 40, 10_100)
    floor.enter(0, 1, "B", 150, cross="C")
    floor.enter(0, 2, "B", 9, 9_000)
    floor.hear_nothing()
    floor.venue.end()
    assert floor.shown() == [
        "event M", "executed 1 100 match 1 at 10000 N", "cross C 150 at 10000 match 3",
        "delete 5", "delete 3", "event E", "event C"]
    assert floor.heard(0) == [
        "executed 1 100 at 10000 C match 1", "executed 1 50 at 10000 C match 2",
        "canceled 2 9 E", "day E"]
    assert floor.heard(1) == [
        "executed 1 100 at 10000 C match 1", "executed 2 50 at 10000 C match 2",
        "canceled 2 50 I", "canceled 3 40 E", "day E"]


def test_bytes_of_a_shown_orders_part_of_a_cross(floor):
    floor.enter(1, 1, "S", 100, 9_900)
    floor.enter(0, 1, "B", 60, 9_950 + 50, cross="C")
    floor.venue.end(5)
    assert [each.hex() for each in floor.venue.feed if each[:1] == b"C"] == [
        "43" "03e9" "0000" "000000000005" "0100000000000001" "0000003c" "0100000000000001" "4e"
        "000026ac"]


def test_price_of_the_cross_is_told_where_it_is_not_the_orders_own(floor):
    floor.enter(1, 1, "S", 100, 9_900)
    floor.enter(1, 2, "S", 100, 10_000, cross="C")
    floor.enter(0, 1, "B", 150, 10_000, cross="C")
    floor.shown()
    floor.venue.end()
    assert floor.shown()[1:4] == ["executed 1 100 match 1 at 10000 N",
                                  "cross C 150 at 10000 match 3", "event E"]


def test_at_one_price_shown_before_hidden_and_auction_then_by_reference(floor):
    floor.enter(1, 1, "S", 10, cross="C")
    floor.enter(1, 2, "S", 10, display="N")
    floor.enter(1, 3, "S", 10)
    floor.enter(1, 4, "S", 10, cross="C")
    floor.enter(0, 1, "B", 35, cross="C")
    floor.hear_nothing()
    floor.venue.end()
    assert floor.heard(1) == [
        "executed 3 10 at 10000 C match 1", "executed 1 10 at 10000 C match 2",
        "executed 2 10 at 10000 C match 3", "executed 4 5 at 10000 C match 4",
        "canceled 4 5 I", "day E"]
    assert floor.shown()[1:3] == ["executed 3 10 match 1 at 10000 N",
                                  "cross C 35 at 10000 match 5"]


def test_a_reserve_order_gives_its_shown_part_then_its_reserve(floor):
    floor.enter(1, 1, "S", 100, max_floor=30)
    floor.enter(1, 2, "S", 50, display="N")
    floor.enter(0, 1, "B", 110, cross="C")
    floor.hear_nothing()
    floor.venue.end()
    assert floor.heard(1) == [
        "executed 1 30 at 10000 C match 1", "executed 1 70 at 10000 C match 2",
        "executed 2 10 at 10000 C match 3", "canceled 2 40 E", "day E"]
    assert floor.shown() == [
        "event M", "executed 1 30 match 1 at 10000 N", "cross C 110 at 10000 match 4",
        "event E", "event C"]


@pytest.mark.parametrize("wanted, told", [
    (20, ["executed 1 20 match 1 at 10000 N", "cross C 20 at 10000 match 2", "delete 1"]),
    (30, ["executed 1 30 match 1 at 10000 N", "cross C 30 at 10000 match 2",
          "add 3 S 30 at 10000", "delete 3"]),
    (50, ["executed 1 30 match 1 at 10000 N", "cross C 50 at 10000 match 3",
          "add 3 S 30 at 10000", "delete 3"]),
    (90, ["executed 1 30 match 1 at 10000 N", "cross C 90 at 10000 match 3",
          "add 3 S 10 at 10000", "delete 3"])])
def test_a_reserve_order_that_is_left_is_refreshed_after_the_print(floor, wanted, told):
    floor.enter(1, 1, "S", 100, max_floor=30)
    floor.enter(0, 1, "B", wanted, cross="C")
    floor.hear_nothing()
    floor.venue.end()
    assert floor.shown() == ["event M", *told, "event E", "event C"]
    restated = [words for words in floor.heard(1) if words.startswith("restated")]
    assert restated == [f"restated 1 {words.split()[3]} ref 3" for words in told
                        if words.startswith("add")]


def test_halt_cross_then_cancels_then_trading(floor):
    floor.enter(0, 1, "B", 100, 9_900)
    floor.enter(1, 1, "S", 100, 10_100)
    floor.venue.halt(0, "Q", b"T3  ")
    floor.enter(1, 2, "S", 60, None, cross="H")
    floor.enter(1, 3, "S", 10, 10_300, cross="H")
    floor.hear_nothing()
    floor.venue.halt(0, "T", b"    ")
    assert floor.shown() == ["executed 1 60 match 1 at 9900 N", "cross H 60 at 9900 match 2",
                             "action T"]
    assert floor.heard(0) == ["executed 1 60 at 9900 H match 1"]
    assert floor.heard(1) == ["executed 2 60 at 9900 H match 1", "canceled 3 10 I"]
    assert floor.venue.symbols[0].reference == 9_900
    floor.enter(1, 4, "S", 40, 9_900)
    assert floor.heard(0) == ["executed 1 40 at 9900 A match 3"]


def test_halt_cross_leaves_orders_for_the_close(floor):
    floor.enter(0, 1, "B", 100, 11_000, cross="C")
    floor.venue.halt(0, "Q")
    floor.enter(1, 1, "S", 60, None, cross="H")
    floor.hear_nothing()
    floor.venue.halt(0, "T")
    assert floor.heard(1) == ["canceled 1 60 I"] and floor.heard(0) == []
    assert floor.shown() == ["action T"]


def test_halt_cross_of_buys_and_sells_of_the_book_at_once(floor):
    floor.enter(0, 1, "B", 50, 9_900)
    floor.enter(1, 1, "S", 50, 10_000)
    floor.venue.halt(0, "Q")
    floor.enter(0, 2, "B", 70, 10_100, cross="H")
    floor.enter(1, 2, "S", 40, 9_800, cross="H")
    floor.hear_nothing()
    floor.venue.halt(0, "T")
    # at 9,800 and 9,900: 120 against 40; at 10,000 and 10,100: 70 against 90
    assert floor.shown() == ["executed 2 30 match 2 at 10000 N", "cross H 70 at 10000 match 3",
                             "action T"]
    assert floor.heard(0) == ["executed 2 40 at 10000 H match 1",
                              "executed 2 30 at 10000 H match 2"]


def test_buys_are_refreshed_before_sells_in_order_of_allocation(floor):
    floor.enter(0, 1, "B", 60, 9_900, max_floor=10)
    floor.enter(0, 2, "B", 60, 9_900, max_floor=10)
    floor.venue.halt(0, "Q")
    floor.enter(1, 1, "S", 75, None, cross="H")
    floor.hear_nothing()
    floor.venue.halt(0, "T")
    assert floor.heard(0) == [
        "executed 1 10 at 9900 H match 1", "executed 1 50 at 9900 H match 2",
        "executed 2 10 at 9900 H match 3", "executed 2 5 at 9900 H match 4",
        "restated 2 10 ref 4"]
    assert floor.shown() == [
        "executed 1 10 match 1 at 9900 N", "executed 2 10 match 3 at 9900 N",
        "cross H 75 at 9900 match 5", "add 4 B 10 at 9900", "action T"]


def test_hidden_orders_with_a_minimum_take_no_part(floor):
    floor.enter(1, 1, "S", 50, 9_000, display="N", min_qty=50)
    floor.enter(1, 2, "S", 50, 10_000, display="N", min_qty=0)
    floor.enter(0, 1, "B", 80, cross="C")
    floor.hear_nothing()
    floor.venue.end()
    assert floor.heard(0) == ["executed 1 50 at 10000 C match 1", "canceled 1 30 I", "day E"]
    assert floor.heard(1) == ["executed 2 50 at 10000 C match 1", "canceled 1 50 E", "day E"]
    assert floor.shown() == ["event M", "cross C 50 at 10000 match 2", "event E", "event C"]


def test_the_reference_of_one_cross_decides_a_tie_of_the_next(floor):
    floor.venue.halt(0, "Q")
    floor.enter(0, 1, "B", 10, 10_200, cross="H")
    floor.enter(1, 1, "S", 10, 10_200, cross="H")
    floor.venue.halt(0, "T")
    floor.enter(0, 2, "B", 100, 10_200, cross="C")
    floor.enter(1, 2, "S", 60, 10_000, cross="C")
    floor.shown()
    floor.venue.end()
    assert floor.shown()[1] == "cross C 60 at 10200 match 4"


def test_orders_that_a_cross_empties_are_gone(floor):
    floor.enter(1, 1, "S", 50, life=60)
    floor.venue.halt(0, "Q")
    floor.enter(0, 1, "B", 50, cross="H")
    floor.venue.halt(0, "T")
    floor.cancel(1, 1)
    floor.cancel(0, 1)
    floor.venue.clock(10 ** 12)
    assert floor.venue.counters["cancels_ignored"] == 2
    assert floor.venue.counters["trades"] == 1
    assert floor.venue.book.live == [{}, {}]


def test_shares_executed_in_a_cross_count_for_the_chain(floor):
    floor.enter(1, 1, "S", 100)
    floor.venue.halt(0, "Q")
    floor.enter(0, 1, "B", 30, cross="H")
    floor.venue.halt(0, "T")
    floor.hear_nothing()
    floor.replace(1, 1, 2, 100)
    assert floor.heard(1) == ["replaced 1 by 2 S 70 at 10000 ref 3"]
    assert floor.shown() == ["replace 1 by 3 70 at 10000"]
