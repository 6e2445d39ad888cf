"""100,000 random and malformed frames at the XDP program and at a running appliance, each counted.

A third of them are perfect down to the UDP payload and carry a live session's token.
"""

import os
import socket
import time

import pytest

from appliance.layout.datagram import as_block, build_mold, login_request
from appliance.layout.shared import DISPOSITIONS, SESSION_LIVE
from appliance.shm import steer
from tests.bpf import test_steer
from tests.end_to_end.noise import Noise
from tests.end_to_end.place import PRICE, SETTINGS, SYMBOL, Place, counts, trade
from tests.netns import needs_bpf, needs_namespaces
from tools.record import frame

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

FRAMES, CHUNK, SEED = 100_002, 42, 20261123      # a veth end holds 256 frames
CALM, NOISY = 0, 2
BEFORE_SESSION = ("rx_not_udp", "rx_vlan", "rx_checksum", "rx_truncated", "rx_source_refused")
ALLOWED_ALARMS = {"login-refused", "capacity-rejects", "rx-control-full", "matcher-late",
                  "rx-checksum", "drop-too-long"}


def noise(source, destination, macs):
    return Noise(SEED, SETTINGS["symbols"], SETTINGS["accounts"], source, destination, macs)


def test_every_frame_has_one_reason_in_the_program():
    rig = test_steer.Rig()
    made = noise((test_steer.FRIEND, 5555), (test_steer.OURS, test_steer.ORDER_PORT), bytes(12))
    verdicts, before = {}, rig.steering.counters()
    with rig.near.entered():
        for number, packet in enumerate(made.frames(FRAMES, b"TOKEN00001", 1)):
            verdict = steer.test_run(rig.steering.program_fd, packet, rig.ifindex, 0)[0]
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
            if number % 3 == 2:
                assert verdict == steer.XDP_REDIRECT, packet.hex()
    after = rig.steering.counters()
    moved = {name: after[name] - before[name] for name in steer.REASONS}
    assert sum(moved.values()) == FRAMES == sum(verdicts.values())
    assert moved["redirected"] == verdicts[steer.XDP_REDIRECT] >= FRAMES // 3
    assert set(verdicts) == {steer.XDP_REDIRECT, steer.XDP_PASS, steer.XDP_DROP}


class Attack:
    """Sends noise out of the market's device as the noisy account, logged in by hand, as is the
    calm account: its heartbeats show how far the matcher has come."""

    def __init__(self, place):
        self.place, self.regions = place, place.regions()
        self.sessions, self.counters = self.regions("sessions"), self.regions("counters")
        self.source = place.scene.source(NOISY)
        self.destination = place.scene.ip, place.scene.order_port
        self.macs = place.scene.mac + place.scene.source_mac
        self.sent = self.login_cnt = 0
        with place.scene.market():
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self.raw.bind(("wm1", 0))
            for account in (CALM, NOISY):                                  # no ICMP from there
                deaf = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                place.opened.append(deaf)
                deaf.bind(place.scene.source(account))
        place.opened.append(self.raw)
        self.log_in(CALM)
        self.heartbeat = self.whole(CALM, build_mold(self.token.decode(), 1, []))

    def run(self):
        """Everything, in portions that the kernel's queues hold."""
        made = noise(self.source, self.destination, self.macs)
        for _ in range(0, FRAMES, CHUNK):
            token = self.live_token()
            for packet in made.frames(CHUNK, token,
                                      int(self.sessions[NOISY]["next_upstream_seq"])):
                self.send(packet)
            self.settle()

    def send(self, packet):
        self.raw.send(packet)
        self.sent += 1

    def live_token(self):
        """The token of the noisy session; it logs in again when the noise has ended it."""
        if self.sessions[NOISY]["state"] != SESSION_LIVE:
            self.log_in(NOISY)
        return self.token

    def log_in(self, account):
        """A session under a new token."""
        self.login_cnt += 1
        self.token = b"NOISE%05d" % self.login_cnt
        person = SETTINGS["accounts"][account]
        request = self.whole(account, build_mold(self.token.decode(), 0, [as_block(login_request(
            person["name"], person["password"], "", 0))]))
        self.again(request, lambda: self.sessions[account]["state"] == SESSION_LIVE)

    def settle(self):
        """Until everything was taken that was sent before: frames come in their order."""
        heard = int(self.sessions[CALM]["heard_ns"])
        self.again(self.heartbeat, lambda: self.sessions[CALM]["heard_ns"] != heard)

    def whole(self, account, payload):
        """The Ethernet frame of a datagram of that account."""
        return self.macs + frame(payload, self.place.scene.source(account),
                                 self.destination)[len(self.macs):]

    def again(self, packet, is_done):
        """Sends it each second until it is done."""
        deadline = time.monotonic() + 60
        while not is_done():
            assert time.monotonic() < deadline, self.place.house.words()
            self.send(packet)
            until = time.monotonic() + 1
            while not is_done() and time.monotonic() < until:
                time.sleep(0.0002)


def udp_counters(namespace):
    """The kernel's UDP counters in a namespace."""
    rows = [line.split() for line in namespace.run("cat", "/proc/net/snmp").splitlines()
            if line.startswith("Udp:")]
    return dict(zip(rows[0][1:], map(int, rows[1][1:]), strict=True))


def port_counters(place):
    """(reasons of the XDP program, the AF_XDP socket's own drops) as portd publishes them."""
    place.published()
    regions = place.regions()
    reasons = regions("portd_status")[0]["reasons"].tolist()
    lost = regions("port_status")[0]["statistics"].tolist()
    return dict(zip(steer.REASONS, reasons, strict=False)), sum(lost[:2]) + sum(lost[3:5])


def check_session_work(found, more):
    """Every kind of judgement was passed, on all good frames and the `more` beside them."""
    judged = sum(found[name] for name, _ in DISPOSITIONS if name not in BEFORE_SESSION)
    assert judged >= FRAMES // 3 + more, "frames were lost on the way"
    for name in ("rx_applied", "rx_framing", "rx_held", "rx_duplicate", "rx_far_ahead",
                 "rx_heartbeat", "rx_short", "rx_unknown_token", "messages_unknown",
                 "messages_short", "messages_stale", "rejects", "orders"):
        assert found[name] > 0, (name, found)


@pytest.mark.parametrize("mode", ["native", "socket"])
def test_a_running_appliance_counts_every_frame_once_and_trades_on(warm, mode):
    with Place(mode) as place:
        before = {name: place.pid(name) for name in ("portd", "matcher@0", "recovery@0")}
        attack = Attack(place)
        xdp, _ = port_counters(place)
        sent = attack.sent
        udp, taken = udp_counters(place.scene.appliance), counts(attack.counters)
        attack.run()
        found = counts(attack.counters)
        moved = {name: found[name] - taken[name] for name in found}
        assert moved["rx_frames"] == sum(moved[name] for name, _ in DISPOSITIONS)
        check_session_work(moved, attack.sent - sent - FRAMES)
        if mode == "native":
            now, lost = port_counters(place)
            reasons = {name: now[name] - xdp[name] for name in now}
            assert sum(reasons.values()) == attack.sent - sent, reasons
            assert reasons["redirected"] == moved["rx_frames"] + lost, (reasons, lost)
        else:
            now = udp_counters(place.scene.appliance)
            assert now["InDatagrams"] - udp["InDatagrams"] == moved["rx_frames"]
            assert now["RcvbufErrors"] == 0, "the kernel dropped nothing for want of room"

        assert {name: place.pid(name) for name in before} == before
        assert all(os.path.exists(f"/proc/{pid}") for pid in before.values())
        assert int(attack.regions("engine")[0]["fault"]) == 0
        content = place.house.fresh_status()
        assert content["state"] == "running" and content["partitions"][0]["instance"] == 0
        assert {alarm["kind"] for alarm in content["alarms"]} <= ALLOWED_ALARMS
        buyer, seller = place.login(0), place.login(1)
        sweep(buyer, seller)
        trade(buyer, seller)
        assert place.stop() == 0, place.house.words()


def sweep(buyer, seller):
    """Takes away what the noise has left in the book near the price."""
    for session, side, price in ((buyer, "B", PRICE), (seller, "S", PRICE)):
        number = session.enter(side, 999_999, SYMBOL, price, time_in_force="3")
        session.wait(number)
    for session in (buyer, seller):
        while session.poll(0.2):
            pass
