"""portd's side of the matchers' ports: memory, sockets and slots of each partition.

    OwnQueue      every partition has a queue, a UMEM and a socket with all four rings of its own
    SharedQueue   one queue, one UMEM, a keeper and a recycler; a socket for each partition

Both are opened on one rung (attach mode and bind flags) and offer the same:

    open()                   what all partitions need; OSError when the rung cannot be had
    hand_out(p) -> Holding   a new socket, unbound, with the descriptors for its matcher
    bind(p, holding)         binds it to its queue
    take_back(p, holding)    its matcher is gone: (receive frames taken back, transmit withheld)
    close()                  everything is let go
    pages                    what the frames lie in, for the log

Descriptors that must outlive portd go through the store (`put`, `drop`).
"""

import contextlib
import os
from dataclasses import dataclass, field

from appliance.layout import shared
from appliance.shm import exchange, recycler, umem
from appliance.stages.watch import say

QUEUE = ("keeper", "exchange", "umem")            # what is kept of a shared queue


@dataclass
class Holding:
    """One partition's socket while a matcher has it. rings: on a shared queue, to be read after
    its death; starts: where its two exchange rings stood."""

    xsk_fd: int
    fds: list = field(default_factory=list)       # what the matcher gets beside the plain sockets
    plan: list = field(default_factory=list)
    rings: object = None
    starts: tuple = (0, 0)


class OwnQueue:
    """Queue `queue` + p for partition p."""

    layout = shared.OWN_QUEUE

    def __init__(self, config, store, flags: int):
        self.config, self.store, self.flags, self.ifindex = config, store, flags, 0
        self.pages = ""
        self.geometry = umem.Geometry(umem.frame_size(config.interface.payload),
                                      config.port.rx_frames, config.port.tx_frames)

    def queue(self, partition: int) -> int:
        """The receive queue of a partition."""
        return self.config.interface.queue + partition

    def open(self, ifindex: int) -> None:
        """Tries a socket on every queue and drops it again; the first matcher must not find out."""
        self.ifindex = ifindex
        for partition in range(self.config.partitions.count):
            with self._memory() as (_, memory):
                fd = umem.open_xsk(memory, self.geometry)
                try:
                    umem.bind_xsk(fd, ifindex, self.queue(partition), self.flags)
                    check_zero_copy(fd, self.flags)
                finally:
                    os.close(fd)

    @contextlib.contextmanager
    def _memory(self):
        fd, self.pages = umem.create_umem_in(self.geometry, self.config.port.huge_pages)
        try:
            yield fd, umem.map_umem(fd)
        finally:
            os.close(fd)

    def hand_out(self, partition: int) -> Holding:
        """A UMEM and a socket of its own. Huge pages that were free may not be so for the next one;
        which it got is said when that is not what the last one got."""
        before = self.pages
        with self._memory() as (umem_fd, memory):
            if self.pages != before:
                say(f"frames lie in {self.pages} (partition {partition})")
            fd = self.store.put(f"xsk.{partition}", umem.open_xsk(memory, self.geometry))
            return Holding(fd, [os.dup(umem_fd)], list(self.geometry))

    def bind(self, partition: int, holding: Holding) -> bool:
        """Binds it; whether it runs in zero copy."""
        umem.bind_xsk(holding.xsk_fd, self.ifindex, self.queue(partition), self.flags)
        return umem.is_zero_copy(holding.xsk_fd)

    def adopt(self, partition: int, xsk_fd: int, _starts) -> Holding:
        """What a portd that died had handed out."""
        return Holding(xsk_fd)

    def take_back(self, partition: int, holding: Holding) -> tuple[int, int]:
        """Memory and frames go with the socket."""
        self.store.drop(f"xsk.{partition}")
        return 0, 0

    def counts(self) -> dict:
        """Nothing is recycled here."""
        return {"recycled": 0, "completed": 0, "fill_level": 0}

    def close(self) -> None:
        """Sockets are closed one by one by take_back."""


class SharedQueue:
    """Every partition on queue `queue`."""

    layout = shared.SHARED_QUEUE

    def __init__(self, config, store, flags: int):
        self.config, self.store, self.flags, self.ifindex = config, store, flags, 0
        self.pages = ""
        self.plan = exchange.Plan(umem.frame_size(config.interface.payload),
                                  config.partitions.count, config.port.rx_frames,
                                  config.port.tx_frames)
        self.recycler = None

    def queue(self, _partition: int) -> int:
        """The receive queue of all."""
        return self.config.interface.queue

    def open(self, ifindex: int) -> None:
        """UMEM, exchange and keeper, bound; the recycler runs."""
        self.ifindex = ifindex
        try:
            fd, self.pages = umem.create_umem_in(self.plan, self.config.port.huge_pages)
            umem_fd = self.store.put("umem", fd)
            memory = umem.map_umem(umem_fd)
            exchange_fd = self.store.put("exchange", exchange.create(self.plan))
            keeper = self.store.put("keeper", exchange.open_keeper(memory, self.plan))
            self.recycler = recycler.Recycler.of(keeper, exchange_fd, self.plan)
            umem.bind_xsk(keeper, ifindex, self.config.interface.queue, self.flags)
            check_zero_copy(keeper, self.flags)
        except OSError:
            self.close()
            raise
        self.recycler.start()

    def adopt_all(self, ifindex: int) -> None:
        """Goes on where a portd that died has stopped."""
        self.ifindex = ifindex
        self.recycler = recycler.Recycler.of(self.store.get("keeper"), self.store.get("exchange"),
                                             self.plan, adopt=True)
        self.recycler.start()

    def hand_out(self, partition: int) -> Holding:
        """A socket beside the keeper."""
        fd = self.store.put(f"xsk.{partition}", exchange.open_sharer(self.plan))
        return Holding(fd, [os.dup(self.store.get("umem"))], list(self.plan),
                       exchange.DeadRings(fd, self.plan), self.recycler.grant(partition))

    def bind(self, partition: int, holding: Holding) -> bool:
        """Binds it beside the keeper; whether they run in zero copy."""
        umem.bind_xsk(holding.xsk_fd, self.ifindex, self.config.interface.queue,
                      shared_with=self.store.get("keeper"))
        return umem.is_zero_copy(self.store.get("keeper"))

    def adopt(self, partition: int, xsk_fd: int, starts) -> Holding:
        """What a portd that died had handed out."""
        return Holding(xsk_fd, rings=exchange.DeadRings(xsk_fd, self.plan), starts=starts)

    def take_back(self, partition: int, holding: Holding) -> tuple[int, int]:
        """The recycler gets every frame that its matcher held. The socket goes last: a successor of
        a portd that is killed in here reads the same rings and takes back the rest."""
        taken = self.recycler.take_back(partition, holding.rings, *holding.starts)
        self.store.drop(f"xsk.{partition}")
        return taken

    def counts(self) -> dict:
        """What the recycler has moved."""
        return self.recycler.counts()

    def close(self) -> None:
        """The recycler ends; keeper, exchange and UMEM are let go."""
        if self.recycler is not None:
            self.recycler.stop()
            self.recycler = None
        for name in QUEUE:
            self.store.drop(name)


LAYOUTS = {shared.OWN_QUEUE: OwnQueue, shared.SHARED_QUEUE: SharedQueue}


def check_zero_copy(fd: int, flags: int) -> None:
    """OSError when zero copy was asked for and is not what the socket got."""
    if flags & umem.ZERO_COPY and not umem.is_zero_copy(fd):
        raise OSError("the driver took the bind and does not run in zero copy; use native")
