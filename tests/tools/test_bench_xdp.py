"""`wirematch bench xdp`: every frame is what its name says, and no figure of a wrong one."""

import json

import pytest

from appliance.shm.steer import REASONS
from tests.netns import needs_bpf, needs_namespaces
from tools.bench import xdp
from tools.faults import gate_rig
from tools.faults.gate_model import Gate

pytestmark = [needs_bpf, needs_namespaces, pytest.mark.alone]
SHORT = ["--rounds", "1", "--frames", "5000"]


def test_the_frames_are_what_they_are_called_by_the_model_too():
    with gate_rig.GateRig() as rig:
        gate = Gate(rig.world)
        for frame in xdp.ACCEPTED.values():
            assert gate.judge(frame, rig.ifindex, 0)[1] == "redirected"
        for _ in range(gate_rig.LIMITED["10.0.0.3"]):
            gate.judge(xdp.REFUSED["drop_flood"], rig.ifindex, 0)
        for reason, frame in (xdp.REFUSED | xdp.PASSED).items():
            assert gate.judge(frame, rig.ifindex, 0)[1] == reason
    assert set(xdp.REFUSED) == {name for name in REASONS if name.startswith("drop")}


def test_every_figure_is_there(capsys):
    assert xdp.main([*SHORT, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(xdp.REFUSED) | set(xdp.PASSED) | {"bare redirect", "look-up"} < set(
        found["alone_ns"])
    assert set(found["in_full"]) == {"bare redirect", *(f"accepted, {name}"
                                                        for name in xdp.ACCEPTED)}
    assert found["ratio"] > 0 and found["in_full"]["bare redirect"]["ratio"] == 1
    assert all(0 < row["received"] <= 1 for row in found["in_full"].values())


def test_figures_for_people(capsys):
    assert xdp.main(SHORT) == 0
    words = capsys.readouterr().out
    assert "times a bare redirect (at most 1.5)" in words and "the look-up" in words


@pytest.mark.parametrize("rows, name", [(xdp.REFUSED, "drop_length"), (xdp.ACCEPTED, "plain"),
                                        (xdp.PASSED, "pass_not_ours")])
def test_a_wrong_verdict_is_no_figure(monkeypatch, capsys, rows, name):
    other = xdp.ACCEPTED["plain"] if rows is not xdp.ACCEPTED else xdp.REFUSED["drop_length"]
    monkeypatch.setitem(rows, name, other)
    assert xdp.main([*SHORT, "--json"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "is right" in said.err


def test_a_wrong_counter_is_no_figure(monkeypatch, capsys):
    monkeypatch.setitem(xdp.REFUSED, "drop_length", xdp.REFUSED["drop_too_long"])
    assert xdp.main([*SHORT, "--json"]) == 1
    assert "counted under drop_length" in capsys.readouterr().err


def test_rounds_that_lost_frames_are_made_again():
    shares = iter((0.5, 1.0, 0.2, 1.0))
    found, count = xdp.quiet(lambda: {"bare redirect": (1.0, next(shares))}, 2)
    assert count == 2 and [row["bare redirect"][1] for row in found] == [1.0, 1.0]
    found, count = xdp.quiet(lambda: {"bare redirect": (1.0, 0.5)}, 3)
    assert count == 0 and len(found) == 3 * xdp.RETRIES
