"""The package in a booted Debian machine: installed, started, traded with, broken, stopped.

One machine for the whole walk; each test goes on where the one before has stopped.
"""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from appliance.client.channel import load as load_channel
from appliance.client.orders import OrderSession
from appliance.config import load as loading
from tests.end_to_end.place import wait_for
from tests.package import machine
from tests.shared_data import ROOT

pytestmark = pytest.mark.slow
PROFILE = Path(loading.__file__).parent / "examples" / "veth-test.toml"
MORE = """
[orders]
gap_hold_us = 200_000
[supervision]
late_ms = 50
hang_ms = 1500
[capacity]
feed_bytes = 16_777_216
feed_messages = 65_536
"""
CONFIG, SERVICE = "/etc/wirematch/wirematch.toml", "wirematch.service"
SYMBOL, PRICE, PATIENCE_S = "ACME", 1_250_000, 60.0
BACK_S, SEEN_S = 2.0, 0.1                    # trading again; a standstill noticed


class House:
    """The machine and who trades with it."""

    def __init__(self, booted):
        self.machine = booted
        self.people = {}

    def status(self):
        """status.json, {} while there is none."""
        try:
            return json.loads(self.machine.path("/dev/shm/veth/status.json").read_text())
        except (OSError, ValueError):
            return {}

    def until(self, condition):
        """Waits until condition(status) is true; gives what it gave."""
        deadline = time.monotonic() + PATIENCE_S
        while not (found := (content := self.status()) and condition(content)):
            assert time.monotonic() < deadline, content
            time.sleep(0.01)
        return found

    def pid(self, name):
        """A process's number, seen from here."""
        inside = {row["name"]: row["pid"] for row in self.status()["processes"]}[name]
        for path in Path("/proc").glob("[0-9]*/status"):
            try:
                rows = dict(line.split(":\t", 1) for line in path.read_text().splitlines())
            except OSError:
                continue
            if rows["NSpid"].split()[-1] == str(inside) and os.readlink(
                    path.parent / "ns/pid") == os.readlink(f"/proc/{self.machine.leader}/ns/pid"):
                return int(path.parent.name)
        raise LookupError(name)

    def login(self, name, password):
        """A participant, over the wire."""
        with self.machine.market.entered():
            channel = load_channel(self.machine.path("/dev/shm/veth/channel.json"))
            made = OrderSession(channel.partition_of(SYMBOL), name, password,
                                bind=(machine.MARKET_IP, 0))
        made.login(1, timeout=PATIENCE_S)
        self.people[name] = made
        return made

    def words(self):
        """[(seconds since 1970, line)] of the service's journal."""
        lines = self.machine.run("journalctl", "-u", SERVICE, "-o", "json", "--no-pager")
        rows = [json.loads(line) for line in lines.splitlines()]
        return [(int(row["__REALTIME_TIMESTAMP"]) / 1e6, row["MESSAGE"]) for row in rows]


def limit(seconds):
    """What may take so long on a machine of one's own: longer by how many share each CPU of it."""
    return seconds * max(1.0, os.getloadavg()[0] / os.cpu_count())


@pytest.fixture(scope="module")
def house(tree):
    with machine.Machine(tree) as booted:
        made = House(booted)
        yield made
        for each in made.people.values():
            each.close()
        if booted.process.poll() is None:                # shown where a test has failed
            print(booted.run("journalctl", "--no-pager", "-u", "wirematch*", check=False))


def trade(house, price=PRICE):
    """Alice sells to Bob; both hear of it."""
    seller, buyer = house.people["ALICE"], house.people["BOB"]
    sell = seller.enter("S", 10, SYMBOL, price)
    wait_for(seller, sell, "A", PATIENCE_S)
    buy = buyer.enter("B", 10, SYMBOL, price)
    wait_for(buyer, buy, "E", PATIENCE_S)
    wait_for(seller, sell, "E", PATIENCE_S)


def test_installing_starts_nothing(house):
    assert house.machine.show(SERVICE, "ActiveState") == "inactive"
    assert "wm-matcher0" in house.machine.path("/etc/passwd").read_text()
    assert house.machine.run("wirematch", "--version").strip()
    rows = house.machine.run("stat", "-c", "%a %U", "/var/cache/wirematch", "/etc/wirematch/"
                             "accounts.toml", "/var/lib/wirematch").splitlines()
    assert rows == ["755 root", "600 root", "711 root"]


def test_one_edited_file_and_a_start_and_it_trades_over_af_xdp(house):
    house.machine.path(CONFIG).write_text(PROFILE.read_text() + MORE)
    house.machine.run("systemctl", "start", "wirematch.target")
    assert house.machine.show(SERVICE, "ActiveState") == "active"
    assert house.machine.show(SERVICE, "StatusText") == "running: 1 of 1 partition(s) trading"
    row = house.until(lambda content: [row for row in content["partitions"]
                                       if row["state"] == "ready"])[0]     # not late just now
    assert row["mode"] == "native"
    assert row["kernels_cached"], "the cache that only root may write was read"
    house.login("ALICE", "change-me")
    house.login("BOB", "change-2")
    trade(house)


def test_every_process_has_lost_its_rights(house):
    held = ("matcher@0", "recovery@0", "journal@0", "shadow@0")
    house.until(lambda content: {*held, "portd", "forkserver"} <= {
        row["name"] for row in content["processes"] if row["ready_s"]})
    for name in held:
        rows = dict(line.split(":\t", 1) for line in
                    Path(f"/proc/{house.pid(name)}/status").read_text().splitlines())
        assert int(rows["Uid"].split()[0]) in range(61800, 62200), name
        assert {int(rows[f"Cap{key}"], 16) for key in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
        assert (rows["NoNewPrivs"], rows["Seccomp"]) == ("1", "2"), name
    assert house.machine.code("touch", "/var/cache/wirematch/x") == 0, "outside it may be written"
    launcher = house.machine.show(SERVICE, "MainPID")
    assert house.machine.code("nsenter", "-t", launcher, "-m", "touch",
                              "/var/cache/wirematch/y") == 1


def test_a_reload_is_judged_first(house):
    before = house.machine.show(SERVICE, "MainPID")
    house.machine.run("systemctl", "reload", SERVICE)
    good = house.machine.path(CONFIG).read_text()
    house.machine.path(CONFIG).write_text(good + "[cores]\nwait = 'nap'\n")
    try:
        assert house.machine.code("systemctl", "reload", SERVICE) == 1
    finally:
        house.machine.path(CONFIG).write_text(good)
    assert house.machine.show(SERVICE, "MainPID") == before
    assert house.machine.show(SERVICE, "ActiveState") == "active"
    trade(house)


def trades_again(house, low):
    """Orders ten times a second until one is accepted, which is when trading goes on; the rest of
    the answers is waited for."""
    session, deadline, sent, seen, due = house.people["BOB"], time.monotonic() + PATIENCE_S, 0, 0, 0
    while not seen:
        now = time.monotonic()
        assert now < deadline, "nobody answers"
        if now >= due:
            session.enter("B", 1, SYMBOL, low)
            sent, due = sent + 1, now + 0.1
        seen += sum(each.letter == "A" for each in session.poll(0.005))
        house.people["ALICE"].poll(0.0)
    when = time.monotonic()
    while seen < sent:
        assert time.monotonic() < deadline, f"{seen} answers to {sent} orders"
        seen += sum(each.letter == "A" for each in session.poll(0.05))
        house.people["ALICE"].poll(0.0)
    return when


def test_a_killed_matcher_trades_again_within_two_seconds_and_nothing_is_lost(house):
    seller, buyer = house.people["ALICE"], house.people["BOB"]
    sell = seller.enter("S", 7, SYMBOL, PRICE + 100)
    wait_for(seller, sell, "A", PATIENCE_S)
    begun = time.monotonic()
    os.kill(house.pid("matcher@0"), signal.SIGKILL)
    took = trades_again(house, PRICE - 5_000) - begun
    buy = buyer.enter("B", 7, SYMBOL, PRICE + 100)
    wait_for(buyer, buy, "E", PATIENCE_S)
    assert wait_for(seller, sell, "E", PATIENCE_S)[-1].quantity == 7
    print(f"trading again {took:.2f} s after kill -9")
    assert took < limit(BACK_S)


def test_a_standstill_is_seen_at_once_and_ended(house):
    old = house.pid("matcher@0")
    begun, started = time.time(), time.monotonic()
    os.kill(old, signal.SIGSTOP)
    took = trades_again(house, PRICE - 5_100) - started
    late = [when for when, text in house.words()
            if "has not looked up for" in text and when > begun and "ended" in text]
    print(f"seen after {late[0] - begun:.3f} s, trading again after {took:.2f} s")
    assert late[0] - begun < limit(SEEN_S)
    assert house.pid("matcher@0") != old
    trade(house)


def test_a_launcher_that_stands_still_is_ended_by_the_watchdog(house):
    """Nothing feeds systemd's watchdog then; the day goes on from its journal."""
    folder = "/run/systemd/system/wirematch.service.d"
    house.machine.run("mkdir", "-p", folder)
    house.machine.path(f"{folder}/watchdog.conf").write_text("[Service]\nWatchdogSec=3\n")
    house.machine.run("systemctl", "daemon-reload")
    house.machine.run("systemctl", "restart", SERVICE)
    for name, password in (("ALICE", "change-me"), ("BOB", "change-2")):
        house.people.pop(name).close()
        house.login(name, password)
    trade(house)
    restarts = int(house.machine.show(SERVICE, "NRestarts"))
    launcher = house.machine.show(SERVICE, "MainPID")
    house.machine.run("kill", "-STOP", launcher)
    deadline = time.monotonic() + 2 * PATIENCE_S
    while house.machine.show(SERVICE, "NRestarts") == str(restarts) \
            or house.machine.show(SERVICE, "ActiveState") != "active":
        assert time.monotonic() < deadline, house.machine.run("systemctl", "status", SERVICE,
                                                              check=False)
        time.sleep(0.1)
    for name, password in (("ALICE", "change-me"), ("BOB", "change-2")):
        house.people.pop(name).close()
        house.login(name, password)
    trade(house)


def test_a_stop_drains_and_leaves_nothing(house):
    begun = datetime.now().timestamp()
    house.machine.run("systemctl", "stop", "wirematch.target", SERVICE)
    assert house.machine.show("wirematch.target", "ActiveState") == "inactive"
    assert house.machine.show(SERVICE, "ActiveState") == "inactive"
    assert house.machine.show(SERVICE, "Result") == "success"
    assert any("stopped" in text for when, text in house.words() if when > begun - 1)
    assert not house.machine.path("/dev/shm/veth").exists()
    assert "xdp" not in house.machine.run("ip", "link", "show", "wm0")
    (day,) = (path for path in house.machine.path("/var/lib/wirematch/veth").iterdir()
              if path.name.isdigit())                # beside it: crashes
    assert list((day / "p0").glob("segment-*.wmj"))
    out = house.machine.run("wirematch", "journal", "verify", f"/var/lib/wirematch/veth/{day.name}/"
                            "p0")
    print(out.strip().splitlines()[-1])


def test_the_machine_powers_off(house):
    assert house.machine.power_off() == 0


def test_a_machine_dies_with_its_test(tree):
    program = (f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
               "from tests.package.machine import Machine\n"
               f"with Machine(Path({str(tree)!r})) as machine:\n"
               "    print(machine.leader, flush=True)\n    sys.stdin.read()\n")
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        leader = int(process.stdout.readline())
        process.kill()
    deadline = time.monotonic() + 10.0
    while Path(f"/proc/{leader}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
