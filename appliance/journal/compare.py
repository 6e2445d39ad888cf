"""Two journals beside each other: where they part first, field by field."""

import numpy as np

from ..layout.record import COMMAND, DETAIL, JOURNAL_RECORD
from .scan import read
from .show import KINDS


def genesis_differences(one: dict, other: dict) -> list:
    """Lines on what two geneses do not share."""
    return [f"genesis: {name}: {one.get(name)!r} and {other.get(name)!r}"
            for name in sorted({*one, *other}) if one.get(name) != other.get(name)]


def record_differences(one, other) -> tuple:
    """(sequence, lines) of the first records of two folders that differ.

    No lines: all that both have is equal; the sequence is then the last of it.
    """
    seq = 0
    for mine, theirs in _beside(read(one), read(other)):
        unequal = (mine.view(np.uint8).reshape(-1, JOURNAL_RECORD.size)
                   != theirs.view(np.uint8).reshape(-1, JOURNAL_RECORD.size)).any(axis=1)
        if unequal.any():
            at = int(unequal.argmax())
            return int(mine[at]["seq"]), _fields(mine[at], theirs[at])
        seq = int(mine[-1]["seq"])
    return seq, []


def _beside(one, other):
    """Pairs of arrays of one length, until one of the two ends."""
    mine = theirs = np.empty(0, JOURNAL_RECORD.dtype)
    while True:
        if not len(mine):
            mine = next(one, None)
        if not len(theirs) and mine is not None:
            theirs = next(other, None)
        if mine is None or theirs is None:
            return
        count = min(len(mine), len(theirs))
        yield np.ascontiguousarray(mine[:count]), np.ascontiguousarray(theirs[:count])
        mine, theirs = mine[count:], theirs[count:]


def _fields(mine, theirs):
    lines = [f"{name}: {int(mine[name])} and {int(theirs[name])}" for name in ("seq", "time_ns")
             if mine[name] != theirs[name]]
    for part, struct in (("command", COMMAND), ("detail", DETAIL)):
        rows = [each[part].view(struct.dtype)[0] for each in (mine, theirs)]
        for field in struct.fields:
            values = [row[field.name] for row in rows]
            if np.any(values[0] != values[1]):
                lines.append(f"{part}.{field.name}: " + " and ".join(
                    _plain(field, value) for value in values))
    return lines


def _plain(field, value):
    if field.count > 1:
        return repr(bytes(value))
    return KINDS.get(int(value), str(value)) if field.name == "kind" else str(value)
