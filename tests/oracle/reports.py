"""OUCH 5.0 messages to the participant (wire-spec 5.4), built byte by byte with struct.

Times are nanoseconds since midnight; `reference` and `match` are the numbers on the wire.
"""

import struct

SYSTEM_EVENT = struct.Struct(">cQc")
ACCEPTED = struct.Struct(">cQIcI8sQccQcccc14sH")
REPLACED = struct.Struct(">cQIIcI8sQccQcccc14sH")
CANCELED = struct.Struct(">cQIIc")
PREVENTED = struct.Struct(">cQIIcIQcc")
EXECUTED = struct.Struct(">cQIIQcQH")
REJECTED = struct.Struct(">cQIH14s")
PRIORITY = struct.Struct(">cQIQcQ")
MODIFIED = struct.Struct(">cQIcI")
QUERY = struct.Struct(">cQI")
MASS_CANCEL = struct.Struct(">cQI4s8sH")
SWITCHED = struct.Struct(">cQI4sH")
RESTATED = struct.Struct(">cQIcH")
BROKEN = struct.Struct(">cQIQc14s")

ACCEPTED_TAGS = (2, 3, 4, 5, 12, 15, 24, 25, 29)
REPLACED_TAGS = (2, 3, 5, 12, 15, 29)


def appendage(tags, wanted):
    """The elements of `tags` (tag -> value) whose tags are `wanted`, in that order."""
    return b"".join(bytes((len(tags[tag]) + 1, tag)) + tags[tag] for tag in wanted if tag in tags)


def system_event(time, code):
    return SYSTEM_EVENT.pack(b"S", time, code)


def accepted(time, order, symbol, reference):
    extra = appendage(order.tags, ACCEPTED_TAGS) if order.tags else b""
    return ACCEPTED.pack(
        b"A", time, order.user_ref_num, order.side, order.open, symbol, order.price, order.tif,
        order.display, reference, order.capacity, order.sweep, order.cross, b"L", order.clordid,
        len(extra)) + extra


def replaced(time, order, old, symbol, reference):
    extra = appendage(order.tags, REPLACED_TAGS) if order.tags else b""
    return REPLACED.pack(
        b"U", time, old.user_ref_num, order.user_ref_num, order.side, order.open, symbol,
        order.price, order.tif, order.display, reference, order.capacity, order.sweep,
        order.cross, b"L", order.clordid, len(extra)) + extra


def canceled(time, order, removed, reason):
    return CANCELED.pack(b"C", time, order.user_ref_num, removed, reason)


def prevented(time, order, decrement, prevented_qty, price, flag, strategy):
    return PREVENTED.pack(b"D", time, order.user_ref_num, decrement, b"Q", prevented_qty, price,
                          flag, strategy)


def executed(time, order, quantity, price, flag, match):
    return EXECUTED.pack(b"E", time, order.user_ref_num, quantity, price, flag, match, 0)


def rejected(time, user_ref_num, reason, clordid):
    return REJECTED.pack(b"J", time, user_ref_num, reason, clordid)


def priority_update(time, order, reference):
    return PRIORITY.pack(b"T", time, order.user_ref_num, order.price, order.display, reference)


def modified(time, order):
    return MODIFIED.pack(b"M", time, order.user_ref_num, order.side, order.open)


def restated(time, user_ref_num, reference, shown):
    """The display refreshed: `reference` is the new one on the feed, `shown` what it shows."""
    extra = appendage({1: reference.to_bytes(8, "big"), 22: shown.to_bytes(4, "big")}, (1, 22))
    return RESTATED.pack(b"R", time, user_ref_num, b"R", len(extra)) + extra


def broken(time, user_ref_num, match, reason, clordid):
    return BROKEN.pack(b"B", time, user_ref_num, match, reason, clordid)


def query_answer(time, next_user_ref_num):
    return QUERY.pack(b"Q", time, next_user_ref_num & 0xFFFFFFFF)


def mass_canceled(time, user_ref_num, firm, symbol):
    return MASS_CANCEL.pack(b"X", time, user_ref_num, firm, symbol, 0)


def disabled(time, user_ref_num, firm):
    return SWITCHED.pack(b"G", time, user_ref_num, firm, 0)


def enabled(time, user_ref_num, firm):
    return SWITCHED.pack(b"K", time, user_ref_num, firm, 0)


def mask_ouch(message):
    """The same message with its timestamp (bytes 1 to 8) blanked."""
    return message[:1] + bytes(8) + message[9:]
