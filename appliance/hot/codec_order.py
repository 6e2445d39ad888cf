"""Enter and Replace: the two OUCH messages that bring a new order (wire-spec 5.3).

Each gets a burst record that is zero but for clordid (spaces) and user_ref_num, and fills it; the
first failing check goes into detail.reject. Called by `codec.decode`, which explains the rest.
"""

import numpy as np

from appliance.hot.appendage import has_tag, structure, tags_of_order
from appliance.hot.endian import load_be32, load_be64, load_le64
from appliance.hot.kernel import later
from appliance.hot.raw import raw_store64
from appliance.hot.symbols import find_symbol
from appliance.hot.types import (
    BYTES, COMMANDS, DETAILS, I64, INLINE, INNER, SESSIONS, SYMBOLS, VOID,
)
from appliance.layout import codes
from appliance.layout.record import (
    AUCTION, DETAIL, ENTER, HIDDEN, MARKET, ON_CLOSE, POST_ONLY, REJECT, REPLACE,
)
from appliance.layout.wire_ouch import OUCH_IN

_ONE = np.uint64(1)
_ENTER, _REPLACE = OUCH_IN["O"], OUCH_IN["U"]
_ENTER_SZ, _REPLACE_SZ = _ENTER.size, _REPLACE.size
_E_SIDE, _E_QTY, _E_SYMBOL = _ENTER["side"].off, _ENTER["quantity"].off, _ENTER["symbol"].off
_E_PRICE, _E_TIF, _E_DISPLAY = (_ENTER["price"].off, _ENTER["time_in_force"].off,
                                _ENTER["display"].off)
_E_CAPACITY, _E_SWEEP, _E_CROSS = (_ENTER["capacity"].off, _ENTER["intermarket_sweep"].off,
                                   _ENTER["cross_type"].off)
_E_CLORDID, _E_APPENDAGE = _ENTER["cl_ord_id"].off, _ENTER["appendage_length"].off
_U_QTY, _U_PRICE, _U_TIF = (_REPLACE["quantity"].off, _REPLACE["price"].off,
                            _REPLACE["time_in_force"].off)
_U_DISPLAY, _U_SWEEP = _REPLACE["display"].off, _REPLACE["intermarket_sweep"].off
_U_CLORDID, _U_APPENDAGE = _REPLACE["cl_ord_id"].off, _REPLACE["appendage_length"].off

_D_CLORDID, _D_SYMBOL = DETAIL["clordid"].off, DETAIL["symbol_text"].off
_QTY_MAX, _PRICE_MAX = codes.QUANTITY_MAX, np.uint64(codes.PRICE_MAX)
_MARKET, _MARKET_ITCH = np.uint64(codes.PRICE_MARKET), np.uint64(codes.PRICE_MARKET_ITCH)
_MARKET_BUY_TICKS = codes.PRICE_MARKET
_OTHER, _BAD_PRICE = codes.REJECT_OTHER, codes.REJECT_INVALID_PRICE


@later(VOID(BYTES, I64, DETAILS, I64), **INLINE)
def _echo_clordid(frames, start, details, idx):
    """Copies 14 bytes as two overlapping words."""
    raw_store64(details, idx, _D_CLORDID, load_le64(frames, start))
    raw_store64(details, idx, _D_CLORDID + 6, load_le64(frames, start + 6))


@later(VOID(COMMANDS, DETAILS, I64), **INNER)
def malformed(commands, details, idx):
    """A message whose UserRefNum can be read and whose structure is wrong."""
    commands[idx]["kind"] = np.uint8(REJECT)
    details[idx]["reject"] = np.uint16(_OTHER)


@later(I64(I64), **INLINE)
def _tif_of(letter):
    """command.tif of a time in force; of an unknown one, which is refused later, 0."""
    if letter == codes.TIF_IMMEDIATE_OR_CANCEL:
        return np.int64(3)
    return np.int64(6) if letter == codes.TIF_GOOD_TILL_TIME else np.int64(0)


@later(I64(I64, I64, I64, I64), **INLINE)
def _terms(tif, display, stays, ticks_wrong):
    """The first failing check of price and terms: reject code or 0.

    stays: a market order would wait for somebody unless it is immediate.
    """
    if ticks_wrong != 0:
        return np.int64(_BAD_PRICE)
    if tif != codes.TIF_DAY and tif != codes.TIF_IMMEDIATE_OR_CANCEL \
            and tif != codes.TIF_GOOD_TILL_TIME:
        return np.int64(_OTHER)
    if stays != 0 and tif != codes.TIF_IMMEDIATE_OR_CANCEL:
        return np.int64(_BAD_PRICE)
    if display != codes.DISPLAY_VISIBLE and display != codes.DISPLAY_ATTRIBUTABLE \
            and display != codes.DISPLAY_HIDDEN:
        return np.int64(codes.REJECT_INVALID_DISPLAY)
    return np.int64(0)


@later(I64(I64), **INLINE)
def _sweep(sweep):
    if sweep == codes.FLAG_YES:
        return np.int64(codes.REJECT_ISO_NOT_ALLOWED)
    return np.int64(0) if sweep == codes.FLAG_NO else np.int64(_OTHER)


@later(I64(I64, I64), **INLINE)
def _cross(cross, tif):
    if cross == codes.CROSS_CONTINUOUS:
        return np.int64(0)
    known = (cross == codes.CROSS_OPENING or cross == codes.CROSS_CLOSING
             or cross == codes.CROSS_HALT_OR_IPO)
    if not known or tif == codes.TIF_GOOD_TILL_TIME:
        return np.int64(codes.REJECT_INVALID_CROSS_ORDER)
    return np.int64(0)


@later(I64(COMMANDS, DETAILS, I64, I64), **INNER)
def against_cross(commands, details, idx, cross):
    """What an order of this cross type may not have beside it: reject code or 0."""
    if cross == codes.CROSS_CONTINUOUS:
        return np.int64(0)
    if commands[idx]["min_qty"] != 0:
        return np.int64(codes.REJECT_INVALID_MIN_QUANTITY)
    if details[idx]["max_floor"] != 0:
        return np.int64(codes.REJECT_INVALID_MAX_FLOOR)
    if np.int64(commands[idx]["flags"]) & POST_ONLY != 0:
        return np.int64(_OTHER)
    return np.int64(0)


@later(I64(COMMANDS, DETAILS, I64, I64, I64), **INNER)
def _conditions(commands, details, idx, cross, has_expiry):
    """The tags against the order: first reject code or 0. has_expiry: tag 15 was sent."""
    command, detail = commands[idx], details[idx]
    minimum, tif = np.int64(command["min_qty"]), np.int64(detail["tif_letter"])
    immediate = tif == codes.TIF_IMMEDIATE_OR_CANCEL
    hidden = np.int64(detail["display"]) == codes.DISPLAY_HIDDEN
    auction = cross != codes.CROSS_CONTINUOUS
    if minimum > np.int64(command["qty"]) \
            or (minimum > 0 and ((not immediate and not hidden) or auction)):
        return np.int64(codes.REJECT_INVALID_MIN_QUANTITY)
    if detail["max_floor"] != 0 and (hidden or immediate or auction):
        return np.int64(codes.REJECT_INVALID_MAX_FLOOR)
    if (immediate or auction) and np.int64(command["flags"]) & POST_ONLY != 0:
        return np.int64(_OTHER)
    seconds, expires = np.int64(detail["expire_s"]), tif == codes.TIF_GOOD_TILL_TIME
    if expires != (has_expiry != 0) \
            or (expires and (seconds < 1 or seconds > codes.EXPIRE_TIME_MAX)):
        return np.int64(_OTHER)
    return np.int64(0)


@later(I64(BYTES, I64, I64, COMMANDS, DETAILS, I64, I64, I64), **INNER)
def _appendage(frames, start, stop, commands, details, idx, default_smp, cross):
    """Tags in [start, stop) and all they must agree with: first reject code or 0."""
    code, has_expiry = np.int64(0), np.int64(0)
    if start < stop:
        code = tags_of_order(frames, start, stop, commands, details, idx, default_smp)
        has_expiry = np.int64(has_tag(frames, start, stop, np.int64(codes.OPTION_EXPIRE_TIME)))
    return _conditions(commands, details, idx, cross, has_expiry) if code == 0 else code


@later(VOID(BYTES, I64, I64, I64, I64, COMMANDS, DETAILS, SESSIONS, SYMBOLS), **INNER)
def decode_enter(frames, off, length, account, idx, commands, details, sessions, symbols):
    command, detail = commands[idx], details[idx]
    if length >= _ENTER_SZ:
        _echo_clordid(frames, off + _E_CLORDID, details, idx)
    if length < _ENTER_SZ or not structure(frames, off + _E_APPENDAGE, off + length):
        malformed(commands, details, idx)
        return
    command["kind"] = np.uint8(ENTER)
    side, tif = np.int64(frames[off + _E_SIDE]), np.int64(frames[off + _E_TIF])
    qty = np.int64(load_be32(frames, off + _E_QTY))
    name, price = load_le64(frames, off + _E_SYMBOL), load_be64(frames, off + _E_PRICE)
    display, sweep = np.int64(frames[off + _E_DISPLAY]), np.int64(frames[off + _E_SWEEP])
    capacity, cross = np.int64(frames[off + _E_CAPACITY]), np.int64(frames[off + _E_CROSS])
    buys, continuous = side == codes.SIDE_BUY, cross == codes.CROSS_CONTINUOUS
    command["side"] = np.uint8(0) if buys else np.uint8(1)
    command["tif"] = np.uint8(_tif_of(tif))
    command["qty"] = np.uint32(qty)
    detail["side_letter"], detail["tif_letter"] = np.uint8(side), np.uint8(tif)
    detail["display"], detail["capacity"] = np.uint8(display), np.uint8(capacity)
    detail["sweep"], detail["cross"] = np.uint8(sweep), np.uint8(cross)
    raw_store64(details, idx, _D_SYMBOL, name)
    default_smp = np.int64(sessions[account]["smp_default"])
    command["smp"] = np.uint8(default_smp)

    if not buys and side != codes.SIDE_SELL and side != codes.SIDE_SELL_SHORT \
            and side != codes.SIDE_SELL_SHORT_EXEMPT:
        detail["reject"] = np.uint16(codes.REJECT_INVALID_SIDE)
        return
    if qty < 1 or qty > _QTY_MAX:
        detail["reject"] = np.uint16(codes.REJECT_INVALID_QUANTITY)
        return
    symbol = find_symbol(symbols, name)
    if symbol < 0:
        detail["reject"] = np.uint16(codes.REJECT_INVALID_SYMBOL)
        return
    command["symbol"] = np.uint16(symbol)
    is_market = price == _MARKET or price == _MARKET_ITCH
    ticks, wrong, flags = np.int64(0), np.int64(0), np.int64(0)
    if not continuous:
        flags = np.int64(AUCTION | ON_CLOSE) if cross == codes.CROSS_CLOSING else np.int64(AUCTION)
    elif display == codes.DISPLAY_HIDDEN:
        flags = np.int64(HIDDEN)
    if is_market:
        flags |= MARKET
        ticks = np.int64(_MARKET_BUY_TICKS) if buys else np.int64(0)
    elif price < _ONE or price > _PRICE_MAX:
        wrong = np.int64(1)
    else:
        tick = np.int64(symbols[symbol]["tick_size"])
        ticks = np.int64(price) // tick
        wrong = np.int64(ticks * tick != np.int64(price))
    command["price_ticks"], command["flags"] = np.int32(ticks), np.uint8(flags)
    code = _terms(tif, display, np.int64(is_market and continuous), wrong)
    if code == 0 and capacity != codes.CAPACITY_AGENCY and capacity != codes.CAPACITY_PRINCIPAL \
            and capacity != codes.CAPACITY_RISKLESS and capacity != codes.CAPACITY_OTHER:
        code = np.int64(_OTHER)
    if code == 0:
        code = _sweep(sweep)
    if code == 0:
        code = _cross(cross, tif)
    if code == 0:
        code = _appendage(frames, off + _ENTER_SZ, off + length, commands, details, idx,
                          default_smp, cross)
    detail["reject"] = np.uint16(code)


@later(VOID(BYTES, I64, I64, I64, I64, COMMANDS, DETAILS, SESSIONS), **INNER)
def decode_replace(frames, off, length, account, idx, commands, details, sessions):
    command, detail = commands[idx], details[idx]
    if length >= _REPLACE_SZ:
        _echo_clordid(frames, off + _U_CLORDID, details, idx)
    if length < _REPLACE_SZ or not structure(frames, off + _U_APPENDAGE, off + length):
        malformed(commands, details, idx)
        return
    command["kind"] = np.uint8(REPLACE)
    tif, qty = np.int64(frames[off + _U_TIF]), np.int64(load_be32(frames, off + _U_QTY))
    price = load_be64(frames, off + _U_PRICE)
    display, sweep = np.int64(frames[off + _U_DISPLAY]), np.int64(frames[off + _U_SWEEP])
    command["tif"] = np.uint8(_tif_of(tif))
    command["qty"] = np.uint32(qty)
    detail["tif_letter"], detail["display"] = np.uint8(tif), np.uint8(display)
    detail["sweep"] = np.uint8(sweep)
    default_smp = np.int64(sessions[account]["smp_default"])
    command["smp"] = np.uint8(default_smp)
    if qty < 1 or qty > _QTY_MAX:
        detail["reject"] = np.uint16(codes.REJECT_INVALID_QUANTITY)
        return
    is_market, wrong = price == _MARKET or price == _MARKET_ITCH, np.int64(0)
    if is_market:
        command["flags"] = np.uint8(MARKET)
        price = _MARKET
    elif price < _ONE or price > _PRICE_MAX:
        wrong, price = np.int64(1), np.uint64(0)
    command["price_ticks"] = np.int32(price)
    code = _terms(tif, display, np.int64(is_market), wrong)
    if code == 0:
        code = _sweep(sweep)
    if code == 0:
        code = _appendage(frames, off + _REPLACE_SZ, off + length, commands, details, idx,
                          default_smp, np.int64(codes.CROSS_CONTINUOUS))
    detail["reject"] = np.uint16(code)
