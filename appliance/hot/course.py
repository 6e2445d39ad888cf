"""What a journalled record brings beside its own order command, step by step.

`next_step` gives the engine one thing to do at a time, because the engine alone calls book, cross
and reports. Its place in a course is four numbers: the stage, and of which symbol or account, at
which order, of how many.

    any record      orders whose time is over leave (T), then the record itself takes its course
    MARKET_OPEN     the opening cross of each symbol that trades, then its orders left over leave
                    (I); last the market is open
    DAY_END         the same with the closing cross; then every order leaves (E), the day is closed
    HALT            at a resumption from quotation the symbol's halt cross; then the new state
    MASS_CANCEL, LOGOUT, DISCONNECT, GRACE_OVER      an account's orders leave, where that is
                    asked for
    KILL            the orders of its scope leave (S)

What an operator's command has come to stands in the engine's block once all of that is done.
"""

import numpy as np

from appliance.hot import halts
from appliance.hot.admit import APPLY, PHASE_OPEN, PHASE_PRE_OPEN, numbered
from appliance.hot.auction import collect, collected
from appliance.hot.exposure import (
    KILL_ACCOUNT, KILL_SYMBOL, set_kill, set_limit, set_mode,
)
from appliance.hot.grace import grace_over
from appliance.hot.kernel import later
from appliance.hot.lifecycle import (
    begin_end_of_day, finish_day, login, logout, make_cancel, next_order, open_market, start_day,
)
from appliance.hot.reports import mass_canceled, queried, rejected, switched
from appliance.hot.throttle import over_rate
from appliance.hot.timers import expiring_order
from appliance.hot.trades import bust
from appliance.hot.types import COURSE, CORE, I64, INNER, VOID
from appliance.layout import codes
from appliance.layout.record import (
    BUST, DAY_END, DAY_START, DISABLE, DISCONNECT, ENABLE, ENTER, GRACE_OVER, HALT, IMBALANCE,
    KILL, LIFT, LIMIT, LOGIN, LOGOUT, MARKET_OPEN, MASS_CANCEL, MODE, MODIFY, QUERY, REJECT, SKIP,
)
from appliance.layout.shared import (
    ALREADY, COUNTER_INDEX, DISABLED_BY_ACCOUNT, DONE as FULFILLED, NOT_NOW,
)

ADMIT, CANCEL_ONE, CROSS, NOTHING = 1, 2, 3, 4                 # what the engine is to do
EXPIRY, OWN, CROSSES, LEFT_OVER, AFTER, BULK, DONE = 0, 1, 2, 3, 4, 5, 6      # stages
_ONE, _NOT_YET = np.uint64(1), -1
_EXPIRED = COUNTER_INDEX["orders_expired"]
_judge, _set_state, _tell_imbalances = halts.judge, halts.set_state, halts.tell_imbalances


@later(I64(CORE, I64, I64), **INNER)
def _account_command(core, idx, kind):
    """REJECT, MASS_CANCEL, DISABLE, ENABLE: number consumed, then a `J` or the real thing.

    1 when orders are to be cancelled in bulk now.
    """
    code, account = np.int64(core.burst.details[idx]["reject"]), core.burst.commands[idx]["account"]
    if numbered(core, idx) != APPLY:
        return np.int64(0)
    if kind == REJECT:
        refused = over_rate(core, np.int64(account))
        code = refused if refused != 0 else code
    if code != 0:
        rejected(core, idx, code)
    elif kind == MASS_CANCEL:
        mass_canceled(core, idx)
        return np.int64(1)
    elif kind == DISABLE:
        session = core.accounts.sessions[np.int64(account)]
        session["disabled"] = np.uint8(np.int64(session["disabled"]) | DISABLED_BY_ACCOUNT)
        switched(core, idx, ord("G"))
    elif kind == ENABLE:
        session = core.accounts.sessions[np.int64(account)]
        session["disabled"] = np.uint8(np.int64(session["disabled"]) & ~DISABLED_BY_ACCOUNT)
        switched(core, idx, ord("K"))
    return np.int64(0)


@later(I64(CORE, I64, I64), **INNER)
def _operators(core, idx, kind):
    """HALT and what follows it, kinds of the operator: as `_own`, the outcome noted."""
    engine, stage, outcome = core.book.engine[0], np.int64(DONE), np.int64(FULFILLED)
    if kind == HALT:
        verdict = _judge(core, idx)
        if verdict != halts.IGNORED:
            stage = np.int64(CROSSES if verdict == halts.AFTER_CROSS else AFTER)
        else:
            symbol = min(np.int64(core.burst.commands[idx]["symbol"]), core.book.symbols.size - 1)
            same = core.book.symbols[symbol]["state"] == core.burst.details[idx]["side_letter"]
            outcome = np.int64(ALREADY if same else NOT_NOW)
    elif kind == BUST:
        outcome = bust(core, idx)
    elif kind == IMBALANCE:
        _tell_imbalances(core, idx)
    elif kind == LIMIT:
        outcome = set_limit(core, idx)
    elif kind == KILL:
        outcome = set_kill(core, idx)
        if outcome == FULFILLED and np.int64(core.burst.commands[idx]["flags"]) & LIFT == 0:
            stage = np.int64(BULK)
    elif kind == MODE:
        outcome = set_mode(core, idx)
    engine["outcome"] = np.uint32(outcome)
    return stage


@later(VOID(CORE, I64, I64), **INNER)
def settled(core, idx, kind):
    """The record has taken its whole course: whoever asked for it may be told."""
    engine, request = core.book.engine[0], core.burst.details[idx]["orig_user_ref_num"]
    if request != 0 and (kind == DISCONNECT or kind >= DAY_END):
        engine["asked_seq"] = core.journal.header[0]["next_seq"] - _ONE
        engine["asked"] = request


@later(I64(CORE, I64, I64), **INNER)
def _own(core, idx, kind):
    """Does what the record is for, or begins it; the stage that follows. Unknown kinds: nothing."""
    account, phase = (np.int64(core.burst.commands[idx]["account"]),
                      np.int64(core.book.engine[0]["phase"]))
    stage = np.int64(DONE)
    if kind >= HALT and kind <= MODE:
        return _operators(core, idx, kind)
    core.book.engine[0]["outcome"] = np.uint32(FULFILLED)
    if kind == QUERY:
        queried(core, account)
    elif kind == REJECT or kind == MASS_CANCEL or kind == DISABLE or kind == ENABLE:
        if _account_command(core, idx, kind) != 0:
            stage = np.int64(BULK)
    elif kind == SKIP:
        core.accounts.sessions[account]["next_upstream_seq"] = \
            core.burst.details[idx]["upstream_seq"]
    elif kind == LOGIN:
        login(core, idx)
    elif kind == LOGOUT or kind == DISCONNECT:
        if logout(core, account, kind) != 0:
            stage = np.int64(BULK)
    elif kind == GRACE_OVER:
        if grace_over(core, account) != 0:
            stage = np.int64(BULK)
    elif kind == DAY_START:
        start_day(core, idx)
    elif kind == MARKET_OPEN:
        if phase == PHASE_PRE_OPEN:
            stage = np.int64(CROSSES)
        else:
            core.book.engine[0]["outcome"] = np.uint32(
                ALREADY if phase == PHASE_OPEN else NOT_NOW)
    elif kind == DAY_END:
        if begin_end_of_day(core) != 0:
            stage = np.int64(CROSSES if phase == PHASE_OPEN else BULK)
        else:
            core.book.engine[0]["outcome"] = np.uint32(ALREADY)
    return stage


@later(I64(I64), **INNER)
def cross_letter(kind):
    """Letter of the cross that a kind of record brings."""
    if kind == MARKET_OPEN:
        return np.int64(codes.CROSS_OPENING)
    return np.int64(codes.CROSS_CLOSING if kind == DAY_END else codes.CROSS_HALT_OR_IPO)


@later(I64(I64), **INNER)
def _bulk_reason(kind):
    """Letter of the reason for which a record ends orders in bulk."""
    if kind == MASS_CANCEL:
        return np.int64(codes.CANCEL_USER_REQUESTED)
    if kind == KILL:
        return np.int64(codes.CANCEL_SUPERVISORY)
    return np.int64(codes.CANCEL_CLOSED if kind == DAY_END else codes.CANCEL_SYSTEM)


@later(I64(CORE, I64), **INNER)
def _after(core, idx):
    """What a record does when its crosses are over; the stage that follows."""
    kind = np.int64(core.burst.commands[idx]["kind"])
    if kind == DAY_END:
        return np.int64(BULK)
    if kind == HALT:
        _set_state(core, idx)
    else:
        open_market(core)
    return np.int64(DONE)


@later(VOID(CORE, I64, I64), **INNER)
def _cancel(core, handle, reason):
    """Makes the scratch record the cancel of an order."""
    make_cancel(core, np.int64(core.burst.commands.size - 1),
                np.int64(core.accounts.cold[handle]["account"]), handle, reason)


@later(COURSE(CORE, I64, I64, I64, I64, I64), **INNER)
def _next_cross(core, idx, stage, which, at, count):
    """The stages CROSSES and LEFT_OVER: (what to do, stage, symbol, order, of how many)."""
    kind, last = np.int64(core.burst.commands[idx]["kind"]), np.int64(core.book.symbols.size) - 1
    if kind == HALT:
        last = np.int64(core.burst.commands[idx]["symbol"])
    nothing = np.int64(NOTHING)
    if stage == LEFT_OVER:
        if at == _NOT_YET:
            at, count = np.int64(0), collect(core, which, cross_letter(kind))
        if at < count:
            _cancel(core, collected(core, at), codes.CANCEL_IMMEDIATE_OR_CANCEL)
            return np.int64(CANCEL_ONE), np.int64(LEFT_OVER), which, at + 1, count
        which += 1
    if which > last:
        return nothing, np.int64(AFTER), np.int64(0), np.int64(0), np.int64(0)
    trades = np.int64(core.book.symbols[which]["state"]) == codes.TRADING_NORMAL
    if trades or kind == HALT:
        return np.int64(CROSS), np.int64(LEFT_OVER), which, np.int64(_NOT_YET), np.int64(0)
    if kind == DAY_END:
        return nothing, np.int64(CROSSES), which + 1, np.int64(0), np.int64(0)
    return nothing, np.int64(LEFT_OVER), which, np.int64(_NOT_YET), np.int64(0)


@later(COURSE(CORE, I64, I64, I64), **INNER)
def _next_in_bulk(core, idx, which, at):
    """The stage BULK, accounts in ascending order, their orders by UserRefNum."""
    kind, last = np.int64(core.burst.commands[idx]["kind"]), which
    scope = np.int64(core.burst.details[idx]["cross"])
    if kind == DAY_END or (kind == KILL and scope != KILL_ACCOUNT):
        last = np.int64(core.accounts.sessions.size) - 1
    filters = idx if kind == MASS_CANCEL or (kind == KILL and scope == KILL_SYMBOL) \
        else np.int64(-1)
    while which <= last:
        at = next_order(core, filters, which, at)
        if at != 0:
            _cancel(core, at, _bulk_reason(kind))
            return np.int64(CANCEL_ONE), np.int64(BULK), which, at, np.int64(0)
        which += 1
    if kind == DAY_END:
        finish_day(core)
    return np.int64(NOTHING), np.int64(DONE), which, at, np.int64(0)


@later(COURSE(CORE, I64, I64, I64, I64, I64), **INNER)
def next_step(core, idx, stage, which, at, count):
    """(what the engine is to do next for burst record idx, and the place in its course then).

    ADMIT the record's own order command; CANCEL_ONE in the scratch record; CROSS of symbol `which`;
    NOTHING: ask again, or at stage DONE no more.
    """
    kind = np.int64(core.burst.commands[idx]["kind"])
    if stage == EXPIRY:
        handle = expiring_order(core)
        if handle != 0:
            core.counters[_EXPIRED] += _ONE
            _cancel(core, handle, codes.CANCEL_TIME_IN_FORCE_EXPIRED)
            return np.int64(CANCEL_ONE), np.int64(EXPIRY), which, at, count
        if kind >= ENTER and kind <= MODIFY:
            return np.int64(ADMIT), np.int64(DONE), which, at, count
        return np.int64(NOTHING), np.int64(OWN), which, at, count
    if stage == OWN:
        stage = _own(core, idx, kind)
        if stage == CROSSES and kind == HALT:
            which = np.int64(core.burst.commands[idx]["symbol"])
        elif stage == BULK and kind != DAY_END and not (
                kind == KILL and np.int64(core.burst.details[idx]["cross"]) != KILL_ACCOUNT):
            which = np.int64(core.burst.commands[idx]["account"])
        return np.int64(NOTHING), stage, which, at, count
    if stage == AFTER:
        return np.int64(NOTHING), _after(core, idx), which, at, count
    if stage == BULK:
        return _next_in_bulk(core, idx, which, at)
    return _next_cross(core, idx, stage, which, at, count)
