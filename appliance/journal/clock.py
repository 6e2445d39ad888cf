"""clock.csv: how good the wall clock was during the day, as the kernel knew it (adjtimex(2)).

    Recorder(folder).start()                 journal@p: a line now, then each EVERY_S, in a thread
    Clock.load(folder).at(utc_ns)            a Reading, or UNKNOWN

A reading speaks for the time from it on until the next one, STALE_NS at most: where nobody wrote
one, the state is "unknown". The file is no part of the journal: no checksum covers it, nothing is
replayed from it, and a journal without it is whole.
"""

import bisect
import contextlib
import csv
import ctypes
import os
import threading
import time
from typing import NamedTuple

NAME = "clock.csv"
EVERY_S = 60.0
STALE_NS = 180 * 10**9
_TIME_ERROR, _STA_UNSYNC, _STA_NANO = 5, 0x40, 0x2000     # linux/timex.h
_STATES = {True: "synchronised", False: "not synchronised"}


class Reading(NamedTuple):
    """A line of the file; nanoseconds. `offset_ns` is the clock's as the kernel still corrects it,
    `error_ns` its greatest possible error, `estimated_ns` its estimated one."""

    wall_ns: int
    monotonic_ns: int
    state: str
    offset_ns: int | None
    error_ns: int | None
    estimated_ns: int | None
    tai_s: int | None


UNKNOWN = Reading(0, 0, "unknown", None, None, None, None)


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2)."""

    _fields_ = ([("modes", ctypes.c_uint)]
                + [(name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")]
                + [("status", ctypes.c_int)]
                + [(name, ctypes.c_long) for name in ("constant", "precision", "tolerance", "sec",
                                                      "usec", "tick", "ppsfreq", "jitter")]
                + [("shift", ctypes.c_int)]
                + [(name, ctypes.c_long) for name in ("stabil", "jitcnt", "calcnt", "errcnt",
                                                      "stbcnt")]
                + [("tai", ctypes.c_int), ("rest", ctypes.c_int * 11)])


_libc = ctypes.CDLL(None, use_errno=True)
_libc.adjtimex.argtypes = (ctypes.POINTER(_Timex),)


def reading() -> Reading:
    """The clock now. It changes nothing and needs no right; "unknown" where the kernel says no."""
    timex = _Timex()
    answer = _libc.adjtimex(timex)
    wall_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
    if answer < 0:
        return UNKNOWN._replace(wall_ns=wall_ns, monotonic_ns=monotonic_ns)
    good = answer != _TIME_ERROR and not timex.status & _STA_UNSYNC
    return Reading(wall_ns, monotonic_ns, _STATES[good],
                   timex.offset * (1 if timex.status & _STA_NANO else 1000),
                   timex.maxerror * 1000, timex.esterror * 1000, timex.tai)


class Recorder:
    """Appends readings to a folder's file; a disk that does not take one costs that line only."""

    def __init__(self, directory, every_s=EVERY_S, read=reading):
        self.path, self.every_s, self.read = os.path.join(directory, NAME), every_s, read
        self._over = threading.Event()

    def start(self) -> None:
        """A line now and one each every_s, from a thread that ends with the process or `stop`."""
        threading.Thread(target=self._run, name="clock", daemon=True).start()

    def stop(self) -> None:
        """No more lines."""
        self._over.set()

    def _run(self):
        while True:
            with contextlib.suppress(OSError):
                self.write()
            if self._over.wait(self.every_s):
                return

    def write(self) -> None:
        """One line, at the end of the file; the header where it is new. OSError."""
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            size = os.fstat(fd).st_size
            text = "" if size else ",".join(Reading._fields) + "\n"
            if size and os.pread(fd, 1, size - 1) != b"\n":     # a write that was cut off
                text = "\n"
            row = ("" if value is None else str(value) for value in self.read())
            os.write(fd, (text + ",".join(row) + "\n").encode("ascii"))
        finally:
            os.close(fd)


class Clock:
    """Readings of a day, oldest first."""

    def __init__(self, readings=()):
        self.readings = sorted(readings)
        self._walls = [each.wall_ns for each in self.readings]

    @classmethod
    def load(cls, directory) -> "Clock":
        """Of a journal's folder; empty where nobody wrote any. Lines that are no readings, such as
        one that was cut off, are passed over."""
        try:
            with open(os.path.join(directory, NAME), newline="", encoding="latin-1") as file:
                rows = list(csv.reader(file))
        except FileNotFoundError:
            return cls()
        return cls(filter(None, map(_parsed, rows)))

    def at(self, utc_ns: int) -> Reading:
        """The newest reading at or before that time; UNKNOWN where there is none, or it is old."""
        place = bisect.bisect_right(self._walls, utc_ns) - 1
        if place < 0 or utc_ns - self._walls[place] > STALE_NS:
            return UNKNOWN
        return self.readings[place]


def _parsed(row):
    if len(row) != len(Reading._fields) or row[2] not in (*_STATES.values(), UNKNOWN.state):
        return None
    try:
        return Reading(int(row[0]), int(row[1]), row[2], *(
            int(value) if value else None for value in row[3:]))
    except ValueError:
        return None
