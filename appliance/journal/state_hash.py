"""64 bits of a core's state: equal states have equal ones, on any machine and by any way there.

    of(core)                    of sections(snapshot.canonical(core))

BLAKE2b over name, layout, count and bytes of each section. It says whether two replicas, or a
replay and its journal, have parted; 64 bits are no proof against somebody who forges on purpose.
"""

import hashlib

from .sections import LATER, ROWS, UNHASHED
from .snapshot import canonical


def sections(found: dict) -> int:
    """The hash of a canonical state."""
    digest = hashlib.blake2b(digest_size=8)
    for name, dtype in ROWS.items():
        rows = found[name]
        if name not in UNHASHED and (len(rows) or name not in LATER):
            digest.update(f"{name} {dtype.descr} {len(rows)}\n".encode())
            digest.update(memoryview(rows).cast("B") if rows.size else b"")
    return int.from_bytes(digest.digest(), "little")


def of(core) -> int:
    """The hash of a core's state now."""
    return sections(canonical(core))
