"""The launcher's side of portd: starts it, keeps its descriptors, tells what its watchdog saw.

A portd that dies is started again with every descriptor that it had kept here; matchers trade on
and notice nothing. What it counts in portd_status.events becomes alarms, or lines in the log where
it is good news.
"""

import os
import time

from ..host import cores
from ..layout import shared
from ..shm import region
from . import children
from .alarms import WARNING, log
from .launch import LaunchError
from .losses import Losses

PATIENCE_S = 15.0            # until its socket must be there
HANG_S = 2.0
DEATHS_MAX, DEATHS_S = 5, 3.0
CANNOT_RUN = 77
REMEDIES = {
    "link_down": "orders cannot arrive; see: ip link show",
    "program_detached": "it is being put on again",
    "program_foreign": "take it off (ip link set dev IF xdp off) or move the appliance; plain "
                       "sockets are in use until then",
    "device_gone": "plain sockets are in use until an interface of that name is there again",
    "queue_gone": "give the interface its queues back (ethtool -L)",
    "socket_lost": "plain sockets are in use until AF_XDP can be had again",
    "rung_lost": "plain sockets are in use, slower and outside of the driver; see portd's words",
    "frames_withheld": "they come back when the device completes them",
    "twin_down": "feed A and acknowledgements go on; see: ip link show",
    "open_refused": "see portd's words: a process runs that should not",
}
GOOD_NEWS = ("link_up", "twin_up", "device_back", "program_attached", "rung_regained", "adopted")


class PortSide:
    """portd through all its lives. `child` is the present one."""

    def __init__(self, topology, forkserver, mailbox, core_map, alarms):
        self.topology, self.forkserver, self.mailbox = topology, forkserver, mailbox
        self.cores, self.alarms, self.child = core_map, alarms, None
        self.status = region.attach(topology.blocks["portd_status"])
        self.rows = region.attach(topology.blocks["port_status"])
        self.seen = dict.fromkeys(shared.PORT_EVENT_INDEX, 0)
        self.deaths = []
        self.losses = Losses(topology, self.status, self.rows, mailbox.kept, alarms)

    def start(self) -> None:
        """Forks portd, with what its predecessor left."""
        self.silence = children.Silence()
        self.child = self.forkserver.fork(
            "portd", "portd", ["--config", str(self.topology.config_file)], self.cores.rest,
            cores.YIELD, dict(self.mailbox.kept))

    def wait_ready(self, interrupted) -> None:
        """Until its socket is there. LaunchError when it ends before; `code` has its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while not os.path.exists(self.topology.portd_socket):
            self.mailbox.read(self.child.pid)
            if self.child.ended():
                raise LaunchError(f"portd did not start ({self.child.how()}): see its words above")
            if interrupted() or time.monotonic() > deadline:
                raise LaunchError(f"portd offered no socket within {PATIENCE_S:.0f} s")
            time.sleep(0.005)
        self.child.ready_s = time.monotonic()

    @property
    def cannot_run(self) -> bool:
        """Whether it said that the forced rung cannot be had here."""
        return self.child is not None and self.child.ended() and self.child.code == CANNOT_RUN

    def look(self, now: float, can_fork: bool = True) -> bool:
        """Restarts a dead or hung portd, once it can be forked; False when it dies again and again.
        """
        self._events()
        silent_s = self.silence.look(int(self.status[0]["heartbeat_ns"]))
        if (silent_s > HANG_S and now - self.child.started_s > HANG_S and not self.child.doomed
                and not self.child.ended()):
            self._hangs(silent_s)
        if not self.child.ended() or not can_fork:
            return True
        self.alarms.sound("portd-died", f"portd is gone ({self.child.how()}); starting it again, "
                          "with its descriptors; matchers trade on")
        self.deaths = [*(t for t in self.deaths if now - t < DEATHS_S), now]
        if len(self.deaths) > DEATHS_MAX:
            return False
        self.mailbox.read(self.child.pid)        # what it said last
        self.start()
        return True

    def _hangs(self, silent_s):
        """Ends it, unless the kernel has it."""
        if children.waits_in_kernel(self.child.pid):
            self.silence.forgive()
            self.alarms.sound("portd-waits", f"portd waits inside the kernel, {silent_s:.1f} s by "
                              f"now ({children.whereabouts(self.child.pid)}); nobody can end that; "
                              "matchers trade on")
            return
        where = children.end_hung(self.child)
        self.alarms.sound("portd-hung", f"portd has not looked up for {silent_s:.1f} s and was "
                          f"ended ({where}); matchers trade on")

    def _events(self):
        for name, idx in shared.PORT_EVENT_INDEX.items():
            count = int(self.status[0]["events"][idx])
            if count <= self.seen[name]:
                continue
            grown, self.seen[name] = count - self.seen[name], count
            text = f"{_MEANINGS[name]} ({grown}, {count} in all)"
            if name in REMEDIES:
                self.alarms.sound(name.replace("_", "-"), f"{text}; {REMEDIES[name]}")
            else:
                log(f"port: {text}", WARNING if name not in GOOD_NEWS else 6)


_MEANINGS = dict(shared.PORT_EVENTS)
