"""HALT, BUST, IMBALANCE and CLOCK: from link or clock into the journal and onto the feed."""

import numpy as np
import pytest

from appliance.layout import record, shared
from tests.hot.core_kit import enter, kinds
from tests.hot.harness import Venue

SECOND = 1_000_000_000


def records(venue, kind):
    """(command, detail) of the journal's records of a kind, with their times."""
    header, ring = venue.core.journal.header, venue.core.journal.ring
    found = []
    for seq in range(1, int(header[0]["next_seq"])):
        row = ring[seq & (ring.size - 1)]
        command = np.frombuffer(row["command"].tobytes(), record.COMMAND.dtype)[0]
        detail = np.frombuffer(row["detail"].tobytes(), record.DETAIL.dtype)[0]
        if command["kind"] == kind:
            found.append((command, detail, int(row["time_ns"])))
    return found


@pytest.fixture
def venue():
    made = Venue(symbols=["EXAMPLE", "OTHER"])
    made.login("ALPHA")
    made.run()
    return made


def tell(venue, **fields):
    """A link record; the feed's messages since."""
    before = len(venue.feed_messages())
    venue.tell(**fields)
    venue.run()
    return venue.feed_messages()[before:]


def halt(venue, state, reason="", symbol=1):
    return tell(venue, kind=shared.LINK_HALT, account=symbol, reason=ord(state), token=reason)


def test_halt_is_journalled_and_told_with_its_reason(venue):
    message, = halt(venue, "H", "LUDP")
    assert message[:3] == b"H\0\2" and message[11:] == b"OTHER   H LUDP"
    (command, detail, _), = records(venue, record.HALT)
    assert (command["symbol"], detail["side_letter"], detail["firm"].tobytes()) == (
        1, ord("H"), b"LUDP")
    assert halt(venue, "H", "T1") == [] and len(records(venue, record.HALT)) == 2
    for state, reason in (("P", "T5  "), ("Q", "T7  "), ("T", "R4  "), ("H", "    ")):
        message, = halt(venue, state, reason)
        assert message[19:] == f"{state} {reason}".encode()
    assert halt(venue, "X") == []
    assert venue.core.book.symbols[0]["state"] == ord("T")


def test_halt_after_the_day_is_ignored(venue):
    tell(venue, kind=shared.LINK_END_DAY)
    assert halt(venue, "H") == [] and len(records(venue, record.HALT)) == 1


def test_bust_from_the_link_breaks_a_trade(venue):
    venue.login("BETA")
    venue.send("ALPHA", [enter(1)])
    venue.send("BETA", [enter(1, side=b"S", qty=40)])
    venue.run()
    assert [m[:1] for m in tell(venue, kind=shared.LINK_BUST, requested_seq=1,
                                reason=ord("S"))] == [b"B"]
    assert venue.acks("ALPHA")[-1][:1] == venue.acks("BETA")[-1][:1] == b"B"
    assert tell(venue, kind=shared.LINK_BUST, requested_seq=1, reason=ord("S")) == []
    assert venue.counters["busts_ignored"] == 1
    (_, detail, _), _ = records(venue, record.BUST)
    assert (detail["upstream_seq"], detail["side_letter"]) == (1, ord("S"))


def test_imbalances_are_told_of_symbols_whose_cross_may_come(venue):
    messages = tell(venue, kind=shared.LINK_IMBALANCE, reason=ord("C"))
    assert [m[1:3] for m in messages] == [b"\0\1", b"\0\2"] and kinds(messages) == b"II"
    assert messages[0][11:] == bytes(16) + b"OEXAMPLE " + bytes(12) + b"C "
    halt(venue, "Q")
    for letter, locates in (("C", [1]), ("H", [2]), ("O", []), ("X", [])):
        messages = tell(venue, kind=shared.LINK_IMBALANCE, reason=ord(letter))
        assert [m[2] for m in messages] == locates
        assert all(m[48:49] == letter.encode() for m in messages)


def test_order_expires_by_the_clock_when_nothing_comes(venue):
    venue.send("ALPHA", [enter(1, tif=b"6", options=[(15, b"\0\0\0\2")]),
                         enter(2, tif=b"6", options=[(15, b"\0\0\0\5")])])
    venue.run()
    venue.advance(2 * SECOND - 1)
    venue.run()
    assert records(venue, record.CLOCK) == []
    venue.advance(1)
    venue.run()
    (_, _, time_ns), = records(venue, record.CLOCK)
    assert time_ns == venue.now_ns
    assert venue.acks("ALPHA")[-1] == b"C" + time_ns.to_bytes(8, "big") + bytes.fromhex(
        "00000001" "00000064" "54")
    assert venue.feed_messages()[-1][:1] == b"D"
    venue.advance(10 * SECOND)
    venue.send("ALPHA", [b"Q"])
    venue.run()
    assert len(records(venue, record.CLOCK)) == 1, "the query came: no record for the clock alone"
    assert kinds(venue.acks("ALPHA")[-2:]) == b"CQ"
    assert venue.counters["orders_expired"] == 2
