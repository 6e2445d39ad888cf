"""Drop copies: a firm's answers in one order that anybody finds again, and no word too early."""

import random

import numpy as np
import pytest

from appliance.layout import shared
from appliance.stages import soup
from appliance.stages.dropcopy import Merge
from tests.hot.test_session import MS, enter
from tests.hot.test_throttle import cancel
from tests.stages.soup_kit import House, login

PEOPLE = [("ALPHA", "ONE"), ("BETA", "TWO"), ("GAMMA", "ONE"), ("DELTA", "ONE")]


@pytest.fixture
def house():
    made = House(accounts=PEOPLE, copies=[("DROP1", "ONE"), ("DROP2", "TWO"), ("DROP3", "ONE")])
    for name, _ in PEOPLE:
        made.venue.login(name)
    yield made
    made.close()


def busy(house, seed=1, rounds=60):
    """Orders, trades and cancels of everybody, in bursts of one time, over some time."""
    venue, dice = house.venue, random.Random(seed)
    numbers = {name: int(venue.core.accounts.sessions[i]["last_user_ref"])
               for i, (name, _) in enumerate(PEOPLE)}
    for _ in range(rounds):
        for name in dice.sample(sorted(numbers), dice.randrange(1, 5)):
            numbers[name] += 1
            messages = [enter(numbers[name], dice.choice((b"B", b"S")), price=10_000
                              + dice.randrange(3))]
            if dice.random() < 0.3:
                messages.append(cancel(dice.randrange(1, numbers[name] + 1)))
            venue.send(name, messages)
        venue.run()
        venue.advance(dice.choice((0, 0, MS, 5 * MS)))
    venue.advance(5 * MS)
    venue.run()


def expected(house, firm):
    """(account, message) in the order that the streams say: by time, account, number."""
    from tests.hot.test_against_oracle import stream_of
    rows = []
    for idx, (_, its) in enumerate(PEOPLE):
        if its == firm:
            data, at, number = stream_of(house.venue.core, idx), 0, 0
            while at < len(data):
                size = data[at] << 8 | data[at + 1]
                message = data[at + 3:at + 2 + size]
                rows.append((int.from_bytes(message[1:9], "big"), idx, number, message))
                at, number = at + 2 + size, number + 1
    return [(PEOPLE[idx][0], message) for _, idx, _, message in sorted(rows)]


def heard(packets):
    """(session, next number, [(account, message)]) of what a client got."""
    accepted, told, found = None, None, []
    for letter, payload in packets:
        if letter == "A":
            accepted = payload[:10].decode(), int(payload[10:])
        elif letter == "+":
            told = payload.decode().removeprefix("account ")
        elif letter == "S":
            found.append((told, payload))
    return accepted, found


def client(house, name="DROP1", number="1", **options):
    peer = house.peer("orders")
    peer.say(login(name, number=number, **options), times=6)
    return peer


def listened(house, peer, count):
    packets = []
    for _ in range(200):
        packets += peer.hear()
        if sum(letter == "S" for letter, _ in packets) >= count:
            break
        house.turn(1)
    return packets


def test_a_firms_answers_come_in_one_order_and_nobody_elses(house):
    busy(house)
    for name, firm in (("DROP1", "ONE"), ("DROP2", "TWO")):
        wanted = expected(house, firm)
        accepted, found = heard(listened(house, client(house, name), len(wanted)))
        assert accepted == (f"326D00{1 + (firm == 'TWO'):03d}0", 1)
        assert found == wanted and len(found) > 50
    assert {message[:1] for _, message in found} >= set([b"A", b"E", b"S"])


def test_a_client_goes_on_where_it_was_also_with_another_recovery(house):
    busy(house)
    peer = client(house)
    first = heard(listened(house, peer, 40))[1][:40]
    peer.sock.close()
    house.turn(2)
    busy(house, seed=2)
    blocks = (house.venue.core.accounts.sessions, house.venue.core.streams.heads,
              house.venue.core.streams.data)
    status = house.gateway.copies[0].merge.status
    house.gateway.copies[0].merge = Merge((0, 2, 3), *blocks, status, False)    # from nothing
    wanted = expected(house, "ONE")
    accepted, rest = heard(listened(house, client(house, number="41"), len(wanted) - 40))
    assert accepted[1] == 41 and first + rest == wanted
    assert heard(client(house, number="0").hear())[0][1] == len(wanted) + 1
    assert heard(client(house, number="99999").hear())[0][1] == len(wanted) + 1


def test_nothing_is_shown_before_it_is_settled_nor_what_comes_behind_it(house):
    venue, merge = house.venue, house.gateway.copies[0].merge
    busy(house)
    while merge.follow():
        pass
    assert merge.is_whole()
    before, settled = len(merge), int(merge.status[0]["settled_ns"])
    row = venue.core.accounts.sessions[0]
    number = int(row["last_user_ref"]) + 1
    venue.send("ALPHA", [enter(number, price=1)])
    venue.run(calls=1)
    merge.status[0]["settled_ns"] = settled          # as if the matcher were in that very pass
    assert merge.follow() == 0 and len(merge) == before
    venue.advance(5 * MS)
    venue.run()
    assert merge.follow() == 1


def test_what_waits_for_the_disk_holds_back_what_is_younger():
    house = House(accounts=PEOPLE, copies=[("DROP1", "ONE")], waits=True)
    try:
        for name, _ in PEOPLE:
            house.venue.login(name)
        merge, sessions = house.gateway.copies[0].merge, house.venue.core.accounts.sessions
        busy(house, rounds=30)
        sessions["released_seq"] = sessions["next_seq"]
        sessions[2]["released_seq"] = 15
        for _ in range(20):
            merge.follow()
        shown = [merge.place(number)[0] for number in range(1, len(merge) + 1)]
        assert 0 < shown.count(2) < 15 and not merge.is_whole()
        wanted = expected(house, "ONE")
        held = next(i for i, row in enumerate(wanted)
                    if [each[0] for each in wanted[:i + 1]].count("GAMMA") == 15)
        limit = wanted[held][1][1:9]
        assert len(merge) == sum(message[1:9] < limit for _, message in wanted[:held]) > 10
        sessions["released_seq"] = sessions["next_seq"]
        while merge.follow():
            pass
        assert merge.is_whole() and len(merge) == len(wanted)
    finally:
        house.close()


def test_a_stream_of_many_chunks_is_merged_whole(house):
    """From chunks of all its accounts, none of which begins where another does."""
    merge = house.gateway.copies[0].merge
    for seed in range(4):
        busy(house, seed=seed, rounds=400)
    while merge.follow():
        pass
    assert merge.is_whole()
    chunks = {int(merge.place(number)[1]) // shared.CHUNK_SZ for number in
              range(1, len(merge) + 1)}
    assert len(chunks) > 3
    got = []
    for number in range(1, len(merge) + 1):
        account, off = merge.place(number)
        size = int(merge.data[off]) << 8 | int(merge.data[off + 1])
        got.append((PEOPLE[account][0], merge.data[off + 3:off + 2 + size].tobytes()))
    assert got == expected(house, "ONE")


def test_who_may_log_in_and_what_a_drop_copy_may_say(house):
    for options, reason in ((dict(password="wrong"), b"A"), (dict(session="326D000020"), b"S"),
                            (dict(number="x"), b"S")):
        peer = house.peer("orders")
        peer.say(login("DROP1", **options), times=6)
        assert ("J", reason) in peer.hear()
    trader = house.peer("orders")
    trader.say(login("ALPHA"), times=6)
    trader.say(soup.packet("O"), times=6)
    peer = client(house)
    assert heard(peer.hear())[0] == ("326D000010", 1)
    peer.say(soup.packet("R"), times=2)
    peer.say(soup.packet("U", enter(1)), times=6)
    peer.hear()
    assert peer.is_over and house.gateway.tallies["unexpected"] == 1
    assert house.desk.tally["drop_copy"] == 1
    assert int(np.sum(house.venue.core.accounts.sessions["last_user_ref"])) == 0


def test_a_drop_copys_name_opens_no_session_over_udp(house):
    from tests.control.test_logins import HOME, login as datagram, record
    got, answer = house.desk.answer(record(datagram(b"TOKEN00001", b"DROP1", b"secret"), HOME))
    assert got == "name_or_password" and answer["reason"] == ord("A")


def test_the_days_end_ends_it_when_all_has_been_told(house):
    busy(house)
    peer = client(house)
    house.venue.tell(kind=shared.LINK_END_DAY)
    house.venue.run()
    house.venue.advance(5 * MS)
    packets = listened(house, peer, len(expected(house, "ONE")))
    for _ in range(5):
        house.turn(1)
        packets += peer.hear()
    assert packets[-1][0] == "Z" and peer.is_over
    assert heard(packets)[1] == expected(house, "ONE")
