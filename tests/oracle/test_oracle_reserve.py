"""Reserve orders: what they show, when they show more, and what that costs them."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def test_only_the_floor_is_shown(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    assert floor.heard(0) == ["accepted 1 S 100 at 10000 ref 1"]
    assert floor.shown() == ["add 1 S 30 at 10000"]


@pytest.mark.parametrize("max_floor", [0, 100, 101, 0xFFFFFFFF])
def test_no_floor_or_one_as_large_as_the_order_shows_all(floor, max_floor):
    floor.enter(0, 1, "S", 100, max_floor=max_floor)
    assert floor.shown() == ["add 1 S 100 at 10000"]
    floor.enter(1, 1, "B", 100)
    assert floor.heard(0)[1:] == ["executed 1 100 at 10000 A match 1"]


def test_one_sweep_refreshes_several_times(floor):
    floor.enter(1, 1, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 75)
    assert floor.heard(1) == [
        "executed 1 30 at 10000 A match 1", "restated 1 30 ref 3",
        "executed 1 30 at 10000 A match 2", "restated 1 30 ref 4",
        "executed 1 15 at 10000 A match 3"]
    assert floor.heard(0) == [
        "accepted 1 B 75 at 10000 ref 2", "executed 1 30 at 10000 R match 1",
        "executed 1 30 at 10000 R match 2", "executed 1 15 at 10000 R match 3"]
    assert floor.shown() == [
        "executed 1 30 match 1", "add 3 S 30 at 10000", "executed 3 30 match 2",
        "add 4 S 30 at 10000", "executed 4 15 match 3"]
    floor.enter(0, 2, "B", 15)
    assert floor.heard(1) == ["executed 1 15 at 10000 A match 4", "restated 1 10 ref 6"]
    assert floor.shown() == ["executed 4 15 match 4", "add 6 S 10 at 10000"]
    floor.enter(0, 3, "B", 30)
    assert floor.heard(1) == ["executed 1 10 at 10000 A match 5"]
    assert floor.shown() == ["executed 6 10 match 5", "add 7 B 20 at 10000"]


def test_bytes_of_order_restated(floor):
    floor.enter(1, 7, "S", 100, max_floor=30)
    floor.now = 9
    floor.enter(0, 1, "B", 30)
    assert floor.venue.streams[1][-1].hex() == (
        "52" "0000000000000009" "00000007" "52" "0010"
        "0901" "0100000000000003" "0516" "0000001e")
    assert floor.venue.feed[-1].hex() == (
        "41" "03e9" "0000" "000000000009" "0100000000000003" "53" "0000001e" "4142432020202020"
        "00002710")


def test_a_floor_of_one_share(floor):
    floor.enter(1, 1, "S", 4, max_floor=1)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 9)
    assert floor.heard(1) == [
        "executed 1 1 at 10000 A match 1", "restated 1 1 ref 3",
        "executed 1 1 at 10000 A match 2", "restated 1 1 ref 4",
        "executed 1 1 at 10000 A match 3", "restated 1 1 ref 5",
        "executed 1 1 at 10000 A match 4"]
    assert floor.shown()[-2:] == ["executed 5 1 match 4", "add 2 B 5 at 10000"]


def test_a_refreshed_order_queues_behind_others_at_its_price(floor):
    floor.enter(1, 1, "S", 100, max_floor=30)
    floor.enter(1, 2, "S", 50)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 60)
    assert floor.heard(1) == ["executed 1 30 at 10000 A match 1", "restated 1 30 ref 4",
                              "executed 2 30 at 10000 A match 2"]
    floor.enter(0, 2, "B", 40)
    assert floor.heard(1) == ["executed 2 20 at 10000 A match 3",
                              "executed 1 20 at 10000 A match 4"]


def test_two_reserve_orders_take_turns(floor):
    floor.enter(1, 1, "S", 50, max_floor=20)
    floor.enter(1, 2, "S", 40, max_floor=30)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 90)
    assert floor.heard(1) == [
        "executed 1 20 at 10000 A match 1", "restated 1 20 ref 4",
        "executed 2 30 at 10000 A match 2", "restated 2 10 ref 5",
        "executed 1 20 at 10000 A match 3", "restated 1 10 ref 6",
        "executed 2 10 at 10000 A match 4",
        "executed 1 10 at 10000 A match 5"]


def test_refreshed_parts_trade_before_hidden_orders_of_the_price(floor):
    floor.enter(1, 1, "S", 40, display="N")
    floor.enter(1, 2, "S", 70, max_floor=30)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 90)
    assert floor.heard(1) == [
        "executed 2 30 at 10000 A match 1", "restated 2 30 ref 4",
        "executed 2 30 at 10000 A match 2", "restated 2 10 ref 5",
        "executed 2 10 at 10000 A match 3", "executed 1 20 at 10000 J match 4"]


def test_the_whole_reserve_of_a_price_goes_before_the_next_price(floor):
    floor.enter(1, 1, "S", 30, 10_100)
    floor.enter(1, 2, "S", 50, 10_000, max_floor=25)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 60, 10_100)
    assert floor.heard(0)[1:] == [
        "executed 1 25 at 10000 R match 1", "executed 1 25 at 10000 R match 2",
        "executed 1 10 at 10100 R match 3"]


def test_incoming_reserve_order_trades_with_all_it_has(floor):
    floor.enter(1, 1, "S", 80)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 100, max_floor=15)
    assert floor.heard(0)[1:] == ["executed 1 80 at 10000 R match 1"]
    assert floor.shown() == ["executed 1 80 match 1", "add 2 B 15 at 10000"]
    floor.enter(1, 2, "S", 95)
    assert floor.shown() == ["executed 2 15 match 2", "add 4 B 5 at 10000",
                             "executed 4 5 match 3", "add 3 S 75 at 10000"]


def test_a_rest_below_the_floor_is_shown_whole(floor):
    floor.enter(1, 1, "S", 80)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 100, max_floor=30)
    assert floor.shown()[-1] == "add 2 B 20 at 10000"


def test_an_attributed_order_is_attributed_at_every_refresh(floor):
    floor.enter(1, 1, "S", 60, display="A", max_floor=30)
    floor.enter(0, 1, "B", 30)
    assert floor.shown() == ["add 1 S 30 at 10000 by BETA", "executed 1 30 match 1",
                             "add 3 S 30 at 10000 by BETA"]


def test_cancel_takes_the_reserve_first(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.enter(0, 2, "S", 50)
    floor.hear_nothing()
    floor.cancel(0, 1, 50)                  # 30 shown and 20 behind are left
    assert floor.heard(0) == ["canceled 1 50 U"] and floor.shown() == []
    floor.cancel(0, 1, 20)
    assert floor.heard(0) == ["canceled 1 30 U"] and floor.shown() == ["cancel 1 10"]
    floor.enter(1, 1, "B", 30)              # still the first of its price
    assert floor.heard(0) == ["executed 1 20 at 10000 A match 1",
                              "executed 2 10 at 10000 A match 2"]


def test_cancel_of_a_partly_executed_reserve_order(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.enter(1, 1, "B", 10)              # 20 shown, 70 behind
    floor.hear_nothing()
    floor.cancel(0, 1, 25)                  # 10 of them are executed: 15 stay
    assert floor.heard(0) == ["canceled 1 75 U"] and floor.shown() == ["cancel 1 5"]
    floor.cancel(0, 1)
    assert floor.heard(0) == ["canceled 1 15 U"] and floor.shown() == ["delete 1"]


def test_whole_cancel_and_mass_cancel_are_one_delete(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.enter(0, 2, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.cancel(0, 1)
    floor.mass_cancel(0, 3)
    assert floor.heard(0) == ["canceled 1 100 U", "mass canceled 3", "canceled 2 100 U"]
    assert floor.shown() == ["delete 1", "delete 2"]


def test_modify_down_takes_the_reserve_first(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.modify(0, 1, "S", 40)
    assert floor.heard(0) == ["modified 1 S 40"] and floor.shown() == []
    floor.modify(0, 1, "T", 25)
    assert floor.heard(0) == ["modified 1 T 25"] and floor.shown() == ["cancel 1 5"]
    floor.modify(0, 1, "T", 25)
    assert floor.heard(0) == ["modified 1 T 25"] and floor.shown() == []


def test_modify_up_shows_a_full_floor_again_at_the_back(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.enter(0, 2, "S", 50)
    floor.enter(1, 1, "B", 10)
    floor.hear_nothing()
    floor.modify(0, 1, "S", 150)
    assert floor.heard(0) == ["modified 1 S 140", "priority 1 at 10000 ref 4"]
    assert floor.shown() == ["replace 1 by 4 30 at 10000"]
    floor.enter(1, 2, "B", 60)
    assert floor.heard(0) == ["executed 2 50 at 10000 A match 2",
                              "executed 1 10 at 10000 A match 3"]


def test_modify_beyond_a_floor_that_was_larger_than_the_order(floor):
    floor.enter(0, 1, "S", 20, max_floor=30)
    floor.hear_nothing()
    floor.modify(0, 1, "S", 50)
    assert floor.heard(0) == ["modified 1 S 50", "priority 1 at 10000 ref 2"]
    assert floor.shown() == ["replace 1 by 2 30 at 10000"]


def test_replace_brings_its_own_floor(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.replace(0, 1, 2, 100, max_floor=10)
    floor.replace(0, 2, 3, 100)
    floor.replace(0, 3, 4, 90, 10_100, max_floor=40)
    assert floor.heard(0)[1:] == [
        "replaced 1 by 2 S 100 at 10000 ref 2", "replaced 2 by 3 S 100 at 10000 ref 3",
        "replaced 3 by 4 S 90 at 10100 ref 4"]
    assert floor.shown() == ["add 1 S 30 at 10000", "replace 1 by 2 10 at 10000",
                             "replace 2 by 3 100 at 10000", "replace 3 by 4 40 at 10100"]


def test_replace_of_an_executed_reserve_order_shows_what_is_left_at_most(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.enter(1, 1, "B", 80)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, max_floor=30)
    assert floor.heard(0) == ["replaced 1 by 2 S 20 at 10000 ref 5"]
    assert floor.shown() == ["replace 4 by 5 20 at 10000"]


def test_replace_into_the_book_trades_the_whole_then_shows_the_floor(floor):
    floor.enter(1, 1, "B", 60, 9_900)
    floor.enter(0, 1, "S", 100)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, 9_900, max_floor=15)
    assert floor.heard(0) == ["replaced 1 by 2 S 100 at 9900 ref 3",
                              "executed 2 60 at 9900 R match 1"]
    assert floor.shown() == ["delete 2", "executed 1 60 match 1", "add 3 S 15 at 9900"]


def test_replace_from_reserve_to_hidden_to_reserve(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.replace(0, 1, 2, 100, display="N")
    floor.replace(0, 2, 3, 100, max_floor=20)
    assert floor.shown() == ["add 1 S 30 at 10000", "delete 1", "add 3 S 20 at 10000"]


def test_fill_or_kill_counts_the_reserve(floor):
    floor.enter(1, 1, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 101, tif="3", min_qty=101)
    assert floor.heard(0)[1:] == ["canceled 1 101 I"]
    floor.enter(0, 2, "B", 100, tif="3", min_qty=100)
    assert [words.split()[:3] for words in floor.heard(0)[1:]] == [
        ["executed", "2", share] for share in ("30", "30", "30", "10")]


def test_self_match_oldest_takes_the_whole_order(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 40, smp="O")
    assert floor.heard(0)[1:] == ["prevented 1 100 of 40 at 10000 AO"]
    assert floor.shown() == ["delete 1", "add 2 B 40 at 10000"]


def test_self_match_newest_after_a_refresh_of_somebody_else(floor):
    floor.enter(1, 1, "S", 60, max_floor=30)
    floor.enter(0, 1, "S", 10)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 50, smp="W")
    assert floor.heard(0)[1:] == ["executed 2 30 at 10000 R match 1",
                                  "prevented 2 20 of 10 at 10000 RW"]
    assert floor.shown() == ["executed 1 30 match 1", "add 4 S 30 at 10000"]


def test_the_count_of_a_minimum_has_the_reserve_behind_an_own_order(floor):
    floor.enter(1, 1, "S", 60, max_floor=30)
    floor.enter(0, 1, "S", 10)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 61, tif="3", min_qty=61, smp="W")
    assert floor.heard(0)[1:] == ["canceled 2 61 I"]
    floor.enter(0, 3, "B", 60, tif="3", min_qty=31, smp="W")
    assert floor.heard(0)[1:] == ["canceled 3 60 I"]
    floor.enter(0, 4, "B", 60, tif="3", min_qty=30, smp="W")
    assert floor.heard(0)[1:] == ["executed 4 30 at 10000 R match 1",
                                  "prevented 4 30 of 10 at 10000 RW"]


def test_the_count_of_a_minimum_knows_what_own_orders_take_of_it(floor):
    floor.enter(0, 1, "S", 50)
    floor.enter(1, 1, "S", 100)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 100, tif="3", min_qty=51, smp="D")
    assert floor.heard(0)[1:] == ["canceled 2 100 I"]
    floor.enter(0, 3, "B", 100, tif="3", min_qty=50, smp="D")
    heard = floor.heard(0)[1:]
    assert heard[-1] == "executed 3 50 at 10000 R match 1" and "canceled" not in " ".join(heard)


def test_the_count_of_a_minimum_has_own_reserves_before_those_of_others(floor):
    floor.enter(1, 1, "S", 60, max_floor=10)
    floor.enter(0, 1, "S", 40, max_floor=20)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 100, tif="3", min_qty=61, smp="D")
    assert floor.heard(0)[1:] == ["canceled 2 100 I"]
    floor.enter(0, 3, "B", 100, tif="3", min_qty=60, smp="D")
    assert sum(int(words.split()[2]) for words in floor.heard(0)[1:]
               if words.startswith("executed")) == 60


def test_the_end_of_the_day_cancels_shown_part_and_reserve_at_once(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.venue.end()
    assert floor.heard(0) == ["canceled 1 100 E", "day E"]
    assert floor.shown() == ["event M", "delete 1", "event E", "event C"]
