"""The book's rules, one situation a test: commands in, events out, structure checked after each."""

import random

import numpy as np
import pytest

from appliance.hot import book as book_module
from appliance.layout import record as r
from appliance.layout.record import (
    ACCEPTED, BOOKED, CANCELED, MODIFIED, MOVED, PREVENTED, REFUSED, REPLACED, SMP_NEWEST,
    SMP_OLDEST, TRADE, UNBOOKED,
)
from tests.hot.book_kit import (
    BOOKED as WAS_BOOKED, BUY, DEAD, Desk, IMMEDIATE, REST_DEAD, SELL, WINDOW, WINDOW_END,
    as_tuples, cancel, command, enter, modify, random_commands, replace,
)
from tests.hot.book_model import Model

U, I, G = ord("U"), ord("I"), ord("G")
FOK = {"tif": IMMEDIATE}


@pytest.fixture
def desk():
    return Desk()


def test_a_limit_order_alone_is_accepted_and_booked(desk):
    assert desk.send(enter(300, BUY, 100, 2000, account=3)) == [
        (ACCEPTED, BUY, 0, 0, 300, 0, 100, 0, 0, 1), (BOOKED, BUY, 0, 0, 300, 0, 100, 2000, 0, 0)]
    assert desk.best(BUY) == 2000 and desk.best(SELL) == 2147483647
    assert (desk.book.orders[300]["account"], desk.book.orders[300]["total"]) == (3, 100)


def test_resting_order_sets_the_price_and_both_die(desk):
    desk.send(enter(300, SELL, 100, 2000))
    assert desk.send(enter(301, BUY, 100, 2005)) == [
        (ACCEPTED, BUY, 0, 0, 301, 0, 100, 0, 0, 2),
        (TRADE, BUY, 0, DEAD | REST_DEAD, 301, 300, 100, 2000, 0, 1)]
    assert desk.best(SELL) == 2147483647 and int(desk.engine["live_orders"]) == 0


def test_price_before_time_and_time_within_a_price(desk):
    desk.send(enter(300, SELL, 10, 2001), enter(301, SELL, 10, 2000), enter(302, SELL, 10, 2000))
    trades = desk.send(enter(303, BUY, 25, 2001))[1:]
    assert [(event[5], event[6], event[7], event[8], event[9]) for event in trades] == [
        (301, 10, 2000, 0, 1), (302, 10, 2000, 0, 2), (300, 5, 2001, 5, 3)]
    assert trades[-1][3] == DEAD and desk.queue(SELL, 2001) == [300]


def test_rest_of_a_sweep_is_booked_at_its_limit(desk):
    desk.send(enter(300, BUY, 10, 2001), enter(301, BUY, 10, 1999))
    assert desk.kinds(enter(302, SELL, 25, 2000)) == [
        (ACCEPTED, 302, 25), (TRADE, 302, 10), (BOOKED, 302, 15)]
    assert desk.best(SELL) == 2000 and desk.best(BUY) == 1999


def test_limit_that_does_not_reach_does_not_trade(desk):
    desk.send(enter(300, SELL, 10, 2001))
    assert desk.kinds(enter(301, BUY, 10, 2000))[1:] == [(BOOKED, 301, 10)]


def test_market_order_takes_every_price_and_its_rest_is_cancelled(desk):
    desk.send(enter(300, SELL, 10, 2001), enter(301, SELL, 10, WINDOW_END + 900))
    assert desk.send(enter(302, BUY, 30, "market"))[1:] == [
        (TRADE, BUY, 0, REST_DEAD, 302, 300, 10, 2001, 0, 1),
        (TRADE, BUY, 0, REST_DEAD, 302, 301, 10, WINDOW_END + 900, 0, 2),
        (CANCELED, BUY, I, DEAD, 302, 0, 10, 0, 0, 0)]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_market_order_in_an_empty_book_is_cancelled(desk, side):
    assert desk.kinds(enter(300, side, 30, "market"))[1:] == [(CANCELED, 300, 30)]


def test_market_sell_reaches_the_lowest_far_bid(desk):
    desk.send(enter(300, BUY, 10, 1))
    assert desk.send(enter(301, SELL, 10, "market"))[1][:8] == (
        TRADE, SELL, 0, DEAD | REST_DEAD, 301, 300, 10, 1)


def test_immediate_or_cancel_never_rests(desk):
    desk.send(enter(300, SELL, 10, 2001))
    assert desk.kinds(enter(301, BUY, 15, 2001, tif=IMMEDIATE))[1:] == [
        (TRADE, 301, 10), (CANCELED, 301, 5)]


@pytest.mark.parametrize("there, outcome", [(30, TRADE), (29, CANCELED)])
def test_fill_or_kill_takes_all_or_nothing(desk, there, outcome):
    desk.send(enter(300, SELL, 10, 2001), enter(301, SELL, there - 10, WINDOW_END))
    events = desk.send(enter(302, BUY, 30, WINDOW_END, tif=IMMEDIATE, min_qty=30))
    assert events[1][0] == outcome and len(events) == (3 if outcome == TRADE else 2)
    if outcome == CANCELED:
        assert events[1] == (CANCELED, BUY, I, DEAD, 302, 0, 30, 0, 0, 0)
        assert desk.queue(SELL, 2001) == [300]


def test_minimum_quantity_met_then_the_rest_is_cancelled(desk):
    desk.send(enter(300, SELL, 10, 2001), enter(301, SELL, 10, 2002))
    assert desk.kinds(enter(302, BUY, 30, 2002, tif=IMMEDIATE, min_qty=20))[1:] == [
        (TRADE, 302, 10), (TRADE, 302, 10), (CANCELED, 302, 10)]


def test_minimum_quantity_does_not_count_beyond_the_limit(desk):
    desk.send(enter(300, SELL, 10, 2001), enter(301, SELL, 10, 2003))
    assert desk.kinds(enter(302, BUY, 30, 2002, tif=IMMEDIATE, min_qty=20))[1:] == [
        (CANCELED, 302, 30)]


@pytest.mark.parametrize("smp, enough", [(SMP_OLDEST, 20), (SMP_NEWEST, 0), (r.SMP_OFF, 30)])
def test_own_orders_in_the_minimum_quantity_count(desk, smp, enough):
    resting = [enter(300, SELL, 10, 2001, account=1), enter(301, SELL, 20, 2001, account=2)]
    for least in (enough, enough + 1):
        if least:
            fresh = Desk()
            fresh.send(*resting)
            kinds = [event[0] for event in fresh.send(enter(302, BUY, 100, 2001, tif=IMMEDIATE,
                                                            min_qty=least, smp=smp, account=1))]
            assert (TRADE in kinds) == (least <= enough), (smp, least)


def test_post_only_that_would_trade_is_cancelled(desk):
    desk.send(enter(300, SELL, 10, 2001))
    assert desk.send(enter(301, BUY, 10, 2001, flags=r.POST_ONLY))[1:] == [
        (CANCELED, BUY, G, DEAD, 301, 0, 10, 0, 0, 0)]
    assert desk.kinds(enter(302, BUY, 10, 2000, flags=r.POST_ONLY))[1:] == [(BOOKED, 302, 10)]


def test_self_match_oldest_removes_the_resting_order_and_goes_on(desk):
    desk.send(enter(300, SELL, 10, 2001, account=1), enter(301, SELL, 10, 2001, account=2))
    assert desk.send(enter(302, BUY, 4, 2001, account=1, smp=SMP_OLDEST))[1:] == [
        (PREVENTED, SELL, SMP_OLDEST, DEAD | WAS_BOOKED, 300, 302, 10, 2001, 4, 0),
        (TRADE, BUY, 0, DEAD, 302, 301, 4, 2001, 6, 1)]


def test_self_match_newest_removes_the_incoming_rest_and_stops(desk):
    desk.send(enter(300, SELL, 10, 2000, account=2), enter(301, SELL, 5, 2001, account=1))
    assert desk.send(enter(302, BUY, 30, 2001, account=1, smp=SMP_NEWEST))[1:] == [
        (TRADE, BUY, 0, REST_DEAD, 302, 300, 10, 2000, 0, 1),
        (PREVENTED, BUY, SMP_NEWEST, DEAD, 302, 301, 20, 2001, 5, 0)]
    assert desk.queue(SELL, 2001) == [301] and desk.best(BUY) == -1


def test_self_match_off_trades_with_oneself(desk):
    desk.send(enter(300, SELL, 10, 2001, account=1))
    assert desk.kinds(enter(301, BUY, 10, 2001, account=1))[1:] == [(TRADE, 301, 10)]


def test_cancel_of_the_best_finds_the_next_best(desk):
    desk.send(enter(300, BUY, 10, 2001), enter(301, BUY, 10, 1500), enter(302, BUY, 10, 7))
    assert desk.send(cancel(300)) == [(CANCELED, BUY, U, DEAD | WAS_BOOKED, 300, 0, 10, 10, 0, 0)]
    assert desk.best(BUY) == 1500
    assert desk.send(cancel(301, tif=ord("Z")))[0][2] == ord("Z") and desk.best(BUY) == 7


def test_cancel_down_keeps_priority_and_counts_executed_shares(desk):
    desk.send(enter(300, SELL, 100, 2000), enter(301, SELL, 10, 2000), enter(302, BUY, 30, 2000))
    assert desk.send(cancel(300, 50)) == [(CANCELED, SELL, U, WAS_BOOKED, 300, 0, 50, 50, 20, 0)]
    assert desk.queue(SELL, 2000) == [300, 301]
    assert desk.send(cancel(300, 50)) == []
    assert desk.send(cancel(300, 30)) == [
        (CANCELED, SELL, U, DEAD | WAS_BOOKED, 300, 0, 20, 20, 0, 0)]


@pytest.mark.parametrize("kind", [cancel, modify])
@pytest.mark.parametrize("target", [0, 999, 2**32 - 1, 300])
def test_target_that_is_not_live_gives_no_event(desk, kind, target):
    desk.send(enter(300, SELL, 100, 2000), cancel(300))
    assert desk.send(kind(target, 0)) == [] and desk.send(replace(target, 301, SELL, 5, 2000)) == []


def test_replace_that_only_rests_is_moved_to_the_back(desk):
    desk.send(enter(300, BUY, 100, 2000), enter(301, BUY, 100, 2000))
    assert desk.send(replace(300, 302, BUY, 80, 2000)) == [
        (REPLACED, BUY, 0, REST_DEAD, 302, 300, 80, 0, 0, 3),
        (MOVED, BUY, 0, 0, 302, 300, 80, 2000, 0, 0)]
    assert desk.queue(BUY, 2000) == [301, 302] and desk.book.orders[302]["total"] == 80


def test_replace_carries_executed_shares(desk):
    desk.send(enter(300, BUY, 100, 2000), enter(301, SELL, 30, 2000))
    assert desk.kinds(replace(300, 302, BUY, 90, 1999)) == [(REPLACED, 302, 60), (MOVED, 302, 60)]
    assert desk.kinds(replace(302, 303, BUY, 30, 1999)) == [(CANCELED, 302, 60)]
    assert desk.engine["next_order_ref"] == 4


def test_replace_that_trades_unbooks_the_old_order_first(desk):
    desk.send(enter(300, BUY, 100, 2000), enter(301, SELL, 30, 2005))
    assert desk.send(replace(300, 302, BUY, 90, 2005)) == [
        (REPLACED, BUY, 0, REST_DEAD, 302, 300, 90, 0, 0, 3),
        (UNBOOKED, BUY, 0, 0, 302, 300, 100, 0, 0, 0),
        (TRADE, BUY, 0, REST_DEAD, 302, 301, 30, 2005, 0, 1),
        (BOOKED, BUY, 0, 0, 302, 0, 60, 2005, 0, 0)]


@pytest.mark.parametrize("details, reason", [
    ({"tif": IMMEDIATE}, I), ({"flags": r.POST_ONLY}, G), ({"tif": IMMEDIATE, "min_qty": 90}, I)])
def test_replace_that_may_not_stay_is_unbooked_and_cancelled(desk, details, reason):
    desk.send(enter(300, BUY, 100, 2000), enter(301, SELL, 30, 2005))
    price = 2005 if "flags" in details or "min_qty" in details else 2001
    events = desk.send(replace(300, 302, BUY, 90, price, **details))
    assert [event[0] for event in events] == [REPLACED, UNBOOKED, CANCELED]
    assert events[2][2:5] == (reason, DEAD, 302)


def test_replace_stopped_by_self_match_is_unbooked_and_prevented(desk):
    desk.send(enter(300, BUY, 10, 2000, account=1), enter(301, SELL, 30, 2005, account=1))
    kinds = desk.kinds(replace(300, 302, BUY, 10, 2005, account=1, smp=SMP_NEWEST))
    assert kinds == [(REPLACED, 302, 10), (UNBOOKED, 302, 10), (PREVENTED, 302, 10)]


def test_modify_down_keeps_its_place(desk):
    desk.send(enter(300, BUY, 100, 2000), enter(301, BUY, 100, 2000))
    assert desk.send(modify(300, 40)) == [(MODIFIED, BUY, 0, 0, 300, 0, 40, 0, 60, 0)]
    assert desk.queue(BUY, 2000) == [300, 301] and desk.book.orders[300]["total"] == 40


@pytest.mark.parametrize("price", [2000, WINDOW - 1, WINDOW_END])
def test_modify_up_goes_to_the_back_with_a_new_reference(desk, price):
    desk.send(enter(300, BUY, 100, price), enter(301, BUY, 100, price))
    assert desk.send(modify(300, 150)) == [
        (MODIFIED, BUY, 0, 0, 300, 0, 150, 0, 0, 0),
        (MOVED, BUY, 0, 0, 300, 300, 150, price, 0, 3)]
    assert desk.queue(BUY, price) == [301, 300] and desk.best(BUY) == price


def test_modify_to_the_same_changes_no_quantity(desk):
    desk.send(enter(300, BUY, 100, 2000), enter(301, SELL, 30, 2000))
    assert desk.send(modify(300, 100)) == [(MODIFIED, BUY, 0, 0, 300, 0, 70, 0, 0, 0)]
    assert desk.send(modify(300, 1_000_000)) == []


@pytest.mark.parametrize("total", [0, 30])
def test_modify_to_no_more_than_executed_cancels(desk, total):
    desk.send(enter(300, BUY, 100, 2000), enter(301, SELL, 30, 2000))
    assert desk.send(modify(300, total)) == [
        (CANCELED, BUY, U, DEAD | WAS_BOOKED, 300, 0, 70, 70, 0, 0)]


def test_symbols_do_not_meet(desk):
    desk.send(enter(300, SELL, 10, 2000, symbol=0))
    assert desk.kinds(enter(301, BUY, 10, 2000, symbol=1))[1:] == [(BOOKED, 301, 10)]


@pytest.mark.parametrize("wrong", [
    {"order": 0}, {"order": 16 * 256}, {"order": 2**32 - 1}, {"symbol": 2}, {"symbol": 65535},
    {"side": 2}, {"side": 255}, {"qty": 0}, {"qty": 2**32 - 1}, {"price_ticks": -1}])
def test_field_out_of_range_is_a_fault_and_changes_nothing(wrong):
    desk = Desk(checked=False)
    desk.send(enter(299, BUY, 10, 1990))
    desk.send(enter(300, SELL, 10, 2000))
    before = [array.copy() for array in desk.book[:-1]]
    fields = {"order": 301, "side": BUY, "qty": 10, "price_ticks": 2000} | wrong
    assert desk.send(command(r.ENTER, **fields)) == []
    assert desk.engine["fault"] == book_module.FAULT_COMMAND
    assert all(np.array_equal(*pair) for pair in zip(before, desk.book[:-1], strict=True))


def test_handle_that_is_live_is_not_entered_again():
    desk = Desk(checked=False)
    desk.send(enter(300, SELL, 10, 2000))
    assert desk.send(enter(300, SELL, 10, 2001)) == []
    assert desk.engine["fault"] == book_module.FAULT_COMMAND


def test_event_buffer_that_is_too_small_stops_the_burst():
    desk = Desk(checked=False)
    desk.send(*(enter(300 + i, SELL, 1, 2000 + i) for i in range(9)))
    batch = np.array([enter(400, BUY, 100, 3000)], r.COMMAND.dtype)
    small = desk.events[:9 + book_module.EVENTS_A_COMMAND - 1]
    assert book_module.apply(desk.book, batch, 0, 1, small, 0) == 0
    assert desk.engine["fault"] == book_module.FAULT_EVENTS


def test_widest_prices_and_quantities_trade_without_overflow(desk):
    desk.send(*(enter(300 + i, SELL, 999_999, 2147483646 + i % 2) for i in range(40)))
    assert desk.best(SELL) == 2147483646
    events = desk.send(enter(400, BUY, 999_999, 2147483647, tif=IMMEDIATE, min_qty=999_999))
    assert [event[4:8] for event in events[1:]] == [(400, 300, 999_999, 2147483646)]
    assert desk.kinds(*(enter(401 + i, BUY, 999_999, 2147483647) for i in range(40)))[-1] == (
        BOOKED, 440, 999_999)
    assert desk.best(SELL) == 2147483647 and desk.best(BUY) == 2147483647


def test_a_burst_gives_the_events_of_its_commands_one_by_one():
    single, burst = Desk(), Desk()
    commands = random_commands(random.Random(5), 500, (WINDOW, 2000, WINDOW_END))
    batch = np.array(commands, r.COMMAND.dtype)
    wanted = single.send(*commands)
    event_cnt = book_module.apply(burst.book, batch, 0, len(batch), burst.events, 0)
    assert as_tuples(burst.events[:event_cnt]) == wanted and event_cnt > 500


@pytest.mark.parametrize("far_cap, far_levels", [(64, 256), (5, 256), (64, 7)])
@pytest.mark.parametrize("seed", range(3))
def test_random_stream_equals_the_plain_model(seed, far_cap, far_levels):
    desk, model = Desk(far_cap, far_levels), Model(far_cap, far_levels)
    refused = 0
    for number, one in enumerate(random_commands(
            random.Random(seed), 1500, (12, WINDOW, 2000, 2040, WINDOW_END, WINDOW_END + 5000))):
        wanted = model.send(one)
        desk.checked = number % 7 == 0 or number > 1400
        assert desk.send(one) == wanted, f"command {number}: {one}"
        refused += any(event[0] == REFUSED for event in wanted)
    assert desk.engine["next_match"] == model.next_match > 200
    assert desk.engine["next_order_ref"] == model.next_ref
    assert (refused > 0) == (far_cap == 5 or far_levels == 7)


def test_the_window_follows_the_touch_and_nobody_sees_it():
    """Two books, the same events; only in one of them the ladder goes after the market."""
    following, still = Desk(far_cap=2048, far_levels=8192), Desk(far_cap=2048, far_levels=8192)
    following.engine["follow_after"], still.engine["follow_after"] = 8, 0
    generator, order = random.Random(9), 256
    for step in range(40):
        middle = 3000 + 900 * (step if step < 20 else 40 - step)
        commands = random_commands(generator, 60, (middle, middle + 30), first_order=order,
                                   special=3)
        order += 60
        for number, one in enumerate(commands):
            following.checked = still.checked = number % 13 == 0
            assert following.send(one) == still.send(one), f"{step}, {one}"
    assert following.engine["windows_moved"] > 5 and still.engine["windows_moved"] == 0
    assert following.engine["far_scans"] < still.engine["far_scans"]


def test_the_window_stays_where_far_levels_would_run_out():
    desk = Desk(far_cap=4, far_levels=256)
    desk.engine["follow_after"] = 8
    desk.send(*(enter(300 + i, BUY, 1, WINDOW + i) for i in range(10)))
    desk.send(*(enter(400 + i, BUY, 1, WINDOW_END + 9000) for i in range(40)))
    assert desk.engine["windows_moved"] == 0 and desk.best(BUY) == WINDOW_END + 9000
    desk.send(*(cancel(300 + i) for i in range(7)))
    desk.send(*(enter(500 + i, BUY, 1, WINDOW_END + 9000) for i in range(60)))
    assert desk.engine["windows_moved"] == 1
    assert len(desk.kinds(enter(600, SELL, 103, WINDOW + 7))) == 1 + 103


@pytest.mark.parametrize("collar", [0, 12])
@pytest.mark.parametrize("far_cap, far_levels, room", [(256, 2048, None), (9, 256, None),
                                                       (256, 40, None), (256, 2048, 800)])
@pytest.mark.parametrize("seed", range(3))
def test_random_stream_of_all_types_equals_the_plain_model(seed, far_cap, far_levels, room, collar):
    """Also where events have so little room that sweeps of reserves pause."""
    desk, bounds = Desk(far_cap, far_levels, room=room), (2147483647, 0)
    if collar:
        bounds = (2000 + collar, 2000 - collar)
        desk.book.symbols["buy_bound_ticks"], desk.book.symbols["sell_bound_ticks"] = bounds
    model, kinds = Model(far_cap, far_levels, bounds), set()
    for number, one in enumerate(random_commands(
            random.Random(seed), 2500, (1990, WINDOW, 2000, 2000, 2004, WINDOW_END), special=6)):
        wanted = model.send(one)
        desk.checked = number % 7 == 0 or number > 2400
        assert desk.send(one) == wanted, f"command {number}: {one}"
        kinds.update((event[0], event[2] if event[0] == PREVENTED else event[3] & r.UNSHOWN)
                     for event in wanted)
    assert desk.engine["next_match"] == model.next_match > 200
    assert desk.engine["next_order_ref"] == model.next_ref
    assert kinds >= {(r.REFRESHED, 0), (TRADE, 0), (TRADE, r.UNSHOWN), (BOOKED, r.UNSHOWN),
                     (PREVENTED, r.SMP_DECREMENT), (MOVED, r.UNSHOWN), (CANCELED, r.UNSHOWN)}


def test_a_plain_order_booked_whole_is_one_event(desk):
    batch = np.array([enter(300, BUY, 100, 2000)], r.COMMAND.dtype)
    assert book_module.apply(desk.book, batch, 0, 1, desk.events, 0) == 1
    event = desk.events[0]
    assert (int(event["kind"]), int(event["flags"])) == (ACCEPTED, WAS_BOOKED)
    assert [int(event[name]) for name in ("qty", "left", "price_ticks", "number")] == [
        100, 100, 2000, 1]


def test_a_sweep_of_reserves_longer_than_the_room_for_events_goes_on():
    small, model = Desk(room=60), Model(64, 256)
    commands = [enter(300 + i, SELL, 300, 2000, flags=r.RESERVE, min_qty=1 + i) for i in range(3)]
    commands += [enter(310, BUY, 700, 2000, account=1), enter(311, SELL, 5, 2000)]
    for one in commands:
        assert small.send(one) == model.send(one)
    assert small.pauses > 10 and small.queue(SELL, 2000)[-1] == 311
