"""A shared queue in memory: the kernel's rings, an exchange, and compiled traffic through them.

The memory is shared with forked processes, so any of them can be killed while frames go round.
"""

import os
import time

import numpy as np
from numba import njit

from appliance.hot.fence import load_acquire_u32, store_release_u32
from appliance.hot.port import rx_burst, rx_release, tx_alloc, tx_kick, tx_push
from appliance.shm import exchange, recycler, umem
from appliance.shm.exchange import CONSUMER, PRODUCER, DeadRings, Plan

LOW_32 = 0xFFFF_FFFF
PLAN = Plan(2048, 3, 64, 64)


def until(condition, seconds=30):
    """Waits for a condition; its last answer."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def shared_array(size):
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    memory = umem.map_umem(fd)
    os.close(fd)
    return memory


def shared_ring(depth, start, entry_words=1):
    """A ring in the kernel's form, empty, its indices at `start`."""
    memory = shared_array(4096 + 8 * entry_words * depth)
    ring = umem.Ring(memory[:4096].view(np.uint32), memory[4096:].view(np.uint64), 0, 16, 32)
    ring.words[[ring.producer, ring.consumer]] = start
    return ring


def take(words, producer, consumer, addrs, depth, most):
    at = int(words[consumer])
    count = min((int(words[producer]) - at) & LOW_32, most)
    taken = [int(addrs[(at + i) & (depth - 1)]) for i in range(count)]
    words[consumer] = (at + count) & LOW_32
    return taken


def put(words, producer, addrs, depth, frames):
    at = int(words[producer])
    for i, frame in enumerate(frames):
        addrs[(at + i) & (depth - 1)] = frame
    words[producer] = (at + len(frames)) & LOW_32


class MemoryRings(DeadRings):
    """rx_ring and tx_ring of a socket that no kernel knows."""

    def __init__(self, plan, start=0):
        self.plan = plan
        self.rx = shared_ring(plan.rx_depth, start, 2)
        self.tx = shared_ring(plan.tx_depth, start, 2)

    def settle(self):
        """The test is the kernel: nothing is on its way."""


class Bench:
    """The queue; the test plays kernel and matchers."""

    def __init__(self, plan=PLAN, start=0):
        self.plan = plan
        self.fill = shared_ring(plan.fill_depth, start)
        self.comp = shared_ring(plan.comp_depth, start)
        fd = exchange.create(plan)
        self.exchange = exchange.Exchange(fd, plan)
        os.close(fd)
        for p in range(plan.partition_cnt):
            for words in (self.exchange.returned(p)[0], self.exchange.free(p)[0]):
                words[[PRODUCER, CONSUMER]] = start

    def recycler(self, adopt=False):
        return recycler.Recycler(self.fill, self.comp, self.exchange, adopt)

    def take_filled(self, most=1 << 30):
        """The kernel takes frames from fill_ring."""
        return take(self.fill.words, self.fill.producer, self.fill.consumer, self.fill.entries,
                    self.plan.fill_depth, most)

    def take_free(self, partition, most=1 << 30):
        words, addrs = self.exchange.free(partition)
        return take(words, PRODUCER, CONSUMER, addrs, self.plan.tx_depth, most)

    def give_back(self, partition, frames):
        words, addrs = self.exchange.returned(partition)
        put(words, PRODUCER, addrs, self.plan.fill_depth, frames)

    def complete(self, frames):
        put(self.comp.words, self.comp.producer, self.comp.entries, self.plan.comp_depth, frames)

    def receive(self, rings, count):
        """The kernel puts up to `count` packets on an rx_ring; how many."""
        producer, consumer = rings.received()
        frames = self.take_filled(min(count, self.plan.rx_depth - (producer - consumer) % 2**32))
        for i, frame in enumerate(frames):
            slot = (producer + i) & (self.plan.rx_depth - 1)
            rings.rx.entries[2 * slot:2 * slot + 2] = (frame + 256, 64)
        rings.rx.words[rings.rx.producer] = (producer + len(frames)) & LOW_32
        return len(frames)

    def send_from(self, rings, most=1 << 30):
        """The kernel takes frames from a tx_ring into the device; the frames."""
        producer, consumer = rings.sent()
        count = min((producer - consumer) & LOW_32, most)
        frames = rings.tx_frames(consumer, (consumer + count) & LOW_32)
        rings.tx.words[rings.tx.consumer] = (consumer + count) & LOW_32
        return frames

    def settle(self, made):
        """Runs a recycler until the rings towards it are empty."""
        made.start()
        assert until(lambda: all(
            words[PRODUCER] == words[CONSUMER] for words in (
                self.exchange.returned(p)[0] for p in range(self.plan.partition_cnt))))
        assert until(lambda: self.comp.words[0] == self.comp.words[16])
        made.stop()

    def check(self, in_use=(), sending=()):
        """Empties the rings: with `in_use` and `sending` every frame was in exactly one place."""
        receive = range(0, self.plan.rx_frame_cnt * self.plan.frame_sz, self.plan.frame_sz)
        assert sorted([*in_use, *self.take_filled()]) == [*receive]
        for p in range(self.plan.partition_cnt):
            first, end = self.plan.tx_range(p)
            mine = [frame for frame in sending if first <= frame < end]
            assert sorted(mine + self.take_free(p)) == [*range(first, end, self.plan.frame_sz)]


@njit(nogil=True)
def traffic(words, entries, fill, fill_addrs, comp, comp_addrs, rings, tx_mask, hands, counts,
            stop):
    """Kernel and matchers at full speed until stop[0]: whatever comes is passed on.

    rings: int64[partition, 2], u32 positions of return and free ring in `words`; hands: the frames
    held, row 0 to receive, row 1 + p to send; counts: how many in each row.
    """
    low, seed = np.int64(0xFFFF_FFFF), np.int64(counts[-1])
    fill_mask, comp_mask = fill_addrs.size - 1, comp_addrs.size - 1
    rounds = 0
    while load_acquire_u32(stop, 0) == 0:
        seed = (seed * 1103515245 + 12345) & low
        at = np.int64(fill[16])
        ready = min((np.int64(load_acquire_u32(fill, 0)) - at) & low, (seed >> 8) % 64)
        for i in range(ready):
            hands[0, counts[0] + i] = fill_addrs[(at + i) & fill_mask]
        store_release_u32(fill, 16, np.uint32((at + ready) & low))
        counts[0] += ready
        for p in range(rings.shape[0]):
            base = rings[p, 0]
            addrs, at = base // 2 + 24, np.int64(words[base])
            given = min(counts[0], (seed >> (9 + p)) % 48)
            for i in range(given):
                counts[0] -= 1
                entries[addrs + ((at + i) & fill_mask)] = hands[0, counts[0]]
            store_release_u32(words, base, np.uint32((at + given) & low))
            base = rings[p, 1]
            addrs, at = base // 2 + 24, np.int64(words[base + 16])
            ready = min((np.int64(load_acquire_u32(words, base)) - at) & low, (seed >> p) % 64)
            for i in range(ready):
                hands[1 + p, counts[1 + p] + i] = entries[addrs + ((at + i) & tx_mask)]
            store_release_u32(words, base + 16, np.uint32((at + ready) & low))
            counts[1 + p] += ready
            at, done = np.int64(comp[0]), min(counts[1 + p], (seed >> (5 + p)) % 48)
            for i in range(done):
                counts[1 + p] -= 1
                comp_addrs[(at + i) & comp_mask] = hands[1 + p, counts[1 + p]]
            store_release_u32(comp, 0, np.uint32((at + done) & low))
        rounds += 1
    counts[-1] = seed
    return rounds


@njit(nogil=True)
def echo(port, count, stop_at):
    """A matcher: every packet goes out again, as long as there is a frame to send it with; ends
    after `count` packets, or with the burst in hand that goes beyond stop_at."""
    done = 0
    while done < count:
        got = rx_burst(port, 64)
        if done + got > stop_at:
            return done
        for i in range(got):
            off = tx_alloc(port)
            if off >= 0:
                start, sz = np.int64(port.rx_desc[i]["addr"]), np.int64(port.rx_desc[i]["len"])
                for k in range(sz):
                    port.frames[off + k] = port.frames[start + k]
                tx_push(port, off, sz)
        done += got
        if got:
            rx_release(port, got)
            tx_kick(port)
    return done
