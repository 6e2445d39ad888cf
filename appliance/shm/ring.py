"""The cold side of the control links: plain Python over the same memory as `hot/link.py`.

    Producer(words, ring).push(kind=..., account=..., ...)   False when the ring is full
    Consumer(words, ring).pop()                              a dict, or None when it is empty

`words` is the u64 view of a LINK_HEADER block, `ring` the LINK records behind it; one process may
produce and one consume. The data is written first and the index after it. Python gives no fences:
on x86 stores and loads of a process keep their order by themselves, so plain accesses are enough
there; `publish` and `look` go through compiled atomics so that it holds elsewhere too.
"""

import numpy as np
from numba import int64, njit, uint64, void

from appliance.hot.fence import load_acquire_u64, store_release_u64
from appliance.hot.io_state import LINK_DROPPED, LINK_HEAD, LINK_TAIL
from appliance.layout.shared import LINK

_LOW_64 = 0xFFFF_FFFF_FFFF_FFFF          # the other end may have written anything: indices wrap


@njit(void(uint64[::1], int64, uint64), cache=True)
def publish(words, idx, value):
    """Stores an index after the data before it."""
    store_release_u64(words, idx, value)


@njit(uint64(uint64[::1], int64), cache=True)
def look(words, idx):
    """Loads an index before the data after it."""
    return load_acquire_u64(words, idx)


def as_text(value, size: int) -> np.ndarray:
    """Bytes or str as `size` bytes, zero padded. ValueError when it is longer."""
    raw = value.encode() if isinstance(value, str) else bytes(value)
    if len(raw) > size:
        raise ValueError(f"{raw!r} has {len(raw)} bytes, the link's field takes {size}")
    return np.frombuffer(raw.ljust(size, b"\0"), np.uint8)


class Producer:
    """The writing end of a ring."""

    def __init__(self, words, ring):
        self.words, self.ring = words, ring

    def push(self, **fields) -> bool:
        """Appends one record; text fields take bytes or str. False, counted, when it is full."""
        head = int(self.words[LINK_HEAD])
        if head - int(look(self.words, LINK_TAIL)) >= self.ring.size:
            self.words[LINK_DROPPED] += np.uint64(1)
            return False
        record = np.zeros(1, LINK.dtype)
        for name, value in fields.items():
            count = LINK[name].count
            record[0][name] = as_text(value, count) if count > 1 else value
        self.ring[head & (self.ring.size - 1)] = record[0]
        publish(self.words, LINK_HEAD, np.uint64((head + 1) & _LOW_64))
        return True


class Consumer:
    """The reading end of a ring."""

    def __init__(self, words, ring):
        self.words, self.ring = words, ring

    def pop(self):
        """The oldest record as a dict (texts as bytes; `text` cut to text_sz), None when empty."""
        tail = int(self.words[LINK_TAIL])
        if tail == int(look(self.words, LINK_HEAD)):
            return None
        record = self.ring[tail & (self.ring.size - 1)]
        taken = {field.name: record[field.name].tobytes() if field.count > 1
                 else int(record[field.name]) for field in LINK.fields
                 if not field.name.startswith("pad")}
        taken["text"] = taken["text"][:taken["text_sz"]]
        publish(self.words, LINK_TAIL, np.uint64((tail + 1) & _LOW_64))
        return taken
