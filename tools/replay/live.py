"""The in-kernel engine: packets preloaded into a mapped BPF array, sent as live test frames.

bpf/replay.bpf.c copies each packet into a frame of the kernel's test run and redirects it to the
device, without a system call or a socket buffer for each. The device must be able to transmit
redirected frames; a veth does only while its peer has NAPI on (an XDP program, or `ethtool -K PEER
gro on`), and drops them otherwise: its counters tell.
"""

import array
import errno
import fcntl
import mmap
import os
import socket
import struct
import time

import numba
import numpy as np

from appliance.native import ffi, lib
from appliance.shm import steer
from tools.netns import Namespace
from tools.pcap import ETHERNET, PcapError
from tools.sender import SendError, device_index

from .engines import EngineError, pointer

PACKET = np.dtype([("due_ns", "u8"), ("block", "u4"), ("line", "u2"), ("sz", "u2")])
BLOCK_SZ, LINE_SZ = 1 << 16, 64                    # as in the program
PACKET_MAX, FRAME_MIN = 53 * LINE_SZ, 14
CALL = 1 << 18                                     # packets of one call at full speed: 50 ms or so
BATCH = 64                                         # frames that leave together at full speed
LEAD_NS, REALTIME_LEAD_NS, GAP_NS, TOGETHER_NS = 150_000, 80_000, 50_000, 10_000
VETH_S, CARD_S = 0.02, 2.5                          # until the counters have told
SIOCETHTOOL, GDRVINFO = 0x8946, 3
PROGRAM = steer.BPF_FOLDER / "replay.bpf.o"


class Loaded:
    """replay.bpf.o with maps of the wanted sizes; mapped(name) is a map's memory as an array."""

    def __init__(self, **entries):
        if not PROGRAM.exists():
            raise EngineError(errno.ENOENT, f"{PROGRAM.name} is not built; run: make -C bpf")
        names = [ffi.new("char[]", name.encode()) for name in entries]
        handle, log = ffi.new("wm_bpf **"), ffi.new("char[]", 1 << 18)
        result = lib.wm_bpf_open_sized(
            os.fsencode(PROGRAM), ffi.new("char *[]", names), list(entries.values()), len(names),
            handle, log, 1 << 18)
        if result < 0:
            words = ffi.string(log).decode(errors="replace").strip()[-400:]
            raise EngineError(-result, f"loading {PROGRAM.name}: {os.strerror(-result)}; it needs "
                              f"root and libbpf{'. The kernel said: ' + words if words else ''}")
        self._handle, self._kept, self.fds = handle[0], [], []

    def program(self, name) -> int:
        """The descriptor of a program."""
        self.fds.append(steer.check(lib.wm_bpf_program(self._handle, name.encode()), name))
        return self.fds[-1]

    def map(self, name) -> int:
        """The descriptor of a map."""
        self.fds.append(steer.check(lib.wm_bpf_map(self._handle, name.encode()), name))
        return self.fds[-1]

    def mapped(self, name, kind, count) -> np.ndarray:
        """The memory of a map of `count` values of that dtype."""
        kind = np.dtype(kind)
        size = -(-kind.itemsize * count // mmap.PAGESIZE) * mmap.PAGESIZE
        memory = mmap.mmap(self.map(name), size, mmap.MAP_SHARED)
        return np.frombuffer(memory, kind, count)

    def close(self):
        """Lets go; harmless when repeated."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        if self._handle is not None:
            lib.wm_bpf_close(self._handle)
            self._handle = None


class Resident:
    """Keeps a program in the kernel's XDP dispatcher, by attaching it to the loopback of a network
    namespace of its own. A test run of any other program enters it there and takes it out again,
    and waits for all CPUs both times (synchronize_rcu), 10 to 40 ms."""

    def __init__(self, program_fd):
        self.namespace = Namespace()
        with self.namespace.entered():
            self.link = steer.attach(program_fd, socket.if_nametoindex("lo"), steer.GENERIC)

    def close(self):
        """Takes it out."""
        os.close(self.link)
        self.namespace.close()


def layout(lengths):
    """(table of PACKET without due times, blocks needed): every packet on lines of its own."""
    lines = -(-lengths.astype(np.int64) // LINE_SZ)
    per_block = (BLOCK_SZ - PACKET_MAX) // LINE_SZ + 1      # where a packet may begin
    table = np.zeros(len(lengths), PACKET)
    table["sz"] = lengths
    ends, at, block = np.cumsum(lines), 0, 0
    while at < len(lengths):
        base = ends[at] - lines[at]
        stop = int(np.searchsorted(ends - lines, base + per_block))
        table["block"][at:stop] = block
        table["line"][at:stop] = (ends - lines)[at:stop] - base
        at, block = stop, block + 1
    return table, block


class LiveEngine:
    """See `engines` for the contract. Frames of 14 to PACKET_MAX bytes."""

    kind = "live"

    def __init__(self, capture, interface):
        self.capture, self.interface = capture, interface
        self.failed = self.failed_bytes = self.retries = self.last_errno = 0
        self._judge()
        self.ifindex = device_index(interface)
        self.table, blocks = layout(capture.lengths)
        count = len(capture)
        self.resident = None
        self.loaded = Loaded(blocks=blocks, packets=count, left_ns=count)
        try:
            self._open(count, blocks)
        except OSError as problem:
            self.close()
            raise EngineError(problem.errno, problem.strerror) from problem
        self.before, self.proven = None, False
        self.is_veth, self.made = driver(interface) == "veth", 0
        realtime = os.sched_getscheduler(0) == os.SCHED_FIFO      # no time slice to wait for
        self.lead_ns = REALTIME_LEAD_NS if realtime else LEAD_NS
        self.patience_s = VETH_S if self.is_veth else CARD_S

    def _judge(self):
        capture = self.capture
        if capture.link_type != ETHERNET:
            raise PcapError(f"{capture.path} has link type {capture.link_type}; only Ethernet (1) "
                            "can be sent as frames")
        outside = np.flatnonzero((capture.lengths < FRAME_MIN) | (capture.lengths > PACKET_MAX))
        if len(outside):
            at = int(outside[0])
            raise EngineError(errno.EMSGSIZE, f"packet {at + 1} has {capture.lengths[at]} bytes; "
                              f"live frames have {FRAME_MIN} to {PACKET_MAX}")

    def _open(self, count, blocks):
        loaded = self.loaded
        self.program = loaded.program("replay")
        self.resident = Resident(self.program)
        self.blocks = loaded.mapped("blocks", np.dtype((np.uint8, BLOCK_SZ)), blocks)
        self.packets = loaded.mapped("packets", PACKET, count)
        self.left_ns = loaded.mapped("left_ns", np.int64, count)
        self.turn = loaded.mapped("turns", np.uint64, 4)         # at, zero_ns, refused, its bytes
        steer.map_set(loaded.map("devices"), bytes(4), struct.pack("=I", self.ifindex))
        self.packets[:] = self.table
        self._due = None
        longest = int(self.capture.lengths.max())
        self.frame = bytes(-(-longest // LINE_SZ) * LINE_SZ)
        self._error = ffi.new("int64_t *")
        self.reload()

    def reload(self):
        """Copies the packets into the kernel's array; the next one is the first."""
        self.turn[0] = 0
        starts = self.table["block"].astype(np.int64) * BLOCK_SZ + self.table["line"].astype(
            np.int64) * LINE_SZ
        _spread(self.blocks.reshape(-1), starts, self.capture.data, self.capture.offsets,
                self.capture.lengths)

    def advance(self, due_ns, start, stop, zero_ns, deadline_ns):
        """See the contract. EngineError when the device transmits nothing: nothing has left."""
        if self.before is None:
            self.before, self.begun_s = device_counts(self.interface), time.monotonic()
        before = self.turn[2:4].tolist()
        at = self._advance(due_ns, start, stop, zero_ns, deadline_ns)
        refused, sz = (now - then for now, then in zip(self.turn[2:4].tolist(), before,
                                                       strict=True))
        if refused:                        # the kernel would not cut a frame to a packet's size
            self.failed, self.failed_bytes = self.failed + refused, self.failed_bytes + sz
            self.last_errno = errno.EMSGSIZE
        self.made += at - start - refused
        if not self.proven and at > start:
            self._prove(wait=False)
        return at

    def _advance(self, due_ns, start, stop, zero_ns, deadline_ns):
        if due_ns is not None and due_ns is not self._due:
            self.packets["due_ns"] = np.maximum(due_ns, 0)
            self._due = due_ns
        self.turn[1] = 0 if due_ns is None else zero_ns
        at = start + lib.wm_xdp_live_paced(
            self.program, self.frame, len(self.frame), self.ifindex,
            ffi.NULL if due_ns is None else pointer("int64_t *", due_ns), start,
            stop if due_ns is not None else min(stop, start + CALL), zero_ns, deadline_ns,
            self.lead_ns, GAP_NS, TOGETHER_NS, BATCH, pointer("uint64_t *", self.turn), self._error)
        if due_ns is None:
            self.left_ns[start:at] = time.monotonic_ns()
        if self._error[0]:
            reason = -int(self._error[0])
            kind = SendError if self.proven else EngineError
            raise kind(reason, f"live frames on {self.interface}: {os.strerror(reason)}; they need "
                       "Linux 5.18 or newer, CAP_SYS_ADMIN and the device up")
        return at

    def _prove(self, wait):
        """Whether the device transmits what it is given, by its counters; those of a card may be
        late. EngineError when it does not."""
        while True:
            if device_counts(self.interface)[0] > self.before[0]:
                self.proven = True
                return
            if time.monotonic() - self.begun_s > self.patience_s:
                raise EngineError(
                    errno.EOPNOTSUPP, f"{self.interface} does not transmit redirected frames; "
                    "where it is a veth, its peer needs an XDP program or: ethtool -K PEER gro on")
            if not wait:
                return
            time.sleep(0.001)

    def reached(self, at):
        """See `engines`."""
        return max(at, int(self.turn[0])) if self.proven else at

    def finish(self):
        """Frames that the device did not take: of a veth those that its peer did not get, of a
        card those that it counts as dropped."""
        if self.before is None:
            return 0
        if not self.proven:
            self._prove(wait=True)
        if not self.is_veth:
            return max(0, device_counts(self.interface)[1] - self.before[1])
        until = time.monotonic() + VETH_S
        while True:
            taken = device_counts(self.interface)[0] - self.before[0]
            if taken >= self.made or time.monotonic() > until:
                return max(0, self.made - taken)
            time.sleep(0.001)

    def close(self):
        """Lets go of program and maps; harmless when repeated."""
        if self.resident is not None:
            self.resident.close()
            self.resident = None
        self.loaded.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@numba.njit("void(u1[::1], i8[::1], u1[::1], i8[::1], u4[::1])", cache=True)
def _spread(out, starts, data, offsets, lengths):
    for i in range(starts.size):
        to, off, sz = starts[i], offsets[i], numba.int64(lengths[i])
        out[to:to + sz] = data[off:off + sz]


def driver(interface) -> str:
    """The name of a device's driver, "" where it does not tell."""
    answer = array.array("B", struct.pack("=I", GDRVINFO) + bytes(192))
    request = struct.pack("16sP16x", interface.encode()[:15], answer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            fcntl.ioctl(probe, SIOCETHTOOL, request)
        except OSError:
            return ""
    return answer.tobytes()[4:36].split(b"\0")[0].decode()


def device_counts(interface):
    """(packets sent, packets dropped while sending) of a device of this thread's namespace."""
    with open("/proc/thread-self/net/dev") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name.strip() == interface:
                numbers = rest.split()
                return int(numbers[9]), int(numbers[11])
    raise SendError(errno.ENODEV, f"interface {interface} is gone")
