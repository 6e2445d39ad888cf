"""One received frame: every check of the order port in its order, and exactly one disposition.

`take` is the first pass over a burst. It answers the number of the disposition's counter; what the
datagram asks for is held, put where it belongs, or left as a job (slots.py).
"""

import numpy as np
from numba import int64, njit, types, void

from ..layout.params import OUT_ANSWER
from ..layout.record import LOGOUT
from ..layout.shared import SESSION
from . import counters as names
from .counters import INLINED
from .endian import load_be16, load_be32, load_be64, load_le32, load_le64
from .hold import hold
from .io_state import MOLD_SZ
from .kernel import later
from .link import push_control
from .outbox import put_for_session
from .packet import GOOD, lane, parse
from .raw import raw_load16, raw_load32, raw_load64, raw_store16, raw_store32
from .sequence import end_session, is_live, settle
from .slots import APPLY_FRAME, ask_to_apply
from .tokens import find_token
from .types import BYTES, CORE, SESSIONS
from .types_io import IO, PARAMS_ARRAY

FAR_AHEAD = 65536
END_OF_SESSION = 0xFFFF
LOGIN_SZ = 47
_NAME, _MAC = SESSION["session_name"].off, SESSION["mac"].off
_LOW_16 = np.uint64(0xFFFF)
_DEBUG, _LOGIN_REQUEST = ord("+"), ord("L")
_CLAMP = np.uint64(1 << 62)


@njit(types.boolean(BYTES, int64, int64, int64), **INLINED)
def framed(frames, off, sz, block_cnt):
    """Whether exactly block_cnt message blocks fill the payload of sz bytes behind its header."""
    at, end = off + MOLD_SZ, off + sz
    for _ in range(block_cnt):
        if at + 2 > end:
            return False
        at += 2 + np.int64(load_be16(frames, at))
    return at == end


@later(int64(BYTES, int64), **INLINED)
def digit36(frames, off):
    """The value of one base-36 digit, -50000 for any other byte."""
    letter = np.int64(frames[off])
    if 48 <= letter <= 57:
        return letter - 48
    return letter - 55 if 65 <= letter <= 90 else np.int64(-50000)


@later(int64(SESSIONS, BYTES, int64), **INLINED)
def find_name(sessions, frames, off):
    """The account whose assigned session stands at off, -1 when it is nobody's."""
    account = (digit36(frames, off + 6) * 1296 + digit36(frames, off + 7) * 36
               + digit36(frames, off + 8) - 1)
    if account < 0 or account >= sessions.size:
        return np.int64(-1)
    if (raw_load64(sessions, account, _NAME) != load_le64(frames, off)
            or lane(np.int64(raw_load16(sessions, account, _NAME + 8)))
            != load_be16(frames, off + 8)):
        return np.int64(-1)
    return account


@njit(types.boolean(SESSIONS, int64, BYTES, int64), **INLINED)
def from_source(sessions, account, frames, ip_off):
    """Whether the frame comes from the address and port that the session is bound to."""
    return (np.int64(sessions[account]["ip"]) == np.int64(load_be32(frames, ip_off + 12))
            and np.int64(sessions[account]["udp_port"])
            == np.int64(load_be16(frames, ip_off + 20)))


@later(int64(IO, BYTES, int64, int64, int64, int64), **INLINED)
def _take_control(io, frames, off, ip_off, at, sz):
    """A datagram of sequence 0: one debug or login block, anything else is bad framing."""
    if sz < MOLD_SZ + 3 or load_be16(frames, at + 18) != np.uint64(1):
        return np.int64(names.RX_FRAMING)
    kind = frames[at + MOLD_SZ + 2]
    if kind == _DEBUG:
        return np.int64(names.RX_DEBUG)
    if kind != _LOGIN_REQUEST or sz != MOLD_SZ + 2 + LOGIN_SZ:
        return np.int64(names.RX_FRAMING)
    if not push_control(io, frames, off, ip_off, at, sz):
        return np.int64(names.RX_CONTROL_FULL)
    return np.int64(names.RX_CONTROL)


@later(int64(CORE, IO, PARAMS_ARRAY, BYTES, int64, int64, int64, int64, int64), **INLINED)
def _take_request(core, io, params, frames, ip_off, at, seq, wanted, now):
    """A re-request of acknowledgements: one answer, at most one an interval."""
    sessions = core.accounts.sessions
    account = find_name(sessions, frames, at)
    if account < 0 or not is_live(sessions, account):
        return np.int64(names.RX_UNKNOWN_TOKEN)
    if not from_source(sessions, account, frames, ip_off):
        return np.int64(names.RX_WRONG_SOURCE)
    session = sessions[account]
    served = np.int64(session["asked_down_ns"])
    too_soon = served != 0 and now - served < np.int64(params[0]["rerequest_ns"])
    if too_soon or seq < 1 or seq >= np.int64(session["released_seq"]):
        return np.int64(names.RX_REREQUEST_REFUSED)
    if put_for_session(io, sessions, account, OUT_ANSWER, seq, wanted) == 0:
        return np.int64(names.RX_REREQUEST_REFUSED)
    session["asked_down_ns"] = max(now, np.int64(1))
    return np.int64(names.RX_REREQUEST)


@later(int64(CORE, IO, PARAMS_ARRAY, int64, int64, int64, int64), **INLINED)
def _take_bare(core, io, params, account, seq, count, now):
    """Heartbeat or end of session, which name the next number to come."""
    session = core.accounts.sessions[account]
    expected = np.int64(session["next_upstream_seq"])
    if expected < seq <= expected + FAR_AHEAD:
        io.told_ends[account] = max(np.int64(io.told_ends[account]), seq)
        settle(core, io, params, account, now)
    elif count == END_OF_SESSION and seq <= expected:
        end_session(core, io, account, LOGOUT, np.int64(0))
    return np.int64(names.RX_HEARTBEAT if count == 0 else names.RX_END_OF_SESSION)


@later(int64(CORE, IO, PARAMS_ARRAY, BYTES, int64, int64, int64, int64, int64, int64), **INLINED)
def _take_data(core, io, params, frames, at, sz, account, seq, block_cnt, now):
    """Messages: processed from the expected number on, or held behind a gap."""
    sessions = core.accounts.sessions
    expected = np.int64(sessions[account]["next_upstream_seq"])
    if seq + block_cnt <= expected:
        return np.int64(names.RX_DUPLICATE)
    if seq > expected + FAR_AHEAD:
        return np.int64(names.RX_FAR_AHEAD)
    if seq > expected:
        held = hold(io, sessions, account, frames, at, sz, seq, block_cnt,
                    np.int64(params[0]["hold_limit"]))
        io.told_ends[account] = max(np.int64(io.told_ends[account]), seq + block_cnt)
        settle(core, io, params, account, now)
        return np.int64(names.RX_HELD if held else names.RX_HOLD_FULL)
    ask_to_apply(io, APPLY_FRAME, account, at, seq, block_cnt)
    return np.int64(names.RX_APPLIED)


@later(void(SESSIONS, int64, BYTES, int64), **INLINED)
def _learn_mac(sessions, account, frames, off):
    """The Ethernet address of a session that logged in over plain sockets, which show none."""
    raw_store32(sessions, account, _MAC, np.uint32(load_le32(frames, off + 6)))
    raw_store16(sessions, account, _MAC + 4, np.uint16(load_le32(frames, off + 10) & _LOW_16))


@later(int64(CORE, IO, PARAMS_ARRAY, BYTES, int64, int64, int64, int64), **INLINED)
def take(core, io, params, frames, off, sz, flags, now):
    """Does what the frame at off asks for, or leaves it as a job; its disposition's counter."""
    verdict, at, payload_sz, ip_off = parse(frames, off, sz, flags, params, core.accounts.allowed)
    if verdict != GOOD:
        return verdict
    count = np.int64(load_be16(frames, at + 18))
    seq = np.int64(min(load_be64(frames, at + 10), _CLAMP))
    bare = payload_sz == MOLD_SZ
    nameless = count == 0 or count == END_OF_SESSION
    if not bare and (nameless or not framed(frames, at, payload_sz, count)):
        return np.int64(names.RX_FRAMING)
    if seq == 0:
        return _take_control(io, frames, off, ip_off, at, payload_sz)
    if bare and not nameless:
        return _take_request(core, io, params, frames, ip_off, at, seq, count, now)
    account = np.int64(find_token(core.accounts, load_be64(frames, at), load_be16(frames, at + 8)))
    sessions = core.accounts.sessions
    if account < 0 or not is_live(sessions, account):
        return np.int64(names.RX_UNKNOWN_TOKEN)
    if not from_source(sessions, account, frames, ip_off):
        return np.int64(names.RX_WRONG_SOURCE)
    sessions[account]["heard_ns"] = now
    if raw_load32(sessions, account, _MAC) == 0 and raw_load16(sessions, account, _MAC + 4) == 0:
        _learn_mac(sessions, account, frames, off)
    if bare:
        return _take_bare(core, io, params, account, seq, count, now)
    return _take_data(core, io, params, frames, at, payload_sz, account, seq, count, now)
