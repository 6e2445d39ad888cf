"""`wirematch bench sends` in short: every figure is there, and none of packets that went astray."""

import json

import pytest

from tests.netns import needs_bpf, needs_namespaces
from tools.bench import sends

pytestmark = [needs_bpf, needs_namespaces, pytest.mark.alone]


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(sends, "PACKETS", 64)


def test_every_figure_is_there(capsys):
    assert sends.main(["--rounds", "1", "--json"]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)["ns"]
    assert set(found) == set(sends.PEERS)
    for sizes in found.values():
        assert set(sizes) == set(sends.SIZES)
        for ways in sizes.values():
            assert set(ways) == set(sends.WAYS)
            assert all(len(values) == len(sends.BURSTS) and min(values) > 0
                       for values in ways.values())


def test_figures_for_people(capsys):
    assert sends.main(["--rounds", "1", "--offloads"]) == 0
    words = capsys.readouterr().out
    assert "peer drops, 1400 bytes (feed)" in words and "sendmmsg" in words


def test_packets_that_went_astray_are_no_figure(monkeypatch, capsys):
    monkeypatch.setattr(sends, "PATIENCE_S", 0.1)
    monkeypatch.setattr(sends.steer, "read_per_cpu", lambda *_: 5)
    assert sends.main(["--rounds", "1", "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "the peer had 5 of" in said.err


def test_without_namespaces_it_says_why(monkeypatch, capsys):
    monkeypatch.setattr(sends, "why_not", lambda: "no root")
    assert sends.main([]) == 77 and "no root" in capsys.readouterr().err
