"""What is lost on the wire becomes an alarm once for each growth, with its number and its name."""

import errno
from types import SimpleNamespace

import numpy as np
import pytest

from appliance.control import alarms, losses, status
from appliance.host import nic
from appliance.layout import gate, shared
from appliance.shm import steer
from appliance.shm.umem import XSK_STATISTICS

FLOODED, QUIET = "10.0.0.7", "10.0.0.8"


class Desk:
    """Losses over blocks of its own; `rows` are the flood guard's."""

    def __init__(self, monkeypatch, device=None, interface_b=""):
        accounts = [SimpleNamespace(name="A1", sources=(FLOODED,)),
                    SimpleNamespace(name="A2", sources=(FLOODED, QUIET))]
        config = SimpleNamespace(
            accounts=accounts, orders=SimpleNamespace(flood_rate=1000),
            interface=SimpleNamespace(name="eth7"),
            feed=SimpleNamespace(interface_b=interface_b))
        topology = SimpleNamespace(config=config, partitions=[
            SimpleNamespace(idx=0), SimpleNamespace(idx=1)])
        self.status = np.zeros(1, shared.PORTD_STATUS.dtype)
        self.ports = np.zeros(2, shared.PORT_STATUS.dtype)
        self.device = device or dict.fromkeys(nic.COUNTERS, 0)
        self.devices = {"eth7": self.device, "eth8": dict(self.device)}
        self.rows = np.zeros(gate.SOURCE_MAX, gate.GUARDED.dtype)
        self.alarms, self.kept = alarms.Alarms(), {"map.guarded": 99}
        monkeypatch.setattr(nic, "counters", lambda name: self.devices[name])
        monkeypatch.setattr(steer, "map_guarded", lambda fd: self.rows.view(np.uint64))
        self.losses = losses.Losses(topology, self.status, self.ports, self.kept, self.alarms)

    def told(self):
        """(kind, text) of every alarm that has been sounded since the last look."""
        self.alarms.by_place.clear()
        self.losses.watch()
        return [(row["kind"], row["text"]) for row in self.alarms.table()]

    def lose(self, name, value, partition=0):
        self.ports[partition]["statistics"][XSK_STATISTICS.index(name)] = value

    def refuse(self, name, value):
        self.status[0]["reasons"][steer.REASONS.index(name)] = value


@pytest.fixture
def desk(monkeypatch):
    return Desk(monkeypatch)


def test_nothing_lost_is_nothing_told(desk):
    assert desk.told() == []


@pytest.mark.parametrize("name", [name for name, _ in losses.SOCKET])
def test_a_sockets_losses_name_its_partition_once(desk, name):
    desk.lose(name, 5, partition=1)
    (kind, text), = desk.told()
    assert kind == name.replace("_", "-")
    assert text.startswith("partition 1: 5 ") and text.endswith("(5 in all)")
    assert desk.told() == []
    desk.lose(name, 7, partition=1)
    (_, text), = desk.told()
    assert text.startswith("partition 1: 2 ") and text.endswith("(7 in all)")


def test_two_partitions_that_lose_at_once_are_both_told(desk, capsys):
    desk.lose("rx_dropped", 5, partition=0)
    desk.lose("rx_dropped", 7, partition=1)
    assert [text[:14] for _, text in desk.told()] == ["partition 0: 5", "partition 1: 7"]
    assert capsys.readouterr().err.count("ALARM rx-dropped") == 2


def test_program_and_device_are_told_by_name(desk):
    desk.refuse("drop_too_long", 3)
    desk.refuse("pass_vlan", 2)
    desk.refuse("drop_unknown_source", 100)
    desk.device["tx_dropped"] = 4
    desk.device["rx_dropped"] = 9                # also what no protocol wanted: a counter only
    assert [kind for kind, _ in desk.told()] == ["drop-too-long", "pass-vlan", "tx-dropped"]


def test_what_a_device_has_dropped_before_is_not_ours(monkeypatch):
    desk = Desk(monkeypatch, dict.fromkeys(nic.COUNTERS, 5))
    assert desk.told() == []
    desk.device["tx_dropped"] = 7
    (_, text), = desk.told()
    assert text.startswith("2 frames") and text.endswith("(7 in all)")


def test_what_the_interface_of_feed_b_drops_is_an_alarm_of_its_own(monkeypatch):
    desk = Desk(monkeypatch, dict.fromkeys(nic.COUNTERS, 5), interface_b="eth8")
    assert desk.told() == []
    desk.devices["eth8"]["tx_dropped"] = 8
    (kind, text), = desk.told()
    assert kind == "twin-tx-dropped" and text.startswith("3 packets of feed B were dropped")
    assert desk.told() == []
    desk.device["tx_dropped"] = 6
    (kind, _), = desk.told()
    assert kind == "tx-dropped"


def test_a_counter_that_began_anew_is_told_from_0(desk):
    desk.refuse("drop_too_long", 30)
    desk.told()
    desk.refuse("drop_too_long", 2)
    (_, text), = desk.told()
    assert text.startswith("2 frames") and text.endswith("(2 in all)")


def test_a_flood_names_who_sends_it_most_first(desk):
    for row, (ip, count) in enumerate(((0x0A000007, 40), (0x0A000008, 60), (0x0A000009, 1),
                                       (0x0A00000A, 2))):
        desk.rows[row]["ip"], desk.rows[row]["dropped_cnt"] = ip, count
    desk.refuse("drop_flood", 103)
    (kind, text), = desk.told()
    assert kind == "drop-flood" and "orders.flood_rate = 1000" in text
    assert "60 of 10.0.0.8 (A2), 40 of 10.0.0.7 (A1, A2), 2 of 10.0.0.10, 1 more sources" in text
    desk.rows[1]["dropped_cnt"] = 61
    desk.refuse("drop_flood", 104)
    (_, text), = desk.told()
    assert "datagrams: 1 of 10.0.0.8 (A2); more" in text


def test_a_flood_without_the_guards_rows_is_told_without_names(desk):
    desk.kept.clear()
    desk.refuse("drop_flood", 1)
    (_, text), = desk.told()
    assert "no longer known" in text


def test_a_device_counts_and_an_absent_one_has_zeros():
    assert set(nic.counters("lo")) == set(nic.COUNTERS)
    assert nic.counters("no-such-device") == dict.fromkeys(nic.COUNTERS, 0)


class Sending:
    """What a matcher of partition 1 says about its sends."""

    def __init__(self):
        self.alarms, self.status = alarms.Alarms(), np.zeros(1, shared.MATCHER_STATUS.dtype)
        self.sends = losses.Sends(1, "eth7", self.alarms)

    def told(self, **met):
        """(kind, text) of the alarms after it met that."""
        for name, value in met.items():
            names, field = (status.SENDS, "sends") if name in status.SENDS else (
                status.DEVICE, "device")
            self.status[0][field][names.index(name)] = value
        self.alarms.by_place.clear()
        self.sends.watch(self.status[0])
        return [(row["kind"], row["text"]) for row in self.alarms.table()]


@pytest.mark.parametrize(("reason", "remedy"), [
    (errno.EPERM, "nft list ruleset"), (errno.ENETUNREACH, "ip route get"),
    (errno.EMSGSIZE, "interface.payload"), (errno.EIO, "ip -s link show eth7")])
def test_a_send_that_fails_is_told_with_its_reason_and_a_remedy(reason, remedy):
    desk = Sending()
    (kind, text), = desk.told(errors=3, refused=3, errno=reason)
    assert kind == "send-errors" and text.startswith("partition 1: 3 system calls that send")
    assert errno.errorcode[reason] in text and remedy in text and "3 packets were given up" in text
    assert desk.told() == []
    (_, text), = desk.told(errors=4)                   # of an AF_XDP ring: the packets stay on it
    assert text.startswith("partition 1: 1 ") and "offered again" in text


@pytest.mark.parametrize("name", [name for name, _ in losses.DPDK])
def test_what_a_dpdk_device_loses_is_told(name):
    desk = Sending()
    (kind, text), = desk.told(**{name: 9})
    assert kind == "device-" + name.replace("_", "-")
    assert text.startswith("partition 1: 9 ") and "DPDK" in text
    assert desk.told() == []


def test_a_packet_that_fits_no_frame_is_a_fault_of_ours():
    (kind, text), = Sending().told(invalid=1)
    assert kind == "send-invalid" and "a fault in the appliance" in text


def test_waiting_and_a_lost_link_are_no_failure_to_send():
    assert Sending().told(calls=50, again=20, busy=5, down=7, received=9, sent=9,
                          receive_errors=1) == []


def test_the_next_instance_is_told_from_0():
    desk = Sending()
    desk.told(errors=5, errno=errno.EPERM)
    desk.sends.forget()
    (_, text), = desk.told(errors=5)
    assert text.startswith("partition 1: 5 ")
