"""Recorded order flow as live sessions of a running appliance: accepted again and again, its
answers recorded, verified against the recording, and found different where they are."""

import json
import subprocess
import sys
import tomllib

import pytest

from appliance.layout.codec import decode
from tests.netns import needs_bpf, needs_namespaces
from tools import pcap
from tools.demo import house, scene
from tools.flow import make
from tools.replay.verify import answers_of

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

REPLAY = [sys.executable, "-c", "from tools.replay import command; command()"]
COUNT, ACCOUNTS = 4000, 3


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """An order pcap, its logins in front, and the TOML beside it."""
    return make("synthetic", tmp_path_factory.mktemp("flow") / "orders.pcap", limit=COUNT,
                accounts=ACCOUNTS, seed=5)


class Venue:
    """A fresh appliance that knows the flow's symbols and accounts."""

    def __init__(self, flow, mode):
        self.scene, why = scene.choose()
        assert not why, why
        settings = tomllib.loads(flow.toml.read_text())
        people = [(row["name"], "", self.scene.source(n))
                  for n, row in enumerate(settings["accounts"])]
        path = house.write_config(self.scene, settings, mode, people)
        self.house = house.House(self.scene, path)

    def __enter__(self):
        try:
            self.house.wait_ready()
        except BaseException:
            self.scene.close()
            raise
        return self

    def __exit__(self, *_):
        self.house.stop()
        self.scene.close()

    def replay(self, flow, *arguments):
        """(exit code, what --json said) of one replay from the market."""
        with self.scene.market():
            done = subprocess.run(
                [*REPLAY, str(flow.pcap), "--sessions", "--to", f"{self.scene.ip}:41000", "--json",
                 *map(str, arguments)], capture_output=True, text=True, timeout=120)
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)


def entered(flow):
    """Requests that are answered by exactly one A, J or U."""
    return flow.facts["enters"]


@pytest.fixture(scope="module")
def recording(warm, flow, tmp_path_factory):
    """The answers of one fresh appliance, and what the replay said; then the same orders again."""
    out = tmp_path_factory.mktemp("answers") / "answers.pcap"
    with Venue(flow, "native") as venue:
        first = venue.replay(flow, "-p", 20000, "--answers", out)
        again = venue.replay(flow, "-t")
        other = venue.replay(flow, "-p", 20000, "--verify", out)
    return out, first, again, other


def test_a_recorded_flow_is_accepted_whole_and_a_second_time(flow, recording):
    out, (code, told), (code_again, again), _ = recording
    assert (code, code_again) == (0, 0)
    for each in (told, again):
        letters = each["orders"]["letters"]
        assert each["packets"] == COUNT and each["failed"] == 0
        assert letters["A"] + letters.get("J", 0) == entered(flow)
        assert letters["A"] > 0.95 * entered(flow) and each["orders"]["strangers"] == 0
        assert each["orders"]["sessions"] == ACCOUNTS
    streams = answers_of(pcap.read(out))
    assert {client for client, _ in streams} == {tuple(each.source) for each in flow.sessions}
    numbers = {decode("ouch", "out", message).user_ref_num
               for stream in streams.values() for message in stream if message[:1] == b"A"}
    assert min(numbers) == 1


@pytest.mark.parametrize("engine", ["socket", "live", "packet"])
def test_another_fresh_appliance_answers_as_recorded(flow, recording, engine):
    out, *_ = recording
    more = () if engine == "socket" else ("-i", "wm1")
    with Venue(flow, "socket" if engine == "packet" else "native") as venue:
        code, told = venue.replay(flow, "-p", 20000, "--engine", engine, "--verify", out, *more)
    verdict = told["verify"]
    assert code == 0 and verdict["good"], verdict
    assert verdict["lines"] == ACCOUNTS and verdict["equal"] == verdict["compared"] > COUNT / 2
    assert told["engine"] == engine


def test_an_appliance_with_orders_in_its_book_answers_otherwise_and_that_is_named(recording):
    *_, (code, told) = recording
    verdict = told["verify"]
    assert code == 1 and not verdict["good"] and verdict["equal"] < verdict["compared"]
    assert verdict["differences"] and "answer" in verdict["differences"][0]
