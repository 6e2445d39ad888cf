"""What leaves: packing, order, both feeds, heartbeats, ends of session, a full transmit side."""

from appliance.hot import burst
from appliance.hot import port_state as ps
from appliance.layout import shared
from tests.hot.harness import FEED_A, FEED_B, Venue, blocks_of
from tests.hot.test_session import enter

SECOND = 1_000_000_000


def trading(**options):
    venue = Venue(**options)
    venue.login("ALPHA")
    venue.login("BETA")
    return venue


def test_both_feeds_carry_the_same_payloads():
    venue = trading()
    for side, name in ((b"B", "ALPHA"), (b"S", "BETA")):
        venue.send(name, [enter(n, side) for n in range(1, 200)], pack=7)
    venue.run()
    assert venue.feed_payloads["A"] == venue.feed_payloads["B"]
    assert len(venue.feed_messages("A")) == int(venue.core.feed.log[0]["next_seq"]) - 1
    assert venue.counters["feed_packets"] == len(venue.feed_payloads["A"])


def test_messages_of_one_burst_share_datagrams_and_none_is_larger_than_fits():
    venue = trading()
    venue.clients["ALPHA"].payloads.clear()
    venue.send("ALPHA", [enter(n) for n in range(1, 61)])
    venue.run()
    payloads = venue.clients["ALPHA"].payloads
    assert len(venue.acks("ALPHA")) == 60 and len(payloads) == 3
    assert all(len(payload) <= 1472 for payload in payloads)
    assert all(len(payload) + 67 > 1472 for payload in payloads[:-1]), "not filled"


def test_larger_payloads_make_fewer_packets():
    payloads = {}
    for most in (600, 1472, 2006):
        venue = trading(payload=most)
        venue.clients["ALPHA"].payloads.clear()
        venue.send("ALPHA", [enter(n) for n in range(1, 200)], pack=20)
        venue.run()
        payloads[most] = venue.clients["ALPHA"].payloads
        assert len(venue.acks("ALPHA")) == 199 and len(venue.feed_messages("A")) == 5 + 199
        for each in (payloads[most], venue.feed_payloads["A"]):
            assert most - 70 < max(map(len, each)) <= most
    assert len(payloads[600]) > 2 * len(payloads[1472]) > 2 * len(payloads[2006])


def test_acknowledgements_leave_before_the_feed():
    venue = trading()
    venue.send("ALPHA", [enter(1)])
    targets = [sent.target for sent in venue.run()]
    assert targets == [venue.clients["ALPHA"].source, FEED_A, FEED_B]


def test_a_feed_without_a_second_group_is_sent_once():
    venue = Venue(feed_ip_b="", feed_port_b=0)
    assert len(venue.feed_messages("A")) == 5 and venue.feed_payloads["B"] == []


def test_a_full_transmit_side_only_delays():
    venue = trading(tx_frames=64)
    venue.drain = False
    for batch in range(12):
        venue.send("ALPHA", [enter(100 * batch + n) for n in range(1, 65)])
        venue.run(calls=1)
    assert venue.counters["tx_no_frame"] > 0 and venue.counters["orders"] == 12 * 64
    venue.drain = True
    venue.run()
    assert sorted(venue.stream("ALPHA")) == list(range(2, 2 + 12 * 64))
    assert len(venue.feed_messages("A")) == len(venue.feed_messages("B")) == 5 + 12 * 64
    assert int(venue.port.state[ps.STACK_CNT]) == 64, "a transmit frame was lost"


def test_every_session_gets_its_share_of_scarce_frames():
    names = [f"A{i:02d}" for i in range(20)]
    venue = Venue(accounts=names, tx_frames=64, tx_budget=8)
    for name in names:
        venue.login(name)
        venue.send(name, [enter(n) for n in range(1, 50)], pack=20)
    venue.run()
    for name in names:
        assert len(venue.acks(name)) == 49


def test_a_lost_place_in_the_ring_is_jumped_over_and_counted():
    venue = trading(tx_frames=64, sizes=dict(feed_bytes=1 << 12, feed_messages=1 << 7))
    venue.drain = False
    for _ in range(20):
        venue.send("ALPHA", [enter(venue.clients["ALPHA"].seq + n) for n in range(60)], pack=20)
        venue.run(calls=1)
    lost = venue.counters["feed_overrun"]
    venue.drain = True
    venue.run()
    log, found = venue.core.feed.log[0], [blocks_of(each) for each in venue.feed_payloads["A"]]
    numbers = [number for _, seq, count, _ in found for number in range(seq, seq + count)]
    assert numbers == sorted(set(numbers)) and numbers[-1] == int(log["next_seq"]) - 1
    assert lost > 100 and lost + len(numbers) == numbers[-1], "sent and lost do not add up"


def heartbeats(payloads):
    return [blocks_of(payload)[1] for payload in payloads if payload[18:20] == b"\0\0"]


def test_an_idle_stream_says_its_next_number_once_a_second():
    venue = trading()
    venue.send("ALPHA", [enter(1)])
    venue.run()
    for payloads in (venue.feed_payloads["A"], venue.clients["ALPHA"].payloads):
        payloads.clear()
    venue.advance(SECOND - 1)
    assert venue.run() == []
    venue.advance(1)
    venue.run()
    assert heartbeats(venue.feed_payloads["A"]) == [7]
    assert heartbeats(venue.clients["ALPHA"].payloads) == [3]
    for _ in range(10):
        venue.advance(SECOND // 2)
        venue.run()
    assert heartbeats(venue.feed_payloads["A"]) == [7] * 6
    assert heartbeats(venue.clients["BETA"].payloads) == [2] * 6


def test_traffic_puts_heartbeats_off():
    venue = trading()
    start = len(heartbeats(venue.feed_payloads["A"]))
    for n in range(1, 10):
        venue.advance(SECOND * 9 // 10)
        venue.send("ALPHA", [enter(n)])
        venue.run()
    assert len(heartbeats(venue.feed_payloads["A"])) == start
    assert heartbeats(venue.clients["ALPHA"].payloads) == []
    assert len(heartbeats(venue.clients["BETA"].payloads)) == 4


def test_the_end_of_the_day_is_said_three_times_after_everything_else():
    venue = trading(end_interval_ns=1000)
    venue.send("ALPHA", [enter(1)])
    venue.run()
    venue.tell(kind=shared.LINK_END_DAY)
    for _ in range(6):
        venue.run()
        venue.advance(1000)
    for payloads in (venue.feed_payloads["A"], venue.feed_payloads["B"],
                     venue.clients["ALPHA"].payloads, venue.clients["BETA"].payloads):
        kinds = [payload[18:20] == b"\xff\xff" for payload in payloads]
        assert kinds[-3:] == [True] * 3 and not any(kinds[:-3])
        last = blocks_of(payloads[-4])
        assert blocks_of(payloads[-1])[1] == last[1] + last[2]
    assert burst.ended(venue.core, venue.io)
    venue.advance(10 * SECOND)
    assert venue.run() == []


def test_a_login_after_the_end_still_gets_stream_and_end():
    venue = Venue(end_interval_ns=1000)
    venue.tell(kind=shared.LINK_END_DAY)
    for _ in range(4):
        venue.run()
        venue.advance(1000)
    venue.login("ALPHA", requested=1)
    for _ in range(4):
        venue.advance(1000)
        venue.run()
    payloads = venue.clients["ALPHA"].payloads
    assert [ack[-1:] for ack in venue.acks("ALPHA")] == [b"S", b"E"]
    assert [payload[18:20] for payload in payloads].count(b"\xff\xff") == 3
