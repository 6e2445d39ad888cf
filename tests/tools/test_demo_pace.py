"""The latency pass repairs what is lost on the way, there and back, and says what it cannot."""

import contextlib
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.shared_data import ROOT
from tests.tools.lossy_host import NAME, answer, block, mold
from tools.demo import crowd, material, pace, scene
from tools.flow import make

pytestmark = pytest.mark.alone

COUNT, RATE = 400, 2000
EACH = COUNT // 2                                     # of each of two partitions
NOTHING = {"lost_orders": [], "lost_answers": [], "never": []}


class Place(scene.Scene):
    """Loopback at addresses of its own, beside any demo."""

    ip, market_ip, order_port = "127.0.0.77", "127.0.0.78", 41160


@pytest.fixture(scope="module")
def order_file(tmp_path_factory):
    return make("synthetic", tmp_path_factory.mktemp("pace") / "a.pcap", limit=40, seed=3,
                accounts=1, symbols=20, partitions=2).pcap


@contextlib.contextmanager
def at_work(order_file, plan):
    """(a crowd that is logged in, its place, payloads, what the host counted once this is over)."""
    place, counts = Place(), {}
    loaded = material.load(order_file, place)
    upstream = [crowd.next_seq(lane, session) for session, lane in enumerate(loaded.lanes)]
    ways = [pace.orders(loaded.sessions[n], loaded.symbols[n][0], EACH, upstream[n], 1000)
            for n in range(2)]
    plan = plan | {"ports": [place.order_port, place.order_port + 1], "upstream": upstream}
    with contextlib.ExitStack() as stack:
        stack.callback(place.close)
        host = stack.enter_context(subprocess.Popen(
            [sys.executable, "-m", "tests.tools.lossy_host", place.ip, json.dumps(plan)], cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        stack.callback(host.kill)
        assert host.stdout.readline() == "ready\n"
        people = crowd.Crowd(loaded, place)
        stack.callback(people.close)
        people.login()
        yield people, place, [ways[i % 2][i // 2] for i in range(COUNT)], counts
        counts.update(json.loads(host.communicate(timeout=60)[0]))


@pytest.mark.parametrize(("plan", "found"), [
    ({}, {}),
    ({"lost_answers": [1]}, {"answers lost": 2}),
    ({"lost_answers": [*range(9, EACH, 9), 50, 51, 52, 53]}, {"answers lost": 52}),
    ({"lost_answers": [EACH - 1, EACH]}, {"answers lost": 4}),
    ({"lost_orders": [0, 7, 8, 60]}, {"orders lost": 8}),
    ({"lost_orders": [EACH - 1], "lost_answers": [EACH]}, {"orders lost": 2, "answers lost": 2}),
], ids=["nothing", "the first", "many answers", "the last", "orders", "the last of both"])
def test_what_is_lost_is_repaired(order_file, plan, found):
    with at_work(order_file, NOTHING | plan) as (people, place, payloads, counts):
        times = pace.measure(people, place, [0, 1], payloads, RATE)
        for session in range(2):
            assert people.messages(session) == [answer(n + 1) for n in range(EACH)]
    assert {key: counts.get(key, 0) for key in found} == found
    assert times.size == COUNT and (times > 0).all()
    assert bool(counts.get("requests")) >= bool(plan.get("lost_answers"))
    assert bool(counts.get("orders asked for")) == bool(plan.get("lost_orders"))


def test_what_never_comes_is_named(order_file):
    with (at_work(order_file, NOTHING | {"never": [12, 13, 40]}) as (people, place, payloads, _),
          pytest.raises(TimeoutError) as caught):
        pace.measure(people, place, [0, 1], payloads, RATE)
    words = str(caught.value)
    first = int.from_bytes(payloads[0][10:18], "big")
    assert words.startswith(f"{COUNT - 22} of {COUNT} paced orders have no answer")
    name = people.material.sessions[0].name
    assert (f"partition 0: answers 12 to 13, 40 to orders {first + 11} to {first + 12}, "
            f"{first + 39} of {name}; partition 1: answers 12 to 13, 40") in words
    assert "less busy machine" in words


def test_an_answer_behind_a_gap_has_the_time_when_it_came():
    heard = np.zeros(6, np.int64)                     # answers 101, 102, 103 of way 1 of 2

    def came(seq, count, now):
        payload = mold(NAME, seq, count, b"".join(block(n) for n in range(seq, seq + count)))
        frames = np.frombuffer(bytes(42) + payload, np.uint8).copy()
        pace._stamp(frames, np.array([0, frames.size], np.uint64), 1, 101, 1, 2, now, heard)

    came(101, 1, 10)
    came(103, 1, 30)
    came(102, 2, 70)                                  # the repetition, with 103 once more
    came(99, 1, 80)
    came(104, 3, 90)                                  # neither is of this pass
    assert heard.tolist() == [0, 10, 0, 70, 0, 30]
