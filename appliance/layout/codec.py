"""Bytes to records and back, in plain Python, driven by the declarations.

`decode(protocol, direction, data)` gives a Record: a dict of field values that also answers to
attributes, with `.message` its declaration. Texts come without their padding, numbers as int,
type and length fields are left out. OUCH records have `tags`: {tag number: value}, or None where
an optional appendage is absent; carried bytes are `payload`.
`encode(protocol, direction, letter, fields)` is its inverse. Both raise WireError only.
"""

import struct

from .lang import Message
from .wire import PROTOCOLS, find
from .wire_itch import ITCH_HEADER
from .wire_ouch import TAG_NUMBERS, TAGS

_FORMATS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i", "price4": "I",
            "price4w": "Q", "price8": "Q", "time8": "Q"}
_IMPLIED = ("type", "message_type", "packet_type", "packet_length", "appendage_length")
_DEFAULTS = {"tracking_number": 0, "reserved": ""}
_TAG_SIZES = {number: tag.size for number, tag in TAGS.items()}


class WireError(ValueError):
    """Bytes or values that break the wire format: `message`, `field`, `offset`, `what`."""

    def __init__(self, message, field, offset, what):
        super().__init__(f"{message}.{field} at byte {offset}: {what}")
        self.message, self.field, self.offset, self.what = message, field, offset, what


class Record(dict):
    """Field values of one message; `record.price` is `record["price"]`."""

    __slots__ = ("message",)

    def __init__(self, message, values=()):
        super().__init__(values)
        self.message = message

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{self.message} has no field {name!r}") from None

    @property
    def letter(self):
        """The type letter."""
        return self.message.letter if self.message else self["message_type"]


def _text(raw):
    return raw.decode("latin-1").rstrip(" ")


def _u48(raw):
    return int.from_bytes(raw, "big")


def _numeric(raw):
    text = raw.strip(b" ")
    if not text.isdigit():
        raise ValueError(f"{raw!r} is no decimal number")
    return int(text)


_READERS = {"alpha": _text, "numeric": _numeric, "u48": _u48, "time6": _u48}


class Plan:
    """The precompiled form of one declaration: struct, names, and what needs converting."""

    def __init__(self, declared):
        self.declared, self.name = declared, declared.name
        self.struct = struct.Struct(">" + "".join(
            _FORMATS.get(field.type, f"{field.size}s") for field in declared.fields))
        self.names = tuple(field.name for field in declared.fields)
        self.readers = tuple((field, _READERS[field.type]) for field in declared.fields
                             if field.type in _READERS and field.name not in _IMPLIED)
        self.implied = tuple(name for name in self.names if name in _IMPLIED)
        self.limits = tuple(1 << (8 * field.size) if field.type in _FORMATS
                            and field.type != "i32" else 0 for field in declared.fields)

    def unpack(self, data, message) -> Record:
        """The fixed part as a Record; the caller has checked that data is long enough."""
        record = Record(message, zip(self.names, self.struct.unpack_from(data), strict=True))
        for field, read in self.readers:
            try:
                record[field.name] = read(record[field.name])
            except ValueError as wrong:
                raise WireError(self.name, field.name, field.off, str(wrong)) from None
        for name in self.implied:
            del record[name]
        return record

    def pack(self, values, implied) -> bytes:
        """The fixed part from field values; `implied` holds type and length fields."""
        words = []
        for field, limit in zip(self.declared.fields, self.limits, strict=True):
            name = field.name
            if name in implied:
                value = implied[name]
            elif name in values:
                value = values[name]
                if type(value) is int and 0 <= value < limit:
                    words.append(value)
                    continue
            elif name in _DEFAULTS:
                value = _DEFAULTS[name]
            else:
                raise WireError(self.name, name, field.off, "no value given")
            words.append(to_wire(self.name, field, value))
        return self.struct.pack(*words)


def to_wire(message: str, field, value):
    """The value in the form that struct packs: an int, or `field.size` bytes. Raises WireError."""
    kind = field.type
    if kind in ("alpha", "numeric"):
        try:
            raw = value if isinstance(value, bytes) else str(value).encode("latin-1")
        except UnicodeEncodeError:
            raise WireError(message, field.name, field.off, f"{value!r} is not ASCII") from None
        if len(raw) > field.size:
            raise WireError(message, field.name, field.off,
                            f"{value!r} takes {len(raw)} bytes, the field has {field.size}")
        if kind == "alpha":
            return raw.ljust(field.size)
        if not raw.isdigit():
            raise WireError(message, field.name, field.off, f"{value!r} is no decimal number")
        return raw.rjust(field.size)
    low, high = (-2 ** 31, 2 ** 31) if kind == "i32" else (0, 1 << (8 * field.size))
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value < high:
        raise WireError(message, field.name, field.off,
                        f"{value!r} is no integer from {low} to {high - 1}")
    return value if kind in _FORMATS else value.to_bytes(field.size, "big")


PLANS = {(protocol, direction, ord(letter)): Plan(message)
         for (protocol, direction), table in PROTOCOLS.items()
         for letter, message in table.items()}
_ITCH_HEADER_PLAN = Plan(ITCH_HEADER)


def decode(protocol: str, direction: str, data) -> Record:
    """The record of one whole message (SoupBinTCP: of one packet with its length).

    An unknown ITCH type gives a Record with `message` None, the common header, `message_type` and
    the rest as `payload`; an unknown type of another protocol raises WireError.
    """
    type_off = 2 if protocol == "soup" else 0
    if len(data) <= type_off:
        raise WireError(protocol, "type", type_off, f"{len(data)} bytes hold no type")
    plan = PLANS.get((protocol, direction, data[type_off]))
    if plan is None:
        return _unknown(protocol, direction, data, type_off)
    message = plan.declared
    if len(data) < message.size:
        raise _too_short(message, len(data))
    record = plan.unpack(data, message)
    rest = bytes(data[message.size:])
    if protocol == "soup":
        said = int.from_bytes(data[0:2], "big")
        if said != len(data) - 2:
            raise WireError(message.name, "packet_length", 0,
                            f"says {said}, {len(data) - 2} bytes follow")
    if message.tail:
        record["payload"] = rest
    elif message.appendage != "never":
        record["tags"] = _appendage(message, data, rest)
    elif rest:
        raise WireError(message.name, "end", message.size,
                        f"the message has {message.size} bytes, {len(data)} came")
    return record


def _unknown(protocol, direction, data, type_off):
    find(protocol, direction, data[type_off])
    letter = chr(data[type_off])
    if protocol not in ("itch", "glimpse"):
        raise WireError(protocol, "type", type_off,
                        f"no message {letter!r} in direction {direction}")
    if len(data) < ITCH_HEADER.size:
        raise WireError("itch_header", "message_type", 0,
                        f"unknown type {letter!r} of {len(data)} bytes, less than a header")
    record = _ITCH_HEADER_PLAN.unpack(data, None)
    record["message_type"] = letter
    record["payload"] = bytes(data[ITCH_HEADER.size:])
    return record


def _too_short(message, length):
    cut = next(field for field in message.fields if field.off + field.size > length)
    return WireError(message.name, cut.name, cut.off,
                     f"the message has {message.size} bytes, {length} came")


def _appendage(message: Message, data, rest):
    """{tag: value} of the bytes after the fixed part, None when an optional appendage is absent."""
    if message.appendage == "mandatory":
        off = message["appendage_length"].off
        said = int.from_bytes(data[off:off + 2], "big")
        start = message.size
    else:
        if not rest:
            return None
        off, start = message.size, message.size + 2
        if len(rest) < 2:
            raise WireError(message.name, "appendage_length", off, "one byte, it takes two")
        said, rest = int.from_bytes(rest[:2], "big"), rest[2:]
    if said != len(rest):
        raise WireError(message.name, "appendage_length", off,
                        f"says {said}, {len(rest)} bytes follow")
    return parse_tags(rest, message.name, start)


def parse_tags(raw: bytes, where="appendage", start=0) -> dict:
    """{tag number: value} of TagValue elements; unknown tags keep their bytes. Raises WireError."""
    tags, off = {}, 0
    while off < len(raw):
        size = raw[off] - 1
        if size < 0 or off + 2 + size > len(raw):
            raise WireError(where, "tag_length", start + off,
                            f"says {raw[off]}, {len(raw) - off - 1} bytes follow")
        tag = raw[off + 1]
        field = TAGS.get(tag)
        if tag in tags:
            raise WireError(where, f"tag {tag}", start + off + 1, "stands twice")
        value = raw[off + 2:off + 2 + size]
        if field is None:
            tags[tag] = value
        elif size != field.size:
            raise WireError(where, field.name, start + off,
                            f"value of {size} bytes, tag {tag} has {field.size}")
        elif field.type == "alpha":
            tags[tag] = _text(value)
        else:
            tags[tag] = int.from_bytes(value, "big", signed=field.type == "i32")
        off += 2 + size
    return tags


def build_tags(tags, message: Message) -> bytes:
    """TagValue elements of {tag number or name: value}, in that order. Raises WireError."""
    raw, seen = b"", set()
    for key, value in tags.items():
        number = TAG_NUMBERS.get(key, key)
        field = TAGS.get(number)
        if field is None or number not in message.tags + message.tags_b:
            allowed = ", ".join(str(t) for t in sorted(message.tags + message.tags_b))
            raise WireError(message.name, f"tag {key}", message.size,
                            f"not allowed here; allowed: {allowed or 'none'}")
        if number in seen:
            raise WireError(message.name, field.name, message.size, "given twice")
        seen.add(number)
        word = to_wire(message.name, field, value)
        if isinstance(word, int):
            word = word.to_bytes(field.size, "big", signed=field.type == "i32")
        raw += bytes((field.size + 1, number)) + word
    return raw


def encode(protocol: str, direction: str, letter: str, fields=(), /, **more) -> bytes:
    """The bytes of one message from its field values (texts are padded here).

    OUCH takes `tags`: {number or name: value}; for an optional appendage None (the default) leaves
    it out and {} sends its length 0. SoupBinTCP and its data packets take `payload`.
    Raises WireError, also for a name that the message does not have.
    """
    values = dict(fields, **more)
    plan = PLANS.get((protocol, direction, ord(letter)))
    if plan is None:
        find(protocol, direction, ord(letter))
        raise WireError(protocol, "type", 0, f"no message {letter!r} in direction {direction}")
    message = plan.declared
    rest, implied = b"", {name: letter for name in plan.implied}
    if message.tail:
        rest = bytes(values.pop("payload", b""))
    elif message.appendage != "never":
        tags = values.pop("tags", None)
        rest = build_tags(tags or {}, message)
        implied["appendage_length"] = len(rest)
        if message.appendage == "optional" and tags is not None:
            rest = len(rest).to_bytes(2, "big") + rest
    if "packet_length" in implied:
        implied["packet_length"] = message.size - 2 + len(rest)
    for name in values:
        if name not in message.by_name:
            raise WireError(message.name, name, 0,
                            f"no such field; there are {', '.join(message.by_name)}")
    return plan.pack(values, implied) + rest
