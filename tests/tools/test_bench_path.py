"""`wirematch bench path` and `latency` in short: every order is accounted for, the reports have
their keys, and a figure never comes from a run that does not add up."""

import json

import numpy as np
import pytest

from tests.netns import needs_bpf, needs_namespaces
from tools.bench import latency, open_loop, path, path_null, path_place
from tools.bench import partitions_ends as ends

pytestmark = pytest.mark.alone

COMMON = {"ceiling", "measured", "ratio", "lost", "mode", "wait", "cores"}
THREE = {"p50", "p99", "p99_9"}


def test_packed_frame_holds_as_many_valid_blocks_as_the_program_writes():
    frame = path_place.packed_frame(ends.order_frame())
    assert sum(np.frombuffer(frame[14:34], ">u2").astype(int)) % 0xFFFF == 0
    assert int.from_bytes(frame[16:18], "big") == len(frame) - 14 <= 1500
    blocks = frame[path_place.MOLD_COUNT + 2:]
    assert len(blocks) == path_place.PACK * path_place.BLOCK_SZ
    assert {blocks[at:at + 4] for at in range(0, len(blocks), path_place.BLOCK_SZ)} \
        == {(48).to_bytes(2, "big") + b"UO"}


def test_unanswered_orders_count_as_the_slowest():
    whole = open_loop.Outcome(1000, 1000, 0, 1.0, np.arange(1000.0))
    holed = open_loop.Outcome(1000, 980, 0, 1.0, np.arange(980.0))
    assert whole.percentiles() == {"p50": 500.0, "p99": 990.0, "p99_9": 999.0}
    assert holed.percentiles() == {"p50": 500.0, "p99": float("inf"), "p99_9": float("inf")}
    both = open_loop.together([whole, holed])
    assert (both.sent, both.unanswered, both.us.size) == (2000, 20, 1980)


@pytest.mark.parametrize("packed", [False, True])
def test_frames_in_memory_are_all_orders_that_trade(packed):
    single = ends.order_frame()
    found = path_null.measure(path_place.packed_frame(single) if packed else single, 20_000)
    assert found["rate"] > 0 and set(found["inside_ns"]) == THREE


def test_json_has_no_infinity():
    assert latency.without_infinity({"a": [{"p99": float("inf"), "p50": 1.5}], "b": 3}) \
        == {"a": [{"p99": None, "p50": 1.5}], "b": 3}


@needs_namespaces
@needs_bpf
def test_path_accounts_for_every_order(capsys):
    assert path.main(["--orders", "20000", "--rounds", "1", "--payload", "2006", "--json"]) == 0, \
        capsys.readouterr()
    said = json.loads(capsys.readouterr().out)
    assert set(said) >= COMMON | {"ratio_with_output", "orders_per_second"}
    assert set(said["orders_per_second"]) >= {"single", "packed_drop", "packed_joined",
                                              "null_port"}
    for row in (said["overload"], *said["below_saturation"]):
        assert row["sent"] == row["accepted"] + row["rejected"] + row["dropped"] == 20_000
    assert said["mode"] == "native" and min(said["joined"]["heard"]) > 0


@pytest.mark.parametrize("payload", ["511", "3471"])
def test_payloads_that_a_link_cannot_have_are_refused(payload, capsys):
    with pytest.raises(SystemExit):
        path.main(["--payload", payload])
    assert "--payload: 512 to 3470" in capsys.readouterr().err


@needs_namespaces
@needs_bpf
def test_latency_has_an_answer_or_a_counter_for_every_order(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "MOST", 4000)
    picture = tmp_path / "latency.png"
    assert latency.main(["--seconds", "0.2", "--rounds", "1", "--json", "--picture",
                         str(picture)]) == 0, capsys.readouterr()
    said = json.loads(capsys.readouterr().out)
    assert set(said) >= COMMON | {"floor_us", "ack_us", "added_us", "inside_ns", "table"}
    for name in ("floor_us", "ack_us", "added_us", "inside_ns"):
        assert set(said[name]) == THREE
    assert said["floor_us"]["p50"] > 0 and said["inside_ns"]["p50"] > 0
    assert [row["share"] for row in said["table"]] == [0.1, 0.5, 0.8]
    for row in said["table"] + said["climb"] + said["sweep"]:
        assert row["sent"] == row["accepted"] + row["rejected"] + row["dropped"]
    assert picture.read_bytes().startswith(b"\x89PNG")


class Script:
    """A ground whose generator makes 1,000 orders and an end that does all but `lost` of them."""

    def __init__(self, lost=0, made=1000):
        self.lost, self.made, self.next, self.count = lost, made, 1, 0

    def offered(self):
        return self.next

    def offer(self, *_):
        for _ in range(self.made):
            self.next += 1
            self.count += self.next > self.lost + 1

    def done(self):
        return self.count

    def is_quiet(self):
        return True


def test_rates_count_what_was_offered_and_what_was_done():
    script = Script(lost=30)
    row = path_place.offered_and_done(script, script, 1000)
    assert (row["orders"], row["done"]) == (1000, 970) and row["all_s"] >= row["offer_s"] > 0


def test_generator_that_stops_early_gives_no_figure():
    script = Script(made=999)
    with pytest.raises(RuntimeError, match="made 999 of 1000"):
        path_place.offered_and_done(script, script, 1000)


@pytest.mark.parametrize("limit, capacity, rows", [(300e3, 300e3, 7), (1, 50e3, 2),
                                                   (1e9, 1.5e6, 11)])
def test_capacity_is_the_last_rate_that_is_kept_up_with(monkeypatch, limit, capacity, rows):
    monkeypatch.setattr(latency, "step", lambda _, rate, __: {
        "rate": rate, "ack_us": {"p50": 5.0 if rate <= limit else 50_000.0}})
    climbed, found = latency.climb(None)
    assert (found, len(climbed)) == (capacity, rows)
