"""Burst slots and the job: how first-pass kernels leave work to the loop, which alone may match.

Commands decoded in the first pass over a burst wait in slots; a flush lets the engine apply all of
them in order, at one time. Matching is much code, and every kernel that calls it is compiled with
all of it: so nothing here or in the session calls the engine. A kernel that needs a flush, or has
messages to decode, leaves one job in io.words (`ask_for`) and returns; `burst.run` does it.
"""

import numpy as np
from numba import int64, void

from .counters import INLINED
from .io_state import SLOT_CNT, WORK, WORK_ACCOUNT, WORK_CNT, WORK_OFF, WORK_SEQ
from .kernel import later
from .types import CORE
from .types_io import IO

# io.words[WORK]
NO_WORK = 0
APPLY_FRAME = 1       # decode the payload at WORK_OFF of the port's frames, then settle
APPLY_HELD = 2        # the same of io.hold_data
SETTLE = 3            # flush, then look at the account's hole again
ENDED = 4             # flush, then forget what the account held
LOGGED_IN = 5         # flush, then answer the login
FLUSH = 6             # flush
APPLY_TCP = 7         # decode the payload at WORK_OFF of io.tcp_data

ROOM = 1024           # slots kept free before a payload is decoded: more than its blocks can be


@later(void(IO, int64, int64), **INLINED)
def ask_for(io, work, account):
    """Leaves a job of one account."""
    io.words[WORK], io.words[WORK_ACCOUNT] = work, account


@later(void(IO, int64, int64, int64, int64, int64), **INLINED)
def ask_to_apply(io, work, account, off, seq, block_cnt):
    """Leaves the job to decode a well-framed payload at off."""
    ask_for(io, work, account)
    io.words[WORK_OFF], io.words[WORK_SEQ], io.words[WORK_CNT] = off, seq, block_cnt


@later(int64(IO), **INLINED)
def next_slot(io):
    """The index of a slot that the caller writes whole. The loop keeps ROOM of them free."""
    idx = io.words[SLOT_CNT]
    io.words[SLOT_CNT] = idx + 1
    return idx


@later(int64(CORE, IO, int64, int64, int64), **INLINED)
def open_slot(core, io, kind, account, upstream_seq):
    """The index of a slot whose command is `kind` of the account, all else zero."""
    idx = next_slot(io)
    core.burst.commands[idx] = io.blank_command[0]
    core.burst.details[idx] = io.blank_detail[0]
    core.burst.commands[idx]["kind"] = np.uint8(kind)
    core.burst.commands[idx]["account"] = np.uint16(account)
    core.burst.details[idx]["upstream_seq"] = np.uint64(upstream_seq)
    core.burst.details[idx]["token_epoch"] = core.accounts.sessions[account]["epoch"]
    return idx
