"""The relay does what its Python twin says, and its account is whole."""

import json

import pytest

from tests.netns import needs_namespaces
from tools import netns
from tools.faults import relay, relay_proof
from tools.faults.relay import Relay, parse_faults
from tools.faults.relay_way import (
    BLOCK_ALL, BLOCK_MULTICAST, COUNTS, OPEN, Faults, contradictions, fate, logged,
)

pytestmark = pytest.mark.alone

FRAMES = 4000
ALL = Faults(drop=0.1, flip=0.05, truncate=0.05, duplicate=0.1, delay=0.1, reorder=0.1)


class Path:
    """Two ends and a relay between them."""

    def __init__(self, there=None, back=None, seed=5, log_sz=FRAMES):
        self.spaces = [netns.Namespace() for _ in range(3)]
        left, middle, right = self.spaces
        devices = netns.relayed_pair(left, "c0", relay_proof.LEFT, middle, right, "x0",
                                     relay_proof.RIGHT)
        self.ends = [relay_proof.End(left, relay_proof.LEFT, relay_proof.RIGHT, FRAMES),
                     relay_proof.End(right, relay_proof.RIGHT, relay_proof.LEFT, FRAMES)]
        self.relay = Relay(middle, *devices, there, back, seed, log_sz)

    def through(self, frames, way=0):
        """Sends so many and waits until they have all been judged and let go."""
        before = self.relay.counts[relay.WAYS[way]]["received"]
        self.ends[way].send(0, frames)
        relay_proof._until(self.relay, self.ends, 0)
        while self.relay.counts[relay.WAYS[way]]["received"] < before + frames:
            relay_proof._until(self.relay, self.ends, 0)
        relay_proof._until(self.relay, self.ends, 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.relay:
            pass
        for each in self.ends:
            each.sock.close()
        for each in self.spaces:
            each.close()


@needs_namespaces
@pytest.mark.parametrize("seed", [1, 7])
def test_every_datagram_arrives_as_often_as_the_account_says(seed):
    found = relay_proof.prove(20_000, seed)
    assert found["verdict"] == "complete" and found["count"] == 40_000
    for counts in found["ways"].values():
        assert counts["received"] == 20_000 and counts["unsent"] == counts["overrun"] == 0
        assert 800 < counts["dropped"] < 1200 and 800 < counts["duplicated"] < 1200
        assert 800 < counts["reordered"] < 1200 and 120 < counts["flipped"] < 280
    assert found["ways"]["there"] != found["ways"]["back"], "each way has lots of its own"


@needs_namespaces
def test_a_proof_notices_what_the_account_does_not_have(monkeypatch):
    honest = relay_proof._compare

    def robbed(way, log, end):
        end.times[17] += 1
        honest(way, log, end)

    monkeypatch.setattr(relay_proof, "_compare", robbed)
    with pytest.raises(RuntimeError, match="the first is number 17"):
        relay_proof.prove(2000, 3, Faults(drop=0.01), Faults(drop=0.01))


@needs_namespaces
def test_the_same_seed_does_the_same_and_python_says_what():
    logs = []
    for _ in range(2):
        with Path(ALL, Faults()) as path:
            path.through(FRAMES)
            logs.append(path.relay.logs[0].tolist())
    assert logs[0] == logs[1]
    size = 14 + 28 + relay_proof.SIZE
    assert [logged(byte) for byte in logs[0]] == [fate(ALL, 10, n, size) for n in range(FRAMES)]
    with Path(ALL, Faults(), seed=6) as path:
        path.through(FRAMES)
        assert path.relay.logs[0].tolist() != logs[0]


@needs_namespaces
def test_nothing_happens_without_faults_and_a_partition_is_of_one_way():
    with Path() as path:
        path.through(500)
        path.through(500, 1)
        assert (path.ends[1].times[:500] == 1).all() and (path.ends[0].times[:500] == 1).all()
        path.relay.block(there=BLOCK_ALL)
        path.through(300)
        path.through(300, 1)
        counts = path.relay.counts
        assert counts["there"]["blocked"] == 300 and counts["back"]["blocked"] == 0
        assert (path.ends[0].times[:300] == 2).all() and (path.ends[1].times[:300] == 1).all()
        path.relay.block(there=BLOCK_MULTICAST)
        path.through(300)
        path.relay.set(Faults(drop=1.0), Faults())
        path.relay.block(OPEN, OPEN)
        path.through(100)
        assert path.relay.counts["there"]["dropped"] == 100
        assert (path.ends[1].times[:300] == 2).all()


@needs_namespaces
def test_what_has_no_room_to_wait_goes_on_at_once(monkeypatch):
    monkeypatch.setattr(relay, "ROOM", 10)
    with Path(Faults(delay=1.0, delay_s=0.3, spread_s=0.0)) as path:
        path.through(200)
        counts = path.relay.counts["there"]
        assert counts["no_room"] > 0 and counts["delayed"] + counts["no_room"] == 200
        assert counts["sent"] == 200 and (path.ends[1].times[:200] == 1).all()


def test_sums_that_do_not_come_out_are_told():
    counts = dict.fromkeys(COUNTS, 0) | {"received": 5, "passed": 4, "dropped": 1, "sent": 5,
                                         "duplicated": 1}
    assert contradictions(counts) == []
    assert "5 frames were received, 6" in contradictions(counts | {"dropped": 2})[0]
    assert "4 were sent" in contradictions(counts | {"sent": 4})[0]


def test_what_is_no_fault_is_refused(capsys):
    assert parse_faults("drop=0.5,depth=3") == Faults(drop=0.5, depth=3)
    for text in ("drop=2", "drops=0.1", "depth=0,drop=0.1", "delay_s=-1", "drop"):
        with pytest.raises(ValueError):
            parse_faults(text)
    with pytest.raises(SystemExit):
        relay.main(["wm0"])
    assert "name two devices, or --proof" in capsys.readouterr().err


@needs_namespaces
def test_the_command_prints_an_account(capsys):
    assert relay.main(["--proof", "--frames", "1000", "--seed", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["seed"], found["count"], found["verdict"]) == (4, 2000, "complete")
    assert relay.main(["--proof", "--frames", "500", "--there", "drop=0.5", "--seed", "4"]) == 0
    assert "1,000 frames, seed 4: complete" in capsys.readouterr().out
    assert relay.main(["no-such-device", "neither"]) == 77
