"""The orders of a demo: a pcap with the TOML beside it, moved to the scene's addresses.

For every datagram the compiled scan notes whose it is, which upstream numbers it carries and how
many Enter Orders (each of which is answered by exactly one `A` or `J`): the window of the demo
counts those. Each partition has a lane: its packets in file order, sent without regard to others.
"""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import int64, njit

from appliance.config.model import PARTITIONS_MAX
from appliance.topology import partition_of
from tools import pcap as pcap_file
from tools import rewrite, sender

_ENTER, _REPLACE = ord("O"), ord("U")
_UNSEQUENCED = ord("U")
_NOBODY = 65535
_SESSION_KEYS = {"account": str, "token": str, "ip": str, "port": int}


class MaterialError(ValueError):
    """The order file cannot be used; the text says which, why and what to do."""


class Session(NamedTuple):
    """One login: `account` and `partition` are numbers, `source` is (ip, port) in the scene."""

    name: str
    account: int
    partition: int
    token: str
    source: tuple


@dataclass(frozen=True)
class Lane:
    """The packets of one partition.

    pcap: those packets alone. numbers: i64, their places in the file. owner: u16, the session of
    each (index over the whole material). seqs, counts: its upstream numbers. enters: cumulated
    Enter Orders before each packet, one longer than the packets; makes: Enter and Replace Orders in
    all. logins: how many packets stand in front of the first order.
    """

    partition: int
    pcap: pcap_file.Pcap
    numbers: np.ndarray
    owner: np.ndarray
    seqs: np.ndarray
    counts: np.ndarray
    enters: np.ndarray
    makes: int
    starts: np.ndarray
    sizes: np.ndarray
    logins: int

    @property
    def messages(self) -> int:
        """Order messages in all."""
        return int(self.counts[self.logins:].sum())

    def payload(self, number: int) -> bytes:
        """The UDP payload of a packet."""
        start = int(self.starts[number])
        return self.pcap.data[start:start + int(self.sizes[number])].tobytes()


@dataclass(frozen=True)
class Material:
    """Orders ready to be sent, with the scene's addresses; `lanes` has one of every partition.

    symbols: of each partition, in its order. settings: the TOML's content.
    """

    sessions: tuple
    settings: dict
    lanes: tuple
    symbols: tuple

    @property
    def messages(self) -> int:
        """Order messages in all."""
        return sum(lane.messages for lane in self.lanes)

    def session_of(self, partition: int, account: int):
        """Index of the account's session on a partition; None when it has none there."""
        for idx, session in enumerate(self.sessions):
            if (session.partition, session.account) == (partition, account):
                return idx
        return None


@njit("void(u1[::1], i8[::1], u4[::1], i8[::1], i8[::1], i8[::1], i8[::1])", cache=True)
def _scan(data, starts, sizes, seqs, counts, enters, replaces):
    """MoldUDP64 numbers of each payload, its Enter Orders and its Replace Orders."""
    for i in range(starts.size):
        at, end = starts[i], starts[i] + int64(sizes[i])
        seq = int64(0)
        for byte in range(8):
            seq = (seq << 8) | int64(data[at + 10 + byte])
        count = (int64(data[at + 18]) << 8) | int64(data[at + 19])
        off = at + 20
        enters[i] = replaces[i] = 0
        for _ in range(count if seq else 0):
            if off + 2 > end:
                break
            size = (int64(data[off]) << 8) | int64(data[off + 1])
            if size >= 2 and off + 4 <= end and data[off + 2] == _UNSEQUENCED:
                enters[i] += data[off + 3] == _ENTER
                replaces[i] += data[off + 3] == _REPLACE
            off += 2 + size
        seqs[i], counts[i] = seq, count


def settings_of(path) -> dict:
    """The TOML beside an order file. MaterialError when it is missing or not `wirematch flow`'s."""
    beside = Path(path).with_suffix(".toml")
    try:
        settings = tomllib.loads(beside.read_text())
        _judge(settings)
        return settings
    except OSError as error:
        raise MaterialError(f"{beside}: {error.strerror}; an order file has its symbols and "
                            "accounts beside it: make both with `wirematch flow`") from error
    except ValueError as error:                       # no TOML, no text, or not of this form
        raise MaterialError(f"{beside}: {error}; make it with `wirematch flow`") from error


def _judge(settings) -> None:
    """Raises MaterialError unless the keys that this module reads are there, with their types."""
    flow = settings.get("flow")
    count = flow.get("partitions", 1) if isinstance(flow, dict) else 0
    if type(count) is not int or not 1 <= count <= PARTITIONS_MAX:
        raise MaterialError(f"[flow] is missing, or its partitions are not 1 to {PARTITIONS_MAX}")
    for name, rows, keys in (("flow.sessions", flow.get("sessions"), _SESSION_KEYS),
                             ("symbols", settings.get("symbols"), {"name": str}),
                             ("accounts", settings.get("accounts"), {"name": str})):
        for row in rows if isinstance(rows, list) and rows else [None]:
            if not isinstance(row, dict) or not all(
                    type(row.get(key)) is kind for key, kind in keys.items()):
                raise MaterialError(f"[[{name}]] is missing, or lacks {', '.join(keys)}")
            where = row.get("partition", 0)
            if type(where) is not int or not -1 <= where < count:
                raise MaterialError(f"[[{name}]] names partition {where}, or there are only "
                                    f"{count} partitions")


def partitions_of(path) -> int:
    """How many partitions an order file was made for."""
    return settings_of(path)["flow"].get("partitions", 1)


def _sessions(settings, scene, path):
    """The file's sessions, moved to the scene's sources."""
    places = {row["name"]: idx for idx, row in enumerate(settings["accounts"])}
    count, made = settings["flow"].get("partitions", 1), []
    for idx, row in enumerate(settings["flow"]["sessions"]):
        partition = row.get("partition", 0)
        if row["account"] not in places or not 0 <= partition < count:
            raise MaterialError(f"{path}: the session of {row['account']} on partition {partition} "
                                f"has no account there, or there are only {count} partitions")
        made.append(Session(row["account"], places[row["account"]], partition, row["token"],
                            scene.source(idx)))
    return tuple(made)


def _symbols(settings, count):
    """The symbols of each partition in the order of the file, as the appliance divides them."""
    owned = [[] for _ in range(count)]
    for symbol in settings["symbols"]:
        where = symbol.get("partition", -1)
        owned[partition_of(symbol["name"], count) if where < 0 else where].append(symbol)
    return tuple(owned)


def _move(raw, found, owner, sessions, settings, scene, path):
    """The capture with the scene's addresses: every packet goes to its session's partition."""
    targets = {}
    where = np.array([session.partition for session in sessions])[owner]
    ends = found.targets.astype(np.int64)
    for key in np.unique(ends[:, 0] << 24 | ends[:, 1] << 8 | where).tolist():
        ip, port, partition = key >> 24, key >> 8 & 0xFFFF, key & 0xFF
        if targets.setdefault((ip, port), partition) != partition:
            raise MaterialError(f"{path}: packets to {sender.ip_text(ip)}:{port} belong to "
                                f"sessions of partitions {targets[ip, port]} and {partition}")
    sources = {(row["ip"], row["port"]): session.source for row, session in zip(
        settings["flow"]["sessions"], sessions, strict=True)}
    return rewrite.rewrite(
        raw, destination={(sender.ip_text(ip), port): (scene.ip, scene.order_port + partition)
                          for (ip, port), partition in targets.items()},
        sources=sources, destination_mac=scene.mac, source_mac=scene.source_mac), where


def load(path, scene) -> Material:
    """Reads FILE.pcap and FILE.toml and moves them to `scene`'s addresses.

    MaterialError when the TOML is missing or a packet belongs to no session of it.
    """
    path, settings = Path(path), settings_of(path)
    sessions, raw = _sessions(settings, scene, path), pcap_file.read(path)
    found = sender.payloads(raw)
    places = {(sender.ip_number(row["ip"]), row["port"]): idx
              for idx, row in enumerate(settings["flow"]["sessions"])}
    owner = np.array([places.get((ip, port), _NOBODY) for ip, port in found.sources.tolist()],
                     np.uint16)
    if (found.starts < 0).any() or (owner == _NOBODY).any():
        bad = int(np.flatnonzero((found.starts < 0) | (owner == _NOBODY))[0])
        raise MaterialError(f"{path}: packet {bad + 1} is no datagram of a session in the TOML "
                            "beside it")
    raw, where = _move(raw, found, owner, sessions, settings, scene, path)
    columns = [np.zeros(len(raw), np.int64) for _ in range(4)]
    _scan(raw.data, found.starts, found.sizes, *columns)
    count = settings["flow"].get("partitions", 1)
    lanes = tuple(_lane(path, partition, raw, np.flatnonzero(where == partition), owner, found,
                        columns) for partition in range(count))
    return Material(sessions, settings, lanes, _symbols(settings, count))


def _lane(path, partition, raw, numbers, owner, found, columns):
    """The packets at `numbers` as the lane of a partition."""
    seqs, counts, enters, replaces = (column[numbers] for column in columns)
    logins = int(np.argmax(seqs > 0)) if (seqs > 0).any() else len(numbers)
    if (seqs[logins:] == 0).any():
        raise MaterialError(f"{path}: a login stands after the first order; logins come first")
    pcap = replace(raw, offsets=raw.offsets[numbers], lengths=raw.lengths[numbers],
                   times_ns=raw.times_ns[numbers])
    return Lane(partition, pcap, numbers, owner[numbers], seqs, counts,
                np.concatenate(([0], np.cumsum(enters))), int(enters.sum() + replaces.sum()),
                found.starts[numbers], found.sizes[numbers], logins)
