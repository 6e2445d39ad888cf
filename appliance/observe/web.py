"""A small HTTP server that nobody can hold up: few connections, short patience, one thread.

    web = Web(sock, answer)
    while running: web.turn(0.5)

answer(path) -> Answer, from the thread that calls `turn`. Requests are read by stdlib's http.server
once their head is whole; until then a connection is bytes in a list. At most CONNECTIONS_MAX are
open: when one more comes in, the oldest whose request is not whole makes room, once it has had
GRACE_S; else the new one waits in the kernel's queue. A request has REQUEST_S to arrive, an answer
ANSWER_S to be taken. At most ACCEPTS_S are let in a second. So a thousand who connect and wait cost
one look each, and cannot keep out those who ask. GET and HEAD alone; each connection has one
request.
"""

import contextlib
import io
import selectors
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple

CONNECTIONS_MAX, HEAD_MAX, ACCEPTS_A_TURN = 128, 8192, 32
REQUEST_S, ANSWER_S, GRACE_S = 2.0, 10.0, 0.05
ACCEPTS_S = 2000
ENDS = (b"\r\n\r\n", b"\n\n")


class Answer(NamedTuple):
    """What is sent back."""

    code: int
    kind: str
    body: bytes
    headers: tuple = ()


class _Handler(BaseHTTPRequestHandler):
    """http.server's reading of a request that is here already, and its writing of the answer."""

    protocol_version, timeout = "HTTP/1.0", None

    def __init__(self, head, find):
        self.find, self.path, self.status = find, "", 0
        self.rfile, self.wfile = io.BytesIO(head), io.BytesIO()
        self.client_address, self.close_connection = ("", 0), True
        self.handle_one_request()

    def do_GET(self):
        """Everything there is."""
        answer = self.find(self.path.partition("?")[0])
        self.send_response(answer.code)
        for name, value in (("Content-Type", answer.kind), ("Content-Length", len(answer.body)),
                            ("Cache-Control", "no-store"), ("Connection", "close"),
                            ("X-Content-Type-Options", "nosniff"), *answer.headers):
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET

    def version_string(self):
        """The Server header."""
        return "wirematch"

    def log_request(self, code="-", size="-"):
        """Keeps the code for the counters."""
        self.status = int(code)

    def log_message(self, format, *args):
        """Nothing: the counters tell."""


class _Connection:
    def __init__(self, sock, now):
        self.sock, self.since, self.due = sock, now, now + REQUEST_S
        self.head, self.out = bytearray(), b""


class Web:
    """sock: listening, non-blocking. `counts` says what became of every connection."""

    def __init__(self, sock: socket.socket, answer, clock=time.monotonic):
        self.sock, self.answer, self.clock = sock, answer, clock
        self.selector, self.connections = selectors.DefaultSelector(), {}
        self.counts = dict.fromkeys(("answered", "malformed", "too_long", "evicted", "slow_request",
                                     "slow_answer", "gone", "failed"), 0)
        self.most, self.tokens, self.filled = 0, float(ACCEPTS_A_TURN), clock()
        self.listens = False
        self._listen(True)

    def _listen(self, on):
        if on and not self.listens:
            self.selector.register(self.sock, selectors.EVENT_READ)
        elif self.listens and not on:
            self.selector.unregister(self.sock)
        self.listens = on

    def turn(self, patience_s: float) -> None:
        """Waits that long for something to do, and does it."""
        ready = self.selector.select(min(patience_s, self._wait_s()))
        now = self.clock()
        self.tokens = min(ACCEPTS_S / 4, self.tokens + (now - self.filled) * ACCEPTS_S)
        self.filled = now
        for key, mask in ready:
            connection = self.connections.get(key.fd)
            if key.fileobj is self.sock or connection is None:
                continue
            if mask & selectors.EVENT_READ:
                self._read(connection, now)
            else:
                self._write(connection)
        for connection in [each for each in self.connections.values() if now >= each.due]:
            self._drop(connection, "slow_answer" if connection.out else "slow_request")
        self._accept(now)
        self._listen(self.tokens >= 1 and (len(self.connections) < CONNECTIONS_MAX
                                           or self._oldest(now) is not None))

    def _wait_s(self):
        now = self.clock()
        waits = [each.due - now for each in self.connections.values()]
        if not self.listens:
            waits.append(GRACE_S / 2)
        return max(0.0, min(waits, default=60.0))

    def _oldest(self, now):
        """Whose place may be taken: the one that has waited longest without a whole request."""
        waiting = [each for each in self.connections.values() if not each.out]
        oldest = min(waiting, key=lambda each: each.since, default=None)
        return oldest if oldest is not None and now - oldest.since >= GRACE_S else None

    def _accept(self, now):
        for _ in range(ACCEPTS_A_TURN):
            is_full = len(self.connections) >= CONNECTIONS_MAX
            oldest = self._oldest(now) if is_full else None
            if self.tokens < 1 or is_full and oldest is None:
                return
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            if is_full:
                self._drop(oldest, "evicted")
            self.tokens -= 1
            sock.setblocking(False)
            connection = _Connection(sock, now)
            self.connections[sock.fileno()] = connection
            self.most = max(self.most, len(self.connections))
            self.selector.register(sock, selectors.EVENT_READ)
            self._read(connection, now)

    def _read(self, connection, now):
        try:
            data = connection.sock.recv(HEAD_MAX)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        connection.head += data
        if not data:
            self._drop(connection, "gone")
        elif len(connection.head) > HEAD_MAX:
            self._drop(connection, "too_long")
        elif any(end in connection.head for end in ENDS):
            self._answer(connection, now)

    def _answer(self, connection, now):
        try:
            handler = _Handler(bytes(connection.head), self.answer)
        except Exception as error:                  # one request's trouble is not the next one's
            self.counts["failed"] += 1
            text = f"{type(error).__name__}: {error}\n".encode()
            connection.out = (b"HTTP/1.0 500 Internal Server Error\r\nContent-Type: text/plain\r\n"
                              b"Connection: close\r\n\r\n" + text)
        else:
            connection.out = handler.wfile.getvalue()
            self.counts["malformed"] += handler.status in (0, 400, 414, 431, 501, 505)
        connection.due = now + ANSWER_S
        if not connection.out:
            self._drop(connection, "gone")
            return
        self.selector.modify(connection.sock, selectors.EVENT_WRITE)
        self._write(connection)

    def _write(self, connection):
        try:
            sent = connection.sock.send(connection.out)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection, "gone")
            return
        connection.out = connection.out[sent:]
        if not connection.out:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_WR)
            self._drop(connection, "answered")

    def _drop(self, connection, why):
        self.counts[why] += 1
        self.selector.unregister(connection.sock)
        del self.connections[connection.sock.fileno()]
        connection.sock.close()

    def close(self) -> None:
        """Ends every connection; the listening socket stays its owner's."""
        for connection in list(self.connections.values()):
            self._drop(connection, "gone")
        self.selector.close()
