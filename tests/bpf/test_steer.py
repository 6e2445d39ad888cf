"""steer.bpf.c in the kernel's test-run: a table of packets, each with verdict and counter."""

import random
import re
import socket
import struct
from pathlib import Path

import pytest

from appliance.shm import steer, umem
from appliance.shm.steer import REASONS, XDP_DROP, XDP_PASS, XDP_REDIRECT, Steering
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair

ROOT = Path(__file__).resolve().parents[2]
OURS, OTHER, FRIEND, STRANGER = "10.0.0.1", "10.0.0.9", "10.0.0.2", "10.0.0.3"
ORDER_PORT, PARTITION = 9000, 3

pytestmark = [needs_bpf, needs_namespaces]


def ether(ether_type=0x0800, tags=()):
    """Ethernet header, with VLAN tags (EtherType, id) in front of the type."""
    return bytes(12) + b"".join(struct.pack("!HH", *tag) for tag in tags) + struct.pack(
        "!H", ether_type)


def ipv4(payload, source=FRIEND, target=OURS, protocol=17, fragment=0, options=b"", version=4,
         total_sz=None, header_words=None, checksum=None):
    """An IPv4 header in front of payload; every field can be told to lie."""
    words = 5 + len(options) // 4 if header_words is None else header_words
    total_sz = 20 + len(options) + len(payload) if total_sz is None else total_sz
    header = bytearray(struct.pack("!BBHHHBBH4s4s", version << 4 | words, 0, total_sz, 7, fragment,
                                   64, protocol, 0, socket.inet_aton(source),
                                   socket.inet_aton(target)) + options)
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = struct.pack("!H", total ^ 0xFFFF if checksum is None else checksum)
    return bytes(header) + payload


def udp(payload=b"order" * 4, port=ORDER_PORT, sz=None):
    """A UDP header in front of payload."""
    return struct.pack("!HHHH", 5555, port, 8 + len(payload) if sz is None else sz, 0) + payload


GOOD = ether() + ipv4(udp())
PASSED, DROPPED, TAKEN = XDP_PASS, XDP_DROP, XDP_REDIRECT

TABLE = [
    ("an order", GOOD, TAKEN, "redirected"),
    ("an empty datagram", ether() + ipv4(udp(b"")), TAKEN, "redirected"),
    ("an order of the largest size", ether() + ipv4(udp(bytes(1472))), TAKEN, "redirected"),
    ("padding behind the packet", GOOD + bytes(18), TAKEN, "redirected"),
    ("a priority without a VLAN", ether(tags=[(0x8100, 0xE000)]) + ipv4(udp()), TAKEN,
     "redirected"),
    ("a tag that says nothing", ether(tags=[(0x8100, 0)]) + ipv4(udp()), TAKEN, "redirected"),
    ("an order in a VLAN", ether(tags=[(0x8100, 5)]) + ipv4(udp()), PASSED, "pass_vlan"),
    ("in VLAN 2048, with a priority", ether(tags=[(0x8100, 0xA800)]) + ipv4(udp()), PASSED,
     "pass_vlan"),
    ("a stranger's, in a VLAN", ether(tags=[(0x8100, 5)]) + ipv4(udp(), source=STRANGER), PASSED,
     "pass_vlan"),
    ("in a VLAN, to another port", ether(tags=[(0x8100, 5)]) + ipv4(udp(port=1)), PASSED,
     "pass_not_ours"),
    ("do-not-fragment is no fragment", ether() + ipv4(udp(), fragment=0x4000), TAKEN,
     "redirected"),
    ("one 802.1ad tag", ether(tags=[(0x88A8, 5)]) + ipv4(udp()), PASSED, "pass_other_ether"),
    ("two tags", ether(tags=[(0x8100, 5), (0x8100, 6)]) + ipv4(udp()), PASSED,
     "pass_other_ether"),
    ("ARP", ether(0x0806) + bytes(28), PASSED, "pass_other_ether"),
    ("IPv6", ether(0x86DD) + bytes(60), PASSED, "pass_other_ether"),
    ("tag in front of ARP", ether(0x0806, [(0x8100, 1)]) + bytes(28), PASSED,
     "pass_other_ether"),
    ("IP version 5", ether() + ipv4(udp(), version=5), PASSED, "pass_not_ipv4"),
    ("IP header of four words", ether() + ipv4(udp(), header_words=4), PASSED, "pass_not_ipv4"),
    ("IP header of no words", ether() + ipv4(udp(), header_words=0), PASSED, "pass_not_ipv4"),
    ("TCP to our address and port", ether() + ipv4(udp(bytes(12)), protocol=6), PASSED,
     "pass_not_udp"),
    ("ICMP", ether() + ipv4(bytes(8), protocol=1), PASSED, "pass_not_udp"),
    ("IGMP", ether() + ipv4(bytes(8), protocol=2, options=b"\x94\x04\0\0"), PASSED,
     "pass_not_udp"),
    ("another port", ether() + ipv4(udp(port=ORDER_PORT + 1)), PASSED, "pass_not_ours"),
    ("our port with its bytes turned round", ether() + ipv4(udp(port=socket.htons(ORDER_PORT))),
     PASSED, "pass_not_ours"),
    ("another address", ether() + ipv4(udp(), target=OTHER), PASSED, "pass_not_ours"),
    ("another port, with options", ether() + ipv4(udp(port=1), options=bytes(4)), PASSED,
     "pass_not_ours"),
    ("a stranger to another port", ether() + ipv4(udp(port=1), source=STRANGER), PASSED,
     "pass_not_ours"),
    ("a later fragment", ether() + ipv4(udp(), fragment=0x0001), PASSED, "pass_later_fragment"),
    ("a middle fragment", ether() + ipv4(udp(), fragment=0x2001), PASSED, "pass_later_fragment"),
    ("IP options", ether() + ipv4(udp(), options=bytes(4)), DROPPED, "drop_ip_header"),
    ("IP options, the most", ether() + ipv4(udp(), options=bytes(40)), DROPPED,
     "drop_ip_header"),
    ("a wrong IP checksum", ether() + ipv4(udp(), checksum=0x1234), DROPPED, "drop_ip_header"),
    ("no IP checksum", ether() + ipv4(udp(), checksum=0), DROPPED, "drop_ip_header"),
    ("a first fragment", ether() + ipv4(udp(), fragment=0x2000), DROPPED, "drop_fragment"),
    ("IP length beyond the frame", ether() + ipv4(udp(), total_sz=49), DROPPED, "drop_length"),
    ("IP length without room for UDP", ether() + ipv4(udp(), total_sz=27), DROPPED,
     "drop_length"),
    ("IP length zero", ether() + ipv4(udp(), total_sz=0), DROPPED, "drop_length"),
    ("UDP length one too long", ether() + ipv4(udp(sz=29)), DROPPED, "drop_length"),
    ("UDP length one too short", ether() + ipv4(udp(sz=27)), DROPPED, "drop_length"),
    ("UDP length zero", ether() + ipv4(udp(sz=0)), DROPPED, "drop_length"),
    ("IP length shorter than the UDP length", ether() + ipv4(udp(), total_sz=40), DROPPED,
     "drop_length"),
    ("one byte more than an Ethernet frame carries", ether() + ipv4(udp(bytes(1473))), DROPPED,
     "drop_too_long"),
    ("a superframe", ether() + ipv4(udp(bytes(3000))), DROPPED, "drop_too_long"),
    ("a small packet in a jumbo frame", GOOD + bytes(1500), DROPPED, "drop_too_long"),
    ("a source of network 0", ether() + ipv4(udp(), source="0.0.0.0"), DROPPED,
     "drop_bogon_source"),
    ("a source of network 0, not its first", ether() + ipv4(udp(), source="0.0.0.2"), DROPPED,
     "drop_bogon_source"),
    ("a loopback source", ether() + ipv4(udp(), source="127.0.0.1"), DROPPED,
     "drop_bogon_source"),
    ("a multicast source", ether() + ipv4(udp(), source="224.0.0.1"), DROPPED,
     "drop_bogon_source"),
    ("a reserved source", ether() + ipv4(udp(), source="240.0.0.1"), DROPPED,
     "drop_bogon_source"),
    ("a broadcast source", ether() + ipv4(udp(), source="255.255.255.255"), DROPPED,
     "drop_bogon_source"),
    ("our own address as source", ether() + ipv4(udp(), source=OURS), DROPPED,
     "drop_bogon_source"),
    ("an unknown source", ether() + ipv4(udp(), source=STRANGER), DROPPED,
     "drop_unknown_source"),
]


class Rig:
    """The program loaded, one real AF_XDP socket bound in a namespace."""

    def __init__(self):
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", OURS, self.far, "wm1", FRIEND, queue_cnt=2)
        self.ifindex = self.near.ifindex("wm0")
        self.other_ifindex = self.near.ifindex("lo")
        geometry = umem.Geometry(2048, 64, 64)
        self.umem = umem.map_umem(umem.create_umem(geometry))
        with self.near.entered():
            self.xsk_fd = umem.open_xsk(self.umem, geometry)
        umem.bind_xsk(self.xsk_fd, self.ifindex, 0)
        self.steering = Steering()
        self.steering.set_address(OURS, ORDER_PORT, PARTITION)
        self.steering.allow(FRIEND)
        self.bind()

    def bind(self, stamped=True):
        self.steering.bind(PARTITION, self.xsk_fd, self.ifindex, 0, stamped)

    def run(self, packet, ifindex=None, queue=0):
        """(verdict, metadata, packet, counters that moved)."""
        before = self.steering.counters()
        with self.near.entered():
            verdict, _, metadata, after_packet = steer.test_run(
                self.steering.program_fd, packet, self.ifindex if ifindex is None else ifindex,
                queue)
        after = self.steering.counters()
        moved = {name: after[name] - before[name] for name in REASONS
                 if after[name] != before[name]}
        return verdict, metadata, after_packet, moved


@pytest.fixture(scope="module")
def rig():
    return Rig()


@pytest.mark.parametrize(("packet", "verdict", "reason"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])
def test_packet_gets_its_verdict_and_exactly_one_counter(rig, packet, verdict, reason):
    got, _, after, moved = rig.run(packet)
    assert (got, moved) == (verdict, {reason: 1})
    assert after == packet


def test_every_reason_that_needs_no_other_set_up_is_in_the_table():
    assert set(REASONS) - {row[3] for row in TABLE} == {
        "pass_truncated", "pass_wrong_queue", "pass_no_socket", "drop_flood"}


@pytest.mark.parametrize("tags", [(), ((0x8100, 0),)], ids=["untagged", "tagged"])
def test_an_order_cut_at_every_length(rig, tags):
    whole = ether(tags=tags) + ipv4(udp())
    ports_end = len(ether(tags=tags)) + 20 + 4
    for sz in range(14, len(whole)):
        verdict, _, _, moved = rig.run(whole[:sz])
        wanted = (PASSED, {"pass_truncated": 1}) if sz < ports_end else (DROPPED,
                                                                       {"drop_length": 1})
        assert (verdict, moved) == wanted, f"cut to {sz} bytes"


def test_options_cut_before_the_ports_pass(rig):
    whole = ether() + ipv4(udp(), options=bytes(40))
    for sz in range(34, 34 + 40 + 4):
        assert rig.run(whole[:sz])[3] == {"pass_truncated": 1}, f"cut to {sz} bytes"


def test_metadata_carries_time_partition_and_mark(rig):
    import time
    before = time.monotonic_ns()
    _, metadata, _, _ = rig.run(GOOD)
    arrival_ns, partition, mark = struct.unpack("=QII", metadata)
    assert before <= arrival_ns <= time.monotonic_ns()
    assert (partition, mark) == (PARTITION, 0x53544D57)


def test_a_partition_can_do_without_metadata(rig):
    rig.bind(stamped=False)
    try:
        verdict, metadata, after, moved = rig.run(GOOD)
    finally:
        rig.bind()
    assert (verdict, metadata, after, moved) == (TAKEN, b"", GOOD, {"redirected": 1})


def test_another_queue_or_device_passes_and_counts(rig):
    assert rig.run(GOOD, queue=1)[0::3] == (PASSED, {"pass_wrong_queue": 1})
    assert rig.run(GOOD, ifindex=rig.other_ifindex)[0::3] == (PASSED, {"pass_wrong_queue": 1})


def test_without_a_socket_orders_pass_to_the_plain_sockets(rig):
    rig.steering.unbind(PARTITION)
    try:
        assert rig.run(GOOD)[0::3] == (PASSED, {"pass_no_socket": 1})
        rig.steering.set_address(OURS, ORDER_PORT, PARTITION + 1)
        assert rig.run(GOOD)[0::3] == (PASSED, {"pass_no_socket": 1}), "and never was one"
    finally:
        rig.steering.set_address(OURS, ORDER_PORT, PARTITION)
        rig.bind()
    assert rig.run(GOOD)[0] == TAKEN


def test_addresses_and_sources_can_be_taken_back(rig):
    rig.steering.disallow(FRIEND)
    rig.steering.disallow(FRIEND)
    assert rig.run(GOOD)[3] == {"drop_unknown_source": 1}
    rig.steering.allow(FRIEND)
    rig.steering.clear_address(ORDER_PORT)
    assert rig.run(GOOD)[3] == {"pass_not_ours": 1}
    rig.steering.set_address(OURS, ORDER_PORT, PARTITION)
    assert rig.run(GOOD)[3] == {"redirected": 1}


def test_random_and_mutated_frames_are_each_counted_once(rig):
    seed = 20260
    dice = random.Random(seed)
    before = rig.steering.counters()
    frames, verdicts = 20_000, dict.fromkeys((PASSED, DROPPED, TAKEN), 0)
    with rig.near.entered():
        for number in range(frames):
            if number % 3 == 0:
                packet = dice.randbytes(dice.randrange(14, 200))
            else:
                packet = bytearray(dice.choice(TABLE)[1])
                for _ in range(dice.randrange(4)):
                    packet[dice.randrange(len(packet))] = dice.randrange(256)
                packet = bytes(packet[:dice.randrange(14, len(packet) + 1)]
                               if number % 3 == 1 else packet)
            verdicts[steer.test_run(rig.steering.program_fd, packet, rig.ifindex, 0)[0]] += 1
    after = rig.steering.counters()
    moved = {name: after[name] - before[name] for name in REASONS}
    assert sum(moved.values()) == frames == sum(verdicts.values()), f"seed {seed}"
    assert sum(n for name, n in moved.items() if name.startswith("drop")) == verdicts[DROPPED]
    assert moved["redirected"] == verdicts[TAKEN] > 100
    assert min(moved[name] for name in REASONS if name not in (
        "pass_wrong_queue", "pass_no_socket", "drop_flood")) > 0


def test_names_in_python_are_those_of_the_header():
    body = (ROOT / "bpf" / "reasons.h").read_text().split("enum reason {")[1]
    assert tuple(re.findall(r"^ +(\w+)[,\n]", body, re.MULTILINE)) == (*REASONS, "reason_cnt")


def test_a_missing_object_file_says_how_to_build_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="make -C bpf"):
        Steering(tmp_path / "none.bpf.o")


def test_a_broken_object_file_says_what_the_loader_said(tmp_path):
    broken = tmp_path / "broken.bpf.o"
    broken.write_bytes(b"this is no ELF file" * 10)
    with pytest.raises(OSError, match="loading the BPF object"):
        Steering(broken)


def test_the_link_detaches_when_its_descriptor_closes(rig):
    import os
    with rig.near.entered():
        link_fd = rig.steering.attach(rig.ifindex)
        assert steer.attached_program(rig.ifindex) > 0
        assert steer.link_ifindex(link_fd) == rig.ifindex
        with pytest.raises(OSError, match="another program is attached"):
            rig.steering.attach(rig.ifindex)
        os.close(link_fd)
        assert steer.attached_program(rig.ifindex) == 0
