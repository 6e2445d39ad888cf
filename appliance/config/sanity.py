"""What the values of a configuration mean together: overlaps, duplicates, ticks, room.

Each judge looks only at values that have the right type, so that it can speak up beside complaints
about the shape of the files.
"""

import ipaddress
import os
from zoneinfo import ZoneInfo

from ..layout.wire_session import MOLD_PAYLOAD_MAX
from . import limits
from .mistakes import dotted, place, shown
from .people import disconnects, drop_copies, one_password, throttle
from .model import (
    ACCOUNTS_MAX,
    PARTITIONS_MAX,
    PRICE_MAX,
    QUEUE_MAX,
    SOURCES_MAX,
    SYMBOLS_MAX,
    seconds_of,
)
from .placement import owner

JOURNAL_LEAST = 16384
UDP_PORTS = (("orders", "order_port_base"), ("feed", "rerequest_port_base"), ("feed", "port"))
TCP_PORTS = (("orders", "order_port_base"), ("feed", "glimpse_port_base"))
SHARES = "net_af_packet"          # of this driver an interface may have several devices
POWERS = (("capacity", "feed_bytes"), ("capacity", "feed_messages"), ("capacity", "journal"),
          ("capacity", "link_depth"), ("port", "rx_frames"), ("port", "tx_frames"))


def judge(where, settings, symbols, accounts, copies, wrong) -> None:
    """Appends a complaint for everything that does not go together.

    where: Source of "main", "symbols", "accounts" (None when the file could not be read).
    """
    main = _Speaker(where["main"], wrong)
    _zone(settings, main)
    _hours(settings, main)
    _ports(settings, main)
    _groups(settings, main)
    _queues(settings, main)
    _dpdk(settings, main)
    _rest(settings, main)
    if where["symbols"]:
        _symbols(settings, symbols, _Speaker(where["symbols"], wrong))
    if where["accounts"]:
        _accounts(settings, accounts, _Speaker(where["accounts"], wrong))
        drop_copies(accounts, copies, _Speaker(where["accounts"], wrong))
        limits.judge(settings.get("account_defaults", {}), symbols, accounts,
                     _Speaker(where["accounts"], wrong).say)


class _Speaker:
    def __init__(self, source, wrong):
        self.source, self.wrong = source, wrong

    def say(self, path, text):
        self.wrong.append(f"{place(self.source, path)}: {dotted(path)}{text}")


def _get(settings, *path, kind=int):
    for part in path:
        settings = settings.get(part) if isinstance(settings, dict) else None
    right = isinstance(settings, kind) and not (kind is int and isinstance(settings, bool))
    return settings if right else None


def _count(settings):
    count = _get(settings, "partitions", "count")
    return count if count and 1 <= count <= PARTITIONS_MAX else 1


def _zone(settings, main):
    zone = _get(settings, "day", "time_zone", kind=str)
    if zone is None:
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        main.say(("day", "time_zone"), f" = {shown(zone)}: no such time zone; "
                 'name one as "UTC" or "Europe/Zurich" (Debian package tzdata)')


def _hours(settings, main):
    opens, closes = (_get(settings, "day", key, kind=str) for key in ("opens", "closes"))
    try:
        wrong = opens and closes and seconds_of(opens) >= seconds_of(closes)
    except ValueError:
        return                                # not times at all: told already
    if wrong:
        main.say(("day", "closes"), f" = {shown(closes)}: not after day.opens = {shown(opens)}; "
                 "a trading day lies between two midnights of day.time_zone")


def _ports(settings, main):
    for paths in (UDP_PORTS, TCP_PORTS):
        _apart(settings, main, paths)


def _apart(settings, main, paths):
    count, ranges = _count(settings), []
    for path in paths:
        first = _get(settings, *path)
        if first is None or not 1 <= first <= 65535:
            continue
        last = first if path[-1] == "port" else first + count - 1
        if last > 65535:
            main.say(path, f" = {first}: with {count} partitions it ends at {last}, "
                     "the highest port is 65535")
        for other, low, high in ranges:
            if first <= high and low <= last:
                main.say(path, f" = {first}: its ports {first}-{last} overlap with "
                         f"{dotted(other)}, which takes {low}-{high}; move one of them")
        ranges.append((path, first, last))


def _address(text):
    try:
        return ipaddress.IPv4Address(text)
    except (ipaddress.AddressValueError, TypeError):
        return None


def _nobodys(source):
    """Whether nobody can send from this address."""
    address = _address(source)
    return address is not None and not 0 < int(address) >> 24 < 224


def _groups(settings, main):
    count, firsts = _count(settings), {}
    for key in ("group_a", "group_b"):
        first = _address(_get(settings, "feed", key, kind=str))
        if first is None:
            continue
        firsts[key] = first
        if not first.is_multicast or not (first + count - 1).is_multicast:
            main.say(("feed", key), f' = "{first}": not multicast; choose from 224.0.1.0 to '
                     "239.255.255.255")
        elif int(first) >> 8 == 0xE00000:
            main.say(("feed", key), f' = "{first}": 224.0.0.x is reserved and never routed; choose '
                     "from 239.192.0.0 on")
    if len(firsts) == 2 and abs(int(firsts["group_a"]) - int(firsts["group_b"])) < count:
        main.say(("feed", "group_b"), f' = "{firsts["group_b"]}": overlaps with feed.group_a = '
                 f'"{firsts["group_a"]}"; A and B must be apart to be told apart')
    ip = _address(_get(settings, "interface", "ip", kind=str))
    if ip is not None and (ip.is_multicast or ip.is_unspecified or ip == ip.__class__(2**32 - 1)):
        main.say(("interface", "ip"), f' = "{ip}": not an address that participants can send to')
    name = _get(settings, "interface", "name", kind=str)
    feed = _get(settings, "feed", "interface", kind=str)
    if feed and name and feed != name:
        main.say(("feed", "interface"), f' = "{feed}": feed A leaves by interface.name = "{name}", '
                 'as acknowledgements do; write "" here, and name the other interface as '
                 "feed.interface_b: feed B then leaves by it")
    feed_b = _get(settings, "feed", "interface_b", kind=str)
    if feed_b and feed_b == name:
        main.say(("feed", "interface_b"), f' = "{feed_b}": that is interface.name, by which B '
                 'leaves anyhow; write "", or name another interface')


def _queues(settings, main):
    first, count = _get(settings, "interface", "queue"), _count(settings)
    own = _get(settings, "partitions", "layout", kind=str) == "own"
    if own and first is not None and first <= QUEUE_MAX < first + count - 1:
        main.say(("interface", "queue"), f" = {first}: {count} partitions with queues of their own "
                 f"would end at queue {first + count - 1}, the highest is {QUEUE_MAX}; lower it, "
                 'or choose partitions.layout = "shared"')


def device_place(device: str) -> str:
    """What a device of [dpdk] takes: the interface of a virtual one, or its PCI address."""
    words = dict(word.partition("=")[::2] for word in device.split(",")[1:])
    return words.get("iface", device.split(",")[0])


def _dpdk(settings, main):
    if _get(settings, "interface", "mode", kind=str) != "dpdk":
        return
    payload = _get(settings, "interface", "payload")
    if payload and payload > MOLD_PAYLOAD_MAX:
        main.say(("interface", "payload"), f" = {payload}: frames of a DPDK device carry "
                 f"{MOLD_PAYLOAD_MAX} at most")
    devices, count = _get(settings, "dpdk", "devices", kind=list) or [], _count(settings)
    devices = [device for device in devices if isinstance(device, str)]
    if devices and len(devices) != count:
        main.say(("dpdk", "devices"), f" = {shown(devices)}: {len(devices)} for partitions.count = "
                 f"{count}; each matcher is an EAL process with a device of its own, so name one "
                 "for each partition, or [] for packet sockets")
    places = {}
    for device in devices:
        first = places.setdefault(device_place(device), device)
        if first is not device and not (
                first.startswith(SHARES) and device.startswith(SHARES)):
            main.say(("dpdk", "devices"), f": {shown(device)} takes {device_place(device)}, which "
                     f"{shown(first)} has; two partitions may be on one interface only by "
                     f"{SHARES}, where each sees all frames")
    if _get(settings, "partitions", "layout", kind=str) == "shared":
        main.say(("partitions", "layout"), ' = "shared": a DPDK device is one matcher\'s own; '
                 'choose "auto"')
    if _get(settings, "cores", "wait", kind=str) == "block":
        main.say(("cores", "wait"), ' = "block": a DPDK device has nothing to sleep on; choose '
                 '"spin", "yield" or "auto"')


def _metrics(settings, main):
    """Its port is a port, and none of those that participants reach over TCP."""
    host, _, port = (_get(settings, "metrics", "listen", kind=str) or "").rpartition(":")
    if not port.isdigit():
        return
    said = f' = "{host}:{port}"'
    if not 1 <= int(port) <= 65535:
        main.say(("metrics", "listen"), f"{said}: the highest port is 65535")
    near = host in ("0.0.0.0", _get(settings, "interface", "ip", kind=str))
    for path in TCP_PORTS if near else ():
        first = _get(settings, *path)
        if first and first <= int(port) < first + _count(settings):
            main.say(("metrics", "listen"), f"{said}: {dotted(path)} takes that port over TCP; "
                     "move one of them")


def _rest(settings, main):
    for path in POWERS:
        value = _get(settings, *path)
        if value is not None and value > 0 and value & (value - 1):
            below = 1 << value.bit_length() - 1
            main.say(path, f" = {value}: not a power of two; the nearest are {below} "
                     f"and {2 * below}")
    beat, silence = _get(settings, "orders", "heartbeat_ms"), _get(settings, "orders", "silence_ms")
    if beat and silence and silence < 2 * beat:
        main.say(("orders", "silence_ms"), f" = {silence}: shorter than two heartbeats "
                 f"(orders.heartbeat_ms = {beat}), so live participants would be disconnected")
    rate, burst = (_get(settings, "orders", key) for key in ("flood_rate", "flood_burst"))
    if rate and burst and burst * 50 < rate:
        main.say(("orders", "flood_burst"), f" = {burst}: less than a fiftieth of "
                 f"orders.flood_rate = {rate}; the guard's clock stands still for up to 10 ms, so "
                 "nobody could send at that rate")
    late, hang = (_get(settings, "supervision", key) for key in ("late_ms", "hang_ms"))
    if late and hang and hang <= late:
        main.say(("supervision", "hang_ms"), f" = {hang}: must be more than supervision.late_ms = "
                 f"{late}, so that a late matcher is told before it is ended")
    chosen, count = _get(settings, "cores", "matcher", kind=list), _count(settings)
    if chosen and len(chosen) != count:
        main.say(("cores", "matcher"), f" = {shown(chosen)}: {len(chosen)} CPUs for partitions."
                 f"count = {count}; name one for each partition, or [] for the last ones")
    _durability(settings, main)
    _metrics(settings, main)
    runtime = _get(settings, "runtime_dir", kind=str)
    if runtime and not os.path.isabs(runtime):
        main.say(("runtime_dir",), f" = {shown(runtime)}: must be an absolute path")
    if runtime and len(os.fsencode(runtime)) > 80:
        main.say(("runtime_dir",), f" = {shown(runtime)}: longer than 80 bytes; sockets in it "
                 "could not be named")


def _durability(settings, main):
    level = _get(settings, "durability", "level", kind=str)
    folder, ring = (_get(settings, "durability", "directory", kind=str),
                    _get(settings, "capacity", "journal"))
    if level in ("replica", "replica+disk"):
        main.say(("durability", "level"), f" = {shown(level)}: needs a second machine, which this "
                 "release cannot follow yet; choose process or disk")
    if level not in ("process", "disk"):
        return
    if ring and ring < JOURNAL_LEAST:
        main.say(("capacity", "journal"), f" = {ring}: durability.level = {shown(level)} needs "
                 f"{JOURNAL_LEAST} or more: two bursts, and as many that are being copied")
    if folder and not os.path.isabs(folder):
        main.say(("durability", "directory"), f" = {shown(folder)}: must be an absolute path")


def _duplicates(entries, list_key, speaker, fold=str):
    first = {}
    for i, entry in enumerate(entries):
        name = entry.get("name")
        if not isinstance(name, str):
            continue
        if fold(name) in first:
            speaker.say((list_key, i, "name"), f" = {shown(name)}: stands already in "
                        f"{list_key}[{first[fold(name)]}]")
        else:
            first[fold(name)] = i


def _symbols(settings, symbols, speaker):
    _duplicates(symbols, "symbols", speaker)
    count = _count(settings)
    _crowded(symbols, count, speaker)
    for i, entry in enumerate(symbols):
        tick, reference = _get(entry, "tick_size"), _get(entry, "reference_price")
        if tick and reference and tick > 0:
            if reference % tick:
                near = max(tick, reference // tick * tick)
                speaker.say(("symbols", i, "reference_price"), f" = {reference}: not a multiple of "
                            f"its tick_size {tick}; the nearest is {near}")
            if reference > PRICE_MAX // tick * tick:
                speaker.say(("symbols", i, "reference_price"), f" = {reference}: beyond the "
                            f"highest price {PRICE_MAX}")
        partition = _get(entry, "partition")
        if partition is not None and partition >= count:
            speaker.say(("symbols", i, "partition"), f" = {partition}: partitions.count is "
                        f"{count}, so name 0 to {count - 1} or leave it out")


def _crowded(symbols, count, speaker):
    """Partitions that own more symbols than they have stock locates for."""
    owned = [0] * count
    for entry in symbols:
        name, wanted = entry.get("name"), _get(entry, "partition")
        wanted = -1 if wanted is None else wanted
        if isinstance(name, str) and name.isascii() and wanted < count:
            owned[owner(name, wanted, count)] += 1
    for partition, symbol_cnt in enumerate(owned):
        if symbol_cnt > SYMBOLS_MAX:
            speaker.say(("symbols",), f": partition {partition} would own {symbol_cnt} symbols; a "
                        f"partition holds {SYMBOLS_MAX} at most; raise partitions.count or name "
                        "another partition with some of them")


def _accounts(settings, accounts, speaker):
    _duplicates(accounts, "accounts", speaker, str.lower)
    if len(accounts) > ACCOUNTS_MAX:
        speaker.say(("accounts",), f": {len(accounts)} accounts; {ACCOUNTS_MAX} at most")
    pages = _get(settings, "capacity", "pages")
    chunks = _get(settings, "capacity", "chunks")
    if chunks and chunks - chunks // 64 < 2 * len(accounts) + 8:
        speaker.say(("capacity", "chunks"), f" = {chunks}: {len(accounts)} accounts need about "
                    f"{2 * len(accounts) * 64 // 63 + 10} at least, two for each and a margin")
    sources = set()
    for i, entry in enumerate(accounts):
        one_password("accounts", i, entry, speaker)
        throttle(i, entry, speaker)
        disconnects(i, entry, speaker)
        quota = _get(entry, "max_pages")
        default = _get(settings, "account_defaults", "max_pages")
        if pages and quota and quota >= pages and quota != default:
            speaker.say(("accounts", i, "max_pages"), f" = {quota}: capacity.pages = {pages} "
                        f"leaves {pages - 1} at most (account_defaults count too)")
        listed = _get(entry, "sources", kind=list) or []
        sources.update(source for source in listed if isinstance(source, str))
        for source in {s for s in listed if isinstance(s, str) and listed.count(s) > 1}:
            speaker.say(("accounts", i, "sources"), f': "{source}" stands there twice')
        for source in filter(_nobodys, listed):
            speaker.say(("accounts", i, "sources"), f': "{source}" is nobody\'s address: not from '
                        "0.0.0.0/8 nor from 224.0.0.0 on")
    if len(sources) > SOURCES_MAX:
        speaker.say(("accounts",), f": {len(sources)} source addresses; {SOURCES_MAX} at most")
