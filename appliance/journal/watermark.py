"""The watermark: two superblocks, written in turn, that say how far the journal is on the disk.

What lies at or before it was synced, so damage there is corruption; what lies behind it may be
torn. Whichever of the two is whole and has the higher counter counts: a write that is cut short
spoils only the older one. It also names the kernel's boot: after another boot (a power cut, a crash
of the kernel) good blocks may follow a hole, because pages reach a disk in any order; within one
boot they cannot.

Its file is written after each sync of a segment but synced itself only at a roll, at the end and
now and then: an old watermark never makes a bad journal good, it only lets damage in the newest
blocks pass for a torn tail.
"""

import contextlib
import errno
import fcntl
import functools
import os
from dataclasses import dataclass

import numpy as np

from ..layout import journal as lay
from .errors import Corrupt, JournalFailed, failed
from .segments import crc32c, open_file

NAME = "watermark"
FILE_SZ = 2 * lay.SEGMENT_HEADER_SZ
_CRC_END = lay.WATERMARK["crc"].off + 4
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


@functools.cache
def boot_id() -> bytes:
    """16 bytes that name this boot of the kernel."""
    with open(_BOOT_ID, encoding="ascii") as file:
        return bytes.fromhex(file.read().strip().replace("-", ""))


@dataclass(frozen=True)
class Mark:
    """A superblock's content; `damaged` says what is wrong with the other one, if anything."""

    counter: int = 0
    durable_seq: int = 0
    segment: int = 0
    off: int = 0
    boot: bytes = bytes(16)
    partition: int = 0
    clean: bool = False
    damaged: str = ""


def path_of(directory) -> str:
    """The file."""
    return os.path.join(directory, NAME)


def load(directory) -> Mark | None:
    """The superblock that counts; None when the file is missing or was never written.

    Corrupt when both are bad.
    """
    path = path_of(directory)
    if not os.path.lexists(path):
        return None
    fd = open_file(path)
    try:
        raw = os.pread(fd, FILE_SZ, 0)
    finally:
        os.close(fd)
    if not any(raw):
        return None
    halves = [raw[:lay.SEGMENT_HEADER_SZ], raw[lay.SEGMENT_HEADER_SZ:]]
    marks = [_parse(half) for half in halves]
    good = [mark for mark in marks if mark]
    if not good:
        raise Corrupt(path, 0, 0, "both superblocks are bad")
    newest = max(good, key=lambda mark: mark.counter)
    for idx, (half, mark) in enumerate(zip(halves, marks, strict=True)):
        if mark is None and (any(half) or newest.counter > 1):
            off = idx * lay.SEGMENT_HEADER_SZ
            return Mark(**{**vars(newest), "damaged": f"{path}, offset {off}: superblock {idx} is "
                           "bad, the other one counts"})
    return newest


def _parse(half):
    """A Mark, or None for a superblock that is not whole."""
    if len(half) < lay.SEGMENT_HEADER_SZ:
        return None
    row = np.frombuffer(half, lay.WATERMARK.dtype, 1)[0]
    if int(row["magic"]) != lay.WATERMARK_MAGIC or crc32c(half[_CRC_END:]) != int(row["crc"]):
        return None
    return Mark(int(row["counter"]), int(row["durable_seq"]), int(row["segment"]), int(row["off"]),
                row["boot_id"].tobytes(), int(row["partition"]), bool(row["clean"]))


class Keeper:
    """The writer's end; it holds the lock that makes it the only one. Its calls raise OSError."""

    def __init__(self, directory, partition):
        self.path = path_of(directory)
        self.fd = open_file(self.path, os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise JournalFailed("locking", self.path, "another process writes this journal",
                                "stop it first; a journal has one writer") from error
        try:
            if os.fstat(self.fd).st_size < FILE_SZ:
                os.posix_fallocate(self.fd, 0, FILE_SZ)
        except OSError as error:
            self.close()
            raise failed("making", self.path, error, "look at the disk") from error
        self._page = np.zeros(lay.SEGMENT_HEADER_SZ, np.uint8)
        self._row = self._page[:lay.WATERMARK.size].view(lay.WATERMARK.dtype)[0]
        self._row["magic"], self._row["format"] = lay.WATERMARK_MAGIC, lay.JOURNAL_FORMAT
        self._row["partition"], self._row["pid"] = partition, os.getpid()
        self._row["boot_id"] = np.frombuffer(boot_id(), np.uint8)
        self.counter = 0

    def write(self, durable_seq, segment, off, wall_ns, clean=False, sync=False) -> None:
        """Writes the next superblock; with sync also to the disk."""
        row = self._row
        self.counter += 1
        row["counter"], row["durable_seq"], row["segment"] = self.counter, durable_seq, segment
        row["off"], row["wall_ns"], row["clean"] = off, wall_ns, clean
        row["crc"] = crc32c(self._page[_CRC_END:])
        if os.pwrite(self.fd, self._page, self.counter % 2 * self._page.size) < self._page.size:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        if sync:
            os.fdatasync(self.fd)

    def close(self) -> None:
        """Gives the lock up."""
        with contextlib.suppress(OSError):
            os.close(self.fd)
