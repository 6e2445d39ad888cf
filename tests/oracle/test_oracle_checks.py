"""Which order types are refused, in which phase and state, and in which order it is found out."""

import pytest

from tests.oracle.generate import tag, u32
from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


def refused(floor, **terms):
    """The reason with which an Enter of account 0 is refused, None when it is accepted."""
    terms = {"side": "B", "quantity": 100, "price": 10_000} | terms
    floor.enter(0, floor.venue.accounts[0].last_user_ref_num + 1, **terms)
    last = [words for words in floor.heard(0) if words.split()[0] in ("accepted", "rejected")][-1]
    return None if last.startswith("accepted") else last[-4:]


@pytest.mark.parametrize("terms, reason", [
    (dict(display="N"), None),
    (dict(display="Z"), "0003"),
    (dict(tif="6"), "000F"),                                # good till time, but no time
    (dict(tif="6", display="Z"), "0003"),
    (dict(tif="6", price=None), "001D"),                    # a market order cannot wait
    (dict(tif="0", price=None), "001D"),
    (dict(tif="3", price=None), None),
    (dict(tif="9", price=None), "000F"),
    (dict(life=1), None), (dict(life=86_399), None),
    (dict(life=0), "000F"), (dict(life=86_400), "000F"), (dict(life=0xFFFFFFFF), "000F"),
    (dict(tags=tag(15, u32(9))), "000F"),                   # a time, but not good till time
    (dict(tif="3", tags=tag(15, u32(9))), "000F"),
    (dict(tif="6", tags=tag(15, b"\0\1")), "000F"),
    (dict(min_qty=1), "000D"),                              # a shown order that rests
    (dict(min_qty=0), None),
    (dict(min_qty=101, display="N"), "000D"), (dict(min_qty=100, display="N"), None),
    (dict(min_qty=50, display="N", life=9), None),
    (dict(min_qty=50, life=9), "000D"),
    (dict(min_qty=101, tif="3"), "000D"), (dict(min_qty=50, tif="3", display="N"), None),
    (dict(max_floor=10), None), (dict(max_floor=0), None), (dict(max_floor=100), None),
    (dict(max_floor=0xFFFFFFFF), None), (dict(max_floor=10, display="A"), None),
    (dict(max_floor=9, life=1), None),
    (dict(max_floor=10, display="N"), "0004"), (dict(max_floor=10, tif="3"), "0004"),
    (dict(max_floor=0, display="N"), None), (dict(max_floor=0, tif="3"), None),
    (dict(max_floor=10, min_qty=10), "000D"),                   # the minimum is looked at first
    (dict(max_floor=10, display="N", min_qty=101), "000D"),
    (dict(max_floor=10, tif="3", post_only=True), "0004"),
    (dict(tif="6", post_only=True, max_floor=10), "000F"),
    (dict(post_only=True), None), (dict(post_only=True, display="N", life=3), None),
    (dict(post_only=True, tif="3"), "000F"),
    (dict(tags=tag(13, u32(10))), "0004"),
    (dict(smp="D"), None), (dict(smp="d"), None), (dict(smp="Y"), None), (dict(smp="y"), None),
    (dict(smp="X"), "0040"),
    (dict(max_floor=1, smp="X"), "0040"),                       # tags by themselves, then together
    (dict(display="N", max_floor=1, smp="X"), "0040"),
])
def test_options_of_a_continuous_order(floor, terms, reason):
    assert refused(floor, **terms) == reason


@pytest.mark.parametrize("terms, reason", [
    (dict(cross="C"), None), (dict(cross="C", tif="3"), None),
    (dict(cross="C", price=None), None), (dict(cross="C", price=None, tif="3"), None),
    (dict(cross="C", display="N"), None), (dict(cross="C", display="A"), None),
    (dict(cross="C", life=9), "0014"), (dict(cross="C", price=None, life=9), "0014"),
    (dict(cross="C", min_qty=1), "000D"), (dict(cross="C", tif="3", min_qty=1), "000D"),
    (dict(cross="C", min_qty=1, display="N"), "000D"),
    (dict(cross="C", max_floor=1), "0004"), (dict(cross="C", max_floor=0), None),
    (dict(cross="C", post_only=True), "000F"),
    (dict(cross="C", smp="D"), None),
    (dict(cross="S"), "0014"), (dict(cross="S", price=None), "0014"),
    (dict(cross="S", capacity="X"), "000F"), (dict(cross="S", sweep="Y"), "0008"),
    (dict(cross="O"), "0014"), (dict(cross="H"), "0014"),
    (dict(cross="O", max_floor=1), "0004"),                     # the phase comes last
    (dict(cross="H", smp="X"), "0040"),
])
def test_auction_orders_while_the_market_is_open(floor, terms, reason):
    assert refused(floor, **terms) == reason


@pytest.mark.parametrize("terms, reason", [
    (dict(), "0002"), (dict(cross="H"), "0002"), (dict(cross="S"), "0002"),
    (dict(cross="O"), None), (dict(cross="C"), None), (dict(cross="O", tif="3", price=None), None),
    (dict(cross="O", side="X"), "0009"), (dict(cross="O", life=5), "0014"),
    (dict(cross="N", side="X"), "0002"),
])
def test_before_the_opening_only_orders_for_the_two_crosses(terms, reason):
    assert refused(Floor(opens_later=True), **terms) == reason


@pytest.mark.parametrize("state, cross, reason", [
    ("H", "N", "0007"), ("H", "H", "0007"), ("H", "C", "0007"), ("P", "N", "0007"),
    ("P", "H", "0007"), ("Q", "N", "0007"), ("Q", "C", "0007"), ("Q", "O", "0007"),
    ("Q", "S", "0007"), ("Q", "H", None), ("T", "H", "0014"), ("T", "C", None)])
def test_what_a_symbols_state_lets_in(floor, state, cross, reason):
    floor.venue.halt(0, state, b"T1  ")
    assert refused(floor, cross=cross) == reason


def test_a_state_is_looked_at_after_the_symbol_and_before_the_price(floor):
    floor.venue.halt(0, "H")
    assert refused(floor, quantity=0, price=0) == "0013"
    assert refused(floor, symbol=b"NOSUCH  ") == "0017"
    assert refused(floor, price=0, capacity="X") == "0007"


def test_a_quotation_before_the_opening_takes_nothing():
    floor = Floor(opens_later=True)
    floor.venue.halt(0, "Q")
    assert refused(floor, cross="O") == "0007"
    assert refused(floor, cross="H") == "0002"


def test_after_the_day_nothing_is_taken(floor):
    floor.venue.end()
    for cross in "NOCH":
        assert refused(floor, cross=cross) == "0002"


def test_before_the_day_nothing_is_taken():
    from tests.oracle.venue import Venue
    floor = Floor()
    floor.venue, floor.told = Venue(1, [dict(name="ABC")], [dict(name="A", firm="ALFA")]), [0, 0]
    for cross in "NOC":
        assert refused(floor, cross=cross) == "0002"


def test_accepted_echoes_the_tags_in_ascending_order(floor):
    wanted = (tag(2, b"ZETA") + tag(4, b"R") + tag(5, u32(30)) + tag(12, b"P") + tag(15, u32(9))
              + tag(24, b"\0\7") + tag(25, b"N") + tag(29, b"y"))
    floor.enter(0, 1, "B", 100, tif="6", tags=(
        tag(29, b"y") + tag(15, u32(9)) + tag(25, b"N") + tag(5, u32(30)) + tag(24, b"\0\7")
        + tag(12, b"P") + tag(4, b"R") + tag(2, b"ZETA")))
    assert floor.venue.streams[0][-1][62:] == len(wanted).to_bytes(2, "big") + wanted
    assert floor.venue.streams[0][-1][34:36] == b"6Y"       # time in force and display as sent


def test_accepted_echoes_a_minimum_and_the_cross(floor):
    floor.enter(0, 1, "B", 100, display="N", min_qty=40)
    assert floor.venue.streams[0][-1][34:36] == b"0N"
    assert floor.venue.streams[0][-1][62:] == b"\0\6" + b"\5\3\0\0\0\x28"
    floor.enter(0, 2, "B", 100, cross="C", tif="3", display="A")
    assert floor.venue.streams[0][-1][34:36] == b"3A"
    assert floor.venue.streams[0][-1][46:48] == b"CL"


def test_replaced_keeps_some_tags_and_takes_the_others_anew(floor):
    kept = tag(2, b"ZETA") + tag(4, b"R") + tag(24, b"\0\7") + tag(25, b"N")
    floor.enter(0, 1, "B", 100, life=60, max_floor=30, smp="D", tags=kept)
    floor.replace(0, 1, 2, 100, display="N", min_qty=7)
    echoed = tag(2, b"ZETA") + tag(3, u32(7))
    assert floor.venue.streams[0][-1][38:40] == b"0N"
    assert floor.venue.streams[0][-1][66:] == len(echoed).to_bytes(2, "big") + echoed
    order = floor.venue.book.live[0][2]
    assert order.tags == {2: b"ZETA", 3: u32(7), 4: b"R", 24: b"\0\7", 25: b"N"}
    floor.replace(0, 2, 3, 100, max_floor=20, life=5, post_only=True, smp="W")
    echoed = tag(2, b"ZETA") + tag(5, u32(20)) + tag(12, b"P") + tag(15, u32(5)) + tag(29, b"W")
    assert floor.venue.streams[0][-1][66:] == len(echoed).to_bytes(2, "big") + echoed


@pytest.mark.parametrize("terms", [
    dict(min_qty=1), dict(min_qty=101, display="N"), dict(max_floor=1, display="N"),
    dict(max_floor=1, tif="3"), dict(tif="6"), dict(life=0), dict(tags=tag(15, u32(1))),
    dict(price=None), dict(price=None, life=4), dict(display="Z"), dict(post_only=True, tif="3"),
    dict(quantity=0), dict(tags=tag(13, u32(1)))])
def test_replace_to_an_impossible_order_cancels_the_target(floor, terms):
    floor.enter(0, 1, "B", 100)
    floor.hear_nothing()
    floor.replace(0, 1, 2, **{"quantity": 100, **terms})
    assert floor.heard(0) == ["canceled 1 100 U"] and floor.shown() == ["delete 1"]
    floor.enter(0, 2, "B", 1)
    assert floor.heard(0) == ["accepted 2 B 1 at 10000 ref 2"]


@pytest.mark.parametrize("terms, is_good", [
    (dict(), True), (dict(tif="3"), True), (dict(tif="3", price=None), True),
    (dict(price=None), False), (dict(life=9), False), (dict(min_qty=1, display="N"), False),
    (dict(min_qty=1, tif="3"), False), (dict(max_floor=1), False), (dict(max_floor=0), True),
    (dict(post_only=True), False), (dict(display="N"), True)])
def test_replace_of_an_auction_order(floor, terms, is_good):
    floor.enter(0, 1, "B", 100, cross="C")
    floor.hear_nothing()
    floor.replace(0, 1, 2, 80, **terms)
    price = 10_000 if "price" not in terms else 0x7FFFFFFF
    assert floor.heard(0) == ([f"replaced 1 by 2 B 80 at {price} ref 2"] if is_good
                              else ["canceled 1 100 U"])
    assert floor.shown() == []
    assert is_good == (2 in floor.venue.book.live[0])


@pytest.mark.parametrize("state, target, refusal", [
    ("H", "N", True), ("P", "N", True), ("Q", "N", True), ("H", "C", True), ("Q", "C", True)])
def test_replace_in_a_halt_is_refused_and_its_number_spent(floor, state, target, refusal):
    floor.enter(0, 1, "B", 100, cross=target)
    floor.venue.halt(0, state)
    floor.hear_nothing()
    floor.replace(0, 1, 2, 100, price=0)                    # would else cancel the target
    assert floor.heard(0) == ["rejected 2 0007"] and floor.shown() == []
    floor.replace(0, 1, 2, 100)
    assert floor.heard(0) == [] and floor.venue.counters["messages_stale"] == 1
    floor.venue.halt(0, "T")
    floor.replace(0, 1, 3, 100)
    assert floor.heard(0) == ["replaced 1 by 3 B 100 at 10000 ref 2"]


def test_replace_of_a_halt_order_is_allowed_in_quotation_and_refused_in_a_halt(floor):
    floor.venue.halt(0, "Q")
    floor.enter(0, 1, "B", 100, cross="H")
    floor.replace(0, 1, 2, 70)
    assert floor.heard(0)[1:] == ["replaced 1 by 2 B 70 at 10000 ref 2"]
    floor.venue.halt(0, "H")
    floor.replace(0, 2, 3, 50)
    assert floor.heard(0) == ["rejected 3 0007"]


def test_replace_before_the_opening_is_allowed():
    floor = Floor(opens_later=True)
    floor.enter(0, 1, "B", 100, cross="O")
    floor.replace(0, 1, 2, 60, 9_900)
    assert floor.heard(0)[1:] == ["replaced 1 by 2 B 60 at 9900 ref 2"]
    floor.switch(0, 3, "D")
    floor.replace(0, 2, 4, 50)
    assert floor.heard(0) == ["disabled 3", "rejected 4 000C"]


def test_cancel_modify_and_mass_cancel_work_in_every_phase_and_state():
    floor = Floor(opens_later=True)
    for ref in (1, 2, 3):
        floor.enter(0, ref, "B", 100, cross="C")
    floor.hear_nothing()
    floor.cancel(0, 1, 30)
    floor.modify(0, 2, "B", 150)
    assert floor.heard(0) == ["canceled 1 70 U", "modified 2 B 150", "priority 2 at 10000 ref 4"]
    floor.venue.halt(0, "H")
    floor.modify(0, 1, "B", 20)
    floor.cancel(0, 2)
    floor.mass_cancel(0, 4)
    assert floor.heard(0) == ["modified 1 B 20", "canceled 2 150 U", "mass canceled 4",
                              "canceled 1 20 U", "canceled 3 100 U"]
    assert floor.shown() == ["action H"]
