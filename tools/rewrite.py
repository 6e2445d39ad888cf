"""Frames with other addresses, tags and MoldUDP64 numbers, checksums kept as right as they were.

Checksums are changed by the difference of the bytes that change (RFC 1624), so one that was wrong
in the capture stays wrong, and an absent one (UDP 0) absent. Everything works on a copy in memory;
the file stays as it is.

    ends(pcap)          where IPv4 headers and ports are, and the (ip, port) ends as numbers
    rewrite(pcap, ...)  other ends and MACs
    retag(pcap, vlan)   with an 802.1Q tag, another one, or none
    Mold(pcap)          MoldUDP64 sessions and sequences: `renumber` writes them in place
"""

from dataclasses import dataclass, replace

import numba
import numpy as np

from .pcap import ETHERNET, Pcap, PcapError
from .sender import ip_number, moved, payloads

UDP, TCP = 17, 6
MOLD_SESSION_SZ, MOLD_HEADER_SZ, MOLD_END = 10, 20, 65535


@numba.njit("void(u1[::1], i8[::1], u4[::1], i8[::1], i8[::1], u4[:,::1], u4[:,::1])", cache=True)
def _ends(data, offsets, lengths, ips, ports, sources, targets):
    """ips[i]: where the IPv4 header is; ports[i]: where a UDP or TCP header is; -1: none."""
    for i in range(offsets.size):
        off, stop = offsets[i], offsets[i] + numba.int64(lengths[i])
        ips[i] = ports[i] = -1
        ip = off + 14
        while ip + 4 <= stop and ((data[ip - 2] == 0x81 and data[ip - 1] == 0x00)
                                  or (data[ip - 2] == 0x88 and data[ip - 1] == 0xA8)):
            ip += 4
        if ip + 20 > stop or data[ip - 2] != 8 or data[ip - 1] != 0 or data[ip] >> 4 != 4:
            continue
        head = (numba.int64(data[ip]) & 15) * 4
        if head < 20 or ip + head > stop:
            continue
        ips[i] = ip
        for byte in range(4):
            sources[i, 0] = (sources[i, 0] << 8) | data[ip + 12 + byte]
            targets[i, 0] = (targets[i, 0] << 8) | data[ip + 16 + byte]
        later = (numba.int64(data[ip + 6]) & 0x1F) << 8 | numba.int64(data[ip + 7])
        protocol = data[ip + 9]
        need = 8 if protocol == UDP else 18
        if later or (protocol != UDP and protocol != TCP) or ip + head + need > stop:
            continue
        ports[i] = ip + head
        for byte in range(2):
            sources[i, 1] = (sources[i, 1] << 8) | data[ip + head + byte]
            targets[i, 1] = (targets[i, 1] << 8) | data[ip + head + 2 + byte]


@dataclass(frozen=True)
class Ends:
    """ips, ports: offsets of headers (i64, -1 none); sources, targets: u32 (ip, port) each."""

    ips: np.ndarray
    ports: np.ndarray
    sources: np.ndarray
    targets: np.ndarray


def ends(pcap: Pcap) -> Ends:
    """Where every packet's IPv4 and transport headers are; of fragments the first has ports."""
    count = len(pcap)
    found = Ends(np.empty(count, np.int64), np.empty(count, np.int64),
                 np.zeros((count, 2), np.uint32), np.zeros((count, 2), np.uint32))
    _ends(pcap.data, pcap.offsets, pcap.lengths, found.ips, found.ports, found.sources,
          found.targets)
    return found


@numba.njit("u8(u1[::1], i8, u8, i8, i8)", cache=True)
def poke(data, at, value, size, base):
    """Writes a big-endian number of `size` bytes at `at`; what that adds to the sum of a checksum
    whose words begin at base."""
    more = numba.uint64(0)
    for byte in range(size):
        new = (value >> numba.uint64(8 * (size - 1 - byte))) & numba.uint64(255)
        old = numba.uint64(data[at + byte])
        if (at + byte - base) & 1 == 0:
            new, old = new << numba.uint64(8), old << numba.uint64(8)
        more += new + (numba.uint64(0xFFFF) - old)
        data[at + byte] = (value >> numba.uint64(8 * (size - 1 - byte))) & numba.uint64(255)
    return more


@numba.njit("void(u1[::1], i8, u8, b1)", cache=True)
def mend(data, at, more, udp):
    """The checksum at `at` after `more` was added to its sum. udp: 0 means none and stays."""
    old = numba.uint64(data[at]) << numba.uint64(8) | numba.uint64(data[at + 1])
    if udp and old == 0:
        return
    total = (numba.uint64(0xFFFF) - old) + more
    while total >> numba.uint64(16):
        total = (total & numba.uint64(0xFFFF)) + (total >> numba.uint64(16))
    new = numba.uint64(0xFFFF) - total
    if udp and new == 0:
        new = numba.uint64(0xFFFF)
    data[at], data[at + 1] = new >> numba.uint64(8), new & numba.uint64(255)


@numba.njit("void(u1[::1], i8[::1], i8[::1], u4[:,::1], u4[:,::1])", cache=True)
def _readdress(data, ips, ports, sources, targets):
    """Writes the ends into the frames and mends both checksums."""
    for i in range(ips.size):
        ip, at = ips[i], ports[i]
        if ip < 0:
            continue
        more = (poke(data, ip + 12, numba.uint64(sources[i, 0]), 4, ip)
                + poke(data, ip + 16, numba.uint64(targets[i, 0]), 4, ip))
        mend(data, ip + 10, more, False)
        if at < 0:
            continue
        more += (poke(data, at, numba.uint64(sources[i, 1]), 2, at)
                 + poke(data, at + 2, numba.uint64(targets[i, 1]), 2, at))
        udp = data[ip + 9] == UDP
        mend(data, at + (6 if udp else 16), more, udp)


def rewrite(pcap: Pcap, *, destination=None, destination_mac=None, source_mac=None,
            sources=None) -> Pcap:
    """The capture with other addresses, in memory (the file stays as it is).

    destination: (ip, port), port 0 keeps it; of every IPv4 packet; or a table like sources.
    sources: {(ip, port): (ip, port)}, port 0 = any, the same. MACs are six bytes, for every packet;
    without destination_mac, packets that now go to another group get that group's MAC (RFC 1112).
    """
    data = pcap.data.copy()
    result = replace(pcap, data=data)
    if destination or sources:
        found = ends(pcap)
        targets = found.targets.copy()
        if isinstance(destination, dict):
            targets = moved(found.targets, destination)
        elif destination:
            targets[:, 0] = ip_number(destination[0])
            if destination[1]:
                targets[:, 1] = destination[1]
        _readdress(data, found.ips, found.ports, moved(found.sources, sources or {}), targets)
        groups = ((found.ips >= 0) & (targets[:, 0] >> 28 == 14)
                  & (targets[:, 0] != found.targets[:, 0]))
        for byte, value in enumerate(_group_mac(targets[:, 0]) if groups.any() else ()):
            data[pcap.offsets[groups] + byte] = value[groups]
    for mac, at in ((destination_mac, 0), (source_mac, 6)):
        for byte in range(6 if mac else 0):
            data[pcap.offsets + at + byte] = mac[byte]
    return result


def _group_mac(ips):
    """The six bytes, each an array, of the MACs of multicast groups."""
    low = ips & 0x7FFFFF
    fixed = [np.full(len(ips), value, np.uint32) for value in (0x01, 0x00, 0x5E)]
    return [*fixed, low >> 16, low >> 8 & 255, low & 255]


@numba.njit("i8(u1[::1], i8[::1], u4[::1], u1[::1], i8[::1], u4[::1], i8)", cache=True)
def _retag(data, offsets, lengths, out, out_offs, out_lengths, vlan):
    """Writes every frame with the tag (-1: with none); how many bytes were written."""
    to = 0
    for i in range(offsets.size):
        off, sz = offsets[i], numba.int64(lengths[i])
        rest, priority = numba.int64(12), numba.uint8(0)
        while rest + 4 <= sz and ((data[off + rest] == 0x81 and data[off + rest + 1] == 0x00)
                                  or (data[off + rest] == 0x88 and data[off + rest + 1] == 0xA8)):
            priority = data[off + rest + 2] & 0xF0
            rest += 4
        out_offs[i] = to
        out[to:to + 12] = data[off:off + 12]
        to += 12
        if vlan >= 0:
            out[to], out[to + 1] = 0x81, 0x00
            out[to + 2], out[to + 3] = priority | (vlan >> 8), vlan & 255
            to += 4
        out[to:to + sz - rest] = data[off + rest:off + sz]
        to += sz - rest
        out_lengths[i] = to - out_offs[i]
    return to


def retag(pcap: Pcap, vlan: int | None) -> Pcap:
    """The capture with one 802.1Q tag of that number in every frame, its priority kept; None:
    without tags. Raises PcapError for frames too short to have one."""
    if vlan is not None and not 0 <= vlan <= 4094:
        raise PcapError(f"VLAN {vlan}: 0 to 4094 are possible")
    if pcap.link_type != ETHERNET or (len(pcap) and pcap.lengths.min() < 14):
        raise PcapError(f"{pcap.path} has packets that are no Ethernet frames: they take no tag")
    out = np.empty(int(pcap.lengths.sum(dtype=np.int64)) + 4 * len(pcap), np.uint8)
    offsets, lengths = np.empty_like(pcap.offsets), np.empty_like(pcap.lengths)
    size = _retag(pcap.data, pcap.offsets, pcap.lengths, out, offsets, lengths,
                  -1 if vlan is None else vlan)
    return replace(pcap, data=out[:size], offsets=offsets, lengths=lengths)


@numba.njit("void(u1[::1], i8[::1], u4[::1], i8[::1], i8[::1])", cache=True)
def _mold(data, starts, sizes, seqs, counts):
    """Number and count of each payload that is exactly a MoldUDP64 packet; counts -1: it is none.
    A request has its count negative, less one."""
    for i in range(starts.size):
        at, end = starts[i], starts[i] + numba.int64(sizes[i])
        seqs[i], counts[i] = 0, -1
        if at < 0 or end - at < MOLD_HEADER_SZ:
            continue
        seq = numba.int64(0)
        for byte in range(8):
            seq = (seq << 8) | numba.int64(data[at + 10 + byte])
        count = numba.int64(data[at + 18]) << 8 | numba.int64(data[at + 19])
        off = at + MOLD_HEADER_SZ
        if off == end:
            seqs[i] = seq
            counts[i] = count if count == 0 or count == MOLD_END else -1 - count
            continue
        for _ in range(count if count != MOLD_END else 0):
            if off + 2 > end:
                off = end + 1
                break
            off += 2 + (numba.int64(data[off]) << 8 | numba.int64(data[off + 1]))
        if off == end:
            seqs[i], counts[i] = seq, count


@numba.njit("void(u1[::1], i8[::1], i8[::1], u1[:,::1], i8[::1])", cache=True)
def _rename(data, starts, owners, names, seqs):
    """Writes names[owners[i]] and seqs[i] into each packet (owners -1: not) and mends its sum."""
    for i in range(starts.size):
        if owners[i] < 0:
            continue
        at, more = starts[i], numba.uint64(0)
        for byte in range(MOLD_SESSION_SZ):
            more += poke(data, at + byte, numba.uint64(names[owners[i], byte]), 1, at)
        more += poke(data, at + MOLD_SESSION_SZ, numba.uint64(seqs[i]), 8, at)
        mend(data, at - 2, more, True)


class Mold:
    """The MoldUDP64 packets of a capture: `which` (bool of each packet), `names` (the different
    sessions), `owners` (i64, index in names; -1 none), `seqs` and `counts` as recorded.

    counts: messages, 65535 end of session, below -1 a request for -1 - count.
    """

    def __init__(self, pcap: Pcap):
        self.pcap, found = pcap, payloads(pcap)
        self.starts, count = found.starts, len(pcap)
        self.seqs, self.counts = np.empty(count, np.int64), np.empty(count, np.int64)
        _mold(pcap.data, found.starts, found.sizes, self.seqs, self.counts)
        self.which = self.counts != -1
        places = self.starts[self.which][:, None] + np.arange(MOLD_SESSION_SZ)
        keys = np.ascontiguousarray(pcap.data[places]).view(f"S{MOLD_SESSION_SZ}").reshape(-1)
        self.names, owners = np.unique(keys, return_inverse=True)
        self.owners = np.full(count, -1, np.int64)
        self.owners[self.which] = owners.reshape(-1)
        self.firsts, self.afters = self._spans()

    def _spans(self):
        """First number of each session and the number after its last (0 where none is told)."""
        firsts = np.zeros(len(self.names), np.int64)
        afters = np.zeros(len(self.names), np.int64)
        told = self.which & (self.seqs > 0) & (self.counts >= 0)
        ends = self.seqs + np.where(self.counts == MOLD_END, 0, self.counts)
        for owner in range(len(self.names)):
            mine = told & (self.owners == owner)
            if mine.any():
                firsts[owner], afters[owner] = self.seqs[mine].min(), ends[mine].max()
        return firsts, afters

    def renumber(self, name: bytes | None = None, first: int | None = None, loop: int = 0) -> None:
        """Writes into the capture's data: another session name (ten bytes), and numbers that begin
        with `first`; `loop` runs of the same packets lie before these. Number 0 and what lies
        between two numbers stay."""
        if not len(self.names):
            return
        rows = [name or bytes(each).ljust(MOLD_SESSION_SZ, b"\0") for each in self.names]
        letters = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, MOLD_SESSION_SZ).copy()
        shifts = (first - self.firsts if first is not None else np.zeros_like(self.firsts))
        shifts = shifts + loop * (self.afters - self.firsts)
        seqs = self.seqs + np.where(self.seqs > 0, shifts[np.maximum(self.owners, 0)], 0)
        _rename(self.pcap.data, self.starts, self.owners, letters, seqs)
