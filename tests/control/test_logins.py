"""The login desk: sequence-0 datagrams in, bindings and refusals out."""

import dataclasses
import threading
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from appliance import topology as topo
from appliance.config import load as loading
from appliance.config.load import load
from appliance.control import logins, secrets
from appliance.layout import shared

SECOND = 1_000_000_000
HOME, ELSEWHERE = 0x7F000001, 0x7F000002
# Vector U01 of the wire specification: token MM00010001, user MM0001, password secret, number 1.
U01 = bytes.fromhex("4D4D30303031303030310000000000000000"
                    "0001002F4C4D4D30303031736563726574202020202020202020202020202020"
                    "20202020202020202020202020202020202031")


def login(token=b"TOKEN00001", name=b"ALICE", password=b"change-me", session=b"", number=b"1"):
    """The datagram of a Login Request; the number may stand left or right in its field."""
    return (token + bytes(8) + b"\x00\x01\x00\x2fL" + name.ljust(6) + password.ljust(10)
            + session.ljust(10) + number.rjust(20))


def record(text, ip=HOME, udp_port=5000):
    return {"kind": shared.LINK_CONTROL, "ip": ip, "udp_port": udp_port, "mac": b"\x02abcde",
            "text": text, "text_sz": len(text)}


@pytest.fixture
def desk():
    part = topo.build(load(Path(loading.__file__).parent / "examples/appliance.toml")).partitions[0]
    sessions = np.zeros(len(part.accounts), shared.SESSION.dtype)
    return logins.Desk(part, 326, sessions, {}, 15 * SECOND)


def outcome(desk, *arguments, **fields):
    return desk.answer(record(login(*arguments, **fields)))[0]


def over_tcp(desk, kind=shared.LINK_TCP_LOGIN, **fields):
    """(outcome, reply) for what recovery hands up."""
    return desk.answer(record(login(**fields), udp_port=0) | {"kind": kind})


def test_a_login_over_tcp_is_bound_without_a_port(desk):
    got, reply = over_tcp(desk, number=b"7")
    assert got == "bound"
    assert (reply["kind"], reply["udp_port"], reply["requested_seq"]) == (shared.LINK_LOGIN, 0, 7)
    assert over_tcp(desk)[0] == "repeated"
    assert outcome(desk, token=b"TOKEN00002") == "bound", "over UDP it is taken over"
    assert over_tcp(desk)[0] == "token_reused"


def test_no_datagram_is_a_login_over_tcp_and_the_other_way_round(desk):
    assert desk.answer(record(login(), udp_port=0)) == ("not_a_login", None)
    assert desk.answer(record(login(), udp_port=5000) | {"kind": shared.LINK_TCP_LOGIN}) \
        == ("not_a_login", None)


def test_a_check_binds_nothing_and_takes_no_token(desk):
    got, reply = over_tcp(desk, shared.LINK_CHECK, session=b"326F000000", number=b"")
    assert got == "checked" and reply["kind"] == shared.LINK_LOGIN and reply["account"] == 0
    assert not desk.bound and not desk.used
    got, reply = over_tcp(desk, shared.LINK_CHECK, password=b"wrong")
    assert got == "name_or_password" and reply["reason"] == ord("A")
    stranger = record(login(), ip=ELSEWHERE, udp_port=0) | {"kind": shared.LINK_CHECK}
    assert desk.answer(stranger)[0] == "source"


def test_vector_of_the_wire_specification_is_read():
    request = logins.parse(record(U01))
    assert (request.token, request.name, request.password, request.session, request.number) == (
        b"MM00010001", b"MM0001", b"secret", b"", b"1")


def test_right_name_and_password_are_bound_to_the_source(desk):
    got, reply = desk.answer(record(login(number=b"42")))
    assert got == "bound"
    assert reply == {"kind": shared.LINK_LOGIN, "account": 0, "session": b"326O000010",
                     "token": b"TOKEN00001", "ip": HOME, "udp_port": 5000, "mac": b"\x02abcde",
                     "requested_seq": 42}


def test_letter_case_of_name_and_password_is_ignored(desk):
    assert outcome(desk, name=b"alice", password=b"CHANGE-ME") == "bound"


@pytest.mark.parametrize("fields", [
    {"password": b"change-mf"}, {"password": b""}, {"name": b"NOBODY"}, {"name": b""},
    {"name": b"BOB"}, {"password": b"change-me2"}])
def test_wrong_name_or_password_is_not_authorised(desk, fields):
    got, reply = desk.answer(record(login(**fields)))
    assert got == "name_or_password"
    assert (reply["kind"], reply["reason"]) == (shared.LINK_REFUSE, ord("A"))
    assert reply["token"] == b"TOKEN00001"


def test_source_of_another_account_is_not_authorised(desk):
    got, reply = desk.answer(record(login(), ip=ELSEWHERE))
    assert (got, reply["reason"]) == ("source", ord("A"))


def test_refused_login_does_not_use_the_token_up(desk):
    assert outcome(desk, password=b"wrong") == "name_or_password"
    assert outcome(desk) == "bound"


def test_same_login_again_gets_the_same_answer(desk):
    first = desk.answer(record(login()))[1]
    assert desk.answer(record(login())) == ("repeated", first)


@pytest.mark.parametrize("ip, udp_port", [(HOME, 5001)])
def test_token_from_another_port_is_refused(desk, ip, udp_port):
    outcome(desk)
    got, reply = desk.answer(record(login(), ip, udp_port))
    assert (got, reply["reason"]) == ("token_reused", ord("S"))


def test_token_of_another_account_is_refused(desk):
    outcome(desk)
    assert outcome(desk, name=b"BOB", password=b"change-2") == "token_reused"


def test_late_repeat_of_a_replaced_login_is_refused(desk):
    outcome(desk)
    assert outcome(desk, token=b"TOKEN00002") == "bound"
    assert outcome(desk) == "token_reused"


def test_late_repeat_after_the_logout_is_refused(desk):
    outcome(desk)
    desk.sessions[0]["state"], desk.sessions[0]["epoch"] = shared.SESSION_ENDED, 1
    assert outcome(desk) == "token_reused"


def test_repeat_before_the_matcher_has_bound_is_answered(desk):
    """The session still shows the end of the login before."""
    desk.sessions[0]["state"], desk.sessions[0]["epoch"] = shared.SESSION_ENDED, 4
    outcome(desk)
    assert outcome(desk) == "repeated"


def test_token_stays_used_in_the_next_instance(desk):
    outcome(desk)
    after = logins.Desk(desk.partition, 326, desk.sessions, desk.used, 15 * SECOND)
    assert outcome(after) == "token_reused"


@pytest.mark.parametrize("token", [b"TOKEN 0001", b"TOKEN-0001", bytes(10), b"\xff" * 10])
def test_token_that_is_not_ten_letters_or_digits_is_refused(desk, token):
    assert outcome(desk, token=token) == "token_malformed"


@pytest.mark.parametrize("session, wanted", [
    (b"326O000010", "bound"), (b"", "bound"), (b"326O000020", "other_session"),
    (b"325O000010", "other_session")])
def test_session_asked_for_must_be_ours(desk, session, wanted):
    assert outcome(desk, session=session) == wanted


@pytest.mark.parametrize("number, wanted", [
    (b"0".ljust(20), 0), (b"7".ljust(20), 7), (b"9" * 20, (1 << 63) - 1), (b" 5 ", 5)])
def test_number_may_stand_anywhere_in_its_field(desk, number, wanted):
    assert desk.answer(record(login(number=number)))[1]["requested_seq"] == wanted


@pytest.mark.parametrize("number", [b"", b"-1", b"1x", b"1 2", b"\xb2"])
def test_number_that_is_none_is_refused(desk, number):
    assert outcome(desk, number=number) == "bad_number"


@pytest.mark.parametrize("text", [
    b"", login()[:-1], login() + b"\0", login().replace(b"L", b"U", 1),
    login()[:10] + b"\0" * 7 + b"\1" + login()[18:], login()[:18] + b"\0\2" + login()[20:]])
def test_other_datagrams_get_no_answer(desk, text):
    assert desk.answer(record(text)) == ("not_a_login", None)
    assert desk.tally["not_a_login"] == 1


def test_every_datagram_is_tallied_once(desk):
    for fields in ({}, {}, {"password": b"x"}, {"token": b"?" * 10}, {"token": b"TOKEN00002"}):
        outcome(desk, **fields)
    assert desk.tally == dict.fromkeys(logins.OUTCOMES, 0) | {
        "bound": 2, "repeated": 1, "name_or_password": 1, "token_malformed": 1}


def test_silent_session_is_ended_once_and_again_after_its_next_login(desk):
    session = desk.sessions[1]
    session["state"], session["epoch"], session["heard_ns"] = shared.SESSION_LIVE, 1, 100 * SECOND
    session["token_hi"] = int.from_bytes(b"TOKEN000", "big")
    session["token_lo"] = int.from_bytes(b"07", "big")
    assert desk.silent(115 * SECOND) == []
    found = desk.silent(115 * SECOND + 1)
    assert [(f["kind"], f["account"], f["token"]) for f in found] == [
        (shared.LINK_DISCONNECT, 1, b"TOKEN00007")]
    assert desk.silent(116 * SECOND) == []
    session["epoch"] = 2
    assert len(desk.silent(116 * SECOND)) == 1


def test_session_that_is_not_live_is_never_silent(desk):
    desk.sessions["state"] = shared.SESSION_ENDED
    assert desk.silent(10_000 * SECOND) == []


def test_words_about_a_refusal_hold_no_password(desk):
    text = logins.describe(record(login()), "source")
    assert text == "login of 'ALICE' from 127.0.0.1:5000 refused: source"


@pytest.fixture
def hashed(desk):
    """A desk whose ALICE has a hash and whose BOB has a plain password; limits of four checks."""
    alice, bob = desk.partition.accounts
    alice = msgspec.structs.replace(alice, password=None,
                                    password_hash=secrets.make_hash("Change-Me"))
    part = dataclasses.replace(desk.partition, accounts=(alice, bob))
    checker = secrets.Checker(part.accounts, depth=8)
    yield logins.Desk(part, 326, desk.sessions, {}, 15 * SECOND, checker)
    checker.close()


def finished(desk, count=1):
    """`count` answers of `ready`, waited for."""
    found, deadline = [], time.monotonic() + 60
    while len(found) < count:
        assert time.monotonic() < deadline
        found += desk.ready()
        time.sleep(0.001)
    return found


def held_up(desk):
    """No check of the desk's checker goes on until the event that comes back is set."""
    go_on = threading.Event()
    desk.checker.threads.submit(go_on.wait, 30)
    return go_on


def test_hashed_password_is_checked_beside_and_then_remembered(hashed):
    asked = record(login(number=b"42"))
    assert hashed.answer(asked) == ("checking", None)
    assert hashed.answer(asked) == ("checking", None), "one check answers the repeats too"
    (back, got, reply), = finished(hashed)
    assert (back, got, reply["kind"], reply["requested_seq"]) == (
        asked, "bound", shared.LINK_LOGIN, 42)
    assert hashed.answer(asked) == ("repeated", reply)
    other = logins.Desk(hashed.partition, 326, hashed.sessions, {}, SECOND, hashed.checker)
    assert outcome(other, password=b"CHANGE-ME") == "bound", "known to other partitions at once"
    assert hashed.tally["checking"] == 2 and hashed.tally["bound"] == 1


@pytest.mark.parametrize("fields", [{"password": b"change-mf"}, {"name": b"NOBODY"},
                                    {"name": b"NOBODY", "password": b"nobody"}])
def test_wrong_hashed_password_and_unknown_name_wait_alike_every_time(hashed, fields):
    for _ in range(2):
        assert hashed.answer(record(login(**fields))) == ("checking", None)
        (_, got, reply), = finished(hashed)
        assert (got, reply["kind"], reply["reason"]) == (
            "name_or_password", shared.LINK_REFUSE, ord("A"))


@pytest.mark.parametrize("name, other", [(b"ALICE", b"alice"), (b"NOBODY", b"nobody")])
def test_one_check_serves_a_name_whether_anybody_has_it_or_not(hashed, name, other):
    """Who asks twice at a time must not learn from the second answer whether an account exists."""
    again = logins.Desk(hashed.partition, 326, hashed.sessions, {}, SECOND, hashed.checker)
    go_on = held_up(hashed)
    assert outcome(hashed, name=name, password=b"guess") == "checking"
    assert outcome(again, name=other, password=b"GUESS") == "checking"
    assert outcome(again, name=b"NONE", password=b"guess") == "checking"
    (first,), (same, another) = (
        [future for _, future in desk.pending.values()] for desk in (hashed, again))
    assert first is same and first is not another
    go_on.set()
    assert [got for _, got, _ in finished(again, 2)] == ["name_or_password"] * 2


def test_plain_password_beside_hashes_is_answered_at_once(hashed):
    assert outcome(hashed, name=b"BOB", password=b"change-2") == "bound"
    assert outcome(hashed, name=b"BOB", password=b"change-3") == "name_or_password"


def test_wrong_source_of_a_hashed_account_is_refused_after_the_check(hashed):
    assert hashed.answer(record(login(), ip=ELSEWHERE)) == ("checking", None)
    assert finished(hashed)[0][1] == "source"


def test_too_many_checks_are_busy_one_source_first(hashed):
    go_on = held_up(hashed)
    taken = [outcome(hashed, password=b"guess%d" % i) for i in range(8)]
    assert taken == ["checking"] * 2 + ["busy"] * 6
    got = hashed.answer(record(login(), ip=ELSEWHERE))
    assert got == ("checking", None), "another source has places of its own"
    go_on.set()
    finished(hashed, hashed.tally["checking"])
    assert outcome(hashed) == "bound", "the right one is remembered"
