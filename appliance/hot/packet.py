"""Ethernet, IPv4 and UDP: is a received frame for us, and the 42 bytes in front of what we send.

`parse` makes every check of a frame up to the UDP payload, in the order of the dispositions.
Checksums add 16-bit words in memory order (little-endian lanes; ones' complement sums do not care),
eight bytes a step; a payload's sum is taken once and serves any number of destinations.
"""

import numpy as np
from numba import int64, njit, types, uint32, uint64, void

from . import counters
from .counters import INLINED, KERNEL
from .endian import copy_bytes, load_be16, load_be32, load_le32, load_le64, store_be16, store_be32
from .io_state import ACK, MOLD_SZ, TEMPLATE_SZ
from .kernel import later
from .port_state import RX_CUT
from .types import BYTES
from .types_io import PARAMS_ARRAY, WORDS

GOOD = -1                   # parse: no disposition yet
HEADER_SZ = 42
_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(0xFFFF)


@njit(uint64(BYTES, int64, int64), **KERNEL)
def sum_words(data, off, sz):
    """Unfolded sum of the 16-bit words of data[off:off+sz], an odd byte padded with zero."""
    total = np.uint64(0)
    for step in range(sz >> 3):
        word = load_le64(data, off + 8 * step)
        total += (word & _LOW) + (word >> np.uint64(32))
    at = off + (sz & ~np.int64(7))
    if sz & 4:
        total += load_le32(data, at)
        at += 4
    if sz & 2:
        total += np.uint64(data[at]) | (np.uint64(data[at + 1]) << np.uint64(8))
        at += 2
    if sz & 1:
        total += np.uint64(data[at])
    return total


@njit(uint64(uint64), **INLINED)
def fold(total):
    """The sum as 16 bits with end-around carry."""
    total = (total & _LOW) + (total >> np.uint64(32))
    total = (total & _LOW) + (total >> np.uint64(32))
    total = (total & _HALF) + (total >> np.uint64(16))
    total = (total & _HALF) + (total >> np.uint64(16))
    return (total & _HALF) + (total >> np.uint64(16))


@later(uint64(int64), **INLINED)
def lane(number):
    """A 16-bit number as it stands in network order in a little-endian lane."""
    return np.uint64(((number & 0xFF) << 8) | (number >> 8 & 0xFF))


@njit(types.boolean(uint32[::1], int64, int64), **INLINED)
def allowed(addresses, allow_cnt, ip):
    """Whether ip stands among the first allow_cnt addresses, which are sorted."""
    low, high = np.int64(0), min(np.int64(allow_cnt), np.int64(addresses.size))
    while low < high:
        middle = (low + high) >> 1
        if np.int64(addresses[middle]) < ip:
            low = middle + 1
        else:
            high = middle
    return low < min(np.int64(allow_cnt), np.int64(addresses.size)) \
        and np.int64(addresses[low]) == ip


@njit(types.UniTuple(int64, 4)(BYTES, int64, int64, int64, PARAMS_ARRAY, uint32[::1]), **INLINED)
def parse(frames, off, sz, flags, params, addresses):
    """(disposition or GOOD, payload offset, payload bytes, offset of the IPv4 header).

    A tag of VLAN 0 is a priority and no VLAN: stepped over. Answers carry no tag, so what comes in
    another VLAN could not be answered there, and is not taken.
    """
    p = params[0]
    if off < 0 or sz < HEADER_SZ or off + sz > frames.size:
        return np.int64(counters.RX_NOT_UDP), np.int64(0), np.int64(0), np.int64(0)
    ip_off, vlan = off + 14, np.int64(0)
    kind = np.int64(load_be16(frames, off + 12))
    if kind == 0x8100:
        vlan = np.int64(load_be16(frames, off + 14)) & 0xFFF
        kind = np.int64(load_be16(frames, off + 16))
        ip_off = off + 18
    end = off + sz
    if (kind != 0x0800 or ip_off + 28 > end or frames[ip_off] != 0x45
            or frames[ip_off + 9] != 17 or np.int64(load_be16(frames, ip_off + 6)) & 0x3FFF
            or np.int64(load_be32(frames, ip_off + 16)) != np.int64(p["our_ip"])
            or np.int64(load_be16(frames, ip_off + 22)) != np.int64(p["order_port"])
            or (load_be16(frames, ip_off + 10) != np.uint64(0)
                and fold(sum_words(frames, ip_off, 20)) != _HALF)):
        return np.int64(counters.RX_NOT_UDP), np.int64(0), np.int64(0), np.int64(0)
    payload_off = ip_off + 28
    if vlan != 0:
        return np.int64(counters.RX_VLAN), payload_off, np.int64(0), ip_off
    if flags & RX_CUT:
        return np.int64(counters.RX_TRUNCATED), payload_off, np.int64(0), ip_off
    total_sz = np.int64(load_be16(frames, ip_off + 2))
    udp_sz = np.int64(load_be16(frames, ip_off + 24))
    if total_sz > end - ip_off or udp_sz < 8 or udp_sz > total_sz - 20:
        return np.int64(counters.RX_NOT_UDP), payload_off, np.int64(0), ip_off
    verdict = np.int64(GOOD)
    if load_be16(frames, ip_off + 26) != np.uint64(0):
        total = sum_words(frames, ip_off + 12, 8 + udp_sz) + lane(udp_sz) + np.uint64(0x1100)
        if fold(total) != _HALF:
            verdict = np.int64(counters.RX_CHECKSUM)
    if verdict == GOOD:
        if not allowed(addresses, np.int64(p["allow_cnt"]),
                       np.int64(load_be32(frames, ip_off + 12))):
            verdict = np.int64(counters.RX_SOURCE_REFUSED)
        elif udp_sz - 8 < MOLD_SZ:
            verdict = np.int64(counters.RX_SHORT)
    return verdict, payload_off, udp_sz - 8, ip_off


@later(void(BYTES, int64, uint64), **INLINED)
def _store_checksum(frames, off, total):
    """The complement of the folded sum, in lane order."""
    check = np.int64(fold(total) ^ _HALF)
    frames[off] = np.uint8(check & 0xFF)
    frames[off + 1] = np.uint8(check >> 8)


@later(void(BYTES, int64, int64, uint64, uint64, int64, uint64), **INLINED)
def _patch(frames, off, payload_sz, ip_sum, pseudo_sum, more, payload_sum):
    """Writes lengths and both checksums; `more` is the part of the addresses no template holds."""
    store_be16(frames, off + 16, payload_sz + 28)
    store_be16(frames, off + 38, payload_sz + 8)
    _store_checksum(frames, off + 24, ip_sum + lane(payload_sz + 28) + np.uint64(more))
    total = fold(pseudo_sum + np.uint64(more) + np.uint64(2) * lane(payload_sz + 8) + payload_sum)
    if total == _HALF:
        total = np.uint64(0)           # a checksum of 0 is sent as FFFF: 0 means none
    _store_checksum(frames, off + 40, total)


@njit(void(BYTES, int64, BYTES, WORDS, int64, int64, uint64), **INLINED)
def write_feed_header(frames, off, templates, sums, template, payload_sz, payload_sum):
    """The 42 bytes of FEED_A or FEED_B in front of a payload that stands at off + 42."""
    copy_bytes(frames, off, templates, template * TEMPLATE_SZ, HEADER_SZ)
    _patch(frames, off, payload_sz, sums[template], sums[4 + template], np.int64(0), payload_sum)


@njit(void(BYTES, int64, BYTES, WORDS, int64, int64, int64), **INLINED)
def write_unicast_header(frames, off, templates, sums, ip, udp_port, payload_sz):
    """The 42 bytes to (ip, udp_port) from the order port; the caller has written the MAC at off."""
    copy_bytes(frames, off + 6, templates, ACK * TEMPLATE_SZ + 6, HEADER_SZ - 6)
    store_be32(frames, off + 30, ip)
    store_be16(frames, off + 36, udp_port)
    address = np.int64(lane(ip >> 16) + lane(ip & 0xFFFF))
    payload_sum = sum_words(frames, off + HEADER_SZ, payload_sz) + lane(udp_port)
    _patch(frames, off, payload_sz, sums[ACK], sums[4 + ACK], address, payload_sum)
