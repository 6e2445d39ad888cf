"""The verdict on answers: what differs is named, and what was never replayed counts."""

from types import SimpleNamespace

import pytest

from appliance.layout.codec import encode
from tools import pcap
from tools.replay.verify import judge, write_answers

VENUE = "10.77.0.1", 41000
CLIENTS = [("10.77.0.2", 5000 + n) for n in range(3)]


def accepted(number, quantity=10):
    return encode("ouch", "out", "A", timestamp=number, user_ref_num=number, side="B",
                  quantity=quantity, symbol="ACME", price=1_000_000, time_in_force="0",
                  display="Y", order_reference_number=100 + number, capacity="A",
                  intermarket_sweep="N", cross_type="N", order_state="L",
                  cl_ord_id="")


EVENT = encode("ouch", "out", "S", timestamp=1, event_code="S")


def line(client, *messages):
    return SimpleNamespace(recorded=(CLIENTS[client], VENUE), shift=0, answers=[
        (1_700_000_000_000_000_000 + n, message) for n, message in enumerate(messages)],
        session=SimpleNamespace(session=f"SESSION{client:03d}"))


@pytest.fixture
def recorded(tmp_path):
    """A recording of two participants with two and three answers, and one that heard the day."""
    lines = [line(0, EVENT, accepted(1), accepted(2)), line(2, EVENT),
             line(1, EVENT, accepted(1), accepted(2), accepted(3))]
    write_answers(tmp_path / "a.pcap", lines)
    return pcap.read(tmp_path / "a.pcap"), lines


def test_the_same_answers_are_equal_though_nobody_replayed_one_who_only_heard_the_day(recorded):
    recording, lines = recorded
    verdict = judge(recording, [lines[0], lines[2]])
    assert verdict.good and (verdict.lines, verdict.compared, verdict.equal) == (2, 5, 5)
    assert not verdict.left_over and "the feed" in verdict.text()


def test_a_recorded_participant_that_was_not_replayed_is_a_difference(recorded):
    recording, lines = recorded
    verdict = judge(recording, lines[:2])
    assert not verdict.good and verdict.left_over == 1 and verdict.lines == 2
    assert (verdict.compared, verdict.equal, verdict.missing, verdict.extra) == (5, 2, 3, 0)
    assert verdict.differences == ["10.77.0.2:5001: 3 recorded answers, and nobody was replayed "
                                   "there"]
    assert "1 recorded lines not replayed" in verdict.text()


def test_answers_that_end_early_or_differ_are_named(recorded):
    recording, lines = recorded
    verdict = judge(recording, [lines[0], line(1, accepted(1), accepted(2, quantity=9))])
    assert not verdict.good and (verdict.equal, verdict.missing) == (3, 1)
    assert verdict.differences == ["10.77.0.2:5001, answer 2: quantity 10 became 9",
                                   "10.77.0.2:5001: 1 at the end are missing"]
