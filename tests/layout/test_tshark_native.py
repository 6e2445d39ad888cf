"""tshark's own MoldUDP64 and SoupBinTCP dissectors agree with the vectors and with our builders."""

from appliance.layout.datagram import (
    build_end_of_session, build_mold, build_request, build_soup, parse_mold, parse_soup,
)
from tests.layout import capture
from tests.layout.test_captured_frames import payloads
from tests.layout.vectors import MALFORMED, VECTORS

MOLD = [v for v in VECTORS.values() if v.protocol == "mold"]
SOUP = [v for v in VECTORS.values() if v.protocol == "soup"]
AS_MOLD = ("-d", f"udp.port=={capture.ORDER_PORT},moldudp64")
AS_SOUP = ("-d", f"tcp.port=={capture.SOUP_PORT},soupbintcp")
MOLD_NAMES = ["moldudp64.session", "moldudp64.sequence", "moldudp64.count", "moldudp64.msglen"]


def test_moldudp64_vectors_are_read_as_stated(tmp_path):
    file = capture.write(tmp_path / "mold.pcap",
                         [capture.datagram(v.raw, capture.ORDER_PORT) for v in MOLD])
    seen = capture.fields(file, MOLD_NAMES + ["moldudp64.request"], *AS_MOLD)
    for vector, found in zip(MOLD, seen, strict=True):
        session, sequence, count, blocks = vector.fields
        assert found["moldudp64.session"] == session
        assert int(found["moldudp64.sequence"]) == sequence
        assert int(found["moldudp64.count"]) == count
        if blocks is None or count == 0xFFFF:        # it shows the request field for both
            assert "moldudp64.request" in found
        sizes = found.get("moldudp64.msglen", "").split("|") if blocks else []
        assert len(sizes) == len(blocks or ())
    assert capture.broken_frames(file, *AS_MOLD) == []


def test_malformed_datagrams_are_complained_of_and_the_short_one_not_taken(tmp_path):
    file = capture.write(tmp_path / "broken.pcap", [
        capture.datagram(raw, capture.ORDER_PORT) for raw, _ in MALFORMED.values()])
    assert list(MALFORMED) == ["B01", "B02", "B03", "B04", "B05"]
    assert capture.broken_frames(file, *AS_MOLD) == [1, 2, 3, 4]
    seen = capture.fields(file, MOLD_NAMES, *AS_MOLD)
    assert all(seen[:4]) and not seen[4]


def test_what_we_build_is_read_back(tmp_path):
    built = [build_mold("326F010000", 7, [b"x" * size for size in (0, 1, 36, 1400)]),
             build_mold("326F010000", 11), build_end_of_session("326F010000", 11),
             build_request("326F010000", 2 ** 64 - 1, 65534)]
    file = capture.write(tmp_path / "built.pcap",
                         [capture.datagram(raw, capture.ORDER_PORT) for raw in built])
    seen = capture.fields(file, MOLD_NAMES, *AS_MOLD)
    assert [(f["moldudp64.session"], int(f["moldudp64.sequence"]), int(f["moldudp64.count"]))
            for f in seen] == [("326F010000", 7, 4), ("326F010000", 11, 0),
                               ("326F010000", 11, 65535), ("326F010000", 2 ** 64 - 1, 65534)]
    assert seen[0]["moldudp64.msglen"] == "0|1|36|1400"
    assert capture.broken_frames(file, *AS_MOLD) == []


def test_soup_vectors_are_read_as_stated(tmp_path):
    records = [parse_soup(v.raw) for v in SOUP]
    packets = [("in" if r.message.direction == "in" else "out", build_soup(r.letter, r))
               for r in records]
    file = capture.write(tmp_path / "soup.pcap", capture.stream(packets))
    names = {"username": "soupbintcp.username", "password": "soupbintcp.password",
             "session": "soupbintcp.session"}
    seen = capture.fields(file, ["soupbintcp.packet_length", "soupbintcp.message",
                                 "soupbintcp.text", *names.values()], *AS_SOUP)
    words = [line.strip() for line in capture.tshark(file, *AS_SOUP, "-O", "soupbintcp")]
    for vector, record, found in zip(SOUP, records, seen, strict=True):
        assert int(found["soupbintcp.packet_length"]) == len(vector.raw) - 2
        for ours, theirs in names.items():
            if record.get(ours):
                assert found[theirs].strip() == record[ours]
        if record.letter in "SU":
            assert found["soupbintcp.message"] == record["payload"].hex()
    assert "Requested sequence number: 1" in words and "Next sequence number: 1" in words
    assert "Debug Text: hi" in words
    assert capture.broken_frames(file, *AS_SOUP) == []


def test_captured_itch_frames_hold_as_many_messages_as_we_read(tmp_path):
    captured = [payload for _, payload in payloads("itch50*.pcap")]
    file = capture.write(tmp_path / "captured.pcap",
                         [capture.datagram(raw, capture.ORDER_PORT) for raw in captured])
    seen = capture.fields(file, ["moldudp64.msglen"], *AS_MOLD)
    assert [len(found["moldudp64.msglen"].split("|")) for found in seen] == [
        len(parse_mold(payload).blocks) for payload in captured]
