"""The launcher's side of one partition: its regions, its matcher and recovery, its login desk."""

import time

from .. import topology as topo
from ..host import cores
from ..layout import shared
from ..shm import region
from ..stages import recovery
from . import children, crashes, logins, losses, past_logins, status
from .alarms import ERROR, log, of_partition
from .journalled import OPENS, RUNS, Journalled
from .journalside import JournalSide
from .operator import Operator
from .shadowside import ShadowSide
from .watched import WATCHED

LOGINS_A_TICK = 64
RECOVERY_PAUSE_S = 1.0       # between two starts of a recovery that cannot work
PHASE_OPEN, PHASE_CLOSED = 1, 2        # engine.phase


class PartitionDesk(Journalled, Operator):
    """One partition through all its instances and days."""

    def __init__(self, topology, idx, midnight_ns, day, alarms, checker=None):
        super().__init__()
        self.config, self.idx, self.checker = topology.config, idx, checker
        self.part = topology.partitions[idx]
        self.midnight_ns, self.day, self.alarms = midnight_ns, day, alarms
        self.record_offset_ns = time.time_ns() - time.monotonic_ns() - midnight_ns
        self.matcher = self.recovery = self.forkserver = self.journal = self.shadow = None
        self.level, self.stage = topology.config.durability.level, RUNS
        self.was_ready = self.ever_ready = self.is_late = self.is_down = False
        self.names_known = self.level == "none"
        self.boot_failures, self.died_s = 0, 0.0
        self.crashes = crashes.Crashes(topology.config.supervision.crash_limit)
        self.used_tokens: dict[bytes, int] = {}
        self.bound: dict[int, logins.Bound] = {}
        self.tally = dict.fromkeys(logins.OUTCOMES, 0)
        self.seen = dict.fromkeys((name for name, _ in WATCHED), 0)
        self.sends = losses.Sends(idx, self.config.interface.name, alarms)

    # -- regions and processes --------------------------------------------------------------------

    def create(self, opens_later, forkserver, config_path, core_map):
        """Makes the folder and all regions of this instance, maps what the launcher uses, and
        begins to open the day's journal: `stage` is OPENS until `look_opened`."""
        from ..shm import ring        # compiled: not before the fork server has been started
        part = self.part
        part.directory.mkdir(mode=0o711)
        for block in part.blocks.values():
            region.create(block, part.instance)
        blocks = part.blocks
        self.control = region.attach(blocks["control"], True, part.instance)
        self.control["midnight_ns"], self.control["word"] = self.midnight_ns, shared.RUN
        self.control["record_offset_ns"] = self.record_offset_ns
        self.control["opens_later"] = opens_later
        self.status = region.attach(blocks["status"])
        self.sessions = region.attach(blocks["sessions"])
        self.counters = region.attach(blocks["counters"])
        self.engine = region.attach(blocks["engine"])
        self.ring = [region.attach(blocks[name]) for name in ("journal_header", "journal")]
        self.up = ring.Consumer(*_halves(region.attach(blocks["link_up"], True)))
        self.down = ring.Producer(*_halves(region.attach(blocks["link_down"], True)))
        self.tcp_up = ring.Consumer(*_halves(region.attach(blocks["link_tcp_up"], True)))
        self.tcp_down = ring.Producer(*_halves(region.attach(blocks["link_tcp_down"], True)))
        self.recovery_counters = region.attach(blocks["recovery_counters"])
        self.begin_orders(opens_later)
        self.forkserver, self.core_map, self.config_path = forkserver, core_map, config_path
        if self.level == "none":
            self.bound = {}                        # nobody's session goes on
        self._open_desk()
        self.matcher = self.recovery = None
        if self.level != "none":
            self.stage, self.journal = OPENS, JournalSide(part, self.level, self.alarms)
            self.journal.start(forkserver, self._arguments(), core_map)

    def _open_desk(self):
        self.desk = logins.Desk(self.part, self.day, self.sessions, self.used_tokens,
                                self.config.orders.silence_ms * 1_000_000, self.checker,
                                self.bound)

    def _remember_logins(self, row):
        """What a launcher before this one knew of the sessions that go on."""
        if not row["begin_seq"]:
            self.bound.clear()
        elif not self.used_tokens:
            self.used_tokens, self.bound = past_logins.past_logins(self.part.journal_folder(
                self.config, topo.date_of(self.config.day.time_zone, self.midnight_ns)))

    def start(self):
        """Starts the matcher, then recovery."""
        self.was_ready = self.is_late = False
        self.silence = children.Silence()
        self.matcher = self.forkserver.fork(
            "matcher", f"matcher@{self.idx}",
            [*self._arguments(), "--names", str(self.part.names)],
            (self.core_map.matchers[self.idx],), self.core_map.wait,
            realtime=self.core_map.realtime)
        self.start_recovery()

    def start_recovery(self):
        """Starts recovery, also again."""
        self.recovery = self.forkserver.fork("recovery", f"recovery@{self.idx}",
                                             self._arguments(), self.core_map.rest, cores.YIELD)

    def _arguments(self):
        return ["--config", self.config_path, "--partition", str(self.idx), "--instance",
                str(self.part.instance)]

    def children(self) -> list:
        """Its processes."""
        sides = [side.child for side in (self.journal, self.shadow) if side]
        return [child for child in (self.matcher, self.recovery, *sides) if child is not None]

    def look_beside(self, now):
        """Starts again what the matcher can do without."""
        if self.recovery.ended() and now - self.recovery.started_s > RECOVERY_PAUSE_S:
            self.sound("recovery-died", f"recovery@{self.part.idx} is gone "
                       f"({self.recovery.how()}); starting it again")
            self.start_recovery()
        if self.shadow is not None:
            self.shadow.look(now)

    def bury(self) -> tuple[bool, str]:
        """After the matcher's end: (whether it may not be started again, its last command)."""
        lived = time.monotonic() - self.matcher.started_s
        digest, words = crashes.last_command(*self.ring)
        return self.crashes.note(self.matcher.code, int(self.engine[0]["fault"]), digest,
                                 lived), words

    def next_instance(self, instance):
        """Forgets the dead instance's regions; the next one has another name."""
        if self.journal is None and not self.carried:
            self.carry_over(with_halts=True)
        names = self.part.names if self.level != "none" else None
        self.forget()
        self.part = topo.build(self.config, instance, names).partitions[self.idx]
        self.seen = dict.fromkeys(self.seen, 0)
        self.sends.forget()

    def next_day(self, midnight_ns, day, instance):
        """Forgets the old day: its regions, tokens and tallies."""
        self.carry_over(with_halts=False)
        self.next_instance(instance)
        self.part = topo.build(self.config, instance).partitions[self.idx]
        self.midnight_ns, self.day = midnight_ns, day
        self.record_offset_ns = time.time_ns() - time.monotonic_ns() - midnight_ns
        self.used_tokens, self.bound = {}, {}
        self.tally = dict.fromkeys(logins.OUTCOMES, 0)

    def forget(self):
        """Unmaps and removes the regions."""
        for name, count in self.desk.tally.items() if hasattr(self, "desk") else ():
            self.tally[name] += count
        for block in self.part.blocks.values():
            region.release(block.path)
            block.path.unlink(missing_ok=True)
        for name in ("control", "status", "sessions", "counters", "engine", "ring", "up", "down",
                     "tcp_up", "tcp_down", "recovery_counters", "desk"):
            if hasattr(self, name):
                delattr(self, name)
        self.journal = self.shadow = None
        if self.part.directory.exists():
            self.part.directory.rmdir()

    # -- logins and silence -----------------------------------------------------------------------

    def serve_logins(self):
        """Answers what the matcher and recovery handed up; what does not fit the link down waits
        for it."""
        self._push()
        for record, outcome, answer in self.desk.ready():
            self._answer(record, outcome, answer)
        for _ in range(LOGINS_A_TICK):
            record = None if self.waiting else self.up.pop() or self.tcp_up.pop()
            if record is None:
                return
            self._answer(record, *self.desk.answer(record))

    def _answer(self, record, outcome, answer):
        over_tcp = record["kind"] != shared.LINK_CONTROL
        if answer is not None and over_tcp:
            self.tcp_down.push(**answer)        # when it is full recovery asks again
        if answer is not None and not (over_tcp and outcome not in ("bound", "repeated")):
            self.waiting.append(answer)
            self._push()
        if outcome in ("bound", "drop_copy"):
            log(logins.welcome(record, answer))
        elif answer is not None and outcome not in ("repeated", "checked"):
            self.sound("login-refused", logins.describe(record, outcome))

    def _push(self):
        while self.waiting and self.down.push(**self.waiting[0]):
            self.waiting.pop(0)

    def end_silent(self):
        """Ends sessions that were silent too long, by record time; none after the day's end, and
        none while a matcher that comes back is still seating them: nobody was heard yet."""
        if self.day_over or not self.was_ready:
            return
        for record in self.desk.silent(time.monotonic_ns() + self.record_offset_ns):
            name = self.part.accounts[record["account"]].name
            log(f"{name} was silent for {self.config.orders.silence_ms} ms: disconnected", 4)
            self.waiting.append(record)
        for words in self.desk.expelled():
            self.sound("throttle-disconnect", f"partition {self.idx}: {words}")
        self._push()

    # -- watching ---------------------------------------------------------------------------------

    def state(self) -> int:
        """The matcher's own word: BOOTING ... FAILED, 0 nothing yet."""
        return int(self.status[0]["state"])

    def is_trading(self) -> bool:
        """Whether its matcher is there and ready, or was and has ended its day."""
        return self.was_ready and not self.is_down and not self.matcher.ended()

    def is_up(self) -> bool:
        """Whether its matcher was ready, and its recovery has been, or has died since."""
        return self.was_ready and (self.recovery.ready_s > 0 or self.recovery.ended())

    def note_ready(self, now) -> bool:
        """True once an instance, when it has become ready."""
        if self.stage or self.was_ready or self.state() != shared.READY:
            return False
        self.was_ready = self.ever_ready = True
        self.boot_failures = 0
        if self.journal is not None and self.config.durability.snapshot_commands:
            self.shadow = ShadowSide(self.part, self.alarms, self.forkserver, self._arguments(),
                                     self.core_map)
        phase = int(self.engine[0]["phase"])            # further than it began, with a journal
        self.market_opened = self.market_opened or phase in (PHASE_OPEN, PHASE_CLOSED)
        self.day_over = self.day_over or phase == PHASE_CLOSED
        self.matcher.ready_s = self.matcher.ready_s or now
        return True

    def silent_s(self) -> float:
        """Seconds since the matcher last looked at its control word; 0.0 when it never did."""
        heartbeat = int(self.status[0]["heartbeat_ns"])
        return max(0, time.monotonic_ns() - heartbeat) / 1e9 if heartbeat else 0.0

    def sound(self, kind, text):
        """An alarm of this partition."""
        self.alarms.sound(kind, text, of_partition(self.idx))

    def watch_counters(self):
        """An alarm for each watched counter that has grown, and for what sending met."""
        for name, meaning in WATCHED:
            value = int(self.counters[shared.COUNTER_INDEX[name]])
            if value > self.seen[name]:
                self.sound(name.replace("_", "-"), f"partition {self.idx}: {value} {meaning}")
                self.seen[name] = value
        self.sends.watch(self.status[0])

    def watch_heartbeat(self) -> bool:
        """Alarms when the matcher is late; True when it hangs and has to be ended."""
        if not self.was_ready or self.matcher.doomed or self.matcher.ended():
            return False
        limits, silent_ms = self.config.supervision, self.silent_s() * 1000
        watched_ms = self.silence.look(int(self.status[0]["heartbeat_ns"])) * 1000
        if silent_ms > limits.late_ms and not self.is_late:
            self.sound("matcher-late", f"matcher@{self.idx} has not looked up for "
                       f"{silent_ms:.0f} ms; ended after {limits.hang_ms} ms")
        elif self.is_late and silent_ms <= limits.late_ms:
            log(f"matcher@{self.idx} is on time again", ERROR)
        self.is_late = silent_ms > limits.late_ms
        return min(silent_ms, watched_ms) > limits.hang_ms

    def describe(self) -> str:
        """The ready matcher in one line."""
        row = self.row()
        where = f", {row['layout']}" if row["layout"] != "none" else ""
        cached = "from the cache" if row["kernels_cached"] else "compiled"
        return (f"matcher@{self.idx} instance {self.part.instance}, mode {row['mode']}{where}, "
                f"orders to {self.config.interface.ip}:{self.part.order_port}, kernels {cached}")

    def row(self) -> dict:
        """Its part of status.json."""
        tally = {name: self.tally[name] + self.desk.tally[name] for name in self.tally}
        row = status.partition_row(self.part, self.status, self.sessions, self.counters, tally)
        if self.is_down or self.stage:
            row["state"] = "failed" if self.is_down else self.stage
        elif self.is_late:
            row["state"] = "late"
        counts = zip(recovery.names(), self.recovery_counters.tolist())
        return row | {"recovery": {name: count for name, count in counts if count},
                      "far_scans": int(self.engine[0]["far_scans"]),
                      "null": self.config.interface.mode == "null",
                      "durability": (self.journal.content() | {
                          "shadow": self.shadow.content() if self.shadow else None})
                      if self.journal else {"level": "none"}}

    # -- the end ----------------------------------------------------------------------------------

    def has_ended(self) -> bool:
        """The day is over and its last packets have left, or the matcher is gone."""
        self._push()
        return not self.stage and (self.state() in (shared.ENDED, shared.FAILED)
                                   or self.matcher.ended())

    def order_stop(self):
        """Tells the matcher to end its process."""
        self.control["word"] = shared.STOP


def _halves(memory):
    """(header words, LINK records) of a link's bytes."""
    size = shared.LINK_HEADER.size
    return memory[:size].view("u8"), memory[size:].view(shared.LINK.dtype)
