"""`wirematch run`: starts the processes, judges logins, watches, restarts, stops.

    start    runtime folder, regions, channel file; portd; matcher (its kernels take the time);
             recovery; one line says ready
    watch    every 10 ms: signals, ended children, logins; every 100 ms silence and heartbeats;
             every second counters that deserve an alarm, and status.json
    restart  a matcher that died or hung loses its book (no journal yet): its instance ends, a new
             one begins with new regions and new session names, participants log in again.
             portd's death ends the matcher's instance too; recovery is simply started again
    stop     end of day (end-of-session packets leave), matcher, recovery, portd, runtime folder;
             a second signal skips the waiting

Everything here is one thread; nothing here is on a packet's way.
"""

import os
import signal
import time

from .. import topology as topo
from ..config.load import freeze, warnings
from ..host import cores
from ..shm import region
from . import launch, status
from .alarms import Alarms, log
from .partition import PartitionDesk

TICK_S, LIVENESS_S, STATUS_S = 0.010, 0.100, 1.0
PORTD_PATIENCE_S = 15.0      # until its socket must be there
BOOT_PATIENCE_S = 900.0      # until READY: a cold compilation on a busy machine takes minutes
HANG_S = 5.0                 # a matcher looks at its control word every 50 ms
END_PATIENCE_S, STOP_PATIENCE_S = 5.0, 5.0
BOOT_FAILURES_MAX = 3        # in a row; one is enough at the first start
RECOVERY_PAUSE_S = 5.0       # between two starts of a recovery that cannot work
HURRY = 2                    # signals after which nothing is waited for
OK, FAILURE, CANNOT_RUN = 0, 1, 77


class Appliance:
    """A running appliance of one partition. `run` does everything and gives the exit code."""

    def __init__(self, config):
        self.config, self.topology = config, topo.build(config)
        self.alarms, self.signals = Alarms(), 0
        self.state, self.code = "starting", OK
        self.portd = self.mailbox = self.folder = self.desk = self.cores = None
        self.midnight = topo.midnight_ns(config.day.time_zone, time.time_ns())
        self.day = topo.day_of_year(config.day.time_zone, self.midnight)
        self.date = f"{self.midnight // 1_000_000_000}-{self.day:03d}"
        self.boot_failures, self.status_due, self.liveness_due = 0, 0.0, 0.0

    def run(self) -> int:
        """Runs until a signal or a failure that a restart does not cure. 0, 1 or 77."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._start()
            while not self.signals and self.state != "failed":
                self._tick()
                time.sleep(TICK_S)
        except (launch.LaunchError, region.RegionError, cores.CoreError) as error:
            if not self.signals:
                log(f"{error}", 3)
                self.code = self.code or FAILURE
        finally:
            self._stop()
        return self.code

    def _on_signal(self, number, _frame):
        self.signals += 1

    # -- start ------------------------------------------------------------------------------------

    def _start(self):
        for text in warnings(self.config):
            log(text, 4)
        self.cores = cores.plan(self.config.cores.wait, self.config.cores.matcher,
                                self.config.partitions.count)
        self.folder = launch.RuntimeFolder(self.topology)
        if self.folder.was_left_behind:
            log(f"cleared {self.folder.path}: left behind by a launcher that was killed", 4)
        self.day_file = launch.DayFile(self.topology, self.date)
        self.topology = topo.build(self.config, self.day_file.take())
        self.mailbox = launch.Mailbox(self.topology.notify_socket)
        freeze(self.config, self.topology.config_file)
        for block in self.topology.blocks.values():
            region.create(block)
        self.port_counters = region.attach(self.topology.blocks["port_counters"])
        self._start_portd()
        self.desk = PartitionDesk(self.topology, 0, self.midnight, self.day, self.alarms)
        self._start_instance()

    def _start_portd(self):
        if os.path.exists(self.topology.portd_socket):
            os.unlink(self.topology.portd_socket)         # of a portd that was killed
        arguments = ["-m", "appliance.stages.portd", "--config", str(self.topology.config_file)]
        self.portd = launch.start("portd", arguments, self.cores.rest, cores.YIELD,
                                  self.topology.notify_socket)
        deadline = time.monotonic() + PORTD_PATIENCE_S
        while not os.path.exists(self.topology.portd_socket):
            if self.portd.ended():
                self.code = CANNOT_RUN if self.portd.process.poll() == CANNOT_RUN else FAILURE
                raise launch.LaunchError(f"portd did not start ({self.portd.how()}): see its words "
                                         "above")
            if time.monotonic() > deadline or self.signals:
                raise launch.LaunchError(f"portd offered no socket within {PORTD_PATIENCE_S:.0f} s")
            time.sleep(TICK_S)
        self.portd.ready_s = time.monotonic()

    def _start_instance(self):
        self.desk.create()
        self._write_channel()
        self.desk.start(str(self.topology.config_file), self.cores, self.topology.notify_socket)
        self._write_status()

    def _write_channel(self):
        part = self.desk.part
        table = topo.build(self.config, part.instance)
        status.write(self.topology.channel_file, topo.channel(table, self.day))

    # -- watch ------------------------------------------------------------------------------------

    def _tick(self):
        now = time.monotonic()
        for pid, lines in self.mailbox.read():
            for child in self._children():
                if child.pid == pid:
                    child.status = lines.get("STATUS", child.status)
                    if "READY" in lines and not child.ready_s:
                        child.ready_s = now
        self.desk.serve_logins()
        self._watch_children(now)
        if now >= self.liveness_due:
            self.liveness_due = now + LIVENESS_S
            self.desk.end_silent()
            self._watch_matcher(now)
        if now >= self.status_due:
            self.desk.watch_counters()
            self._write_status()

    def _children(self):
        desk = self.desk
        return [c for c in (self.portd, desk and desk.matcher, desk and desk.recovery) if c]

    def _watch_children(self, now):
        desk = self.desk
        if self.portd.ended():
            self.alarms.sound("portd-died", f"portd is gone ({self.portd.how()}); orders cannot "
                              "arrive; starting it and a new instance of the matcher")
            desk.kill()
            self._start_portd()
            self._next_instance()
        elif desk.matcher.ended():
            self._matcher_died()
        elif desk.recovery.ended() and now - desk.recovery.started_s > RECOVERY_PAUSE_S:
            self.alarms.sound("recovery-died", f"recovery@{desk.part.idx} is gone "
                              f"({desk.recovery.how()}); starting it again")
            desk.start_recovery()

    def _matcher_died(self):
        desk = self.desk
        booted = desk.was_ready
        how = desk.matcher.how()
        self.boot_failures = 0 if booted else self.boot_failures + 1
        if desk.matcher.process.poll() == CANNOT_RUN:
            self._fail(CANNOT_RUN, f"matcher@{desk.part.idx} cannot run here")
        elif self.boot_failures >= (BOOT_FAILURES_MAX if desk.ever_ready else 1):
            self._fail(FAILURE, f"matcher@{desk.part.idx} does not start ({how}): see its words "
                       "above")
        else:
            self.alarms.sound("matcher-died", f"matcher@{desk.part.idx} is gone ({how}); its book "
                              "is lost; a new instance begins and participants must log in again")
            desk.kill()
            self._next_instance()

    def _next_instance(self):
        self.desk.next_instance(self.day_file.take())
        self._start_instance()

    def _watch_matcher(self, now):
        desk = self.desk
        if desk.note_ready(now):
            took = now - desk.matcher.started_s
            log(f"ready after {took:.2f} s: {desk.describe()}; {self.cores.text()}")
            self.state = "running"
            self._write_status()
        elif not desk.was_ready and now - desk.matcher.started_s > BOOT_PATIENCE_S:
            self.alarms.sound("matcher-boot", f"matcher@{desk.part.idx} was not ready within "
                              f"{BOOT_PATIENCE_S:.0f} s; ending it")
            desk.matcher.signal(signal.SIGKILL)
        silent_s = desk.silent_s()
        if desk.was_ready and silent_s > HANG_S:
            self.alarms.sound("matcher-hung", f"matcher@{desk.part.idx} has not looked at its "
                              f"control word for {silent_s:.1f} s; ending it")
            desk.matcher.signal(signal.SIGKILL)

    def _fail(self, code, text):
        self.alarms.sound("failed", text)
        self.state, self.code = "failed", code

    def _write_status(self):
        self.status_due = time.monotonic() + STATUS_S
        status.write(self.topology.status_file, self.content())

    def content(self) -> dict:
        """What status.json holds."""
        return {
            "name": self.config.name, "state": self.state, "pid": os.getpid(),
            "config": self.config.path, "config_digest": self.config.digest,
            "interface": self.config.interface.name, "ip": self.config.interface.ip,
            "mode_wanted": self.config.interface.mode, "day": self.day,
            "midnight_ns": self.midnight, "cores": self.cores.text(), "wait": self.cores.wait,
            "partitions": [self.desk.row()] if self.desk else [],
            "steering": status.port_row(self.port_counters),
            "processes": [{"name": child.name, "pid": child.pid, "cpus": list(child.cpus),
                           "state": child.how(), "status": child.status,
                           "ready_s": round(max(0.0, child.ready_s - child.started_s), 3)}
                          for child in self._children()],
            "alarms": self.alarms.table()}

    # -- stop -------------------------------------------------------------------------------------

    def _stop(self):
        """Ends everything in order; a second signal skips the waiting."""
        self.state = "stopping" if self.state != "failed" else self.state
        if self.folder is None:
            return
        try:
            if self.desk and self.desk.matcher:
                if self.desk.was_ready and not self.desk.matcher.ended():
                    self._write_status()
                    self.desk.end_day()
                    self._patience(END_PATIENCE_S, self.desk.has_ended)
                    self.desk.order_stop()
                    self._patience(STOP_PATIENCE_S, self.desk.matcher.ended)
                hurry = self.signals >= HURRY
                launch.end(self.desk.matcher, 0.0 if hurry else 2.0)
                launch.end(self.desk.recovery, 0.0 if hurry else 2.0)
            launch.end(self.portd, 5.0)
        finally:
            self._remove()
        log("stopped" if self.code == OK else f"stopped, exit code {self.code}")

    def _patience(self, seconds, finished):
        deadline = time.monotonic() + seconds
        while not finished() and time.monotonic() < deadline and self.signals < HURRY:
            self.desk.serve_logins()
            time.sleep(TICK_S)

    def _remove(self):
        if self.desk:
            self.desk.forget()
        if self.mailbox:
            self.mailbox.close()
        self.folder.remove()


def run(config) -> int:
    """Runs the appliance of a Config until a signal; the exit code."""
    return Appliance(config).run()
