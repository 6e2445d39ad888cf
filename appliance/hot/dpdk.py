"""The bursts of a DPDK port: frames of its pool, received, given back, sent and reclaimed.

Facts before code (read in the drivers, and seen on net_af_packet and net_af_xdp of 22.11):

- port.frames is the pool's memory from its lowest to its highest address. Received frames lie in it
  where the driver put them: nothing is copied here. What C has to be told at the release is kept in
  port.fill_addrs, one word a frame of the burst in hand.
- Transmit frames are taken out of the pool for good. A driver gives one back at any time after the
  burst that took it, in the order of the bursts; those on their way are the descriptors from
  COMP_CONSUMER to TX_PUBLISHED.
- Drivers look for sent frames inside the next transmit burst. The driver's ring holds half of the
  transmit frames at most (native/dpdk/shim.c), so there are always frames for that burst.
- A burst that takes fewer frames than it was offered says nothing about why. The rest stays queued
  and goes with the next kick (-EAGAIN), also while the link is down.
- There is no descriptor to wait for and no arrival time.
"""

import errno

import numpy as np
from numba import njit, types

from appliance.hot.port_state import (
    BURST_MAX, COMP_CONSUMER, KICK_AGAIN_CNT, KICK_BATCH, KICK_CNT, RX_CUT, RX_CUT_CNT, RX_PACKETS,
    SHIM, STACK_CNT, TX_COMPLETED, TX_MASK, TX_NULL, TX_PRODUCER, TX_PUBLISHED,
)
from appliance.native import external

_rx = external("wm_dpdk_rx", types.int32, types.uintp, types.uintp, types.uintp, types.int32)
_release = external("wm_dpdk_release", types.int32, types.uintp, types.uintp, types.int32)
_tx = external("wm_dpdk_tx", types.int32, types.uintp, types.uintp, types.uint64, types.uint64,
               types.int32)
_completed = external("wm_dpdk_completed", types.int32, types.uintp, types.uintp, types.uint64,
                      types.uint64, types.int32)

_ONE = np.uint64(1)
_EAGAIN = np.int64(-errno.EAGAIN)


@njit(cache=True, forceinline=True, _nrt=False)
def dpdk_rx_burst(port, max_cnt):
    """Receives up to min(max_cnt, 64) packets into port.rx_desc; how many."""
    state = port.state
    wanted = min(np.int64(max_cnt), np.int64(BURST_MAX))
    count = np.int64(_rx(state[SHIM], port.rx_desc.ctypes.data, port.fill_addrs.ctypes.data,
                         np.int32(wanted)))
    for i in range(count):
        if port.rx_desc[i]["flags"] & np.uint32(RX_CUT):
            state[RX_CUT_CNT] += _ONE
    state[RX_PACKETS] += np.uint64(count)
    return count


@njit(cache=True, forceinline=True, _nrt=False)
def dpdk_rx_release(port, count):
    """Gives the frames of the burst in hand back to the pool."""
    if count > 0:
        _release(port.state[SHIM], port.fill_addrs.ctypes.data, np.int32(count))


@njit(cache=True, forceinline=True, _nrt=False)
def dpdk_tx_reclaim(port):
    """Takes frames that the driver is done with back to the stack; free frames afterwards."""
    state = port.state
    tail, stack_cnt = np.int64(state[COMP_CONSUMER]), np.int64(state[STACK_CNT])
    on_their_way = np.int64(state[TX_PUBLISHED]) - tail
    if on_their_way == 0 or state[TX_NULL] != 0:
        return stack_cnt
    count = np.int64(_completed(state[SHIM], port.tx_descs.ctypes.data, state[TX_MASK],
                                np.uint64(tail), np.int32(on_their_way)))
    mask = np.int64(state[TX_MASK])
    for i in range(count):
        port.tx_stack[stack_cnt + i] = port.tx_descs[np.int64(2) * ((tail + i) & mask)]
    stack_cnt += count
    state[COMP_CONSUMER] = np.uint64(tail + count)
    state[STACK_CNT] = np.uint64(stack_cnt)
    state[TX_COMPLETED] += np.uint64(count)
    return stack_cnt


@njit(cache=True, forceinline=True, _nrt=False)
def dpdk_tx_kick(port):
    """Offers the queued packets in bursts of 32; 0, or -EAGAIN with what was not taken queued."""
    state = port.state
    head = np.int64(state[TX_PUBLISHED])
    producer = np.int64(state[TX_PRODUCER])
    while head < producer:
        batch = min(producer - head, np.int64(KICK_BATCH))
        taken = np.int64(_tx(state[SHIM], port.tx_descs.ctypes.data, state[TX_MASK],
                             np.uint64(head), np.int32(batch)))
        state[KICK_CNT] += _ONE
        head += taken
        state[TX_PUBLISHED] = np.uint64(head)
        if taken < batch:
            state[KICK_AGAIN_CNT] += _ONE
            return _EAGAIN
    return np.int64(0)
