"""`wirematch faults report`: the catalogue names what there is, a row is what its judges say."""

import html
import json
from pathlib import Path

from tools.faults import catalogue, report
from tools.faults.catalogue import CATALOGUE

TESTS = Path(__file__).resolve().parents[1]


def test_every_judge_of_the_catalogue_is_there():
    known, numbers = report.campaigns(1, 1), [row[0] for row in CATALOGUE]
    assert len(numbers) == len(set(numbers))
    for number, _, promise, judges in CATALOGUE:
        assert bool(promise) == bool(judges), number
        for judge in judges:
            if "::" in judge:
                path, function = judge.split("::")
                assert f"def {function}(" in (TESTS / path).read_text(), judge
            else:
                assert judge in known, judge


def test_a_row_is_what_its_judges_say(monkeypatch):
    monkeypatch.setattr(report, "CATALOGUE", (
        ("A", "a", "x", ("one",)), ("B", "b", "x", ("one", "two")), ("C", "c", "x", ("three",)),
        ("D", "d", "x", ("one", "three")), ("E", "e", "", ())))
    said = {"one": report.HOLDS, "two": report.FAILED}
    assert [row["verdict"] for row in report.rows(said)] == [
        report.HOLDS, report.FAILED, report.NOT_RUN, report.NOT_RUN, report.NOT_COVERED]


def test_campaigns_are_run_and_both_pages_written(monkeypatch, tmp_path, capsys):
    """A campaign that holds, one that fails and one that cannot run here, as real processes."""
    monkeypatch.setattr(report, "campaigns", lambda seed, scale: {
        "simulate": ["--seeds", "3", "--first", str(seed), "--json"],
        "xfuzz": ["--frames", "not-a-number"]})
    assert report.main(["--seed", "5", "--out", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["campaigns"]["simulate"]["verdict"] == report.HOLDS, found
    assert found["campaigns"]["simulate"]["says"]["failed"] == []
    assert found["campaigns"]["xfuzz"]["verdict"] == report.FAILED
    by_row = {row["row"]: row["verdict"] for row in found["rows"]}
    assert (by_row["F1"], by_row["D1"], by_row["R1"]) == (
        report.FAILED, report.NOT_RUN, report.NOT_COVERED)
    text, page = ((tmp_path / f"report.{kind}").read_text() for kind in ("md", "html"))
    for _, fault, *_ in catalogue.CATALOGUE:
        assert f"| {fault} |" in text and f"<td>{html.escape(fault)}</td>" in page


def test_tests_of_the_catalogue_can_be_run():
    name = "journal/test_flips.py::test_every_reason_to_refuse_a_block"
    assert report.run_tests([name]) == {name: report.HOLDS}
