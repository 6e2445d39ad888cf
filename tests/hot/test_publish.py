"""What hand-made events become: the bytes for accounts and feed, and what stays counted."""

import struct

import numpy as np
import pytest
from numba import njit

from appliance.hot import publish
from appliance.layout import record
from appliance.layout.record import (
    ACCEPTED, BOOKED, CANCELED, CROSS_DONE, CROSSED, MODIFIED, MOVED, ORDER_DEAD, ORDER_UNSHOWN,
    PREVENTED, REFRESHED, REPLACED, RESTING_DEAD, SMP_DECREMENT, SMP_OLDEST, TRADE, UNBOOKED,
    UNSHOWN, WAS_BOOKED,
)
from tests.hot.core_kit import CLORDID, NOON, Kit, canceled, enter, kinds

TOP, PRICE = 1 << 56, 16334
HEAD = struct.pack(">HH", 7, 0) + NOON.to_bytes(6, "big")
BUY, SELL = 300, 301               # handles


@njit
def run_publish(core, event_cnt):
    publish.publish(core, 0, event_cnt)


class Stage:
    """A core with two orders that live: BUY of account 0 (ref 5), SELL of account 1 (ref 6)."""

    def __init__(self):
        self.kit, self.number = Kit(), 0
        self.core = self.kit.core
        for handle, account, letter in ((BUY, 0, b"B"), (SELL, 1, b"S")):
            cold = self.core.accounts.cold[handle]
            cold["order_ref"], cold["user_ref_num"], cold["account"] = 5 + account, 44, account
            cold["price_ticks"], cold["side_letter"], cold["display"] = PRICE, letter[0], ord("Y")
            cold["tif_letter"], cold["cross"] = ord("0"), ord("N")
            cold["clordid"] = np.frombuffer(CLORDID, np.uint8)
            self.core.accounts.sessions[account]["live_cnt"] += 10
            self.core.accounts.pages[handle >> 8]["live_cnt"] = 200
        self.core.book.engine[0]["time_ns"] = NOON
        self.kit.drain()

    def tell(self, *events, kind=record.ENTER):
        """Publishes events as results of a record of this kind; OUCH of both accounts, and ITCH."""
        self.core.burst.commands[0]["kind"] = kind
        for place, fields in enumerate(events):
            self.core.burst.events[place] = np.zeros(1, record.EVENT.dtype)[0]
            for name, value in fields.items():
                self.core.burst.events[place][name] = value
        run_publish(self.core, len(events))
        return self.kit.out(0), self.kit.out(1), self.kit.feed()

    def live(self, account):
        return int(self.core.accounts.sessions[account]["live_cnt"])


@pytest.fixture
def stage():
    return Stage()


def executed(flag, qty=30, match=9):
    return struct.pack(">cQIIQcQH", b"E", NOON, 44, qty, 1633400, flag, TOP | match, 0)


def prevented(qty, quantity, flag, strategy, price=1633400):
    return struct.pack(">cQIIcIQcc", b"D", NOON, 44, qty, b"Q", quantity, price, flag, strategy)


@pytest.mark.parametrize("flags, flag, printed", [
    (0, b"A", b"E" + HEAD + struct.pack(">QIQ", TOP | 6, 30, TOP | 9)),
    (UNSHOWN, b"J", b"P" + HEAD + struct.pack(">QcI8sIQ", 0, b"B", 30, b"EXAMPLE ", 1633400,
                                              TOP | 9))])
def test_trade_with_a_shown_and_with_a_hidden_order(stage, flags, flag, printed):
    event = dict(kind=TRADE, side=0, order=BUY, resting=SELL, qty=30, price_ticks=PRICE, number=9,
                 left=5, flags=flags)
    assert stage.tell(event) == ([executed(b"R")], [executed(flag)], [printed])
    assert stage.live(1) == 10
    stage.tell(event | dict(flags=flags | RESTING_DEAD | ORDER_DEAD, left=0))
    assert (stage.live(0), stage.live(1)) == (9, 9)


@pytest.mark.parametrize("event", [
    dict(kind=BOOKED, order=BUY, qty=7, price_ticks=PRICE),
    dict(kind=UNBOOKED, order=BUY, resting=SELL, qty=7),
    dict(kind=CANCELED, order=BUY, qty=7, reason=ord("U"), flags=WAS_BOOKED | ORDER_DEAD),
    dict(kind=CANCELED, order=BUY, qty=7, price_ticks=7, left=3, reason=ord("U"),
         flags=WAS_BOOKED),
    dict(kind=MODIFIED, order=BUY, qty=7, left=3),
    dict(kind=MOVED, order=BUY, resting=BUY, qty=7, price_ticks=PRICE, number=12),
    dict(kind=PREVENTED, order=SELL, resting=BUY, qty=7, left=7, price_ticks=PRICE,
         reason=SMP_OLDEST, flags=WAS_BOOKED | ORDER_DEAD),
    dict(kind=PREVENTED, order=SELL, resting=BUY, qty=7, left=2, price_ticks=PRICE,
         reason=SMP_DECREMENT, flags=WAS_BOOKED)])
def test_order_that_is_not_shown_leaves_no_trace_on_the_feed(stage, event):
    shown = stage.tell(event)
    unshown = Stage().tell(event | dict(flags=event.get("flags", 0) | UNSHOWN))
    assert shown[2] and not unshown[2]
    if event["kind"] == PREVENTED:
        assert unshown[1][0] == shown[1][0].replace(b"\x18\xec\x78A", b"\x18\xec\x78J")
    else:
        assert unshown[:2] == shown[:2]


@pytest.mark.parametrize("removed_shown, left, letters", [
    (0, 40, b""), (7, 40, b"X"), (60, 0, b"D"), (0, 0, b"D")])
def test_cancel_tells_the_feed_of_shown_shares_alone(stage, removed_shown, left, letters):
    told, _, feed = stage.tell(dict(
        kind=CANCELED, order=BUY, qty=60, price_ticks=removed_shown, left=left, reason=ord("U"),
        flags=WAS_BOOKED | (0 if left else ORDER_DEAD)))
    assert told == [canceled(44, 60)] and kinds(feed) == letters
    if letters == b"X":
        assert feed[0][11:] == struct.pack(">QI", TOP | 5, 7)


def test_refreshed_order_is_restated_and_stands_anew_on_the_feed(stage):
    told, _, feed = stage.tell(dict(kind=REFRESHED, order=BUY, qty=25, price_ticks=PRICE,
                                    number=77))
    assert told == [struct.pack(">cQIcH", b"R", NOON, 44, b"R", 16)
                    + struct.pack(">BBQ", 9, 1, TOP | 77) + struct.pack(">BBI", 5, 22, 25)]
    assert feed == [b"A" + HEAD + struct.pack(">QcI8sI", TOP | 77, b"B", 25, b"EXAMPLE ", 1633400)]
    assert stage.core.accounts.cold[BUY]["order_ref"] == 77


@pytest.mark.parametrize("tag, strategy, details", [
    (None, b"D", True), (b"D", b"D", True), (b"d", b"D", True), (b"*", b"D", True),
    (b"Y", b"Y", False), (b"y", b"Y", False)])
@pytest.mark.parametrize("left, hidden, letters", [
    (4, 0, b"X"), (0, 0, b"D"), (4, UNSHOWN, b""), (0, UNSHOWN, b"")])
def test_decrement_is_told_to_both_in_the_incoming_orders_words(stage, tag, strategy, details, left,
                                                                hidden, letters):
    cold = stage.core.accounts.cold[BUY]
    cold["present"], cold["aiq"] = (record.TAG_AIQ, tag[0]) if tag else (0, 0)
    stage.core.accounts.cold[SELL]["present"] = record.TAG_AIQ
    stage.core.accounts.cold[SELL]["aiq"] = ord("Y" if details else "D")
    common = dict(kind=PREVENTED, qty=30, price_ticks=PRICE, reason=SMP_DECREMENT)
    incoming, resting, feed = stage.tell(
        common | dict(order=SELL, resting=BUY, left=left, flags=WAS_BOOKED | hidden
                      | (0 if left else ORDER_DEAD)),
        common | dict(order=BUY, resting=SELL, left=30, flags=ORDER_DEAD))
    added = b"J" if hidden else b"A"
    if details:
        assert resting == [prevented(30, 30, added, strategy)]
        assert incoming == [prevented(30, 30, b"R", strategy)]
    else:
        assert incoming == resting == [prevented(30, 0, b" ", strategy, 0)]
    assert kinds(feed) == letters
    if letters == b"X":
        assert feed[0][11:] == struct.pack(">QI", TOP | 6, 30)
    assert (stage.live(0), stage.live(1)) == (9, 10 if left else 9)


@pytest.mark.parametrize("kind, letter", [(record.MARKET_OPEN, b"O"), (record.DAY_END, b"C"),
                                          (record.HALT, b"H")])
@pytest.mark.parametrize("flags, letters", [
    (0, b"CC"), (UNSHOWN, b"C"), (ORDER_UNSHOWN, b"C"), (UNSHOWN | ORDER_UNSHOWN, b"")])
def test_cross_is_told_fill_by_fill_and_as_a_whole(stage, kind, letter, flags, letters):
    shares = (3 << 32) + 30
    buyer, seller, feed = stage.tell(
        dict(kind=CROSSED, order=BUY, resting=SELL, qty=30, price_ticks=PRICE, number=9,
             flags=flags | ORDER_DEAD),
        dict(kind=CROSS_DONE, order=0, reason=letter[0], price_ticks=PRICE, qty=30, left=3,
             number=10), kind=kind)
    assert buyer == [executed(letter)] == seller
    assert kinds(feed) == letters + b"Q"
    refs = [ref for ref, hides in ((5, ORDER_UNSHOWN), (6, UNSHOWN)) if not flags & hides]
    assert [message[11:] for message in feed[:-1]] == [
        struct.pack(">QIQcI", TOP | ref, 30, TOP | 9, b"N", 1633400) for ref in refs]
    assert feed[-1] == b"Q" + HEAD + struct.pack(">Q8sIQc", shares, b"EXAMPLE ", 1633400, TOP | 10,
                                                 letter)
    assert (stage.live(0), stage.live(1)) == (9, 10) and stage.kit.count("trades") == 1


def broken(stage, match, reason):
    stage.kit.command(record.BUST, upstream_seq=match, side_letter=ord(reason))
    return stage.kit.out(0), stage.kit.out(1), stage.kit.feed()


@pytest.mark.parametrize("side, buyer, seller", [(0, 0, 1), (1, 1, 0)])
def test_broken_trade_is_told_once_to_buyer_and_seller(stage, side, buyer, seller):
    incoming, resting = (BUY, SELL) if side == 0 else (SELL, BUY)
    stage.core.accounts.cold[SELL]["clordid"] = np.frombuffer(b"SELLER        ", np.uint8)
    stage.tell(dict(kind=TRADE, side=side, order=incoming, resting=resting, qty=30,
                    price_ticks=PRICE, number=9))
    stage.core.accounts.cold[BUY]["user_ref_num"] = 45          # replaced since
    assert broken(stage, 9, "Z") == ([], [], []) == broken(stage, 8, "E") == broken(stage, 0, "E")
    assert broken(stage, 9 + 65536, "E") == ([], [], [])
    for one in "EE":
        told = broken(stage, 9, one)
        if stage.number == 0:
            stage.number = 1
            head = struct.pack(">cQIQc", b"B", NOON, 44, TOP | 9, b"E")
            assert told == ([head + CLORDID], [head + b"SELLER        "],
                            [b"B" + HEAD + struct.pack(">Q", TOP | 9)])
        else:
            assert told == ([], [], [])
    assert stage.kit.count("busts_ignored") == 5


def test_trade_is_forgotten_when_its_place_is_taken(stage):
    event = dict(kind=TRADE, side=0, order=BUY, resting=SELL, qty=30, price_ticks=PRICE)
    stage.tell(event | dict(number=9), event | dict(number=10))
    stage.tell(event | dict(number=9 + 65536), dict(kind=CROSS_DONE, number=10 + 65536, qty=30))
    assert broken(stage, 9, "E") == ([], [], []) == broken(stage, 10, "E")
    assert broken(stage, 10 + 65536, "E") == ([], [], []), "a cross is no trade of its own"
    assert kinds(broken(stage, 9 + 65536, "S")[2]) == b"B"


def test_new_order_with_a_time_limit_gets_its_timer(stage):
    cold = stage.core.accounts.cold[BUY]
    cold["tif_letter"], cold["expire_s"] = ord("6"), 90
    stage.tell(dict(kind=ACCEPTED, order=BUY, qty=9, number=5))
    timers = stage.core.timers
    assert timers.heap[0] == BUY and timers.first_refs[BUY] == 5
    assert timers.due_ns[BUY] == NOON + 90 * 10**9 and stage.live(0) == 11
    stage.tell(dict(kind=REFRESHED, order=BUY, qty=9, number=50))
    assert timers.first_refs[BUY] == 5
    stage.tell(dict(kind=REPLACED, order=SELL, resting=BUY, qty=9, number=6, flags=RESTING_DEAD))
    assert stage.core.book.engine[0]["timer_cnt"] == 0 and timers.places[BUY] == 0


def test_enter_after_hand_made_events_still_works(stage):
    assert kinds(stage.kit.send(enter(60))) == b"A"


@pytest.mark.parametrize("flags, letters", [(0, b""), (WAS_BOOKED, b"A"),
                                            (WAS_BOOKED | UNSHOWN, b"")])
def test_order_booked_at_once_is_one_event(stage, flags, letters):
    told, _, feed = stage.tell(dict(kind=ACCEPTED, order=BUY, qty=90, left=25, number=5,
                                    price_ticks=PRICE, flags=flags))
    assert kinds(told) == b"A" and told[0][14:18] == struct.pack(">I", 90)
    assert kinds(feed) == letters
    if letters:
        assert feed[0][20:24] == struct.pack(">I", 25)
