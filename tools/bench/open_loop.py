"""A sender that never waits for answers: orders leave when they are due, by an AF_XDP socket of the
peer, and each answer's time counts from when its order was due. So what an answer that comes late
holds up is in the figures too.

    loop = OpenLoop(ground)               the peer's frames now come to its socket
    loop.send(rate, seconds, token, first, echo=False) -> Outcome
"""

import os
import struct
import time
from typing import NamedTuple

import numpy as np
from numba import njit

from appliance.hot.endian import (
    copy_bytes, load_be16, load_be32, load_be64, store_be32, store_be64,
)
from appliance.hot.port import rx_burst, rx_release, tx_alloc, tx_kick, tx_push
from appliance.hot.tsc import read_tsc
from appliance.native import lib
from appliance.shm import steer, umem
from tools.bench import partitions_ends as ends
from tools.bench import path_place

OFF_SOURCE_PORT, OFF_TARGET_PORT, OFF_MOLD = 34, 36, 42
OFF_SEQ, OFF_COUNT, OFF_BLOCKS, OFF_REF, OFF_SIDE = 52, 60, 62, 66, 70
SENT, ACCEPTED, REJECTED, TX_FULL = range(4)
BURST, PATIENCE_S, CALIBRATION_S = 32, 2.0, 0.05
PERCENTILES = {"p50": 50, "p99": 99, "p99_9": 99.9}
_S, _A, _J = ord("S"), ord("A"), ord("J")


@njit(cache=True)
def _hear(port, count, first, back, now, counts, echo, order_port):
    """Answers among the frames just received; each order's first one is its answer."""
    frames = port.frames
    for i in range(count):
        off, sz = np.int64(port.rx_desc[i]["addr"]), np.int64(port.rx_desc[i]["len"])
        if sz < OFF_BLOCKS:
            continue
        if echo:
            number = np.int64(load_be64(frames, off + OFF_SEQ)) - first
            if 0 <= number < back.size and back[number] == 0:
                back[number] = now
                counts[ACCEPTED] += 1
            continue
        if np.int64(load_be16(frames, off + OFF_SOURCE_PORT)) != order_port \
                or frames[off] & np.uint8(1):
            continue
        at, end = off + OFF_BLOCKS, off + sz
        for _ in range(np.int64(load_be16(frames, off + OFF_COUNT))):
            if at + 2 > end:
                break
            block = np.int64(load_be16(frames, at))
            if block >= 15 and at + 2 + block <= end and np.int64(frames[at + 2]) == _S:
                letter = np.int64(frames[at + 3])
                number = np.int64(load_be32(frames, at + 12)) - first
                if (letter == _A or letter == _J) and 0 <= number < back.size \
                        and back[number] == 0:
                    back[number] = now
                    counts[ACCEPTED if letter == _A else REJECTED] += 1
            at += 2 + block


@njit(cache=True)
def drive(port, template, due, back, counts, first, echo, order_port, patience):
    """Sends order i at due[i] cycles from now on; back[i] is when its answer came, from the same
    zero, 0 never. Returns when all are answered or `patience` cycles after the last was due."""
    start, at, total = read_tsc(), np.int64(0), due.size
    while True:
        now = read_tsc() - start
        pushed = 0
        while at < total and due[at] <= now and pushed < BURST:
            off = tx_alloc(port)
            if off < 0:
                counts[TX_FULL] += 1
                break
            copy_bytes(port.frames, off, template, np.int64(0), np.int64(template.size))
            number = np.uint64(first + at)
            store_be64(port.frames, off + OFF_SEQ, number)
            store_be32(port.frames, off + OFF_REF, number)
            port.frames[off + OFF_SIDE] = np.uint8(66) if number & np.uint64(1) else np.uint8(83)
            tx_push(port, off, np.int64(template.size))
            at += 1
            pushed += 1
        if pushed or counts[TX_FULL]:
            tx_kick(port)
        count = rx_burst(port, 64)
        if count:
            _hear(port, count, first, back, read_tsc() - start, counts, echo, order_port)
            rx_release(port, count)
        counts[SENT] = at
        answered = counts[ACCEPTED] + counts[REJECTED]
        if at == total and (answered == total or now > due[total - 1] + np.uint64(patience)):
            return


class Outcome(NamedTuple):
    """What became of the orders. us: from due to answered, of those that were answered."""

    sent: int
    accepted: int
    rejected: int
    seconds: float               # from the first due to the last answer
    us: np.ndarray

    @property
    def unanswered(self) -> int:
        """Orders without an answer."""
        return self.sent - self.accepted - self.rejected

    def percentiles(self) -> dict[str, float]:
        """p50, p99, p99_9 in microseconds; unanswered orders count as the longest."""
        if not self.us.size:
            return dict.fromkeys(PERCENTILES, float("inf"))
        values = np.sort(np.concatenate([self.us, np.full(self.unanswered, np.inf)]))
        return {name: float(values[min(values.size - 1, int(values.size * share / 100))])
                for name, share in PERCENTILES.items()}


def together(outcomes) -> Outcome:
    """Several runs as one."""
    sums = [sum(each[i] for each in outcomes) for i in range(4)]
    return Outcome(*sums, np.concatenate([each.us for each in outcomes]))


class OpenLoop:
    """The sender's socket on the peer's end; a context manager."""

    def __init__(self, ground):
        self.ground = ground
        self.geometry = umem.Geometry(2048, 16384, 4096)
        self.umem_fd = umem.create_umem(self.geometry)
        self.memory = umem.map_umem(self.umem_fd)
        with ground.far.entered():
            self.fd = umem.open_xsk(self.memory, self.geometry)
            self.port = umem.make_xsk_port(self.fd, self.memory, self.geometry)
            umem.bind_xsk(self.fd, ground.far_ifindex, 0, patience_s=PATIENCE_S)
        steer.map_set(ground.far_maps["sockets"], bytes(4), struct.pack("=I", self.fd))
        tsc, mono = lib.wm_tsc(), lib.wm_monotonic_ns()
        time.sleep(CALIBRATION_S)
        self.cycles_a_ns = (lib.wm_tsc() - tsc) / (lib.wm_monotonic_ns() - mono)

    def __enter__(self):
        self.ground.peer_does("bare")
        return self

    def __exit__(self, *problem):
        self.ground.peer_does("drop")
        os.close(self.fd)
        os.close(self.umem_fd)

    def send(self, rate: float, count: int, token: str, first: int, echo: bool) -> Outcome:
        """`count` orders, one every 1/rate seconds, numbered from `first` on."""
        template = np.frombuffer(self.ground.single, np.uint8).copy()
        template[OFF_MOLD:OFF_MOLD + 10] = np.frombuffer(token.encode(), np.uint8)
        template[75:83] = np.frombuffer(path_place.SYMBOL, np.uint8)
        template[OFF_TARGET_PORT:OFF_TARGET_PORT + 2] = np.frombuffer(
            struct.pack("!H", ends.ORDER_PORT), np.uint8)
        gap = self.cycles_a_ns * 1e9 / rate
        due = (np.arange(1, count + 1) * gap).astype(np.uint64)
        back, counts = np.zeros(count, np.uint64), np.zeros(4, np.int64)
        patience = int(PATIENCE_S * 1e9 * self.cycles_a_ns)
        with path_place.away_from_the_matcher():
            drive(self.port, template, due, back, counts, first, echo, ends.ORDER_PORT, patience)
        took = back.astype(np.float64)[back > 0] - due.astype(np.float64)[back > 0]
        span = (float(back.max()) - float(due[0])) if took.size else 0.0
        return Outcome(int(counts[SENT]), int(counts[ACCEPTED]), int(counts[REJECTED]),
                       span / self.cycles_a_ns / 1e9, took / self.cycles_a_ns / 1e3)
