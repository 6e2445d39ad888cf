"""The four AF_XDP rings: first against rings in plain memory with a Python kernel, then for real.

The Python kernel keeps its own 32-bit indices, so wrapping, order and ownership of every frame are
seen from the other side. The real part runs between two namespaces of this process.
"""

import errno
import os
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from appliance.host import nic
from appliance.hot import port_state as ps
from appliance.hot.port import (
    rx_arrival_ns, rx_burst, rx_release, tx_alloc, tx_free, tx_kick, tx_push,
)
from appliance.shm import steer, umem
from appliance.shm.umem import Geometry
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tests.shm.recycler_kit import until

pytestmark = pytest.mark.alone

FRAMES, FRAME_SZ = 64, 2048
PRODUCER, CONSUMER, FLAGS = 0, 16, 32
NEAR_IP, FAR_IP, UDP_PORT = "10.78.0.1", "10.78.0.2", 9000


@njit
def burst(port, burst_max):
    return rx_burst(port, burst_max)


@njit
def release(port, count):
    rx_release(port, count)


@njit
def alloc(port):
    return tx_alloc(port)


@njit
def free(port):
    return tx_free(port)


@njit
def push(port, off, sz):
    tx_push(port, off, sz)


@njit
def kick(port):
    return tx_kick(port)


@njit
def arrival(port, i):
    return rx_arrival_ns(port, i)


class PlainKernel:
    """The kernel's side of four rings in memory, all indices starting at `start`."""

    def __init__(self, start):
        self.words = {name: np.zeros(48, np.uint32) for name in ("fill", "rx", "tx", "comp")}
        for words in self.words.values():
            words[[PRODUCER, CONSUMER]] = start
        stack = (np.arange(FRAMES, dtype=np.uint64)[::-1] + FRAMES) * FRAME_SZ
        self.port = umem.empty_port(
            np.zeros(2 * FRAMES * FRAME_SZ, np.uint8), stack.copy(),
            fill_words=self.words["fill"], fill_addrs=np.zeros(FRAMES, np.uint64),
            rx_words=self.words["rx"], rx_descs=np.zeros(2 * FRAMES, np.uint64),
            tx_words=self.words["tx"], tx_descs=np.zeros(2 * FRAMES, np.uint64),
            comp_words=self.words["comp"], comp_addrs=np.zeros(FRAMES, np.uint64))
        masks = {f"{name}_MASK": FRAMES - 1 for name in ("FILL", "RX", "TX", "COMP")}
        umem.set_words(self.port, KIND=ps.XSK, RX_FD=0xFFFF_FFFF, FRAME_SZ=FRAME_SZ, **masks,
                  FILL_PRODUCER_WORD=PRODUCER, FILL_FLAGS_WORD=FLAGS, RX_PRODUCER_WORD=PRODUCER,
                  RX_CONSUMER_WORD=CONSUMER, TX_PRODUCER_WORD=PRODUCER,
                  TX_CONSUMER_WORD=CONSUMER, TX_FLAGS_WORD=FLAGS, COMP_PRODUCER_WORD=PRODUCER,
                  COMP_CONSUMER_WORD=CONSUMER, FILL_PRODUCER=start + FRAMES, RX_CONSUMER=start,
                  TX_PRODUCER=start, TX_PUBLISHED=start, COMP_CONSUMER=start, STACK_CNT=FRAMES)
        for i in range(FRAMES):
            self.port.fill_addrs[(start + i) % FRAMES] = i * FRAME_SZ
        self.words["fill"][PRODUCER] = (start + FRAMES) & 0xFFFF_FFFF

    def _step(self, name, word):
        index = int(self.words[name][word])
        self.words[name][word] = (index + 1) & 0xFFFF_FFFF
        return index % FRAMES

    def _waiting(self, name):
        return (int(self.words[name][PRODUCER]) - int(self.words[name][CONSUMER])) & 0xFFFF_FFFF

    def receive(self, sz):
        """A packet arrives: one frame from fill_ring to rx_ring; False when there is none."""
        if not self._waiting("fill"):
            return False
        base = int(self.port.fill_addrs[self._step("fill", CONSUMER)])
        slot = self._step("rx", PRODUCER)
        self.port.rx_descs[2 * slot:2 * slot + 2] = (base + 256, sz)
        return True

    def transmit(self):
        """Everything on tx_ring leaves and completes; [(offset, size)]."""
        sent = []
        while self._waiting("tx"):
            slot = self._step("tx", CONSUMER)
            sent.append((int(self.port.tx_descs[2 * slot]), int(self.port.tx_descs[2 * slot + 1])))
            self.port.comp_addrs[self._step("comp", PRODUCER)] = sent[-1][0]
        return sent


@pytest.fixture(params=[0, 0xFFFF_FFF0, 0x7FFF_FFC1], ids=["from 0", "wrapping", "sign bit"])
def kernel(request):
    return PlainKernel(request.param)


def test_packets_come_in_order_and_frames_return_for_ever(kernel):
    sizes = iter(range(60, 60 + 1000))
    expected, got = [], []
    for turn in range(40):
        for _ in range(turn % 30):
            size = next(sizes)
            assert kernel.receive(size)
            expected.append(size)
        count = burst(kernel.port, 64)
        got += kernel.port.rx_desc["len"][:count].tolist()
        assert all(addr % FRAME_SZ == 256 for addr in kernel.port.rx_desc["addr"][:count])
        release(kernel.port, count)
        assert kernel._waiting("fill") == FRAMES
    assert got == expected
    held = {int(addr) for addr in kernel.port.fill_addrs}
    assert held == {i * FRAME_SZ for i in range(FRAMES)}


def test_a_reader_that_keeps_frames_starves_the_kernel_and_nothing_is_overwritten(kernel):
    assert all(kernel.receive(60) for _ in range(FRAMES))
    assert not kernel.receive(60)
    assert burst(kernel.port, 10) == 10
    assert not kernel.receive(60)
    release(kernel.port, 10)
    assert sum(kernel.receive(60) for _ in range(20)) == 10


def test_transmit_frames_make_their_round_and_none_is_used_twice(kernel):
    for turn in range(20):
        offsets = [int(alloc(kernel.port)) for _ in range(FRAMES)]
        assert len(set(offsets)) == FRAMES and min(offsets) >= FRAMES * FRAME_SZ
        assert alloc(kernel.port) == -1
        for i, off in enumerate(offsets):
            push(kernel.port, off, 60 + i)
        assert kernel._waiting("tx") == 0, "nothing is visible before the kick"
        assert kick(kernel.port) == 0, "no wake-up flag: no system call"
        assert kernel.transmit() == [(off, 60 + i) for i, off in enumerate(offsets)]
        assert free(kernel.port) == FRAMES
        assert int(kernel.port.state[ps.TX_FULL_CNT]) == turn + 1


def test_a_failing_system_call_is_counted_and_the_packets_stay_queued(kernel):
    kernel.words["tx"][FLAGS] = 1
    push(kernel.port, int(alloc(kernel.port)), 60)
    assert kick(kernel.port) == -errno.EBADF
    assert int(kernel.port.state[ps.KICK_ERROR_CNT]) == 1
    assert int(kernel.port.state[ps.KICK_LAST_ERRNO]) == errno.EBADF
    assert len(kernel.transmit()) == 1
    assert kick(kernel.port) == 0
    assert free(kernel.port) == FRAMES


def test_metadata_is_read_once_and_never_a_second_time(kernel):
    kernel.receive(60)
    assert burst(kernel.port, 1) == 1
    assert arrival(kernel.port, 0) == 0
    off = int(kernel.port.rx_desc["addr"][0])
    kernel.port.frames[off - 16:off].view(np.uint64)[0] = 123456789
    kernel.port.frames[off - 8:off].view(np.uint32)[:] = (0, ps.META_MARK)
    assert arrival(kernel.port, 0) == 123456789
    assert arrival(kernel.port, 0) == 0


@pytest.mark.parametrize(("field", "value"), [
    ("frame_sz", 1024), ("frame_sz", 3000), ("rx_frame_cnt", 100), ("tx_frame_cnt", 32)])
def test_a_geometry_the_kernel_would_refuse_is_named(field, value):
    with pytest.raises(ValueError, match=f"{field} = {value}"):
        umem.create_umem(Geometry()._replace(**{field: value}))


def test_huge_pages_where_enough_are_free_and_a_sentence_where_not():
    geometry = Geometry(2048, 1024, 1024)            # two of 2 MB
    free = int(Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text())
    found = {}
    for pages in ("never", "auto", "always"):
        try:
            fd, found[pages] = umem.create_umem_in(geometry, pages)
        except OSError as error:
            found[pages] = str(error)
            continue
        assert os.fstat(fd).st_size == geometry.umem_sz
        os.close(fd)
    assert found["never"] == "ordinary pages"
    if free >= 2:
        assert found["auto"] == found["always"] == "huge pages"
    else:
        assert found["auto"].startswith("ordinary pages (2 huge pages of 2 MB are needed")
        assert 'port.huge_pages = "always": 2 huge pages' in found["always"]
        assert "vm.nr_hugepages" in found["always"]


class Real:
    """A port on one end of a veth pair, plain sockets on the other."""

    def __init__(self):
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", NEAR_IP, self.far, "wm1", FAR_IP)
        self.ifindex = self.near.ifindex("wm0")
        self.geometry = Geometry(2048, 64, 64)
        self.umem_fd = umem.create_umem(self.geometry)
        self.umem = umem.map_umem(self.umem_fd)
        with self.near.entered():
            self.xsk_fd = umem.open_xsk(self.umem, self.geometry)
        self.port = umem.make_xsk_port(self.xsk_fd, self.umem, self.geometry)
        umem.bind_xsk(self.xsk_fd, self.ifindex, 0)
        self.steering = steer.Steering()
        self.steering.set_address(NEAR_IP, UDP_PORT, 0)
        self.steering.allow(FAR_IP)
        self.steering.bind(0, self.xsk_fd, self.ifindex, 0)
        with self.near.entered():
            self.link_fd = self.steering.attach(self.ifindex)
        with self.far.entered():
            self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.peer.bind((FAR_IP, 0))
        self.peer.settimeout(60)

    def close(self):
        self.peer.close()
        for fd in (self.link_fd, self.xsk_fd, self.umem_fd):
            os.close(fd)
        self.steering.close()
        self.near.close()
        self.far.close()

    def send(self, payload):
        self.peer.sendto(payload, (NEAR_IP, UDP_PORT))

    def waiting(self):
        """Packets that have come and were not taken."""
        at = [int(self.port.state[word]) for word in (ps.RX_PRODUCER_WORD, ps.RX_CONSUMER_WORD)]
        return int(np.subtract(*self.port.rx_words[at]))

    def take(self, count, port=None):
        """Receives until `count` packets came; their payloads. Frames go back."""
        port, payloads, deadline = port or self.port, [], time.monotonic() + 60
        while len(payloads) < count and time.monotonic() < deadline:
            got = int(burst(port, 64))
            for i in range(got):
                start, sz = int(port.rx_desc["addr"][i]), int(port.rx_desc["len"][i])
                payloads.append(port.frames[start + 42:start + sz].tobytes())
            release(port, got)
        return payloads

    def echo_one(self):
        """Receives one packet and sends it back; 0 or -errno of the kick."""
        while not burst(self.port, 1):
            pass
        start, sz = (int(self.port.rx_desc[name][0]) for name in ("addr", "len"))
        packet = bytearray(self.port.frames[start:start + sz].tobytes())
        release(self.port, 1)
        packet[0:6], packet[6:12] = packet[6:12], packet[0:6]
        packet[26:30], packet[30:34] = packet[30:34], packet[26:30]
        packet[34:36], packet[36:38] = packet[36:38], packet[34:36]
        off = int(alloc(self.port))
        self.port.frames[off:off + sz] = np.frombuffer(packet, np.uint8)
        push(self.port, off, sz)
        return int(kick(self.port))


@pytest.fixture
def real():
    rig = Real()
    yield rig
    rig.close()


def nic_counters(namespace):
    """Frames that wm0 has dropped instead of sending them."""
    with namespace.entered():
        return nic.counters("wm0")["tx_dropped"]


real_only = [needs_namespaces, needs_bpf]


class TestReal:
    """Between two namespaces, through steer.bpf.c."""

    pytestmark = real_only

    def test_many_times_more_packets_than_frames_pass_in_order(self, real):
        for turn in range(20):
            payloads = [b"%d/%d" % (turn, i) for i in range(40)]
            for payload in payloads:
                real.send(payload)
            assert real.take(40) == payloads
        assert umem.xsk_statistics(real.xsk_fd) == dict.fromkeys(
            ("rx_dropped", "rx_invalid", "tx_invalid", "rx_ring_full", "fill_ring_empty",
             "tx_ring_empty"), 0)
        assert not umem.is_zero_copy(real.xsk_fd)

    def test_arrival_time_is_the_monotonic_clock_of_the_program(self, real):
        before = time.monotonic_ns()
        real.send(b"now")
        while not burst(real.port, 1):
            pass
        assert before <= int(arrival(real.port, 0)) <= time.monotonic_ns()

    def test_answers_reach_a_plain_socket(self, real):
        for turn in range(200):
            real.send(b"ping %d" % turn)
            assert real.echo_one() == 0
            assert real.peer.recv(100) == b"ping %d" % turn
        assert int(real.port.state[ps.TX_PACKETS]) == 200
        assert free(real.port) == 64

    def test_without_a_carrier_every_frame_is_completed_counted_and_free_again(self, real):
        """EBUSY: the kernel completed the frame and did not send it; the device counts it too."""
        before = nic_counters(real.near)
        real.far.run("ip", "link", "set", "wm1", "down")
        for _ in range(64):
            push(real.port, int(alloc(real.port)), 60)
        assert alloc(real.port) == -1
        assert until(lambda: kick(real.port) == 0 and free(real.port) == 64, 60)
        state = real.port.state
        assert int(state[ps.KICK_BUSY_CNT]) == 64 and int(state[ps.KICK_ERROR_CNT]) == 0
        assert nic_counters(real.near) - before == 64
        real.far.run("ip", "link", "set", "wm1", "up")
        push(real.port, int(alloc(real.port)), 60)
        assert kick(real.port) == 0 and int(state[ps.KICK_BUSY_CNT]) == 64

    def test_more_packets_than_frames_are_lost_and_counted_by_the_socket(self, real):
        for i in range(100):
            real.send(b"%d" % i)
        assert until(lambda: umem.xsk_statistics(real.xsk_fd)["fill_ring_empty"] == 36, 60)
        assert len(real.take(64)) == 64
        assert umem.xsk_statistics(real.xsk_fd)["fill_ring_empty"] == 36

    def test_a_second_owner_takes_the_rings_over_and_loses_no_frame(self, real):
        for i in range(10):
            real.send(b"%d" % i)
        assert until(lambda: real.waiting() == 10, 60)
        assert burst(real.port, 4) == 4           # these four frames die with their owner
        assert alloc(real.port) >= 0              # and so does this one
        successor = umem.make_xsk_port(real.xsk_fd, real.umem, real.geometry)
        assert real.take(6, successor) == [b"%d" % i for i in range(4, 10)]
        assert free(successor) == 64
        for i in range(64):
            real.send(b"%d" % i)
        assert len(real.take(64, successor)) == 64
        assert umem.xsk_statistics(real.xsk_fd)["rx_dropped"] == 0

    def test_a_link_that_is_down_keeps_packets_for_later(self, real):
        real.send(b"before")
        real.near.run("ip", "link", "set", "wm0", "down")
        assert real.echo_one() == -errno.ENETDOWN
        assert int(real.port.state[ps.KICK_DOWN_CNT]) == 1
        real.near.run("ip", "link", "set", "wm0", "up")
        assert until(lambda: kick(real.port) == 0, 60)
        assert free(real.port) == 64

    def test_a_gone_device_is_told_and_counted(self, real):
        real.send(b"before")
        real.near.run("ip", "link", "delete", "wm0")
        assert real.echo_one() in (-errno.ENXIO, -errno.ENETDOWN)
        assert int(real.port.state[ps.KICK_DOWN_CNT]) >= 1
        assert steer.link_ifindex(real.link_fd) == 0

    def test_the_queue_is_busy_while_another_socket_holds_it(self, real):
        with real.near.entered():
            other = umem.open_xsk(real.umem, real.geometry)
        try:
            with pytest.raises(OSError, match="EBUSY"):
                umem.bind_xsk(other, real.ifindex, 0)
        finally:
            os.close(other)

    def test_zero_copy_is_refused_loudly_on_a_device_without_it(self, real):
        with real.far.entered():
            other = umem.open_xsk(real.umem, real.geometry)
        try:
            with pytest.raises(OSError, match="EOPNOTSUPP"):
                umem.bind_xsk(other, real.far.ifindex("wm1"), 0, umem.ZERO_COPY)
        finally:
            os.close(other)
