"""The loop itself: when it returns, what it publishes, time, and the plain twins of all kernels."""

import hashlib
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from appliance.hot import burst, counters
from appliance.hot import port_state as ps
from appliance.layout import shared
from appliance.layout.params import WAIT_BLOCK, WAIT_YIELD
from appliance.shm.dpdk import NO_FD
from appliance.shm.umem import make_socket_port
from tests.hot.harness import Venue, mold
from tests.hot.test_session import enter

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_the_loop_returns_when_the_word_changes_when_time_is_over_and_when_idle():
    venue = Venue()
    call = (venue.core, venue.port, venue.io, venue.params)
    assert burst.run(*call) == burst.IDLE
    venue.params[0]["idle_polls"], venue.params[0]["run_cycles"] = 0, 1000
    assert burst.run(*call) == burst.TIME_OVER
    venue.blocks["control"]["word"] = shared.END_DAY
    assert burst.run(*call) == burst.WORD_CHANGED
    venue.params[0]["control_word"] = shared.END_DAY
    assert burst.run(*call) == burst.TIME_OVER


def test_the_block_policy_sleeps_until_a_datagram_comes_and_no_longer():
    """Idle, a run of 40 ms makes few polls; with datagrams waiting it takes them all."""
    venue = Venue()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as order, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        order.bind(("127.0.0.1", 0))
        order.setblocking(False)
        port = make_socket_port(order.fileno(), order.fileno(), *order.getsockname())
        p = venue.params[0]
        p["wait"], p["yield_polls"], p["block_ns"] = WAIT_BLOCK, 4, 5_000_000
        p["idle_polls"] = 16
        before = time.monotonic()
        assert burst.run(venue.core, port, venue.io, venue.params) == burst.IDLE
        assert time.monotonic() - before > 0.05, "12 waits of 5 ms each"
        for _ in range(100):
            sender.sendto(b"who", order.getsockname())
        assert burst.run(venue.core, port, venue.io, venue.params) == burst.IDLE
    assert venue.counters["rx_frames"] == 100


@pytest.mark.parametrize("listening", [True, False])
def test_the_yield_policy_sleeps_between_polls_with_and_without_a_descriptor(listening):
    """2,000 empty polls, each of which would take a microsecond: sched_yield would be as short. The
    kernel may sleep longer than it is asked to, never shorter. A DPDK port has no descriptor."""
    venue, sleeps = Venue(), 2000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as order, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        order.bind(("127.0.0.1", 0))
        order.setblocking(False)
        port = make_socket_port(order.fileno(), order.fileno(), *order.getsockname())
        p = venue.params[0]
        p["wait"], p["yield_polls"], p["idle_polls"] = WAIT_YIELD, 4, 4 + sleeps
        if not listening:
            port.state[ps.RX_FD] = NO_FD
        before, cpu = time.monotonic(), time.thread_time()
        assert burst.run(venue.core, port, venue.io, venue.params) == burst.IDLE
        slept, worked = time.monotonic() - before, time.thread_time() - cpu
        assert slept >= sleeps * burst.GIVE_WAY_NS * 1e-9
        assert worked < slept / 2, (worked, slept)
        port.state[ps.RX_FD] = order.fileno()
        for _ in range(100):
            sender.sendto(b"who", order.getsockname())
        assert burst.run(venue.core, port, venue.io, venue.params) == burst.IDLE
    assert venue.counters["rx_frames"] == 100


@pytest.mark.parametrize(("batch", "passes"), [(1, 12), (5, 3), (64, 1)])
def test_a_pass_takes_a_batch_of_frames_at_most(batch, passes):
    venue = Venue(rx_batch=batch)
    venue.login("ALPHA")
    before = venue.counters["rx_bursts"]
    for number in range(12):
        venue.send("ALPHA", [enter(number + 1)])
    venue.run()
    assert venue.counters["rx_bursts"] - before == passes
    assert venue.counters["orders"] == 12


def test_the_status_block_is_kept_up_to_date():
    venue = Venue()
    venue.login("ALPHA")
    venue.send("ALPHA", [enter(1)])
    venue.run()
    venue.advance(1_000_000)
    venue.run()
    status = venue.blocks["matcher_status"][0]
    assert status["heartbeat_ns"] == venue.now_ns and status["live_orders"] == 1
    assert status["journal_seq"] == 3 and status["feed_seq"] == 7


def test_record_time_follows_the_counter_and_never_goes_back():
    venue = Venue()
    p = venue.params[0]
    p["base_ns"], p["base_tsc"], p["tsc_mult"], p["tsc_shift"] = 1000, 500, 3 << 20, 20
    venue.io.words[:] = 0
    times = [burst.record_time(venue.io, venue.params, np.uint64(tsc)) for tsc in (500, 600, 550)]
    assert times == [1000, 1300, 1300]


def test_commands_of_one_burst_have_one_time_and_the_next_burst_a_later_one():
    venue = Venue()
    venue.login("ALPHA")
    for round_ in range(2):
        venue.advance(7)
        venue.send("ALPHA", [enter(10 * round_ + n) for n in range(1, 4)])
        venue.run()
    times = [int(each) for each in venue.core.journal.ring["time_ns"][3:9]]
    assert times == [venue.now_ns - 7] * 3 + [venue.now_ns] * 3
    assert venue.core.journal.header[0]["block_cnt"] == 4


@pytest.mark.parametrize("value", [0, 1, 15, 16, 17, 31, 32, 1000, 123456789, (1 << 62) + 12345])
def test_a_histogram_bucket_holds_its_value_within_a_sixteenth(value):
    bucket = counters.bucket_of(value)
    floor, following = counters.bucket_floor(bucket), counters.bucket_floor(bucket + 1)
    assert floor <= value < following and (following - floor) * 16 <= max(floor, 16)
    assert bucket < shared.HISTOGRAM_CNT


def test_every_frame_is_in_the_latency_histogram():
    venue = Venue()
    venue.login("ALPHA")
    venue.send("ALPHA", [enter(n) for n in range(1, 101)])
    venue.params[0]["tsc_mult"], venue.params[0]["tsc_shift"] = 1, 0
    venue.run()
    assert venue.io.histogram.sum() == 100 == venue.counters["rx_frames"]
    assert counters.quantile(venue.io.histogram, 0.5) > 0


def story() -> str:
    """A short day that passes through every kernel; a digest of all that left."""
    venue = Venue(accounts=["ALPHA", {"name": "BETA", "cancel_on_disconnect": True}],
                  end_interval_ns=1000, tx_frames=128)
    venue.login("ALPHA", requested=1)
    venue.login("BETA")
    for n in range(1, 9):
        venue.send("ALPHA", [enter(n, b"B", 100 + n, 10000 + n)])
        venue.send("BETA", [enter(n, b"S", 70, 10003)], pack=2)
    venue.run()
    alpha = venue.clients["ALPHA"]
    venue.payload("ALPHA", mold(alpha.token, 12, [b"U" + enter(12), b"", b"?", b"U"]))
    venue.payload("ALPHA", mold(alpha.token, 9, [b"U" + enter(9)]), checksum=False, vlan=0xA000)
    venue.payload("ALPHA", mold(alpha.token, 13, [b"U" + enter(13)]), vlan=5)
    venue.payload("ALPHA", mold(alpha.session, 1, [], 5))
    venue.payload("ALPHA", mold("ABCDEFGHIJ", 0, [b"L" + b" " * 46]))
    venue.payload("ALPHA", mold(alpha.token, 9, [b"x"])[:-1])
    venue.datagram("1.2.3.4", 5, bytes(20))
    venue.run()
    venue.advance(1_000_001)
    venue.run()
    venue.tell(kind=shared.LINK_REFUSE, token="WHO0000001", ip=1, udp_port=2, reason=65)
    venue.payload("BETA", mold(venue.clients["BETA"].token, 9, [b"O"]))
    venue.advance(1_000_000_000)
    venue.run()
    venue.tell(kind=shared.LINK_END_DAY)
    for _ in range(4):
        venue.run()
        venue.advance(1000)
    left = hashlib.sha256(b"".join(sent.raw for sent in venue.sent)).hexdigest()
    counted = {name: count for name, count in venue.counters.items() if name != "polls_empty"}
    checksum = int(venue.core.journal.header[0]["checksum"])
    return f"{left} {checksum:08x} {sorted(counted.items())}"


def test_the_plain_twins_do_the_same_to_the_last_byte():
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c",
         "from tests.hot.test_burst import story; print(story())"],
        cwd=ROOT, env=dict(os.environ, NUMBA_DISABLE_JIT="1"), capture_output=True, text=True,
        timeout=1800)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.strip() == story()
