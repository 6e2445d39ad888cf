"""Days with hours: the market opens, closes and begins anew at midnight, in real processes.

The time zone is one of our own, made so that its midnight comes when the test wants it.
"""

import datetime
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.client.channel import load
from appliance.client.orders import OrderSession
from appliance.control.secrets import make_hash
from tests.control.test_run import alarms_of

pytestmark = pytest.mark.alone

NAME = f"wm-t-day-{os.getpid()}"
RUNTIME = Path("/dev/shm") / NAME
HOME, PATIENCE_S, CLOSED_S = "127.0.0.1", 60.0, 8
LEADS_S = (15, 60, 900)      # from start to opening; a cold cache compiles every kernel first
DAY_S, ACCOUNTS = 86400, ("A1", "A2")
MAIN = """\
name = "{name}"
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"
[day]
time_zone = "Soon"
opens = "{opens}"
closes = "{closes}"
[interface]
name = "lo"
ip = "127.0.0.1"
mode = "socket"
[partitions]
count = 2
[orders]
order_port_base = {port}
heartbeat_ms = 100
[feed]
port = {feed}
rerequest_port_base = {rerequest}
group_a = "239.192.{group}.1"
group_b = "239.192.{group}.11"
[capacity]
pages = 64
far_levels = 1024
far_cap = 256
chunks = 64
feed_bytes = 1048576
feed_messages = 16384
[cores]
wait = "yield"
[supervision]
late_ms = 5000
hang_ms = 60000
[account_defaults]
sources = ["127.0.0.1"]
max_pages = 32
"""


def free_base():
    """The first of six UDP ports in a row that are free."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((HOME, 0))
            base = sock.getsockname()[1]
        others = []
        try:
            for port in range(base, base + 6):
                others.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                others[-1].bind((HOME, port))
            return base
        except (OSError, OverflowError):
            continue
        finally:
            for sock in others:
                sock.close()


def clock(seconds):
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


class Dated:
    """`wirematch run` whose market opens in `lead_s`, trades `open_s`, and CLOSED_S later it is
    midnight."""

    def __init__(self, folder, lead_s, open_s):
        closes = DAY_S - CLOSED_S
        opens, now = closes - open_s, int(time.time())
        offset = (opens - lead_s - now) % DAY_S
        offset -= DAY_S if offset > DAY_S // 2 else 0
        (folder / "Soon").write_bytes(
            b"TZif" + bytes(16) + struct.pack(">6I", 0, 0, 0, 0, 1, 4)
            + struct.pack(">iBB", offset, 0, 0) + b"OWN\0")
        base = free_base()
        (folder / "symbols.toml").write_text(
            '[[symbols]]\nname = "ACME"\nreference_price = 1250000\npartition = 1\n')
        (folder / "accounts.toml").write_text("".join(
            f'[[accounts]]\nname = "{name}"\npassword_hash = "{make_hash("pw-" + name)}"\n'
            for name in ACCOUNTS))
        (folder / "main.toml").write_text(MAIN.format(
            name=NAME, opens=clock(opens), closes=clock(closes), port=base, feed=base + 2,
            rerequest=base + 3, group=os.getpid() % 200))
        zone = datetime.timezone(datetime.timedelta(seconds=offset))
        self.day = datetime.datetime.fromtimestamp(now, zone).timetuple().tm_yday
        self.log, self.config = folder / "log", folder / "main.toml"
        self.environment = os.environ | {"PYTHONTZPATH": str(folder)}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "--config", self.config],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)

    def until(self, condition, patience_s=PATIENCE_S):
        deadline = time.monotonic() + patience_s
        while True:
            try:
                content = json.loads((RUNTIME / "status.json").read_text())
            except FileNotFoundError:
                content = None
            if content and condition(content):
                return content
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, (self.log.read_text(), content)
            time.sleep(0.05)

    def session(self, account):
        """A participant that has logged in on partition 1."""
        session = OrderSession(load(RUNTIME / "channel.json").partition_of("ACME"), account,
                               f"pw-{account}")
        session.login(timeout=PATIENCE_S)
        session.resume(PATIENCE_S)
        return session

    def wirematch(self, command, *arguments):
        """What a command prints about this configuration."""
        return subprocess.run(
            [sys.executable, "-m", "appliance.cli", command, "--config", self.config, *arguments],
            env=self.environment, check=True, capture_output=True, text=True).stdout

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(RUNTIME, ignore_errors=True)
        Path(f"{RUNTIME}.day").unlink(missing_ok=True)


@pytest.fixture
def begin(tmp_path):
    """begin(open_s): a Dated that was ready well before its market opens."""
    made = []

    def start(open_s):
        for lead_s in LEADS_S:
            made.append(Dated(tmp_path, lead_s, open_s))
            content = made[-1].until(lambda c: c["state"] != "starting", 900.0)
            if content["market"]["next_change_ns"] - time.time_ns() > 5e9 \
                    and content["market"]["phase"] == "pre-open":
                return made[-1]
            made[-1].stop()
        raise AssertionError(f"not ready within {lead_s} s: {made[-1].log.read_text()}")

    yield start
    for each in made:
        each.stop()


def reject_of(answers):
    return [answer.reason for answer in answers if answer.letter == "J"]


@pytest.mark.slow
def test_day_with_hours_from_before_the_open_to_the_next_morning(begin):
    running = begin(open_s=12)
    with running.session("A1") as one, running.session("A2") as two:
        early = one.enter("B", 100, "ACME", 1_250_000)
        assert reject_of(one.wait(early, PATIENCE_S)) == [2]
        running.until(lambda c: c["market"]["phase"] == "open")
        number = one.enter("B", 100, "ACME", 1_250_000)
        assert [answer.letter for answer in one.wait(number, PATIENCE_S)] == ["A"]
        other = two.enter("S", 40, "ACME", 1_250_000)
        answers = two.wait(other, PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while "E" not in [answer.letter for answer in answers]:
            assert time.monotonic() < deadline, answers
            answers += two.poll(0.05)
        old, heard, deadline = one.session, [], time.monotonic() + PATIENCE_S
        while not one.ended:
            assert time.monotonic() < deadline, running.log.read_text()
            heard += one.poll(0.05)
            two.poll(0.0)
        assert [a.letter for a in heard if a.letter in "ECS"] == ["E", "C", "S"], heard
    content = running.until(lambda c: c["state"] == "closed")
    assert content["market"]["phase"] == "closed" and alarms_of(content) == []
    assert [row["state"] for row in content["partitions"]] == ["ended", "ended"]
    pids = {row["name"]: row["pid"] for row in content["processes"]}
    assert old.startswith(f"{running.day:03d}O")

    content = running.until(lambda c: c["state"] == "running" and c["day"] != running.day)
    assert content["day"] == running.day % 365 + 1 or running.day == 365
    assert content["market"]["phase"] == "pre-open" and alarms_of(content) == []
    assert [row["instance"] for row in content["partitions"]] == [0, 0]
    now = {row["name"]: row["pid"] for row in content["processes"]}
    assert now["portd"] == pids["portd"] and now["matcher@1"] != pids["matcher@1"]
    shown = json.loads(running.wirematch("topology", "--json"))
    assert shown["runs"] and (shown["rung"], shown["layout"]) == ("socket", "none")
    assert {row["name"]: row["pid"] for row in shown["processes"]} == now
    assert [row["symbols"] for row in shown["partitions"]] == [[], ["ACME"]]
    assert [row["state"] for row in shown["partitions"]] == ["ready", "ready"]
    assert f"RUNNING as process {running.process.pid}" in running.wirematch("topology")
    with running.session("A1") as again:
        assert again.session == f"{content['day']:03d}{old[3:]}"
        assert again.user_ref == 0, "a new day knows nothing of the old one"
        assert reject_of(again.wait(again.enter("B", 1, "ACME", 1_250_000), PATIENCE_S)) == [2]
    running.stop()
    assert running.process.returncode == 0, running.log.read_text()
