"""The one writer of a journal: appends blocks, syncs them, moves the watermark, rolls segments.

    writer = Writer(directory, genesis, instance)     begins a journal or goes on with one
    writer.append(records)                            a block: in the file, not yet on the disk
    durable_seq = writer.sync()                       on the disk

It goes on where `scan` says that the good blocks end: what is torn behind them is overwritten with
zeros first. Each instance and each level begins a segment of its own.

The first write or sync that fails is final: the kernel may have dropped the data and report success
the next time. `append` and `sync` raise that same JournalFailed from then on. A full disk is no
failure: JournalFull, and `append` may be tried again with the records from `next_seq` on.
"""

import contextlib
import hashlib
import os
import time

import numpy as np

from .. import faultpoint
from ..layout import journal as lay
from ..layout.record import JOURNAL_RECORD
from . import segments, snapshot_file, watermark
from .errors import JournalFailed, failed
from .scan import scan

MARK_EVERY_NS = 100_000_000          # the watermark itself is synced so often at least
AGAIN_SZ = 4 << 20                   # written in one go when a journal goes on
_RECORD_SZ = JOURNAL_RECORD.size
_CRC_END = lay.JOURNAL_BLOCK["crc"].off + 4
_DISK = "the partition must stop; look at the disk, then start it again from what is there"


class Writer:
    """See above. `next_seq` comes next, `durable_seq` is on the disk, `found` was there before."""

    def __init__(self, directory, genesis, instance, *, segment_sz=lay.SEGMENT_SZ_DEFAULT,
                 level=lay.LEVEL_DISK, epoch=0, ahead=True, wall_ns=time.time_ns, boot=None):
        """Raises Corrupt, JournalFailed or JournalFull; then nothing is held.

        genesis, instance: as they are, or functions of what `scan` found (None: nothing).
        segment_sz: a multiple of 4,096 bytes. ahead: a thread makes the next segment. wall_ns:
        the wall clock for the blocks. boot: this boot's id for the scan.
        """
        self.directory, self.level = os.fspath(directory), level
        self.epoch, self.failed, self._wall_ns = epoch, None, wall_ns
        self._ahead, first = ahead, genesis(None) if callable(genesis) else genesis
        self._genesis = segments.genesis_text(first)
        room = lay.GENESIS_OFF + len(self._genesis) + lay.SEGMENT_HEADER_SZ
        if segment_sz % lay.SEGMENT_HEADER_SZ or segment_sz < room + lay.BLOCK_SZ + _RECORD_SZ:
            raise ValueError(f"a segment of {segment_sz} bytes: not whole pages, or too small for "
                             f"a genesis of {len(self._genesis)} bytes and a record")
        self.segment_sz, self._fd, self._folder, self._mark = segment_sz, -1, -1, None
        self.buffer = np.zeros(lay.BLOCK_SZ + lay.BLOCK_RECORDS_MAX * _RECORD_SZ, np.uint8)
        self._block = self.buffer[:lay.BLOCK_SZ].view(lay.JOURNAL_BLOCK.dtype)[0]
        self._block["magic"], self._block["epoch"] = lay.BLOCK_MAGIC, epoch
        self._spare = segments.Spare(self.directory, segment_sz)
        try:
            with self._final("opening", self.directory):
                segments.make_folder(self.directory)
                self._folder = self._spare.folder = segments.open_folder(self.directory)
            self._mark = watermark.Keeper(self.directory, first["partition"])
            self.found = scan(self.directory, boot)
            self.instance = instance(self.found) if callable(instance) else instance
            if callable(genesis):
                self._genesis = segments.genesis_text(genesis(self.found))
            faultpoint.at("journal-opening")
            self._begin() if self.found is None else self._go_on()
        except BaseException:
            self._let_go()
            raise

    def append(self, records) -> int:
        """Writes JOURNAL_RECORDs behind `next_seq - 1` as a block, or several; their last sequence.

        ValueError when they do not follow, or their time goes back.
        """
        self._refuse()
        self._check_order(records)
        start = 0
        while start < len(records):
            room = (self.segment_sz - self.off - lay.BLOCK_SZ) // _RECORD_SZ
            count = min(len(records) - start, lay.BLOCK_RECORDS_MAX)
            if room < count and self.off > self._first_off:
                self._roll()
                continue
            count = min(count, room)
            part = np.ascontiguousarray(records[start:start + count]).view(np.uint8)
            self.buffer[lay.BLOCK_SZ:lay.BLOCK_SZ + part.size] = part
            self._write_block(lay.BLOCK_RECORDS, count)
            self._last_time_ns = int(records[start + count - 1]["time_ns"])
            start += count
        return self.next_seq - 1

    def check(self, state_hash, output_hash) -> None:
        """Writes down the hashes of the core and of its outputs behind the last record."""
        self._refuse()
        if self.segment_sz - self.off < lay.BLOCK_SZ:
            self._roll()
        self._write_block(lay.BLOCK_CHECK, 0, state_hash, output_hash)

    def sync(self) -> int:
        """Brings all that was appended to the disk; the sequence that is now durable."""
        self._refuse()
        if self.off != self._synced_off:
            self._sync(False)
        if self._ahead:
            self._spare.prepare()
        return self.durable_seq

    def move(self, directory) -> None:
        """The folder has another name from here on."""
        self._spare.wait()
        self.directory = os.fspath(directory)
        self._spare.path = os.path.join(self.directory, segments.SPARE)

    @property
    def full(self) -> str:
        """Why there is no room for the segment after this one, "" when there is, or not yet known.

        The alarm before JournalFull. Each `sync` tries again.
        """
        return self._spare.full

    def close(self, clean=True) -> None:
        """Syncs, marks the journal as closed and gives the lock up. After a failure: only that.

        clean: everything there was is in it; else the next start takes it for one that was cut off.
        """
        try:
            if self._fd >= 0 and self.failed is None:
                self._sync(True, clean=clean)
        finally:
            self._let_go()

    def __enter__(self):
        return self

    def __exit__(self, problem, *_):
        self.close(clean=problem is None)

    # ---- beginning ------------------------------------------------------------------------------

    def _begin(self):
        """An empty folder: the watermark is on the disk before the first segment is."""
        mark = watermark.load(self.directory) or watermark.Mark()
        self._mark.counter = mark.counter
        self.next_seq, self.durable_seq, self.number = 1, 0, 0
        self._crc, self._last_time_ns, self._sha = 0, 0, None
        with self._final("writing", self._mark.path):
            self._mark.write(0, 0, 0, self._wall_ns(), sync=True)
            segments.sync_folder(self.directory)
        self._next_segment()

    def _go_on(self):
        found, last = self.found, self.found.segments[-1]
        digest = hashlib.sha256(self._genesis).digest()
        if digest != found.genesis_digest:
            raise JournalFailed("continuing", self.directory, "it was begun with another "
                                f"configuration ({self._differences()})", "go back to that one, or "
                                "begin a journal in another folder")
        if self.epoch < found.epoch:
            raise JournalFailed("continuing", self.directory, f"it has epoch {found.epoch}, this "
                                f"writer {self.epoch}", "another owner has taken over")
        mark = watermark.load(self.directory)
        self._mark.counter = mark.counter
        self.next_seq, self.durable_seq = found.last_seq + 1, found.durable_seq
        self.number, self.off, self._crc = last.number, last.end, found.last_crc
        self._last_time_ns = found.last_time_ns
        self.path = last.path
        self._fd = segments.open_file(last.path, os.O_RDWR)
        with self._final("repairing", self.path):
            snapshot_file.forget_after(self.directory, found.last_seq)
            self._repair(last, mark.off if mark.segment == last.number else 0)
        self._sha = hashlib.sha256(os.pread(self._fd, self.off, 0))
        self._first_off = segments.read_head(self.path, self._fd, last.number, 0).header_sz
        self._sync(True)
        if (self.instance, self.level, self.segment_sz) != (last.instance, last.level, last.size):
            self._roll()
        elif self._ahead:
            self._spare.prepare()

    def _repair(self, last, synced_off):
        """Zeros from the end of the good blocks on, durable before anything else happens.

        Blocks behind the watermark are written once more: where a sync has failed before, the
        cache shows them, counts them as clean, and the next sync would bring none to the disk.
        """
        if self.found.cut_bytes:
            segments.fill_zero(self._fd, self.off, last.size)
        for off in range(synced_off, self.off, AGAIN_SZ):
            again = os.pread(self._fd, min(AGAIN_SZ, self.off - off), off)
            _write(self._fd, np.frombuffer(again, np.uint8), off)
        os.fsync(self._fd)

    def _differences(self):
        import json
        ours, theirs = json.loads(self._genesis), self.found.genesis
        names = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        return "other " + ", ".join(names)

    # ---- writing --------------------------------------------------------------------------------

    def _check_order(self, records):
        if records.dtype != JOURNAL_RECORD.dtype:
            raise ValueError(f"records of {records.dtype}")
        seq, time_ns = records["seq"], records["time_ns"]
        wanted = np.arange(self.next_seq, self.next_seq + len(records), dtype=np.uint64)
        if not np.array_equal(seq, wanted):
            raise ValueError(f"records {seq[:1]}... do not follow sequence {self.next_seq - 1}")
        if len(records) and (int(time_ns[0]) < self._last_time_ns
                             or (time_ns[1:] < time_ns[:-1]).any()):
            raise ValueError(f"time goes back behind sequence {self.next_seq - 1}")

    def _write_block(self, kind, count, state_hash=0, output_hash=0):
        block, sz = self._block, lay.BLOCK_SZ + count * _RECORD_SZ
        block["generation"], block["kind"], block["count"] = self.number, kind, count
        block["first_seq"], block["prev_crc"], block["sz"] = self.next_seq, self._crc, sz
        block["wall_ns"], block["state_hash"] = self._wall_ns(), state_hash
        block["output_hash"] = output_hash
        block["crc"] = crc = segments.crc32c(self.buffer[_CRC_END:sz])
        with self._final("writing", self.path):
            _write(self._fd, self.buffer[:sz], self.off)
        self._sha.update(self.buffer[:sz])
        self._crc, self.off, self.next_seq = crc, self.off + sz, self.next_seq + count

    def _sync(self, whole, clean=False):
        """Segment, then watermark, then durable_seq; whole: the watermark to the disk too."""
        faultpoint.at("journal-written")
        with self._final("syncing", self.path):
            os.fdatasync(self._fd)
        faultpoint.at("journal-synced")
        now_ns = time.monotonic_ns()
        whole = whole or now_ns - self._marked_ns >= MARK_EVERY_NS
        with self._final("writing", self._mark.path):
            self._mark.write(self.next_seq - 1, self.number, self.off, self._wall_ns(), clean,
                             whole)
        if whole:
            self._marked_ns = now_ns
        self.durable_seq, self._synced_off = self.next_seq - 1, self.off

    _marked_ns = _synced_off = _first_off = 0

    # ---- rolling --------------------------------------------------------------------------------

    def _roll(self):
        """Closes this segment and begins the next. All of it is on the disk before the next is."""
        self._sync(True)
        fd = self._take_spare()
        try:
            with self._final("closing", self.path):
                os.ftruncate(self._fd, self.off)
                os.fsync(self._fd)
        except JournalFailed:
            os.close(fd)
            raise
        self._next_segment(fd)

    def _take_spare(self):
        try:
            return self._spare.take()
        except JournalFailed as error:
            self.failed = error
            raise

    def _next_segment(self, fd=-1):
        fd = self._take_spare() if fd < 0 else fd
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self.number = fd, self.number + 1
        self.path = segments.path_of(self.directory, self.number)
        sha = self._sha.digest() if self._sha else bytes(32)
        head = segments.make_head(
            self._genesis, instance=self.instance, generation=self.number, first_seq=self.next_seq,
            segment_sz=self.segment_sz, created_ns=self._wall_ns(), chain=self._crc,
            level=self.level, epoch=self.epoch, before_sha256=np.frombuffer(sha, np.uint8))
        with self._final("beginning", self.path):
            _write(fd, np.frombuffer(head.raw, np.uint8), 0)
            os.fsync(fd)
            faultpoint.at("journal-roll")
            os.rename(segments.SPARE, os.path.basename(self.path), src_dir_fd=self._folder,
                      dst_dir_fd=self._folder)
            os.fsync(self._folder)
        self._sha, self._crc = hashlib.sha256(head.raw), head.crc
        self.off = self._first_off = self._synced_off = head.header_sz
        if self._ahead:
            self._spare.prepare()

    # ---- failing --------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _final(self, what, path):
        try:
            yield
        except OSError as error:
            self.failed = failed(what, path, error, _DISK)
            raise self.failed from error

    def _refuse(self):
        if self.failed is not None:
            raise self.failed
        if self._fd < 0:
            raise ValueError("the writer is closed")

    def _let_go(self):
        with contextlib.suppress(OSError):
            self._spare.close()
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._fd)
            self._fd = -1
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1
        if self._mark is not None:
            self._mark.close()


def _write(fd, view, off):
    """All of view at off; raises OSError."""
    while view.size:
        done = os.pwrite(fd, view, off)
        view, off = view[done:], off + done
