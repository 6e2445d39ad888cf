"""What every source makes: an array of commands, the symbols they name, and how accounts behave.

A source says what happens to which order (`target`); sessions, UserRefNums and upstream numbers
follow from that here, so no source counts them itself.
"""

from dataclasses import dataclass, field

import numpy as np

from appliance.topology import partition_of

ENTER, REPLACE, CANCEL = (ord(letter) for letter in "OUX")
BUY, SELL = ord("B"), ord("S")
DAY, IOC = ord("0"), ord("3")
MARKET_PRICE = 0x7FFFFFFF
QTY_MAX = 999_999
EPOCH_NS = 1_767_225_600_000_000_000   # where a flow without real times begins: 2026-01-01 UTC

COMMAND = np.dtype([
    ("time_ns", "<i8"),    # arrival, since 1970, never falling
    ("price", "<i8"),      # in 0.0001 (enter, replace)
    ("target", "<i8"),     # index of the enter or replace that made the order meant; -1 for none
    ("qty", "<u4"),        # enter: size; replace, cancel: the new intended total
    ("user_ref", "<u4"),   # set by `number`: of the enter or replace, or of the order cancelled
    ("orig_ref", "<u4"),   # set by `number`: the order replaced
    ("symbol", "<u2"),     # index in Flow.symbols
    ("account", "<u2"),    # 0-based; that of the target
    ("session", "<u2"),    # set by `assign`: which login of the account, counted over the file
    ("kind", "u1"),        # ENTER, REPLACE or CANCEL
    ("side", "u1"),        # BUY or SELL (enter)
    ("tif", "u1"),         # DAY or IOC (enter, replace)
], align=True)

FILL = np.dtype([
    ("trade", "<i8"),      # 0, 1, 2.. in order
    ("aggressor", "<i8"),  # index of the incoming order's command; -1 when none was sent
    ("resting", "<i8"),    # index of the command that made the order hit; -1 when it never was
    ("price", "<i8"),      # in 0.0001
    ("qty", "<i8"),        # 0 in the only row of a trade that hit nothing
    ("whole", "?"),        # the order was sent in its real size
])


class SourceError(ValueError):
    """The data of a source is missing or not what it should be; says what to do."""


@dataclass
class Flow:
    """The work of a source.

    commands: COMMAND[n]. symbols: dicts of the config's symbols file (name, tick_size, lot_size,
    reference_price, partition where it is pinned; prices in 0.0001). smp: self-match mode of the
    accounts, dealt out in turn.
    notes: counts of what the data held and what was left out. fills: FILL[m], the trades the data
    says should happen, where the data says so. data: name and origin of the data.
    """

    commands: np.ndarray
    symbols: list
    smp: tuple = ("oldest", "newest")
    notes: dict = field(default_factory=dict)
    fills: np.ndarray | None = None
    data: str = ""


def mix(values, seed: int):
    """A u64 hash of each of `values` (any integer array) under a seed: splitmix64's finish."""
    with np.errstate(over="ignore"):
        x = np.asarray(values).astype(np.uint64)
        x = x + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % (1 << 64))
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def account_of(ids, accounts: int, seed: int):
    """The account (u16) that an order with this id belongs to: a seeded hash."""
    return (mix(ids, seed) % np.uint64(accounts)).astype(np.uint16)


def ranks(groups):
    """For each entry, how many entries of the same group stand before it (i64)."""
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups) if len(groups) else np.zeros(0, np.int64)
    result = np.empty(len(groups), np.int64)
    result[order] = np.arange(len(groups)) - np.repeat(np.cumsum(counts) - counts, counts)
    return result


def partitions_of(symbols, partitions: int) -> list:
    """The partition of each symbol: the one it is pinned to, else the hash of its name's."""
    return [symbol["partition"] if "partition" in symbol
            else partition_of(symbol["name"], partitions) for symbol in symbols]


def assign(flow: Flow, accounts: int, partitions: int) -> list:
    """Gives each command its session: every account has one on every partition with symbols.

    Returns (partition, account) of each session in order: partition by partition. Raises
    SourceError when a symbol is pinned to a partition that is not there.
    """
    where = np.array(partitions_of(flow.symbols, partitions))
    if where.max() >= partitions:
        symbol = flow.symbols[int(np.argmax(where))]
        raise SourceError(f"{symbol['name']} is pinned to partition {where.max()}, and there are "
                          f"{partitions}: make the flow for more partitions")
    used = np.unique(where)
    begins = np.searchsorted(used, where) * accounts
    flow.commands["session"] = begins[flow.commands["symbol"]] + flow.commands["account"]
    return [(int(partition), account) for partition in used for account in range(accounts)]


def number(commands):
    """Fills user_ref and orig_ref in place: 1, 2, 3.. per session over its enters and replaces.

    Raises SourceError when a target is not an earlier enter or replace of the same session.
    """
    makes = commands["kind"] != CANCEL
    made = np.flatnonzero(makes)
    commands["user_ref"][made] = ranks(commands["session"][made]) + 1
    named = np.flatnonzero(commands["target"] >= 0)
    targets = commands["target"][named]
    bad = ((targets >= named) | ~makes[np.minimum(targets, len(commands) - 1)]
           | (commands["session"][np.minimum(targets, len(commands) - 1)]
              != commands["session"][named]))
    if bad.any() or (commands["target"][commands["kind"] != ENTER] < 0).any():
        raise SourceError("a cancel or replace names an order that its account has not entered")
    replaces = commands["kind"][named] == REPLACE
    references = commands["user_ref"][targets]
    commands["orig_ref"][named[replaces]] = references[replaces]
    commands["user_ref"][named[~replaces]] = references[~replaces]


def cut(flow: Flow, limit: int | None) -> Flow:
    """The first `limit` commands of a flow, and the trades that lie within."""
    if limit is not None and limit < len(flow.commands):
        flow.commands = flow.commands[:limit].copy()
        if flow.fills is not None:
            last = flow.fills["aggressor"] >= limit
            end = int(np.argmax(last)) if last.any() else len(flow.fills)
            flow.fills = flow.fills[:end]
    return flow
