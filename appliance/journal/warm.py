"""Every kernel that a replay, a snapshot and its way back enter, loaded by one call of each."""

from dataclasses import asdict

from ..hot.state import Sizes, build
from .replay import apply, from_ring
from .restore import restore
from .snapshot import canonical

_SIZES = Sizes(symbols=1, accounts=1, pages=16, lg_ladder=12, far_cap=16, far_levels=64, chunks=16,
               feed_bytes=1 << 16, feed_messages=1 << 12, journal=1 << 10, holds=4, link_depth=64)


def load(core=None) -> None:
    """Compiles or loads them, which needs rights. core: one whose ring holds commands to replay."""
    genesis = {"partition": 0, "instance": 0, "feed_session": "", "sizes": asdict(_SIZES),
               "symbols": [], "accounts": []}
    empty = build(_SIZES)
    if core is not None:
        apply(build(_SIZES), from_ring(core))
    restore(genesis, canonical(empty))
    apply(empty, from_ring(empty))
