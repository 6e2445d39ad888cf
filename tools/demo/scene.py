"""Where a demo plays: two network namespaces joined by a veth pair, or loopback without rights.

    namespaces   appliance 10.77.0.1 (wm0) ---- veth ---- market 10.77.0.2 (wm1)
    loopback     appliance 127.0.0.1 (lo),  participants 127.0.0.2

Participants, subscribers and the sender live in the market. With several queues, the market's end
of the veth sends each order to the queue of its partition (bpf/queue.bpf.c), as a card would steer
it. Everything ends with `close`, and the namespaces also with the process, however it ends.
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

ORDER_PORT, FIRST_SOURCE_PORT = 41000, 42001     # 41000 is a multiple of QUEUES_MAX
QUEUES_MAX = 8                                   # as in bpf/queue.bpf.c
QUEUE_PROGRAM = Path(__file__).resolve().parents[2] / "bpf" / "queue.bpf.o"
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

    def source(self, session: int) -> tuple:
        """(ip, port) from which a session sends."""
        return self.market_ip, FIRST_SOURCE_PORT + session

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

    def open_senders(self, material):
        """(a sender of each lane's packets, {(ip, port): socket that hears the answers})."""
        made, heard = [sender.UdpSender(lane.pcap) for lane in material.lanes], {}
        for each in made:
            heard |= each.receivers
        for sock in heard.values():
            enlarge(sock)
        return made, heard

    def close(self) -> None:
        """Removes what the scene made, and what an appliance that was killed left."""
        Path(f"{self.runtime}.day").unlink(missing_ok=True)
        shutil.rmtree(self.runtime, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)


class NamespaceScene(Scene):
    """Two namespaces; needs root. queue_cnt: of the veth; partition p's orders arrive on queue p.

    RuntimeError when several queues cannot be had: the text says what to do.
    """

    ip, market_ip, interface, kind = "10.77.0.1", "10.77.0.2", "wm0", "namespaces"

    def __init__(self, queue_cnt: int = 1):
        super().__init__()
        self.queue_cnt = queue_cnt
        self.appliance, self.outside = netns.Namespace(), netns.Namespace()
        self._join()
        if queue_cnt > 1:
            self._choose_queues()
        self.mac, self.source_mac = (
            bytes.fromhex(netns.mac_of(ip).replace(":", "")) for ip in (self.ip, self.market_ip))

    def _join(self):
        netns.veth_pair(self.appliance, "wm0", self.ip, self.outside, "wm1", self.market_ip,
                        self.queue_cnt)

    def _choose_queues(self):
        """Hangs the program that chooses the queue on what leaves the market."""
        if not QUEUE_PROGRAM.exists():
            raise RuntimeError(f"{QUEUE_PROGRAM} is missing; build it with: make setup")
        try:
            self.outside.run("tc", "qdisc", "add", "dev", "wm1", "clsact")
            self.outside.run("tc", "filter", "add", "dev", "wm1", "egress", "bpf", "direct-action",
                             "object-file", str(QUEUE_PROGRAM), "section", "tc")
        except RuntimeError as problem:
            raise RuntimeError(f"a queue for each partition needs tc with clsact and BPF: "
                               f"{problem}; use --layout shared") from problem

    @contextlib.contextmanager
    def market(self):
        with self.outside.entered():
            yield self

    def command(self, arguments):
        return ["nsenter", f"--net={self.appliance.path}", *super().command(arguments)]

    def open_senders(self, material):
        heard = {}
        for session in material.sessions:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            enlarge(sock)
            sock.bind(session.source)
            heard[session.source] = sock
        return [sender.RawSender(lane.pcap, "wm1", egress=self.queue_cnt > 1)
                for lane in material.lanes], heard

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


def choose(queue_cnt: int = 1) -> tuple[Scene, str]:
    """The best scene that can be had here, and why it is not the better one ("" when it is)."""
    why = netns.why_not()
    return (Scene(), why) if why else (NamespaceScene(queue_cnt), "")
