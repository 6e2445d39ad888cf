"""A source that the flood guard is dropping is not asked for what it lost; all others are."""

import numpy as np
import pytest

from appliance.hot import guard
from appliance.layout import gate
from tests.hot.harness import Venue
from tests.hot.test_session import FILL, MS, accepted, asked, enter, upstream

QUIET = guard.QUIET_NS


@pytest.fixture
def venue():
    """ALPHA and BETA, each a row of the guard that the XDP program could have written."""
    made = Venue(gap_hold_ns=100 * MS)
    for name in ("ALPHA", "BETA"):
        made.login(name)
    made.rows = np.zeros(gate.SOURCE_MAX, gate.GUARDED.dtype)
    for idx, name in enumerate(("BETA", "ALPHA")):
        made.rows[idx]["ip"] = int(made.core.accounts.sessions[made.clients[name].idx]["ip"])
    words = made.rows.view(np.uint64)
    words.flags.writeable = False
    made.io = made.io._replace(guarded=words)
    return made


def drop(venue, name):
    """What the program does when it drops a datagram of the account's source now."""
    ip = int(venue.core.accounts.sessions[venue.clients[name].idx]["ip"])
    venue.rows["dropped_ns"][venue.rows["ip"] == ip] = venue.now_ns


def test_a_gap_of_a_source_that_is_being_dropped_is_not_asked_for(venue):
    drop(venue, "ALPHA")
    upstream(venue, "ALPHA", 3, [FILL])
    upstream(venue, "BETA", 2, [FILL])
    venue.run()
    assert asked(venue) == [] and venue.counters["gap_requests_withheld"] == 1
    assert asked(venue, "BETA") == [(1, 1)] and venue.counters["gap_requests"] == 1


def test_no_timer_asks_either_until_the_guard_has_been_quiet(venue):
    drop(venue, "ALPHA")
    upstream(venue, "ALPHA", 3, [FILL])
    for _ in range(QUIET // MS):
        venue.run()
        assert asked(venue) == []
        venue.advance(MS)
    assert venue.counters["gap_requests_withheld"] == QUIET // MS
    venue.run()
    assert asked(venue) == [(1, 2)]


def test_a_drop_begins_the_silence_anew(venue):
    upstream(venue, "ALPHA", 3, [FILL])
    venue.run()
    assert asked(venue) == [(1, 2)]
    drop(venue, "ALPHA")
    venue.advance(QUIET - 1)
    venue.run()
    drop(venue, "ALPHA")
    venue.advance(QUIET - 1)
    venue.run()
    assert asked(venue) == [(1, 2)]
    venue.advance(1)
    venue.advance(MS)
    venue.run()
    assert asked(venue) == [(1, 2)] * 2


def test_the_hole_is_given_up_when_its_time_is_over_as_ever(venue):
    upstream(venue, "ALPHA", 3, [b"U" + enter(3)])
    for _ in range(100 // 5 + 1):
        drop(venue, "ALPHA")
        venue.run()
        venue.advance(5 * MS)
    venue.run()
    assert accepted(venue) == [3] and venue.counters["messages_skipped"] == 2


def test_without_a_program_nobody_is_guarded():
    made = Venue()
    made.login("ALPHA")
    upstream(made, "ALPHA", 3, [FILL])
    made.run()
    assert asked(made) == [(1, 2)]


@pytest.mark.parametrize("row, is_asked", [(0, False), (1, False), (2, True)])
def test_as_many_rows_count_as_there_are_sources(venue, row, is_asked):
    assert venue.params[0]["allow_cnt"] == 2
    venue.rows["ip"], venue.rows["dropped_ns"] = 0, venue.now_ns
    venue.rows["ip"][row] = int(venue.core.accounts.sessions[venue.clients["ALPHA"].idx]["ip"])
    upstream(venue, "ALPHA", 3, [FILL])
    venue.run()
    assert asked(venue) == ([(1, 2)] if is_asked else [])
