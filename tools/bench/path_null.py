"""Frames in memory through the matcher's own burst loop: what a partition does when neither the
kernel nor a wire is in the way. Orders come PACK a datagram, as bench path packs them; all that
leaves is built as ever and then forgotten.
"""

import time

import numpy as np

from appliance.hot import burst, io_state, state, symbols
from appliance.hot import port_state as ps
from appliance.hot.counters import quantile
from appliance.layout import shared
from appliance.native import lib
from appliance.shm.ring import Producer
from appliance.shm.umem import make_null_port
from appliance.stages.matcher import TSC_SHIFT, Clock
from tools.bench import partitions_ends as ends
from tools.bench.path_place import BLOCK_SZ, PACK, SYMBOL

BATCH, TOKEN = 512, b"NULLPORT01"           # frames a call: one megabyte, as a ring in the cache
OFF_PORT, OFF_TOKEN, OFF_SEQ, OFF_REF, OFF_SIDE, OFF_SYMBOL = 36, 42, 52, 66, 70, 75
FOREVER, PAGE_SZ = 1 << 62, 4096


def _touched(_, dtype, count):
    """An array whose pages are there, as those of a matcher's blocks are."""
    made = np.zeros(count, dtype)
    made.view(np.uint8)[::PAGE_SZ] = 0
    return made


class NullVenue:
    """One partition in this process on a NULL port, with one account logged in."""

    def __init__(self, frame: bytes, orders: int):
        self.pack = PACK if len(frame) > 200 else 1
        chunks = 64 + orders * 120 // shared.CHUNK_SZ
        sizes = state.Sizes(symbols=1, accounts=1, pages=4096, lg_ladder=12, far_cap=64,
                            far_levels=256, chunks=chunks, feed_bytes=1 << 26,
                            feed_messages=1 << 20, journal=1 << 16, holds=16, link_depth=16)
        self.core, self.io = state.build(sizes, _touched), io_state.build_io(sizes)
        self._fill()
        self.port = make_null_port([frame] * BATCH, 1024)
        self.frames = self.port.frames[:BATCH * len(frame)].reshape(BATCH, len(frame))
        self.frames[:, OFF_TOKEN:OFF_TOKEN + 10] = np.frombuffer(TOKEN, np.uint8)
        self.frames[:, OFF_PORT:OFF_PORT + 2] = np.frombuffer(
            ends.ORDER_PORT.to_bytes(2, "big"), np.uint8)
        self.frames[:, OFF_SYMBOL:OFF_SYMBOL + 8] = np.frombuffer(SYMBOL, np.uint8)
        self.port.state[ps.RX_TOTAL] = 0
        clock = Clock(0)
        self.params = io_state.fill_params(
            self.io, our_ip=ends.HERE, order_port=ends.ORDER_PORT, feed_ip_a="239.78.0.1",
            feed_port_a=31001, feed_ip_b="239.78.0.2", feed_port_b=31001, allow_cnt=1,
            gap_hold_ns=0, idle_polls=2, run_cycles=FOREVER, tsc_mult=clock.mult,
            tsc_shift=TSC_SHIFT, heartbeat_ns=FOREVER)
        self.clock, self.next = clock, 1
        clock.set(self.params)
        burst.start_day(self.core, self.port, self.io, self.params)
        self._run()
        Producer(self.io.in_words, self.io.in_ring).push(
            kind=shared.LINK_LOGIN, account=0, requested_seq=1, token=TOKEN.decode(),
            session="001O000010", ip=io_state.ip_number(ends.THERE), udp_port=ends.SOURCE_PORT,
            mac=bytes(6))
        self._run()

    def _fill(self):
        row = self.core.book.symbols[0]
        row["name"], row["tick_size"], row["lot_size"] = np.frombuffer(SYMBOL, np.uint8), 1, 1
        row["locate"], row["state"], row["reference_ticks"] = 1, ord("T"), ends.PRICE
        row["window_ticks"] = ends.PRICE - 2048
        symbols.index_symbols(self.core.book.symbols)
        session = self.core.accounts.sessions[0]
        session["page_quota"], session["aiq_default"] = 4000, ord("N")
        session["session_name"][:10] = np.frombuffer(b"001O000010", np.uint8)
        self.core.feed.log[0]["session_name"][:10] = np.frombuffer(b"001F000000", np.uint8)
        self.core.accounts.allowed[0] = io_state.ip_number(ends.THERE)

    def _run(self):
        self.clock.set(self.params)
        burst.run(self.core, self.port, self.io, self.params)

    def _write(self):
        """The next BATCH frames: numbers and sides as flood.bpf.c writes them."""
        firsts = (self.next + self.pack * np.arange(BATCH, dtype=np.uint64))
        self.frames[:, OFF_SEQ:OFF_SEQ + 8] = firsts.astype(">u8").view(np.uint8).reshape(-1, 8)
        for i in range(self.pack):
            at, numbers = i * BLOCK_SZ, firsts + np.uint64(i)
            self.frames[:, OFF_REF + at:OFF_REF + at + 4] = numbers.astype(">u4").view(
                np.uint8).reshape(-1, 4)
            self.frames[:, OFF_SIDE + at] = np.where(numbers & np.uint64(1), ord("B"), ord("S"))
        self.next += BATCH * self.pack
        self.port.state[ps.RX_CONSUMER], self.port.state[ps.RX_TOTAL] = 0, BATCH

    def count(self, name: str) -> int:
        """One of the matcher's counters."""
        return int(self.core.counters[shared.COUNTER_INDEX[name]])


def measure(frame: bytes, orders: int) -> dict:
    """Orders a second of the loop alone, and nanoseconds inside: {"rate", "cpu_rate",
    "inside_ns"}; RuntimeError unless each order was accepted and each pair has traded."""
    venue = NullVenue(frame, orders)
    venue._write()
    venue._run()                                         # warm
    venue.io.histogram[:] = 0
    done, wall, cpu = venue.count("orders"), 0, 0
    while venue.count("orders") - done < orders:
        venue._write()
        venue.clock.set(venue.params)
        busy, begun = time.thread_time_ns(), lib.wm_monotonic_ns()
        burst.run(venue.core, venue.port, venue.io, venue.params)
        wall += lib.wm_monotonic_ns() - begun
        cpu += time.thread_time_ns() - busy
        if venue.count("rejects") or venue.count("orders") != venue.next - 1:
            raise RuntimeError(f"null port: of {venue.next - 1} orders {venue.count('orders')} "
                               f"were accepted, {venue.count('rejects')} refused")
    if venue.count("trades") != (venue.next - 1) // 2:
        raise RuntimeError(f"null port: {venue.count('trades')} trades, not a trade a pair")
    applied = venue.count("orders") - done
    return {"rate": applied * 1e9 / wall, "cpu_rate": applied * 1e9 / max(cpu, 1),
            "inside_ns": {name: quantile(venue.io.histogram, share) for name, share in
                          (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999))}}
