"""Bit flips anywhere in a journal's files: each is detected and placed, and none starts anybody.

1,000 flips; 100,000 with WIREMATCH_LONG=1. And every reason for which the judge refuses a block.
"""

import os

import numpy as np
import pytest
from click.testing import CliRunner

from appliance.cli import main
from appliance.journal import segments, watermark
from appliance.journal.errors import Corrupt, JournalFailed
from appliance.journal.scan import read, scan
from appliance.journal.writer import Writer
from appliance.layout import journal as lay
from appliance.layout.record import COMMAND, DETAIL, JOURNAL_RECORD
from appliance.native import ffi, lib
from tests.journal import kit

FLIPS = 100_000 if os.environ.get("WIREMATCH_LONG") == "1" else 1_000


def place_of(folder, path, at):
    """(offset of the block, header or genesis that holds byte `at` of a segment, is it written)."""
    head = segments.Head(path.read_bytes())
    if at < head.header_sz:
        return 0, True
    for off, sz in kit.blocks_of(folder, head.generation):
        if off <= at < off + sz:
            return off, True
    return off + sz, False


def judge(folder, path, at, written):
    """What became of one flip: its verdict, after holding it to where the flip is."""
    name, (off, used) = path.name, (0, True)
    if name != watermark.NAME:
        off, used = place_of(folder, path, at) if written is None else written
    try:
        found = scan(folder)
        got = np.concatenate(list(read(folder)))
    except Corrupt as error:
        assert name != watermark.NAME and (error.path, error.offset) == (str(path), off)
        return "corrupt"
    if name == watermark.NAME:
        idx = at // lay.SEGMENT_HEADER_SZ
        assert f"superblock {idx}" in found.damaged and found.last_seq == len(got)
        return "superblock"
    assert found.cut_bytes and f"{path}, offset {off}," in found.cut_why
    assert len(got) == found.last_seq >= found.durable_seq
    return "cut" if used else "beyond the end"


def test_every_flipped_bit_is_detected_and_placed(in_memory):
    folder = in_memory
    records = kit.make(folder, [40, 50, 25, 60, 12, 3], [1, 2, 5])
    files = sorted(path for path in folder.iterdir())
    assert [path.name for path in files] == [
        "segment-000001.wmj", "segment-000002.wmj", "segment-000003.wmj", "watermark"]
    random, verdicts = np.random.default_rng(2026), {}
    sizes = [path.stat().st_size for path in files]
    for flip in range(FLIPS):
        idx = int(random.choice(len(files), p=np.array(sizes) / sum(sizes)))
        path, at = files[idx], int(random.integers(sizes[idx]))
        written = None if path.name == watermark.NAME else place_of(folder, path, at)
        with open(path, "r+b", buffering=0) as file:
            byte = os.pread(file.fileno(), 1, at)[0]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << int(random.integers(8))]), at)
            try:
                verdict = judge(folder, path, at, written)
            except AssertionError as error:
                raise AssertionError(f"flip {flip}: {path.name}, byte {at}") from error
            finally:
                os.pwrite(file.fileno(), bytes([byte]), at)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
    assert sum(verdicts.values()) == FLIPS and set(verdicts) == {
        "corrupt", "superblock", "cut", "beyond the end"}
    assert np.array_equal(np.concatenate(list(read(folder))), records)


def test_both_superblocks_bad_or_the_watermark_gone_is_corrupt(tmp_path):
    kit.make(tmp_path, [5, 5])
    path = tmp_path / watermark.NAME
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    content[lay.SEGMENT_HEADER_SZ + 20] ^= 1
    for bad, why in ((content, "both superblocks"), (bytes(len(content)), "missing"),
                     (None, "missing")):
        path.unlink() if bad is None else path.write_bytes(bad)
        with pytest.raises(Corrupt, match=why) as caught:
            scan(tmp_path)
        assert caught.value.path == str(path)


def test_files_that_are_missing_renamed_or_linked(tmp_path):
    def fresh(name):
        kit.make(tmp_path / name, [90, 90, 90], [1])
        return tmp_path / name

    folder = fresh("middle")
    kit.path_of(folder, 2).unlink()
    with pytest.raises(Corrupt, match="000002.*is missing"):
        scan(folder)
    folder = fresh("last")
    kit.path_of(folder, 3).unlink()
    with pytest.raises(Corrupt, match="000003.*sequence 270 is in it"):
        scan(folder)
    folder = fresh("renamed")
    kit.path_of(folder, 3).rename(kit.path_of(folder, 4))
    kit.path_of(folder, 2).rename(kit.path_of(folder, 3))
    kit.path_of(folder, 1).rename(kit.path_of(folder, 2))
    with pytest.raises(Corrupt, match="it was renamed"):
        scan(folder)
    folder = fresh("linked")
    kit.path_of(folder, 2).rename(tmp_path / "elsewhere")
    kit.path_of(folder, 2).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalFailed, match="no symbolic links"):
        scan(folder)
    folder = fresh("first")
    kit.path_of(folder, 1).unlink()
    assert (scan(folder).first_seq, scan(folder).last_seq) == (91, 271), "put away is allowed"
    assert scan(tmp_path / "nothing") is None
    with pytest.raises(JournalFailed, match="Not a directory"):
        scan(kit.path_of(folder, 2))


def test_a_closed_segment_that_lost_its_last_block_is_corrupt_at_that_place(tmp_path):
    kit.make(tmp_path, [40, 40, 50])
    off, _ = kit.blocks_of(tmp_path, 1)[-1]
    os.truncate(kit.path_of(tmp_path, 1), off)
    with pytest.raises(Corrupt, match="blocks are missing here") as caught:
        scan(tmp_path)
    assert (caught.value.path, caught.value.offset, caught.value.seq) == (
        str(kit.path_of(tmp_path, 1)), off, 41)


def test_another_partitions_segment_or_watermark_is_refused(tmp_path):
    kit.make(tmp_path / "a", [5])
    other = {**kit.GENESIS, "partition": 4}
    with Writer(tmp_path / "b", other, 0, segment_sz=kit.SMALL) as writer:
        writer.append(kit.records(1, 5))
    (tmp_path / "b" / watermark.NAME).replace(tmp_path / "a" / watermark.NAME)
    with pytest.raises(Corrupt, match="is of partition 3, the watermark of partition 4"):
        scan(tmp_path / "a")


def test_another_format_is_named_and_not_called_corrupt(tmp_path):
    kit.make(tmp_path, [5])
    path = kit.path_of(tmp_path)
    content = bytearray(path.read_bytes())
    content[lay.SEGMENT["format"].off] = 9
    crc = segments.crc32c(bytes(content[12:lay.SEGMENT_HEADER_SZ]))
    content[8:12] = crc.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(JournalFailed, match="it has format 9.*use the release that wrote it"):
        scan(tmp_path)


def test_hashes_of_closed_segments_are_checked_by_verify_only(tmp_path):
    kit.make(tmp_path, [90, 90])
    path = kit.path_of(tmp_path, 2)
    content = bytearray(path.read_bytes())
    content[lay.SEGMENT["before_sha256"].off] ^= 1
    content[8:12] = segments.crc32c(bytes(content[12:lay.SEGMENT_HEADER_SZ])).to_bytes(4, "little")
    first = content[lay.SEGMENT_HEADER_SZ:]
    row = np.frombuffer(first, lay.JOURNAL_BLOCK.dtype, 1)[0]
    row["prev_crc"] = int.from_bytes(content[8:12], "little")
    row["crc"] = segments.crc32c(bytes(first[8:int(row["sz"])]))
    path.write_bytes(bytes(content[:lay.SEGMENT_HEADER_SZ]) + bytes(first))
    assert scan(tmp_path).last_seq == 180
    with pytest.raises(Corrupt, match="another SHA-256"):
        scan(tmp_path, hashes=True)


def forge(content, off, size, spare):
    """Changes 4 bytes at `spare` so that a block has the checksum that stands in it."""
    wanted = int.from_bytes(content[off + 4:off + 8], "little")

    def crc():
        return segments.crc32c(bytes(content[off + 8:off + size]))

    plain, solved = crc(), {}                  # what one bit changes does not depend on the others
    for bit in range(32):
        content[spare + bit // 8] ^= 1 << bit % 8
        change, bits = crc() ^ plain, 1 << bit
        content[spare + bit // 8] ^= 1 << bit % 8
        while change.bit_length() in solved:
            other = solved[change.bit_length()]
            change, bits = change ^ other[0], bits ^ other[1]
        solved[change.bit_length()] = change, bits
    missing, mask = plain ^ wanted, 0
    while missing:
        change, bits = solved[missing.bit_length()]
        missing, mask = missing ^ change, mask ^ bits
    for at in range(4):
        content[spare + at] ^= mask >> 8 * at & 255
    assert crc() == wanted


def test_a_forged_closed_segment_is_found_by_verify(tmp_path):
    """Whoever makes every checksum right again does not make the SHA-256 right."""
    records = kit.make(tmp_path, [40, 40, 90])
    path = kit.path_of(tmp_path)
    off, size = kit.blocks_of(tmp_path)[0]
    content = bytearray(path.read_bytes())
    qty = off + lay.JOURNAL_BLOCK.size + JOURNAL_RECORD["command"].off + COMMAND["qty"].off
    clordid = off + lay.JOURNAL_BLOCK.size + JOURNAL_RECORD["detail"].off + DETAIL["clordid"].off
    content[qty] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="checksum is wrong"):
        scan(tmp_path)
    forge(content, off, size, clordid)
    path.write_bytes(content)
    got = np.concatenate(list(read(tmp_path)))
    assert len(got) == len(records) and (got[0]["command"] != records[0]["command"]).sum() == 1
    assert scan(tmp_path).last_seq == len(records), "without the hashes nothing is wrong"
    done = CliRunner().invoke(main, ["journal", "verify", "--no-replay", str(tmp_path)])
    assert done.exit_code == 1 and "segment before has another SHA-256" in done.stderr
    assert kit.path_of(tmp_path, 2).name in done.stderr


def walk(content, **state):
    """(why, state) of the judge over some bytes."""
    row = np.zeros(1, lay.JOURNAL_WALK.dtype)
    row["generation"], row["next_seq"] = 7, 5
    for name, value in state.items():
        row[name] = value
    data = np.frombuffer(bytes(content), np.uint8).copy()
    why = lib.wm_journal_walk(ffi.from_buffer(data), data.size, ffi.from_buffer(row), ffi.NULL)
    return why, row


def block(rows, **fields):
    """A block of records with a right checksum, whatever its fields say."""
    content = np.zeros(64 + 128 * len(rows), np.uint8)
    content[64:] = rows.view(np.uint8)
    row = content[:64].view(lay.JOURNAL_BLOCK.dtype)[0]
    fields = {"magic": lay.BLOCK_MAGIC, "generation": 7, "count": len(rows), "first_seq": 5,
              "sz": content.size, "kind": lay.BLOCK_RECORDS, **fields}
    for name, value in fields.items():
        row[name] = value
    row["crc"] = segments.crc32c(content[8:])
    return content


@pytest.mark.parametrize("why,fields,state", [
    (lay.WALK_END, {}, {}),
    (lay.WALK_MAGIC, {"magic": 1}, {}), (lay.WALK_MAGIC, {"magic": 0}, {}),
    (lay.WALK_SIZE, {"count": 2}, {}), (lay.WALK_SIZE, {"sz": 0}, {}),
    (lay.WALK_SIZE, {"count": 0xFFFFFFFF, "sz": 0xFFFFFFC0}, {}),
    (lay.WALK_SIZE, {"count": 1 << 25, "sz": 64}, {}),
    (lay.WALK_SIZE, {"kind": 3}, {}), (lay.WALK_SIZE, {"kind": lay.BLOCK_CHECK}, {}),
    (lay.WALK_SIZE, {"count": 8193, "sz": 64 + 8193 * 128}, {}),
    (lay.WALK_TORN, {"count": 8192, "sz": 64 + 8192 * 128}, {}),
    (lay.WALK_GENERATION, {"generation": 6}, {}), (lay.WALK_CHAIN, {"prev_crc": 1}, {}),
    (lay.WALK_SEQ, {"first_seq": 6}, {}), (lay.WALK_EPOCH, {"epoch": 1}, {"epoch": 2}),
    (lay.WALK_RECORDS, {}, {"time_ns": 1 << 40}),
])
def test_every_reason_to_refuse_a_block(why, fields, state):
    got, row = walk(block(kit.records(5, 3), **fields), **state)
    assert got == why and (row["next_seq"][0] == (8 if why == lay.WALK_END else 5))


def test_records_in_a_wrong_order_are_refused_whatever_the_checksum():
    rows = kit.records(5, 3)
    rows["seq"][2] = 8
    assert walk(block(rows))[0] == lay.WALK_RECORDS
    rows = kit.records(5, 3)
    rows["time_ns"][2] = rows["time_ns"][1] - 1
    assert walk(block(rows))[0] == lay.WALK_RECORDS


def test_the_judge_stays_inside_whatever_it_reads():
    random, good = np.random.default_rng(3), block(kit.records(5, 40))
    for _ in range(2000):
        content = good.copy()
        for at in random.integers(0, 64, random.integers(1, 9)):
            content[at] = random.integers(256)
        content = content[:random.integers(content.size + 1)]
        if content.size > 8:
            content[4:8].view(np.uint32)[0] = segments.crc32c(content[8:])
        why, row = walk(content)
        assert why in lay.WALK_WHY and int(row["off"][0]) <= content.size
