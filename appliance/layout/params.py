"""What a matcher's burst loop is told (PARAMS) and its private records (HOLD, OUTBOX).

PARAMS is written by the cold shell between two calls of the loop and only read inside. HOLD and
OUTBOX live in the matcher's own memory: datagrams behind a gap, and packets still to be made.
"""

from .lang import native

# params.wait
WAIT_SPIN, WAIT_YIELD, WAIT_BLOCK = 1, 2, 3

PARAMS = native(
    "params", 256, "Addresses, intervals and the clock of one partition's burst loop.",
    ("control_word", "u64", "the loop returns when the control block shows another one"),
    ("base_tsc", "u64", "cycle counter at base_ns"),
    ("base_ns", "u64", "nanoseconds since midnight of the session's day at base_tsc"),
    ("mono_base_ns", "u64", "monotonic clock at base_tsc"),
    ("tsc_mult", "u64", "ns = base_ns + ((tsc - base_tsc) * tsc_mult >> tsc_shift)"),
    ("run_cycles", "u64", "cycles after which a call returns"),
    ("idle_polls", "u64", "a call returns after this many empty polls in a row, 0 never"),
    ("yield_polls", "u64", "empty polls in a row before giving way, or before waiting"),
    ("block_ns", "u64", "WAIT_BLOCK: longest wait for a frame; links and timers wait as long"),
    ("gap_hold_ns", "u64", "how long an upstream gap is waited for, 0 not at all"),
    ("gap_request_ns", "u64", "least time between two requests for a gap"),
    ("rerequest_ns", "u64", "least time between two re-requests served on a session"),
    ("heartbeat_ns", "u64", "a stream idle this long gets a heartbeat"),
    ("end_interval_ns", "u64", "between the end-of-session packets of a stream"),
    ("beat_ns", "u64", "least time between two writes of the status block"),
    ("tsc_shift", "u32", ""), ("wait", "u32", "WAIT_SPIN, WAIT_YIELD, WAIT_BLOCK"),
    ("our_ip", "u32", "address participants send to, first byte highest"),
    ("feed_ip_a", "u32", "multicast group of feed A"),
    ("feed_ip_b", "u32", "of feed B, 0: no feed B"),
    ("allow_cnt", "u32", "addresses on the allow-list; nobody else is heard"),
    ("hold_limit", "u32", "datagrams held for one session at most"),
    ("tx_budget", "u32", "frames queued in one transmit pass at most"),
    ("rx_batch", "u32", "frames taken in one pass at most, 1 to BURST_MAX"),
    ("order_port", "u16", "our UDP port"), ("feed_port_a", "u16", ""), ("feed_port_b", "u16", ""),
    ("feed_source_port", "u16", ""),
    ("mac", "u8", 6, "our Ethernet address"), ("feed_mac_a", "u8", 6, "group A's Ethernet address"),
    ("feed_mac_b", "u8", 6, "group B's"), ("ttl", "u8", "time to live of what we send"),
    ("pad", "u8", 73, "zero"),
)

HOLD = native(
    "hold", 32, "One datagram held behind a gap; its payload lies in slot i of the hold memory.",
    ("seq", "u64", "number of its first message"),
    ("count", "u32", "its messages"), ("size", "u32", "payload bytes, header included"),
    ("next", "u32", "next slot + 1 of the session or of the free list, 0 none"),
    ("pad", "u8", 12, "zero"),
)
HOLD_SZ = 1536            # bytes of hold memory a slot; a longer payload cannot be held

# outbox.kind
OUT_ACCEPT, OUT_REFUSE, OUT_ASK, OUT_ANSWER = 1, 2, 3, 4

OUTBOX = native(
    "outbox", 64, "One packet to be made: a login answer, a gap request, a re-request's answer.",
    ("kind", "u32", "OUT_"), ("account", "u32", "account index; OUT_REFUSE: unused"),
    ("token_hi", "u64", "OUT_REFUSE, OUT_ASK: first 8 bytes of the token, big-endian"),
    ("token_lo", "u64", "last 2 bytes"),
    ("seq", "u64", "OUT_ASK, OUT_ANSWER: first number. OUT_ACCEPT: number told"),
    ("count", "u32", "OUT_ASK, OUT_ANSWER: messages wanted"),
    ("ip", "u32", "destination"), ("udp_port", "u16", "destination port"),
    ("mac", "u8", 6, "destination Ethernet address"),
    ("reason", "u8", "OUT_REFUSE: A or S"), ("pad", "u8", 7, "zero"),
    ("after", "u64", "OUT_ACCEPT: leaves when this command is released"),
)
OUTBOX_CNT = 512          # a power of two

MARK = native(
    "mark", 32, "Where a stream ends when a command has been applied: shown when that is released.",
    ("journal_seq", "u64", "the command"), ("next_seq", "u64", "first number of the stream after"),
    ("account", "u32", "account index, FEED_STREAM the feed"), ("pad", "u8", 12, "zero"),
)
FEED_STREAM = 0xFFFFFFFF
MARK_CNT = 1 << 16        # at least; a power of two

RECORDS = (PARAMS, HOLD, OUTBOX, MARK)
