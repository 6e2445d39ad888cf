"""Rules of the codec that no single vector shows: appendages, unknown types, refusals."""

import pytest

from appliance.layout.codec import WireError, decode, encode
from appliance.layout.datagram import build_mold, build_request, build_soup, parse_request
from appliance.layout.wire import MESSAGES, find
from appliance.layout.wire_ouch import OUCH_IN, OUCH_OUT, TAGS
from tests.layout.vectors import VECTORS

ENTER = VECTORS["O02"].fields


def with_appendage(raw):
    """O01 with these bytes as its appendage."""
    return VECTORS["O01"].raw[:45] + len(raw).to_bytes(2, "big") + raw


def test_tags_by_name_and_by_number_give_the_same_bytes():
    by_name = ENTER | {"tags": {"firm": "MMK1", "min_qty": 100}}
    assert encode("ouch", "in", "O", by_name) == VECTORS["O02"].raw


@pytest.mark.parametrize("raw, said", [
    (b"\x00\x02", "tag_length at byte 47: says 0"),
    (b"\x05\x02MMK", "says 5, 4 bytes follow"),
    (b"\x01", "says 1, 0 bytes follow"),
    (b"\x04\x02MMK", "value of 3 bytes, tag 2 has 4"),
    (b"\x05\x02MMK1" * 2, "tag 2 at byte 54: stands twice"),
])
def test_broken_appendage_is_refused_with_its_place(raw, said):
    with pytest.raises(WireError, match=said):
        decode("ouch", "in", with_appendage(raw))


def test_unknown_tag_keeps_its_bytes():
    assert decode("ouch", "in", with_appendage(b"\x03\xc8ab"))["tags"] == {200: b"ab"}


def test_negative_peg_offset_survives():
    raw = encode("ouch", "in", "O", ENTER | {"tags": {"peg_offset": -100}})
    assert raw.endswith(b"\x05\x07\xff\xff\xff\x9c")
    assert decode("ouch", "in", raw)["tags"] == {7: -100}


def test_every_tag_makes_the_round_trip_in_each_message_that_allows_it():
    for (protocol, direction, code), message in MESSAGES.items():
        for number in message.tags + message.tags_b:
            tag = TAGS[number]
            value = "x" * tag.size if tag.type == "alpha" else 7
            fields = {f.name: "1" if f.type == "alpha" else 1 for f in message.fields[1:]}
            fields.pop("appendage_length", None)
            raw = encode(protocol, direction, chr(code), fields, tags={number: value})
            assert decode(protocol, direction, raw)["tags"] == {number: value}


@pytest.mark.parametrize("change, said", [
    ({"quantity": -1}, "quantity at byte 6: -1 is no integer from 0 to 4294967295"),
    ({"quantity": 1 << 32}, "quantity"),
    ({"quantity": "100"}, "quantity"),
    ({"price": 1.5}, "price at byte 18"),
    ({"symbol": "TOOLONGNAME"}, "takes 11 bytes, the field has 8"),
    ({"symbol": "€"}, "is not ASCII"),
    ({"tags": {"display_price": 1}}, "tag display_price at byte 47: not allowed here"),
    ({"tags": {"firm": "A", 2: "B"}}, "given twice"),
    ({"colour": 3}, "enter_order.colour at byte 0: no such field"),
])
def test_value_that_does_not_fit_is_refused_by_name(change, said):
    with pytest.raises(WireError, match=said):
        encode("ouch", "in", "O", ENTER | change)


def test_missing_value_is_named():
    fields = {name: value for name, value in ENTER.items() if name != "price"}
    with pytest.raises(WireError, match="enter_order.price at byte 18: no value given"):
        encode("ouch", "in", "O", fields)


def test_unknown_itch_type_is_accepted_and_its_bytes_kept():
    record = decode("itch", "out", b"z" + VECTORS["I16"].raw[1:])
    assert record.message is None and record.letter == "z"
    assert record["stock_locate"] == 7 and record["payload"] == VECTORS["I16"].raw[11:]
    with pytest.raises(WireError, match="less than a header"):
        decode("itch", "out", b"z123")


def test_unknown_ouch_and_soup_types_are_refused():
    with pytest.raises(WireError, match="no message 'Z' in direction in"):
        decode("ouch", "in", b"Z123")
    with pytest.raises(WireError, match="no message 'z'"):
        decode("soup", "in", b"\x00\x01z")
    with pytest.raises(WireError, match="no packet 'z'"):
        build_soup("z")
    with pytest.raises(KeyError, match="no protocol 'fix'"):
        decode("fix", "in", b"8=")


def test_glimpse_stream_carries_itch_messages_too():
    assert decode("glimpse", "out", VECTORS["I11"].raw) == VECTORS["I11"].fields


def test_record_answers_to_attributes_and_names_what_it_lacks():
    record = decode("ouch", "in", VECTORS["O01"].raw)
    assert record.price == 1633400 and record.symbol == "EXAMPLE"
    with pytest.raises(AttributeError, match="has no field 'colour'"):
        record.colour


def test_requests_that_ask_for_nothing_are_refused():
    for count in (0, 0xFFFF):
        with pytest.raises(WireError):
            build_request("261122A001", 1, count)
    with pytest.raises(WireError):
        parse_request(VECTORS["M01"].raw)
    with pytest.raises(WireError):
        parse_request(VECTORS["M04"].raw)


def test_datagram_holds_at_most_65534_blocks():
    with pytest.raises(WireError, match="65535 blocks"):
        build_mold("261122A001", 1, [b""] * 65535)


def test_fixed_lengths_are_those_of_the_specification():
    inbound = dict(O=(47,), U=(40,), X=(9, 11), M=(10, 12), Q=(1, 3), C=(19,), D=(11,), E=(11,))
    outbound = dict(S=(10,), A=(64,), U=(68,), C=(18, 20), D=(32, 34), E=(36,), B=(36, 38),
                    J=(29, 31), P=(13, 15), I=(13, 15), T=(30, 32), M=(18, 20), R=(16,),
                    Q=(13, 15), X=(27,), G=(19,), K=(19,))
    assert {k: m.lengths for k, m in OUCH_IN.items()} == inbound
    assert {k: m.lengths for k, m in OUCH_OUT.items()} == outbound
    itch = dict(S=12, R=39, H=25, Y=20, L=26, V=35, W=12, K=28, J=35, h=21, A=36, F=40, E=31, C=36,
                X=23, D=19, U=35, P=44, Q=40, B=19, I=50, N=20, O=48)
    assert {chr(c): m.size for (p, _, c), m in MESSAGES.items() if p == "itch"} == itch


def test_registry_finds_by_type_byte():
    assert find("ouch", "in", ord("O")) is OUCH_IN["O"]
    assert find("ouch", "in", ord("z")) is None
    assert {m.letter for m in OUCH_IN.values() if m.editions == "B"} == {"C", "D", "E"}
    assert {m.letter for m in OUCH_OUT.values() if m.editions == "B"} == {"X", "G", "K"}
