"""`wirematch journal verify` compares what was recorded on the way with a replay."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from appliance.journal import checks, snapshot_file
from appliance.journal.command import command
from appliance.journal.genesis import build_core
from appliance.journal.replay import apply
from appliance.journal.snapshot import canonical
from appliance.layout.journal import CHECK_EVERY
from tests.hot.test_replay import played
from tests.journal.test_replica import replica, write


@pytest.fixture(scope="module")
def day():
    made = played(22, 14_000)
    return made.genesis(), made.records(), made.venue


@pytest.fixture
def folder(tmp_path, day):
    """A journal with checks and two snapshots."""
    write(tmp_path, day)
    replica(tmp_path, every=5000).finish()
    return tmp_path


def verify(folder, *more):
    """(exit code, content, stderr)."""
    done = CliRunner().invoke(command, ["verify", str(folder), "--json", *more])
    return done.exit_code, json.loads(done.stdout), done.stderr


def test_what_was_recorded_is_found_again(folder, day):
    code, content, said = verify(folder)
    assert code == 0 and said == ""
    assert content["replay"] == {"seq": len(day[1]), "snapshots": 2, "wrong": [],
                                 "checks": len(checks.read(folder, day[0]))}
    assert content["replay"]["checks"] >= len(day[1]) // CHECK_EVERY
    assert "replay" not in verify(folder, "--no-replay")[1]
    words = CliRunner().invoke(command, ["verify", str(folder)]).stdout
    assert "2 snapshots as they were" in words


@pytest.mark.parametrize("field", ["state_hash", "output_hash"])
def test_a_recorded_hash_that_is_another_is_named(folder, day, field):
    rows = checks.read(folder, day[0])
    (folder / checks.NAME).unlink()
    spoilt = checks.Checks(folder, day[0], lambda: 0)
    for number, row in enumerate(rows):
        values = {name: int(row[name]) for name in (
            "seq", "from_seq", "state_hash", "output_hash")}
        values[field] ^= (number == 1) << 40
        spoilt.write(**values)
    spoilt.close()
    code, content, said = verify(folder)
    assert code == 1 and f"sequence {int(rows['seq'][1])}: the hash of the" in said
    assert len(content["replay"]["wrong"]) == 1
    assert content["replay"]["checks"] == len(rows) - 1


def test_a_program_that_differs_in_one_share_is_found_within_a_check(tmp_path, day):
    """The recording replica's core gets another state in the middle: the next check names it."""
    write(tmp_path, day)
    shadow = replica(tmp_path, every=0)
    shadow.turn(500)
    assert shadow.seq < CHECK_EVERY
    sides = shadow.core.book.sides
    owner = int(np.argmax(sides["order_cnt"]))
    sides["hidden_cnt"][owner] ^= 1 << 20
    while shadow.seq < CHECK_EVERY:
        shadow.turn(CHECK_EVERY - shadow.seq)
    shadow.close()
    code, _, said = verify(tmp_path)
    assert code == 1 and f"sequence {CHECK_EVERY}: the hash of the state" in said


def test_a_snapshot_of_another_state_is_named(folder, day):
    genesis, records, _ = day
    core = build_core(genesis)
    apply(core, records[:6000])
    core.book.engine[0]["next_match"] += np.uint64(1)
    path = snapshot_file.write(folder, genesis, canonical(core))
    code, _, said = verify(folder)
    assert code == 1 and f"{path}: its state's hash is" in said
