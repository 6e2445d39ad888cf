"""Optional tags at the end of an OUCH message (wire-spec 5.1): structure first, then meaning."""

import numpy as np
from numba import njit, types

from appliance.hot.endian import load_be16, load_be32, load_le32
from appliance.hot.kernel import later
from appliance.hot.raw import raw_store32
from appliance.hot.types import BYTES, COMMANDS, DETAILS, I64, INNER
from appliance.layout import codes
from appliance.layout.record import (
    DETAIL, POST_ONLY, SMP_DECREMENT, SMP_NEWEST, SMP_OFF, SMP_OLDEST, TAG_AIQ, TAG_CUSTOMER,
    TAG_FIRM, TAG_GROUP, TAG_LOCATED, TAG_MAX_FLOOR, TAG_MIN_QTY, TAG_POST_ONLY,
)
from appliance.layout.wire_ouch import TAG_ELEMENT, TAGS

_ONE = np.uint64(1)
_HEAD = TAG_ELEMENT.size              # length byte and tag byte
_LENGTH_SZ = 2                        # of the appendage length in front
_DETAIL_FIRM = DETAIL["firm"].off
_SZ4, _SZ2, _SZ1 = TAGS[codes.OPTION_FIRM].size, TAGS[codes.OPTION_GROUP_ID].size, 1
_OTHER = codes.REJECT_OTHER


@njit(types.boolean(BYTES, I64, I64), **INNER)
def structure(frames, start, stop):
    """Whether [start, stop) is an appendage length and exactly so many bytes of proper elements.

    An element's length byte is at least 1 and its value ends inside; no tag stands twice.
    """
    first = start + _LENGTH_SZ
    if first > stop or np.int64(load_be16(frames, start)) != stop - first:
        return False
    seen0, seen1, seen2, seen3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    place = first
    while place < stop:
        length = np.int64(frames[place])
        if length < 1 or place + 1 + length > stop:
            return False
        tag = np.int64(frames[place + 1])
        bit, word = _ONE << np.uint64(tag & 63), tag >> 6
        seen = seen0 if word == 0 else seen1 if word == 1 else seen2 if word == 2 else seen3
        if seen & bit != np.uint64(0):
            return False
        if word == 0:
            seen0 |= bit
        elif word == 1:
            seen1 |= bit
        elif word == 2:
            seen2 |= bit
        else:
            seen3 |= bit
        place += 1 + length
    return True


@later(I64(I64, I64, I64), **INNER)
def _tag_without_place(tag, size, letter):
    """Tags that leave nothing behind: 0 for the value without effect, else the reject code."""
    if tag == codes.OPTION_USER_REF_IDX:
        return np.int64(0) if size == _SZ1 and letter == 0 else np.int64(_OTHER)
    if tag == codes.OPTION_PRICE_TYPE:
        if size == _SZ1 and letter != codes.PRICE_TYPE_LIMIT:
            return np.int64(codes.REJECT_PEGGING_NOT_ALLOWED)
        return np.int64(0) if size == _SZ1 else np.int64(_OTHER)
    if tag == codes.OPTION_TRADE_NOW:
        return np.int64(0) if letter == codes.FLAG_NO else np.int64(_OTHER)
    if tag == codes.OPTION_HANDLE_INST:
        return np.int64(0) if letter == codes.HANDLE_NONE else np.int64(_OTHER)
    if tag == codes.OPTION_RANDOM_RESERVES:
        return np.int64(codes.REJECT_INVALID_MAX_FLOOR)
    if tag == codes.OPTION_PEG_OFFSET:
        return np.int64(codes.REJECT_PEGGING_NOT_ALLOWED)
    if tag == codes.OPTION_DISCRETION_PRICE or tag == codes.OPTION_DISCRETION_PRICE_TYPE \
            or tag == codes.OPTION_DISCRETION_PEG_OFFSET:
        return np.int64(codes.REJECT_RISK_ORDER_TYPE_RESTRICTED)
    if tag == codes.OPTION_ROUTE:
        return np.int64(codes.REJECT_ROUTING_NOT_ALLOWED)
    if tag == codes.OPTION_AIQ_GROUP_ID:
        return np.int64(codes.REJECT_INVALID_AIQ)
    return np.int64(_OTHER)


@later(I64(COMMANDS, DETAILS, I64, I64, I64), **INNER)
def _strategy(commands, details, idx, letter, default_smp):
    """Tag 29: what happens between own orders; reject code or 0."""
    smp = np.int64(default_smp)
    if letter == codes.AIQ_CANCEL_OLDEST or letter == codes.AIQ_ORGANISATION_CANCEL_OLDEST:
        smp = np.int64(SMP_OLDEST)
    elif letter == codes.AIQ_CANCEL_NEWEST or letter == codes.AIQ_ORGANISATION_CANCEL_NEWEST:
        smp = np.int64(SMP_NEWEST)
    elif letter == codes.AIQ_DECREMENT_BOTH or letter == codes.AIQ_ORGANISATION_DECREMENT_BOTH \
            or letter == codes.AIQ_DECREMENT_BOTH_NO_DETAILS \
            or letter == codes.AIQ_ORGANISATION_DECREMENT_BOTH_NO_DETAILS:
        smp = np.int64(SMP_DECREMENT)
    elif letter == codes.AIQ_DISABLED:
        smp = np.int64(SMP_OFF)
    elif letter != codes.AIQ_PORT_DEFAULT:
        return np.int64(codes.REJECT_INVALID_AIQ)
    commands[idx]["smp"] = np.uint8(smp)
    details[idx]["aiq"] = np.uint8(letter)
    return np.int64(0)


@later(I64(BYTES, I64, I64, I64, COMMANDS, DETAILS, I64, I64), **INNER)
def _tag_of_order(frames, tag, value, size, commands, details, idx, default_smp):
    """Takes one tag of Enter or Replace whose value begins at `value`: reject code or 0."""
    command, detail = commands[idx], details[idx]
    letter = np.int64(frames[value]) if size == _SZ1 else np.int64(0)
    present = np.int64(0)
    if tag == codes.OPTION_FIRM:
        if size != _SZ4:
            return np.int64(_OTHER)
        raw_store32(details, idx, _DETAIL_FIRM, load_le32(frames, value))
        present = np.int64(TAG_FIRM)
    elif tag == codes.OPTION_MIN_QTY:
        if size != _SZ4:
            return np.int64(_OTHER)
        command["min_qty"] = np.uint32(load_be32(frames, value))
        present = np.int64(TAG_MIN_QTY)
    elif tag == codes.OPTION_CUSTOMER_TYPE:
        if letter != codes.CUSTOMER_RETAIL and letter != codes.CUSTOMER_NOT_RETAIL:
            return np.int64(_OTHER)
        detail["customer"] = np.uint8(letter)
        present = np.int64(TAG_CUSTOMER)
    elif tag == codes.OPTION_POST_ONLY:
        if letter != codes.POST_ONLY_YES and letter != codes.POST_ONLY_NO:
            return np.int64(_OTHER)
        if letter == codes.POST_ONLY_YES:
            command["flags"] = np.uint8(np.int64(command["flags"]) | POST_ONLY)
        present = np.int64(TAG_POST_ONLY)
    elif tag == codes.OPTION_GROUP_ID:
        if size != _SZ2:
            return np.int64(_OTHER)
        detail["group"] = np.uint16(load_be16(frames, value))
        present = np.int64(TAG_GROUP)
    elif tag == codes.OPTION_SHARES_LOCATED:
        if letter != codes.FLAG_YES and letter != codes.FLAG_NO:
            return np.int64(_OTHER)
        detail["located"] = np.uint8(letter)
        present = np.int64(TAG_LOCATED)
    elif tag == codes.OPTION_AIQ_STRATEGY:
        if size != _SZ1:
            return np.int64(_OTHER)
        code = _strategy(commands, details, idx, letter, default_smp)
        if code != 0:
            return code
        present = np.int64(TAG_AIQ)
    elif tag == codes.OPTION_MAX_FLOOR:
        if size != _SZ4:
            return np.int64(_OTHER)
        detail["max_floor"] = np.uint32(load_be32(frames, value))
        present = np.int64(TAG_MAX_FLOOR)
    elif tag == codes.OPTION_EXPIRE_TIME:
        if size != _SZ4:
            return np.int64(_OTHER)
        detail["expire_s"] = np.uint32(load_be32(frames, value))
    else:
        return _tag_without_place(tag, size, letter)
    detail["present"] = np.uint8(np.int64(detail["present"]) | present)
    return np.int64(0)


@later(I64(BYTES, I64, I64, COMMANDS, DETAILS, I64, I64), **INNER)
def tags_of_order(frames, start, stop, commands, details, idx, default_smp):
    """Takes the elements in [start, stop) of an Enter or Replace: first reject code or 0."""
    place = start
    while place < stop:
        length = np.int64(frames[place])
        code = _tag_of_order(frames, np.int64(frames[place + 1]), place + _HEAD, length - 1,
                             commands, details, idx, default_smp)
        if code != 0:
            return code
        place += 1 + length
    return np.int64(0)


@later(I64(BYTES, I64, I64, DETAILS, I64, I64), **INNER)
def tags_of_account(frames, start, stop, details, idx, with_filters):
    """The same for Mass Cancel (with_filters 1: tags 24 and 27), Disable and Enable (0)."""
    detail, place = details[idx], start
    while place < stop:
        length, tag = np.int64(frames[place]), np.int64(frames[place + 1])
        value, size = place + _HEAD, length - 1
        if tag == codes.OPTION_USER_REF_IDX and size == _SZ1 and np.int64(frames[value]) == 0:
            pass
        elif with_filters != 0 and tag == codes.OPTION_GROUP_ID and size == _SZ2:
            detail["group"] = np.uint16(load_be16(frames, value))
            detail["present"] = np.uint8(TAG_GROUP)
        elif with_filters != 0 and tag == codes.OPTION_SIDE and size == _SZ1:
            letter = np.int64(frames[value])
            if letter != codes.SIDE_BUY and letter != codes.SIDE_SELL \
                    and letter != codes.SIDE_SELL_SHORT \
                    and letter != codes.SIDE_SELL_SHORT_EXEMPT:
                return np.int64(_OTHER)
            detail["side_letter"] = np.uint8(letter)
        else:
            return np.int64(_OTHER)
        place += 1 + length
    return np.int64(0)


@njit(types.boolean(BYTES, I64, I64, I64), **INNER)
def has_tag(frames, start, stop, tag):
    """Whether an element in [start, stop) has this tag."""
    place = start
    while place < stop:
        if np.int64(frames[place + 1]) == tag:
            return True
        place += 1 + np.int64(frames[place])
    return False


@njit(types.boolean(BYTES, I64, I64), **INNER)
def names_other_counter(frames, start, stop):
    """Whether the elements in [start, stop) ask for a UserRefIdx other than 0 (tag 28)."""
    place = start
    while place < stop:
        length = np.int64(frames[place])
        if np.int64(frames[place + 1]) == codes.OPTION_USER_REF_IDX \
                and (length != 2 or np.int64(frames[place + _HEAD]) != 0):
            return True
        place += 1 + length
    return False
