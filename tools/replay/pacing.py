"""When each packet of a replay is due."""

import numpy as np

FAR_NS = 1 << 61             # what is due later than this is due then, in 73 years


def schedule(capture, *, multiplier=1.0, pps=None, mbps=None, top_speed=False, max_gap=None):
    """When each packet is due, in ns from the first (i64), or None for top speed.

    The capture's own time divided by `multiplier`, or a fixed rate of packets or megabits. max_gap:
    seconds; a longer silence lasts as long as that."""
    count = len(capture)
    if top_speed:
        return None
    slowest = 1 / FAR_NS
    if pps:
        due_ns = np.arange(count) * (1e9 / max(pps, slowest))
    elif mbps:
        before = np.concatenate(([0], np.cumsum(capture.lengths.astype(np.int64))[:-1]))
        due_ns = before * (8e3 / max(mbps, slowest))
    else:
        times = np.maximum.accumulate(capture.times_ns)
        due_ns = (times - times[0]) / max(multiplier, slowest)
    due_ns = np.minimum(due_ns, FAR_NS).astype(np.int64)
    if max_gap is not None and count:
        gaps = np.minimum(np.diff(due_ns), int(min(max_gap * 1e9, FAR_NS)))
        due_ns = np.concatenate(([0], np.cumsum(gaps)))
    return due_ns
