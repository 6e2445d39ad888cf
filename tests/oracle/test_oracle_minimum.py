"""Resting minimum quantities: who is passed by, who is not, and what counts for a fill."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def test_enough_there_trades_at_once_and_the_rest_waits_hidden(floor):
    floor.enter(1, 1, "S", 30)
    floor.enter(1, 2, "S", 30, 10_100)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 100, 10_100, display="N", min_qty=60)
    assert floor.heard(0)[1:] == ["executed 1 30 at 10000 R match 1",
                                  "executed 1 30 at 10100 R match 2"]
    assert floor.shown() == ["executed 1 30 match 1", "executed 2 30 match 2"]
    assert floor.venue.book.live[0][1].open == 40


def test_too_little_there_trades_nothing_and_rests_across(floor):
    floor.enter(1, 1, "S", 59)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 100, 10_100, display="N", min_qty=60)
    assert floor.heard(0) == ["accepted 1 B 100 at 10100 ref 2"] and floor.shown() == []
    floor.enter(1, 2, "S", 60)
    assert floor.heard(0) == ["executed 1 60 at 10100 J match 1"]
    assert floor.shown() == ["trade 60 at 10100 match 1"]


def test_a_smaller_order_passes_by_and_is_booked(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=50)
    floor.enter(0, 1, "B", 49)
    assert floor.heard(0) == ["accepted 1 B 49 at 10000 ref 2"]
    assert floor.shown() == ["add 2 B 49 at 10000"]
    floor.enter(0, 2, "B", 50)
    assert floor.heard(0)[1:] == ["executed 2 50 at 10000 R match 1"]


def test_a_smaller_immediate_order_passes_by_and_is_canceled(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=50)
    floor.enter(0, 1, "B", 49, tif="3")
    assert floor.heard(0)[1:] == ["canceled 1 49 I"]


def test_the_minimum_is_never_more_than_what_is_open(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=50)
    floor.enter(0, 1, "B", 60)
    floor.enter(0, 2, "B", 39, 10_000)
    floor.enter(0, 3, "B", 40, 10_000)
    assert floor.heard(0) == [
        "accepted 1 B 60 at 10000 ref 2", "executed 1 60 at 10000 R match 1",
        "accepted 2 B 39 at 10000 ref 3",
        "accepted 3 B 40 at 10000 ref 4", "executed 3 40 at 10000 R match 2"]


def test_a_cancel_lowers_what_is_asked_of_others(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=50)
    floor.cancel(1, 1, 20)
    floor.enter(0, 1, "B", 20)
    assert floor.heard(0)[1:] == ["executed 1 20 at 10000 R match 1"]


def test_what_counts_is_the_quantity_left_at_that_moment(floor):
    floor.enter(1, 1, "S", 30)
    floor.enter(1, 2, "S", 100, display="N", min_qty=50)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 70)
    assert floor.heard(0)[1:] == ["executed 1 30 at 10000 R match 1"]
    assert floor.shown() == ["executed 1 30 match 1", "add 3 B 40 at 10000"]


def test_the_passed_order_keeps_its_place_before_younger_ones(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=60)
    floor.enter(1, 2, "S", 100, display="N")
    floor.hear_nothing()
    floor.enter(0, 1, "B", 50)
    floor.enter(0, 2, "B", 60)
    assert floor.heard(1) == ["executed 2 50 at 10000 J match 1",
                              "executed 1 60 at 10000 J match 2"]


def test_passing_by_goes_on_to_worse_prices(floor):
    floor.enter(1, 1, "S", 100, 9_900, display="N", min_qty=60)
    floor.enter(1, 2, "S", 20, 10_000)
    floor.enter(1, 3, "S", 100, 10_100, display="N", min_qty=10)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 50, 10_100)
    assert floor.heard(1) == ["executed 2 20 at 10000 A match 1",
                              "executed 3 30 at 10100 J match 2"]


def test_an_order_passed_early_in_a_sweep_stays_passed(floor):
    floor.enter(1, 1, "S", 100, 9_900, display="N", min_qty=60)
    floor.enter(1, 2, "S", 10, 9_900, display="N")
    floor.enter(1, 3, "S", 60, max_floor=20)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 59)
    assert floor.heard(1) == [
        "executed 2 10 at 9900 J match 1", "executed 3 20 at 10000 A match 2",
        "restated 3 20 ref 5", "executed 3 20 at 10000 A match 3", "restated 3 20 ref 6",
        "executed 3 9 at 10000 A match 4"]


def test_fill_or_kill_counts_a_minimum_only_as_it_would_trade(floor):
    floor.enter(1, 1, "S", 30)
    floor.enter(1, 2, "S", 100, display="N", min_qty=50)
    floor.enter(0, 1, "B", 79, tif="3", min_qty=79)
    assert floor.heard(0)[1:] == ["canceled 1 79 I"]
    floor.enter(0, 2, "B", 80, tif="3", min_qty=80)
    assert floor.heard(0)[1:] == ["executed 2 30 at 10000 R match 1",
                                  "executed 2 50 at 10000 R match 2"]


def test_minimum_against_minimum(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=80)
    floor.enter(0, 1, "B", 70, display="N", min_qty=50)
    assert floor.heard(0)[1:] == []                     # 70 < 80: nothing can trade
    floor.enter(0, 2, "B", 90, display="N", min_qty=90)
    assert floor.heard(0)[1:] == ["executed 2 90 at 10000 R match 1"]


def test_a_passed_minimum_order_does_not_look_again(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=80)
    floor.enter(0, 1, "B", 70, display="N")
    floor.modify(0, 1, "B", 200)
    assert floor.heard(0)[1:] == ["modified 1 B 200", "priority 1 at 10000 ref 3"]


def test_post_only_rests_beside_whom_it_only_passes(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=50)
    floor.enter(0, 1, "B", 49, post_only=True)
    floor.enter(0, 2, "B", 50, post_only=True)
    assert floor.heard(0) == ["accepted 1 B 49 at 10000 ref 2", "accepted 2 B 50 at 10000 ref 3",
                              "canceled 2 50 G"]
    assert floor.shown() == ["add 2 B 49 at 10000"]


def test_replace_that_only_passes_is_one_replace_on_the_feed(floor):
    floor.enter(1, 1, "S", 100, 10_100, display="N", min_qty=50)
    floor.enter(0, 1, "B", 40)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 45, 10_100)
    assert floor.shown() == ["replace 2 by 3 45 at 10100"]
    floor.replace(0, 2, 3, 50, 10_100)
    assert floor.shown() == ["delete 3", "trade 50 at 10100 match 1"]


def test_hidden_minimum_order_crosses_the_shown_book_and_that_goes_on(floor):
    floor.enter(0, 1, "B", 500, 10_200, display="N", min_qty=300)
    floor.enter(1, 1, "S", 10, 10_000)
    floor.enter(0, 2, "B", 10, 10_100)
    assert floor.shown() == ["add 2 S 10 at 10000", "executed 2 10 match 1"]
    floor.enter(1, 2, "S", 20, 10_100)
    floor.enter(1, 3, "S", 300, 10_100)
    assert floor.shown() == ["add 4 S 20 at 10100", "trade 300 at 10200 match 2"]


@pytest.mark.parametrize("letter", "ONWDY")
def test_own_orders_are_passed_by_before_anything_is_prevented(floor, letter):
    floor.enter(0, 1, "S", 100, display="N", min_qty=50)
    floor.enter(1, 1, "S", 20, display="N")
    floor.hear_nothing()
    floor.enter(0, 2, "B", 49, smp=letter)
    assert floor.heard(0)[1:] == ["executed 2 20 at 10000 R match 1"]
    assert floor.shown()[1:] == ["add 3 B 29 at 10000"]


def test_own_passed_orders_do_not_end_the_count_of_a_minimum(floor):
    floor.enter(0, 1, "S", 100, display="N", min_qty=50)
    floor.enter(1, 1, "S", 20, display="N")
    floor.hear_nothing()
    floor.enter(0, 2, "B", 20, tif="3", min_qty=20, smp="W")
    assert floor.heard(0)[1:] == ["executed 2 20 at 10000 R match 1"]


def test_replace_with_a_minimum_above_what_is_left_rests(floor):
    floor.enter(0, 1, "B", 100)
    floor.enter(1, 1, "S", 60)
    floor.enter(1, 2, "S", 70, 10_100)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, 10_100, display="N", min_qty=50)
    assert floor.heard(0) == ["replaced 1 by 2 B 40 at 10100 ref 4"]
    assert floor.shown() == ["delete 1"]
    floor.enter(1, 3, "S", 39, 10_100)
    floor.enter(1, 4, "S", 40, 10_100)
    assert floor.heard(0) == ["executed 2 40 at 10100 J match 2"]


def test_modify_up_raises_the_minimum_back(floor):
    floor.enter(1, 1, "S", 100, display="N", min_qty=50)
    floor.cancel(1, 1, 20)
    floor.modify(1, 1, "S", 100)
    floor.enter(0, 1, "B", 49)
    assert floor.heard(0) == ["accepted 1 B 49 at 10000 ref 3"]
