"""The HTTP server over a real socket: what it answers, and whom it cuts off."""

import socket
import time

import pytest

from appliance.observe import web
from appliance.observe.web import Answer, Web


class Served:
    """A server on loopback, turned by hand."""

    def __init__(self, answer=lambda path: Answer(200, "text/plain", path.encode())):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.sock.setblocking(False)
        self.web = Web(self.sock, answer)
        self.clients = []

    def connect(self):
        client = socket.create_connection(self.sock.getsockname(), timeout=5)
        self.clients.append(client)
        return client

    def turn(self, seconds=0.05):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.web.turn(0.005)

    def ask(self, words):
        client = self.connect()
        client.sendall(words)
        self.turn()
        data = b""
        while chunk := client.recv(1 << 16):
            data += chunk
        return data

    def close(self):
        self.web.close()
        for each in (self.sock, *self.clients):
            each.close()


@pytest.fixture
def served():
    made = Served()
    yield made
    made.close()


def test_a_get_and_a_head(served):
    head, _, body = served.ask(b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n").partition(
        b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ") and body == b"/metrics"
    assert b"Content-Length: 8\r\n" in head and b"Server: wirematch\r\n" in head
    head, _, body = served.ask(b"HEAD / HTTP/1.0\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ") and body == b""
    assert served.web.counts["answered"] == 2 and not served.web.connections


@pytest.mark.parametrize("words, code", [
    (b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b" 501 "),
    (b"GET / HTTP/9.9\r\n\r\n", b" 505 "),
    (b"hello there you all\r\n\r\n", b" 400 ")])
def test_what_is_no_get_is_refused_and_counted(served, words, code):
    assert code in served.ask(words)
    assert served.web.counts["malformed"] == 1


def test_an_answer_that_cannot_be_made_is_one_requests_trouble():
    def broken(path):
        if path == "/":
            raise ValueError("no numbers")
        return Answer(200, "text/plain", b"well")

    served = Served(broken)
    assert served.ask(b"GET / HTTP/1.0\r\n\r\n").endswith(b"ValueError: no numbers\n")
    assert served.ask(b"GET /b HTTP/1.0\r\n\r\n").endswith(b"well")
    assert served.web.counts["failed"] == 1
    served.close()


def test_a_large_answer_to_a_slow_reader_and_one_that_reads_nothing(monkeypatch):
    monkeypatch.setattr(web, "ANSWER_S", 0.5)
    body = bytes(8 << 20)
    served = Served(lambda path: Answer(200, "application/octet-stream", body))
    slow, deaf = served.connect(), served.connect()
    for client in (slow, deaf):
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    served.turn()
    got, begun = 0, time.monotonic()
    slow.setblocking(False)
    while got < len(body) and time.monotonic() - begun < 5:
        served.turn(0.01)
        try:
            got += len(slow.recv(1 << 20))
        except BlockingIOError:
            continue
    assert got >= len(body)
    served.turn(0.6)
    assert served.web.counts["slow_answer"] == 1 and served.web.counts["answered"] == 1
    served.close()


def test_hanging_ones_make_room_and_time_out(served, monkeypatch):
    hanging = [served.connect() for _ in range(web.CONNECTIONS_MAX + 40)]
    served.turn(0.4)
    assert served.web.most == web.CONNECTIONS_MAX == len(served.web.connections)
    assert served.web.counts["evicted"] == 40
    assert served.ask(b"GET /x HTTP/1.0\r\n\r\n").endswith(b"/x")
    served.turn(web.REQUEST_S)
    assert not served.web.connections
    assert served.web.counts["slow_request"] == web.CONNECTIONS_MAX - 1
    assert hanging[-1].recv(1) == b""


def test_a_request_may_come_in_pieces_but_not_without_end(served):
    client = served.connect()
    for part in (b"GET /a", b"bc HTTP/1.0\r\n", b"\r\n"):
        client.sendall(part)
        served.turn(0.02)
    assert client.recv(4096).endswith(b"/abc")
    endless = served.connect()
    endless.sendall(b"GET / HTTP/1.0\r\nX: " + b"x" * (web.HEAD_MAX + 1))
    served.turn()
    assert served.web.counts["too_long"] == 1
