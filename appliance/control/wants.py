"""What a configuration wants of the machine it runs on, for `configure` and `doctor`."""

import os

from ..host import cores
from ..host.machine import Wants
from . import plan

HUGE_SZ = 2 << 20


def derive(config) -> Wants:
    """The Wants of a Config here; cores that cannot be had are wanted as they are configured."""
    count = config.partitions.count
    try:
        found = cores.plan(config.cores.wait, config.cores.matcher, count,
                           realtime=config.cores.realtime)
        matchers, rest, spins = found.matchers, found.rest, found.wait == cores.SPIN
    except cores.CoreError:
        here = sorted(os.sched_getaffinity(0))
        matchers = tuple(config.cores.matcher) or tuple(here[-count:])
        rest, spins = tuple(cpu for cpu in here if cpu not in matchers), True
    memory = plan.describe(config)["memory"]
    xdp = config.interface.mode in ("auto", "zero-copy", "native", "generic")
    uses_huge = xdp and config.port.huge_pages != "never"
    own = count > 1 and config.partitions.layout != "shared" and xdp
    return Wants(
        interface=config.interface.name, interface_b=config.feed.interface_b,
        mode=config.interface.mode,
        queues=config.interface.queue + (count if own else 1), frames=config.port.rx_frames,
        steering=own, matchers=tuple(matchers), rest=tuple(rest), spins=spins,
        realtime=config.cores.realtime,
        huge_pages=-(-memory["umem"] // HUGE_SZ) if uses_huge else 0,
        huge_needed=uses_huge and config.port.huge_pages == "always", memory=memory["umem"])
