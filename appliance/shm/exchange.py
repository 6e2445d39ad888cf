"""Several sockets on one receive queue: the shared UMEM, and the rings that frames change hands on.

                       fill_ring <---- recycler <---- return ring of each matcher (taken, read)
    kernel, one queue      |              |
                       comp_ring ----> recycler ----> free ring of each matcher (sent, done)
                       rx_ring, tx_ring of each socket <--> its matcher

A queue has one fill_ring and one comp_ring, each with one producer and one consumer, so one process
owns both (`recycler`) and exchanges frames with every matcher over two rings of the kernel's own
form. A matcher's kernels cannot tell: what they take for fill_ring is their return ring, what they
take for comp_ring their free ring.

    UMEM      receive frames of all [0, F), F = (partitions + 1) * rx_depth; then tx_depth transmit
              frames a partition
    exchange  one page of recycler state, then for each partition its return ring, its free ring,
              its burst (rx_desc: what it holds in hand) and a word for each transmit frame
              (withheld: 1 while the device still has it from a matcher that died)

A *keeper* socket registers the UMEM, owns the queue's two rings and is bound for good; it receives
nothing. Matchers' sockets come and go beside it (XDP_SHARED_UMEM), so no rebind is ever busy.
Producers are u32, never go back and are not reset when a matcher is replaced. One domain of trust:
whoever maps UMEM and exchange can spoil every partition's frames, though not portd's memory.
"""

import mmap
import os
import socket
from typing import NamedTuple

import numpy as np

from appliance.hot import port_state as ps
from appliance.hot.port_state import RX_DESC, Port
from appliance.native import check, ffi, lib
from appliance.shm import umem

PAGE_SZ, LINE_SZ = 4096, 64
RING_HEADER_SZ = 3 * LINE_SZ             # producer, consumer, flags, a line each
PRODUCER, CONSUMER, FLAGS = 0, LINE_SZ // 4, 2 * LINE_SZ // 4      # u32 positions in a ring
KEEPER_RX_DEPTH = 64
PARTITIONS_MAX = 64                      # words for each in the page of recycler state
_LOW_32 = 0xFFFF_FFFF


def _power(number: int) -> int:
    return 1 << (number - 1).bit_length()


class Plan(NamedTuple):
    """Sizes of a shared queue: frame bytes, partitions, each socket's rx_ring and tx_ring."""

    frame_sz: int = 2048
    partition_cnt: int = 2
    rx_depth: int = 4096
    tx_depth: int = 4096

    @property
    def rx_frame_cnt(self) -> int:
        """Receive frames of all: every rx_ring full, and one more ring's worth to fill from."""
        return (self.partition_cnt + 1) * self.rx_depth

    @property
    def fill_depth(self) -> int:
        """Of fill_ring and of each return ring: room for every receive frame."""
        return _power(self.rx_frame_cnt)

    @property
    def comp_depth(self) -> int:
        """Of comp_ring: room for every transmit frame."""
        return _power(self.partition_cnt * self.tx_depth)

    @property
    def umem_sz(self) -> int:
        """Bytes of the UMEM."""
        return self.frame_sz * (self.rx_frame_cnt + self.partition_cnt * self.tx_depth)

    @property
    def slice_sz(self) -> int:
        """Bytes of one partition's part of the exchange, whole pages."""
        used = (2 * RING_HEADER_SZ + 8 * (self.fill_depth + self.tx_depth)
                + ps.BURST_MAX * RX_DESC.itemsize + 4 * self.tx_depth)
        return -(-used // PAGE_SZ) * PAGE_SZ

    @property
    def exchange_sz(self) -> int:
        """Bytes of the exchange."""
        return PAGE_SZ + self.partition_cnt * self.slice_sz

    def tx_range(self, partition: int) -> tuple[int, int]:
        """First byte and end of a partition's transmit frames in the UMEM."""
        first = self.frame_sz * (self.rx_frame_cnt + partition * self.tx_depth)
        return first, first + self.frame_sz * self.tx_depth

    def return_off(self, partition: int) -> int:
        """Byte offset of a partition's return ring in the exchange."""
        return PAGE_SZ + partition * self.slice_sz

    def free_off(self, partition: int) -> int:
        """Byte offset of its free ring."""
        return self.return_off(partition) + RING_HEADER_SZ + 8 * self.fill_depth

    def burst_off(self, partition: int) -> int:
        """Byte offset of its burst in hand, RX_DESC[64]."""
        return self.free_off(partition) + RING_HEADER_SZ + 8 * self.tx_depth

    def withheld_off(self, partition: int) -> int:
        """Byte offset of its withheld words, u32[tx_depth]."""
        return self.burst_off(partition) + ps.BURST_MAX * RX_DESC.itemsize


def check_plan(plan: Plan) -> None:
    """ValueError unless every size is one that the kernel takes."""
    umem.check_geometry(umem.Geometry(plan.frame_sz, plan.rx_depth, plan.tx_depth))
    if not 1 <= plan.partition_cnt <= PARTITIONS_MAX:
        raise ValueError(f"partition_cnt = {plan.partition_cnt}: choose 1 to {PARTITIONS_MAX}")


def create(plan: Plan) -> int:
    """The exchange as a memfd, all zero."""
    check_plan(plan)
    fd = os.memfd_create("wirematch-exchange", umem.SEALABLE)
    os.ftruncate(fd, plan.exchange_sz)
    umem.seal(fd)
    return fd


class Exchange:
    """The exchange mapped: `words` and `entries` are u32 and u64 views of all of it."""

    def __init__(self, fd: int, plan: Plan):
        self.plan = plan
        memory = mmap.mmap(fd, plan.exchange_sz, mmap.MAP_SHARED | mmap.MAP_POPULATE)
        self.memory = np.frombuffer(memory, np.uint8)
        self.words, self.entries = self.memory.view(np.uint32), self.memory.view(np.uint64)
        self.state = self.entries[:PAGE_SZ // 8]

    def ring(self, off: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
        """(u32 view of a ring's header, u64 view of its addresses)."""
        start = off + RING_HEADER_SZ
        return (self.memory[off:start].view(np.uint32),
                self.memory[start:start + 8 * depth].view(np.uint64))

    def returned(self, partition: int) -> tuple[np.ndarray, np.ndarray]:
        """A partition's return ring."""
        return self.ring(self.plan.return_off(partition), self.plan.fill_depth)

    def free(self, partition: int) -> tuple[np.ndarray, np.ndarray]:
        """A partition's free ring."""
        return self.ring(self.plan.free_off(partition), self.plan.tx_depth)

    def burst(self, partition: int) -> np.ndarray:
        """What a partition's matcher holds in hand: RX_DESC[64]."""
        off = self.plan.burst_off(partition)
        return self.memory[off:off + ps.BURST_MAX * RX_DESC.itemsize].view(RX_DESC)

    def withheld(self, partition: int) -> np.ndarray:
        """u32[tx_depth]: 1 for each of its transmit frames that a dead matcher left in the device.
        """
        off = self.plan.withheld_off(partition)
        return self.memory[off:off + 4 * self.plan.tx_depth].view(np.uint32)


def open_keeper(memory: np.ndarray, plan: Plan) -> int:
    """Privileged: the socket with the UMEM, fill_ring and comp_ring of the queue, not bound yet."""
    check_plan(plan)
    fd = check(lib.wm_xsk_socket(), "socket(AF_XDP)",
               "it needs CAP_NET_RAW; without it use mode = socket")
    try:
        check(lib.wm_xsk_register_umem(fd, ffi.cast("void *", memory.ctypes.data), plan.umem_sz,
                                       plan.frame_sz, 0, 0),
              f"registering a UMEM of {plan.umem_sz} bytes", "check the locked-memory limit")
        check(lib.wm_xsk_ring_sizes(fd, plan.fill_depth, plan.comp_depth, KEEPER_RX_DEPTH, 0),
              f"setting ring sizes {plan.fill_depth} and {plan.comp_depth}")
    except OSError:
        os.close(fd)
        raise
    return fd


def open_sharer(plan: Plan) -> int:
    """Privileged: a matcher's socket, rx_ring and tx_ring only; bind it with shared_with=keeper."""
    check_plan(plan)
    fd = check(lib.wm_xsk_socket(), "socket(AF_XDP)", "it needs CAP_NET_RAW")
    try:
        check(lib.wm_xsk_ring_sizes(fd, 0, 0, plan.rx_depth, plan.tx_depth),
              f"setting ring sizes {plan.rx_depth} and {plan.tx_depth}")
    except OSError:
        os.close(fd)
        raise
    return fd


def make_shared_port(fd: int, memory: np.ndarray, exchange_fd: int, plan: Plan,
                     partition: int) -> Port:
    """A matcher's port on a shared queue; needs no rights, the socket may be unbound still.

    Its transmit frames lie on its free ring: the stack is empty at first.
    """
    rings = umem.map_rings(fd, {"rx": plan.rx_depth, "tx": plan.tx_depth})
    return port_over(rings["rx"], rings["tx"], Exchange(exchange_fd, plan), memory, partition, fd)


def port_over(rx: umem.Ring, tx: umem.Ring, shared: Exchange, memory: np.ndarray, partition: int,
              fd: int = -1) -> Port:
    """The same over rings that are mapped already; fd: what a kick calls the kernel with."""
    plan = shared.plan
    returned, return_addrs = shared.returned(partition)
    freed, free_addrs = shared.free(partition)
    port = umem.empty_port(
        memory, np.zeros(plan.tx_depth, np.uint64), rx_desc=shared.burst(partition),
        fill_words=returned, fill_addrs=return_addrs, comp_words=freed, comp_addrs=free_addrs,
        rx_words=rx.words, rx_descs=rx.entries, tx_words=tx.words, tx_descs=tx.entries)
    producer = int(tx.words[tx.producer])
    umem.set_words(
        port, KIND=ps.XSK, RX_FD=fd & _LOW_32, FRAME_SZ=plan.frame_sz, TX_FRAME_CNT=plan.tx_depth,
        FILL_MASK=plan.fill_depth - 1, RX_MASK=plan.rx_depth - 1, TX_MASK=plan.tx_depth - 1,
        COMP_MASK=plan.tx_depth - 1, FILL_PRODUCER_WORD=PRODUCER, FILL_FLAGS_WORD=FLAGS,
        COMP_PRODUCER_WORD=PRODUCER, COMP_CONSUMER_WORD=CONSUMER,
        RX_PRODUCER_WORD=rx.producer, RX_CONSUMER_WORD=rx.consumer,
        TX_PRODUCER_WORD=tx.producer, TX_CONSUMER_WORD=tx.consumer, TX_FLAGS_WORD=tx.flags,
        FILL_PRODUCER=int(returned[PRODUCER]), COMP_CONSUMER=int(freed[CONSUMER]),
        RX_CONSUMER=int(rx.words[rx.consumer]), TX_PRODUCER=producer, TX_PUBLISHED=producer)
    return port


class DeadRings:
    """rx_ring and tx_ring of a matcher's socket, mapped while it lived and read when it is dead.

    The mapping keeps the socket alive: drop the object when the frames are taken back.
    """

    def __init__(self, fd: int, plan: Plan):
        self.plan = plan
        self.rx, self.tx = umem.map_rings(fd, {"rx": plan.rx_depth, "tx": plan.tx_depth}).values()

    def settle(self) -> None:
        """Returns when no packet is on its way into rx_ring any more, its slot being empty.

        Closing a packet socket waits until every CPU has left the code that receives (20 ms).
        """
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()

    def received(self) -> tuple[int, int]:
        """(frames the kernel has put on rx_ring, frames taken from it), u32."""
        return int(self.rx.words[self.rx.producer]), int(self.rx.words[self.rx.consumer])

    def sent(self) -> tuple[int, int]:
        """(frames put on tx_ring, frames the kernel has taken from it), u32."""
        return int(self.tx.words[self.tx.producer]), int(self.tx.words[self.tx.consumer])

    def rx_frames(self, begin: int, end: int) -> list[int]:
        """Frames of the packets [begin, end) of rx_ring, as far as they have not been overwritten.
        """
        return self._frames(self.rx, self.plan.rx_depth, begin, end)

    def tx_frames(self, begin: int, end: int) -> list[int]:
        """The same of tx_ring."""
        return self._frames(self.tx, self.plan.tx_depth, begin, end)

    def _frames(self, ring, depth, begin, end):
        count = min((end - begin) & _LOW_32, depth)
        base = ~(self.plan.frame_sz - 1)
        return [int(ring.entries[2 * ((end - count + i) & (depth - 1))]) & base
                for i in range(count)]
