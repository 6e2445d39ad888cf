"""What the XDP program must do with a frame, written down plainly: the model it is compared with.

Nothing here knows the program, its maps or the layouts; only what is said of the gate: the order of
the checks, one reason a frame, and a token bucket of messages for each limited source. `World` is
what the gate has been told. Numbers on the wire are big-endian; addresses are texts.

    Ethernet, at most one 802.1Q tag (of VLAN 0: a priority), IPv4 without options, UDP, to one of
    our addresses and ports; no fragment, whole, no longer than 1,500 bytes; from a source on the
    list that can afford it
"""

from dataclasses import dataclass, field
from fractions import Fraction

DROP, PASS, REDIRECT = 1, 2, 4
VERDICTS = {"drop": DROP, "pass": PASS, "redirected": REDIRECT}
METADATA_SZ = 16
LONGEST = 1500


@dataclass
class Site:
    """Where a partition's frames are taken. ifindex 0: nowhere yet."""

    ip: str
    ifindex: int = 0
    queue: int = 0
    stamped: bool = False
    has_socket: bool = False


@dataclass
class World:
    """sites by partition, the partition of each port, sources with (rate, burst) or None."""

    sites: dict[int, Site] = field(default_factory=dict)
    ports: dict[int, int] = field(default_factory=dict)
    sources: dict[str, tuple | None] = field(default_factory=dict)


class Bucket:
    """A source's messages: `burst` at first and at most, `rate` more a second."""

    def __init__(self, rate, burst):
        self.rate, self.burst, self.spare, self.at_ns = Fraction(rate), burst, Fraction(burst), 0

    def take(self, messages: int, now_ns: int) -> bool:
        """Whether there are as many; then they are gone."""
        if now_ns > self.at_ns:
            grown = self.spare + self.rate * (now_ns - self.at_ns) / 1_000_000_000
            self.spare, self.at_ns = min(Fraction(self.burst), grown), now_ns
        if self.spare < messages:
            return False
        self.spare -= messages
        return True


class Gate:
    """The gate of a world. `judge` gives (verdict, reason, metadata bytes) and charges sources."""

    def __init__(self, world: World):
        self.world, self.buckets = world, {}
        self.refill()

    def refill(self) -> None:
        """Every source has its whole burst again."""
        self.buckets = {ip: Bucket(*limit) for ip, limit in self.world.sources.items() if limit}

    def judge(self, frame: bytes, ifindex: int, queue: int, now_ns: int = 0) -> tuple:
        """What becomes of a frame that arrives on this queue of this device at this time."""
        reason, metadata_sz = self._reason(frame, ifindex, queue, now_ns)
        return VERDICTS[reason.split("_")[0]], reason, metadata_sz

    def _reason(self, frame, ifindex, queue, now_ns):
        if len(frame) < 14:
            return "pass_truncated", 0
        ether_type, at, vlan = number(frame, 12, 2), 14, 0
        if ether_type == 0x8100:
            if len(frame) < 18:
                return "pass_truncated", 0
            ether_type, at, vlan = number(frame, 16, 2), 18, number(frame, 14, 2) % 4096
        if ether_type != 0x0800:
            return "pass_other_ether", 0

        packet = frame[at:]
        if len(packet) < 20:
            return "pass_truncated", 0
        version, words = packet[0] >> 4, packet[0] & 15
        if version != 4 or words < 5:
            return "pass_not_ipv4", 0
        if packet[9] != 17:
            return "pass_not_udp", 0
        fragment = number(packet, 6, 2)
        if fragment % 0x2000:
            return "pass_later_fragment", 0
        segment = packet[words * 4:]
        if len(segment) < 4:
            return "pass_truncated", 0
        partition = self.world.ports.get(number(segment, 2, 2))
        site = self.world.sites.get(partition)
        if site is None or site.ip != address(packet, 16):
            return "pass_not_ours", 0

        if vlan:
            return "pass_vlan", 0
        if words > 5 or not sum_holds(packet[:20]):
            return "drop_ip_header", 0
        if fragment & 0x2000:
            return "drop_fragment", 0
        if len(packet) > LONGEST:
            return "drop_too_long", 0
        total = number(packet, 2, 2)
        if len(segment) < 8 or total < 28 or total > len(packet) or (
                number(segment, 4, 2) != total - 20):
            return "drop_length", 0
        source = address(packet, 12)
        if source not in self.world.sources:
            first = packet[12]
            nobody = first == 0 or first == 127 or first >= 224 or source == site.ip
            return "drop_bogon_source" if nobody else "drop_unknown_source", 0

        if site.ifindex == 0:
            return "pass_no_socket", 0
        if (site.ifindex, site.queue) != (ifindex, queue):
            return "pass_wrong_queue", 0
        bucket = self.buckets.get(source)
        if bucket and not bucket.take(messages_of(packet[28:total]), now_ns):
            return "drop_flood", 0
        metadata_sz = METADATA_SZ if site.stamped else 0
        return ("redirected" if site.has_socket else "pass_no_socket"), metadata_sz


def messages_of(payload: bytes) -> int:
    """What a datagram is charged: the count in its MoldUDP64 header, but at least one message, and
    no more than two bytes of it each can be."""
    if len(payload) <= 20:
        return 1
    return max(1, min(number(payload, 18, 2), (len(payload) - 20) // 2))


def number(data: bytes, at: int, size: int) -> int:
    """A number on the wire."""
    return int.from_bytes(data[at:at + size], "big")


def address(packet: bytes, at: int) -> str:
    """An IPv4 address on the wire as text."""
    return ".".join(map(str, packet[at:at + 4]))


def sum_holds(header: bytes) -> bool:
    """Whether an IPv4 header's words add up to FFFF with every carry added again."""
    total = sum(number(header, at, 2) for at in range(0, len(header), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF
