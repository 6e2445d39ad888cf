"""Hidden orders: their place, what is told of them, and what the feed never shows."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def test_hidden_order_rests_unseen_and_its_trade_is_printed(floor):
    floor.enter(1, 1, "S", 100, display="N")
    assert floor.shown() == [] and floor.heard(1) == ["accepted 1 S 100 at 10000 ref 1"]
    floor.enter(0, 1, "B", 60)
    assert floor.heard(1) == ["executed 1 60 at 10000 J match 1"]
    assert floor.heard(0)[1:] == ["executed 1 60 at 10000 R match 1"]
    assert floor.shown() == ["trade 60 at 10000 match 1"]
    floor.enter(0, 2, "B", 60)
    assert floor.shown() == ["trade 40 at 10000 match 2", "add 3 B 20 at 10000"]


def test_bytes_of_the_print_of_a_hidden_sell_and_of_a_hidden_buy(floor):
    floor.now = 5
    floor.enter(1, 1, "S", 100, display="N")
    floor.enter(0, 1, "B", 100)
    assert floor.venue.feed[-1].hex() == (
        "50" "03e9" "0000" "000000000005" "0000000000000000" "42" "00000064" "4142432020202020"
        "00002710" "0100000000000001")
    floor.enter(0, 2, "B", 7, display="N")
    floor.enter(1, 2, "S", 7)
    assert floor.venue.feed[-1].hex() == (
        "50" "03e9" "0000" "000000000005" "0000000000000000" "42" "00000007" "4142432020202020"
        "00002710" "0100000000000002")


def test_shown_orders_go_before_older_hidden_ones_at_a_price(floor):
    floor.enter(1, 1, "S", 50, display="N")
    floor.enter(1, 2, "S", 50)
    floor.enter(1, 3, "S", 50, display="N")
    floor.enter(1, 4, "S", 50, display="A")
    floor.hear_nothing()
    floor.enter(0, 1, "B", 170)
    assert floor.heard(1) == [
        "executed 2 50 at 10000 A match 1", "executed 4 50 at 10000 A match 2",
        "executed 1 50 at 10000 J match 3", "executed 3 20 at 10000 J match 4"]
    assert floor.shown() == ["executed 2 50 match 1", "executed 4 50 match 2",
                             "trade 50 at 10000 match 3", "trade 20 at 10000 match 4"]


def test_a_better_price_goes_first_hidden_or_not(floor):
    floor.enter(1, 1, "S", 50, 10_000)
    floor.enter(1, 2, "S", 50, 9_900, display="N")
    floor.hear_nothing()
    floor.enter(0, 1, "B", 60, 10_000)
    assert floor.shown() == ["trade 50 at 9900 match 1", "executed 1 10 match 2"]


def test_incoming_hidden_order_takes_shown_ones_and_rests_unseen(floor):
    floor.enter(1, 1, "S", 50)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 80, display="N")
    assert floor.heard(0)[1:] == ["executed 1 50 at 10000 R match 1"]
    assert floor.heard(1) == ["executed 1 50 at 10000 A match 1"]
    assert floor.shown() == ["executed 1 50 match 1"]
    floor.enter(1, 2, "S", 30)
    assert floor.heard(0) == ["executed 1 30 at 10000 J match 2"]


def test_two_hidden_orders_never_stay_crossed(floor):
    floor.enter(1, 1, "S", 50, display="N")
    floor.enter(0, 1, "B", 20, display="N")
    assert floor.shown() == ["trade 20 at 10000 match 1"]


def test_immediate_hidden_order_is_canceled_like_any_other(floor):
    floor.enter(0, 1, "B", 80, display="N", tif="3")
    assert floor.heard(0)[1:] == ["canceled 1 80 I"] and floor.shown() == []


def test_cancels_and_modifies_say_nothing_on_the_feed(floor):
    floor.enter(0, 1, "S", 100, display="N")
    floor.cancel(0, 1, 80)
    floor.modify(0, 1, "T", 50)
    floor.modify(0, 1, "T", 120)
    floor.cancel(0, 1)
    assert floor.heard(0)[1:] == ["canceled 1 20 U", "modified 1 T 50", "modified 1 T 120",
                                  "priority 1 at 10000 ref 2", "canceled 1 120 U"]
    assert floor.shown() == []


def test_priority_update_tells_that_the_order_is_hidden(floor):
    floor.enter(0, 1, "S", 100, display="N")
    floor.modify(0, 1, "S", 120)
    update = floor.venue.streams[0][-1]
    assert update[:1] == b"T" and update[21:22] == b"N" and update[-1] == 2


def test_modify_up_sends_a_hidden_order_behind_other_hidden_ones(floor):
    for ref in (1, 2):
        floor.enter(1, ref, "S", 50, display="N")
    floor.modify(1, 1, "S", 60)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 50)
    assert floor.heard(1) == ["executed 2 50 at 10000 J match 1"]


def test_replace_from_shown_to_hidden_and_back(floor):
    floor.enter(0, 1, "B", 100)
    floor.replace(0, 1, 2, 100, display="N")
    floor.replace(0, 2, 3, 90, 9_900, display="N")
    floor.replace(0, 3, 4, 80, display="A")
    floor.replace(0, 4, 5, 70)
    assert floor.heard(0)[1:] == [
        "replaced 1 by 2 B 100 at 10000 ref 2", "replaced 2 by 3 B 90 at 9900 ref 3",
        "replaced 3 by 4 B 80 at 10000 ref 4", "replaced 4 by 5 B 70 at 10000 ref 5"]
    assert floor.shown() == ["add 1 B 100 at 10000", "delete 1", "add 4 B 80 at 10000 by ALFA",
                             "replace 4 by 5 70 at 10000"]


def test_replace_of_a_shown_order_that_meets_a_hidden_one(floor):
    floor.enter(1, 1, "S", 40, 10_100, display="N")
    floor.enter(0, 1, "B", 100)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, 10_200)
    assert floor.heard(0) == ["replaced 1 by 2 B 100 at 10200 ref 3",
                              "executed 2 40 at 10100 R match 1"]
    assert floor.shown() == ["delete 2", "trade 40 at 10100 match 1", "add 3 B 60 at 10200"]


def test_replace_of_a_hidden_order_that_trades_shows_only_its_rest(floor):
    floor.enter(1, 1, "S", 40, 10_100)
    floor.enter(0, 1, "B", 100, display="N")
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, 10_100)
    assert floor.shown() == ["executed 1 40 match 1", "add 3 B 60 at 10100"]
    floor.replace(0, 2, 3, 100, tif="3")
    assert floor.shown() == ["delete 3"]


def test_replace_to_an_immediate_hidden_order_deletes_the_shown_one(floor):
    floor.enter(0, 1, "B", 100)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, tif="3", display="N")
    assert floor.heard(0)[1:] == ["canceled 2 100 I"] and floor.shown() == ["delete 1"]


def test_post_only_that_meets_a_hidden_order_is_canceled(floor):
    floor.enter(1, 1, "S", 10, display="N")
    floor.enter(0, 1, "B", 10, post_only=True)
    floor.enter(0, 2, "B", 10, display="N", post_only=True)
    floor.enter(0, 3, "B", 10, 9_900, display="N", post_only=True)
    assert floor.heard(0) == [
        "accepted 1 B 10 at 10000 ref 2", "canceled 1 10 G", "accepted 2 B 10 at 10000 ref 3",
        "canceled 2 10 G", "accepted 3 B 10 at 9900 ref 4"]
    assert floor.shown() == []


def test_self_match_oldest_removes_a_hidden_order_in_silence(floor):
    floor.enter(0, 1, "S", 30, display="N")
    floor.enter(0, 2, "B", 40, smp="O")
    assert floor.heard(0)[2:] == ["prevented 1 30 of 30 at 10000 JO"]
    assert floor.shown() == ["add 2 B 40 at 10000"]


def test_self_match_newest_stops_at_a_hidden_order(floor):
    floor.enter(0, 1, "S", 30, display="N")
    floor.enter(0, 2, "B", 40, smp="W")
    assert floor.heard(0)[2:] == ["prevented 2 40 of 30 at 10000 RW"]
    assert floor.shown() == []


def test_hidden_orders_count_for_fill_or_kill(floor):
    floor.enter(1, 1, "S", 30, display="N")
    floor.enter(1, 2, "S", 30)
    floor.enter(0, 1, "B", 61, tif="3", min_qty=61)
    assert floor.heard(0)[1:] == ["canceled 1 61 I"]
    floor.enter(0, 2, "B", 60, tif="3", min_qty=60)
    assert floor.heard(0)[1:] == ["executed 2 30 at 10000 R match 1",
                                  "executed 2 30 at 10000 R match 2"]


def test_mass_cancel_and_the_end_of_the_day_show_only_what_was_shown(floor):
    floor.enter(0, 1, "B", 10, display="N")
    floor.enter(0, 2, "B", 20)
    floor.mass_cancel(0, 3)
    assert floor.heard(0)[2:] == ["mass canceled 3", "canceled 1 10 U", "canceled 2 20 U"]
    assert floor.shown() == ["add 2 B 20 at 10000", "delete 2"]
    floor.enter(0, 4, "B", 30, display="N")
    floor.venue.end()
    assert floor.heard(0)[1:] == ["canceled 4 30 E", "day E"]
    assert floor.shown() == ["event M", "event E", "event C"]
