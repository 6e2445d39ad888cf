"""Packets still to be made: login answers, gap requests, answers to re-requests; a ring of OUTBOX.

The session and link kernels put in, `transmit` takes out when it has a frame. A full ring refuses,
and the asker comes again: logins and gap requests are repeated by their nature.
"""

import numpy as np
from numba import int64, uint64

from ..layout.params import OUTBOX, OUTBOX_CNT
from ..layout.shared import LINK, SESSION
from .counters import KERNEL
from .io_state import OUTBOX_HEAD, OUTBOX_TAIL
from .kernel import later
from .raw import raw_load16, raw_load32, raw_store16, raw_store32
from .types import SESSIONS
from .types_io import IO, LINK_ARRAY

MASK = OUTBOX_CNT - 1
_MAC, _SESSION_MAC, _LINK_MAC = OUTBOX["mac"].off, SESSION["mac"].off, LINK["mac"].off


@later(int64(IO, int64, int64, int64, int64), **KERNEL)
def _put(io, kind, account, seq, count):
    """Fills the next entry except for its destination; its index, -1 when the ring is full."""
    head = io.words[OUTBOX_HEAD]
    if head - io.words[OUTBOX_TAIL] > MASK:
        return np.int64(-1)
    slot = head & MASK
    entry = io.outbox[slot]
    entry["kind"], entry["account"], entry["seq"], entry["count"] = kind, account, seq, count
    entry["after"] = np.uint64(0)
    io.words[OUTBOX_HEAD] = head + 1
    return slot


@later(int64(IO, SESSIONS, int64, int64, int64, int64), **KERNEL)
def put_for_session(io, sessions, account, kind, seq, count):
    """A packet to the session's bound source; 1, or 0 when the ring is full. A session over TCP
    has no source: its login's answer is a word in the session, the only thing it is told."""
    if sessions[account]["udp_port"] == 0:
        sessions[account]["tcp_epoch"] = sessions[account]["epoch"]
        return np.int64(1)
    slot = _put(io, kind, account, seq, count)
    if slot < 0:
        return np.int64(0)
    entry, session = io.outbox[slot], sessions[account]
    entry["token_hi"], entry["token_lo"] = session["token_hi"], session["token_lo"]
    entry["ip"], entry["udp_port"] = session["ip"], session["udp_port"]
    raw_store32(io.outbox, slot, _MAC, raw_load32(sessions, account, _SESSION_MAC))
    raw_store16(io.outbox, slot, _MAC + 4, raw_load16(sessions, account, _SESSION_MAC + 4))
    return np.int64(1)


@later(int64(IO, LINK_ARRAY, int64, int64, uint64, uint64), **KERNEL)
def put_refusal(io, ring, link_idx, kind, token_hi, token_lo):
    """A refusal to the source that a link record names; 1, or 0 when the ring is full."""
    slot = _put(io, kind, np.int64(0), np.int64(0), np.int64(0))
    if slot < 0:
        return np.int64(0)
    entry, link = io.outbox[slot], ring[link_idx]
    entry["token_hi"], entry["token_lo"] = token_hi, token_lo
    entry["ip"], entry["udp_port"] = link["ip"], link["udp_port"]
    entry["reason"] = link["reason"]
    raw_store32(io.outbox, slot, _MAC, raw_load32(ring, link_idx, _LINK_MAC))
    raw_store16(io.outbox, slot, _MAC + 4, raw_load16(ring, link_idx, _LINK_MAC + 4))
    return np.int64(1)
