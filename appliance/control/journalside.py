"""The launcher's side of a partition's journal@p: started first, ended last, watched in between.

It opens the day's journal before the matcher is started, and after a matcher's end it copies what
is left in the ring, so that the next one finds everything in the files. Both take as long as the
disk takes, so nobody waits for them here: `look_opening` and `look_emptying` are asked each tick,
and several partitions open side by side. A journal@p that was killed is started again on the same
ring, after a pause that grows. One whose disk has failed stops its partition.
"""

import time

from ..host import cores
from ..layout import shared
from ..shm import region
from ..stages.journal import FAILED_CODE
from . import children
from .alarms import log, of_partition
from .launch import LaunchError

OPEN_S, DRAIN_S = 600.0, 60.0        # a whole day is read and checked; a slow disk takes its time
UNUSED_S = 2.0                       # for one that is still opening: its ring is empty
OPEN_LATE_S = 5.0                    # then an alarm says so
DRAINS_MAX = 3                       # attempts, when it is killed meanwhile
LATE_MS, HANG_MS = 1000, 10_000
DEATHS_MAX, DEATHS_S = 5, 10.0       # of a journal that was open
SAME_MAX = 5                         # deaths in a row, in one way, of a journal that was opening
PAUSE_S, PAUSE_MAX_S = 0.05, 2.0     # before it is started again; doubled at each death in a row
OPENING, OPEN, EMPTYING, EMPTIED, LOST = "opening", "open", "emptying", "emptied", "lost"


class JournalSide:
    """One partition's journal through one instance of its matcher. `phase` is OPENING, OPEN,
    EMPTYING, then EMPTIED, or LOST when something of the ring is in no file."""

    def __init__(self, part, level, alarms):
        self.part, self.level, self.child, self.phase = part, level, None, OPENING
        self.name = f"journal@{part.idx}"
        self.sound = lambda kind, text: alarms.sound(kind, text, of_partition(part.idx))
        self.row = region.attach(part.blocks["journal_status"])[0]
        self.header = region.attach(part.blocks["journal_header"])[0]
        self.is_late = self.was_full = self.told = False
        self.deaths, self.ways, self.restarts, self.again_s = [], [], 0, 0.0

    def start(self, forkserver, arguments, core_map) -> None:
        """Starts to open the day's journal."""
        self.forkserver, self.arguments, self.core_map = forkserver, arguments, core_map
        self._fork()

    def _fork(self):
        self.silence, self.told, self.again_s = children.Silence(), False, 0.0
        self.child = self.forkserver.fork("journal", self.name, self.arguments,
                                          self.core_map.rest, cores.YIELD)

    @property
    def is_there(self) -> bool:
        """Whether the present process has the journal open."""
        return (int(self.row["state"]) in (shared.JOURNAL_OPEN, shared.JOURNAL_FULL)
                and int(self.row["pid"]) == self.child.pid)

    @property
    def has_failed(self) -> bool:
        """Whether its disk failed: nothing becomes durable any more."""
        return self.child.ended() and self.child.code == FAILED_CODE

    @property
    def left(self) -> int:
        """Commands of the ring that are in no file."""
        return max(0, int(self.header["ready_seq"]) - int(self.row["copied_seq"]))

    def _again(self, now, can_fork, doing) -> None:
        """It is gone: counted once, and started again after its pause."""
        if not self.again_s:
            self.ways.append(self.child.how())
            self.restarts += 1
            pause_s = min(PAUSE_S * 2 ** (len(self.ways) - 1), PAUSE_MAX_S)
            self.again_s = now + pause_s
            self.sound("journal-died", f"{self.name} is gone ({self.child.how()}) {doing}; it is "
                       f"started again in {pause_s:.2f} s, nothing is lost")
        elif now >= self.again_s and can_fork:
            self._fork()

    # -- opening ----------------------------------------------------------------------------------

    def look_opening(self, now, can_fork=True) -> bool:
        """Whether it is open by now. LaunchError when it cannot be: it said that this day cannot go
        on, or died SAME_MAX times in a row in the same way."""
        if self.child.ended():
            if self.has_failed:
                raise LaunchError(f"{self.name} did not open its journal ({self.child.how()}): see "
                                  "its words above")
            same = self.ways[-SAME_MAX + 1:] + [self.child.how()]
            if not self.again_s and len(same) == SAME_MAX and len(set(same)) == 1:
                raise LaunchError(f"{self.name} did not open its journal: it ended {SAME_MAX} "
                                  f"times in the same way ({self.child.how()}); see its words "
                                  "above")
            self._again(now, can_fork, "while it opened its journal")
            return False
        if self.is_there:
            self.phase, self.ways = OPEN, []
            return True
        self._watch_opening(now)
        return False

    def _watch_opening(self, now):
        """Alarms once when opening takes long, and ends what does not come to an end."""
        took_s = now - self.child.started_s
        if took_s > OPEN_LATE_S and not self.is_late:
            self.is_late = True
            self.sound("journal-opening", f"{self.name} has been opening its journal for "
                       f"{took_s:.0f} s ({children.whereabouts(self.child.pid)}): a long day, a "
                       "slow disk, or a halted process; its partition waits for it, the others do "
                       "not")
        if took_s > OPEN_S and not self.child.doomed:
            self.sound("journal-hung", f"{self.name} has not opened its journal within "
                       f"{OPEN_S:.0f} s ({children.end_hung(self.child)}) and was ended; see its "
                       "folder")

    def tell_begin(self) -> None:
        """Once it is open: what it found."""
        row, idx = self.row, self.part.idx
        self.is_late = False
        if row["lost_tail"]:
            self.sound("lost-tail", f"partition {idx}: the machine or its processes went down "
                       "without a sync; the last moments may be lost, so each stream goes on under "
                       "a new session name; participants should ask for the state of their orders "
                       "(Account Query)")
        if row["cut_bytes"]:
            log(f"{self.name} cut {int(row['cut_bytes'])} bytes of a torn tail", 4)
        if row["begin_seq"]:
            log(f"partition {idx} goes on behind command {int(row['begin_seq'])} of the day")

    # -- emptying ---------------------------------------------------------------------------------

    def empty(self) -> None:
        """After the matcher's end: all of the ring into the files, and they closed. Begins that,
        `look_emptying` says when it is done."""
        if self.phase in (OPENING, OPEN):
            self.was_used = self.phase == OPEN
            self.phase, self.told, self.ways, self.again_s = EMPTYING, False, [], 0.0

    def look_emptying(self, now, can_fork=True) -> bool | None:
        """True when all is in the files, False when that cannot be (the alarm says so), None while
        it is at it."""
        if self.phase != EMPTYING:
            return self.phase == EMPTIED
        if self.child.ended():
            return self._look_ended(now, can_fork)
        if not self.told and (self.is_there or not self.was_used):
            self.child.signal(15)
            self.told = True
            self.deadline = now + (DRAIN_S if self.was_used else UNUSED_S)
        limit = self.deadline if self.told else self.child.started_s + OPEN_S
        if now > limit and not self.child.doomed:
            self.child.signal(9)
            self.child.doomed = True
        return None

    def _look_ended(self, now, can_fork):
        if not self.left and (self.child.code == 0 or not self.was_used):
            self.phase = EMPTIED
            return True
        if self.has_failed or not self.again_s and (
                len(self.ways) >= DRAINS_MAX or self.child.code == 0 and self.told and self.ways):
            self.phase = LOST
            self.sound("journal-failed", f"{self.name} could not save {self.left} commands of the "
                       f"ring ({self.child.how()}): see its words above")
            return False
        self._again(now, can_fork, f"with {self.left} commands of the ring to save")
        return None

    # -- in between -------------------------------------------------------------------------------

    def look(self, now, can_fork=True) -> bool:
        """Starts it again when it is gone, tells what it meets; False when the partition must stop.
        """
        row = self.row
        if self.child.ended():
            if self.has_failed:
                return False
            if not self.again_s:
                self.deaths = [*(t for t in self.deaths if now - t < DEATHS_S), now]
                self.ways = self.ways if len(self.deaths) > 1 else []
                if len(self.deaths) > DEATHS_MAX:
                    return False
            self._again(now, can_fork, f"with {self.left} commands to copy")
            return True
        if not self.is_there:
            self._watch_opening(now)
            return True
        full = int(row["state"]) == shared.JOURNAL_FULL
        if full and not self.was_full:
            self.sound("journal-full", f"{self.name} has no room for another segment; partition "
                       f"{self.part.idx} takes orders until its ring is full, then none; make room "
                       "and it goes on by itself")
        self.was_full = full
        return self._watch_silence(self.name)

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
                "phase": self.phase, "restarts": self.restarts,
                **{name: int(row[name]) for name in names}, "lost_tail": bool(row["lost_tail"]),
                "sync_us": int(row["sync_ns"]) // 1000,
                "sync_max_us": int(row["sync_max_ns"]) // 1000, "left": self.left}
