"""Every vector of the wire specification decodes to its stated fields and encodes back."""

import pytest

from appliance.layout.codec import WireError, decode, encode
from appliance.layout.datagram import (
    Request, as_block, build_end_of_session, build_mold, build_request, build_soup, login_accepted,
    login_rejected, login_request, parse_block, parse_datagram, parse_mold, parse_request,
    parse_soup, sequenced, split_soup, unsequenced,
)
from tests.layout.vectors import MALFORMED, VECTORS

MESSAGES = [v for v in VECTORS.values() if " " in v.protocol]
SOUP = [v for v in VECTORS.values() if v.protocol == "soup"]
MOLD = [v for v in VECTORS.values() if v.protocol == "mold"]


def ident(vector):
    return vector.id


def stated_block(text):
    """The bytes of a block: empty, a message, a whole packet's block, or letter and message."""
    if not text:
        return b""
    *letter, name = text.split()
    raw = VECTORS[name].raw
    if VECTORS[name].protocol == "soup":
        return raw[2:]
    return (letter[0].encode() if letter else b"") + raw


def test_all_vectors_are_transcribed():
    counts = {letter: sum(v.id[0] == letter for v in VECTORS.values()) for letter in "MSIGOPU"}
    assert counts == dict(M=5, S=10, I=23, G=1, O=10, P=18, U=7)


@pytest.mark.parametrize("vector", MESSAGES, ids=ident)
def test_message_decodes_to_stated_fields_and_back(vector):
    protocol, direction = vector.protocol.split()
    record = decode(protocol, direction, vector.raw)
    assert dict(record) == vector.fields
    assert record.letter == chr(vector.raw[0])
    assert encode(protocol, direction, record.letter, record) == vector.raw


@pytest.mark.parametrize("vector", SOUP, ids=ident)
def test_soup_packet_decodes_to_stated_fields_and_back(vector):
    record = parse_soup(vector.raw)
    assert dict(record) == ({"payload": b""} | vector.fields if record.message.tail
                            else vector.fields)
    assert build_soup(record.letter, record) == vector.raw
    assert parse_block(as_block(vector.raw)) == record


@pytest.mark.parametrize("vector", MOLD, ids=ident)
def test_datagram_decodes_to_stated_fields_and_back(vector):
    session, sequence, count, blocks = vector.fields
    found = parse_datagram(vector.raw)
    assert found[:3] == (session, sequence, count)
    if blocks is None:
        assert isinstance(found, Request) and found == parse_request(vector.raw)
        assert build_request(session, sequence, count) == vector.raw
    elif count == 0xFFFF:
        assert found.blocks == ()
        assert build_end_of_session(session, sequence) == vector.raw
    else:
        assert found.blocks == tuple(stated_block(text) for text in blocks)
        assert build_mold(session, sequence, found.blocks) == vector.raw


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_datagram_is_refused_with_the_numbers(name):
    raw, said = MALFORMED[name]
    with pytest.raises(WireError, match=said):
        parse_mold(raw)
    with pytest.raises(WireError):
        parse_datagram(raw)


@pytest.mark.parametrize("vector", MESSAGES + SOUP, ids=ident)
def test_every_truncation_of_a_message_is_refused(vector):
    protocol, direction = (vector.protocol + " in").split()[:2]
    tail = vector.protocol == "soup"
    for cut in range(len(vector.raw)):
        short = vector.raw[:cut]
        optional = vector.fields.get("tags", 0) == {} and cut == len(vector.raw) - 2
        if optional and vector.id == "O05":
            assert decode(protocol, direction, short)["tags"] is None
            continue
        with pytest.raises(WireError) as caught:
            parse_soup(short) if tail else decode(protocol, direction, short)
        assert caught.value.field and str(caught.value)


@pytest.mark.parametrize("vector", MESSAGES, ids=ident)
def test_a_byte_too_many_is_refused(vector):
    protocol, direction = vector.protocol.split()
    with pytest.raises(WireError):
        decode(protocol, direction, vector.raw + b"\x00")


@pytest.mark.parametrize("vector", MOLD, ids=ident)
def test_every_truncation_of_a_datagram_is_refused_or_is_a_request(vector):
    for cut in range(len(vector.raw)):
        try:
            found = parse_datagram(vector.raw[:cut])
        except WireError:
            continue
        assert cut == 20 and isinstance(found, Request) and vector.fields[2] > 0


def test_login_helpers_give_the_vectors_bytes():
    assert login_request("MM0001", "secret") == VECTORS["S01"].raw
    assert login_accepted("261122P001", 1) == VECTORS["S02"].raw
    assert login_rejected("A") == VECTORS["S03"].raw
    assert unsequenced(VECTORS["O01"].raw) == VECTORS["S09"].raw
    assert sequenced(VECTORS["P07"].raw) == VECTORS["S10"].raw


def test_numbers_padded_on_either_side_are_read():
    raw = VECTORS["S01"].raw
    right_padded = raw[:29] + b"1".ljust(20)
    assert parse_soup(right_padded)["sequence"] == 1
    with pytest.raises(WireError, match="login_request.sequence at byte 29"):
        parse_soup(raw[:29] + b" " * 20)


def test_byte_stream_is_split_wherever_it_is_cut():
    packets = [v.raw for v in SOUP]
    stream = b"".join(packets)
    for cut in range(len(stream)):
        first, rest = split_soup(stream[:cut])
        second, left = split_soup(rest + stream[cut:])
        assert first + second == packets and left == b""
