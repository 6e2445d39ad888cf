"""From portd's answer to a port: what a matcher does with the descriptors it was handed.

    {"rung", "layout", "null", "ip", "order_port", "plan", ...} + [order, multicast]
        own queue       + [umem, xsk]              plan = Geometry
        shared queue    + [umem, xsk, exchange]    plan = exchange.Plan
        either          + [flood guard]            the rows of the XDP program, read-only
        all, at the end + [feed B]                 where feed B has an interface of its own
        rung "dpdk"                                plan = dpdk.Plan
"""

import os

import numpy as np

from appliance.hot import io_state
from appliance.hot import port_state as ps
from appliance.layout import shared
from appliance.layout.wire_session import MOLD_PAYLOAD_MAX as PAYLOAD
from appliance.shm import dpdk, exchange, steer, umem

SOCKET, DPDK = shared.RUNGS[shared.RUNG_SOCKET], shared.RUNGS[shared.RUNG_DPDK]


def take_twin(reply: dict, fds: list[int]) -> int:
    """The socket of feed B's own interface, whose descriptor is taken off the end of `fds`; 0 where
    B has none. Comes before open_guard."""
    return fds.pop() if reply.get("feed_b") else 0


def open_guard(reply: dict, fds: list[int]) -> np.ndarray:
    """The rows of the flood guard, whose descriptor is taken off the end of `fds` and closed; one
    row of nobody where the rung has no program. Comes before open_port."""
    if not reply.get("guarded"):
        return io_state.nobody_guarded()
    fd = fds.pop()
    try:
        return steer.map_guarded(fd)
    finally:
        os.close(fd)


def open_port(reply: dict, fds: list[int], partition: int, payload: int = PAYLOAD):
    """Port of the rung and layout that `reply` names; needs no rights, but for rung "dpdk".

    Descriptors that only mapping needed are closed; the sockets stay open with the port. ValueError
    when their number does not fit the answer, dpdk.DpdkError when EAL refuses. The "mac" of `reply`
    becomes the DPDK device's. payload: most bytes of UDP payload in what is sent.
    """
    layout = reply["layout"]
    wanted = 2 if reply["rung"] in (SOCKET, DPDK) else 5 if layout == shared.LAYOUTS[
        shared.SHARED_QUEUE] else 4
    if len(fds) != wanted:
        raise ValueError(f"portd sent {len(fds)} descriptors for rung {reply['rung']}, {layout}; "
                         f"{wanted} belong to it: are two versions mixed?")
    if reply["rung"] == DPDK:
        port, mac = dpdk.open_port(dpdk.Plan(*reply["plan"]))
        reply["mac"] = mac.hex()
    elif wanted == 2:
        port = umem.make_socket_port(fds[0], fds[1], reply["ip"], reply["order_port"],
                                     frame_sz=umem.frame_size(payload))
    elif wanted == 4:
        port = umem.make_xsk_port(fds[3], umem.map_umem(fds[2]), umem.Geometry(*reply["plan"]))
    else:
        port = exchange.make_shared_port(fds[3], umem.map_umem(fds[2]), fds[4],
                                         exchange.Plan(*reply["plan"]), partition)
    for fd in (*fds[2:3], *fds[4:]):
        os.close(fd)
    port.state[ps.TX_NULL] = int(reply["null"])
    return port
