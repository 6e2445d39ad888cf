"""The newest trades, kept so that one can be broken: a ring of TRADE_LOG by match number.

A trade stays known until 65,536 newer match numbers have been given out. Breaking it tells both
sides and the feed, once, and changes no order.
"""

import numpy as np

from appliance.hot import prints
from appliance.hot.admit import PHASE_OPEN, PHASE_PRE_OPEN
from appliance.hot.kernel import later
from appliance.hot.notices import broken
from appliance.hot.raw import raw_load64, raw_store64
from appliance.hot.types import CORE, I64, INNER, U64, VOID
from appliance.layout import codes
from appliance.layout.record import ORDER_COLD, TRADE_LOG
from appliance.layout.shared import COUNTER_INDEX, DONE, NOT_NOW

_ONE, _NONE = np.uint64(1), np.uint64(0)
_IGNORED = COUNTER_INDEX["busts_ignored"]
_COLD_CLORDID = ORDER_COLD["clordid"].off
_BUY_CLORDID, _SELL_CLORDID = TRADE_LOG["buy_clordid"].off, TRADE_LOG["sell_clordid"].off
_print_broken = prints.broken


@later(VOID(CORE, I64, I64, U64), **INNER)
def remember_trade(core, buy, sell, match):
    """Notes the trade of two orders, by handle."""
    slot = np.int64(match) & np.int64(core.trades.size - 1)
    trade, cold = core.trades[slot], core.accounts.cold
    trade["number"], trade["symbol"] = match, cold[buy]["symbol"]
    trade["buy_account"], trade["sell_account"] = cold[buy]["account"], cold[sell]["account"]
    trade["buy_ref"], trade["sell_ref"] = cold[buy]["user_ref_num"], cold[sell]["user_ref_num"]
    for off in (0, 6):
        raw_store64(core.trades, slot, _BUY_CLORDID + off,
                    raw_load64(cold, buy, _COLD_CLORDID + off))
        raw_store64(core.trades, slot, _SELL_CLORDID + off,
                    raw_load64(cold, sell, _COLD_CLORDID + off))


@later(VOID(CORE, U64), **INNER)
def forget_trade(core, match):
    """The number was given to something that is no trade."""
    core.trades[np.int64(match) & np.int64(core.trades.size - 1)]["number"] = _NONE


@later(I64(CORE, I64), **INNER)
def bust(core, idx):
    """BUST in burst record idx; ignored and counted when there is nothing to be broken, or the
    day is not yet or no more. What came of it."""
    detail = core.burst.details[idx]
    match, reason = detail["upstream_seq"], np.int64(detail["side_letter"])
    slot = np.int64(match & np.uint64(core.trades.size - 1))
    phase = np.int64(core.book.engine[0]["phase"])
    known = match != _NONE and core.trades[slot]["number"] == match \
        and (phase == PHASE_OPEN or phase == PHASE_PRE_OPEN)
    allowed = (reason == codes.BROKEN_ERRONEOUS or reason == codes.BROKEN_CONSENT
               or reason == codes.BROKEN_SUPERVISORY or reason == codes.BROKEN_EXTERNAL)
    if not known or not allowed:
        core.counters[_IGNORED] += _ONE
        return np.int64(NOT_NOW)
    broken(core, slot, np.int64(0), reason)
    broken(core, slot, np.int64(1), reason)
    _print_broken(core, np.int64(core.trades[slot]["symbol"]), match)
    forget_trade(core, match)
    return np.int64(DONE)
