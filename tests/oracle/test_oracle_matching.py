"""Hand-written situations of matching: what each side is told and what the feed shows."""

import pytest

from tests.oracle.generate import tag, u32
from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def test_older_order_at_the_price_trades_first_and_at_its_price(floor):
    floor.enter(1, 1, "S", 100, 10_000)
    floor.enter(1, 2, "S", 100, 9_900)
    floor.enter(1, 3, "S", 100, 9_900)
    floor.shown(), floor.heard(1)
    floor.enter(0, 1, "B", 250, 10_000)
    assert floor.heard(0) == [
        "accepted 1 B 250 at 10000 ref 4", "executed 1 100 at 9900 R match 1",
        "executed 1 100 at 9900 R match 2", "executed 1 50 at 10000 R match 3"]
    assert floor.heard(1) == ["executed 2 100 at 9900 A match 1",
                              "executed 3 100 at 9900 A match 2",
                              "executed 1 50 at 10000 A match 3"]
    assert floor.shown() == ["executed 2 100 match 1", "executed 3 100 match 2",
                             "executed 1 50 match 3"]


def test_rest_of_a_day_order_is_booked_and_of_an_immediate_one_canceled(floor):
    floor.enter(1, 1, "S", 100)
    floor.enter(0, 1, "B", 150)
    assert floor.shown()[-1] == "add 2 B 50 at 10000"
    floor.enter(1, 2, "S", 80, tif="3")
    assert floor.heard(1)[-2:] == ["executed 2 50 at 10000 R match 2", "canceled 2 30 I"]
    assert floor.shown() == ["executed 2 50 match 2"]


def test_market_order_takes_any_price_and_never_rests(floor):
    floor.enter(1, 1, "S", 10, 1_999_999_900)
    floor.enter(0, 1, "B", 15, None, tif="3")
    assert floor.heard(0) == [
        "accepted 1 B 15 at 2147483647 ref 2", "executed 1 10 at 1999999900 R match 1",
        "canceled 1 5 I"]


def test_minimum_quantity_not_there_cancels_the_whole_without_a_trade(floor):
    floor.enter(1, 1, "S", 60)
    floor.enter(1, 2, "S", 60, 10_100)
    floor.enter(0, 1, "B", 100, tif="3", tags=tag(3, u32(61)))
    assert floor.heard(0)[1:] == ["canceled 1 100 I"]
    floor.enter(0, 2, "B", 100, tif="3", tags=tag(3, u32(60)))
    assert floor.heard(0)[1:] == ["executed 2 60 at 10000 R match 1", "canceled 2 40 I"]


def test_fill_or_kill_needs_all_of_it(floor):
    floor.enter(1, 1, "S", 60)
    floor.enter(1, 2, "S", 60, 10_100)
    floor.enter(0, 1, "B", 120, 10_100, tif="3", tags=tag(3, u32(120)))
    assert floor.heard(0)[1:] == ["executed 1 60 at 10000 R match 1",
                                  "executed 1 60 at 10100 R match 2"]


def test_minimum_quantity_above_what_the_chain_has_open_cancels_the_replace(floor):
    floor.enter(0, 1, "B", 100)
    floor.enter(1, 1, "S", 40)
    floor.enter(1, 2, "S", 200, 10_100)
    floor.heard(0)
    floor.replace(0, 1, 2, 100, 10_100, tif="3", tags=tag(3, u32(61)))
    assert floor.heard(0) == ["replaced 1 by 2 B 60 at 10100 ref 4", "canceled 2 60 I"]


def test_post_only_that_would_trade_is_canceled_and_else_rests(floor):
    floor.enter(1, 1, "S", 60)
    floor.enter(0, 1, "B", 10, tags=tag(12, b"P"))
    assert floor.heard(0)[1:] == ["canceled 1 10 G"]
    floor.enter(0, 2, "B", 10, 9_900, tags=tag(12, b"P"))
    assert floor.shown() == ["add 1 S 60 at 10000", "add 3 B 10 at 9900"]


def test_self_match_oldest_removes_resting_orders_and_goes_on(floor):
    floor.enter(0, 1, "S", 30)
    floor.enter(1, 1, "S", 50)
    floor.shown(), floor.heard(0)
    floor.enter(0, 2, "B", 40, tags=tag(29, b"O"))
    assert floor.heard(0) == ["accepted 2 B 40 at 10000 ref 3", "prevented 1 30 of 30 at 10000 AO",
                              "executed 2 40 at 10000 R match 1"]
    assert floor.shown() == ["delete 1", "executed 2 40 match 1"]


def test_self_match_newest_stops_the_incoming_order(floor):
    floor.enter(1, 1, "S", 10)
    floor.enter(0, 1, "S", 30)
    floor.shown(), floor.heard(0)
    floor.enter(0, 2, "B", 100, tags=tag(29, b"w"))
    assert floor.heard(0)[1:] == ["executed 2 10 at 10000 R match 1",
                                  "prevented 2 90 of 30 at 10000 RW"]
    assert floor.shown() == ["executed 1 10 match 1"]


def test_self_match_off_trades_with_oneself(floor):
    floor.enter(0, 1, "S", 10)
    floor.enter(0, 2, "B", 10)
    assert floor.heard(0)[2:] == ["executed 1 10 at 10000 A match 1",
                                  "executed 2 10 at 10000 R match 1"]


@pytest.mark.parametrize("letter, traded", [(b"O", True), (b"W", False), (b"N", True)])
def test_own_orders_in_the_count_of_the_minimum_quantity(floor, letter, traded):
    floor.enter(0, 1, "S", 30)
    floor.enter(1, 1, "S", 30)
    floor.heard(0)
    floor.enter(0, 2, "B", 30, tif="3", tags=tag(3, u32(30)) + tag(29, letter))
    heard = floor.heard(0)
    assert any(words.startswith("executed 2") for words in heard) == traded
    assert ("canceled 2 30 I" in heard) == (not traded)
    assert any(words.startswith("prevented") for words in heard) == (letter == b"O")


def test_account_default_decides_without_a_tag_and_with_a_star():
    floor = Floor(smp=("oldest", "newest"))
    for account in (0, 1):
        for ref, tags in ((1, b""), (3, tag(29, b"*"))):
            floor.enter(account, ref, "S", 10)
            floor.heard(account)
            floor.enter(account, ref + 1, "B", 10, tags=tags)
            last = floor.heard(account)[1]
            expected = f"prevented {ref + account} 10 of 10 at 10000 "
            assert last == expected + ("RW" if account else "AO")
            floor.cancel(account, ref), floor.cancel(account, ref + 1)
            floor.heard(account)


def test_replace_booked_whole_is_one_replace_on_the_feed(floor):
    floor.enter(0, 1, "B", 100)
    floor.enter(0, 2, "B", 100)
    floor.shown(), floor.heard(0)
    floor.replace(0, 1, 3, 120)
    assert floor.heard(0) == ["replaced 1 by 3 B 120 at 10000 ref 3"]
    assert floor.shown() == ["replace 1 by 3 120 at 10000"]
    floor.enter(1, 1, "S", 100)
    assert floor.heard(0) == ["executed 2 100 at 10000 A match 1"]


def test_replace_that_trades_shows_a_delete_first_and_adds_the_rest(floor):
    floor.enter(1, 1, "S", 40, 10_100)
    floor.enter(0, 1, "B", 100)
    floor.shown(), floor.heard(0)
    floor.replace(0, 1, 2, 100, 10_100)
    assert floor.heard(0) == ["replaced 1 by 2 B 100 at 10100 ref 3",
                              "executed 2 40 at 10100 R match 1"]
    assert floor.shown() == ["delete 2", "executed 1 40 match 1", "add 3 B 60 at 10100"]


@pytest.mark.parametrize("terms, answer", [
    (dict(price=10_100, tags=tag(12, b"P")), ["canceled 2 100 G"]),
    (dict(price=9_900, tif="3"), ["canceled 2 100 I"])])
def test_replace_that_is_canceled_at_once_leaves_a_delete(floor, terms, answer):
    floor.enter(1, 1, "S", 40, 10_100)
    floor.enter(0, 1, "B", 100)
    floor.shown(), floor.heard(0)
    floor.replace(0, 1, 2, 100, **terms)
    assert floor.heard(0)[1:] == answer
    assert floor.shown() == ["delete 2"]


def test_replace_reckons_with_what_the_chain_has_executed(floor):
    floor.enter(0, 1, "B", 500)
    floor.enter(1, 1, "S", 100)
    floor.heard(0)
    floor.replace(0, 1, 2, 500)
    assert floor.heard(0) == ["replaced 1 by 2 B 400 at 10000 ref 3"]
    floor.replace(0, 2, 3, 100)
    assert floor.heard(0) == ["canceled 2 400 U"]


def test_cancel_down_keeps_the_place_in_the_queue(floor):
    floor.enter(0, 1, "B", 100)
    floor.enter(0, 2, "B", 100)
    floor.cancel(0, 1, 30)
    floor.heard(0), floor.shown()
    floor.enter(1, 1, "S", 50)
    assert floor.heard(0) == ["executed 1 30 at 10000 A match 1",
                              "executed 2 20 at 10000 A match 2"]
    floor.cancel(0, 2, 60)
    floor.cancel(0, 2, 20)
    assert floor.heard(0) == ["canceled 2 40 U", "canceled 2 40 U"]
    assert floor.shown()[-2:] == ["cancel 2 40", "delete 2"]


def test_superfluous_cancels_get_no_answer(floor):
    floor.enter(0, 1, "B", 100)
    floor.heard(0)
    floor.cancel(0, 1, 100)
    floor.cancel(0, 1, 0, b"\0\3" + tag(28, b"\1"))
    floor.cancel(0, 9)
    floor.cancel(1, 1)
    assert floor.heard(0) == [] and floor.venue.counters["cancels_ignored"] == 4


def test_modify_up_goes_to_the_back_with_a_new_reference(floor):
    floor.enter(0, 1, "B", 100)
    floor.enter(0, 2, "B", 100)
    floor.heard(0), floor.shown()
    floor.modify(0, 1, "B", 150)
    assert floor.heard(0) == ["modified 1 B 150", "priority 1 at 10000 ref 3"]
    assert floor.shown() == ["replace 1 by 3 150 at 10000"]
    floor.enter(1, 1, "S", 100)
    assert floor.heard(0) == ["executed 2 100 at 10000 A match 1"]


def test_modify_down_and_of_the_side_letter_keep_the_place(floor):
    floor.enter(0, 1, "S", 100)
    floor.heard(0), floor.shown()
    floor.modify(0, 1, "E", 100)
    floor.modify(0, 1, "T", 70)
    floor.modify(0, 1, "S", 60)
    floor.modify(0, 1, "T", 1_000_000)
    assert floor.heard(0) == ["modified 1 E 100", "modified 1 T 70"]
    assert floor.shown() == ["cancel 1 30"]
    floor.modify(0, 1, "T", 0)
    assert floor.heard(0) == ["canceled 1 70 U"] and floor.shown() == ["delete 1"]


def test_mass_cancel_goes_by_number_and_only_what_was_asked(floor):
    floor.enter(0, 1, "B", 10, 9_000, tags=tag(24, b"\0\1"))
    floor.enter(0, 2, "S", 10, 9_900, tags=tag(24, b"\0\2"))
    floor.enter(0, 3, "B", 10, 9_100, tags=tag(24, b"\0\1"))
    floor.heard(0)
    floor.mass_cancel(0, 4, tags=tag(24, b"\0\1"))
    assert floor.heard(0) == ["mass canceled 4", "canceled 1 10 U", "canceled 3 10 U"]
    floor.mass_cancel(0, 5, b"ALFA", b"ABC     ", tag(27, b"B"))
    floor.mass_cancel(0, 6, b"ALFA", b"ABC     ", tag(27, b"S"))
    assert floor.heard(0) == ["mass canceled 5", "mass canceled 6", "canceled 2 10 U"]


def test_attribution_is_the_orders_firm_else_the_accounts(floor):
    floor.enter(0, 1, "B", 10, display="A")
    floor.enter(0, 2, "B", 10, display="A", tags=tag(2, b"ZETA"))
    assert floor.shown() == ["add 1 B 10 at 10000 by ALFA", "add 2 B 10 at 10000 by ZETA"]


def test_day_end_cancels_everything_and_closes(floor):
    floor.enter(1, 1, "B", 10)
    floor.enter(0, 2, "B", 20)
    floor.enter(0, 3, "B", 30)
    floor.heard(0), floor.heard(1), floor.shown()
    floor.venue.end()
    assert floor.shown() == ["event M", "delete 2", "delete 3", "delete 1", "event E", "event C"]
    assert floor.heard(0) == ["canceled 2 20 E", "canceled 3 30 E", "day E"]
    floor.enter(0, 4, "B", 1)
    assert floor.heard(0) == ["rejected 4 0002"]
