"""Captured Nasdaq traffic decodes completely, and encodes back to the captured bytes."""

import os
from collections import Counter

import pytest

os.environ.setdefault("ITCH_NO_CPP", "1")

from scapy.layers.inet import TCP, UDP           # noqa: E402
from scapy.packet import Raw                     # noqa: E402
from scapy.utils import rdpcap                   # noqa: E402

from appliance.layout.codec import decode, encode                       # noqa: E402
from appliance.layout.datagram import (                                 # noqa: E402
    build_mold, build_soup, parse_mold, parse_soup, split_soup,
)
from tests.shared_data import shared_file                               # noqa: E402


def payloads(pattern):
    """(file name, UDP or TCP payload) of every captured frame."""
    files = sorted(shared_file("data/frames").glob(pattern))
    assert files, f"no {pattern} among the captured frames"
    packets = [(path.name, packet) for path in files for packet in rdpcap(str(path))]
    assert all(UDP in packet or TCP in packet for _, packet in packets)
    return [(name, packet[Raw].load) for name, packet in packets]


def test_itch_frames_decode_completely_and_back():
    kinds = Counter()
    for name, payload in payloads("itch50*.pcap"):
        packet = parse_mold(payload)
        assert build_mold(packet.session, packet.sequence, packet.blocks) == payload, name
        for block in packet.blocks:
            record = decode("itch", "out", block)
            assert record.message is not None, (name, block)
            assert encode("itch", "out", record.letter, record) == block, name
            kinds[record.letter] += 1
    assert kinds.total() == 117 and len(kinds) == 15


def test_ouch_frames_decode_completely_and_back():
    seen = []
    for name, payload in payloads("ouch50*.pcap"):
        packets, rest = split_soup(payload)
        assert packets and not rest, name
        for packet in packets:
            soup = parse_soup(packet)
            assert build_soup(soup.letter, soup) == packet
            seen.append(soup.letter)
            if soup.letter in "SU":
                direction = "out" if soup.letter == "S" else "in"
                order = decode("ouch", direction, soup["payload"])
                assert encode("ouch", direction, order.letter, order) == soup["payload"], name
                seen[-1] += order.letter
    assert sorted(seen) == ["H", "R", "SA", "SC", "UO", "UX"]


def test_captured_enter_order_has_the_firm_tag_and_accepted_two_tags():
    orders = {}
    for _, payload in payloads("ouch50*.pcap"):
        soup = parse_soup(payload)
        if soup.letter in "SU":
            record = decode("ouch", "out" if soup.letter == "S" else "in", soup["payload"])
            orders[record.letter] = record
    assert list(orders["O"]["tags"]) == [2] and len(orders["A"]["tags"]) == 2
    assert orders["X"]["tags"] is None and orders["C"]["tags"] is None


@pytest.mark.parametrize("cut", [1, 2, 7, 21])
def test_captured_packet_with_its_end_cut_is_refused(cut):
    payload = max((p for _, p in payloads("itch50_Multiple*.pcap")), key=len)
    with pytest.raises(ValueError):
        parse_mold(payload[:-cut])
