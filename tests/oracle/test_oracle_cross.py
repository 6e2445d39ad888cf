"""Crosses of auction orders: the price, who gets shares, and what is told in which order."""

import pytest

from tests.oracle.words import Floor


def before_the_opening(**options):
    return Floor(opens_later=True, **options)


def opening(orders, reference=0):
    """What the feed prints of an opening cross of (side, quantity, price) orders of account 0."""
    floor = before_the_opening(symbol=dict(reference_price=reference))
    for ref, (side, quantity, price) in enumerate(orders, 1):
        floor.enter(0, ref, side, quantity, price, cross="O")
    floor.venue.open_market()
    told = floor.shown()
    assert told.pop() == "event Q"
    return told


# -- the price ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reference, price", [
    (0, 10_000), (10_000, 10_000), (10_100, 10_000), (10_150, 10_200), (10_200, 10_200),
    (20_000, 10_200)])
def test_equal_volume_and_imbalance_go_to_the_reference_then_to_the_lower_price(reference, price):
    assert opening([("B", 100, 10_200), ("S", 60, 10_000)], reference) == [
        f"cross O 60 at {price} match 2"]


def test_the_largest_volume_comes_before_everything():
    # at 10,000: 100 against 40; at 10,100: 80 against 70; at 10,200: 30 against 70
    orders = [("B", 30, 10_200), ("B", 50, 10_100), ("B", 20, 10_000), ("S", 40, 10_000),
              ("S", 30, 10_100)]
    for reference in (0, 10_000, 10_200):
        assert opening(orders, reference)[-1].startswith("cross O 70 at 10100 ")


def test_then_the_least_imbalance():
    # at 10,000: 100 against 100; at 10,200 and 10,300: 100 against 150
    orders = [("B", 100, 10_300), ("S", 100, 10_000), ("S", 50, 10_200)]
    for reference in (0, 10_200, 10_300):
        assert opening(orders, reference) == ["cross O 100 at 10000 match 2"]


def test_market_orders_count_at_every_price_and_are_no_candidate():
    # at 10,000: 130 against 80; the market orders alone would be 30 against 80
    orders = [("B", 30, None), ("B", 100, 10_000), ("S", 80, None)]
    for reference in (0, 10_100, 1_999_999_900):
        assert opening(orders, reference) == ["cross O 80 at 10000 match 3"]


def test_only_market_orders_cross_at_the_reference():
    orders = [("B", 100, None), ("S", 80, None)]
    assert opening(orders, 12_300) == ["cross O 80 at 12300 match 2"]
    assert opening(orders) == []


def test_a_market_order_against_a_limit_crosses_at_the_limit():
    assert opening([("B", 100, None), ("S", 80, 11_000)], 9_000) == [
        "cross O 80 at 11000 match 2"]


def test_no_volume_is_no_cross():
    assert opening([("B", 100, 9_900), ("S", 80, 10_000)]) == []
    assert opening([("B", 100, None)], 10_000) == []
    assert opening([]) == []


# -- the opening -------------------------------------------------------------------------------


def test_opening_cross_comes_before_market_hours_and_its_rest_is_canceled():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 100, 10_200, cross="O")
    floor.enter(1, 1, "S", 60, 10_000, cross="O", tif="3")
    floor.enter(1, 2, "S", 50, 10_300, cross="O")
    floor.enter(0, 2, "B", 7, 9_000, cross="C")
    floor.enter(1, 3, "B", 9, 9_000, cross="O")
    assert floor.shown() == []
    floor.venue.open_market()
    assert floor.shown() == ["cross O 60 at 10000 match 2", "event Q"]
    assert floor.heard(0)[2:] == ["executed 1 60 at 10000 O match 1", "canceled 1 40 I"]
    assert floor.heard(1)[3:] == ["executed 1 60 at 10000 O match 1", "canceled 2 50 I",
                                  "canceled 3 9 I"]
    assert set(floor.venue.book.live[0]) == {2}             # it waits for its own cross
    floor.venue.open_market()
    assert floor.shown() == []


def test_bytes_of_a_cross():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 60, cross="O")
    floor.enter(1, 1, "S", 60, cross="O")
    floor.venue.open_market(5)
    assert floor.venue.feed[-2].hex() == (
        "51" "03e9" "0000" "000000000005" "000000000000003c" "4142432020202020" "00002710"
        "0100000000000002" "4f")
    assert floor.venue.streams[0][-1].hex() == (
        "45" "0000000000000005" "00000001" "0000003c" "0000000000002710" "4f" "0100000000000001"
        "0000")


def test_market_orders_first_then_better_prices_then_older_references():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 30, 10_000, cross="O")
    floor.enter(0, 2, "B", 30, 10_000, cross="O")
    floor.enter(0, 3, "B", 30, 10_100, cross="O")
    floor.enter(0, 4, "B", 30, None, cross="O")
    floor.modify(0, 1, "B", 31)                             # a younger reference
    floor.enter(1, 1, "S", 100, 10_000, cross="O")
    floor.hear_nothing()
    floor.venue.open_market()
    assert floor.heard(0) == [
        "executed 4 30 at 10000 O match 1", "executed 3 30 at 10000 O match 2",
        "executed 2 30 at 10000 O match 3", "executed 1 10 at 10000 O match 4",
        "canceled 1 21 I"]
    assert floor.heard(1) == [
        "executed 1 30 at 10000 O match 1", "executed 1 30 at 10000 O match 2",
        "executed 1 30 at 10000 O match 3", "executed 1 10 at 10000 O match 4"]
    assert floor.shown() == ["cross O 100 at 10000 match 5", "event Q"]


def test_buys_and_sells_are_paired_piece_by_piece_the_buyer_told_first():
    floor = before_the_opening()
    for ref, quantity in ((1, 50), (2, 30)):
        floor.enter(0, ref, "B", quantity, cross="O")
    for ref, quantity in ((3, 20), (4, 70)):
        floor.enter(0, ref, "S", quantity, cross="O")
    floor.heard(0)
    floor.venue.open_market()
    assert floor.heard(0) == [
        "executed 1 20 at 10000 O match 1", "executed 3 20 at 10000 O match 1",
        "executed 1 30 at 10000 O match 2", "executed 4 30 at 10000 O match 2",
        "executed 2 30 at 10000 O match 3", "executed 4 30 at 10000 O match 3",
        "canceled 4 10 I"]
    assert floor.shown()[0] == "cross O 80 at 10000 match 4"


@pytest.mark.parametrize("smp", "OWDY")
def test_self_matches_are_not_prevented_in_a_cross(smp):
    floor = before_the_opening()
    floor.enter(0, 1, "B", 50, cross="O", smp=smp)
    floor.enter(0, 2, "S", 50, cross="O", smp=smp)
    floor.venue.open_market()
    assert floor.shown()[0] == "cross O 50 at 10000 match 2"


def test_rest_of_both_sides_is_canceled_by_the_reference_of_that_moment():
    floor = before_the_opening()
    floor.enter(0, 1, "S", 10, 10_100, cross="O")
    floor.enter(0, 2, "B", 10, 10_000, cross="O")
    floor.enter(0, 3, "S", 10, None, cross="O")
    floor.modify(0, 1, "S", 11)
    floor.enter(0, 4, "B", 5, 9_900, cross="O")
    floor.heard(0)
    floor.venue.open_market()
    assert floor.heard(0) == [
        "executed 2 10 at 10000 O match 1", "executed 3 10 at 10000 O match 1",
        "canceled 1 11 I", "canceled 4 5 I"]


def test_symbols_open_one_after_the_other_and_halted_ones_only_cancel():
    floor = before_the_opening(symbols=[dict(name="XYZ", tick_size=100),
                                        dict(name="LAST", tick_size=100)])
    ref = 0
    for symbol in (b"LAST    ", b"XYZ     ", b"ABC     "):
        for side in "BS":
            ref += 1
            floor.enter(0, ref, side, ref * 10, cross="O", symbol=symbol)
    floor.venue.halt(1, "H")
    floor.hear_nothing()
    floor.venue.open_market()
    assert floor.heard(0) == [
        "executed 5 50 at 10000 O match 1", "executed 6 50 at 10000 O match 1", "canceled 6 10 I",
        "canceled 3 30 I", "canceled 4 40 I",
        "executed 1 10 at 10000 O match 3", "executed 2 10 at 10000 O match 3", "canceled 2 10 I"]
    assert floor.shown() == ["cross O 50 at 10000 match 2", "cross O 10 at 10000 match 4",
                             "event Q"]


def test_a_day_that_never_opened_cancels_auction_orders_at_its_end():
    floor = before_the_opening()
    floor.enter(0, 2, "B", 50, cross="O")
    floor.enter(0, 3, "S", 50, cross="O")
    floor.enter(0, 4, "S", 50, cross="C")
    floor.heard(0)
    floor.venue.end()
    assert floor.heard(0) == ["canceled 2 50 E", "canceled 3 50 E", "canceled 4 50 E", "day E"]
    assert floor.shown() == ["event E", "event C"]
