"""What the risk limits need to know of each account, and the commands that change them.

`follow` keeps position and open shares of the accounts that have a slot, from the events of each
command: an order's open shares are compared with what was counted of it before, so no event has to
be understood. A slot is given with an account's first limit, at a LIMIT or in the configuration,
and then kept; its position counts from there.
"""

import numpy as np

from appliance.hot.admit import PHASE_OPEN, PHASE_PRE_OPEN, open_of
from appliance.hot.feed import trading_action
from appliance.hot.kernel import later
from appliance.hot.lifecycle import next_order
from appliance.hot.raw import raw_load32, raw_store32
from appliance.hot.types import CORE, I64, INLINE, INNER, KERNEL, VOID
from appliance.layout import codes
from appliance.layout.record import (
    CROSS_DONE, CROSSED, DETAIL, DUPLICATE_WINDOW, DUPLICATES, GUARD_KILLED, GUARD_LIMITS,
    GUARD_MODE, LIFT, MAX_NOTIONAL, MAX_OPEN, MAX_POSITION, MAX_QUANTITY, MODE_HALTED, PRICE_BAND,
    RESTRICTED, SCOPE_ACCOUNT, SCOPE_SYMBOL, SYMBOL, TRADE,
)
from appliance.layout.shared import ALREADY, DISABLED_BY_OPERATOR, DONE, NO_ROOM, NOT_NOW

KILL_ACCOUNT, KILL_SYMBOL, KILL_VENUE = ord("A"), ord("S"), ord("V")     # detail.cross of KILL
_MOST_POSITION = 1 << 62
_ONE32 = np.uint32(1)
_FIRM, _REASON = DETAIL["firm"].off, SYMBOL["reason"].off


@later(VOID(CORE, I64), **INNER)
def reckon(core, handle):
    """Brings what is counted of an order up to date."""
    cold = core.accounts.cold[handle]
    slot = np.int64(core.accounts.sessions[np.int64(cold["account"])]["limits"])
    if slot == 0:
        return
    before, shares = np.int64(core.risk.counted[handle]), np.int64(0)
    if core.book.orders[handle]["qty"] != 0:
        shares = open_of(core, handle)
    if shares == before:
        return
    core.risk.counted[handle] = np.uint32(shares)
    pair = core.risk.exposures[slot * core.book.symbols.size + np.int64(cold["symbol"])]
    if np.int64(cold["side_letter"]) == codes.SIDE_BUY:
        pair["open_buy"] = np.uint64(np.int64(pair["open_buy"]) + shares - before)
    else:
        pair["open_sell"] = np.uint64(np.int64(pair["open_sell"]) + shares - before)
    if before == 0:
        pair["open_cnt"] += _ONE32
    elif shares == 0:
        pair["open_cnt"] -= _ONE32


@later(I64(I64, I64), **INLINE)
def moved(position, shares):
    """position + shares, kept within 2^62 shares either way."""
    most = np.int64(_MOST_POSITION)
    return max(min(position + shares, most), -most)


@later(VOID(CORE, I64, I64), **INNER)
def _filled(core, handle, qty):
    """Shares that an order has bought or sold."""
    cold = core.accounts.cold[handle]
    slot = np.int64(core.accounts.sessions[np.int64(cold["account"])]["limits"])
    if slot != 0:
        pair = core.risk.exposures[slot * core.book.symbols.size + np.int64(cold["symbol"])]
        buys = np.int64(cold["side_letter"]) == codes.SIDE_BUY
        pair["position"] = moved(np.int64(pair["position"]), qty if buys else -qty)


@later(VOID(CORE, I64), **INNER)
def follow(core, event_cnt):
    """Takes burst.events[0:event_cnt] into the exposures; the orders are as they leave them."""
    for i in range(event_cnt):
        event = core.burst.events[i]
        kind, order, other = (np.int64(event["kind"]), np.int64(event["order"]),
                              np.int64(event["resting"]))
        if kind == CROSS_DONE:
            continue
        if kind == TRADE or kind == CROSSED:
            _filled(core, order, np.int64(event["qty"]))
            _filled(core, other, np.int64(event["qty"]))
        if order != 0:
            reckon(core, order)
        if other != 0 and other != order:
            reckon(core, other)


@later(VOID(CORE, I64), **INNER)
def _reckon_all(core, account):
    """The same of each of an account's orders."""
    handle = next_order(core, np.int64(-1), account, np.int64(0))
    while handle != 0:
        reckon(core, handle)
        handle = next_order(core, np.int64(-1), account, handle)


@later(VOID(CORE), **KERNEL)
def recount(core):
    """Counts the open orders of every account that has a slot, from nothing."""
    for handle in range(core.risk.counted.size):
        core.risk.counted[handle] = np.uint32(0)
    for place in range(core.risk.exposures.size):
        pair = core.risk.exposures[place]
        pair["open_buy"], pair["open_sell"] = np.uint64(0), np.uint64(0)
        pair["open_cnt"] = np.uint32(0)
    for account in range(core.accounts.sessions.size):
        _reckon_all(core, np.int64(account))


@later(I64(CORE, I64), **INNER)
def take_slot(core, account):
    """The account's slot, a new one if need be with its open orders counted; 0 when all are used.
    """
    session, engine = core.accounts.sessions[account], core.book.engine[0]
    slot = np.int64(session["limits"])
    if slot == 0 and np.int64(engine["slots"]) + 1 < core.risk.limits.size:
        engine["slots"] += _ONE32
        slot = np.int64(engine["slots"])
        session["limits"], core.risk.limits[slot]["account"] = np.uint16(slot), np.uint16(account)
        _reckon_all(core, account)
    return slot


@later(I64(CORE, I64, I64, I64), **INNER)
def _limit_symbol(core, symbol, rule, value):
    """A limit for everybody in a symbol; what came of it."""
    entry, wide = core.risk.exposures[symbol], np.uint64(value)
    word = np.uint32(value & 0xFFFFFFFF)
    if rule == MAX_QUANTITY:
        same, entry["max_quantity"] = entry["max_quantity"] == word, word
    elif rule == PRICE_BAND:
        same, entry["price_band"] = entry["price_band"] == word, word
    elif rule == MAX_NOTIONAL:
        same, entry["max_notional"] = entry["max_notional"] == wide, wide
    else:
        return np.int64(NOT_NOW)
    guard = np.int64(core.book.symbols[symbol]["guard"]) & ~GUARD_LIMITS
    if entry["max_quantity"] != 0 or entry["price_band"] != 0 or entry["max_notional"] != 0:
        guard |= GUARD_LIMITS
    core.book.symbols[symbol]["guard"] = np.uint8(guard)
    return np.int64(ALREADY if same else DONE)


@later(I64(CORE, I64, I64, I64), **INNER)
def _limit_account(core, slot, rule, value):
    """A limit of an account in every symbol."""
    row, wide, word = core.risk.limits[slot], np.uint64(value), np.uint32(value & 0xFFFFFFFF)
    if rule == MAX_QUANTITY:
        same, row["max_quantity"] = row["max_quantity"] == word, word
    elif rule == MAX_NOTIONAL:
        same, row["max_notional"] = row["max_notional"] == wide, wide
    elif rule == MAX_OPEN:
        same, row["max_open"] = row["max_open"] == word, word
    elif rule == MAX_POSITION:
        same, row["max_position"] = row["max_position"] == wide, wide
    elif rule == PRICE_BAND:
        same, row["price_band"] = row["price_band"] == word, word
    elif rule == DUPLICATES:
        same, row["duplicates"] = row["duplicates"] == word, word
    elif rule == DUPLICATE_WINDOW:
        same, row["duplicate_window"] = row["duplicate_window"] == word, word
    else:
        return np.int64(NOT_NOW)
    return np.int64(ALREADY if same else DONE)


@later(I64(CORE, I64, I64, I64), **INNER)
def _limit_pair(core, place, rule, value):
    """A limit of an account in one symbol."""
    row, wide, word = core.risk.exposures[place], np.uint64(value), np.uint32(value & 0xFFFFFFFF)
    if rule == MAX_QUANTITY:
        same, row["max_quantity"] = row["max_quantity"] == word, word
    elif rule == MAX_NOTIONAL:
        same, row["max_notional"] = row["max_notional"] == wide, wide
    elif rule == MAX_OPEN:
        same, row["max_open"] = row["max_open"] == word, word
    elif rule == MAX_POSITION:
        same, row["max_position"] = row["max_position"] == wide, wide
    elif rule == PRICE_BAND:
        same, row["price_band"] = row["price_band"] == word, word
    elif rule == RESTRICTED:
        word = np.uint32(word != np.uint32(0))
        same, row["restricted"] = row["restricted"] == word, word
    else:
        return np.int64(NOT_NOW)
    return np.int64(ALREADY if same else DONE)


@later(I64(CORE, I64), **INNER)
def set_limit(core, idx):
    """LIMIT in burst record idx; what came of it. A rule that its scope has not, or a value out of
    range, changes nothing."""
    command, detail = core.burst.commands[idx], core.burst.details[idx]
    rule, scope = np.int64(detail["side_letter"]), np.int64(detail["present"])
    account, symbol = np.int64(command["account"]), np.int64(command["symbol"])
    wide = rule == MAX_NOTIONAL or rule == MAX_POSITION
    most = np.uint64(_MOST_POSITION) if wide else np.uint64(0xFFFFFFFF)
    if detail["upstream_seq"] > most:
        return np.int64(NOT_NOW)
    value = np.int64(detail["upstream_seq"])
    if scope == SCOPE_SYMBOL:
        return _limit_symbol(core, symbol, rule, value)
    if value == 0 and core.accounts.sessions[account]["limits"] == 0:
        return np.int64(ALREADY)
    slot = take_slot(core, account)
    if slot == 0:
        return np.int64(NO_ROOM)
    if scope == SCOPE_ACCOUNT:
        return _limit_account(core, slot, rule, value)
    return _limit_pair(core, slot * core.book.symbols.size + symbol, rule, value)


@later(I64(CORE, I64), **INNER)
def set_kill(core, idx):
    """KILL in burst record idx, or its end; what came of it. The orders leave afterwards."""
    command = core.burst.commands[idx]
    on = np.int64(np.int64(command["flags"]) & LIFT == 0)
    letter, before = np.int64(core.burst.details[idx]["cross"]), np.int64(0)
    if letter == KILL_ACCOUNT:
        session = core.accounts.sessions[np.int64(command["account"])]
        bits = np.int64(session["disabled"])
        before = np.int64(bits & DISABLED_BY_OPERATOR != 0)
        session["disabled"] = np.uint8((bits & ~DISABLED_BY_OPERATOR)
                                       | (DISABLED_BY_OPERATOR if on else 0))
    elif letter == KILL_SYMBOL:
        entry = core.book.symbols[np.int64(command["symbol"])]
        bits = np.int64(entry["guard"])
        before = np.int64(bits & GUARD_KILLED != 0)
        entry["guard"] = np.uint8((bits & ~GUARD_KILLED) | (GUARD_KILLED if on else 0))
    elif letter == KILL_VENUE:
        before = np.int64(core.book.engine[0]["killed"])
        core.book.engine[0]["killed"] = np.uint32(on)
    else:
        return np.int64(NOT_NOW)
    return np.int64(ALREADY if before == on else DONE)


@later(I64(CORE, I64), **INNER)
def set_mode(core, idx):
    """MODE in burst record idx; what came of it. Halting halts every symbol that trades, and ending
    that lets those trade again; the feed is told of each."""
    engine, mode = core.book.engine[0], np.int64(core.burst.details[idx]["side_letter"])
    old, phase = np.int64(engine["mode"]), np.int64(engine["phase"])
    if mode > MODE_HALTED or (phase != PHASE_OPEN and phase != PHASE_PRE_OPEN):
        return np.int64(NOT_NOW)
    if mode == old:
        return np.int64(ALREADY)
    engine["mode"] = np.uint32(mode)
    for symbol in range(core.book.symbols.size):
        entry = core.book.symbols[symbol]
        guard, state = np.int64(entry["guard"]), np.int64(entry["state"])
        halts = mode == MODE_HALTED and state == codes.TRADING_NORMAL
        if halts or (old == MODE_HALTED and guard & GUARD_MODE != 0):
            entry["guard"] = np.uint8(guard ^ GUARD_MODE)
            entry["state"] = np.uint8(codes.TRADING_HALTED if halts else codes.TRADING_NORMAL)
            raw_store32(core.book.symbols, symbol, _REASON,
                        raw_load32(core.burst.details, idx, _FIRM))
            trading_action(core, symbol)
    return np.int64(DONE)
