"""The journal on disk: segments of blocks of JOURNAL_RECORDs, the watermark and checks beside them;
and the two blocks in shared memory of the shadow that follows it.

A segment file is a header of SEGMENT_HEADER_SZ bytes (a SEGMENT, then the text of the genesis; a
longer text lies behind the header, on whole pages), then blocks without a gap, then zeros. A block
is one group commit. Each names the checksum of what stands before it: the first block of a segment
that of its SEGMENT, a SEGMENT that of the last block of the segment before. Every checksum is
CRC32C over all that follows the checksum's own field. Little-endian, like all native records.
"""

from .lang import native

SEGMENT_MAGIC = 0x31304C4E524A4D57       # "WMJRNL01" in the file
WATERMARK_MAGIC = 0x31304B52414D4D57     # "WMMARK01"
BLOCK_MAGIC = 0x4B4C424A                 # "JBLK"; zero: nothing was written here
JOURNAL_FORMAT = 1
SEGMENT_HEADER_SZ = 4096                 # of the header, and of each superblock of the watermark
SEGMENT_SZ_DEFAULT = 64 << 20
GENESIS_OFF = 256                        # of the genesis in the header, where it fits
BLOCK_SZ = 64                            # of a block's header; every block begins at a multiple
BLOCK_RECORDS_MAX = 8192                 # records of one block

SEGMENT = native(
    "segment", 256, "Head of a segment file; its checksum covers the rest of the header too.",
    ("magic", "u64", "SEGMENT_MAGIC"), ("crc", "u32", "over all of the header that follows"),
    ("format", "u32", "JOURNAL_FORMAT"), ("header_sz", "u32", "offset of the first block"),
    ("record_sz", "u32", "bytes of a JOURNAL_RECORD"), ("partition", "u32", ""),
    ("instance", "u32", "of the stream names, 0, 1, 2 ... of this day"),
    ("date", "u32", "YYYYMMDD of the session's day"),
    ("generation", "u32", "segment number, 1, 2, 3 ... through the day"),
    ("midnight_ns", "u64", "wall clock of the day's start"),
    ("first_seq", "u64", "sequence of its first record"),
    ("segment_sz", "u64", "bytes taken on disk while it is written; a closed one is cut to its "
                          "blocks"),
    ("created_ns", "u64", "wall clock"), ("layout_digest", "u64", "of the program that wrote it"),
    ("chain", "u32", "checksum of the block before, 0 of the first segment"),
    ("level", "u32", "LEVEL_ at which it was started"),
    ("genesis_off", "u32", "GENESIS_OFF or SEGMENT_HEADER_SZ"), ("genesis_sz", "u32", "its bytes"),
    ("genesis_crc", "u32", "over the text"), ("epoch", "u32", "of the writer"),
    ("genesis_digest", "u8", 32, "SHA-256 of the text"),
    ("before_sha256", "u8", 32, "SHA-256 of the closed segment before, as sha256sum prints it; "
                                "zero in the first"),
    ("rest", "u8", 88, "zero"),
)

# Level: what an acknowledgement means.
LEVEL_NONE, LEVEL_PROCESS, LEVEL_DISK, LEVEL_REPLICA, LEVEL_REPLICA_DISK = 0, 1, 2, 3, 4
LEVELS = {LEVEL_NONE: "none", LEVEL_PROCESS: "process", LEVEL_DISK: "disk",
          LEVEL_REPLICA: "replica", LEVEL_REPLICA_DISK: "replica+disk"}

# block.kind
BLOCK_RECORDS, BLOCK_CHECK = 1, 2

JOURNAL_BLOCK = native(
    "journal_block", 64, "Header of a block; `count` JOURNAL_RECORDs follow.",
    ("magic", "u32", "BLOCK_MAGIC"), ("crc", "u32", "over all of the block that follows"),
    ("generation", "u32", "of its segment"), ("count", "u32", "records, CHECK: 0"),
    ("first_seq", "u64", "of its first record; CHECK: of the next record"),
    ("prev_crc", "u32", "checksum of the block before, or of the header"),
    ("sz", "u32", "bytes of the block"), ("wall_ns", "u64", "wall clock when it was written"),
    ("kind", "u32", "BLOCK_RECORDS, BLOCK_CHECK"), ("epoch", "u32", "of the writer"),
    ("state_hash", "u64", "CHECK: the core's when all records before were applied"),
    ("output_hash", "u64", "CHECK: running hash of the outputs so far"),
)

WATERMARK = native(
    "watermark", 128, "Head of a superblock: how far the journal is known to be on the disk.",
    ("magic", "u64", "WATERMARK_MAGIC"), ("crc", "u32", "over all of the superblock that follows"),
    ("format", "u32", "JOURNAL_FORMAT"), ("counter", "u64", "writings; the higher one counts"),
    ("durable_seq", "u64", "last record that was synced, 0 none"),
    ("segment", "u64", "number of the segment it ends in, 0 none yet"),
    ("off", "u64", "offset behind the last synced block"),
    ("wall_ns", "u64", "wall clock of the writing"), ("boot_id", "u8", 16, "of the kernel"),
    ("partition", "u32", ""), ("clean", "u32", "1: the writer was closed, nothing follows"),
    ("pid", "u64", "of the writer"), ("rest", "u8", 40, "zero"),
)

# The file of checks beside the segments: a CHECKS_HEAD, then CHECKs, each naming the one before.
CHECKS_MAGIC = 0x31304B4843434D57        # "WMCCHK01"
CHECK_EVERY = 4096                       # commands, at most, between two checks
CHECK_LOOK = 1024                        # outputs are taken at every multiple of this
CHECKS_HEAD = native(
    "checks_head", 64, "Head of the file of checks.",
    ("magic", "u64", "CHECKS_MAGIC"), ("crc", "u32", "over all of the head that follows"),
    ("format", "u32", "JOURNAL_FORMAT"), ("genesis_digest", "u8", 32, "as in every SEGMENT"),
    ("partition", "u32", ""), ("pad", "u8", 12, "zero"),
)
CHECK = native(
    "check", 64, "What a replay's state and outputs were behind a command.",
    ("crc", "u32", "over all of the check that follows"),
    ("prev_crc", "u32", "checksum of the check before, or of the head"),
    ("seq", "u64", "the command"), ("from_seq", "u64", "the command that the outputs are since"),
    ("state_hash", "u64", "sampled, see journal/samples.py"),
    ("output_hash", "u64", "of the streams (upper half) and the feed since from_seq"),
    ("wall_ns", "u64", "wall clock when it was written"), ("pad", "u8", 16, "zero"),
)

# What the matcher was when it passed a multiple of STATE_MARK_EVERY commands, for the shadow.
LG_STATE_MARK_EVERY, STATE_MARK_CNT = 12, 256
STATE_MARK_EVERY = 1 << LG_STATE_MARK_EVERY
STATE_MARK = native(
    "state_mark", 128, "The matcher's state behind a command, in a ring of STATE_MARK_CNT by seq "
                       "divided by STATE_MARK_EVERY.",
    ("seq", "u64", "the command, 0 none; written last, and 0 while the rest is written"),
    ("checksum", "u64", "running CRC32C over all records of the day"),
    ("feed_off", "u64", "feed_log.write_off"), ("feed_seq", "u64", "feed_log.next_seq"),
    ("order_ref", "u64", "engine.next_order_ref"), ("match", "u64", "engine.next_match"),
    ("live_orders", "u64", "engine.live_orders"), ("pages", "u64", "engine.free_page"),
    ("chunks", "u64", "engine.free_chunk"), ("timers", "u64", "engine.timer_cnt"),
    ("streams", "u64", "sum of all accounts' next_seq"),
    ("users", "u64", "sum of all accounts' last_user_ref"),
    ("rest", "u8", 32, "zero"),
)

SHADOW_STATUS = native(
    "shadow_status", 256, "Written by shadow@p, read by the launcher.",
    ("pid", "u64", ""), ("heartbeat_ns", "u64", "monotonic clock at the last look at the journal"),
    ("seq", "u64", "newest command that its core has taken"),
    ("begun_seq", "u64", "command of the snapshot it began with, 0 the genesis"),
    ("snapshot_seq", "u64", "of the newest snapshot"), ("snapshots", "u64", "written"),
    ("snapshot_ns", "u64", "time that the last one took"),
    ("snapshot_bytes", "u64", "its size"), ("snapshot_failures", "u64", "that were not written"),
    ("checks", "u64", "hashes recorded"), ("checked", "u64", "found as they were recorded before"),
    ("marks", "u64", "of the live matcher that were found equal"),
    ("diverged_cnt", "u64", "times the replay and the matcher, or an older replay, differed"),
    ("diverged_seq", "u64", "command of the first time, 0 none"),
    ("diverged_what", "u64", "index into DIVERGENCES"),
    ("diverged_live", "u64", "what the matcher, or the older replay, had"),
    ("diverged_here", "u64", "what the replay has"), ("passed_over", "u64", "snapshots not used"),
    ("cpu_ns", "u64", "CPU time that it has taken"),
    ("rest", "u8", 104, "zero"),
)
# What can differ: fields of a STATE_MARK from "checksum" on, then those of a CHECK.
DIVERGENCES = (*(each.name for each in STATE_MARK.fields[1:-1]), "state_hash", "output_hash")

# Why a reader of blocks stopped; from WALK_TORN on there is no good block there.
WALK_END, WALK_FULL, WALK_TORN, WALK_MAGIC, WALK_SIZE, WALK_CRC = 0, 1, 2, 3, 4, 5
WALK_GENERATION, WALK_CHAIN, WALK_SEQ, WALK_EPOCH, WALK_RECORDS = 6, 7, 8, 9, 10
WALK_WHY = {
    WALK_END: "the end of what was written",
    WALK_FULL: "no room for more records",
    WALK_TORN: "the file ends inside a block",
    WALK_MAGIC: "no block begins here",
    WALK_SIZE: "a block's size, count or kind cannot be",
    WALK_CRC: "a block's checksum is wrong",
    WALK_GENERATION: "a stale block of another segment",
    WALK_CHAIN: "a stale block: it names another block before it",
    WALK_SEQ: "a block of another sequence",
    WALK_EPOCH: "a block of an older epoch",
    WALK_RECORDS: "records that are not consecutive, or whose time goes back",
}

JOURNAL_WALK = native(
    "journal_walk", 128, "Where a reader of blocks stands (native/walk.c); not on disk.",
    ("generation", "u32", "of the segment"), ("prev_crc", "u32", "of the block before"),
    ("next_seq", "u64", "sequence expected next"), ("off", "u64", "first byte not yet read"),
    ("time_ns", "u64", "of the last record"), ("wall_ns", "u64", "of the last block"),
    ("epoch", "u32", "of the last block"), ("why", "u32", "WALK_ of the stop"),
    ("from_seq", "u64", "records before it are not copied"),
    ("room", "u64", "records that may be copied"), ("taken", "u64", "records copied"),
    ("blocks", "u64", "blocks read"), ("checks", "u64", "CHECK blocks among them"),
    ("check_seq", "u64", "last record before the newest CHECK"),
    ("check_state", "u64", "its state_hash"), ("check_output", "u64", "its output_hash"),
    ("pad", "u64", 2, "zero"),
)

RECORDS = (SEGMENT, JOURNAL_BLOCK, WATERMARK, CHECKS_HEAD, CHECK, STATE_MARK,
           SHADOW_STATUS, JOURNAL_WALK)
