"""Rewritten frames: checksums judged by tshark and by a sum of our own, wrong ones kept wrong."""

import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from appliance.layout.datagram import build_end_of_session, build_mold, build_request
from tests.tools.received import frames
from tools import pcap
from tools.pcap import PcapError
from tools.record import checksum, frame
from tools.rewrite import Mold, ends, retag, rewrite

TIME_NS = 1_700_000_000_000_000_000
HERE, THERE = ("10.1.2.3", 1000), ("10.4.5.6", 2000)


def capture_of(path, packets):
    pcap.write(path, [(TIME_NS + n, each) for n, each in enumerate(packets)])
    return pcap.read(path)


def tcp(payload):
    """A TCP segment from HERE to THERE, checksums right."""
    udp = frame(payload, HERE, THERE)
    head = struct.pack(">HHIIBBHHH", HERE[1], THERE[1], 1, 2, 0x50, 0x18, 1024, 0, 0)
    pseudo = udp[26:34] + struct.pack(">BBH", 0, 6, 20 + len(payload))
    head = head[:16] + struct.pack(">H", checksum(pseudo + head + payload)) + head[18:]
    ip = bytearray(udp[14:34])
    ip[2:4], ip[9], ip[10:12] = struct.pack(">H", 40 + len(payload)), 6, b"\0\0"
    ip[10:12] = struct.pack(">H", checksum(bytes(ip)))
    return udp[:14] + bytes(ip) + head + payload


def judged(path, *fields):
    """What tshark says of each packet, checksums checked."""
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed")
    done = subprocess.run(
        ["tshark", "-r", path, *[part for each in ("ip", "udp", "tcp") for part in (
            "-o", f"{each}.check_checksum:TRUE")], "-T", "fields", "-E", "occurrence=f",
         *[part for each in fields for part in ("-e", each)]],
        capture_output=True, text=True, check=True)
    return [row.split("\t") for row in done.stdout.splitlines()]


def test_addresses_change_in_tagged_tcp_and_fragmented_frames_too(tmp_path):
    payload = bytes(range(101))
    plain, segment = frame(payload, HERE, THERE), tcp(payload)
    tagged = plain[:12] + b"\x81\x00\x60\x07" + plain[12:]
    later = bytearray(plain)
    later[20:22], later[24:26] = b"\x00\x10", b"\0\0"
    later[24:26] = struct.pack(">H", checksum(bytes(later[14:34])))
    absent = plain[:40] + b"\0\0" + plain[42:]
    capture = capture_of(tmp_path / "a.pcap", [plain, segment, tagged, bytes(later), absent])
    table = {HERE: ("192.0.2.1", 7), (THERE[0], 0): ("192.0.2.2", 0)}
    moved = rewrite(capture, destination=table, sources=table)
    pcap.write(tmp_path / "b.pcap", moved)
    rows = judged(tmp_path / "b.pcap", "ip.src", "ip.dst", "ip.checksum.status",
                  "udp.checksum.status", "tcp.checksum.status", "udp.srcport", "tcp.srcport",
                  "tcp.dstport")
    assert [row[:3] for row in rows] == [["192.0.2.1", "192.0.2.2", "1"]] * 3 + [
        ["10.1.2.3", "192.0.2.2", "1"]] + [["192.0.2.1", "192.0.2.2", "1"]]
    assert [row[3] for row in rows] == ["1", "", "1", "", "3"] and rows[1][4] == "1"
    assert rows[1][6:] == ["7", "2000"] and rows[2][5] == "7"
    assert frames(moved)[3][34:] == bytes(later)[34:], "a later fragment has no ports"
    assert frames(moved)[4][40:42] == b"\0\0", "no checksum stays none"


def test_a_wrong_checksum_stays_as_wrong_as_it_was(tmp_path):
    wrong = bytearray(frame(b"payload", HERE, THERE))
    wrong[40:42] = b"\x12\x34"
    moved = rewrite(capture_of(tmp_path / "a.pcap", [bytes(wrong)]),
                    destination=("192.0.2.2", 9))
    back = rewrite(moved, destination=THERE)
    assert frames(back) == [bytes(wrong)] and frames(moved)[0][40:42] != b"\x12\x34"


def test_packets_to_another_group_get_its_mac(tmp_path):
    capture = capture_of(tmp_path / "a.pcap", [frame(b"x", HERE, ("239.1.1.1", 5)),
                                               frame(b"x", HERE, THERE)])
    table = {("239.1.1.1", 0): ("239.255.77.2", 0)}
    moved = frames(rewrite(capture, destination=table))
    assert moved[0][:6] == bytes.fromhex("01005e7f4d02")
    assert moved[1] == frames(capture)[1]
    chosen = rewrite(capture, destination=table, destination_mac=bytes(6))
    assert [each[:6] for each in frames(chosen)] == [bytes(6)] * 2


@pytest.mark.parametrize("vlan", [0, 5, 4094])
def test_tags_are_set_and_taken_off(tmp_path, vlan):
    plain = frame(bytes(50), HERE, THERE)
    double = plain[:12] + b"\x88\xa8\x20\x01\x81\x00\x60\x07" + plain[12:]
    capture = capture_of(tmp_path / "a.pcap", [plain, double])
    tagged = retag(capture, vlan)
    pcap.write(tmp_path / "b.pcap", tagged)
    assert [row[:2] for row in judged(tmp_path / "b.pcap", "vlan.id", "ip.src")] == [
        [str(vlan), HERE[0]]] * 2
    assert frames(tagged)[1][14] >> 5 == 3, "the inner tag's priority"
    assert frames(retag(tagged, None)) == [plain, plain]
    with pytest.raises(PcapError, match="VLAN 4095: 0 to 4094"):
        retag(capture, 4095)


def test_mold_names_and_numbers_change_and_gaps_stay(tmp_path):
    def packet(name, seq, *blocks):
        return frame(build_mold(name, seq, blocks), HERE, ("239.1.1.1", 5))
    end = frame(build_end_of_session("DAY1", 110), HERE, ("239.1.1.1", 5))
    asked = frame(build_request("DAY1", 103, 2), THERE, HERE)
    other, login = frame(bytes(30), HERE, THERE), packet("TOKEN", 0, b"L")
    capture = capture_of(tmp_path / "a.pcap", [
        packet("DAY1", 100, b"one", b"two"), packet("DAY1", 105, b"six"), packet("DAY1", 106), end,
        asked, other, login, packet("DAY2", 50, b"other")])
    work = replace(capture, data=capture.data.copy())
    mold = Mold(work)
    assert mold.which.tolist() == [True] * 5 + [False] + [True] * 2
    mold.renumber(b"NEW       ", 7)

    def told(expected_first, name):
        return [packet(name, expected_first, b"one", b"two"),
                packet(name, expected_first + 5, b"six"), packet(name, expected_first + 6),
                frame(build_end_of_session(name, expected_first + 10), HERE, ("239.1.1.1", 5)),
                frame(build_request(name, expected_first + 3, 2), THERE, HERE), other]
    assert frames(work) == [*told(7, "NEW"), packet("NEW", 0, b"L"), packet("NEW", 7, b"other")]
    mold.renumber(None, None, 2)
    assert frames(work) == [*told(120, "DAY1"), login, packet("DAY2", 52, b"other")]
    mold.renumber()
    assert frames(work) == frames(capture)


def test_ends_are_those_of_tshark(tmp_path):
    random = np.random.default_rng(2)
    packets = [frame(random.bytes(20 + n), (f"10.{n}.1.2", 1 + n), (f"10.9.{n}.8", 40_000 + n))
               for n in range(50)] + [random.bytes(60) for _ in range(20)]
    capture = capture_of(tmp_path / "a.pcap", packets)
    found = ends(capture)
    assert (found.ips[:50] == capture.offsets[:50] + 14).all()
    assert found.targets[:50, 1].tolist() == [40_000 + n for n in range(50)]
    rows = judged(tmp_path / "a.pcap", "ip.src")
    assert [bool(row[0]) for row in rows] == (found.ips >= 0).tolist()
