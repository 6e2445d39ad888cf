"""The journal ring: each command with its sequence, its time and a running checksum of the day.

A record is written before the command has any effect, with handles still 0: applying the records
in order again gives the same state. `header.block_cnt` counts bursts and belongs to the caller.
"""

import numpy as np
from numba import types

from appliance.hot.kernel import later
from appliance.hot.raw import raw_address, raw_load64, raw_store64
from appliance.hot.types import CORE, I64, INLINE, VOID
from appliance.layout.record import COMMAND, DETAIL, JOURNAL_RECORD
from appliance.native import external

_crc32c = external("wm_crc32c", types.uint32, types.uint32, types.uintp, types.uint64)

REPLAYED = -1
_ONE = np.uint64(1)
_COMMAND_OFF, _DETAIL_OFF = JOURNAL_RECORD["command"].off, JOURNAL_RECORD["detail"].off
_COMMAND_WORDS, _DETAIL_WORDS = COMMAND.size // 8, DETAIL.size // 8
_RECORD_SZ = np.uint64(JOURNAL_RECORD.size)


@later(VOID(CORE, I64, I64), **INLINE)
def append(core, idx, now_ns):
    """Journals burst record idx at time max(last, now_ns), which becomes engine.time_ns.

    REPLAYED as now_ns: the record stands in its place of the ring already, with its time.
    """
    header, ring, engine = core.journal.header[0], core.journal.ring, core.book.engine[0]
    seq = header["next_seq"]
    slot = np.int64(seq) & np.int64(ring.size - 1)
    if now_ns == REPLAYED:
        time_ns = np.int64(ring[slot]["time_ns"])
    else:
        time_ns = max(np.int64(header["last_ns"]), now_ns)
        ring[slot]["seq"] = seq
        ring[slot]["time_ns"] = np.uint64(time_ns)
        for word in range(_COMMAND_WORDS):
            raw_store64(ring, slot, _COMMAND_OFF + 8 * word,
                        raw_load64(core.burst.commands, idx, 8 * word))
        for word in range(_DETAIL_WORDS):
            raw_store64(ring, slot, _DETAIL_OFF + 8 * word,
                        raw_load64(core.burst.details, idx, 8 * word))
    header["last_ns"] = np.uint64(time_ns)
    header["checksum"] = np.uint64(_crc32c(
        np.uint32(header["checksum"]), raw_address(ring, slot), _RECORD_SZ))
    header["next_seq"] = seq + _ONE
    engine["time_ns"] = np.uint64(time_ns)
