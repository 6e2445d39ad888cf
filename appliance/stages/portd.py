"""portd: the one privileged process. It owns the program, the sockets and the UMEM.

    run as    python -m appliance.stages.portd --config FILE, or by the fork server
    it        climbs the ladder (zero copy, native, generic, plain sockets), opens the order and
              multicast sockets, then serves matchers over <runtime_dir>/portd.sock:

        matcher -> {"op": "open", "partition": p, "instance": i}
        portd   -> {"op": "port", "rung", "layout", "generation", ...} + descriptors
        matcher    maps the rings (before the bind: works on every kernel since 5.4)
        matcher -> {"op": "mapped"}
        portd      binds, points the partition's slot at the socket
        portd   -> {"op": "bound", "zero_copy": false}, or {"op": "refused", "why": text}

Who may ask for a partition: its matcher's user, and portd's own. The process that asked is watched
by a pidfd; when it ends, the slot is emptied and its frames are taken back. When AF_XDP is lost
(watch.py), every partition's generation changes: matchers ask again and get plain sockets, and the
same when it is there again.

portd may die: every descriptor is kept by its parent too (store.py). The next portd takes them over
and neither attaches nor binds nor empties a slot; matchers trade on meanwhile.

The order sockets always exist: they keep the kernel from answering orders with ICMP errors, and are
the receive side of the plain rung. While AF_XDP is in use a filter lets nothing into them.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import time

from appliance import notify
from appliance import topology as topo
from appliance.config import load
from appliance.host import nic
from appliance.layout import shared
from appliance.native import lib
from appliance.shm import region
from appliance.stages import link, watch
from appliance.stages.port_desk import PortDesk
from appliance.stages.watch import say

EXIT_FAILURE, EXIT_CANNOT_RUN = 1, 77
TICK_S, SILENT_S = 0.1, 30.0   # what happens to the device, a matcher or a request wakes it before
OPENED_MAX = 128               # connections at a time; a matcher has one for some milliseconds
OPENED_BY_USER_MAX = 8         # unless it is portd's own user: nobody may take all of them


class Service:
    """The listening socket, its connections, and the clockwork of portd."""

    def __init__(self, portd: PortDesk, path: str):
        self.portd, self.path, self.watch = portd, path, watch.Watch(portd)
        self.opened, self.publish_due = {}, 0.0
        self.news = nic.device_news()
        if os.path.exists(path):
            os.unlink(path)                       # of a portd that was killed
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.setblocking(False)
        self.listener.bind(path)
        os.chmod(path, 0o666)                     # who asks is known by its user
        self.listener.listen(64)

    def turn(self) -> None:
        """One pass: requests, ended matchers, the watchdog, what is published."""
        ready = self._wait()
        if self.news.fileno() in ready:
            with contextlib.suppress(OSError):       # empty, or more came than it holds
                while self.news.recv(1 << 16):
                    pass
        for connection in [each for each in self.opened if each.fileno() in ready]:
            self._answer(connection)
            self.portd.beat()
        if self.listener.fileno() in ready:
            self._accept()
        now = time.monotonic()
        for p, holder in list(self.portd.holders.items()):
            if holder.pidfd in ready and _is_readable(holder.pidfd):     # not its successor's
                self.portd.gone(p)
        for connection, since in list(self.opened.items()):
            if now - since > SILENT_S:
                self._drop(connection)
        self.watch.look(now)
        self.portd.beat()
        if now >= self.publish_due:
            self.publish_due = now + TICK_S / 2
            self.portd.publish()

    def _wait(self):
        """File numbers of what there is something to do with, after a tick at most."""
        waiter = select.poll()
        for each in (self.listener, self.news, *self.opened,
                     *(holder.pidfd for holder in self.portd.holders.values())):
            waiter.register(each, select.POLLIN)
        return {number for number, _ in waiter.poll(TICK_S * 1000)}

    def _accept(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        if not self.portd.may_ask(connection) or not self._has_room(connection):
            connection.close()
            return
        connection.setblocking(False)
        self.opened[connection] = time.monotonic()

    def _has_room(self, connection):
        user = self.portd.user_of(connection)
        most = OPENED_MAX if user == os.geteuid() else OPENED_BY_USER_MAX
        of_user = sum(self.portd.user_of(each) == user for each in self.opened)
        return len(self.opened) < OPENED_MAX and of_user < most

    def _answer(self, connection):
        fds = []
        try:
            message, fds = link.receive(connection)
            if message.get("op") == "open":
                self.portd.open_for(connection, message)
            elif message.get("op") == "mapped":
                self.portd.bind_for(connection)
            else:
                self._drop(connection)
        except (OSError, ValueError) as error:
            say(str(error))
            self._drop(connection)
        for fd in fds:                            # nobody has anything to hand to us
            os.close(fd)

    def _drop(self, connection):
        self.opened.pop(connection, None)
        self.portd.dropped(connection)
        connection.close()

    def close(self) -> None:
        """No more requests."""
        for connection in list(self.opened):
            self._drop(connection)
        self.listener.close()
        self.news.close()
        os.unlink(self.path)


def _is_readable(fd) -> bool:
    waiter = select.poll()
    waiter.register(fd, select.POLLIN)
    return bool(waiter.poll(0))


def main(arguments=None, kept=None) -> int:
    """Exit codes: 0 stopped, 1 failure, 77 the forced rung cannot be had here.

    kept: descriptors of a predecessor by name, when the fork server hands them over.
    """
    parser = argparse.ArgumentParser(prog="appliance.stages.portd")
    parser.add_argument("--config", required=True)
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    topology = topo.build(load.thaw(options.config))
    kept = notify.inherited() if kept is None else kept
    try:
        portd = PortDesk(topology, kept)
    except (OSError, region.RegionError) as error:
        say(str(error))
        return EXIT_FAILURE
    try:
        portd.start()
    except (OSError, RuntimeError, ValueError) as error:
        say(f"mode = {topology.config.interface.mode!r} cannot be had: {error}")
        portd.close()
        return EXIT_CANNOT_RUN
    service = Service(portd, str(topology.portd_socket))
    notify.ready(f"rung {shared.RUNGS[portd.wire.rung]}")
    while not stopping:
        service.turn()
    service.close()
    portd.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
