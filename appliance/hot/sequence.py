"""A session's upstream messages in order: nothing twice, holes asked for, then given up.

E is the session's next_upstream_seq. A hole ends at the lowest held number or, when nothing is
held, one past the newest number that the client has named (io.told_ends). session.gap_end_seq is
the end of the hole that is being waited for, 0 when there is none.
"""

import numpy as np
from numba import int64, njit, types, void

from ..layout.params import HOLD_SZ, OUT_ASK
from ..layout.record import FILLER, IGNORE, LOGOUT, SKIP
from ..layout.shared import SESSION_LIVE
from .codec import decode
from .counters import (
    GAP_REQUESTS, GAP_REQUESTS_WITHHELD, INLINED, KERNEL, MESSAGES, MESSAGES_FILLER,
    MESSAGES_SHORT, MESSAGES_SKIPPED, MESSAGES_UNKNOWN, count as add,
)
from .endian import load_be16
from .guard import is_guarded
from .hold import drop_all, drop_lowest, lowest
from .io_state import GAP_CNT
from .kernel import later
from .outbox import put_for_session
from .slots import (
    APPLY_HELD, ENDED, SETTLE, ask_for, ask_to_apply, next_slot, open_slot,
)
from .types import BYTES, CORE, SESSIONS
from .types_io import IO, PARAMS_ARRAY

MOST_ASKED = 65534
_UNSEQUENCED, _LOGOUT_REQUEST = ord("U"), ord("O")


@later(void(IO, SESSIONS, int64), **KERNEL)
def forget(io, sessions, account):
    """Drops what is held and known of a hole: the session has ended or begins anew."""
    drop_all(io, sessions, account)
    if sessions[account]["gap_end_seq"] != 0:
        sessions[account]["gap_end_seq"] = np.uint64(0)
        io.words[GAP_CNT] -= 1
    io.told_ends[account] = np.uint64(0)


@njit(types.boolean(SESSIONS, int64), **INLINED)
def is_live(sessions, account):
    """Whether the account is logged in."""
    return np.int64(sessions[account]["state"]) == SESSION_LIVE


@later(void(CORE, IO, int64, int64, int64), **INLINED)
def end_session(core, io, account, kind, upstream_seq):
    """LOGOUT or DISCONNECT as a command; leaves the job to finish it."""
    open_slot(core, io, kind, account, upstream_seq)
    ask_for(io, ENDED, account)


@later(void(CORE, IO, BYTES, int64, int64, int64, int64), **INLINED)
def apply(core, io, data, off, first_seq, block_cnt, account):
    """Consumes the blocks of a well-framed payload at off from number E on, one command each.

    Leaves the job SETTLE when a hole is open, ENDED at a logout, after which nothing is consumed.
    """
    session = core.accounts.sessions[account]
    expected = np.int64(session["next_upstream_seq"])
    at = off + 20
    for seq in range(first_seq, first_seq + block_cnt):
        sz = np.int64(load_be16(data, at))
        block = at + 2
        at = block + sz
        if seq < expected:
            continue
        session["next_upstream_seq"] = np.uint64(seq + 1)
        add(core.counters, MESSAGES, 1)
        if sz > 1 and data[block] == _UNSEQUENCED:
            idx = next_slot(io)
            decode(core, data, block + 1, sz - 1, account, idx)
            core.burst.details[idx]["upstream_seq"] = np.uint64(seq)
            core.burst.details[idx]["token_epoch"] = session["epoch"]
        elif sz == 0:
            add(core.counters, MESSAGES_FILLER, 1)
            open_slot(core, io, FILLER, account, seq)
        elif sz == 1 and data[block] == _LOGOUT_REQUEST:
            end_session(core, io, account, LOGOUT, seq)
            return
        else:
            empty = data[block] == _UNSEQUENCED
            add(core.counters, MESSAGES_SHORT if empty else MESSAGES_UNKNOWN, 1)
            open_slot(core, io, IGNORE, account, seq)


@njit(types.boolean(IO, SESSIONS, int64), **INLINED)
def next_held(io, sessions, account):
    """Takes the held datagram that is due, leaving the job to apply it; drops outdated ones."""
    expected = np.int64(sessions[account]["next_upstream_seq"])
    slot = lowest(io, account)
    while slot >= 0:
        seq, block_cnt = np.int64(io.holds[slot]["seq"]), np.int64(io.holds[slot]["count"])
        if seq > expected:
            return False
        drop_lowest(io, sessions, account)
        if seq + block_cnt > expected:
            ask_to_apply(io, APPLY_HELD, account, slot * HOLD_SZ, seq, block_cnt)
            return True
        slot = lowest(io, account)
    return False


@later(void(CORE, IO, int64), **INLINED)
def _skip(core, io, account):
    """Gives the hole up: E becomes its end. Leaves the job to see what follows."""
    session = core.accounts.sessions[account]
    end = np.int64(session["gap_end_seq"])
    add(core.counters, MESSAGES_SKIPPED, end - np.int64(session["next_upstream_seq"]))
    open_slot(core, io, SKIP, account, end)
    session["next_upstream_seq"] = np.uint64(end)
    ask_for(io, SETTLE, account)


@later(void(CORE, IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def settle(core, io, params, account, now):
    """Applies what is due, notes and asks for the hole that remains, skips it at hold time 0.

    Nothing is asked for while the flood guard drops the source: what it sends again would be
    dropped too. Asking is no business of the journal's, so no replay sees the difference.

    One step at a time: what needs decoding or a flush becomes the next job, which ends here again.
    """
    sessions = core.accounts.sessions
    session, p = sessions[account], params[0]
    if not is_live(sessions, account) or next_held(io, sessions, account):
        return
    expected, gap_end = np.int64(session["next_upstream_seq"]), np.int64(session["gap_end_seq"])
    slot = lowest(io, account)
    end = np.int64(io.holds[slot]["seq"]) if slot >= 0 else np.int64(io.told_ends[account])
    if end <= expected:
        if gap_end != 0:
            session["gap_end_seq"] = np.uint64(0)
            io.words[GAP_CNT] -= 1
        return
    fresh = gap_end <= expected
    if gap_end == 0:
        io.words[GAP_CNT] += 1
    if fresh:
        session["gap_ns"] = np.uint64(now)
    session["gap_end_seq"] = np.uint64(end)
    if fresh or now - np.int64(session["asked_ns"]) >= np.int64(p["gap_request_ns"]):
        session["asked_ns"] = np.uint64(now)
        if is_guarded(io, params, np.int64(session["ip"]), now):
            add(core.counters, GAP_REQUESTS_WITHHELD, 1)
        else:
            add(core.counters, GAP_REQUESTS, put_for_session(
                io, sessions, account, OUT_ASK, expected, min(end - expected, MOST_ASKED)))
    if p["gap_hold_ns"] == 0:
        _skip(core, io, account)


@later(void(CORE, IO, PARAMS_ARRAY, int64, int64), **INLINED)
def tick(core, io, params, account, now):
    """An account's timer: an open hole is asked for again, or given up when its time is over."""
    session = core.accounts.sessions[account]
    if session["gap_end_seq"] == 0 or not is_live(core.accounts.sessions, account):
        return
    if now - np.int64(session["gap_ns"]) > np.int64(params[0]["gap_hold_ns"]):
        _skip(core, io, account)
    else:
        settle(core, io, params, account, now)
