"""The feed: what it says of the day and the book, and its log when the rings come round."""

import os
import random
import struct

import numpy as np
from numba import njit

os.environ["ITCH_NO_CPP"] = "1"          # before the first import: the pure Python form

import itch.parser                       # noqa: E402

from appliance.hot import feedlog, state                                    # noqa: E402
from appliance.layout import record                                         # noqa: E402
from appliance.layout.shared import COUNTER_INDEX                           # noqa: E402
from tests.hot.core_kit import VECTOR_TIME, Kit, cancel, enter, split       # noqa: E402

OVERRUN = COUNTER_INDEX["feed_overrun"]


@njit
def put(core, message):
    place = feedlog.append_begin(core, message.size)
    for i in range(message.size):
        core.feed.ring[place + i] = message[i]


def small(feed_bytes=1 << 12, feed_messages=1 << 8):
    return state.build(state.Sizes(accounts=1, pages=4, lg_ladder=12, far_cap=4, far_levels=4,
                                   chunks=4, feed_bytes=feed_bytes, feed_messages=feed_messages,
                                   journal=1 << 8))


def gather(core, seq, room=1452):
    off, size, count = feedlog.gather(core.feed, seq, room)
    assert off + size <= core.feed.ring.size
    return split(core.feed.ring[off:off + size].tobytes()), count


def test_vectors_of_the_feed():
    """A, E, X and D of the wire specification, section 7.3, byte for byte."""
    kit = Kit()
    kit.now = VECTOR_TIME
    kit.send(enter(1, qty=200))
    kit.core.book.engine[0]["next_match"] = 0x101
    kit.send(enter(1, qty=50, side=b"S"), account=1)
    kit.send(cancel(1, 170))
    kit.send(cancel(1))
    assert [message.hex().upper() for message in kit.feed()] == [
        "41000700001F1AD635BD15010000000000000142000000C84558414D504C45200018EC78",
        "45000700001F1AD635BD150100000000000001000000320100000000000101",
        "58000700001F1AD635BD1501000000000000010000001E",
        "44000700001F1AD635BD150100000000000001"]


def test_day_begins_and_ends_with_the_right_messages():
    kit = Kit(is_open=False)
    kit.now = VECTOR_TIME
    kit.command(record.DAY_START)
    opening = kit.feed()
    assert b"".join(message[:1] for message in opening) == b"SRRHHSSS"[:7]
    assert [message[11:] for message in opening if message[:1] == b"S"] == [b"O", b"S", b"Q"]
    assert opening[1][11:] == (b"EXAMPLE " + b"  " + struct.pack(">I", 100) + b"NQZ P   N"
                               + bytes(4) + b"N")
    assert opening[4][1:3] == b"\0\x08" and opening[4][11:] == b"OTHER   T     "
    assert kit.out(2) == [b"S" + struct.pack(">Q", VECTOR_TIME) + b"S"]
    kit.send(enter(9))
    kit.send(enter(4, side=b"S", price=1700000), account=2)
    kit.drain()
    kit.command(record.DAY_END)
    closing = kit.feed()
    assert b"".join(message[:1] for message in closing) == b"SDDSS"
    assert [message[11:] for message in closing if message[:1] == b"S"] == [b"M", b"E", b"C"]
    ends = kit.out(2)
    assert [(m[:1], m[-1:]) for m in ends] == [(b"C", b"E"), (b"S", b"E")]
    assert kit.core.book.engine[0]["phase"] == 2
    kit.command(record.DAY_END)
    kit.command(record.DAY_START)
    assert kit.feed() == [] and kit.core.book.engine[0]["phase"] == 2


def test_itchfeed_reads_a_whole_day():
    kit, dice = Kit(is_open=False), random.Random(7)
    kit.command(record.DAY_START)
    for number in range(1, 300):
        kit.send(enter(number, side=dice.choice((b"B", b"T")), qty=dice.randrange(1, 300),
                       price=1633400 + 100 * dice.randrange(-9, 9),
                       display=dice.choice((b"Y", b"A"))),
                 account=number % 3)
        kit.send(cancel(dice.randint(1, number), dice.choice((0, 30))), account=dice.randrange(3))
    kit.command(record.DAY_END)
    raw = kit.feed()
    stream = b"".join(b"\0" + bytes([len(message)]) + message for message in raw)
    parsed = list(itch.parser.MessageParser().parse_stream(stream))
    assert len(parsed) == len(raw) > 400
    assert [message.message_type for message in parsed] == [message[:1] for message in raw]
    assert [message.to_bytes() for message in parsed] == raw
    shares = {}
    for message in parsed:
        kind = message.message_type
        if kind in (b"A", b"F"):
            shares[message.order_reference_number] = message.shares
        elif kind == b"E":
            shares[message.order_reference_number] -= message.executed_shares
        elif kind == b"X":
            shares[message.order_reference_number] -= message.cancelled_shares
        elif kind == b"D":
            shares[message.order_reference_number] = 0
    assert min(shares.values()) == 0 == max(shares.values())


def test_ring_of_bytes_comes_round_and_keeps_the_newest():
    core, told, dice = small(), [], random.Random(8)
    for number in range(3000):
        told.append(number.to_bytes(4, "big") + bytes(dice.randrange(8, 40)))
        put(core, np.frombuffer(told[-1], np.uint8))
        log = core.feed.log[0]
        oldest, following = int(log["oldest_seq"]), int(log["next_seq"])
        assert following == number + 2
        if number % 7 == 0:
            seq, found = oldest, []
            while seq < following:
                messages, count = gather(core, seq, dice.randint(60, 1452))
                assert count > 0
                found += messages
                seq += count
            assert found == told[oldest - 1:]
            held = sum(len(message) + 2 for message in found)
            assert held > core.feed.ring.size - 100 or oldest == 1
    assert gather(core, oldest - 1)[1] == 0 == gather(core, following)[1] == gather(core, 0)[1]


def test_ring_of_the_index_comes_round():
    core = small(feed_messages=16)
    for number in range(100):
        put(core, np.frombuffer(b"%03d" % number, np.uint8))
    assert core.feed.log[0]["oldest_seq"] == 85
    assert gather(core, 85)[0] == [b"%03d" % number for number in range(84, 100)]
    assert gather(core, 84)[1] == 0


def test_messages_pushed_out_unsent_are_counted():
    core = small(feed_messages=16)
    core.feed.log[0]["sent_seq"] = 11
    for number in range(30):
        put(core, np.frombuffer(b"message", np.uint8))
    assert core.feed.log[0]["oldest_seq"] == 15 and core.counters[OVERRUN] == 4


def test_room_for_exactly_the_first_blocks():
    core = small()
    for _ in range(5):
        put(core, np.frombuffer(b"123456", np.uint8))
    for count in range(5):
        assert gather(core, 1, 8 * (count + 1))[1] == count + 1
        assert gather(core, 1, 8 * (count + 1) - 1)[1] == count


def test_message_that_ends_with_the_ring_ends_the_run():
    core = small(feed_bytes=64)
    for number in range(12):
        put(core, np.frombuffer(b"%06d" % number, np.uint8))
    assert core.feed.log[0]["oldest_seq"] == 5
    assert gather(core, 5)[0] == [b"%06d" % number for number in range(4, 8)]
    assert gather(core, 9)[0] == [b"%06d" % number for number in range(8, 12)]
