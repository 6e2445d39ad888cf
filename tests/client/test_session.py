"""A session against the oracle's venue on loopback: login, losses both ways, its life and end."""

import random
import socket
import time

import pytest

from appliance.client import session as session_module
from appliance.client.channel import Partition
from appliance.client.orders import LoginError, OrderSession
from tests.client.venue_host import (
    END_OF_SESSION, HOME, PASSWORD, carrying, first, idle, letters, numbers, until,
)
from tests.oracle.session import packet

NAME = b"326O010010"


def test_login_gives_the_assigned_name_and_the_day_from_its_beginning(host, join):
    session = join()
    assert session.login() == "326O010010" == session.session
    answers = until(session, lambda: session.expected == 2)
    assert letters(answers) == "S" and answers[0].event_code == "S"


def test_wrong_password_is_refused_with_its_reason(host, join):
    with pytest.raises(LoginError, match="login of ACC0 was refused: reason A .*password"):
        join(password="wrong").login()


def test_a_token_used_before_is_refused(host, join):
    join(token="TOKEN00001").login()
    with pytest.raises(LoginError, match="reason S .*token was used before"):
        join(token="TOKEN00001").login()


def test_a_login_that_nobody_answers_says_what_to_check():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOME, 0))
        partition = Partition(1, 0, HOME, deaf.getsockname()[1], "", "", 0, "", 0, "", {}, {})
        with OrderSession(partition, "ACC0", "x") as session:
            begun = time.monotonic()
            with pytest.raises(LoginError, match=r"was not answered in 0.1 s; is the appliance up"):
                session.login(timeout=0.1)
            assert 0.1 <= time.monotonic() - begun < 30
            assert session.counts["unsent"] == 0


def test_a_port_that_nobody_listens_on_is_a_login_that_nobody_answers(monkeypatch):
    monkeypatch.setattr(session_module, "REPEAT_LOGIN_S", 0.02)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((HOME, 0))
        port = free.getsockname()[1]
    partition = Partition(1, 0, HOME, port, "", "", 0, "", 0, "", {}, {})
    with OrderSession(partition, "ACC0", "x") as session, pytest.raises(LoginError):
        session.login(timeout=0.2)


def test_the_login_is_repeated_each_second_until_it_is_answered(host, join):
    host.lost_out = first(lambda payload: numbers(payload)[1] == 0, times=2)
    session, asked = join(), []
    put = session._put

    def noted(packet):
        asked.extend([time.monotonic()] * (packet[22:23] == b"L"))
        put(packet)

    session._put = noted
    session.login(timeout=60)
    assert len(asked) == 3 and all(0.9 < later - earlier < 20 for earlier, later
                                   in zip(asked, asked[1:], strict=False))
    assert len({payload for _, payload in host.heard if payload[22:23] == b"L"}) == 1
    number = session.enter("B", 10, "AAPL", 10_000)
    assert session.wait(number)[-1].letter == "A"
    assert host.venue.counters["logins"] == 1


def test_holes_in_the_acknowledgements_are_repaired_in_order(host, join):
    session = join()
    session.login()
    host.lost_out = first(carrying(3, 4, 7), times=3)
    for _ in range(10):
        session.enter("B", 1, "AAPL", 10_000)
    answers = until(session, lambda: session.expected == 12)
    assert [r.user_ref_num for r in answers if r.letter == "A"] == list(range(1, 11))
    assert session.counts["gaps"] >= 1 and session.counts["requests"] >= 2
    assert host.venue.dispositions["rx_rerequest"] >= 2


def test_a_heartbeat_reveals_a_lost_last_acknowledgement(host, join):
    session = join()
    session.login()
    host.lost_out = first(carrying(2))
    answers = session.wait(session.enter("B", 1, "AAPL", 10_000))
    assert answers[-1].letter == "A" and session.counts["requests"] >= 1


def test_doubled_and_shuffled_acknowledgements_come_once(host, join):
    session = join()
    session.login()
    for _ in range(30):
        session.enter("B", 1, "AAPL", 10_000)
    until(session, lambda: session.expected == 32)
    again = join()
    with host.lock:
        again._transmit(packet(again.token.encode(), 0, [b"L" + b"ACC0  " + PASSWORD.encode().ljust(
            10) + b" " * 10 + b"1".rjust(20)]))
    host.lost_out = lambda payload: numbers(payload)[2] == 1 and numbers(payload)[1] > 0
    until(again, lambda: again.session)
    stream, rng = host.venue.streams[0], random.Random(5)
    order = [n for n in range(1, 32) for _ in range(2)]
    rng.shuffle(order)
    for number in order:
        host.say(0, packet(NAME, number, [b"S" + stream[number - 1]]))
    answers = until(again, lambda: again.expected == 32)
    assert [r.user_ref_num for r in answers if r.letter == "A"] == list(range(1, 31))
    assert again.counts["duplicates"] >= 20


def test_everything_may_be_lost_at_random_and_all_orders_arrive_once(host, join):
    """A third of all datagrams, both ways, 200 orders."""
    rng = random.Random(11)
    session = join(heartbeat_s=0.02)
    session.login()
    host.lost_in = lambda payload: rng.random() < 0.3
    host.lost_out = lambda payload: rng.random() < 0.3
    answers = []
    for n in range(200):
        session.enter("B", 1 + n, "AAPL", 10_000)
        answers += session.poll()
    deadline = time.monotonic() + 60
    while sum(r.letter == "A" for r in answers) < 200:
        answers += session.poll(0.02)
        assert time.monotonic() < deadline, (session.counts, host.venue.dispositions)
    assert [r.quantity for r in answers if r.letter == "A"] == list(range(1, 201))
    assert host.venue.counters["messages_skipped"] == 0
    assert session.counts["gaps_answered"] > 0 and session.counts["requests"] > 0


def test_the_hosts_gap_requests_are_answered(host, join):
    session = join()
    session.login()
    host.lost_in = first(carrying(2, 3), times=2)
    orders = [session.enter("B", n, "AAPL", 10_000) for n in (1, 2, 3, 4)]
    answers = until(session, lambda: session.orders.keys() >= set(orders))
    assert [r.quantity for r in answers if r.letter == "A"] == [1, 2, 3, 4]
    assert session.counts["gaps_answered"] >= 1
    assert host.venue.counters["messages_skipped"] == 0


def test_a_lost_last_order_is_revealed_by_the_heartbeat(host, join):
    session = join(heartbeat_s=0.05)
    session.login()
    host.lost_in = first(carrying(1))
    assert session.wait(session.enter("B", 1, "AAPL", 10_000))[-1].letter == "A"
    assert session.counts["gaps_answered"] >= 1


def test_what_is_no_longer_kept_is_filled_with_empty_messages(host, join, monkeypatch):
    monkeypatch.setattr(session_module, "SENT_KEPT", 3)
    session = join()
    session.login()
    host.lost_in = first(carrying(1, 2, 3, 4, 5), times=5)
    for n in range(1, 6):
        session.enter("B", n, "AAPL", 10_000)
    session.enter("B", 6, "AAPL", 10_000)
    answers = until(session, lambda: 6 in session.orders)
    assert [r.quantity for r in answers if r.letter == "A"] == [4, 5, 6]
    assert host.venue.counters["messages_filler"] == 3
    assert host.venue.counters["messages_skipped"] == 0


def test_a_large_gap_is_answered_in_whole_datagrams(host, join):
    session = join()
    session.login()
    host.lost_in = first(carrying(*range(1, 61)), times=60)
    for _ in range(60):
        session.enter("B", 1, "AAPL", 10_000)
    session.enter("B", 1, "AAPL", 10_000)
    until(session, lambda: len(session.orders) == 61)
    repairs = [payload for _, payload in host.heard if carrying(*range(1, 61))(payload)]
    told = sum(numbers(payload)[2] for payload in repairs)       # again when the host asks again
    assert told >= 60 and told >= 6 * len(repairs)
    assert 1400 < max(map(len, repairs)) <= 1472
    assert host.venue.counters["messages_filler"] == 0


def test_requests_that_make_no_sense_are_survived(host, join):
    session = join()
    session.login()
    session.wait(session.enter("B", 1, "AAPL", 10_000))
    mine = session.token.encode()
    for request in (packet(mine, 0, [], 65534), packet(mine, 1, [], 65534),
                    packet(mine, 999, [], 1), packet(mine, (1 << 64) - 1, [], 65534),
                    packet(b"NOTMYTOKEN", 1, [], 1)):
        host.say(0, request)
    until(session, lambda: session.counts["gaps_answered"] == 4)
    assert session.wait(session.enter("B", 1, "AAPL", 10_000))[-1].letter == "A"
    assert session.counts["ignored"] == 1
    assert [numbers(payload)[1] for _, payload in host.heard].count(0) == 1, "only the login"


def test_an_idle_session_says_so_in_one_long_poll(host, join):
    session = join(heartbeat_s=0.05)
    session.login()
    session.wait(session.enter("B", 1, "AAPL", 10_000))
    host.heartbeat_s = 1e9                               # nothing comes that would wake it up
    idle(session, 0.1)
    for _ in range(20):                                  # a busy machine may give it no time
        begun, silent = len(host.heard), session.silent_s
        assert session.poll(0.5) == []
        beats = [payload for _, payload in host.heard[begun:] if numbers(payload)[2] == 0]
        assert session.silent_s >= silent + 0.5
        if len(beats) >= 5:
            break
    assert len(beats) >= 5 and set(beats) == {packet(session.token.encode(), 2, [])}
    host.heartbeat_s = 0.05
    until(session, lambda: session.silent_s < 0.2)


def test_asking_for_acknowledgements_does_not_replace_the_heartbeat(host, join):
    """The host takes requests for no sign of life."""
    session = join(heartbeat_s=0.05, retry_s=0.01)
    session.login()
    host.lost_out = carrying(2)
    session.enter("B", 1, "AAPL", 10_000)
    begun = len(host.heard)

    def has_both():
        heard = [payload for _, payload in host.heard[begun:]]
        return sum(payload[:10] == NAME for payload in heard) >= 20 and sum(
            payload[:10] == session.token.encode() and numbers(payload)[2] == 0
            for payload in heard) >= 3

    until(session, has_both)


def test_the_end_of_the_day_arrives_after_every_acknowledgement(host, join):
    session = join()
    session.login()
    session.wait(session.enter("B", 5, "AAPL", 10_000))
    host.lost_out = first(carrying(3, 4), times=2)
    host.end_day()
    answers = until(session, lambda: session.ended)
    assert [(r.letter, r.get("reason")) for r in answers] == [("C", "E"), ("S", None)]
    assert session.orders[1].open_qty == 0
    host.lost_in = lambda payload: True                  # it is gone
    with pytest.raises(TimeoutError, match="no answer to UserRefNum 2 of ACC0 before the end of"):
        session.wait(session.enter("B", 1, "AAPL", 10_000))
    with pytest.raises(TimeoutError, match="the session has ended"):
        session.resume()


def test_logout_cancels_what_is_open_where_the_account_is_set_so(host, join):
    session = join(0)
    session.login()
    session.wait(session.enter("B", 5, "AAPL", 10_000))
    host.lost_in = first(carrying(2))                    # the logout; the end of session shows it
    session.logout()
    session.close()
    with host.lock:
        assert host.venue.counters["disconnects"] == 1
    back = join(0)
    back.login(3)
    answers = until(back, lambda: back.expected == 4)
    assert [(r.letter, r.reason, r.quantity) for r in answers] == [("C", "Z", 5)]


def test_close_ends_the_session_and_repairs_a_lost_last_order(host, join):
    session = join(1)
    session.login()
    host.lost_in = first(carrying(1))
    session.enter("B", 5, "AAPL", 10_000)
    session.close()
    session.close()
    deadline = time.monotonic() + 60
    while host.venue.counters["disconnects"] == 0:
        assert time.monotonic() < deadline, host.venue.dispositions
        time.sleep(0.01)
    assert [message[:1] for message in host.venue.streams[1]] == [b"S", b"A"]
    ends = [p for _, p in host.heard if numbers(p)[2] == END_OF_SESSION]
    assert len(ends) == 3 and set(ends) == {packet(session.token.encode(), 2, [], END_OF_SESSION)}


def test_datagrams_that_are_no_ones_are_counted_and_survived(host, join):
    session = join()
    session.login()
    until(session, lambda: session.expected == 2)
    control = packet(session.token.encode(), 0, [b"JA"])
    cases = {"malformed": [b"", b"x" * 19, packet(NAME, 2, [b"S"], 2),
                           packet(NAME, 9, [], 0) + b"!"],
             "ignored": [control, packet(NAME, 0, []), packet(b"OTHERNAME0", 2, [b"SQ"]),
                         packet(session.token.encode(), 2, [b"SQ"])]}
    for payload in (*cases["malformed"], *cases["ignored"]):
        host.say(0, payload)
    until(session, lambda: (session.counts["malformed"], session.counts["ignored"]) == (4, 4))
    assert session.expected == 2 and session.session == NAME.decode()


def test_a_host_may_end_a_session_that_it_refused_too_much(host, join):
    session = join()
    session.login()
    until(session, lambda: session.expected == 2)
    host.say(0, packet(b"OTHERTOKEN", 0, [b"JS"]))
    until(session, lambda: session.counts["ignored"] == 1)
    assert not session.expelled and not session.ended
    host.say(0, packet(session.token.encode(), 0, [b"JS"]))
    until(session, lambda: session.ended)
    assert session.expelled and session.session == NAME.decode()


def test_an_address_that_is_not_here_cannot_be_bound(host):
    with pytest.raises(OSError):
        OrderSession(host.partition, "ACC0", PASSWORD, bind=("192.0.2.1", 0))
