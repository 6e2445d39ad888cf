"""The matching core: a burst record is journalled, admitted, applied to the book and published.

`run` is a pure function of the core and the records: replaying a journal repeats every byte of the
streams and the feed. It takes a range of records in one call, because handing over the core's
arrays costs about as much as a step; `step` is a range of one. Burst record 4095 is scratch of bulk
cancels: callers use 0 to 4094. Book and reports stand in one place of this file only: every
function that calls them is compiled with all of them.
"""

import numpy as np
from numba import njit

from appliance.hot.admit import APPLY, IGNORED, cancel, enter, modify, numbered, replace
from appliance.hot.book import apply
from appliance.hot.journal import append
from appliance.hot.kernel import later
from appliance.hot.lifecycle import (
    begin_end_of_day, finish_day, login, logout, make_cancel, next_order, open_market, start_day,
)
from appliance.hot.publish import publish
from appliance.hot.reports import mass_canceled, queried, rejected, switched
from appliance.hot.types import CORE, I64, INNER, KERNEL, VOID
from appliance.layout import codes
from appliance.layout.record import (
    CANCEL, DAY_END, DAY_START, DISABLE, DISCONNECT, ENABLE, ENTER, LOGIN, LOGOUT, MASS_CANCEL,
    MARKET_OPEN, MODIFY, QUERY, REJECT, REPLACE, SKIP,
)


@later(I64(CORE, I64, I64), **INNER)
def _account_command(core, idx, kind):
    """REJECT, MASS_CANCEL, DISABLE, ENABLE: number consumed, then a `J` or the real thing.

    1 when orders are to be cancelled in bulk now.
    """
    code, account = np.int64(core.burst.details[idx]["reject"]), core.burst.commands[idx]["account"]
    if numbered(core, idx) != APPLY:
        return np.int64(0)
    if code != 0:
        rejected(core, idx, code)
    elif kind == MASS_CANCEL:
        mass_canceled(core, idx)
        return np.int64(1)
    elif kind == DISABLE:
        core.accounts.sessions[np.int64(account)]["disabled"] = np.uint8(1)
        switched(core, idx, ord("G"))
    elif kind == ENABLE:
        core.accounts.sessions[np.int64(account)]["disabled"] = np.uint8(0)
        switched(core, idx, ord("K"))
    return np.int64(0)


@later(I64(CORE, I64, I64), **INNER)
def _without_order(core, idx, kind):
    """Every kind that names no order; unknown ones are journalled only.

    The letter of the reason when orders are to be cancelled in bulk now, else 0.
    """
    account = np.int64(core.burst.commands[idx]["account"])
    if kind == QUERY:
        queried(core, account)
    elif kind == REJECT or kind == MASS_CANCEL or kind == DISABLE or kind == ENABLE:
        if _account_command(core, idx, kind) != 0:
            return np.int64(codes.CANCEL_USER_REQUESTED)
    elif kind == SKIP:
        core.accounts.sessions[account]["next_upstream_seq"] = \
            core.burst.details[idx]["upstream_seq"]
    elif kind == LOGIN:
        login(core, idx)
    elif kind == LOGOUT or kind == DISCONNECT:
        if logout(core, account) != 0:
            return np.int64(codes.CANCEL_SYSTEM)
    elif kind == DAY_START:
        start_day(core, idx)
    elif kind == MARKET_OPEN:
        open_market(core)
    elif kind == DAY_END:
        if begin_end_of_day(core) != 0:
            return np.int64(codes.CANCEL_CLOSED)
    return np.int64(0)


@later(VOID(CORE, I64, I64, I64), **KERNEL)
def run(core, start, stop, now_ns):
    """Takes burst records start to stop - 1 in order at time now_ns (ns since midnight).

    Record time never goes back: it is the journal's last time where now_ns is less.
    """
    commands, slot = core.burst.commands, np.int64(core.burst.commands.size - 1)
    for idx in range(start, stop):
        append(core, idx, now_ns)
        kind, reason, outcome = np.int64(commands[idx]["kind"]), np.int64(0), np.int64(APPLY)
        if kind == ENTER:
            outcome = enter(core, idx)
        elif kind == CANCEL:
            outcome = cancel(core, idx)
        elif kind == REPLACE:
            outcome = replace(core, idx)
        elif kind == MODIFY:
            outcome = modify(core, idx)
        else:
            reason = _without_order(core, idx, kind)
            outcome = np.int64(IGNORED)
        account, last, filters = np.int64(commands[idx]["account"]), np.int64(0), np.int64(-1)
        last, handle = account, np.int64(0)
        if kind == MASS_CANCEL:
            filters = idx
        elif kind == DAY_END:
            account, last = np.int64(0), np.int64(core.accounts.sessions.size) - 1
        place = idx
        while outcome == APPLY or (reason != 0 and account <= last):
            if reason != 0:
                handle = next_order(core, filters, account, handle)
                if handle == 0:
                    account += 1
                    continue
                make_cancel(core, slot, account, handle, reason)
                place = slot
            event_cnt = apply(core.book, commands, place, place + 1, core.burst.events, np.int64(0))
            publish(core, idx, event_cnt)
            outcome = np.int64(IGNORED)
        if outcome > 0:
            rejected(core, idx, outcome)
        if reason != 0 and kind == DAY_END:
            finish_day(core)


@njit(inline="always", **KERNEL)
def step(core, idx, now_ns):
    """`run` of the one burst record idx."""
    run(core, idx, idx + 1, now_ns)
