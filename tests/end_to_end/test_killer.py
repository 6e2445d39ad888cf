"""`wirematch faults killer`: whoever is killed, whenever, nothing that was shown is lost.

Short here: at both levels, 25 matchers each, and 5 of every other process (50 and 10 in all).
WIREMATCH_LONG=1: 500 and 100 each (1,000 and 200 in all).
"""

import copy
import json
import os

import pytest

from appliance.cli import main
from tests.netns import needs_bpf, needs_namespaces
from tools.faults import killer, killer_judge
from tools.faults.killer_load import Memory
from tools.faults.killer_place import Field

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

LONG = os.environ.get("WIREMATCH_LONG") == "1"
MATCHERS, OTHERS = (500, 100) if LONG else (25, 5)
SEED = int(os.environ.get("WIREMATCH_SEED", "20261127"))


def campaign(monkeypatch, seed, level, counts, partitions=3):
    """(what `killer.run` found, what it judged: [(said, load, ears, late)])."""
    kept, judge = [], killer_judge.judge

    def listening(*evidence):
        kept.append(copy.deepcopy(evidence))
        return judge(*evidence)

    monkeypatch.setattr(killer_judge, "judge", listening)
    found = killer.run(level, seed, partitions, counts=counts)
    monkeypatch.undo()
    return found, kept


@pytest.mark.parametrize("level", ["process", "disk"])
def test_nothing_that_was_shown_is_lost_whoever_is_killed(warm, level):
    counts = dict.fromkeys(killer.TARGETS, OTHERS) | {"matcher": MATCHERS}
    found = killer.run(level, SEED, counts=counts)
    words = found.pop("words", "")
    assert not found["faults"], (f"seed {SEED}", found, words)
    assert found["kills"] == counts
    assert found["heard"] == found["messages"] > 0 and found["orders_sent"] > 0
    for marks in found["marks"]:
        assert set(marks) == set(killer_judge.BURSTS)
    print(json.dumps(found))


def test_the_judge_sees_what_is_lost_said_twice_or_done_twice(warm, monkeypatch):
    """The canary: one honest campaign, and its evidence bent in every way."""
    found, kept = campaign(monkeypatch, SEED, "process",
                           dict.fromkeys(killer.TARGETS, 0) | {"matcher": 2}, 1)
    assert not found["faults"], found
    (honest,) = kept
    assert not killer_judge.judge(*honest)

    def bent(change):
        said, load, ears, late = evidence = copy.deepcopy(honest)
        change(said, load, ears)
        return " ".join(killer_judge.judge(*evidence))

    trader = honest[1]["traders"][0]
    name = trader["session"].encode()
    order = trader["answered"] and min(trader["answered"])

    def lost(said, load, ears):
        said.streams[name].pop()

    def other_bytes(said, load, ears):
        load["heard"][name, 1] += b"x"

    def other_feed(said, load, ears):
        ears["heard"][said.feed, 3] = b"x"

    def twice_told(said, load, ears):
        load["conflicts"].append((name, 1, b"a", b"b"))

    def done_twice(said, load, ears):
        stream = said.streams[name]
        stream.append(next(m for m in stream if m[1:2] == b"A"))

    def forgotten(said, load, ears):
        load["traders"][0]["sent"][10_000_000] = "O"

    def not_void(said, load, ears):
        load["traders"][0]["voids"].append(order)

    def book(said, load, ears):
        load["traders"][0]["orders"][9_999] = "B", 1, 1

    def shown(said, load, ears):
        ears["feeds"][0]["orders"][9_999] = 0, 1, 1

    def query(said, load, ears):
        load["traders"][0]["next_ref"] += 1

    def burst(said, load, ears):
        said.marks[7]["outputs"] = "0"

    expected = {lost: "the journal says nothing", other_bytes: "the journal says",
                other_feed: "the journal says", twice_told: "heard number 1 of",
                done_twice: "accepted twice", forgotten: "were neither answered",
                not_void: "told void", book: "its open orders", shown: "its book is not",
                query: "Account Query named", burst: "depends on the burst size"}
    for change, text in expected.items():
        assert text in bent(change), change.__name__
    stranger = {"heard": {(b"331O000999", 1): b"x"}}
    assert killer_judge.strangers([honest[0]], stranger)


def test_a_number_with_two_contents_is_remembered():
    memory = Memory()
    head = b"SESSIONONE" + (7).to_bytes(8, "big")
    memory.take(head + b"\0\1" + b"\0\2Sa")
    memory.take(head + b"\0\1" + b"\0\2Sa")
    assert not memory.conflicts and memory.told == {b"SESSIONONE": 8}
    memory.take(head + b"\0\1" + b"\0\2Sb")
    assert memory.conflicts == [(b"SESSIONONE", 7, b"Sa", b"Sb")]


def test_the_command_prints_one_json_object(warm, capfd):
    with pytest.raises(SystemExit) as end:
        main(["faults", "killer", "--seed", "5", "--partitions", "1", "--matcher", "1",
              "--journal", "1", "--recovery", "0", "--portd", "1", "--launcher", "0", "--json"])
    found = json.loads(capfd.readouterr().out)
    assert end.value.code == 0 and found["verdict"] == "nothing lost" and found["seed"] == 5
    assert found["kills"]["matcher"] == 1 and found["ready_s"]["matcher"]["worst"] > 0


def test_a_field_kills_only_its_own(warm):
    with Field("process", 1) as field:
        field.look()
        row = next(row for row in field.status["processes"] if row["name"] == "matcher@0")
        row["pid"] = os.getpid()
        assert field.pid("matcher@0") == 0 and field.kill("matcher@0") == 0
