"""OUCH 5.0 out: results become messages in the account's stream (wire-spec 5.4, edition A form).

Every message is written in place; one that finds no chunk is counted by `streams` and lost, and
`admit` stops new orders long before. Handles are of orders whose `order_cold` is written. All
quantities are int64, prices in ticks, numbers n without the partition.
"""

import numpy as np

from appliance.hot.endian import store_be16, store_be32, store_be64, store_le32, store_le64
from appliance.hot.kernel import later
from appliance.hot.raw import raw_load32, raw_load64
from appliance.hot.streams import append_begin, reserve
from appliance.hot.types import CORE, I64, INLINE, INNER, U64, VOID
from appliance.layout import codes
from appliance.layout.record import (
    DETAIL, MARKET, ORDER_COLD, POST_ONLY, SYMBOL, TAG_AIQ, TAG_CUSTOMER, TAG_FIRM, TAG_GROUP,
    TAG_LOCATED, TAG_MAX_FLOOR, TAG_MIN_QTY, TAG_POST_ONLY,
)
from appliance.layout.shared import COUNTER_INDEX
from appliance.layout.wire_ouch import OUCH_OUT

_ONE = np.uint64(1)
_TOP_BYTE = np.uint64(56)
_REJECTS, _STREAM_FULL = COUNTER_INDEX["rejects"], COUNTER_INDEX["stream_full"]

_ACCEPTED, _REPLACED, _CANCELED = (OUCH_OUT[letter] for letter in "AUC")
_EXECUTED, _REJECTED, _PRIORITY, _MODIFIED = (OUCH_OUT[letter] for letter in "EJTM")
_QUERY, _MASS, _DISABLED, _SYSTEM = (OUCH_OUT[letter] for letter in "QXGS")
_TIME = _ACCEPTED["timestamp"].off
_REF = _ACCEPTED["user_ref_num"].off                 # also of C D E J T M X G K
_CLORDID_SZ = _ACCEPTED["cl_ord_id"].size

# Accepted and Replaced agree from the side on; each field's offset is counted from there.
_BODY_A, _BODY_U = _ACCEPTED["side"].off, _REPLACED["side"].off
_BODY = {field.name: field.off - _BODY_A for field in _ACCEPTED.fields}
assert all(_REPLACED[name].off - _BODY_U == off for name, off in _BODY.items() if off >= 0)
_B_QTY, _B_SYMBOL, _B_PRICE, _B_TIF = (_BODY["quantity"], _BODY["symbol"], _BODY["price"],
                                       _BODY["time_in_force"])
_B_DISPLAY, _B_NUMBER, _B_CAPACITY = (_BODY["display"], _BODY["order_reference_number"],
                                      _BODY["capacity"])
_B_SWEEP, _B_CROSS, _B_STATE = (_BODY["intermarket_sweep"], _BODY["cross_type"],
                                _BODY["order_state"])
_B_CLORDID, _B_APPENDAGE = _BODY["cl_ord_id"], _BODY["appendage_length"]
_B_TAGS = _B_APPENDAGE + 2
_ACCEPTED_SZ, _REPLACED_SZ = _ACCEPTED.size, _REPLACED.size
_NEW_REF = _REPLACED["user_ref_num"].off

_CANCELED_SZ, _C_QTY, _C_REASON = (_CANCELED.size, _CANCELED["quantity"].off,
                                   _CANCELED["reason"].off)
_EXECUTED_SZ, _E_QTY, _E_PRICE = (_EXECUTED.size, _EXECUTED["quantity"].off,
                                  _EXECUTED["price"].off)
_E_LIQUIDITY, _E_MATCH, _E_APPENDAGE = (_EXECUTED["liquidity_flag"].off,
                                        _EXECUTED["match_number"].off,
                                        _EXECUTED["appendage_length"].off)
_REJECTED_SZ, _J_REASON, _J_CLORDID = (_REJECTED.size, _REJECTED["reason"].off,
                                       _REJECTED["cl_ord_id"].off)
_PRIORITY_SZ, _T_PRICE, _T_DISPLAY, _T_NUMBER = (
    _PRIORITY.size, _PRIORITY["price"].off, _PRIORITY["display"].off,
    _PRIORITY["order_reference_number"].off)
_MODIFIED_SZ, _M_SIDE, _M_QTY = _MODIFIED.size, _MODIFIED["side"].off, _MODIFIED["quantity"].off
_QUERY_SZ = _QUERY.size
assert _QUERY["next_user_ref_num"].off == _REF == _REPLACED["orig_user_ref_num"].off
_MASS_SZ, _X_FIRM, _X_SYMBOL, _X_APPENDAGE = (_MASS.size, _MASS["firm"].off, _MASS["symbol"].off,
                                              _MASS["appendage_length"].off)
_DISABLED_SZ, _G_FIRM, _G_APPENDAGE = (_DISABLED.size, _DISABLED["firm"].off,
                                       _DISABLED["appendage_length"].off)
_SYSTEM_SZ, _S_EVENT = _SYSTEM.size, _SYSTEM["event_code"].off

_COLD_CLORDID, _COLD_FIRM = ORDER_COLD["clordid"].off, ORDER_COLD["firm"].off
_DETAIL_CLORDID, _DETAIL_FIRM, _DETAIL_SYMBOL = (DETAIL["clordid"].off, DETAIL["firm"].off,
                                                 DETAIL["symbol_text"].off)
_SYMBOL_NAME = SYMBOL["name"].off
_TAG_EXPIRE = 256                     # beside the TAG_ bits: tag 15, which TIF 6 always has
_OF_REPLACE = TAG_FIRM | TAG_MIN_QTY | TAG_MAX_FLOOR | TAG_POST_ONLY | _TAG_EXPIRE | TAG_AIQ


@later(U64(CORE, U64), **INLINE)
def wire_number(core, number):
    """Order reference or match number as it stands on the wire."""
    return (core.book.engine[0]["partition"] << _TOP_BYTE) | number


@later(I64(CORE, I64, I64), **INLINE)
def wire_price(core, symbol, price_ticks):
    """Ticks of the symbol in units of 0.0001."""
    return price_ticks * np.int64(core.book.symbols[symbol]["tick_size"])


@later(I64(CORE, I64), **INLINE)
def limit_of(core, handle):
    """The order's limit in units of 0.0001; 7FFFFFFF for a market order."""
    cold = core.accounts.cold[handle]
    if np.int64(cold["flags"]) & MARKET != 0:
        return np.int64(codes.PRICE_MARKET)
    return wire_price(core, np.int64(cold["symbol"]), np.int64(cold["price_ticks"]))


@later(I64(CORE, I64, I64, I64, I64), **INLINE)
def begin(core, account, length, letter, user_ref):
    """Begins a message: type, time and UserRefNum; its place in streams.data or -1."""
    place, data = append_begin(core, account, length), core.streams.data
    if place >= 0:
        data[place] = np.uint8(letter)
        store_be64(data, place + _TIME, core.book.engine[0]["time_ns"])
        store_be32(data, place + _REF, user_ref)
    return place


@later(I64(I64), **INLINE)
def _tags_sz(present):
    """Bytes of an appendage with these TAG_ bits."""
    size = np.int64(0)
    if present == 0:
        return size
    size += 6 * ((present & TAG_FIRM) // TAG_FIRM + (present & TAG_MIN_QTY) // TAG_MIN_QTY)
    size += 6 * ((present & TAG_MAX_FLOOR) // TAG_MAX_FLOOR
                 + (present & _TAG_EXPIRE) // _TAG_EXPIRE)
    size += 3 * ((present & TAG_CUSTOMER) // TAG_CUSTOMER + (present & TAG_LOCATED) // TAG_LOCATED)
    size += 3 * ((present & TAG_POST_ONLY) // TAG_POST_ONLY + (present & TAG_AIQ) // TAG_AIQ)
    return size + 4 * ((present & TAG_GROUP) // TAG_GROUP)


@later(I64(CORE, I64), **INLINE)
def _tags_of(core, handle):
    """The TAG_ bits of an order, _TAG_EXPIRE among them."""
    cold = core.accounts.cold[handle]
    present = np.int64(cold["present"])
    if np.int64(cold["tif_letter"]) == codes.TIF_GOOD_TILL_TIME:
        present |= _TAG_EXPIRE
    return present


@later(I64(CORE, I64, I64, I64), **INNER)
def _number_tag(core, place, tag, number):
    """An element of a u32; the place behind it."""
    store_be16(core.streams.data, place, (5 << 8) | tag)
    store_be32(core.streams.data, place + 2, number)
    return place + 6


@later(I64(CORE, I64, I64, I64), **INNER)
def _letter_tag(core, place, tag, letter):
    """An element of one letter; the place behind it."""
    data = core.streams.data
    data[place], data[place + 1], data[place + 2] = np.uint8(2), np.uint8(tag), np.uint8(letter)
    return place + 3


@later(VOID(CORE, I64, I64, I64), **INNER)
def _put_tags(core, handle, present, place):
    """Writes the elements of these TAG_ bits in ascending tag order."""
    data, cold = core.streams.data, core.accounts.cold[handle]
    if present & TAG_FIRM != 0:
        store_be16(data, place, (5 << 8) | codes.OPTION_FIRM)
        store_le32(data, place + 2, raw_load32(core.accounts.cold, handle, _COLD_FIRM))
        place += 6
    if present & TAG_MIN_QTY != 0:
        place = _number_tag(core, place, codes.OPTION_MIN_QTY, np.int64(cold["min_qty"]))
    if present & TAG_CUSTOMER != 0:
        place = _letter_tag(core, place, codes.OPTION_CUSTOMER_TYPE, np.int64(cold["customer"]))
    if present & TAG_MAX_FLOOR != 0:
        place = _number_tag(core, place, codes.OPTION_MAX_FLOOR, np.int64(cold["max_floor"]))
    if present & TAG_POST_ONLY != 0:
        yes = np.int64(cold["flags"]) & POST_ONLY != 0
        letter = codes.POST_ONLY_YES if yes else codes.POST_ONLY_NO
        place = _letter_tag(core, place, codes.OPTION_POST_ONLY, letter)
    if present & _TAG_EXPIRE != 0:
        place = _number_tag(core, place, codes.OPTION_EXPIRE_TIME, np.int64(cold["expire_s"]))
    if present & TAG_GROUP != 0:
        store_be16(data, place, (3 << 8) | codes.OPTION_GROUP_ID)
        store_be16(data, place + 2, np.int64(cold["group"]))
        place += 4
    if present & TAG_LOCATED != 0:
        place = _letter_tag(core, place, codes.OPTION_SHARES_LOCATED, np.int64(cold["located"]))
    if present & TAG_AIQ != 0:
        _letter_tag(core, place, codes.OPTION_AIQ_STRATEGY, np.int64(cold["aiq"]))


@later(VOID(CORE, I64, I64, I64, I64), **INLINE)
def _put_body(core, handle, qty, present, place):
    """What Accepted and Replaced share, from the side letter at `place` to the last tag."""
    data, cold, accounts = core.streams.data, core.accounts.cold[handle], core.accounts
    data[place] = cold["side_letter"]
    store_be32(data, place + _B_QTY, qty)
    store_le64(data, place + _B_SYMBOL,
               raw_load64(core.book.symbols, np.int64(cold["symbol"]), _SYMBOL_NAME))
    store_be64(data, place + _B_PRICE, limit_of(core, handle))
    data[place + _B_TIF], data[place + _B_DISPLAY] = cold["tif_letter"], cold["display"]
    store_be64(data, place + _B_NUMBER, wire_number(core, cold["order_ref"]))
    data[place + _B_CAPACITY], data[place + _B_SWEEP] = cold["capacity"], cold["sweep"]
    data[place + _B_CROSS], data[place + _B_STATE] = cold["cross"], np.uint8(codes.STATE_LIVE)
    store_le64(data, place + _B_CLORDID, raw_load64(accounts.cold, handle, _COLD_CLORDID))
    store_le64(data, place + _B_CLORDID + 6, raw_load64(accounts.cold, handle, _COLD_CLORDID + 6))
    store_be16(data, place + _B_APPENDAGE, _tags_sz(present))
    if present != 0:
        _put_tags(core, handle, present, place + _B_TAGS)


@later(VOID(CORE, I64, I64), **INLINE)
def accepted(core, handle, qty):
    """`A` of an order whose order_ref is set."""
    cold = core.accounts.cold[handle]
    present = _tags_of(core, handle)
    place = begin(core, np.int64(cold["account"]), _ACCEPTED_SZ + _tags_sz(present), ord("A"),
                   np.int64(cold["user_ref_num"]))
    if place >= 0:
        _put_body(core, handle, qty, present, place + _BODY_A)


@later(VOID(CORE, I64, I64, I64), **INLINE)
def replaced(core, handle, old, qty):
    """`U` of an order whose order_ref is set, in the place of order `old`; qty still open."""
    cold = core.accounts.cold[handle]
    present = _tags_of(core, handle) & _OF_REPLACE
    place = begin(core, np.int64(cold["account"]), _REPLACED_SZ + _tags_sz(present), ord("U"),
                   np.int64(core.accounts.cold[old]["user_ref_num"]))
    if place >= 0:
        store_be32(core.streams.data, place + _NEW_REF, np.int64(cold["user_ref_num"]))
        _put_body(core, handle, qty, present, place + _BODY_U)


@later(VOID(CORE, I64, I64, I64), **INLINE)
def canceled(core, handle, qty, reason):
    """`C`: qty shares just left."""
    cold, data = core.accounts.cold[handle], core.streams.data
    place = begin(core, np.int64(cold["account"]), _CANCELED_SZ, ord("C"),
                   np.int64(cold["user_ref_num"]))
    if place >= 0:
        store_be32(data, place + _C_QTY, qty)
        data[place + _C_REASON] = np.uint8(reason)


@later(VOID(CORE, I64, I64, I64, I64, U64), **INLINE)
def executed(core, handle, qty, price_ticks, liquidity, match):
    """`E` of one side of a trade; match number n."""
    cold, data = core.accounts.cold[handle], core.streams.data
    place = begin(core, np.int64(cold["account"]), _EXECUTED_SZ, ord("E"),
                   np.int64(cold["user_ref_num"]))
    if place >= 0:
        store_be32(data, place + _E_QTY, qty)
        price = wire_price(core, np.int64(cold["symbol"]), price_ticks)
        store_be64(data, place + _E_PRICE, price)
        data[place + _E_LIQUIDITY] = np.uint8(liquidity)
        store_be64(data, place + _E_MATCH, wire_number(core, match))
        store_be16(data, place + _E_APPENDAGE, 0)


@later(VOID(CORE, I64, I64), **INNER)
def modified(core, handle, qty):
    """`M`: the side letter as it is now and qty still open."""
    cold, data = core.accounts.cold[handle], core.streams.data
    place = begin(core, np.int64(cold["account"]), _MODIFIED_SZ, ord("M"),
                   np.int64(cold["user_ref_num"]))
    if place >= 0:
        data[place + _M_SIDE] = cold["side_letter"]
        store_be32(data, place + _M_QTY, qty)


@later(VOID(CORE, I64), **INNER)
def priority(core, handle):
    """`T`: the order has a new order_ref and stands at the back of its level."""
    cold, data = core.accounts.cold[handle], core.streams.data
    place = begin(core, np.int64(cold["account"]), _PRIORITY_SZ, ord("T"),
                   np.int64(cold["user_ref_num"]))
    if place >= 0:
        store_be64(data, place + _T_PRICE, limit_of(core, handle))
        data[place + _T_DISPLAY] = cold["display"]
        store_be64(data, place + _T_NUMBER, wire_number(core, cold["order_ref"]))


@later(VOID(CORE, I64, I64), **INNER)
def rejected(core, idx, code):
    """`J` to burst record idx. Left out, counted stream_full, when only the reserve is left."""
    detail, data = core.burst.details[idx], core.streams.data
    core.counters[_REJECTS] += _ONE
    if np.int64(core.book.engine[0]["free_chunk"]) < reserve(core.book.engine):
        core.counters[_STREAM_FULL] += _ONE
        return
    place = begin(core, np.int64(core.burst.commands[idx]["account"]), _REJECTED_SZ, ord("J"),
                   np.int64(detail["user_ref_num"]))
    if place >= 0:
        store_be16(data, place + _J_REASON, code)
        clordid, second = place + _J_CLORDID, _CLORDID_SZ - 8
        store_le64(data, clordid, raw_load64(core.burst.details, idx, _DETAIL_CLORDID))
        store_le64(data, clordid + second,
                   raw_load64(core.burst.details, idx, _DETAIL_CLORDID + second))


@later(VOID(CORE, I64), **INNER)
def queried(core, account):
    """`Q`: the next free UserRefNum. Left out like `J` when only the reserve is left."""
    if np.int64(core.book.engine[0]["free_chunk"]) < reserve(core.book.engine):
        core.counters[_STREAM_FULL] += _ONE
        return
    following = np.int64(core.accounts.sessions[account]["last_user_ref"]) + 1
    begin(core, account, _QUERY_SZ, ord("Q"), following)


@later(VOID(CORE, I64), **INNER)
def mass_canceled(core, idx):
    """`X` to Mass Cancel in burst record idx: firm and symbol as sent."""
    detail, data = core.burst.details[idx], core.streams.data
    place = begin(core, np.int64(core.burst.commands[idx]["account"]), _MASS_SZ, ord("X"),
                   np.int64(detail["user_ref_num"]))
    if place >= 0:
        store_le32(data, place + _X_FIRM, raw_load32(core.burst.details, idx, _DETAIL_FIRM))
        store_le64(data, place + _X_SYMBOL, raw_load64(core.burst.details, idx, _DETAIL_SYMBOL))
        store_be16(data, place + _X_APPENDAGE, 0)


@later(VOID(CORE, I64, I64), **INNER)
def switched(core, idx, letter):
    """`G` or `K` to Disable or Enable in burst record idx: firm as sent."""
    detail, data = core.burst.details[idx], core.streams.data
    place = begin(core, np.int64(core.burst.commands[idx]["account"]), _DISABLED_SZ, letter,
                   np.int64(detail["user_ref_num"]))
    if place >= 0:
        store_le32(data, place + _G_FIRM, raw_load32(core.burst.details, idx, _DETAIL_FIRM))
        store_be16(data, place + _G_APPENDAGE, 0)


@later(VOID(CORE, I64, I64), **INNER)
def system_event(core, account, letter):
    """`S`: start or end of the day."""
    place, data = append_begin(core, account, np.int64(_SYSTEM_SZ)), core.streams.data
    if place >= 0:
        data[place] = np.uint8(ord("S"))
        store_be64(data, place + _TIME, core.book.engine[0]["time_ns"])
        data[place + _S_EVENT] = np.uint8(letter)
