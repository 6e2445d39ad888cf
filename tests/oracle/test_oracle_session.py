"""Hand-written situations of the datagram session: dispositions, holes, holds, logins."""

import pytest

from tests.oracle.message import CANCEL
from tests.oracle.session import packet
from tests.oracle.venue import Venue

TOKEN, SOURCE = b"TOKEN00001", ("10.0.0.1", 4001)
MS = 1_000_000
QUERY = b"UQ"


class Line:
    """A venue and one logged-in client speaking datagrams at a virtual time."""

    def __init__(self, **options):
        self.venue = Venue(1, [dict(name="ABC", tick_size=100)],
                           [dict(name="A", firm="ALFA", cancel_on_disconnect=True),
                            dict(name="B", firm="BETA")], day=326, **options)
        self.venue.start()
        self.now = 1000 * MS
        self.venue.login(0, TOKEN, *SOURCE)
        self.venue.sent.clear()

    def send(self, payload, source=SOURCE):
        """The disposition of one datagram."""
        before = self.venue.dispositions.copy()
        self.venue.datagram(*source, payload, self.now)
        changed = self.venue.dispositions - before
        assert sum(changed.values()) == 1
        return next(iter(changed))

    def data(self, seq, *blocks, token=TOKEN):
        return self.send(packet(token, seq, blocks))

    def answers(self):
        return len(self.venue.streams[0]) - 1

    def asked(self):
        """(first, count) of the requests sent since the last look."""
        found = [(int.from_bytes(p[10:18], "big"), int.from_bytes(p[18:20], "big"))
                 for to, p in self.venue.sent if to == SOURCE and p[:10] == TOKEN]
        self.venue.sent.clear()
        return found


@pytest.fixture
def line():
    return Line()


@pytest.mark.parametrize("payload, disposition", [
    (b"", "rx_short"), (bytes(19), "rx_short"),
    (packet(TOKEN, 1, [], 0xFFFF) + b"\0", "rx_framing"),
    (packet(TOKEN, 1, []) + b"\0", "rx_framing"),
    (packet(TOKEN, 1, [b"UQ"], 2), "rx_framing"),
    (packet(TOKEN, 1, [b"UQ"]) + b"\0", "rx_framing"),
    (packet(TOKEN, 1, [b"UQ"])[:-1], "rx_framing"),
    (packet(TOKEN, 0, []), "rx_framing"), (packet(TOKEN, 0, [], 0xFFFF), "rx_framing"),
    (packet(TOKEN, 0, [], 3), "rx_framing"), (packet(TOKEN, 0, [b"L" + bytes(45)]), "rx_framing"),
    (packet(TOKEN, 0, [b"+", b"+"]), "rx_framing"), (packet(TOKEN, 0, [b"+hi"]), "rx_debug"),
    (packet(b"ANYTOKEN00", 0, [b"L" + bytes(46)]), "rx_control"),
    (packet(b"ANYTOKEN00", 1, [b"UQ"]), "rx_unknown_token"),
    (packet(TOKEN, 5, [], 3), "rx_unknown_token"),
    (packet(TOKEN, 1, []), "rx_heartbeat"), (packet(TOKEN, 1, [b"UQ"]), "rx_applied"),
    (packet(TOKEN, 65538, [b"UQ"]), "rx_far_ahead"), (packet(TOKEN, 65537, [b"UQ"]), "rx_held"),
    (packet(TOKEN, (1 << 64) - 1, [b"UQ"] * 2), "rx_far_ahead")])
def test_every_datagram_has_one_disposition(line, payload, disposition):
    assert line.send(payload) == disposition


def test_another_source_may_not_use_the_token(line):
    for source in (("10.0.0.2", SOURCE[1]), (SOURCE[0], 9)):
        assert line.send(packet(TOKEN, 1, [QUERY]), source) == "rx_wrong_source"
    assert line.answers() == 0


def test_messages_count_once_even_when_sent_twice_or_overlapping(line):
    assert line.data(1, QUERY, QUERY) == "rx_applied"
    assert line.data(1, QUERY, QUERY) == "rx_duplicate"
    assert line.data(2, QUERY, QUERY, QUERY) == "rx_applied"
    assert line.answers() == 4 and line.venue.counters["messages"] == 4


def test_a_hole_is_asked_for_at_once_and_filled_in_order(line):
    assert line.data(4, b"U" + CANCEL.pack(b"X", 1, 0)) == "rx_held"
    assert line.asked() == [(1, 3)]
    assert line.data(3, QUERY) == "rx_held"
    assert line.asked() == [] and line.answers() == 0
    assert line.data(1, QUERY, QUERY) == "rx_applied"
    assert line.answers() == 3 and line.venue.counters["messages"] == 4
    assert line.data(5, QUERY) == "rx_applied"


def test_a_hole_is_asked_again_only_after_the_interval():
    line = Line(gap_hold_ns=10 * MS)
    line.data(3, QUERY)
    line.now += MS - 1
    line.data(4, QUERY)
    assert line.asked() == [(1, 2)]
    line.now += 1
    line.data(5, QUERY)
    assert line.asked() == [(1, 2)]
    line.now += MS
    line.venue.tick(line.now)
    assert line.asked() == [(1, 2)]


def test_a_hole_older_than_the_hold_time_is_skipped(line):
    line.data(3, QUERY)
    line.data(6, QUERY, QUERY)
    line.now += MS
    line.venue.tick(line.now)
    assert line.answers() == 0
    line.now += 1
    line.venue.tick(line.now)
    assert line.answers() == 1 and line.venue.counters["messages_skipped"] == 2
    line.asked()
    line.now += MS + 1
    line.venue.tick(line.now)
    assert line.answers() == 3 and line.venue.counters["messages_skipped"] == 4
    assert line.data(1, QUERY) == "rx_duplicate"


def test_hold_time_zero_skips_at_once():
    line = Line(gap_hold_ns=0)
    assert line.data(5, QUERY) == "rx_held"
    assert line.answers() == 1 and line.venue.counters["messages_skipped"] == 4


def test_a_heartbeat_beyond_the_next_number_opens_a_hole(line):
    assert line.send(packet(TOKEN, 4, [])) == "rx_heartbeat"
    assert line.asked() == [(1, 3)]
    line.data(1, b"", b"", b"")
    assert line.venue.counters["messages_filler"] == 3
    line.now += 5 * MS
    line.venue.tick(line.now)
    assert line.asked() == [] and line.venue.counters["messages_skipped"] == 0


def test_there_is_room_for_32_held_datagrams(line):
    assert [line.data(2 + i, QUERY) for i in range(33)] == ["rx_held"] * 32 + ["rx_hold_full"]
    line.data(1, QUERY)
    assert line.answers() == 33
    assert line.data(34, QUERY) == "rx_applied"


def test_logout_ends_the_session_and_cancels_what_was_asked_for(line):
    order = bytes.fromhex("4F00000001420000006441424320202020200000000000002710"
                          "3059504E4E") + b" " * 14 + b"\0\0"
    assert line.data(1, b"U" + order, b"O", QUERY) == "rx_applied"
    assert [m[:1] for m in line.venue.streams[0]] == [b"S", b"A", b"C"]
    assert line.venue.streams[0][-1][-1:] == b"Z" and line.venue.feed[-1][:1] == b"D"
    assert line.data(3, QUERY) == "rx_unknown_token"
    assert line.venue.counters["messages"] == 2 and line.venue.counters["disconnects"] == 1


def test_end_of_session_waits_for_the_missing_messages(line):
    assert line.send(packet(TOKEN, 2, [], 0xFFFF)) == "rx_end_of_session"
    assert line.asked() == [(1, 1)]
    assert line.data(1, QUERY) == "rx_applied"
    assert line.send(packet(TOKEN, 2, [], 0xFFFF)) == "rx_end_of_session"
    assert line.data(2, QUERY) == "rx_unknown_token"


def test_blocks_that_are_no_orders_consume_a_number_and_nothing_else(line):
    assert line.data(1, b"R", b"O ", b"", b"Uz", b"U" + b"O\0\0\0", QUERY) == "rx_applied"
    counters = line.venue.counters
    assert (counters["messages"], counters["messages_unknown"], counters["messages_filler"],
            counters["messages_short"], line.answers()) == (6, 3, 1, 1, 1)


def test_login_answers_name_and_cursor_and_repeats_itself(line):
    line.data(1, QUERY, QUERY)
    line.venue.login(0, b"TOKEN00002", *SOURCE, requested=2)
    line.venue.login(0, b"TOKEN00002", *SOURCE, requested=2)
    expected = packet(b"326O010010", 0, [b"A326O010010" + b" " * 19 + b"2"])
    assert [payload for _, payload in line.venue.sent] == [expected] * 2
    assert line.data(1, QUERY) == "rx_unknown_token"
    assert line.data(1, QUERY, token=b"TOKEN00002") == "rx_applied"
    line.venue.login(0, b"TOKEN00003", *SOURCE, requested=99)
    assert line.venue.sent[-1][1][-2:] == b" 5"


def test_a_rerequest_is_answered_by_one_packet_once_a_millisecond(line):
    line.data(1, *[QUERY] * 100)
    name = b"326O010010"
    assert line.send(packet(name, 2, [], 200)) == "rx_rerequest"
    answer = line.venue.sent[-1][1]
    # a query's answer takes 2 + 1 + 13 bytes of the 1452 beside the header: 90 of them fit
    assert answer[:20] == packet(name, 2, [], 90) and len(answer) == 20 + 90 * 16
    assert line.send(packet(name, 92, [], 200)) == "rx_rerequest_refused"
    line.now += MS
    assert line.send(packet(name, 102, [], 1)) == "rx_rerequest_refused"
    assert line.send(packet(name, 92, [], 200)) == "rx_rerequest"
    assert line.send(packet(name, 92, [], 1), ("10.0.0.9", 1)) == "rx_wrong_source"
    assert line.send(packet(b"326O010020", 1, [], 1)) == "rx_unknown_token"
