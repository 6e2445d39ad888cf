"""Time limits: the heap against a sorted list, and orders that leave when their time is over."""

import random

import numpy as np
import pytest

from appliance.hot import timers
from appliance.layout import record
from tests.hot.core_kit import NOON, Kit, cancel, canceled, enter, kinds, replace

SECOND = 1_000_000_000


def seconds(number):
    return 15, number.to_bytes(4, "big")


def check(core, model):
    """The heap holds exactly the model's orders, each knows its place, the first is the first."""
    count = int(core.book.engine[0]["timer_cnt"])
    heap = core.timers.heap[:count].tolist()
    assert sorted(heap) == sorted(model)
    assert [int(core.timers.places[handle]) for handle in heap] == list(range(1, count + 1))
    assert int(np.count_nonzero(core.timers.places)) == count
    for place in range(1, count):
        assert model[heap[(place - 1) // 2]] < model[heap[place]]


@pytest.mark.parametrize("seed", range(4))
def test_heap_agrees_with_a_plain_model(seed):
    core, dice, model = Kit(pages=2).core, random.Random(seed), {}
    for turn in range(1500):
        free = [handle for handle in range(1, 200) if handle not in model]
        if model and dice.random() < 0.45:
            first = min(model, key=model.get)
            handle = dice.choice(sorted(model)) if dice.random() < 0.7 else first
            del model[handle]
            timers.stop_timer(core, handle)
        elif free:
            handle, due = dice.choice(free), dice.randrange(60)
            model[handle] = due, turn
            timers.start_timer(core, handle, due, turn)
        timers.stop_timer(core, 400)
        check(core, model)
    while model:
        first = min(model, key=model.get)
        assert core.timers.heap[0] == first
        timers.stop_timer(core, first)
        del model[first]
        check(core, model)


@pytest.fixture
def kit():
    kit = Kit()
    yield kit
    kit.check_healthy()
    assert int(kit.core.book.engine[0]["timer_cnt"]) == sum(
        kit.core.accounts.cold[handle]["tif_letter"] == ord("6")
        for handle in np.flatnonzero(kit.core.book.orders["qty"]))


def test_order_leaves_with_the_first_record_at_or_after_its_time(kit):
    kit.send(enter(1, tif=b"6", options=[seconds(2)]))
    kit.send(enter(2, tif=b"6", price=1633000, options=[seconds(1)]))
    kit.send(enter(3, tif=b"6", price=1633100, options=[seconds(1)]), account=2)
    kit.drain()
    kit.now = NOON + SECOND - 1
    kit.command(record.CLOCK)
    assert kit.out() == [] == kit.feed() and kit.count("orders_expired") == 0
    kit.now = NOON + SECOND
    kit.command(record.CLOCK)
    assert kit.out() == [canceled(2, 100, b"T", kit.now)]
    assert kit.out(2) == [canceled(3, 100, b"T", kit.now)]
    assert kinds(kit.feed()) == b"DD"
    kit.now = NOON + 5 * SECOND
    assert kit.send(cancel(1)) == [canceled(1, 100, b"T", kit.now)], "gone before the Cancel came"
    assert kit.count("orders_expired") == 3 and kit.count("cancels_ignored") == 1


def test_expired_order_trades_with_nobody(kit):
    kit.send(enter(1, tif=b"6", options=[seconds(1)]))
    kit.now += SECOND
    assert kinds(kit.send(enter(1, side=b"S"), account=1)) == b"A"
    assert kinds(kit.out()) == b"C" and kit.count("trades") == 0


def test_what_ends_an_order_ends_its_timer(kit):
    for number in range(1, 6):
        kit.send(enter(number, tif=b"6", price=1633000 + 100 * number, options=[seconds(number)]))
    kit.send(cancel(1))
    kit.send(enter(1, side=b"S", price=1633500, tif=b"3"), account=1)       # trades with 5
    kit.send(replace(2, 6))                                                 # a day order now
    kit.send(replace(3, 7, tif=b"6", options=[seconds(60)]))
    assert kit.live() == [(0, 4), (0, 6), (0, 7)]
    assert int(kit.core.book.engine[0]["timer_cnt"]) == 2
    kit.now += 10 * SECOND
    kit.drain()
    kit.command(record.CLOCK)
    assert kit.out() == [canceled(4, 100, b"T", kit.now)] and kit.live() == [(0, 6), (0, 7)]
    kit.now += 50 * SECOND
    assert kit.send(b"Q")[0] == canceled(7, 100, b"T", kit.now)


def test_time_limit_is_echoed(kit):
    accepted, = kit.send(enter(1, tif=b"6", options=[(5, b"\0\0\0\x64"), seconds(7), (12, b"N")]))
    assert accepted[34:35] == b"6"
    assert accepted[62:] == bytes.fromhex("000F" "050500000064" "020C4E" "050F00000007")
    replaced, = kit.send(replace(1, 2, tif=b"6", options=[seconds(8)]))
    assert replaced[66:] == bytes.fromhex("0006" "050F00000008")
    assert kit.send(replace(2, 3))[0][66:] == b"\0\0"
