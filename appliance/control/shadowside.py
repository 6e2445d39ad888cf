"""The launcher's side of a partition's shadow@p: nobody waits for it and nothing stops with it.

It is started when the matcher is ready, started again when it dies or hangs, and told to take a
last snapshot when the appliance is stopped. What it finds becomes alarms.
"""

import time

from ..host import cores
from ..layout.journal import DIVERGENCES
from ..shm import region
from . import children
from .alarms import log, of_partition

PAUSE_S, PAUSE_MAX_S = 5.0, 300.0    # before it is started again; longer each time
HANG_S = 120.0                       # a snapshot to a slow disk takes its time
STOP_S = 20.0                        # for the last snapshot


class ShadowSide:
    """One partition's shadow through one instance of its matcher. `child` is the present one."""

    def __init__(self, part, alarms, forkserver, arguments, core_map):
        """Starts it."""
        self.idx, self.pause_s = part.idx, PAUSE_S
        self.forkserver, self.arguments, self.core_map = forkserver, arguments, core_map
        self.sound = lambda kind, text: alarms.sound(kind, text, of_partition(part.idx))
        self.row = region.attach(part.blocks["shadow_status"])[0]
        self.name = f"shadow@{part.idx}"
        self.seen = dict.fromkeys(("snapshot_failures", "diverged_cnt", "passed_over"), 0)
        self._fork()

    def _fork(self):
        self.silence = children.Silence()
        self.child = self.forkserver.fork("shadow", self.name, self.arguments, self.core_map.rest,
                                          cores.YIELD)

    def look(self, now) -> None:
        """Tells what it found, and starts it again when it is gone."""
        self._tell()
        if not self.child.ended():
            silent_s = self.silence.look(int(self.row["heartbeat_ns"]))
            if silent_s > HANG_S and not self.child.doomed:
                where = children.end_hung(self.child)
                self.sound("shadow-hung", f"{self.name} has not looked at the journal for "
                           f"{silent_s:.0f} s and was ended ({where}); trading goes on")
        elif now - self.child.started_s > self.pause_s:
            self.sound("shadow-died", f"{self.name} is gone ({self.child.how()}); starting it "
                       "again; trading goes on, a restart would take longer meanwhile")
            self.pause_s = min(2 * self.pause_s, PAUSE_MAX_S)
            self._fork()

    def _tell(self):
        row = self.row
        grown = {name for name, count in self.seen.items() if int(row[name]) > count}
        self.seen = {name: int(row[name]) for name in self.seen}
        if "diverged_cnt" in grown:
            self.sound("diverged", f"partition {self.idx}: {self.divergence()}; the journal's "
                       "replay is not what was shown: keep the journal, find out which of the two "
                       "is wrong before trading goes on")
        if "snapshot_failures" in grown:
            self.sound("snapshot-failed", f"{self.name} could not write a snapshot, see its words "
                       "above; the journal has everything, a restart takes longer")
        if "passed_over" in grown:
            self.sound("snapshot-bad", f"{self.name} found snapshots that cannot be used, see its "
                       "words above; it went on with an older one, or the day's beginning")

    def divergence(self) -> str:
        """The first difference in words, "" when there was none."""
        row = self.row
        if not row["diverged_cnt"]:
            return ""
        what = DIVERGENCES[int(row["diverged_what"])]
        other = "a replay before" if what.endswith("_hash") else "the matcher"
        return (f"behind command {int(row['diverged_seq'])} {other} had {what} "
                f"{int(row['diverged_live'])}, the replay has {int(row['diverged_here'])}")

    def stop(self, with_snapshot: bool) -> None:
        """Ends it; with a last snapshot, when everything is in the journal's files."""
        begun = time.monotonic()
        if not with_snapshot:
            children.end(self.child, 0.0)
            return
        children.end(self.child, STOP_S)
        self._tell()
        log(f"{self.name} ended with a snapshot of command {int(self.row['snapshot_seq'])} "
            f"after {time.monotonic() - begun:.2f} s")

    def content(self) -> dict:
        """Its part of status.json."""
        row = self.row
        names = ("seq", "begun_seq", "snapshot_seq", "snapshots", "snapshot_bytes",
                 "snapshot_failures", "passed_over", "checks", "checked", "marks", "diverged_cnt",
                 "diverged_seq")
        return {name: int(row[name]) for name in names} | {
            "snapshot_ms": int(row["snapshot_ns"]) // 1_000_000,
            "cpu_ms": int(row["cpu_ns"]) // 1_000_000, "diverged": self.divergence()}
