"""The burst contract on the NULL and SOCKET kinds: nothing lost, nothing invented, full is -1."""

import errno
import socket
import struct

import numpy as np
import pytest
from numba import njit

from appliance.hot import port_state as ps
from appliance.hot.port import (
    rx_arrival_ns, rx_burst, rx_release, tx_alloc, tx_free, tx_kick, tx_push,
)
from appliance.shm.umem import make_null_port, make_socket_port, take_captured


@njit
def copy_all(port, burst_max, kick):
    """Sends every received packet back unchanged; (received, sent, allocation failures)."""
    received, sent, failed = 0, 0, 0
    while True:
        count = rx_burst(port, burst_max)
        if count == 0:
            return received, sent, failed
        for i in range(count):
            off = tx_alloc(port)
            if off < 0:
                failed += 1
                continue
            start, sz = np.int64(port.rx_desc[i]["addr"]), np.int64(port.rx_desc[i]["len"])
            for k in range(sz):
                port.frames[off + k] = port.frames[start + k]
            tx_push(port, off, sz)
            sent += 1
        rx_release(port, count)
        received += count
        if kick:
            tx_kick(port)


@njit
def receive(port, burst_max):
    return rx_burst(port, burst_max)


@njit
def send(port, packet):
    off = tx_alloc(port)
    for k in range(packet.size):
        port.frames[off + k] = packet[k]
    tx_push(port, off, packet.size)
    return tx_kick(port)


def packets(count):
    return [bytes([i % 251]) * (60 + i % 1400) for i in range(count)]


def test_null_port_gives_every_packet_once_in_order():
    sent = packets(300)
    port = make_null_port(sent, tx_frame_cnt=512, capture_max=512)
    assert copy_all(port, 64, True) == (300, 300, 0)
    assert take_captured(port) == sent
    assert int(port.state[ps.RX_PACKETS]) == int(port.state[ps.TX_PACKETS]) == 300


@pytest.mark.parametrize("burst_max", [1, 7, 64, 1000])
def test_a_burst_never_exceeds_64_or_what_was_asked(burst_max):
    port = make_null_port(packets(100))
    assert receive(port, burst_max) == min(burst_max, 64)


def test_a_burst_of_zero_takes_nothing():
    port = make_null_port(packets(3))
    assert receive(port, 0) == 0
    assert receive(port, 64) == 3


def test_null_port_recycles_and_counts_what_it_does_not_keep():
    port = make_null_port(packets(100), tx_frame_cnt=64, capture_max=10)
    assert copy_all(port, 16, True) == (100, 100, 0)
    assert [len(packet) for packet in take_captured(port)] == [60 + i for i in range(10)]
    assert int(port.state[ps.TX_RECYCLED_CNT]) == 90
    assert int(port.state[ps.STACK_CNT]) == 64


def test_a_full_transmit_side_answers_minus_one_and_counts():
    port = make_null_port(packets(100), tx_frame_cnt=64, capture_max=64)
    assert copy_all(port, 64, True) == (100, 64, 36)
    assert int(port.state[ps.TX_FULL_CNT]) == 36
    assert len(take_captured(port)) == 64
    assert int(tx_free(port)) == 64


def test_unkicked_packets_do_not_leave():
    port = make_null_port(packets(5), tx_frame_cnt=64, capture_max=64)
    copy_all(port, 64, False)
    assert take_captured(port) == []
    assert tx_kick(port) == 0
    assert len(take_captured(port)) == 5


@pytest.mark.parametrize("sz, good", [(41, False), (42, True), (2048, True), (2049, False)])
def test_a_packet_that_does_not_fit_its_frame_is_not_queued(sz, good):
    port = make_null_port(tx_frame_cnt=64, capture_max=64)
    assert send(port, np.zeros(sz, np.uint8)) == 0
    assert [len(packet) for packet in take_captured(port)] == ([sz] if good else [])
    assert int(port.state[ps.TX_INVALID_CNT]) == (not good)
    assert int(port.state[ps.STACK_CNT]) == 64, "its frame is lost"
    assert send(port, np.ones(100, np.uint8)) == 0
    assert take_captured(port)[-1] == bytes([1]) * 100, "it blocked what came after"


@njit
def queue(port, off, sz):
    tx_push(port, off, sz)


def test_a_packet_that_begins_inside_its_frame_may_not_reach_into_the_next():
    port = make_null_port(tx_frame_cnt=64)
    off = int(port.tx_stack[int(port.state[ps.STACK_CNT]) - 1])
    for skip, sz, refused in ((100, 1948, 0), (100, 1949, 1), (2047, 42, 2)):
        port.state[ps.STACK_CNT] -= np.uint64(1)
        queue(port, off + skip, sz)
        assert int(port.state[ps.TX_INVALID_CNT]) == refused
        port.state[ps.STACK_CNT] = 64


def test_other_kinds_have_no_arrival_time():
    port = make_null_port(packets(1))
    receive(port, 1)
    assert rx_arrival_ns(port, 0) == 0


@pytest.fixture
def endpoints():
    """(order socket, participant socket), both on loopback."""
    with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as order,
          socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as participant):
        order.bind(("127.0.0.1", 0))
        participant.bind(("127.0.0.1", 0))
        participant.settimeout(60)
        yield order, participant


def socket_port(order, multicast=None, tx_frame_cnt=64):
    multicast_fd = (multicast or order).fileno()
    return make_socket_port(order.fileno(), multicast_fd, *order.getsockname(), tx_frame_cnt)


def ipv4_udp(target, payload):
    return (bytes(12) + b"\x08\x00" + bytes.fromhex("45000000000040004011") + bytes(6)
            + socket.inet_aton(target[0]) + struct.pack("!HHHH", 0, target[1], 0, 0) + payload)


def test_socket_rung_makes_headers_that_a_parser_accepts(endpoints):
    order, participant = endpoints
    participant.sendto(b"hello", order.getsockname())
    port = socket_port(order)
    while receive(port, 64) == 0:
        pass
    start, sz = int(port.rx_desc[0]["addr"]), int(port.rx_desc[0]["len"])
    packet = port.frames[start:start + sz].tobytes()
    assert sz == 42 + 5 and packet[42:] == b"hello" and packet[12:14] == b"\x08\x00"
    version, total_sz = packet[14], struct.unpack("!H", packet[16:18])[0]
    assert (version, total_sz, packet[23]) == (0x45, 33, 17)
    assert packet[26:30] == packet[30:34] == socket.inet_aton("127.0.0.1")
    assert struct.unpack("!HHHH", packet[34:42]) == (
        participant.getsockname()[1], order.getsockname()[1], 13, 0)


def test_a_datagram_longer_than_a_slot_is_flagged_and_counted(endpoints):
    order, participant = endpoints
    for sz in (2006, 2007, 0):
        participant.sendto(b"x" * sz, order.getsockname())
    port = socket_port(order)
    assert receive(port, 64) == 3
    assert port.rx_desc["len"][:3].tolist() == [2048, 2048, 42]
    assert port.rx_desc["flags"][:3].tolist() == [0, ps.RX_CUT, 0]
    assert int(port.state[ps.RX_CUT_CNT]) == 1


def test_nothing_waiting_is_zero_and_no_error(endpoints):
    port = socket_port(endpoints[0])
    assert receive(port, 64) == 0
    assert int(port.state[ps.RX_ERROR_CNT]) == 0


def test_answers_come_from_the_order_port(endpoints):
    order, participant = endpoints
    port = socket_port(order)
    packet = ipv4_udp(participant.getsockname(), b"accepted")
    assert send(port, np.frombuffer(packet, np.uint8)) == 0
    assert participant.recvfrom(100) == (b"accepted", order.getsockname())
    assert int(port.state[ps.STACK_CNT]) == 64


def test_mixed_unicast_and_multicast_keep_their_sockets(endpoints):
    order, participant = endpoints
    group = ("239.77.1.1", 0)
    with (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as feed,
          socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener):
        listener.bind(("", 0))
        group = ("239.77.1.1", listener.getsockname()[1])
        here = socket.inet_aton("127.0.0.1")
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                            socket.inet_aton(group[0]) + here)
        listener.settimeout(60)
        feed.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
        feed.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        feed.bind(("127.0.0.1", 0))
        port = socket_port(order, feed)
        for i in range(6):
            off = int(tx_alloc(port))
            target = group if i % 3 == 2 else participant.getsockname()
            packet = ipv4_udp(target, b"message %d" % i)
            port.frames[off:off + len(packet)] = np.frombuffer(packet, np.uint8)
            tx_push(port, off, len(packet))
        assert tx_kick(port) == 0
        assert [participant.recvfrom(100) for _ in range(4)] == [
            (b"message %d" % i, order.getsockname()) for i in (0, 1, 3, 4)]
        assert [listener.recvfrom(100) for _ in range(2)] == [
            (b"message %d" % i, feed.getsockname()) for i in (2, 5)]
    assert int(port.state[ps.TX_COMPLETED]) == 6


def test_a_refused_datagram_is_dropped_counted_and_blocks_nothing(endpoints):
    order, participant = endpoints
    port = socket_port(order)
    refused = ipv4_udp(("255.255.255.255", 9), b"broadcast is not permitted")
    good = ipv4_udp(participant.getsockname(), b"still served")
    for packet in (refused, good):
        off = int(tx_alloc(port))
        port.frames[off:off + len(packet)] = np.frombuffer(packet, np.uint8)
        tx_push(port, off, len(packet))
    assert tx_kick(port) == 0
    assert participant.recv(100) == b"still served"
    assert int(port.state[ps.TX_DROPPED_CNT]) == 1
    assert int(port.state[ps.KICK_LAST_ERRNO]) == errno.EACCES
    assert int(port.state[ps.STACK_CNT]) == 64


def test_a_burst_of_many_runs_wraps_the_ring(endpoints):
    order, participant = endpoints
    port = socket_port(order, tx_frame_cnt=64)
    for turn in range(5):
        for i in range(50):
            off = int(tx_alloc(port))
            packet = ipv4_udp(participant.getsockname(), b"%d/%d" % (turn, i))
            port.frames[off:off + len(packet)] = np.frombuffer(packet, np.uint8)
            tx_push(port, off, len(packet))
        assert tx_kick(port) == 0
        assert [participant.recv(100) for _ in range(50)] == [b"%d/%d" % (turn, i)
                                                              for i in range(50)]


def test_an_order_socket_without_an_address_is_refused():
    with pytest.raises(ValueError, match="name the IPv4 address"):
        make_socket_port(0, 0, "0.0.0.0", 9000)


def test_a_null_output_takes_everything_and_sends_nothing():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as order, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        for each in (order, far):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        port = make_socket_port(order.fileno(), order.fileno(), "127.0.0.1",
                                order.getsockname()[1], tx_frame_cnt=64)
        packet = np.zeros(64, np.uint8)
        packet[30:34] = 127, 0, 0, 1
        packet[36:38] = np.frombuffer(struct.pack(">H", far.getsockname()[1]), np.uint8)
        port.state[ps.TX_NULL] = 1
        for _ in range(200):                       # more than there are frames: all come back
            assert send(port, packet) == 0
        assert int(port.state[ps.TX_RECYCLED_CNT]) == 200 == int(port.state[ps.TX_PACKETS])
        with pytest.raises(BlockingIOError):
            far.recv(100)
        port.state[ps.TX_NULL] = 0
        assert send(port, packet) == 0
        assert far.recv(100) == bytes(22)
