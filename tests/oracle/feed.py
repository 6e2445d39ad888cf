"""ITCH 5.0 messages of the public feed (wire-spec 3), built byte by byte with struct.

Tracking number is always 0; times are nanoseconds since midnight, written in six bytes.
"""

import struct

HEADER = struct.Struct(">cHH6s")
DIRECTORY = struct.Struct(">8sccIcc2scccccIc")
ADD = struct.Struct(">QcI8sI")
EXECUTED = struct.Struct(">QIQ")
CANCEL = struct.Struct(">QI")
DELETE = struct.Struct(">Q")
REPLACE = struct.Struct(">QQII")
EXECUTED_AT = struct.Struct(">QIQcI")
TRADE = struct.Struct(">QcI8sIQ")
CROSS = struct.Struct(">Q8sIQc")
IMBALANCE = struct.Struct(">QQc8sIIIcc")


def header(kind, locate, time):
    return HEADER.pack(kind, locate, 0, time.to_bytes(6, "big"))


def system_event(time, code):
    return header(b"S", 0, time) + code


def directory(time, locate, symbol, lot_size):
    return header(b"R", locate, time) + DIRECTORY.pack(
        symbol, b" ", b" ", lot_size, b"N", b"Q", b"Z ", b"P", b" ", b" ", b" ", b"N", 0, b"N")


def trading_action(time, locate, symbol, state=b"T", reason=b"    "):
    return header(b"H", locate, time) + symbol + state + b" " + reason


def add(time, locate, symbol, reference, buy, quantity, price, attribution=None):
    """`A`, or `F` with a four-byte attribution."""
    body = ADD.pack(reference, b"B" if buy else b"S", quantity, symbol, price)
    if attribution is None:
        return header(b"A", locate, time) + body
    return header(b"F", locate, time) + body + attribution


def executed(time, locate, reference, quantity, match):
    return header(b"E", locate, time) + EXECUTED.pack(reference, quantity, match)


def executed_at(time, locate, reference, quantity, match, price):
    """A shown order's part of a cross; not printable, as the cross is printed whole."""
    return header(b"C", locate, time) + EXECUTED_AT.pack(reference, quantity, match, b"N", price)


def trade(time, locate, symbol, quantity, price, match):
    """A trade with an order that the feed does not show."""
    return header(b"P", locate, time) + TRADE.pack(0, b"B", quantity, symbol, price, match)


def cross(time, locate, symbol, shares, price, match, letter):
    return header(b"Q", locate, time) + CROSS.pack(shares, symbol, price, match, letter)


def broken(time, locate, match):
    return header(b"B", locate, time) + match.to_bytes(8, "big")


def imbalance(time, locate, symbol, letter, numbers):
    """`numbers`: paired, imbalance, direction, far, near, reference, variation letter."""
    paired, imbalance_qty, direction, far, near, reference, variation = numbers
    return header(b"I", locate, time) + IMBALANCE.pack(
        paired, imbalance_qty, direction, symbol, far, near, reference, letter, variation)


def cancel(time, locate, reference, removed):
    return header(b"X", locate, time) + CANCEL.pack(reference, removed)


def delete(time, locate, reference):
    return header(b"D", locate, time) + DELETE.pack(reference)


def replace(time, locate, old_reference, new_reference, quantity, price):
    return header(b"U", locate, time) + REPLACE.pack(old_reference, new_reference, quantity, price)


def mask_itch(message):
    """The same message with its timestamp (bytes 5 to 10) blanked."""
    return message[:5] + bytes(6) + message[11:]
