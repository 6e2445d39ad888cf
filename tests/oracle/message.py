"""Reads one inbound OUCH message (wire-spec 5.1 and 5.3) into named fields, judging only its shape.

What the values mean, and whether they are allowed, is `entry.py`'s business.
"""

import struct

# Bytes of the fixed part; for O U C D E it includes the mandatory Appendage Length.
FIXED = {b"O": 47, b"U": 40, b"X": 9, b"M": 10, b"Q": 1, b"C": 19, b"D": 11, b"E": 11}
APPENDAGE_OPTIONAL = (b"X", b"M", b"Q")
# Bytes needed before the (new) UserRefNum can be read; a J can then name it.
READABLE = {b"O": 5, b"U": 9, b"C": 5, b"D": 5, b"E": 5}

UNKNOWN, SHORT, MALFORMED, GOOD = "unknown", "short", "malformed", "good"
NO_CLORDID = b" " * 14

ENTER = struct.Struct(">cIcI8sQccccc14sH")
REPLACE = struct.Struct(">cIIIQccc14sH")
CANCEL = struct.Struct(">cII")
MODIFY = struct.Struct(">cIcI")
MASS_CANCEL = struct.Struct(">cI4s8sH")
SWITCH = struct.Struct(">cI4sH")


class Message:
    """One message: `shape` (UNKNOWN, SHORT, MALFORMED or GOOD), `kind` letter, then its fields.

    A MALFORMED message has only kind, user_ref_num and clordid. `tags` is a list of
    (tag, value bytes) in the order sent.
    """

    __slots__ = ("shape", "kind", "user_ref_num", "orig_user_ref_num", "side", "quantity",
                 "symbol", "price", "tif", "display", "capacity", "sweep", "cross", "clordid",
                 "firm", "tags")


def elements(data, start):
    """TagValues of the appendage whose Appendage Length lies at `start`; None when misshapen."""
    if len(data) < start + 2:
        return None
    if int.from_bytes(data[start:start + 2], "big") != len(data) - start - 2:
        return None
    tags, seen, at = [], set(), start + 2
    while at < len(data):
        length = data[at]
        if length < 1 or at + 1 + length > len(data) or data[at + 1] in seen:
            return None
        seen.add(data[at + 1])
        tags.append((data[at + 1], data[at + 2:at + 1 + length]))
        at += 1 + length
    return tags


def read(data):
    """The Message in `data` (bytes of one OUCH message, type first)."""
    message = Message()
    kind = message.kind = data[:1]
    fixed = FIXED.get(kind)
    if fixed is None:
        message.shape = UNKNOWN if data else SHORT
        return message
    if kind in APPENDAGE_OPTIONAL:
        message.tags = [] if len(data) == fixed else elements(data, fixed)
        if len(data) < fixed or message.tags is None:
            message.shape = SHORT
            return message
    else:
        if len(data) < READABLE[kind]:
            message.shape = SHORT
            return message
        message.tags = elements(data, fixed - 2)
        if message.tags is None:
            return malformed(message, data, fixed)
    message.shape = GOOD
    FIELDS[kind](message, data)
    return message


def malformed(message, data, fixed):
    """What can still be told of a message that will be answered with J 000F."""
    message.shape = MALFORMED
    message.clordid = NO_CLORDID
    at = 5 if message.kind == b"U" else 1
    message.user_ref_num = int.from_bytes(data[at:at + 4], "big")
    if message.kind in (b"O", b"U") and len(data) >= fixed:
        message.clordid = data[fixed - 16:fixed - 2]
    return message


def read_enter(m, data):
    (_, m.user_ref_num, m.side, m.quantity, m.symbol, m.price, m.tif, m.display, m.capacity,
     m.sweep, m.cross, m.clordid, _) = ENTER.unpack_from(data)


def read_replace(m, data):
    (_, m.orig_user_ref_num, m.user_ref_num, m.quantity, m.price, m.tif, m.display, m.sweep,
     m.clordid, _) = REPLACE.unpack_from(data)


def read_cancel(m, data):
    _, m.user_ref_num, m.quantity = CANCEL.unpack_from(data)


def read_modify(m, data):
    _, m.user_ref_num, m.side, m.quantity = MODIFY.unpack_from(data)


def read_query(m, data):
    pass


def read_mass_cancel(m, data):
    _, m.user_ref_num, m.firm, m.symbol, _ = MASS_CANCEL.unpack_from(data)
    m.clordid = NO_CLORDID


def read_switch(m, data):
    _, m.user_ref_num, m.firm, _ = SWITCH.unpack_from(data)
    m.clordid = NO_CLORDID


FIELDS = {b"O": read_enter, b"U": read_replace, b"X": read_cancel, b"M": read_modify,
          b"Q": read_query, b"C": read_mass_cancel, b"D": read_switch, b"E": read_switch}
