"""Processes killed at random under load: who dies loses its own, everybody else nothing.

Short here; WIREMATCH_LONG=1 kills matchers 200 times and portd 50 times, and prints the figures.
"""

import os
import random
import signal
import statistics
import time

import pytest

from tests.end_to_end.load_kit import QUANTITY, Load
from tests.end_to_end.place import PRICE, Place
from tests.netns import needs_bpf, needs_namespaces

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

LONG = os.environ.get("WIREMATCH_LONG") == "1"
MATCHER_KILLS, PORTD_KILLS = (200, 50) if LONG else (6, 5)
COUNT = 3
SIZES = {"pages": 2048, "chunks": 12288 if LONG else 2048, "feed_bytes": 1 << 26,
         "feed_messages": 1 << 20, "lg_ladder": 12, "far_levels": 4096, "far_cap": 1024}
QUICK = {"gap_hold_us": 200_000}
PACE = 500                           # orders a second of each load: well below what two cores bear
SLOWER_MAX = 0.05                    # of what the others asked for, while their neighbour is dead


def rates(loads, seconds):
    """Answers a second of each load over the next `seconds`."""
    before, begun = [load.answered for load in loads], time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return [(load.answered - then) / passed for load, then in zip(loads, before, strict=True)]


def check_whole(report):
    """Every order of the one instance was accepted and executed, nothing is missing."""
    assert len(report) == 1, report
    row = report[0]
    assert row["whole"] and row["missing"] == 0 and row["rejected"] == 0, row
    assert row["accepted"] == row["entered"] > 0
    assert row["executed"] == row["entered"] * QUANTITY, row


@pytest.mark.parametrize("layout", ["shared", "own"])
def test_killed_matchers_are_back_and_the_others_do_not_notice(layout):
    """The last partition's matcher is killed again and again, at random moments, under load.

    The loads are paced: unpaced ones take whatever the machine has, and everybody's rate says more
    about who shares the cores than about the neighbour's death. What counts is that the others
    still get what they ask for. The long run holds them to it, the short one has too few windows.
    """
    draw, victim, back = random.Random(1), COUNT - 1, []
    with Place("native", QUICK, partitions=COUNT, layout=layout, sizes=SIZES) as place:
        loads = [Load(place, p, 0, PRICE, PACE) for p in range(COUNT)]
        try:
            place.until(lambda _: all(load.is_trading for load in loads))
            calm, busy = [], []
            for _ in range(MATCHER_KILLS):
                calm.append(sum(rates(loads[:victim], 0.3)))
                time.sleep(draw.uniform(0.0, 0.2))
                row = place.rows[victim]
                pid, begun = place.pid(f"matcher@{victim}"), time.monotonic()
                os.kill(pid, signal.SIGKILL)
                busy.append(sum(rates(loads[:victim], 0.3)))
                place.until(lambda c, row=row: c["partitions"][victim]["instance"]
                            > row["instance"] and c["partitions"][victim]["state"] == "ready")
                ready = {p["name"]: p for p in place.house.status["processes"]}
                back.append(ready[f"matcher@{victim}"]["ready_s"])
                instances = loads[victim].instances
                place.until(lambda _, n=instances: loads[victim].is_trading
                            or loads[victim].instances > n)
                assert time.monotonic() - begun < 60
            reports = [load.stop() for load in loads]
        finally:
            for load in loads:
                load.stop()
        for report in reports[:victim]:
            check_whole(report)
        assert len(reports[victim]) >= MATCHER_KILLS // 2, "it trades with instance after instance"
        assert [row["instance"] for row in place.rows] == [0] * victim + [MATCHER_KILLS], \
            place.house.words()
        port = place.house.fresh_status()["port"]
        if layout == "shared":
            place.until(lambda c: c["port"]["fill_level"] == (COUNT + 1) * 4096)
        assert port["events"]["frames_withheld"] == 0
        ratio = sum(busy) / sum(calm)
        print(f"{layout}, rung {place.row['mode']}, {place.house.status['cores']}: "
              f"{MATCHER_KILLS} kills, the others at {ratio:.3f} of their rate "
              f"({statistics.median(calm):.0f} answers/s; windows of 0.3 s {min(busy):.0f} to "
              f"{max(busy):.0f} after a kill, {min(calm):.0f} to {max(calm):.0f} else), matcher "
              f"ready after {statistics.median(back):.3f} s, at most {max(back):.3f} s")
        assert not LONG or ratio >= 1 - SLOWER_MAX


@pytest.mark.parametrize("layout", ["shared", "own"])
def test_killed_portd_costs_nobody_an_order(layout):
    draw = random.Random(2)
    with Place("native", QUICK, partitions=COUNT, layout=layout, sizes=SIZES) as place:
        loads = [Load(place, p, 0, PRICE) for p in range(COUNT)]
        try:
            place.until(lambda _: all(load.is_trading for load in loads))
            before = [place.pid(f"matcher@{p}") for p in range(COUNT)]
            for turn in range(PORTD_KILLS):
                time.sleep(draw.uniform(1.0, 1.4))        # more often is taken for a broken one
                os.kill(place.pid("portd"), signal.SIGKILL)
                place.until(lambda c, turn=turn: c["port"]["events"]["adopted"] == turn + 1)
            assert [place.pid(f"matcher@{p}") for p in range(COUNT)] == before, place.house.words()
            reports = [load.stop() for load in loads]
        finally:
            for load in loads:
                load.stop()
        for report in reports:
            check_whole(report)
        assert {row["reopens"] for row in place.rows} == {0}, "nobody asked for a new port"
        if layout == "shared":
            place.until(lambda c: c["port"]["fill_level"] == (COUNT + 1) * 4096)
        print(f"{layout}: portd killed {PORTD_KILLS} times, "
              f"{sum(report[0]['entered'] for report in reports)} orders, none lost")
