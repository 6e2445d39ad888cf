"""The launcher's side of a partition's journal@p: started first, ended last, watched in between.

`start` opens the day's journal before the matcher is started; `drain` lets it copy what a matcher
that has ended left in the ring, so that the next one finds everything in the files. A journal@p
that was killed is started again on the same ring. One whose disk has failed stops its partition.
"""

import time

from ..host import cores
from ..layout import shared
from ..shm import region
from ..stages.journal import FAILED_CODE
from . import children
from .alarms import of_partition
from .launch import LaunchError

OPEN_S, DRAIN_S = 600.0, 60.0        # a whole day is read and checked; a slow disk takes its time
DRAINS_MAX = 3                       # attempts, when it is killed meanwhile
LATE_MS, HANG_MS = 1000, 10_000
DEATHS_MAX, DEATHS_S = 5, 10.0


class JournalSide:
    """One partition's journal through one instance of its matcher."""

    def __init__(self, part, level, alarms):
        self.part, self.level, self.child = part, level, None
        self.sound = lambda kind, text: alarms.sound(kind, text, of_partition(part.idx))
        self.row = region.attach(part.blocks["journal_status"])[0]
        self.header = region.attach(part.blocks["journal_header"])[0]
        self.is_late = self.was_full = False
        self.deaths = []

    def start(self, forkserver, arguments, core_map) -> int:
        """Opens the day's journal; the instance of its session names. LaunchError when it fails."""
        self.forkserver, self.arguments, self.core_map = forkserver, arguments, core_map
        self._fork()
        self._await_open()
        return int(self.row["name_instance"])

    def _fork(self):
        self.silence = children.Silence()
        self.child = self.forkserver.fork("journal", f"journal@{self.part.idx}", self.arguments,
                                          self.core_map.rest, cores.YIELD)

    def _await_open(self):
        deadline = time.monotonic() + OPEN_S
        while int(self.row["state"]) not in (shared.JOURNAL_OPEN, shared.JOURNAL_FULL) \
                or int(self.row["pid"]) != self.child.pid:
            if self.child.ended():
                raise LaunchError(f"{self.child.name} did not open its journal "
                                  f"({self.child.how()}): see its words above")
            if time.monotonic() > deadline:
                raise LaunchError(f"{self.child.name} has not opened its journal within "
                                  f"{OPEN_S:.0f} s; see its folder")
            time.sleep(0.001)

    @property
    def has_failed(self) -> bool:
        """Whether its disk failed: nothing becomes durable any more."""
        return self.child.ended() and self.child.code == FAILED_CODE

    def drain(self, patience_s=DRAIN_S) -> bool:
        """After the matcher's end: all of the ring in the files, and they closed. False when that
        cannot be; the alarm says so."""
        name = f"journal@{self.part.idx}"
        for _ in range(DRAINS_MAX):
            if not self.child.ended():
                self.child.signal(15)
                if not self.child.wait(patience_s):
                    children.end(self.child, 0.0)
            if self.child.code == 0 and not self.left:
                return True
            if self.has_failed:
                break
            try:
                self._fork()
                self._await_open()
            except LaunchError as error:
                self.sound("journal-failed", f"{error}")
                break
        self.sound("journal-failed", f"{name} could not save {self.left} commands of the "
                          f"ring ({self.child.how()}): see its words above")
        return False

    @property
    def left(self) -> int:
        """Commands of the ring that are in no file."""
        return max(0, int(self.header["ready_seq"]) - int(self.row["copied_seq"]))

    def look(self, now, can_fork=True) -> bool:
        """Starts it again when it is gone, tells what it meets; False when the partition must stop.
        """
        name, row = f"journal@{self.part.idx}", self.row
        if self.child.ended():
            if self.has_failed:
                return False
            if can_fork:
                self.deaths = [*(t for t in self.deaths if now - t < DEATHS_S), now]
                if len(self.deaths) > DEATHS_MAX:
                    return False
                self.sound("journal-died", f"{name} is gone ({self.child.how()}) with "
                                  f"{self.left} commands to copy; it is started again, nothing is "
                                  "lost")
                self._fork()
            return True
        full = int(row["state"]) == shared.JOURNAL_FULL
        if full and not self.was_full:
            self.sound("journal-full", f"{name} has no room for another segment; partition "
                              f"{self.part.idx} takes orders until its ring is full, then none; "
                              "make room and it goes on by itself")
        self.was_full = full
        return self._watch_silence(name)

    def _watch_silence(self, name):
        silent_ms = self.silence.look(int(self.row["heartbeat_ns"])) * 1000
        if silent_ms > LATE_MS and not self.is_late:
            self.sound("journal-late", f"{name} has not looked at its ring for "
                              f"{silent_ms:.0f} ms ({children.whereabouts(self.child.pid)}); a "
                              "slow disk, or a halted process")
        self.is_late = silent_ms > LATE_MS
        if silent_ms > HANG_MS and not self.child.doomed:
            if children.waits_in_kernel(self.child.pid):
                self.silence.forgive()
            else:
                children.end_hung(self.child)
        return True

    def content(self) -> dict:
        """Its part of status.json."""
        row = self.row
        names = ("copied_seq", "durable_seq", "begin_seq", "cut_bytes", "sync_cnt", "block_cnt",
                 "byte_cnt", "segment")
        return {"level": self.level, "state": shared.JOURNAL_STATES[int(row["state"])],
                **{name: int(row[name]) for name in names}, "lost_tail": bool(row["lost_tail"]),
                "sync_us": int(row["sync_ns"]) // 1000,
                "sync_max_us": int(row["sync_max_ns"]) // 1000, "left": self.left}
