"""The kinds of hostile frames that `inject` sends, and the one counter that each must move.

KINDS: {name: Kind}. A counter of the XDP program (pass_*, drop_*) means that the frame went no
further; one of the matcher's (rx_*) that the program let it through. "by the model": the frames
differ, and each frame's reason is what the gate's model says of it (gate_model.py).
"""

import struct
from collections import Counter
from dataclasses import dataclass

from appliance.layout.datagram import build_mold
from tools.faults.gate_model import Gate, Site, World
from tools.faults.hostile_place import PATIENCE_S
from tools.faults.killer_place import wait
from tools.record import checksum

MODEL = "by the model"
UNKNOWN_IP, BOGON_IP, MACS_SZ, ETHER_SZ = "10.77.0.99", "127.0.0.9", 12, 14
FAR = 1 << 40


@dataclass(frozen=True)
class Kind:
    """make(maker, number) gives a frame; prepare(maker) does what must be before the first."""

    name: str
    row: str
    counter: str
    text: str
    make: object
    prepare: object = None


class Maker:
    """Material for frames: people[0] is calm and not to be disturbed, people[1] is used."""

    def __init__(self, place, people, dice):
        self.place, self.dice, self.used = place, dice, people[1]
        self.made = []
        self.gate = Gate(World(sites={0: Site(place.scene.ip, 1, 0, True, True)},
                               ports={place.scene.order_port: 0},
                               sources={place.scene.market_ip: None}))

    def good(self, payload=None, source=None) -> bytes:
        """A complete frame of the used account: a heartbeat, or this payload."""
        if payload is None:
            payload = build_mold(self.used.token, self.used.next, [])
        return self.place.whole(payload, source or self.used.source)

    def packet(self, change, payload=None) -> bytes:
        """A good frame whose IPv4 packet change(bytearray) has changed; its checksum made anew."""
        data = bytearray(self.good(payload))
        packet = data[ETHER_SZ:]
        change(packet)
        size = (packet[0] & 15) * 4
        packet[10:12] = b"\0\0"
        packet[10:12] = checksum(bytes(packet[:size])).to_bytes(2, "big")
        return bytes(data[:ETHER_SZ] + packet)

    def tagged(self, *tags) -> bytes:
        """A good frame behind tags (type, id)."""
        data = self.good()
        return data[:MACS_SZ] + b"".join(struct.pack("!HH", *tag) for tag in tags) + data[MACS_SZ:]

    def typed(self, ether_type, size) -> bytes:
        """A frame of another protocol."""
        return self.place.macs + struct.pack("!H", ether_type) + self.dice.randbytes(size)

    def by_model(self, data) -> bytes:
        """A frame whose reason the model says."""
        self.made.append(self.gate.judge(data, 1, 0)[1])
        return data

    def wanted(self, kind, count) -> tuple[dict, dict]:
        """({reason of the program: frames}, {counter of the matcher: frames}) for those made."""
        if kind.counter == MODEL:
            return dict(Counter(self.made)), {}
        if kind.counter.startswith("rx_"):
            return {"redirected": count}, {kind.counter: count}
        return {kind.counter: count}, {}


def _random(maker, _):
    """Dice from end to end; half of it behind our addresses and the type of IPv4."""
    size = maker.dice.randrange(14, 1514)
    data = maker.dice.randbytes(size)
    head = maker.place.macs + b"\x08\x00"
    return maker.by_model((head + data)[:size] if maker.dice.random() < 0.5 else data)


def _cut(maker, number):
    whole = maker.good(build_mold(maker.used.token, 1, [bytes(40)]))
    return maker.by_model(whole[:ETHER_SZ + number % (len(whole) - ETHER_SZ)])


def _udp_length(packet):
    packet[24:26] = (int.from_bytes(packet[24:26], "big") + 1).to_bytes(2, "big")


def _put(at, size, value):
    def change(packet):
        packet[at:at + size] = value.to_bytes(size, "big")
    return change


def _options(packet):
    packet[20:20] = b"\x01\x01\x01\x00"
    packet[0] += 1
    packet[2:4] = len(packet).to_bytes(2, "big")


def _bad_sum(maker, _):
    data = bytearray(maker.good())
    data[ETHER_SZ + 10] ^= 1 << maker.dice.randrange(8)
    return bytes(data)


def _bad_udp_sum(maker, _):
    data = bytearray(maker.good())
    data[ETHER_SZ + 26] ^= 1 << maker.dice.randrange(8)
    return bytes(data)


def _without_sum(maker, _):
    return maker.packet(_put(26, 2, 0))


def _long(maker, _):
    return maker.good(build_mold(maker.used.token, 1, [bytes(1501 - 28 - 20 - 2)]))


def _addressed(ip, port=None):
    def make(maker, _):
        return maker.good(source=(ip, port or maker.used.source[1]))
    return make


def _other_port(maker, _):
    source = maker.used.source[0], maker.used.source[1] ^ 1
    return maker.good(source=source)


def _wrong_target(maker, _):
    payload = build_mold(maker.used.token, 1, [])
    return maker.place.whole(payload, maker.used.source, (maker.place.target[0], 9))


def _token(maker, number):
    return maker.good(build_mold(f"NOBODY{number % 10000:04d}", 1, []))


def _apply(maker):
    before = maker.used.next
    maker.place.send(maker.good(build_mold(maker.used.token, before, [b""])))
    wait(lambda: maker.used.next > before, "a message was not applied", PATIENCE_S, 0.001)


def _repeated(maker, _):
    return maker.good(build_mold(maker.used.token, maker.used.next - 1, [b""]))


def _far(maker, _):
    return maker.good(build_mold(maker.used.token, FAR, [b""]))


def _miscounted(maker, _):
    payload = bytearray(build_mold(maker.used.token, maker.used.next, [b"Uabc"]))
    payload[18:20] = maker.dice.choice((2, 3, 700)).to_bytes(2, "big")
    return maker.good(bytes(payload))


def _short(maker, number):
    return maker.good(bytes(number % 20))


def _other(ether_type, size):
    return lambda maker, _: maker.typed(ether_type, size)


def _changed(*change):
    return lambda maker, _: maker.packet(*change)


def _tags(*tags):
    return lambda maker, _: maker.tagged(*tags)


KINDS = {kind.name: kind for kind in (
    Kind("random", "F1", MODEL, "random bytes, half of them as IPv4 for us", _random),
    Kind("truncated", "F2", MODEL, "an order cut at every length", _cut),
    Kind("udp-length", "F2", "drop_length", "IP and UDP lengths disagree", _changed(_udp_length)),
    Kind("oversized", "F3", "drop_too_long", "an IPv4 packet of 1,501 bytes", _long),
    Kind("first-fragment", "F4", "drop_fragment", "more fragments follow",
         _changed(_put(6, 2, 0x2000))),
    Kind("later-fragment", "F4", "pass_later_fragment", "not at offset 0",
         _changed(_put(6, 2, 0x0010))),
    Kind("ip-options", "F5", "drop_ip_header", "an IPv4 header with options", _changed(_options)),
    Kind("ip-version", "F5", "pass_not_ipv4", "version 6 behind the type of IPv4",
         _changed(_put(0, 1, 0x65))),
    Kind("ip-checksum", "F5", "drop_ip_header", "the IPv4 header's checksum is wrong", _bad_sum),
    Kind("udp-checksum", "F6", "rx_checksum", "the UDP checksum is wrong", _bad_udp_sum),
    Kind("no-udp-checksum", "F6", "rx_heartbeat", "none at all, which is allowed", _without_sum),
    Kind("vlan", "F7", "pass_vlan", "an 802.1Q tag", _tags((0x8100, 5))),
    Kind("qinq", "F7", "pass_other_ether", "802.1ad and 802.1Q tags",
         _tags((0x88A8, 5), (0x8100, 6))),
    Kind("double-vlan", "F7", "pass_other_ether", "two 802.1Q tags",
         _tags((0x8100, 5), (0x8100, 6))),
    Kind("ipv6", "F7", "pass_other_ether", "the type of IPv6", _other(0x86DD, 60)),
    Kind("arp", "F7", "pass_other_ether", "the type of ARP", _other(0x0806, 28)),
    Kind("mpls", "F7", "pass_other_ether", "the type of MPLS", _other(0x8847, 40)),
    Kind("tcp", "F7", "pass_not_udp", "TCP to our address", _changed(_put(9, 1, 6))),
    Kind("other-port", "F7", "pass_not_ours", "UDP to a port that is nobody's", _wrong_target),
    Kind("unknown-source", "F8", "drop_unknown_source", "an address that is not on the list",
         _addressed(UNKNOWN_IP)),
    Kind("bogon-source", "F8", "drop_bogon_source", "from 127.0.0.0/8", _addressed(BOGON_IP)),
    Kind("stolen-token", "F8", "rx_wrong_source", "a session's token from another port",
         _other_port),
    Kind("unknown-token", "F8", "rx_unknown_token", "a token of nobody", _token),
    Kind("duplicate", "F9", "rx_duplicate", "a message that was applied", _repeated,
         _apply),
    Kind("far-ahead", "F9", "rx_far_ahead", "a number far ahead", _far),
    Kind("miscounted", "F10", "rx_framing", "blocks and their count disagree", _miscounted),
    Kind("short", "F11", "rx_short", "less than a MoldUDP64 header", _short),
)}
