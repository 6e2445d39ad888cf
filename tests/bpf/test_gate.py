"""The gate beyond single frames: the flood guard over time, tables that change under traffic."""

import copy
import os
import random
import socket
import struct
import threading
import time

import numpy as np
import pytest

from appliance.shm import steer, umem
from appliance.shm.steer import XDP_DROP, XDP_PASS, XDP_REDIRECT, Steering
from tests.bpf.test_steer import (
    FRIEND, ORDER_PORT, OURS, PARTITION, STRANGER, Rig, ether, ipv4, udp,
)
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tools.faults.gate_model import Bucket, messages_of
from tools.faults.gate_rig import GateRig

pytestmark = [needs_bpf, needs_namespaces]

COARSE = 6                      # CLOCK_MONOTONIC_COARSE, the program's
TICK_NS = time.clock_getres(COARSE) * 1e9
RATE, BURST = 2000, 100


@pytest.fixture(scope="module")
def rig():
    return Rig()


@pytest.fixture
def one_core():
    """A source is charged by core."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cpus)})
    yield
    os.sched_setaffinity(0, cpus)


def packet(count=1, size=60, source=FRIEND):
    """A frame whose MoldUDP64 header claims `count` messages in `size` bytes."""
    return ether() + ipv4(udp(struct.pack("!10sQH", b"T", 1, count) + bytes(size - 20)),
                          source=source)


def limited(rig, rate=RATE, burst=BURST):
    """The friend anew, with a whole burst."""
    rig.steering.disallow(FRIEND)
    rig.steering.allow(FRIEND, rate, burst)


def run(rig, frame):
    """The verdict, and the program's clock before and after."""
    before = time.clock_gettime_ns(COARSE)
    verdict = steer.test_run(rig.steering.program_fd, frame, rig.ifindex, 0)[0]
    return verdict, before, time.clock_gettime_ns(COARSE)


class Suspects:
    """Buckets of which one is the program's: its clock was one of two."""

    def __init__(self):
        self.buckets = [Bucket(RATE, BURST)]

    def agree(self, charge, verdict, times):
        """Drops those that say otherwise; whether one is left."""
        left = {}
        for bucket in self.buckets:
            for now_ns in set(times):
                each = copy.copy(bucket)
                if each.take(charge, now_ns) == (verdict == XDP_REDIRECT):
                    left[each.spare, each.at_ns] = each
        self.buckets = list(left.values())
        return bool(left)


def test_the_guard_is_a_token_bucket_of_messages(rig, one_core):
    limited(rig)
    dice, suspects, disturbed = random.Random(11), Suspects(), 0
    verdicts = {XDP_REDIRECT: 0, XDP_DROP: 0}
    with rig.near.entered():
        for step in range(4000):
            charge = dice.choice((1, 1, 2, 7, 30, 100, 101))
            verdict, *times = run(rig, packet(charge, 20 + 2 * charge))
            if times[1] - times[0] > 1.5 * TICK_NS:      # the program's clock may be a third one
                limited(rig)
                suspects, disturbed = Suspects(), disturbed + 1
                continue
            verdicts[verdict] += 1
            assert suspects.agree(charge, verdict, times), (step, charge, verdict)
            if dice.random() < 0.05:
                time.sleep(dice.choice((0.001, 0.004, 0.012)))
    assert min(verdicts.values()) > 400 and disturbed < 1000, (verdicts, disturbed)


@pytest.mark.parametrize("count, size, charge", [
    (0, 20, 1), (1, 20, 1), (65535, 20, 1), (1, 60, 1), (0, 60, 1), (20, 60, 20), (21, 60, 20),
    (65535, 60, 20), (5, 23, 1), (5, 21, 1)])
def test_what_a_datagram_is_charged(rig, one_core, count, size, charge):
    """As many as go into a burst that does not grow are let through."""
    frame = packet(count, size)
    assert messages_of(frame[42:]) == charge
    limited(rig, 1, 100)
    with rig.near.entered():
        verdicts = [run(rig, frame)[0] for _ in range(100 // charge + 1)]
    assert verdicts == [XDP_REDIRECT] * (100 // charge) + [XDP_DROP]


@pytest.mark.parametrize("payload", [b"", bytes(19)])
def test_a_datagram_too_short_for_a_header_costs_one(rig, one_core, payload):
    limited(rig, 1, 3)
    with rig.near.entered():
        verdicts = [run(rig, ether() + ipv4(udp(payload)))[0] for _ in range(4)]
    assert verdicts == [XDP_REDIRECT] * 3 + [XDP_DROP]


def test_what_was_dropped_is_told_by_source(rig, one_core):
    limited(rig, 1, 2)
    before = rig.steering.guarded().get(FRIEND, (0, 0))[0]
    with rig.near.entered():
        for _ in range(2):
            run(rig, packet())
        assert rig.steering.guarded().get(FRIEND, (0, 0))[0] == before
        _, early, _ = run(rig, packet())
        _, _, late = run(rig, packet())
    dropped_cnt, dropped_ns = rig.steering.guarded()[FRIEND]
    assert dropped_cnt - before == 2 and early <= dropped_ns <= late
    rows = steer.map_guarded(rig.steering.guard_fd()).reshape(-1, 3)
    number = rig.steering.plan.sources[FRIEND].id
    assert rows[number].tolist() == [int.from_bytes(socket.inet_aton(FRIEND), "big"), dropped_ns,
                                     dropped_cnt]


def test_nobody_but_the_program_writes_the_rows_that_matchers_map(rig):
    with pytest.raises(OSError, match="Operation not permitted"):
        steer.map_set(rig.steering.maps["guarded"], bytes(4), bytes(24))
    with pytest.raises(ValueError, match="read-only"):
        steer.map_guarded(rig.steering.guard_fd())[0] = 1


def test_one_source_is_guarded_and_another_is_not(rig, one_core):
    limited(rig, 1, 1)
    rig.steering.allow("10.0.0.77")
    with rig.near.entered():
        assert [run(rig, packet())[0] for _ in range(2)] == [XDP_REDIRECT, XDP_DROP]
        assert {run(rig, packet(source="10.0.0.77"))[0] for _ in range(100)} == {XDP_REDIRECT}
    rig.steering.disallow("10.0.0.77")


@pytest.mark.skipif(os.cpu_count() < 2, reason="needs two cores")
def test_each_core_has_a_bucket_of_its_own(rig):
    cpus = os.sched_getaffinity(0)
    limited(rig, 1, 1)
    try:
        for cpu in sorted(cpus)[:2]:
            os.sched_setaffinity(0, {cpu})
            with rig.near.entered():
                assert [run(rig, packet())[0] for _ in range(2)] == [XDP_REDIRECT, XDP_DROP]
    finally:
        os.sched_setaffinity(0, cpus)


def test_what_is_not_taken_is_not_charged(rig, one_core):
    limited(rig, 1, 1)
    rig.steering.unbind(PARTITION)
    wrong = packet()[:-1]
    with rig.near.entered():
        assert run(rig, wrong)[0] == XDP_DROP
        for _ in range(3):
            assert steer.test_run(rig.steering.program_fd, packet(), rig.ifindex, 1)[0] == XDP_PASS
        rig.bind()
        assert [run(rig, packet())[0] for _ in range(2)] == [XDP_REDIRECT, XDP_DROP]


def test_a_new_limit_keeps_what_is_owed_and_a_new_source_owes_nothing(rig, one_core):
    limited(rig, 1, 1)
    with rig.near.entered():
        run(rig, packet())
        rig.steering.allow(FRIEND, 1, 3)
        assert [run(rig, packet())[0] for _ in range(3)] == [XDP_REDIRECT] * 2 + [XDP_DROP]
        rig.steering.disallow(FRIEND)
        rig.steering.allow(FRIEND, 1, 1)
        assert run(rig, packet())[0] == XDP_REDIRECT


def test_tables_are_taken_over_as_they_are(rig):
    limited(rig, 5, 7)
    other = Steering.of(rig.steering.program_fd, rig.steering.maps)
    assert other.plan == rig.steering.plan and FRIEND in other.plan.sources
    other.allow(STRANGER)
    with rig.near.entered():
        assert run(rig, packet(source=STRANGER))[0] == XDP_REDIRECT
    again = Steering.of(rig.steering.program_fd, rig.steering.maps)
    again.disallow(STRANGER)
    again.allow(FRIEND)
    rig.steering = again


def test_a_change_that_fails_changes_nothing(rig):
    before = rig.steering.plan
    with pytest.raises(ValueError, match="nobody"), rig.steering.change() as plan:
        plan.owners.clear()
        plan.allow("0.0.0.0")
    assert rig.steering.plan == before
    with rig.near.entered():
        assert run(rig, packet())[0] == XDP_REDIRECT


class Traffic:
    """One frame over and over through the program, in a thread, until the block ends."""

    def __init__(self, rig, frame):
        self.rig, self.verdicts, self.stopping = rig, [], threading.Event()
        self.frames = np.tile(np.frombuffer(frame, np.uint8), (4000, 1))
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        lengths = np.full(len(self.frames), self.frames.shape[1])
        places = np.tile(np.array([[self.rig.ifindex, 0]]), (len(self.frames), 1))
        while not self.stopping.is_set():
            self.verdicts.append(self.rig.run(self.frames, lengths, places)[0])

    def __enter__(self):
        self.before = self.rig.steering.counters()
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.stopping.set()
        self.thread.join()
        self.verdicts = np.concatenate(self.verdicts)

    def moved(self):
        """Frames by reason so far."""
        after = self.rig.steering.counters()
        return {name: after[name] - n for name, n in self.before.items() if after[name] != n}


def world_one(plan):
    """The port is ours, the source unknown."""
    plan.owners[ORDER_PORT] = 0
    plan.sources.pop(FRIEND, None)


def world_two(plan):
    """The source may send, the port is not ours. A mix of the two would be an order taken."""
    plan.allow(FRIEND)
    plan.owners.pop(ORDER_PORT, None)


def test_each_frame_sees_the_old_tables_or_the_new_ones_and_never_a_mix():
    with GateRig() as rig:
        with rig.steering.change() as plan:
            world_one(plan)
        with Traffic(rig, packet()) as traffic:
            flips = 0
            while flips < 60 or len(traffic.moved()) < 2:
                with rig.steering.change() as plan:
                    (world_two, world_one)[flips % 2](plan)
                flips += 1
        moved = traffic.moved()
        assert set(moved) == {"drop_unknown_source", "pass_not_ours"}
        assert sum(moved.values()) == len(traffic.verdicts)
        assert set(traffic.verdicts.tolist()) == {XDP_DROP, XDP_PASS}


def test_the_same_change_in_two_steps_shows_a_mix():
    """That the test above could see one."""
    with GateRig() as rig:
        rig.steering.set_address(OURS, ORDER_PORT, 0)
        rig.steering.disallow(FRIEND)
        with Traffic(rig, packet()) as traffic:
            while "redirected" not in traffic.moved():
                rig.steering.allow(FRIEND)
                rig.steering.clear_address(ORDER_PORT)
                rig.steering.disallow(FRIEND)
                rig.steering.set_address(OURS, ORDER_PORT, 0)


def test_no_datagram_is_lost_while_the_tables_of_an_attached_program_change():
    count, geometry = 6000, umem.Geometry(2048, 8192, 64)
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "wm0", OURS, far, "wm1", FRIEND)
        ifindex = near.ifindex("wm0")
        memory = umem.map_umem(umem.create_umem(geometry))
        with near.entered():
            xsk_fd = umem.open_xsk(memory, geometry)
        port = umem.make_xsk_port(xsk_fd, memory, geometry)
        umem.bind_xsk(xsk_fd, ifindex, 0)
        steering = Steering()
        for partition in (PARTITION, PARTITION + 1):
            steering.set_address(OURS, ORDER_PORT, partition)
            steering.bind(partition, xsk_fd, ifindex, 0)
        steering.allow(FRIEND)
        with near.entered():
            link_fd = steering.attach(ifindex)
        flips = threading.Event()

        def flip():
            number = 0
            while not flips.is_set():
                with steering.change() as plan:
                    plan.owners[ORDER_PORT] = PARTITION + number % 2
                    plan.allow(FRIEND, *((0, 0) if number % 2 else (16, 1 << 61)))
                    plan.sources.pop(STRANGER, None)
                    if number % 3:
                        plan.allow(STRANGER)
                number += 1

        thread = threading.Thread(target=flip)
        thread.start()
        try:
            with far.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for _ in range(count):
                    sender.sendto(bytes(60), (OURS, ORDER_PORT))
        finally:
            flips.set()
            thread.join()
        found = steering.counters()
        assert found["redirected"] == count, found
        assert set(umem.xsk_statistics(xsk_fd).values()) == {0}
        seen = int(port.rx_words[int(port.state[13])])          # RX_PRODUCER_WORD
        assert seen == count
        os.close(link_fd)
        steering.close()


def test_a_jumbo_device_takes_the_program_generically_and_long_frames_are_dropped():
    """One buffer a frame: native attachment is refused there, generic hands frames over whole."""
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "wm0", OURS, far, "wm1", FRIEND)
        near.run("ip", "link", "set", "dev", "wm0", "mtu", "9000")
        far.run("ip", "link", "set", "dev", "wm1", "mtu", "9000")
        steering, ifindex = Steering(), near.ifindex("wm0")
        steering.set_address(OURS, ORDER_PORT, PARTITION)
        steering.allow(FRIEND)
        with near.entered(), pytest.raises(OSError, match="native mode"):
            steering.attach(ifindex)
        with near.entered():
            link_fd = steering.attach(ifindex, steer.GENERIC)
        with far.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind(("wm1", 0))
            for size in (1472, 1473, 2000, 4000, 8000, 8900):
                sender.send(ether() + ipv4(udp(bytes(size))))
        found = {name: count for name, count in steering.counters().items() if count}
        assert found == {"pass_no_socket": 1, "drop_too_long": 5}
        os.close(link_fd)
        steering.close()
