"""Segment files: their names, their headers, and the next one made ready ahead of need.

A segment is never sparse: posix_fallocate takes its blocks, so a full disk is an error here and
nowhere else; then zeros are written, so a later sync writes data in place and no metadata. It is
made under the name of SPARE, and gets its own when its header is on the disk: every file called
segment-... has a whole header.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..layout import journal as lay
from ..layout.digest import layout_digest
from ..layout.record import JOURNAL_RECORD
from ..native import ffi, lib
from .errors import Corrupt, JournalFailed, JournalFull, failed

SPARE = "spare.wmj"
FULL = (errno.ENOSPC, errno.EDQUOT)
_NAME = re.compile(r"segment-(\d{6,})\.wmj")
_CRC_END = lay.SEGMENT["crc"].off + 4
_STEP = 4 << 20                # zeros between two syncs: more would hold up the journal's own


def path_of(directory, number) -> str:
    """The file of a segment."""
    return os.path.join(directory, f"segment-{number:06d}.wmj")


def numbers(directory) -> list:
    """Numbers of the segments in a folder, ascending; Corrupt when one between them is missing."""
    found = sorted(int(match[1]) for match in map(_NAME.fullmatch, os.listdir(directory)) if match)
    for number, after in zip(found, found[1:], strict=False):
        if after != number + 1:
            raise Corrupt(path_of(directory, number + 1), 0, 0, "the segment is missing")
    return found


def crc32c(data, crc=0) -> int:
    """CRC32C of bytes or of a contiguous array."""
    view = ffi.from_buffer(data)
    return lib.wm_crc32c(crc, view, len(view))


def genesis_text(genesis: dict) -> bytes:
    """The genesis as canonical JSON: equal dicts give equal bytes.

    It needs partition, date (YYYYMMDD) and midnight_ns; the rest is the replay's. ValueError when
    it holds a password.
    """
    text = json.dumps(genesis, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    if '"password' in text:
        raise ValueError("a genesis holds no password: the journal is read by auditors")
    for key in ("partition", "date", "midnight_ns"):
        if not isinstance(genesis.get(key), int):
            raise ValueError(f"the genesis needs the integer {key}")
    return text.encode()


@dataclass(frozen=True)
class Head:
    """What a segment's header says; `raw` are its bytes, the genesis included."""

    raw: bytes

    @cached_property
    def row(self):
        """The SEGMENT record."""
        return np.frombuffer(self.raw, lay.SEGMENT.dtype, 1)[0]

    def __getattr__(self, name):
        if name not in lay.SEGMENT.by_name:
            raise AttributeError(name)
        value = self.row[name]
        return value.tobytes() if value.ndim else int(value)

    @cached_property
    def genesis_raw(self) -> bytes:
        """The genesis as text."""
        return self.raw[self.genesis_off:self.genesis_off + self.genesis_sz]

    @cached_property
    def genesis(self) -> dict:
        """The genesis."""
        return json.loads(self.genesis_raw)


def make_head(genesis: bytes, **fields) -> Head:
    """A header around a genesis, its checksums filled in."""
    base = json.loads(genesis)
    fits = lay.GENESIS_OFF + len(genesis) <= lay.SEGMENT_HEADER_SZ
    off = lay.GENESIS_OFF if fits else lay.SEGMENT_HEADER_SZ
    pages = -(-(off + len(genesis)) // lay.SEGMENT_HEADER_SZ)
    raw = np.zeros(pages * lay.SEGMENT_HEADER_SZ, np.uint8)
    row = raw[:lay.SEGMENT.size].view(lay.SEGMENT.dtype)[0]
    fields |= {"magic": lay.SEGMENT_MAGIC, "format": lay.JOURNAL_FORMAT, "header_sz": raw.size,
               "record_sz": JOURNAL_RECORD.size, "partition": base["partition"],
               "date": base["date"], "midnight_ns": base["midnight_ns"],
               "layout_digest": layout_digest(), "genesis_off": off, "genesis_sz": len(genesis),
               "genesis_crc": crc32c(genesis),
               "genesis_digest": np.frombuffer(hashlib.sha256(genesis).digest(), np.uint8)}
    for name, value in fields.items():
        row[name] = value
    raw[off:off + len(genesis)] = np.frombuffer(genesis, np.uint8)
    row["crc"] = crc32c(raw[_CRC_END:])
    return Head(raw.tobytes())


def read_head(path, fd, number, seq) -> Head:
    """The header of an open segment; Corrupt, with the sequence expected there, when it is bad."""
    raw = os.pread(fd, lay.SEGMENT_HEADER_SZ, 0)
    if len(raw) < lay.SEGMENT_HEADER_SZ:
        raise Corrupt(path, 0, seq, f"the header is cut after {len(raw)} bytes")
    head = Head(raw)
    if head.magic != lay.SEGMENT_MAGIC:
        raise Corrupt(path, 0, seq, "no segment: its magic is wrong")
    sz = head.header_sz
    if sz % lay.SEGMENT_HEADER_SZ or not 0 < sz <= os.fstat(fd).st_size:
        raise Corrupt(path, 0, seq, f"a header of {sz} bytes cannot be")
    if sz > lay.SEGMENT_HEADER_SZ:
        head = Head(os.pread(fd, sz, 0))
    if crc32c(head.raw[_CRC_END:]) != head.crc:
        raise Corrupt(path, 0, seq, "the header's checksum is wrong")
    if head.format != lay.JOURNAL_FORMAT or head.record_sz != JOURNAL_RECORD.size:
        raise JournalFailed("reading", path, f"it has format {head.format} with records of "
                            f"{head.record_sz} bytes, this program reads format "
                            f"{lay.JOURNAL_FORMAT} with {JOURNAL_RECORD.size}",
                            "use the release that wrote it")
    if head.generation != number:
        raise Corrupt(path, 0, seq, f"the file is segment {head.generation}: it was renamed")
    if crc32c(head.genesis_raw) != head.genesis_crc:
        raise Corrupt(path, head.genesis_off, seq, "the genesis' checksum is wrong")
    return head


def open_file(path, mode=os.O_RDONLY) -> int:
    """A descriptor; JournalFailed when it cannot be, or the file is a symbolic link."""
    try:
        return os.open(path, mode | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        remedy = ("a journal holds no symbolic links" if error.errno == errno.ELOOP
                  else "may this user read and write the journal's folder?")
        raise failed("opening", path, error, remedy) from error


def sync_folder(directory) -> None:
    """Makes the names in a folder durable; raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(directory) -> None:
    """Makes a folder and those above it that are missing, durably; raises OSError."""
    missing, path = [], os.path.abspath(directory)
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    for path in missing:
        sync_folder(os.path.dirname(path))


def open_folder(directory) -> int:
    """Descriptor of a folder. Names in it can be reached through that also by a user who may not
    walk the path to it, as a stage that has given its rights away. Raises OSError."""
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def allocate(folder, name, sz) -> int:
    """A new file of sz bytes in a folder (a descriptor), all taken, zero and synced, its owner the
    folder's; its descriptor. Raises OSError."""
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600,
                 dir_fd=folder)
    try:
        if os.geteuid() == 0:
            owner = os.fstat(folder)
            os.fchown(fd, owner.st_uid, owner.st_gid)
        os.posix_fallocate(fd, 0, sz)
        fill_zero(fd, 0, sz)
        os.fsync(fd)
    except BaseException:
        os.close(fd)
        os.unlink(name, dir_fd=folder)
        raise
    return fd


def fill_zero(fd, start, stop) -> None:
    """Writes zeros over [start, stop), synced step by step. Raises OSError."""
    zeros = memoryview(bytes(min(_STEP, max(0, stop - start))))
    while start < stop:
        start += os.pwrite(fd, zeros[:stop - start], start)
        os.fdatasync(fd)


class Spare:
    """The next segment's file, made by a thread while the one before is written. `folder` is the
    descriptor of its folder, set before anything is made.

    `full` tells, when it could not be made for want of room, why: the alarm before JournalFull.
    """

    def __init__(self, directory, sz):
        self.path, self.sz, self.full = os.path.join(directory, SPARE), sz, ""
        self._fd, self._error, self._thread, self.folder = -1, None, None, -1

    def prepare(self) -> None:
        """Starts to make it, unless it is there or on its way."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()
        if self._fd < 0 and self._thread is None:
            self._thread = threading.Thread(target=self._make, name="journal-spare", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until the thread is done, well or not."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def take(self) -> int:
        """Its descriptor, made now if need be; JournalFull or JournalFailed when it cannot be."""
        self.wait()
        if self._fd < 0:
            self._make()
        if self._fd < 0:
            if self._error.errno in FULL:
                raise JournalFull(self.path, self.sz, self.full)
            raise failed("making a segment at", self.path, self._error,
                         "look at the disk and at the folder's rights")
        fd, self._fd = self._fd, -1
        return fd

    def _make(self):
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(SPARE, dir_fd=self.folder)      # a dead writer's
            self._fd = allocate(self.folder, SPARE, self.sz)
            self._error, self.full = None, ""
        except OSError as error:
            self._error = error
            self.full = os.strerror(error.errno) if error.errno in FULL else ""

    def close(self) -> None:
        """Waits for the thread and takes the file away."""
        self.wait()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            os.unlink(SPARE, dir_fd=self.folder)
