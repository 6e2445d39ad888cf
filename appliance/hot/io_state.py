"""What the burst loop owns besides the core and the port: links, held datagrams, packets to make.

`build_io` makes it through the same `make(name, dtype, count)` as `state.build`: blocks that others
read or write (control, status, the two control links, the histogram) may lie in shared memory, the
rest is private. `fill_params` turns addresses and intervals into a PARAMS record. Both are cold.
"""

from typing import NamedTuple

import numpy as np

from ..layout import gate, journal, record, shared
from ..layout import params as layout
from ..layout.wire_session import MOLD_HEADER, MOLD_PAYLOAD_MAX
from .depth_state import build_touched, row_words
from .port_state import BURST_MAX
from .state import private


class Io(NamedTuple):
    """Twenty-seven arrays. `words` are named below; links are counted by their header words."""

    words: np.ndarray           # i64[32]
    control: np.ndarray         # u64[16], view of CONTROL, read-only
    status: np.ndarray          # u64[40], view of MATCHER_STATUS
    in_words: np.ndarray        # u64[32], view of the LINK_HEADER, supervisor -> matcher
    in_ring: np.ndarray         # LINK[depth]
    out_words: np.ndarray       # u64[32], matcher -> supervisor
    out_ring: np.ndarray        # LINK[depth]
    hold_data: np.ndarray       # u8[holds * HOLD_SZ]
    holds: np.ndarray           # HOLD[holds]
    hold_heads: np.ndarray      # u32[accounts], first held slot + 1 in order of seq, 0 none
    told_ends: np.ndarray       # u64[accounts], one past the newest number the client has named
    outbox: np.ndarray          # OUTBOX[OUTBOX_CNT], a ring
    templates: np.ndarray       # u8[192]: headers of ACK, FEED_A, FEED_B, 64 bytes each
    template_sums: np.ndarray   # u64[8]: unfolded sums of IPv4 (0..2) and pseudo headers (4..6)
    histogram: np.ndarray       # u64[HISTOGRAM_CNT], ns from frame seen to frame submitted
    blank_command: np.ndarray   # COMMAND[1], zero
    blank_detail: np.ndarray    # DETAIL[1], zero
    depth: np.ndarray           # u64[symbols * row_words], see hot/depth.py
    touched: np.ndarray         # i64: symbols to be published there
    guarded: np.ndarray         # u64, view of GUARDED rows, read-only; see hot/guard.py
    twin: np.ndarray            # u8[64 * TWIN_SZ]: packets of feed B as of wm_feed_tx
    journal: np.ndarray         # u64[32], view of JOURNAL_STATUS, read-only
    marks: np.ndarray           # MARK ring, see hot/gate.py
    marked: np.ndarray          # u64[accounts], next_seq of its last mark
    tcp_words: np.ndarray       # u64[32], view of the LINK_HEADER, recovery -> matcher
    tcp_data: np.ndarray        # u8[depth * TCP_PIECE], see hot/tcp.py
    state_marks: np.ndarray     # STATE_MARK ring as u64, see hot/gate.py


# words
SLOT_CNT = 0          # decoded commands waiting for the second pass
HOLD_FREE = 1         # first free hold slot + 1, 0 none
OUTBOX_HEAD, OUTBOX_TAIL = 2, 3
GAP_CNT = 4           # sessions with an open upstream gap
IDLE_NS = 5           # nothing is due on an idle stream before this time
NOW_NS = 6            # newest record time given out
BEAT_NS = 7           # last write of the status block
ACKS_DUE = 8          # 1: some stream may have messages to send
KICK_DUE = 9          # 1: pushed frames have not all left
FEED_ENDED_CNT = 10   # end-of-session packets sent on the feed
FEED_END_NS = 11      # when the last of them left
NEXT_ACCOUNT = 12     # where the next round over the sessions begins
FRAMES_LEFT = 13      # frames this transmit pass may still queue
WORK = 14             # what the burst loop has to do before anything else, see slots.py
WORK_ACCOUNT, WORK_OFF, WORK_SEQ, WORK_CNT = 15, 16, 17, 18
PACKET_ROOM = 19      # bytes of message blocks that a packet of ours may carry
TWIN_RETRY_NS = 20    # feed B's own interface is not tried before this time
TWIN_ENDED_CNT = 21   # end-of-session packets sent there; END_COPIES too once they are given up
TWIN_END_NS = 22      # when the last of them left
TWIN_UNTIL_NS = 23    # they are given up at this time, 0: nothing of them is due yet
LEVEL = 24            # LEVEL_NONE, LEVEL_PROCESS, LEVEL_DISK
MARK_HEAD, MARK_TAIL = 25, 26
FEED_MARKED = 27      # the feed's next_seq at its last mark
STATE_MARKED = 28     # sequence of the last state mark divided by STATE_MARK_EVERY, -1 none
MODE = 29             # engine.mode as of the last beat: the throttle halves its rates from 1 on
WORD_CNT = 32

# words[LEVEL]: what a command has to reach before its results leave. At LEVEL_PROCESS that is the
# journal ring: nothing waits, but a record in it has to be copied before it is overwritten.
LEVEL_NONE, LEVEL_PROCESS, LEVEL_DISK = 0, 1, 2
COPIED = shared.JOURNAL_STATUS["copied_seq"].off // 8
DURABLE = shared.JOURNAL_STATUS["durable_seq"].off // 8

LINK_HEAD = shared.LINK_HEADER["head_seq"].off // 8
LINK_DROPPED = shared.LINK_HEADER["dropped"].off // 8
LINK_TAIL = shared.LINK_HEADER["tail_seq"].off // 8

ACK, FEED_A, FEED_B = 0, 1, 2
TEMPLATE_SZ = 64
TWIN_SZ, TWIN_BATCH = 40, 64          # native/feed.c
PAYLOAD, MOLD_SZ = MOLD_PAYLOAD_MAX, MOLD_HEADER.size
NEVER = 1 << 62


def build_io(sizes, make=private) -> Io:
    """The arrays for a core of `sizes` (state.Sizes); link rings are empty, all hold slots free."""
    depth = sizes.link_depth
    if depth & (depth - 1):
        raise ValueError(f"link_depth = {depth}: choose a power of two")
    control = make("control", shared.CONTROL.dtype, 1).view(np.uint64)
    control.flags.writeable = False       # another process writes it; we may only read
    disk = make("journal_status", shared.JOURNAL_STATUS.dtype, 1).view(np.uint64)
    disk.flags.writeable = False
    mark_cnt = max(layout.MARK_CNT, 1 << (8 * sizes.accounts).bit_length())
    io = Io(
        np.zeros(WORD_CNT, np.int64), control,
        make("matcher_status", shared.MATCHER_STATUS.dtype, 1).view(np.uint64),
        make("control_in_header", shared.LINK_HEADER.dtype, 1).view(np.uint64),
        make("control_in", shared.LINK.dtype, depth),
        make("control_out_header", shared.LINK_HEADER.dtype, 1).view(np.uint64),
        make("control_out", shared.LINK.dtype, depth),
        np.zeros(sizes.holds * layout.HOLD_SZ, np.uint8),
        np.zeros(sizes.holds, layout.HOLD.dtype),
        np.zeros(sizes.accounts, np.uint32), np.zeros(sizes.accounts, np.uint64),
        np.zeros(layout.OUTBOX_CNT, layout.OUTBOX.dtype),
        np.zeros(3 * TEMPLATE_SZ, np.uint8), np.zeros(8, np.uint64),
        make("latency", np.uint64, shared.HISTOGRAM_CNT),
        np.zeros(1, record.COMMAND.dtype), np.zeros(1, record.DETAIL.dtype),
        make("depth", np.uint64, sizes.symbols * row_words(sizes.depth_levels)),
        build_touched(sizes.symbols, sizes.depth_levels), nobody_guarded(),
        np.zeros(TWIN_BATCH * TWIN_SZ, np.uint8), disk, np.zeros(mark_cnt, layout.MARK.dtype),
        np.ones(sizes.accounts, np.uint64),
        make("tcp_in_header", shared.LINK_HEADER.dtype, 1).view(np.uint64),
        make("tcp_in", np.uint8, depth * shared.TCP_PIECE.size),
        make("state_marks", journal.STATE_MARK.dtype, journal.STATE_MARK_CNT).view(np.uint64))
    io.words[FEED_MARKED], io.words[STATE_MARKED] = 1, -1
    io.holds["next"][:-1] = np.arange(2, sizes.holds + 1)
    io.words[PACKET_ROOM] = PAYLOAD - MOLD_SZ
    io.words[HOLD_FREE] = 1 if sizes.holds else 0
    return io


def nobody_guarded() -> np.ndarray:
    """Io.guarded where no XDP program stands in front of the matcher: a row of nobody."""
    rows = np.zeros(1, gate.GUARDED.dtype).view(np.uint64)
    rows.flags.writeable = False
    return rows


def ip_number(text: str) -> int:
    """An IPv4 address as a number, first byte highest. ValueError says what was given."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise ValueError(f"address {text!r}: write four numbers of 0 to 255 with dots between")
    return int.from_bytes(bytes(map(int, parts)), "big")


def multicast_mac(ip: int) -> bytes:
    """The Ethernet address of a multicast group: 01:00:5e and the low 23 bits."""
    return bytes((1, 0, 0x5E)) + (ip & 0x7FFFFF).to_bytes(3, "big")


def fill_params(io, *, our_ip: str, order_port: int, mac: bytes = bytes(6), feed_ip_a: str,
                feed_port_a: int, feed_ip_b: str = "", feed_port_b: int = 0, ttl: int = 1,
                payload: int = PAYLOAD,
                allow_cnt: int, gap_hold_ns: int = 1_000_000, gap_request_ns: int = 1_000_000,
                rerequest_ns: int = 1_000_000, heartbeat_ns: int = 1_000_000_000,
                end_interval_ns: int = 10_000_000, beat_ns: int = 1_000_000,
                wait: int = layout.WAIT_YIELD, yield_polls: int = 256, block_ns: int = 1_000_000,
                hold_limit: int = 32, tx_budget: int = 512, rx_batch: int = BURST_MAX,
                run_cycles: int = 150_000_000, idle_polls: int = 0, tsc_mult: int = 0,
                tsc_shift: int = 32) -> np.ndarray:
    """PARAMS[1] from addresses and intervals; also writes io.templates and, from `payload`, the
    room of a packet. The clock's base is set by the shell before each call (`base_tsc`, `base_ns`,
    `mono_base_ns`, `control_word`)."""
    io.words[PACKET_ROOM] = payload - MOLD_SZ
    params = np.zeros(1, layout.PARAMS.dtype)
    p = params[0]
    for name in ("order_port", "feed_port_a", "feed_port_b", "ttl", "allow_cnt", "gap_hold_ns",
                 "gap_request_ns", "rerequest_ns", "heartbeat_ns", "end_interval_ns", "beat_ns",
                 "wait", "yield_polls", "block_ns", "hold_limit", "tx_budget",
                 "rx_batch", "run_cycles", "idle_polls", "tsc_mult", "tsc_shift"):
        p[name] = locals()[name]
    p["our_ip"], p["feed_ip_a"] = ip_number(our_ip), ip_number(feed_ip_a)
    p["feed_ip_b"] = ip_number(feed_ip_b) if feed_ip_b else 0
    p["feed_source_port"] = order_port
    p["mac"] = np.frombuffer(mac, np.uint8)
    p["feed_mac_a"] = np.frombuffer(multicast_mac(int(p["feed_ip_a"])), np.uint8)
    p["feed_mac_b"] = np.frombuffer(multicast_mac(int(p["feed_ip_b"])), np.uint8)
    write_templates(io, params)
    return params


def write_templates(io, params) -> None:
    """The headers of every packet we send, lengths and checksums 0, and the sums of the rest."""
    p = params[0]
    ours, ttl = int(p["our_ip"]), int(p["ttl"])
    for index, mac, ip, source, port in (
            (ACK, bytes(6), 0, p["order_port"], 0),
            (FEED_A, p["feed_mac_a"].tobytes(), p["feed_ip_a"], p["feed_source_port"],
             p["feed_port_a"]),
            (FEED_B, p["feed_mac_b"].tobytes(), p["feed_ip_b"], p["feed_source_port"],
             p["feed_port_b"])):
        ipv4 = (bytes((0x45, 0, 0, 0, 0, 0, 0x40, 0, ttl if index else 64, 17, 0, 0))
                + ours.to_bytes(4, "big") + int(ip).to_bytes(4, "big"))
        udp = int(source).to_bytes(2, "big") + int(port).to_bytes(2, "big") + bytes(4)
        whole = mac + p["mac"].tobytes() + b"\x08\x00" + ipv4 + udp
        base = index * TEMPLATE_SZ
        io.templates[base:base + len(whole)] = np.frombuffer(whole, np.uint8)
        io.template_sums[index] = _lanes(ipv4)
        io.template_sums[4 + index] = _lanes(ipv4[12:] + udp) + 0x1100


def _lanes(data: bytes) -> int:
    """Sum of the 16-bit words of data as little-endian numbers."""
    return int(np.frombuffer(data, "<u2").astype(np.uint64).sum())
