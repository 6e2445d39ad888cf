"""What a subscriber recorded of the demo's feed, read by decoders that nobody here wrote."""

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

os.environ["ITCH_NO_CPP"] = "1"          # before the first import: the pure Python form

import itch                              # noqa: E402
import itch.parser                       # noqa: E402
import itchcpp                           # noqa: E402

from appliance.client.book import Books                  # noqa: E402
from appliance.layout.datagram import parse_datagram     # noqa: E402
from tests.layout import capture                         # noqa: E402
from tests.netns import needs_namespaces                 # noqa: E402
from tools import pcap                                   # noqa: E402

pytestmark = [needs_namespaces, pytest.mark.slow]

FEED_PORT, REREQUEST_PORT, HEADERS_SZ = 26477, 26500, 42
AS_MOLD = ("-d", f"udp.port=={FEED_PORT},moldudp64", "-d", f"udp.port=={REREQUEST_PORT},moldudp64")
AS_FEED = ("-X", f"lua_script:{capture.DISSECTOR}", "-d", f"udp.port=={FEED_PORT},wm_feed",
           "-d", f"udp.port=={REREQUEST_PORT},wm_feed")


@pytest.fixture(params=["native", "socket", "bitstamp"])
def recorded(request):
    """The folder of a demo that recorded: feed.pcap and feed.itch."""
    if request.param == "bitstamp":
        return request.getfixturevalue("bitstamp").folder
    return request.getfixturevalue("rungs")[request.param].folder


def messages_of(folder) -> list:
    """The ITCH messages of the day file, in order."""
    raw, off, found = (folder / "feed.itch").read_bytes(), 0, []
    while off < len(raw):
        size = int.from_bytes(raw[off:off + 2], "big")
        found.append(raw[off + 2:off + 2 + size])
        off += 2 + size
    return found


def test_itchfeed_and_itchcpp_read_every_message(recorded):
    assert not itch.USING_CPP_BACKEND
    wanted, raw = messages_of(recorded), (recorded / "feed.itch").read_bytes()
    assert wanted[0][:1] == b"S" and wanted[-1][-1:] == b"C"
    for parser in (itch.parser.MessageParser(), itchcpp.MessageParser()):
        count = 0
        for message in parser.parse_file(io.BytesIO(raw)):
            assert message.to_bytes() == wanted[count]
            count += 1
        assert count == len(wanted)


def test_itch2parquet_verifies_the_day_file(recorded):
    program = Path(sys.executable).parent / "itch2parquet"
    done = subprocess.run([program, "verify", recorded / "feed.itch", "--date", "2026-01-02"],
                          capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tshark_flags_nothing(recorded):
    """By its own dissector; and by ours, which is slow, in the small recordings."""
    file = str(recorded / "feed.pcap")
    judges = [(AS_MOLD, "moldudp64"), (AS_FEED, "wm_feed")]
    for arguments, protocol in judges[:1 if recorded.name.startswith("bitstamp") else 2]:
        seen = capture.tshark(file, *arguments, "-Y", protocol, "-T", "fields", "-e",
                              "frame.number")
        assert len(seen) == len(pcap.read(file)) > 100
        assert capture.broken_frames(file, *arguments) == []


def test_the_packets_hold_the_day_file_on_both_feeds_and_never_cross(recorded):
    wanted, books = messages_of(recorded), Books()
    for message in wanted:
        books.apply(message)
    assert books.crossed_cnt == 0 and not books.orders
    heard = {}                            # destination -> {number: message}
    for _, packet in pcap.read(recorded / "feed.pcap"):
        data = parse_datagram(bytes(packet[HEADERS_SZ:]))
        found = heard.setdefault(socket.inet_ntoa(packet[30:34]), {})
        for number, block in enumerate(data.blocks or (), data.sequence):
            assert found.setdefault(number, block) == block
    group_a, group_b = (heard.pop(group) for group in sorted(heard) if group.startswith("239."))
    assert group_a == group_b
    (asked,) = heard.values() or ({},)    # what was sent before the subscriber had joined
    assert asked | group_a == dict(enumerate(wanted, 1))
