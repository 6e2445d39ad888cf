"""A partition between two matchers: its journal is opened before one starts, emptied after its end.

`stage` is RUNS, OPENS or EMPTIES; without a journal it is RUNS always. Nothing here waits: the
launcher asks each tick (renewal.py has what comes next).
"""

from .. import topology as topo
from . import children

RUNS, OPENS, EMPTIES = "", "opening", "emptying"


class Journalled:
    """What PartitionDesk does with its journal."""

    def look_opened(self, now, can_fork) -> bool:
        """Whether the day's journal is open, which says under which names it goes on. LaunchError
        when it cannot be."""
        if not self.journal.look_opening(now, can_fork):
            return False
        names = int(self.journal.row["name_instance"])
        self.part = topo.build(self.config, self.part.instance, names).partitions[self.idx]
        self.names_known, self.stage = True, RUNS
        self.journal.tell_begin()
        self._remember_logins(self.journal.row)
        self._open_desk()
        return True

    def look_emptied(self, now, can_fork=True) -> bool | None:
        """Whether the ring is in the files: True, False when that cannot be, None not yet."""
        whole = self.journal.look_emptying(now, can_fork)
        if whole is not None:
            self.stage = RUNS
        return whole

    def kill(self) -> None:
        """Ends all but the journal at once, and begins to empty that: `stage` is EMPTIES then."""
        self.was_ready = False
        for child in self.children():
            if self.journal is None or child is not self.journal.child:
                children.end(child, 0.0)
        self.empty()

    def empty(self) -> None:
        """After the matcher's end: begins to bring the ring into the files."""
        if self.journal is not None and self.journal.child is not None:
            self.journal.empty()
            self.stage = EMPTIES

    def end_shadow(self, in_hurry):
        """After the ring is in the files: a last snapshot of it all."""
        if self.shadow is not None:
            self.shadow.stop(self.journal.look_emptying(0.0) is True and not in_hurry)
