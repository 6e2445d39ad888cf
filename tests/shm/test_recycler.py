"""The recycler: frames are conserved, whoever is killed, in memory and over real AF_XDP sockets."""

import os
import random
import signal
import time

import numpy as np
import pytest
from numba import njit

from appliance.hot.port import rx_burst, rx_release, tx_alloc, tx_kick, tx_push
from appliance.hot.port_state import BURST_MAX, RX_DESC
from appliance.shm import exchange, recycler, steer, umem
from appliance.shm.exchange import CONSUMER, PRODUCER, Plan
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tools.bench.tracer_path import udp_packet

LOW_32 = 0xFFFF_FFFF
PLAN = Plan(2048, 3, 64, 64)


def shared_ring(depth):
    """A ring as the kernel makes them, in memory that forked processes share."""
    fd = os.memfd_create("ring")
    size = 4096 + 8 * depth
    os.ftruncate(fd, size)
    memory = umem.map_umem(fd)
    os.close(fd)
    return umem.Ring(memory[:4096].view(np.uint32), memory[4096:].view(np.uint64), 0, 16, 32)


class Bench:
    """The kernel's two rings and an exchange in memory; the test plays kernel and matchers."""

    def __init__(self, plan=PLAN):
        self.plan = plan
        self.fill, self.comp = shared_ring(plan.fill_depth), shared_ring(plan.comp_depth)
        fd = exchange.create(plan)
        self.exchange = exchange.Exchange(fd, plan)
        os.close(fd)

    def recycler(self, adopt=False):
        return recycler.Recycler(self.fill, self.comp, self.exchange, adopt)

    def take_filled(self, most):
        """The kernel takes frames from fill_ring."""
        return self._take(self.fill.words, self.fill.producer, self.fill.consumer,
                          self.fill.entries, self.plan.fill_depth, most)

    def take_free(self, partition, most):
        words, addrs = self.exchange.free(partition)
        return self._take(words, PRODUCER, CONSUMER, addrs, self.plan.tx_depth, most)

    @staticmethod
    def _take(words, producer, consumer, addrs, depth, most):
        at = int(words[consumer])
        count = min((int(words[producer]) - at) & LOW_32, most)
        taken = [int(addrs[(at + i) & (depth - 1)]) for i in range(count)]
        words[consumer] = (at + count) & LOW_32
        return taken

    def give_back(self, partition, frames):
        words, addrs = self.exchange.returned(partition)
        self._put(words, PRODUCER, addrs, self.plan.fill_depth, frames)

    def complete(self, frames):
        self._put(self.comp.words, self.comp.producer, self.comp.entries, self.plan.comp_depth,
                  frames)

    @staticmethod
    def _put(words, producer, addrs, depth, frames):
        at = int(words[producer])
        for i, frame in enumerate(frames):
            addrs[(at + i) & (depth - 1)] = frame
        words[producer] = (at + len(frames)) & LOW_32


def everything(plan):
    receive = {i * plan.frame_sz for i in range(plan.rx_frame_cnt)}
    transmit = {p: set(range(*plan.tx_range(p), plan.frame_sz)) for p in range(plan.partition_cnt)}
    return receive, transmit


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def test_at_first_every_frame_lies_where_it_begins():
    bench = Bench()
    bench.recycler()
    receive, transmit = everything(PLAN)
    assert set(bench.take_filled(10_000)) == receive
    for p in range(3):
        assert set(bench.take_free(p, 10_000)) == transmit[p]


def test_bad_addresses_are_dropped_and_counted_and_stop_nobody():
    bench = Bench()
    made = bench.recycler()
    frames = bench.take_filled(8)
    first_tx = PLAN.tx_range(0)[0]
    bench.give_back(0, [frames[0], 1, first_tx, LOW_32 << 20, frames[1]])
    bench.give_back(1, frames[2:])
    bench.exchange.returned(2)[0][PRODUCER] = 1 << 30
    bench.complete([frames[0], first_tx, 1 << 60])
    bench.take_free(0, 1)
    made.start()
    level = PLAN.rx_frame_cnt
    assert until(lambda: made.counts()["fill_level"] == level), made.counts()
    made.stop()
    assert made.counts()["recycled"] == 8 and made.counts()["refused"] >= 6
    assert len(bench.take_free(0, 1000)) == PLAN.tx_depth
    assert sorted(bench.take_filled(10_000)) == sorted(everything(PLAN)[0])


@pytest.mark.parametrize("seed", range(3))
def test_a_recycler_killed_anywhere_leaves_nothing_lost_and_nothing_twice(seed):
    """A forked recycler dies by SIGKILL again and again while frames go round."""
    draw, bench = random.Random(seed), Bench()
    bench.recycler()
    in_use, sending = [], {p: [] for p in range(3)}
    for turn in range(25):
        pid = os.fork()
        if pid == 0:
            made = bench.recycler(adopt=True)
            made.start()
            while True:
                time.sleep(1)
        until_s = time.monotonic() + draw.uniform(0.0, 0.03)
        while time.monotonic() < until_s:
            in_use += bench.take_filled(draw.randrange(40))
            draw.shuffle(in_use)
            for p in range(3):
                count = draw.randrange(1 + len(in_use))
                bench.give_back(p, in_use[:count])
                in_use = in_use[count:]
                sending[p] += bench.take_free(p, draw.randrange(40))
            done = [sending[p].pop() for p in range(3) for _ in range(draw.randrange(30))
                    if sending[p]]
            bench.complete(done)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    made = bench.recycler(adopt=True)
    made.start()
    receive, transmit = everything(PLAN)
    assert until(lambda: made.counts()["fill_level"] == len(receive) - len(in_use))
    assert until(lambda: int(bench.comp.words[0]) == int(bench.comp.words[16]))
    made.stop()
    assert sorted(in_use + bench.take_filled(10_000)) == sorted(receive)
    for p in range(3):
        assert sorted(sending[p] + bench.take_free(p, 10_000)) == sorted(transmit[p])


@njit
def echo(port, count, hold):
    """Takes bursts and sends each packet back, until `count` packets; with hold the last burst is
    kept in hand for ever."""
    done = 0
    while done < count:
        got = rx_burst(port, 64)
        for i in range(got):
            off = tx_alloc(port)
            if off >= 0:
                start, sz = np.int64(port.rx_desc[i]["addr"]), np.int64(port.rx_desc[i]["len"])
                for k in range(sz):
                    port.frames[off + k] = port.frames[start + k]
                tx_push(port, off, sz)
        done += got
        if got and (not hold or done < count):
            rx_release(port, got)
            tx_kick(port)
    return done


class Shared:
    """A real queue with `partition_cnt` sockets behind steer, and a sender at the far end."""

    HERE, THERE, PORT = "10.79.0.1", "10.79.0.2", 9000

    def __init__(self, partition_cnt, depth=256):
        self.plan = Plan(2048, partition_cnt, depth, depth)
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", self.HERE, self.far, "wm1", self.THERE)
        self.ifindex = self.near.ifindex("wm0")
        self.umem_fd = umem.create_umem(self.plan)
        self.memory = umem.map_umem(self.umem_fd)
        self.exchange_fd = exchange.create(self.plan)
        with self.near.entered():
            self.steering = steer.Steering()
            self.keeper = exchange.open_keeper(self.memory, self.plan)
            self.recycler = recycler.Recycler.of(self.keeper, self.exchange_fd, self.plan)
            umem.bind_xsk(self.keeper, self.ifindex, 0)
            self.link = self.steering.attach(self.ifindex)
        self.steering.allow(self.THERE)
        for p in range(partition_cnt):
            self.steering.set_address(self.HERE, self.PORT + p, p)
        passing = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.peer_program = passing.program("drop")
        passing.close()
        with self.far.entered():
            self.peer = steer.attach(self.peer_program, self.far.ifindex("wm1"))
        self.recycler.start()
        self.sockets = {}

    def open(self, partition):
        """A new socket for the partition, bound and in its slot: (port, rings, starts)."""
        starts = self.recycler.grant(partition)
        with self.near.entered():
            fd = exchange.open_sharer(self.plan)
            port = exchange.make_shared_port(fd, self.memory, self.exchange_fd, self.plan,
                                             partition)
            umem.bind_xsk(fd, self.ifindex, 0, shared_with=self.keeper)
        self.steering.bind(partition, fd, self.ifindex, 0)
        self.sockets[partition] = fd
        return port, exchange.DeadRings(fd, self.plan), starts

    def lose(self, partition, rings, starts):
        """The partition's matcher is dead."""
        self.steering.unbind(partition)
        os.close(self.sockets.pop(partition))
        return self.recycler.take_back(partition, rings, *starts)

    def send(self, partition, count):
        import socket
        packet = udp_packet((self.THERE, 5000), (self.HERE, self.PORT + partition), bytes(64))
        with self.far.entered():
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            raw.bind(("wm1", 0))
        with raw:
            for _ in range(count):
                raw.send(packet)

    def close(self):
        self.recycler.stop()
        for fd in (*self.sockets.values(), self.keeper, self.exchange_fd, self.umem_fd, self.link,
                   self.peer, self.peer_program):
            os.close(fd)
        self.steering.close()
        self.near.close()
        self.far.close()


@needs_namespaces
@needs_bpf
@pytest.mark.parametrize("partition_cnt", [2, 4])
def test_killed_consumers_leak_no_frame_and_hinder_nobody(partition_cnt):
    place = Shared(partition_cnt)
    try:
        echo(place.open(partition_cnt - 1)[0], 0, False)              # compiled before the forks
        kept = {p: place.open(p)[0] for p in range(1, partition_cnt)}
        plan = place.plan
        for turn in range(12):
            port, rings, starts = place.open(0)
            pid = os.fork()
            if pid == 0:
                echo(port, 150 + turn, turn % 2 == 0)                 # even turns die holding some
                while True:
                    time.sleep(1)
            place.send(0, 150 + turn + 40)
            wanted = (150 + turn) // 64 * 64
            assert until(lambda rings=rings, wanted=wanted: rings.received()[1] >= wanted)
            time.sleep(0.01)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            taken, withheld = place.lose(0, rings, starts)
            assert withheld == 0 and taken >= 0
            for p, other in kept.items():
                place.send(p, 100)
                assert echo(other, 100, False) == 100
            assert until(lambda: place.recycler.counts()["fill_level"] == plan.rx_frame_cnt), (
                turn, place.recycler.counts())
        port, _, _ = place.open(0)
        place.send(0, 600 // 4)
        assert echo(port, 150, False) == 150
        assert place.recycler.counts()["refused"] == 0
    finally:
        place.close()


def test_what_a_killed_matcher_had_in_hand_is_taken_back_once():
    bench = Bench()
    made = bench.recycler()
    rings = type("Rings", (), {})()
    frames = bench.take_filled(10)
    starts = made.grant(1)
    burst = np.zeros(BURST_MAX, RX_DESC)
    burst["addr"][:4] = [frame + 256 for frame in frames[:4]]
    bench.exchange.burst(1)[:] = burst
    rings.received = lambda: (10, 4)
    rings.unread = lambda: [frame + 256 for frame in frames[4:]]
    rings.sent = lambda: 0
    rings.last_sent = set
    bench.take_free(1, 20)
    assert made.take_back(1, rings, *starts) == (10, 0)
    assert made.take_back(1, rings, *starts) == (0, 0)
    made.start()
    assert until(lambda: made.counts()["recycled"] == 10)
    made.stop()
    assert sorted(bench.take_filled(10_000)) == sorted(everything(PLAN)[0])
    assert set(bench.take_free(1, 1000)) == everything(PLAN)[1][1]
