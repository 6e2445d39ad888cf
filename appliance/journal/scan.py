"""What a journal holds, after whatever happened to it: whole, torn at its tail, or corrupt.

    found = scan(directory)             reads and checks every byte; changes nothing
    for records in read(directory): ... the same, and gives the records

Where the blocks stop, one of these is true:

    what is there                                           verdict
    zeros up to the end of the file                         the end
    before the watermark, or in a segment that has another  corrupt
      after it (a segment is synced before the next begins)
    a good checksum around records that cannot be           corrupt
    a whole block of another segment (a recycled file)      stale: cut, and reported
    a good block farther on, and the same boot              corrupt
    anything else                                           a torn tail: cut, and reported

After another boot good blocks may follow a torn one; they were never acknowledged as safe, and are
cut too. `writer.Writer` does the cutting.
"""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from ..layout import journal as lay
from ..layout.record import JOURNAL_RECORD
from ..native import ffi, lib
from . import segments, watermark
from .errors import Corrupt, failed

ARRAY_RECORDS = 1 << 16          # most records of one array that `read` gives
_STALE = (lay.WALK_GENERATION, lay.WALK_CHAIN)
_NEVER_TORN = (lay.WALK_SEQ, lay.WALK_EPOCH, lay.WALK_RECORDS)


@dataclass(frozen=True)
class Segment:
    """One segment file. `end` is the offset behind its last good block."""

    path: str
    number: int
    first_seq: int
    last_seq: int
    end: int
    size: int
    instance: int
    level: int
    created_ns: int


@dataclass(frozen=True)
class Found:
    """What a scan found. `last_seq` is first_seq - 1 while there are no records."""

    directory: str
    partition: int
    date: int
    midnight_ns: int
    instance: int               # of the newest segment
    level: int
    genesis: dict
    genesis_digest: bytes
    first_seq: int
    last_seq: int
    durable_seq: int            # of the watermark; all up to last_seq can be read
    last_time_ns: int           # of the last record
    last_wall_ns: int           # when its block was written
    last_crc: int               # checksum of the last block, or of the header
    epoch: int
    segments: tuple
    blocks: int
    checks: int                 # CHECK blocks among them
    check: tuple                # (sequence, state hash, output hash) of the newest; (0, 0, 0)
    cut_bytes: int              # of the torn tail, 0 none
    cut_why: str                # "" or path, offset and what is there
    boot_changed: bool          # the machine has been started anew since it was written
    clean: bool                 # the writer closed it, and nothing was lost
    damaged: str                # "" or which superblock of the watermark is bad


def scan(directory, boot=None, hashes=False) -> Found | None:
    """What the journal in a folder holds; None when there is none.

    boot: this boot's id, by default the kernel's. hashes: check the SHA-256 chain of closed
    segments too. Raises Corrupt, or JournalFailed when the folder cannot be read.
    """
    walk = _Pass(directory, boot, hashes)
    if not walk.numbers:
        return None
    for _ in walk.arrays(None):
        pass
    return walk.found()


def read(directory, first_seq=1, durable=False, boot=None):
    """Yields arrays of verified JOURNAL_RECORDs, in order, from first_seq on.

    durable: only what the watermark covers, which is safe while a writer is at work; else all
    good blocks. Raises like `scan`, where it comes to the place.
    """
    yield from _Pass(directory, boot, durable=durable).arrays(first_seq)


class _Pass:
    """One way through the files of a journal."""

    def __init__(self, directory, boot=None, hashes=False, durable=False):
        self.directory, self.hashes, self.durable = os.fspath(directory), hashes, durable
        self.boot = watermark.boot_id() if boot is None else boot
        try:
            self.mark = watermark.load(directory)
            self.numbers = segments.numbers(directory) if os.path.lexists(directory) else []
        except OSError as error:
            raise failed("reading", directory, error, "is it a journal's folder?") from error
        self._look_at_mark()
        self.walk = np.zeros(1, lay.JOURNAL_WALK.dtype)
        self.head, self.heads, self.rows = None, {}, []
        self.sha, self.cut_bytes, self.cut_why = b"", 0, ""

    def _look_at_mark(self):
        path = watermark.path_of(self.directory)
        if self.numbers and self.mark is None:
            raise Corrupt(path, 0, 0, "the watermark is missing, but there are segments")
        self.mark = self.mark or watermark.Mark()
        last = self.numbers[-1] if self.numbers else 0
        if self.mark.segment > last:
            raise Corrupt(segments.path_of(self.directory, self.mark.segment), 0,
                          self.mark.durable_seq, "the segment is missing: the watermark says that "
                          f"sequence {self.mark.durable_seq} is in it")

    def arrays(self, first_seq):
        """Walks everything; yields records from first_seq on (None: none)."""
        state = self.walk[0]
        numbers = self.numbers
        if self.durable:
            numbers = [number for number in numbers if number <= self.mark.segment]
        for idx, number in enumerate(numbers):
            self._enter(number, idx)
            after = numbers[idx + 1] if idx + 1 < len(numbers) else 0
            if first_seq is not None and after:
                head = self._head(after)
                if head.first_seq <= first_seq:
                    state["next_seq"], state["prev_crc"] = head.first_seq, head.chain
                    continue
            yield from self._segment(number, not after, first_seq)

    def _head(self, number):
        if number not in self.heads:
            path = segments.path_of(self.directory, number)
            fd = segments.open_file(path)
            try:
                self.heads[number] = segments.read_head(path, fd, number,
                                                        int(self.walk[0]["next_seq"]))
            finally:
                os.close(fd)
        return self.heads[number]

    def _enter(self, number, idx):
        """Takes the header of the next segment: it must follow what was read before."""
        state, before, head = self.walk[0], self.head, self._head(number)
        path, seq = segments.path_of(self.directory, number), int(state["next_seq"])
        self.heads.pop(number - 1, None)
        if head.partition != self.mark.partition:
            raise Corrupt(path, 0, head.first_seq, f"it is of partition {head.partition}, the "
                          f"watermark of partition {self.mark.partition}")
        if idx:
            if head.chain != int(state["prev_crc"]) or head.first_seq != seq:
                raise Corrupt(segments.path_of(self.directory, number - 1), int(state["off"]), seq,
                              f"the next segment goes on with sequence {head.first_seq} behind "
                              "another block: blocks are missing here, or the file is another's")
            if head.genesis_digest != before.genesis_digest or head.date != before.date:
                raise Corrupt(path, 0, seq, "it has another genesis than the segment before")
            if self.sha and head.before_sha256 != self.sha:
                raise Corrupt(path, lay.SEGMENT["before_sha256"].off, seq,
                              "the segment before has another SHA-256")
        state["next_seq"], state["prev_crc"], state["generation"] = head.first_seq, head.crc, number
        state["off"] = head.header_sz
        self.head = head

    def _segment(self, number, last, first_seq):
        state, head = self.walk[0], self.head
        path = segments.path_of(self.directory, number)
        data = _bytes_of(path, head.header_sz)
        stop = self.mark.off if self.durable and number == self.mark.segment else data.size
        out = np.empty(0 if first_seq is None else ARRAY_RECORDS, JOURNAL_RECORD.dtype)
        state["from_seq"], state["room"] = first_seq or 0, out.size
        target = ffi.from_buffer(out) if out.size else ffi.NULL
        why = lay.WALK_FULL
        while why == lay.WALK_FULL:
            state["taken"] = 0
            why = lib.wm_journal_walk(ffi.from_buffer(data), min(stop, data.size),
                                      ffi.from_buffer(self.walk), target)
            if state["taken"]:
                yield out[:int(state["taken"])].copy()
        self._stopped(path, data[:stop], why, number, last)
        end = int(state["off"])
        if self.hashes and not last:
            self.sha = hashlib.sha256(data[:end]).digest()
        self.rows.append(Segment(path, number, head.first_seq, int(state["next_seq"]) - 1, end,
                                 data.size, head.instance, head.level, head.created_ns))

    def _stopped(self, path, data, why, number, last):
        """Decides what the place is at which the good blocks of a segment end."""
        state, mark = self.walk[0], self.mark
        off, seq, text = int(state["off"]), int(state["next_seq"]), lay.WALK_WHY[why]
        if number == mark.segment and (off < mark.off or last and seq <= mark.durable_seq):
            raise Corrupt(path, off, seq, f"{text}, but the disk had everything up to offset "
                          f"{mark.off}, sequence {mark.durable_seq}")
        if why in _NEVER_TORN:
            raise Corrupt(path, off, seq, text)
        dirty = _written(data, off)
        if not dirty:
            return
        if not last:
            raise Corrupt(path, off, seq, f"{text}, and a closed segment has nothing behind its "
                          "blocks")
        good = -1 if why in _STALE else lib.wm_journal_find(ffi.from_buffer(data), data.size,
                                                            off + 1, number)
        if good >= 0 and self.boot == mark.boot:
            raise Corrupt(path, off, seq, f"{text}, there is a good one at offset {good} behind "
                          "it, and the machine was not started anew between them")
        self.cut_bytes = dirty
        self.cut_why = f"{path}, offset {off}, sequence {seq}: {text}; {dirty} bytes are cut"

    def found(self) -> Found:
        """The result of a walk through everything."""
        state, mark, head = self.walk[0], self.mark, self.head
        end, number = self.rows[-1].end, self.rows[-1].number
        return Found(
            self.directory, head.partition, head.date, head.midnight_ns, head.instance, head.level,
            head.genesis, head.genesis_digest, self.rows[0].first_seq, int(state["next_seq"]) - 1,
            mark.durable_seq, int(state["time_ns"]), int(state["wall_ns"]), int(state["prev_crc"]),
            int(state["epoch"]), tuple(self.rows), int(state["blocks"]), int(state["checks"]),
            (int(state["check_seq"]), int(state["check_state"]), int(state["check_output"])),
            self.cut_bytes, self.cut_why, mark.boot not in (self.boot, bytes(16)),
            mark.clean and (mark.segment, mark.off) == (number, end) and not self.cut_bytes,
            mark.damaged)


def _bytes_of(path, at_least):
    """A whole file in memory."""
    fd = segments.open_file(path)
    try:
        data = np.empty(max(at_least, os.fstat(fd).st_size), np.uint8)
        done = 0
        while done < data.size:
            got = os.preadv(fd, [data[done:done + (64 << 20)]], done)
            if not got:
                break
            done += got
    except OSError as error:
        raise failed("reading", path, error, "look at the disk") from error
    finally:
        os.close(fd)
    return data[:done]


def _written(data, off):
    """How far from off on there is anything but zeros."""
    rest = data[off:]
    step = 1 << 20
    for start in range((rest.size - 1) // step * step, -1, -step):
        used = np.flatnonzero(rest[start:start + step])
        if used.size:
            return start + int(used[-1]) + 1
    return 0
