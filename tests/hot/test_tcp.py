"""Sessions over TCP: what comes by the ring is what the same datagrams would be; nothing leaves."""

import pytest

from appliance.hot import burst, io_state
from appliance.layout import shared
from appliance.stages.gateway import Upstream
from tests.hot.harness import Venue, mold
from tests.hot.test_session import enter

END, HEARTBEAT = 0xFFFF, 0
TOKEN = b"TCPTOKEN01"


def ring(venue):
    """The writing end of the venue's ring."""
    up = Upstream.__new__(Upstream)
    up.words, up.data, up.depth = venue.io.tcp_words, venue.io.tcp_data, venue.sizes.link_depth
    return up


def login(venue, name="ALPHA", token=TOKEN, requested=1):
    """What the supervisor says when the desk lets a TCP login in."""
    client = venue.clients[name]
    venue.tell(kind=shared.LINK_LOGIN, account=client.idx, requested_seq=requested, token=token,
               session=client.session, ip=io_state.ip_number(client.source[0]), udp_port=0)
    venue.run()


def blocks(*messages):
    return b"".join(len(each).to_bytes(2, "big") + each for each in messages)


def session(venue, name="ALPHA"):
    return venue.core.accounts.sessions[venue.clients[name].idx]


@pytest.fixture
def venue():
    made = Venue(sizes={"link_depth": 16})
    login(made)
    return made


def test_a_login_is_told_in_the_session_and_nothing_leaves(venue):
    row = session(venue)
    assert row["state"] == shared.SESSION_LIVE and row["tcp_epoch"] == row["epoch"] == 1
    assert row["login_seq"] == 1 and row["sent_seq"] == row["next_seq"] == 2
    venue.advance(5_000_000_000)
    assert all(each.target[1] != 0 for each in venue.sent), "a packet to port 0"
    venue.run()
    assert all(each.target[1] != 0 for each in venue.sent), "no heartbeats over UDP"
    assert venue.counters["login_answers"] == 0


def test_messages_become_the_same_commands_as_over_udp(venue):
    other = Venue(sizes={"link_depth": 16})
    other.login("ALPHA", requested=1, token=TOKEN.decode())
    orders = [enter(1), enter(2, side=b"S"), enter(2), b"X" + bytes(8), b"junk"]
    other.send("ALPHA", orders, pack=2)
    other.run()
    up, seq = ring(venue), 1
    for first in range(0, len(orders), 2):
        part = orders[first:first + 2]
        assert up.push(TOKEN, seq, len(part), blocks(*(b"U" + each for each in part)))
        seq += len(part)
    venue.run()
    ours, theirs = venue.core.journal, other.core.journal
    count = int(ours.header[0]["next_seq"])
    assert count == int(theirs.header[0]["next_seq"])
    assert count > 3 and ours.ring[3:count].tobytes() == theirs.ring[3:count].tobytes()
    row, twin = session(venue), session(other)
    for name in ("next_upstream_seq", "next_seq", "sent_seq", "last_user_ref", "live_cnt"):
        assert row[name] == twin[name], name
    assert venue.feed_messages() == other.feed_messages()
    assert venue.counters["tcp_applied"] == 3 and venue.acks("ALPHA") == []


def test_heartbeats_are_heard_and_the_end_is_a_logout(venue):
    up = ring(venue)
    venue.advance(3_000_000_000)
    up.push(TOKEN, 1, HEARTBEAT)
    venue.run()
    assert session(venue)["heard_ns"] == venue.now_ns and venue.counters["tcp_bare"] == 1
    up.push(TOKEN, 1, END)
    venue.run()
    assert session(venue)["state"] == shared.SESSION_ENDED


@pytest.mark.parametrize("piece", [
    (b"STRANGER00", 1, 1, blocks(b"U" + enter(1))), (TOKEN, 2, 1, blocks(b"U" + enter(1))),
    (TOKEN, 1, 2, blocks(b"U" + enter(1))), (TOKEN, 1, 1, blocks(b"U" + enter(1))[:-1])])
def test_what_cannot_be_is_refused_and_counted(venue, piece):
    ring(venue).push(*piece)
    venue.run()
    assert venue.counters["tcp_refused"] == 1 and venue.counters["orders"] == 0
    assert session(venue)["next_upstream_seq"] == 1


def test_a_newer_login_takes_over_and_the_old_ones_words_are_nothing(venue):
    venue.login("ALPHA", requested=1)
    up = ring(venue)
    up.push(TOKEN, 1, END)
    up.push(TOKEN, 1, 1, blocks(b"U" + enter(1)))
    venue.run()
    assert session(venue)["state"] == shared.SESSION_LIVE and venue.counters["tcp_refused"] == 2
    venue.send("ALPHA", [enter(1)])
    venue.run()
    assert [each[:1] for each in venue.acks("ALPHA")] == [b"S", b"A"]
    login(venue, token=b"TCPTOKEN02")
    venue.send("ALPHA", [enter(2)])
    venue.run()
    assert venue.dispositions["rx_unknown_token"] == 1 and venue.counters["orders"] == 1


def test_a_token_of_tcp_is_nothing_over_udp_and_the_other_way_round(venue):
    client = venue.clients["ALPHA"]
    venue.payload("ALPHA", mold(TOKEN.decode(), 1, [b"U" + enter(1)]))
    venue.run()
    assert venue.dispositions == {"rx_wrong_source": 1} and venue.counters["orders"] == 0
    venue.login("BETA")
    ring(venue).push(venue.clients["BETA"].token.encode(), 1, 1, blocks(b"U" + enter(1)))
    venue.run()
    assert venue.counters["tcp_refused"] == 1 and client.payloads == []


def test_the_ring_gives_its_places_back_and_refuses_when_it_is_full(venue):
    up, reference = ring(venue), 0
    for turn in range(5):
        while up.push(TOKEN, reference + 1, 1, blocks(b"U" + enter(reference + 1))):
            reference += 1
        assert reference == 16 * (turn + 1)
        venue.run()
    assert venue.counters["orders"] == reference == 80


def test_the_end_of_the_day_does_not_wait_for_tcp(venue):
    venue.tell(kind=shared.LINK_END_DAY)
    for _ in range(8):
        venue.advance(20_000_000)
        venue.run()
    assert session(venue)["sent_seq"] == session(venue)["next_seq"]
    assert burst.ended(venue.core, venue.io)
