"""Imbalance messages before a cross: when they come, and their numbers."""

import pytest

from tests.oracle.cross import variation
from tests.oracle.words import Floor


def before_the_opening(**options):
    return Floor(symbol=dict(reference_price=10_000), opens_later=True, **options)


def test_numbers_before_an_opening():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 100, 10_200, cross="O")
    floor.enter(0, 2, "B", 30, None, cross="O")
    floor.enter(1, 1, "S", 90, 9_900, cross="O")
    floor.enter(1, 2, "S", 50, 10_100, cross="O")
    floor.venue.imbalance("O")
    # at 10,000: 130 against 90; the cross is at 10,100 (130 against 140), 1 % away
    assert floor.shown() == [
        "imbalance O paired 90 B 40 far 10100 near 10100 at 10000 1"]
    assert floor.heard(0)[2:] == []


def test_bytes_of_an_imbalance_message():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 100, 10_000, cross="O")
    floor.enter(1, 1, "S", 30, 10_000, cross="O")
    floor.venue.imbalance(b"O", 5)
    assert floor.venue.feed[-1].hex() == (
        "49" "03e9" "0000" "000000000005" "000000000000001e" "0000000000000046" "42"
        "4142432020202020" "00002710" "00002710" "00002710" "4f" "4c")


@pytest.mark.parametrize("buy, sell, told", [
    (50, 80, "paired 50 S 30"), (80, 50, "paired 50 B 30"), (50, 50, "paired 50 N 0")])
def test_direction(buy, sell, told):
    floor = before_the_opening()
    floor.enter(0, 1, "B", buy, cross="O")
    floor.enter(1, 1, "S", sell, cross="O")
    floor.venue.imbalance("O")
    assert floor.shown() == [f"imbalance O {told} far 10000 near 10000 at 10000 L"]


def test_one_side_only_has_no_prices():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 50, cross="O")
    floor.venue.imbalance("O")
    assert floor.shown() == ["imbalance O paired 0 B 50 far 0 near 0 at 10000  "]


def test_no_auction_order_at_all():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 50, cross="C")
    floor.venue.imbalance("O")
    assert floor.shown() == ["imbalance O paired 0 O 0 far 0 near 0 at 0  "]


def test_far_is_of_auction_orders_alone_and_near_of_all():
    floor = Floor(symbol=dict(reference_price=10_000))
    floor.enter(1, 1, "S", 100, 10_100)
    floor.enter(1, 2, "S", 20, 10_300, cross="C")
    floor.enter(0, 1, "B", 90, 10_300, cross="C")
    floor.shown()
    floor.venue.imbalance("C")
    # alone: 90 against 20 at 10,300 only; with the book: 90 against 100 at 10,100
    assert floor.shown() == ["imbalance C paired 0 B 90 far 10300 near 10100 at 10000 1"]


def test_near_can_be_where_far_is_not():
    floor = Floor(symbol=dict(reference_price=10_000))
    floor.enter(1, 1, "S", 100, 10_000)
    floor.enter(0, 1, "B", 90, None, cross="C")
    floor.shown()
    floor.venue.imbalance("C")
    assert floor.shown() == ["imbalance C paired 90 S 10 far 0 near 10000 at 10000 L"]


def test_reserve_and_hidden_orders_count_whole_and_minimum_orders_not():
    floor = Floor(symbol=dict(reference_price=10_000))
    floor.enter(1, 1, "S", 100, max_floor=10)
    floor.enter(1, 2, "S", 70, display="N")
    floor.enter(1, 3, "S", 500, display="N", min_qty=500)
    floor.enter(0, 1, "B", 90, cross="C")
    floor.shown()
    floor.venue.imbalance("C")
    assert floor.shown() == ["imbalance C paired 90 S 80 far 0 near 10000 at 10000 L"]


@pytest.mark.parametrize("bid, ask, reference", [
    (9_900, 10_100, 10_000), (10_200, 10_300, 10_200), (9_700, 9_800, 9_800),
    (None, 9_900, 9_900), (10_100, None, 10_100), (9_900, None, 10_000), (None, None, 10_000)])
def test_the_reference_is_drawn_into_the_shown_quotes(bid, ask, reference):
    floor = Floor(symbol=dict(reference_price=10_000))
    if bid:
        floor.enter(0, 1, "B", 10, bid)
    if ask:
        floor.enter(1, 1, "S", 10, ask)
    floor.enter(0, 2, "B", 10, 100, cross="C")
    floor.shown()
    floor.venue.imbalance("C")
    assert floor.shown()[0].endswith(f" far 0 near 0 at {reference}  ")


def test_hidden_quotes_do_not_draw_the_reference():
    floor = Floor(symbol=dict(reference_price=10_000))
    floor.enter(0, 1, "B", 10, 10_500, display="N")
    floor.enter(0, 2, "B", 10, 10_200)
    floor.enter(0, 3, "B", 10, 100, cross="C")
    floor.shown()
    floor.venue.imbalance("C")
    assert " at 10200 " in floor.shown()[0]


def test_without_reference_and_quotes_only_market_sells_count():
    floor = Floor()
    floor.enter(0, 1, "B", 10, 10_000, cross="C")
    floor.enter(1, 1, "S", 4, None, cross="C")
    floor.enter(1, 2, "S", 9, 10_000, cross="C")
    floor.venue.imbalance("C")
    assert floor.shown() == ["imbalance C paired 4 B 6 far 10000 near 10000 at 0  "]


@pytest.mark.parametrize("near, letter", [
    (10_000, b"L"), (10_099, b"L"), (9_901, b"L"), (10_100, b"1"), (9_900, b"1"), (9_801, b"1"),
    (9_800, b"2"), (10_999, b"9"), (9_001, b"9"), (11_000, b"A"), (11_999, b"A"), (8_001, b"A"),
    (12_000, b"B"), (12_999, b"B"), (13_000, b"C"), (1, b"C"), (99_999, b"C"), (0, b" ")])
def test_variation_is_in_whole_percent_of_the_reference(near, letter):
    assert variation(near, 10_000) == letter


def test_variation_without_a_reference_cannot_be_told():
    assert variation(10_000, 0) == b" "


def test_each_letter_has_its_phase_and_state():
    floor = Floor(symbols=[dict(name="XYZ"), dict(name="QQQ")], opens_later=True)
    floor.venue.halt(1, "Q")
    floor.venue.halt(2, "H")
    floor.shown()

    def symbols_told():
        told = {}
        for letter in "OCHX":
            at = len(floor.venue.feed)
            floor.venue.imbalance(letter)
            told[letter] = [each[2] - 0xE9 for each in floor.venue.feed[at:]]
        return told

    assert symbols_told() == {"O": [0], "C": [], "H": [1], "X": []}
    floor.venue.open_market()
    assert symbols_told() == {"O": [], "C": [0], "H": [1], "X": []}
    floor.venue.halt(2, "Q")
    floor.venue.halt(0, "P")
    assert symbols_told() == {"O": [], "C": [], "H": [1, 2], "X": []}
    floor.venue.end()
    assert symbols_told() == {"O": [], "C": [], "H": [], "X": []}


def test_an_imbalance_message_changes_nothing():
    floor = before_the_opening()
    floor.enter(0, 1, "B", 60, cross="O")
    floor.enter(1, 1, "S", 60, cross="O")
    floor.venue.imbalance("O")
    floor.venue.imbalance("O")
    assert len(set(floor.shown())) == 1
    floor.venue.open_market()
    assert floor.shown()[0] == "cross O 60 at 10000 match 2"
