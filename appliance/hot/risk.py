"""Pre-trade risk: what an order may not be, judged before the book sees it.

`is_guarded` is all that an order costs whose account and symbol have no limits. Of an account's own
limits, those for it in this symbol and the symbol's the tightest counts. Whoever has a limit has a
slot; slot 0 has the symbols' own limits, and none of an account. All numbers are integers within
64 bits whatever a record says: a price is cut at 32 bits before it is multiplied.
"""

import numpy as np

from appliance.hot.kernel import later
from appliance.hot.types import CORE, I64, INLINE, INNER
from appliance.layout import codes
from appliance.layout.record import (
    GUARD_KILLED, MODE_CANCEL_ONLY, MODE_HALTED, RECENT_CNT,
)
from appliance.layout.shared import COUNTER_INDEX

_ONE, _ONE32 = np.uint64(1), np.uint32(1)
_MOST = np.int64(0xFFFFFFFF)
_BASIS, _MS_NS = np.uint64(10_000), np.uint64(1_000_000)
_GOLDEN, _LOW = np.uint64(0x9E3779B1), np.uint64(0xFFFFFFFF)
_QUANTITY, _NOTIONAL, _OPEN, _POSITION, _PRICE, _DUPLICATE, _RESTRICTED, _KILLED, _MODE = (
    COUNTER_INDEX[f"risk_{name}"] for name in (
        "quantity", "notional", "open", "position", "price", "duplicate", "restricted", "killed",
        "mode"))


@later(I64(CORE, I64, I64), **INLINE)
def is_guarded(core, account, symbol):
    """Not 0 when a new order of the account in the symbol has to be judged."""
    engine = core.book.engine[0]
    return (np.int64(core.accounts.sessions[account]["limits"])
            | np.int64(core.book.symbols[symbol]["guard"])
            | np.int64(engine["mode"]) | np.int64(engine["killed"]))


@later(I64(CORE, I64, I64), **INLINE)
def _refused(core, counter, code):
    core.counters[counter] += _ONE
    return code


@later(I64(I64, I64), **INLINE)
def _tighter(first, second):
    """The smaller of two limits, 0 being none."""
    if first == 0 or (second != 0 and second < first):
        return second
    return first


@later(I64(CORE, I64, I64), **INNER)
def _restrained(core, slot, symbol):
    """The reject code while nobody may enter orders, or not this account in this symbol."""
    engine, mode = core.book.engine[0], np.int64(core.book.engine[0]["mode"])
    if engine["killed"] != 0:
        return _refused(core, _KILLED, np.int64(codes.REJECT_DESTINATION_CLOSED))
    if mode == MODE_CANCEL_ONLY:
        return _refused(core, _MODE, np.int64(codes.REJECT_DESTINATION_CLOSED))
    if mode == MODE_HALTED:
        return _refused(core, _MODE, np.int64(codes.REJECT_HALTED))
    if np.int64(core.book.symbols[symbol]["guard"]) & GUARD_KILLED != 0:
        return _refused(core, _KILLED, np.int64(codes.REJECT_HALTED))
    if core.risk.exposures[slot * core.book.symbols.size + symbol]["restricted"] != 0:
        return _refused(core, _RESTRICTED, np.int64(codes.REJECT_RISK_RESTRICTED_STOCK))
    return np.int64(0)


@later(I64(CORE, I64, I64, I64, I64, I64), **INNER)
def _single(core, slot, symbol, side, price_ticks, qty):
    """The reject code of an order that by itself is too large, worth too much, or priced too far
    beyond the reference. A market order is worth what it would be at the reference."""
    entry, own = core.book.symbols[symbol], core.risk.limits[slot]
    pair = core.risk.exposures[slot * core.book.symbols.size + symbol]
    every = core.risk.exposures[symbol]
    limit = _tighter(_tighter(np.int64(own["max_quantity"]), np.int64(pair["max_quantity"])),
                     np.int64(every["max_quantity"]))
    if limit != 0 and qty > limit:
        return _refused(core, _QUANTITY, np.int64(codes.REJECT_RISK_MAX_QUANTITY))
    tick = np.int64(entry["tick_size"])
    reference = min(np.int64(entry["reference_ticks"]) * tick, _MOST)
    market = price_ticks == codes.PRICE_MARKET or price_ticks == 0
    price = reference if market else min(price_ticks * tick, _MOST)
    value = np.uint64(price) * np.uint64(qty)
    for most in (own["max_notional"], pair["max_notional"], every["max_notional"]):
        if most != np.uint64(0) and value > most:
            return _refused(core, _NOTIONAL, np.int64(codes.REJECT_RISK_SINGLE_ORDER_NOTIONAL))
    limit = _tighter(_tighter(np.int64(own["price_band"]), np.int64(pair["price_band"])),
                     np.int64(every["price_band"]))
    beyond = price - reference if side == 0 else reference - price
    if limit != 0 and beyond > 0 \
            and np.uint64(beyond) * _BASIS > np.uint64(limit) * np.uint64(reference):
        return _refused(core, _PRICE, np.int64(codes.REJECT_RISK_FAT_FINGER))
    return np.int64(0)


@later(I64(CORE, I64, I64, I64, I64, I64, I64), **INNER)
def _exposed(core, account, slot, symbol, side, qty, before):
    """The reject code when there would be too many open orders or too large a position."""
    own = core.risk.limits[slot]
    pair = core.risk.exposures[slot * core.book.symbols.size + symbol]
    if before == 0:
        live = np.int64(core.accounts.sessions[account]["live_cnt"])
        most, here = np.int64(own["max_open"]), np.int64(pair["max_open"])
        if (most != 0 and live >= most) or (here != 0 and np.int64(pair["open_cnt"]) >= here):
            return _refused(core, _OPEN, np.int64(codes.REJECT_RISK_AGGREGATE_EXPOSURE))
    limit = _tighter(np.int64(own["max_position"]), np.int64(pair["max_position"]))
    if limit != 0 and qty > before:
        held, waits = np.int64(pair["position"]), np.int64(pair["open_buy"])
        if side != 0:
            held, waits = -held, np.int64(pair["open_sell"])
        if held + (waits - before + qty) > limit:
            return _refused(core, _POSITION, np.int64(codes.REJECT_RISK_AGGREGATE_EXPOSURE))
    return np.int64(0)


@later(I64(CORE, I64, I64, I64, I64, I64), **INNER)
def _repeated(core, slot, symbol, side, price_ticks, qty):
    """The reject code of an order like too many others of its window, else it is counted.

    The window begins with its first order. Kinds that meet in a row displace each other, so a run
    of like orders is always found.
    """
    own, most = core.risk.limits[slot], core.risk.limits[slot]["duplicates"]
    if most == 0:
        return np.int64(0)
    word = (np.uint64(symbol) << np.uint64(52)) ^ (np.uint64(side) << np.uint64(51)) \
        ^ (np.uint64(price_ticks) << np.uint64(20)) ^ np.uint64(qty)
    spread = ((word ^ (word >> np.uint64(32))) & _LOW) * _GOLDEN
    row = core.risk.recent[slot * RECENT_CNT
                           + (np.int64(spread >> np.uint64(26)) & (RECENT_CNT - 1))]
    now = core.book.engine[0]["time_ns"]
    if row["count"] != 0 and np.int64(row["symbol"]) == symbol and np.int64(row["side"]) == side \
            and np.int64(row["price_ticks"]) == price_ticks and np.int64(row["qty"]) == qty \
            and now - row["first_ns"] < np.uint64(own["duplicate_window"]) * _MS_NS:
        if row["count"] >= most:
            return _refused(core, _DUPLICATE,
                            np.int64(codes.REJECT_RISK_DUPLICATE_MESSAGE_RATE))
        row["count"] += _ONE32
        return np.int64(0)
    row["symbol"], row["side"] = np.uint16(symbol), np.uint8(side)
    row["price_ticks"], row["qty"] = np.int32(price_ticks), np.uint32(qty)
    row["first_ns"], row["count"] = now, _ONE32
    return np.int64(0)


@later(I64(CORE, I64, I64, I64, I64, I64, I64), **INNER)
def judge(core, account, symbol, side, price_ticks, qty, before):
    """The reject code of an order of qty open shares, or 0.

    price_ticks: its limit, codes.PRICE_MARKET or 0 of a market order. before: open shares of the
    order whose place it takes or that grows into it; 0 of a new one, the only kind that is counted
    as an order more.
    """
    slot = np.int64(core.accounts.sessions[account]["limits"])
    code = _restrained(core, slot, symbol)
    if code == 0:
        code = _single(core, slot, symbol, side, price_ticks, qty)
    if code == 0 and slot != 0:
        code = _exposed(core, account, slot, symbol, side, qty, before)
        if code == 0 and before == 0:
            code = _repeated(core, slot, symbol, side, price_ticks, qty)
    return code
