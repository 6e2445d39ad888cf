"""The writer: what is appended comes back, across segments, restarts, instances and levels."""

import hashlib
import os

import numpy as np
import pytest

from appliance.journal.errors import JournalFailed
from appliance.journal.scan import read, scan
from appliance.journal.segments import SPARE, genesis_text
from appliance.journal.writer import Writer
from appliance.layout import journal as lay
from tests.journal import kit


def all_of(folder, *arguments, **options):
    """Everything that read gives, as one array."""
    return np.concatenate([kit.records(1, 0), *read(folder, *arguments, **options)])


def test_records_come_back_across_segments(tmp_path):
    written = kit.make(tmp_path / "20250314" / "p3", [1, 30, 60, 7, 64, 90], [3])
    folder = tmp_path / "20250314" / "p3"
    found = scan(folder, hashes=True)
    assert (found.first_seq, found.last_seq, found.durable_seq) == (1, 255, 252)
    assert len(found.segments) == 3 and not found.cut_bytes and not found.clean
    assert found.genesis == kit.GENESIS and found.partition == 3 and found.level == lay.LEVEL_DISK
    assert np.array_equal(all_of(folder), written)
    for first in (1, 2, 90, 91, 92, 200, 252, 255):
        assert np.array_equal(all_of(folder, first), written[first - 1:])
    assert len(all_of(folder, 256)) == 0
    assert np.array_equal(all_of(folder, 5, durable=True), written[4:252])


def test_more_records_than_a_block_or_a_segment_takes_go_into_several(tmp_path):
    written = kit.make(tmp_path, [lay.BLOCK_RECORDS_MAX + 5], segment_sz=2 << 20)
    assert np.array_equal(all_of(tmp_path), written)
    assert [sz for _, sz in kit.blocks_of(tmp_path)] == [
        64 + 128 * lay.BLOCK_RECORDS_MAX, 64 + 128 * 5]
    small = tmp_path / "small"
    written = kit.make(small, [1000])
    assert np.array_equal(all_of(small), written) and len(scan(small).segments) == 11


def test_a_killed_writer_goes_on_where_it_was(tmp_path):
    parts = [kit.make(tmp_path, [10, 50], [4])]
    for _ in range(3):
        with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL) as writer:
            assert writer.found.last_seq == writer.next_seq - 1 == sum(map(len, parts))
            assert writer.durable_seq == writer.next_seq - 1
            parts.append(kit.records(writer.next_seq, 33))
            assert writer.append(parts[-1]) == writer.next_seq - 1
            assert writer.sync() == writer.durable_seq == writer.next_seq - 1
    found = scan(tmp_path, hashes=True)
    assert found.clean and found.durable_seq == found.last_seq == 64 + 99
    assert np.array_equal(all_of(tmp_path), np.concatenate(parts))


@pytest.mark.parametrize("change", [{"instance": 1}, {"level": lay.LEVEL_PROCESS},
                                    {"segment_sz": 2 * kit.SMALL}])
def test_a_new_instance_level_or_size_begins_a_segment(tmp_path, change):
    kit.make(tmp_path, [5])
    options = {"instance": 0, "segment_sz": kit.SMALL, **change}
    with Writer(tmp_path, kit.GENESIS, **options) as writer:
        writer.append(kit.records(6, 5))
    found = scan(tmp_path, hashes=True)
    assert [(row.first_seq, row.last_seq) for row in found.segments] == [(1, 5), (6, 10)]
    assert found.instance == options["instance"]
    assert found.level == options.get("level", lay.LEVEL_DISK)


def test_hashes_are_kept_and_found(tmp_path):
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL) as writer:
        writer.append(kit.records(1, 94))
        writer.check(1 << 63, 7)
        writer.append(kit.records(95, 3))
        writer.check(5, 6)
    found = scan(tmp_path)
    assert (found.checks, found.check, found.last_seq) == (2, (97, 5, 6), 97)
    assert len(found.segments) == 2


def test_a_closed_segment_has_the_hash_that_sha256sum_prints(tmp_path):
    kit.make(tmp_path, [90, 90])
    second = scan(tmp_path).segments[1]
    head = lay.SEGMENT.dtype
    row = np.fromfile(second.path, head, 1)[0]
    assert row["before_sha256"].tobytes() == hashlib.sha256(
        kit.path_of(tmp_path, 1).read_bytes()).digest()


def test_a_genesis_that_is_larger_than_a_page_lies_behind_the_header(tmp_path):
    genesis = {**kit.GENESIS, "symbols": [{"name": f"S{n}"} for n in range(1000)]}
    with Writer(tmp_path, genesis, 0, segment_sz=64 << 10) as writer:
        writer.append(kit.records(1, 700))
    found = scan(tmp_path, hashes=True)
    assert found.genesis == genesis and found.last_seq == 700 and len(found.segments) == 2
    with Writer(tmp_path, genesis, 0, segment_sz=64 << 10) as writer:
        assert writer.next_seq == 701


def test_another_configuration_is_refused_by_name(tmp_path):
    kit.make(tmp_path, [5])
    with pytest.raises(JournalFailed, match=r"other accounts, symbols\)"):
        Writer(tmp_path, {**kit.GENESIS, "symbols": [], "accounts": []}, 0, segment_sz=kit.SMALL)
    assert scan(tmp_path).last_seq == 5


def test_passwords_are_kept_out_of_a_journal():
    with pytest.raises(ValueError, match="no password"):
        genesis_text({**kit.GENESIS, "accounts": [{"name": "A", "password_hash": "x"}]})
    with pytest.raises(ValueError, match="integer date"):
        genesis_text({**kit.GENESIS, "date": "20250314"})


def test_there_is_one_writer(tmp_path):
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL):
        with pytest.raises(JournalFailed, match="another process writes"):
            Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL)
    Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL).close()


def test_records_that_do_not_follow_are_refused(tmp_path):
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL) as writer:
        writer.append(kit.records(1, 3))
        for bad in (kit.records(3, 2), kit.records(5, 1), kit.records(4, 5)[::-1]):
            with pytest.raises(ValueError, match="do not follow sequence 3"):
                writer.append(bad)
        late = kit.records(4, 2)
        late["time_ns"][1] = late["time_ns"][0] - 1
        with pytest.raises(ValueError, match="goes back"):
            writer.append(late)
        assert writer.append(kit.records(4, 0)) == 3
        assert writer.append(kit.records(4, 2)) == 5
    with pytest.raises(ValueError, match="closed"):
        writer.append(kit.records(6, 1))


def test_an_older_epoch_is_refused(tmp_path):
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL, epoch=7) as writer:
        writer.append(kit.records(1, 3))
    assert scan(tmp_path).epoch == 7
    with pytest.raises(JournalFailed, match="another owner"):
        Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL, epoch=6)


def test_the_next_segment_is_taken_on_the_disk_before_it_is_needed(tmp_path):
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=1 << 20) as writer:
        writer._spare.wait()
        spare = tmp_path / SPARE
        assert spare.stat().st_blocks * 512 >= 1 << 20 and writer.full == ""
        assert kit.path_of(tmp_path).stat().st_blocks * 512 >= 1 << 20
        number = spare.stat().st_ino
        writer.append(kit.records(1, 8000))
        writer.append(kit.records(8001, 8000))
        assert os.stat(writer.path).st_ino == number
    assert not spare.exists()


def test_a_spare_that_a_crash_left_is_no_obstacle(tmp_path):
    kit.make(tmp_path, [5])
    (tmp_path / SPARE).write_bytes(b"x" * 100)
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL) as writer:
        writer.append(kit.records(6, 200))
    assert scan(tmp_path, hashes=True).last_seq == 205


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_writer_without_rights_needs_no_way_to_its_folder(tmp_path):
    """Segments are begun through the folder itself: those above it may be closed to the user that
    the writer has become, and all that it makes belongs to that user."""
    user, folder = 62_000, tmp_path / "closed" / "p0"
    folder.parent.mkdir(mode=0o700)
    with Writer(folder, kit.GENESIS, 0, segment_sz=kit.SMALL) as writer:
        writer.append(kit.records(1, 5))
    os.chown(folder, user, user)
    for path in folder.iterdir():
        os.chown(path, user, user)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            writer = Writer(folder, kit.GENESIS, 0, segment_sz=kit.SMALL)
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            for _ in range(20):
                writer.append(kit.records(writer.next_seq, 30))
                writer.sync()
            writer.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    found = scan(folder, hashes=True)
    assert found.clean and found.last_seq == 605 and len(found.segments) > 3
    assert {path.stat().st_uid for path in folder.iterdir()} == {user}
    assert not (folder / SPARE).exists()
