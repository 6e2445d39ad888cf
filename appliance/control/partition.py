"""The launcher's side of one partition: its regions, its matcher and recovery, its login desk."""

import signal
import time

from .. import topology as topo
from ..host import cores
from ..layout import shared
from ..shm import region
from . import launch, logins, status
from .alarms import log

LOGINS_A_TICK = 64
# Counters whose growth an operator must know: (counter, what it means and what to do).
WATCHED = (
    ("capacity_rejects", "orders were refused because a pool is empty; see [capacity]"),
    ("stream_full", "acknowledgements found no room; raise capacity.chunks"),
    ("feed_overrun", "feed messages were overwritten unsent; raise capacity.feed_bytes"),
    ("rx_control_full", "logins were dropped because the control link is full"),
)


class PartitionDesk:
    """One partition through all its instances of a day."""

    def __init__(self, topology, idx, midnight_ns, day, alarms):
        self.config, self.idx = topology.config, idx
        self.part = topology.partitions[idx]
        self.midnight_ns, self.day, self.alarms = midnight_ns, day, alarms
        self.record_offset_ns = time.time_ns() - time.monotonic_ns() - midnight_ns
        self.matcher = self.recovery = None
        self.was_ready = self.ever_ready = False
        self.used_tokens: dict[bytes, int] = {}
        self.tally = dict.fromkeys(logins.OUTCOMES, 0)
        self.seen = dict.fromkeys((name for name, _ in WATCHED), 0)

    # -- regions and processes --------------------------------------------------------------------

    def create(self):
        """Makes the folder and all regions of this instance and maps what the launcher uses."""
        from ..shm import ring        # compiled: not before portd has been started
        part = self.part
        part.directory.mkdir(mode=0o711)
        owners = {topo.MATCHER: part.matcher_uid, topo.RECOVERY: part.recovery_uid}
        for block in part.blocks.values():
            uid = part.matcher_uid if block.shared_writer else owners.get(block.writer, -1)
            region.create(block, part.instance, uid)
        blocks = part.blocks
        self.control = region.attach(blocks["control"], True, part.instance)
        self.control["midnight_ns"], self.control["word"] = self.midnight_ns, shared.RUN
        self.control["record_offset_ns"] = self.record_offset_ns
        self.status = region.attach(blocks["status"])
        self.sessions = region.attach(blocks["sessions"])
        self.counters = region.attach(blocks["counters"])
        self.engine = region.attach(blocks["engine"])
        self.up = ring.Consumer(*_halves(region.attach(blocks["link_up"], True)))
        self.down = ring.Producer(*_halves(region.attach(blocks["link_down"], True)))
        self.waiting = []
        self.desk = logins.Desk(part, self.day, self.sessions, self.used_tokens,
                                self.config.orders.silence_ms * 1_000_000)

    def start(self, config_path, core_map, notify_socket):
        """Starts the matcher, then recovery."""
        self.core_map, self.notify_socket, self.config_path = core_map, notify_socket, config_path
        self.was_ready = False
        self.matcher = launch.start(
            f"matcher@{self.idx}", self._arguments("matcher"), (core_map.matchers[self.idx],),
            core_map.wait, notify_socket)
        self.start_recovery()

    def start_recovery(self):
        """Starts recovery, also again."""
        self.recovery = launch.start(f"recovery@{self.idx}", self._arguments("recovery"),
                                     self.core_map.rest, cores.YIELD, self.notify_socket)

    def _arguments(self, stage):
        return ["-m", f"appliance.stages.{stage}", "--config", self.config_path,
                "--partition", str(self.idx), "--instance", str(self.part.instance)]

    def kill(self):
        """Ends both processes at once."""
        for child in (self.matcher, self.recovery):
            if child is not None:
                child.signal(signal.SIGKILL)
                child.wait(5.0)

    def next_instance(self, instance):
        """Forgets the dead instance's regions; the next one has another letter."""
        self.forget()
        self.part = topo.build(self.config, instance).partitions[self.idx]
        self.seen = dict.fromkeys(self.seen, 0)

    def forget(self):
        """Unmaps and removes the regions."""
        for name, count in self.desk.tally.items() if hasattr(self, "desk") else ():
            self.tally[name] += count
        for block in self.part.blocks.values():
            region.release(block.path)
            block.path.unlink(missing_ok=True)
        for name in ("control", "status", "sessions", "counters", "engine", "up", "down",
                     "desk"):
            if hasattr(self, name):
                delattr(self, name)
        if self.part.directory.exists():
            self.part.directory.rmdir()

    # -- logins and silence -----------------------------------------------------------------------

    def serve_logins(self):
        """Answers what the matcher handed up; what does not fit the link down waits for it."""
        self._push()
        for _ in range(LOGINS_A_TICK):
            record = None if self.waiting else self.up.pop()
            if record is None:
                return
            outcome, answer = self.desk.answer(record)
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
        """Ends sessions that were silent too long, by record time."""
        for record in self.desk.silent(time.monotonic_ns() + self.record_offset_ns):
            name = self.part.accounts[record["account"]].name
            log(f"{name} was silent for {self.config.orders.silence_ms} ms: disconnected", 4)
            self.waiting.append(record)
        self._push()

    # -- watching ---------------------------------------------------------------------------------

    def state(self) -> int:
        """The matcher's own word: BOOTING ... FAILED, 0 nothing yet."""
        return int(self.status[0]["state"])

    def note_ready(self, now) -> bool:
        """True once an instance, when it has become ready."""
        if self.was_ready or self.state() != shared.READY:
            return False
        self.was_ready = self.ever_ready = True
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

    def describe(self) -> str:
        """The ready matcher in one line."""
        row = self.row()
        copy = "" if row["mode"] != "native" else (" zero copy" if row["zero_copy"] else " copy")
        cached = "from the cache" if row["kernels_cached"] else "compiled"
        return (f"matcher@{self.idx} instance {self.part.instance}, mode {row['mode']}{copy}, "
                f"orders to {self.config.interface.ip}:{self.part.order_port}, kernels {cached}")

    def row(self) -> dict:
        """Its part of status.json."""
        tally = {name: self.tally[name] + self.desk.tally[name] for name in self.tally}
        row = status.partition_row(self.part, self.status, self.sessions, self.counters, tally)
        return row | {"far_scans": int(self.engine[0]["far_scans"])}

    # -- the end ----------------------------------------------------------------------------------

    def end_day(self):
        """Asks for the end of the day: everything canceled, end-of-session packets sent."""
        self.waiting.append({"kind": shared.LINK_END_DAY})
        self._push()

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
