"""The gate's tables as cold code thinks of them, and as the one value that the XDP program reads.

`Plan` is what is wanted: who owns a port, where a partition is, who may send and how much. `pack`
makes a TABLES value of it, `unpack` the plan again, so a portd that takes over another's maps knows
what they say. Nothing here touches the kernel.
"""

import copy
import ipaddress
import socket
from dataclasses import dataclass, field

import numpy as np

from appliance.layout import gate

PRICE_SCALE = 16_000_000_000           # sixteenths of a nanosecond in a second
RATE_MAX = 1_000_000_000               # messages a second: a price of 16
ROOM_MAX = 1 << 62
SEEDS_MAX = 1000                       # tried until no set overflows; a full list needs one or two
_FREE, _FREE_FIRST = 0, 0xFFFF_FFFF    # in free places; the second one in the set of the first


@dataclass(frozen=True)
class Place:
    """Where a partition's orders are addressed to and arrive; ifindex 0: not bound yet."""

    ip: str
    ifindex: int = 0
    queue: int = 0
    stamped: bool = False


@dataclass(frozen=True)
class Source:
    """One who may send. id: row of debts and guarded; price and room: as in LIMIT."""

    id: int
    price: int = 0
    room: int = 0


def limit(rate: int, burst: int) -> tuple[int, int]:
    """(price, room) of `rate` messages a second, `burst` of them at once; rate 0: no limit.

    ValueError when the guard cannot be as fine, or the burst is none.
    """
    if rate == 0:
        return 0, 0
    if not 0 < rate <= RATE_MAX:
        raise ValueError(f"a flood limit of {rate} messages a second: 1 to {RATE_MAX:,}, 0 = none")
    price = PRICE_SCALE // rate
    if not 0 < burst * price <= ROOM_MAX:
        raise ValueError(f"a burst of {burst} messages at {rate} a second: from 1 message on, and "
                         f"at most {ROOM_MAX // PRICE_SCALE:,} seconds' worth")
    return price, burst * price


@dataclass
class Plan:
    """Owners by UDP port, places by partition, sources by address as text."""

    owners: dict[int, int] = field(default_factory=dict)
    places: dict[int, Place] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def copy(self) -> "Plan":
        """A plan of its own with the same content."""
        return copy.deepcopy(self)

    def allow(self, ip: str, price: int = 0, room: int = 0) -> int:
        """Puts an address on the list, or changes its limit; its id. ValueError: nobody can have
        this address, or the list is full."""
        address = ipaddress.IPv4Address(ip)
        if address.is_unspecified or address.is_multicast or address.is_reserved or (
                int(address) >> 24 == 0):
            raise ValueError(f"source address {ip}: nobody can send from it")
        known = self.sources.get(ip)
        taken = {source.id for source in self.sources.values()}
        number = known.id if known else next(
            (n for n in range(gate.SOURCE_MAX) if n not in taken), None)
        if number is None:
            raise ValueError(f"source address {ip}: {gate.SOURCE_MAX} are allowed already")
        self.sources[ip] = Source(number, price, room)
        return number

    def pack(self, version: int) -> np.ndarray:
        """TABLES[1] of this plan."""
        tables = np.zeros(1, gate.TABLES)
        row = tables[0]
        row["version"] = version
        for udp_port, partition in self.owners.items():
            row["owners"][udp_port] = partition + 1
        for partition, place in self.places.items():
            row["places"][partition] = (_in_frame(place.ip), place.ifindex, place.queue,
                                        place.stamped)
        ips = np.array([_in_frame(ip) for ip in self.sources], np.uint64)
        row["seed"], sets = _spread(ips)
        row["sets"]["ip"][:], row["sets"]["ip"][0] = _FREE, _FREE_FIRST
        filled = [0] * gate.SET_CNT
        for at, ip, source in zip(sets, ips, self.sources.values(), strict=True):
            way, filled[at] = filled[at], filled[at] + 1
            row["sets"][at]["ip"][way], row["sets"][at]["id"][way] = ip, source.id
            row["limits"][source.id] = source.price, source.room
        return tables

    @classmethod
    def unpack(cls, tables: np.ndarray) -> "Plan":
        """The plan of a TABLES[1]."""
        row, plan = tables[0], cls()
        for udp_port in np.flatnonzero(row["owners"]):
            plan.owners[int(udp_port)] = int(row["owners"][udp_port]) - 1
        for partition in np.flatnonzero(row["places"]["ip"]):
            place = row["places"][partition]
            plan.places[int(partition)] = Place(_as_text(place["ip"]), int(place["ifindex"]),
                                                int(place["queue"]), bool(place["stamped"]))
        found = []
        for at in range(gate.SET_CNT):
            for way in range(gate.SET_SZ):
                ip, number = int(row["sets"][at]["ip"][way]), int(row["sets"][at]["id"][way])
                if ip != (_FREE if at else _FREE_FIRST):
                    found.append((number, ip))
        for number, ip in sorted(found):
            price, room = row["limits"][number]
            plan.sources[_as_text(ip)] = Source(number, int(price), int(room))
        return plan


def _in_frame(ip: str) -> int:
    return int.from_bytes(socket.inet_aton(ip), "little")


def _as_text(ip) -> str:
    return socket.inet_ntoa(int(ip).to_bytes(4, "little"))


def _set_of(ips, seed):
    """The set of each address (u64 array); the program computes the same."""
    with np.errstate(over="ignore"):
        return (ips * np.uint64(seed)) >> np.uint64(64 - gate.LG_SET_CNT)


def _spread(ips):
    """(seed, the set of each address) so that no set holds more than it can."""
    dice = np.random.default_rng(20261126)
    for _ in range(SEEDS_MAX):
        seed = int(dice.integers(1 << 63, (1 << 64) - 1, dtype=np.uint64)) | 1
        sets = _set_of(ips, seed).astype(np.int64)
        fits = not len(ips) or np.bincount(sets).max() <= gate.SET_SZ
        if fits and _set_of(np.array([_FREE_FIRST], np.uint64), seed)[0] != 0:
            return seed, sets.tolist()
    raise ValueError(f"{len(ips)} sources do not fit the gate's table by any of {SEEDS_MAX} seeds")
