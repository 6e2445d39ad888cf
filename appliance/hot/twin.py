"""Feed B where it leaves by an interface of its own: a plain socket, and a cursor of its own.

A and acknowledgements leave by the port and know nothing of this. B's packets are made after A has
been kicked, out of the same log, so they hold the same messages; where packets begin may differ. No
byte of the log is copied here: C hands the kernel a header and a piece of the log for each packet.

What the interface does not take: a full socket delays the cursor (twin_full). Any other error means
that nobody is there: the cursor goes to the publish gate (limit_seq, as in hot/transmit.py; never
beyond it: recovery shows what lies before the cursor), what it passes is counted (twin_lost), and
the next attempt is made _GONE_NS later, so that a lost interface costs next to nothing.
"""

import errno

import numpy as np
from numba import boolean, int64, types, void

from ..layout.shared import FEED_LOG
from ..native import external
from .counters import INLINED, KERNEL, TWIN_FULL, TWIN_LOST, TWIN_PACKETS, count as add
from .endian import load_be64, store_be16, store_be64, store_le64
from .feedlog import gather
from .io_state import PACKET_ROOM, TWIN_BATCH, TWIN_RETRY_NS, TWIN_SZ
from .kernel import later
from .port_state import SCRATCH, TWIN_FD, TWIN_SEGMENTED, TX_NULL
from .raw import raw_load16, raw_load64
from .transmit import blocks_sz
from .types import BYTES, CORE
from .types_io import IO, PARAMS_ARRAY, PORT

_feed_tx = external("wm_feed_tx", types.int32, types.int32, types.uint32, types.uint32, types.uintp,
                    types.uintp, types.int32, types.int32, types.uintp)

_NAME = FEED_LOG["session_name"].off
_FULL_NS, _GONE_NS = 20_000, 10_000_000
_EAGAIN, _ENOBUFS = -errno.EAGAIN, -errno.ENOBUFS
_EIO, _EINVAL, _EOPNOTSUPP = -errno.EIO, -errno.EINVAL, -errno.EOPNOTSUPP


@later(void(BYTES, int64, int64, int64, int64, int64, int64, int64), **INLINED)
def _write(twin, idx, name_word, name_rest, seq, count, off, sz):
    """Packet idx of wm_feed_tx: `count` messages from seq on, at off in the log."""
    at = idx * TWIN_SZ
    store_le64(twin, at, name_word)
    twin[at + 8], twin[at + 9] = np.uint8(name_rest & 0xFF), np.uint8(name_rest >> 8)
    store_be64(twin, at + 10, seq)
    store_be16(twin, at + 18, count)
    store_le64(twin, at + 24, off)
    store_le64(twin, at + 32, sz)


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def _submit(core, port, io, params, count, now):
    """Sends the first `count` packets of io.twin; how many left. What became of the others is
    counted, and says when to try again."""
    if port.state[TX_NULL] != 0:
        add(core.counters, TWIN_PACKETS, count)
        return count
    p = params[0]
    sent = np.int64(_feed_tx(
        np.int32(port.state[TWIN_FD]), np.uint32(p["feed_ip_b"]), np.uint32(p["feed_port_b"]),
        core.feed.ring.ctypes.data, io.twin.ctypes.data, np.int32(count),
        np.int32(port.state[TWIN_SEGMENTED]), port.state[SCRATCH:].ctypes.data))
    error = np.int64(port.state[SCRATCH])
    add(core.counters, TWIN_PACKETS, sent)
    if error == 0:
        return sent
    if error == _EAGAIN or error == _ENOBUFS:
        add(core.counters, TWIN_FULL, 1)
        io.words[TWIN_RETRY_NS] = now + _FULL_NS
    elif port.state[TWIN_SEGMENTED] != 0 and (error == _EIO or error == _EINVAL
                                              or error == _EOPNOTSUPP):
        port.state[TWIN_SEGMENTED] = 0
    else:
        io.words[TWIN_RETRY_NS] = now + _GONE_NS
    return sent


@later(int64(CORE, PORT, IO, PARAMS_ARRAY, int64, int64), **KERNEL)
def send_twin(core, port, io, params, limit_seq, now):
    """Sends feed B from its cursor on, TWIN_BATCH packets at most; how many left."""
    log, words = core.feed.log[0], io.words
    if now < words[TWIN_RETRY_NS]:
        return np.int64(0)
    seq, held_seq = np.int64(log["twin_seq"]), min(np.int64(log["oldest_seq"]), limit_seq)
    if seq < held_seq:
        add(core.counters, TWIN_LOST, held_seq - seq)
        seq = held_seq
    count = np.int64(0)
    name_word = raw_load64(core.feed.log, 0, _NAME)
    name_rest = np.int64(raw_load16(core.feed.log, 0, _NAME + 8))
    while count < TWIN_BATCH and seq < limit_seq:
        off, sz, got = gather(core.feed, seq, words[PACKET_ROOM])
        if got == 0:
            break
        if got > limit_seq - seq:
            got = limit_seq - seq
            sz = blocks_sz(core.feed.ring, off, got)
        _write(io.twin, count, np.int64(name_word), name_rest, seq, got, off, sz)
        seq += got
        count += 1
    sent = _submit(core, port, io, params, count, now) if count else np.int64(0)
    if sent < count:
        seq = np.int64(load_be64(io.twin, sent * TWIN_SZ + 10))
        if words[TWIN_RETRY_NS] == now + _GONE_NS:
            add(core.counters, TWIN_LOST, limit_seq - seq)
            seq = limit_seq
    log["twin_seq"] = np.uint64(seq)
    return sent


@later(boolean(CORE, PORT, IO, PARAMS_ARRAY, int64, int64, int64), **KERNEL)
def say_twin(core, port, io, params, count, limit_seq, now):
    """A packet without messages that says feed B's next number: a heartbeat, count 0, or an end of
    session, FFFF. False where it has not left: B lags behind, its socket is full, or nobody is
    there."""
    log = core.feed.log[0]
    if port.state[TWIN_FD] == 0 or now < io.words[TWIN_RETRY_NS] \
            or np.int64(log["twin_seq"]) < limit_seq:
        return False
    _write(io.twin, 0, np.int64(raw_load64(core.feed.log, 0, _NAME)),
           np.int64(raw_load16(core.feed.log, 0, _NAME + 8)), np.int64(log["twin_seq"]), count,
           np.int64(0), np.int64(0))
    return _submit(core, port, io, params, np.int64(1), now) == 1
