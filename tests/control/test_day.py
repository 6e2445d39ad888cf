"""Opening hours by the wall clock, also on days of 23 and 25 hours."""

import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest

from appliance.config.load import DEFAULTS, load
from appliance.config.model import Day
from appliance.control.day import DaySchedule
from appliance.control.trading_day import TradingDay

ZURICH, NEW_YORK = "Europe/Zurich", "America/New_York"
HOUR, SECOND = 3600 * 10**9, 10**9


def schedule(opens="", closes="", zone=ZURICH):
    return DaySchedule(Day(time_zone=zone, opens=opens, closes=closes, imbalance_from=0,
                           imbalance_every=0))


def at(text, zone=ZURICH, fold=0):
    """Wall clock in ns of a local time."""
    local = datetime.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(local.timestamp()) * SECOND


@pytest.mark.parametrize("time, phase", [
    ("00:00:00", "pre-open"), ("07:59:59", "pre-open"), ("08:00:00", "open"),
    ("17:29:59", "open"), ("17:30:00", "closed"), ("23:59:59", "closed")])
@pytest.mark.parametrize("zone, date", [
    (ZURICH, "2026-06-15"), (ZURICH, "2026-03-29"), (ZURICH, "2026-10-25"),
    (NEW_YORK, "2026-06-15"), (NEW_YORK, "2026-03-08"), (NEW_YORK, "2026-11-01")])
def test_phases_are_those_of_the_local_clock_on_days_of_any_length(zone, date, time, phase):
    assert schedule("08:00", "17:30", zone).phase(at(f"{date}T{time}", zone)) == phase


@pytest.mark.parametrize("zone, date, hours", [
    (ZURICH, "2026-03-28", 24), (ZURICH, "2026-03-29", 23), (ZURICH, "2026-10-25", 25),
    (ZURICH, "2026-10-26", 24), (NEW_YORK, "2026-03-08", 23), (NEW_YORK, "2026-11-01", 25)])
def test_days_are_as_long_as_they_are(zone, date, hours):
    day = schedule(zone=zone).hours(at(f"{date}T12:00", zone))
    assert day.begins == day.opens == at(f"{date}T00:00", zone)
    assert day.closes == day.ends == day.begins + hours * HOUR


@pytest.mark.parametrize("now, change", [
    ("2026-03-28T07:00", "2026-03-28T08:00"), ("2026-03-28T08:00", "2026-03-28T17:30"),
    ("2026-03-28T17:30", "2026-03-29T00:00"), ("2026-03-29T00:00", "2026-03-29T08:00"),
    ("2026-10-25T00:00", "2026-10-25T08:00"), ("2026-10-25T23:00", "2026-10-26T00:00")])
def test_next_change(now, change):
    assert schedule("08:00", "17:30").next_change_ns(at(now)) == at(change)


def test_with_one_time_alone_midnight_is_the_other_end():
    late, early = schedule(opens="08:00"), schedule(closes="17:30")
    assert late.phase(at("2026-06-15T23:59:59")) == "open"
    assert late.next_change_ns(at("2026-06-15T12:00")) == at("2026-06-16T00:00")
    assert early.phase(at("2026-06-15T00:00")) == "open"
    assert early.next_change_ns(at("2026-06-15T12:00")) == at("2026-06-15T17:30")
    assert early.next_change_ns(at("2026-06-15T18:00")) == at("2026-06-16T00:00")


def test_without_times_it_is_always_open():
    always = schedule()
    assert always.phase(at("2026-03-29T00:00")) == "open"
    assert always.next_change_ns(at("2026-03-29T00:00")) is None


def test_open_from_midnight_to_midnight_never_changes():
    """Also where midnight itself is skipped or comes twice."""
    for zone, noon in ((ZURICH, "2026-06-15T12:00"), ("America/Havana", "2026-03-08T12:00"),
                       ("America/Havana", "2026-11-01T12:00")):
        assert schedule("00:00", zone=zone).next_change_ns(at(noon, zone)) is None


@pytest.mark.parametrize("zone, date", [(ZURICH, "2026-03-29"), (NEW_YORK, "2026-03-08")])
def test_skipped_time_is_the_moment_at_which_the_clock_skips(zone, date):
    """On these days the clock goes from 02:00 to 03:00."""
    noon, three = at(f"{date}T12:00", zone), at(f"{date}T03:00", zone)
    day = schedule("02:30", "03:10", zone).hours(noon)
    assert day.opens == three == day.begins + 2 * HOUR
    assert day.closes == day.opens + 600 * SECOND
    assert schedule("02:00", zone=zone).hours(noon).opens == three


@pytest.mark.parametrize("zone, date, hour", [
    (ZURICH, "2026-10-25", 2), (NEW_YORK, "2026-11-01", 1)])
def test_time_that_comes_twice_is_its_first_coming(zone, date, hour):
    """On these days this hour comes twice."""
    hours = schedule(f"0{hour}:30", f"0{hour}:45", zone)
    day = hours.hours(at(f"{date}T12:00", zone))
    assert day.opens == day.begins + hour * HOUR + 1800 * SECOND
    assert hours.phase(at(f"{date}T0{hour}:35", zone)) == "open"
    assert hours.phase(at(f"{date}T0{hour}:35", zone, fold=1)) == "closed"


@pytest.mark.parametrize("zone, noon", [
    ("America/Havana", "2026-03-08T12:00"), ("America/Havana", "2026-11-01T12:00"),
    ("Africa/Cairo", "2026-04-24T12:00"), ("Australia/Lord_Howe", "2026-10-04T12:00")])
def test_days_follow_one_another_where_the_clock_changes_at_midnight(zone, noon):
    day = schedule("00:30", "02:15", zone).hours(at(noon, zone))
    assert day.begins <= day.opens <= day.closes < day.ends
    table = schedule("00:30", "02:15", zone)
    assert table.hours(day.begins) == day == table.hours(day.ends - SECOND)
    assert table.hours(day.begins - SECOND).ends == day.begins


@pytest.mark.parametrize("zone, date", [
    (ZURICH, "2026-03-29"), (ZURICH, "2026-10-25"), (NEW_YORK, "2026-03-08"),
    (NEW_YORK, "2026-11-01")])
def test_times_never_change_their_order(zone, date):
    times = [f"{hour:02d}:{minute:02d}" for hour in range(5) for minute in (0, 15, 30, 45)]
    noon = at(f"{date}T12:00", zone)
    moments = [schedule(opens=time, zone=zone).hours(noon).opens for time in times]
    assert all(early <= late for early, late in pairwise(moments))


def trading_day(opens, closes, now, lead=0, pause=0):
    """The TradingDay of the example configuration with these hours, begun at a local time."""
    config = load(DEFAULTS.parent / "examples" / "appliance.toml")
    hours = Day(time_zone=ZURICH, opens=opens, closes=closes, imbalance_from=lead,
                imbalance_every=pause)
    return TradingDay(msgspec.structs.replace(config, day=hours), at(now))


def test_trading_day_runs_its_course_and_ends_at_midnight():
    today = trading_day("08:00", "17:30", "2026-10-25T07:00")
    assert (today.day, today.phase, today.opens_later) == (298, "pre-open", True)
    assert today.midnight == at("2026-10-25T00:00")
    assert not today.look(at("2026-10-25T08:00"), []) and not today.opens_later
    assert not today.look(at("2026-10-25T23:59:59"), []) and today.opens_later
    assert today.row(at("2026-10-25T20:00")) == {
        "phase": "closed", "next_change_ns": at("2026-10-26T00:00")}
    assert today.look(at("2026-10-26T00:00"), [])
    old = today.date
    today.begin(at("2026-10-26T00:00"))
    assert (today.day, today.phase) == (299, "pre-open") and today.date != old


def test_phase_of_a_trading_day_does_not_follow_a_clock_that_goes_back():
    today = trading_day("08:00", "17:30", "2026-06-15T08:00")
    today.look(at("2026-06-15T07:59"), [])
    assert today.phase == "open"


@pytest.mark.parametrize("opens", ["", "08:00"])
def test_trading_day_without_closes_goes_on_past_midnight(opens):
    today = trading_day(opens, "", "2026-06-15T09:00")
    assert today.row(at("2026-06-15T09:00")) == {"phase": "open", "next_change_ns": None}
    for now in ("2026-06-16T00:00", "2026-06-16T07:00", "2026-06-18T12:00"):
        assert not today.look(at(now), []) and today.phase == "open" and today.day == 166


def test_trading_day_without_opens_is_open_from_midnight():
    today = trading_day("", "17:30", "2026-06-15T18:00")
    assert today.phase == "closed" and today.look(at("2026-06-16T00:00"), [])
    today.begin(at("2026-06-16T00:00"))
    assert today.phase == "open" and not today.opens_later
