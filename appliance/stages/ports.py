"""From portd's answer to a port: what a matcher does with the descriptors it was handed.

    {"rung", "layout", "null", "ip", "order_port", "plan", ...} + [order, multicast]
        own queue       + [umem, xsk]              plan = Geometry
        shared queue    + [umem, xsk, exchange]    plan = exchange.Plan
"""

import os

from appliance.hot import port_state as ps
from appliance.layout import shared
from appliance.shm import exchange, umem

SOCKET = shared.RUNGS[shared.RUNG_SOCKET]


def open_port(reply: dict, fds: list[int], partition: int):
    """Port of the rung and layout that `reply` names; needs no rights.

    Descriptors that only mapping needed are closed; the sockets stay open with the port. ValueError
    when their number does not fit the answer.
    """
    layout = reply["layout"]
    wanted = 2 if reply["rung"] == SOCKET else 5 if layout == shared.LAYOUTS[
        shared.SHARED_QUEUE] else 4
    if len(fds) != wanted:
        raise ValueError(f"portd sent {len(fds)} descriptors for rung {reply['rung']}, {layout}; "
                         f"{wanted} belong to it: are two versions mixed?")
    if wanted == 2:
        port = umem.make_socket_port(fds[0], fds[1], reply["ip"], reply["order_port"])
    elif wanted == 4:
        port = umem.make_xsk_port(fds[3], umem.map_umem(fds[2]), umem.Geometry(*reply["plan"]))
    else:
        port = exchange.make_shared_port(fds[3], umem.map_umem(fds[2]), fds[4],
                                         exchange.Plan(*reply["plan"]), partition)
    for fd in (*fds[2:3], *fds[4:]):
        os.close(fd)
    port.state[ps.TX_NULL] = int(reply["null"])
    return port
