"""The grace of an account whose session was lost: its orders stay until it is over.

A session that falls silent, or whose TCP connection breaks, leaves its orders for `grace_ms` of
record time; a login within it keeps them. The end is a command of its own (GRACE_OVER), which the
burst loop makes when it is due, so a matcher that comes back goes on with it. engine.grace_due_ns
is the earliest of all, so a pass without one costs a comparison.
"""

import numpy as np

from appliance.hot.kernel import later
from appliance.hot.types import CORE, I64, INNER, VOID
from appliance.layout.shared import COUNTER_INDEX, SESSION_LIVE

_ONE, _NONE = np.uint64(1), np.uint64(0)
_MS = np.uint64(1_000_000)
_GRACES, _OVER = COUNTER_INDEX["graces"], COUNTER_INDEX["graces_over"]


@later(VOID(CORE, I64), **INNER)
def begin_grace(core, account):
    """The account's session was lost now."""
    session, engine = core.accounts.sessions[account], core.book.engine[0]
    due_ns = engine["time_ns"] + np.uint64(session["grace_ms"]) * _MS
    session["grace_ns"] = due_ns
    if engine["grace_due_ns"] == _NONE or due_ns < engine["grace_due_ns"]:
        engine["grace_due_ns"] = due_ns
    core.counters[_GRACES] += _ONE


@later(VOID(CORE, I64), **INNER)
def end_grace(core, account):
    """The account has no grace any more, if it had one: it is back, or its time is over."""
    if core.accounts.sessions[account]["grace_ns"] == _NONE:
        return
    core.accounts.sessions[account]["grace_ns"] = _NONE
    earliest = _NONE
    for other in range(core.accounts.sessions.size):
        due_ns = core.accounts.sessions[other]["grace_ns"]
        if due_ns != _NONE and (earliest == _NONE or due_ns < earliest):
            earliest = due_ns
    core.book.engine[0]["grace_due_ns"] = earliest


@later(I64(CORE, I64), **INNER)
def grace_over(core, account):
    """The record GRACE_OVER: 1 when the account's orders are to be cancelled now."""
    session = core.accounts.sessions[account]
    if session["grace_ns"] == _NONE or session["state"] == SESSION_LIVE \
            or session["grace_ns"] > core.book.engine[0]["time_ns"]:
        return np.int64(0)
    end_grace(core, account)
    core.counters[_OVER] += _ONE
    return np.int64(1)
