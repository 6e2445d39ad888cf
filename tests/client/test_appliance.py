"""A participant and the real appliance on loopback sockets: the example, and a day with losses."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.client import example
from appliance.client.channel import load
from appliance.client.feed import FeedHandler
from appliance.client.orders import LoginError, OrderSession
from tests.client.venue_host import letters, until

pytestmark = pytest.mark.alone

HOME, START_S = "127.0.0.1", 900.0         # a cold cache compiles every kernel first
NAME = f"wm-t-client-{os.getpid()}"
RUNTIME = Path("/dev/shm") / NAME
PRICE, TICK, GROUP = 1_250_000, 100, os.getpid() % 200
FILES = {
    "symbols.toml": f'[[symbols]]\nname = "ACME"\ntick_size = {TICK}\nreference_price = {PRICE}\n',
    "accounts.toml": "".join(f'[[accounts]]\nname = "A{n}"\npassword = "pw{n}"\n'
                             for n in range(1, 5)),
    "main.toml": """\
name = "{name}"
runtime_dir = "{runtime}"
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"
[metrics]
listen = ""
[interface]
name = "lo"
ip = "127.0.0.1"
mode = "socket"
[orders]
order_port_base = {order}
heartbeat_ms = 100
gap_hold_us = 500000
[feed]
port = {feed}
rerequest_port_base = {rerequest}
group_a = "239.192.{group}.1"
group_b = "239.192.{group}.2"
[capacity]
pages = 64
far_levels = 1024
far_cap = 256
chunks = 64
feed_bytes = 1048576
feed_messages = 16384
[cores]
wait = "yield"
[account_defaults]
sources = ["127.0.0.1"]
max_pages = 16
cancel_on_disconnect = true
"""}


def free_ports(count):
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for sock in socks:
        sock.bind((HOME, 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


class Appliance:
    """A running `wirematch run`; `partition` is what its channel file says."""

    def __init__(self, folder):
        order, feed, rerequest = free_ports(3)
        for name, text in FILES.items():
            if name == "main.toml":
                text = text.format(name=NAME, runtime=RUNTIME, order=order, feed=feed,
                                   rerequest=rerequest, group=GROUP)
            (folder / name).write_text(text)
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "--config", folder / "main.toml"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def wait_ready(self):
        deadline = time.monotonic() + START_S
        while True:
            try:
                if json.loads((RUNTIME / "status.json").read_text())["state"] == "running":
                    return
            except FileNotFoundError:
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    @property
    def channel(self):
        return RUNTIME / "channel.json"

    @property
    def partition(self):
        return load(self.channel).partition_of("ACME")

    def end_day(self):
        self.process.send_signal(signal.SIGTERM)

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


@pytest.fixture(scope="module")
def appliance(tmp_path_factory):
    made = Appliance(tmp_path_factory.mktemp("client"))
    try:
        made.wait_ready()
        yield made
    finally:
        made.stop()


class Lossy:
    """A socket that loses one of `every` datagrams, sent and received, by a seeded draw.

    Not each n-th one: that can fall in step with question and answer and only ever lose one kind.
    """

    def __init__(self, sock, every):
        self.sock, self.every, self.draw = sock, every, random.Random(every)

    def loses(self):
        return self.draw.randrange(self.every) == 0

    def send(self, data):
        return len(data) if self.loses() else self.sock.send(data)

    def recv(self, *arguments):
        while True:
            data = self.sock.recv(*arguments)
            if not self.loses():
                return data

    def __getattr__(self, name):
        return getattr(self.sock, name)


@pytest.mark.slow
def test_the_example_trades_and_leaves_a_clean_book(appliance, capsys):
    arguments = [str(appliance.channel), "A1", "pw1", "ACME", str(PRICE)]
    done = subprocess.run([sys.executable, "-m", "appliance.client.example", *arguments],
                          capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    answers = "".join(line[0] for line in lines if not line.startswith("top"))
    assert answers == "SQAACUCC", done.stdout
    assert f"top of the book: {PRICE - 5 * TICK} {PRICE + 4 * TICK}" in lines

    assert example.main(arguments) == 0, "a second time on the same day, with the numbers after"
    out = capsys.readouterr().out.splitlines()
    assert "".join(line[0] for line in out if not line.startswith("top")) == (
        "SQAACUCC" + "QAACUCC")
    assert "'user_ref_num': 6" in out[-1], "three numbers a round"


@pytest.mark.slow
def test_the_example_says_what_is_wrong(appliance, capsys):
    channel = str(appliance.channel)
    for arguments, code, words in (
            ([channel], 2, "python -m appliance.client.example"),
            ([channel, "A1", "pw1", "ACME", "cheap"], 2, "python -m appliance.client.example"),
            ([channel, "A1", "no", "ACME", "1"], 1, "login of A1 was refused: reason A"),
            ([channel, "A1", "pw1", "NONE", "1"], 1, "'NONE' is in no partition"),
            (["/nowhere.json", "A1", "pw1", "ACME", "1"], 1, "channel file /nowhere.json"),
            ([channel, "A1", "pw1", "ACME", "1", "192.0.2.1"], 1, "Cannot assign")):
        assert example.main(arguments) == code
        assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_day_with_losses_both_ways_ends_whole(appliance):
    """Two participants and a follower lose every few datagrams; the day's end reaches everyone."""
    part, whole, holed = appliance.partition, {}, {}
    heard = {2: [], 3: []}
    with (OrderSession(part, "A2", "pw2", answers=heard[2].append, heartbeat_s=0.1) as buyer,
          OrderSession(part, "A3", "pw3", answers=heard[3].append, heartbeat_s=0.1) as seller,
          FeedHandler(part, HOME, whole.__setitem__) as feed,
          FeedHandler(part, HOME, holed.__setitem__) as poor,
          OrderSession(part, "A2", "pw2") as late):
        with OrderSession(part, "A2", "wrong") as stranger, pytest.raises(LoginError):
            stranger.login()
        buyer.login()
        seller.login()
        assert buyer.resume() == 1 and buyer.local_ip == HOME
        buyer.sock, seller.sock = Lossy(buyer.sock, 5), Lossy(seller.sock, 7)
        poor.sockets = [Lossy(sock, 3) for sock in poor.sockets]
        for n in range(60):
            offer = seller.enter("S", 10, "ACME", PRICE + n * TICK)
            seller.wait(offer)
            bid = buyer.enter("B", 10 + n % 2, "ACME", PRICE + n * TICK)
            buyer.wait(bid)
            until(buyer, lambda bid=bid: buyer.orders[bid].executed_qty == 10)
            if n % 2:
                buyer.cancel(bid)
                until(buyer, lambda bid=bid: not buyer.orders[bid].open_qty)
            until(seller, lambda offer=offer: not seller.orders[offer].open_qty)
            feed.poll()
            poor.poll()
        left = buyer.enter("B", 7, "ACME", PRICE - 1000)
        buyer.wait(left)
        for session in (buyer, seller):
            assert session.counts["gaps_answered"] and session.counts["requests"]
            numbers = [r.user_ref_num for r in heard[2 if session is buyer else 3]
                       if r.letter == "A"]
            assert numbers == list(range(1, 61 + (session is buyer)))
        deadline = time.monotonic() + 60
        while any(each.books.by_name["ACME"].depth(0, 9) != [(PRICE - 1000, 7)]
                  for each in (feed, poor)):
            feed.poll(0.05)
            poor.poll(0.05)
            assert time.monotonic() < deadline, (feed.statistics(), poor.statistics())
        assert feed.missing() == poor.missing() == 0
        assert feed.books.by_name["ACME"].depth(1, 9) == []

        late.login()                                 # takes the session over
        late.resume()
        assert letters(late.poll()).count("A") == 61 and late.user_ref == buyer.user_ref
        assert [o.user_ref_num for o in late.orders.values() if o.open_qty] == [left]

        appliance.end_day()
        people = (late, seller, feed, poor)
        deadline = time.monotonic() + 60
        while not all(each.ended for each in people) and time.monotonic() < deadline:
            for each in people:
                each.poll(0.01)
        assert [each.ended for each in people] == [True] * 4
        assert late.orders[left].open_qty == 0
        assert whole == holed and sorted(whole) == list(range(1, len(whole) + 1))
        for each in (feed, poor):
            facts = each.statistics()
            assert (facts["crossed"], facts["missing"], facts["malformed"]) == (0, 0, 0)
            assert each.books.trade_cnt >= 60 and each.books.events[-1] == "C"
            assert not each.books.orders
        assert poor.counts["requests"] > 0
    assert appliance.process.wait(60) == 0, appliance.log.read_text()
