"""The shape of the configuration: one frozen struct a table of the TOML files.

Types carry the limits; the description of a limited type is what a person reads when a value is
refused. Defaults live in `defaults.toml` and nowhere else.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ..hot.state import Sizes


def _number(low, high, what=""):
    text = f"a whole number from {low} to {high}" + (f" ({what})" if what else "")
    return Annotated[int, Meta(ge=low, le=high, description=text)]


def _text(pattern, description):
    return Annotated[str, Meta(pattern=pattern, description=description)]


PortNumber = _number(1, 65535, "a port")
_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
Ip = _text(rf"^{_BYTE}(\.{_BYTE}){{3}}\Z",
           'an IPv4 address such as "10.0.0.1"')
Name = _text(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z", "1 to 32 letters, digits, - or _")
AccountName = _text(r"^[A-Za-z0-9]{1,6}\Z", "1 to 6 letters or digits")
Password = _text(r"^[!-~]{1,10}\Z", "1 to 10 printable characters without spaces")
PasswordHash = _text(
    r"^scrypt\$14\$8\$1\$[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=\Z",
    'a text that "wirematch account hash" printed, beginning with scrypt$14$8$1$')
Firm = _text(r"^[A-Za-z0-9]{0,4}\Z", "at most 4 letters or digits")
SymbolName = _text(r"^[!-~]{1,8}\Z", "1 to 8 printable characters without spaces")
TimeOfDay = _text(r"^(([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?\Z",
                  'a time of day such as "08:00", or ""')
Device = _text(r"^(net_[a-z_]+[0-9]+(,[!-~]+)?|[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7])\Z",
               'a device of EAL: a virtual one such as "net_af_packet0,iface=eth1", or a PCI '
               'address such as "0000:01:00.0"')
Listen = _text(rf"^({_BYTE}(\.{_BYTE}){{3}}:[1-9][0-9]{{0,4}})?\Z",
               'an address and a port such as "127.0.0.1:9464", or ""')
PathText = _text(r"^[^\x00-\x1f]+\Z", "the path of a file")


def _power(low, high):
    return Annotated[int, Meta(ge=1 << low, le=1 << high,
                               description=f"a power of two from 2^{low} to 2^{high}")]

PRICE_MAX = 1_999_999_900          # highest limit price in units of 0.0001
QTY_MAX = 999_999
WIDE, NUMBER_MAX = (1 << 32) - 1, 1 << 62
COLLAR_MAX = 100_000_000           # in ticks; added to the highest price it fits 31 bits
SYMBOLS_MAX = 1000                 # a partition's share of the ITCH stock locates
ACCOUNTS_MAX = 4096
PARTITIONS_MAX = 32                # uid_base + p and uid_base + 100 + p stay apart
SOURCES_MAX = 1024                 # entries of the source allow-list
QUEUE_MAX = 1023                   # no card has more receive queues
PAYLOAD_MIN, PAYLOAD_MAX = 512, 4054           # the latter fills a frame of 4 KiB


def seconds_of(time_of_day: str) -> int:
    """Seconds from 00:00 to a TimeOfDay that is not "". ValueError when it is none."""
    hours, minutes, seconds = (*map(int, time_of_day.split(":")), 0)[:3]
    return hours * 3600 + minutes * 60 + seconds


class _Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a file: every key required once the defaults are under it, no other key."""


class Day(_Table):
    """[day]: when the day begins, and when its market opens and closes; see control/day.py."""

    time_zone: str
    opens: TimeOfDay
    closes: TimeOfDay
    imbalance_from: _number(0, 86400, "seconds")
    imbalance_every: _number(0, 3600, "seconds")


class Interface(_Table):
    """[interface]: where participants reach the appliance."""

    name: _text(r"^[^/\s]{1,15}\Z", "the name of a network interface, at most 15 characters")
    ip: Ip
    mode: Literal["auto", "zero-copy", "native", "generic", "socket", "dpdk", "null"]
    queue: _number(0, QUEUE_MAX, "the first receive queue that is used")
    payload: _number(PAYLOAD_MIN, PAYLOAD_MAX, "payload bytes of a packet")


class Dpdk(_Table):
    """[dpdk]: the devices of interface.mode = "dpdk"; see shm/dpdk.py."""

    devices: list[Device]
    huge_pages: bool
    arguments: list[_text(r"^[!-~]+\Z", "one argument of EAL, without blanks")]


class Partitions(_Table):
    """[partitions]: how many matchers share the symbols, and how they share the interface."""

    count: _number(1, PARTITIONS_MAX, "matchers")
    layout: Literal["auto", "own", "shared"]


class Orders(_Table):
    """[orders]: the order ports and their sessions."""

    order_port_base: PortNumber
    gap_hold_us: _number(0, 1_000_000)
    gap_request_interval_us: _number(10, 1_000_000)
    flood_rate: _number(0, 100_000_000, "messages a second")
    flood_burst: _number(1, 100_000_000, "messages")
    heartbeat_ms: _number(10, 60_000)
    silence_ms: _number(100, 3_600_000)
    tcp_connections: _number(1, 1024, "connections")
    tcp_per_source: _number(1, 1024, "connections")


class Feed(_Table):
    """[feed]: market data."""

    group_a: Ip
    group_b: Ip
    port: PortNumber
    ttl: _number(0, 255)
    interface: str
    interface_b: _text(r"^[^/\s]{0,15}\Z", 'the name of a network interface, or ""')
    heartbeat_ms: _number(10, 60_000)
    rerequest_port_base: PortNumber
    rerequests_per_second: _number(1, 10_000_000)
    glimpse_port_base: _number(0, 65535, "a port, 0: the re-requests' number")


class Capacity(_Table):
    """[capacity]: the fixed pools of a partition; see hot/state.py Sizes."""

    pages: _number(2, 65536)
    lg_ladder: _number(12, 20)
    far_cap: _number(16, 65536)
    far_levels: _number(16, 1 << 24)
    chunks: _number(2, 65536)
    feed_bytes: _power(20, 34)
    feed_messages: _power(12, 28)
    journal: _power(10, 26)
    holds: _number(1, 65536)
    link_depth: _power(6, 16)
    depth_levels: _number(0, 64, "best levels a side in shared memory, 0 none")


class Port(_Table):
    """[port]: frames of a matcher's UMEM, and how many it takes at a time."""

    rx_frames: _power(6, 20)
    tx_frames: _power(6, 20)
    batch: _number(1, 64, "frames")
    huge_pages: Literal["auto", "always", "never"]


class Cores(_Table):
    """[cores]: how processes wait and where they run."""

    wait: Literal["auto", "spin", "yield", "block"]
    matcher: list[_number(0, 4095, "a CPU")]
    realtime: _number(0, 99, "a priority of SCHED_FIFO, 0 none")


class Supervision(_Table):
    """[supervision]: when a matcher counts as late, as hung, and as poisoned."""

    late_ms: _number(20, 60_000)
    hang_ms: _number(100, 600_000)
    crash_limit: _number(1, 36, "identical crashes in a row")


class Log(_Table):
    """[log]: the form of the lines on standard error."""

    format: Literal["auto", "text", "json"]


class Process(_Table):
    """[process]: the users that unprivileged processes become when started by root."""

    uid_base: _number(1000, 4_000_000_000, "a user number")
    sandbox: Literal["auto", "off"]


class Durability(_Table):
    """[durability]: what must have happened before an acknowledgement leaves."""

    level: Literal["none", "process", "disk"]
    directory: PathText
    segment_mb: _number(1, 65536, "megabytes")
    snapshot_commands: _number(0, 10**9, "commands, 0 none")
    snapshots_kept: _number(1, 100)


class Metrics(_Table):
    """[metrics]: where the numbers are shown; see observe/metrics.py."""

    listen: Listen


class Control(_Table):
    """[control]: who may give orders besides root; see control/desk.py."""

    users: list[_text(r"^[a-z_][a-z0-9_.-]{0,31}\Z", "the name of a user")]
    groups: list[_text(r"^[a-z_][a-z0-9_.-]{0,31}\Z", "the name of a group")]


class AccountDefaults(_Table):
    """[account_defaults]: what an account has unless its own entry says otherwise."""

    firm: Firm
    sources: list[Ip]
    smp: Literal["off", "oldest", "newest", "decrement"]
    cancel_on_disconnect: bool
    disconnect_grace_ms: _number(0, 3_600_000)
    orders_per_second: _number(0, 1_000_000, "0 no throttle")
    orders_burst: _number(0, 1_000_000, "orders, 0: a second's")
    throttle_refusals: _number(0, 1_000_000, "orders, 0 never")
    max_pages: _number(1, 65535)
    restricted: list[SymbolName]
    max_quantity: _number(0, WIDE, "shares, 0 no limit")
    max_notional: _number(0, NUMBER_MAX, "units of 0.0001 times shares, 0 no limit")
    max_open_orders: _number(0, WIDE, "orders, 0 no limit")
    max_position: _number(0, NUMBER_MAX, "shares, 0 no limit")
    price_band: _number(0, 1_000_000, "basis points, 0 no limit")
    duplicates: _number(0, WIDE, "orders, 0 no limit")
    duplicate_window_ms: _number(1, 86_400_000)


class Account(AccountDefaults):
    """[[accounts]] of the accounts file: exactly one of password and password_hash."""

    name: AccountName
    password: Password | None = None
    password_hash: PasswordHash | None = None


class DropCopyDefaults(_Table):
    """What a drop copy takes from [account_defaults]."""

    sources: list[Ip]


class DropCopy(DropCopyDefaults):
    """[[drop_copies]] of the accounts file: exactly one of password and password_hash."""

    name: AccountName
    firm: _text(r"^[A-Za-z0-9]{1,4}\Z", "1 to 4 letters or digits")
    password: Password | None = None
    password_hash: PasswordHash | None = None


class SymbolDefaults(_Table):
    """[symbol_defaults]: what a symbol has unless its own entry says otherwise."""

    tick_size: _number(1, PRICE_MAX, "units of 0.0001")
    lot_size: _number(1, QTY_MAX)
    collar: _number(0, COLLAR_MAX, "ticks")
    max_quantity: _number(0, WIDE, "shares, 0 no limit")
    max_notional: _number(0, NUMBER_MAX, "units of 0.0001 times shares, 0 no limit")
    price_band: _number(0, 1_000_000, "basis points, 0 no limit")


class Symbol(SymbolDefaults):
    """[[symbols]] of the symbols file."""

    name: SymbolName
    reference_price: _number(1, PRICE_MAX, "units of 0.0001")
    partition: _number(-1, PARTITIONS_MAX - 1) = -1       # -1: by the hash of the name


class Settings(_Table):
    """The main file."""

    name: Name
    runtime_dir: PathText
    symbols_file: PathText
    accounts_file: PathText
    day: Day
    interface: Interface
    dpdk: Dpdk
    partitions: Partitions
    orders: Orders
    feed: Feed
    capacity: Capacity
    cores: Cores
    process: Process
    log: Log
    supervision: Supervision
    port: Port
    durability: Durability
    metrics: Metrics
    control: Control
    account_defaults: AccountDefaults
    symbol_defaults: SymbolDefaults


class Config(Settings, frozen=True, kw_only=True):
    """Everything that was configured. Pure data: equal files give an equal Config and digest."""

    symbols: tuple[Symbol, ...]
    accounts: tuple[Account, ...]
    drop_copies: tuple[DropCopy, ...]
    path: str              # absolute path of the main file
    digest: str            # of all values, 16 hexadecimal digits

    def sizes(self, symbol_cnt: int) -> Sizes:
        """Capacities of a partition with that many symbols."""
        pools = {key: getattr(self.capacity, key) for key in self.capacity.__struct_fields__}
        return Sizes(symbols=symbol_cnt, accounts=len(self.accounts), **pools)
