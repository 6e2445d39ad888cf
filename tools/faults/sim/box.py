"""The appliance: matcher, journal, recovery and supervisor of one partition, which come and go.

The supervisor's part follows control/partition.py and stages/journal.py step by step: what is left
in memory is salvaged, the journal opened, the names chosen, the core recovered. All that they call
is real; only who is alive, and when, is decided in here.
"""

import dataclasses

from appliance import topology as topo
from appliance.client import channel
from appliance.control import salvage
from appliance.control.logins import Desk
from appliance.hot.io_state import COPIED
from appliance.journal import play as playing
from appliance.journal import recover as recovering
from appliance.journal.errors import JournalError, JournalFailed, JournalFull
from appliance.journal.genesis import build_core, describe, fill_names
from appliance.journal.replay import all_sent
from appliance.layout import shared
from appliance.stages import journal as journal_stage
from appliance.stages.recovery import FeedReader, Server

from .disk import Crash
from .dying import RESTART_NS, Dying
from .frames import frame, opened
from .timeline import MIDNIGHT_NS
from .venue import Memory, Venue

LEVELS = {"none": 0, "process": 1, "disk": 2}
PASS_NS, GAP_NS, BEAT_NS = 2_000, 500_000, 50_000_000
SUPERVISE_NS = 250_000_000


class Box(Dying):
    """world: what it needs of the simulation (timeline, disk, net, config, picked, ledger)."""

    def __init__(self, world):
        self.world, self.timeline, self.disk = world, world.timeline, world.disk
        self.config, self.level = world.config, world.config.durability.level
        self.memory, self.instance, self.tokens, self.bound = Memory(), 0, {}, {}
        self.venue = self.writer = self.copier = self.server = None
        self.part, self.channel, self.topology = None, None, None
        self.pass_due, self.generation, self.journal_ns = None, 0, world.plan.journal_ns
        self.journal_life, self.journal_is_due = 0, False
        self.starts, self.salvaged, self.lost_tails, self.snapshots = 0, 0, 0, 0

    # -- starting ---------------------------------------------------------------------------------

    @property
    def is_up(self) -> bool:
        """Whether matcher and journal are."""
        return self.venue is not None and self.copier is not None

    @property
    def day(self) -> int:
        """Of the year."""
        return topo.day_of_year(self.config.day.time_zone, MIDNIGHT_NS)

    def folder(self) -> str:
        """The journal's."""
        return str(self.topology.partitions[0].journal_folder(
            self.config, topo.date_of(self.config.day.time_zone, MIDNIGHT_NS)))

    def start(self) -> None:
        """All of it, from what there is; tries again later when it cannot."""
        self.topology = topo.build(self.config, self.instance)
        try:
            self._salvage()
        except Crash as crash:
            self.crashed(crash)
            return
        except JournalError as error:
            self.timeline.note("salvage-failed", str(error))
            self.disk.revive()
        try:
            self._begin()
        except Crash as crash:
            self.crashed(crash)
        except JournalFull as error:
            self._later(f"no room: {error}")
        except JournalFailed as error:
            self._later(f"the disk failed: {error}")

    def _later(self, why):
        self.timeline.note("start-later", why)
        self.disk.revive()
        self.timeline.after(RESTART_NS, self.restart)

    def restart(self) -> None:
        """A start, when nothing runs."""
        if self.venue is None and self.copier is None:
            self.start()

    def _salvage(self):
        """What the matcher left in the ring, when no journal emptied it."""
        if not int(self.memory.make("journal_header", shared.JOURNAL_HEADER.dtype, 1)[0][
                "ready_seq"]):
            return
        old = dataclasses.replace(self.topology.partitions[0], instance=self.instance)
        self.memory.make("control", shared.CONTROL.dtype, 1)[0]["midnight_ns"] = MIDNIGHT_NS
        count = salvage._partition(self.topology, old)
        self.salvaged += count
        self.timeline.note("salvaged", count)

    def _begin(self):
        """As DeskOfPartition.create and the matcher's boot."""
        self.memory = self.world.new_memory()
        if self.starts:
            self.instance += 1
        self.starts += 1
        self.topology = topo.build(self.config, self.instance)
        part = self.topology.partitions[0]
        self._open_journal(part, first=True)
        row = self.memory.attach(part.blocks["journal_status"])[0]
        names = int(row["name_instance"])
        self.lost_tails += int(row["lost_tail"])
        self.part = topo.build(self.config, self.instance, names).partitions[0]
        core = self._core(int(row["begin_seq"]))
        self.venue = Venue(core, self.memory, self.topology, self.part,
                           self.world.canary.level(LEVELS[self.level]), self.timeline)
        if not int(row["begin_seq"]):
            self.bound.clear()                   # nobody's session goes on
        self.desk = Desk(self.part, self.day, core.accounts.sessions, self.tokens,
                         self.config.orders.silence_ms * 1_000_000, self.world.checker, self.bound)
        self.channel = channel.parse(topo.channel(
            topo.build(self.config, self.instance, names), self.day)).partitions[0]
        self.world.ledger.began(self.part, self.day, int(row["lost_tail"]))
        self.start_server()
        self.venue.start_day()
        self.generation += 1
        self.timeline.note("up", self.instance, names, int(row["begin_seq"]))
        self._wake(0)
        self._supervise(self.generation)

    def _core(self, begin_seq):
        genesis = describe(self.part, self.day)
        if not begin_seq:
            return build_core(genesis, self.memory.make)
        done = recovering.recover(self.folder(), self.memory.make, last_seq=begin_seq)
        all_sent(done.core)
        fill_names(done.core, genesis)
        for text in done.passed_over:
            self.timeline.note("passed-over", text)
        return done.core

    def _open_journal(self, part, first):
        """As stages/journal.py main."""
        self.writer = journal_stage.open_journal(
            self.topology, part, MIDNIGHT_NS, keep_names=not first)
        self.disk.found(self.writer.next_seq - 1)
        header, ring, row = (self.memory.attach(part.blocks[name])
                             for name in ("journal_header", "journal", "journal_status"))
        found = self.writer.found
        if first:
            row[0]["begin_seq"] = self.writer.next_seq - 1
            row[0]["name_instance"] = self.writer.instance
            row[0]["lost_tail"] = found is not None and self.writer.instance != found.instance
            row[0]["cut_bytes"] = found.cut_bytes if found else 0
        self.copier = journal_stage.Copier(self.writer, header[0], ring, row[0],
                                           self.level == "disk")
        self.copier.publish()
        self.journal_life, self.journal_is_due = self.journal_life + 1, False
        self._wake_journal()

    def start_server(self) -> None:
        """recovery@p."""
        core = self.venue.core
        self.server = Server(self.world.canary.reader(FeedReader)(
            core.feed.log, core.feed.ring, core.feed.index),
            self.config.feed.rerequests_per_second)

    # -- running ----------------------------------------------------------------------------------

    def take(self, source, payload, flip) -> bool:
        """A datagram for the order port; whether somebody is there."""
        if self.venue is None:
            return False
        ip = source[0].split(".")
        raw = frame(source, (self.config.interface.ip, self.part.order_port), payload,
                    bytes((2, 0, 0, 2, int(ip[2]), int(ip[3]))))
        if flip:
            at = self.world.picked.randrange(14 * 8, len(raw) * 8)
            raw = bytearray(raw)
            raw[at // 8] ^= 1 << at % 8
        self.venue.frames.append(bytes(raw))
        self._wake(PASS_NS)
        return True

    def order(self, kind, **fields) -> None:
        """A word of the operator's, when there is a matcher to hear it."""
        if self.venue is not None:
            self.timeline.note("order", kind)
            self.venue.down.push(kind=kind, **fields)
            self._wake(PASS_NS)

    def answer(self, source, payload, flip) -> bool:
        """A re-request of the feed."""
        if self.server is None or flip:
            return False
        packet = self.server.answer(payload, source[0], self.timeline.seconds())
        if packet:
            self.world.ledger.shown(packet, self.timeline.now_ns)
            self.world.net.answer(source, packet)
        return True

    def _wake(self, ns):
        """The matcher's next pass, so soon at the latest."""
        due = self.timeline.now_ns + ns
        if self.pass_due is None or due < self.pass_due:
            self.pass_due = due
            self.timeline.after(ns, lambda: self._pass(due))

    def _pass(self, due):
        if self.pass_due != due:
            return
        self.pass_due = None
        venue, net = self.venue, self.world.net
        if venue is None:
            return
        for raw in venue.run():
            target, payload = opened(raw)
            self.timeline.note("out", target[0], payload)
            self.world.ledger.shown(payload, self.timeline.now_ns)
            if target[0].startswith("239."):
                net.multicast(target, payload)
            else:
                net.answer(target, payload)
        self._wake_journal()
        while (record := venue.up.pop()) is not None:
            _, fields = self.desk.answer(record)
            if fields is not None:
                venue.down.push(**fields)
                self._wake(PASS_NS)
        self._wake(PASS_NS if venue.frames else GAP_NS if venue.waits_for_gap else BEAT_NS)

    def _supervise(self, generation):
        """Silent sessions."""
        if self.venue is None or generation != self.generation:
            return
        for fields in self.desk.silent(self.timeline.now_ns):
            self.timeline.note("silent", fields["account"])
            self.venue.down.push(**fields)
        self.timeline.after(SUPERVISE_NS, lambda: self._supervise(generation))

    def _wake_journal(self):
        """journal@p looks at its ring as often as it can; in here, when there is something."""
        if self.copier is not None and not self.journal_is_due:
            self.journal_is_due, life = True, self.journal_life
            low, high = self.journal_ns
            self.timeline.after(self.world.picked.randint(low, high),
                                lambda: self._journal_turn(life))

    def _journal_turn(self, life):
        if self.copier is None or life != self.journal_life:
            return
        self.journal_is_due = False
        try:
            if self.copier.turn(self.timeline.now_ns):
                self._wake(PASS_NS)
        except Crash as crash:
            self.crashed(crash)
            return
        except JournalFull:
            self.copier.publish()
            self.timeline.note("journal-full")
        except JournalError as error:
            self.timeline.note("journal-failed", str(error))
            self.take_down()
            self.disk.revive()
            self.timeline.after(RESTART_NS, self.restart)
            return
        if self.copier.waiting() > 0 or self.writer.durable_seq < self.writer.next_seq - 1:
            self._wake_journal()

    def snapshot(self, last_seq) -> None:
        """What `wirematch journal replay --snapshot` does, beside a journal at work.

        last_seq: None takes what is not on the disk yet too, as the command does.
        """
        if not self.is_up:
            return
        try:
            self.timeline.note("snapshot", playing.play(
                self.folder(), 4000, last_seq=last_seq,
                write_snapshot=True)["state_hash"])
            self.snapshots += 1
        except Crash as crash:
            self.crashed(crash)
        except OSError as error:
            self.timeline.note("snapshot-failed", str(error))

    @property
    def lag(self) -> int:
        """Commands that are not on the disk; none before a matcher that came back has its first."""
        ready = int(self.venue.core.journal.header[0]["ready_seq"])
        there = int(self.venue.io.journal[COPIED]) if self.level == "none" \
            else self.writer.durable_seq
        return max(0, ready - there)
