"""Counting inside kernels: the counters' numbers by name, and the latency histogram's buckets.

A counter array is u64[COUNTER_CNT], written by one kernel and read by anybody. The histogram is
log-linear: 16 buckets a power of two, so a bucket is at most 1/16 wide; values below 16 have a
bucket each.
"""

import numpy as np
from numba import int64, njit, uint64, void

from ..layout.shared import COUNTER_INDEX as _INDEX
from .fence import clz64
from .kernel import later

# _nrt off: an allocation cannot compile. No kernel is ever a C callback: a third less to build.
KERNEL = {"cache": True, "_nrt": False, "no_cfunc_wrapper": True, "error_model": "numpy"}
INLINED = KERNEL | {"forceinline": True}   # one caller or few lines: Core is 1.8 KB of arguments

RX_APPLIED, RX_CONTROL, RX_DEBUG = _INDEX["rx_applied"], _INDEX["rx_control"], _INDEX["rx_debug"]
RX_HEARTBEAT, RX_END_OF_SESSION = _INDEX["rx_heartbeat"], _INDEX["rx_end_of_session"]
RX_REREQUEST, RX_REREQUEST_REFUSED = _INDEX["rx_rerequest"], _INDEX["rx_rerequest_refused"]
RX_DUPLICATE, RX_HELD = _INDEX["rx_duplicate"], _INDEX["rx_held"]
RX_HOLD_FULL = _INDEX["rx_hold_full"]
RX_FAR_AHEAD, RX_UNKNOWN_TOKEN = _INDEX["rx_far_ahead"], _INDEX["rx_unknown_token"]
RX_WRONG_SOURCE, RX_SOURCE_REFUSED = _INDEX["rx_wrong_source"], _INDEX["rx_source_refused"]
RX_NOT_UDP, RX_CHECKSUM = _INDEX["rx_not_udp"], _INDEX["rx_checksum"]
RX_VLAN, RX_TRUNCATED, RX_SHORT = _INDEX["rx_vlan"], _INDEX["rx_truncated"], _INDEX["rx_short"]
RX_FRAMING, RX_CONTROL_FULL = _INDEX["rx_framing"], _INDEX["rx_control_full"]
RX_FRAMES, RX_BURSTS, POLLS_EMPTY = _INDEX["rx_frames"], _INDEX["rx_bursts"], _INDEX["polls_empty"]
MESSAGES, MESSAGES_FILLER = _INDEX["messages"], _INDEX["messages_filler"]
MESSAGES_UNKNOWN, MESSAGES_SHORT = _INDEX["messages_unknown"], _INDEX["messages_short"]
MESSAGES_SKIPPED, GAP_REQUESTS = _INDEX["messages_skipped"], _INDEX["gap_requests"]
GAP_REQUESTS_WITHHELD = _INDEX["gap_requests_withheld"]
LOGIN_ANSWERS, FEED_OVERRUN = _INDEX["login_answers"], _INDEX["feed_overrun"]
JOURNAL_FULL = _INDEX["journal_full"]
TX_FRAMES, TX_NO_FRAME = _INDEX["tx_frames"], _INDEX["tx_no_frame"]
ACK_PACKETS, FEED_PACKETS = _INDEX["ack_packets"], _INDEX["feed_packets"]
TWIN_PACKETS, TWIN_FULL = _INDEX["twin_packets"], _INDEX["twin_full"]
TWIN_LOST, TWIN_UNENDED = _INDEX["twin_lost"], _INDEX["twin_unended"]
TCP_APPLIED, TCP_BARE = _INDEX["tcp_applied"], _INDEX["tcp_bare"]
TCP_REFUSED = _INDEX["tcp_refused"]


@later(void(uint64[::1], int64, int64), **INLINED)
def count(counters, idx, amount):
    """counters[idx] += amount."""
    counters[idx] += np.uint64(amount)


@njit(int64(int64), **INLINED)
def bucket_of(value):
    """The bucket of a value >= 0; negative values fall into bucket 0."""
    if value < 16:
        return max(value, np.int64(0))
    high = np.int64(63) - np.int64(clz64(np.uint64(value)))
    return (high - 3) * 16 + ((value >> (high - 4)) & 15)


@later(void(uint64[::1], int64, int64), **INLINED)
def record(histogram, value, weight):
    """Adds `weight` occurrences of value."""
    histogram[bucket_of(value)] += np.uint64(weight)


def bucket_floor(bucket: int) -> int:
    """The smallest value of a bucket."""
    if bucket < 16:
        return bucket
    return (16 + bucket % 16) << (bucket // 16 - 1)


def quantile(histogram, share: float) -> int:
    """The floor of the bucket that holds the `share` (0..1) quantile; 0 of an empty histogram."""
    total = int(histogram.sum())
    if not total:
        return 0
    passed = np.cumsum(histogram)
    return bucket_floor(int(np.searchsorted(passed, share * total, "left")))
