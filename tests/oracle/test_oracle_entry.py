"""Hand-written situations of order entry: which mistake gets which answer."""

import pytest

from tests.oracle.generate import tag, u32
from tests.oracle.words import Floor


@pytest.fixture
def floor():
    return Floor()


@pytest.mark.parametrize("field, reason", [
    (dict(side="X"), "0009"), (dict(quantity=0), "0013"), (dict(quantity=1_000_000), "0013"),
    (dict(symbol=b"NOSUCH  "), "0017"), (dict(price=0), "001D"), (dict(price=10_001), "001D"),
    (dict(price=2_000_000_100), "001D"), (dict(price=None), "001D"), (dict(tif="5"), "000F"),
    (dict(display="Z"), "0003"), (dict(capacity="X"), "000F"), (dict(sweep="Y"), "0008"),
    (dict(sweep="?"), "000F"), (dict(cross="O"), "0014"),
    (dict(tags=tag(3, u32(1))), "000D"), (dict(tif="3", tags=tag(3, u32(101))), "000D"),
    (dict(tif="3", tags=tag(12, b"P")), "000F"), (dict(tags=tag(5, b"\0")), "000F"),
    (dict(tags=tag(6, b"P")), "0011"), (dict(tags=tag(7, u32(1))), "0011"),
    (dict(tags=tag(10, b"L")), "0024"), (dict(tags=tag(13, u32(1))), "0004"),
    (dict(tags=tag(14, b"NSDQ")), "0016"), (dict(tags=tag(15, u32(1))), "000F"),
    (dict(tags=tag(16, b"Y")), "000F"), (dict(tags=tag(17, b"I")), "000F"),
    (dict(tags=tag(26, b"ABCD")), "000F"), (dict(tags=tag(28, b"\1")), "000F"),
    (dict(tags=tag(30, b"AB")), "0040"), (dict(tags=tag(29, b"X")), "0040"),
    (dict(tags=tag(200, b"")), "000F"), (dict(tags=tag(2, b"ABC")), "000F"),
    (dict(tags=tag(4, b"X")), "000F"), (dict(side="X", quantity=0), "0009"),
    (dict(tags=tag(14, b"NSDQ") + tag(5, u32(1))), "0016")])
def test_a_wrong_field_is_rejected_by_its_reason(floor, field, reason):
    floor.enter(0, 7, **{"side": "B", "quantity": 100, **field})
    assert floor.heard(0) == [f"rejected 7 {reason}"] and floor.shown() == []
    floor.enter(0, 7, "B", 100)
    assert floor.heard(0) == [] and floor.venue.counters["messages_stale"] == 1
    floor.enter(0, 8, "B", 100)
    assert floor.heard(0) == ["accepted 8 B 100 at 10000 ref 1"]


def test_sent_tags_are_echoed_in_ascending_order(floor):
    tags = tag(29, b"*") + tag(25, b"N") + tag(2, b"ZETA") + tag(16, b"N") + tag(12, b"N")
    floor.enter(0, 1, "B", 100, tags=tags)
    echoed = tag(2, b"ZETA") + tag(12, b"N") + tag(25, b"N") + tag(29, b"*")
    assert floor.venue.streams[0][-1][62:] == len(echoed).to_bytes(2, "big") + echoed
    floor.replace(0, 1, 2, 100, tags=tag(29, b"W") + tag(4, b"R"))
    echoed = tag(2, b"ZETA") + tag(29, b"W")
    assert floor.venue.streams[0][-1][66:] == len(echoed).to_bytes(2, "big") + echoed


def test_a_misshapen_enter_echoes_the_clordid_only_when_it_is_complete(floor):
    floor.enter(0, 1, "B", 100, tags=b"\0")
    assert floor.venue.streams[0][-1][13:] == b"\0\x0f" + b"CLORD-0001    "
    floor.send(0, b"O\0\0\0\2B")
    assert floor.venue.streams[0][-1][13:] == b"\0\x0f" + b" " * 14
    floor.send(0, b"O\0\0\0\2B")
    floor.send(0, b"O\0\0\0")
    assert floor.venue.counters["messages_stale"] == 1
    assert floor.venue.counters["messages_short"] == 1


def test_replace_of_nothing_live_does_not_consume_its_number(floor):
    floor.replace(0, 1, 5, 100)
    floor.enter(0, 5, "B", 100)
    assert floor.heard(0) == ["accepted 5 B 100 at 10000 ref 1"]
    assert floor.venue.counters["cancels_ignored"] == 1


@pytest.mark.parametrize("terms", [
    dict(quantity=0), dict(quantity=1_000_000), dict(price=10_001), dict(tif="5"),
    dict(display="Z"), dict(price=2_000_000_000), dict(tags=tag(14, b"NSDQ")),
    dict(tags=tag(3, u32(1))),
    dict(tif="3", tags=tag(12, b"P"))])
def test_replace_with_invalid_details_cancels_the_live_order(floor, terms):
    floor.enter(0, 1, "B", 100)
    floor.heard(0)
    floor.replace(0, 1, 2, **{"quantity": 50, **terms})
    floor.enter(0, 2, "B", 100)
    assert floor.heard(0) == ["canceled 1 100 U", "accepted 2 B 100 at 10000 ref 2"]


def test_a_disabled_account_may_cancel_but_not_enter_or_replace(floor):
    floor.enter(0, 1, "B", 100)
    floor.heard(0)
    floor.switch(0, 2, "D", b"BETA")
    floor.switch(0, 3, "D", b"ALFA")
    floor.enter(0, 4, "B", 100)
    floor.replace(0, 1, 5, 100)
    floor.cancel(0, 1, 50)
    floor.switch(0, 6, "E", tags=tag(27, b"B"))
    floor.switch(0, 7, "E", tags=tag(28, b"\0"))
    floor.enter(0, 8, "B", 100)
    assert floor.heard(0) == [
        "rejected 2 000C", "disabled 3", "rejected 4 000C", "rejected 5 000C", "canceled 1 50 U",
        "rejected 6 000F", "enabled 7", "accepted 8 B 100 at 10000 ref 2"]


@pytest.mark.parametrize("wrong, reason", [
    (dict(firm=b"EVIL"), "000C"), (dict(symbol=b"NOSUCH  "), "0017"),
    (dict(tags=tag(3, u32(1))), "000F"), (dict(tags=tag(28, b"\1")), "000F"),
    (dict(firm=b"EVIL", symbol=b"NOSUCH  "), "000C")])
def test_a_wrong_mass_cancel_is_rejected_and_cancels_nothing(floor, wrong, reason):
    floor.enter(0, 1, "B", 100)
    floor.heard(0)
    floor.mass_cancel(0, 2, **wrong)
    assert floor.heard(0) == [f"rejected 2 {reason}"]


def test_query_tells_the_next_number(floor):
    floor.enter(0, 41, "B", 1)
    floor.send(0, b"Q")
    floor.send(0, b"Q\0\0")
    assert floor.heard(0)[1:] == ["next 42", "next 42"]
