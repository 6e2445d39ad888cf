"""The instruction gate: the book's compiled kernel costs no more instructions than it did."""

import json
import re

import pytest

from tools.bench import gate


@pytest.mark.slow
def test_a_message_takes_no_more_instructions_than_kept():
    try:
        figures = gate.count()
    except gate.CannotCount as reason:
        pytest.skip(str(reason))
    assert figures.keys() == {"w1", "w2", "w3"} and min(figures.values()) > 20
    assert gate.worse(figures, json.loads(gate.KEPT.read_text())) == []


def test_figure_above_the_margin_is_worse_and_below_it_is_not():
    kept = gate.versions() | {"instructions_a_message": {"w1": 100.0, "w2": 100.0}}
    assert gate.worse({"w1": 102.9, "w2": 50.0}, kept) == []
    complaint, = gate.worse({"w1": 103.1, "w2": 100.0}, kept)
    assert complaint.startswith("w1: 103.1 instructions a message, +3.1%")
    assert "--renew" in complaint
    assert "also changed" not in complaint
    kept["numba"] = "0.1"
    assert "numba 0.1 -> " in gate.worse({"w1": 104.0}, kept)[0]


def test_machine_without_valgrind_is_told_what_to_install(monkeypatch, capsys):
    try:
        gate.compiler()
    except gate.CannotCount as reason:
        pytest.skip(str(reason))
    monkeypatch.setattr(gate.shutil, "which", lambda name: None)
    assert gate.main([]) == gate.CANNOT_RUN
    assert "apt-get install valgrind" in capsys.readouterr().err


def test_wrong_trades_give_no_figure(monkeypatch):
    try:
        gate.compiler()
    except gate.CannotCount as reason:
        pytest.skip(str(reason))
    answers = iter(["w1 9 5 00ff", "", "6 00ff"])
    monkeypatch.setattr(gate, "_run", lambda command, **options: next(answers))
    with pytest.raises(gate.GateError, match=re.escape("['6', '00ff'] are not the workload's")):
        gate.count()
