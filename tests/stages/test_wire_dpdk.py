"""portd and a DPDK device: refused in words where it cannot be, and nothing stays on the device."""

import os

import pytest

from appliance.config import load
from appliance.layout import shared
from appliance.shm import dpdk, steer
from appliance.stages.wire_dpdk import DpdkWire
from appliance.topology import build
from tests.dpdk import needs_dpdk
from tests.netns import needs_bpf, needs_namespaces
from tests.stages.portd_kit import Portd
from tests.stages.test_watch import HERE, THERE, Namespace, foreign, veth_pair

XDP = '\n[dpdk]\ndevices = ["net_af_xdp0,iface=wm0,busy_budget=0"]\n'


class Place:
    """Two namespaces, a veth pair, and a configuration with mode = "dpdk"."""

    def __init__(self, folder, more=""):
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", HERE, self.far, "wm1", THERE)
        self.portd = Portd(folder, "dpdk", "wm0", HERE, self.near)
        with open(self.portd.config, "a") as file:
            file.write(more)
        self.wire = DpdkWire(build(load.load(self.portd.config)), HERE, None)

    def program(self):
        """The XDP program on the device, 0 none."""
        with self.near.entered():
            return steer.attached_program(self.near.ifindex("wm0"))

    def climb(self):
        with self.near.entered():
            self.wire.climb()


@pytest.fixture
def place(tmp_path):
    """place(more) gives a Place."""
    made = []

    def make(more=""):
        made.append(Place(tmp_path, more))
        return made[-1]
    yield make
    for each in made:
        each.portd.box.close()
        each.near.close()
        each.far.close()


@needs_namespaces
def test_without_a_shim_it_cannot_be_had_and_the_remedy_is_told(place, monkeypatch, tmp_path):
    monkeypatch.setattr(dpdk, "SHIM", tmp_path / "_dpdk.so")
    found = place()
    with pytest.raises(OSError, match="_dpdk.so is not built.*libdpdk-dev"):
        found.climb()
    assert found.wire.rung == shared.RUNG_SOCKET and found.wire.plan(0) == []


@needs_dpdk
@needs_namespaces
def test_the_matcher_is_told_its_device_and_frames(place):
    found = place()
    found.climb()
    plan = dpdk.Plan(*found.wire.plan(0))
    assert plan.device == "net_af_packet0,iface=wm0,framecnt=4096" and not plan.huge_pages
    assert (plan.rx_frame_cnt, plan.tx_frame_cnt) == (4096, 4096)
    assert plan.folder == str(found.portd.table.runtime_dir)
    assert (found.wire.rung, found.wire.places.queue(0)) == (shared.RUNG_DPDK, 0)
    found.wire.fall()
    assert found.wire.plan(0) == [] and not found.wire.comes_back


@needs_dpdk
@needs_namespaces
@needs_bpf
def test_a_stranger_on_the_device_is_named_and_a_dead_matchers_program_taken_off(place):
    found = place(XDP)
    link = foreign(found)
    with pytest.raises(OSError, match="is on wm0 already.*ip link set dev wm0 xdp off"):
        found.climb()
    os.close(link)
    found.climb()
    for leave in (lambda: found.wire.plan(0), found.wire.close):
        found.near.run("ip", "link", "set", "dev", "wm0", "xdp", "object",
                       str(steer.BPF_FOLDER / "measure.bpf.o"), "section", "xdp")
        assert found.program()
        with found.near.entered():
            leave()
        assert not found.program()
