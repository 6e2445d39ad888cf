"""Rings without room: frames that nobody takes, frames that do not come back, links that go down.

Whatever is lost has a counter that says how much, whatever is delayed leaves later, and every order
is accepted once in the end.
"""

import contextlib
import os
import signal
import time

import pytest

from tests.end_to_end.place import PRICE, SMALL, Place, trade
from tests.end_to_end.wire_kit import ORDERS, Ledger, accepted_once, alarm, caught_up, halted
from tests.netns import needs_bpf, needs_namespaces
from tools.netns import mac_of

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

SHORT, SENT = 64, 200
FEW, TAKEN_S = 4, 0.02       # orders at a time, and how long a matcher may take for them
PATIENT = {"gap_hold_us": 1_000_000}
UNHURRIED = "[supervision]\nhang_ms = 60000\n"          # a halted matcher is not ended
ROOMY, PORTION = 1024, 200
PATIENCE_S = 60.0            # the kernel may take its time to let go of a socket
LINES = {"theirs": ("outside", "wm1"), "ours": ("appliance", "wm0")}


def ports(rx_frames, tx_frames):
    return f"[port]\nrx_frames = {rx_frames}\ntx_frames = {tx_frames}\n" + UNHURRIED


def enter(session, place, count, partition=0):
    """Numbers of orders that rest at one price."""
    return [session.enter("B", 1, place.symbol(partition), PRICE - 100) for _ in range(count)]


def slowly(session, place, count):
    """The same few at a time, the next when the matcher has taken them, or does not: as many frames
    as can be, both ways, and no more at a time than its ring holds."""
    numbers, counters = [], place.regions()("counters")
    while len(numbers) < count:
        before, until = int(counters[ORDERS]), time.monotonic() + TAKEN_S
        numbers += enter(session, place, FEW)
        while counters[ORDERS] < before + FEW and time.monotonic() < until:
            time.sleep(0.0005)
    return numbers


@contextlib.contextmanager
def recycler_halted(place):
    """portd stands still, and the launcher, which would end it for that."""
    with halted(place.house.process.pid), halted(place.pid("portd")):
        yield


def others_of(place):
    """Two accounts of the second partition."""
    return place.login(1, partition=1), place.login(2, partition=1)


@pytest.mark.parametrize(("layout", "lost"), [("own", "rx_dropped"), ("shared", "rx_ring_full")])
def test_a_matcher_that_stands_still_loses_what_its_rings_do_not_hold(warm, layout, lost):
    """On a queue of its own fill_ring runs out, on a shared one its receive ring is full and the
    frames of the others are not touched."""
    with Place("native", PATIENT, partitions=2, layout=layout, extra=ports(SHORT, SHORT)) as place:
        session, others = place.login(0), others_of(place)
        ledger = Ledger(place)
        with halted(place.pid("matcher@0")):
            numbers = enter(session, place, SENT)
            trade(*others, symbol=place.symbol(1))
            full = ledger.until(lambda moved: moved.sockets[0][lost] >= SENT - SHORT)
            trade(*others, symbol=place.symbol(1))
        given_up = accepted_once(place, session, numbers)
        moved = ledger.until(lambda moved: moved.program["redirected"] == moved.taken)
        wanted = {"rx_dropped": 0, "rx_ring_full": 0, "fill_ring_empty": 0, lost: SENT - SHORT}
        if layout == "own":
            wanted["fill_ring_empty"] = SENT - SHORT
        assert {name: full.sockets[0][name] for name in wanted} == wanted
        assert not any(moved.sockets[1][name] for name in wanted)
        assert moved.matchers[0]["orders"] == SENT - given_up
        assert moved.matchers[1]["gap_requests"] == 0 and moved.matchers[1]["trades"] == 2
        assert "datagrams found" in alarm(place, lost.replace("_", "-"))
        assert place.row["instance"] == 0
        assert place.stop() == 0, place.house.words()


def test_frames_that_do_not_come_back_delay_answers_and_lose_none(warm):
    """portd stands still, and with it the recycler of the shared queue: transmit frames that have
    left stay away."""
    with Place("native", PATIENT, partitions=2, layout="shared",
               extra=ports(ROOMY, SHORT)) as place:
        session, others, feed = place.login(0), others_of(place), place.feed()
        caught_up(place, feed)
        asked, ledger = feed.counts["requests"], Ledger(place)
        with recycler_halted(place):
            begun = ledger.moved().matchers[0]["tx_frames"]
            numbers = slowly(session, place, SENT)
            stuck = ledger.until(lambda moved: moved.matchers[0]["orders"] == SENT
                                 and moved.matchers[0]["tx_no_frame"] > 0)
            trade(*others, symbol=place.symbol(1))
            assert stuck.matchers[0]["tx_frames"] - begun <= SHORT
        assert accepted_once(place, session, numbers) == 0
        caught_up(place, feed)
        moved = ledger.until(lambda moved: moved.program["redirected"] == moved.taken)
        assert session.counts["requests"] == 0, "late, not lost"
        assert feed.counts["requests"] == asked
        assert moved.matchers[1]["tx_no_frame"] == 0 and moved.matchers[1]["trades"] == 1
        assert moved.device["tx_dropped"] == 0
        assert "transmit frame was on its way" in alarm(place, "tx-no-frame")
        assert place.stop() == 0, place.house.words()


@pytest.mark.parametrize("end", LINES)
def test_a_link_that_goes_down_under_answers(warm, end):
    """Their end down: every frame is dropped, counted, and asked for again. Our end down: frames
    wait until none is left, and leave by themselves when it is up again."""
    with Place("native", PATIENT, sizes=SMALL, extra=ports(ROOMY, SHORT)) as place:
        namespace, device = getattr(place.scene, LINES[end][0]), LINES[end][1]
        session, numbers = place.login(0), []
        trade(place.login(1), place.login(2))
        ledger = Ledger(place)
        with halted(place.pid("matcher@0")):
            while len(numbers) < 5 * PORTION:
                numbers += enter(session, place, PORTION)
                ledger.until(lambda moved: moved.program["redirected"] >= len(numbers))
            namespace.run("ip", "link", "set", device, "down")
        full = "tx_no_frame" if end == "ours" else "ack_packets"
        ledger.until(lambda moved: moved.matchers[0]["orders"] == len(numbers)
                     and moved.matchers[0][full] > 0)
        dropped = ledger.until(lambda moved: end == "ours" or moved.device["tx_dropped"]
                               == moved.matchers[0]["tx_frames"]).device["tx_dropped"]
        assert (dropped > 0) == (end == "theirs")
        assert "orders cannot arrive" in alarm(place, "link-down")
        namespace.run("ip", "link", "set", device, "up")
        restore(place)
        assert accepted_once(place, session, numbers) == 0
        assert (session.counts["requests"] > 0) == (end == "theirs")
        assert ledger.moved().sockets[0]["rx_dropped"] == 0
        if end == "theirs":
            assert "dropped as they left" in alarm(place, "tx-dropped")
        else:
            assert "transmit frame was on its way" in alarm(place, "tx-no-frame")
        again = place.login(1)
        again.resume()
        again.wait(again.enter("B", 1, place.symbol(0), PRICE - 200))
        assert place.stop() == 0, place.house.words()


def restore(place):
    """Neighbours and routes that a device forgets when it goes down."""
    scene = place.scene
    for namespace, device, ip in ((scene.appliance, "wm0", scene.market_ip),
                                  (scene.outside, "wm1", scene.ip)):
        namespace.run("ip", "neigh", "replace", ip, "lladdr", mac_of(ip), "dev", device,
                      "nud", "permanent")
        namespace.run("ip", "route", "replace", "224.0.0.0/4", "dev", device)


@pytest.mark.parametrize("layout", ["own", "shared"])
def test_what_sockets_have_lost_is_still_told_after_matcher_and_portd_died(warm, layout):
    """On a shared queue every socket tells fill_ring's losses, those before its time included."""
    with Place("native", PATIENT, partitions=2, layout=layout, extra=ports(SHORT, SHORT)) as place:
        session, names = place.login(0), ("rx_dropped", "rx_ring_full", "fill_ring_empty")
        ledger = Ledger(place)
        if layout == "own":
            with halted(place.pid("matcher@0")):
                numbers = enter(session, place, SENT)
        else:
            with recycler_halted(place):         # 192 frames are all there is
                numbers = slowly(session, place, 4 * SHORT)
        accepted_once(place, session, numbers)
        lost = ledger.until(lambda moved: moved.program["redirected"] == moved.taken
                            and moved.sockets[0]["fill_ring_empty"] > 0)
        adopted = place.house.fresh_status()["port"]["events"]["adopted"]
        os.kill(place.pid("matcher@0"), signal.SIGKILL)
        place.until(lambda content: (content["partitions"][0]["instance"], content["partitions"][0][
            "state"]) == (1, "ready"), PATIENCE_S)
        os.kill(place.pid("portd"), signal.SIGKILL)
        place.until(lambda content: content["port"]["events"]["adopted"] > adopted, PATIENCE_S)
        trade(place.login(1, partition=1), place.login(2, partition=1), symbol=place.symbol(1))
        place.published()
        sockets = ledger.moved().sockets
        assert {name: sockets[0][name] for name in names} == {
            name: lost.sockets[0][name] for name in names}
        assert sockets[0]["fill_ring_empty"] > 0
        assert place.stop() == 0, place.house.words()
