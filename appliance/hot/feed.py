"""ITCH 5.0 out: what all may know of the book becomes messages in the feed's log (wire-spec 3).

The log always takes a message. Handles are of orders whose `order_cold` is written; quantities are
int64, prices in ticks, numbers n without the partition. Tracking numbers are 0.
"""

import numpy as np

from appliance.hot.endian import (
    store_be16, store_be32, store_be48, store_be64, store_le32, store_le64,
)
from appliance.hot.feedlog import append_begin
from appliance.hot.kernel import later
from appliance.hot.raw import raw_load32, raw_load64
from appliance.hot.reports import limit_of, wire_number
from appliance.hot.types import CORE, I64, INLINE, INNER, U64, VOID
from appliance.layout import codes
from appliance.layout.record import ORDER_COLD, SYMBOL, TAG_FIRM
from appliance.layout.shared import SESSION
from appliance.layout.wire_itch import ITCH, ITCH_HEADER

_LOCATE, _TRACKING, _TIME = (ITCH_HEADER["stock_locate"].off, ITCH_HEADER["tracking_number"].off,
                             ITCH_HEADER["timestamp"].off)
_ADD, _ATTRIBUTED, _EXECUTED, _CANCEL = ITCH["A"], ITCH["F"], ITCH["E"], ITCH["X"]
_DELETE, _REPLACE, _EVENT, _DIRECTORY, _TRADING = (ITCH["D"], ITCH["U"], ITCH["S"], ITCH["R"],
                                                   ITCH["H"])
_REF = _ADD["order_reference_number"].off            # also of E X D U
_ADD_SZ, _ATTRIBUTED_SZ = _ADD.size, _ATTRIBUTED.size
_A_SIDE, _A_QTY, _A_STOCK, _A_PRICE = (_ADD["buy_sell_indicator"].off, _ADD["shares"].off,
                                       _ADD["stock"].off, _ADD["price"].off)
_F_FIRM = _ATTRIBUTED["attribution"].off
_EXECUTED_SZ, _E_QTY, _E_MATCH = (_EXECUTED.size, _EXECUTED["executed_shares"].off,
                                  _EXECUTED["match_number"].off)
_CANCEL_SZ, _X_QTY, _DELETE_SZ = _CANCEL.size, _CANCEL["cancelled_shares"].off, _DELETE.size
_REPLACE_SZ, _U_NEW, _U_QTY, _U_PRICE = (
    _REPLACE.size, _REPLACE["new_order_reference_number"].off, _REPLACE["shares"].off,
    _REPLACE["price"].off)
_EVENT_SZ, _S_CODE = _EVENT.size, _EVENT["event_code"].off
_DIRECTORY_SZ, _R_STOCK = _DIRECTORY.size, _DIRECTORY["stock"].off
_R_LOT, _R_FACTOR = _DIRECTORY["round_lot_size"].off, _DIRECTORY["etp_leverage_factor"].off
_R_LOTS_ONLY, _R_CLASS = (_DIRECTORY["round_lots_only"].off,
                          _DIRECTORY["issue_classification"].off)
_R_SUBTYPE, _R_AUTHENTICITY, _R_ETP = (_DIRECTORY["issue_sub_type"].off,
                                       _DIRECTORY["authenticity"].off, _DIRECTORY["etp_flag"].off)
_R_INVERSE = _DIRECTORY["inverse_indicator"].off
_TRADING_SZ, _H_STOCK, _H_STATE = (_TRADING.size, _TRADING["stock"].off,
                                   _TRADING["trading_state"].off)
_H_RESERVED, _H_REASON = _TRADING["reserved"].off, _TRADING["reason"].off

_COLD_FIRM, _SESSION_FIRM = ORDER_COLD["firm"].off, SESSION["default_firm"].off
_SYMBOL_NAME, _SYMBOL_REASON = SYMBOL["name"].off, SYMBOL["reason"].off
_SPACE, _SPACES4, _NO_REASON = np.uint8(ord(" ")), np.uint64(0x20202020), np.uint64(0)


@later(I64(CORE, I64, I64, I64), **INLINE)
def begin(core, length, letter, locate):
    """Begins a message with the 11 common bytes; its place in feed.ring."""
    place, ring = append_begin(core, length), core.feed.ring
    ring[place] = np.uint8(letter)
    store_be16(ring, place + _LOCATE, locate)
    store_be16(ring, place + _TRACKING, 0)
    store_be48(ring, place + _TIME, core.book.engine[0]["time_ns"])
    return place


@later(I64(CORE, I64, I64, I64), **INLINE)
def begin_order(core, length, letter, handle):
    """The same of an order: its locate and its present order_ref."""
    cold = core.accounts.cold[handle]
    locate = np.int64(core.book.symbols[np.int64(cold["symbol"])]["locate"])
    place = begin(core, length, letter, locate)
    store_be64(core.feed.ring, place + _REF, wire_number(core, cold["order_ref"]))
    return place


@later(VOID(CORE, I64, I64), **INLINE)
def booked(core, handle, qty):
    """`A`, or `F` when the order is attributable: with its own firm, else its account's."""
    cold, ring = core.accounts.cold[handle], core.feed.ring
    attributed = np.int64(cold["display"]) == codes.DISPLAY_ATTRIBUTABLE
    place = begin_order(core, _ATTRIBUTED_SZ if attributed else _ADD_SZ,
                         ord("F") if attributed else ord("A"), handle)
    buys = np.int64(cold["side_letter"]) == codes.SIDE_BUY
    ring[place + _A_SIDE] = np.uint8(codes.BOOK_BUY) if buys else np.uint8(codes.BOOK_SELL)
    store_be32(ring, place + _A_QTY, qty)
    store_le64(ring, place + _A_STOCK,
               raw_load64(core.book.symbols, np.int64(cold["symbol"]), _SYMBOL_NAME))
    store_be32(ring, place + _A_PRICE, limit_of(core, handle))
    if attributed:
        firm = raw_load32(core.accounts.cold, handle, _COLD_FIRM)
        if np.int64(cold["present"]) & TAG_FIRM == 0 or firm == _SPACES4:
            firm = raw_load32(core.accounts.sessions, np.int64(cold["account"]), _SESSION_FIRM)
        store_le32(ring, place + _F_FIRM, firm)


@later(VOID(CORE, I64, I64, U64), **INLINE)
def executed(core, handle, qty, match):
    """`E` of the resting order of a trade."""
    place = begin_order(core, _EXECUTED_SZ, ord("E"), handle)
    store_be32(core.feed.ring, place + _E_QTY, qty)
    store_be64(core.feed.ring, place + _E_MATCH, wire_number(core, match))


@later(VOID(CORE, I64, I64), **INNER)
def reduced(core, handle, qty):
    """`X`: qty shares left, more stay."""
    place = begin_order(core, _CANCEL_SZ, ord("X"), handle)
    store_be32(core.feed.ring, place + _X_QTY, qty)


@later(VOID(CORE, I64), **INLINE)
def deleted(core, handle):
    """`D`: the order left."""
    begin_order(core, _DELETE_SZ, ord("D"), handle)


@later(VOID(CORE, I64, I64, U64, I64), **INNER)
def replaced(core, old, new, new_ref, qty):
    """`U`: order `new` with reference new_ref stands in the place of `old` (may be itself)."""
    ring, place = core.feed.ring, begin_order(core, _REPLACE_SZ, ord("U"), old)
    store_be64(ring, place + _U_NEW, wire_number(core, new_ref))
    store_be32(ring, place + _U_QTY, qty)
    store_be32(ring, place + _U_PRICE, limit_of(core, new))


@later(VOID(CORE, I64), **INNER)
def system_event(core, letter):
    """`S` of the whole partition (locate 0)."""
    place = begin(core, _EVENT_SZ, ord("S"), 0)
    core.feed.ring[place + _S_CODE] = np.uint8(letter)


@later(VOID(CORE, I64), **INNER)
def directory(core, symbol):
    """`R`: what is to be known of a symbol; what does not apply is a space."""
    entry, ring = core.book.symbols[symbol], core.feed.ring
    place = begin(core, _DIRECTORY_SZ, ord("R"), np.int64(entry["locate"]))
    for byte in range(_R_STOCK, _DIRECTORY_SZ):
        ring[place + byte] = _SPACE
    store_le64(ring, place + _R_STOCK, raw_load64(core.book.symbols, symbol, _SYMBOL_NAME))
    store_be32(ring, place + _R_LOT, np.int64(entry["lot_size"]))
    ring[place + _R_LOTS_ONLY] = np.uint8(codes.FLAG_NO)
    ring[place + _R_CLASS] = np.uint8(codes.ISSUE_OTHER)
    ring[place + _R_SUBTYPE] = np.uint8(ord("Z"))
    ring[place + _R_AUTHENTICITY] = np.uint8(codes.AUTHENTICITY_LIVE)
    ring[place + _R_ETP] = np.uint8(codes.YES_NO_NO)
    store_be32(ring, place + _R_FACTOR, 0)
    ring[place + _R_INVERSE] = np.uint8(codes.FLAG_NO)


@later(VOID(CORE, I64), **INNER)
def trading_action(core, symbol):
    """`H`: the symbol's present state and its reason, spaces when there is none."""
    entry, ring = core.book.symbols[symbol], core.feed.ring
    place = begin(core, _TRADING_SZ, ord("H"), np.int64(entry["locate"]))
    store_le64(ring, place + _H_STOCK, raw_load64(core.book.symbols, symbol, _SYMBOL_NAME))
    ring[place + _H_STATE], ring[place + _H_RESERVED] = entry["state"], _SPACE
    reason = raw_load32(core.book.symbols, symbol, _SYMBOL_REASON)
    store_le32(ring, place + _H_REASON, _SPACES4 if reason == _NO_REASON else reason)
