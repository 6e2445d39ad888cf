"""The recycler's kernels: what one pass over the rings of a shared queue does.

`words` and `entries` are u32 and u64 views of the whole exchange, `fill` and `comp` those of the
kernel's rings, `state` the exchange's first page, `c` the constants of a run. Each index is
published after what it covers, in the order that `recycler` explains: whatever instruction was the
last one, a successor can tell from the indices what is half done. No clock, no allocation, no
exception; addresses and producers of matchers are checked before they are used.
"""

import numpy as np
from numba import int64, njit, types, uint32, uint64, void

from appliance.hot.fence import (
    load_acquire_u32, load_acquire_u64, store_release_u32, store_release_u64,
)
from appliance.native import external
from appliance.shm.exchange import CONSUMER, PARTITIONS_MAX, RING_HEADER_SZ

# u64 words of the exchange's first page; the last two have a word for each partition
FILL_BASE, COMP_BASE, CURRENT, RECYCLED, COMPLETED, REFUSED = range(0, 48, 8)
GRANTED_LESS = 64                            # frames withheld when the port was handed out
IGNORED = GRANTED_LESS + PARTITIONS_MAX      # 1: its return ring's producer makes no sense
# constants of a run, int64
(FRAME_SZ, PARTITION_CNT, RX_END, TX_SHIFT, RETURN_OFF, FREE_OFF, WITHHELD_OFF, SLICE_SZ, FILL_MASK,
 TX_MASK, COMP_MASK, FILL_PRODUCER, FILL_CONSUMER, FILL_FLAGS, COMP_PRODUCER, COMP_CONSUMER,
 KEEPER_FD) = range(17)

BATCH_MAX = 1024
SHORT_SLEEP_NS, LONG_SLEEP_NS = 50_000, 1_000_000
IDLE_PASSES = 2000            # short sleeps in a row before the long ones: about 0.2 s
BUSY = 256                    # frames in a pass after which there is no sleep
_NEED_WAKEUP = np.uint32(1)
_ENTRIES = RING_HEADER_SZ // 8
_LOW, _LOW_U64, _ONE = np.int64(0xFFFF_FFFF), np.uint64(0xFFFF_FFFF), np.uint64(1)
_W, _E, _C = uint32[::1], uint64[::1], int64[::1]

_sleep = external("wm_sleep_ns", types.int32, types.int64)
_kick_rx = external("wm_kick_rx", types.int32, types.int32)


@njit(int64(_W, _E, _W, _E, _E, _C, int64), cache=True, nogil=True, _nrt=False)
def give_back(words, entries, fill, fill_addrs, state, c, partition):
    """Frames from one return ring to fill_ring, at most a batch; how many left the return ring.

    An address that is no receive frame ends the batch; alone at its front, it is dropped.
    """
    ring = (c[RETURN_OFF] + partition * c[SLICE_SZ]) >> 2
    addrs, mask = (ring >> 1) + _ENTRIES, c[FILL_MASK]
    consumer = np.int64(words[ring + CONSUMER])
    waiting = (np.int64(load_acquire_u32(words, ring)) - consumer) & _LOW
    if waiting > mask + 1:                   # no ring of this depth can have such a producer
        if state[IGNORED + partition] == 0:
            state[IGNORED + partition] = _ONE
            state[REFUSED] += _ONE
        return np.int64(0)
    if waiting == 0:
        return np.int64(0)
    state[IGNORED + partition] = np.uint64(0)
    producer = np.int64(fill[c[FILL_PRODUCER]])
    level = (producer - np.int64(load_acquire_u32(fill, c[FILL_CONSUMER]))) & _LOW
    count, moved = min(waiting, np.int64(BATCH_MAX), mask + 1 - level), np.int64(0)
    if count <= 0:
        return np.int64(0)
    store_release_u64(state, np.int64(CURRENT), np.uint64(partition + 1))
    while moved < count:
        address = np.int64(entries[addrs + ((consumer + moved) & mask)])
        if address < 0 or address >= c[RX_END] or address & (c[FRAME_SZ] - 1) != 0:
            break
        fill_addrs[(producer + moved) & mask] = np.uint64(address)
        moved += 1
    if moved == 0:
        state[REFUSED] += _ONE
        store_release_u64(state, np.int64(FILL_BASE), (state[FILL_BASE] - _ONE) & _LOW_U64)
        store_release_u32(words, ring + CONSUMER, np.uint32((consumer + 1) & _LOW))
        return np.int64(1)
    store_release_u32(fill, c[FILL_PRODUCER], np.uint32((producer + moved) & _LOW))
    store_release_u32(words, ring + CONSUMER, np.uint32((consumer + moved) & _LOW))
    state[RECYCLED] += np.uint64(moved)
    return moved


@njit(int64(_W, _E, _W, _E, _E, _C), cache=True, nogil=True, _nrt=False)
def hand_out(words, entries, comp, comp_addrs, state, c):
    """Completed transmit frames to the free rings of their partitions, at most a batch; how many.

    An address of no partition, or one for a ring that is full, is dropped.
    """
    consumer = np.int64(comp[c[COMP_CONSUMER]])
    waiting = (np.int64(load_acquire_u32(comp, c[COMP_PRODUCER])) - consumer) & _LOW
    count, refused = min(waiting, np.int64(BATCH_MAX)), np.int64(0)
    if count == 0:
        return count
    for i in range(count):
        off = np.int64(comp_addrs[(consumer + i) & c[COMP_MASK]]) - c[RX_END]
        partition, base = off >> c[TX_SHIFT], off & ~(c[FRAME_SZ] - 1)
        good = off >= 0 and partition < c[PARTITION_CNT]
        if good:
            ring = (c[FREE_OFF] + partition * c[SLICE_SZ]) >> 2
            producer = np.int64(words[ring])
            held = (producer - np.int64(load_acquire_u32(words, ring + CONSUMER))) & _LOW
            good = held <= c[TX_MASK]
        if not good:
            refused += 1
            store_release_u64(state, np.int64(COMP_BASE), (state[COMP_BASE] + _ONE) & _LOW_U64)
            continue
        frame = (base & ((np.int64(1) << c[TX_SHIFT]) - 1)) // c[FRAME_SZ]
        mark = ((c[WITHHELD_OFF] + partition * c[SLICE_SZ]) >> 2) + frame
        if words[mark] != 0:
            store_release_u32(words, mark, np.uint32(0))
        entries[(ring >> 1) + _ENTRIES + (producer & c[TX_MASK])] = np.uint64(c[RX_END] + base)
        store_release_u32(words, ring, np.uint32((producer + 1) & _LOW))
    store_release_u32(comp, c[COMP_CONSUMER], np.uint32((consumer + count) & _LOW))
    state[COMPLETED] += np.uint64(count - refused)
    state[REFUSED] += np.uint64(refused)
    return count


@njit(void(_W, _E, _W, _E, _W, _E, _E, _C, _E), cache=True, nogil=True, _nrt=False)
def recycle(words, entries, fill, fill_addrs, comp, comp_addrs, state, c, stop):
    """Passes over all rings until stop[0] is not 0.

    A driver that went to sleep for want of frames (zero copy) is woken by the keeper's socket.
    """
    idle = np.int64(0)
    while load_acquire_u64(stop, np.int64(0)) == np.uint64(0):
        moved = np.int64(0)
        for partition in range(c[PARTITION_CNT]):
            moved += give_back(words, entries, fill, fill_addrs, state, c, partition)
        moved += hand_out(words, entries, comp, comp_addrs, state, c)
        if load_acquire_u32(fill, c[FILL_FLAGS]) & _NEED_WAKEUP:
            _kick_rx(np.int32(c[KEEPER_FD]))
        idle = idle + 1 if moved == 0 else np.int64(0)
        if moved < BUSY:
            _sleep(np.int64(SHORT_SLEEP_NS if idle < IDLE_PASSES else LONG_SLEEP_NS))
