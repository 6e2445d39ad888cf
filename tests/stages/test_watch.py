"""portd's watchdog on a real veth: each loss is named, counted and healed, or refused in words."""

import ctypes
import os
import struct

import pytest

from appliance.host import nic
from appliance.layout import shared
from appliance.shm import steer
from tests.netns import Namespace, mac_of, needs_bpf, needs_namespaces, veth_pair
from tests.stages.portd_kit import LIBC, Portd
from tests.stages.test_portd import end, hold

pytestmark = [needs_namespaces, needs_bpf]

HERE, THERE = "10.0.0.1", "10.0.0.2"
BPF_CALL = {"x86_64": 321, "aarch64": 280}
BPF_LINK_DETACH = 34


def detach(link_fd):
    """What `bpftool link detach` does."""
    attributes = struct.pack("=I", link_fd)
    result = LIBC.syscall(BPF_CALL[os.uname().machine], BPF_LINK_DETACH,
                          ctypes.create_string_buffer(attributes), len(attributes))
    assert result == 0, os.strerror(ctypes.get_errno())


class Wire:
    """portd with two partitions on a shared queue, and what the tests do to its device."""

    def __init__(self, folder, mode="auto", start=True):
        self.near, self.far = Namespace(), Namespace()
        self.make()
        self.portd = Portd(folder, mode, "wm0", HERE, self.near, 2, "shared")
        if start:
            self.portd.start()

    def make(self):
        veth_pair(self.near, "wm0", HERE, self.far, "wm1", THERE)

    def until_event(self, name, count=1):
        self.portd.until(lambda: self.portd.events().get(name, 0) >= count)

    def rungs(self):
        return [shared.RUNGS[int(row["rung"])] for row in self.portd.rows]

    def words(self):
        return self.portd.words.read_text()

    def close(self):
        self.portd.end()
        self.near.close()
        self.far.close()


@pytest.fixture
def wire(tmp_path):
    made = Wire(tmp_path)
    yield made
    made.close()


def test_link_down_and_up_is_named_and_changes_nothing_else(wire):
    generations = [int(row["generation"]) for row in wire.portd.rows]
    wire.near.run("ip", "link", "set", "wm0", "down")
    wire.until_event("link_down")
    assert "interface wm0 is down" in wire.words() and not wire.portd.status["link"]
    wire.near.run("ip", "link", "set", "wm0", "up")
    wire.until_event("link_up")
    wire.far.run("ip", "link", "set", "wm1", "down")
    wire.until_event("link_down", 2)
    wire.far.run("ip", "link", "set", "wm1", "up")
    wire.until_event("link_up", 2)
    assert [int(row["generation"]) for row in wire.portd.rows] == generations
    assert wire.rungs() == ["native"] * 2


def test_a_carrier_is_seen_at_once_also_when_it_flaps(wire):
    """The flags of the device follow its carrier up to a second later."""
    for _ in range(5):
        for state in ("down", "up"):
            wire.near.run("ip", "link", "set", "wm0", state)
            with wire.near.entered():
                assert nic.is_up("wm0") == (state == "up")


def test_a_program_that_was_taken_off_is_put_on_again(wire):
    pids = [hold(wire.portd, p) for p in range(2)]
    generations = [int(row["generation"]) for row in wire.portd.rows]
    detach(wire.portd.box.kept["link"])
    wire.until_event("program_attached")
    assert wire.portd.events()["program_detached"] == 1
    ifindex = wire.near.ifindex("wm0")
    with wire.near.entered():
        assert steer.attached_program(ifindex) > 0
    assert [int(row["generation"]) for row in wire.portd.rows] == generations
    wire.portd.until(lambda: "link" in wire.portd.box.kept)
    for pid in pids:
        end(pid)


def foreign(wire, mode=steer.NATIVE):
    """Another program on the device; its link."""
    made = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
    try:
        program = made.program("pass")
    finally:
        made.close()
    try:
        with wire.near.entered():
            return steer.attach(program, wire.near.ifindex("wm0"), mode)
    finally:
        os.close(program)


def test_another_program_first_means_sockets_until_it_is_gone(tmp_path):
    wire = Wire(tmp_path, start=False)
    try:
        link = foreign(wire)
        wire.portd.start()
        assert wire.rungs() == ["socket"] * 2
        wire.until_event("program_foreign")
        assert "another XDP program" in wire.words() and "xdp off" in wire.words()
        os.close(link)
        wire.until_event("rung_regained", 2)
        assert wire.rungs() == ["native"] * 2
    finally:
        wire.close()


def test_a_forced_rung_with_another_program_first_is_refused_with_what_to_do(tmp_path):
    import subprocess
    wire = Wire(tmp_path, "native", start=False)
    try:
        link = foreign(wire)
        done = subprocess.run(wire.portd.arguments(), capture_output=True, text=True, timeout=120,
                              check=False)
        assert done.returncode == 77 and "another program is attached" in done.stderr
        os.close(link)
    finally:
        wire.close()


def test_a_deleted_device_means_sockets_and_a_new_one_af_xdp_again(wire):
    pids = [hold(wire.portd, p) for p in range(2)]
    wire.near.run("ip", "link", "del", "wm0")
    wire.until_event("device_gone")
    wire.until_event("rung_lost", 2)
    assert "was deleted" in wire.words() and wire.rungs() == ["socket"] * 2
    assert not wire.portd.status["ifindex"]
    generations = [int(row["generation"]) for row in wire.portd.rows]
    wire.make()
    wire.until_event("device_back")
    wire.until_event("rung_regained", 2)
    assert wire.rungs() == ["native"] * 2
    assert [int(row["generation"]) for row in wire.portd.rows] == [g + 1 for g in generations]
    again = [hold(wire.portd, p) for p in range(2)]
    assert {int(row["bound"]) for row in wire.portd.rows} == {1}
    ifindex = wire.near.ifindex("wm0")
    with wire.near.entered():
        assert steer.attached_program(ifindex) > 0
    for pid in (*pids, *again):
        end(pid)
    assert mac_of(HERE) and wire.portd.stop()[0] == 0
