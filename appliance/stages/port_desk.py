"""Who has which partition's port: portd's state, and what happens to it.

A port is handed out when a matcher asks and is taken back when its process ends (a pidfd tells, so
it does not matter which portd handed it out), when the same partition is asked for again, and when
AF_XDP is lost. What survives portd lies with its parent (store.py) and in two shared blocks:
portd_status and a row of port_status for each partition.
"""

import json
import os
import socket
import struct
import time
from dataclasses import dataclass

from appliance.host import nic
from appliance.layout import shared
from appliance.native import lib
from appliance.shm import region, umem
from appliance.stages import link, watch
from appliance.stages.places import Holding
from appliance.stages.store import Store
from appliance.stages.watch import EVENTS, say
from appliance.stages.wire import STAMPED, Wire
from appliance.stages.wire_dpdk import DpdkWire

INSTANCES_MAX = 1 << 16
STATISTICS_CNT = len(umem.XSK_STATISTICS)
_PEER = struct.Struct("3i")


@dataclass
class Holder:
    """Who has a partition's port."""

    pid: int
    pidfd: int
    connection: socket.socket | None
    holding: Holding | None
    bound: bool = False


class PortDesk:
    """The sockets, program and maps of one interface, and the matchers being served."""

    def __init__(self, topology, kept=None):
        self.topology, self.config = topology, topology.config
        self.store, self.holders, self.last_reason = Store(kept), {}, ""
        self.status = region.attach(topology.blocks["portd_status"], write=True)[0]
        self.rows = region.attach(topology.blocks["port_status"], write=True)
        if not self.rows["generation"].any():
            self.store.drop_all()                # a predecessor that died before it had begun
        adopting = "multicast" in self.store
        self.ip, name = self.config.interface.ip, self.config.interface.name
        if not adopting:
            nic.look_up(name)
        self.orders = [self._plain(f"order.{part.idx}", nic.order_socket, self.ip, part.order_port)
                       for part in topology.partitions]
        self.multicast = self._plain("multicast", nic.multicast_socket, self.ip,
                                     self.config.feed.ttl)
        self.name_b, self.feed_b, self.ip_b = self.config.feed.interface_b, None, ""
        if self.name_b:
            self._open_feed_b()
        if not adopting:
            for each in filter(None, (name, self.name_b)):
                nic.check_payload(each, self.config.interface.payload)
        self.status["pid"] = os.getpid()
        self.status["starts"] += 1
        made = DpdkWire if self.config.interface.mode == "dpdk" else Wire
        self.wire = made(topology, self.ip, self.store)
        self.status["layout"] = self.wire.layout
        self.totals = json.loads(self.store.read("totals") or "{}")
        self.now = {}
        if adopting:
            self._adopt()

    def _plain(self, name, make, *arguments):
        """A kept plain socket, or a new one."""
        if name in self.store:
            return socket.socket(fileno=os.dup(self.store.get(name)))
        sock = make(*arguments)
        self.store.put(name, os.dup(sock.fileno()))
        return sock

    def _open_feed_b(self):
        """The socket of feed B's own interface; a kept one also when that is gone just now."""
        if "feed_b" in self.store:
            self.feed_b = socket.socket(fileno=os.dup(self.store.get("feed_b")))
            self.ip_b = self.feed_b.getsockname()[0]
        else:
            self.feed_b, self.ip_b = nic.feed_socket(self.name_b, self.config.feed.ttl)
            self.store.put("feed_b", os.dup(self.feed_b.fileno()))

    def _adopt(self):
        rung = int(self.status["rung"])
        if rung == shared.RUNG_SOCKET and self.wire.has_leavings:
            say("a predecessor died while it climbed; what it had opened is let go")
            self._start_over()
        elif rung != shared.RUNG_SOCKET:
            try:
                self.wire.adopt(rung, int(self.status["ifindex"]))
            except (OSError, RuntimeError) as error:
                say(f"what a predecessor left cannot be taken over ({error}); all partitions fall "
                    "to plain sockets until AF_XDP is opened anew")
                self.count("rung_lost", len(self.topology.partitions))
                self._start_over()
        for part in self.topology.partitions:
            p, row = part.idx, self.rows[part.idx]
            if f"pidfd.{p}" not in self.store:
                continue
            holding = None
            if f"xsk.{p}" in self.store:
                holding = self.wire.places.adopt(p, self.store.get(f"xsk.{p}"), (
                    int(row["return_start"]), int(row["free_start"])))
            self.holders[p] = Holder(int(row["pid"]), self.store.get(f"pidfd.{p}"), None, holding,
                                     bool(row["bound"]))
            if holding is not None and not row["bound"]:
                self.release(p)                  # it was half handed out: its matcher asks again
        self.count("adopted")

    def _start_over(self):
        """Nothing of the wire is kept, and every matcher asks again."""
        for part in self.topology.partitions:
            self.store.drop(f"xsk.{part.idx}")
        self.wire.fall()
        self._new_generation()

    # -- rungs --------------------------------------------------------------------------------

    @property
    def on_wire(self) -> bool:
        """Whether AF_XDP or DPDK is in use."""
        return self.wire.rung != shared.RUNG_SOCKET

    @property
    def wants_wire(self) -> bool:
        """Whether more than plain sockets is allowed and could be had again some day."""
        return bool(self.wire.allowed) and self.wire.comes_back

    def start(self) -> None:
        """The first climb, unless a predecessor has made it.

        A forced rung that cannot be had raises; the others fall to sockets.
        """
        if self.rows["generation"].any():
            return
        mode = self.config.interface.mode
        if self.wire.allowed and self.wire.places is None:
            try:
                self.wire.climb()
            except (OSError, RuntimeError, ValueError):
                if mode not in ("auto", "null") or self.config.port.huge_pages == "always":
                    raise
                self.last_reason = self.wire.reason
                say(f"falling back to plain sockets: {self.wire.reason}")
        self._new_generation()

    def _new_generation(self):
        """Every matcher has to ask for its port again. The machine's rung changes last: by it a
        successor sees that somebody died in here, and starts over."""
        for part in self.topology.partitions:
            row = self.rows[part.idx]
            row["rung"] = self.wire.rung
            row["layout"] = self.wire.layout if self.on_wire else 0
            row["queue"] = self.wire.places.queue(part.idx) if self.on_wire else 0
            row["ifindex"], row["bound"] = self.wire.ifindex if self.on_wire else 0, 0
            lib.wm_socket_drop_all(self.orders[part.idx].fileno(), int(self.on_wire))
            row["generation"] += 1
        self.status["rung"] = self.wire.rung

    def lost(self, why: str) -> None:
        """AF_XDP or the DPDK device is gone: plain sockets for everybody."""
        if not self.on_wire:
            return
        say(f"{why}; all partitions fall to plain sockets")
        for p in list(self.holders):
            self._let_go(p)
        self.wire.fall()
        self._new_generation()
        self.count("rung_lost", len(self.topology.partitions))

    def regained(self) -> None:
        """AF_XDP is there again."""
        say(f"all partitions come back to rung {shared.RUNGS[self.wire.rung]}")
        self._new_generation()
        self.count("rung_regained", len(self.topology.partitions))

    def beat(self) -> None:
        """A sign of life, also between two things that take long."""
        self.status["heartbeat_ns"] = time.monotonic_ns()

    # -- serving ------------------------------------------------------------------------------

    def count(self, event: str, number: int = 1) -> None:
        """Counts an event of PORT_EVENTS."""
        self.status["events"][EVENTS[event]] += number

    def user_of(self, connection) -> int:
        """The peer's user."""
        return self._peer(connection)[1]

    def may_ask(self, connection) -> bool:
        """Whether the peer's user is portd's own or a matcher's; others are counted."""
        uid = self.user_of(connection)
        known = uid == os.geteuid() or any(uid == part.matcher_uid
                                           for part in self.topology.partitions)
        if not known:
            self.count("open_refused")
            say(f"user {uid} asked for a port and is no matcher's")
        return known

    @staticmethod
    def _peer(connection):
        return _PEER.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED,
                                                  _PEER.size))

    def open_for(self, connection, message) -> None:
        """Answers "open" with a new port; ValueError when the peer may not have it."""
        p, instance = message.get("partition"), message.get("instance", 0)
        if type(p) is not int or not 0 <= p < len(self.topology.partitions):
            raise ValueError(f"there is no partition {p!r}")
        if type(instance) is not int or not 0 <= instance < INSTANCES_MAX:
            raise ValueError(f"partition {p} has no instance {instance!r}")
        part = self.topology.partitions[p]
        pid, uid, _ = self._peer(connection)
        if uid not in (os.geteuid(), part.matcher_uid):
            self.count("open_refused")
            raise ValueError(f"process {pid} of user {uid} asked for the port of partition {p}, "
                             f"which is user {part.matcher_uid}'s")
        self.release(p)
        row = self.rows[p]
        holding = self.wire.places.hand_out(p) if self.on_wire else None
        pidfd = self.store.put(f"pidfd.{p}", os.pidfd_open(pid))
        self.holders[p] = Holder(pid, pidfd, connection, holding)
        row["pid"], row["opens"] = pid, row["opens"] + 1
        row["instance"] = instance
        mac = nic.look_up(self.wire.name).mac if nic.ifindex_of(self.wire.name) else bytes(6)
        reply = {"op": "port", "rung": shared.RUNGS[self.wire.rung], "ip": self.ip,
                 "layout": shared.LAYOUTS[int(row["layout"])], "mac": mac.hex(),
                 "generation": int(row["generation"]), "order_port": part.order_port,
                 "queue": int(row["queue"]), "null": self.config.interface.mode == "null",
                 "plan": self.wire.plan(p), "guarded": holding is not None,
                 "feed_b": self.feed_b is not None}
        fds = [self.orders[p].fileno(), self.multicast.fileno()]
        made = []
        if holding is not None:
            row["return_start"], row["free_start"] = holding.starts
            reply["plan"], made = holding.plan, holding.fds
            fds += [made[0], holding.xsk_fd]
            if self.wire.layout == shared.SHARED_QUEUE:
                fds.append(self.store.get("exchange"))
            made.append(self.wire.steering.guard_fd())
            fds.append(made[-1])
        if self.feed_b is not None:
            fds.append(self.feed_b.fileno())
        try:
            link.send(connection, reply, fds)
        finally:
            for fd in made:
                os.close(fd)

    def bind_for(self, connection) -> None:
        """Answers "mapped": binds the socket and lets the program redirect to it."""
        found = [p for p, holder in self.holders.items() if holder.connection is connection]
        if not found:
            raise ValueError("a process said mapped before it had asked for anything")
        p, holder = found[0], self.holders[found[0]]
        zero_copy = False
        if holder.holding is not None:
            try:
                zero_copy = self.wire.places.bind(p, holder.holding)
                self._carry(p, holder, -1)
                self.wire.steering.bind(p, holder.holding.xsk_fd, self.wire.ifindex,
                                        int(self.rows[p]["queue"]), STAMPED)
            except OSError as error:
                self.release(p)
                link.send(connection, {"op": "refused", "why": str(error)})
                return
        holder.bound, holder.connection = True, None
        self.rows[p]["bound"] = holder.holding is not None
        link.send(connection, {"op": "bound", "zero_copy": zero_copy})

    def _let_go(self, p) -> tuple[int, int]:
        """Empties the partition's slot and closes its socket."""
        self.beat()
        holder = self.holders[p]
        taken = (0, 0)
        if holder.holding is not None:
            self.wire.steering.unbind(p)         # also where a predecessor died as it bound it
            if holder.bound:
                self._carry(p, holder, 1)
            self.now.pop(p, None)
            taken = self.wire.places.take_back(p, holder.holding)
            holder.holding = None
        self.rows[p]["bound"] = 0
        return taken

    def release(self, p) -> None:
        """Whoever has the partition's port has it no longer; nothing when nobody has."""
        if p not in self.holders:
            return
        taken, withheld = self._let_go(p)
        self.count("frames_taken_back", taken)
        self.count("frames_withheld", withheld)
        del self.holders[p]
        self.store.drop(f"pidfd.{p}")
        self.rows[p]["pid"] = 0

    def gone(self, p) -> None:
        """The holder's process has ended."""
        self.release(p)
        self.count("matcher_gone")

    def dropped(self, connection) -> None:
        """A connection ended; a port that was not bound over it is taken back."""
        for p in [p for p, holder in self.holders.items() if holder.connection is connection]:
            self.release(p)

    # -- what others see ----------------------------------------------------------------------

    def _statistics(self, p, holder):
        try:
            self.now[p] = list(umem.xsk_statistics(holder.holding.xsk_fd).values())
        except OSError:
            pass                                  # not bound, or the device is gone: as before

    def _total(self, p):
        return self.totals.get(str(p), [0] * STATISTICS_CNT)

    def _carry(self, p, holder, sign):
        """Adds the socket's statistics to those of the partition's sockets before it, when it goes;
        takes them off when it comes: on a shared queue a new one has some of the queue's already.
        """
        self._statistics(p, holder)
        self.totals[str(p)] = [a + sign * b for a, b in zip(
            self._total(p), self.now.get(p, [0] * STATISTICS_CNT), strict=True)]
        self.store.write("totals", json.dumps(self.totals))

    def publish(self) -> None:
        """Reasons, recycler and the sockets' statistics into the shared blocks."""
        values = list(watch.reasons(self.wire).values())
        if self.wire.steering is not None:
            self.status["reasons"][:len(values)] = values
        if self.wire.places is not None:
            for name, value in self.wire.places.counts().items():
                if name != "refused":
                    self.status[name] = value
        for p, holder in self.holders.items():
            if holder.holding is not None and holder.bound:
                self._statistics(p, holder)
                if p in self.now:
                    self.rows[p]["statistics"][:] = [max(0, a + b) for a, b in zip(
                        self._total(p), self.now[p], strict=True)]

    def close(self) -> None:
        """Nothing is left: slots emptied, program detached, sockets closed, nothing kept."""
        for p in list(self.holders):
            self.release(p)
        self.wire.close()
        for sock in filter(None, (*self.orders, self.multicast, self.feed_b)):
            sock.close()
        self.store.drop_all()
