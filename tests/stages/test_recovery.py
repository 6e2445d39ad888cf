"""recovery's answers from a feed log written by hand: what is served, what is refused and why."""

import struct

import numpy as np
import pytest

from appliance.layout import shared
from appliance.layout.datagram import build_request, parse_mold
from appliance.stages.recovery import TALLIES, FeedReader, Server

SESSION, RING_SZ, INDEX_CNT = "326F000000", 4096, 64
SOURCE = "10.0.0.2"


class Log:
    """A feed log as the matcher keeps it: a ring of blocks, offsets by number, cursors."""

    def __init__(self):
        self.log = np.zeros(1, shared.FEED_LOG.dtype)
        self.ring, self.index = np.zeros(RING_SZ, np.uint8), np.zeros(INDEX_CNT, np.uint64)
        self.log[0]["session_name"][:10] = np.frombuffer(SESSION.encode(), np.uint8)
        self.log[0]["next_seq"] = self.log[0]["sent_seq"] = self.log[0]["oldest_seq"] = 1
        self.kept = {}

    def append(self, message, sent=True):
        """One message; a block never wraps, and what it overwrites is no longer held."""
        row, size = self.log[0], 2 + len(message)
        off = int(row["write_off"])
        if off % RING_SZ + size > RING_SZ:
            off += RING_SZ - off % RING_SZ
        number, at = int(row["next_seq"]), off % RING_SZ
        self.ring[at:at + size] = np.frombuffer(struct.pack(">H", size - 2) + message, np.uint8)
        self.index[number % INDEX_CNT], self.kept[number] = off, message
        row["write_off"], row["next_seq"] = off + size, number + 1
        if sent:
            row["sent_seq"] = number + 1
        while (int(self.index[int(row["oldest_seq"]) % INDEX_CNT]) + RING_SZ < off + size
               or number - int(row["oldest_seq"]) >= INDEX_CNT):
            row["oldest_seq"] += 1
        return number


@pytest.fixture
def log():
    made = Log()
    for number in range(1, 21):
        made.append(b"%03d" % number * 10)
    return made


def serve(log, request, server=None, now=0.0):
    """(the counter that moved, the packet) for one request."""
    server = server or Server(FeedReader(log.log, log.ring, log.index), 1000)
    before = dict(server.tallies)
    packet = server.answer(request, SOURCE, now)
    moved = [name for name in TALLIES if server.tallies[name] != before[name]]
    assert len(moved) == 1, moved
    return moved[0], packet


def test_the_messages_asked_for(log):
    outcome, raw = serve(log, build_request(SESSION, 5, 3))
    packet = parse_mold(raw)
    assert (outcome, packet.session, packet.sequence) == ("served", SESSION, 5)
    assert list(packet.blocks) == [log.kept[n] for n in (5, 6, 7)]


def test_no_more_than_there_are_and_no_more_than_fit(log):
    assert len(parse_mold(serve(log, build_request(SESSION, 19, 500))[1]).blocks) == 2
    big = Log()
    for _ in range(8):
        big.append(b"x" * 400)
    outcome, raw = serve(big, build_request(SESSION, 2, 6))
    assert outcome == "served" and len(parse_mold(raw).blocks) == 3 and len(raw) <= 1472


@pytest.mark.parametrize(("request_bytes", "reason"), [
    (b"", "short"), (build_request(SESSION, 1, 1)[:19], "short"),
    (build_request(SESSION, 1, 1) + b"\0", "short"),
    (build_request("326F000001", 1, 1), "unknown_session"),
    (build_request(SESSION, 1, 1)[:18] + b"\0\0", "bad_count"),
    (build_request(SESSION, 1, 1)[:18] + b"\xff\xff", "bad_count"),
    (build_request(SESSION, 21, 1), "beyond_newest"),
    (build_request(SESSION, (1 << 64) - 1, 1), "beyond_newest"),
    (build_request(SESSION, 0, 1), "too_old")])
def test_what_is_refused_is_not_answered_and_counted_once(log, request_bytes, reason):
    assert serve(log, request_bytes) == (reason, b"")


def test_a_message_that_was_not_sent_yet_is_not_told(log):
    log.append(b"secret", sent=False)
    assert serve(log, build_request(SESSION, 21, 1))[0] == "beyond_newest"
    assert len(parse_mold(serve(log, build_request(SESSION, 20, 9))[1]).blocks) == 1


def test_overwritten_messages_are_too_old_and_the_rest_is_whole():
    log = Log()
    for number in range(300):
        log.append(bytes([number & 255]) * (20 + number % 60))
    oldest, newest = int(log.log[0]["oldest_seq"]), int(log.log[0]["next_seq"])
    assert 200 < oldest < newest == 301
    assert serve(log, build_request(SESSION, oldest - 1, 5))[0] == "too_old"
    for number in range(oldest, newest):
        packet = parse_mold(serve(log, build_request(SESSION, number, 1))[1])
        assert packet.blocks == (log.kept[number],)


def test_a_log_that_overtakes_the_reader_gives_nothing(log):
    reader = FeedReader(log.log, log.ring, log.index)

    class Overtaken:
        """The ring; the writer laps its reader at the first look."""

        size = RING_SZ

        def __getitem__(self, part):
            log.log[0]["oldest_seq"] = 15
            return log.ring[part]

    reader.ring = Overtaken()
    assert reader.blocks(10, 3, 1000) == (b"", 0)


def test_too_many_requests_of_one_source_and_patience(log):
    server = Server(FeedReader(log.log, log.ring, log.index), 5)
    ask = build_request(SESSION, 1, 1)
    outcomes = [serve(log, ask, server)[0] for _ in range(7)]
    assert outcomes == ["served"] * 5 + ["rate"] * 2
    assert server.answer(ask, "10.0.0.9", 0.0), "another source has its own"
    assert serve(log, ask, server, now=1.0)[0] == "served"
