"""A million hostile frames a second, or as many as this machine makes, and an account far over its
limit cost nobody else an order. What was reached is printed (pytest -s), not judged.
"""

import socket
import time

import pytest

from appliance.layout.datagram import as_block, build_mold, login_request
from appliance.layout.shared import SESSION_LIVE
from tests.end_to_end.place import PRICE, SETTINGS, SYMBOL, Place, counts
from tests.end_to_end.test_noise import port_counters
from tests.end_to_end.wire_kit import alarm, generated, lost_on_the_way
from tests.netns import needs_bpf, needs_namespaces
from tools.record import frame

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

WILD, WILD_IP, ROUNDS = 2, "10.77.0.3", 300
RATE, BURST = 4000, 400                    # of a source; the two good accounts send 1,000 at most
HOSTILE_CNT, GAP_NS = 3_000_000, 1000
PACKET_MESSAGES, PACKETS = 20, 40          # of the wild account, every 2 ms at most
QUIET_MS = 9                               # the guard counts as dropping for at least so long


class Flooded(Place):
    """The last account sends from an address of its own."""

    def _edit(self, path):
        super()._edit(path)
        self.scene.outside.run("ip", "addr", "add", f"{WILD_IP}/24", "dev", "wm1")
        accounts = self.scene.folder / "accounts.toml"
        parts = accounts.read_text().rsplit(self.scene.market_ip, 1)
        accounts.write_text(WILD_IP.join(parts))


def hostile_frames(place):
    """HOSTILE_CNT frames of an unknown source, one a microsecond, out of the market's device."""
    macs = place.scene.mac + place.scene.source_mac
    packet = macs + frame(bytes(60), ("10.77.0.99", 5555), (
        place.scene.ip, place.scene.order_port))[len(macs):]
    return generated(place, [packet], HOSTILE_CNT, GAP_NS)


class Wild:
    """The account that sends far too much, numbers going on whatever is dropped."""

    def __init__(self, place):
        self.place, self.token, self.next_seq = place, "WILDTOKEN0", 1
        with place.scene.market():
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.sock.bind((WILD_IP, 0))
        place.opened.append(self.sock)
        self.target = place.scene.ip, place.scene.order_port
        person, sessions = SETTINGS["accounts"][WILD], place.regions()("sessions")
        request = as_block(login_request(person["name"], person["password"], "", 0))
        deadline = time.monotonic() + 60
        while sessions[WILD]["state"] != SESSION_LIVE:
            assert time.monotonic() < deadline, place.house.words()
            self.sock.sendto(build_mold(self.token, 0, [request]), self.target)
            time.sleep(0.2)

    def burst(self):
        """Empty blocks by the hundred."""
        for _ in range(PACKETS):
            self.sock.sendto(build_mold(self.token, self.next_seq, [b""] * PACKET_MESSAGES),
                             self.target)
            self.next_seq += PACKET_MESSAGES


def test_a_flood_costs_nobody_else_an_order_and_nothing_is_asked_of_its_sender(warm):
    with Flooded("native", orders={"flood_rate": RATE, "flood_burst": BURST,
                                   "gap_hold_us": 500_000}) as place:
        good = [place.login(0), place.login(1)]
        wild, counters = Wild(place), place.regions()("counters")
        (xdp, _), before = port_counters(place), counts(counters)
        lost_before = lost_on_the_way(place)
        numbers, answered, may_ask = ([], []), [set(), set()], 0.0
        with hostile_frames(place) as attack:
            rounds, begun = 0, time.monotonic()
            last, attack_s = begun, 0.0
            while rounds < ROUNDS or attack.is_alive():
                wild.burst()
                for who, session in enumerate(good):
                    if rounds < ROUNDS:
                        numbers[who].append(session.enter(
                            "BS"[who], 1, SYMBOL, PRICE + (1 - 2 * who) * -100))
                    answered[who] |= accepted(session, 0)
                rounds += 1
                time.sleep(0.002)
                now = time.monotonic()
                may_ask += max(0.0, (now - last) * 1000 - QUIET_MS)
                last = now
                if attack.is_alive():
                    attack_s = now - begun
            wild_s, found = now - begun, counts(counters)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and any(
                set(sent) - got for sent, got in zip(numbers, answered, strict=True)):
            for who, session in enumerate(good):
                answered[who] |= accepted(session, 0.05)
        now, lost = port_counters(place)
        moved = {name: now[name] - xdp[name] for name in now}
        on_the_way = lost_on_the_way(place) - lost_before
        print(f"hostile frames/s: {HOSTILE_CNT / attack_s:,.0f} sent for {attack_s:.2f} s, "
              f"{(HOSTILE_CNT - on_the_way) / attack_s:,.0f} reached the program; wild account "
              f"{(wild.next_seq - 1) / wild_s:,.0f} messages/s, its limit is {RATE:,}")
        for sent, got in zip(numbers, answered, strict=True):
            assert len(sent) == ROUNDS and set(sent) <= got
        sessions = place.regions()("sessions")
        assert all(sessions[who]["next_upstream_seq"] == ROUNDS + 1 for who in range(2))
        assert moved["drop_unknown_source"] + on_the_way == HOSTILE_CNT and lost == 0, (
            moved, on_the_way, lost)
        assert on_the_way < HOSTILE_CNT // 2, "a flood that does not arrive is none"
        assert moved["drop_flood"] > 0
        assert f"of {WILD_IP} ({SETTINGS['accounts'][WILD]['name']})" in alarm(place, "drop-flood")
        assert found["gap_requests_withheld"] > before["gap_requests_withheld"]
        assert found["gap_requests"] - before["gap_requests"] <= may_ask
        assert place.stop() == 0, place.house.words()


def accepted(session, wait_s):
    """Numbers of the orders whose acceptance came."""
    return {answer.get("user_ref_num") for answer in session.poll(wait_s) if answer.letter == "A"}
