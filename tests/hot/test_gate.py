"""The publish gate: at level disk nothing is shown before journal@p has synced its command."""

import random

import pytest

from appliance.hot import burst
from appliance.hot.io_state import (
    LEVEL, LEVEL_DISK, LEVEL_NONE, LEVEL_PROCESS, MARK_HEAD, MARK_TAIL,
)
from appliance.layout import shared
from tests.hot.harness import Venue, blocks_of, mold
from tests.hot.test_session import enter

SECOND = 1_000_000_000
RING = 1 << 14
TAKES = 2 * 4096             # commands that a pass may bring: less room, and none is begun


class Journalled(Venue):
    """A venue whose journal is this test: `sync` says how far the disk has come."""

    def __init__(self, level=LEVEL_DISK, **options):
        sizes = {"journal": RING} | options.pop("sizes", {})
        super().__init__(opened=False, sizes=sizes, **options)
        self.io.words[LEVEL] = level
        self.journal = self.blocks["journal_status"][0]
        self._clock()
        burst.start_day(self.core, self.port, self.io, self.params)
        self.run()

    @property
    def seq(self):
        """The newest command that may be copied."""
        return int(self.core.journal.header[0]["ready_seq"])

    def sync(self, seq=None):
        """The disk has everything up to command seq, all of it without one; what left then."""
        self.journal["copied_seq"] = self.journal["durable_seq"] = self.seq if seq is None else seq
        return self.run()


def trading(level=LEVEL_DISK, **options):
    venue = Journalled(level, **options)
    for name in ("ALPHA", "BETA"):
        venue.login(name)
        venue.sync()
    return venue


def test_nothing_leaves_before_the_disk_has_it():
    venue = Journalled()
    assert venue.seq == 1 and len(venue.sent) == 2, "a heartbeat of the feed"
    assert {blocks_of(each.payload)[1:3] for each in venue.sent} == {(1, 0)}
    venue.login("ALPHA", requested=1)
    assert len(venue.sent) == 2, "the login's answer waits"
    assert [each.target for each in venue.sync()].count(venue.clients["ALPHA"].source) == 2
    venue.send("ALPHA", [enter(1), enter(2)])
    assert venue.run() == []
    assert venue.core.accounts.sessions[0]["next_seq"] > venue.core.accounts.sessions[0]["sent_seq"]
    venue.sync()
    assert [message[:1] for message in venue.acks("ALPHA")] == [b"S", b"A", b"A"]
    assert len(venue.feed_messages()) == int(venue.core.feed.log[0]["next_seq"]) - 1


@pytest.mark.parametrize("level", [LEVEL_NONE, LEVEL_PROCESS])
def test_at_the_other_levels_nothing_waits(level):
    venue = trading(level)
    venue.send("ALPHA", [enter(1)])
    assert len(venue.run()) == 3


def test_what_is_shown_is_exactly_what_the_disk_covers():
    """Each step of the disk shows what a venue that never waits had shown after that command."""
    free, gated = trading(LEVEL_NONE), trading()
    first, shown = free.seq, {}
    for venue in (free, gated):
        picked = random.Random(7)
        for number in range(1, 41):
            for name, side in (("ALPHA", b"B"), ("BETA", b"S")):
                venue.send(name, [enter(number, side, picked.randint(1, 300))])
                venue.run()
                shown.setdefault(venue.seq, (len(venue.acks("ALPHA")), len(venue.acks("BETA")),
                                             len(venue.feed_messages())))
    assert gated.seq == free.seq == first + 80 and len(shown) == 80
    for seq in range(first + 1, gated.seq + 1):
        gated.sync(seq)
        assert (len(gated.acks("ALPHA")), len(gated.acks("BETA")),
                len(gated.feed_messages())) == shown[seq]
    assert gated.stream("ALPHA") == free.stream("ALPHA")
    assert gated.feed_messages("B") == free.feed_messages("B")


def test_requests_and_heartbeats_show_no_more_either():
    venue = trading()
    client = venue.clients["ALPHA"]
    venue.send("ALPHA", [enter(1)])
    venue.run()
    session, log = venue.core.accounts.sessions[0], venue.core.feed.log[0]
    hidden = int(session["next_seq"]) - 1
    venue.payload("ALPHA", mold(client.session, hidden, [], count=1))
    venue.run()
    assert venue.counters["rx_rerequest_refused"] == 1 and venue.counters["rx_rerequest"] == 0
    venue.advance(2 * SECOND)
    beats = [blocks_of(each.payload) for each in venue.run()]
    assert sorted(seq for name, seq, *_ in beats if name == client.session.encode()) == [hidden]
    assert {seq for name, seq, *_ in beats if name == venue.feed_name.encode()} == {
        int(log["next_seq"]) - 1}
    assert all(count == 0 for _, _, count, _ in beats)
    venue.sync()
    venue.payload("ALPHA", mold(client.session, hidden, [], count=1))
    assert len(venue.run()) == 1 and venue.counters["rx_rerequest"] == 1


def test_the_day_ends_on_the_wire_when_its_end_is_on_the_disk():
    venue = trading(end_interval_ns=1000)
    venue.tell(kind=shared.LINK_END_DAY)
    venue.run()
    venue.advance(SECOND)
    assert venue.run() == []
    venue.sync()
    for _ in range(4):
        venue.advance(SECOND)
        venue.run()
    ends = [count for _, _, count, _ in map(blocks_of, venue.clients["ALPHA"].payloads)]
    assert ends.count(0xFFFF) == 3
    assert ends.index(0xFFFF) == len(ends) - 3, "after everything else"


@pytest.mark.parametrize("level", [LEVEL_PROCESS, LEVEL_DISK])
def test_nothing_is_taken_that_the_ring_has_no_room_for(level):
    """No record is overwritten before it was copied; what comes meanwhile is not taken."""
    venue = trading(level)
    venue.sync()
    begun, frames = venue.seq, venue.counters["rx_frames"]
    venue.blocks_from("ALPHA", [b""] * 2 * RING, pack=128)
    venue.run()
    assert RING - TAKES < venue.seq - begun <= RING, "a pass is begun where a whole one fits"
    assert venue.counters["journal_full"] > 0
    assert venue.counters["rx_frames"] - frames == (venue.seq - begun) // 128
    venue.sync()
    expected = int(venue.core.accounts.sessions[0]["next_upstream_seq"])
    venue.blocks_from("ALPHA", [b""] * 100, seq=expected, pack=100)
    venue.run()
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == expected + 100
    assert venue.core.journal.ring["seq"].max() == venue.seq


def test_a_burst_that_is_larger_than_the_room_waits_and_a_stop_ends_it():
    """Thousands of empty messages in a burst: what the journal has no room for has not happened."""
    venue = trading()
    empty, frames = 700, 30
    venue.blocks_from("ALPHA", [b""] * empty * frames, pack=empty)
    venue.blocks["control"]["word"] = shared.STOP
    venue.params[0]["control_word"] = shared.STOP
    begun = venue.seq
    venue.run()
    assert RING - 4096 < venue.seq - begun + 3 <= RING
    assert venue.counters["messages_filler"] == empty * frames


def test_marks_that_the_disk_covers_make_room_while_a_burst_waits():
    venue = trading()
    session, words = venue.core.accounts.sessions[0], venue.io.words
    venue.io.marks["next_seq"] = session["next_seq"]
    words[MARK_HEAD] = words[MARK_TAIL] + venue.io.marks.size
    venue.blocks["control"]["word"] = shared.STOP
    burst.catch_up(venue.core, venue.io, venue.params, 1)
    assert words[MARK_TAIL] == words[MARK_HEAD]
    assert session["released_seq"] == session["next_seq"]
