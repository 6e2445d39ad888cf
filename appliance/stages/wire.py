"""portd's side of the interface: the ladder of rungs, the program on the device, what it redirects.

    zero-copy   the driver puts frames straight into the UMEM       best
    native      the driver runs our program, the kernel copies
    generic     the kernel's stack runs our program, and copies: every device, lower rate
    socket      no program; plain sockets

`climb` takes the best rung that the configuration allows and the device offers; `fall` lets go of
everything, so that frames pass to the plain sockets. Which layout partitions have (own queue or
shared) is decided once, at the start.
"""

import json

from appliance import topology as topo
from appliance.host import nic
from appliance.layout import shared
from appliance.shm import steer, umem
from appliance.stages.places import LAYOUTS, QUEUE
from appliance.stages.watch import say

LADDER = (
    (shared.RUNG_ZERO_COPY, steer.NATIVE, umem.ZERO_COPY),
    (shared.RUNG_NATIVE, steer.NATIVE, umem.COPY),
    (shared.RUNG_GENERIC, steer.GENERIC, umem.COPY),
)
WHOLE = ("link", "program", *(f"map.{name}" for name in steer.MAPS))     # kept on every rung
STAMPED = False                      # arrival times: nobody reads them, and each costs a third
FREE = ("auto", "null")              # modes that take whatever rung is best


class Wire:
    """Program, link and sockets of one interface. rung: RUNG_ in use; places: of the layout;
    comes_back: what was lost may be tried again while matchers run."""

    comes_back = True

    def __init__(self, topology, ip, store):
        self.topology, self.config, self.ip = topology, topology.config, ip
        self.name, self.store = topology.config.interface.name, store
        self.rung, self.places, self.steering, self.link_fd = shared.RUNG_SOCKET, None, None, -1
        self.ifindex, self.reason = 0, ""
        self.layout = self._choose_layout()

    @property
    def allowed(self) -> tuple:
        """Rows of the ladder that the configured mode allows."""
        mode = self.config.interface.mode
        return tuple(row for row in LADDER if mode in FREE or mode == shared.RUNGS[row[0]])

    # -- layout -----------------------------------------------------------------------------------

    def _choose_layout(self) -> int:
        wanted, count = self.config.partitions.layout, self.config.partitions.count
        if not self.allowed:
            return 0
        kept = self.store.read("rules")
        if kept is not None:
            return json.loads(kept)["layout"]
        queues, needed = nic.queue_count(self.name), self.config.interface.queue + count
        if wanted == "own" and queues < needed:
            raise nic.NicError(
                f'partitions.layout = "own": {count} partitions from queue '
                f"{self.config.interface.queue} on need {needed} receive queues, {self.name} has "
                f'{queues}; ethtool -L {self.name} may add some, else choose "shared"')
        rules = []
        if count > 1 and wanted != "shared" and queues >= needed:
            rules = self._add_rules()
        own = wanted == "own" or count == 1 and wanted == "auto" or bool(rules)
        layout = shared.OWN_QUEUE if own else shared.SHARED_QUEUE
        self.store.write("rules", json.dumps({"layout": layout, "rules": rules}))
        return layout

    def _add_rules(self) -> list[int]:
        """The card steers every order port to its queue; no rules where it cannot."""
        rules = []
        try:
            for part in self.topology.partitions:
                rules.append(nic.add_rule(self.name, self.ip, part.order_port,
                                          self.config.interface.queue + part.idx))
        except nic.NicError as error:
            self.reason = f"the sender's transmit queue decides the receive queue ({error})"
            for rule in rules:
                nic.remove_rule(self.name, rule)
            return []
        return rules

    # -- up and down ------------------------------------------------------------------------------

    def climb(self) -> None:
        """Takes the best allowed rung; OSError or the like of the last one tried when none is had.

        Nothing is left behind by a rung that could not be had.
        """
        ifindex = nic.look_up(self.name).ifindex
        problems = []
        for rung, attach_mode, flags in self.allowed:
            try:
                self._open(ifindex, attach_mode, flags)
            except (OSError, RuntimeError, ValueError) as error:
                self.fall()
                problems.append((rung, error))
                continue
            self.rung, self.ifindex = rung, ifindex
            say(f"frames lie in {self.places.pages}")
            return
        if not problems:
            raise OSError('mode = "socket"')
        self.reason = "; ".join(f"{shared.RUNGS[rung]}: {error}" for rung, error in problems)
        raise problems[-1][1]

    def _open(self, ifindex, attach_mode, flags):
        if (attach_mode == steer.GENERIC and self.layout == shared.OWN_QUEUE
                and self.config.partitions.count > 1):
            raise OSError("generic XDP does not tell a device's queues apart everywhere (veth); "
                          'use partitions.layout = "shared"')
        self.places = LAYOUTS[self.layout](self.config, self.store, flags)
        self.places.open(ifindex)
        self.steering = steer.Steering()
        self.store.put("program", self.steering.program_fd)
        for name, fd in self.steering.maps.items():
            self.store.put(f"map.{name}", fd)
        orders = self.config.orders
        guard = steer.limit(orders.flood_rate, orders.flood_burst)
        with self.steering.change() as plan:
            for source in self.topology.allowed_sources:
                plan.allow(topo.ip_text(source), *guard)
            for part in self.topology.partitions:
                plan.owners[part.order_port] = part.idx
                plan.places[part.idx] = steer.Place(self.ip, ifindex, self.places.queue(part.idx),
                                                    STAMPED)
        self.link_fd = self.store.put("link", self.steering.attach(ifindex, attach_mode))

    @property
    def has_leavings(self) -> bool:
        """Whether anything of AF_XDP is kept."""
        return any(name in self.store for name in (*WHOLE, *QUEUE))

    def adopt(self, rung: int, ifindex: int) -> None:
        """Everything of a portd that died on this rung, as it is. RuntimeError when it died while
        it came to this rung or left it."""
        needed = (*WHOLE, *QUEUE) if self.layout == shared.SHARED_QUEUE else WHOLE
        missing = [name for name in needed if name not in self.store]
        if missing:
            raise RuntimeError(f"{missing[0]} is not among it")
        self.rung, self.ifindex = rung, ifindex
        flags = next(row[2] for row in LADDER if row[0] == rung)
        self.places = LAYOUTS[self.layout](self.config, self.store, flags)
        if self.layout == shared.SHARED_QUEUE:
            self.places.adopt_all(ifindex)
        self.places.ifindex = ifindex
        self.steering = steer.Steering.of(self.store.get("program"), {
            name: self.store.get(f"map.{name}") for name in steer.MAPS})
        self.link_fd = self.store.get("link")

    def attach_again(self) -> None:
        """Our program on the device, when it was taken off; OSError when another one is there."""
        mode = next(row[1] for row in LADDER if row[0] == self.rung)
        fd = self.steering.attach(self.ifindex, mode)
        self.store.drop("link")
        self.link_fd = self.store.put("link", fd)

    def fall(self) -> None:
        """No program, no AF_XDP socket: the rung is plain sockets."""
        self.rung = shared.RUNG_SOCKET
        for name in WHOLE:
            self.store.drop(name)
        self.steering, self.link_fd = None, -1
        if self.places is not None:
            self.places.close()
            self.places = None
        for name in QUEUE:                       # of a predecessor that died
            self.store.drop(name)

    def close(self) -> None:
        """The end: also the card's rules are taken away."""
        self.fall()
        kept = self.store.read("rules")
        for rule in json.loads(kept)["rules"] if kept else ():
            nic.remove_rule(self.name, rule)
        self.store.drop("rules")

    def plan(self, _partition: int) -> list:
        """Of a port without a socket of ours: here, of plain sockets, nothing."""
        return []

    # -- what the watchdog asks --------------------------------------------------------------------

    def is_attached(self) -> bool:
        """Whether our link still holds the program on the device it was put on."""
        return steer.link_ifindex(self.link_fd) == self.ifindex

    def foreign_program(self) -> int:
        """The number of another program on the device, 0 when there is none or it is ours."""
        ifindex = nic.ifindex_of(self.name)
        found = steer.attached_program(ifindex) if ifindex else 0
        ours = self.steering.program_id if self.steering is not None else 0
        return found if found != ours else 0
