"""How the parts of a simulated appliance die, each alone or all at once, and what follows."""

from appliance.journal.errors import JournalError, JournalFull

from .disk import Crash
from .venue import Memory

RESTART_NS = 30_000_000


class Dying:
    """The half of Box that ends things."""

    def crashed(self, crash) -> None:
        """What has met an armed point: the journal's process, or the machine."""
        if crash.power:
            self.power_cut()
            return
        self.disk.revive()
        self.writer = self.copier = None
        if self.venue is None:
            self.timeline.after(RESTART_NS, self.restart)
        else:
            self.timeline.after(RESTART_NS, self._journal_again)

    def kill_journal(self) -> None:
        """kill -9 of journal@p between two turns."""
        if self.copier is not None:
            self.timeline.note("kill", "journal")
            self.crashed(Crash(False))

    def _journal_again(self):
        if self.copier is not None or self.venue is None:
            return
        try:
            self._open_journal(self.topology.partitions[0], first=False)
        except Crash as crash:
            self.crashed(crash)
        except JournalError as error:
            self.timeline.note("journal-failed", str(error))
            self.take_down()
            self._later("the journal cannot be opened")

    def kill_matcher(self) -> None:
        """kill -9 of matcher@p: the journal empties its ring, then all starts again."""
        if self.venue is None:
            return
        self.timeline.note("kill", "matcher")
        self.account()
        self.venue = self.server = None
        if self.copier is not None:
            try:
                self._drain()
            except Crash as crash:
                if crash.power:
                    self.power_cut()
                    return
                self.disk.revive()
            except JournalError as error:
                self.timeline.note("journal-failed", str(error))
                self.disk.revive()
        self.writer = self.copier = None
        self.timeline.after(RESTART_NS, self.restart)

    def _drain(self):
        """What SIGTERM does to journal@p."""
        try:
            while self.copier.waiting() > 0:
                self.copier.turn(self.timeline.now_ns)
        except JournalFull:
            self.timeline.note("journal-full")
        self.writer.close(clean=self.copier.waiting() <= 0)

    def take_down(self) -> None:
        """Matcher, recovery and journal end at once, the memory stays."""
        self.account()
        self.venue = self.server = self.writer = self.copier = None

    def kill_all(self) -> None:
        """kill -9 of the launcher and everything under it."""
        self.timeline.note("kill", "all")
        self.take_down()
        self.tokens = {}
        self.disk.revive()
        self.timeline.after(RESTART_NS, self.restart)

    def power_cut(self) -> None:
        """The machine."""
        self.timeline.note("power-cut")
        self.take_down()
        self.memory, self.tokens = Memory(), {}
        self.world.new_memory(self.memory)
        self.disk.power_cut()
        self.timeline.after(2 * RESTART_NS, self.restart)

    def account(self):
        """A matcher's counters, before it is gone."""
        if self.venue is not None and (why := self.venue.unaccounted()):
            self.world.fail("counters", why)
