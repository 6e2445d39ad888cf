"""Our tshark dissector shows every stated field of every vector, and marks what is broken."""

import pytest

from appliance.layout.datagram import as_block, build_mold, build_soup, parse_soup
from appliance.layout.wire import find
from appliance.layout.wire_ouch import TAGS
from tests.layout import capture
from tests.layout.vectors import MALFORMED, VECTORS
from tests.shared_data import shared_file

ARGUMENTS = ("-X", f"lua_script:{capture.DISSECTOR}",
             "-d", f"udp.port=={capture.FEED_PORT},wm_feed",
             "-d", f"udp.port=={capture.ORDER_PORT},wm_order")
PREFIXES = {"itch": "wm_itch", "glimpse": "wm_itch", "ouch": "wm_ouch"}
VECTOR_MESSAGES = [v for v in VECTORS.values() if " " in v.protocol]
IMPLIED = ("type", "message_type", "appendage_length")


def carried(protocol, direction, message):
    """The frame in which this message travels."""
    if protocol == "ouch":
        block = as_block(build_soup("U" if direction == "in" else "S", payload=message))
        return capture.datagram(build_mold("261122P001", 1, [block]), capture.ORDER_PORT)
    return capture.datagram(build_mold("261122A001", 1, [message]), capture.FEED_PORT)


def field_names(protocol, direction, letter):
    """{our field or tag number: the dissector's name} of one message."""
    prefix = PREFIXES[protocol] + (f"_{direction}" if protocol == "ouch" else "")
    message = find(protocol, direction, ord(letter))
    names = {f.name: f"{prefix}.{message.name}.{f.name}" for f in message.fields
             if f.name not in IMPLIED}
    if message.appendage != "never":
        names |= {number: f"{prefix}.tag.{tag.name}" for number, tag in TAGS.items()}
    return names


def test_every_vector_shows_its_stated_fields(tmp_path):
    per_vector = [field_names(*v.protocol.split(), chr(v.raw[0])) for v in VECTOR_MESSAGES]
    every = sorted({name for names in per_vector for name in names.values()})
    file = capture.write(tmp_path / "all.pcap", [carried(*v.protocol.split(), v.raw)
                                                 for v in VECTOR_MESSAGES])
    seen = capture.fields(file, every, *ARGUMENTS)
    for vector, names, found in zip(VECTOR_MESSAGES, per_vector, seen, strict=True):
        stated = {**vector.fields, **(vector.fields.get("tags") or {})}
        stated.pop("tags", None)
        shown = {ours: found[theirs].strip() for ours, theirs in names.items() if theirs in found}
        expected = {name: str(value) for name, value in stated.items()}
        shown |= {name: "" for name, text in expected.items() if text == ""}
        assert shown == expected, vector.id
        assert set(found) <= set(names.values()), vector.id
    assert capture.broken_frames(file, *ARGUMENTS) == []


def test_order_session_vectors_are_whole(tmp_path):
    chosen = [v for v in VECTORS.values() if v.protocol == "mold"]
    ports = [capture.ORDER_PORT if v.id[0] == "U" else capture.FEED_PORT for v in chosen]
    file = capture.write(tmp_path / "mold.pcap", [
        capture.datagram(v.raw, port) for v, port in zip(chosen, ports, strict=True)])
    lines = capture.fields(file, ["wm_feed.sequence", "wm_order.sequence", "wm_feed.count",
                                  "wm_order.count", "wm_soup.login_request.username"], *ARGUMENTS)
    for vector, found in zip(chosen, lines, strict=True):
        layer = "wm_order" if vector.id[0] == "U" else "wm_feed"
        assert int(found[f"{layer}.sequence"]) == vector.fields[1]
        assert int(found[f"{layer}.count"]) == vector.fields[2]
    assert lines[[v.id for v in chosen].index("U01")]["wm_soup.login_request.username"] == "MM0001"
    assert capture.broken_frames(file, *ARGUMENTS) == []


def test_malformed_datagrams_are_marked(tmp_path):
    file = capture.write(tmp_path / "broken.pcap", [
        capture.datagram(raw, port) for raw, _ in MALFORMED.values()
        for port in (capture.FEED_PORT, capture.ORDER_PORT)])
    assert capture.broken_frames(file, *ARGUMENTS) == list(range(1, 2 * len(MALFORMED) + 1))


@pytest.mark.parametrize("change", ["cut", "longer", "tag"])
def test_every_message_that_breaks_the_format_is_marked(tmp_path, change):
    frames = []
    for vector in VECTOR_MESSAGES:
        raw = {"cut": vector.raw[:-1], "longer": vector.raw + b"\x00",
               "tag": vector.raw + b"\x00\x02\x01"}[change]
        if raw:
            frames.append(carried(*vector.protocol.split(), raw))
    file = capture.write(tmp_path / "broken.pcap", frames)
    assert capture.broken_frames(file, *ARGUMENTS) == list(range(1, len(frames) + 1))


def test_unknown_itch_type_is_no_error_and_unknown_order_is(tmp_path):
    file = capture.write(tmp_path / "unknown.pcap", [
        carried("itch", "out", b"z" + VECTORS["I16"].raw[1:]), carried("ouch", "in", b"z123")])
    assert capture.broken_frames(file, *ARGUMENTS) == [2]


def test_captured_ouch_frames_are_found_in_soupbintcp():
    accepted = str(shared_file("data/frames/ouch50_OrderAcceptedMessage.pcap"))
    names = ["wm_ouch_out.order_accepted.symbol", "wm_ouch_out.order_accepted.price",
             "wm_ouch_out.tag.firm"]
    arguments = (*ARGUMENTS, "-d", "tcp.port==8003,soupbintcp")
    assert [cell.strip() for cell in capture.fields(accepted, names, *arguments)[0].values()] == [
        "ADBE", "4777800", "MLRO"]
    assert parse_soup(bytes.fromhex("000148")).letter == "H"


def test_captured_itch_frames_are_without_complaint():
    file = str(shared_file("data/frames/itch50_Multiple.Packets.pcap"))
    arguments = (*ARGUMENTS, "-d", "udp.port==26477,wm_feed")
    assert capture.broken_frames(file, *arguments) == []
    names = ["wm_itch.add_order.price", "wm_itch.add_order_attributed.price"]
    shown = capture.fields(file, names, *arguments)[1]
    assert [len(shown[name].split("|")) for name in names] == [36, 2]
