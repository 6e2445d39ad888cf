"""Senders of captured packets: whole frames on an interface, or payloads through UDP sockets.

Both are given a `tools.pcap.Pcap` and answer `send(start, stop)` with how many packets left, so
replay and demo need not know which they have. `wait` is the clock of both.
"""

import errno
import os
import resource
import socket
import time
from dataclasses import dataclass

import numba
import numpy as np

from appliance.native import check, ffi, lib

from .pcap import ETHERNET, Pcap, PcapError

SPIN_NS = 80_000             # the last stretch before a packet's time is spun, not slept
RETRY_NS = 20_000_000        # a full device is tried again for this long
FULL_S = 20e-6               # pause before each such try
_BUSY = (errno.ENOBUFS, errno.EAGAIN)
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20


class SendError(OSError):
    """Sending cannot begin; says what was tried and what to do."""


@numba.njit("i8(u1[::1], i8, i8)", cache=True)
def udp_payload_off(data, off, sz):
    """Offset of the UDP payload in the frame at off, from its start; -1 when it is not a whole
    IPv4 UDP datagram (IP options and one VLAN tag are allowed, fragments not)."""
    ip = 14
    if sz < 18:
        return -1
    if data[off + 12] == 0x81 and data[off + 13] == 0x00:
        ip = 18
    if sz < ip + 28 or data[off + ip - 2] != 0x08 or data[off + ip - 1] != 0x00:
        return -1
    ip_sz = (numba.int64(data[off + ip]) & 15) * 4
    fragment = ((numba.int64(data[off + ip + 6]) & 0x3F) << 8) | numba.int64(data[off + ip + 7])
    if data[off + ip] >> 4 != 4 or ip_sz < 20 or data[off + ip + 9] != 17 or fragment:
        return -1
    udp = ip + ip_sz
    if sz < udp + 8:
        return -1
    udp_sz = (numba.int64(data[off + udp + 4]) << 8) | numba.int64(data[off + udp + 5])
    return udp + 8 if 8 <= udp_sz <= sz - udp else -1


@numba.njit("void(u1[::1], i8[::1], u4[::1], i8[::1], u4[::1], u4[:,::1], u4[:,::1])", cache=True)
def _payloads(data, offsets, lengths, starts, sizes, sources, targets):
    """Where each payload is (start -1 and size 0: not UDP), and its (ip, port) ends as numbers."""
    for i in range(offsets.size):
        off = offsets[i]
        at = udp_payload_off(data, off, numba.int64(lengths[i]))
        starts[i], sizes[i] = -1, 0
        if at < 0:
            continue
        starts[i] = off + at
        sizes[i] = ((numba.uint32(data[off + at - 4]) << 8) | data[off + at - 3]) - 8
        ip = off + (18 if data[off + 12] == 0x81 else 14)
        for byte in range(4):
            sources[i, 0] = (sources[i, 0] << 8) | data[ip + 12 + byte]
            targets[i, 0] = (targets[i, 0] << 8) | data[ip + 16 + byte]
        for byte in range(2):
            sources[i, 1] = (sources[i, 1] << 8) | data[off + at - 8 + byte]
            targets[i, 1] = (targets[i, 1] << 8) | data[off + at - 6 + byte]


@dataclass(frozen=True)
class Payloads:
    """The UDP datagrams of a capture: start -1 where a packet is none; ends are (ip, port)."""

    starts: np.ndarray
    sizes: np.ndarray
    sources: np.ndarray
    targets: np.ndarray


def payloads(pcap: Pcap) -> Payloads:
    """Where the UDP payload of each packet is, from where it comes and where it goes."""
    count = len(pcap)
    found = Payloads(np.empty(count, np.int64), np.empty(count, np.uint32),
                     np.zeros((count, 2), np.uint32), np.zeros((count, 2), np.uint32))
    _payloads(pcap.data, pcap.offsets, pcap.lengths, found.starts, found.sizes, found.sources,
              found.targets)
    return found


def ip_number(text: str) -> int:
    """An IPv4 address as a number."""
    return int.from_bytes(socket.inet_aton(text), "big")


def ip_text(number: int) -> str:
    """A number as an IPv4 address."""
    return socket.inet_ntoa(int(number).to_bytes(4, "big"))


def moved(ends, table):
    """ends (u32[n, 2]) with every (ip, port) of `table` exchanged; port 0 in a key or value means
    any port, and the same port; an entry with a port goes before one without."""
    result = ends.copy()
    for (ip, port), (new_ip, new_port) in sorted(table.items(), key=lambda entry: entry[0][1]):
        which = ends[:, 0] == ip_number(ip)
        if port:
            which &= ends[:, 1] == port
        result[which, 0] = ip_number(new_ip)
        result[which, 1] = new_port if new_port else ends[which, 1]
    return result


def wait(due_ns, start, stop, zero_ns, deadline_ns, spin_ns=SPIN_NS) -> int:
    """Sleeps, then spins, until packet `start` is due (zero_ns + due_ns[start], monotonic clock) or
    the deadline has come; returns how many of [start, stop) are due. due_ns: i64 array."""
    return lib.wm_inject_wait(_pointer("int64_t *", due_ns), start, stop, zero_ns, deadline_ns,
                              spin_ns)


def _pointer(kind, array):
    return ffi.cast(kind, array.ctypes.data)


def device_index(interface: str) -> int:
    """The index of an interface of this thread's namespace. SendError names those there are."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise SendError(errno.ENODEV, f"no interface {interface!r} here; there are: {names}"
                        ) from None


class _Sender:
    """What both senders share: tries again while the device is full, and counts what failed."""

    def __init__(self, pcap):
        self.pcap, self.retries, self.last_errno = pcap, 0, 0
        self.failed = self.failed_bytes = 0
        self._error = ffi.new("int64_t *")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, start: int, stop: int) -> int:
        """Sends packets [start, stop); returns how many left. The rest failed, and are counted in
        `failed` (last_errno says why): a device that stayed full, a packet too long for it."""
        at, left, give_up_ns = start, 0, 0
        while at < stop:
            done = self._try(at, stop)
            at, left = at + done, left + done
            reason = -self._error[0]
            if done:
                give_up_ns = 0
            if not reason or reason == errno.EINTR:
                continue
            now_ns = time.monotonic_ns()
            give_up_ns = give_up_ns or now_ns + RETRY_NS
            if reason in _BUSY and now_ns < give_up_ns:
                self.retries += 1
                time.sleep(FULL_S)
                continue
            if reason in (errno.ENETDOWN, errno.ENXIO, errno.ENODEV, errno.EBADF):
                raise SendError(reason, f"sending stopped at packet {at}: {os.strerror(reason)}; "
                                "is the interface still there and up?")
            self.failed, self.failed_bytes = self.failed + 1, self.failed_bytes + int(
                self.pcap.lengths[at])
            self.last_errno, at, give_up_ns = reason, at + 1, 0
        return left


class RawSender(_Sender):
    """Frames as they are, out of an interface (CAP_NET_RAW); straight to its driver, or, with
    `egress`, past what the interface has hung before that, such as a choice of queues."""

    kind = "raw frames"

    def __init__(self, pcap: Pcap, interface: str, egress: bool = False):
        super().__init__(pcap)
        if pcap.link_type != ETHERNET:
            raise PcapError(f"{pcap.path} has link type {pcap.link_type}; only Ethernet (1) can be "
                            "sent as frames")
        index = device_index(interface)
        try:
            self.fd = check(lib.wm_inject_socket(index), f"opening a packet socket on {interface}")
        except PermissionError:
            raise SendError(errno.EPERM, f"sending raw frames on {interface} needs CAP_NET_RAW: "
                            "use sudo, or --socket to send the payloads as ordinary UDP") from None
        if egress:
            self._through_egress()
        self._arrays = (_pointer("uint8_t *", pcap.data), _pointer("int64_t *", pcap.offsets),
                        _pointer("uint32_t *", pcap.lengths))

    def _through_egress(self):
        with socket.socket(fileno=os.dup(self.fd)) as same:
            same.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 0)

    def _try(self, start, stop):
        return lib.wm_inject_frames(self.fd, *self._arrays, start, stop, self._error)

    def close(self):
        """Closes the socket; harmless when repeated."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class UdpSender(_Sender):
    """Payloads through UDP sockets bound to the capture's sources: one socket for each (ip, port).

    targets, sources: {(ip, port): (ip, port)}, exchanged first; port 0 = any, the same. sockets:
    {(ip, port): socket}, bound already; they stay open. Use it on loopback or without rights.
    `receivers` gives the sockets, on which answers come.
    """

    kind = "UDP sockets"

    def __init__(self, pcap: Pcap, targets=None, sources=None, sockets=None):
        super().__init__(pcap)
        found = payloads(pcap)
        bad = np.flatnonzero(found.starts < 0)
        if len(bad):
            raise PcapError(f"{pcap.path}: packet {bad[0] + 1} is not a whole IPv4 UDP datagram "
                            f"({len(bad)} such): sockets can send only those; use raw frames")
        froms = moved(found.sources, sources or {})
        tos = moved(found.targets, targets or {})
        ends, owner = np.unique((froms[:, 0].astype(np.uint64) << np.uint64(16)) | froms[:, 1],
                                return_inverse=True)
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if len(ends) > allowed - 64:
            raise PcapError(f"{pcap.path} has {len(ends)} sources; this process may open {allowed} "
                            "files (ulimit -n)")
        self.receivers, self._own = {}, []
        for end in ends.tolist():
            place = ip_text(end >> 16), end & 0xFFFF
            self.receivers[place] = (sockets or {}).get(place) or self._bind(*place)
        self.fds = np.array([s.fileno() for s in self.receivers.values()], np.int32)
        self.kept = (owner.reshape(-1).astype(np.uint16), found.starts, found.sizes,
                      tos[:, 0].astype(">u4"), tos[:, 1].astype(">u2"))
        kinds = ("uint16_t *", "uint8_t *", "int64_t *", "uint32_t *", "uint32_t *", "uint16_t *")
        arrays = (self.kept[0], pcap.data, *self.kept[1:])
        self._arrays = tuple(map(_pointer, kinds, arrays))
        self._all = _pointer("int32_t *", self.fds)

    def _bind(self, ip, port):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._own.append(made)
        try:
            made.bind((ip, port))
        except OSError as problem:
            self.close()
            raise SendError(problem.errno, f"binding a UDP socket to {ip}:{port}, a source in the "
                            f"capture: {problem.strerror}; give the address to an interface here, "
                            "or send from another with --from") from None
        return made

    def _try(self, start, stop):
        return lib.wm_inject_payloads(self._all, *self._arrays, start, stop, self._error)

    def close(self):
        """Closes the sockets; harmless when repeated."""
        for made in self._own:
            made.close()
