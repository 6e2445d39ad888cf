"""Feed B by an interface of its own: the same messages as A, by a real socket; what that does not
take delays or is counted, and never touches A or an acknowledgement."""

import contextlib
import errno
import os
import socket
import subprocess
import sys

import pytest
from numba import config

from appliance.hot import burst, idle, io_state, twin
from appliance.hot import port_state as ps
from appliance.hot.io_state import ip_number
from appliance.layout import shared
from tests.hot.harness import Venue, blocks_of, mold
from tests.hot.test_session import enter
from tests.shared_data import ROOT

SECOND, NOBODY = 1_000_000_000, "255.255.255.255"        # sending there is refused (EACCES)


class Twin(Venue):
    """A venue whose feed B goes to a socket here, `heard`; ALPHA and BETA are logged in."""

    def __init__(self, **options):
        self.stack = contextlib.ExitStack()
        self.heard, self.out = (self.stack.enter_context(
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2))
        self.heard.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self.heard.bind(("127.0.0.1", 0))
        self.heard.setblocking(False)
        super().__init__(feed_ip_b="127.0.0.1", feed_port_b=self.heard.getsockname()[1],
                         opened=False, **options)
        self.port.state[ps.TWIN_FD], self.port.state[ps.TWIN_SEGMENTED] = self.out.fileno(), 1
        self.tell_start()

    def tell_start(self):
        self._clock()
        burst.start_day(self.core, self.port, self.io, self.params)
        self.run()
        for name in self.clients:
            self.login(name)

    def orders(self, first, count, pack=20):
        self.send("ALPHA", [enter(n) for n in range(first, first + count)], pack=pack)
        return self.run()

    def hear(self):
        """B's payloads so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.feed_payloads["B"].append(self.heard.recv(65536))
        return self.feed_payloads["B"]

    def to(self, ip):
        """B's packets go to this address from now on."""
        self.params[0]["feed_ip_b"] = ip_number(ip)


@pytest.fixture
def venue():
    with contextlib.ExitStack() as undo:
        def make(**options):
            made = Twin(**options)
            undo.callback(made.stack.close)
            return made
        yield make


@pytest.mark.parametrize("segmented", [1, 0])
def test_b_carries_what_a_carries_and_a_leaves_alone(venue, segmented):
    made = venue()
    made.port.state[ps.TWIN_SEGMENTED] = segmented
    for round in range(6):
        targets = {sent.target for sent in made.orders(1 + 600 * round, 600)}
        assert made.heard.getsockname() not in targets
    made.hear()
    assert made.feed_messages("B") == made.feed_messages("A")
    assert max(map(len, made.feed_payloads["B"])) > 1400
    assert all(len(payload) <= 1472 for payload in made.feed_payloads["B"])
    assert made.counters["twin_packets"] == len(made.feed_payloads["B"])
    assert made.counters["twin_lost"] == made.counters["twin_full"] == 0
    assert made.port.state[ps.TWIN_SEGMENTED] == segmented, "the kernel cannot segment"
    assert made.core.feed.log[0]["twin_seq"] == made.core.feed.log[0]["next_seq"]


def test_messages_of_all_sizes_arrive_whole(venue):
    made = venue()
    first = 1
    for size in (*range(1, 30), *range(100, 60, -3)):
        made.send("ALPHA", [enter(first + n, b"BSS"[n % 3:n % 3 + 1]) for n in range(size)],
                  pack=20)
        made.run()
        first += size
    made.hear()
    assert made.feed_messages("B") == made.feed_messages("A")
    assert len({len(payload) for payload in made.feed_payloads["B"]}) > 10


def test_heartbeats_and_ends_of_session_are_said_on_b_too(venue):
    made = venue(end_interval_ns=1000)
    made.orders(1, 3)
    made.hear().clear()
    made.advance(SECOND)
    made.run()
    assert made.hear() == [mold(made.feed_name, int(made.core.feed.log[0]["next_seq"]), [])]
    made.tell(kind=shared.LINK_END_DAY)
    for _ in range(6):
        made.run()
        made.advance(1000)
    ends = [payload for payload in made.hear() if payload[18:20] == b"\xff\xff"]
    assert len(ends) == 3 and blocks_of(ends[0])[1] == int(made.core.feed.log[0]["next_seq"])


def test_a_lost_interface_costs_b_alone_and_is_counted(venue):
    made = venue()
    made.orders(1, 100)
    made.to(NOBODY)
    first = int(made.core.feed.log[0]["next_seq"])
    made.orders(101, 100)
    acks, messages = len(made.acks("ALPHA")), len(made.feed_messages("A"))
    assert (acks, messages) == (200, int(made.core.feed.log[0]["next_seq"]) - 1)
    made.advance(twin._GONE_NS)
    made.orders(201, 10)
    assert made.counters["twin_lost"] == 110
    made.to("127.0.0.1")
    made.orders(211, 10)
    made.advance(twin._GONE_NS)
    made.orders(221, 10)
    made.hear()
    numbers = [n for payload in made.feed_payloads["B"] for _, seq, count, _ in [blocks_of(payload)]
               if count < 0xFFFF for n in range(seq, seq + count)]
    last = int(made.core.feed.log[0]["next_seq"])
    assert numbers == [*range(1, first), *range(first + 110, last)], "not what was counted"
    assert len(made.acks("ALPHA")) == 230 and len(made.feed_messages("A")) == last - 1


def test_a_heartbeat_to_nobody_is_no_message_lost(venue):
    made = venue()
    made.to(NOBODY)
    made.advance(SECOND)
    made.run()
    assert made.counters["twin_lost"] == 0


def test_nothing_leaves_where_nothing_is_to_leave(venue):
    made = venue()
    made.hear().clear()
    made.port.state[ps.TX_NULL] = 1
    made.drain = False
    made.orders(1, 50)
    assert made.hear() == [] and made.counters["twin_packets"] > 0
    assert made.core.feed.log[0]["twin_seq"] == made.core.feed.log[0]["next_seq"]


def end_day(made, passes=6, step_ns=1000):
    """The end of the day, in passes `step_ns` apart; the ends of session that B said."""
    made.tell(kind=shared.LINK_END_DAY)
    for _ in range(passes):
        made.run()
        made.advance(step_ns)
    return ends_of(made)


def ends_of(made):
    return [payload for payload in made.hear() if payload[18:20] == b"\xff\xff"]


def ended(made):
    return burst.ended(made.core, made.io)


def test_a_lost_interface_holds_the_end_of_the_day_a_second_and_is_counted(venue):
    made = venue(end_interval_ns=1000)
    made.orders(1, 10)
    made.to(NOBODY)
    assert end_day(made) == [] and not ended(made)
    assert made.io.words[io_state.FEED_ENDED_CNT] == idle.END_COPIES, "A waits for B"
    made.advance(idle._PATIENCE_NS - SECOND // 10)
    made.run()
    assert not ended(made) and made.counters["twin_unended"] == 0
    made.advance(SECOND // 10)
    made.run()
    assert ended(made) and made.counters["twin_unended"] == 1
    made.advance(10 * SECOND)
    made.to("127.0.0.1")
    assert made.run() == [] and ends_of(made) == []


def test_an_interface_that_comes_back_in_time_is_told_the_end(venue):
    made = venue(end_interval_ns=1000)
    made.orders(1, 10)
    made.to(NOBODY)
    end_day(made)
    made.to("127.0.0.1")
    made.advance(twin._GONE_NS)
    for _ in range(4):
        made.run()
        made.advance(1000)
    assert len(ends_of(made)) == 3 and ended(made) and made.counters["twin_unended"] == 0


def test_a_day_with_all_its_feed_on_the_port_waits_for_nobody(venue):
    made = venue(end_interval_ns=1000)
    made.port.state[ps.TWIN_FD] = 0
    assert end_day(made) == [] and ended(made) and made.counters["twin_unended"] == 0


without_compiler = pytest.mark.skipif(
    not config.DISABLE_JIT, reason="compiled code cannot be given another kernel or another gate; "
    "test_the_same_without_the_compiler comes here")


@without_compiler
class TestAnswersOfTheKernel:
    def script(self, monkeypatch, *answers):
        """The next calls leave so many packets and end with so many errors."""
        plan, real, calls = list(answers), twin._feed_tx, []

        def answer(fd, ip, udp_port, log, packets, count, segmented, error):
            calls.append((count, segmented))
            if not plan:
                return real(fd, ip, udp_port, log, packets, count, segmented, error)
            allowed, number = plan.pop(0)
            sent = real(fd, ip, udp_port, log, packets, min(count, allowed), segmented, error)
            if number:
                import ctypes
                ctypes.c_int64.from_address(int(error)).value = -number
            return sent
        monkeypatch.setattr(twin, "_feed_tx", answer)
        return calls

    @pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
    def test_a_full_socket_delays_and_loses_nothing(self, venue, monkeypatch, number):
        made = venue()
        calls = self.script(monkeypatch, (1, number), (0, number))
        made.orders(1, 300)
        assert len(calls) == 1, "tried again at once"
        assert len(made.feed_messages("A")) == int(made.core.feed.log[0]["next_seq"]) - 1
        for _ in range(2):
            made.advance(twin._FULL_NS)
            made.run()
        made.hear()
        assert made.feed_messages("B") == made.feed_messages("A")
        assert made.counters["twin_full"] == 2 and made.counters["twin_lost"] == 0

    @pytest.mark.parametrize("full", [1, 2, 5])
    def test_a_full_socket_delays_the_end_of_b_and_of_the_day(self, venue, monkeypatch, full):
        made = venue(end_interval_ns=1000)
        made.orders(1, 3)
        self.script(monkeypatch, *[(0, errno.EAGAIN)] * full)
        assert end_day(made) == [] and not ended(made)
        for _ in range(full + 3):
            made.advance(twin._FULL_NS)
            made.run()
        ends = ends_of(made)
        assert len(ends) == 3 and blocks_of(ends[0])[1] == int(made.core.feed.log[0]["next_seq"])
        assert ended(made) and made.counters["twin_unended"] == made.counters["twin_lost"] == 0

    def test_messages_come_before_the_end_however_late(self, venue, monkeypatch):
        made = venue(end_interval_ns=1000)
        self.script(monkeypatch, *[(1, errno.EAGAIN)] * 6)
        made.orders(1, 300)
        assert end_day(made) == [] and not ended(made)
        for _ in range(12):
            made.advance(twin._FULL_NS)
            made.run()
        assert len(ends_of(made)) == 3 and ended(made)
        assert made.feed_messages("B") == made.feed_messages("A")

    def test_a_socket_that_stays_full_is_given_up_with_its_messages(self, venue, monkeypatch):
        made = venue(end_interval_ns=1000)
        self.script(monkeypatch, *[(0, errno.EAGAIN)] * 1000)
        seq = int(made.core.feed.log[0]["twin_seq"])
        made.orders(1, 50)
        end_day(made)
        made.advance(idle._PATIENCE_NS)
        made.run()
        assert ended(made) and made.counters["twin_unended"] == 1
        assert made.counters["twin_lost"] == int(made.core.feed.log[0]["next_seq"]) - seq > 50

    def test_what_the_log_forgets_meanwhile_is_counted(self, venue, monkeypatch):
        made = venue(sizes=dict(feed_bytes=1 << 12, feed_messages=1 << 7))
        self.script(monkeypatch, (0, errno.EAGAIN))
        for batch in range(5):
            made.orders(1 + 60 * batch, 60)
        made.advance(twin._FULL_NS)
        made.run()
        numbers = [n for payload in made.hear() for _, seq, count, _ in [blocks_of(payload)]
                   for n in range(seq, seq + count)]
        last = int(made.core.feed.log[0]["next_seq"])
        assert numbers == sorted(set(numbers)) and numbers[-1] == last - 1
        assert made.counters["twin_lost"] == last - 1 - len(numbers) > 100

    @pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EOPNOTSUPP])
    def test_a_kernel_that_cannot_segment_gets_single_packets(self, venue, monkeypatch, number):
        made = venue()
        calls = self.script(monkeypatch, (0, number))
        made.orders(1, 300)
        made.hear()
        assert made.feed_messages("B") == made.feed_messages("A")
        assert [segmented for _, segmented in calls[:2]] == [1, 0]
        assert made.port.state[ps.TWIN_SEGMENTED] == 0 and made.counters["twin_lost"] == 0

    @pytest.mark.parametrize("number", [errno.ENETDOWN, errno.ENXIO, errno.ENODEV,
                                        errno.ENETUNREACH, errno.EMSGSIZE])
    def test_what_had_left_before_the_interface_was_lost_is_not_counted(self, venue, monkeypatch,
                                                                         number):
        made = venue()
        calls = self.script(monkeypatch, (3, number))
        made.orders(1, 300)
        made.hear()
        left = len(made.feed_messages("B"))
        assert made.counters["twin_lost"] == int(made.core.feed.log[0]["next_seq"]) - 1 - left > 0
        assert len(calls) == 1


def test_the_same_without_the_compiler():
    if config.DISABLE_JIT:
        pytest.skip("this is it")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__,
         __file__.replace("test_twin", "test_twin_gate")], cwd=ROOT,
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0 and "31 passed" in done.stdout, done.stdout[-4000:]
