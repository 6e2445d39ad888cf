"""Shared-memory blocks: name, the one process that writes it, its records, its element count.

A region file holds one block: a REGION header line of 128 bytes, then the records. Data first,
then the publishing sequence by store_release; readers load_acquire it. Ring depths are powers of
two. Everything a partition shares lies in `<runtime_dir>/p<partition>/<block>`.
"""

from .counters import COUNTER_CNT, COUNTER_INDEX, COUNTERS, DISPOSITIONS
from .image import (
    IMAGE, IMAGE_FULL, IMAGE_LAPPED, IMAGE_ORDER, IMAGE_STRANGE, IMAGE_SYMBOL, IMAGE_TORN,
)
from .lang import native

MAGIC = 0x574D415443483031          # "WMATCH01"

REGION = native(
    "region", 128, "First line of every region file.",
    ("magic", "u64", "MAGIC"), ("layout_digest", "u64", "of the declarations it was made with"),
    ("record_sz", "u32", "bytes of one record"), ("instance", "u32", "0, 1, 2 ... of this day"),
    ("record_cnt", "u64", "records that follow"), ("created_ns", "u64", "wall clock"),
    ("name", "u8", 24, "block name, zero padded"), ("pad", "u8", 64, "zero"),
)

# control.word: what the matcher is asked to do. The kernel returns when it changes.
RUN, END_DAY, STOP = 1, 2, 3

CONTROL = native(
    "control", 128, "Written by the supervisor's side (the launcher), read by the matcher.",
    ("word", "u64", "RUN, END_DAY, STOP"), ("midnight_ns", "u64", "wall clock of the day's start"),
    ("record_offset_ns", "i64", "record time = monotonic clock + this, the whole day: a step of "
                                "the wall clock changes nothing"),
    ("opens_later", "u64", "1: the day starts before its market opens"),
    ("pad", "u8", 96, "zero"),
)

# matcher_status.state
BOOTING, WARMING, READY, ENDING, ENDED, FAILED = 1, 2, 3, 4, 5, 6

MATCHER_STATUS = native(
    "matcher_status", 320, "Written by the matcher, read by everyone.",
    ("state", "u64", "BOOTING ... FAILED"), ("pid", "u64", ""),
    ("heartbeat_ns", "u64", "monotonic clock at the last look at the control word"),
    ("instance", "u64", ""), ("rung", "u64", "RUNG_ in use"),
    ("journal_seq", "u64", "last command's sequence"), ("feed_seq", "u64", "next feed number"),
    ("warm_ms", "u64", "imports, compilation and loading"),
    ("cached", "u64", "1: kernels came from the cache"),
    ("live_orders", "u64", ""), ("zero_copy", "u64", ""), ("cpu", "u64", "core it is pinned to"),
    ("wait", "u64", "1 spin, 2 yield, 3 block"),
    ("generation", "u64", "port_status.generation of the port in use"),
    ("layout", "u64", "OWN_QUEUE, SHARED_QUEUE, 0 on plain sockets"),
    ("reopens", "u64", "times this instance has taken a new port"),
    ("device", "u64", 8, "DPDK: received, sent, missed, receive errors, send errors, no frame"),
    ("present", "u64", "1: all its memory is there, no first touch of a page is left"),
    ("sends", "u64", 8, "system calls that send, those that said EAGAIN, EBUSY, device down, "
                        "another error; frames refused for good, frames not queued, errno of the "
                        "newest other error; all ports of this instance so far"),
    ("settled_ns", "u64", "record time: all that is older stands in the streams"),
    ("rest", "u8", 48, "zero"),
)

# Where a partition's frames come from.
RUNG_NONE, RUNG_NATIVE, RUNG_SOCKET, RUNG_GENERIC, RUNG_ZERO_COPY, RUNG_DPDK = 0, 1, 2, 3, 4, 5
RUNGS = {RUNG_NONE: "none yet", RUNG_NATIVE: "native", RUNG_SOCKET: "socket",
         RUNG_GENERIC: "generic", RUNG_ZERO_COPY: "zero-copy", RUNG_DPDK: "dpdk"}
OWN_QUEUE, SHARED_QUEUE = 1, 2
LAYOUTS = {0: "none", OWN_QUEUE: "own queue", SHARED_QUEUE: "shared queue"}

# What portd's watchdog saw: portd_status.events counts each since the appliance started.
PORT_EVENTS = (
    ("link_down", "the interface lost its carrier or was set down"),
    ("link_up", "the interface came back up"),
    ("program_detached", "our XDP program was taken off the interface"),
    ("program_foreign", "another XDP program stood where ours belongs"),
    ("program_attached", "our XDP program was put on the interface again"),
    ("device_gone", "the interface was deleted"),
    ("device_back", "an interface of that name was there again"),
    ("queue_gone", "the interface has fewer queues than the partitions use"),
    ("socket_lost", "an AF_XDP socket reported an error"),
    ("rung_lost", "a partition fell to plain sockets"),
    ("rung_regained", "a partition came back from plain sockets"),
    ("adopted", "portd took over the descriptors of one that died"),
    ("matcher_gone", "a matcher ended and its frames were taken back"),
    ("frames_taken_back", "receive frames that dead matchers had held"),
    ("frames_withheld", "transmit frames still in the device when their matcher died"),
    ("open_refused", "a process asked for a port that is not its own"),
    ("twin_down", "the interface of feed B lost its carrier, was set down or deleted"),
    ("twin_up", "the interface of feed B came back up"),
)
PORT_EVENT_INDEX = {name: idx for idx, (name, _) in enumerate(PORT_EVENTS)}

PORTD_STATUS = native(
    "portd_status", 512, "The machine's port side; written by portd, read by everyone.",
    ("pid", "u64", ""), ("heartbeat_ns", "u64", "monotonic clock at the last housekeeping"),
    ("starts", "u64", "times a portd has started for this appliance"),
    ("rung", "u64", "RUNG_ of the interface now"), ("layout", "u64", "OWN_QUEUE, SHARED_QUEUE"),
    ("ifindex", "u64", "0: the interface is gone"), ("link", "u64", "1: the interface is up"),
    ("recycled", "u64", "receive frames handed back on a shared queue"),
    ("completed", "u64", "transmit frames handed back on a shared queue"),
    ("fill_level", "u64", "frames on a shared fill_ring at the last look"),
    ("events", "u64", 32, "by PORT_EVENTS"), ("reasons", "u64", 20, "by the XDP program's reasons"),
    ("rest", "u8", 16, "zero"),
)

PORT_STATUS = native(
    "port_status", 256, "One partition's port; written by portd, read by everyone.",
    ("generation", "u64", "the matcher asks for its port again when this changes; 0 none yet"),
    ("rung", "u64", "RUNG_ that the next answer will have"), ("layout", "u64", ""),
    ("queue", "u64", "receive queue"), ("ifindex", "u64", "device it is bound to, 0 none"),
    ("bound", "u64", "1: the XDP program redirects to its socket"),
    ("pid", "u64", "process that holds it"), ("opens", "u64", "ports handed out"),
    ("statistics", "u64", 6, "AF_XDP: rx_dropped, rx_invalid, tx_invalid, rx_ring_full, "
                             "fill_ring_empty, tx_ring_empty; all ports of this appliance so far"),
    ("return_start", "u64", "shared queue: its ring's producer when the port was handed out"),
    ("free_start", "u64", "shared queue: the same of its free ring"),
    ("instance", "u64", "instance of the matcher that holds it"),
    ("rest", "u8", 120, "zero"),
)

# One message on a control link, either way. Kind decides which fields count.
LINK_CONTROL = 1      # matcher -> supervisor: a sequence-0 datagram; bytes in `text`
LINK_LOGIN = 2        # supervisor -> matcher: bind token and source to account
LINK_REFUSE = 3       # supervisor -> matcher: answer J with `reason` to token and source
LINK_DISCONNECT = 4   # supervisor -> matcher: account was silent too long
LINK_END_DAY = 5      # supervisor -> matcher: close the day (journalled as DAY_END)
LINK_OPEN = 6         # supervisor -> matcher: open the market (journalled as MARKET_OPEN)
LINK_HALT = 7         # supervisor -> matcher: a symbol's state (HALT)
LINK_BUST = 8         # supervisor -> matcher: a trade is broken (BUST)
LINK_IMBALANCE = 9    # supervisor -> matcher: tell the imbalances before a cross (IMBALANCE)
LINK_TCP_LOGIN = 10   # recovery -> supervisor: a login over TCP; `text` as of LINK_CONTROL
LINK_CHECK = 11       # recovery -> supervisor: is that login's password right; binds nothing
LINK_LIMIT = 12       # supervisor -> matcher: a risk limit (LIMIT)
LINK_KILL = 13        # supervisor -> matcher: a kill switch, or its end (KILL)
LINK_MODE = 14        # supervisor -> matcher: how far trading is restrained (MODE)

LINK = native(
    "link", 256, "A record of a one-producer ring between supervisor and matcher or recovery.",
    ("kind", "u32", "LINK_CONTROL ..."),
    ("account", "u32", "account index; LINK_HALT: symbol index"),
    ("ip", "u32", "peer address, first byte highest; of an operator's order his uid"),
    ("udp_port", "u16", "peer port, 0: TCP. LINK_LIMIT, LINK_KILL: symbol index"),
    ("mac", "u8", 6, "peer's Ethernet address (zero on the socket rung)"),
    ("reason", "u8", "LINK_REFUSE: A or S. LINK_HALT: state. LINK_BUST: reason. LINK_IMBALANCE: "
                     "cross type. LINK_LIMIT, LINK_KILL, LINK_MODE: detail.side_letter"),
    ("scope", "u8", "LINK_LIMIT: detail.present. LINK_KILL: LIFT or 0"),
    ("pad", "u8", 2, "zero"),
    ("requested_seq", "u64", "LINK_LOGIN: first downstream number wanted; 0 = only new ones. "
                             "LINK_BUST: match n. LINK_LIMIT: value"),
    ("token", "u8", 16, "ten characters, zero padded. LINK_HALT, LINK_MODE: reason, four of them"),
    ("session", "u8", 16, "assigned session, ten characters, zero padded; of an operator's order "
                          "his name"),
    ("text_sz", "u32", "bytes used in text"),
    ("request", "u32", "number of an operator's order, 0 none"),
    ("text", "u8", 184, "LINK_CONTROL: UDP payload, cut at 184"),
)

LINK_HEADER = native(
    "link_header", 256, "Indices of a ring, each writer on its own 128 bytes; LINK records follow.",
    ("head_seq", "u64", "next record to be written (producer)"),
    ("dropped", "u64", "records refused because the ring was full (producer)"),
    ("pad", "u8", 112, "zero"),
    ("tail_seq", "u64", "next record to be read (consumer)"), ("pad2", "u8", 120, "zero"),
)

# A piece of a TCP session's upstream, from recovery to the matcher.
TCP_PIECE = native(
    "tcp_piece", 1536, "A record of the ring link_tcp: the datagram that the same messages would "
                       "be over UDP.",
    ("size", "u32", "bytes used in payload"), ("pad", "u8", 12, "zero"),
    ("payload", "u8", 1520, "MoldUDP64 header with the session's token, then blocks"),
)

# session.state
SESSION_NONE, SESSION_LIVE, SESSION_ENDED = 0, 1, 2

SESSION = native(
    "session", 256, "One account on this partition; the matcher writes, the supervisor reads.",
    ("state", "u32", "SESSION_"), ("epoch", "u32", "logins so far today"),
    ("token_hi", "u64", "first 8 bytes of the token, big-endian"),
    ("token_lo", "u64", "last 2 bytes, big-endian"),
    ("ip", "u32", "bound source"), ("udp_port", "u16", "bound source port, 0: over TCP"),
    ("mac", "u8", 6, "where acknowledgements go"),
    ("order_interval_ns", "u32", "throttle: time that an order takes, 0 no throttle"),
    ("next_upstream_seq", "u64", "expected client message number"),
    ("heard_ns", "u64", "record time of the last datagram from it"),
    ("sent_ns", "u64", "record time of the last datagram to it"),
    ("next_seq", "u64", "next downstream number to be appended"),
    ("sent_seq", "u64", "next downstream number to be transmitted (cursor)"),
    ("last_user_ref", "u32", "highest UserRefNum processed"), ("page_cnt", "u32", "pages held"),
    ("first_page", "u32", "oldest page, 0 none"), ("last_page", "u32", "newest page, 0 none"),
    ("page_quota", "u32", "most pages it may hold"), ("live_cnt", "u32", "live orders"),
    ("disabled", "u8", "new orders refused: 1 by OUCH D, 2 by the operator (KILL)"),
    ("cancel_on_disconnect", "u8", ""),
    ("smp_default", "u8", "SMP_"), ("aiq_default", "u8", "letter sent back in PREVENTED; O W N D"),
    ("default_firm", "u8", 4, ""),
    ("gap_ns", "u64", "when the upstream gap was first seen, 0 none"),
    ("asked_ns", "u64", "when the gap was last asked for"),
    ("held_cnt", "u32", "datagrams held behind the gap"), ("chunk_cnt", "u32", "stream chunks"),
    ("first_chunk", "u32", "oldest stream chunk"), ("last_chunk", "u32", "newest stream chunk"),
    ("session_name", "u8", 16, "assigned session, ten characters, zero padded"),
    ("asked_down_ns", "u64", "last re-request served"), ("dirty", "u32", "1: in the transmit list"),
    ("ended_cnt", "u32", "end-of-session datagrams sent"),
    ("login_seq", "u64", "number told in this login's answer"),
    ("gap_end_seq", "u64", "first number beyond the gap"),
    ("released_seq", "u64", "first downstream number that nobody may see yet"),
    ("tcp_epoch", "u32", "newest login over TCP: the rows above are complete when it is epoch"),
    ("order_burst", "u32", "throttle: orders at once"),
    ("throttle_ns", "u64", "throttle: record time at which its orders so far are paid for"),
    ("refused_ns", "u64", "first refusal of the second that refused_cnt counts"),
    ("grace_ns", "u64", "record time at which its orders leave unless it logs in, 0 none"),
    ("throttle_refusals", "u32", "refusals within a second that end the session, 0 never"),
    ("refused_cnt", "u32", "refusals in that second"), ("throttled", "u32", "refusals today"),
    ("expulsions", "u32", "sessions ended for refusals today"),
    ("grace_ms", "u32", "how long orders outlive a lost session"),
    ("limits", "u16", "its slot in the risk blocks, 0: it has no limits"),
    ("rest", "u8", 2, "zero"),
)
DISABLED_BY_ACCOUNT, DISABLED_BY_OPERATOR = 1, 2        # session.disabled

CHUNK_SZ = 65536
CHUNK = native(
    "chunk", 64, "Header, apart from the data, of a stream chunk of CHUNK_SZ bytes: messages grow "
                 "up, their u32 offsets down from the end.",
    ("first_seq", "u64", "downstream number of its first message"),
    ("message_cnt", "u32", "messages in it"), ("data_off", "u32", "next free byte in the chunk"),
    ("next", "u32", "account's next chunk, 0 none"), ("prev", "u32", "account's previous chunk"),
    ("account", "u32", "owner"), ("pad", "u8", 28, "zero"),
    ("jump", "u64", "depth in the account's list, upper half; an earlier chunk, lower half"),
)

FEED_LOG = native(
    "feed_log", 128, "Cursors of the feed's log; data ring and index ring are blocks of their own.",
    ("next_seq", "u64", "number of the next message to be appended (first is 1)"),
    ("oldest_seq", "u64", "oldest number still held"),
    ("write_off", "u64", "virtual offset of the next byte; physical = off & (ring size - 1)"),
    ("sent_seq", "u64", "transmit cursor"), ("sent_ns", "u64", "record time of the last packet"),
    ("session_name", "u8", 16, "feed session, zero padded"),
    ("twin_seq", "u64", "transmit cursor of feed B where it leaves by an interface of its own"),
    ("released_seq", "u64", "first number that nobody may see yet"),
    ("pad", "u8", 56, "zero"),
)

JOURNAL_HEADER = native(
    "journal_header", 128, "Cursors of the journal ring of JOURNAL_RECORDs.",
    ("next_seq", "u64", "sequence of the next command"), ("last_ns", "u64", "time of the last one"),
    ("checksum", "u64", "running CRC32C over all records of the day"),
    ("block_cnt", "u64", "bursts appended"),
    ("ready_seq", "u64", "newest command that may be copied; published last"),
    ("pad", "u8", 88, "zero"),
)

# journal_status.state
JOURNAL_NONE, JOURNAL_OPENING, JOURNAL_OPEN, JOURNAL_FULL, JOURNAL_FAILED = 0, 1, 2, 3, 4
JOURNAL_STATES = {JOURNAL_NONE: "none", JOURNAL_OPENING: "opening", JOURNAL_OPEN: "open",
                  JOURNAL_FULL: "full", JOURNAL_FAILED: "failed"}

JOURNAL_STATUS = native(
    "journal_status", 256, "Written by journal@p, read by the matcher and the launcher.",
    ("copied_seq", "u64", "newest command that is in a file: its record in the ring may go"),
    ("durable_seq", "u64", "newest command that a sync has brought to the disk"),
    ("state", "u64", "JOURNAL_OPENING ... JOURNAL_FAILED"),
    ("pid", "u64", ""), ("heartbeat_ns", "u64", "monotonic clock at the last look at the ring"),
    ("begin_seq", "u64", "newest command in the files when it was opened, 0 a new day"),
    ("name_instance", "u64", "instance of the day's stream names"),
    ("lost_tail", "u64", "1: a tail may be lost, so the names are new ones"),
    ("cut_bytes", "u64", "bytes of a torn tail that were cut"),
    ("sync_cnt", "u64", ""), ("sync_ns", "u64", "time of the last sync"),
    ("sync_max_ns", "u64", "of the longest"), ("block_cnt", "u64", "blocks written"),
    ("byte_cnt", "u64", "bytes written"), ("segment", "u64", "number of the segment in use"),
    ("rest", "u8", 136, "zero"),
)

ENGINE = native(
    "engine", 256, "Scalars of the matching core; written by the matcher.",
    ("next_order_ref", "u64", "n of the next order reference"),
    ("next_match", "u64", "n of the next match number"),
    ("time_ns", "u64", "record time of the command being applied, since midnight"),
    ("live_orders", "u64", "orders with open quantity"),
    ("partition", "u64", ""), ("phase", "u64", "0 before, 1 open, 2 closed, 3 pre-open"),
    ("free_page", "u64", "free pages on the stack"),
    ("free_far", "u64", "free far slots"),
    ("free_chunk", "u64", "free stream chunks on the stack"),
    ("far_scans", "u64", "searches for a far price"), ("symbol_cnt", "u64", ""),
    ("account_cnt", "u64", ""), ("lg_ladder", "u64", "log2 of ladder levels a side"),
    ("far_cap", "u64", "far levels a side at most"),
    ("event_cap", "u64", ""), ("fault", "u64", "first broken invariant's code, 0 none"),
    ("unfinished", "u64", "shares of command resume_at that still look for a trade, 0 none"),
    ("resume_at", "u64", "index of the command that `apply` must go on with"),
    ("resume_owner", "u64", "its side: symbol * 2 + side"),
    ("spare_events", "u64", "events that refreshes and decrements may still use in this call"),
    ("timer_cnt", "u64", "orders in the heap of expiry times"),
    ("follow_after", "u64", "touches outside the window before it follows, 0 never"),
    ("windows_moved", "u64", "times a ladder's window followed its market"),
    ("parts_owed", "u64", "parts that the booked reserve orders may still show"),
    ("next_far", "u64", "first of the free far slots"),
    ("free_block", "u64", "first of the free far blocks, 0 none"),
    ("mode", "u32", "MODE_NORMAL ... MODE_HALTED; not normal: throttles at half their rates"),
    ("expelled_cnt", "u32", "live sessions that their throttle ends"),
    ("grace_due_ns", "u64", "earliest grace_ns, 0 none"),
    ("killed", "u32", "1: the venue is killed"), ("slots", "u32", "accounts that have limits"),
    ("outcome", "u32", "DONE ... NO_ROOM of the operator's newest command"),
    ("asked", "u32", "number of its request"), ("asked_seq", "u64", "its sequence"),
    ("rest", "u8", 8, "zero"),
)
# engine.outcome: what an operator's command has come to.
DONE, ALREADY, NOT_NOW, NO_ROOM = 0, 1, 2, 3

# The depth block: a row a symbol, DEPTH and then DEPTH_LEVEL[levels] of buys and as many of sells,
# best first, padded to whole lines of 64 bytes.
DEPTH = native(
    "depth", 64, "Head of a symbol's row in the depth block, under a sequence lock.",
    ("seq", "u64", "odd while the row is written, two more with each writing; 0 never written"),
    ("feed_seq", "u64", "every feed message below this number is in"),
    ("time_ns", "u64", "record time, since midnight"),
    ("bid_cnt", "u32", "buy levels that count"), ("ask_cnt", "u32", "sell levels that count"),
    ("pad", "u8", 32, "zero"),
)
DEPTH_LEVEL = native(
    "depth_level", 16, "One price of one side.",
    ("price_ticks", "i32", ""), ("orders", "u32", "orders there"),
    ("qty", "u64", "their open quantity"),
)

HISTOGRAM_CNT = 1024      # buckets of one log-linear latency histogram (16 a power of two)

BLOCKS = (REGION, CONTROL, MATCHER_STATUS, PORTD_STATUS, PORT_STATUS, LINK, LINK_HEADER, TCP_PIECE,
          SESSION, CHUNK, FEED_LOG, IMAGE, IMAGE_ORDER, IMAGE_SYMBOL, JOURNAL_HEADER,
          JOURNAL_STATUS, ENGINE, DEPTH, DEPTH_LEVEL)
