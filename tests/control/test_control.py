"""`wirematch control` on a running appliance: each order a command, told with its sequence."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.control.test_run import RUNTIME, start  # noqa: F401
from tests.hot.core_kit import enter

pytestmark = pytest.mark.alone


def control(*words, code=0, as_json=True):
    """The answer to `wirematch control WORDS`."""
    done = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "control", "--runtime-dir", str(RUNTIME),
         *(["--json"] if as_json else []), *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return json.loads(done.stdout) if as_json else done.stdout + done.stderr


def outcome(*words, **options):
    """(outcome, sequence) of an order to the one partition."""
    row, = control(*words, **options)["results"]
    return row["outcome"], row["seq"]


class Trader:
    """Orders of account A1 over the test's socket, one a datagram."""

    def __init__(self, running, token):
        self.running, self.token, self.seq, self.ref = running, token, 0, 0
        running.login(token)

    def send(self, **terms):
        """The answer to a new order: its OUCH message, `A` or `J`."""
        self.ref, self.seq = self.ref + 1, self.seq + 1
        message = b"U" + enter(self.ref, symbol=b"ACME    ", **{"price": 1250000} | terms)
        self.running.sock.sendto(
            self.token + self.seq.to_bytes(8, "big") + b"\0\1" + len(message).to_bytes(2, "big")
            + message, ("127.0.0.1", self.running.order))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                data = self.running.sock.recv(2048)
            except TimeoutError:
                continue
            at = 20
            while at < len(data) and data[10:18] != bytes(8):
                size = int.from_bytes(data[at:at + 2], "big")
                answer = data[at + 3:at + 2 + size]
                if answer[:1] in b"AJ" and answer[9:13] == self.ref.to_bytes(4, "big"):
                    return answer
                at += 2 + size
        raise AssertionError(f"no answer to order {self.ref}")

    def code(self, **terms):
        """0 of an accepted order, else the reason of its reject."""
        answer = self.send(**terms)
        return 0 if answer[:1] == b"A" else int.from_bytes(answer[13:15], "big")


@pytest.mark.slow
def test_orders_of_the_operator(start):  # noqa: F811
    running = start()
    running.ready(0)
    trader = Trader(running, b"TOKEN00001")
    assert [trader.code() for _ in range(3)] == [0, 0, 0]

    assert "did you mean \"ACME\"" in control("halt", "ACNE", code=1)["error"]
    assert "did you mean" in control("kill", "account", "A11", code=1)["error"]
    assert "unknown here" in control("limit", "A1", "max_qty=3", code=1)["error"]
    done, first = outcome("halt", "ACME", "--reason", "T1")
    assert done == "done" and trader.code() == 0x0007
    assert outcome("halt", "ACME") == ("already", first + 2)
    assert outcome("resume", "ACME")[0] == "done" and trader.code() == 0

    assert outcome("kill", "account", "A1")[0] == "done"
    running.until(lambda c: c["partitions"][0]["live_orders"] == 0, 10)
    assert trader.code() == 0x000C
    assert outcome("lift", "account", "A1")[0] == "done" and trader.code() == 0
    assert outcome("kill", "symbol", "ACME")[0] == "done" and trader.code() == 0x0007
    running.until(lambda c: c["partitions"][0]["live_orders"] == 0, 10)
    assert outcome("lift", "symbol", "ACME")[0] == "done"
    assert outcome("kill", "venue")[0] == "done" and trader.code() == 0x0002
    assert outcome("lift", "venue")[0] == "done" and trader.code() == 0

    assert outcome("limit", "A1", "max_quantity=150")[0] == "done"
    assert trader.code(qty=151) == 0x0031 and trader.code(qty=150) == 0
    assert outcome("limit", "-", "ACME", "price_band=100")[0] == "done"
    assert trader.code(price=1262600) == 0x0026 and trader.code(price=1262500) == 0
    assert outcome("mode", "cancel-only")[0] == "done" and trader.code() == 0x0002
    assert outcome("mode", "halted")[0] == "done" and trader.code() == 0x0007
    assert outcome("mode", "normal")[0] == "done" and trader.code() == 0
    assert outcome("bust", "7", code=1)[0] == "not now"
    assert outcome("kill", "account", "A2")[0] == "done"

    stands, = control("list")["partitions"]
    assert stands["killed"] == [{"scope": "account", "name": "A2"}] and stands["halted"] == []
    assert {"account": "A1", "symbol": None, "max_quantity": 150} in stands["limits"]
    assert "control: root (uid 0): account A1 is killed" in running.log.read_text()

    os.kill(running.pid("matcher@0"), signal.SIGKILL)        # without a journal: a fresh core
    running.ready(1)
    again = Trader(running, b"TOKEN00002")
    assert again.code(qty=151) == 0x0031 and again.code(price=1262600) == 0x0026
    assert control("list")["partitions"] == [stands]
    assert outcome("disconnect", "A1")[0] == "done"
    running.until(lambda c: c["partitions"][0]["live_sessions"] == 0, 10)
    assert control("disconnect", "A1")["results"][0]["outcome"] == "already"
    assert outcome("close")[0] == "done"
    assert running.stop()[0] == 0


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_who_may_not_give_orders_is_told_so_and_nobody_waits(start):  # noqa: F811
    running = start()
    running.ready(0)
    program = ("import os, socket, sys; os.setgid(65534); os.setuid(65534);"
               "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
               "print(s.recv(4096).decode())")
    told = subprocess.run([sys.executable, "-c", program, str(RUNTIME / "control.sock")],
                          capture_output=True, text=True, timeout=30)
    assert "user 65534 may not give orders here" in told.stdout, told
    running.until(lambda c: "control-denied" in [row["kind"] for row in c["alarms"]], 10)
    idle = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for sock in idle:                                  # they say nothing, or half a line
        sock.connect(str(RUNTIME / "control.sock"))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(RUNTIME / "control.sock"))
        sock.settimeout(10)
        assert b"connections are open" in sock.recv(4096)
    for sock in idle:
        sock.close()
    time.sleep(0.2)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(RUNTIME / "control.sock"))
        sock.settimeout(10)
        for line, why in ((b"{", "not one JSON object"), (b"[]", "not an object"),
                          (b'{"verb": "hlat"}', 'did you mean \\"halt\\"'),
                          (b'{"verb": 3}', "must be a text"),
                          (b'{"verb": "limit", "account": "A1", "values": {"max_quantity": -1}}',
                           "whole number")):
            sock.sendall(line + b"\n")
            assert why.encode() in sock.recv(4096)
        sock.sendall(b"x" * 5000)
        assert b"at most 4096" in sock.recv(4096)
    assert running.stop()[0] == 0
