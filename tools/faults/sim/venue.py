"""matcher@p in the simulator: the real loop on a NULL port, a pass at a time, with the given clock.

    venue = Venue(core, memory, topology, partition, level, timeline)
    venue.frames.append(raw)
    for raw in venue.run(): ...          what left

The memory outlives it, as shared memory does.
"""

from collections import deque

import numpy as np

from appliance.hot import burst, io_state
from appliance.hot import port_state as ps
from appliance.layout import shared
from appliance.shm.ring import Consumer, Producer
from appliance.shm.umem import make_null_port, take_captured

from .frames import OUR_MAC

FRAMES, SLOT_SZ, TX_FRAMES = 64, 2048, 256
ANSWERED = [shared.COUNTER_INDEX[name] for name, _ in shared.DISPOSITIONS]
TAKEN = shared.COUNTER_INDEX["rx_frames"]


class Memory:
    """The partition's shared blocks: attached by name, gone with the machine's power."""

    def __init__(self):
        self.arrays = {}

    def make(self, name, dtype, count):
        """As `make` of hot/state.py: the array of a block, zero when it is new."""
        found = self.arrays.get(name)
        if found is None:
            found = self.arrays[name] = np.zeros(count, dtype)
        return found

    def attach(self, block, write=False, instance=None):
        """As shm/region.py has it."""
        return self.make(block.name, block.dtype, block.count)


class Venue:
    """One matcher's life."""

    def __init__(self, core, memory, topology, partition, level, timeline):
        self.core, self.timeline, self.frames = core, timeline, deque()
        config = topology.config
        allowed = sorted(topology.allowed_sources)
        core.accounts.allowed[:len(allowed)] = allowed
        self.io = io_state.build_io(partition.sizes, memory.make)
        self.io.words[io_state.LEVEL] = level
        self.port = make_null_port([bytes(SLOT_SZ)] * FRAMES, TX_FRAMES, TX_FRAMES)
        self.params = io_state.fill_params(
            self.io, our_ip=config.interface.ip, order_port=partition.order_port, mac=OUR_MAC,
            feed_ip_a=partition.group_a, feed_port_a=partition.feed_port,
            feed_ip_b=partition.group_b, feed_port_b=partition.feed_port,
            allow_cnt=len(allowed), idle_polls=2, run_cycles=1 << 62)
        self.up = Consumer(self.io.out_words, self.io.out_ring)
        self.down = Producer(self.io.in_words, self.io.in_ring)
        core.accounts.sessions["heard_ns"] = timeline.now_ns
        self.given, self.taken_before = 0, int(core.counters[TAKEN])
        self.answered_before = int(core.counters[ANSWERED].sum())

    def start_day(self) -> None:
        """DAY_START, unless the day has begun."""
        if self.core.journal.header[0]["next_seq"] == 1:
            burst.start_day(self.core, self.port, self.io, self.params)

    def run(self) -> list:
        """One call of the loop; the frames that left."""
        port, params, now_ns = self.port, self.params[0], self.timeline.now_ns
        count = min(FRAMES, len(self.frames))
        for i in range(count):
            data = self.frames.popleft()
            off = i * SLOT_SZ
            port.frames[off:off + len(data)] = np.frombuffer(data, np.uint8)
            port.rx_descs[2 * i], port.rx_descs[2 * i + 1] = off, len(data)
        port.state[ps.RX_CONSUMER], port.state[ps.RX_TOTAL] = 0, count
        params["base_ns"] = params["mono_base_ns"] = now_ns
        burst.run(self.core, port, self.io, self.params)
        left = count - int(port.state[ps.RX_CONSUMER])
        self.given += count - left
        for i in range(count - left, count):          # the journal's ring had no room
            off, size = int(port.rx_descs[2 * i]), int(port.rx_descs[2 * i + 1])
            self.frames.append(port.frames[off:off + size].tobytes())
        return take_captured(port)

    @property
    def waits_for_gap(self) -> bool:
        """Whether a hole in what a participant sent is open."""
        return self.io.words[io_state.GAP_CNT] != 0

    def unaccounted(self) -> str:
        """What is wrong with the counters of received frames, "" when each has its one."""
        taken = int(self.core.counters[TAKEN]) - self.taken_before
        answered = int(self.core.counters[ANSWERED].sum()) - self.answered_before
        if not taken == answered == self.given:
            return f"{self.given} frames were given, {taken} taken, {answered} have an outcome"
        return ""
