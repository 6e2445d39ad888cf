"""The tracer's matcher: an unprivileged process; its compiled loop answers with canned frames.

Started by `tools.bench.tracer` with one socket descriptor. It imports and compiles its kernel with
the rights it was born with, gives them away, receives three descriptors (AF_XDP socket, UMEM,
control block), maps them, says "mapped", and polls until the control block says stop.
"""

import json
import os
import socket
import sys
import time

BEGUN = time.monotonic()

import numpy as np                                                         # noqa: E402
from numba import njit                                                     # noqa: E402

from appliance.hot import port_state as ps                                 # noqa: E402
from appliance.hot.endian import copy_bytes, load_be16, store_be16         # noqa: E402
from appliance.hot.fence import load_acquire_u64, pause, store_release_u64  # noqa: E402
from appliance.hot.port import (                                           # noqa: E402
    rx_burst, rx_release, tx_alloc, tx_kick, tx_push,
)
from appliance.hot.tsc import read_tsc                                     # noqa: E402
from appliance.native import check, lib                                    # noqa: E402
from appliance.shm.umem import Geometry, make_null_port, make_xsk_port, map_umem  # noqa: E402

# The control block: u64[64] in a memfd. The bench writes the first two, the stage the others.
STOP, FRAMES_PER_ORDER, PER_BURST = 0, 1, 2
RECEIVED, SENT, NOT_SENT, BURSTS, KICKS, AGAIN = 16, 17, 18, 19, 20, 21
CONTROL_WORD_CNT = 64

PACKET_SZ = 42 + 48         # every canned packet: headers and one small message
TEMPLATE_CNT = 3            # acknowledgement, feed A, feed B
NOBODY = 65534
KERNEL_CALL_CYCLES = 100_000_000


@njit(cache=True, forceinline=True, _nrt=False)
def ipv4_checksum(frames, ip_off):
    """Writes the checksum of a 20-byte IPv4 header."""
    store_be16(frames, ip_off + 10, 0)
    total = np.uint64(0)
    for word in range(10):
        total += load_be16(frames, ip_off + 2 * word)
    total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    store_be16(frames, ip_off + 10, total ^ np.uint64(0xFFFF))


@njit(cache=True, forceinline=True, _nrt=False)
def answer(port, packet_off, templates, kind):
    """Queues canned packet `kind` for the order at packet_off; False when no frame was free."""
    off = tx_alloc(port)
    if off < 0:
        return False
    frames = port.frames
    copy_bytes(frames, off, templates, kind * PACKET_SZ, PACKET_SZ)
    copy_bytes(frames, off + 42, frames, packet_off + 42, 8)
    if kind == 0:
        copy_bytes(frames, off, frames, packet_off + 6, 6)
        copy_bytes(frames, off + 30, frames, packet_off + 26, 4)
        copy_bytes(frames, off + 36, frames, packet_off + 34, 2)
        ipv4_checksum(frames, off + 14)
    tx_push(port, off, PACKET_SZ)
    return True


@njit(cache=True, _nrt=False)
def answer_bursts(port, control, templates, cycles):
    """Polls until the stop word is set or `cycles` have passed; the number of packets received."""
    deadline = read_tsc() + np.uint64(cycles)
    total = np.int64(0)
    while True:
        count = rx_burst(port, ps.BURST_MAX)
        if count == 0:
            if load_acquire_u64(control, STOP) != 0 or read_tsc() > deadline:
                return total
            if port.state[ps.TX_PUBLISHED] != port.state[ps.TX_COMPLETED]:
                tx_kick(port)
            pause()
            continue
        per_order = np.int64(load_acquire_u64(control, FRAMES_PER_ORDER))
        orders = np.int64(1) if load_acquire_u64(control, PER_BURST) != 0 else count
        missed = np.int64(0)
        for i in range(orders):
            packet_off = np.int64(port.rx_desc[i]["addr"])
            for kind in range(per_order):
                if not answer(port, packet_off, templates, kind):
                    missed += 1
        rx_release(port, count)
        if per_order > 0:
            tx_kick(port)
        total += count
        store_release_u64(control, RECEIVED, control[RECEIVED] + np.uint64(count))
        control[BURSTS] += np.uint64(1)
        control[NOT_SENT] += np.uint64(missed)
        control[SENT] = port.state[ps.TX_PACKETS]
        control[KICKS] = port.state[ps.KICK_CNT]
        control[AGAIN] = port.state[ps.KICK_AGAIN_CNT]


def drop_rights() -> dict:
    """Becomes nobody for good; what is left of our rights, for the report."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    check(lib.wm_no_new_privileges(), "giving up new privileges")
    own_socket = lib.wm_xsk_socket()
    return {"uid": os.getuid(), "capabilities": lib.wm_capabilities(),
            "own_af_xdp_socket": own_socket}


def main() -> None:
    """The process: compile, drop, receive, map, poll."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    core, geometry = int(sys.argv[2]), Geometry(*(int(word) for word in sys.argv[3:6]))
    if core >= 0:
        os.sched_setaffinity(0, {core})
    check(lib.wm_die_with_parent(15), "tying this process to its parent")
    imported = time.monotonic()
    control = np.zeros(CONTROL_WORD_CNT, np.uint64)
    templates = np.zeros(TEMPLATE_CNT * PACKET_SZ, np.uint8)
    control[STOP] = 1
    answer_bursts(make_null_port(), control, templates, np.int64(0))
    compiled = time.monotonic()
    report = {"import_s": imported - BEGUN, "kernel_s": compiled - imported} | drop_rights()
    channel.sendall(json.dumps(report).encode() + b"\n")
    data, fds, _, _ = socket.recv_fds(channel, templates.size, 3)
    templates[:] = np.frombuffer(data, np.uint8)
    xsk_fd, umem_fd, control_fd = fds
    umem = map_umem(umem_fd)
    control = map_umem(control_fd).view(np.uint64)
    port = make_xsk_port(xsk_fd, umem, geometry)
    channel.sendall(b"mapped\n")
    while not control[STOP]:
        answer_bursts(port, control, templates, np.int64(KERNEL_CALL_CYCLES))
    channel.sendall(b"stopped\n")


if __name__ == "__main__":
    main()
