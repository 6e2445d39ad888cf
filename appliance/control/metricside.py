"""The launcher's side of the process metrics: keeps its listening socket, starts it, and again.

The socket stays here, so connections wait in its queue while the process is made anew because a
partition has a new instance, whose shared memory it could not open any more without rights. Nothing
of this ever stops trading.
"""

import signal
import socket

from ..host import cores
from . import children
from .launch import LaunchError

BACKLOG = 1024
RETRY_S = 10.0                       # between two tries to have the port
PAUSE_S, PAUSE_MAX_S = 1.0, 300.0    # before it is started again; longer each time


class MetricsSide:
    """Of one appliance. `child` is the present process, None before the first."""

    def __init__(self, topology, forkserver, core_map, alarms):
        self.topology, self.forkserver = topology, forkserver
        self.cores, self.alarms = core_map, alarms
        self.listen = topology.config.metrics.listen
        self.child = self.sock = None
        self.instances, self.due, self.pause_s, self.replaced = (), 0.0, PAUSE_S, False

    def look(self, now: float, can_fork: bool, desks) -> None:
        """Has it run, for these partitions' present instances."""
        if not self.listen or not can_fork:
            return
        instances = tuple(desk.part.instance for desk in desks)
        if self.child is not None and not self.child.ended():
            if instances != self.instances and not self.replaced:
                self.replaced = True
                self.child.signal(signal.SIGKILL)          # it holds nothing that could be lost
            return
        if self.child is not None and not self.replaced:
            self._died(now)
        self.replaced = False
        if now >= self.due and self._listens(now):
            self._start(now, instances)

    def _died(self, now):
        self.alarms.sound("metrics-died", f"metrics is gone ({self.child.how()}); starting it "
                          "again; trading goes on, nobody can look at /metrics meanwhile")
        lived = now - self.child.started_s
        self.pause_s = PAUSE_S if lived > 60 else min(2 * self.pause_s, PAUSE_MAX_S)
        self.due, self.child = now + self.pause_s, None
        self._close()                        # who asks meanwhile is refused at once

    def _listens(self, now) -> bool:
        if self.sock is not None:
            return True
        host, _, port = self.listen.partition(":")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, int(port)))
            sock.listen(BACKLOG)
        except OSError as error:
            sock.close()
            self.due = now + RETRY_S
            self.alarms.sound("metrics-port", f"metrics.listen = {self.listen}: {error.strerror}; "
                              "see: ss -ltnp; it is tried again, trading goes on without")
            return False
        self.sock = sock
        return True

    def _start(self, now, instances):
        self.instances = instances
        try:
            self.child = self.forkserver.fork(
                "metrics", "metrics", ["--config", str(self.topology.config_file), "--instances",
                                       ",".join(map(str, instances))],
                self.cores.rest, cores.YIELD, {"listen": self.sock.fileno()})
        except LaunchError as error:
            self.due = now + RETRY_S
            self.alarms.sound("metrics-died", f"metrics does not start: {error}; trading goes on")

    def stop(self) -> None:
        """Ends it and gives the port back."""
        children.end(self.child, 0.0)
        self._close()

    def _close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None
