"""Price collars: how far from the reference an order may trade. Here 9,500 to 10,500."""

import pytest

from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor(symbol=dict(reference_price=10_000, collar=5))


def test_a_buy_trades_up_to_the_bound_and_its_rest_is_canceled(floor):
    floor.enter(1, 1, "S", 50, 10_500)
    floor.enter(1, 2, "S", 50, 10_600)
    floor.hear_nothing()
    floor.enter(0, 1, "B", 80, 10_600)
    assert floor.heard(0)[1:] == ["executed 1 50 at 10500 R match 1", "canceled 1 30 K"]
    assert floor.shown() == ["executed 1 50 match 1"]


def test_a_sell_trades_down_to_the_bound_and_its_rest_is_canceled(floor):
    floor.enter(1, 1, "B", 50, 9_500)
    floor.enter(1, 2, "B", 50, 9_400)
    floor.hear_nothing()
    floor.enter(0, 1, "S", 80, 100)
    assert floor.heard(0)[1:] == ["executed 1 50 at 9500 R match 1", "canceled 1 30 K"]
    assert floor.shown() == ["executed 1 50 match 1"]


@pytest.mark.parametrize("side, price, answer", [
    ("B", 10_500, []), ("B", 10_600, ["canceled 1 80 K"]), ("S", 9_500, []),
    ("S", 9_400, ["canceled 1 80 K"]), ("B", 100, []), ("S", 1_999_999_900, [])])
def test_only_what_lies_beyond_the_bound_of_its_own_side_is_refused_a_place(
        floor, side, price, answer):
    floor.enter(0, 1, side, 80, price)
    assert floor.heard(0)[1:] == answer
    assert len(floor.shown()) == (not answer)


def test_an_order_that_trades_whole_inside_is_not_canceled(floor):
    floor.enter(1, 1, "S", 80, 10_500)
    floor.enter(0, 1, "B", 80, 20_000)
    assert floor.heard(0)[1:] == ["executed 1 80 at 10500 R match 1"]


@pytest.mark.parametrize("price, reason", [(10_500, "I"), (10_600, "K"), (None, "K")])
def test_immediate_and_market_orders(floor, price, reason):
    floor.enter(1, 1, "S", 50, 10_500)
    floor.enter(1, 2, "S", 50, 10_600)
    floor.enter(0, 1, "B", 80, price, tif="3")
    assert floor.heard(0)[1:] == ["executed 1 50 at 10500 R match 1", f"canceled 1 30 {reason}"]


def test_a_market_sell_on_an_empty_book(floor):
    floor.enter(0, 1, "S", 80, None, tif="3")
    assert floor.heard(0)[1:] == ["canceled 1 80 K"]


@pytest.mark.parametrize("price, answer", [
    (10_400, ["canceled 1 10 G"]), (10_900, ["canceled 1 10 G"])])
def test_post_only_that_meets_inside_the_bound(floor, price, answer):
    floor.enter(1, 1, "S", 50, 10_400)
    floor.enter(0, 1, "B", 10, price, post_only=True)
    assert floor.heard(0)[1:] == answer


def test_post_only_that_meets_nobody_inside_the_bound(floor):
    floor.enter(1, 1, "S", 50, 10_600)
    floor.enter(0, 1, "B", 10, 10_700, post_only=True)
    floor.enter(0, 2, "B", 10, 10_500, post_only=True)
    assert floor.heard(0) == ["accepted 1 B 10 at 10700 ref 2", "canceled 1 10 K",
                              "accepted 2 B 10 at 10500 ref 3"]


def test_fill_or_kill_counts_only_inside_the_bound(floor):
    floor.enter(1, 1, "S", 50, 10_500)
    floor.enter(1, 2, "S", 50, 10_600)
    floor.enter(0, 1, "B", 51, 10_600, tif="3", min_qty=51)
    assert floor.heard(0)[1:] == ["canceled 1 51 I"]
    floor.enter(0, 2, "B", 80, 10_600, tif="3", min_qty=50)
    assert floor.heard(0)[1:] == ["executed 2 50 at 10500 R match 1", "canceled 2 30 K"]


def test_hidden_minimum_order_beyond_the_bound(floor):
    floor.enter(1, 1, "S", 50, 10_500)
    floor.enter(1, 2, "S", 50, 10_600)
    floor.enter(0, 1, "B", 80, 10_600, display="N", min_qty=51)
    floor.enter(0, 2, "B", 80, 10_500, display="N", min_qty=51)
    assert floor.heard(0) == ["accepted 1 B 80 at 10600 ref 3", "canceled 1 80 K",
                              "accepted 2 B 80 at 10500 ref 4"]


def test_replace_beyond_the_bound_deletes_then_trades_then_cancels(floor):
    floor.enter(1, 1, "S", 30, 10_300)
    floor.enter(0, 1, "B", 80)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 80, 10_600)
    assert floor.heard(0) == ["replaced 1 by 2 B 80 at 10600 ref 3",
                              "executed 2 30 at 10300 R match 1", "canceled 2 50 K"]
    assert floor.shown() == ["delete 2", "executed 1 30 match 1"]


def test_replace_beyond_the_bound_that_meets_nobody(floor):
    floor.enter(0, 1, "B", 80)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 80, 10_600)
    assert floor.heard(0) == ["replaced 1 by 2 B 80 at 10600 ref 2", "canceled 2 80 K"]
    assert floor.shown() == ["delete 1"]


def test_a_modify_up_is_no_new_order(floor):
    floor.enter(0, 1, "B", 80, 9_000)
    floor.modify(0, 1, "B", 90)
    assert floor.heard(0)[1:] == ["modified 1 B 90", "priority 1 at 9000 ref 2"]


def test_the_lower_bound_is_at_least_one_tick():
    floor = Floor(symbol=dict(reference_price=300, collar=5))
    floor.enter(0, 1, "S", 80, 100)
    floor.enter(0, 2, "S", 80, None, tif="3")
    assert floor.heard(0) == ["accepted 1 S 80 at 100 ref 1",
                              "accepted 2 S 80 at 2147483647 ref 2", "canceled 2 80 K"]


@pytest.mark.parametrize("symbol", [dict(collar=5), dict(reference_price=10_000), {}])
def test_without_reference_or_without_collar_there_is_no_bound(symbol):
    floor = Floor(symbol=symbol)
    floor.enter(0, 1, "B", 80, 1_999_999_900)
    floor.enter(0, 2, "B", 80, None, tif="3")
    assert floor.heard(0)[1:] == ["accepted 2 B 80 at 2147483647 ref 2", "canceled 2 80 I"]


@pytest.mark.parametrize("symbol", [dict(reference_price=10_000, collar=5), dict(collar=5)])
def test_a_cross_moves_the_reference_and_knows_no_collar(symbol):
    floor = Floor(symbol=symbol, opens_later=True)
    floor.enter(0, 1, "B", 10, 12_000, cross="O")
    floor.enter(1, 1, "S", 10, 12_000, cross="O")
    floor.venue.open_market()
    assert floor.shown() == ["cross O 10 at 12000 match 2", "event Q"]
    floor.hear_nothing()
    floor.enter(0, 2, "B", 10, 12_500)
    floor.enter(0, 3, "B", 10, 12_600)
    floor.enter(1, 4, "S", 10, 11_400)
    assert floor.heard(0) == ["accepted 2 B 10 at 12500 ref 3", "accepted 3 B 10 at 12600 ref 4",
                              "canceled 3 10 K", "executed 2 10 at 12500 A match 3"]


def test_the_bound_is_that_of_the_symbol():
    floor = Floor(symbol=dict(reference_price=10_000, collar=5),
                  symbols=[dict(name="XYZ", tick_size=25, reference_price=10_000, collar=5)])
    for ref, price in ((1, 10_125), (2, 10_150)):
        floor.enter(0, ref, "B", 10, price, symbol=b"XYZ     ")
    assert floor.heard(0) == ["accepted 1 B 10 at 10125 ref 1", "accepted 2 B 10 at 10150 ref 2",
                              "canceled 2 10 K"]


def test_self_match_newest_ends_an_order_before_the_collar_does(floor):
    floor.enter(0, 1, "S", 10, 10_400)
    floor.enter(0, 2, "B", 30, 10_900, smp="W")
    floor.enter(0, 3, "B", 30, 10_900, smp="D")
    assert floor.heard(0)[1:] == [
        "accepted 2 B 30 at 10900 ref 2", "prevented 2 30 of 10 at 10400 RW",
        "accepted 3 B 30 at 10900 ref 3", "prevented 1 10 of 10 at 10400 AD",
        "prevented 3 10 of 10 at 10400 RD", "canceled 3 20 K"]
