"""The TCP side of a partition in recovery@p: its services under one selector, and their clockwork.

`Tcp.turn` follows the feed, hands on the desk's answers, and lets each service do what is due; how
soon it wants to come again is `patience_s`: streams in shared memory make no descriptor readable.
"""

import numpy as np

from appliance.host import nic
from appliance.hot import image
from appliance.layout import shared
from appliance.shm import region, ring
from appliance.stages import dropcopy, service
from appliance.stages.doorman import Doorman
from appliance.stages.gateway import Gateway, Upstream
from appliance.stages.glimpse import Glimpse
from appliance.stages.snapshots import Snapshots

BUSY_S, BUSY_WAIT_S = 0.05, 0.0002     # so long after the last word of a trader it is looked at so
LIVE_WAIT_S, IDLE_WAIT_S = 0.002, 0.02     # often; then this often, and this often without traders
CATCH_UP = 4 * 65536                   # messages followed in one turn: some milliseconds
NAMES = tuple(f"{prefix}_{name}" for prefix in ("orders", "glimpse") for name in service.TALLIES)


def halves(memory):
    """(header words, LINK records) of a link's bytes."""
    size = shared.LINK_HEADER.size
    return memory[:size].view(np.uint64), memory[size:].view(shared.LINK.dtype)


class Tcp:
    """Everything that must be opened while there are rights: ports and shared blocks."""

    def __init__(self, config, partition, instance, ip, selector, reader, sources, day):
        def attach(name, write=False):
            return region.attach(partition.blocks[name], write, instance)

        def make(name, _dtype, _count):
            return attach(name, True)

        self.doorman = Doorman(ring.Producer(*halves(attach("link_tcp_up", True))),
                               ring.Consumer(*halves(attach("link_tcp_down", True))))
        caps = service.Caps(config.orders.tcp_connections, config.orders.tcp_per_source, sources)
        silence_s = config.orders.silence_ms / 1000
        self.snapshots = Snapshots(reader, image.build_image(
            partition.sizes, reader.log, reader.ring, reader.index, make),
            partition.idx * 1000 + 1)
        blocks = [attach(name) for name in ("sessions", "chunks", "streams", "engine")]
        self.gateway = Gateway(
            nic.stream_listener(ip, partition.order_port), caps, selector, silence_s, self.doorman,
            Upstream(attach("link_tcp", True)), blocks,
            [partition.order_session(day, idx).encode()
             for idx in range(len(partition.accounts))],
            dropcopy.build(partition, day, blocks, attach("status"),
                           config.durability.level == "disk"))
        self.glimpse = Glimpse(
            nic.stream_listener(ip, partition.glimpse_port), caps, selector, silence_s,
            self.doorman, self.snapshots, partition.feed_session(day).encode())
        self.services = (self.gateway, self.glimpse)
        self.busy_until = 0.0
        self.snapshots.load()

    def ready(self, data, mask, now) -> None:
        """The selector has something for one of the services; data: (service, connection)."""
        owner, conn = data
        owner.ready(conn, mask, now)
        if owner is self.gateway:
            self.busy_until = now + BUSY_S

    def turn(self, now) -> None:
        """Everything that is due."""
        followed = 0
        while followed < CATCH_UP and (more := self.snapshots.follow()):
            followed += more
        for token, answer in self.doorman.turn(now):
            any(each.answered(token, answer, now) for each in self.services)
        for each in self.services:
            each.turn(now)

    def patience_s(self, now) -> float:
        """How long nothing needs to be done unless a descriptor says so."""
        if self.gateway.connections:
            return BUSY_WAIT_S if now < self.busy_until else LIVE_WAIT_S
        return LIVE_WAIT_S if self.glimpse.connections else IDLE_WAIT_S

    def tallies(self) -> list[int]:
        """Counters in the order of NAMES."""
        return [count for each in self.services for count in each.tallies.values()]

    def close(self) -> None:
        """The day is over: ends every connection."""
        for each in self.services:
            each.close()
