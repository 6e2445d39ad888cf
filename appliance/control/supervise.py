"""`wirematch run`: starts the processes, judges logins, watches, restarts, stops.

    start    runtime folder; the fork server warms up while regions are made; portd; partitions side
             by side: the journal is opened, then matcher and recovery; one line says ready
    watch    every 10 ms signals and logins; every 50 ms, and at once when a child ends: children,
             portd's events, heartbeats, silence, the day; every second counters that deserve an
             alarm, and status.json
    restart  a matcher that died or hung is started again with new regions: with a journal it comes
             back with its book, its sessions and their names, else a fresh day begins under new
             session names and its participants log in again; other partitions do not notice.
             The other processes are started again and nobody loses anything
    day      the market opens and closes by the clock (trading_day); after a closed day every
             partition begins anew at midnight
    reload   SIGHUP: the files are read and checked again, and taken over all or not at all (reload)
    stop     without a journal the end of the day (end-of-session packets leave), with one the day
             can go on later; matchers, recoveries, journals, portd, fork server, runtime folder; a
             second signal skips the waiting

Everything here is one thread; nothing here is on a packet's way.
"""

import select
import signal
import time

from .. import faultpoint, notify
from .. import topology as topo
from ..config.load import freeze, warnings
from ..host import cores
from ..shm import region
from . import children, drops, launch, metricside, reload, status
from .alarms import Alarms, log, use_format
from .desk import ControlSocket
from .manager import Manager
from .partition import PartitionDesk
from .portside import PortSide
from .renewal import CANNOT_RUN, FAILURE, OK, Renewal
from .salvage import salvage
from .secrets import Checker
from .trading_day import TradingDay

TICK_S, ROUND_S, STATUS_S = 0.010, 0.050, 1.0
BOOT_PATIENCE_S = 900.0      # until READY: a cold compilation on a busy machine takes minutes
END_PATIENCE_S, STOP_PATIENCE_S = 5.0, 5.0
FORKSERVER_PAUSE_S = 1.0     # between two starts of a fork server that cannot work
HURRY = 2                    # signals after which nothing is waited for
HURRY_S = 1.0                # but portd, which leaves the device as it was


class Appliance:
    """A running appliance. `run` does everything and gives the exit code."""

    def __init__(self, config):
        self.config, self.topology = config, topo.build(config)
        self.alarms, self.signals, self.state, self.code = Alarms(), 0, "starting", OK
        self.mailbox = self.folder = self.cores = self.forkserver = self.port = self.checker = None
        self.control, self.desks, self.can_fork, self.renewal = None, [], True, Renewal(self)
        self.drops, self.metrics = drops.Drops(), None
        self.wants_reload, self.reload = False, None     # the last one: {"done", "changes"}
        self.today = TradingDay(config, time.time_ns())
        self.status_due = self.round_due = 0.0
        self.endings, self.manager = select.poll(), Manager(BOOT_PATIENCE_S)

    def run(self) -> int:
        """Runs until a signal or a failure that a restart does not cure. 0, 1 or 77."""
        use_format(self.config.log.format)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, self._on_reload)
        try:
            self._start()
            while not self.signals and self.state != "failed":
                self._tick()
                self.endings.poll(TICK_S * 1000)
        except (launch.LaunchError, region.RegionError, cores.CoreError) as error:
            if not self.signals:
                log(f"{error}", 3)
                refused = self.port is not None and self.port.cannot_run
                self.code = self.code or (CANNOT_RUN if refused else FAILURE)
        finally:
            self._stop()
        return self.code

    def _on_signal(self, number, _frame):
        self.signals += 1

    def _on_reload(self, _number, _frame):
        self.wants_reload = True

    # -- start ------------------------------------------------------------------------------------

    def _start(self):
        try:
            if warning := faultpoint.arm(is_launcher=True):
                log(warning, 2)
        except ValueError as error:
            raise launch.LaunchError(str(error)) from None
        for text in warnings(self.config):
            log(text, 4)
        self.cores = cores.plan(self.config.cores.wait, self.config.cores.matcher,
                                self.config.partitions.count,
                                realtime=self.config.cores.realtime)
        if self.cores.realtime and cores.throttled():
            log("cores.realtime: the kernel stops real-time processes for a part of each second; "
                "see: sysctl kernel.sched_rt_runtime_us=-1", 4)
        self.checker = Checker(
            self.config.accounts + self.config.drop_copies, cpus=self.cores.rest)
        self.folder = launch.RuntimeFolder(self.topology, lambda: salvage(self.topology))
        if self.folder.was_left_behind:
            log(f"cleared {self.folder.path}: left behind by a launcher that was killed", 4)
        faultpoint.at("launcher-salvaged")
        self.day_file = launch.DayFile(self.topology, self.today.date)
        self.topology = topo.build(self.config, [
            self.day_file.take(part.idx) for part in self.topology.partitions])
        self.mailbox = launch.Mailbox(self.topology.notify_socket)
        freeze(self.config, self.topology.config_file)
        for block in self.topology.blocks.values():
            region.create(block)
        self.forkserver = children.ForkServer(self.cores.rest, self.topology.notify_socket)
        self.port = PortSide(self.topology, self.forkserver, self.mailbox, self.cores, self.alarms)
        self.metrics = metricside.MetricsSide(self.topology, self.forkserver, self.cores,
                                              self.alarms)
        self.forkserver.wait_ready(lambda: self.signals > 0)
        self.port.start()
        self.port.wait_ready(lambda: self.signals > 0)
        for part in self.topology.partitions:
            desk = PartitionDesk(self.topology, part.idx, self.today.midnight, self.today.day,
                                 self.alarms, self.checker)
            self.desks.append(desk)
            self.create(desk)
        self.control = ControlSocket(self, self.topology.control_socket)
        self.renewal.begin()
        self.write_status()

    def create(self, desk):
        """The regions of a partition's instance; its journal begins to open."""
        desk.create(self.today.opens_later, self.forkserver, str(self.topology.config_file),
                    self.cores)

    def write_channel(self):
        """The channel file, once all names in it are known."""
        if not all(desk.names_known or desk.is_down for desk in self.desks):
            return                                   # a journal that opens will say
        table = topo.build(self.config, [desk.part.instance for desk in self.desks],
                           [desk.part.names for desk in self.desks])
        status.write(self.topology.channel_file, topo.channel(table, self.today.day))

    # -- watch ------------------------------------------------------------------------------------

    def _tick(self):
        """What cannot wait; and, when something ended or it is time, the round."""
        now = time.monotonic()
        for pid, lines in self.mailbox.read(self.port.child.pid):
            for child in self.children():
                if child.pid == pid:
                    child.status = lines.get("STATUS", child.status)
                    if "READY" in lines and not child.ready_s:
                        child.ready_s = now
        for desk in self.desks:
            if desk.stage:
                self.renewal.look(desk, now, self.can_fork)
            elif not desk.is_down:
                desk.serve_logins()
                desk.serve_tickets()
        self.control.turn(now)
        if self.wants_reload and self.state != "starting":
            self._reload()
        if now >= self.round_due or self.endings.poll(0):
            self.round_due = now + ROUND_S
            self._round(now)
            self._expect_endings()
        if now >= self.status_due:
            for desk in self.desks:
                desk.watch_counters()
            self.port.losses.watch()
            self.write_status()

    def _round(self, now):
        """A look at every child, at silent sessions and at the day."""
        can_fork = self.can_fork = self._watch_forkserver(now)
        portd = self.port.child
        if not self.port.look(now, can_fork):
            self.fail(FAILURE, "portd dies again and again: see its words above")
        if self.port.child is not portd:
            self.write_status()
        for desk in self.desks:
            if not desk.is_down and not desk.stage and can_fork:
                self._watch_desk(desk, now)
        self.metrics.look(now, can_fork, self.desks)
        self._follow_day()
        for desk in self.desks:
            if not desk.is_down and not desk.stage:
                desk.end_silent()
                self._watch_matcher(desk, now)
        if self.state == "starting" and all(each.is_up() or each.is_down for each in self.desks):
            log(f"running: {len(self.desks)} partition(s); {self.cores.text()}; the market is "
                f"{self.today.phase}")
            self.state = "running"
            self.write_status()
        self.manager.turn(now, self.state, self.desks)

    def _expect_endings(self):
        """From now on `endings` tells when one of the children that live ends."""
        self.endings = select.poll()
        for child in self.children():
            if not child.ended():
                self.endings.register(child.pidfd, select.POLLIN)

    def children(self) -> list:
        """Every process there is."""
        children_of = [side and side.child for side in (self.port, self.forkserver, self.metrics)]
        for desk in self.desks:
            children_of += desk.children()
        return [child for child in children_of if child]

    def _watch_forkserver(self, now):
        """Whether it is ready. The dead are started again only then: waiting for it here would
        leave those alone who live."""
        if self.forkserver.ended() and now - self.forkserver.child.started_s > FORKSERVER_PAUSE_S:
            self.alarms.sound("forkserver-died", f"the fork server is gone ("
                              f"{self.forkserver.child.how()}); starting it again; nobody else "
                              "notices")
            self.forkserver.start()
        return not self.forkserver.ended() and self.forkserver.look()

    def _watch_desk(self, desk, now):
        if desk.matcher.ended():
            self.renewal.matcher_died(desk)
        elif desk.journal is not None and not desk.journal.look(now):
            self.renewal.take_down(desk, "journal-failed", f"journal@{desk.idx} has failed "
                            f"({desk.journal.child.how()}): nothing more can be kept, so partition "
                            f"{desk.idx} stops; see its words above, then start the appliance anew")
        else:
            desk.look_beside(now)

    def _watch_matcher(self, desk, now):
        if desk.note_ready(now):
            took = now - desk.matcher.started_s
            log(f"ready after {took:.2f} s: {desk.describe()}")
            self.write_status()
        elif not desk.was_ready and now - desk.matcher.started_s > BOOT_PATIENCE_S:
            desk.sound("matcher-boot", f"matcher@{desk.idx} was not ready within "
                       f"{BOOT_PATIENCE_S:.0f} s; ending it")
            desk.matcher.signal(signal.SIGKILL)
        if not desk.watch_heartbeat():
            return
        if children.waits_in_kernel(desk.matcher.pid):
            desk.silence.forgive()
            desk.sound("matcher-waits", f"matcher@{desk.idx} waits inside the kernel, "
                       f"{desk.silent_s():.1f} s by now ("
                       f"{children.whereabouts(desk.matcher.pid)}); nobody can end that")
        else:
            silent_s, where = desk.silent_s(), children.end_hung(desk.matcher)
            desk.sound("matcher-hung", f"matcher@{desk.idx} has not looked at its control "
                       f"word for {silent_s:.1f} s and was ended ({where})")

    def _reload(self):
        """SIGHUP, told to systemd as it asks for; nobody waits for it meanwhile."""
        self.wants_reload = False
        notify.reloading()
        done = reload.reload(self)
        notify.ready("reloaded" if done else "the new configuration was refused: see the log")
        self.write_status()

    # -- days -------------------------------------------------------------------------------------

    def _follow_day(self):
        if self.today.look(time.time_ns(), self.desks):
            self._next_day()
        elif self.state == "running" and self.today.is_over(self.desks):
            self.state = "closed"
            log("closed: every order is cancelled and every session ended; the next day begins at "
                "midnight")
            self.write_status()

    def _next_day(self):
        """Midnight after a closed day: new instances under the names of the new day."""
        self.state, up = "starting", [desk for desk in self.desks if not desk.is_down]
        for desk in up:
            desk.order_stop()
        self._patience(STOP_PATIENCE_S, lambda: all([desk.matcher.ended() for desk in up]))
        if self.signals:
            return
        self.today.begin(time.time_ns())
        self.day_file = launch.DayFile(self.topology, self.today.date)
        log(f"day {self.today.day:03d} begins")
        self.renewal.next_day(up)
        self.write_status()

    def fail(self, code, text):
        """Ends the appliance with an alarm and an exit code."""
        self.alarms.sound("failed", text)
        self.state, self.code = "failed", code

    def write_status(self):
        """status.json, now."""
        self.status_due = time.monotonic() + STATUS_S
        status.write(self.topology.status_file, status.content(self))

    # -- stop -------------------------------------------------------------------------------------

    def _stop(self):
        """Ends everything in order; a second signal skips the waiting."""
        self.state = "stopping" if self.state != "failed" else self.state
        if self.folder is None:
            return
        self.manager.stopping()
        try:
            trading = [desk for desk in self.desks if desk.is_trading()]
            if trading:
                self.write_status()
                for desk in trading:
                    if desk.journal is None:
                        desk.end_day()
                self._patience(END_PATIENCE_S, lambda: all(
                    [d.journal is not None or d.has_ended() for d in trading]))
                for desk in trading:
                    desk.watch_counters()        # what the end itself met
                    desk.order_stop()
                self._patience(STOP_PATIENCE_S, lambda: all([d.matcher.ended() for d in trading]))
            patience_s = 0.0 if self.signals >= HURRY else 2.0
            for desk in self.desks:
                children.end(desk.matcher, patience_s)
                children.end(desk.recovery, patience_s)
            self.renewal.end(lambda: self.signals >= HURRY)
            if self.metrics is not None:
                self.metrics.stop()
            if self.port is not None:
                self._end_portd()
            if self.forkserver is not None:
                self.forkserver.stop()
        finally:
            self._remove()
        log("stopped" if self.code == OK else f"stopped, exit code {self.code}")

    def _end_portd(self):
        """It takes its descriptors back one by one: the mailbox has to be read meanwhile."""
        child, begun = self.port.child, time.monotonic()
        if child is None:
            return
        child.signal(signal.SIGTERM)
        while not child.wait(0.01) and time.monotonic() - begun < (
                STOP_PATIENCE_S if self.signals < HURRY else HURRY_S):
            self.mailbox.read(child.pid)
        children.end(child, 0.0)

    def _patience(self, seconds, finished):
        deadline = time.monotonic() + seconds
        while not finished() and time.monotonic() < deadline and self.signals < HURRY:
            for desk in self.desks:
                if not desk.is_down:
                    desk.serve_logins()
            time.sleep(TICK_S)

    def _remove(self):
        for desk in self.desks:
            desk.forget()
        for each in filter(None, (self.mailbox, self.control)):
            each.close()
        self.checker.close()
        self.folder.remove()


def run(config) -> int:
    """Runs the appliance of a Config until a signal; the exit code."""
    return Appliance(config).run()
