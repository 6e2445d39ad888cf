"""MoldUDP64 datagrams and SoupBinTCP packets: build and take apart (wire-spec 1, 2 and 6).

`parse_datagram` accepts both kinds that may arrive on one port: a Packet or a Request. Session
names are ten characters; shorter ones are padded with spaces, and come back without them.
SoupBinTCP packets come with their length; in a datagram of order entry the same packet is a block,
which is the packet without its first two bytes: `as_block(packet)` and `parse_block(block)`.
"""

import struct
from typing import NamedTuple

from .codec import Record, WireError, decode, encode, to_wire
from .wire_session import (
    MOLD_BLOCK, MOLD_COUNT_MAX, MOLD_END_OF_SESSION, MOLD_HEADER, MOLD_HEARTBEAT, MOLD_REQUEST,
    SOUP,
)

_HEADER = struct.Struct(">10sQH")
assert _HEADER.size == MOLD_HEADER.size == MOLD_REQUEST.size


class Packet(NamedTuple):
    """A downstream packet: block i has number sequence + i; count 0 heartbeat, 65535 end."""

    session: str
    sequence: int
    count: int
    blocks: tuple


class Request(NamedTuple):
    """A re-request: `count` messages of `session` from number `sequence` on."""

    session: str
    sequence: int
    count: int


def _header(session, sequence, count):
    return _HEADER.pack(to_wire("mold_header", MOLD_HEADER["session"], session),
                        to_wire("mold_header", MOLD_HEADER["sequence"], sequence),
                        to_wire("mold_header", MOLD_HEADER["count"], count))


def build_mold(session, sequence: int, blocks=()) -> bytes:
    """A downstream packet carrying the blocks; a heartbeat when there are none."""
    if len(blocks) > MOLD_COUNT_MAX:
        raise WireError("mold_header", "count", MOLD_HEADER["count"].off,
                        f"{len(blocks)} blocks, at most {MOLD_COUNT_MAX} fit a packet")
    parts = [_header(session, sequence, len(blocks))]
    for block in blocks:
        parts += (to_wire("mold_block", MOLD_BLOCK["length"], len(block)).to_bytes(2, "big"), block)
    return b"".join(parts)


def build_end_of_session(session, sequence: int) -> bytes:
    """The packet that ends a stream; sequence is the number that would have come next."""
    return _header(session, sequence, MOLD_END_OF_SESSION)


def build_request(session, sequence: int, count: int) -> bytes:
    """A re-request for count messages, 1 to 65534."""
    if not 1 <= count <= MOLD_COUNT_MAX:
        raise WireError("mold_request", "count", MOLD_REQUEST["count"].off,
                        f"{count} messages asked for, 1 to {MOLD_COUNT_MAX} are allowed")
    return _header(session, sequence, count)


def parse_datagram(payload):
    """A Request when 20 bytes announce messages, else what `parse_mold` gives."""
    if len(payload) == MOLD_REQUEST.size:
        session, sequence, count = _HEADER.unpack_from(payload)
        if MOLD_HEARTBEAT < count < MOLD_END_OF_SESSION:
            return Request(session.decode("latin-1").rstrip(" "), sequence, count)
    return parse_mold(payload)


def parse_request(payload) -> Request:
    """The re-request; WireError when it is anything else."""
    if len(payload) != MOLD_REQUEST.size:
        raise WireError("mold_request", "end", len(payload),
                        f"a request has {MOLD_REQUEST.size} bytes, {len(payload)} came")
    found = parse_datagram(payload)
    if not isinstance(found, Request):
        raise WireError("mold_request", "count", MOLD_REQUEST["count"].off,
                        f"{found.count} is not 1 to {MOLD_COUNT_MAX}")
    return found


def parse_mold(payload) -> Packet:
    """The downstream packet, blocks as bytes. Raises WireError for every malformed one."""
    total = len(payload)
    if total < MOLD_HEADER.size:
        raise WireError("mold_header", "session", 0,
                        f"{total} bytes, a header has {MOLD_HEADER.size}")
    session, sequence, count = _HEADER.unpack_from(payload)
    off, blocks = MOLD_HEADER.size, []
    if count == MOLD_END_OF_SESSION:
        if total > off:
            raise WireError("mold_header", "count", off,
                            f"{total - off} bytes after an end of session")
    else:
        while off < total and len(blocks) < count:
            start = off + MOLD_BLOCK.size
            if start > total:
                raise WireError("mold_block", "length", off, "cut after one byte")
            end = start + (payload[off] << 8 | payload[off + 1])
            if end > total:
                raise WireError("mold_block", "length", off,
                                f"says {end - start}, {total - start} bytes follow")
            blocks.append(bytes(payload[start:end]))
            off = end
        if len(blocks) < count:
            raise WireError("mold_header", "count", MOLD_HEADER["count"].off,
                            f"says {count} messages, {len(blocks)} are there")
        if off < total:
            raise WireError("mold_header", "count", MOLD_HEADER["count"].off,
                            f"says {count} messages, {total - off} bytes follow the last")
    return Packet(session.decode("latin-1").rstrip(" "), sequence, count, tuple(blocks))


def build_soup(letter: str, fields=(), /, **more) -> bytes:
    """A SoupBinTCP packet of that type, with its length."""
    if letter not in SOUP:
        raise WireError("soup", "packet_type", 2, f"no packet {letter!r}")
    return encode("soup", _direction(letter), letter, fields, **more)


def parse_soup(packet) -> Record:
    """The record of one whole SoupBinTCP packet; its `.letter` tells which."""
    return decode("soup", _direction(chr(packet[2])) if len(packet) > 2 else "in", packet)


def split_soup(buffer) -> tuple:
    """(list of whole packets, bytes left over) of the beginning of a byte stream."""
    packets, off = [], 0
    while off + 2 <= len(buffer):
        end = off + 2 + (buffer[off] << 8 | buffer[off + 1])
        if end > len(buffer):
            break
        packets.append(bytes(buffer[off:end]))
        off = end
    return packets, bytes(buffer[off:])


def as_block(packet: bytes) -> bytes:
    """The MoldUDP64 block of order entry that carries this SoupBinTCP packet."""
    return packet[2:]


def parse_block(block) -> Record | None:
    """The SoupBinTCP packet in a block of order entry; None for the empty filler block."""
    if not block:
        return None
    return parse_soup(len(block).to_bytes(2, "big") + bytes(block))


def _direction(letter):
    return SOUP[letter].direction.replace("both", "in") if letter in SOUP else "in"


def login_request(username, password, session="", sequence=1) -> bytes:
    """`L`: session "" is the current one; sequence 0 asks for new messages only."""
    return build_soup("L", username=username, password=password, session=session,
                      sequence=sequence)


def login_accepted(session, sequence: int) -> bytes:
    """`A`: sequence is the number of the next sequenced packet."""
    return build_soup("A", session=session, sequence=sequence)


def login_rejected(reason: str) -> bytes:
    """`J`: reason A not authorised, S session not available."""
    return build_soup("J", reason=reason)


def unsequenced(message: bytes) -> bytes:
    """`U`: one message from client to host."""
    return build_soup("U", payload=message)


def sequenced(message: bytes) -> bytes:
    """`S`: one message from host to client."""
    return build_soup("S", payload=message)
