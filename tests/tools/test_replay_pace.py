"""When packets leave: due times, waiting, lateness, and the pause behind logins."""

import time
from dataclasses import replace

import numpy as np
import pytest

from tests.tools.received import frames, take
from tools import pcap
from tools.replay.command import login_count
from tools.replay.engines import SocketEngine
from tools.replay.pacing import schedule
from tools.replay.run import Replay
from tools.sender import wait

pytestmark = pytest.mark.alone

TIME_NS = 1_700_000_000_000_000_000


def test_due_times_follow_the_letter(tmp_path):
    path = tmp_path / "a.pcap"
    pcap.write(path, [(TIME_NS, bytes(100)), (TIME_NS + 1000, bytes(200)),
                      (TIME_NS + 400, bytes(60)), (TIME_NS + 9000, bytes(60))])
    capture = pcap.read(path)
    assert schedule(capture).tolist() == [0, 1000, 1000, 9000]
    assert schedule(capture, multiplier=2).tolist() == [0, 500, 500, 4500]
    assert schedule(capture, pps=1000).tolist() == [0, 1_000_000, 2_000_000, 3_000_000]
    assert schedule(capture, mbps=8).tolist() == [0, 100_000, 300_000, 360_000]
    assert schedule(capture, top_speed=True) is None
    for slow in ({"multiplier": 1e-300}, {"pps": 1e-300}, {"mbps": 1e-300}):
        far = schedule(capture, **slow)
        assert far[0] == 0 and far[-1] == far.max() > 10**18     # in decades, not in the past


def test_no_packet_is_due_before_its_time():
    due = np.array([0, 2_000_000, 2_000_000, 5_000_000, 5_000_000_000], np.int64)
    zero = time.monotonic_ns()
    assert wait(due, 0, 5, zero, zero + 10**9) >= 1
    assert wait(due, 1, 3, zero, zero + 10**9) == 2 and time.monotonic_ns() - zero >= 2_000_000
    assert wait(due, 3, 4, zero, zero + 10**9) == 1 and time.monotonic_ns() - zero >= 5_000_000
    assert wait(due, 4, 5, zero, zero + 20_000_000) == 0           # the deadline comes first
    assert 20_000_000 <= time.monotonic_ns() - zero < 5_000_000_000


class Timed(SocketEngine):
    """Sends over loopback; its stamps are when each packet had left."""

    def __init__(self, capture, receiver):
        here = ("127.0.0.1", 0)
        super().__init__(capture, {("10.77.0.1", 0): receiver.getsockname()},
                         {("10.77.0.2", 0): here})

    @property
    def times_ns(self):
        return self.left_ns


@pytest.mark.parametrize("letter", [{}, {"multiplier": 0.5}, {"pps": 400}, {"mbps": 0.5}])
def test_packets_leave_at_their_time_and_never_before(orders, receiver, letter):
    times_ns = TIME_NS + np.arange(60) // 2 * 2_000_000
    capture = replace(pcap.read(orders, limit=60), times_ns=times_ns)
    due = schedule(capture, **letter)
    with Timed(capture, receiver) as sender:
        begin = time.monotonic_ns()
        report = Replay(capture, sender, due).run()
        behind = np.array(sender.times_ns) - begin - due
    assert behind.min() >= 0 and np.median(behind) < 500_000_000
    assert report.packets == 60 and report.bytes == capture.lengths.sum() and not report.stopped
    assert report.seconds >= due[-1] * 1e-9
    assert take(receiver, 60) == [frame[42:] for frame in frames(capture)]


@pytest.mark.parametrize("late", [False, True])
def test_packets_sent_after_their_time_are_counted_as_late(orders, receiver, late):
    capture = pcap.read(orders, limit=20)
    due = np.full(20, -90_000_000 if late else 0, np.int64)
    with Timed(capture, receiver) as sender:
        report = Replay(capture, sender, due).run()
    assert report.packets == 20
    if late:
        assert report.late == 20 and report.latest_ns >= 50_000_000
    else:
        assert report.late == (20 if report.latest_ns > 1_000_000 else 0)


def test_orders_wait_for_the_logins_before_them(orders, receiver):
    capture = pcap.read(orders, limit=100)
    assert login_count(capture) == 4
    with Timed(capture, receiver) as sender:
        report = Replay(capture, sender, None, loops=1, logins=4, login_wait=1.0).run()
        times = sender.times_ns
    assert len(times) == 100 and times[4] - times[3] >= 995_000_000
    assert report.seconds * 1e9 < times[-1] - times[0], "the pause is no part of it"
    with Timed(capture, receiver) as sender:
        Replay(capture, sender, schedule(capture, multiplier=10), logins=4, login_wait=0.3).run()
        times = sender.times_ns
    assert times[4] - times[0] >= 295_000_000
