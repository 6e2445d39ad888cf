"""Frames that are not as they should be: another MTU, superframes, unfinished checksums, a storm.

Each is refused under one name, frame by frame; what was in it is sent again once its sender has
been put right, and everybody else trades on.
"""

import errno
import itertools
import socket
import struct

import pytest

from appliance.layout.datagram import build_mold
from tests.end_to_end.place import PRICE, SMALL, SYMBOL, Place, trade
from tests.end_to_end.wire_kit import (
    Ledger, accepted_once, alarm, caught_up, halted, lost_on_the_way, offloads, raw_socket,
    right_by_chance, taken_up, unsent, without_checksums,
)
from tests.netns import needs_bpf, needs_namespaces
from tools.faults.hostile_place import generated
from tools.record import checksum, frame

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

PATIENT = {"gap_hold_us": 1_000_000}
UNHURRIED = "[supervision]\nhang_ms = 60000\n"          # a halted matcher is not ended
UDP_SEGMENT = 103
EACH = 20                    # frames of a size
HEADERS, BLOCK = 28 + 20, 2
SHORT, SENT = 64, 200
LONG, BRIEF = 40, 3          # orders in a superframe
STORM_CNT, GAP_NS, ROUNDS = 40_000, 5000, 100


def started(mode="native", extra=""):
    return Place(mode, PATIENT, sizes=SMALL, extra=UNHURRIED + extra)


def whole(place, session, payload) -> bytes:
    """The Ethernet frame of a datagram of the session, complete."""
    macs = place.scene.mac + place.scene.source_mac
    return macs + frame(payload, session.sock.getsockname(), (
        place.scene.ip, place.scene.order_port))[len(macs):]


def test_a_peer_with_a_larger_mtu(warm):
    """The program refuses what is over 1,500 bytes, the device what is over its own MTU and a tag;
    1,500 bytes still come."""
    with started() as place:
        session, others = place.login(0), (place.login(1), place.login(2))
        place.scene.outside.run("ip", "link", "set", "wm1", "mtu", "3000")
        raw, ledger = raw_socket(place), Ledger(place)
        refused = 0
        for size in (1500, 1501, 1504, 1505, 2000, 3000):
            packet = whole(place, session, build_mold("NOBODY0000", 1, [
                bytes(size - HEADERS - BLOCK)]))
            for _ in range(EACH):
                try:
                    raw.send(packet)
                except OSError as error:
                    assert error.errno == errno.ENOBUFS, size
                    refused += 1
        trade(*others)
        moved = ledger.until(lambda moved: moved.program["drop_too_long"] == 2 * EACH)
        assert refused == 3 * EACH == moved.device["rx_dropped"]
        assert moved.matchers[0]["rx_unknown_token"] == EACH and moved.matchers[0]["trades"] == 1
        assert f"{2 * EACH} in all" in alarm(place, "drop-too-long")
        assert place.house.fresh_status()["port"]["interface"]["rx_dropped"] >= refused
        accepted_once(place, session, [session.enter("B", 1, SYMBOL, PRICE - 100)])
        assert place.stop() == 0, place.house.words()


def test_a_peer_with_a_smaller_mtu(warm):
    """Its own large datagrams come in fragments and are refused; answers that do not fit are
    dropped by its end, and asked for in smaller pieces until all have come. So is the feed."""
    ports = f"[port]\nrx_frames = {SHORT}\ntx_frames = {SHORT}\n"
    with started(extra=ports) as place:
        session, others, feed = place.login(0), (place.login(1), place.login(2)), place.feed()
        caught_up(place, feed)
        place.scene.outside.run("ip", "link", "set", "wm1", "mtu", "1400")
        ledger = Ledger(place)
        for _ in range(EACH):
            session.sock.send(build_mold("NOBODY0000", 1, [bytes(1420)]))
        moved = ledger.until(lambda moved: moved.program["drop_fragment"] == EACH)
        assert moved.program["pass_later_fragment"] == EACH and moved.matchers[0]["rx_frames"] == 0
        with halted(place.pid("matcher@0")):     # most are lost, and sent again by the dozen
            numbers = [session.enter("B", 1, SYMBOL, PRICE - 200) for _ in range(SENT)]
            full = ledger.until(lambda moved: moved.sockets[0]["rx_dropped"] >= SENT - SHORT)
        given_up = accepted_once(place, session, numbers)
        caught_up(place, feed)
        trade(*others)
        moved = ledger.until(lambda moved: moved.program["redirected"] == moved.taken)
        assert moved.matchers[0]["orders"] == SENT - given_up + 2
        assert moved.matchers[0]["trades"] == 1
        assert full.sockets[0]["rx_dropped"] == SENT - SHORT
        assert moved.program["drop_fragment"] == EACH, "it sends again what fits its own MTU"
        assert moved.device["tx_dropped"] > 0 and "MTU" in alarm(place, "tx-dropped")
        assert session.counts["requests"] > 0 and feed.counts["requests"] > 0
        assert place.stop() == 0, place.house.words()


def in_one_send(session, packets):
    """Hands the packets to the kernel as one superframe (UDP GSO)."""
    size = len(packets[0])
    assert all(len(packet) == size for packet in packets)
    session.sock.sendmsg(packets, [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))])


def test_superframes_that_the_other_end_must_cut(warm):
    """The kernel lets nobody hand a superframe to a device with a native program: orders sent as
    one come one by one."""
    with started() as place:
        session = place.login(0)
        offloads(place, gso="on", gro="on")
        ledger = Ledger(place)
        packets = unsent(session, EACH, SYMBOL, PRICE - 100)
        in_one_send(session, packets)
        assert accepted_once(place, session, range(1, EACH + 1)) == 0
        moved = ledger.until(lambda moved: moved.program["redirected"] == moved.taken >= EACH)
        assert moved.matchers[0]["rx_applied"] == EACH and moved.matchers[0]["gap_requests"] == 0
        assert place.stop() == 0, place.house.words()


def test_superframes_that_arrive_whole(warm):
    """On the generic rung they do: too long by the program; a short one by its checksum, and one
    whose checksum was made good by its framing. No order in them is taken, all come again."""
    with started("generic") as place:
        session, others = place.login(0, heartbeat_s=0.2), (place.login(1), place.login(2))
        without_checksums(*others)
        offloads(place, tx="on", gso="on", tx_udp_segmentation="on")
        ledger = Ledger(place)
        for count in (LONG, BRIEF):
            in_one_send(session, unsent(session, count, SYMBOL, PRICE - 100))
        raw_socket(place).send(whole(place, session, b"".join(
            unsent(session, BRIEF, SYMBOL, PRICE - 100))))
        trade(*others)
        moved = ledger.until(lambda moved: moved.program["drop_too_long"] == 1
                             and moved.matchers[0]["rx_framing"] == 1)
        assert moved.matchers[0]["rx_checksum"] == 1
        assert moved.matchers[0]["orders"] == 2 and moved.matchers[0]["trades"] == 1
        assert "superframes" in alarm(place, "drop-too-long")
        offloads(place, tx="off")
        accepted_once(place, session, range(1, LONG + 2 * BRIEF + 1))
        assert ledger.moved().program["drop_too_long"] == 1
        assert place.stop() == 0, place.house.words()


def test_checksums_that_an_offload_should_have_finished(warm):
    """Every datagram of such a sender is refused and counted, until the offload is off."""
    with started() as place:
        session, others = place.login(0, heartbeat_s=0.2), (place.login(1), place.login(2))
        without_checksums(*others)
        offloads(place, tx="on")
        ledger, packets = Ledger(place), unsent(session, EACH, SYMBOL, PRICE - 100)
        refused = EACH - right_by_chance(place, session, packets)
        for packet in packets:
            session.sock.send(packet)
        trade(*others)
        moved = ledger.until(lambda moved: moved.matchers[0]["rx_checksum"] == refused)
        assert refused > EACH // 2 and moved.matchers[0]["trades"] == 1
        assert f"{refused} datagrams" in alarm(place, "rx-checksum")
        offloads(place, tx="off")
        given_up = accepted_once(place, session, range(1, EACH + 1))
        moved = ledger.until(lambda moved: moved.program["redirected"] == moved.taken)
        assert moved.matchers[0]["rx_checksum"] == refused
        assert moved.matchers[0]["orders"] == EACH - given_up + 2
        assert place.stop() == 0, place.house.words()


def foreign_packets(place):
    """{reason of the program: packets of others' protocols and ports}."""
    scene, macs = place.scene, place.scene.mac + place.scene.source_mac
    market, ours = socket.inet_aton(scene.market_ip), socket.inet_aton(scene.ip)
    other_port = macs + frame(bytes(60), (scene.market_ip, 9), (
        scene.ip, scene.order_port + 1000))[len(macs):]
    who_has = macs + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + scene.source_mac \
        + market + bytes(6) + socket.inet_aton("10.77.0.77")
    six = macs + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, 40, 17, 64) + bytes(32 + 40)
    syn = struct.pack(">HHIIBBHHH", 9, 9, 1, 0, 5 << 4, 2, 1000, 0, 0)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(syn), 0, 0x4000, 64, 6, 0) + market + ours
    head = head[:10] + struct.pack(">H", checksum(head)) + head[12:]
    tcp = macs + b"\x08\x00" + head + syn
    return {"pass_not_ours": [other_port], "pass_other_ether": [who_has + bytes(18), six],
            "pass_not_udp": [tcp + bytes(20)]}


def test_a_storm_of_others_traffic(warm):
    """Every frame of it goes to the kernel under its reason, and no order is lost by it."""
    with started() as place:
        buyer, seller = place.login(0), place.login(1)
        kinds, ledger, before = foreign_packets(place), Ledger(place), lost_on_the_way(place)
        numbers = []
        with generated(place, itertools.chain(*kinds.values()), STORM_CNT, GAP_NS) as storm:
            while storm.is_alive() or len(numbers) < ROUNDS:
                numbers.append(buyer.enter("B", 1, SYMBOL, PRICE - 100))
                seller.enter("S", 1, SYMBOL, PRICE + 100)
                buyer.poll(0.002)
                seller.poll(0.002)
        taken_up(place, 2 * len(numbers), buyer, seller)
        wanted = {reason: STORM_CNT * len(packets) for reason, packets in kinds.items()}
        came = sum(wanted.values()) - (lost_on_the_way(place) - before)
        moved = ledger.until(lambda moved: sum(moved.program[reason] for reason in wanted) == came
                             and moved.program["redirected"] == moved.taken)
        assert all(count // 4 < moved.program[reason] <= count
                   for reason, count in wanted.items()), moved.program
        assert moved.matchers[0]["orders"] + moved.matchers[0]["messages_skipped"] == 2 * len(
            numbers)
        assert moved.sockets[0]["rx_dropped"] == 0
        assert place.stop() == 0, place.house.words()
