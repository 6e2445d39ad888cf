"""Commands to order-entry datagrams: Ethernet, IPv4, UDP, MoldUDP64, SoupBinTCP, OUCH 5.0.

Offsets come from the wire declarations of `appliance.layout`. Everything is compiled; a chunk of
finished pcap records leaves at a time, so the size of a flow is not bound by memory twice over.
"""

import hashlib
import ipaddress
from dataclasses import dataclass

import numba
import numpy as np

from appliance.hot.endian import copy_bytes, store_be16, store_be32, store_be64
from appliance.layout.datagram import as_block, build_mold, login_request
from appliance.layout.wire_ouch import OUCH_IN
from appliance.layout.wire_session import CONTROL_SEQ, MOLD_BLOCK, MOLD_HEADER, MOLD_PAYLOAD_MAX

from . import commands as c

FRAME_SZ = 42                                   # Ethernet, IPv4, UDP in front of the payload
_ENTER, _REPLACE, _CANCEL = OUCH_IN["O"], OUCH_IN["U"], OUCH_IN["X"]
BLOCK_SZ = MOLD_BLOCK.size + 1                  # of a `U` packet, in front of its message
SIZES = {c.ENTER: BLOCK_SZ + _ENTER.size, c.REPLACE: BLOCK_SZ + _REPLACE.size,
         c.CANCEL: BLOCK_SZ + _CANCEL.size}
PACK_MAX = (MOLD_PAYLOAD_MAX - MOLD_HEADER.size) // SIZES[c.ENTER]
LOGIN_LEAD_NS = 1_000_000_000                   # logins go out this long before the first order
_CHUNK = 1 << 18

# offsets as plain integers, which is what a kernel may hold
_SEQ, _CNT = MOLD_HEADER["sequence"].off, MOLD_HEADER["count"].off
_O_REF, _O_SIDE, _O_QTY, _O_SYMBOL, _O_PRICE, _O_TIF, _O_DISPLAY, _O_CAPACITY, _O_SWEEP, _O_CROSS, \
    _O_CLORDID, _O_TAGS, _O_SZ = (*(_ENTER[name].off for name in (
        "user_ref_num", "side", "quantity", "symbol", "price", "time_in_force", "display",
        "capacity", "intermarket_sweep", "cross_type", "cl_ord_id", "appendage_length")),
        _ENTER.size)
_U_ORIG, _U_REF, _U_QTY, _U_PRICE, _U_TIF, _U_DISPLAY, _U_SWEEP, _U_CLORDID, _U_TAGS, \
    _U_SZ = (
        *(_REPLACE[name].off for name in (
            "orig_user_ref_num", "user_ref_num", "quantity", "price", "time_in_force", "display",
            "intermarket_sweep", "cl_ord_id", "appendage_length")), _REPLACE.size)
_X_REF, _X_QTY, _X_SZ = _CANCEL["user_ref_num"].off, _CANCEL["quantity"].off, _CANCEL.size
_YES, _NO, _PRINCIPAL, _ZERO, _U = (ord(letter) for letter in "YNP0U")


@dataclass(frozen=True)
class Account:
    """A participant of a flow. ip: the address it sends from."""

    name: str
    password: str
    firm: str
    smp: str
    ip: str


@dataclass(frozen=True)
class Session:
    """One login of an account. source: (ip text, port). token: ten letters or digits."""

    account: Account
    partition: int
    source: tuple
    token: str


@dataclass(frozen=True)
class Link:
    """Where datagrams go: destination (ip text, port of partition 0; partition p is p ports
    above) and the two MACs as six bytes."""

    destination: tuple
    destination_mac: bytes
    source_mac: bytes


def _secret(kind, number, seed):
    digest = hashlib.sha256(f"{kind} {number} of seed {seed}".encode()).digest()
    return "".join("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[byte % 36] for byte in digest[:10])


def accounts_of(count: int, seed: int, sources, smp) -> list:
    """The participants: names, firms, and passwords that follow from the seed."""
    return [Account(f"A{number:05d}", _secret("password", number, seed), f"F{number:03d}",
                    smp[(number - 1) % len(smp)], sources[number - 1][0])
            for number in range(1, count + 1)]


def sessions_of(pairs, accounts, seed: int, sources) -> list:
    """The logins of `commands.assign`'s (partition, account) pairs, tokens by the seed.

    An account's source port of the nth partition is `n * len(accounts)` above its first one.
    Raises SourceError when two would share a source.
    """
    made = []
    for idx, (partition, account) in enumerate(pairs):
        ip, port = sources[account]
        number = account + 1
        kind = f"token on partition {partition} of" if partition else "token"
        made.append(Session(accounts[account], partition,
                            (ip, port + idx // len(accounts) * len(accounts)),
                            _secret(kind, number, seed)))
    if len({session.source for session in made}) < len(made) or any(
            session.source[1] > 65535 for session in made):
        raise c.SourceError(f"the sources do not give {len(made)} sessions different ports: list "
                            "one IP:PORT for each account, ports a multiple of the accounts "
                            "apart, or begin with a lower port")
    return made


def login_payload(session: Session) -> bytes:
    """The control datagram (sequence 0) that logs an account in, asking for all from number 1."""
    return build_mold(session.token, CONTROL_SEQ, [as_block(login_request(
        session.account.name, session.account.password))])


def frame_headers(sessions, link: Link):
    """A template of 62 bytes (headers and Mold header) per session: u8[sessions, 62]."""
    rows = np.zeros((len(sessions), FRAME_SZ + MOLD_HEADER.size), np.uint8)
    for row, session in zip(rows, sessions, strict=True):
        head = (link.destination_mac + link.source_mac + b"\x08\x00"
                + b"\x45\x00\x00\x00\x00\x00\x40\x00\x40\x11\x00\x00"
                + ipaddress.IPv4Address(session.source[0]).packed
                + ipaddress.IPv4Address(link.destination[0]).packed
                + session.source[1].to_bytes(2, "big")
                + (link.destination[1] + session.partition).to_bytes(2, "big")
                + bytes(4) + session.token.encode("ascii"))
        row[:len(head)] = np.frombuffer(head, np.uint8)
    return rows


@numba.njit(cache=True, inline="always")
def _add_up(data, off, sz, total):
    """The ones' complement sum of big-endian words, not folded."""
    for at in range(off, off + sz - 1, 2):
        total += (numba.int64(data[at]) << 8) | numba.int64(data[at + 1])
    if sz & 1:
        total += numba.int64(data[off + sz - 1]) << 8
    return total


@numba.njit(cache=True, inline="always")
def _fold(total):
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@numba.njit("void(u1[::1], i8, i8)", cache=True)
def seal(data, off, sz):
    """Writes lengths and checksums of the IPv4/UDP frame of sz bytes (no options) at off."""
    store_be16(data, off + 16, sz - 14)
    store_be16(data, off + 38, sz - 34)
    store_be16(data, off + 24, 0)
    store_be16(data, off + 24, _fold(_add_up(data, off + 14, 20, 0)))
    store_be16(data, off + 40, 0)
    total = _fold(_add_up(data, off + 26, sz - 26, 17 + (sz - 34)))
    store_be16(data, off + 40, total if total else 0xFFFF)


@numba.njit(cache=True)
def _digits(out, off, sz, value):
    for at in range(off + sz - 1, off - 1, -1):
        out[at] = _ZERO + value % 10
        value //= 10


@numba.njit(cache=True)
def _message(out, off, cmd, symbols):
    """One Mold block with a `U` packet and its OUCH message; returns the offset behind it."""
    kind, at = cmd.kind, off + 3
    if kind == c.ENTER:
        sz = _O_SZ
        store_be32(out, at + _O_REF, cmd.user_ref)
        out[at + _O_SIDE] = cmd.side
        store_be32(out, at + _O_QTY, cmd.qty)
        copy_bytes(out, at + _O_SYMBOL, symbols, numba.int64(cmd.symbol) * 8, 8)
        store_be64(out, at + _O_PRICE, cmd.price)
        out[at + _O_TIF], out[at + _O_DISPLAY], out[at + _O_CAPACITY] = cmd.tif, _YES, _PRINCIPAL
        out[at + _O_SWEEP], out[at + _O_CROSS] = _NO, _NO
        store_be16(out, at + _O_TAGS, 0)
        clordid = at + _O_CLORDID
    elif kind == c.REPLACE:
        sz = _U_SZ
        store_be32(out, at + _U_ORIG, cmd.orig_ref)
        store_be32(out, at + _U_REF, cmd.user_ref)
        store_be32(out, at + _U_QTY, cmd.qty)
        store_be64(out, at + _U_PRICE, cmd.price)
        out[at + _U_TIF], out[at + _U_DISPLAY], out[at + _U_SWEEP] = cmd.tif, _YES, _NO
        store_be16(out, at + _U_TAGS, 0)
        clordid = at + _U_CLORDID
    else:
        sz = _X_SZ
        store_be32(out, at + _X_REF, cmd.user_ref)
        store_be32(out, at + _X_QTY, cmd.qty)
        clordid = -1
    store_be16(out, off, sz + 1)
    out[off + 2], out[at] = _U, kind
    if clordid >= 0:
        _digits(out, clordid, 4, numba.int64(cmd.account) + 1)
        _digits(out, clordid + 4, 10, numba.int64(cmd.user_ref))
    return at + sz


@numba.njit(cache=True)
def _datagrams(out, cmds, rows, begins, first, last, upstream, heads, symbols):
    """pcap records of datagrams [first, last); datagram i holds rows[begins[i]:begins[i + 1]]."""
    off = 0
    for number in range(first, last):
        begin, end = begins[number], begins[number + 1]
        session, frame = cmds[rows[begin]].session, off + 16
        for byte in range(heads.shape[1]):
            out[frame + byte] = heads[session, byte]
        store_be64(out, frame + FRAME_SZ + _SEQ, upstream[rows[begin]])
        store_be16(out, frame + FRAME_SZ + _CNT, end - begin)
        at = frame + heads.shape[1]
        for index in range(begin, end):
            at = _message(out, at, cmds[rows[index]], symbols)
        seal(out, frame, at - frame)
        time_ns, sz = cmds[rows[end - 1]].time_ns, at - frame
        for word, value in ((0, time_ns // 1_000_000_000), (4, time_ns % 1_000_000_000), (8, sz),
                            (12, sz)):
            for byte in range(4):
                out[off + word + byte] = (value >> (8 * byte)) & 0xFF
        off = at
    return off


def plan(commands, pack: int):
    """Which commands go into which datagram.

    Returns (rows, begins, upstream): datagram i holds commands rows[begins[i]:begins[i+1]] of one
    session; upstream[command] is its number in the session's stream, from 1. With pack > 1 a
    message waits until its session has `pack` of them: order between sessions is then not kept.
    """
    count, upstream = len(commands), ranks_of(commands)
    if pack == 1:
        return np.arange(count), np.arange(count + 1), upstream
    order = np.argsort(commands["session"], kind="stable")
    starts = np.flatnonzero((upstream[order] - 1) % pack == 0)
    ends = np.append(starts[1:], count)
    when = np.argsort(order[ends - 1], kind="stable")
    sizes = (ends - starts)[when]
    begins = np.concatenate(([0], np.cumsum(sizes)))
    rows = order[np.repeat(starts[when] - begins[:-1], sizes) + np.arange(count)]
    return rows, begins, upstream


def ranks_of(commands):
    """Each command's upstream number: 1, 2, 3.. per session."""
    return c.ranks(commands["session"]) + 1


def write_flow(writer, commands, sessions, symbols, link: Link, pack: int) -> int:
    """Writes logins and orders to a `tools.pcap.Writer` (ns, little-endian); datagrams written."""
    heads = frame_headers(sessions, link)
    begin_ns = int(commands["time_ns"][0]) - LOGIN_LEAD_NS
    for number, session in enumerate(sessions):
        payload = login_payload(session)
        frame = np.concatenate((heads[number, :FRAME_SZ], np.frombuffer(payload, np.uint8)))
        seal(frame, 0, len(frame))
        writer.write([begin_ns + number], frame, [0], [len(frame)])
    rows, begins, upstream = plan(commands, pack)
    names = np.frombuffer("".join(s["name"].ljust(8) for s in symbols).encode("ascii"), np.uint8)
    sizes = np.zeros(256, np.int64)
    for kind, size in SIZES.items():
        sizes[kind] = size
    for first in range(0, len(begins) - 1, _CHUNK):
        last = min(first + _CHUNK, len(begins) - 1)
        messages = int(sizes[commands["kind"][rows[begins[first]:begins[last]]]].sum())
        out = np.empty((last - first) * (16 + heads.shape[1]) + messages, np.uint8)
        done = _datagrams(out, commands, rows, begins, first, last, upstream, heads, names.copy())
        writer.write_records(out[:done], last - first)
    return len(sessions) + len(begins) - 1
