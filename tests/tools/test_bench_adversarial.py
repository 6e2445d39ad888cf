"""`wirematch bench adversarial` prints a figure only when the book gave what the case says."""

import pytest

from tools.bench import adversarial, core_run
from tools.bench.adversarial_cases import cases

SMALL = {case.name: case for case in cases(levels=20, orders=30)}
SWEEP = "30 far levels, swept"


def test_touched_counts_commands_and_orders_traded_with():
    assert SMALL[SWEEP].touched == 31
    assert SMALL["30 times a bid at the highest price meets an offer at the lowest"].touched == 90


def test_a_case_that_comes_out_right_has_a_figure():
    result = adversarial.measure(SMALL[SWEEP], 1)
    assert (result["touched"], result["trades"]) == (31, 30)
    assert result["ns_a_touched_order"] > 0


def _swapped(trades):
    wrong = trades.copy()
    wrong[[0, 1]] = wrong[[1, 0]]
    return wrong


@pytest.mark.parametrize("what, changed", [
    ("trades and checksum", lambda case: {"trades": _swapped(case.trades)}),
    ("trades and checksum", lambda case: {"trades": case.trades[:-1]}),
    ("orders left", lambda case: {"live": {**case.live, 1: (0, 5)}}),
    ("best prices", lambda case: {"live": {order: (side, price + 1)
                                           for order, (side, price) in case.live.items()}}),
    ("engine.fault", lambda case: {"judged": case.before[:1]}),
])
def test_a_case_that_comes_out_otherwise_has_none(what, changed):
    case = SMALL[SWEEP]
    with pytest.raises(core_run.WrongTrades, match=f"{SWEEP}: {what}"):
        adversarial.measure(case._replace(**changed(case)), 1)


def test_a_ratio_is_to_the_w3_beside_it(monkeypatch):
    """The machine becomes twice as slow in the middle: the ratios stay."""
    speeds = iter([10.0, 10.0, 20.0, 20.0, 20.0])
    chosen = list(SMALL.values())[:4]
    costs = dict(zip((case.name for case in chosen), (30.0, 30.0, 60.0, 60.0), strict=True))
    monkeypatch.setattr(adversarial.adversarial_cases, "cases", lambda: chosen)
    monkeypatch.setattr(adversarial, "_plain_ns", lambda load, rounds: (
        {"messages": 1, "trades": 0, "checksum": "0"}, next(speeds)))
    monkeypatch.setattr(adversarial, "measure", lambda case, rounds: {
        "case": case.name, "ns_a_touched_order": costs[case.name]})
    rows = adversarial.measure_all(None, 1)["cases"]
    assert [row["ratio"] for row in rows] == [3.0, 3.0, 3.0, 3.0]
    assert [row["w3_ns"] for row in rows] == [10.0, 10.0, 20.0, 20.0]


def test_text_marks_what_is_over_the_aim():
    rows = [{"case": name, "touched": 10, "trades": 0, "ns_a_touched_order": 9.0, "ratio": ratio}
            for name, ratio in (("good", adversarial.LIMIT), ("bad", adversarial.LIMIT + 0.01))]
    plain = {"messages": 1, "trades": 0, "checksum": "0", "ns_a_touched_order": 2.0,
             "from_ns": 1.9, "to_ns": 2.2}
    lines = adversarial.text({"w3": plain, "cases": rows, "core": 0, "cpu": "x"}).splitlines()
    assert not lines[2].endswith("over 5") and lines[3].endswith("over 5")
