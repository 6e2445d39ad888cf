"""The tracer's wiring: namespaces, veth, the privileged half of a port, and both kinds of far end.

    peer namespace                                  appliance namespace
    generator (live frames) or AF_XDP pinger  ----  wm0: steer.bpf.c --> AF_XDP ring --> stage
              wm1: drop (counting) or redirect <--- tx_ring
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np

from appliance.native import check, ffi, lib
from appliance.shm import steer, umem
from tools.bench import tracer_stage as stage
from tools.netns import Namespace, mac_of, veth_pair

APPLIANCE_IP, PEER_IP = "10.77.0.1", "10.77.0.2"
FEED_GROUPS = ("239.77.0.1", "239.77.0.2")
ORDER_PORT, PEER_PORT, FEED_PORT = 9000, 20000, 9100
GENERATOR_BATCH = 64


def _mac(ip: str) -> bytes:
    octets = socket.inet_aton(ip)
    if octets[0] >> 4 == 0xE:
        return bytes((0x01, 0x00, 0x5E, octets[1] & 0x7F, octets[2], octets[3]))
    return bytes.fromhex(mac_of(ip).replace(":", ""))


def udp_packet(source: tuple[str, int], target: tuple[str, int], payload: bytes) -> bytes:
    """A whole Ethernet packet; IP checksum right, UDP checksum 0 (none)."""
    header = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17,
                                   0, socket.inet_aton(source[0]), socket.inet_aton(target[0])))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = struct.pack("!H", total ^ 0xFFFF)
    return (_mac(target[0]) + _mac(source[0]) + b"\x08\x00" + header
            + struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload)


def order_packet() -> bytes:
    """One order: number in bytes 0..7 of the payload, kind 0 in byte 8."""
    return udp_packet((PEER_IP, PEER_PORT), (APPLIANCE_IP, ORDER_PORT), bytes(48))


def answer_templates() -> bytes:
    """Acknowledgement (kind 1), feed A and feed B (kind 2)."""
    here = (APPLIANCE_IP, ORDER_PORT)
    packets = [udp_packet(here, (PEER_IP, PEER_PORT), bytes(8) + b"\x01" + bytes(39))]
    packets += [udp_packet(here, (group, FEED_PORT), bytes(8) + b"\x02" + bytes(39))
                for group in FEED_GROUPS]
    return b"".join(packets)


class HeldSocket:
    """UMEM and AF_XDP socket as the privileged process holds them."""

    def __init__(self, geometry: umem.Geometry, namespace: Namespace):
        self.geometry = geometry
        self.umem_fd = umem.create_umem(geometry)
        self.umem = umem.map_umem(self.umem_fd)
        with namespace.entered():             # a socket binds to devices of its birthplace only
            self.fd = umem.open_xsk(self.umem, geometry)

    def close(self) -> None:
        """Lets go of socket and memory."""
        os.close(self.fd)
        os.close(self.umem_fd)
        self.umem = None

    def bare_arguments(self) -> tuple:
        """The leading arguments of the wm_bare functions."""
        return (self.fd, ffi.cast("uint8_t *", self.umem.ctypes.data), self.geometry.frame_sz,
                self.geometry.rx_frame_cnt, self.geometry.tx_frame_cnt)


class Path:
    """Both namespaces with steer on wm0; a context manager that leaves nothing behind."""

    def __init__(self, geometry: umem.Geometry, mode: int, far_core: int, near_core: int):
        self.geometry, self.mode = geometry, mode
        self.far_core, self.near_core = far_core, near_core
        self.appliance, self.peer = Namespace(), Namespace()
        veth_pair(self.appliance, "wm0", APPLIANCE_IP, self.peer, "wm1", PEER_IP)
        self.near_ifindex = self.appliance.ifindex("wm0")
        self.far_ifindex = self.peer.ifindex("wm1")
        self.steering = steer.Steering()
        self.steering.set_address(APPLIANCE_IP, ORDER_PORT, 0)
        self.steering.allow(PEER_IP)
        measure = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.programs = {name: measure.program(name)
                         for name in ("bare", "drop", "forward", "paced")}
        self.maps = {name: measure.map(name) for name in ("sockets", "devices", "seen", "pace")}
        near_measure = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.near_bare = near_measure.program("bare")
        self.near_sockets = near_measure.map("sockets")
        measure.close()
        near_measure.close()
        with self.appliance.entered():
            self.near_link = self.steering.attach(self.near_ifindex, mode)
        with self.peer.entered():
            self.far_link = steer.attach(self.programs["drop"], self.far_ifindex, mode)
            steer.map_set(self.maps["devices"], bytes(4), struct.pack("=I", self.far_ifindex))

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        for fd in (self.near_link, self.far_link, self.near_bare, self.near_sockets,
                   *self.programs.values(), *self.maps.values()):
            os.close(fd)
        self.steering.close()
        self.appliance.close()
        self.peer.close()

    def use(self, link_fd: int, program_fd: int) -> None:
        """Swaps the program behind a link, in one step."""
        check(lib.wm_xdp_update(link_fd, program_fd, -1), "swapping an XDP program")

    def seen_far(self) -> int:
        """Packets the far end's drop program has seen."""
        return steer.read_per_cpu(self.maps["seen"], 0)

    def generate(self, count: int, gap_ns: int = 0) -> float:
        """Offers `count` orders, one every gap_ns or as fast as it goes; seconds it took.

        Native mode: the kernel's own live frames. Generic mode takes no such frames, so an AF_XDP
        sender offers them, at its own speed whatever gap_ns says.
        """
        packet = order_packet()
        if self.mode == steer.GENERIC:
            return self._send(packet, count)
        steer.map_set(self.maps["pace"], bytes(4), struct.pack("=QQ", gap_ns, 0))
        program = self.programs["paced" if gap_ns else "forward"]
        with self.peer.entered():
            begun = time.perf_counter()
            check(lib.wm_xdp_live_run(program, packet, len(packet), self.far_ifindex, 0, count,
                                      GENERATOR_BATCH),
                  "generating live frames", "it needs Linux 5.18 or newer")
            return time.perf_counter() - begun

    def _send(self, packet: bytes, count: int) -> float:
        held = HeldSocket(umem.Geometry(2048, 64, 4096), self.peer)
        try:
            umem.bind_xsk(held.fd, self.far_ifindex, 0)
            begun = time.perf_counter()
            sent = check(lib.wm_bare_send(*held.bare_arguments(), packet, len(packet), count),
                         "sending from the far end")
            if sent != count:
                raise RuntimeError(f"the far end sent {sent} of {count} orders")
            return time.perf_counter() - begun
        finally:
            held.close()

    def ping(self, count: int, gap_ns: int) -> np.ndarray:
        """Round trips in ns of `count` orders from a spinning AF_XDP pinger at the far end."""
        held = HeldSocket(umem.Geometry(2048, 4096, 4096), self.peer)
        try:
            umem.bind_xsk(held.fd, self.far_ifindex, 0)
            steer.map_set(self.maps["sockets"], bytes(4), struct.pack("=I", held.fd))
            self.use(self.far_link, self.programs["bare"])
            out = np.zeros(count, np.uint64)
            packet = ffi.new("uint8_t[]", order_packet())
            got = check(lib.wm_bare_ping(*held.bare_arguments(), packet, len(order_packet()),
                                         count, gap_ns,
                                         ffi.cast("uint64_t *", out.ctypes.data)), "pinging")
            return out[:got]
        finally:
            self.use(self.far_link, self.programs["drop"])
            held.close()


class BareEnd:
    """The floor: a C receiver or echo in a thread of its own, behind a bare redirect program or,
    steered, behind ours (to tell what the program costs from what the stage costs)."""

    def __init__(self, path: Path, echo: bool, steered: bool = False):
        self.path, self.echo, self.steered = path, echo, steered

    def __enter__(self):
        self._words = np.zeros(16, np.uint64)
        self._held = HeldSocket(self.path.geometry, self.path.appliance)
        umem.bind_xsk(self._held.fd, self.path.near_ifindex, 0)
        steer.map_set(self.path.near_sockets, bytes(4), struct.pack("=I", self._held.fd))
        if self.steered:
            self.path.steering.bind(0, self._held.fd, self.path.near_ifindex, 0)
        else:
            self.path.use(self.path.near_link, self.path.near_bare)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        time.sleep(0.05)
        return self

    def _run(self):
        if self.path.near_core >= 0:
            os.sched_setaffinity(0, {self.path.near_core})
        address = self._words.ctypes.data
        lib.wm_bare_receive(*self._held.bare_arguments(), int(self.echo),
                            ffi.cast("uint64_t *", address),
                            ffi.cast("uint64_t *", address + 64))

    def received(self) -> int:
        """Packets received so far."""
        return int(self._words[8])

    def __exit__(self, *problem):
        self._words[0] = 1
        self._thread.join()
        self.path.use(self.path.near_link, self.path.steering.program_fd)
        self.path.steering.unbind(0)
        self._held.close()


class StageEnd:
    """The tracer's stage as a child process, fed with descriptors, bound after it has mapped."""

    def __init__(self, path: Path, cache_folder: str | None = None):
        self.path, self.cache_folder = path, cache_folder

    def __enter__(self):
        path = self.path
        self._held = HeldSocket(path.geometry, path.appliance)
        self._control_fd = os.memfd_create("wirematch-tracer-control", os.MFD_CLOEXEC)
        os.ftruncate(self._control_fd, 8 * stage.CONTROL_WORD_CNT)
        self.control = umem.map_umem(self._control_fd).view(np.uint64)
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        if self.cache_folder:
            environment["NUMBA_CACHE_DIR"] = self.cache_folder
        begun = time.monotonic()
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tools.bench.tracer_stage", str(theirs.fileno()),
             str(path.near_core), *(str(size) for size in path.geometry)],
            pass_fds=[theirs.fileno()], env=environment)
        theirs.close()
        self._lines = ours.makefile("rb")
        self._channel = ours
        self.report = json.loads(self._line())
        self.report["ready_s"] = time.monotonic() - begun
        socket.send_fds(ours, [answer_templates()],
                        [self._held.fd, self._held.umem_fd, self._control_fd])
        self._line()
        umem.bind_xsk(self._held.fd, path.near_ifindex, 0)
        path.steering.bind(0, self._held.fd, path.near_ifindex, 0)
        return self

    def _line(self) -> bytes:
        line = self._lines.readline()
        if not line:
            raise RuntimeError(f"the tracer's stage ended early, exit code {self._child.wait()}")
        return line

    def answer_with(self, frames_per_order: int, per_burst: bool = False) -> None:
        """How many canned frames leave for an order (or, per_burst, for a whole burst)."""
        self.control[stage.PER_BURST] = int(per_burst)
        self.control[stage.FRAMES_PER_ORDER] = frames_per_order

    def received(self) -> int:
        """Packets received so far."""
        return int(self.control[stage.RECEIVED])

    def counters(self) -> dict[str, int]:
        """What the stage has published, by name."""
        return {name.lower(): int(self.control[getattr(stage, name)])
                for name in ("RECEIVED", "SENT", "NOT_SENT", "BURSTS", "KICKS", "AGAIN")}

    def socket_statistics(self) -> dict[str, int]:
        """The kernel's counters of the stage's AF_XDP socket."""
        return umem.xsk_statistics(self._held.fd)

    def __exit__(self, *problem):
        self.path.steering.unbind(0)
        self.control[stage.STOP] = 1
        try:
            self._child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._lines.close()
        self._channel.close()
        self._held.close()
        os.close(self._control_fd)
