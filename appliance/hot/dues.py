"""Commands that nobody sent: what an account's own state makes due at a pass of the burst loop.

A session whose throttle has refused too much is ended (DISCONNECT), after the answers that it got
have been sent; a grace that is over ends (GRACE_OVER). Both stand in the journal like what the
supervisor asks for, so a replay has them at the same place. One a pass.
"""

import numpy as np
from numba import boolean, int64, void

from ..layout.params import OUT_REFUSE
from ..layout.record import DISCONNECT, GRACE_OVER
from .counters import INLINED, KERNEL
from .io_state import OUTBOX_HEAD
from .kernel import later
from .outbox import MASK, put_for_session
from .sequence import end_session
from .slots import FLUSH, ask_for, open_slot
from .throttle import is_expelled
from .types import CORE
from .types_io import IO

NOT_AVAILABLE = ord("S")


@later(boolean(CORE, int64), **INLINED)
def something_due(core, now):
    """Whether `do_due` has something to do at record time now."""
    engine = core.book.engine[0]
    return engine["expelled_cnt"] != 0 or (
        engine["grace_due_ns"] != 0 and np.int64(engine["grace_due_ns"]) <= now)


@later(void(CORE, IO, int64), **KERNEL)
def _expel(core, io, account):
    """Ends the session; a participant on UDP is told by a `J` to its token."""
    sessions = core.accounts.sessions
    if sessions[account]["udp_port"] != 0 and put_for_session(
            io, sessions, account, OUT_REFUSE, np.int64(0), np.int64(0)) != 0:
        io.outbox[(io.words[OUTBOX_HEAD] - 1) & MASK]["reason"] = np.uint8(NOT_AVAILABLE)
    end_session(core, io, account, DISCONNECT, np.int64(0))


@later(void(CORE, IO, int64), **KERNEL)
def do_due(core, io, now):
    """Leaves the job of the first account for which something is due."""
    sessions = core.accounts.sessions
    for account in range(sessions.size):
        if is_expelled(core, account) != 0:
            _expel(core, io, account)
            return
        due_ns = np.int64(sessions[account]["grace_ns"])
        if due_ns != 0 and due_ns <= now:
            open_slot(core, io, GRACE_OVER, account, np.int64(0))
            ask_for(io, FLUSH, np.int64(0))
            return
