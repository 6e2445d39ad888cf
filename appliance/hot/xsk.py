"""The four rings of an AF_XDP socket, read and written by compiled Python.

Facts before code (each measured or read in the kernel):

- Frames travel in circles. Receive: we put free frame addresses on `fill_ring`, the kernel takes
  one a packet, writes the packet 256 bytes into the frame (its own headroom; metadata of the XDP
  program lies right before the packet) and hands address and length over on `rx_ring`. Transmit:
  we put address and length on `tx_ring`, a system call sends them, the address comes back on
  `comp_ring` and only then is the frame ours again.

      fill_ring  ours -> kernel        rx_ring    kernel -> ours
      tx_ring    ours -> kernel        comp_ring  kernel -> ours

- One producer, one consumer a ring: fill_ring and comp_ring belong to (device, queue), so in the
  own-queue layout the matcher owns all four and nobody else may touch them.
- Ring indices are u32 that wrap; they are shared, hence atomic. Descriptors are plain memory: the
  index published after them orders them.
- An empty fill_ring loses packets silently for the reader (`rx_dropped`, `fill_ring_empty` in the
  socket's statistics): it is primed full, and frames go back before matching ends the burst.
  A bad address on it vanishes uncounted; a bad descriptor on tx_ring blocks every later send
  (EINVAL). So only addresses from tx_alloc are pushed, and hot/port.py refuses a length that
  does not fit the frame.
- Depths hold every frame that could be on them (rx_ring and fill_ring >= receive frames, tx_ring
  and comp_ring >= transmit frames): no ring can be full, no code asks.
- Copy mode sends inside the system call, at most 32 frames a call; then EAGAIN means "call again",
  not "failed". EBUSY means completed but dropped by the device. ENETDOWN and ENXIO: link down, not
  bound yet, or device gone; frames stay on tx_ring and leave when a later kick succeeds.
- Free transmit frames are a stack, the frame that came back last is used first: it is still in the
  cache. A C echo that goes round all its frames sent 0.7-1.0 M frames/s where this sent 1.0-1.2.
- Receive frames go round whatever we do, so their number is the cache footprint: 4,096 frames took
  3.4 M packets/s, 16,384 took 1.9, but only from 16,384 on did a reader that lost its core for some
  milliseconds at 2.5 M packets/s lose nothing. A larger transmit budget (XDP_MAX_TX_SKB_BUDGET)
  saved system calls and no time.
- On veth the sender's system call runs the peer's XDP program and fills the peer's ring: one leg of
  a round trip is one system call, there is no interrupt.
- need-wakeup on fill_ring is used by zero copy drivers only; copy mode never asks.
- These kernels are forced inline and compiled without reference counts: a call that passes a port's
  twelve arrays, and a count for every array touched, cost 450 ns a sent frame instead of 20.
- AF_XDP gives no checksum verdict: whoever parses verifies.
"""

import errno

import numpy as np
from numba import njit, types

from appliance.hot.endian import load_le32, load_le64, store_le32
from appliance.hot.fence import load_acquire_u32, store_release_u32
from appliance.hot.port_state import (
    BURST_MAX, COMP_CONSUMER, COMP_CONSUMER_WORD, COMP_MASK, COMP_PRODUCER_WORD, FILL_FLAGS_WORD,
    FILL_MASK, FILL_PRODUCER, FILL_PRODUCER_WORD, FRAME_SZ, KICK_AGAIN_CNT, KICK_BATCH,
    KICK_BUSY_CNT, KICK_CNT, KICK_DOWN_CNT, KICK_ERROR_CNT, KICK_LAST_ERRNO, META_MARK, META_SZ,
    RX_CONSUMER, RX_CONSUMER_WORD, RX_FD, RX_KICK_CNT, RX_MASK, RX_PACKETS, RX_PRODUCER_WORD,
    STACK_CNT, TX_COMPLETED, TX_CONSUMER_WORD, TX_FLAGS_WORD, TX_MASK, TX_PRODUCER,
    TX_PRODUCER_WORD, TX_PUBLISHED,
)
from appliance.native import external

_kick_tx = external("wm_kick_tx", types.int32, types.int32)
_kick_rx = external("wm_kick_rx", types.int32, types.int32)

_LOW_32 = np.int64(0xFFFF_FFFF)
_ONE = np.uint64(1)
_NEED_WAKEUP = np.uint32(1)
_EAGAIN, _EBUSY = -errno.EAGAIN, -errno.EBUSY
_ENETDOWN, _ENXIO = -errno.ENETDOWN, -errno.ENXIO


@njit(cache=True, forceinline=True, _nrt=False)
def distance(words, word_idx, index):
    """How far the shared u32 index words[word_idx] is ahead of ours (int64, wraps as u32)."""
    shared = np.int64(load_acquire_u32(words, np.int64(word_idx)))
    return (shared - np.int64(index)) & _LOW_32


@njit(cache=True, forceinline=True, _nrt=False)
def xsk_rx_burst(port, max_cnt):
    """Moves up to min(max_cnt, 64) descriptors from rx_ring to port.rx_desc; how many."""
    state = port.state
    consumer = np.int64(state[RX_CONSUMER])
    available = distance(port.rx_words, state[RX_PRODUCER_WORD], consumer)
    count = min(available, np.int64(max_cnt), np.int64(BURST_MAX))
    if count <= 0:
        flags = load_acquire_u32(port.fill_words, np.int64(state[FILL_FLAGS_WORD]))
        if flags & _NEED_WAKEUP:
            state[RX_KICK_CNT] += _ONE
            _kick_rx(np.int32(state[RX_FD]))
        return np.int64(0)
    mask = np.int64(state[RX_MASK])
    for i in range(count):
        slot = np.int64(2) * ((consumer + i) & mask)
        port.rx_desc[i]["addr"] = port.rx_descs[slot]
        port.rx_desc[i]["len"] = np.uint32(port.rx_descs[slot + 1] & np.uint64(0xFFFF_FFFF))
        port.rx_desc[i]["flags"] = np.uint32(0)
    consumer += count
    state[RX_CONSUMER] = np.uint64(consumer)
    store_release_u32(port.rx_words, np.int64(state[RX_CONSUMER_WORD]),
                      np.uint32(consumer & _LOW_32))
    state[RX_PACKETS] += np.uint64(count)
    return count


@njit(cache=True, forceinline=True, _nrt=False)
def xsk_rx_release(port, count):
    """Gives the frames of port.rx_desc[0:count] back to the kernel. Call once a burst."""
    if count <= 0:
        return
    state = port.state
    producer = np.int64(state[FILL_PRODUCER])
    mask = np.int64(state[FILL_MASK])
    frame_base = ~(state[FRAME_SZ] - _ONE)
    for i in range(np.int64(count)):
        port.fill_addrs[(producer + i) & mask] = port.rx_desc[i]["addr"] & frame_base
    producer += np.int64(count)
    state[FILL_PRODUCER] = np.uint64(producer)
    store_release_u32(port.fill_words, np.int64(state[FILL_PRODUCER_WORD]),
                      np.uint32(producer & _LOW_32))


@njit(cache=True, forceinline=True, _nrt=False)
def xsk_rx_arrival_ns(port, i):
    """CLOCK_MONOTONIC ns at which the XDP program saw rx_desc[i], 0 when it left no metadata.

    Takes the mark away, so that it cannot be read again with the frame's next packet.
    """
    off = np.int64(port.rx_desc[i]["addr"]) - np.int64(META_SZ)
    if off < 0 or load_le32(port.frames, off + 12) != np.uint64(META_MARK):
        return np.uint64(0)
    store_le32(port.frames, off + 12, np.uint64(0))
    return load_le64(port.frames, off)


@njit(cache=True, forceinline=True, _nrt=False)
def xsk_tx_reclaim(port):
    """Takes every completed frame from comp_ring back to the stack; free frames afterwards."""
    state = port.state
    consumer = np.int64(state[COMP_CONSUMER])
    count = distance(port.comp_words, state[COMP_PRODUCER_WORD], consumer)
    stack_cnt = np.int64(state[STACK_CNT])
    if count == 0:
        return stack_cnt
    mask = np.int64(state[COMP_MASK])
    frame_base = ~(state[FRAME_SZ] - _ONE)
    for i in range(count):
        port.tx_stack[stack_cnt + i] = port.comp_addrs[(consumer + i) & mask] & frame_base
    consumer += count
    stack_cnt += count
    state[COMP_CONSUMER] = np.uint64(consumer)
    state[STACK_CNT] = np.uint64(stack_cnt)
    store_release_u32(port.comp_words, np.int64(state[COMP_CONSUMER_WORD]),
                      np.uint32(consumer & _LOW_32))
    state[TX_COMPLETED] += np.uint64(count)
    return stack_cnt


@njit(cache=True, forceinline=True, _nrt=False)
def xsk_tx_push(port, off, sz):
    """Queues sz bytes at frame offset off; nothing is visible to the kernel before the kick."""
    producer = np.int64(port.state[TX_PRODUCER])
    slot = np.int64(2) * (producer & np.int64(port.state[TX_MASK]))
    port.tx_descs[slot] = np.uint64(off)
    port.tx_descs[slot + 1] = np.uint64(sz)
    port.state[TX_PRODUCER] = np.uint64(producer + np.int64(1))


@njit(cache=True, forceinline=True, _nrt=False)
def xsk_tx_kick(port):
    """Publishes what was pushed and calls the kernel while it makes progress; 0 or -errno.

    One call sends at most 32 frames. A call after which tx_ring has not moved ends the attempt;
    what is left goes with the next kick.
    """
    state = port.state
    producer = np.int64(state[TX_PRODUCER])
    if producer != np.int64(state[TX_PUBLISHED]):
        store_release_u32(port.tx_words, np.int64(state[TX_PRODUCER_WORD]),
                          np.uint32(producer & _LOW_32))
        state[TX_PUBLISHED] = np.uint64(producer)
    consumer_word = np.int64(state[TX_CONSUMER_WORD])
    producer_low = producer & _LOW_32
    left = (producer_low - np.int64(load_acquire_u32(port.tx_words, consumer_word))) & _LOW_32
    if left == 0:
        return np.int64(0)
    flags = load_acquire_u32(port.tx_words, np.int64(state[TX_FLAGS_WORD]))
    if not flags & _NEED_WAKEUP:
        return np.int64(0)
    error = np.int64(0)
    calls_left = left // KICK_BATCH + 4
    while left != 0 and calls_left > 0:
        calls_left -= 1
        error = np.int64(_kick_tx(np.int32(state[RX_FD])))
        state[KICK_CNT] += _ONE
        before = left
        left = (producer_low - np.int64(load_acquire_u32(port.tx_words, consumer_word))) & _LOW_32
        if error != 0:
            if error == _EAGAIN:
                state[KICK_AGAIN_CNT] += _ONE
            elif error == _EBUSY:
                state[KICK_BUSY_CNT] += _ONE
            elif error == _ENETDOWN or error == _ENXIO:
                state[KICK_DOWN_CNT] += _ONE
                return error
            else:
                state[KICK_ERROR_CNT] += _ONE
                state[KICK_LAST_ERRNO] = np.uint64(-error)
                return error
        if left == before:
            break
    return np.int64(0) if left == 0 else np.int64(_EAGAIN)
