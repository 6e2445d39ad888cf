"""The shared queue: its plan, and real AF_XDP sockets on one queue of a veth pair."""

import os
import random
import signal
import socket
import time

import numpy as np
import pytest
from numba import njit

from appliance.hot import port_state as ps
from appliance.hot.port import tx_alloc, tx_free, tx_kick, tx_push
from appliance.shm import exchange, recycler, steer, umem
from appliance.shm.exchange import Plan
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tests.shm.recycler_kit import LOW_32, echo, until
from tools.bench.tracer_path import udp_packet

pytestmark = pytest.mark.alone

HERE, THERE, PORT = "10.79.0.1", "10.79.0.2", 9000
ROUNDS, PACKETS = 10, 300
VETH_TAKES = 64               # packets in a row; its queue is 256 long, and a busy machine is slow


@pytest.mark.parametrize("plan", [Plan(), Plan(2048, 1, 64, 64), Plan(4096, 3, 128, 64),
                                  Plan(2048, 32, 4096, 1024)])
def test_no_two_parts_overlap_and_every_ring_holds_all_its_frames(plan):
    ranges = [(0, plan.frame_sz * plan.rx_frame_cnt)]
    ranges += [plan.tx_range(p) for p in range(plan.partition_cnt)]
    assert all(a[1] == b[0] for a, b in zip(ranges, ranges[1:], strict=False))
    assert ranges[-1][1] == plan.umem_sz
    assert plan.fill_depth >= plan.rx_frame_cnt > plan.partition_cnt * plan.rx_depth
    assert plan.comp_depth >= plan.partition_cnt * plan.tx_depth
    fd = exchange.create(plan)
    shared, marks = exchange.Exchange(fd, plan), 0
    os.close(fd)
    for p in range(plan.partition_cnt):
        for ring in (shared.returned(p), shared.free(p)):
            ring[0][:] += 1
            ring[1][:] += 1
            marks += 48 * 4 + 8 * ring[1].size
        shared.burst(p).view(np.uint8)[:] += 1
        shared.withheld(p)[:] += 1
        marks += 1024 + 4 * plan.tx_depth
    touched = np.count_nonzero(shared.words)
    assert touched <= marks // 4 and shared.words.max() == 0x01010101
    assert not shared.state.any()
    assert Plan(*list(plan)) == plan


@pytest.mark.parametrize(("field", "value"), [
    ("frame_sz", 1024), ("partition_cnt", 0), ("partition_cnt", 65), ("rx_depth", 100),
    ("tx_depth", 32)])
def test_a_plan_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=f"= {value}: choose"):
        exchange.create(Plan()._replace(**{field: value}))


@njit
def send_all(port, sz):
    """Every free transmit frame leaves, filled like the first receive frame; how many."""
    count = tx_free(port)
    for _ in range(count):
        off = tx_alloc(port)
        for k in range(sz):
            port.frames[off + k] = k & 0x7E
        tx_push(port, off, sz)
    for _ in range(1000):
        if tx_kick(port) == 0:
            break
    return count


class Queue:
    """A real queue with sockets of several partitions behind steer, and a sender at the far end."""

    def __init__(self, partition_cnt, mode=steer.NATIVE, depth=512):
        self.plan = Plan(2048, partition_cnt, depth, depth)
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", HERE, self.far, "wm1", THERE)
        self.ifindex = self.near.ifindex("wm0")
        self.umem_fd = umem.create_umem(self.plan)
        self.memory = umem.map_umem(self.umem_fd)
        self.exchange_fd = exchange.create(self.plan)
        self.steering = steer.Steering()
        with self.near.entered():
            self.keeper = exchange.open_keeper(self.memory, self.plan)
            self.recycler = recycler.Recycler.of(self.keeper, self.exchange_fd, self.plan)
            umem.bind_xsk(self.keeper, self.ifindex, 0)
            self.link = self.steering.attach(self.ifindex, mode)
        self.steering.allow(THERE)
        for p in range(partition_cnt):
            self.steering.set_address(HERE, PORT + p, p)
        counting = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.drop, self.seen = counting.program("drop"), counting.map("seen")
        counting.close()
        with self.far.entered():
            self.peer = steer.attach(self.drop, self.far.ifindex("wm1"), mode)
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.raw.bind(("wm1", 0))
        self.packets = [udp_packet((THERE, 5000), (HERE, PORT + p), bytes(64))
                        for p in range(partition_cnt)]
        self.sockets, self.rings = {}, {}

    def send(self, partition, count):
        """Packets for a partition; each few are waited for: veth drops what it cannot hold.

        Nor more than fill_ring has frames for: whoever recycles must have given them back.
        """
        rings, sent = self.rings[partition], 0
        while sent < count:
            few = min(VETH_TAKES, count - sent)
            assert until(lambda few=few: self.recycler.counts()["fill_level"] >= few), sent
            before = rings.received()[0]
            for _ in range(few):
                self.raw.send(self.packets[partition])
            assert until(lambda before=before, few=few:
                         (rings.received()[0] - before) & LOW_32 == few), (partition, sent)
            sent += few

    def adopt(self):
        """A recycler beside those that were, or instead of one that died."""
        self.recycler = recycler.Recycler.of(self.keeper, self.exchange_fd, self.plan, adopt=True)
        return self.recycler

    def open(self, partition):
        """A socket: made, mapped by both sides, then bound and put in its slot."""
        with self.near.entered():
            fd = exchange.open_sharer(self.plan)
        rings, starts = exchange.DeadRings(fd, self.plan), self.recycler.grant(partition)
        port = exchange.make_shared_port(fd, self.memory, self.exchange_fd, self.plan, partition)
        umem.bind_xsk(fd, self.ifindex, 0, shared_with=self.keeper)
        self.steering.bind(partition, fd, self.ifindex, 0)
        self.sockets[partition], self.rings[partition] = fd, rings
        return port, rings, starts

    def lose(self, partition, rings, starts):
        """The partition's matcher is dead."""
        self.steering.unbind(partition)
        os.close(self.sockets.pop(partition))
        return self.recycler.take_back(partition, rings, *starts)

    def whole(self):
        """Whether every receive frame is back on fill_ring."""
        return until(lambda: self.recycler.counts()["fill_level"] == self.plan.rx_frame_cnt)

    def close(self):
        self.recycler.stop()
        self.raw.close()
        for fd in (*self.sockets.values(), self.keeper, self.exchange_fd, self.umem_fd, self.link,
                   self.peer, self.drop, self.seen):
            os.close(fd)
        self.steering.close()
        self.near.close()
        self.far.close()


@pytest.fixture
def queue(request):
    made = Queue(*request.param)
    yield made
    made.close()


def forked(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            time.sleep(1000)
        finally:
            os._exit(1)
    return pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@needs_namespaces
@needs_bpf
class TestReal:
    """Between two namespaces, through steer.bpf.c."""

    @pytest.mark.parametrize("queue", [(2,), (4,), (3, steer.GENERIC)], indirect=True,
                             ids=["2 native", "4 native", "3 generic"])
    def test_killed_consumers_leak_no_frame_and_hinder_nobody(self, queue):
        draw, partition_cnt = random.Random(7), queue.plan.partition_cnt
        queue.recycler.start()
        others = {p: queue.open(p)[0] for p in range(1, partition_cnt)}
        echo(others[1], 0, 0)                              # compiled before the forks
        for turn in range(ROUNDS):
            port, rings, starts = queue.open(0)
            stop_at = draw.choice([50, 1_000_000])         # some keep their last burst in hand
            pid = forked(lambda port=port, stop_at=stop_at: echo(port, 2_000_000, stop_at))
            killed_at = draw.randrange(PACKETS)
            for other in others:
                queue.send(other, PACKETS)
            queue.send(0, killed_at)
            time.sleep(draw.uniform(0, 0.01))
            kill(pid)
            queue.send(0, PACKETS - killed_at)
            taken, withheld = queue.lose(0, rings, starts)
            assert withheld == 0 and taken > 0
            for other in others.values():
                assert echo(other, PACKETS, PACKETS) == PACKETS
            assert queue.whole(), (turn, queue.recycler.counts())
        port, _, _ = queue.open(0)
        queue.send(0, PACKETS)
        assert echo(port, PACKETS, PACKETS) == PACKETS
        assert until(lambda: _free(port) == queue.plan.tx_depth)
        before = steer.read_per_cpu(queue.seen, 0)
        assert send_all(port, 100) == queue.plan.tx_depth
        assert until(lambda: _free(port) == queue.plan.tx_depth)
        assert until(
            lambda: steer.read_per_cpu(queue.seen, 0) - before == queue.plan.tx_depth)
        assert sorted(port.tx_stack) == [*range(*queue.plan.tx_range(0), 2048)]
        assert queue.whole() and queue.recycler.counts()["refused"] == 0
        assert all(int(p.state[ps.KICK_ERROR_CNT]) == 0 for p in others.values())
        assert not any(umem.xsk_statistics(queue.sockets[p])["rx_dropped"] for p in queue.sockets)

    @pytest.mark.parametrize("queue", [(2,)], indirect=True)
    def test_a_killed_recycler_is_followed_by_another_and_matchers_notice_nothing(self, queue):
        draw, ports = random.Random(3), [queue.open(p)[0] for p in range(2)]
        echo(ports[0], 0, 0)                               # both loaded before the forks, so that
        queue.recycler.start()                             # a kill meets work and not a start
        queue.recycler.stop()
        for _ in range(20):
            pid = forked(lambda: queue.adopt().start())
            for p, port in enumerate(ports):
                queue.send(p, PACKETS)
                assert echo(port, PACKETS, PACKETS) == PACKETS
            time.sleep(draw.uniform(0, 0.004))
            kill(pid)
        queue.adopt().start()
        assert queue.whole()
        assert all(until(lambda port=port: _free(port) == queue.plan.tx_depth) for port in ports)

    @pytest.mark.parametrize("queue", [(2,)], indirect=True)
    def test_a_socket_that_comes_after_one_that_went_is_never_busy(self, queue):
        for _ in range(5):
            _, rings, starts = queue.open(0)
            assert queue.lose(0, rings, starts) == (0, 0)
            del rings

    @pytest.mark.parametrize("queue", [(1,)], indirect=True)
    def test_a_keeper_is_alone_on_its_queue(self, queue):
        with queue.near.entered():
            other = exchange.open_keeper(queue.memory, queue.plan)
        try:
            with pytest.raises(OSError, match="EBUSY"):
                umem.bind_xsk(other, queue.ifindex, 0)
        finally:
            os.close(other)


@njit
def _free(port):
    return tx_free(port)


def test_whoever_is_handed_the_memory_cannot_cut_it():
    """portd has the exchange mapped: a page that is gone would end it with SIGBUS."""
    plan = exchange.Plan(2048, 2, 64, 64)
    for fd in (exchange.create(plan), umem.create_umem(plan), umem.create_umem(umem.Geometry())):
        size = os.fstat(fd).st_size
        for wrong in (0, size - 4096, size + 4096):
            with pytest.raises(PermissionError):
                os.ftruncate(fd, wrong)
        with pytest.raises(PermissionError):
            os.truncate(f"/proc/self/fd/{fd}", 0)
        assert os.fstat(fd).st_size == size
        os.close(fd)
