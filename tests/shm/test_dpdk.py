"""A DPDK port that is not there: what is told, and what EAL is given."""

import pytest

from appliance.shm import dpdk

PLAN = dpdk.Plan("net_af_packet0,iface=eth1", False, 1024, 2048, (), "/dev/shm")


def test_without_a_shim_the_package_and_the_command_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(dpdk, "SHIM", tmp_path / "_dpdk.so")
    assert dpdk.why_not().startswith("_dpdk.so is not built, because libdpdk was not found; ")
    for word in ("libdpdk-dev", "WIREMATCH_DPDK=1 make setup", "native/build.py"):
        assert word in dpdk.why_not()


def test_a_shim_that_cannot_be_loaded_says_why(monkeypatch, tmp_path):
    broken = tmp_path / "_dpdk.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(dpdk, "SHIM", broken)
    assert "_dpdk.so cannot be loaded" in dpdk.why_not() and "libdpdk-dev" in dpdk.why_not()
    with pytest.raises(dpdk.DpdkError, match="cannot be loaded"):
        dpdk.open_port(PLAN)


def test_ports_of_two_processes_share_nothing_and_take_what_was_granted(monkeypatch):
    given = dpdk.arguments(PLAN, {3, 1})
    assert given[0] == "wirematch" and "--lcores=0@(1,3)" in given
    assert {"--no-huge", "--no-shconf", "--no-pci", "--vdev=" + PLAN.device} <= set(given)
    assert int(given[given.index("-m") + 1]) == dpdk.memory_mb(1024, 2048) == 32 + 13
    prefix, = (word for word in given if word.startswith("--file-prefix="))
    monkeypatch.setattr(dpdk.os, "getpid", lambda: 1)
    assert prefix not in dpdk.arguments(PLAN, {3, 1})


def test_a_card_is_allowed_by_its_address_and_huge_pages_leave_no_files():
    given = dpdk.arguments(PLAN._replace(device="0000:01:00.0", huge_pages=True,
                                         arguments=("--iova-mode=va",)), {0})
    assert {"--in-memory", "--allow=0000:01:00.0", "--iova-mode=va"} <= set(given)
    assert not {"--no-huge", "--no-pci"} & set(given)
