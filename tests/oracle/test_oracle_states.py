"""Trading states of a symbol, and trades that are broken."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor(symbols=[dict(name="XYZ", tick_size=100)])


# -- states ------------------------------------------------------------------------------------


def test_every_change_of_state_is_told_with_its_reason(floor):
    for state, reason in (("H", b"T1  "), ("P", b"LUDP"), ("Q", b"M   "), ("T", b"    ")):
        floor.venue.halt(1, state, reason)
    assert floor.shown() == ["action H T1", "action P LUDP", "action Q M", "action T"]


def test_bytes_of_a_trading_action(floor):
    floor.venue.halt(1, b"H", b"T1  ", 5)
    assert floor.venue.feed[-1].hex() == (
        "48" "03ea" "0000" "000000000005" "58595a2020202020" "48" "20" "54312020")


@pytest.mark.parametrize("command", [
    dict(symbol_idx=0, state="T"), dict(symbol_idx=0, state="T", reason=b"T3  "),
    dict(symbol_idx=2, state="H"), dict(symbol_idx=-1, state="H"),
    dict(symbol_idx=0, state="X"), dict(symbol_idx=0, state=" ")])
def test_a_state_that_is_no_news_or_unknown_is_ignored(floor, command):
    floor.venue.halt(**command)
    assert floor.shown() == []
    floor.enter(0, 1, "B", 1)
    assert floor.heard(0) == ["accepted 1 B 1 at 10000 ref 1"]


def test_after_the_day_states_do_not_change(floor):
    floor.venue.end()
    floor.shown()
    floor.venue.halt(0, "H")
    assert floor.shown() == []


def test_a_configured_state_stands_in_the_directory():
    floor = Floor(symbol=dict(state="H"))
    assert floor.venue.feed[2][19:20] == b"H"
    floor.enter(0, 1, "B", 1)
    assert floor.heard(0) == ["rejected 1 0007"]


def test_a_halt_touches_neither_the_book_nor_other_symbols(floor):
    floor.enter(0, 1, "B", 100)
    floor.venue.halt(0, "H")
    floor.enter(0, 2, "B", 100, symbol=b"XYZ     ")
    floor.venue.halt(0, "T")
    floor.enter(1, 1, "S", 100)
    assert floor.heard(1) == ["accepted 1 S 100 at 10000 ref 3",
                              "executed 1 100 at 10000 R match 1"]
    assert floor.shown() == ["add 1 B 100 at 10000", "action H", "add 2 B 100 at 10000",
                             "action T", "executed 1 100 match 1"]


def test_from_halt_and_pause_trading_resumes_without_a_cross(floor):
    floor.venue.halt(0, "Q")
    floor.enter(0, 1, "B", 100, cross="H")
    floor.enter(1, 1, "S", 100, cross="H")
    for state in "HTPT":
        floor.venue.halt(0, state)
    assert floor.shown() == ["action Q", "action H", "action T", "action P", "action T"]
    assert floor.heard(0) == ["accepted 1 B 100 at 10000 ref 1"]
    floor.venue.halt(0, "Q")
    floor.venue.halt(0, "T")                            # their cross comes now
    assert floor.heard(0) == ["executed 1 100 at 10000 H match 1"]
    assert floor.shown() == ["action Q", "cross H 100 at 10000 match 2", "action T"]


def test_before_the_opening_resuming_is_no_cross():
    floor = Floor(opens_later=True)
    floor.enter(0, 1, "B", 100, cross="O")
    floor.enter(1, 1, "S", 100, cross="O")
    floor.venue.halt(0, "Q")
    floor.venue.halt(0, "T")
    assert floor.shown() == ["action Q", "action T"]
    floor.venue.open_market()
    assert floor.shown() == ["cross O 100 at 10000 match 2", "event Q"]


def test_orders_in_a_halted_symbol_leave_at_the_end_of_the_day_without_a_cross(floor):
    floor.enter(0, 1, "B", 100, cross="C")
    floor.enter(1, 1, "S", 100, cross="C")
    floor.enter(0, 2, "B", 100, 9_000)
    floor.venue.halt(0, "P")
    floor.hear_nothing()
    floor.venue.end()
    assert floor.shown() == ["event M", "delete 3", "event E", "event C"]
    assert floor.heard(0) == ["canceled 1 100 E", "canceled 2 100 E", "day E"]


def test_a_disconnect_cancels_every_kind_of_order_in_any_state(floor):
    floor.venue.login(0, b"TOKEN00001", "10.0.0.1", 4000)
    floor.enter(0, 4, "B", 100, max_floor=30)
    floor.enter(0, 5, "B", 100, 9_000, display="N", life=60)
    floor.enter(0, 6, "B", 100, cross="C")
    floor.venue.halt(0, "Q")
    floor.enter(0, 7, "B", 100, cross="H")
    floor.hear_nothing()
    floor.venue.disconnect(0, 5)
    assert floor.heard(0) == [f"canceled {ref} 100 Z" for ref in (4, 5, 6, 7)]
    assert floor.shown() == ["delete 1"]
    floor.venue.halt(0, "T")
    assert floor.shown() == ["action T"]


# -- broken trades -----------------------------------------------------------------------------


def test_buyer_then_seller_then_everybody_learn_of_a_broken_trade(floor):
    floor.enter(1, 5, "S", 100)
    floor.enter(0, 3, "B", 60)
    floor.hear_nothing()
    floor.venue.bust(1, "E", 7)
    assert floor.heard(0) == ["broken 3 match 1 E"] and floor.heard(1) == ["broken 5 match 1 E"]
    assert floor.shown() == ["broken match 1"]
    assert floor.venue.streams[0][-1].hex() == (
        "42" "0000000000000007" "00000003" "0100000000000001" "45"
        "434c4f52442d3030303120202020")
    assert floor.venue.feed[-1].hex() == "42" "03e9" "0000" "000000000007" "0100000000000001"
    assert floor.venue.book.live[1][5].open == 40


def test_one_account_on_both_sides_is_told_twice_the_buyer_first(floor):
    floor.enter(0, 1, "B", 10)
    floor.enter(0, 2, "S", 10)
    floor.hear_nothing()
    floor.venue.bust(1, b"C")
    assert floor.heard(0) == ["broken 1 match 1 C", "broken 2 match 1 C"]


def test_names_are_those_of_the_moment_of_the_trade(floor):
    floor.enter(0, 1, "B", 100)
    floor.enter(1, 1, "S", 60, display="N")
    floor.replace(0, 1, 2, 100, 9_000)
    floor.hear_nothing()
    floor.venue.bust(1, "S")
    assert floor.heard(0) == ["broken 1 match 1 S"]
    assert floor.venue.streams[0][-1][22:] == b"CLORD-0001    "


def test_unknown_broken_and_badly_reasoned_busts_are_counted_and_nothing_else(floor):
    floor.enter(0, 1, "B", 10)
    floor.enter(1, 1, "S", 10)
    floor.hear_nothing()
    for match, reason in ((0, "E"), (2, "E"), (1, "Z"), (1, " "), (1 << 40, "E")):
        floor.venue.bust(match, reason)
    assert floor.venue.counters["busts_ignored"] == 5 and floor.shown() == []
    floor.venue.bust(1, "X")
    floor.venue.bust(1, "X")
    assert floor.venue.counters["busts_ignored"] == 6
    assert floor.heard(0) == ["broken 1 match 1 X"] and floor.shown() == ["broken match 1"]


def test_only_the_newest_trades_can_be_broken(floor):
    for ref in (1, 2):
        floor.enter(0, ref, "B", 10)
        floor.enter(1, ref, "S", 10)
    floor.hear_nothing()
    floor.venue.book.last_match = 65_537
    floor.venue.bust(1, "E")
    assert floor.venue.counters["busts_ignored"] == 1 and floor.shown() == []
    floor.venue.bust(2, "E")
    assert floor.shown() == ["broken match 2"]


def test_fills_of_a_cross_can_be_broken_and_its_print_cannot(floor):
    floor.venue.halt(0, "Q")
    floor.enter(1, 1, "S", 10, cross="H")
    floor.enter(0, 1, "B", 10, cross="H")
    floor.venue.halt(0, "T")
    floor.hear_nothing()
    floor.venue.bust(2, "E")
    assert floor.venue.counters["busts_ignored"] == 1
    floor.venue.bust(1, "E")
    assert floor.heard(0) == ["broken 1 match 1 E"] and floor.shown() == ["broken match 1"]


def test_after_the_day_nothing_is_broken(floor):
    floor.enter(0, 1, "B", 10)
    floor.enter(1, 1, "S", 10)
    floor.venue.end()
    floor.hear_nothing()
    floor.venue.bust(1, "E")
    assert floor.heard(0) == [] and floor.shown() == []
    assert floor.venue.counters["busts_ignored"] == 1
