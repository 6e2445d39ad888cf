"""`wirematch bench replay`: both generators in one run, and no figure without every packet."""

import json

import pytest

from tests.netns import needs_bpf, needs_namespaces
from tools import pcap
from tools.bench import replay
from tools.netns import why_not

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.alone]


def test_both_are_measured_and_every_engine_keeps_time(capsys):
    assert replay.main(["--packets", "20000", "--rounds", "2", "--seconds", "0.2", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {"ceiling", "measured", "ratio", "lost", "mode", "wait", "cores"} <= set(said)
    assert said["lost"] == 0 and said["ceiling"] > 0 and said["measured"] > 0
    assert said["ratio"] == pytest.approx(said["measured"] / said["ceiling"])
    assert said["timing"]["packets"] == 2000
    for engine in ("live", "packet", "ring"):
        row = said["timing"][engine]
        assert row["early"] == 0 and 0 <= row["within_20_us"] <= 1
        assert 0 < row["p50_us"] <= row["max_us"]


def test_a_packet_that_does_not_arrive_leaves_no_figure(tmp_path):
    assert not why_not()
    path = tmp_path / "a.pcap"
    replay.make_capture(path, 100, 10_000)
    capture = pcap.read(path)
    with replay.Field(100) as field, pytest.raises(replay.Lost, match="99 of .* arrived"):
        with field.judged("tool", len(capture), int(capture.lengths.sum())):
            field.seen[0] = 99


def test_a_bad_file_is_told(tmp_path, capsys):
    path = tmp_path / "a.pcap"
    path.write_bytes(b"nothing")
    assert replay.main(["--file", str(path)]) == 1
    assert "is not a pcap file" in capsys.readouterr().err
