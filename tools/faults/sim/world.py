"""One seed: a whole appliance, its participants, what goes wrong, and the verdict.

    result = simulate(7)
    result.failures                  [(invariant, what was found)], empty when all held
    result.digest                    of everything that happened: the same seed, the same digest

    load     participants trade while the plan's faults happen
    heal     no faults any more, what is dead is started: everything must settle in virtual time
    verdict  the books of matcher, participants, subscribers and replay are one; see ledger.py

Real: hot/, the publish gate, the journal, recovery, snapshots, salvage, logins, the re-request
server, the client library. Simulated: clock, network, disk, and who is alive.
"""

import functools
import random
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from appliance.layout import shared
from appliance.layout.datagram import build_request

from . import plan as plans
from . import stand_ins, verdict
from .box import Box
from .canary import Canary
from .crowd import Listener, Trader
from .disk import Disk
from .ledger import Ledger
from .setting import PEOPLE, checker, config_of
from .timeline import OPENS_NS, Timeline
from .venue import Memory
from .wires import Network

SETTLE_NS = 60_000_000_000


@dataclass
class Result:
    """failures: (invariant, what was found). counts: what the run was made of."""

    seed: int
    digest: str = ""
    failures: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)
    points: dict = field(default_factory=dict)


class World:
    """Everything of one seed."""

    def __init__(self, seed, canary="", trace=None):
        self.picked = random.Random(seed)
        self.plan = plans.draw(self.picked)
        self.timeline, self.canary = Timeline(trace), Canary(canary)
        self.config, self.checker = config_of(self.plan.level), checker()
        self.result, self.healing = Result(seed), False
        self.disk = Disk(random.Random(seed ^ 0xD15C), self.timeline.note)
        self.net = Network(self.timeline, random.Random(seed ^ 0x4E37), dict(self.plan.rates))
        self.ledger, self.region = Ledger(self), SimpleNamespace()
        self.traders, self.listeners = [], []
        self.box = Box(self)
        self.new_memory(self.box.memory)

    def fail(self, invariant, found) -> None:
        """Something does not hold; once an invariant."""
        self.timeline.note("VIOLATED", invariant, found)
        if all(known != invariant for known, _ in self.result.failures):
            self.result.failures.append((invariant, found))

    def new_memory(self, memory=None) -> Memory:
        """The shared memory of the next instance; salvage finds it under region.attach."""
        memory = memory or Memory()
        self.region.attach = memory.attach
        self.region.header_of = lambda _path: {"instance": self.box.instance}
        self.region.RegionError = RuntimeError
        return memory

    def installed(self):
        """The real modules with this world's clock, disk and network under their names."""
        return stand_ins.installed(self)

    # -- the run ----------------------------------------------------------------------------------

    def run(self) -> Result:
        """Load, heal, verdict. An exception is a failure too."""
        try:
            self._run()
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.fail("exception", f"{type(error).__name__}: {error} ({Path(last.filename).name} "
                      f"line {last.lineno})")
        self.result.digest = self.timeline.sum.hexdigest()
        return self.result

    def _run(self):
        plan, timeline, box = self.plan, self.timeline, self.box
        box.start()
        if box.channel is None:
            timeline.run(timeline.now_ns + SETTLE_NS, lambda: box.channel is not None)
        part = box.channel
        self.net.hosts[part.ip, part.order_port] = box.take
        self.net.hosts[part.rerequest_ip, part.rerequest_port] = box.answer
        for n in range(plan.traders):
            self.traders.append(Trader(self, PEOPLE[n][0], "secret", f"10.9.1.{n + 1}",
                                       plan.budget))
        for _ in range(plan.listeners):
            self._listener()
        for at_ns, kind, number in plan.events:
            timeline.after(at_ns, functools.partial(self._trouble, kind, number))
        timeline.run(OPENS_NS + plan.load_ns + 40 * plans.MS)
        self._heal()
        settled = timeline.run(timeline.now_ns + SETTLE_NS, self._settled)
        if not settled:
            self.fail("liveness", self._who_waits())
        verdict.judge(self, settled)

    def _listener(self):
        self.listeners.append(Listener(self, f"10.9.2.{len(self.listeners) + 1}"))

    def _trouble(self, kind, number):
        box, disk = self.box, self.disk
        if self.healing:
            return
        self.timeline.note("trouble", kind, number)
        how = ("before", "after", "within")[number % 3]
        for_ns = (number % 400 + 1) * plans.MS
        if kind in ("matcher", "journal", "all"):
            getattr(box, f"kill_{kind}")()
        elif kind == "power":
            box.power_cut()
        elif kind == "recovery":
            box.server = None
            self.timeline.after(for_ns, lambda: box.venue and box.start_server())
        elif kind in ("point", "point-power"):
            disk.arm(number // 3 % 40 + 1, kind == "point-power", how)
        elif kind == "sync-fails":
            disk.failing = number % 6 + 1
        elif kind == "disk-full":
            disk.full = True
            self.timeline.after(for_ns, lambda: setattr(disk, "full", False))
        elif kind == "slow-disk":
            before, box.journal_ns = box.journal_ns, (100 * plans.MS, 200 * plans.MS)
            self.timeline.after(for_ns, lambda: setattr(box, "journal_ns", before))
        elif kind == "cut":
            self._cut(number, for_ns * (12 if number % 5 == 0 else 1))
        elif kind == "snapshot":
            box.snapshot(box.writer.durable_seq if number % 2 and box.is_up else None)
        elif kind == "snapshot-power":
            box.snapshot(None)
            self.timeline.after(number % 40 * plans.MS, box.power_cut)
        elif kind == "greedy" and box.is_up:
            self._ask_too_much(number % 30 + 1)
        elif kind == "halt":
            box.order(shared.LINK_HALT, account=0, reason=ord("HPQ"[number % 3]), token=b"T1  ")
            self.timeline.after(for_ns, self._resume)
        elif kind == "bust":
            box.order(shared.LINK_BUST, requested_seq=number % 40 + 1, reason=ord("E"))
        elif kind == "joiner" and box.channel is not None:
            self._listener()

    def _resume(self):
        self.box.order(shared.LINK_HALT, account=0, reason=ord("T"), token=b"    ")

    def _ask_too_much(self, times):
        """Somebody asks again and again for the next messages, which nobody may see yet."""
        box = self.box
        if not box.is_up or self.healing:
            return
        feed = box.venue.core.feed.log[0]
        self.net.send(("10.9.2.1", 39999), (box.channel.rerequest_ip, box.channel.rerequest_port),
                      build_request(box.channel.feed_session, int(feed["next_seq"]) - 1, 100))
        for each in self.traders:
            if each.line.is_in:
                session = each.line.session
                session.sock.send(build_request(session.session, session.expected, 100))
        if times:
            self.timeline.after(self.picked.randint(50_000, 3_000_000),
                                lambda: self._ask_too_much(times - 1))

    def _cut(self, number, for_ns):
        ends = [(way, each.ip) for each in self.traders for way in ("up", "down")]
        ends += [("down", f"10.9.2.{n + 1}") for n in range(len(self.listeners))]
        end = ends[number // 7 % len(ends)]
        self.net.cuts.add(end)
        self.timeline.after(for_ns, lambda: self.net.cuts.discard(end))

    def _heal(self):
        self.timeline.note("heal")
        self.healing = True
        self.net.heal()
        box, disk = self.box, self.disk
        disk.full, disk.failing, disk.armed = False, 0, None
        box.journal_ns = (50_000, 200_000)
        if box.venue is not None and box.server is None:
            box.start_server()
        self._resume()

    def _settled(self) -> bool:
        box = self.box
        if not box.is_up or box.venue.frames or box.lag:
            return False
        next_seq = int(box.venue.core.feed.log[0]["next_seq"])
        return (all(each.is_settled for each in self.traders)
                and all(each.is_settled(next_seq) for each in self.listeners)
                and all(each.line.session.next_up == int(
                    box.venue.core.accounts.sessions[n]["next_upstream_seq"])
                    and each.line.session.expected == int(
                        box.venue.core.accounts.sessions[n]["next_seq"])
                    for n, each in enumerate(self.traders)))

    def _who_waits(self):
        box = self.box
        if not box.is_up:
            return f"matcher up: {box.venue is not None}, journal up: {box.copier is not None}"
        rows = [f"{each.name} is {each.line.state}" for each in self.traders
                if not each.is_settled]
        rows += [f"a listener is at {each.handler.expected} of "
                 f"{int(box.venue.core.feed.log[0]['next_seq'])}" for each in self.listeners]
        return "; ".join(rows + [f"lag {box.lag}"])


def simulate(seed, canary="", trace=None) -> Result:
    """The run of a seed."""
    world = World(seed, canary, trace)
    with world.installed():
        return world.run()
