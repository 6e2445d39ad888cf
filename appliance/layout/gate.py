"""What the XDP program decides by and what it tells: the records of its maps (bpf/tables.h).

TABLES is one value of one map: owners, places, sources and limits together, so that a change of any
of them is a change of the one pointer to it. GUARDED is mapped by the matchers.
"""

import numpy as np

from .lang import native

UDP_PORT_CNT = 65536
PARTITION_MAX = 256
SOURCE_MAX = 1024           # sources told apart
LG_SET_CNT = 11             # a source is found by a hash into sets of SET_SZ
SET_CNT, SET_SZ = 1 << LG_SET_CNT, 4

PLACE = native(
    "place", 16, "Where a partition's orders are addressed to and arrive.",
    ("ip", "u32", "as in the frame, network order"), ("ifindex", "u32", "0: not bound yet"),
    ("queue", "u32", "receive queue"), ("stamped", "u32", "1: packets get metadata"),
)
SOURCE_SET = native(
    "source_set", 32, "Sources whose hash is this set's number.",
    ("ip", "u32", SET_SZ, "as in the frame; a free place holds an address of another set"),
    ("id", "u16", SET_SZ, "index of limits, debts and guarded; below SOURCE_MAX"),
    ("pad", "u64", "zero"),
)
LIMIT = native(
    "limit", 16, "The flood guard of a source, in sixteenths of a nanosecond.",
    ("price", "u64", "of one message, 1 / rate; 0: no limit"), ("room", "u64", "burst * price"),
)
GUARDED = native(
    "guarded", 24, "One source under the flood guard; the XDP program writes, matchers read.",
    ("ip", "u64", "its address, first byte highest; 0: nothing was dropped yet"),
    ("dropped_ns", "u64", "coarse monotonic clock of the newest datagram dropped, 0 none"),
    ("dropped_cnt", "u64", "datagrams dropped"),
)

RECORDS = (PLACE, SOURCE_SET, LIMIT, GUARDED)
TABLES = np.dtype([
    ("version", "<u8"),
    ("seed", "<u8"),                                    # set of ip = ip * seed >> 64 - LG_SET_CNT
    ("places", PLACE.dtype, PARTITION_MAX),
    ("sets", SOURCE_SET.dtype, SET_CNT),
    ("limits", LIMIT.dtype, SOURCE_MAX),
    ("owners", "<u2", UDP_PORT_CNT),                    # partition + 1 by UDP port, 0 none
])
