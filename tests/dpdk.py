"""DPDK for tests: where it is absent they are skipped with the sentence that says what to do.

A process can have EAL once, so `alone` runs a test's body in a forked process of its own, with two
namespaces joined by a veth pair: the port's end `wm0` and the peer's end `wm1`.
"""

import contextlib
import os
import signal
import socket
import sys
import traceback

import pytest

from appliance.native import lib
from appliance.shm import dpdk
from tests.netns import Namespace, mac_of, veth_pair

OUR_IP, PEER_IP, PATIENCE_S = "10.77.0.1", "10.77.0.2", 120
_ETH_P_ALL, _PACKET_OUTGOING = 3, 4

_REASON = dpdk.why_not()
needs_dpdk = pytest.mark.skipif(bool(_REASON), reason=_REASON or "is there")


class Pair:
    """Both ends. `raw` sends and hears whole frames at the peer's."""

    def __init__(self):
        self.ours, self.peers = Namespace(), Namespace()
        veth_pair(self.ours, "wm0", OUR_IP, self.peers, "wm1", PEER_IP)
        with self.peers.entered():
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self.raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)      # SO_RCVBUFFORCE
        self.raw.bind(("wm1", _ETH_P_ALL))
        self.raw.settimeout(60)
        self.mac = bytes.fromhex(mac_of(OUR_IP).replace(":", ""))

    def frame(self, payload, kind=b"\x88\xb5"):
        """A frame to the port, of a kind that no kernel answers."""
        return self.mac + bytes.fromhex(mac_of(PEER_IP).replace(":", "")) + kind + payload

    def hear(self, count, kind=b"\x88\xb5"):
        """The next frames of that kind that came from the port."""
        found = []
        while len(found) < count:
            frame, source = self.raw.recvfrom(4096)
            if source[2] != _PACKET_OUTGOING and frame[12:14] == kind:
                found.append(frame)
        return found

    @contextlib.contextmanager
    def port(self, device, rx_frames=4096, tx_frames=4096):
        """A DPDK port on wm0; (Port, MAC)."""
        plan = dpdk.Plan(f"{device}0,iface=wm0", False, rx_frames, tx_frames, (), "/dev/shm")
        with self.ours.entered():
            port, mac = dpdk.open_port(plan)
        try:
            yield port, mac
        finally:
            dpdk.close_port(port)


def alone(body, *arguments) -> None:
    """Runs body(Pair, *arguments) in a process of its own; its failure is ours."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            lib.wm_die_with_parent(signal.SIGKILL)
            signal.alarm(PATIENCE_S)
            body(Pair(), *arguments)
            code = 0
        except BaseException:                    # the child must not return into the tests
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
