"""Where the real modules take clock, disk, network and chance from: put there for one world.

The journal's modules call the operating system by the name `os`, the client library the network by
the names `socket` and `select`, and both the clock by `time`. In here these names mean the world's.
"""

import contextlib
import functools
import random
import threading
from types import SimpleNamespace

from appliance.client import feed, session
from appliance.control import salvage
from appliance.journal import scan, segments, snapshot_file, watermark, writer
from appliance.journal.writer import Writer
from appliance.stages import journal as stage

from .disk import Locks, Stream
from .timeline import Clock
from .wires import Sockets

SEGMENT_SZ = 24 << 10            # so small that a run has several


class Prompt(threading.Thread):
    """A thread that is done before `start` returns."""

    def start(self):
        """Runs."""
        self.run()

    def is_alive(self):
        """It has ended."""
        return False

    def join(self, timeout=None):
        """It has ended."""


def _swaps(world):
    """(module, name, what it means in this world)."""
    disk, clock, sockets = world.disk, Clock(world.timeline), Sockets(world.net)
    secret = SimpleNamespace(choice=random.Random(world.result.seed ^ 0x5EC).choice)
    made = functools.partial(_open_writer, world.canary.writer(Writer), clock)
    return [
        *((module, "os", disk) for module in (segments, writer, watermark, scan, snapshot_file)),
        (snapshot_file, "open", lambda path, mode, **_: Stream(disk, path, mode)),
        (segments, "threading", SimpleNamespace(Thread=Prompt)), (writer, "time", clock),
        (watermark, "fcntl", Locks), (watermark, "boot_id", lambda: disk.boot),
        (stage, "time", clock), (stage, "Writer", made),
        (salvage, "region", world.region), (salvage, "time", clock),
        (session, "socket", sockets), (session, "select", sockets), (session, "secrets", secret),
        (feed, "socket", sockets), (feed, "select", sockets), (feed, "join", sockets.join),
        *world.canary.patches()]


def _open_writer(kind, clock, directory, genesis, instance, **options):
    return kind(directory, genesis, instance, **options | {
        "segment_sz": SEGMENT_SZ, "wall_ns": clock.time_ns})


@contextlib.contextmanager
def installed(world):
    """As long as the block lasts."""
    swaps = _swaps(world)
    before = [(module, name, module.__dict__.get(name)) for module, name, _ in swaps]
    for module, name, value in swaps:
        setattr(module, name, value)
    try:
        yield world
    finally:
        for module, name, value in before:
            if value is None:
                delattr(module, name)
            else:
                setattr(module, name, value)
