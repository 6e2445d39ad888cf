"""The log: one line an event, for people or for journald, with fields that do not change."""

import json

import pytest

from appliance.control import alarms


@pytest.fixture(autouse=True)
def back_to_auto():
    yield
    alarms.use_format("auto")


def test_json_has_every_field_in_its_order_and_the_prefix(monkeypatch):
    alarms.use_format("json")
    text = alarms.line('said "x"\nand more', alarms.WARNING, "disk-slow", "partition 3",
                       1_800_000_000.25)
    assert text.startswith("<4>{") and "\n" not in text
    row = json.loads(text[3:])
    assert tuple(row) == alarms.FIELDS
    assert row["time"] == "2027-01-15T08:00:00.250000Z" and row["partition"] == 3
    assert (row["level"], row["kind"], row["text"]) == ("warning", "disk-slow",
                                                        'said "x"\nand more')


def test_auto_follows_journald_and_text_stays_for_people(monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert json.loads(alarms.line("x")[3:])["partition"] is None
    monkeypatch.delenv("JOURNAL_STREAM")
    assert alarms.line("x", kind="late").endswith(" wirematch: ALARM late: x")
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    alarms.use_format("text")
    assert alarms.line("x").endswith(" wirematch: x")


def test_an_alarm_carries_its_kind_and_partition(capsys):
    alarms.use_format("json")
    alarms.Alarms().sound("matcher-late", "words", alarms.of_partition(1))
    row = json.loads(capsys.readouterr().err[3:])
    assert (row["kind"], row["partition"], row["priority"]) == ("matcher-late", 1, 3)
