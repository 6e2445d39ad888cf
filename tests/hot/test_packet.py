"""Frames in and out: every malformation is found, every header we build is right."""

import random
import struct

import numpy as np
import pytest

from appliance.hot import io_state, packet, state
from appliance.layout.shared import COUNTERS
from tests.hot.harness import FEED_A, FEED_B, ORDER_PORT, OUR_IP, OUR_MAC, Sent, frame, internet_sum

CLIENT = ("10.9.1.1", 40000)
US = (OUR_IP, ORDER_PORT)


@pytest.fixture(scope="module")
def made():
    io = io_state.build_io(state.Sizes(holds=1, accounts=1, link_depth=1))
    params = io_state.fill_params(
        io, our_ip=OUR_IP, order_port=ORDER_PORT, mac=OUR_MAC, feed_ip_a=FEED_A[0],
        feed_port_a=FEED_A[1], feed_ip_b=FEED_B[0], feed_port_b=FEED_B[1], allow_cnt=3)
    allowed = np.zeros(1024, np.uint32)
    allowed[:3] = [io_state.ip_number(ip) for ip in ("10.9.1.0", "10.9.1.1", "200.1.2.3")]
    return io, params, allowed


def judge(made, data, flags=0, offset=0):
    """The disposition's name, or the payload that was found."""
    memory = np.zeros(4096, np.uint8)
    memory[offset:offset + len(data)] = np.frombuffer(data, np.uint8)
    verdict, at, size, _ = packet.parse(memory, offset, len(data), flags, made[1], made[2])
    return memory[at:at + size].tobytes() if verdict == packet.GOOD else COUNTERS[verdict][0]


@pytest.mark.parametrize("size", [20, 21, 22, 23, 27, 28, 63, 64, 1471, 1472])
@pytest.mark.parametrize("vlan", [None, 0, 0xE000])
def test_a_good_frame_gives_its_payload_at_any_size(made, size, vlan):
    payload = random.Random(size).randbytes(size)
    for checksum in (True, False):
        data = frame(CLIENT, US, payload, vlan=vlan, checksum=checksum)
        assert judge(made, data, offset=size % 7) == payload
        assert judge(made, data + bytes(18)) == payload, "Ethernet padding is no part of it"


@pytest.mark.parametrize("vlan", [1, 5, 0x800, 4095, 0xE001])
def test_what_is_for_us_in_a_vlan_is_named_and_not_taken(made, vlan):
    """An answer, which has no tag, would not come back there."""
    assert judge(made, frame(CLIENT, US, bytes(30), vlan=vlan)) == "rx_vlan"
    assert judge(made, frame(CLIENT, US, bytes(30), vlan=vlan), flags=1) == "rx_vlan"
    other = ("10.9.0.2", US[1])
    assert judge(made, frame(CLIENT, other, bytes(30), vlan=vlan)) == "rx_not_udp"


@pytest.mark.parametrize("size", [20, 33, 1472])
def test_every_single_flipped_payload_bit_is_found(made, size):
    data = bytearray(frame(CLIENT, US, random.Random(1).randbytes(size)))
    for bit in range(42 * 8, len(data) * 8, 13):
        data[bit // 8] ^= 1 << bit % 8
        assert judge(made, bytes(data)) == "rx_checksum"
        data[bit // 8] ^= 1 << bit % 8


def spoil(data, *changes):
    data = bytearray(data)
    for at, replacement in changes:
        data[at:at + len(replacement)] = replacement
    ip = bytes(data[14:24]) + b"\0\0" + bytes(data[26:34])
    data[24:26] = struct.pack(">H", internet_sum(ip) ^ 0xFFFF)
    return bytes(data)


@pytest.mark.parametrize("name, changes", [
    ("ARP", [(12, b"\x08\x06")]), ("IPv6", [(12, b"\x86\xdd")]), ("options", [(14, b"\x46")]),
    ("version 6", [(14, b"\x65")]), ("TCP", [(23, b"\x06")]), ("more fragments", [(20, b"\x20\0")]),
    ("a later fragment", [(20, b"\0\x01")]), ("another host", [(30, b"\x0a\x09\0\x02")]),
    ("another port", [(36, b"\x67\x21")]), ("IPv4 length too long", [(16, b"\xff\xff")]),
    ("UDP length too short", [(38, b"\0\x07")]), ("UDP length past IPv4's", [(38, b"\0\xff")]),
])
def test_a_frame_that_is_not_udp_for_us(made, name, changes):
    assert judge(made, spoil(frame(CLIENT, US, bytes(30)), *changes)) == "rx_not_udp"


def test_a_wrong_ipv4_checksum_and_runts_are_not_udp_for_us(made):
    data = bytearray(frame(CLIENT, US, bytes(30)))
    data[24] ^= 1
    assert judge(made, bytes(data)) == "rx_not_udp"
    for size in range(0, 42):
        assert judge(made, frame(CLIENT, US, bytes(30))[:size]) == "rx_not_udp"
    for size in range(42, 46):
        assert judge(made, frame(CLIENT, US, bytes(30), vlan=0)[:size]) == "rx_not_udp"


def test_the_checks_come_in_the_order_of_the_rules(made):
    stranger = ("10.9.1.2", 1)
    bad = bytearray(frame(stranger, US, bytes(19)))
    bad[45] ^= 1
    assert judge(made, bytes(bad), flags=1) == "rx_truncated"
    assert judge(made, bytes(bad)) == "rx_checksum"
    assert judge(made, frame(stranger, US, bytes(19))) == "rx_source_refused"
    assert judge(made, frame(CLIENT, US, bytes(19))) == "rx_short"
    assert judge(made, frame(CLIENT, US, b"")) == "rx_short"


@pytest.mark.parametrize("ip, known", [
    ("10.9.1.0", True), ("10.9.1.1", True), ("200.1.2.3", True), ("10.9.0.255", False),
    ("10.9.1.2", False), ("200.1.2.4", False), ("0.0.0.0", False), ("255.255.255.255", False)])
def test_the_allow_list_is_exact(made, ip, known):
    assert packet.allowed(made[2], 3, io_state.ip_number(ip)) == known
    assert not packet.allowed(made[2], 0, io_state.ip_number(ip)), "an empty list admits nobody"


def test_sums_agree_with_the_plain_definition():
    rng = random.Random(7)
    for size in [*range(0, 40), 100, 1471, 1472]:
        for data in (rng.randbytes(size), b"\xff" * size, bytes(size)):
            memory = np.frombuffer(b"??" + data + b"!!", np.uint8).copy()
            mine = int(packet.fold(packet.sum_words(memory, 2, size)))
            assert (mine & 0xFF) << 8 | mine >> 8 == internet_sum(data)


@pytest.mark.parametrize("size", [20, 53, 1472])
def test_headers_we_build_are_right_for_any_destination(made, size):
    io, rng = made[0], random.Random(size)
    memory = np.zeros(2048, np.uint8)
    for _ in range(200):
        payload = rng.randbytes(size)
        memory[100 + 42:100 + 42 + size] = np.frombuffer(payload, np.uint8)
        ip, port, mac = rng.randbytes(4), rng.randrange(65536), rng.randbytes(6)
        memory[100:106] = np.frombuffer(mac, np.uint8)
        packet.write_unicast_header(memory, 100, io.templates, io.template_sums,
                                    int.from_bytes(ip, "big"), port, size)
        sent = Sent(memory[100:142 + size].tobytes())
        assert sent.target == (".".join(map(str, ip)), port) and sent.source == US
        assert sent.mac == mac and sent.raw[6:12] == OUR_MAC and sent.payload == payload
        total = packet.sum_words(memory, 142, size)
        for template, group in ((io_state.FEED_A, FEED_A), (io_state.FEED_B, FEED_B)):
            packet.write_feed_header(memory, 100, io.templates, io.template_sums, template, size,
                                     total)
            sent = Sent(memory[100:142 + size].tobytes())
            assert sent.target == group and sent.payload == payload and sent.ttl == 1
            assert sent.mac == io_state.multicast_mac(io_state.ip_number(group[0]))


def test_a_checksum_that_comes_out_as_zero_is_sent_as_ffff(made):
    io, memory = made[0], np.zeros(2048, np.uint8)
    for last in range(65536):
        memory[62:64] = last >> 8, last & 255
        packet.write_unicast_header(memory, 0, io.templates, io.template_sums, 1, 1, 22)
        assert memory[40] or memory[41]
        if memory[40] == memory[41] == 0xFF:
            break
    else:
        pytest.fail("no payload of 65536 gives the checksum 0: the sum is wrong")
    assert Sent(memory[:64].tobytes()).payload[20:] == last.to_bytes(2, "big")
