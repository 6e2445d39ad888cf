"""The digest that tells two layouts apart: what two programs must agree on, as text and number."""

import hashlib

from . import gate, journal, record, shared

MODULES = (record, shared, gate, journal)
NATIVE = record.RECORDS + shared.BLOCKS + gate.RECORDS + journal.RECORDS


def constants() -> dict:
    """{name: value} of the integer constants of MODULES, in their order.

    Raises ValueError when two declare one name with two values.
    """
    found = {}
    for module in MODULES:
        for name, value in vars(module).items():
            if name.isupper() and isinstance(value, int):
                if found.setdefault(name, value) != value:
                    raise ValueError(f"{name} is {found[name]} and {value}: give one another name")
    return found


def layout_text() -> str:
    """Everything a second program must agree on, a line a field, constant and counter."""
    lines = []
    for struct in NATIVE:
        lines.append(f"{struct.name} {struct.size}")
        lines += [f" {f.off} {f.name} {f.type} {f.count}" for f in struct.fields]
    lines += [f"{name} = {value}" for name, value in constants().items()]
    lines += [f"counter {idx} {name}" for name, idx in shared.COUNTER_INDEX.items()]
    return "\n".join(lines)


def layout_digest() -> int:
    """u64 over all native declarations, their constants and counters; a region stores it."""
    return int.from_bytes(hashlib.blake2b(layout_text().encode(), digest_size=8).digest(), "big")
