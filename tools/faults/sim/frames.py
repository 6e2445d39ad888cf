"""Ethernet frames of UDP over IPv4, made and judged without the appliance's own code."""

import struct

OUR_MAC = bytes.fromhex("020000000001")


def internet_sum(data: bytes) -> int:
    """Ones' complement sum of 16-bit words, as IP and UDP have it."""
    data += bytes(len(data) & 1)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def packed(ip: str) -> bytes:
    """Four bytes."""
    return bytes(map(int, ip.split(".")))


def frame(source, target, payload: bytes, mac: bytes) -> bytes:
    """A frame from (ip, port) to (ip, port)."""
    ends = packed(source[0]) + packed(target[0])
    size = 8 + len(payload)
    head = struct.pack(">HHH", source[1], target[1], size)
    checksum = (internet_sum(ends + struct.pack(">HH", 17, size) + head + b"\0\0" + payload)
                ^ 0xFFFF) or 0xFFFF
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, 64, 17, 0) + ends
    ip = ip[:10] + struct.pack(">H", internet_sum(ip) ^ 0xFFFF) + ip[12:]
    return OUR_MAC + mac + b"\x08\x00" + ip + head + struct.pack(">H", checksum) + payload


def opened(raw: bytes):
    """((ip, port), payload) of a frame that was sent to there; ValueError when it is wrong."""
    ip, udp = raw[14:34], raw[34:42]
    size = int.from_bytes(udp[4:6], "big")
    if raw[12:14] != b"\x08\x00" or int.from_bytes(ip[2:4], "big") != 20 + size \
            or size != len(raw) - 34:
        raise ValueError("lengths of a sent packet disagree")
    pseudo = ip[12:] + struct.pack(">HH", 17, size)
    if internet_sum(ip) != 0xFFFF or internet_sum(pseudo + raw[34:]) != 0xFFFF:
        raise ValueError("a sent packet has a wrong checksum")
    return (".".join(map(str, ip[16:20])), int.from_bytes(udp[2:4], "big")), raw[42:]


def blocks_of(payload: bytes):
    """(session, number, blocks, count) of a MoldUDP64 payload; ValueError when it is malformed."""
    session, seq, count = payload[:10], *struct.unpack_from(">QH", payload, 10)
    blocks, at = [], 20
    while at < len(payload):
        size = payload[at] << 8 | payload[at + 1]
        blocks.append(payload[at + 2:at + 2 + size])
        at += 2 + size
    if at != len(payload) or blocks and count != len(blocks):
        raise ValueError("blocks and count of a sent packet disagree")
    return session, seq, blocks, count
