"""Depth of a running appliance's symbols, read from shared memory for `wirematch depth`."""

from .. import topology as topo
from ..shm.depth import DepthReader


def read(config, names=()):
    """A JSON-ready dict a symbol, in the symbols' order; names: only these.

    KeyError names a symbol that there is not; RegionError, DepthError of shm.
    """
    partitions = topo.build(config).partitions
    listings = {listing.symbol.name: (partition, listing) for partition in partitions
                for listing in partition.listings}
    for name in names:
        if name not in listings:
            raise KeyError(f"no symbol {name}; there are {', '.join(sorted(listings)[:20])}")
    readers = {}
    for name in names or listings:
        partition, listing = listings[name]
        if partition.idx not in readers:
            sizes = partition.sizes
            readers[partition.idx] = DepthReader(partition.blocks["depth"], sizes.symbols,
                                                 sizes.depth_levels)
        depth = readers[partition.idx].read(listing.idx)
        row = {"symbol": name, "tick_size": listing.symbol.tick_size, "feed_seq": 0, "time_ns": 0,
               "bids": [], "asks": []}
        if depth is not None:
            row |= depth._asdict() | {
                side: [level._asdict() for level in getattr(depth, side)]
                for side in ("bids", "asks")}
        yield row


def text(found: dict) -> str:
    """A symbol's levels as two columns, buys on the left, best first."""
    lines = [f"{found['symbol']}: before feed message {found['feed_seq']}, {found['time_ns']} ns"]
    bids, asks = ([f"{level['orders']:>6} {level['qty']:>12} "
                   f"{level['price_ticks'] * found['tick_size'] / 10_000:>14.4f}"
                   for level in found[side]] for side in ("bids", "asks"))
    for i in range(max(len(bids), len(asks))):
        bid = bids[i] if i < len(bids) else " " * 34
        ask = " ".join(reversed(asks[i].split())) if i < len(asks) else ""
        lines.append(f"{bid} | {ask}".rstrip())
    return "\n".join(lines)
