"""The orders of a demo: a pcap with the TOML beside it, moved to the scene's addresses.

For every datagram the compiled scan notes whose it is, which upstream numbers it carries and how
many Enter Orders (each of which is answered by exactly one `A` or `J`): the window of the demo
counts those.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import int64, njit

from tools import pcap as pcap_file
from tools import sender

LOGIN, ORDERS = 0, 1
_ENTER = ord("O")
_UNSEQUENCED = ord("U")


class MaterialError(ValueError):
    """The order file cannot be used; the text says which, why and what to do."""


@dataclass(frozen=True)
class Material:
    """Orders ready to be sent: `pcap` has the scene's addresses.

    owner: u16, account index of each packet. seqs, counts: its upstream numbers. enters: cumulated
    Enter Orders before each packet, one longer than the packets. logins: how many packets stand in
    front of the first order.
    """

    pcap: pcap_file.Pcap
    accounts: tuple          # (name, token, (ip, port)) by index
    settings: dict           # the TOML's content
    owner: np.ndarray
    seqs: np.ndarray
    counts: np.ndarray
    enters: np.ndarray
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


@njit("void(u1[::1], i8[::1], u4[::1], i8[::1], i8[::1], i8[::1])", cache=True)
def _scan(data, starts, sizes, seqs, counts, enters):
    """MoldUDP64 numbers of each payload, and the Enter Orders before it."""
    for i in range(starts.size):
        at, end = starts[i], starts[i] + int64(sizes[i])
        seq = int64(0)
        for byte in range(8):
            seq = (seq << 8) | int64(data[at + 10 + byte])
        count = (int64(data[at + 18]) << 8) | int64(data[at + 19])
        found, off = int64(0), at + 20
        for _ in range(count):
            if off + 2 > end:
                break
            size = (int64(data[off]) << 8) | int64(data[off + 1])
            if size >= 2 and off + 4 <= end and data[off + 2] == _UNSEQUENCED \
                    and data[off + 3] == _ENTER:
                found += 1
            off += 2 + size
        seqs[i], counts[i] = seq, count
        enters[i + 1] = enters[i] + (found if seq else 0)


def load(path, scene) -> Material:
    """Reads FILE.pcap and FILE.toml and moves them to `scene`'s addresses.

    MaterialError when the TOML is missing or a packet belongs to no account of it.
    """
    path = Path(path)
    beside = path.with_suffix(".toml")
    try:
        settings = tomllib.loads(beside.read_text())
        sessions = settings["flow"]["sessions"]
    except OSError as error:
        raise MaterialError(f"{beside}: {error.strerror}; an order file has its symbols and "
                            "accounts beside it: make both with `wirematch flow`") from error
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise MaterialError(f"{beside}: {error}; make it with `wirematch flow`") from error
    raw = pcap_file.read(path)
    moved = {(s["ip"], s["port"]): scene.source(i) for i, s in enumerate(sessions)}
    raw = sender.rewrite(raw, destination=(scene.ip, scene.order_port), sources=moved,
                         destination_mac=scene.mac, source_mac=scene.source_mac)
    found = sender.payloads(raw)
    where = {(sender.ip_number(ip), port): i for i, (ip, port) in enumerate(moved.values())}
    owner = np.array([where.get((int(ip), int(port)), 65535) for ip, port in found.sources],
                     np.uint16)
    if (found.starts < 0).any() or (owner == 65535).any():
        bad = int(np.flatnonzero((found.starts < 0) | (owner == 65535))[0])
        raise MaterialError(f"{path}: packet {bad + 1} is no datagram of an account in {beside}")
    count = len(raw)
    seqs, counts, enters = (np.zeros(count, np.int64), np.zeros(count, np.int64),
                            np.zeros(count + 1, np.int64))
    _scan(raw.data, found.starts, found.sizes, seqs, counts, enters)
    logins = int(np.argmax(seqs > 0)) if (seqs > 0).any() else count
    if (seqs[logins:] == 0).any():
        raise MaterialError(f"{path}: a login stands after the first order; logins come first")
    accounts = tuple((s["account"], s["token"], scene.source(i)) for i, s in enumerate(sessions))
    return Material(raw, accounts, settings, owner, seqs, counts, enters, found.starts,
                    found.sizes, logins)
