"""checks.wmc: the hashes that a replay of the journal had, beside its segments.

Only shadow@p writes it; the journal itself has one writer, and that is journal@p. It proves nothing
that a replay would not: it says at which command a replay by another program, on another machine
or with another history of restarts parts from the first one. A check that is cut or spoilt ends
it, and the writer goes on from there.
"""

import hashlib
import os

import numpy as np

from ..layout import journal as lay
from .errors import Corrupt, failed
from .segments import crc32c, genesis_text, open_file

NAME = "checks.wmc"
_HEAD_END = lay.CHECKS_HEAD["crc"].off + 4
_CHECK_END = lay.CHECK["crc"].off + 4
_HEAD_SZ, _CHECK_SZ = lay.CHECKS_HEAD.size, lay.CHECK.size


def path_of(directory) -> str:
    """The file."""
    return os.path.join(directory, NAME)


def head_of(genesis: dict) -> np.ndarray:
    """The CHECKS_HEAD of a journal."""
    head = np.zeros(1, lay.CHECKS_HEAD.dtype)
    head["magic"], head["format"] = lay.CHECKS_MAGIC, lay.JOURNAL_FORMAT
    head["genesis_digest"] = np.frombuffer(hashlib.sha256(genesis_text(genesis)).digest(), "u1")
    head["partition"] = genesis["partition"]
    head["crc"] = crc32c(head.view(np.uint8)[_HEAD_END:])
    return head


def read(directory, genesis: dict) -> np.ndarray:
    """The CHECKs of a folder, oldest first, as far as they are whole; empty without a file.

    Corrupt when the file is another journal's.
    """
    return _parse(path_of(directory), genesis)[0]


def _parse(path, genesis):
    """(the good CHECKs, the checksum that the next one names)."""
    head, none = head_of(genesis), np.zeros(0, lay.CHECK.dtype)
    data = np.fromfile(path, np.uint8) if os.path.exists(path) else np.zeros(0, np.uint8)
    found, prev = data[:_HEAD_SZ], int(head["crc"][0])
    if len(found) == _HEAD_SZ and crc32c(found[_HEAD_END:]) == int(
            found.view(lay.CHECKS_HEAD.dtype)["crc"][0]):
        if found.tobytes() != head.tobytes():
            raise Corrupt(path, 0, 0, "it is of another genesis")
    else:
        return none, prev
    rows = data[_HEAD_SZ:_HEAD_SZ + (len(data) - _HEAD_SZ) // _CHECK_SZ * _CHECK_SZ]
    checks = rows.view(lay.CHECK.dtype)
    for at, check in enumerate(checks):
        raw = rows[at * _CHECK_SZ + _CHECK_END:(at + 1) * _CHECK_SZ]
        if int(check["prev_crc"]) != prev or crc32c(raw) != int(check["crc"]):
            return checks[:at].copy(), prev
        prev = int(check["crc"])
    return checks.copy(), prev


class Checks:
    """The file, to be gone on with. `known` are the checks it held, by sequence."""

    def __init__(self, directory, genesis, wall_ns):
        """Cuts what is not whole. wall_ns: the wall clock. Raises Corrupt or JournalFailed."""
        self.path, self._wall_ns = path_of(directory), wall_ns
        found, self._prev = _parse(self.path, genesis)
        self.known = {int(check["seq"]): check for check in found}
        self._fd = open_file(self.path, os.O_RDWR | os.O_CREAT)
        try:
            if not len(found):
                os.ftruncate(self._fd, 0)
                os.pwrite(self._fd, head_of(genesis).tobytes(), 0)
            self._off = _HEAD_SZ + len(found) * _CHECK_SZ
            os.ftruncate(self._fd, self._off)
        except OSError as error:
            raise failed("continuing", self.path, error, "look at the disk") from error

    def write(self, seq, from_seq, state_hash, output_hash) -> None:
        """Appends a check; JournalFailed when it cannot be."""
        row = np.zeros(1, lay.CHECK.dtype)
        row["seq"], row["from_seq"], row["wall_ns"] = seq, from_seq, self._wall_ns()
        row["state_hash"], row["output_hash"], row["prev_crc"] = state_hash, output_hash, self._prev
        row["crc"] = crc32c(row.view(np.uint8)[_CHECK_END:])
        try:
            os.pwrite(self._fd, row.tobytes(), self._off)
        except OSError as error:
            raise failed("writing", self.path, error, "look at the disk") from error
        self._prev, self._off = int(row["crc"][0]), self._off + _CHECK_SZ

    def sync(self) -> None:
        """To the disk; raises OSError."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Gives the file back."""
        os.close(self._fd)
