"""THE table: which processes there are, which blocks each writes, where everything is reached.

`build` is a pure function of a Config and an instance number: no clock, no host, no environment.
Every process calls it and gets the same answer.

    process      writes                                            reads
    launcher     control, link_down, link_tcp_down, channel.json,  status, sessions, link_up,
                 status.json                                       link_tcp_up, recovery_counters
    matcher@p    status, link_up, histograms, depth, and every     control, link_down, link_tcp
                 array of hot/state.py
    journal@p    journal_status                                    journal_header, journal
    shadow@p     shadow_status, snapshots and checks on disk       state_marks, journal_status,
                                                                   the journal's files
    recovery@p   recovery_counters, link_tcp, link_tcp_up, image,  feed_log, feed, feed_index,
                 image_chains, image_orders, image_symbols         sessions, chunks, streams,
                                                                   engine, status, link_tcp_down
    portd        portd_status, port_status (of the machine)        descriptors by socket
    metrics      nothing                                           status, counters, histograms,
                                                                   engine, feed_log, depth, the
                                                                   journal's header and status

Both ends of a link map it writable: each index of its header has a line of its own.
"""

import datetime
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from .config.model import Account, Config, DropCopy, Symbol
from .config.placement import fnv1a64, partition_of, shares
from .hot import state
from .hot.depth_state import row_words
from .hot.image_state import image_blocks
from .layout import journal as journal_layout
from .layout import shared

LAUNCHER, MATCHER, RECOVERY, PORTD = "launcher", "matcher", "recovery", "portd"
JOURNAL, SHADOW = "journal", "shadow"
HISTOGRAM_ROWS = 4
RECOVERY_COUNTERS = 128    # stages/recovery.py, names()
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def base36(number: int, digit_cnt: int) -> str:
    """`number` in digits and capital letters, padded with zeros on the left."""
    if not 0 <= number < 36 ** digit_cnt:
        raise ValueError(f"{number} does not fit {digit_cnt} base-36 characters")
    text = ""
    for _ in range(digit_cnt):
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text


def day_of_year(time_zone: str, midnight: int) -> int:
    """1 to 366: the day that begins at wall clock `midnight`, in ns since 1970."""
    zone = ZoneInfo(time_zone)
    return datetime.datetime.fromtimestamp(midnight // 1_000_000_000, zone).timetuple().tm_yday


def date_of(time_zone: str, midnight: int) -> int:
    """YYYYMMDD of that day, as a number."""
    day = datetime.datetime.fromtimestamp(midnight // 1_000_000_000, ZoneInfo(time_zone))
    return int(f"{day:%Y%m%d}")


@dataclass(frozen=True)
class Block:
    """One shared-memory block: a region file of one array, written by one process.

    A link's array is bytes (a LINK_HEADER, then LINK records) and both its ends write it.
    """

    name: str
    writer: str
    dtype: np.dtype
    count: int
    path: Path
    shared_writer: bool = False


@dataclass(frozen=True)
class Listing:
    """A symbol of a partition with its place in the tables: locate = partition * 1000 + idx + 1."""

    symbol: Symbol
    idx: int
    locate: int


@dataclass(frozen=True)
class Partition:
    """One partition: a matcher, its books, ports and blocks."""

    idx: int                      # 0, 1, 2 ...
    instance: int                 # 0, 1, 2 ... of the day: of its regions and processes
    names: int                    # the instance that its session names end in
    listings: tuple[Listing, ...]
    accounts: tuple[Account, ...]  # every account; its index is the account index everywhere
    drop_copies: tuple[DropCopy, ...]
    sizes: state.Sizes
    order_port: int               # UDP on interface.ip, and TCP for SoupBinTCP
    group_a: str
    group_b: str
    feed_port: int
    rerequest_port: int           # UDP on interface.ip, served by recovery
    glimpse_port: int             # TCP on interface.ip, served by recovery
    directory: Path               # the region files
    blocks: dict[str, Block]
    matcher_uid: int              # user of the matcher when started by root
    recovery_uid: int
    journal_uid: int

    def journal_folder(self, config: Config, date: int) -> Path:
        """Where its journal of day YYYYMMDD lies."""
        return Path(config.durability.directory) / str(date) / f"p{self.idx}"

    def order_session(self, day: int, account_idx: int) -> str:
        """Assigned session name of an account on day `day` of the year, ten characters."""
        return self._session(day, "O", account_idx + 1)

    def drop_session(self, day: int, copy_idx: int) -> str:
        """Session name of a drop copy on day `day` of the year, ten characters."""
        return self._session(day, "D", copy_idx + 1)

    def feed_session(self, day: int) -> str:
        """Session name of the feed on day `day` of the year, ten characters."""
        return self._session(day, "F", 0)

    def _session(self, day, kind, number):
        """wire-spec 6; partitions need one of their two characters, the other one counts on where
        the instance's character ends: 1,296 instances a day."""
        high, low = divmod(self.names, 36)
        return (f"{day:03d}{kind}{base36(high, 1)}{base36(self.idx, 1)}{base36(number, 3)}"
                f"{base36(low, 1)}")


@dataclass(frozen=True)
class Topology:
    """The whole appliance on one machine."""

    config: Config
    partitions: tuple[Partition, ...]
    runtime_dir: Path
    blocks: dict[str, Block]      # of the machine: they outlive a matcher's instance
    portd_socket: str             # matchers ask portd for their descriptors here
    control_socket: str           # operators give their orders here, see control/desk.py
    notify_socket: str            # children tell the launcher READY=1 here (NOTIFY_SOCKET)
    status_file: Path
    channel_file: Path
    lock_file: Path
    config_file: Path             # the Config as the launcher read it; children read only this
    allowed_sources: tuple[int, ...]   # every account's addresses, first byte highest, ascending


def metrics_uid(config: Config) -> int:
    """The user of the process metrics when started by root."""
    return config.process.uid_base + 300


def ip_number(ip: str) -> int:
    """A dotted address as a number, first byte highest."""
    return int.from_bytes(bytes(int(part) for part in ip.split(".")), "big")


def ip_text(number: int) -> str:
    """The dotted form of `ip_number`."""
    return ".".join(str(byte) for byte in int(number).to_bytes(4, "big"))


@cache
def _state_blocks(sizes):
    """(name, dtype, count) of every array that hot/state.py asks for: the list is not repeated."""
    asked = []

    def note(name, dtype, count):
        asked.append((name, np.dtype(dtype), int(count)))
        return np.zeros(count, dtype)

    state.build(sizes, note)
    return tuple(asked)


def _blocks(sizes, directory):
    link_sz = shared.LINK_HEADER.size + sizes.link_depth * shared.LINK.size
    rows = [
        ("control", LAUNCHER, shared.CONTROL.dtype, 1, False),
        ("status", MATCHER, shared.MATCHER_STATUS.dtype, 1, False),
        ("link_up", MATCHER, np.dtype(np.uint8), link_sz, True),
        ("link_down", LAUNCHER, np.dtype(np.uint8), link_sz, True),
        ("link_tcp_up", RECOVERY, np.dtype(np.uint8), link_sz, True),
        ("link_tcp_down", LAUNCHER, np.dtype(np.uint8), link_sz, True),
        ("link_tcp", RECOVERY, np.dtype(np.uint8),
         shared.LINK_HEADER.size + sizes.link_depth * shared.TCP_PIECE.size, True),
        ("histograms", MATCHER, np.dtype(np.uint64), HISTOGRAM_ROWS * shared.HISTOGRAM_CNT, False),
        ("depth", MATCHER, np.dtype(np.uint64), sizes.symbols * row_words(sizes.depth_levels),
         False),
        ("recovery_counters", RECOVERY, np.dtype(np.uint64), RECOVERY_COUNTERS, False),
        ("journal_status", JOURNAL, shared.JOURNAL_STATUS.dtype, 1, False),
        ("state_marks", MATCHER, journal_layout.STATE_MARK.dtype, journal_layout.STATE_MARK_CNT,
         False),
        ("shadow_status", SHADOW, journal_layout.SHADOW_STATUS.dtype, 1, False),
        *((name, RECOVERY, dtype, count, False) for name, dtype, count in image_blocks(sizes)),
        *((name, MATCHER, dtype, count, False) for name, dtype, count in _state_blocks(sizes))]
    return {name: Block(name, writer, dtype, count, directory / name, both)
            for name, writer, dtype, count, both in rows}


def build(config: Config, instance=0, names=None) -> Topology:
    """The table for `config`.

    instance: how often its matcher was started this day, one number for all partitions or a
    sequence with one for each. names: the instances in their session names, the same if not given;
    a matcher that lost nothing goes on under the names of its predecessor.
    """
    names = instance if names is None else names
    count, base = config.partitions.count, Path(config.runtime_dir)
    partitions = []
    for p, symbols in enumerate(shares(config.symbols, count)):
        sizes = config.sizes(max(1, len(symbols)))
        uid = config.process.uid_base + p
        partitions.append(Partition(
            p, _of(instance, p), _of(names, p),
            tuple(Listing(symbol, i, p * 1000 + i + 1) for i, symbol in enumerate(symbols)),
            config.accounts, config.drop_copies, sizes, config.orders.order_port_base + p,
            ip_text(ip_number(config.feed.group_a) + p),
            ip_text(ip_number(config.feed.group_b) + p),
            config.feed.port, config.feed.rerequest_port_base + p,
            (config.feed.glimpse_port_base or config.feed.rerequest_port_base) + p, base / f"p{p}",
            _blocks(sizes, base / f"p{p}"), uid, uid + 100, uid + 200))
    sources = sorted({ip_number(ip) for account in config.accounts for ip in account.sources})
    machine = {name: Block(name, PORTD, dtype, rows, base / name)
               for name, dtype, rows in (("portd_status", shared.PORTD_STATUS.dtype, 1),
                                         ("port_status", shared.PORT_STATUS.dtype, count))}
    return Topology(config, tuple(partitions), base, machine, str(base / "portd.sock"),
                    str(base / "control.sock"), str(base / "notify.sock"), base / "status.json",
                    base / "channel.json", base / "lock", base / "config.json", tuple(sources))


def _of(number, partition):
    return number if isinstance(number, int) else int(number[partition])


def channel(topology: Topology, day: int) -> dict:
    """What participants need to reach each partition on day `day` of the year; JSON-ready."""
    config = topology.config
    return {
        "name": config.name, "ip": config.interface.ip, "interface": config.interface.name,
        "day": day, "time_zone": config.day.time_zone, "partition_count": len(topology.partitions),
        "partitions": [{
            "partition": part.idx, "instance": part.names, "order_port": part.order_port,
            "group_a": part.group_a, "group_b": part.group_b, "feed_port": part.feed_port,
            "rerequest_ip": config.interface.ip, "rerequest_port": part.rerequest_port,
            "glimpse_port": part.glimpse_port,
            "feed_session": part.feed_session(day),
            "symbols": [{"name": item.symbol.name, "locate": item.locate,
                         "tick_size": item.symbol.tick_size, "lot_size": item.symbol.lot_size}
                        for item in part.listings],
            "sessions": {account.name: part.order_session(day, idx)
                         for idx, account in enumerate(config.accounts)},
        } for part in topology.partitions]}
