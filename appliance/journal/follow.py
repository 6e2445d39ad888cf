"""A journal read while it is written: each call gives what has become durable since the last one.

    with follow(directory, from_seq) as cursor:
        records = cursor.take(most)          # an empty array: nothing new yet

Nothing beyond the watermark is read, so what is given is safe on the disk. Each byte is read and
checked once: the cursor keeps the segment, the place in it and the checksum of the block before.
The same C judges the blocks as for `scan`.
"""

import os

import numpy as np

from ..layout import journal as lay
from ..layout.record import JOURNAL_RECORD
from ..native import ffi, lib
from . import segments, watermark
from .errors import Corrupt, JournalFailed, failed

CHUNK_SZ = 4 << 20             # bytes read at once: more than any block has
_BLOCK_SZ_MAX = lay.BLOCK_SZ + lay.BLOCK_RECORDS_MAX * JOURNAL_RECORD.size
assert CHUNK_SZ >= 2 * _BLOCK_SZ_MAX


class Cursor:
    """See above. `next_seq` comes next; `head` is the header of the segment it stands in."""

    def __init__(self, directory, from_seq=1):
        """Raises Corrupt or JournalFailed; FileNotFoundError while there is no journal yet."""
        self.directory, self._fd, self._left = os.fspath(directory), -1, None
        self.mark = watermark.load(directory)
        if self.mark is None or not self.mark.segment:
            raise FileNotFoundError(f"{directory} holds no journal yet")
        self._walk = np.zeros(1, lay.JOURNAL_WALK.dtype)
        self._walk[0]["from_seq"] = self.next_seq = from_seq
        self._buffer = np.empty(CHUNK_SZ, np.uint8)
        self._open(self._number_of(from_seq), first=True)

    def _number_of(self, seq):
        """The segment in which a sequence is, or will be."""
        numbers = [each for each in segments.numbers(self.directory) if each <= self.mark.segment]
        for number in reversed(numbers):
            if number == numbers[0] or self._head(number)[0].first_seq <= seq:
                return number
        raise Corrupt(segments.path_of(self.directory, self.mark.segment), 0, seq,
                      "the segment is missing")

    def _head(self, number):
        """(header, open descriptor that is closed with the next one) of a segment."""
        path = segments.path_of(self.directory, number)
        fd = segments.open_file(path)
        try:
            return segments.read_head(path, fd, number, self.next_seq), path
        finally:
            os.close(fd)

    def _open(self, number, first=False):
        """Goes to the beginning of a segment; Corrupt unless it follows the one before."""
        (head, path), state = self._head(number), self._walk[0]
        if not first and (head.chain != int(state["prev_crc"])
                          or head.first_seq != int(state["next_seq"])):
            raise Corrupt(path, 0, head.first_seq, "it does not follow the segment before: blocks "
                          f"up to sequence {int(state['next_seq'])} were read there")
        self.close()
        self._fd = segments.open_file(path)
        self.head, self.number, self.path, self.off = head, number, path, head.header_sz
        state["next_seq"], state["prev_crc"], state["generation"] = head.first_seq, head.crc, number

    def take(self, most: int) -> np.ndarray:
        """At most `most` records that are durable; empty when there are none. Raises Corrupt or
        JournalFailed."""
        if self._left is None or not len(self._left):
            self._left = self._read()
        given, self._left = self._left[:most], self._left[most:]
        if len(given):
            self.next_seq = int(given[-1]["seq"]) + 1
        return given

    def _read(self):
        """The records of the next chunk in which there are any."""
        empty = np.empty(0, JOURNAL_RECORD.dtype)
        self.mark = watermark.load(self.directory) or self.mark
        while True:
            closed = self.mark.segment > self.number
            stop = os.fstat(self._fd).st_size if closed else self.mark.off
            if self.off >= stop:
                if not closed:
                    return empty
                self._open(self.number + 1)
                continue
            records = self._chunk(stop)
            if len(records):
                return records

    def _chunk(self, stop):
        size, state = min(CHUNK_SZ, stop - self.off), self._walk[0]
        data = self._buffer[:size]
        try:
            got = os.preadv(self._fd, [data], self.off)
        except OSError as error:
            raise failed("reading", self.path, error, "look at the disk") from error
        out = np.empty(CHUNK_SZ // JOURNAL_RECORD.size, JOURNAL_RECORD.dtype)
        state["off"], state["taken"], state["room"] = 0, 0, out.size
        why = lib.wm_journal_walk(ffi.from_buffer(data), got, ffi.from_buffer(self._walk),
                                  ffi.from_buffer(out))
        ended = int(state["off"])
        whole = ended == got or (why == lay.WALK_TORN and self.off + got < stop)
        self.off += ended
        if not whole or not ended:
            raise Corrupt(self.path, self.off, int(state["next_seq"]),
                          f"{lay.WALK_WHY[why]}, but the disk had everything up to offset {stop}, "
                          f"sequence {self.mark.durable_seq}")
        return out[:int(state["taken"])]

    def close(self) -> None:
        """Gives the segment back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def genesis_of(directory) -> dict:
    """The genesis of a journal, by its first segment's header. Raises Corrupt, JournalFailed."""
    numbers = segments.numbers(directory)
    if not numbers:
        raise JournalFailed("reading", directory, "it holds no journal", "name the folder of one "
                            "partition's day, <journal.directory>/<YYYYMMDD>/p<idx>")
    path = segments.path_of(directory, numbers[0])
    fd = segments.open_file(path)
    try:
        return segments.read_head(path, fd, numbers[0], 1).genesis
    finally:
        os.close(fd)


def follow(directory, from_seq: int = 1) -> Cursor:
    """A cursor that begins with the record from_seq; see the top of this file."""
    return Cursor(directory, from_seq)
