"""The ways out. All keep one contract:

    engine.advance(due_ns, start, stop, zero_ns, deadline_ns)  ->  the packet to go on from

sends packets [start, stop) of its capture, each at zero_ns + due_ns[i] of the monotonic clock or,
due_ns None, as fast as they go, and returns at the deadline, when a signal came, or at the end.
`left_ns[i]` is when packet i had left, 0 while it has not and GIVEN_UP where it never will; what
could not be sent is counted in `failed` and passed over. `reload` is called before the capture,
changed perhaps, is sent again.

    live     in the kernel, out of a mapped BPF array (`live`)
    packet   AF_PACKET past the queueing discipline
    ring     the transmit ring of an AF_XDP socket
    socket   payloads alone, through UDP sockets bound to the capture's sources
"""

import errno
import os
import time

import numpy as np

from appliance.native import ffi, lib
from appliance.shm import umem
from tools.pcap import ETHERNET, PcapError
from tools.sender import (
    FULL_S, RETRY_NS, SPIN_NS, RawSender, SendError, UdpSender, device_index, ip_text, payloads,
)

NAMES = ("live", "packet", "ring", "socket")
LADDER = ("live", "packet", "ring")            # what `auto` tries on an interface, in turn
GONE = (errno.ENETDOWN, errno.ENXIO, errno.ENODEV, errno.EBADF)
BUSY = (errno.ENOBUFS, errno.EAGAIN)
WAY_FRAMES, WAY_PAYLOADS, WAY_RING = range(3)
GIVEN_UP = 1                                   # as in native/paced.c; before any packet's time
RING_GEOMETRY = umem.Geometry(frame_sz=4096, rx_frame_cnt=64, tx_frame_cnt=1024)
REACH = 1 << 16


class EngineError(OSError):
    """The engine cannot run here; the text says why and what to do or what takes its place."""


def first_zero(times) -> int:
    """How many are not zero before the first that is."""
    zeros = np.flatnonzero(times == 0)
    return int(zeros[0]) if len(zeros) else len(times)


def pointer(kind, array):
    """A C pointer to an array's memory."""
    return ffi.cast(kind, array.ctypes.data)


def address(array) -> int:
    """The address of an array's memory."""
    return array.ctypes.data


class Engine:
    """What the engines of user space share. `way`: the words of wm_paced_send."""

    kind = ""

    def __init__(self, capture, way, lengths=None, starts=None):
        self.capture, self.way = capture, np.array(way, np.uint64)
        self.left_ns = np.zeros(len(capture), np.int64)
        self.failed = self.failed_bytes = self.retries = self.last_errno = 0
        self._error = ffi.new("int64_t *")
        self._arrays = [capture.offsets if starts is None else starts,
                        capture.lengths if lengths is None else lengths]
        self._give_up_ns = 0

    def reload(self) -> None:
        """After the capture's data changed, before it is sent anew: nothing has left."""
        self.left_ns[:] = 0

    def advance(self, due_ns, start, stop, zero_ns, deadline_ns) -> int:
        """See the contract. Raises SendError when the device goes away."""
        offsets, lengths = self._arrays
        at = start + lib.wm_paced_send(
            pointer("uint64_t *", self.way), pointer("uint8_t *", self.capture.data),
            pointer("int64_t *", offsets), pointer("uint32_t *", lengths),
            ffi.NULL if due_ns is None else pointer("int64_t *", due_ns), start, stop, zero_ns,
            deadline_ns, SPIN_NS, pointer("int64_t *", self.left_ns), self._error)
        reason = -self._error[0]
        if at > start:
            self._give_up_ns = 0
        if not reason or reason == errno.EINTR:
            return at
        if reason in GONE:
            raise SendError(reason, f"sending stopped at packet {at}: {os.strerror(reason)}; is "
                            "the interface still there and up?")
        now_ns = time.monotonic_ns()
        self._give_up_ns = self._give_up_ns or now_ns + RETRY_NS
        if reason in BUSY and now_ns < self._give_up_ns:
            self.retries += 1
            time.sleep(FULL_S)
            return at
        self._give_up_ns, self.left_ns[at] = 0, GIVEN_UP
        self._fail(reason, 1, int(self.capture.lengths[at]))
        return at + 1

    def _fail(self, reason, packets, sz):
        """Packets that were not sent, with the newest reason."""
        self.failed, self.failed_bytes = self.failed + packets, self.failed_bytes + sz
        self.last_errno = reason

    def reached(self, at: int) -> int:
        """How many packets from the first on have left for certain or never will; it was `at`
        before. Another thread may ask."""
        return at + first_zero(self.left_ns[at:at + REACH])

    def finish(self) -> int:
        """After the last packet: waits for what is still on its way; how many the device lost."""
        return 0

    def close(self) -> None:
        """Lets go of sockets; harmless when repeated."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class PacketEngine(Engine):
    """Frames through a packet socket."""

    kind = "packet"

    def __init__(self, capture, interface):
        self.sender = RawSender(capture, interface)
        super().__init__(capture, [WAY_FRAMES, self.sender.fd])

    def close(self):
        self.sender.close()


class SocketEngine(Engine):
    """Payloads through UDP sockets; `receivers` has them by (ip, port). targets, sources, sockets
    as for UdpSender."""

    kind = "socket"

    def __init__(self, capture, targets=None, sources=None, sockets=None):
        self.sender = UdpSender(capture, targets, sources, sockets)
        self.receivers = self.sender.receivers
        owner, starts, sizes, ips, ports = self.sender.kept
        self._kept = (self.sender.fds, owner, ips, ports)
        super().__init__(capture, [WAY_PAYLOADS, *map(address, self._kept)], sizes, starts)

    def close(self):
        self.sender.close()


class RingEngine(Engine):
    """Frames through the transmit ring of an AF_XDP socket in copy mode, on one queue."""

    kind = "ring"

    def __init__(self, capture, interface, queue=0):
        if capture.link_type != ETHERNET:
            raise PcapError(f"{capture.path} has link type {capture.link_type}; only Ethernet (1) "
                            "can be sent as frames")
        geometry = RING_GEOMETRY
        self._fds, index = [], device_index(interface)
        try:
            self._fds.append(umem.create_umem(geometry))
            memory = umem.map_umem(self._fds[0])
            self.fd = umem.open_xsk(memory, geometry)
            self._fds.append(self.fd)
            depth = geometry.tx_frame_cnt
            rings = umem.map_rings(self.fd, {"tx": depth, "comp": depth})
            umem.bind_xsk(self.fd, index, queue)
        except OSError as problem:
            self.close()
            raise EngineError(problem.errno, "an AF_XDP socket cannot send on "
                              f"{interface} queue {queue}: {problem.strerror}") from problem
        tx, comp = rings["tx"], rings["comp"]
        comp.entries[:] = np.arange(depth, dtype=np.uint64) * np.uint64(geometry.frame_sz)
        self._kept = memory, tx, comp
        self._lost, self._told = np.zeros(4, np.uint64), (0, 0)      # `struct lost` of paced.c
        words = [address(ring.words) + 4 * at for ring, at in (
            (tx, tx.producer), (tx, tx.consumer))]
        super().__init__(capture, [
            WAY_RING, self.fd, address(memory), geometry.frame_sz, depth, *words,
            address(tx.entries), address(comp.words) + 4 * comp.producer,
            address(comp.words) + 4 * comp.consumer, address(comp.entries), address(self._lost)])

    def advance(self, due_ns, start, stop, zero_ns, deadline_ns):
        """See the contract. What the kernel completed without sending it (EBUSY) has failed."""
        at = super().advance(due_ns, start, stop, zero_ns, deadline_ns)
        packets, sz = (int(self._lost[i]) - self._told[i] for i in range(2))
        if packets:
            self._told = self._told[0] + packets, self._told[1] + sz
            self._fail(errno.EBUSY, packets, sz)
        return at

    def finish(self):
        """Kicks until the ring is empty, for a tenth of a second at most; what stays on it or is
        completed without being sent is lost."""
        _, tx, _ = self._kept
        until, lost = time.monotonic() + 0.1, 0
        while tx.words[tx.consumer] != tx.words[tx.producer] and time.monotonic() < until:
            lost += lib.wm_kick_tx(self.fd) == -errno.EBUSY
        return lost + int(tx.words[tx.producer] - tx.words[tx.consumer])

    def close(self):
        for fd in self._fds:
            os.close(fd)
        self._fds = []


def open_engine(name, capture, interface=None, *, targets=None, sources=None, sockets=None,
                why=None, without=None):
    """The engine of that name, or the first of LADDER that runs here ("auto"; without an interface
    `socket`) and is not `without`. why: a list that is told why each of the others does not run.

    Raises EngineError or SendError when none runs, PcapError when the capture has what it cannot
    send.
    """
    if name == "socket" or (name == "auto" and not interface):
        return SocketEngine(capture, targets, sources, sockets)
    why = [] if why is None else why
    ladder = [each for each in LADDER if each != without] if name == "auto" else [name]
    for each in ladder:
        try:
            return _frames_engine(each, capture, interface)
        except (EngineError, SendError) as problem:
            last = problem
            why.append(f"{each}: {problem.strerror}")
            if isinstance(problem, SendError) and problem.errno == errno.ENODEV:
                break
    raise EngineError(last.errno, "; ".join(why))


def _frames_engine(name, capture, interface):
    if name == "packet":
        return PacketEngine(capture, interface)
    if name == "ring":
        return RingEngine(capture, interface)
    from .live import LiveEngine
    return LiveEngine(capture, interface)


def addresses(capture, side):
    """The different addresses of a capture's UDP datagrams, as texts; side "sources", "targets"."""
    numbers = np.unique(getattr(payloads(capture), side)[:, 0])
    return [ip_text(number) for number in numbers.tolist()]
