"""The recycler in memory: every frame is in exactly one place, whoever is killed, whenever."""

import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest

from appliance.hot import fence
from appliance.shm import exchange, recycler, recycler_kernels
from appliance.shm.exchange import CONSUMER, PRODUCER
from tests.shm.recycler_kit import LOW_32, PLAN, Bench, MemoryRings, echo, traffic, until

pytestmark = pytest.mark.alone

STARTS = pytest.mark.parametrize("start", [0, 0xFFFF_FF80, 0x7FFF_FFC1],
                                 ids=["from 0", "wrapping", "sign bit"])


class Killed(Exception):
    """Stands for SIGKILL: nothing of the victim runs after it."""


def forked(work):
    """A child process that does `work` and then nothing until it is killed; its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        while True:
            time.sleep(1)
    finally:
        os._exit(1)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@STARTS
def test_at_first_every_frame_lies_where_it_begins(start):
    bench = Bench(start=start)
    assert bench.recycler().counts()["fill_level"] == PLAN.rx_frame_cnt
    bench.check()


@STARTS
def test_frames_go_round_for_ever_and_are_counted(start):
    bench = Bench(start=start)
    made = bench.recycler()
    for turn in range(30):
        frames = bench.take_filled(100)
        for p in range(3):
            bench.give_back(p, frames[p::3])
        bench.complete([frame for p in range(3) for frame in bench.take_free(p, 20 + turn)])
        bench.settle(made)
    counts = made.counts()
    assert counts["recycled"] == 3000 and counts["completed"] == 3 * sum(range(20, 50))
    assert counts["refused"] == 0 and counts["fill_level"] == PLAN.rx_frame_cnt
    bench.check()


@STARTS
def test_bad_addresses_are_dropped_and_counted_and_stop_nobody(start):
    bench = Bench(start=start)
    made = bench.recycler()
    frames, first_tx = bench.take_filled(8), PLAN.tx_range(0)[0]
    bench.give_back(0, [frames[0], 1, first_tx, LOW_32 << 20, (1 << 64) - 2048, frames[1]])
    bench.give_back(1, frames[2:])
    bench.take_free(0, 1)
    bench.complete([frames[0], first_tx + 42, 1 << 60, 1 << 63, PLAN.tx_range(1)[0]])
    bench.settle(made)
    assert made.counts()["recycled"] == 8 and made.counts()["completed"] == 1
    assert made.counts()["refused"] == 4 + 4, "the last one is for a ring that is full"
    bench.recycler(adopt=True)
    bench.check()


def test_a_senseless_producer_is_ignored_counted_once_and_repaired_by_taking_back():
    bench = Bench()
    made, rings = bench.recycler(), MemoryRings(PLAN)
    starts = made.grant(2)
    assert bench.receive(rings, 50) == 50
    rings.rx.words[rings.rx.consumer] = 30
    bench.give_back(2, [int(rings.rx.entries[2 * i]) & -2048 for i in range(10)])
    bench.settle(made)
    bench.exchange.returned(2)[0][PRODUCER] = 1 << 30
    frames = bench.take_filled(8)
    bench.give_back(1, frames)
    made.start()
    assert until(lambda: made.counts()["recycled"] == 18)
    made.stop()
    assert made.counts()["refused"] == 1
    assert made.take_back(2, rings, *starts) == (40, 0)
    bench.settle(made)
    assert made.counts()["refused"] == 1
    bench.check()


def test_an_exchange_is_primed_once_and_a_spoilt_one_is_refused():
    bench = Bench()
    bench.recycler()
    with pytest.raises(RuntimeError, match="in use"):
        bench.recycler()
    bench.exchange.returned(1)[0][CONSUMER] = 77_777
    with pytest.raises(RuntimeError, match="spoilt"):
        bench.recycler(adopt=True)


def one_pass(made):
    """What `recycle` does in a pass, with the module's own fences, interpreted."""
    x, c = made.exchange, made.constants
    for p in range(made.plan.partition_cnt):
        recycler_kernels.give_back.py_func(x.words, x.entries, made.fill.words, made.fill.entries,
                                           made.state, c, p)
    recycler_kernels.hand_out.py_func(x.words, x.entries, made.comp.words, made.comp.entries,
                                      made.state, c)


@STARTS
def test_killed_before_each_single_publication_in_turn(start, monkeypatch):
    """Exhaustive: the n-th store that another process can see never happens, for every n."""
    left = [0]

    def store(array, idx, value):
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        fence.plain_store(array, idx, value)

    for name in ("store_release_u32", "store_release_u64"):
        monkeypatch.setattr(recycler_kernels, name, store)
    for name in ("load_acquire_u32", "load_acquire_u64"):
        monkeypatch.setattr(recycler_kernels, name, fence.plain_load)
    for kill_at in range(1000):
        bench = Bench(start=start)
        made = bench.recycler()
        frames = bench.take_filled(12)
        for p in range(3):
            bench.give_back(p, [*frames[4 * p:4 * p + 2], 7, *frames[4 * p + 2:4 * p + 4]])
        sent = [frame for p in range(3) for frame in bench.take_free(p, 3)]
        bench.complete([*sent[:4], 7, *sent[4:]])
        bench.exchange.withheld(0)[1] = 1
        left[0] = kill_at
        try:
            for _ in range(4):
                one_pass(made)
        except Killed:
            bench.settle(bench.recycler(adopt=True))
            assert not bench.exchange.withheld(0).any()
            bench.check()
        else:
            break
    assert 30 < kill_at < 999


@STARTS
def test_a_recycler_killed_at_any_moment_under_full_traffic(start):
    """A forked recycler dies by SIGKILL dozens of times while compiled traffic goes round."""
    plan, draw = PLAN, random.Random(start)
    bench = Bench(start=start)
    bench.recycler()
    hands = np.zeros((4, plan.fill_depth), np.uint64)
    counts = np.zeros(8, np.int64)
    stop, half_done = np.ones(16, np.uint32), 0
    rings = np.array([[plan.return_off(p) // 4, plan.free_off(p) // 4] for p in range(3)])
    arguments = (bench.exchange.words, bench.exchange.entries, bench.fill.words,
                 bench.fill.entries, bench.comp.words, bench.comp.entries, rings,
                 plan.tx_depth - 1, hands, counts, stop)
    traffic(*arguments)                                # compiled before the forks
    stop[0] = 0
    thread = threading.Thread(target=traffic, args=arguments)
    thread.start()
    try:
        deadline, kill_cnt = time.monotonic() + 120, 0
        while kill_cnt < 40 or adopted.counts()["recycled"] <= 10_000:
            assert time.monotonic() < deadline, adopted.counts()
            kill_cnt += 1
            pid = forked(lambda: bench.recycler(adopt=True).start())
            time.sleep(draw.uniform(0.002, 0.04))
            kill(pid)
            adopted = bench.recycler(adopt=True)
            half_done += any(adopted.repaired)
    finally:
        stop[0] = 1
        thread.join()
    made = bench.recycler(adopt=True)
    bench.settle(made)
    assert made.counts()["recycled"] > 10_000 and made.counts()["refused"] == 0
    bench.check(hands[0, :counts[0]].tolist(),
                [frame for p in range(3) for frame in hands[1 + p, :counts[1 + p]].tolist()])
    print(f"{half_done} of {kill_cnt} kills hit a half-done step")


@STARTS
def test_what_a_killed_matcher_had_in_hand_is_taken_back_once(start):
    bench = Bench(start=start)
    made, rings = bench.recycler(), MemoryRings(PLAN)
    starts = made.grant(1)
    bench.receive(rings, 10)
    rings.rx.words[rings.rx.consumer] = 4
    bench.exchange.burst(1)["addr"][:4] = rings.rx.entries[0:8:2]
    bench.take_free(1, 20)
    assert made.take_back(1, rings, *starts) == (10, 0)
    assert made.take_back(1, rings, *starts) == (0, 0)
    bench.settle(made)
    bench.check()


@STARTS
def test_frames_inside_the_device_are_withheld_until_they_complete(start):
    """Also over a second matcher that dies while its predecessor's frames are still out."""
    bench = Bench(start=start)
    made = bench.recycler()
    port_frames, inside = [], []
    for life in range(3):
        rings, starts = MemoryRings(PLAN), made.grant(1)
        port_frames = bench.take_free(1)
        assert sorted(port_frames + inside) == [*range(*PLAN.tx_range(1), PLAN.frame_sz)]
        for i, frame in enumerate(port_frames[:12]):
            rings.tx.entries[2 * i] = frame
        rings.tx.words[rings.tx.producer] = 12
        inside += bench.send_from(rings, 10)
        bench.complete(inside[:5])
        inside = inside[5:]
        assert made.take_back(1, rings, *starts) == (0, 5 * (life + 1))
        assert made.take_back(1, rings, *starts) == (0, 5 * (life + 1))
    made.grant(1)
    assert len(bench.take_free(1)) == PLAN.tx_depth - len(inside)
    bench.complete(inside)
    bench.settle(made)
    assert sorted(bench.take_free(1)) == sorted(inside)
    assert not bench.exchange.withheld(1).any()


def dies_at_line(work, line_cnt):
    """Runs `work`, which dies when it comes to its line_cnt-th line of recycler.py; whether it
    did."""
    left = [line_cnt]

    def tracer(frame, event, _argument):
        if frame.f_code.co_filename != recycler.__file__:
            return None
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                raise Killed
        return tracer

    sys.settrace(tracer)
    try:
        work()
    except Killed:
        return True
    finally:
        sys.settrace(None)
    return False


def test_portd_killed_at_every_line_of_taking_back_and_granting(monkeypatch):
    monkeypatch.setattr(recycler, "DEVICE_PATIENCE_S", 0.0)
    for line_cnt in range(1, 1000):
        bench = Bench()
        made, rings = bench.recycler(), MemoryRings(PLAN)
        starts = made.grant(0)
        bench.receive(rings, 6)
        rings.rx.words[rings.rx.consumer] = 4
        bench.exchange.burst(0)["addr"][:4] = rings.rx.entries[0:8:2]
        frames = bench.take_free(0, 9)
        rings.tx.entries[0:10:2] = frames[:5]
        rings.tx.words[rings.tx.producer] = 5
        inside = bench.send_from(rings, 3)
        bench.complete(inside[:1])
        bench.settle(made)

        taken = []

        def both(made=made, rings=rings, starts=starts, taken=taken):
            taken.append(made.take_back(0, rings, *starts))
            made.grant(0)

        died = dies_at_line(both, line_cnt)
        successor = bench.recycler(adopt=True)
        if not taken:
            successor.take_back(0, rings, *starts)
        successor.grant(0)
        bench.settle(successor)
        bench.check(sending=inside[1:])
        if not died:
            break
    assert 60 < line_cnt < 999


@pytest.mark.parametrize("seed", range(2))
def test_matchers_killed_at_any_moment_leak_no_frame(seed, monkeypatch):
    """Forked matchers with the real port kernels; the test plays the kernel, and some completions
    come only after the next matcher has begun."""
    monkeypatch.setattr(recycler, "DEVICE_PATIENCE_S", 0.02)
    draw, bench, memory = random.Random(seed), Bench(), np.zeros(PLAN.umem_sz, np.uint8)
    made, late = bench.recycler(), []
    echo(exchange.port_over(MemoryRings(PLAN).rx, MemoryRings(PLAN).tx, bench.exchange, memory, 0),
         0, 0)                                         # compiled before the forks
    made.start()
    for turn in range(60):
        rings, starts = MemoryRings(PLAN), made.grant(0)
        stop_at = draw.choice([20, 100_000_000])       # some end with a burst in hand
        port = exchange.port_over(rings.rx, rings.tx, bench.exchange, memory, 0)
        pid = forked(lambda port=port, stop_at=stop_at: echo(port, 200_000_000, stop_at))
        deadline, inside = time.monotonic() + draw.uniform(0.001, 0.02), late
        assert until(lambda rings=rings: bench.receive(rings, 8) and rings.received()[1] or
                     rings.received()[1])
        while time.monotonic() < deadline:
            bench.receive(rings, draw.randrange(40))
            inside += bench.send_from(rings)
            done = draw.randrange(len(inside) + 1)
            bench.complete(inside[:done])
            inside = inside[done:]
        kill(pid)
        inside += bench.send_from(rings, draw.randrange(10))
        if turn % 3:
            bench.complete(inside)
            inside = []
        late = inside
        _, withheld = made.take_back(0, rings, *starts)
        assert withheld == len(late), turn
        assert until(lambda: made.counts()["fill_level"] == PLAN.rx_frame_cnt), turn
    made.stop()
    bench.complete(late)
    bench.settle(made)
    assert made.counts()["refused"] == 0
    bench.check()
