"""Datagrams held behind an upstream gap: one pool of slots, a list a session in order of sequence.

A slot is taken from the free list and given back; nothing is allocated. Lists are threaded through
HOLD.next, slot numbers + 1 so that 0 ends a list. `sessions.held_cnt` counts a session's slots.
"""

import numpy as np
from numba import int64, njit, types, void

from ..layout.params import HOLD_SZ
from .counters import INLINED, KERNEL
from .endian import copy_bytes
from .io_state import HOLD_FREE
from .kernel import later
from .types import BYTES, SESSIONS
from .types_io import IO


@njit(types.boolean(IO, SESSIONS, int64, BYTES, int64, int64, int64, int64, int64), **INLINED)
def hold(io, sessions, account, frames, off, sz, seq, count, limit):
    """Copies a payload into a slot, behind held ones of the same number; False when full."""
    session = sessions[account]
    slot = io.words[HOLD_FREE] - 1
    if slot < 0 or np.int64(session["held_cnt"]) >= limit or sz > HOLD_SZ:
        return False
    held = io.holds[slot]
    io.words[HOLD_FREE] = np.int64(held["next"])
    copy_bytes(io.hold_data, slot * HOLD_SZ, frames, off, sz)
    held["seq"], held["count"], held["size"] = seq, count, sz
    before, here = np.int64(0), np.int64(io.hold_heads[account])
    while here != 0 and np.int64(io.holds[here - 1]["seq"]) <= seq:
        before = here
        here = np.int64(io.holds[here - 1]["next"])
    held["next"] = here
    if before == 0:
        io.hold_heads[account] = slot + 1
    else:
        io.holds[before - 1]["next"] = slot + 1
    session["held_cnt"] += np.uint32(1)
    return True


@later(int64(IO, int64), **INLINED)
def lowest(io, account):
    """The slot with the account's lowest held number, -1 when nothing is held."""
    return np.int64(io.hold_heads[account]) - 1


@later(void(IO, SESSIONS, int64), **INLINED)
def drop_lowest(io, sessions, account):
    """Frees the slot of the lowest number; the account must hold something."""
    slot = np.int64(io.hold_heads[account]) - 1
    held = io.holds[slot]
    io.hold_heads[account] = held["next"]
    held["next"] = io.words[HOLD_FREE]
    io.words[HOLD_FREE] = slot + 1
    sessions[account]["held_cnt"] -= np.uint32(1)


@later(void(IO, SESSIONS, int64), **KERNEL)
def drop_all(io, sessions, account):
    """Frees everything the account holds."""
    while io.hold_heads[account] != 0:
        drop_lowest(io, sessions, account)
