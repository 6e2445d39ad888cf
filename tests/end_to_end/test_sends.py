"""A kernel that refuses what matchers send: told by reason, counted, and nothing is lost by it."""

import os
import signal
import socket

import pytest

from appliance.layout.datagram import build_request, parse_mold
from tests.end_to_end.place import PRICE, Place, trade
from tests.end_to_end.wire_kit import accepted_once
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]


def ask_again(place, sock=None):
    """Asks for the first message of the first partition's feed; the socket."""
    if sock is None:
        with place.scene.market():
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((place.scene.market_ip, 0))
        place.opened.append(sock)
        sock.settimeout(60)
    partition = place.partition()
    sock.sendto(build_request(partition.feed_session, 1, 1),
                (place.scene.ip, partition.rerequest_port))
    return sock


def answered(place, sock):
    """Whether a request is answered now; one to a recovery that is not there yet is not."""
    ask_again(place, sock)
    sock.settimeout(1)
    try:
        return parse_mold(sock.recv(2048))
    except TimeoutError:
        return None


def test_answers_without_a_way_are_told_and_asked_for_again(warm):
    """Both partitions lose an answer at once: each has an alarm of its own."""
    with Place("socket", partitions=2) as place:
        sessions = [place.login(0, partition=p) for p in range(2)]
        before = [row["sends"]["errors"] for row in place.house.fresh_status()["partitions"]]
        route = "unreachable", f"{place.scene.market_ip}/32"
        place.scene.appliance.run("ip", "route", "add", *route)
        numbers = [session.enter("B", 1, place.symbol(p), PRICE - 100)
                   for p, session in enumerate(sessions)]
        told = place.until(lambda content: (
            rows := {row["where"]: row["text"] for row in content["alarms"]
                     if row["kind"] == "send-errors"}).keys() == {"partition 0", "partition 1"}
            and rows)
        asked = ask_again(place)
        place.until(lambda content: content["partitions"][0]["recovery"].get(
            "rerequests_send_failed") == 1)
        for text in told.values():
            assert "EHOSTUNREACH" in text and "ip route get" in text and "given up" in text
        place.scene.appliance.run("ip", "route", "del", *route)
        ask_again(place, asked)
        assert len(parse_mold(asked.recv(2048)).blocks) == 1
        assert accepted_once(place, sessions[0], numbers[:1]) == 0
        assert sessions[1].wait(numbers[1])[-1].letter == "A"
        sends = [row["sends"] for row in place.house.fresh_status()["partitions"]]
        tallies = place.row["recovery"]
        assert (tallies["rerequests_served"], tallies["rerequests_send_failed"]) == (1, 1), \
            "tried twice, served once"
        assert all(now["errors"] == now["refused"] > then
                   for now, then in zip(sends, before, strict=True))
        first = place.pid("recovery@0")
        os.kill(first, signal.SIGKILL)
        place.until(lambda _: place.pid("recovery@0") != first and answered(place, asked))
        assert place.house.fresh_status()["partitions"][0]["recovery"]["rerequests_served"] >= 2
        trade(place.login(1), place.login(2))
        assert place.stop() == 0, place.house.words()
