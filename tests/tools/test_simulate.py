"""The simulator: it holds, it repeats itself, and it finds what is broken on purpose."""

import json
import os

import numpy as np
import pytest

from appliance.client import session
from appliance.journal import snapshot_file, writer
from appliance.journal.errors import JournalFailed, JournalFull
from appliance.journal.scan import read, scan
from appliance.layout.record import JOURNAL_RECORD
from tools.faults import simulate as command
from tools.faults.sim.canary import NAMES
from tools.faults.sim.world import World, simulate

LONG = bool(os.environ.get("WIREMATCH_LONG"))
SEEDS = 100_000 if LONG else 500
# Where a canary is found soon: the first seed to try. WIREMATCH_LONG begins at 0 for all.
SOON = {"old-snapshots": 310, "open-server": 60}
PATIENCE = 1000 if LONG else 30
GENESIS = {"partition": 0, "date": 20260101, "midnight_ns": 0, "instance": 0}


def test_no_invariant_is_violated():
    failed = [(seed, result.failures) for seed in range(SEEDS)
              if (result := simulate(seed)).failures]
    assert failed == [], "wirematch faults simulate --seed N --trace shows such a run"


def test_the_same_seed_is_the_same_run_and_another_another():
    digests = [simulate(seed).digest for seed in (1, 2, 5, 1, 2, 5)]
    assert digests[:3] == digests[3:]
    assert len(set(digests)) == 3


def test_a_seed_that_fails_fails_again_in_every_byte():
    """A new world, a trace or not: the same failures, the same digest."""
    first = next(result for seed in range(PATIENCE)
                 if (result := simulate(seed, "lazy-writer")).failures)
    lines = []
    for trace in (None, lines.append):
        again = simulate(first.seed, "lazy-writer", trace)
        assert (again.failures, again.digest) == (first.failures, first.digest)
    assert lines


def test_a_trace_changes_nothing():
    lines = []
    assert simulate(3, trace=lines.append).digest == simulate(3).digest
    assert len(lines) > 100


@pytest.mark.parametrize("name", NAMES)
def test_a_part_that_is_broken_on_purpose_is_found(name):
    first = 0 if LONG else SOON.get(name, 0)
    for seed in range(first, first + PATIENCE):
        if simulate(seed, name).failures:
            assert not simulate(seed).failures, "it was found for another reason"
            return
    pytest.fail(f"{name} was not found in {PATIENCE} seeds: {NAMES[name]}")


def test_nothing_of_a_world_stays_when_it_is_over():
    before = session.socket, writer.os, vars(snapshot_file).get("open")
    simulate(4)
    assert (session.socket, writer.os, vars(snapshot_file).get("open")) == before


def test_the_command_says_what_it_found(capsys):
    assert command.main(["--seeds", "2", "--first", "10", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["seeds"] == 2 and content["failed"] == [] and content["commands"] > 50
    assert command.main(["--canary", "lazy-writer", "--seeds", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["failed"][0]
    assert command.main(["--seed", str(found["seed"])]) == 0, "without the canary it holds"
    assert command.main(["--canary", "nightingale"]) == 2


# -- the disk --------------------------------------------------------------------------------------


@pytest.fixture
def disk():
    """A world's disk, with the journal's modules on it."""
    world = World(0)
    with world.installed():
        yield world.disk


def records(first, count):
    """Empty commands."""
    made = np.zeros(count, JOURNAL_RECORD.dtype)
    made["seq"] = np.arange(first, first + count)
    made["time_ns"] = made["seq"]
    return made


def opened():
    return writer.Writer("/disk/day", GENESIS, 0, segment_sz=32768)


def kept():
    return [int(seq) for part in read("/disk/day") for seq in part["seq"]]


def test_a_power_cut_keeps_what_was_synced_and_perhaps_more(disk):
    ends = set()
    for turn in range(40):
        made = opened()
        made.append(records(made.next_seq, 5))
        synced = made.sync()
        made.append(records(made.next_seq, 5))
        disk.power_cut()
        ends.add(scan("/disk/day").last_seq - synced)
        assert kept() == list(range(1, scan("/disk/day").last_seq + 1)), turn
    assert ends == {0, 5}


def test_what_a_failed_sync_left_in_the_cache_is_brought_to_the_disk_by_the_next_start(disk):
    made = opened()
    made.append(records(1, 8))
    made.sync()
    made.append(records(9, 8))
    disk.failing = 1
    with pytest.raises(JournalFailed):
        made.sync()
    disk.revive()
    again = opened()
    assert again.next_seq == 17, "this boot's cache still shows them"
    assert again.durable_seq == disk.safe_seq == 16
    disk.power_cut()
    assert scan("/disk/day").last_seq == 16


def test_a_journal_that_was_given_up_in_the_middle_is_not_clean(disk):
    with pytest.raises(JournalFull), opened() as made:
        disk.full = True
        made.append(records(1, 1000))
    assert not scan("/disk/day").clean
    disk.full = False
    with opened() as made:
        made.append(records(made.next_seq, 5))
    assert scan("/disk/day").clean


def test_a_snapshot_of_commands_that_were_lost_goes_with_them(disk):
    made = opened()
    made.append(records(1, 4))
    made.close()
    for seq in (3, 4, 5):
        disk.names[f"/disk/day/snapshot-{seq:012d}.wms"] = disk.names["/disk/day/watermark"]
    opened()
    assert [seq for seq, _ in snapshot_file.found("/disk/day")] == [4, 3]
