"""A core that follows a journal while it is written: it takes snapshots and compares as it goes.

    replica = Replica(directory, status, every=1_000_000, kept=2)
    while replica.turn():                 # what has become durable since
        ...

What it compares, each at the very command:

    the live matcher   the figures that it leaves at every 4,096th command (STATE_MARK)
    an older replay    the hashes in the file of checks, where there are any

The first difference stands in `status` (a SHADOW_STATUS record) and stays there. A snapshot covers
what is durable and nothing else, and lies at a command that has a check, synced before it.
"""

import os
import sys
import time

from ..hot.state import private
from ..layout.journal import CHECK_EVERY, CHECK_LOOK, DIVERGENCES
from . import samples, snapshot_file
from .checks import Checks
from .errors import JournalError
from .follow import follow
from .genesis import build_core
from .recover import newest
from .replay import apply, next_seq
from .restore import restore
from .snapshot import canonical

BATCH = 1 << 15
_MARK_FIELDS = DIVERGENCES[:-2]


class Replica:
    """See above. `status`: one SHADOW_STATUS record. `marks`: STATE_MARKs of a live matcher."""

    def __init__(self, directory, status, *, every, kept, marks=None, make=private,
                 wall_ns=time.time_ns, say=None):
        """Raises JournalError; FileNotFoundError while there is no journal. every: commands
        between two snapshots, 0 none. kept: how many. say: takes lines for people."""
        self.directory, self.status, self.marks = os.fspath(directory), status, marks
        self.every, self.kept = every, kept
        self.say = say or (lambda text: print(text, file=sys.stderr, flush=True))
        with follow(directory) as first:
            genesis, durable_seq = first.head.genesis, first.mark.durable_seq
        self.genesis = genesis
        self.snapshot_seq = self._begin(genesis, durable_seq, make)
        self.cursor = follow(directory, self.snapshot_seq + 1)
        self.checks = Checks(directory, genesis, wall_ns)
        self.known = {seq: check for seq, check in self.checks.known.items()
                      if seq > self.snapshot_seq}
        self.said, self.from_seq = samples.Said(self.core), self.snapshot_seq
        self.due_seq = self.snapshot_seq + every
        status["begun_seq"] = status["seq"] = status["snapshot_seq"] = self.snapshot_seq

    def _begin(self, genesis, durable_seq, make):
        """Makes the core; the command that it begins behind."""
        for path in snapshot_file.unfinished(self.directory):
            path.unlink()
        usable, passed_over = newest(self.directory, genesis, durable_seq, durable_seq)
        for path, why in passed_over:
            self.say(f"{why}; it is out of the way as {path.name}.bad")
            os.rename(path, f"{path}.bad")
        self.status["passed_over"] += len(passed_over)
        if usable is None:
            self.core = build_core(genesis, make)
            return next_seq(self.core) - 1
        self.core = restore(genesis, usable.sections, make)
        return usable.seq

    @property
    def seq(self) -> int:
        """The newest command that the core has taken."""
        return next_seq(self.core) - 1

    def turn(self, most: int = BATCH) -> int:
        """Takes at most so many durable commands; how many it were."""
        records = self.cursor.take(most)
        if not len(records):
            return 0
        at, end = int(records[0]["seq"]) - 1, int(records[-1]["seq"])
        marks = self._marks(at, end)
        stops = {*range(at // CHECK_LOOK * CHECK_LOOK + CHECK_LOOK, end + 1, CHECK_LOOK), *marks,
                 *(seq for seq in self.known if seq <= end), end}
        if self.every:
            stops |= {*range(self.due_seq, end + 1, self.every)}
        first = at + 1
        for stop in sorted(stops):
            apply(self.core, records[at + 1 - first:stop + 1 - first])
            at = stop
            self._stopped(stop, marks)
        self.status["seq"] = at
        return len(records)

    def _stopped(self, seq, marks):
        """Whatever there is to do behind command seq."""
        if seq in marks:
            self._compare(seq, marks[seq])
        due = self.every and seq == self.due_seq
        if seq % CHECK_EVERY == 0 or seq in self.known or due:
            self.check()
        elif seq % CHECK_LOOK == 0:
            self.said.look()
        if due:
            self.snapshot()

    def _marks(self, after, until):
        """{sequence: mark} of the matcher's marks behind commands that are about to be taken."""
        if self.marks is None:
            return {}
        rows = self.marks.copy()
        whole = rows["seq"] == self.marks["seq"]
        return {int(row["seq"]): row for row in rows[whole & (rows["seq"] > after)
                                                     & (rows["seq"] <= until)]}

    def _compare(self, seq, mark):
        core, sessions = self.core, self.core.accounts.sessions
        engine, log = core.book.engine[0], core.feed.log[0]
        here = (core.journal.header[0]["checksum"], log["write_off"], log["next_seq"],
                engine["next_order_ref"], engine["next_match"], engine["live_orders"],
                engine["free_page"], engine["free_chunk"], engine["timer_cnt"],
                sessions["next_seq"].sum(), sessions["last_user_ref"].sum())
        wrong = [(name, int(mark[name]), int(value))
                 for name, value in zip(_MARK_FIELDS, here, strict=True) if mark[name] != value]
        self._note(seq, wrong)
        self.status["marks"] += not wrong

    def _note(self, seq, wrong):
        """Writes down what is wrong, the first of it for good."""
        if wrong and not self.status["diverged_cnt"]:
            name, live, here = wrong[0]
            self.status["diverged_seq"] = seq
            self.status["diverged_what"] = DIVERGENCES.index(name)
            self.status["diverged_live"], self.status["diverged_here"] = live, here
        self.status["diverged_cnt"] += bool(wrong)

    def check(self) -> None:
        """Records the hashes behind the newest command, or compares them with those recorded."""
        seq = self.seq
        self.said.look()
        state, outputs, from_seq = samples.state(self.core, seq), self.said.restart(), self.from_seq
        self.from_seq, known = seq, self.known.pop(seq, None)
        if known is None:
            self.checks.write(seq, from_seq, state, outputs)
            self.status["checks"] += 1
            return
        wrong = [("state_hash", int(known["state_hash"]), state)] \
            if int(known["state_hash"]) != state else []
        if int(known["from_seq"]) == from_seq and int(known["output_hash"]) != outputs:
            wrong.append(("output_hash", int(known["output_hash"]), outputs))
        self._note(seq, wrong)
        self.status["checked"] += not wrong

    def snapshot(self) -> None:
        """Writes a snapshot and takes away those that are too many. A failure is counted and told,
        and tried again `every` commands later."""
        begun, seq = time.monotonic_ns(), self.seq
        self.due_seq = seq + self.every
        try:
            self.checks.sync()
            path = snapshot_file.write(self.directory, self.genesis, canonical(self.core))
            size = path.stat().st_size
            snapshot_file.thin_out(self.directory, self.kept)
        except (OSError, JournalError) as error:
            self.status["snapshot_failures"] += 1
            self.say(f"the snapshot of command {seq} was not written: {error}; the journal has "
                     "everything, a restart takes longer")
            return
        self.snapshot_seq = self.status["snapshot_seq"] = seq
        self.status["snapshots"] += 1
        self.status["snapshot_ns"] = time.monotonic_ns() - begun
        self.status["snapshot_bytes"] = size

    def finish(self) -> None:
        """A deliberate end: all that is durable, and a snapshot of it."""
        while self.turn():
            pass
        if self.every and self.seq > self.snapshot_seq:
            if self.from_seq != self.seq:
                self.check()
            self.snapshot()
        self.close()

    def close(self) -> None:
        """Gives the files back."""
        self.cursor.close()
        self.checks.close()
