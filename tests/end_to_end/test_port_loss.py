"""AF_XDP is lost while people trade: plain sockets take over, loudly, and AF_XDP comes back."""

import os
import signal
import time
from pathlib import Path

import pytest

from appliance.layout import shared
from tests.end_to_end.place import PRICE, Place, trade, wait_for
from tests.netns import needs_bpf, needs_namespaces
from tests.stages.test_watch import foreign
from tools import netns

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

COUNT = 2


def cut(place):
    """Deletes the device (both ends of the veth go)."""
    place.scene.appliance.run("ip", "link", "del", "wm0")


def mend(place):
    """A device of the same name and address, as the scene made it."""
    scene = place.scene
    netns.veth_pair(scene.appliance, "wm0", scene.ip, scene.outside, "wm1", scene.market_ip)


def reopened(place, mode, times):
    """Every partition has taken a new port, of this rung."""
    place.until(lambda c: all(row["mode"] == mode and row["reopens"] >= times
                              for row in c["partitions"]))


def trade_on(place, sessions):
    """The same sessions go on with their orders."""
    for p, (buyer, seller) in enumerate(sessions):
        sell = seller.enter("S", 10, place.symbol(p), PRICE)
        wait_for(seller, sell, "A")
        buy = buyer.enter("B", 10, place.symbol(p), PRICE)
        wait_for(buyer, buy, "E")


def test_a_device_that_is_deleted_and_made_again():
    with Place("native", {"gap_hold_us": 200_000}, partitions=COUNT, layout="shared") as place:
        sessions = [(place.login(0, partition=p), place.login(1, partition=p))
                    for p in range(COUNT)]
        trade_on(place, sessions)
        before = [place.pid(f"matcher@{p}") for p in range(COUNT)]
        cut(place)
        reopened(place, "socket", 1)
        kinds = {alarm["kind"] for alarm in place.house.fresh_status()["alarms"]}
        assert {"device-gone", "rung-lost"} <= kinds
        mend(place)
        reopened(place, "native", 2)
        trade_on(place, sessions)
        assert [place.pid(f"matcher@{p}") for p in range(COUNT)] == before
        assert place.house.status["port"]["events"]["rung_regained"] == COUNT
        assert place.stop() == 0, place.house.words()


def test_a_stranger_first_means_sockets_and_af_xdp_when_it_has_left():
    """The appliance starts on plain sockets, trades, and climbs while it trades."""
    class Occupied(Place):
        """The device has another program when the appliance starts."""

        def _edit(self, path):
            super()._edit(path)
            self.near = self.scene.appliance
            self.stranger = foreign(self)

    with Occupied("socket", {"gap_hold_us": 200_000}, partitions=COUNT, layout="shared",
                  configured="auto") as place:
        sessions = [(place.login(0, partition=p), place.login(1, partition=p))
                    for p in range(COUNT)]
        trade_on(place, sessions)
        kinds = {alarm["kind"] for alarm in place.house.fresh_status()["alarms"]}
        assert "program-foreign" in kinds
        os.close(place.stranger)
        reopened(place, "native", 1)
        trade_on(place, sessions)
        assert place.stop() == 0, place.house.words()


def test_a_stopped_matcher_is_late_then_ended_and_the_fork_server_may_die():
    with Place("native", partitions=COUNT, layout="shared") as place:
        os.kill(place.pid("forkserver"), signal.SIGKILL)
        place.until(lambda c: "forkserver-died" in {a["kind"] for a in c["alarms"]})
        pid, begun = place.pid("matcher@1"), time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        place.until(lambda c: "matcher-late" in {a["kind"] for a in c["alarms"]})
        assert "matcher@1" in place.house.words()
        place.until(lambda c: c["partitions"][1]["instance"] == 1
                    and c["partitions"][1]["state"] == "ready")
        assert time.monotonic() - begun > 2.0, "not before hang_ms"
        assert place.row["instance"] == 0
        trade(place.login(0, partition=1), place.login(1, partition=1), symbol=place.symbol(1))


def test_a_hung_portd_tells_where_it_is_and_is_started_again():
    """SIGUSR2 writes its Python stack; the alarm has what the kernel says of a stopped one."""
    with Place("native", partitions=COUNT, layout="shared") as place:
        first = place.pid("portd")
        os.kill(first, signal.SIGUSR2)
        place.until(lambda _: "stages/portd.py" in place.house.words())
        assert place.pid("portd") == first
        os.kill(first, signal.SIGSTOP)
        place.until(lambda c: c["port"]["events"]["adopted"] == 1)
        alarms = {alarm["kind"]: alarm["text"] for alarm in place.house.fresh_status()["alarms"]}
        assert f"{first} T do_signal_stop" in alarms["portd-hung"], alarms
        assert [row["instance"] for row in place.rows] == [0] * COUNT
        trade(place.login(0), place.login(1))
        assert place.stop() == 0, place.house.words()


def test_a_matcher_that_crashes_in_the_same_way_stays_down_and_the_others_trade_on():
    with Place("native", partitions=COUNT, layout="shared") as place:
        for turn in range(3):
            place.until(lambda c, turn=turn: c["partitions"][1]["instance"] == turn
                        and c["partitions"][1]["state"] == "ready")
            os.kill(place.pid("matcher@1"), signal.SIGSEGV)
        place.until(lambda c: c["partitions"][1]["state"] == "failed")
        alarms = {alarm["kind"]: alarm["text"] for alarm in place.house.status["alarms"]}
        assert "DAY_START of account 0" in alarms["matcher-poisoned"]
        assert shared.RUNGS[shared.RUNG_NATIVE] == place.row["mode"]
        trade(place.login(0), place.login(1))
        assert place.stop() == 0, place.house.words()


def test_a_partition_without_names_stays_down_and_the_others_trade_on():
    """36 x 36 instances a day have a name of their own; a partition that used them up is over."""
    with Place("native", partitions=COUNT, layout="shared") as place:
        day_file = Path(f"{place.scene.runtime}.day")
        day, first, _ = day_file.read_text().split()
        day_file.write_text(f"{day} {first} {36 * 36}\n")
        os.kill(place.pid("matcher@1"), signal.SIGKILL)
        place.until(lambda c: c["partitions"][1]["state"] == "failed")
        assert "no session names are left" in place.house.words()
        trade(place.login(0), place.login(1))
        assert place.stop() == 0, place.house.words()


def test_who_lives_is_served_while_the_fork_server_is_started_again():
    """A matcher and the fork server die together: the launcher does not stand and wait for it."""
    with Place("native", partitions=COUNT, layout="shared") as place:
        os.kill(place.pid("forkserver"), signal.SIGKILL)
        place.until(lambda c: "forkserver-died" in {a["kind"] for a in c["alarms"]})
        os.kill(place.pid("matcher@1"), signal.SIGKILL)
        place.login(0)
        words = place.house.words()
        assert "ALARM matcher-died" not in words.partition("ACC0 logged in")[0]
        place.until(lambda c: c["partitions"][1]["instance"] == 1
                    and c["partitions"][1]["state"] == "ready")
        trade(place.login(0, partition=1), place.login(1, partition=1), symbol=place.symbol(1))


def test_a_machine_that_was_halted_costs_no_book():
    """Everybody stood still for longer than hang_ms; the launcher wakes first."""
    with Place("native", partitions=COUNT, layout="shared") as place:
        session = place.login(0)
        wait_for(session, session.enter("B", 10, place.symbol(0), PRICE), "A")
        halted = [place.house.process.pid, place.pid("portd"),
                  *(place.pid(f"matcher@{p}") for p in range(COUNT))]
        for pid in halted:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)
        os.kill(halted[0], signal.SIGCONT)
        place.until(lambda c: "matcher-late" in {a["kind"] for a in c["alarms"]})
        for pid in halted[1:]:
            os.kill(pid, signal.SIGCONT)
        other = place.login(1)
        wait_for(other, other.enter("S", 10, place.symbol(0), PRICE), "E")
        assert [row["instance"] for row in place.rows] == [0] * COUNT, place.house.words()
        kinds = {alarm["kind"] for alarm in place.house.fresh_status()["alarms"]}
        assert not kinds & {"matcher-hung", "portd-hung"}
