"""OUCH out, what befalls an order: self-match prevention, a refreshed display, a broken trade.

Messages as in `reports`, which explains the arguments.
"""

import numpy as np

from appliance.hot.endian import store_be16, store_be32, store_be64, store_le64
from appliance.hot.kernel import later
from appliance.hot.raw import raw_load64
from appliance.hot.reports import begin, wire_number, wire_price
from appliance.hot.streams import reserve
from appliance.hot.types import CORE, I64, INNER, VOID
from appliance.layout import codes
from appliance.layout.record import TAG_AIQ, TRADE_LOG
from appliance.layout.shared import COUNTER_INDEX
from appliance.layout.wire_ouch import OUCH_OUT, TAGS

_ONE = np.uint64(1)
_STREAM_FULL = COUNTER_INDEX["stream_full"]
_AIQ, _RESTATED, _BROKEN = OUCH_OUT["D"], OUCH_OUT["R"], OUCH_OUT["B"]
_AIQ_SZ, _D_QTY, _D_REASON = (_AIQ.size, _AIQ["decrement_shares"].off, _AIQ["reason"].off)
_D_PREVENTED, _D_PRICE = _AIQ["quantity_prevented"].off, _AIQ["execution_price"].off
_D_LIQUIDITY, _D_STRATEGY = _AIQ["liquidity_flag"].off, _AIQ["aiq_strategy"].off
_RESTATED_SZ, _R_REASON, _R_APPENDAGE = (_RESTATED.size, _RESTATED["reason"].off,
                                         _RESTATED["appendage_length"].off)
_REFERENCE_SZ, _DISPLAY_SZ = (TAGS[tag].size + 2 for tag in (
    codes.OPTION_SECONDARY_ORD_REF_NUM, codes.OPTION_DISPLAY_QUANTITY))
_REFERENCE_HEAD = (_REFERENCE_SZ - 1) << 8 | codes.OPTION_SECONDARY_ORD_REF_NUM
_DISPLAY_HEAD = (_DISPLAY_SZ - 1) << 8 | codes.OPTION_DISPLAY_QUANTITY
_BROKEN_SZ, _B_MATCH, _B_REASON, _B_CLORDID = (
    _BROKEN.size, _BROKEN["match_number"].off, _BROKEN["reason"].off, _BROKEN["cl_ord_id"].off)
_TRADE_CLORDIDS = (TRADE_LOG["buy_clordid"].off, TRADE_LOG["sell_clordid"].off)


@later(I64(CORE, I64), **INNER)
def decrement_letter(core, incoming):
    """The AIQ strategy that two orders were decremented by: as the incoming one asked, else D."""
    cold = core.accounts.cold[incoming]
    letter = np.int64(cold["aiq"])
    if np.int64(cold["present"]) & TAG_AIQ != 0 \
            and (letter == codes.AIQ_DECREMENT_BOTH_NO_DETAILS
                 or letter == codes.AIQ_ORGANISATION_DECREMENT_BOTH_NO_DETAILS):
        return np.int64(codes.AIQ_DECREMENT_BOTH_NO_DETAILS)
    return np.int64(codes.AIQ_DECREMENT_BOTH)


@later(VOID(CORE, I64, I64, I64, I64, I64, I64), **INNER)
def prevented(core, handle, qty, quantity_prevented, price_ticks, liquidity, strategy):
    """`D`: self-match prevention took qty shares of the order; strategy Y keeps the details."""
    cold, data = core.accounts.cold[handle], core.streams.data
    place = begin(core, np.int64(cold["account"]), _AIQ_SZ, ord("D"),
                  np.int64(cold["user_ref_num"]))
    if place >= 0:
        price = wire_price(core, np.int64(cold["symbol"]), price_ticks)
        if strategy == codes.AIQ_DECREMENT_BOTH_NO_DETAILS:
            quantity_prevented, price, liquidity = np.int64(0), np.int64(0), np.int64(ord(" "))
        store_be32(data, place + _D_QTY, qty)
        data[place + _D_REASON] = np.uint8(codes.CANCEL_SELF_MATCH_PREVENTION)
        store_be32(data, place + _D_PREVENTED, quantity_prevented)
        store_be64(data, place + _D_PRICE, price)
        data[place + _D_LIQUIDITY] = np.uint8(liquidity)
        data[place + _D_STRATEGY] = np.uint8(strategy)


@later(VOID(CORE, I64, I64), **INNER)
def restated(core, handle, qty):
    """`R`: the order shows qty shares of its reserve under its present order_ref."""
    cold, data = core.accounts.cold[handle], core.streams.data
    place = begin(core, np.int64(cold["account"]), _RESTATED_SZ + _REFERENCE_SZ + _DISPLAY_SZ,
                  ord("R"), np.int64(cold["user_ref_num"]))
    if place >= 0:
        data[place + _R_REASON] = np.uint8(codes.RESTATED_DISPLAY_REFRESHED)
        store_be16(data, place + _R_APPENDAGE, _REFERENCE_SZ + _DISPLAY_SZ)
        place += _RESTATED_SZ
        store_be16(data, place, _REFERENCE_HEAD)
        store_be64(data, place + 2, wire_number(core, cold["order_ref"]))
        store_be16(data, place + _REFERENCE_SZ, _DISPLAY_HEAD)
        store_be32(data, place + _REFERENCE_SZ + 2, qty)


@later(VOID(CORE, I64, I64, I64), **INNER)
def broken(core, slot, side, reason):
    """`B` to one side (0 buy) of the trade in trades[slot].

    Left out, counted stream_full, when only the reserve is left.
    """
    data, trade = core.streams.data, core.trades[slot]
    account, user_ref = np.int64(trade["buy_account"]), np.int64(trade["buy_ref"])
    if side != 0:
        account, user_ref = np.int64(trade["sell_account"]), np.int64(trade["sell_ref"])
    if np.int64(core.book.engine[0]["free_chunk"]) < reserve(core.book.engine):
        core.counters[_STREAM_FULL] += _ONE
        return
    place = begin(core, account, _BROKEN_SZ, ord("B"), user_ref)
    if place >= 0:
        store_be64(data, place + _B_MATCH, wire_number(core, trade["number"]))
        data[place + _B_REASON] = np.uint8(reason)
        off = _TRADE_CLORDIDS[0] if side == 0 else _TRADE_CLORDIDS[1]
        store_le64(data, place + _B_CLORDID, raw_load64(core.trades, slot, off))
        store_le64(data, place + _B_CLORDID + 6, raw_load64(core.trades, slot, off + 6))
