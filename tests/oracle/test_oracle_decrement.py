"""Self-match prevention by decrement: both orders of one owner shrink, and nobody trades."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def test_both_lose_the_same_and_the_larger_resting_one_stays(floor):
    floor.enter(0, 1, "S", 100)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 40, smp="D")
    assert floor.heard(0) == ["accepted 2 B 40 at 10000 ref 2",
                              "prevented 1 40 of 40 at 10000 AD",
                              "prevented 2 40 of 40 at 10000 RD"]
    assert floor.shown() == ["cancel 1 40"]
    assert set(floor.venue.book.live[0]) == {1} and floor.venue.book.live[0][1].open == 60


def test_a_used_up_resting_order_leaves_and_the_rest_goes_on(floor):
    floor.enter(0, 1, "S", 30)
    floor.enter(1, 1, "S", 30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 100, smp="d")
    assert floor.heard(0)[1:] == [
        "prevented 1 30 of 30 at 10000 AD", "prevented 2 30 of 30 at 10000 RD",
        "executed 2 30 at 10000 R match 1"]
    assert floor.shown() == ["delete 1", "executed 2 30 match 1", "add 3 B 40 at 10000"]


def test_equal_sizes_end_both(floor):
    floor.enter(0, 1, "S", 30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 30, smp="D")
    assert floor.shown() == ["delete 1"] and floor.venue.book.live[0] == {}


@pytest.mark.parametrize("letter", "Yy")
def test_strategy_y_keeps_the_details_back(floor, letter):
    floor.enter(0, 1, "S", 100)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 40, smp=letter)
    assert floor.heard(0)[1:] == ["prevented 1 40 of 0 at 0  Y", "prevented 2 40 of 0 at 0  Y"]
    assert floor.shown() == ["cancel 1 40"]


def test_bytes_with_and_without_details(floor):
    floor.now = 9
    floor.enter(0, 1, "S", 100)
    floor.enter(0, 2, "B", 40, smp="D")
    assert [each.hex() for each in floor.venue.streams[0][-2:]] == [
        "44" "0000000000000009" "00000001" "00000028" "51" "00000028" "0000000000002710" "41" "44",
        "44" "0000000000000009" "00000002" "00000028" "51" "00000028" "0000000000002710" "52" "44"]
    floor.enter(0, 3, "B", 40, smp="Y")
    assert [each.hex() for each in floor.venue.streams[0][-2:]] == [
        "44" "0000000000000009" "00000001" "00000028" "51" "00000000" "0000000000000000" "20" "59",
        "44" "0000000000000009" "00000003" "00000028" "51" "00000000" "0000000000000000" "20" "59"]


@pytest.mark.parametrize("smp", [None, "*"])
def test_the_accounts_default_is_told_as_strategy_d(smp):
    floor = Floor(smp=("decrement", "off"))
    floor.enter(0, 1, "S", 100)
    floor.enter(0, 2, "B", 40, smp=smp)
    assert floor.heard(0)[2:] == ["prevented 1 40 of 40 at 10000 AD",
                                  "prevented 2 40 of 40 at 10000 RD"]


def test_the_incoming_order_alone_decides(floor):
    floor.enter(0, 1, "S", 100, smp="D")
    floor.enter(0, 2, "B", 40)
    assert floor.heard(0)[2:] == ["executed 1 40 at 10000 A match 1",
                                  "executed 2 40 at 10000 R match 1"]


def test_a_reserve_refreshes_as_in_a_trade(floor):
    floor.enter(0, 1, "S", 100, max_floor=30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 50, smp="D")
    assert floor.heard(0)[1:] == [
        "prevented 1 30 of 30 at 10000 AD", "prevented 2 30 of 30 at 10000 RD",
        "restated 1 30 ref 3",
        "prevented 1 20 of 20 at 10000 AD", "prevented 2 20 of 20 at 10000 RD"]
    assert floor.shown() == ["delete 1", "add 3 S 30 at 10000", "cancel 3 20"]
    assert (floor.venue.book.live[0][1].open, floor.venue.book.live[0][1].shown) == (50, 10)


def test_a_refreshed_own_order_goes_behind_others(floor):
    floor.enter(0, 1, "S", 60, max_floor=30)
    floor.enter(1, 1, "S", 10)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 50, smp="D")
    assert floor.heard(0)[1:] == [
        "prevented 1 30 of 30 at 10000 AD", "prevented 2 30 of 30 at 10000 RD",
        "restated 1 30 ref 4", "executed 2 10 at 10000 R match 1",
        "prevented 1 10 of 10 at 10000 AD", "prevented 2 10 of 10 at 10000 RD"]


def test_a_hidden_resting_order_loses_from_all_it_has_unseen(floor):
    floor.enter(0, 1, "S", 100, display="N")
    floor.enter(0, 2, "B", 40, smp="D")
    assert floor.heard(0)[2:] == ["prevented 1 40 of 40 at 10000 JD",
                                  "prevented 2 40 of 40 at 10000 RD"]
    floor.enter(0, 3, "B", 70, smp="D")
    assert floor.heard(0)[1:] == ["prevented 1 60 of 60 at 10000 JD",
                                  "prevented 3 60 of 60 at 10000 RD"]
    assert floor.shown() == ["add 3 B 10 at 10000"]


def test_decremented_shares_count_as_executed(floor):
    floor.enter(0, 1, "S", 100)
    floor.enter(0, 2, "B", 40, smp="D")
    floor.hear_nothing()
    floor.cancel(0, 1, 90)                      # 40 are gone: 50 stay
    floor.modify(0, 1, "S", 80)
    assert floor.heard(0) == ["canceled 1 10 U", "modified 1 S 40"]
    floor.replace(0, 1, 3, 60)
    assert floor.heard(0) == ["replaced 1 by 3 S 20 at 10000 ref 3"]
    floor.replace(0, 3, 4, 40)                  # nothing would be left of it
    assert floor.heard(0) == ["canceled 3 20 U"]


def test_modify_to_what_was_decremented_cancels(floor):
    floor.enter(0, 1, "S", 100)
    floor.enter(0, 2, "B", 40, smp="D")
    floor.hear_nothing()
    floor.modify(0, 1, "S", 40)
    assert floor.heard(0) == ["canceled 1 60 U"]


def test_the_incoming_rest_remembers_what_it_lost(floor):
    floor.enter(0, 1, "S", 30)
    floor.enter(0, 2, "B", 100, smp="D")
    floor.hear_nothing()
    floor.replace(0, 2, 3, 100)
    assert floor.heard(0) == ["replaced 2 by 3 B 70 at 10000 ref 3"]


def test_an_immediate_order_is_canceled_for_what_is_left(floor):
    floor.enter(0, 1, "S", 30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 50, tif="3", smp="D")
    assert floor.heard(0)[-1] == "canceled 2 20 I"


def test_own_orders_count_nothing_for_a_minimum(floor):
    floor.enter(0, 1, "S", 30)
    floor.enter(1, 1, "S", 30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 60, tif="3", min_qty=31, smp="D")
    assert floor.heard(0)[1:] == ["canceled 2 60 I"]
    floor.enter(0, 3, "B", 60, tif="3", min_qty=30, smp="D")
    assert floor.heard(0)[1:] == [
        "prevented 1 30 of 30 at 10000 AD", "prevented 3 30 of 30 at 10000 RD",
        "executed 3 30 at 10000 R match 1"]


def test_post_only_meets_own_orders_too(floor):
    floor.enter(0, 1, "S", 30)
    floor.hear_nothing()
    floor.enter(0, 2, "B", 60, post_only=True, smp="D")
    assert floor.heard(0)[1:] == ["canceled 2 60 G"] and floor.shown() == []


def test_replace_into_an_own_order(floor):
    floor.enter(0, 1, "S", 30, 10_100)
    floor.enter(0, 2, "B", 100)
    floor.hear_nothing()
    floor.replace(0, 2, 3, 100, 10_100, smp="Y")
    assert floor.heard(0) == ["replaced 2 by 3 B 100 at 10100 ref 3",
                              "prevented 1 30 of 0 at 0  Y", "prevented 3 30 of 0 at 0  Y"]
    assert floor.shown() == ["delete 2", "delete 1", "add 3 B 70 at 10100"]


def test_no_counting_of_trades(floor):
    floor.enter(0, 1, "S", 30)
    floor.enter(0, 2, "B", 30, smp="D")
    assert floor.venue.counters["trades"] == 0 and floor.venue.book.last_match == 0
