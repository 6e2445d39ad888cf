"""Good till time: when an order leaves, in which order, and before what."""

import pytest

from tests.oracle.generate import tag, u32
from tests.oracle.words import Floor

SECOND = 1_000_000_000


@pytest.fixture
def floor():
    floor = Floor()
    floor.now = 10 * SECOND
    return floor


def test_an_order_leaves_at_its_nanosecond_and_not_before(floor):
    floor.now += 7
    floor.enter(0, 1, "B", 100, life=5)
    floor.hear_nothing()
    floor.venue.clock(15 * SECOND + 6)
    assert floor.heard(0) == [] and floor.shown() == []
    floor.venue.clock(15 * SECOND + 7)
    assert floor.heard(0) == ["canceled 1 100 T"] and floor.shown() == ["delete 1"]
    floor.venue.clock(16 * SECOND)
    assert floor.heard(0) == []


def test_bytes_carry_the_time_of_the_record_that_came(floor):
    floor.enter(0, 1, "B", 100, life=5)
    floor.venue.clock(20 * SECOND)
    assert floor.venue.streams[0][-1].hex() == "43" + f"{20 * SECOND:016x}" + "00000001" \
        "00000064" "54"
    assert floor.venue.feed[-1].hex() == "44" "03e9" "0000" + f"{20 * SECOND:012x}" \
        "0100000000000001"


def test_a_due_order_does_not_meet_the_message_that_comes_then(floor):
    floor.enter(0, 1, "B", 100, life=5)
    floor.now += 5 * SECOND
    floor.enter(1, 1, "S", 100)
    assert floor.heard(0)[1:] == ["canceled 1 100 T"]
    assert floor.heard(1) == ["accepted 1 S 100 at 10000 ref 2"]
    assert floor.shown() == ["add 1 B 100 at 10000", "delete 1", "add 2 S 100 at 10000"]


def test_one_nanosecond_earlier_it_trades(floor):
    floor.enter(0, 1, "B", 100, life=5)
    floor.now += 5 * SECOND - 1
    floor.enter(1, 1, "S", 100)
    assert floor.heard(0)[1:] == ["executed 1 100 at 10000 A match 1"]
    floor.venue.clock(floor.now + SECOND)
    assert floor.heard(0) == []


def test_cancel_and_replace_find_the_due_order_gone(floor):
    floor.enter(0, 1, "B", 100, life=5)
    floor.now += 5 * SECOND
    floor.cancel(0, 1)
    floor.replace(0, 1, 2, 100)
    assert floor.heard(0)[1:] == ["canceled 1 100 T"]
    assert floor.venue.counters["cancels_ignored"] == 2


def test_orders_leave_by_time_then_by_the_reference_they_came_in_with(floor):
    floor.enter(0, 9, "B", 10, life=3)          # ref 1, due at 13
    floor.now += SECOND
    floor.enter(1, 1, "B", 10, life=2)          # ref 2, due at 13
    floor.enter(1, 2, "B", 10, life=1)          # ref 3, due at 12
    floor.enter(0, 10, "B", 10, life=2)         # ref 4, due at 13
    floor.enter(0, 11, "B", 10, life=3)         # ref 5, due at 14
    floor.hear_nothing()
    floor.venue.clock(13 * SECOND)
    assert floor.shown() == ["delete 3", "delete 1", "delete 2", "delete 4"]
    assert floor.heard(0) == ["canceled 9 10 T", "canceled 10 10 T"]
    assert floor.heard(1) == ["canceled 2 10 T", "canceled 1 10 T"]


def test_a_refresh_and_a_growing_modify_keep_the_place_in_that_order(floor):
    floor.enter(0, 1, "B", 90, life=3, max_floor=30)        # ref 1
    floor.enter(0, 2, "B", 10, life=3)                      # ref 2
    floor.enter(0, 3, "B", 10, life=3)                      # ref 3
    floor.enter(1, 1, "S", 30)                              # ref 4; the first is now ref 5
    floor.modify(0, 2, "B", 20)                             # now ref 6
    floor.hear_nothing()
    floor.venue.clock(13 * SECOND)
    assert floor.shown() == ["delete 5", "delete 6", "delete 3"]
    assert floor.heard(0) == ["canceled 1 60 T", "canceled 2 20 T", "canceled 3 10 T"]


def test_replace_counts_from_the_replace(floor):
    floor.enter(0, 1, "B", 10, life=5)
    floor.enter(0, 2, "B", 10, life=9)
    floor.now += 4 * SECOND
    floor.replace(0, 1, 3, 10, life=5)                      # ref 3, due at 19 as the other
    floor.hear_nothing()
    floor.venue.clock(19 * SECOND - 1)
    assert floor.heard(0) == []
    floor.venue.clock(19 * SECOND)
    assert floor.heard(0) == ["canceled 2 10 T", "canceled 3 10 T"]


def test_replace_to_a_day_order_and_to_a_timed_one(floor):
    floor.enter(0, 1, "B", 10, life=5)
    floor.enter(0, 2, "B", 10)
    floor.replace(0, 1, 3, 10)
    floor.replace(0, 2, 4, 10, life=1)
    floor.hear_nothing()
    floor.venue.clock(100 * SECOND)
    assert floor.heard(0) == ["canceled 4 10 T"]


def test_what_was_executed_or_cut_off_does_not_leave_again(floor):
    floor.enter(0, 1, "B", 100, life=5)
    floor.enter(1, 1, "S", 40)
    floor.cancel(0, 1, 90)
    floor.hear_nothing()
    floor.venue.clock(15 * SECOND)
    assert floor.heard(0) == ["canceled 1 50 T"]


def test_hidden_orders_leave_without_a_word_on_the_feed(floor):
    floor.enter(0, 1, "B", 100, life=5, display="N", min_qty=50)
    floor.venue.clock(15 * SECOND)
    assert floor.heard(0)[1:] == ["canceled 1 100 T"] and floor.shown() == []


def test_the_longest_life_ends_on_the_next_morning(floor):
    floor.enter(0, 1, "B", 100, life=86_399)
    floor.hear_nothing()
    floor.venue.clock(10 * SECOND + 86_399 * SECOND - 1)
    assert floor.heard(0) == []
    floor.venue.clock(10 * SECOND + 86_399 * SECOND)
    assert floor.heard(0) == ["canceled 1 100 T"]


@pytest.mark.parametrize("record", [
    lambda venue, now: venue.tick(now), lambda venue, now: venue.clock(now),
    lambda venue, now: venue.halt(0, "H", now_ns=now), lambda venue, now: venue.bust(9, "E", now),
    lambda venue, now: venue.imbalance("C", now), lambda venue, now: venue.open_market(now),
    lambda venue, now: venue.login(1, b"TOKEN00001", "10.0.0.1", 1, now_ns=now),
    lambda venue, now: venue.datagram("10.0.0.1", 1, b"", now),
    lambda venue, now: venue.disconnect(1, now), lambda venue, now: venue.message(1, b"Q", now)])
def test_whatever_comes_lets_due_orders_go_first(floor, record):
    floor.enter(0, 1, "B", 100, life=5)
    floor.hear_nothing()
    record(floor.venue, 15 * SECOND)
    assert floor.heard(0) == ["canceled 1 100 T"] and floor.shown()[0] == "delete 1"


def test_due_orders_go_before_the_end_of_the_day(floor):
    floor.enter(0, 1, "B", 100, life=5)
    floor.enter(0, 2, "B", 100, life=6)
    floor.hear_nothing()
    floor.venue.end(15 * SECOND)
    assert floor.heard(0) == ["canceled 1 100 T", "canceled 2 100 E", "day E"]
    assert floor.shown() == ["delete 1", "event M", "delete 2", "event E", "event C"]


def test_timed_post_only_order_that_would_trade_never_lived(floor):
    floor.enter(1, 1, "S", 10)
    floor.enter(0, 1, "B", 10, life=5, post_only=True)
    assert floor.heard(0)[1:] == ["canceled 1 10 G"]
    floor.venue.clock(15 * SECOND)
    assert floor.heard(0) == []


def test_time_in_force_and_life_are_echoed(floor):
    floor.enter(0, 1, "B", 10, life=5)
    accepted = floor.venue.streams[0][-1]
    assert accepted[34:35] == b"6" and accepted[64:] == tag(15, u32(5))
