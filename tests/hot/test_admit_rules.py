"""Admission: which phase and state take which order, and what a Replace keeps."""

import pytest

from appliance.layout import record
from tests.hot.core_kit import (
    Kit, able, cancel, canceled, enter, kinds, modify, rejected, replace,
)

FLOOR = (5, b"\0\0\0\x1e")
PRE_OPEN, OPEN, CLOSED, BEFORE = 3, 1, 2, 0


@pytest.fixture
def kit():
    kit = Kit()
    yield kit
    kit.check_healthy()


def phase(kit, number):
    kit.core.book.engine[0]["phase"] = number


def state(kit, letter):
    kit.core.book.symbols[0]["state"] = ord(letter)


@pytest.mark.parametrize("phase_now, state_now, cross, code", [
    (PRE_OPEN, "T", b"N", 2), (PRE_OPEN, "T", b"H", 2), (PRE_OPEN, "T", b"?", 2),
    (PRE_OPEN, "T", b"O", 0), (PRE_OPEN, "T", b"C", 0), (PRE_OPEN, "Q", b"O", 7),
    (OPEN, "T", b"N", 0), (OPEN, "T", b"C", 0), (OPEN, "T", b"O", 0x14), (OPEN, "T", b"H", 0x14),
    (OPEN, "Q", b"H", 0), (OPEN, "Q", b"N", 7), (OPEN, "Q", b"C", 7), (OPEN, "Q", b"O", 7),
    (OPEN, "H", b"H", 7), (OPEN, "P", b"N", 7), (OPEN, "H", b"C", 7),
    (CLOSED, "T", b"C", 2), (BEFORE, "T", b"O", 2), (CLOSED, "H", b"?", 2),
])
def test_phase_and_state_decide_which_cross_is_taken(kit, phase_now, state_now, cross, code):
    phase(kit, phase_now)
    state(kit, state_now)
    answers = kit.send(enter(1, cross=cross))
    if code:
        assert answers == [rejected(1, code)]
    else:
        assert kinds(answers)[:1] == b"A" and answers[0][46:47] == cross


@pytest.mark.parametrize("changes, code", [
    (dict(cross=b"O", price=5), 0x1D), (dict(cross=b"H", options=[FLOOR]), 4),
    (dict(cross=b"O", options=[(30, b"AB")]), 0x40), (dict(cross=b"O"), 0x14)])
def test_too_late_for_a_cross_is_the_last_check_but_one(kit, changes, code):
    assert kit.send(enter(1, **changes)) == [rejected(1, code)]


def test_disabled_account_comes_before_everything_but_the_phase(kit):
    kit.send(able(b"D", 1))
    state(kit, "H")
    assert kit.send(enter(2, side=b"?")) == [rejected(2, 12)]
    phase(kit, PRE_OPEN)
    assert kit.send(enter(3, side=b"?")) == [rejected(3, 2)]


@pytest.mark.parametrize("state_now, number, taken", [
    ("H", 1, False), ("P", 1, False), ("Q", 1, False), ("T", 1, True)])
def test_halted_order_can_leave_and_not_be_replaced(kit, state_now, number, taken):
    kit.send(enter(1))
    state(kit, state_now)
    if taken:
        assert kinds(kit.send(replace(1, 2))) == b"U"
        return
    assert kit.send(replace(1, 2)) == [rejected(2, 7)]
    assert kit.send(replace(1, 2)) == [] and kit.count("messages_stale") == 1
    assert kit.send(cancel(1)) == [canceled(1, 100)]


def test_order_before_the_opening_can_be_replaced(kit):
    phase(kit, PRE_OPEN)
    assert kit.send(replace(1, 2)) == [] and kit.session()["last_user_ref"] == 0
    kit.core.book.engine[0]["phase"] = OPEN
    kit.send(enter(1))
    phase(kit, PRE_OPEN)
    assert kinds(kit.send(replace(1, 2))) == b"U"
    phase(kit, CLOSED)
    assert kit.send(replace(2, 3)) == [rejected(3, 2)]


def sent(kit, message):
    """The command of a message after it was admitted, and the record of its order."""
    kit.send(message)
    command = kit.core.burst.commands[0]
    return command, kit.core.accounts.cold[int(command["order"])]


def test_floor_below_the_open_shares_makes_a_reserve(kit):
    command, cold = sent(kit, enter(1, qty=100, options=[FLOOR]))
    assert (command["flags"], command["min_qty"]) == (record.RESERVE, 30)
    assert (cold["flags"], cold["max_floor"], cold["min_qty"]) == (record.RESERVE, 30, 0)
    command, cold = sent(kit, enter(2, qty=30, options=[FLOOR]))
    assert (command["flags"], command["min_qty"], cold["max_floor"]) == (0, 0, 30)


def test_replace_keeps_the_cross_and_brings_its_own_floor(kit):
    kit.send(enter(1, qty=100, price=1633000, options=[(2, b"ABCD"), (24, b"\1\2")]))
    kit.core.book.orders[int(kit.core.burst.commands[0]["order"])]["total"] = 160   # 60 executed
    command, cold = sent(kit, replace(1, 2, qty=100, price=1633000, options=[(5, b"\0\0\0\x27")]))
    assert command["kind"] == record.REPLACE
    assert (command["flags"], command["min_qty"]) == (record.RESERVE, 39), "39 of 40 open shares"
    assert (cold["max_floor"], cold["group"], cold["cross"]) == (39, 258, ord("N"))
    kit.send(enter(3, qty=100, price=1633000))
    command, cold = sent(kit, replace(3, 4, qty=200, price=1633000, display=b"N"))
    assert (command["flags"], command["min_qty"], cold["display"]) == (record.HIDDEN, 0, ord("N"))


@pytest.mark.parametrize("letter, flags", [(b"O", record.AUCTION),
                                           (b"C", record.AUCTION | record.ON_CLOSE)])
def test_replace_of_an_auction_order_stays_one(kit, letter, flags):
    phase(kit, PRE_OPEN)
    kit.send(enter(1, cross=letter))
    command, cold = sent(kit, replace(1, 2, display=b"N"))
    assert (command["kind"], command["flags"], cold["cross"]) == (record.REPLACE, flags, letter[0])
    command, _ = sent(kit, replace(2, 3, tif=b"3", price=0x7FFFFFFF))
    assert command["flags"] == flags | record.MARKET


@pytest.mark.parametrize("changes", [
    dict(tif=b"6", options=[(15, b"\0\0\0\1")]), dict(options=[FLOOR]), dict(options=[(12, b"P")]),
    dict(price=0x7FFFFFFF), dict(tif=b"3", options=[(3, b"\0\0\0\1")]),
    dict(display=b"N", options=[(3, b"\0\0\0\1")])])
def test_replace_that_no_auction_order_can_be_cancels(kit, changes):
    phase(kit, PRE_OPEN)
    kit.send(enter(1, cross=b"C"))
    command, _ = sent(kit, replace(1, 2, **changes))
    assert (command["kind"], command["qty"]) == (record.CANCEL, 0)
    assert kit.session()["last_user_ref"] == 1


def test_modify_beyond_the_floor_makes_a_reserve(kit):
    kit.send(enter(1, qty=30, price=1633000, options=[FLOOR]))
    for qty, wanted in ((30, (0, 0)), (31, (record.RESERVE, 30)), (20, (0, 0))):
        kit.send(modify(1, b"B", qty))
        command = kit.core.burst.commands[0]
        assert (command["kind"], command["flags"], command["min_qty"]) == (record.MODIFY, *wanted)
    kit.send(enter(2, qty=30, price=1633000))
    kit.send(modify(2, b"B", 500))
    assert kit.core.burst.commands[0]["flags"] == 0
