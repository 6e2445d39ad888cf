"""Canaries: parts that are broken on purpose, which the simulator must find.

A canary gives away one of the promises: `NAMES` says which. Without a name everything is as it is.
"""

from appliance.client.inorder import InOrder
from appliance.hot.io_state import LEVEL_DISK, LEVEL_PROCESS
from appliance.journal import recover as recovering
from appliance.journal import snapshot_file
from appliance.journal import writer as writing
from appliance.journal.replay import apply
from appliance.layout.record import CANCEL, COMMAND, FILLER

NAMES = {
    "early-gate": "the publish gate releases at level disk as at level process",
    "lazy-writer": "the journal's writer says synced without a sync",
    "deaf-client": "a subscriber goes on behind a hole without asking",
    "forgetful-engine": "a recovery forgets one cancel",
    "same-names": "session names go on although a tail may be lost",
    "old-snapshots": "snapshots of commands that a power cut has lost are kept",
    "open-server": "re-requests are answered with what is not released yet",
}


class Canary:
    """name: of `NAMES`, "" none."""

    def __init__(self, name=""):
        self.name = name

    def level(self, level) -> int:
        """The level that the matcher is told."""
        early = self.name == "early-gate" and level == LEVEL_DISK
        return LEVEL_PROCESS if early else level

    def handler(self, kind):
        """The class of subscribers."""
        if self.name != "deaf-client":
            return kind

        class Deaf(kind):
            def _restart(self):
                super()._restart()
                self.stream.__class__ = DeafStream
        return Deaf

    def reader(self, kind):
        """The class that reads the feed's log for re-requests."""
        if self.name != "open-server":
            return kind

        class Open(kind):
            def bounds(self):
                row = self.log[0]
                return int(row["oldest_seq"]), int(row["next_seq"])
        return Open

    def writer(self, kind):
        """The class of the journal's writer."""
        if self.name == "same-names":
            def keep(*arguments, **options):
                directory, genesis, _ = arguments
                return kind(directory, genesis, lambda found: found.instance if found else 0,
                            **options)
            return keep
        return LazyWriter if self.name == "lazy-writer" else kind

    def patches(self) -> list:
        """(module, name, stand-in) of what is broken in modules."""
        if self.name == "forgetful-engine":
            return [(recovering, "apply", forgetful(apply))]
        if self.name == "old-snapshots":
            return [(snapshot_file, "forget_after", lambda directory, last_seq: None)]
        return []


class LazyWriter(writing.Writer):
    """Does all but the sync of the segment."""

    def _sync(self, whole, clean=False):
        self._mark.write(self.next_seq - 1, self.number, self.off, self._wall_ns(), clean, False)
        self.durable_seq, self._synced_off = self.next_seq - 1, self.off


class DeafStream(InOrder):
    """Takes the next datagram for the one it waits for."""

    def take(self, seq, blocks):
        """As if nothing were missing."""
        if seq > self.expected:
            self.expected = seq
        return super().take(seq, blocks)

    def ask(self, now):
        """Never."""


def forgetful(real):
    """`apply` without the first cancel that it meets."""
    def forget(core, records, *rest):
        records = records.copy()
        for record in records:
            command = record["command"].view(COMMAND.dtype)[0]
            if command["kind"] == CANCEL:
                command["kind"] = FILLER
                break
        real(core, records, *rest)
    return forget
