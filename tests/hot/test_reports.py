"""OUCH out: what participants are told of an order, against the published vectors and by hand."""

import struct

import pytest

from tests.hot.core_kit import (
    NOON, VECTOR_TIME, Kit, cancel, canceled, enter, kinds, modify, replace, tags,
)

TOP = 1 << 56


@pytest.fixture
def kit():
    kit = Kit()
    yield kit
    kit.check_healthy()


def test_vectors_of_a_life_of_orders(kit):
    """Requests like O01 to O10 give P02 P04 P05 P07 P09 P13 P15 to P18 of wire-spec 7.6."""
    kit.now = VECTOR_TIME
    accepted, = kit.send(enter(1, qty=200))
    assert accepted.hex().upper() == (
        "4100001F1AD635BD150000000142000000C84558414D504C4520000000000018EC78305901000000000000"
        "01504E4E4C434C4F52442D30303031202020200000")
    kit.send(enter(1, qty=50, side=b"S", price=1633400), account=1)
    assert kit.out(0)[0].hex().upper() == (
        "4500001F1AD635BD150000000100000032000000000018EC7841" "0100000000000001" "0000")
    kit.core.book.engine[0]["next_order_ref"] = 3
    replaced, = kit.send(replace(1, 3, qty=200, price=1633300))
    assert replaced.hex().upper() == (
        "5500001F1AD635BD15000000010000000342000000964558414D504C4520000000000018EC1430590100000"
        "000000003504E4E4C434C4F52442D30303031202020200000")
    assert kit.send(cancel(3, 100)) == [bytes.fromhex("4300001F1AD635BD15000000030000006455")]
    kit.send(enter(1, side=b"S", qty=400, price=1700000), account=2)
    assert kit.send(modify(1, b"T", 300), account=2) == [
        bytes.fromhex("4D00001F1AD635BD1500000001540000012C")]
    assert kit.send(bytes.fromhex("43000000044D4D4B314558414D504C45200000")) == [
        bytes.fromhex("5800001F1AD635BD15000000044D4D4B314558414D504C45200000"),
        canceled(3, 50, time=VECTOR_TIME)]
    assert kit.send(bytes.fromhex("44000000054D4D4B310000")) == [
        bytes.fromhex("4700001F1AD635BD15000000054D4D4B310000")]
    assert kit.send(bytes.fromhex("45000000064D4D4B310000")) == [
        bytes.fromhex("4B00001F1AD635BD15000000064D4D4B310000")]
    assert kit.send(enter(7, symbol=b"NOSUCH  ")) == [
        bytes.fromhex("4A00001F1AD635BD15000000070017434C4F52442D3030303120202020")]
    assert kit.send(b"Q") == [bytes.fromhex("5100001F1AD635BD1500000008")]


def test_accepted_echoes_the_tags_in_ascending_order(kit):
    options = [(29, b"w"), (3, bytes(4)), (25, b"Y"), (24, b"\1\2"), (12, b"P"), (4, b"R"),
               (2, b"ABCD")]
    accepted, = kit.send(enter(1, options=options))
    assert accepted[62:] == tags(*sorted(options))
    assert kit.send(replace(1, 2, options=[(29, b"O")]))[0][66:] == tags((2, b"ABCD"), (29, b"O"))
    assert kit.send(replace(2, 3))[0][66:] == tags((2, b"ABCD"))


def test_trade_is_told_to_both_sides_and_the_feed(kit):
    kit.send(enter(1, side=b"S", qty=70), account=1)
    kit.feed()
    messages = kit.send(enter(1, qty=100, price=1633500, display=b"A"))
    assert kinds(messages) == b"AE"
    assert messages[1] == struct.pack(">cQIIQcQH", b"E", NOON, 1, 70, 1633400, b"R", TOP | 1, 0)
    assert kit.out(1) == [
        struct.pack(">cQIIQcQH", b"E", NOON, 1, 70, 1633400, b"A", TOP | 1, 0)]
    head = struct.pack(">HH", 7, 0) + NOON.to_bytes(6, "big")
    assert kit.feed() == [
        b"E" + head + struct.pack(">QIQ", TOP | 1, 70, TOP | 1),
        b"F" + head + struct.pack(">QcI8sI4s", TOP | 2, b"B", 30, b"EXAMPLE ", 1633500, b"MMK1")]
    assert kit.count("trades") == 1 and kit.live() == [(0, 1)]


def test_modify_changes_side_letter_and_size(kit):
    kit.send(enter(1, side=b"S", qty=100))
    kit.feed()
    assert kit.send(modify(1, b"E", 100))[0][9:] == b"\0\0\0\1E" + struct.pack(">I", 100)
    assert kit.feed() == [] and kit.send(modify(1, b"S", 50)) == []
    assert kit.send(modify(1, b"B", 50)) == [] == kit.send(modify(1, b"E", 1_000_000))
    assert kit.count("cancels_ignored") == 3
    assert kit.send(modify(1, b"T", 60))[0][9:] == b"\0\0\0\1T" + struct.pack(">I", 60)
    assert kinds(kit.feed()) == b"X"
    grown = kit.send(modify(1, b"T", 90))
    assert kinds(grown) == b"MT"
    assert grown[1] == struct.pack(">cQIQcQ", b"T", NOON, 1, 1633400, b"Y", TOP | 2)
    itch, = kit.feed()
    assert itch[:1] == b"U" and itch[11:] == struct.pack(">QQII", TOP | 1, TOP | 2, 90, 1633400)
    assert kit.send(modify(1, b"T", 0)) == [canceled(1, 90)] and kinds(kit.feed()) == b"D"


def test_self_match_prevention_is_reported(kit):
    kit.send(enter(1, qty=30))
    kit.feed()
    oldest = kit.send(enter(2, side=b"S", qty=10, options=[(29, b"O")]))
    assert oldest[1] == struct.pack(">cQIIcIQcc", b"D", NOON, 1, 30, b"Q", 10, 1633400, b"A", b"O")
    assert kinds(kit.feed()) == b"DA"
    newest = kit.send(enter(3, qty=50, options=[(29, b"W")]))
    assert newest[1] == struct.pack(">cQIIcIQcc", b"D", NOON, 3, 50, b"Q", 10, 1633400, b"R", b"W")
    assert kit.feed() == [] and kit.live() == [(0, 2)]


def test_market_order_is_echoed_and_its_rest_leaves(kit):
    accepted, left = kit.send(enter(1, price=2000000000, tif=b"3"))
    assert accepted[26:34] == struct.pack(">Q", 0x7FFFFFFF)
    assert left == canceled(1, 100, b"I") and kit.feed() == []
