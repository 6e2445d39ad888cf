"""A symbol's trading state as the operator sets it, and the imbalance messages before a cross."""

import numpy as np

from appliance.hot import cross, prints
from appliance.hot.admit import PHASE_OPEN, PHASE_PRE_OPEN
from appliance.hot.auction import group_of
from appliance.hot.feed import trading_action
from appliance.hot.kernel import later
from appliance.hot.raw import raw_load32, raw_store32
from appliance.hot.types import CORE, I64, INNER, VOID
from appliance.layout import codes
from appliance.layout.record import DETAIL, GUARD_MODE, MODE_HALTED, SYMBOL

IGNORED, AT_ONCE, AFTER_CROSS = 0, 1, 2
_FIRM, _REASON = DETAIL["firm"].off, SYMBOL["reason"].off
_of_cross, _print_imbalance = cross.imbalance, prints.imbalance


@later(I64(CORE, I64), **INNER)
def judge(core, idx):
    """What HALT in burst record idx comes to: IGNORED, AT_ONCE or AFTER_CROSS.

    It is taken before the opening and in open hours; a halt cross is held in open hours only. While
    the whole venue is halted (MODE) nothing resumes, and a halt of a symbol outlasts that.
    """
    symbol = np.int64(core.burst.commands[idx]["symbol"])
    phase = np.int64(core.book.engine[0]["phase"])
    new = np.int64(core.burst.details[idx]["side_letter"])
    if symbol >= core.book.symbols.size or (phase != PHASE_OPEN and phase != PHASE_PRE_OPEN):
        return np.int64(IGNORED)
    old = np.int64(core.book.symbols[symbol]["state"])
    known = (new == codes.TRADING_HALTED or new == codes.TRADING_PAUSED
             or new == codes.TRADING_QUOTATION_ONLY or new == codes.TRADING_NORMAL)
    by_mode = np.int64(core.book.symbols[symbol]["guard"]) & GUARD_MODE
    if not known or (new == old and by_mode == 0) or (new == codes.TRADING_NORMAL and np.int64(
            core.book.engine[0]["mode"]) == MODE_HALTED):
        return np.int64(IGNORED)
    resumes = old == codes.TRADING_QUOTATION_ONLY and new == codes.TRADING_NORMAL
    return np.int64(AFTER_CROSS if resumes and phase == PHASE_OPEN else AT_ONCE)


@later(VOID(CORE, I64), **INNER)
def set_state(core, idx):
    """Gives the symbol the state and the reason of HALT in burst record idx."""
    symbol = np.int64(core.burst.commands[idx]["symbol"])
    entry = core.book.symbols[symbol]
    entry["state"] = core.burst.details[idx]["side_letter"]
    entry["guard"] = np.uint8(np.int64(entry["guard"]) & ~GUARD_MODE)
    raw_store32(core.book.symbols, symbol, _REASON, raw_load32(core.burst.details, idx, _FIRM))
    trading_action(core, symbol)


@later(VOID(CORE, I64), **INNER)
def tell_imbalances(core, idx):
    """IMBALANCE in burst record idx: `I` for each symbol whose cross of this type may come."""
    phase = np.int64(core.book.engine[0]["phase"])
    letter, wanted = np.int64(core.burst.details[idx]["cross"]), np.int64(codes.TRADING_NORMAL)
    if letter == codes.CROSS_HALT_OR_IPO:
        wanted = np.int64(codes.TRADING_QUOTATION_ONLY)
    before = phase == PHASE_PRE_OPEN and letter != codes.CROSS_CLOSING
    within = phase == PHASE_OPEN and letter != codes.CROSS_OPENING
    if not (before or within) or (letter != codes.CROSS_OPENING and letter != codes.CROSS_CLOSING
                                  and letter != codes.CROSS_HALT_OR_IPO):
        return
    none = before and letter == codes.CROSS_HALT_OR_IPO     # O orders wait there as well
    for symbol in range(core.book.symbols.size):
        if np.int64(core.book.symbols[symbol]["state"]) != wanted:
            continue
        if none:
            zero = np.int64(0)
            _print_imbalance(core, np.int64(symbol), letter, zero, zero,
                             codes.IMBALANCE_TOO_FEW_ORDERS, zero, zero, zero,
                             codes.VARIATION_NOT_AVAILABLE)
        else:
            paired, unpaired, direction, far, near, reference, variation = _of_cross(
                core.book, np.int64(symbol), group_of(letter))
            _print_imbalance(core, np.int64(symbol), letter, paired, unpaired, direction, far, near,
                             reference, variation)
