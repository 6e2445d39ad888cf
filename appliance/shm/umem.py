"""Ports from the cold side: UMEM memory, AF_XDP sockets, mapped rings, and the port constructors.

The order of a start, which works on every kernel since 5.4:

    privileged process                      matcher (no rights)
    create_umem, map_umem, open_xsk
    pass both descriptors  ------------->   map_umem, make_xsk_port (maps rings, primes fill_ring)
    bind_xsk  <--- "mapped" -------------
    steer: map entry                        polls

Frames [0, rx_frame_cnt) of the UMEM circulate on the receive side, the rest transmit.
"""

import errno
import fcntl
import mmap
import os
import time
from typing import NamedTuple

import numpy as np

from appliance.hot import port_state as ps
from appliance.hot.port_state import RX_DESC, Port
from appliance.native import check, ffi, lib

SHARED_UMEM, COPY, ZERO_COPY = 1 << 0, 1 << 1, 1 << 2      # bind flags of the kernel
USE_NEED_WAKEUP = 1 << 3
XSK_STATISTICS = ("rx_dropped", "rx_invalid", "tx_invalid", "rx_ring_full", "fill_ring_empty",
                  "tx_ring_empty")
SEALABLE = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
REBIND_PATIENCE_S = 1.0                       # a just closed queue stays busy for about 20 ms
HUGE_PAGE_SZ = 2 << 20
PRIVATE_FRAME_SZ = 2048                       # slots of the SOCKET and NULL kinds

_RINGS = ("rx", "tx", "fill", "comp")         # the order of wm_xsk_offsets
_PAGE_OFFS = {"rx": 0, "tx": 0x8000_0000, "fill": 0x1_0000_0000, "comp": 0x1_8000_0000}
_ENTRY_SZ = {"rx": 16, "tx": 16, "fill": 8, "comp": 8}


class Geometry(NamedTuple):
    """Sizes of a UMEM and its rings. All powers of two; a ring holds every frame of its side."""

    frame_sz: int = 2048
    rx_frame_cnt: int = 4096
    tx_frame_cnt: int = 4096

    @property
    def umem_sz(self) -> int:
        """Bytes of the whole UMEM."""
        return self.frame_sz * (self.rx_frame_cnt + self.tx_frame_cnt)


def frame_size(payload: int) -> int:
    """Bytes of the frames that hold UDP payloads of that many bytes: 2048 or 4096."""
    return 2048 if payload + ps.HEADER_SZ <= 2048 else 4096


def check_geometry(geometry: Geometry) -> None:
    """ValueError unless every size is a power of two in the range the kernel takes."""
    for name, value in geometry._asdict().items():
        low, high = (2048, 4096) if name == "frame_sz" else (64, 1 << 20)
        if value & (value - 1) or not low <= value <= high:
            raise ValueError(f"{name} = {value}: choose a power of two from {low} to {high}")


def create_umem(geometry, huge_pages: bool = False) -> int:
    """A memfd of the UMEM's size; with huge_pages of 2 MB pages, OSError where too few are free.

    geometry: a Geometry, or the Plan of a shared queue.
    """
    if isinstance(geometry, Geometry):
        check_geometry(geometry)
    flags = SEALABLE | (os.MFD_HUGETLB | os.MFD_HUGE_2MB if huge_pages else 0)
    size = geometry.umem_sz
    if huge_pages:
        size = -(-size // HUGE_PAGE_SZ) * HUGE_PAGE_SZ
    fd = os.memfd_create("wirematch-umem", flags)
    try:
        os.ftruncate(fd, size)
        if huge_pages:
            mmap.mmap(fd, size).close()       # reserving is where a shortage shows
        seal(fd)
    except OSError:
        os.close(fd)
        raise
    return fd


def create_umem_in(geometry, pages: str) -> tuple[int, str]:
    """(a memfd of the UMEM, which pages it has in words). pages: "always" and "never" of 2 MB,
    "auto": of 2 MB where enough of them are free. OSError names the number needed."""
    needed = -(-geometry.umem_sz // HUGE_PAGE_SZ)
    if pages == "never":
        return create_umem(geometry), "ordinary pages"
    try:
        return create_umem(geometry, huge_pages=True), "huge pages"
    except OSError as error:
        why = (f"{needed} huge pages of 2 MB are needed for the frames and not free: "
               f"{error.strerror}; see vm.nr_hugepages")
        if pages == "always":
            raise OSError(error.errno, f'port.huge_pages = "always": {why}') from error
        return create_umem(geometry), f"ordinary pages ({why})"


def seal(fd: int) -> None:
    """Fixes the size of a memfd for good: whoever is handed it cannot cut what others have mapped,
    which would end them with SIGBUS."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)


def map_umem(fd: int) -> np.ndarray:
    """The UMEM behind a descriptor as one writable uint8 array, every page present."""
    size = os.fstat(fd).st_size
    return np.frombuffer(mmap.mmap(fd, size, mmap.MAP_SHARED | mmap.MAP_POPULATE), np.uint8)


def open_xsk(umem: np.ndarray, geometry: Geometry) -> int:
    """Privileged: a new AF_XDP socket with this UMEM and all four rings, not yet bound.

    It can bind only to devices of the network namespace in which the calling thread is now.
    """
    fd = check(lib.wm_xsk_socket(), "socket(AF_XDP)",
               "it needs CAP_NET_RAW; without it use mode = socket")
    try:
        check(lib.wm_xsk_register_umem(fd, ffi.cast("void *", umem.ctypes.data), geometry.umem_sz,
                                       geometry.frame_sz, 0, 0),
              f"registering a UMEM of {geometry.umem_sz} bytes", "check the locked-memory limit")
        check(lib.wm_xsk_ring_sizes(fd, geometry.rx_frame_cnt, geometry.tx_frame_cnt,
                                    geometry.rx_frame_cnt, geometry.tx_frame_cnt),
              f"setting AF_XDP ring sizes {geometry.rx_frame_cnt} and {geometry.tx_frame_cnt}")
    except OSError:
        os.close(fd)
        raise
    return fd


def bind_xsk(fd: int, ifindex: int, queue: int, flags: int = COPY, shared_with: int = -1,
             patience_s: float = REBIND_PATIENCE_S) -> None:
    """Privileged: binds the socket to a device's queue, patiently while the queue is still busy.

    shared_with: a bound socket of the same queue whose UMEM and mode this one takes part in.
    """
    deadline = time.monotonic() + patience_s
    flags = flags | USE_NEED_WAKEUP if shared_with < 0 else SHARED_UMEM
    while True:
        result = lib.wm_xsk_bind(fd, ifindex, queue, flags, max(0, shared_with))
        if result != -errno.EBUSY or time.monotonic() > deadline:
            break
        time.sleep(0.005)
    check(result, f"binding an AF_XDP socket to device {ifindex} queue {queue} with flags {flags}",
          "EBUSY: another process still maps this queue's rings, stop it first; "
          "EOPNOTSUPP: the driver cannot do that mode, use copy, generic or socket")


def xsk_statistics(fd: int) -> dict[str, int]:
    """The kernel's own counters of an AF_XDP socket."""
    out = ffi.new("uint64_t[6]")
    check(lib.wm_xsk_statistics(fd, out), f"reading the statistics of AF_XDP socket {fd}")
    return dict(zip(XSK_STATISTICS, out, strict=True))


def is_zero_copy(fd: int) -> bool:
    """Whether a bound AF_XDP socket really runs in zero copy."""
    return bool(check(lib.wm_xsk_options(fd), f"reading the options of AF_XDP socket {fd}") & 1)


class Ring(NamedTuple):
    """One ring of a socket: a u32 view of the whole mapping, a u64 view of its descriptors, and the
    positions of producer, consumer and flags in the first."""

    words: np.ndarray
    entries: np.ndarray
    producer: int
    consumer: int
    flags: int


def map_rings(fd: int, depths: dict[str, int]) -> dict[str, Ring]:
    """Maps the named rings ("rx", "tx", "fill", "comp") of an AF_XDP socket; needs no rights."""
    out = ffi.new("uint64_t[16]")
    check(lib.wm_xsk_offsets(fd, out), f"reading the ring offsets of AF_XDP socket {fd}")
    rings = {}
    for name, depth in depths.items():
        at = 4 * _RINGS.index(name)
        producer, consumer, desc_off, flags = (int(out[at + i]) for i in range(4))
        memory = mmap.mmap(fd, desc_off + _ENTRY_SZ[name] * depth,
                           mmap.MAP_SHARED | mmap.MAP_POPULATE, offset=_PAGE_OFFS[name])
        rings[name] = Ring(np.frombuffer(memory, np.uint32),
                           np.frombuffer(memory, np.uint64, offset=desc_off),
                           producer // 4, consumer // 4, flags // 4)
    return rings


def _owned(ring, step, frame_sz):
    """Frame bases that lie on a ring between its consumer and its producer."""
    producer, consumer = int(ring.words[ring.producer]), int(ring.words[ring.consumer])
    depth = ring.entries.size // step
    span = (producer - consumer) & 0xFFFF_FFFF
    return {int(ring.entries[step * ((consumer + i) % depth)]) & ~(frame_sz - 1)
            for i in range(span)}


def _spare_frames(geometry, rings, settle_s=0.02):
    """(receive, transmit) frames that lie on no ring; all of them when the socket is new.

    A socket that was in use (its matcher died) is taken over: what the kernel holds is on its
    rings; frames of the dead process are free. Frames still in the device have to come out first.
    """
    sz = geometry.frame_sz
    receive = {i * sz for i in range(geometry.rx_frame_cnt)}
    transmit = {(geometry.rx_frame_cnt + i) * sz for i in range(geometry.tx_frame_cnt)}
    if not any(int(r.words[at]) for r in rings.values() for at in (r.producer, r.consumer)):
        return receive, transmit
    receive -= _owned(rings["fill"], 1, sz)
    time.sleep(settle_s)                       # a frame between fill_ring and rx_ring arrives now
    receive -= _owned(rings["rx"], 2, sz)
    sent = int(rings["tx"].words[rings["tx"].consumer])
    completed = int(rings["comp"].words[rings["comp"].producer])
    if sent != completed:
        raise RuntimeError(
            f"taking an AF_XDP socket over: {(sent - completed) & 0xFFFF_FFFF} transmit frames are "
            "still inside the device; open a new socket instead")
    transmit -= _owned(rings["tx"], 2, sz)
    transmit -= _owned(rings["comp"], 1, sz)
    return receive, transmit


def empty_port(frames: np.ndarray, tx_stack: np.ndarray, **arrays: np.ndarray) -> Port:
    """A Port with these arrays, and one element where there is nothing."""
    fields = {name: np.zeros(1, np.uint32 if name.endswith("_words") else np.uint64)
              for name in Port._fields}
    fields |= {"state": np.zeros(ps.STATE_WORD_CNT, np.uint64), "frames": frames,
               "rx_desc": np.zeros(ps.BURST_MAX, RX_DESC), "tx_stack": tx_stack}
    return Port(**(fields | arrays))


def set_words(port: Port, **words: int) -> None:
    """Writes state words by their names in hot/port_state.py."""
    for name, value in words.items():
        port.state[getattr(ps, name)] = value


def make_xsk_port(fd: int, umem: np.ndarray, geometry: Geometry) -> Port:
    """Maps the rings of an AF_XDP socket and primes fill_ring; needs no rights.

    umem: the array of map_umem. The socket may be unbound still. A socket that a dead matcher used
    is taken over with every frame accounted for.
    """
    check_geometry(geometry)
    rx_cnt, tx_cnt = geometry.rx_frame_cnt, geometry.tx_frame_cnt
    rings = map_rings(fd, {"rx": rx_cnt, "tx": tx_cnt, "fill": rx_cnt, "comp": tx_cnt})
    rx, tx, fill, comp = rings.values()
    receive, transmit = _spare_frames(geometry, rings)
    stack = np.zeros(tx_cnt, np.uint64)
    free = sorted(transmit, reverse=True)
    stack[:len(free)] = free
    port = empty_port(umem, stack, fill_words=fill.words, fill_addrs=fill.entries,
                      rx_words=rx.words, rx_descs=rx.entries, tx_words=tx.words,
                      tx_descs=tx.entries, comp_words=comp.words, comp_addrs=comp.entries)
    fill_producer, tx_producer = int(fill.words[fill.producer]), int(tx.words[tx.producer])
    set_words(
        port, KIND=ps.XSK, RX_FD=fd, FRAME_SZ=geometry.frame_sz, TX_FRAME_CNT=stack.size,
        FILL_MASK=rx_cnt - 1, RX_MASK=rx_cnt - 1, TX_MASK=tx_cnt - 1, COMP_MASK=tx_cnt - 1,
        FILL_PRODUCER_WORD=fill.producer, FILL_FLAGS_WORD=fill.flags,
        RX_PRODUCER_WORD=rx.producer, RX_CONSUMER_WORD=rx.consumer,
        TX_PRODUCER_WORD=tx.producer, TX_CONSUMER_WORD=tx.consumer, TX_FLAGS_WORD=tx.flags,
        COMP_PRODUCER_WORD=comp.producer, COMP_CONSUMER_WORD=comp.consumer,
        FILL_PRODUCER=fill_producer + len(receive), RX_CONSUMER=int(rx.words[rx.consumer]),
        TX_PRODUCER=tx_producer, TX_PUBLISHED=tx_producer,
        COMP_CONSUMER=int(comp.words[comp.consumer]), STACK_CNT=len(free))
    for i, base in enumerate(sorted(receive)):
        port.fill_addrs[(fill_producer + i) % rx_cnt] = base
    fill.words[fill.producer] = (fill_producer + len(receive)) & 0xFFFF_FFFF
    return port


def make_socket_port(order_fd: int, multicast_fd: int, local_ip: str, local_udp_port: int,
                     tx_frame_cnt: int = 1024, frame_sz: int = PRIVATE_FRAME_SZ) -> Port:
    """A port over two UDP sockets: orders in and acknowledgements out, and the feed's multicast.

    frame_sz: of transmit frames, a power of two from PRIVATE_FRAME_SZ on. local_ip and
    local_udp_port: what the order socket is bound to; made-up headers carry them.
    """
    address = bytes(int(part) for part in local_ip.split("."))
    if len(address) != 4 or not any(address):
        raise ValueError(f"local_ip = {local_ip!r}: name the IPv4 address participants send to")
    first = ps.BURST_MAX * PRIVATE_FRAME_SZ
    frames = np.zeros(first + tx_frame_cnt * frame_sz, np.uint8)
    stack = np.arange(tx_frame_cnt, dtype=np.uint64)[::-1] * frame_sz + np.uint64(first)
    depth = 1 << (tx_frame_cnt - 1).bit_length()
    port = empty_port(frames, stack.copy(), tx_descs=np.zeros(2 * depth, np.uint64))
    set_words(port, KIND=ps.SOCKET, RX_FD=order_fd, MULTICAST_FD=multicast_fd,
         FRAME_SZ=frame_sz, LOCAL_IP_BE=int.from_bytes(address, "little"),
         LOCAL_PORT_BE=int.from_bytes(local_udp_port.to_bytes(2, "big"), "little"),
         TX_FRAME_CNT=tx_frame_cnt, TX_MASK=depth - 1, STACK_CNT=tx_frame_cnt)
    return port


def make_null_port(packets=(), tx_frame_cnt: int = 4096, capture_max: int = 0) -> Port:
    """A port in memory: receives `packets` once, keeps the first capture_max sent ones.

    packets: whole Ethernet packets as bytes-like, at most 2048 bytes each. With capture_max equal
    to tx_frame_cnt nothing is recycled: the transmit side fills up and tx_alloc answers -1.
    """
    packets = list(packets)
    total_sz = sum(len(packet) for packet in packets)
    tx_off = -(-total_sz // PRIVATE_FRAME_SZ) * PRIVATE_FRAME_SZ
    frames = np.zeros(tx_off + tx_frame_cnt * PRIVATE_FRAME_SZ, np.uint8)
    frames[:total_sz] = np.frombuffer(b"".join(packets), np.uint8)
    sizes = np.array([len(packet) for packet in packets], np.uint64)
    descs = np.zeros(max(1, 2 * sizes.size), np.uint64)
    descs[0:2 * sizes.size:2] = np.cumsum(sizes) - sizes
    descs[1:2 * sizes.size:2] = sizes
    stack = np.arange(tx_frame_cnt, dtype=np.uint64)[::-1] * PRIVATE_FRAME_SZ + np.uint64(tx_off)
    depth = 1 << (tx_frame_cnt - 1).bit_length()
    port = empty_port(frames, stack.copy(), rx_descs=descs,
                       tx_descs=np.zeros(2 * depth, np.uint64),
                       comp_addrs=np.zeros(max(1, 2 * capture_max), np.uint64))
    set_words(port, KIND=ps.NULL, FRAME_SZ=PRIVATE_FRAME_SZ, TX_FRAME_CNT=tx_frame_cnt,
         TX_MASK=depth - 1, STACK_CNT=tx_frame_cnt, RX_TOTAL=sizes.size, CAPTURE_MAX=capture_max)
    return port


def take_captured(port: Port) -> list[bytes]:
    """The packets a NULL port has kept since the last call; their frames become free again."""
    count = int(port.state[ps.CAPTURED_CNT])
    taken = []
    for i in range(count):
        off, sz = int(port.comp_addrs[2 * i]), int(port.comp_addrs[2 * i + 1])
        taken.append(port.frames[off:off + sz].tobytes())
        port.tx_stack[int(port.state[ps.STACK_CNT])] = off
        port.state[ps.STACK_CNT] += np.uint64(1)
    port.state[ps.CAPTURED_CNT] = 0
    return taken
