"""A day's journal on disk, played, compared, exported and recovered."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from appliance.cli import main
from appliance.journal import snapshot_file, state_hash
from appliance.journal.export import columns
from appliance.journal.genesis import build_core
from appliance.journal.outputs import Missed, Outputs
from appliance.journal.play import Differs, play
from appliance.journal.recover import NoJournal, recover
from appliance.journal.replay import apply
from appliance.journal.snapshot import canonical
from appliance.journal.writer import Writer
from appliance.layout.shared import COUNTER_INDEX
from tests.hot.test_replay import outputs, played

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def day():
    return played(21, 4_000)


def write(folder, day, stop=None, genesis=None, check=None):
    """The journal of a day, in many blocks; check: (sequence, state hash, outputs' digest)."""
    records = day.records()[:stop]
    with Writer(folder, genesis or day.genesis(), 0, segment_sz=256 << 10) as writer:
        for first in range(0, len(records), 37):
            if check and first < check[0] <= first + 37:
                writer.append(records[first:check[0]])
                writer.check(check[1], check[2])
                writer.append(records[check[0]:first + 37])
            else:
                writer.append(records[first:first + 37])
        writer.sync()
    return folder


def told(found):
    return {name: value for name, value in found.items() if name != "seconds"}


def wirematch(*arguments, code=0):
    """Standard output of `wirematch journal ...` in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "appliance.cli", "journal", *map(str, arguments)],
                          cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == code, done.stderr[-4000:]
    return done.stdout if code == 0 else done.stderr


def test_a_journal_played_says_what_the_live_core_said(day, tmp_path):
    folder, live = write(tmp_path, day), day.venue.core
    expected = {"seq": len(day.records()), "state_hash": f"{state_hash.of(live):016x}",
                "outputs": f"{Outputs(live).digest():016x}", "checked_seq": 0}
    for burst in (7, 64, 4000):
        assert told(play(folder, burst)) == expected
    part = play(folder, 64, 1_000)
    core = day.twin()
    apply(core, day.records()[:1_000])
    assert (part["seq"], part["state_hash"]) == (1_000, f"{state_hash.of(core):016x}")
    assert part["outputs"] != expected["outputs"]


def test_the_command_says_the_same_with_the_compiler_and_without(tmp_path):
    day = played(22, 500)
    folder = write(tmp_path, day)
    quick = json.loads(wirematch("replay", folder, "--json"))
    assert told(json.loads(wirematch("replay", folder, "--json", "--no-jit", "--burst", 5))) \
        == told(quick)
    assert quick["state_hash"] == f"{state_hash.of(day.venue.core):016x}"
    line = wirematch("replay", folder, "--snapshot")
    assert line.startswith(f"sequence {quick['seq']}  state {quick['state_hash']}  outputs "
                           f"{quick['outputs']}  (")
    assert [seq for seq, _ in snapshot_file.found(folder)] == [quick["seq"]]
    assert "holds no journal" in wirematch("replay", tmp_path.parent / "nowhere", code=1)


def test_hashes_that_the_journal_recorded_are_compared(day, tmp_path):
    core = day.twin()
    apply(core, day.records()[:1_500])
    state, said = state_hash.of(core), Outputs(core).digest()
    good = write(tmp_path / "good", day, check=(1_500, state, said))
    for burst in (64, 4000):
        assert play(good, burst)["checked_seq"] == 1_500
    half = write(tmp_path / "half", day, check=(1_500, state, 0))
    assert play(half, 4000)["checked_seq"] == 1_500
    for name, wrong, why in (("state", (state ^ 1, said), f"state is {state:016x}, .* "
                                                          f"{state ^ 1:016x}"),
                             ("said", (state, said ^ 1), f"outputs is {said:016x}, .* "
                                                         f"{said ^ 1:016x}")):
        folder = write(tmp_path / name, day, check=(1_500, *wrong))
        with pytest.raises(Differs, match=f"sequence 1500: the hash of the {why}"):
            play(folder, 64)


@pytest.fixture
def parted(day, tmp_path):
    """(folder, what a change of a day's records makes of it) for `diff`."""
    def make(spoil, **options):
        other = Spoilt(day)
        spoil(other.rows)
        return write(tmp_path / "other", other, **options)
    return write(tmp_path / "one", day), make


class Spoilt:
    """Stands for a day that has other records."""

    def __init__(self, day):
        self.rows, self.genesis = day.records().copy(), day.genesis

    def records(self):
        return self.rows


def diff(one, other):
    result = CliRunner().invoke(main, ["journal", "diff", str(one), str(other)])
    return result.exit_code, result.stdout + result.stderr


def test_equal_journals_are_equal_however_they_were_cut(day, parted, tmp_path):
    one, _ = parted
    other = tmp_path / "two"
    with Writer(other, day.genesis(), 0, segment_sz=1 << 20) as writer:
        writer.append(day.records())
        writer.sync()
    assert diff(one, other) == (0, f"equal: genesis and {len(day.records())} records\n")


def test_the_first_difference_is_named(day, parted):
    one, make = parted
    kinds = day.records()["command"][:, 0]
    at = int(np.flatnonzero(kinds == 1)[500])
    def spoil(rows):
        rows["command"][at, 12] ^= 1                            # the quantity
        rows["detail"][at + 5] ^= 1
    code, text = diff(one, make(spoil))
    assert code == 1 and text.count("\n") == 1
    assert text.startswith(f"sequence {at + 1}: command.qty: ") and " and " in text


def test_a_longer_journal_and_another_genesis_are_told(day, parted):
    one, make = parted
    genesis = {**day.genesis(), "date": 20261123}
    code, text = diff(one, make(lambda rows: None, stop=900, genesis=genesis))
    assert code == 1 and text.startswith("genesis: date: 20261122 and 20261123\n")
    assert f"equal up to sequence 900, where one ends; {one} goes on to {len(day.records())}" \
        in text


def test_export_has_a_row_a_command(day, tmp_path):
    folder, path = write(tmp_path / "journal", day), tmp_path / "day.csv"
    out = wirematch("export", folder, "--commands", "--csv", path)
    assert out == f"{path}: {len(day.records())} commands\n"
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    expected = columns(day.records(), day.genesis())
    assert list(rows[0]) == list(expected) and len(rows) == len(day.records())
    for name, values in expected.items():
        assert [row[name] for row in rows] == [str(value) for value in values.tolist()], name
    first = next(row for row in rows if row["kind"] == "enter")
    assert first["account_name"] == f"ACC{first['account']}" and rows[0]["account_name"] == ""
    assert first["utc"] == f"1970-01-01T00:00:{int(first['time_ns']) / 10**9:012.9f}Z"
    assert first["side_letter"] in "BSTE" and first["symbol_text"] in ("AAA", "BBB", "LONGNAME")


def test_parquet_says_what_it_needs(day, tmp_path):
    folder, path = write(tmp_path / "journal", day, 500), tmp_path / "day.parquet"
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        assert "pip install pyarrow" in wirematch("export", folder, "--commands", "--parquet", path,
                                                  code=77)
        return
    wirematch("export", folder, "--commands", "--parquet", path)
    table, expected = pyarrow.parquet.read_table(path), columns(
        day.records()[:500], day.genesis())
    for name, values in expected.items():
        assert table[name].to_pylist() == values.tolist(), name


# ---- recovery -----------------------------------------------------------------------------------

def keep(folder, day, *sequences):
    """Snapshots of a day's states."""
    core, done = build_core(day.genesis()), 0
    for seq in sorted(sequences):
        apply(core, day.records()[done:seq])
        done = seq
        snapshot_file.write(folder, day.genesis(), canonical(core))


def test_recovery_begins_with_the_newest_snapshot(day, tmp_path):
    folder, expected = write(tmp_path, day), state_hash.of(day.venue.core)
    total = len(day.records())
    found = recover(folder)
    assert (found.snapshot_seq, found.replayed) == (0, total)
    assert state_hash.of(found.core) == expected
    keep(folder, day, 700, 2_000, total)
    for last_seq, seq in ((None, total), (total - 1, 2_000), (2_000, 2_000), (1_999, 700), (50, 0)):
        found = recover(folder, last_seq=last_seq)
        assert (found.snapshot_seq, found.passed_over) == (seq, ())
        assert found.replayed == (last_seq or total) - seq
        assert state_hash.of(found.core) == state_hash.of(
            recover(folder, last_seq=last_seq, snapshots=False).core)
    assert outputs(recover(folder).core) == outputs(day.venue.core)


def test_snapshots_that_cannot_be_used_are_passed_over(day, tmp_path):
    folder = write(tmp_path, day, 2_500)
    keep(folder, day, 500, 1_000, 1_500, 2_000, 2_600)
    spoilt = snapshot_file.path_of(folder, 2_000)
    spoilt.write_bytes(spoilt.read_bytes()[:-1] + b"?")
    other = snapshot_file.read(snapshot_file.path_of(folder, 1_500))
    snapshot_file.write(folder, {**other.genesis, "date": 20261123}, other.sections)
    found = recover(folder)
    assert found.snapshot_seq == 1_000 and len(found.passed_over) == 3
    for text, why in zip(found.passed_over, ("ends at 2500", "checksum is wrong",
                                             "another genesis"), strict=True):
        assert why in text
    core = day.twin()
    apply(core, day.records()[:2_500])
    assert state_hash.of(found.core) == state_hash.of(core)
    with pytest.raises(NoJournal, match="holds no journal"):
        recover(tmp_path / "nowhere")


def test_outputs_are_counted_though_the_feed_forgets():
    day = played(23, 3_000, feed_bytes=1 << 16, feed_messages=1 << 11)
    records, found = day.records(), set()
    for burst in (1, 13, 100):
        core = day.twin()
        running = Outputs(core)
        for first in range(0, len(records), burst):
            apply(core, records[first:first + burst])
            running.follow()
        found.add(running.digest())
    assert len(found) == 1 and core.feed.log[0]["oldest_seq"] > 1
    assert core.counters[COUNTER_INDEX["feed_overrun"]] == 0, "nothing was to be sent"
    with pytest.raises(Missed, match="feed messages 1 to"):
        Outputs(core)


def test_an_accounts_stream_comes_from_the_journal_byte_by_byte(day, tmp_path):
    folder = write(tmp_path / "day", day)
    wanted = outputs(day.venue.core)
    for account, row in enumerate(day.genesis()["accounts"]):
        path = tmp_path / f"{account}"
        result = CliRunner().invoke(main, ["journal", "streams", str(folder), row["name"],
                                           str(path)])
        assert result.exit_code == 0, result.output
        assert path.read_bytes() == wanted[account]
        count = int(day.venue.core.accounts.sessions[account]["next_seq"]) - 1
        assert f"{count} messages, {len(wanted[account])} bytes" in result.output
    assert sum(map(len, wanted[:-1])) > 10_000
    result = CliRunner().invoke(main, ["journal", "streams", str(folder), "NOBODY", "x"])
    assert result.exit_code == 1 and "account 'NOBODY'" in result.output
