"""The recycler of a shared queue: moves frames between the kernel's two rings and every matcher's.

It runs in a thread of portd, compiled and without the interpreter's lock. A pass takes each return
ring and fills fill_ring from it, then empties comp_ring into the free rings; after a pass that
found little it sleeps. Nothing waits for it as long as fill_ring holds frames for its sleep: 50 us,
at 3 million packets a second 150 frames.

It may be killed at any instruction, and another takes over with adopt=True. Two sums tell what was
half done (all numbers u32, wrapping):

    fill_ring producer  = FILL_BASE + consumers of all return rings
    comp_ring consumer  = COMP_BASE + producers of all free rings

A batch of returned frames is written, fill_ring's producer published, then the return ring's
consumer: where the first sum is ahead, the ring named by CURRENT has to catch up. A completion is
published on its free ring one by one and comp_ring's consumer after the batch: where the second sum
is ahead, the consumer has to catch up.
"""

import contextlib
import threading
import time

import numpy as np
from numba import int64, njit, types, uint32, uint64

from appliance.hot.fence import (
    load_acquire_u32, load_acquire_u64, store_release_u32, store_release_u64,
)
from appliance.native import external
from appliance.shm import umem
from appliance.shm.exchange import (
    CONSUMER, LINE_SZ, PRODUCER, RING_HEADER_SZ, DeadRings, Exchange, Plan,
)

# u64 words of the exchange's first page
FILL_BASE, COMP_BASE, CURRENT, RECYCLED, COMPLETED, REFUSED, FILL_LEVEL = range(0, 56, 8)
# constants of a run, int64
(FRAME_SZ, PARTITION_CNT, RX_END, TX_SPAN, RETURN_OFF, FREE_OFF, SLICE, FILL_MASK, TX_MASK,
 COMP_MASK, FILL_PRODUCER, FILL_CONSUMER, COMP_PRODUCER, COMP_CONSUMER, BATCH) = range(15)

BATCH_MAX = 1024
SHORT_SLEEP_NS, LONG_SLEEP_NS = 50_000, 1_000_000
IDLE_PASSES = 2000            # short sleeps in a row before the long ones: about 0.2 s
BUSY = 256                    # frames in a pass after which there is no sleep
SETTLE_S = 0.002              # a packet on its way into a ring when its slot was emptied
DEVICE_PATIENCE_S = 0.2
_LOW_32 = 0xFFFF_FFFF
_sleep = external("wm_sleep_ns", types.int32, types.int64)
_W, _E, _C = uint32[::1], uint64[::1], int64[::1]
_ENTRIES = RING_HEADER_SZ // 8
_CONSUMER, _LINE = CONSUMER, LINE_SZ


@njit(int64(_W, _E, _W, _E, _E, _C, int64), cache=True, nogil=True)
def give_back(words, entries, fill, fill_addrs, state, c, partition):
    """Frames from one return ring to fill_ring, at most a batch; how many left the return ring.

    An address that is no receive frame ends the batch; alone at its front, it is dropped.
    """
    ring = (c[RETURN_OFF] + partition * c[SLICE]) // 4
    addrs = (c[RETURN_OFF] + partition * c[SLICE]) // 8 + _ENTRIES
    consumer = np.int64(words[ring + _CONSUMER])
    waiting = (np.int64(load_acquire_u32(words, ring)) - consumer) & np.int64(_LOW_32)
    if waiting == 0:
        return np.int64(0)
    mask = c[FILL_MASK]
    producer = np.int64(fill[c[FILL_PRODUCER]])
    level = (producer - np.int64(load_acquire_u32(fill, c[FILL_CONSUMER]))) & np.int64(_LOW_32)
    if waiting > mask + 1:
        state[REFUSED] += np.uint64(1)          # a producer that no ring of this depth can have
        return np.int64(0)
    count, moved = min(waiting, c[BATCH], mask + 1 - level), np.int64(0)
    store_release_u64(state, np.int64(CURRENT), np.uint64(partition + 1))
    while moved < count:
        address = np.int64(entries[addrs + ((consumer + moved) & mask)])
        if address < 0 or address >= c[RX_END] or address & (c[FRAME_SZ] - 1) != 0:
            break
        fill_addrs[(producer + moved) & mask] = np.uint64(address)
        moved += 1
    if moved == 0 and count > 0:
        state[REFUSED] += np.uint64(1)
        state[FILL_BASE] = (state[FILL_BASE] - np.uint64(1)) & np.uint64(_LOW_32)
        store_release_u32(words, ring + _CONSUMER,
                          np.uint32((consumer + 1) & np.int64(_LOW_32)))
        return np.int64(1)
    store_release_u32(fill, c[FILL_PRODUCER], np.uint32((producer + moved) & np.int64(_LOW_32)))
    store_release_u32(words, ring + _CONSUMER, np.uint32((consumer + moved) & np.int64(_LOW_32)))
    state[RECYCLED] += np.uint64(moved)
    return moved


@njit(int64(_W, _E, _W, _E, _E, _C), cache=True, nogil=True)
def hand_out(words, entries, comp, comp_addrs, state, c):
    """Completed transmit frames to the free rings of their partitions, at most a batch."""
    consumer = np.int64(comp[c[COMP_CONSUMER]])
    waiting = (np.int64(load_acquire_u32(comp, c[COMP_PRODUCER])) - consumer) & np.int64(_LOW_32)
    count, base = min(waiting, c[BATCH]), ~(c[FRAME_SZ] - 1)
    for i in range(count):
        address = np.int64(comp_addrs[(consumer + i) & c[COMP_MASK]]) & base
        partition = (address - c[RX_END]) // c[TX_SPAN]
        good = address >= c[RX_END] and partition < c[PARTITION_CNT]
        ring = (c[FREE_OFF] + partition * c[SLICE]) // 4
        if good:
            producer = np.int64(words[ring])
            held = (producer - np.int64(load_acquire_u32(words, ring + _CONSUMER))) \
                & np.int64(_LOW_32)
            good = held <= c[TX_MASK]
        if not good:
            state[REFUSED] += np.uint64(1)
            state[COMP_BASE] = (state[COMP_BASE] + np.uint64(1)) & np.uint64(_LOW_32)
            continue
        entries[ring // 2 + _ENTRIES + (producer & c[TX_MASK])] = np.uint64(address)
        store_release_u32(words, ring, np.uint32((producer + 1) & np.int64(_LOW_32)))
    if count:
        store_release_u32(comp, c[COMP_CONSUMER],
                          np.uint32((consumer + count) & np.int64(_LOW_32)))
        state[COMPLETED] += np.uint64(count)
    return count


@njit(types.void(_W, _E, _W, _E, _W, _E, _E, _C, _E), cache=True, nogil=True)
def recycle(words, entries, fill, fill_addrs, comp, comp_addrs, state, c, stop):
    """Passes over all rings until stop[0] is not 0."""
    idle = np.int64(0)
    while load_acquire_u64(stop, np.int64(0)) == np.uint64(0):
        moved = np.int64(0)
        for partition in range(c[PARTITION_CNT]):
            moved += give_back(words, entries, fill, fill_addrs, state, c, partition)
        moved += hand_out(words, entries, comp, comp_addrs, state, c)
        state[FILL_LEVEL] = np.uint64(
            (np.int64(fill[c[FILL_PRODUCER]])
             - np.int64(load_acquire_u32(fill, c[FILL_CONSUMER]))) & np.int64(_LOW_32))
        idle = idle + 1 if moved == 0 else np.int64(0)
        if moved < BUSY:
            _sleep(np.int64(SHORT_SLEEP_NS if idle < IDLE_PASSES else LONG_SLEEP_NS))


class Recycler:
    """The rings of one shared queue, and the thread that serves them.

    fill, comp: umem.Ring of the keeper. adopt: another recycler was killed, take over from it;
    otherwise fill_ring is filled with every receive frame and each free ring with its partition's.
    """

    def __init__(self, fill: umem.Ring, comp: umem.Ring, exchange: Exchange, adopt: bool = False):
        self.fill, self.comp, self.exchange, self.plan = fill, comp, exchange, exchange.plan
        self.state, self.thread = exchange.state, None
        self.stop_word = np.zeros(8, np.uint64)
        self.constants = self._constants()
        if adopt:
            self._repair()
        else:
            self._prime()

    @classmethod
    def of(cls, keeper_fd: int, exchange_fd: int, plan: Plan, adopt: bool = False) -> "Recycler":
        """The recycler of a keeper socket and an exchange."""
        rings = umem.map_rings(keeper_fd, {"fill": plan.fill_depth, "comp": plan.comp_depth})
        return cls(rings["fill"], rings["comp"], Exchange(exchange_fd, plan), adopt)

    def _constants(self):
        plan, first = self.plan, self.plan.tx_range(0)
        return np.array([
            plan.frame_sz, plan.partition_cnt, first[0], first[1] - first[0], plan.return_off(0),
            plan.free_off(0), plan.slice_sz, plan.fill_depth - 1, plan.tx_depth - 1,
            plan.comp_depth - 1, self.fill.producer, self.fill.consumer, self.comp.producer,
            self.comp.consumer, BATCH_MAX], np.int64)

    def _prime(self):
        plan = self.plan
        self.fill.entries[:plan.rx_frame_cnt] = np.arange(plan.rx_frame_cnt) * plan.frame_sz
        for p in range(plan.partition_cnt):
            words, addrs = self.exchange.free(p)
            addrs[:] = plan.tx_range(p)[0] + np.arange(plan.tx_depth) * plan.frame_sz
            words[PRODUCER] = plan.tx_depth
        self.state[FILL_BASE] = plan.rx_frame_cnt
        self.state[COMP_BASE] = -plan.partition_cnt * plan.tx_depth & _LOW_32
        self.fill.words[self.fill.producer] = plan.rx_frame_cnt

    def _repair(self):
        """Finishes what a killed recycler had half done."""
        ahead = (int(self.fill.words[self.fill.producer]) - int(self.state[FILL_BASE])
                 - self._sum(self.exchange.returned, CONSUMER)) & _LOW_32
        if ahead and self.state[CURRENT]:
            words, _ = self.exchange.returned(int(self.state[CURRENT]) - 1)
            words[CONSUMER] = (int(words[CONSUMER]) + ahead) & _LOW_32
        ahead = (int(self.state[COMP_BASE]) + self._sum(self.exchange.free, PRODUCER)
                 - int(self.comp.words[self.comp.consumer])) & _LOW_32
        place = self.comp.consumer
        self.comp.words[place] = (int(self.comp.words[place]) + ahead) & _LOW_32

    def _sum(self, ring_of, word):
        return sum(int(ring_of(p)[0][word]) for p in range(self.plan.partition_cnt))

    def start(self) -> None:
        """Begins to serve, in a thread."""
        self.stop_word[0] = 0
        arguments = (self.exchange.words, self.exchange.entries, self.fill.words,
                     self.fill.entries, self.comp.words, self.comp.entries, self.state,
                     self.constants, self.stop_word)
        self.thread = threading.Thread(target=recycle, args=arguments, name="recycler",
                                       daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ends the thread; nothing when there is none."""
        if self.thread is not None:
            self.stop_word[0] = 1
            self.thread.join()
            self.thread = None

    @contextlib.contextmanager
    def paused(self):
        """Nothing is moved inside the block."""
        running = self.thread is not None
        self.stop()
        try:
            yield
        finally:
            if running:
                self.start()

    def counts(self) -> dict[str, int]:
        """Frames recycled and completed so far, refused addresses, frames on fill_ring."""
        return {name: int(self.state[word]) for name, word in (
            ("recycled", RECYCLED), ("completed", COMPLETED), ("refused", REFUSED),
            ("fill_level", FILL_LEVEL))}

    def grant(self, partition: int) -> tuple[int, int]:
        """(return_start, free_start): where the rings of a matcher about to begin stand."""
        return (int(self.exchange.returned(partition)[0][PRODUCER]),
                int(self.exchange.free(partition)[0][PRODUCER]))

    def take_back(self, partition: int, rings: DeadRings, return_start: int,
                  free_start: int) -> tuple[int, int]:
        """Everything a dead matcher held is free again: (receive frames, transmit frames withheld).

        Its slot must be empty and its socket closed. A transmit frame still inside the device is
        withheld until it completes; that is waited for up to 200 ms. Doing it twice is harmless.
        """
        time.sleep(SETTLE_S)
        return (self._take_back_received(partition, rings, return_start),
                self._take_back_sent(partition, rings, free_start))

    def _take_back_received(self, partition, rings, return_start):
        words, addrs = self.exchange.returned(partition)
        produced = int(words[PRODUCER])
        _, consumed = rings.received()
        in_hand = (consumed - (produced - return_start)) & _LOW_32
        burst = self.exchange.burst(partition)
        held = [int(each["addr"]) for each in burst[:in_hand]] if in_hand <= burst.size else []
        unread = rings.unread()
        mask, base = self.plan.fill_depth - 1, ~(self.plan.frame_sz - 1)
        if (consumed + len(unread) - (produced - return_start)) & _LOW_32 == 0:
            return 0                             # it was done before
        for i, address in enumerate([*held, *unread]):
            addrs[(produced + i) & mask] = address & base
        words[PRODUCER] = (produced + len(held) + len(unread)) & _LOW_32
        return len(held) + len(unread)

    def _take_back_sent(self, partition, rings, free_start):
        words, addrs = self.exchange.free(partition)
        first, end = self.plan.tx_range(partition)
        everything = range(first, end, self.plan.frame_sz)

        def inside():
            completed = (int(words[PRODUCER]) - free_start) & _LOW_32
            return (rings.sent() - completed) & _LOW_32

        deadline = time.monotonic() + DEVICE_PATIENCE_S
        while inside() and time.monotonic() < deadline:
            time.sleep(0.001)
        with self.paused():
            producer, mask = int(words[PRODUCER]), self.plan.tx_depth - 1
            free = set(everything)
            if inside():
                waiting = (producer - int(words[CONSUMER])) & _LOW_32
                back = {int(addrs[(producer - 1 - i) & mask]) for i in range(waiting)}
                free -= rings.last_sent() - back
            for i, address in enumerate(sorted(free)):
                addrs[(producer - len(free) + i) & mask] = address
            words[CONSUMER] = (producer - len(free)) & _LOW_32
        return len(everything) - len(free)
