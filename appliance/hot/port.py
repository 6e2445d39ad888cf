"""The burst contract: one interface over every way packets come and go.

    rx_burst(port, max) -> n      fills port.rx_desc[0:n); each packet begins at its Ethernet header
    rx_release(port, n)           those frames are no longer read; call before the next rx_burst
    rx_arrival_ns(port, i)        when the XDP program saw packet i, 0 where nobody did
    tx_free(port) -> n            transmit frames at hand
    tx_alloc(port) -> off         byte offset in port.frames of a free frame, -1 when there is none
    tx_push(port, off, sz)        queues a whole Ethernet/IPv4/UDP packet that fits its frame
    tx_kick(port) -> 0 | -errno   lets queued packets leave; -EAGAIN: some are left, kick again

Packets look the same on every kind. SOCKET makes headers up on receive (MACs 0, checksum 0) and on
send reads only addresses and bytes from +42 on; unicast leaves by the order socket, so its source
is the order port. DPDK: frames of a DPDK device's pool (hot/dpdk.py). NULL reads packets loaded
beforehand and keeps what is sent, for tests and benches. A transmit side that is full never blocks:
tx_alloc answers -1 and counts.
"""

import errno

import numpy as np
from numba import njit, types

from appliance.hot.dpdk import dpdk_rx_burst, dpdk_rx_release, dpdk_tx_kick, dpdk_tx_reclaim
from appliance.hot.port_state import (
    BURST_MAX, CAPTURE_MAX, CAPTURED_CNT, DPDK, FRAME_SZ, HEADER_SZ, KICK_AGAIN_CNT, KICK_BATCH,
    KICK_CNT, KICK_DOWN_CNT, KICK_ERROR_CNT, KICK_LAST_ERRNO, KIND, LOCAL_IP_BE, LOCAL_PORT_BE,
    MULTICAST_FD, RX_CONSUMER, RX_CUT, RX_CUT_CNT, RX_ERROR_CNT, RX_FD, RX_PACKETS, RX_TOTAL,
    SCRATCH, SOCKET, STACK_CNT, TX_COMPLETED, TX_DROPPED_CNT, TX_FULL_CNT, TX_INVALID_CNT, TX_MASK,
    TX_NULL, TX_PACKETS, TX_PRODUCER, TX_PUBLISHED, TX_RECYCLED_CNT, XSK,
)
from appliance.hot.xsk import (
    xsk_rx_arrival_ns, xsk_rx_burst, xsk_rx_release, xsk_tx_kick, xsk_tx_push, xsk_tx_reclaim,
)
from appliance.native import external

_socket_rx = external("wm_socket_rx", types.int32, types.int32, types.uintp, types.uint64,
                      types.int32, types.uintp, types.uint32, types.uint32)
_socket_tx = external("wm_socket_tx", types.int32, types.int32, types.int32, types.uintp,
                      types.uintp, types.uint64, types.uint64, types.int32, types.uintp)

_ONE = np.uint64(1)
_EAGAIN, _ENOBUFS = -errno.EAGAIN, -errno.ENOBUFS
_ENETDOWN, _ENXIO = -errno.ENETDOWN, -errno.ENXIO


@njit(cache=True, forceinline=True, _nrt=False)
def rx_burst(port, max_cnt):
    """Receives up to min(max_cnt, 64) packets into port.rx_desc; how many (0 when none waits)."""
    kind = np.int64(port.state[KIND])
    if kind == XSK:
        return xsk_rx_burst(port, max_cnt)
    if kind == SOCKET:
        return _socket_rx_burst(port, max_cnt)
    if kind == DPDK:
        return dpdk_rx_burst(port, max_cnt)
    return _null_rx_burst(port, max_cnt)


@njit(cache=True, forceinline=True, _nrt=False)
def rx_release(port, count):
    """Returns the frames of port.rx_desc[0:count]."""
    kind = np.int64(port.state[KIND])
    if kind == XSK:
        xsk_rx_release(port, count)
    elif kind == DPDK:
        dpdk_rx_release(port, count)


@njit(cache=True, forceinline=True, _nrt=False)
def rx_arrival_ns(port, i):
    """Arrival time of rx_desc[i] on CLOCK_MONOTONIC, uint64; 0 where the kind has none."""
    if np.int64(port.state[KIND]) == XSK:
        return xsk_rx_arrival_ns(port, i)
    return np.uint64(0)


@njit(cache=True, forceinline=True, _nrt=False)
def tx_free(port):
    """Free transmit frames, after taking back what has completed."""
    kind = np.int64(port.state[KIND])
    if kind == XSK:
        return xsk_tx_reclaim(port)
    if kind == DPDK:
        return dpdk_tx_reclaim(port)
    return np.int64(port.state[STACK_CNT])


@njit(cache=True, forceinline=True, _nrt=False)
def tx_alloc(port):
    """A free frame's byte offset (int64), or -1, counted, when all are on their way."""
    stack_cnt = np.int64(port.state[STACK_CNT])
    if stack_cnt == 0:
        stack_cnt = tx_free(port)
        if stack_cnt == 0:
            port.state[TX_FULL_CNT] += _ONE
            return np.int64(-1)
    stack_cnt -= 1
    port.state[STACK_CNT] = np.uint64(stack_cnt)
    return np.int64(port.tx_stack[stack_cnt])


@njit(cache=True, forceinline=True, _nrt=False)
def tx_push(port, off, sz):
    """Queues the packet of sz bytes that begins at off, an offset that tx_alloc gave.

    One that does not fit its frame is not queued, because the kernel would take nothing after it:
    it is counted, and its frame is free again.
    """
    frame_sz = np.int64(port.state[FRAME_SZ])
    inside = sz if np.int64(port.state[KIND]) == DPDK else (off & (frame_sz - 1)) + sz
    if sz < HEADER_SZ or inside > frame_sz or off + sz > port.frames.size:
        port.state[TX_INVALID_CNT] += _ONE
        port.tx_stack[np.int64(port.state[STACK_CNT])] = np.uint64(off)
        port.state[STACK_CNT] += _ONE
        return
    port.state[TX_PACKETS] += _ONE
    xsk_tx_push(port, off, sz)


@njit(cache=True, forceinline=True, _nrt=False)
def tx_kick(port):
    """Lets the queued packets leave; 0, or -errno with the rest still queued."""
    kind = np.int64(port.state[KIND])
    if port.state[TX_NULL] != 0:
        return _null_tx_kick(port)
    if kind == XSK:
        error = xsk_tx_kick(port)
        xsk_tx_reclaim(port)
        return error
    if kind == SOCKET:
        return _socket_tx_kick(port)
    if kind == DPDK:
        error = dpdk_tx_kick(port)
        dpdk_tx_reclaim(port)
        return error
    return _null_tx_kick(port)


@njit(cache=True, forceinline=True, _nrt=False)
def _socket_rx_burst(port, max_cnt):
    state = port.state
    wanted = min(np.int64(max_cnt), np.int64(BURST_MAX))
    count = np.int64(_socket_rx(
        np.int32(state[RX_FD]), port.frames.ctypes.data, np.uint64(0), np.int32(wanted),
        port.rx_desc.ctypes.data, np.uint32(state[LOCAL_IP_BE]), np.uint32(state[LOCAL_PORT_BE])))
    if count < 0:
        state[RX_ERROR_CNT] += _ONE
        return np.int64(0)
    for i in range(count):
        if port.rx_desc[i]["flags"] & np.uint32(RX_CUT):
            state[RX_CUT_CNT] += _ONE
    state[RX_PACKETS] += np.uint64(count)
    return count


@njit(cache=True, forceinline=True, _nrt=False)
def _give_back(port, index):
    """Puts the frame of descriptor `index` back on the stack."""
    state = port.state
    slot = np.int64(2) * (index & np.int64(state[TX_MASK]))
    port.tx_stack[np.int64(state[STACK_CNT])] = port.tx_descs[slot]
    state[STACK_CNT] += _ONE
    state[TX_COMPLETED] += _ONE


@njit(cache=True, forceinline=True, _nrt=False)
def _socket_tx_kick(port):
    """Sends in batches of 32; a full socket buffer ends the attempt, a refused datagram not."""
    state = port.state
    head = np.int64(state[TX_PUBLISHED])
    producer = np.int64(state[TX_PRODUCER])
    while head < producer:
        batch = min(producer - head, np.int64(KICK_BATCH))
        sent = np.int64(_socket_tx(
            np.int32(state[RX_FD]), np.int32(state[MULTICAST_FD]), port.frames.ctypes.data,
            port.tx_descs.ctypes.data, state[TX_MASK], np.uint64(head), np.int32(batch),
            port.state[SCRATCH:].ctypes.data))
        error = np.int64(state[SCRATCH])
        state[KICK_CNT] += _ONE
        refused = np.int64(0)
        again = error == _EAGAIN or error == _ENOBUFS
        down = error == _ENETDOWN or error == _ENXIO
        if again:
            state[KICK_AGAIN_CNT] += _ONE
        elif down:
            state[KICK_DOWN_CNT] += _ONE
        elif error != 0:
            state[KICK_ERROR_CNT] += _ONE
            state[KICK_LAST_ERRNO] = np.uint64(-error)
            state[TX_DROPPED_CNT] += _ONE
            refused = np.int64(1)
        for i in range(sent + refused):
            _give_back(port, head + i)
        head += sent + refused
        state[TX_PUBLISHED] = np.uint64(head)
        if again or down:
            return error
    return np.int64(0)


@njit(cache=True, forceinline=True, _nrt=False)
def _null_rx_burst(port, max_cnt):
    state = port.state
    consumer = np.int64(state[RX_CONSUMER])
    count = min(np.int64(state[RX_TOTAL]) - consumer, np.int64(max_cnt), np.int64(BURST_MAX))
    for i in range(count):
        slot = np.int64(2) * (consumer + i)
        port.rx_desc[i]["addr"] = port.rx_descs[slot]
        port.rx_desc[i]["len"] = np.uint32(port.rx_descs[slot + 1] & np.uint64(0xFFFF_FFFF))
        port.rx_desc[i]["flags"] = np.uint32(port.rx_descs[slot + 1] >> np.uint64(32))
    state[RX_CONSUMER] = np.uint64(consumer + count)
    state[RX_PACKETS] += np.uint64(count)
    return count


@njit(cache=True, forceinline=True, _nrt=False)
def _null_tx_kick(port):
    state = port.state
    head = np.int64(state[TX_PUBLISHED])
    producer = np.int64(state[TX_PRODUCER])
    captured = np.int64(state[CAPTURED_CNT])
    mask = np.int64(state[TX_MASK])
    while head < producer:
        slot = np.int64(2) * (head & mask)
        if captured < np.int64(state[CAPTURE_MAX]):
            port.comp_addrs[np.int64(2) * captured] = port.tx_descs[slot]
            port.comp_addrs[np.int64(2) * captured + 1] = port.tx_descs[slot + 1]
            captured += 1
        else:
            _give_back(port, head)
            state[TX_RECYCLED_CNT] += _ONE
        head += 1
    state[TX_PUBLISHED] = np.uint64(head)
    state[CAPTURED_CNT] = np.uint64(captured)
    return np.int64(0)
