"""The declaration language: a Struct is a list of Fields and proves its own layout.

Two kinds of struct share it. *Native* structs (records, shared memory) are little-endian, every
field naturally aligned and every pad byte a named field, so that C, BPF and numpy agree without
attributes. *Wire* structs are big-endian and packed; numba cannot hold big-endian numbers, so in
numpy each of their fields is raw bytes and is read through `hot/endian.py`. price4 counts 0.0001
in four bytes, price4w in eight, price8 counts 0.00000001 in eight.
"""

from dataclasses import dataclass, field, replace

import numpy as np

SIZES = {"u8": 1, "i8": 1, "u16": 2, "i16": 2, "u32": 4, "i32": 4, "u64": 8, "i64": 8,
         "u48": 6, "alpha": 1, "numeric": 1, "price4": 4, "price4w": 8, "price8": 8, "time6": 6,
         "time8": 8}
NATIVE = ("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64")


class LayoutError(AssertionError):
    """A declaration contradicts itself; the text names struct, field and both numbers."""


@dataclass(frozen=True)
class Field:
    """One field: `count` > 1 makes an array (native) or a text of that many bytes (wire).

    `values` (code or text -> meaning) lists what a wire field may hold; it documents, and is no
    check: a receiver accepts values that the venue adds later.
    """

    name: str
    type: str
    count: int = 1
    doc: str = ""
    off: int = -1
    values: dict = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Bytes the field takes."""
        return SIZES[self.type] * self.count


class Struct:
    """A fixed layout of `size` bytes; `fields` get their offsets from their order.

    Raises LayoutError when the fields do not add up to `size`, a native field is not naturally
    aligned, or a name stands twice.
    """

    def __init__(self, name, size, fields, *, wire=False, doc=""):
        self.name, self.size, self.wire, self.doc = name, size, wire, doc
        placed, off, seen = [], 0, set()
        for part in fields:
            where = f"{name}.{part.name}"
            if part.name in seen:
                raise LayoutError(f"{name}: field {part.name!r} is declared twice")
            seen.add(part.name)
            if part.type not in SIZES:
                raise LayoutError(f"{where}: no type {part.type!r}; use one of {', '.join(SIZES)}")
            width = SIZES[part.type]
            if not wire and part.type not in NATIVE:
                raise LayoutError(f"{where}: type {part.type} is for the wire only")
            if not wire and off % width:
                raise LayoutError(f"{where}: offset {off} is not a multiple of {width}")
            if part.off not in (-1, off):
                raise LayoutError(f"{where}: declared at {part.off}, falls at {off}")
            placed.append(replace(part, off=off))
            off += part.size
        if off != size:
            raise LayoutError(f"{name}: fields take {off} bytes, declared {size}")
        self.fields = tuple(placed)
        self.by_name = {f.name: f for f in placed}
        self.dtype = self._dtype()

    def __getitem__(self, name) -> Field:
        return self.by_name[name]

    def __repr__(self):
        return f"Struct({self.name}, {self.size} bytes, {len(self.fields)} fields)"

    def _dtype(self):
        if self.wire:
            return np.dtype([(f.name, "u1", (f.size,)) for f in self.fields])
        kinds = [(f.name, f"<{f.type[0]}{SIZES[f.type]}")
                 + (((f.count,),) if f.count > 1 else ()) for f in self.fields]
        dtype = np.dtype(kinds)
        if dtype.itemsize != self.size:
            raise LayoutError(f"{self.name}: numpy makes {dtype.itemsize} bytes of {self.size}")
        return dtype


def native(name, size, doc, *rows) -> Struct:
    """A little-endian aligned struct from rows (name, type[, count], doc)."""
    return Struct(name, size, [_row(r) for r in rows], doc=doc)


def wire(name, size, doc, *rows) -> Struct:
    """A big-endian packed struct from rows ([off,] name, type[, count][, doc][, values])."""
    return Struct(name, size, [_row(r) for r in rows], wire=True, doc=doc)


class Message(Struct):
    """A wire struct with a type byte, found by (protocol, direction, letter).

    `size` is the fixed part. `appendage` is "mandatory" (its u16 length is the last fixed field),
    "optional" (a u16 length and that many bytes may follow) or "never"; `tags` may stand in it,
    `tags_b` only in edition B. `tail`: any bytes may follow the fixed part (a carried message).
    """

    def __init__(self, protocol, direction, letter, name, size, rows, *, appendage="never",
                 editions="AB", tags=(), tags_b=(), tail=False, doc=""):
        super().__init__(name, size, [_row(r) for r in rows], wire=True, doc=doc)
        self.protocol, self.direction, self.letter = protocol, direction, letter
        self.appendage, self.editions, self.tail = appendage, editions, tail
        self.tags, self.tags_b = tuple(tags), tuple(tags_b)
        if appendage not in ("mandatory", "optional", "never"):
            raise LayoutError(f"{name}: appendage {appendage!r} is not mandatory, optional, never")
        if (appendage == "mandatory") != (self.fields[-1].name == "appendage_length"):
            raise LayoutError(f"{name}: appendage {appendage}, last field {self.fields[-1].name}")
        if appendage == "never" and (self.tags or self.tags_b):
            raise LayoutError(f"{name}: tags without an appendage")

    @property
    def lengths(self) -> tuple:
        """Legal lengths of the message when it carries no tags."""
        both = self.appendage == "optional" and "B" in self.editions
        return (self.size, self.size + 2) if both else (self.size,)


def _row(row) -> Field:
    off, (name, kind, *rest) = (row[0], row[1:]) if isinstance(row[0], int) else (-1, row)
    count = rest.pop(0) if rest and isinstance(rest[0], int) else 1
    doc = rest.pop(0) if rest and isinstance(rest[0], str) else ""
    return Field(name, kind, count, doc, off, dict(rest[0]) if rest else {})


def constants(**values) -> type:
    """A namespace of integer constants, printed to the C header under its own name."""
    return type("Constants", (), {"__slots__": (), **values})
