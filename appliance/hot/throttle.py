"""An account's throttle: how fast it may send orders, and what happens when it does not stop.

A token bucket on record time, kept as one number: `throttle_ns` is the time at which the orders
taken so far are paid for, each with `order_interval_ns`. An order is taken while that lies less
than order_burst intervals ahead; what is refused costs nothing. Everything is state of the core and
follows from the journal. New orders, replaces and malformed messages that have a number are
charged, whatever becomes of them; cancels, reductions and queries never are.
"""

import numpy as np

from appliance.hot.kernel import later
from appliance.hot.types import CORE, I64, INLINE, INNER, VOID
from appliance.layout import codes
from appliance.layout.shared import COUNTER_INDEX, SESSION_LIVE

SECOND_NS = 1_000_000_000
_ONE, _ONE32, _NONE32 = np.uint64(1), np.uint32(1), np.uint32(0)
_THROTTLED, _EXPELLED = COUNTER_INDEX["throttled"], COUNTER_INDEX["throttle_disconnects"]


@later(VOID(CORE, I64, I64), **INNER)
def _note_refusal(core, account, now):
    """Counts a refusal within the second that the first of them began; at throttle_refusals the
    session is to end, which the burst loop sees to."""
    session = core.accounts.sessions[account]
    limit, count = np.int64(session["throttle_refusals"]), np.int64(session["refused_cnt"])
    if limit == 0 or session["state"] != SESSION_LIVE or count >= limit:
        return
    if count == 0 or now - np.int64(session["refused_ns"]) >= SECOND_NS:
        session["refused_ns"] = np.uint64(now)
        count = np.int64(0)
    session["refused_cnt"] = np.uint32(count + 1)
    if count + 1 == limit:
        core.book.engine[0]["expelled_cnt"] += _ONE32


@later(I64(CORE, I64), **INNER)
def _charge(core, account):
    """0 and the order is paid for, or the code that it is refused with."""
    session, engine = core.accounts.sessions[account], core.book.engine[0]
    now, interval = np.int64(engine["time_ns"]), np.int64(session["order_interval_ns"])
    if engine["mode"] != 0:
        interval += interval
    paid_ns = max(np.int64(session["throttle_ns"]), now)
    if paid_ns - now <= interval * (np.int64(session["order_burst"]) - 1):
        session["throttle_ns"] = np.uint64(paid_ns + interval)
        return np.int64(0)
    core.counters[_THROTTLED] += _ONE
    session["throttled"] += _ONE32
    _note_refusal(core, account, now)
    return np.int64(codes.REJECT_RISK_PORT_MESSAGE_RATE)


@later(I64(CORE, I64), **INLINE)
def over_rate(core, account):
    """The code that the account's next order is refused with by its throttle, 0 when it is taken
    and charged; an account without a throttle costs one comparison."""
    if core.accounts.sessions[account]["order_interval_ns"] == 0:
        return np.int64(0)
    return _charge(core, account)


@later(I64(CORE, I64), **INNER)
def is_expelled(core, account):
    """1 for a session that is to end because too much of it was refused."""
    session = core.accounts.sessions[account]
    return np.int64(session["throttle_refusals"] != 0 and session["state"] == SESSION_LIVE
                    and session["refused_cnt"] >= session["throttle_refusals"])


@later(I64(CORE, I64), **INNER)
def forget_refusals(core, account):
    """The session ends, or a newer login takes its place: no refusal counts any more. 1 when it was
    to end for them. To be called while it is still live."""
    expelled = is_expelled(core, account)
    if expelled != 0:
        core.book.engine[0]["expelled_cnt"] -= _ONE32
    core.accounts.sessions[account]["refused_cnt"] = _NONE32
    return expelled


@later(VOID(CORE, I64), **INNER)
def count_expulsion(core, account):
    """A session has ended for its refusals."""
    core.accounts.sessions[account]["expulsions"] += _ONE32
    core.counters[_EXPELLED] += _ONE
