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
consumer: where the left side is ahead, the ring named by CURRENT has to catch up. A completion is
published on its free ring one by one and comp_ring's consumer after the batch: where the left side
is behind, it has to catch up. An entry that is refused moves the base, and then its consumer.

A matcher's death is repaired here too (`take_back`). What it had received is on its rx_ring and in
its burst. What it had to send with is its whole range, less what the device still has: the newest
of the frames taken from its tx_ring, since a queue completes in order. Those are marked withheld
until they complete, whoever has the partition by then.
"""

import contextlib
import threading
import time

import numpy as np

from appliance.hot.port_state import BURST_MAX
from appliance.shm import umem
from appliance.shm.exchange import CONSUMER, PRODUCER, DeadRings, Exchange, Plan
from appliance.shm.recycler_kernels import (
    BATCH_MAX, COMP_BASE, COMPLETED, CURRENT, FILL_BASE, GRANTED_LESS, RECYCLED, REFUSED, hand_out,
    recycle,
)

DEVICE_PATIENCE_S = 0.2
_LOW_32 = 0xFFFF_FFFF


class Recycler:
    """The rings of one shared queue, and the thread that serves them.

    fill, comp: umem.Ring of the keeper. keeper_fd: its socket, open as long as this object is used;
    -1: the rings are not a kernel's. adopt: another recycler was killed, take over from it;
    otherwise fill_ring is filled with every receive frame and each free ring with its partition's.
    RuntimeError when the exchange does not fit that: it is in use already, or spoilt.
    """

    def __init__(self, fill: umem.Ring, comp: umem.Ring, exchange: Exchange, adopt: bool = False,
                 keeper_fd: int = -1):
        self.fill, self.comp, self.exchange, self.plan = fill, comp, exchange, exchange.plan
        self.state, self.thread, self.keeper_fd = exchange.state, None, keeper_fd
        self.stop_word = np.zeros(8, np.uint64)
        self.constants = self._constants()
        self.repaired = self._repair() if adopt else self._prime()

    @classmethod
    def of(cls, keeper_fd: int, exchange_fd: int, plan: Plan, adopt: bool = False) -> "Recycler":
        """The recycler of a keeper socket and an exchange."""
        rings = umem.map_rings(keeper_fd, {"fill": plan.fill_depth, "comp": plan.comp_depth})
        return cls(rings["fill"], rings["comp"], Exchange(exchange_fd, plan), adopt, keeper_fd)

    def _constants(self):
        plan, first = self.plan, self.plan.tx_range(0)
        return np.array([
            plan.frame_sz, plan.partition_cnt, first[0], (first[1] - first[0]).bit_length() - 1,
            plan.return_off(0), plan.free_off(0), plan.withheld_off(0), plan.slice_sz,
            plan.fill_depth - 1, plan.tx_depth - 1, plan.comp_depth - 1, self.fill.producer,
            self.fill.consumer, self.fill.flags, self.comp.producer, self.comp.consumer,
            self.keeper_fd], np.int64)

    def _prime(self):
        if self.state[FILL_BASE]:
            raise RuntimeError("this exchange has been in use: adopt it with the keeper it belongs "
                               "to, or make a new one for a new keeper")
        plan, start = self.plan, int(self.fill.words[self.fill.producer])
        at = (start + np.arange(plan.rx_frame_cnt)) & (plan.fill_depth - 1)
        self.fill.entries[at] = np.arange(plan.rx_frame_cnt) * plan.frame_sz
        for p in range(plan.partition_cnt):
            words, _ = self.exchange.free(p)
            words[PRODUCER] = (int(words[PRODUCER]) + plan.tx_depth) & _LOW_32
            self._fill_free(p)
        filled = (start + plan.rx_frame_cnt) & _LOW_32
        self.state[COMP_BASE] = (int(self.comp.words[self.comp.consumer])
                                 - self._sum(self.exchange.free, PRODUCER)) & _LOW_32
        self.state[FILL_BASE] = (filled - self._sum(self.exchange.returned, CONSUMER)) & _LOW_32
        self.fill.words[self.fill.producer] = filled
        return 0, 0

    def _repair(self):
        """Finishes what a killed recycler had half done: (returned frames, completions) it was."""
        ahead = (int(self.fill.words[self.fill.producer]) - int(self.state[FILL_BASE])
                 - self._sum(self.exchange.returned, CONSUMER)) & _LOW_32
        behind = (int(self.state[COMP_BASE]) + self._sum(self.exchange.free, PRODUCER)
                  - int(self.comp.words[self.comp.consumer])) & _LOW_32
        current = int(self.state[CURRENT]) - 1
        if max(ahead, behind) > BATCH_MAX or (
                ahead and not 0 <= current < self.plan.partition_cnt):
            raise RuntimeError(f"the exchange is spoilt: {ahead} frames of return ring {current} "
                               f"and {behind} completions are half moved; open the queue anew")
        if ahead:
            words, _ = self.exchange.returned(current)
            words[CONSUMER] = (int(words[CONSUMER]) + ahead) & _LOW_32
        at = self.comp.consumer
        self.comp.words[at] = (int(self.comp.words[at]) + behind) & _LOW_32
        self._hand_out_all()                     # also a frame no longer marked, not yet published
        return ahead, behind

    def _hand_out_all(self):
        while hand_out(self.exchange.words, self.exchange.entries, self.comp.words,
                       self.comp.entries, self.state, self.constants):
            pass

    def _sum(self, ring_of, word):
        return sum(int(ring_of(p)[0][word]) for p in range(self.plan.partition_cnt))

    def start(self) -> None:
        """Begins to serve, in a thread; nothing when it does so already."""
        if self.thread is not None:
            return
        self.stop_word[0] = 0
        arguments = (self.exchange.words, self.exchange.entries, self.fill.words,
                     self.fill.entries, self.comp.words, self.comp.entries, self.state,
                     self.constants, self.stop_word)
        self.thread = threading.Thread(target=recycle, args=arguments, name="recycler",
                                       daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ends the thread, within about a millisecond; nothing when there is none."""
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
        """Frames recycled and completed so far, refused addresses, frames on fill_ring now."""
        level = (int(self.fill.words[self.fill.producer])
                 - int(self.fill.words[self.fill.consumer])) & _LOW_32
        return {"recycled": int(self.state[RECYCLED]), "completed": int(self.state[COMPLETED]),
                "refused": int(self.state[REFUSED]), "fill_level": level}

    def grant(self, partition: int) -> tuple[int, int]:
        """(return_start, free_start): where the rings of a matcher about to begin stand.

        On its free ring lie all its transmit frames but those withheld. The partition must be new
        or taken back: whoever had it may use no frame of it any more.
        """
        with self.paused():
            self._fill_free(partition)
            self.state[GRANTED_LESS + partition] = np.count_nonzero(
                self.exchange.withheld(partition))
            return (int(self.exchange.returned(partition)[0][PRODUCER]),
                    int(self.exchange.free(partition)[0][PRODUCER]))

    def take_back(self, partition: int, rings: DeadRings, return_start: int,
                  free_start: int) -> tuple[int, int]:
        """Everything a dead matcher held is free again: (receive frames, transmit frames withheld).

        Its slot must be empty; whoever had its socket has closed it. A transmit frame still inside
        the device is waited for up to 200 ms. Doing it twice is harmless, also after a kill.
        """
        rings.settle()
        zero_copy = self.keeper_fd >= 0 and umem.is_zero_copy(self.keeper_fd)
        deadline = time.monotonic() + DEVICE_PATIENCE_S
        while time.monotonic() < deadline:
            pushed, sent = rings.sent()
            unsent = zero_copy and pushed != sent    # the driver takes them without being asked
            if not unsent and not self._inside(partition, sent, free_start):
                break
            time.sleep(0.001)
        with self.paused():
            taken = self._take_received(partition, rings, return_start)
            self._hand_out_all()
            self._mark_withheld(partition, rings, free_start)
            self._fill_free(partition)
            return taken, int(np.count_nonzero(self.exchange.withheld(partition)))

    def _take_received(self, partition, rings, return_start):
        """Appends what the matcher had not returned to its return ring, published at once."""
        words, addrs = self.exchange.returned(partition)
        produced, recycled = int(words[PRODUCER]), int(words[CONSUMER])
        received, consumed = rings.received()
        sane = (produced - recycled) & _LOW_32 <= self.plan.fill_depth
        if not sane:                             # a confused one: believe what was recycled
            produced = recycled
        held_cnt = (received - (produced - return_start)) & _LOW_32
        if not 0 < held_cnt <= self.plan.rx_depth + BURST_MAX:
            held_cnt = 0                         # none, or it was done, or the starts are not its
        in_hand = held_cnt - ((received - consumed) & _LOW_32)
        if sane and 0 <= in_hand <= BURST_MAX:
            burst = self.exchange.burst(partition)[:in_hand]["addr"]
            held = [int(address) & -self.plan.frame_sz for address in burst]
            held += rings.rx_frames(consumed, received)
        else:
            held = rings.rx_frames((received - held_cnt) & _LOW_32, received)
        at = (produced + np.arange(len(held))) & (self.plan.fill_depth - 1)
        addrs[at] = held
        words[PRODUCER] = (produced + len(held)) & _LOW_32
        return len(held)

    def _inside(self, partition, sent, free_start):
        """Frames the device has of this matcher and of those before it; 0 where the rings of a
        confused one make no sense."""
        words, _ = self.exchange.free(partition)
        completed = int(words[PRODUCER]) - free_start
        inside = (sent - completed + int(self.state[GRANTED_LESS + partition])) & _LOW_32
        return inside if inside <= self.plan.tx_depth else 0

    def _mark_withheld(self, partition, rings, free_start):
        first, end = self.plan.tx_range(partition)
        marks, (_, sent) = self.exchange.withheld(partition), rings.sent()
        count = min(self._inside(partition, sent, free_start), sent)
        for frame in rings.tx_frames((sent - count) & _LOW_32, sent):
            if first <= frame < end:
                marks[(frame - first) // self.plan.frame_sz] = 1

    def _fill_free(self, partition):
        """The free ring holds all transmit frames that are not withheld, and nothing else."""
        words, addrs = self.exchange.free(partition)
        free = np.flatnonzero(self.exchange.withheld(partition) == 0)
        producer = int(words[PRODUCER])
        at = (producer - free.size + np.arange(free.size)) & (self.plan.tx_depth - 1)
        addrs[at] = self.plan.tx_range(partition)[0] + free * self.plan.frame_sz
        words[CONSUMER] = (producer - free.size) & _LOW_32
