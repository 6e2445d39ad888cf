"""Torn tails: every one of the last 4,096 bytes cut, zeroed and randomised; holes; stale blocks.

The judge is a model that knows where the blocks lie and how far the disk had them, and nothing of
checksums.
"""

import os

import numpy as np
import pytest

from appliance.journal import watermark
from appliance.journal.errors import Corrupt
from appliance.journal.scan import read, scan
from appliance.journal.writer import Writer
from tests.journal import kit

TAIL = 4096
LONG = os.environ.get("WIREMATCH_LONG") == "1"


class Journal:
    """A journal whose last segment ends in blocks that were not synced, and how to damage it."""

    def __init__(self, folder, unsynced=(1, 2, 3, 1, 4, 2)):
        self.folder = folder
        self.records = kit.make(folder, [40, 50, 25, 1, 12, 3], unsynced)
        self.number = scan(folder).segments[-1].number
        self.path = kit.path_of(folder, self.number)
        self.bytes = self.path.read_bytes()
        self.blocks = kit.blocks_of(folder, self.number)
        self.end = sum(self.blocks[-1])
        self.durable = kit.mark_of(folder)
        seq = scan(folder).segments[-1].first_seq
        self.seqs = []
        for _, sz in self.blocks:
            self.seqs.append(seq)
            seq += (sz - 64) // 128

    def damage(self, content):
        """Puts other bytes into the last segment; the index of the first block that changed."""
        self.path.write_bytes(content)
        whole = np.frombuffer(self.bytes, np.uint8)
        now = np.zeros(len(whole), np.uint8)
        now[:len(content)] = np.frombuffer(content, np.uint8)
        changed = np.flatnonzero(whole != now)
        first = min(int(changed[0]) if changed.size else self.end, len(content))
        return sum(off + sz <= first for off, sz in self.blocks), now

    def check(self, content, boot, stray=False):
        """Holds the scan to the model. stray: whole blocks lie behind the damage."""
        block, now = self.damage(content)
        off = self.blocks[block][0] if block < len(self.blocks) else self.end
        seq = self.seqs[block] if block < len(self.blocks) else len(self.records) + 1
        if off < self.durable.off or (stray and boot is None and block < len(self.blocks) - 1):
            with pytest.raises(Corrupt) as caught:
                scan(self.folder, boot)
            assert (caught.value.path, caught.value.offset, caught.value.seq) == (
                str(self.path), off, seq)
            return "corrupt"
        found = scan(self.folder, boot)
        used = np.flatnonzero(now[off:])
        assert found.last_seq == seq - 1 >= self.durable.durable_seq
        assert found.cut_bytes == (int(used[-1]) + 1 if used.size else 0)
        assert bool(found.cut_why) == bool(found.cut_bytes)
        return "cut" if found.cut_bytes else "end"


@pytest.mark.parametrize("how", ["cut", "zeroed", "randomised"])
def test_every_one_of_the_last_bytes(in_memory, how):
    journal, random = Journal(in_memory), np.random.default_rng(6)
    assert journal.end - TAIL < journal.durable.off < journal.end
    verdicts = {}
    for at in range(journal.end - TAIL, journal.end):
        if how == "cut":
            content = journal.bytes[:at]
        elif how == "zeroed":
            content = journal.bytes[:at] + bytes(len(journal.bytes) - at)
        else:
            noise = random.integers(1, 256, journal.end - at, np.uint8)
            tail = np.frombuffer(journal.bytes, np.uint8)[at:journal.end] ^ noise
            content = journal.bytes[:at] + tail.tobytes() + journal.bytes[journal.end:]
        for boot in (None, kit.OTHER_BOOT):
            verdict = journal.check(content, boot)
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
    assert sum(verdicts.values()) == 2 * TAIL and verdicts["corrupt"] > 0 < verdicts["cut"]


@pytest.mark.parametrize("value", ["zero", "random"])
def test_one_byte_with_good_blocks_behind_it_is_a_hole(in_memory, value):
    journal, random = Journal(in_memory), np.random.default_rng(7)
    verdicts = set()
    for at in range(journal.end - TAIL, journal.end, 1 if LONG else 7):
        content = bytearray(journal.bytes)
        content[at] = 0 if value == "zero" else content[at] ^ int(random.integers(1, 256))
        for boot in (None, kit.OTHER_BOOT):
            verdicts.add((journal.check(bytes(content), boot, stray=True), boot is None))
    assert verdicts >= {("corrupt", True), ("corrupt", False), ("cut", True), ("cut", False)}


def test_the_writer_cuts_what_the_scan_reports_and_goes_on(tmp_path):
    for at, boot in ((-1, None), (-300, None), (-700, kit.OTHER_BOOT), (-900, kit.OTHER_BOOT)):
        journal = Journal(tmp_path / str(at))
        content = bytearray(journal.bytes)
        content[journal.end + at] ^= 0x40
        if boot is None:
            content[journal.end + at + 1:] = bytes(len(content) - journal.end - at - 1)
        journal.path.write_bytes(content)
        found = scan(journal.folder, boot)
        assert found.cut_bytes and found.boot_changed == (boot is not None)
        assert journal.path.read_bytes() == content, "a scan changes nothing"
        with Writer(journal.folder, kit.GENESIS, 0, segment_sz=kit.SMALL, boot=boot) as writer:
            assert writer.found == found and writer.next_seq == found.last_seq + 1
            rows = kit.records(writer.next_seq, 150, seed=9)
            writer.append(rows)
        after = scan(journal.folder, hashes=True)
        assert after.clean and not after.cut_bytes and not after.boot_changed
        wanted = np.concatenate([journal.records[:found.last_seq], rows])
        assert np.array_equal(np.concatenate(list(read(journal.folder))), wanted)


def test_a_torn_tail_is_durably_gone_before_the_watermark_moves(tmp_path):
    journal = Journal(tmp_path)
    content = bytearray(journal.bytes)
    content[journal.durable.off + 70] ^= 1
    journal.path.write_bytes(content)
    writer = Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL, boot=kit.OTHER_BOOT)
    kit.kill(writer)
    assert not any(journal.path.read_bytes()[journal.durable.off:])
    mark = kit.mark_of(tmp_path)
    assert mark.boot == watermark.boot_id() and mark.off == journal.durable.off
    assert scan(tmp_path).last_seq == journal.durable.durable_seq


def test_stale_blocks_of_a_recycled_file_are_not_taken(tmp_path):
    old, new = Journal(tmp_path / "old"), Journal(tmp_path / "new", unsynced=())
    assert old.number == new.number and old.blocks[:len(new.blocks)] == new.blocks
    content = new.bytes[:new.end] + old.bytes[new.end:]
    for boot in (None, kit.OTHER_BOOT):
        assert new.check(content, boot) == "cut"
    assert "stale" in scan(new.folder).cut_why
    first = kit.blocks_of(tmp_path / "old", 1)
    closed = kit.path_of(tmp_path / "old", 1).read_bytes()
    off, sz = next((off, sz) for off, sz in first if sz < len(new.bytes) - new.end)
    content = new.bytes[:new.end] + closed[off:off + sz]
    assert new.check(content + bytes(len(new.bytes) - len(content)), None) == "cut"
    assert "another segment" in scan(new.folder).cut_why


def test_a_whole_segment_of_another_day_is_refused(tmp_path):
    old, new = Journal(tmp_path / "old"), Journal(tmp_path / "new")
    new.path.write_bytes(old.bytes)
    with pytest.raises(Corrupt, match="goes on with sequence"):
        scan(new.folder)
