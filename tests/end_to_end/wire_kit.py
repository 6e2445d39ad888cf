"""Faults on the wire, made for real, and a ledger of every counter that may name one.

    ledger = Ledger(place)
    with halted(place.pid("matcher@0")):   ...
    ledger.until(lambda moved: moved.sockets[0]["rx_dropped"] == 36)
"""

import contextlib
import os
import re
import signal
import socket
import struct
import time
from pathlib import Path
from typing import NamedTuple

from appliance.layout.shared import COUNTER_INDEX
from appliance.native import lib
from appliance.shm import steer
from appliance.shm.umem import XSK_STATISTICS
from tests.end_to_end.place import counts
from tools.record import checksum

PATIENCE_S, SO_NO_CHECK, UDP_SZ = 60.0, 11, 8
ORDERS, SKIPPED = COUNTER_INDEX["orders"], COUNTER_INDEX["messages_skipped"]


@contextlib.contextmanager
def halted(pid):
    """The process stands still inside the block, every thread of it; then it goes on."""
    os.kill(pid, signal.SIGSTOP)
    try:
        until = time.monotonic() + PATIENCE_S
        while any(path.read_text().rpartition(")")[2].split()[0] != "T"
                  for path in Path(f"/proc/{pid}/task").glob("*/stat")):
            assert time.monotonic() < until, f"process {pid} does not stop"
            time.sleep(0.001)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Moved(NamedTuple):
    """By how much counters have grown: the program's reasons, the device's own, each partition's
    matcher's and sockets'."""

    program: dict
    device: dict
    matchers: list
    sockets: list

    @property
    def taken(self):
        """Frames that matchers took, or that the kernel counted as lost on the way to them."""
        return (sum(found["rx_frames"] for found in self.matchers)
                + sum(found["rx_dropped"] + found["rx_ring_full"] for found in self.sockets))


class Ledger:
    """All counters as they were when it was made, portd's too, which publishes ten times a second:
    no frame was between the program and a matcher. So no matcher may have been replaced."""

    def __init__(self, place):
        self.place, self.before = place, self._read(place)
        deadline = time.monotonic() + PATIENCE_S
        while self.before[0]["redirected"] != Moved(*self.before).taken:
            assert time.monotonic() < deadline, self.before
            time.sleep(0.02)
            self.before = self._read(place)

    @staticmethod
    def _read(place):
        regions = [place.regions(p) for p in range(place.count)]
        status, rows = regions[0]("portd_status")[0], regions[0]("port_status")
        return (dict(zip(steer.REASONS, status["reasons"].tolist(), strict=False)),
                device_counters(place.scene.appliance, "wm0"),
                [counts(attach("counters")) for attach in regions],
                [dict(zip(XSK_STATISTICS, rows[p]["statistics"].tolist(), strict=True))
                 for p in range(place.count)])

    def moved(self) -> Moved:
        """What has been counted since then, as published by now."""
        now = self._read(self.place)
        return Moved(*(
            [_less(a, b) for a, b in zip(new, old, strict=True)] if isinstance(new, list)
            else _less(new, old) for new, old in zip(now, self.before, strict=True)))

    def until(self, condition, patience_s=PATIENCE_S) -> Moved:
        """Waits until condition(moved) holds; what had moved then."""
        deadline = time.monotonic() + patience_s
        while not condition(moved := self.moved()):
            assert time.monotonic() < deadline, moved
            time.sleep(0.02)
        return moved


def _less(new, old):
    return {name: new[name] - old[name] for name in new}


def device_counters(namespace, device) -> dict:
    """Packets, errors and drops of a device, as the kernel counts them."""
    line = next(line for line in namespace.run("cat", "/proc/net/dev").splitlines()
                if line.strip().startswith(device))
    words = [int(word) for word in line.partition(":")[2].split()]
    return {"rx_packets": words[1], "rx_dropped": words[3], "tx_packets": words[9],
            "tx_dropped": words[11]}


def alarm(place, kind) -> str:
    """The text of the alarm of that kind; waits for it."""
    return place.until(lambda content: next(
        (row["text"] for row in content["alarms"] if row["kind"] == kind), None))


def accepted_once(place, session, numbers) -> int:
    """Polls until every order on the first partition was accepted: once, none rejected, nothing
    missing. How many the host gave up, counted: a machine may keep a process from its core for so
    long that it answers no gap request within gap_hold_us."""
    counters, deadline, seen = place.regions()("counters"), time.monotonic() + PATIENCE_S, []
    while len(seen) + counters[SKIPPED] < len(numbers) or session.stream.missing():
        assert time.monotonic() < deadline, (len(seen), session.counts, counts(counters))
        for answer in session.poll(0.02):
            assert answer.letter != "J", answer
            seen += [answer.get("user_ref_num")] * (answer.letter == "A")
    assert len(seen) == len(set(seen)) and set(seen) <= set(numbers)
    return len(numbers) - len(seen)


def taken_up(place, count, *sessions) -> None:
    """Polls the sessions until the first partition has accepted or given up so many orders."""
    counters, deadline = place.regions()("counters"), time.monotonic() + PATIENCE_S
    while counters[ORDERS] + counters[SKIPPED] < count:
        assert time.monotonic() < deadline, counts(counters)
        for session in sessions:
            session.poll(0.01)


def caught_up(place, feed) -> None:
    """Polls a subscriber until it has every message of the first partition's feed."""
    log, deadline = place.regions()("feed_log"), time.monotonic() + PATIENCE_S
    while feed.expected < int(log[0]["next_seq"]):
        assert time.monotonic() < deadline, feed.statistics()
        feed.poll(0.05)


def unsent(session, count, symbol, price) -> list:
    """`count` orders that the session believes it has sent; their packets."""
    packets, session._transmit = [], lambda packet: packets.append(packet)
    try:
        for _ in range(count):
            session.enter("B", 1, symbol, price)
    finally:
        del session._transmit
    return packets


def without_checksums(*sessions) -> None:
    """Their datagrams say that they have no checksum, so no offload can leave it unfinished."""
    for session in sessions:
        session.sock.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)


def right_by_chance(place, session, packets) -> int:
    """How many of the session's datagrams have a checksum that is right although an offload has
    left it unfinished, with the addresses' sum in its place: one in 65,536."""
    ours = session.sock.getsockname()
    addresses = b"".join(map(socket.inet_aton, (ours[0], place.scene.ip)))

    def is_right(packet):
        size = len(packet) + UDP_SZ
        pseudo = addresses + struct.pack(">BBH", 0, socket.IPPROTO_UDP, size)
        head = struct.pack(">HHHH", ours[1], place.scene.order_port, size,
                           0xFFFF ^ checksum(pseudo))
        return checksum(pseudo + head + packet) == 0

    return sum(map(is_right, packets))


def offloads(place, **settings) -> None:
    """ethtool -K on the market's device: offloads(place, tx="on")."""
    words = [word for name, value in settings.items() for word in (name.replace("_", "-"), value)]
    place.scene.outside.run("ethtool", "-K", "wm1", *words)


def raw_socket(place):
    """An AF_PACKET socket on the market's device."""
    with place.scene.market():
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("wm1", 0))
    place.opened.append(raw)
    return raw


def lost_on_the_way(place) -> int:
    """Frames of the kernel's generator that the appliance's end of the pair had no room for, by the
    sending device's own count: they never came to the program."""
    return sum(int(value) for value in re.findall(
        r"tx_queue_\d+_xdp_xmit_errors: (\d+)",
        place.scene.outside.run("ethtool", "-S", "wm1")))
