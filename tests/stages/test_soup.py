"""SoupBinTCP over real connections: framing, logins, orders and answers, heartbeats, caps."""

import random
import struct

import pytest

from appliance.layout import shared
from appliance.stages import soup
from appliance.stages.service import ENDINGS
from tests.hot.test_session import enter
from tests.layout.vectors import VECTORS
from tests.stages.soup_kit import House, login

SESSION = "326O000010"


@pytest.fixture
def house(request):
    made = House(**getattr(request, "param", {}))
    yield made
    made.close()


def letters(packets):
    return "".join(letter for letter, _ in packets)


def trader(house, receive_sz=0, **fields):
    """A peer who is in."""
    peer = house.peer(receive_sz=receive_sz)
    peer.say(login(**fields), times=6)
    return peer


def test_vectors_of_the_wire_specification():
    raw = {name: VECTORS[name].raw for name in VECTORS}
    assert login("MM0001") == raw["S01"]
    assert soup.accepted(b"261122P001", 1) == raw["S02"] and soup.rejected("A") == raw["S03"]
    assert [soup.packet(letter) for letter in "HRZO"] == [raw[f"S0{n}"] for n in (4, 5, 6, 7)]
    assert soup.packet("+", b"hi") == raw["S08"] and soup.packet("U", raw["O01"]) == raw["S09"]
    assert soup.packet("S", raw["P07"]) == raw["S10"]
    assert b"G%20d" % 12346 == raw["G01"]
    data = bytearray(raw["S01"] + raw["S05"] + raw["S08"] + raw["S09"] + raw["S07"])
    assert [chr(letter) for letter, _ in soup.split(data)] == list("LR+UO") and not data


def test_packets_come_out_the_same_however_they_are_cut():
    whole = soup.packet("U", b"x" * 47) + soup.packet("R") + soup.packet("U", b"y" * 300)
    for cut in range(len(whole)):
        data = bytearray(whole[:cut])
        found = soup.split(data)
        data += whole[cut:]
        assert found + soup.split(data) == soup.split(bytearray(whole)) and not data


@pytest.mark.parametrize("data", [b"\0\0L", b"\xff\xffU", b"\0\1A", b"\0\1S", b"\0\1Z",
                                  struct.pack(">H", soup.PACKET_MAX + 1)])
def test_what_no_client_sends_is_malformed(data):
    with pytest.raises(soup.Closed, match="malformed"):
        soup.split(bytearray(data))


def test_an_order_and_its_answers(house):
    peer = trader(house)
    peer.say(soup.packet("U", enter(1)), soup.packet("+", b"hello"), soup.packet("U", enter(2)))
    heard = peer.hear()
    assert letters(heard) == "ASSS"
    assert heard[0][1] == SESSION.encode() + b"%20d" % 1
    assert [payload[:1] for _, payload in heard[1:]] == [b"S", b"A", b"A"]
    assert house.venue.acks("ALPHA") == [], "nothing of it goes by UDP"
    assert house.gateway.tallies["logins"] == 1 and house.venue.counters["orders"] == 2


@pytest.mark.parametrize(("fields", "reason"), [
    ({"password": "wrong"}, b"A"), ({"name": "NOBODY"}, b"A"), ({"session": "326O000020"}, b"S"),
    ({"number": "x"}, b"S")])
def test_a_refused_login_is_told_why_and_ends(house, fields, reason):
    peer = trader(house, **fields)
    assert peer.hear() == [("J", reason)] and peer.is_over
    assert house.gateway.tallies["refused"] == 1 and not house.gateway.connections


def test_names_and_numbers_are_read_as_stock_clients_write_them(house):
    peer = house.peer()
    peer.say(soup.packet("L", b"alpha " + b"SECRET    " + SESSION.encode() + b"1".ljust(20)),
             times=6)
    assert letters(peer.hear())[:1] == "A"


def test_who_comes_back_goes_on_where_he_was(house):
    peer = trader(house)
    peer.say(soup.packet("U", enter(1)), soup.packet("U", enter(2)))
    before = [payload for letter, payload in peer.hear() if letter == "S"]
    peer.sock.close()
    house.turn()
    assert house.venue.core.accounts.sessions[0]["state"] == shared.SESSION_ENDED
    again = trader(house, session=SESSION, number="3")
    heard = again.hear()
    assert heard[0] == ("A", SESSION.encode() + b"%20d" % 3)
    assert heard[1][1] == before[2]
    assert [payload[:1] for _, payload in heard[2:]] == [b"C", b"C"], "cancelled on disconnect"
    assert trader(house, number="0").hear() == [("A", SESSION.encode() + b"%20d" % 6)]


def test_over_udp_and_over_tcp_it_is_one_stream(house):
    peer = trader(house)
    peer.say(soup.packet("U", enter(1)))
    over_tcp = [payload for letter, payload in peer.hear() if letter == "S"]
    house.venue.login("ALPHA", requested=1)
    house.turn()
    assert house.venue.acks("ALPHA") == over_tcp
    assert peer.hear() == [] and peer.is_over and house.gateway.tallies["taken_over"] == 1
    assert house.venue.core.accounts.sessions[0]["live_cnt"] == 1, "its orders stay"
    house.venue.send("ALPHA", [enter(2)])
    house.turn()
    other = trader(house, number="1")
    assert [p for k, p in other.hear() if k == "S"] == house.venue.acks("ALPHA")
    assert len(house.venue.acks("ALPHA")) == 3


def test_a_newer_connection_takes_over(house):
    one, two = trader(house), trader(house)
    assert letters(two.hear()) == "AS" and letters(one.hear()) == "AS" and one.is_over
    two.say(soup.packet("U", enter(1)))
    assert letters(two.hear()) == "S" and house.venue.counters["orders"] == 1


def test_logout_cancels_and_closes(house):
    peer = trader(house)
    peer.say(soup.packet("U", enter(1)), soup.packet("O"))
    assert letters(peer.hear()).startswith("AS") and peer.is_over
    assert house.gateway.tallies["logout"] == 1
    assert house.venue.core.accounts.sessions[0]["live_cnt"] == 0


def test_heartbeats_both_ways_and_silence(house):
    peer = trader(house)
    peer.hear()
    for _ in range(20):
        peer.say(soup.packet("R"), seconds=1.5)
    assert set(letters(peer.hear())) == {"H"} and not peer.is_over
    row = house.venue.core.accounts.sessions[0]
    assert house.venue.now_ns - int(row["heard_ns"]) < 3_000_000_000, "the matcher hears of it"
    house.turn(seconds=15.5)
    peer.hear()
    assert peer.is_over and house.gateway.tallies["silent"] == 1
    assert row["state"] == shared.SESSION_ENDED or house.turn() or row["state"] == 2


def test_who_does_not_log_in_is_dropped(house):
    peer = house.peer()
    house.turn()
    house.turn(seconds=29.0)
    assert house.gateway.connections
    house.turn(seconds=2.0)
    assert peer.hear() == [] and peer.is_over and house.gateway.tallies["no_login"] == 1


@pytest.mark.parametrize("first", [soup.packet("U", b"x"), soup.packet("R"), soup.packet("O"),
                                   soup.packet("L", b"short"), login() + soup.packet("U", b"x")])
def test_nothing_goes_before_the_login(house, first):
    peer = house.peer()
    peer.say(first)
    assert peer.hear() == [] and peer.is_over and house.gateway.tallies["unexpected"] == 1


def test_a_desk_that_does_not_answer_is_asked_again_and_then_given_up(house):
    house.desk_answers = False
    peer = trader(house)
    for _ in range(8):
        house.turn(times=1, seconds=1.1)
    house.desk_answers = True
    house.turn()
    assert letters(peer.hear()) == "AS"
    house.desk_answers = False
    late = trader(house, name="BETA")
    house.turn(seconds=10.5)
    assert late.hear() == [("J", b"S")] and late.is_over


@pytest.mark.parametrize("house", [dict(of_source=3), dict(total=3)], indirect=True)
def test_more_connections_than_allowed_are_closed_at_once(house):
    peers = [house.peer() for _ in range(5)]
    house.turn()
    assert house.gateway.tallies["full"] == 2 and len(house.gateway.connections) == 3
    assert sum(bool(each.hear() or each.is_over) for each in peers) == 2
    peers[0].sock.close()
    house.turn()
    peer = trader(house)
    assert letters(peer.hear()) == "AS"


@pytest.mark.parametrize("house", [dict(sources=("127.0.0.2",))], indirect=True)
def test_a_source_that_no_account_has_is_closed_at_once(house):
    peer = house.peer()
    house.turn()
    assert peer.hear() == [] and peer.is_over and house.gateway.tallies["source"] == 1


def test_hostile_bytes_end_their_own_connection_and_nobody_elses(house):
    good, draw = trader(house, name="BETA"), random.Random(7)
    good.hear()
    for number in range(200):
        peer = house.peer(draw.choice(("orders", "glimpse")))
        data = bytearray(draw.choice((b"", login(), login() + soup.packet("U", enter(1)),
                                      login(password="wrong"), soup.packet("+", b"x" * 90))))
        for _ in range(draw.randrange(4)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        data += draw.randbytes(draw.choice((0, 3, 700)))
        peer.say(bytes(data), times=2, seconds=0.1)
        if number % 20 == 0:
            good.say(soup.packet("R"))
        if draw.random() < 0.7:
            peer.sock.close()
    good.say(soup.packet("U", enter(1)))
    assert letters(good.hear())[-1] == "S" and not good.is_over
    for service in house.services:
        ended = sum(service.tallies[name] for name in ENDINGS)
        assert service.tallies["accepted"] == ended + len(service.connections)
    assert sum(house.gateway.caps.held.values()) == sum(len(s.connections) for s in house.services)


def test_a_slow_reader_costs_a_bounded_amount_and_is_dropped(house):
    peer, reference = trader(house, receive_sz=4096), 0
    for _ in range(100):
        orders = []
        while len(orders) < 100:
            reference += 1
            orders.append(soup.packet("U", enter(reference)))
        peer.say(*orders, times=1)
    house.turn()
    conn = next(iter(house.gateway.connections))
    assert conn.waiting and conn.waiting_sz <= soup.ROOM + 4096
    assert house.venue.counters["orders"] == reference == 10_000
    for _ in range(16):
        house.turn(times=1, seconds=1.0)
        if house.gateway.connections:
            peer.say(soup.packet("R"), times=1)
    assert house.gateway.tallies["slow"] == 1 and not house.gateway.connections


def test_a_matcher_that_is_behind_holds_its_participants_back(house):
    peer, count, run = trader(house, receive_sz=1 << 20), 4000, house.venue.run
    house.venue.run = lambda: None
    peer.say(*(soup.packet("U", enter(n)) for n in range(1, count + 1)), times=12)
    assert 0 < house.gateway.upstream.room < 64 and house.venue.counters["orders"] == 0
    house.venue.run = run
    house.turn(times=40)
    assert house.venue.counters["orders"] == count and not peer.is_over
    assert letters(peer.hear()) == "AS" + "S" * count


def test_the_end_of_the_day_is_told(house):
    peer = trader(house)
    house.venue.tell(kind=shared.LINK_END_DAY)
    house.turn(seconds=0.1)
    heard = peer.hear()
    assert letters(heard) == "ASSZ" and heard[-2][1][-1:] == b"E" and peer.is_over


def test_sessions_of_a_recovery_that_died_are_ended_by_the_next(house):
    peer = trader(house)
    peer.say(soup.packet("U", enter(1)))
    conn = next(iter(house.gateway.connections))
    house.gateway.connections.clear()
    house.gateway._listen(conn, 0)
    house.gateway._end_strays()
    house.turn()
    row = house.venue.core.accounts.sessions[0]
    assert row["state"] == shared.SESSION_ENDED and row["live_cnt"] == 0
    conn.close()


def test_a_late_joiner_over_tcp(house):
    seller = trader(house)
    seller.say(*(soup.packet("U", enter(n, side=b"S", price=20000 + n)) for n in range(1, 6)))
    peer = house.peer("glimpse")
    peer.say(login("beta", number="1"), times=6)
    heard = peer.hear()
    assert letters(heard) == "A" + "S" * 8
    assert heard[0][1] == house.venue.feed_name.encode() + b"%20d" % 1
    assert b"".join(payload[:1] for _, payload in heard[1:]) == b"RHAAAAAG"
    log = house.venue.core.feed.log[0]
    assert heard[-1][1] == b"G%20d" % int(log["next_seq"])
    peer.say(soup.packet("O"))
    assert peer.hear() == [] and peer.is_over
    assert house.venue.core.accounts.sessions[1]["state"] == shared.SESSION_NONE, "no session"
    stays = house.peer("glimpse")
    stays.say(login(session=house.venue.feed_name), times=6)
    assert letters(stays.hear()).startswith("AS")
    for _ in range(31):
        stays.say(soup.packet("R"), seconds=1.0, times=2)
        if not house.glimpse.connections:
            break
    assert letters(stays.hear())[-1] == "Z" and house.glimpse.tallies["served"] == 1


def test_snapshots_are_refused_to_strangers_and_while_there_are_none(house):
    peer = house.peer("glimpse")
    peer.say(login(password="wrong"), times=6)
    assert peer.hear() == [("J", b"A")] and peer.is_over
    peer = house.peer("glimpse")
    peer.say(login(session="326F000009"), times=6)
    assert peer.hear() == [("J", b"S")]
    house.snapshots.image.head[0]["fault"] = shared.IMAGE_LAPPED
    peer = house.peer("glimpse")
    peer.say(login(), times=6)
    assert peer.hear() == [("J", b"S")] and house.glimpse.tallies["refused"] == 3
