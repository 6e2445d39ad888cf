"""A shadow's core follows a journal at work: snapshots, checks, marks of a live matcher."""

import numpy as np
import pytest

from appliance.journal import checks, recover, snapshot_file, state_hash, watermark
from appliance.journal.errors import Corrupt
from appliance.journal.follow import follow
from appliance.journal.genesis import build_core
from appliance.journal.replay import apply
from appliance.journal.replica import Replica
from appliance.journal.snapshot import canonical
from appliance.journal.writer import Writer
from appliance.layout.journal import CHECK_EVERY, DIVERGENCES, SHADOW_STATUS, STATE_MARK
from appliance.layout.record import JOURNAL_RECORD
from tests.hot.test_replay import played
from tests.journal import kit

SEGMENT = 1 << 18
RNG = np.random.default_rng(3)


@pytest.fixture(scope="module")
def day():
    made = played(21, 14_000)
    return made.genesis(), made.records(), made.venue


def replica(folder, status=None, said=None, **options):
    """A Replica with a status of its own, every 5,000 commands a snapshot."""
    status = np.zeros(1, SHADOW_STATUS.dtype)[0] if status is None else status
    said = [] if said is None else said
    return Replica(folder, status, say=said.append, **{"every": 5000, "kept": 2, **options})


def write(folder, day, parts=64, synced=True):
    """The day as a journal of several segments."""
    genesis, records, _ = day
    with Writer(folder, genesis, 0, segment_sz=SEGMENT, ahead=False) as writer:
        for part in np.array_split(records, parts):
            writer.append(part)
            if synced:
                writer.sync()
    return records


# -- the cursor -----------------------------------------------------------------------------------


@pytest.mark.parametrize("from_seq", [1, 2, 700, 1500])
def test_a_cursor_gives_what_is_durable_and_nothing_else(tmp_path, from_seq):
    taken, wanted = [], []
    with Writer(tmp_path, kit.GENESIS, 0, segment_sz=kit.SMALL, ahead=False) as writer:
        writer.append(kit.records(1, 20))
        writer.sync()
        with follow(tmp_path, from_seq) as cursor:
            for count in RNG.integers(1, 90, 40).tolist():
                made = kit.records(writer.next_seq, count)
                writer.append(made)
                wanted.append(made)
                if count % 3:
                    writer.sync()
                while len(part := cursor.take(int(RNG.integers(1, 60)))):
                    taken.append(part)
                    assert int(part["seq"][-1]) <= watermark.load(tmp_path).durable_seq
            writer.sync()
            while len(part := cursor.take(1000)):
                taken.append(part)
            assert cursor.number == writer.number > 3, "it went through several segments"
    whole = np.concatenate([kit.records(1, 20), *wanted])
    assert np.concatenate(taken).tobytes() == whole[from_seq - 1:].tobytes()


def test_each_byte_is_read_once(tmp_path, monkeypatch):
    kit.make(tmp_path, [80] * 12)
    with follow(tmp_path) as cursor:
        import os
        read, real = [], os.preadv

        def counted(fd, views, off):
            read.append(real(fd, views, off))
            return read[-1]

        monkeypatch.setattr(os, "preadv", counted)
        while len(cursor.take(50)):
            pass
        for _ in range(10):
            assert not len(cursor.take(50))
    assert sum(read) == sum(size for number in range(1, cursor.number + 1)
                            for _, size in kit.blocks_of(tmp_path, number))


def test_a_cursor_refuses_a_spoilt_block_and_names_the_place(tmp_path):
    kit.make(tmp_path, [20] * 4)
    path, (off, _) = kit.path_of(tmp_path), kit.blocks_of(tmp_path)[2]
    data = bytearray(path.read_bytes())
    data[off + 100] ^= 1
    path.write_bytes(data)
    with follow(tmp_path) as cursor, pytest.raises(Corrupt, match=f"offset {off}, sequence 41"):
        while len(cursor.take(100)):
            pass


def test_without_a_journal_there_is_nothing_to_follow(tmp_path):
    with pytest.raises(FileNotFoundError):
        follow(tmp_path)


# -- the replica ----------------------------------------------------------------------------------


def test_it_follows_a_writer_at_work_and_ends_in_the_live_state(tmp_path, day):
    genesis, records, venue = day
    status = np.zeros(1, SHADOW_STATUS.dtype)[0]
    with Writer(tmp_path, genesis, 0, segment_sz=SEGMENT, ahead=False) as writer:
        writer.append(records[:10])
        writer.sync()
        shadow = replica(tmp_path, status)
        for part in np.array_split(records[10:], 50):
            writer.append(part)
            while shadow.turn(int(RNG.integers(1, 3000))):
                pass
            assert shadow.seq == writer.durable_seq
            if RNG.integers(2):
                writer.sync()
    shadow.finish()
    assert state_hash.of(shadow.core) == state_hash.of(venue.core)
    assert int(status["seq"]) == len(records) and not status["diverged_cnt"]
    assert [seq for seq, _ in snapshot_file.found(tmp_path)] == [len(records), 15_000] or \
        int(status["snapshots"]) == len(records) // 5000 + 1
    found = recover.recover(tmp_path)
    assert found.snapshot_seq == len(records) and not found.passed_over


def test_a_snapshot_is_never_ahead_of_the_disk(tmp_path, day):
    genesis, records, _ = day
    with Writer(tmp_path, genesis, 0, segment_sz=SEGMENT, ahead=False) as writer:
        writer.append(records[:3000])
        writer.sync()
        writer.append(records[3000:9000])
        shadow = replica(tmp_path, every=100)
        while shadow.turn():
            pass
        newest = snapshot_file.found(tmp_path)[0][0]
        assert newest == writer.durable_seq // 100 * 100, "a roll has synced"
        assert writer.next_seq - 1 == 9000 > writer.durable_seq == shadow.seq
        writer.sync()
        while shadow.turn():
            pass
        assert snapshot_file.found(tmp_path)[0][0] == 9000


@pytest.mark.parametrize("kept", [1, 2, 5])
def test_the_newest_are_kept_and_each_of_them_can_be_used(tmp_path, day, kept):
    records = write(tmp_path, day)
    shadow = replica(tmp_path, every=1500, kept=kept)
    while shadow.turn():
        left = snapshot_file.found(tmp_path)
        assert len(left) == min(kept, int(shadow.status["snapshots"]))
    wanted = state_hash.of(shadow.core)
    shadow.close()
    for seq, path in snapshot_file.found(tmp_path):
        done = recover.recover(tmp_path)
        assert done.snapshot_seq == seq and done.replayed == len(records) - seq
        assert state_hash.of(done.core) == wanted
        path.unlink()
    assert recover.recover(tmp_path).snapshot_seq == 0


def test_a_spoilt_snapshot_is_put_aside_an_older_one_used_then_the_genesis(tmp_path, day):
    records = write(tmp_path, day)
    first = replica(tmp_path)
    first.finish()
    (new, newest), (old, older) = snapshot_file.found(tmp_path)
    assert new == len(records)

    def spoil(path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)

    for spoilt, wanted in ((newest, old), (older, 0)):
        spoil(spoilt)
        assert recover.recover(tmp_path).snapshot_seq == wanted
        said, status = [], np.zeros(1, SHADOW_STATUS.dtype)[0]
        again = replica(tmp_path, status, said, every=10**9)
        assert int(status["begun_seq"]) == wanted and int(status["passed_over"]) == 1
        assert "checksum is wrong" in said[0] and spoilt.with_suffix(".wms.bad").exists()
        while again.turn():
            pass
        assert state_hash.of(again.core) == state_hash.of(first.core)
        assert int(status["checked"]) >= (len(records) - wanted) // CHECK_EVERY
        assert not status["diverged_cnt"], "an older history says the same"
        again.close()


def test_half_written_snapshots_and_those_of_a_lost_future_are_not_used(tmp_path, day):
    genesis, records, _ = day
    write(tmp_path, (genesis, records[:6000], None))
    core = build_core(genesis)
    apply(core, records[:7000])
    ahead = snapshot_file.write(tmp_path, genesis, canonical(core))
    half = tmp_path / "snapshot-000000006000.new"
    half.write_bytes(ahead.read_bytes()[:5000])
    assert recover.recover(tmp_path).snapshot_seq == 0
    said = []
    shadow = replica(tmp_path, said=said)
    shadow.finish()
    assert not half.exists() and not ahead.exists() and "ends at 6000" in said[0]
    assert recover.recover(tmp_path).snapshot_seq == 6000


def test_a_snapshot_that_cannot_be_written_is_told_and_tried_again(tmp_path, day, monkeypatch):
    write(tmp_path, day)
    said, real = [], snapshot_file.os.fdatasync

    def full(fd):
        raise OSError(28, "No space left on device")

    shadow = replica(tmp_path, said=said)
    monkeypatch.setattr(snapshot_file.os, "fdatasync", full)
    shadow.checks.sync = lambda: None
    while shadow.seq < 5000:
        shadow.turn()
    assert int(shadow.status["snapshot_failures"]) == 1 and "No space left" in said[0]
    assert snapshot_file.found(tmp_path) == snapshot_file.unfinished(tmp_path) == []
    monkeypatch.setattr(snapshot_file.os, "fdatasync", real)
    shadow.finish()
    assert len(snapshot_file.found(tmp_path)) == 2


# -- what it compares -----------------------------------------------------------------------------


def marked(core, seq):
    """The STATE_MARK that a matcher in this state leaves (hot/gate.py has the real one)."""
    mark = np.zeros(1, STATE_MARK.dtype)
    engine, log, sessions = core.book.engine[0], core.feed.log[0], core.accounts.sessions
    mark["seq"], mark["checksum"] = seq, core.journal.header[0]["checksum"]
    mark["feed_off"], mark["feed_seq"] = log["write_off"], log["next_seq"]
    mark["order_ref"], mark["match"] = engine["next_order_ref"], engine["next_match"]
    mark["live_orders"], mark["pages"] = engine["live_orders"], engine["free_page"]
    mark["chunks"], mark["timers"] = engine["free_chunk"], engine["timer_cnt"]
    mark["streams"], mark["users"] = (sessions[name].sum() for name in (
        "next_seq", "last_user_ref"))
    return mark


def test_every_field_of_a_mark_is_compared_at_its_command(tmp_path, day):
    genesis, records, _ = day
    write(tmp_path, day)
    core = build_core(genesis)
    apply(core, records[:4321])
    good = marked(core, 4321)
    for name in (None, *DIVERGENCES[:-2]):
        mark, status = good.copy(), np.zeros(1, SHADOW_STATUS.dtype)[0]
        if name:
            mark[name] += np.uint64(1)
        shadow = replica(tmp_path, status, marks=mark, every=0)
        while shadow.turn():
            pass
        shadow.close()
        if name is None:
            assert int(status["marks"]) == 1 and not status["diverged_cnt"]
            continue
        assert int(status["diverged_seq"]) == 4321 and int(status["diverged_cnt"]) == 1
        assert DIVERGENCES[int(status["diverged_what"])] == name
        assert int(status["diverged_live"]) == int(status["diverged_here"]) + 1


def test_the_checks_do_not_depend_on_who_followed_and_from_where(tmp_path, day):
    genesis, records, _ = day
    found = []
    for folder, parts, cut in (("one", 7, None), ("two", 300, 5000)):
        write(tmp_path / folder, day, parts)
        shadow = replica(tmp_path / folder, every=0 if cut is None else cut)
        while shadow.turn(int(RNG.integers(1, 5000))):
            pass
        shadow.close()
        rows = checks.read(tmp_path / folder, genesis)
        found.append({int(row["seq"]): int(row["state_hash"]) for row in rows})
    assert len(found[0]) == len(records) // CHECK_EVERY
    assert {**found[1], **found[0]} == found[1]
    again = replica(tmp_path / "one", every=0)
    while again.turn(999):
        pass
    assert int(again.status["checked"]) == len(found[0]) and not again.status["diverged_cnt"]


def test_another_history_is_found_at_its_check(tmp_path, day):
    """A recorded hash that this replay does not have: what a changed program would be."""
    genesis, _, _ = day
    write(tmp_path, day)
    first = replica(tmp_path, every=0)
    while first.turn():
        pass
    first.close()
    rows = checks.read(tmp_path, genesis)
    path = tmp_path / checks.NAME
    for field in ("state_hash", "output_hash"):
        path.unlink()
        spoilt = checks.Checks(tmp_path, genesis, lambda: 0)
        for number, row in enumerate(rows):
            values = {name: int(row[name]) for name in (
                "seq", "from_seq", "state_hash", "output_hash")}
            values[field] ^= number == 1
            spoilt.write(**values)
        spoilt.close()
        status = np.zeros(1, SHADOW_STATUS.dtype)[0]
        again = replica(tmp_path, status, every=0)
        while again.turn():
            pass
        again.close()
        assert int(status["diverged_seq"]) == int(rows["seq"][1])
        assert DIVERGENCES[int(status["diverged_what"])] == field
        assert int(status["checked"]) == len(rows) - 1


def test_a_torn_file_of_checks_is_cut_and_gone_on_with(tmp_path, day):
    genesis, _, _ = day
    write(tmp_path, day)
    shadow = replica(tmp_path, every=0)
    while shadow.turn():
        pass
    shadow.close()
    path, whole = tmp_path / checks.NAME, checks.read(tmp_path, genesis)
    data = path.read_bytes()
    for spoilt in (data[:-1], data[:-30], data[:-64] + bytes(64), data[:70], data[:10],
                   data[:-20] + b"x" + data[-19:]):
        path.write_bytes(spoilt)
        assert len(checks.read(tmp_path, genesis)) < len(whole)
        again = replica(tmp_path, every=0)
        while again.turn():
            pass
        again.close()
        got = checks.read(tmp_path, genesis)
        for name in ("seq", "from_seq", "state_hash", "output_hash"):
            assert got[name].tolist() == whole[name].tolist()
    with pytest.raises(Corrupt, match="another genesis"):
        checks.read(tmp_path, {**genesis, "date": 20200101})


def test_every_order_has_its_turn_in_the_sample(day):
    """One share more in any live order is another hash within SHARE checks."""
    from appliance.journal import samples
    genesis, records, _ = day
    core = build_core(genesis)
    apply(core, records[:len(records) // 2])
    turns = [CHECK_EVERY * turn for turn in range(samples.SHARE)]
    before = [samples.state(core, seq) for seq in turns]
    pages = np.flatnonzero(core.accounts.pages["live_cnt"])
    handles = (pages[:, None] * 256 + np.arange(256)).reshape(-1)
    handles = handles[core.book.orders["qty"][handles] != 0]
    assert len(handles) > 20
    for handle in handles[::max(1, len(handles) // 40)]:
        core.book.orders["qty"][handle] += 1
        after = [samples.state(core, seq) for seq in turns]
        core.book.orders["qty"][handle] -= 1
        assert sum(x != y for x, y in zip(before, after)) == 1
    assert JOURNAL_RECORD.size == 128


def test_a_start_reads_only_what_is_behind_the_snapshot(tmp_path, day, monkeypatch):
    """`resume` gives the core that `recover` gives, by reading the tail alone."""
    records = write(tmp_path, day)
    shadow = replica(tmp_path)
    while shadow.turn():
        pass
    shadow.close()
    for last_seq in (len(records), 11_111, 4_000):
        wanted = recover.recover(tmp_path, last_seq=last_seq)
        read, real = [], recover.follow
        monkeypatch.setattr(recover, "follow", lambda *given: read.append(real(*given)) or read[-1])
        done = recover.resume(tmp_path, last_seq)
        monkeypatch.undo()
        assert (done.snapshot_seq, done.replayed) == (wanted.snapshot_seq, wanted.replayed)
        assert state_hash.of(done.core) == state_hash.of(wanted.core)
        assert read[0].next_seq == last_seq + 1
    assert recover.resume(tmp_path, len(records)).snapshot_seq > 0
    with pytest.raises(Corrupt, match="up to which a writer has read it"):
        recover.resume(tmp_path, len(records) + 1)
