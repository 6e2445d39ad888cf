"""The launcher's side of one partition: its regions, its matcher and recovery, its login desk."""

import signal
import time

from .. import topology as topo
from ..host import cores
from ..layout import shared
from ..shm import region
from . import children, crashes, logins, status
from .alarms import ERROR, log

LOGINS_A_TICK = 64
STATES, BUST_REASONS, CROSSES = tuple("HPQT"), tuple("ECSX"), tuple("OCH")
NUMBER_BITS = 56                     # a match number on the wire: partition << 56 | n
NUMBER_MASK = (1 << NUMBER_BITS) - 1
# Counters whose growth an operator must know: (counter, what it means and what to do).
WATCHED = (
    ("capacity_rejects", "orders were refused because a pool is empty; see [capacity]"),
    ("stream_full", "acknowledgements found no room; raise capacity.chunks"),
    ("feed_overrun", "feed messages were overwritten unsent; raise capacity.feed_bytes"),
    ("rx_control_full", "logins were dropped because the control link is full"),
)


class PartitionDesk:
    """One partition through all its instances and days."""

    def __init__(self, topology, idx, midnight_ns, day, alarms, checker=None):
        self.config, self.idx, self.checker = topology.config, idx, checker
        self.part = topology.partitions[idx]
        self.midnight_ns, self.day, self.alarms = midnight_ns, day, alarms
        self.record_offset_ns = time.time_ns() - time.monotonic_ns() - midnight_ns
        self.matcher = self.recovery = self.forkserver = None
        self.was_ready = self.ever_ready = self.is_late = self.is_down = False
        self.boot_failures, self.died_s = 0, 0.0
        self.crashes = crashes.Crashes(topology.config.supervision.crash_limit)
        self.used_tokens: dict[bytes, int] = {}
        self.tally = dict.fromkeys(logins.OUTCOMES, 0)
        self.seen = dict.fromkeys((name for name, _ in WATCHED), 0)

    # -- regions and processes --------------------------------------------------------------------

    def create(self, opens_later=False):
        """Makes the folder and all regions of this instance and maps what the launcher uses."""
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
        self.journal = [region.attach(blocks[name]) for name in ("journal_header", "journal")]
        self.up = ring.Consumer(*_halves(region.attach(blocks["link_up"], True)))
        self.down = ring.Producer(*_halves(region.attach(blocks["link_down"], True)))
        self.waiting, self.quoting = [], set()
        self.desk = logins.Desk(part, self.day, self.sessions, self.used_tokens,
                                self.config.orders.silence_ms * 1_000_000, self.checker)
        self.market_opened, self.day_over = not opens_later, False

    def start(self, forkserver, config_path, core_map):
        """Starts the matcher, then recovery."""
        self.forkserver, self.core_map, self.config_path = forkserver, core_map, config_path
        self.was_ready = self.is_late = False
        self.silence = children.Silence()
        self.matcher = forkserver.fork(
            "matcher", f"matcher@{self.idx}", self._arguments(), (core_map.matchers[self.idx],),
            core_map.wait)
        self.start_recovery()

    def start_recovery(self):
        """Starts recovery, also again."""
        self.recovery = self.forkserver.fork("recovery", f"recovery@{self.idx}",
                                             self._arguments(), self.core_map.rest, cores.YIELD)

    def _arguments(self):
        return ["--config", self.config_path, "--partition", str(self.idx), "--instance",
                str(self.part.instance)]

    def kill(self):
        """Ends both processes at once."""
        for child in (self.matcher, self.recovery):
            if child is not None:
                child.signal(signal.SIGKILL)
        for child in (self.matcher, self.recovery):
            if child is not None:
                child.wait(5.0)

    def bury(self) -> tuple[bool, str]:
        """After the matcher's end: (whether it may not be started again, its last command)."""
        lived = time.monotonic() - self.matcher.started_s
        digest, words = crashes.last_command(*self.journal)
        return self.crashes.note(self.matcher.code, int(self.engine[0]["fault"]), digest,
                                 lived), words

    def next_instance(self, instance):
        """Forgets the dead instance's regions; the next one has another name."""
        self.forget()
        self.part = topo.build(self.config, instance).partitions[self.idx]
        self.seen = dict.fromkeys(self.seen, 0)

    def next_day(self, midnight_ns, day, instance):
        """Forgets the old day: its regions, tokens and tallies."""
        self.next_instance(instance)
        self.midnight_ns, self.day = midnight_ns, day
        self.record_offset_ns = time.time_ns() - time.monotonic_ns() - midnight_ns
        self.used_tokens = {}
        self.tally = dict.fromkeys(logins.OUTCOMES, 0)

    def forget(self):
        """Unmaps and removes the regions."""
        for name, count in self.desk.tally.items() if hasattr(self, "desk") else ():
            self.tally[name] += count
        for block in self.part.blocks.values():
            region.release(block.path)
            block.path.unlink(missing_ok=True)
        for name in ("control", "status", "sessions", "counters", "engine", "journal", "up",
                     "down", "desk"):
            if hasattr(self, name):
                delattr(self, name)
        if self.part.directory.exists():
            self.part.directory.rmdir()

    # -- logins and silence -----------------------------------------------------------------------

    def serve_logins(self):
        """Answers what the matcher handed up; what does not fit the link down waits for it."""
        self._push()
        for record, outcome, answer in self.desk.ready():
            self._answer(record, outcome, answer)
        for _ in range(LOGINS_A_TICK):
            record = None if self.waiting else self.up.pop()
            if record is None:
                return
            self._answer(record, *self.desk.answer(record))

    def _answer(self, record, outcome, answer):
        if answer is not None:
            self.waiting.append(answer)
            self._push()
        if outcome == "bound":
            log(f"{self.part.accounts[answer['account']].name} logged in from "
                f"{topo.ip_text(record['ip'])}:{record['udp_port']} as "
                f"{answer['session'].decode()}")
        elif answer is not None and outcome != "repeated":
            self.alarms.sound("login-refused", logins.describe(record, outcome))

    def _push(self):
        while self.waiting and self.down.push(**self.waiting[0]):
            self.waiting.pop(0)

    def end_silent(self):
        """Ends sessions that were silent too long, by record time; none after the day's end."""
        if self.day_over:
            return
        for record in self.desk.silent(time.monotonic_ns() + self.record_offset_ns):
            name = self.part.accounts[record["account"]].name
            log(f"{name} was silent for {self.config.orders.silence_ms} ms: disconnected", 4)
            self.waiting.append(record)
        self._push()

    # -- watching ---------------------------------------------------------------------------------

    def state(self) -> int:
        """The matcher's own word: BOOTING ... FAILED, 0 nothing yet."""
        return int(self.status[0]["state"])

    def is_trading(self) -> bool:
        """Whether its matcher is there and ready, or was and has ended its day."""
        return self.was_ready and not self.is_down and not self.matcher.ended()

    def note_ready(self, now) -> bool:
        """True once an instance, when it has become ready."""
        if self.was_ready or self.state() != shared.READY:
            return False
        self.was_ready = self.ever_ready = True
        self.boot_failures = 0
        self.matcher.ready_s = self.matcher.ready_s or now
        return True

    def silent_s(self) -> float:
        """Seconds since the matcher last looked at its control word; 0.0 when it never did."""
        heartbeat = int(self.status[0]["heartbeat_ns"])
        return max(0, time.monotonic_ns() - heartbeat) / 1e9 if heartbeat else 0.0

    def watch_counters(self):
        """An alarm for each watched counter that has grown."""
        for name, meaning in WATCHED:
            value = int(self.counters[shared.COUNTER_INDEX[name]])
            if value > self.seen[name]:
                self.alarms.sound(name.replace("_", "-"),
                                  f"partition {self.idx}: {value} {meaning}")
                self.seen[name] = value

    def watch_heartbeat(self) -> bool:
        """Alarms when the matcher is late; True when it hangs and has to be ended."""
        if not self.was_ready or self.matcher.ended():
            return False
        limits, silent_ms = self.config.supervision, self.silent_s() * 1000
        watched_ms = self.silence.look(int(self.status[0]["heartbeat_ns"])) * 1000
        if silent_ms > limits.late_ms and not self.is_late:
            self.alarms.sound("matcher-late", f"matcher@{self.idx} has not looked up for "
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
        if self.is_down:
            row["state"] = "failed"
        elif self.is_late:
            row["state"] = "late"
        return row | {"far_scans": int(self.engine[0]["far_scans"]),
                      "null": self.config.interface.mode == "null"}

    # -- the day ----------------------------------------------------------------------------------

    def end_day(self):
        """Asks for the end of the day: everything canceled, end-of-session packets sent. Once an
        instance."""
        if not self.day_over:
            self.day_over = True
            self.waiting.append({"kind": shared.LINK_END_DAY})
            self._push()

    def open_market(self):
        """Orders are taken from here on; once an instance."""
        if not self.market_opened:
            self.market_opened = True
            self.waiting.append({"kind": shared.LINK_OPEN})
            self._push()

    # -- the operator -----------------------------------------------------------------------------

    def halt(self, symbol: str, state: str, reason: str = "") -> None:
        """Orders a trading state: H halted, P paused, Q quotation for a halt cross, T trading.

        reason: up to four characters, as the feed tells it. ValueError when something is unknown.
        """
        found = [item.idx for item in self.part.listings if item.symbol.name == symbol]
        if not found:
            raise ValueError(f"symbol {symbol!r}: partition {self.idx} has no such symbol; "
                             "ask the partition that owns it")
        if state not in STATES:
            raise ValueError(f"state {state!r} of {symbol}: choose one of {', '.join(STATES)}")
        if len(reason) > 4 or not (reason.isascii() and reason.isprintable()):
            raise ValueError(f"reason {reason!r}: at most 4 ASCII characters, such as T1 or LUDP")
        self.quoting.discard(found[0])
        if state == "Q":
            self.quoting.add(found[0])
        self._order(kind=shared.LINK_HALT, account=found[0], reason=ord(state),
                    token=reason.ljust(4))

    def bust(self, match: int, reason: str) -> None:
        """Orders a trade to be broken. match: its number as on the wire; reason: E C S X.

        ValueError when it cannot be of this partition; an old or unknown one is ignored, counted.
        """
        if reason not in BUST_REASONS:
            raise ValueError(f"reason {reason!r}: choose one of {', '.join(BUST_REASONS)}")
        if match >> NUMBER_BITS != self.idx or not match & NUMBER_MASK:
            raise ValueError(f"match number {match}: not of partition {self.idx}; its numbers are "
                             f"{self.idx << NUMBER_BITS} + 1, 2, 3 ...")
        self._order(kind=shared.LINK_BUST, requested_seq=match & NUMBER_MASK, reason=ord(reason))

    def imbalance(self, letter: str) -> None:
        """Has the imbalances before a cross told: O opening, C closing, H of symbols in quotation.

        ValueError for another letter.
        """
        if letter not in CROSSES:
            raise ValueError(f"cross type {letter!r}: choose one of {', '.join(CROSSES)}")
        self._order(kind=shared.LINK_IMBALANCE, reason=ord(letter))

    def _order(self, **record):
        self.waiting.append(record)
        self._push()

    # -- the end ----------------------------------------------------------------------------------

    def has_ended(self) -> bool:
        """The day is over and its last packets have left, or the matcher is gone."""
        self._push()
        return self.state() in (shared.ENDED, shared.FAILED) or self.matcher.ended()

    def order_stop(self):
        """Tells the matcher to end its process."""
        self.control["word"] = shared.STOP


def _halves(memory):
    """(header words, LINK records) of a link's bytes."""
    size = shared.LINK_HEADER.size
    return memory[:size].view("u8"), memory[size:].view(shared.LINK.dtype)
