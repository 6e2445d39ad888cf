"""Whether the XDP program's flood guard is dropping a source just now.

`io.guarded` is the program's own map (GUARDED rows, mapped read-only); as many of the first rows
are in use as there are sources on the allow-list. Without a program it is one row of zeros and
nobody is guarded. It is looked at only where a gap would be asked for, so rows are searched one by
one.
"""

import numpy as np
from numba import boolean, int64

from ..layout.gate import GUARDED
from .counters import KERNEL
from .fence import load_acquire_u64
from .kernel import later
from .types_io import IO, PARAMS_ARRAY

QUIET_NS = 20_000_000       # the program's clock is up to 10 ms behind
_WORDS = GUARDED.size // 8
_IP, _DROPPED_NS = GUARDED["ip"].off // 8, GUARDED["dropped_ns"].off // 8


@later(boolean(IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def is_guarded(io, params, ip, now):
    """Whether a datagram of this source was dropped within QUIET_NS before the record time now."""
    p = params[0]
    monotonic_ns = now - np.int64(p["base_ns"]) + np.int64(p["mono_base_ns"])
    for row in range(min(np.int64(p["allow_cnt"]), io.guarded.size // _WORDS)):
        if np.int64(load_acquire_u64(io.guarded, row * _WORDS + _IP)) == ip:
            dropped_ns = np.int64(load_acquire_u64(io.guarded, row * _WORDS + _DROPPED_NS))
            return dropped_ns != 0 and monotonic_ns - dropped_ns < QUIET_NS
    return False
