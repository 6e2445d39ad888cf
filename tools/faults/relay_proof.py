"""The relay's account beside what arrived: numbered datagrams both ways through a path of its own.

Every datagram carries its number and is a frame of its own, so the fate in the log says how often
it must arrive: not at all, once or twice; the receiver's kernel must throw away what was flipped or
truncated. The frames' numbers are those of the datagrams, since nothing else is on the path.
"""

import socket
import time

import numpy as np

from tools import netns
from tools.faults.relay import Relay
from tools.faults.relay_way import FATES, Faults

LEFT, RIGHT, UDP_PORT = "10.78.0.1", "10.78.0.2", 45000
USUAL = Faults(drop=0.05, duplicate=0.05, reorder=0.05, flip=0.01, truncate=0.005, delay=0.02)
SIZE, BURST, PATIENCE_S = 64, 256, 20.0
_SO_RCVBUFFORCE = 33


class End:
    """A socket of one end; `times[n]` is how often datagram n has come."""

    def __init__(self, namespace, ip, other_ip, frames):
        with namespace.entered():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 28)
        self.sock.bind((ip, UDP_PORT))
        self.sock.connect((other_ip, UDP_PORT))
        self.times, self.strange = np.zeros(frames, np.int64), 0

    def send(self, first, count):
        """Datagrams from number `first` on."""
        for number in range(first, first + count):
            self.sock.send(number.to_bytes(8, "big").ljust(SIZE, b"."))

    def take(self):
        """Everything that has arrived; how many."""
        taken = 0
        while True:
            try:
                data = self.sock.recv(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return taken
            taken += 1
            number = int.from_bytes(data[:8], "big")
            if len(data) == SIZE and number < len(self.times) and data[8:] == b"." * (SIZE - 8):
                self.times[number] += 1
            else:
                self.strange += 1


def prove(frames: int, seed: int, there=None, back=None) -> dict:
    """`frames` datagrams each way; the account. RuntimeError when anything differs."""
    there, back = (USUAL if each in (None, Faults()) else each for each in (there, back))
    with netns.Namespace() as left, netns.Namespace() as middle, netns.Namespace() as right:
        devices = netns.relayed_pair(left, "c0", LEFT, middle, right, "x0", RIGHT)
        ends = [End(left, LEFT, RIGHT, frames), End(right, RIGHT, LEFT, frames)]
        with Relay(middle, *devices, there, back, seed, frames) as relay:
            begun = time.monotonic()
            for first in range(0, frames, BURST):
                for end in ends:
                    end.send(first, min(BURST, frames - first))
                for end in ends:
                    end.take()
            _until(relay, ends, frames)
            spent = time.monotonic() - begun
            logs, counts = relay.logs, relay.stop()
        for end in ends:
            end.take()
            end.sock.close()
    for way, end in enumerate(reversed(ends)):
        _compare(("there", "back")[way], logs[way], end)
    return {"seed": seed, "count": 2 * frames, "verdict": "complete", "ways": counts,
            "frames_per_second": round(2 * frames / spent)}


def _until(relay, ends, frames):
    """Everything has gone through."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        counts = relay.counts
        taken = sum(end.take() for end in ends)
        if all(row["received"] + row["overrun"] >= frames and not row["held"]
               for row in counts.values()) and not taken:
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"after {PATIENCE_S:.0f} s: {counts}")
        time.sleep(0.01)


def _compare(way, log, end):
    """What arrived is what the log says. RuntimeError names the first datagram that differs."""
    def was(name):
        return (log >> FATES.index(name) & 1).astype(bool)

    gone = was("blocked") | was("dropped") | was("flipped") | was("truncated") | was("too_long")
    wanted = np.where(gone, 0, 1 + was("duplicated"))
    wrong = np.flatnonzero(end.times != wanted)
    if len(wrong) or end.strange:
        raise RuntimeError(
            f"{way}: {len(wrong)} datagrams differ" + (
                f", the first is number {wrong[0]}: it came {end.times[wrong[0]]} times, its log "
                f"says {wanted[wrong[0]]}" if len(wrong) else "")
            + f"; {end.strange} came that were never sent so")
