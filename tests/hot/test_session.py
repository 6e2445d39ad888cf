"""The order port: one disposition a datagram, each session's messages once and in order."""

import random
import struct

import pytest

from appliance.layout.shared import DISPOSITIONS
from tests.hot.harness import MOLD, ORDER_PORT, OUR_IP, Venue, blocks_of, frame, mold

MS = 1_000_000
TOKEN = "MM00010001"
U02 = bytes.fromhex(
    "3236313132325030303100000000000000000001001F413236313132325030303120202020202020202020202020"
    "20202020202031")
U03 = bytes.fromhex(
    "4D4D3030303130303031000000000000000100020030554F0000000142000000C84558414D504C45200000000000"
    "18EC783059504E4E434C4F52442D30303031202020200000000A55580000000300000000")
U04 = bytes.fromhex(
    "32363131323250303031000000000000000200020041534100001F1AD635BD150000000142000000C84558414D50"
    "4C4520000000000018EC7830590100000000000001504E4E4C434C4F52442D303030312020202000000025534500"
    "001F1AD635BD150000000100000032000000000018EC784101000000000001010000")
U05 = bytes.fromhex("4D4D303030313030303100000000000000030002")
U06 = bytes.fromhex("4D4D30303031303030310000000000000003000200000000")
U07 = bytes.fromhex("4D4D303030313030303100000000000000050000")
U01 = bytes.fromhex(
    "4D4D303030313030303100000000000000000001002F4C4D4D303030317365637265742020202020202020202020"
    "2020202020202020202020202020202020202020202031")


def enter(reference, side=b"B", qty=100, price=10000, symbol=b"EXAMPLE "):
    """OUCH Enter Order, day, without appendage."""
    return struct.pack(">cIcI8sQccccc14sH", b"O", reference, side, qty, symbol, price, b"0", b"Y",
                       b"P", b"N", b"N", b"C%013d" % reference, 0)


@pytest.fixture
def venue():
    made = Venue()
    made.login("ALPHA")
    made.login("BETA")
    return made


def deltas(venue, act):
    """The dispositions that act() and a run add."""
    before = venue.dispositions
    act()
    venue.run()
    return {name: count - before.get(name, 0) for name, count in venue.dispositions.items()
            if count != before.get(name, 0)}


def upstream(venue, name, seq, blocks, count=None):
    venue.payload(name, mold(venue.clients[name].token, seq, blocks, count))


FILL = b""
ROUTES = {
    "rx_applied": lambda v: upstream(v, "ALPHA", 1, [FILL]),
    "rx_control": lambda v: v.datagram("10.9.1.1", 5, U01),
    "rx_debug": lambda v: v.payload("ALPHA", mold("?" * 10, 0, [b"+ hello"])),
    "rx_heartbeat": lambda v: upstream(v, "ALPHA", 1, []),
    "rx_end_of_session": lambda v: upstream(v, "ALPHA", 1, [], 0xFFFF),
    "rx_rerequest": lambda v: v.payload("ALPHA", MOLD.pack(b"001O000010", 1, 1)),
    "rx_rerequest_refused": lambda v: v.payload("ALPHA", MOLD.pack(b"001O000010", 99, 1)),
    "rx_duplicate": lambda v: [upstream(v, "ALPHA", 1, [FILL]), v.run(),
                               upstream(v, "ALPHA", 1, [FILL])],
    "rx_held": lambda v: upstream(v, "ALPHA", 3, [FILL]),
    "rx_hold_full": lambda v: [upstream(v, "ALPHA", 3, [FILL]) for _ in range(33)],
    "rx_far_ahead": lambda v: upstream(v, "ALPHA", 65538, [FILL]),
    "rx_unknown_token": lambda v: v.payload("ALPHA", mold("NOBODY0000", 1, [FILL])),
    "rx_wrong_source": lambda v: v.payload("BETA", mold(v.clients["ALPHA"].token, 1, [FILL])),
    "rx_source_refused": lambda v: v.datagram("10.8.0.1", 5, bytes(20)),
    "rx_not_udp": lambda v: v.raw(b"\xff" * 12 + b"\x08\x06" + bytes(46)),
    "rx_vlan": lambda v: v.datagram("10.9.1.1", 5, bytes(30), vlan=5),
    "rx_checksum": lambda v: v.raw(frame(("10.9.1.1", 5), (OUR_IP, ORDER_PORT), bytes(30))[:-1]
                                   + b"\x01"),
    "rx_truncated": lambda v: v.raw(frame(("10.9.1.1", 5), (OUR_IP, ORDER_PORT), bytes(30)), 1),
    "rx_short": lambda v: v.payload("ALPHA", bytes(19)),
    "rx_framing": lambda v: upstream(v, "ALPHA", 1, [FILL], 2),
    "rx_control_full": lambda v: [v.datagram("10.9.1.1", 5, U01) for _ in range(17)],
}


@pytest.mark.parametrize("name", [name for name, _ in DISPOSITIONS])
def test_every_disposition_can_be_reached(venue, name):
    assert deltas(venue, lambda: ROUTES[name](venue))[name] == 1
    assert sum(venue.dispositions.values()) == venue.counters["rx_frames"]


@pytest.mark.parametrize("what, payload", [
    ("end of session with data", mold("T", 1, [b"A"], 0xFFFF)),
    ("heartbeat with data", mold("T", 1, [b"A"], 0)),
    ("block past the end", mold("T", 1, [b"A"])[:-1]),
    ("one byte behind", mold("T", 1, [b"A"]) + b"x"),
    ("too few blocks", mold("T", 1, [b"A"], 2)), ("too many", mold("T", 1, [b"A", b"B"], 1)),
    ("half a length", mold("T", 1, [], 1) + b"\0"),
    ("control heartbeat", mold("T", 0, [])), ("control end", mold("T", 0, [], 0xFFFF)),
    ("control request", mold("T", 0, [], 5)), ("two control blocks", mold("T", 0, [b"+", b"+"])),
    ("an empty control block", mold("T", 0, [b""])), ("unknown control", mold("T", 0, [b"U"])),
    ("a short login", mold("T", 0, [b"L" + bytes(45)])),
    ("a long login", mold("T", 0, [b"L" + bytes(47)])),
])
def test_bad_framing(venue, what, payload):
    assert deltas(venue, lambda: venue.payload("ALPHA", payload)) == {"rx_framing": 1}


def test_the_published_vectors_hold_byte_for_byte():
    venue = Venue(partition=1)
    alpha = venue.clients["ALPHA"]
    alpha.session = "261122P001"
    venue.datagram(*alpha.source, U01, mac=alpha.mac)
    venue.run()
    record = venue.to_supervisor.pop()
    assert record["text"] == U01 and record["mac"] == alpha.mac and record["udp_port"] == 40000
    venue.login("ALPHA", requested=1, token=TOKEN)
    assert U02 in alpha.payloads
    venue.now_ns = 34200123456789
    venue.run()
    venue.login("BETA")
    venue.core.book.engine[0]["next_match"] = 0x101
    venue.payload("ALPHA", U03)
    venue.send("BETA", [enter(1, b"S", 50, 0x18EC78)])
    venue.run()
    assert U04 in alpha.payloads
    venue.payload("ALPHA", mold(TOKEN, 5, []))
    venue.run()
    assert U05 in alpha.payloads
    assert deltas(venue, lambda: venue.payload("ALPHA", U06)) == {"rx_applied": 1}
    assert deltas(venue, lambda: venue.payload("ALPHA", U07)) == {"rx_heartbeat": 1}
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == 5
    assert venue.counters["messages_filler"] == 2


def accepted(venue, name="ALPHA"):
    """UserRefNums of the orders accepted, in order."""
    return [int.from_bytes(ack[9:13], "big") for ack in venue.acks(name) if ack[:1] == b"A"]


def test_a_session_without_an_ethernet_address_learns_it_from_its_next_datagram(venue):
    """As after a login over plain sockets, which show no address: answers go to the right one."""
    alpha = venue.clients["ALPHA"]
    known, alpha.mac = alpha.mac, bytes(6)
    venue.login("ALPHA")
    row = venue.core.accounts.sessions[alpha.idx]
    assert row["mac"].tobytes() == bytes(6)
    venue.send("ALPHA", [enter(1)])
    assert {sent.mac for sent in venue.run() if sent.target == alpha.source} == {bytes(6)}
    alpha.mac = known
    venue.send("ALPHA", [enter(2)])
    assert {sent.mac for sent in venue.run() if sent.target == alpha.source} == {known}
    alpha.mac = bytes(range(6))
    venue.send("ALPHA", [enter(3)])
    assert {sent.mac for sent in venue.run() if sent.target == alpha.source} == {known}


def test_duplicates_and_overlaps_are_applied_once(venue):
    orders = [b"U" + enter(n) for n in range(1, 7)]
    upstream(venue, "ALPHA", 1, orders[:3])
    upstream(venue, "ALPHA", 1, orders[:3])
    upstream(venue, "ALPHA", 2, orders[1:5])
    upstream(venue, "ALPHA", 5, orders[4:])
    assert deltas(venue, lambda: None) == {"rx_applied": 3, "rx_duplicate": 1}
    assert accepted(venue) == [1, 2, 3, 4, 5, 6] and venue.counters["messages"] == 6


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_arrival_within_the_hold_gives_the_same_stream(venue, seed):
    orders, rng = [b"U" + enter(n) for n in range(1, 31)], random.Random(seed)
    pieces, at = [], 0
    while at < 30:
        size = rng.randint(1, 4)
        pieces.append((at + 1, orders[at:at + size]))
        at += size
    rng.shuffle(pieces)
    for seq, blocks in pieces + rng.sample(pieces, 3):
        upstream(venue, "ALPHA", seq, blocks)
    venue.run()
    assert accepted(venue) == list(range(1, 31)) and venue.counters["messages_skipped"] == 0
    assert venue.core.accounts.sessions[0]["held_cnt"] == 0
    assert sum(venue.dispositions.values()) == venue.counters["rx_frames"]


def asked(venue, name="ALPHA"):
    """(first number, count) of every gap request sent to the client."""
    requests = [MOLD.unpack(payload) for payload in venue.clients[name].payloads
                if len(payload) == 20]
    return [(seq, count) for token, seq, count in requests
            if token == venue.clients[name].token.encode() and count not in (0, 0xFFFF)]


def test_a_gap_is_asked_for_at_once_and_then_once_an_interval(venue):
    upstream(venue, "ALPHA", 4, [FILL])
    upstream(venue, "ALPHA", 6, [FILL])
    venue.run()
    assert asked(venue) == [(1, 3)]
    venue.advance(MS - 1)
    venue.run()
    assert asked(venue) == [(1, 3)]
    venue.advance(1)
    venue.run()
    assert asked(venue) == [(1, 3)] * 2 and venue.counters["gap_requests"] == 2


def test_a_gap_is_given_up_after_the_hold_time_and_held_messages_follow(venue):
    upstream(venue, "ALPHA", 3, [b"U" + enter(3)])
    venue.run()
    venue.advance(MS)
    venue.run()
    assert accepted(venue) == []
    venue.advance(1)
    venue.run()
    assert accepted(venue) == [3] and venue.counters["messages_skipped"] == 2
    upstream(venue, "ALPHA", 1, [b"U" + enter(4), b"U" + enter(5)])
    assert deltas(venue, lambda: None) == {"rx_duplicate": 1}
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == 4


def test_two_holes_are_given_up_one_after_the_other(venue):
    upstream(venue, "ALPHA", 3, [b"U" + enter(3)])
    upstream(venue, "ALPHA", 6, [b"U" + enter(6)])
    venue.run()
    venue.advance(MS + 1)
    venue.run()
    assert accepted(venue) == [3] and asked(venue)[-1] == (4, 2)
    venue.advance(MS + 1)
    venue.run()
    assert accepted(venue) == [3, 6] and venue.counters["messages_skipped"] == 4
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == 7


def test_with_hold_time_zero_nothing_is_waited_for():
    venue = Venue(gap_hold_ns=0)
    venue.login("ALPHA")
    upstream(venue, "ALPHA", 3, [b"U" + enter(3)])
    upstream(venue, "ALPHA", 4, [b"U" + enter(4)])
    upstream(venue, "ALPHA", 9, [])
    venue.run()
    assert accepted(venue) == [3, 4] and venue.counters["messages_skipped"] == 2 + 4
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == 9


def test_a_heartbeat_that_names_later_numbers_opens_a_gap(venue):
    upstream(venue, "ALPHA", 3, [])
    assert deltas(venue, lambda: None) == {"rx_heartbeat": 1} and asked(venue) == [(1, 2)]
    upstream(venue, "ALPHA", 1, [FILL, FILL])
    venue.run()
    assert venue.core.accounts.sessions[0]["gap_end_seq"] == 0
    upstream(venue, "BETA", 1 + 65537, [])
    assert deltas(venue, lambda: None) == {"rx_heartbeat": 1} and asked(venue, "BETA") == []


@pytest.mark.parametrize("offset, disposition", [
    (65536, "rx_held"), (65537, "rx_far_ahead"), ((1 << 63) - 2, "rx_far_ahead"),
    ((1 << 64) - 2, "rx_far_ahead")])
def test_how_far_ahead_is_far(venue, offset, disposition):
    assert deltas(venue, lambda: upstream(venue, "ALPHA", 1 + offset, [FILL])) == {disposition: 1}


def test_the_pool_is_shared_and_given_back(venue):
    for seq in range(3, 3 + 32):
        upstream(venue, "ALPHA", seq, [FILL])
        upstream(venue, "BETA", seq, [FILL])
    assert deltas(venue, lambda: None) == {"rx_held": 64}
    venue.tell(kind=4, account=0)
    venue.run()
    upstream(venue, "BETA", 1, [FILL, FILL])
    venue.run()
    assert venue.core.accounts.sessions["held_cnt"].sum() == 0
    venue.login("ALPHA")
    for seq in range(3, 3 + 32):
        upstream(venue, "ALPHA", seq, [FILL])
    assert deltas(venue, lambda: None) == {"rx_held": 32}


def test_logout_ends_the_session_and_the_datagram(venue):
    upstream(venue, "ALPHA", 1, [b"U" + enter(1), b"O", b"U" + enter(2)])
    upstream(venue, "ALPHA", 4, [b"U" + enter(3)])
    assert deltas(venue, lambda: None) == {"rx_applied": 1, "rx_unknown_token": 1}
    assert venue.counters["orders"] == 1 and venue.counters["disconnects"] == 1
    assert venue.counters["messages"] == 2


def test_end_of_session_behind_a_gap_waits_for_the_gap(venue):
    upstream(venue, "ALPHA", 3, [], 0xFFFF)
    assert deltas(venue, lambda: None) == {"rx_end_of_session": 1}
    assert venue.counters["disconnects"] == 0 and asked(venue) == [(1, 2)]
    upstream(venue, "ALPHA", 1, [FILL, FILL])
    upstream(venue, "ALPHA", 3, [], 0xFFFF)
    venue.run()
    assert venue.counters["disconnects"] == 1


def test_blocks_that_are_no_order_entry_consume_their_number(venue):
    upstream(venue, "ALPHA", 1, [b"x", b"U", b"OO", b"L", b"U" + enter(9)])
    venue.run()
    assert venue.counters["messages_unknown"] == 3 and venue.counters["messages_short"] == 1
    assert accepted(venue) == [9]


def test_rerequests_are_answered_once_an_interval_and_as_far_as_they_fit(venue):
    venue.send("ALPHA", [enter(n) for n in range(1, 41)], pack=10)
    venue.run()
    alpha, known = venue.clients["ALPHA"], venue.stream("ALPHA") | {}
    session = alpha.session.encode()
    for seq, wanted, expected in ((2, 1, 1), (2, 3, 3), (2, 65534, 21), (41, 9, 1)):
        alpha.payloads.clear()
        venue.advance(MS)
        venue.payload("ALPHA", MOLD.pack(session, seq, wanted))
        venue.run()
        (answer,) = alpha.payloads
        got_session, got_seq, count, blocks = blocks_of(answer)
        assert (got_session, got_seq, count) == (session, seq, expected) and len(answer) <= 1472
        if seq in known:
            assert blocks[0][1:] == known[seq]
    venue.payload("ALPHA", MOLD.pack(session, 1, 1))
    venue.payload("BETA", MOLD.pack(session, 1, 1))
    venue.payload("ALPHA", MOLD.pack(b"002O000010", 1, 1))
    assert deltas(venue, lambda: None) == {
        "rx_rerequest_refused": 1, "rx_wrong_source": 1, "rx_unknown_token": 1}


def test_more_messages_than_slots_in_one_burst(venue):
    venue.blocks_from("ALPHA", [FILL] * 64 * 700, pack=700)
    venue.run()
    assert venue.counters["messages_filler"] == 64 * 700 == venue.counters["messages"]
    assert venue.core.accounts.sessions[0]["next_upstream_seq"] == 64 * 700 + 1


def test_a_hundred_thousand_random_datagrams_have_one_disposition_each():
    venue, rng = Venue(sizes=dict(pages=4096, chunks=256)), random.Random(3)
    names, queued, reference = list(venue.clients), 0, 0
    while queued < 100_000:
        batch = rng.randint(1, 256)
        following = [int(each) for each in venue.core.accounts.sessions["next_upstream_seq"]]
        for _ in range(batch):
            client = venue.clients[rng.choice(names)]
            expected = following[client.idx]
            seq = rng.choice((expected, expected, expected + rng.randint(-3, 9), 0, 1 << 40))
            reference += 1
            odd = (b"", b"+", b"U", rng.randbytes(9)) + (b"O",) * (rng.random() < 0.1)
            order = b"U" + enter(reference, rng.choice((b"B", b"S")))
            blocks = [rng.choice(odd) if rng.random() < 0.2 else order
                      for _ in range(rng.randint(0, 3))]
            following[client.idx] += len(blocks) * (seq == expected)
            count = rng.choice((None,) * 20 + (0, 1, 0xFFFF))
            session = client.session if rng.random() < 0.05 else client.token
            checksum = rng.random() < 0.3
            data = bytearray(frame(client.source, (OUR_IP, ORDER_PORT),
                                   mold(session, max(seq, 0), blocks, count), checksum=checksum))
            if rng.random() < 0.1:            # behind the headers only where it must be found
                data[rng.randrange(len(data) if checksum else 62)] = rng.randrange(256)
            venue.raw(data[:rng.randint(0, len(data))] if rng.random() < 0.05 else data,
                      rng.random() < 0.01)
        queued += batch
        venue.run(calls=1)
        venue.advance(rng.choice((0, 1000, 2 * MS)))
        for client in venue.clients.values():
            live = venue.core.accounts.sessions[client.idx]["state"] == 1
            if not live or rng.random() < 0.02:
                venue.login(client.name)
        while venue.to_supervisor.pop():
            pass
        assert sum(venue.dispositions.values()) == queued == venue.counters["rx_frames"]
    assert venue.counters["orders"] > 1000 and venue.counters["messages_skipped"] > 0
    assert len(venue.dispositions) >= 14, venue.dispositions
    assert int(venue.core.book.engine[0]["fault"]) == 0
