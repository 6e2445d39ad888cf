"""The whole appliance as an operator sees it: `wirematch run` on the loopback's plain sockets."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

NAME = f"wm-t-{os.getpid()}"
RUNTIME = Path("/dev/shm") / NAME
START_S = 900.0              # a cold cache compiles every kernel first
END_OF_SESSION = b"\xff\xff"

SYMBOLS = '[[symbols]]\nname = "ACME"\nreference_price = 1250000\n'
ACCOUNTS = "".join(f'[[accounts]]\nname = "{name}"\npassword = "pw-{name}"\n'
                   for name in ("A1", "A2"))
MAIN = """\
name = "{name}"
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"
[interface]
name = "lo"
ip = "127.0.0.1"
mode = "socket"
[orders]
order_port_base = {order}
silence_ms = {silence}
heartbeat_ms = 100
[feed]
port = {feed}
rerequest_port_base = {rerequest}
[capacity]
pages = 64
far_levels = 1024
far_cap = 256
chunks = 64
feed_bytes = 1048576
feed_messages = 16384
[cores]
wait = "yield"
[metrics]
listen = ""
[account_defaults]
sources = ["127.0.0.1"]
max_pages = 32
"""


def free_ports(count):
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def alarms_of(content):
    """The kinds of alarm, but for those that a busy machine raises."""
    kinds = [alarm["kind"] for alarm in content["alarms"]]
    return [kind for kind in kinds if kind != "matcher-late"]


class Running:
    """A running `wirematch run`, and a participant's UDP socket."""

    def __init__(self, folder, silence_ms=60_000):
        self.order, self.feed, self.rerequest = free_ports(3)
        (folder / "symbols.toml").write_text(SYMBOLS)
        (folder / "accounts.toml").write_text(ACCOUNTS)
        self.config = folder / "main.toml"
        self.config.write_text(MAIN.format(name=NAME, order=self.order, feed=self.feed,
                                           rerequest=self.rerequest, silence=silence_ms))
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "--config", str(self.config)],
                stdout=log, stderr=log)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(0.2)
        self.orphans = []            # processes that must have gone with a killed launcher

    def status(self):
        try:
            return json.loads((RUNTIME / "status.json").read_text())
        except FileNotFoundError:
            return None

    def until(self, condition, patience_s):
        deadline = time.monotonic() + patience_s
        while True:
            content = self.status()
            if content and (found := condition(content)):
                return found
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, (self.log.read_text(), content)
            time.sleep(0.05)

    def ready(self, instance):
        def condition(content):
            row = content["partitions"][0] if content["partitions"] else {}
            return (content["pid"] == self.process.pid and content["state"] == "running"
                    and row.get("state") == "ready" and row["instance"] == instance and content)
        return self.until(condition, START_S)

    def pid(self, name):
        return {row["name"]: row["pid"] for row in self.status()["processes"]}[name]

    def login(self, token, name=b"A1", password=b"pw-A1"):
        """The control datagram that answers a login, resent every 200 ms as a client would."""
        ask = (token + bytes(8) + b"\x00\x01\x00\x2fL" + name.ljust(6) + password.ljust(10)
               + b" " * 10 + b"1".rjust(20))
        for _ in range(300):
            self.sock.sendto(ask, ("127.0.0.1", self.order))
            try:
                while True:
                    data = self.sock.recv(2048)
                    if data[10:18] == bytes(8):
                        return data
            except TimeoutError:
                continue
        raise AssertionError(f"no answer to a login: {self.log.read_text()} {self.status()}")

    def stop(self):
        """SIGTERM; the exit code and the datagrams that still came."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        rest = []
        try:
            while True:
                rest.append(self.sock.recv(2048))
        except TimeoutError:
            return code, rest


@pytest.fixture
def start(tmp_path):
    made = []

    def begin(**settings):
        made.append(Running(tmp_path, **settings))
        return made[-1]

    yield begin
    for running in made:
        running.sock.close()
        for pid in running.orphans:
            if os.path.exists(f"/proc/{pid}"):
                os.kill(pid, signal.SIGKILL)
        if running.process.poll() is None:
            running.process.terminate()
            try:
                running.process.wait(60)
            except subprocess.TimeoutExpired:
                running.process.kill()
                running.process.wait()
    shutil.rmtree(RUNTIME, ignore_errors=True)
    Path(f"{RUNTIME}.day").unlink(missing_ok=True)


@pytest.mark.slow
def test_day_of_an_appliance(start):
    """Start, logins good and bad, a killed matcher, a new instance, a clean end."""
    running = start()
    content = running.ready(0)
    assert content["state"] == "running" and alarms_of(content) == []
    row = content["partitions"][0]
    assert (row["mode"], row["wait"], row["order_port"]) == ("socket", "yield", running.order)
    channel = json.loads((RUNTIME / "channel.json").read_text())["partitions"][0]
    name = channel["sessions"]["A1"].encode()

    refused = running.login(b"TOKEN00001", password=b"wrong")
    assert refused == b"TOKEN00001" + bytes(8) + b"\x00\x01\x00\x02JA"
    accepted = running.login(b"TOKEN00001")
    assert accepted[:10] == name and accepted[18:23] == b"\x00\x01\x00\x1fA"
    assert accepted[23:33] == name
    assert int(accepted[33:53]) == 1, "message 1, the day's start, was asked for"
    running.until(lambda c: c["partitions"][0]["live_sessions"] == 1, 60)
    assert running.status()["partitions"][0]["logins"]["name_or_password"] == 1

    if os.geteuid() == 0:
        for process in ("matcher@0", "recovery@0"):
            words = Path(f"/proc/{running.pid(process)}/status").read_text()
            assert "\nUid:\t0\t" not in words and "\nCapEff:\t0000000000000000" in words
            assert "\nNoNewPrivs:\t1" in words

    first = running.pid("matcher@0")
    os.kill(first, signal.SIGKILL)
    content = running.ready(1)
    assert running.pid("matcher@0") != first
    assert alarms_of(content) == ["login-refused", "matcher-died"]
    renamed = json.loads((RUNTIME / "channel.json").read_text())["partitions"][0]["sessions"]["A1"]
    assert renamed[:9].encode() == name[:9] and (name[9:], renamed[9]) == (b"0", "1")
    assert running.login(b"TOKEN00001")[-1:] == b"S", "a token is good once a day"
    assert running.login(b"TOKEN00002")[:10] == renamed.encode()

    code, rest = running.stop()
    assert code == 0, running.log.read_text()
    ends = [data[18:20] for data in rest if data[:10] == renamed.encode()]
    assert ends.count(END_OF_SESSION) >= 3
    assert not RUNTIME.exists()


@pytest.mark.slow
def test_silent_participant_is_disconnected(start):
    running = start(silence_ms=400)
    running.ready(0)
    running.login(b"TOKEN00001")
    running.until(lambda c: c["partitions"][0]["counters"]["disconnects"] == 1, 60)
    assert running.status()["partitions"][0]["live_sessions"] == 0
    assert running.stop()[0] == 0


@pytest.mark.slow
def test_second_signal_stops_at_once_and_leaves_nothing(start):
    running = start()
    running.until(lambda c: True, 60)
    running.process.send_signal(signal.SIGTERM)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(60) is not None
    assert not RUNTIME.exists()


@pytest.mark.slow
def test_killed_launcher_takes_everyone_along_and_the_next_start_cleans_up(start):
    running = start()
    content = running.ready(0)
    running.process.kill()
    running.process.wait()
    running.orphans = [row["pid"] for row in content["processes"]]
    deadline = time.monotonic() + 60
    while alive := [pid for pid in running.orphans if os.path.exists(f"/proc/{pid}")]:
        assert time.monotonic() < deadline, f"still running: {alive} of {content['processes']}"
        time.sleep(0.05)
    assert RUNTIME.exists()
    again = start()
    again.ready(1)                # its streams have other names than those of the killed one
    assert "left behind by a launcher that was killed" in again.log.read_text()
    assert again.stop()[0] == 0 and not RUNTIME.exists()
