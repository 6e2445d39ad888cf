"""The control links: logins and refusals in, control datagrams out, both ends of both rings."""

import numpy as np
import pytest

from appliance.hot.io_state import LINK_DROPPED, LINK_HEAD, LINK_TAIL, build_io
from appliance.hot.state import Sizes
from appliance.layout import shared
from appliance.layout.record import (
    COMMAND, DAY_END, DAY_START, DETAIL, DISCONNECT, JOURNAL_RECORD, LOGIN,
)
from appliance.shm.ring import Consumer, Producer
from tests.hot.harness import Venue, blocks_of, mold
from tests.hot.test_session import FILL, U01, enter, upstream


def journal(venue):
    """(command, detail) of every journalled record."""
    count = int(venue.core.journal.header[0]["next_seq"]) - 1
    records = venue.core.journal.ring[1:count + 1]
    return [(each["command"].view(COMMAND.dtype)[0], each["detail"].view(DETAIL.dtype)[0])
            for each in records]


def answers(venue, name):
    """(session, block) of every control datagram sent to the account."""
    return [(session.decode(), blocks[0]) for session, seq, _, blocks
            in map(blocks_of, venue.clients[name].payloads) if seq == 0]


def test_the_layouts_of_ring_and_journal_are_what_the_views_assume():
    assert JOURNAL_RECORD["command"].size == COMMAND.size
    io = build_io(Sizes(accounts=1, holds=1, link_depth=4))
    assert io.in_words.size == 32 and not io.control.flags.writeable


def test_records_pass_in_order_and_a_full_ring_refuses_and_counts():
    io = build_io(Sizes(accounts=1, holds=1, link_depth=4))
    producer, consumer = (end(io.in_words, io.in_ring) for end in (Producer, Consumer))
    assert consumer.pop() is None
    following = 0
    for turn in range(9):
        pushed = [producer.push(kind=2, account=turn * 10 + i, token=f"T{i}", text_sz=2, text=b"ab")
                  for i in range(5)]
        assert pushed == [True] * 4 + [False]
        for i in range(4):
            record = consumer.pop()
            assert record["account"] == turn * 10 + i and record["text"] == b"ab"
            assert record["token"] == f"T{i}".encode().ljust(16, b"\0")
            following += 1
    assert consumer.pop() is None and int(io.in_words[LINK_DROPPED]) == 9
    with pytest.raises(ValueError, match="17 bytes"):
        producer.push(token="x" * 17)


def test_indices_that_the_other_end_has_spoilt_wrap():
    """A matcher maps both links writable: whatever it stores there must not end the supervisor."""
    io = build_io(Sizes(accounts=1, holds=1, link_depth=4))
    producer, consumer = (end(io.in_words, io.in_ring) for end in (Producer, Consumer))
    io.in_words[[LINK_HEAD, LINK_TAIL]] = (1 << 64) - 1, (1 << 64) - 2
    assert producer.push(kind=2) and int(io.in_words[LINK_HEAD]) == 0
    assert consumer.pop() is not None and consumer.pop() is not None
    assert int(io.in_words[LINK_TAIL]) == 0 and consumer.pop() is None


def test_a_login_datagram_reaches_the_supervisor_as_it_came():
    venue = Venue()
    venue.datagram("10.9.1.2", 777, U01, mac=bytes(range(6)))
    venue.run()
    record = venue.to_supervisor.pop()
    assert record["kind"] == shared.LINK_CONTROL and record["text"] == U01
    assert (record["ip"], record["udp_port"]) == (0x0A090102, 777)
    assert record["mac"] == bytes(range(6)) and venue.to_supervisor.pop() is None


def test_a_login_binds_and_is_journalled_with_all_that_it_changes():
    venue = Venue()
    token = venue.login("BETA")
    client, session = venue.clients["BETA"], venue.core.accounts.sessions[1]
    assert session["state"] == shared.SESSION_LIVE and session["epoch"] == 1
    assert session["mac"].tobytes() == client.mac and session["udp_port"] == client.source[1]
    command, detail = journal(venue)[-1]
    assert command["kind"] == LOGIN and command["account"] == 1
    assert detail["clordid"].tobytes()[:10] == token.encode() and detail["ip"] == session["ip"]
    assert detail["mac"].tobytes() == client.mac
    assert [command["kind"] for command, _ in journal(venue)] == [DAY_START, LOGIN]


@pytest.mark.parametrize("requested, told", [(0, 5), (1, 1), (3, 3), (5, 5), (6, 5), (1 << 60, 5)])
def test_the_answer_tells_the_next_number_and_the_stream_goes_on_from_there(requested, told):
    venue = Venue()
    venue.login("ALPHA")
    venue.send("ALPHA", [enter(1), enter(2), enter(3)])
    venue.run()
    venue.clients["ALPHA"].payloads.clear()
    venue.login("ALPHA", requested=requested)
    session = venue.clients["ALPHA"].session
    assert answers(venue, "ALPHA") == [
        (session, b"A" + session.encode() + str(told).rjust(20).encode())]
    assert sorted(venue.stream("ALPHA")) == list(range(told, 5))
    first = blocks_of(venue.clients["ALPHA"].payloads[0])
    assert first[1] == 0, "the answer leaves before the stream"


def test_the_same_login_again_gets_the_same_answer_and_changes_nothing():
    venue = Venue()
    token = venue.login("ALPHA")
    venue.send("ALPHA", [enter(1)])
    venue.run()
    before, records = answers(venue, "ALPHA"), len(journal(venue))
    venue.login("ALPHA", token=token)
    assert answers(venue, "ALPHA") == before * 2 and len(journal(venue)) == records
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == 2
    assert venue.counters["logins"] == 1 and venue.counters["login_answers"] == 2


def test_a_new_login_replaces_the_session_and_late_datagrams_are_harmless():
    venue = Venue()
    old = venue.login("ALPHA")
    upstream(venue, "ALPHA", 5, [b"U" + enter(5)])
    venue.run()
    venue.login("ALPHA")
    venue.payload("ALPHA", mold(old, 1, [b"U" + enter(1)]))
    venue.send("ALPHA", [enter(7)])
    venue.run()
    session = venue.core.accounts.sessions[0]
    assert session["epoch"] == 2 and session["held_cnt"] == 0 and session["gap_end_seq"] == 0
    assert venue.dispositions == {"rx_held": 1, "rx_unknown_token": 1, "rx_applied": 1}
    assert venue.counters["orders"] == 1


def test_a_refusal_goes_to_the_source_that_asked():
    venue = Venue()
    venue.tell(kind=shared.LINK_REFUSE, token="WHO0000001", ip=0x0A090102, udp_port=40001,
               mac=b"\2\0\0\0\0\7", reason=ord("S"))
    (sent,) = venue.run()
    assert sent.target == ("10.9.1.2", 40001) and sent.mac == b"\2\0\0\0\0\7"
    assert sent.payload == mold("WHO0000001", 0, [b"JS"])
    assert venue.counters["login_answers"] == 1 and len(journal(venue)) == 1


def test_a_disconnect_ends_a_live_session_once_and_cancels_where_agreed():
    venue = Venue(accounts=[{"name": "ALPHA", "cancel_on_disconnect": True}, "BETA"])
    venue.login("ALPHA")
    venue.send("ALPHA", [enter(1), enter(2)])
    venue.run()
    for _ in range(2):
        venue.tell(kind=shared.LINK_DISCONNECT, account=0)
    venue.run()
    assert [c["kind"] for c, _ in journal(venue)].count(DISCONNECT) == 1
    assert venue.core.book.engine[0]["live_orders"] == 0
    venue.login("ALPHA", requested=4)
    cancels = venue.acks("ALPHA")[-2:]
    assert [(ack[:1], ack[-1:]) for ack in cancels] == [(b"C", b"Z")] * 2
    upstream(venue, "ALPHA", 1, [FILL])
    venue.run()
    assert venue.dispositions == {"rx_applied": 3}


def test_a_disconnect_of_an_earlier_login_is_ignored():
    venue = Venue(accounts=["ALPHA"])
    venue.login("ALPHA", token="FIRST00001")
    venue.login("ALPHA", token="SECOND0002")
    venue.tell(kind=shared.LINK_DISCONNECT, account=0, token="FIRST00001")
    venue.run()
    assert venue.core.accounts.sessions[0]["state"] == shared.SESSION_LIVE


def test_end_of_day_is_a_command():
    venue = Venue()
    venue.tell(kind=shared.LINK_END_DAY)
    venue.run()
    assert journal(venue)[-1][0]["kind"] == DAY_END and venue.core.book.engine[0]["phase"] == 2


@pytest.mark.parametrize("record", [
    dict(kind=shared.LINK_LOGIN, account=2, token="X"),
    dict(kind=shared.LINK_DISCONNECT, account=99),
    dict(kind=shared.LINK_HALT, account=1, reason=ord("H")), dict(kind=77), dict(kind=0)])
def test_a_record_that_makes_no_sense_changes_nothing(record):
    venue = Venue()
    sessions = venue.core.accounts.sessions.copy()
    venue.tell(**record)
    assert venue.run() == [] and len(journal(venue)) == 1
    assert np.array_equal(sessions, venue.core.accounts.sessions)
