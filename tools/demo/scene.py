"""Where a demo plays: two network namespaces joined by a veth pair, or loopback without rights.

    namespaces   appliance 10.77.0.1 (wm0) ---- veth ---- market 10.77.0.2 (wm1)
    loopback     appliance 127.0.0.1 (lo),  participants 127.0.0.2

Participants, subscribers and the sender live in the market. Everything ends with `close`, and the
namespaces also with the process, however it ends.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from appliance.native import lib
from tools import netns, sender

ORDER_PORT, FIRST_SOURCE_PORT = 41000, 42001
RECEIVE_BYTES = 1 << 29
_SO_RCVBUFFORCE = 33


class Scene:
    """What both places share: a folder for config and status, and the sockets of participants."""

    ip, market_ip, interface = "127.0.0.1", "127.0.0.2", "lo"
    order_port, mac, source_mac = ORDER_PORT, None, None
    kind = "loopback"

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="wirematch-demo-"))
        self.runtime = self.folder / "run" if os.geteuid() else Path(
            f"/dev/shm/wirematch-demo-{os.getpid()}")

    def source(self, account: int) -> tuple:
        """(ip, port) from which an account sends."""
        return self.market_ip, FIRST_SOURCE_PORT + account

    @contextlib.contextmanager
    def market(self):
        """The calling thread is where participants are."""
        yield self

    def run_appliance(self, arguments, **options) -> subprocess.Popen:
        """Starts `wirematch ARGUMENTS` where the appliance is; it closes its day and ends when this
        process dies."""
        return subprocess.Popen(self.command(arguments), preexec_fn=_end_with_parent, **options)

    def command(self, arguments) -> list:
        """The command line for `wirematch ARGUMENTS`."""
        return [sys.executable, "-m", "appliance.cli", *arguments]

    def open_sender(self, material):
        """(sender of the material's packets, {(ip, port): socket that hears the answers})."""
        made = sender.UdpSender(material.pcap)
        for sock in made.receivers.values():
            enlarge(sock)
        return made, made.receivers

    def close(self) -> None:
        """Removes what the scene made."""
        Path(f"{self.runtime}.day").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class NamespaceScene(Scene):
    """Two namespaces; needs root."""

    ip, market_ip, interface, kind = "10.77.0.1", "10.77.0.2", "wm0", "namespaces"

    def __init__(self):
        super().__init__()
        self.appliance, self.outside = netns.Namespace(), netns.Namespace()
        netns.veth_pair(self.appliance, "wm0", self.ip, self.outside, "wm1", self.market_ip)
        self.mac, self.source_mac = (
            bytes.fromhex(netns.mac_of(ip).replace(":", "")) for ip in (self.ip, self.market_ip))

    @contextlib.contextmanager
    def market(self):
        with self.outside.entered():
            yield self

    def command(self, arguments):
        return ["nsenter", f"--net={self.appliance.path}", *super().command(arguments)]

    def open_sender(self, material):
        heard = {}
        for _, _, (ip, port) in material.accounts:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            enlarge(sock)
            sock.bind((ip, port))
            heard[ip, port] = sock
        return sender.RawSender(material.pcap, "wm1"), heard

    def close(self):
        self.appliance.close()
        self.outside.close()
        super().close()


def _end_with_parent():
    lib.wm_die_with_parent(signal.SIGTERM)


def enlarge(sock) -> None:
    """A receive buffer large enough for a reader that lags behind."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)


def choose() -> tuple[Scene, str]:
    """The best scene that can be had here, and why it is not the better one ("" when it is)."""
    why = netns.why_not()
    return (Scene(), why) if why else (NamespaceScene(), "")
