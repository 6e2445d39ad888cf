"""The state of one partition's core: which arrays there are, grouped by who works on them.

`build` makes them through a `make(name, dtype, count)` function, so the same state lives in
private memory (tests, benches) or in shared-memory regions (a matcher). All memory is taken here;
nothing is allocated afterwards.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..layout import record, shared


@dataclass(frozen=True)
class Sizes:
    """Capacities of a partition, fixed at start."""

    symbols: int = 1
    accounts: int = 8
    pages: int = 4096             # of 256 orders each
    lg_ladder: int = 14           # ladder levels a side of a symbol: 2 ** lg_ladder (>= 12)
    far_cap: int = 32768          # far levels a side of a symbol at most
    far_levels: int = 65536       # far levels of the partition
    chunks: int = 1024            # stream chunks of 64 KiB
    feed_bytes: int = 1 << 28     # feed log ring, power of two
    feed_messages: int = 1 << 22  # feed index ring, power of two
    journal: int = 1 << 16        # journal ring records, power of two
    holds: int = 256              # datagrams held behind gaps
    link_depth: int = 1024        # control link records, power of two
    depth_levels: int = 10        # best levels a side published for other processes, 0 none


class Book(NamedTuple):
    """What matching touches. owner = group * 2 * symbols + symbol * 2 + side (record.GROUPS).

    The shown group's owners come first and have a ladder: level = owner << lg_ladder | i.
    """

    orders: np.ndarray      # ORDER[handles]
    extras: np.ndarray      # EXTRA[handles], of orders with EXTRA_BIT
    levels: np.ndarray      # LEVEL[shown owners << lg_ladder]
    bits: np.ndarray        # u64, one bit a ladder level
    bits2: np.ndarray       # u64, one bit a word of `bits`
    sides: np.ndarray       # SIDE[owners]
    symbols: np.ndarray     # SYMBOL[symbols]
    far_levels: np.ndarray  # FAR_LEVEL[far_levels]
    far_index: np.ndarray   # i32[owners, ...]: how many blocks a side has, their limits, which
    far_blocks: np.ndarray  # i32[far_blocks(sizes) * 2 * FAR_BLOCK]: ranks and slots of far levels
    engine: np.ndarray      # ENGINE[1]


class Accounts(NamedTuple):
    """Sessions, the UserRefNum pages and what reports need of each order."""

    sessions: np.ndarray    # SESSION[accounts]
    pages: np.ndarray       # PAGE[pages]
    page_hash: np.ndarray   # u32[4 * pages], page index or 0, open addressing on (account, key)
    page_free: np.ndarray   # u32 stack, engine.free_page of them
    cold: np.ndarray        # ORDER_COLD[handles]
    tokens: np.ndarray      # u32 open-addressed table of account index + 1, keyed by the token
    allowed: np.ndarray     # u32 sorted source addresses


class Streams(NamedTuple):
    """Each account's acknowledgements of the day: SoupBinTCP blocks in chunks."""

    heads: np.ndarray       # CHUNK[chunks]
    data: np.ndarray        # u8[chunks * CHUNK_SZ]
    free: np.ndarray        # u32 stack, engine.free_chunk of them


class Feed(NamedTuple):
    """The feed's log: MoldUDP64 blocks in a ring, and where each begins."""

    log: np.ndarray         # FEED_LOG[1]
    ring: np.ndarray        # u8[feed_bytes]
    index: np.ndarray       # u64[feed_messages], virtual offset of message seq & mask


class Timers(NamedTuple):
    """A heap of the orders that expire, earliest first; engine.timer_cnt of them."""

    heap: np.ndarray        # u32[handles], handles by (due_ns, first order reference)
    places: np.ndarray      # u32[handles], place in the heap + 1, 0 none
    due_ns: np.ndarray      # u64[handles], record time at which the order expires
    first_refs: np.ndarray  # u64[handles], order reference n at entry or replace


class Risk(NamedTuple):
    """Limits and exposures; in slot 0 those of the symbols, for everybody."""

    limits: np.ndarray      # LIMITS[slots]
    exposures: np.ndarray   # EXPOSURE[slots * symbols]
    recent: np.ndarray      # RECENT[slots * RECENT_CNT]
    counted: np.ndarray     # u32[handles], open shares of an order as they stand in its exposure


class Journal(NamedTuple):
    """The sequenced commands, newest `journal` of them."""

    header: np.ndarray      # JOURNAL_HEADER[1]
    ring: np.ndarray        # JOURNAL_RECORD[journal]
    words: np.ndarray       # u64[16], view of header


class Burst(NamedTuple):
    """Scratch of one burst: decoded commands, their details, the events of one command."""

    commands: np.ndarray    # COMMAND[4096]
    details: np.ndarray     # DETAIL[4096]
    events: np.ndarray      # EVENT[4 * handles + 64]: a cross names each order four times at most


class Core(NamedTuple):
    """Everything a journal replay needs; a pure function of its commands."""

    book: Book
    accounts: Accounts
    streams: Streams
    feed: Feed
    timers: Timers
    trades: np.ndarray      # TRADE_LOG[TRADE_LOG_CNT], newest trades by match n
    risk: Risk
    journal: Journal
    burst: Burst
    counters: np.ndarray    # u64[COUNTER_CNT]


BURST_COMMANDS = 4096
TRADE_LOG_CNT = 1 << 16
EXPOSURE_CNT = 1 << 19         # about so many rows at most, 32 MB
FAR_LEVELS_MAX = 1 << 27       # more blocks than that needs do not fit into a word of far_index
# Touches outside the window before it follows. Too low: a price that only flickers drags the window
# away from where the orders are. Too high: a market that has moved pays far levels for longer.
FOLLOW_AFTER = 256


def private(_name, dtype, count):
    """A `make` for memory of this process alone."""
    return np.zeros(count, dtype)


def build(sizes: Sizes, make=private, partition: int = 0) -> Core:
    """Allocate and initialise an empty core of `sizes`; pools filled, books empty."""
    handles, owners = sizes.pages * 256, record.GROUPS * sizes.symbols * 2
    levels = sizes.symbols * 2 << sizes.lg_ladder
    # A side of n far levels has n // FAR_LEAST + 1 blocks at most: all but its last are filled.
    columns = 2 * sizes.far_cap // record.FAR_LEAST + 3
    blocks = sizes.far_levels // record.FAR_LEAST + owners + 1
    if levels > record.EXTRA_BIT or sizes.far_levels > FAR_LEVELS_MAX:
        raise ValueError(f"{levels} ladder levels, {sizes.far_levels} far levels: at most "
                         f"{record.EXTRA_BIT} and {FAR_LEVELS_MAX}; choose a smaller lg_ladder, "
                         "fewer symbols or fewer far levels")
    hash_cnt = 1 << (4 * sizes.pages - 1).bit_length()
    token_cnt = 1 << (4 * sizes.accounts - 1).bit_length()
    engine = make("engine", shared.ENGINE.dtype, 1)
    book = Book(
        make("orders", record.ORDER.dtype, handles), make("extras", record.EXTRA.dtype, handles),
        make("levels", record.LEVEL.dtype, levels), make("bits", np.uint64, levels >> 6),
        make("bits2", np.uint64, levels >> 12), make("sides", record.SIDE.dtype, owners),
        make("symbols", record.SYMBOL.dtype, sizes.symbols),
        make("far_levels", record.FAR_LEVEL.dtype, sizes.far_levels),
        make("far_index", np.int32, owners * columns).reshape(owners, columns),
        make("far_blocks", np.int32, blocks * 2 * record.FAR_BLOCK), engine)
    accounts = Accounts(
        make("sessions", shared.SESSION.dtype, sizes.accounts),
        make("pages", record.PAGE.dtype, sizes.pages), make("page_hash", np.uint32, hash_cnt),
        make("page_free", np.uint32, sizes.pages), make("cold", record.ORDER_COLD.dtype, handles),
        make("tokens", np.uint32, token_cnt), make("allowed", np.uint32, 1024))
    streams = Streams(
        make("chunks", shared.CHUNK.dtype, sizes.chunks),
        make("streams", np.uint8, sizes.chunks * shared.CHUNK_SZ),
        make("chunk_free", np.uint32, sizes.chunks))
    feed = Feed(
        make("feed_log", shared.FEED_LOG.dtype, 1), make("feed", np.uint8, sizes.feed_bytes),
        make("feed_index", np.uint64, sizes.feed_messages))
    timers = Timers(make("timer_heap", np.uint32, handles),
                    make("timer_places", np.uint32, handles),
                    make("timer_due", np.uint64, handles), make("timer_refs", np.uint64, handles))
    header = make("journal_header", shared.JOURNAL_HEADER.dtype, 1)
    journal = Journal(header, make("journal", record.JOURNAL_RECORD.dtype, sizes.journal),
                      header.view(np.uint64))
    burst = Burst(np.zeros(BURST_COMMANDS, record.COMMAND.dtype),
                  np.zeros(BURST_COMMANDS, record.DETAIL.dtype),
                  np.zeros(4 * handles + 64, record.EVENT.dtype))
    core = Core(book, accounts, streams, feed, timers,
                make("trade_log", record.TRADE_LOG.dtype, TRADE_LOG_CNT),
                _build_risk(sizes, make), journal, burst,
                make("counters", np.uint64, shared.COUNTER_CNT))
    _fill_pools(core, sizes, partition)
    return core


def slots(sizes: Sizes) -> int:
    """Accounts that can have risk limits: all of them, unless they and the symbols are so many that
    a row for each pair took more than EXPOSURE_CNT."""
    return min(sizes.accounts, max(64, EXPOSURE_CNT // sizes.symbols))


def _build_risk(sizes, make):
    rows = slots(sizes) + 1
    return Risk(make("limits", record.LIMITS.dtype, rows),
                make("exposures", record.EXPOSURE.dtype, rows * sizes.symbols),
                make("recent", record.RECENT.dtype, rows * record.RECENT_CNT),
                make("counted", np.uint32, sizes.pages * 256))


def _fill_pools(core, sizes, partition):
    """Free stacks hold the lowest on top; number 0 of pages, far levels, chunks is nobody."""
    engine, book = core.book.engine[0], core.book
    for stack, count, word in ((core.accounts.page_free, sizes.pages, "free_page"),
                               (core.streams.free, sizes.chunks, "free_chunk")):
        stack[:count - 1] = np.arange(count - 1, 0, -1)
        engine[word] = count - 1
    book.far_levels["head"][1:-1] = np.arange(2, sizes.far_levels)
    engine["next_far"], engine["free_far"] = sizes.far_levels > 1, sizes.far_levels - 1
    firsts = book.far_blocks[::2 * record.FAR_BLOCK]
    firsts[1:-1] = np.arange(2, len(firsts))
    engine["free_block"] = 1
    engine["next_order_ref"] = engine["next_match"] = 1
    engine["partition"], engine["symbol_cnt"] = partition, sizes.symbols
    engine["account_cnt"], engine["lg_ladder"] = sizes.accounts, sizes.lg_ladder
    engine["follow_after"] = FOLLOW_AFTER
    engine["far_cap"], engine["event_cap"] = sizes.far_cap, len(core.burst.events)
    book.symbols["buy_bound_ticks"] = 2147483647
    book.sides["best_ticks"][0::2], book.sides["best_ticks"][1::2] = -1, 2147483647
    for word in ("next_seq", "sent_seq", "released_seq"):
        core.accounts.sessions[word] = 1
    core.accounts.sessions["next_upstream_seq"] = 1
    log = core.feed.log[0]
    for word in ("next_seq", "oldest_seq", "sent_seq", "twin_seq", "released_seq"):
        log[word] = 1
    core.journal.header[0]["next_seq"] = 1
