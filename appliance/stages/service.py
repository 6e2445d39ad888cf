"""A SoupBinTCP service: one listening socket, its connections, and the rules that all of them obey.

What a service does is in its subclass: `greet` a Login Request, `take` the packets of who is in,
`pump` what there is to send, `leave` when a connection is over. Here are the caps (connections of
the process and of a source address), the deadlines (no login, silence, a reader that takes
nothing), the heartbeats, and one counter for each way a connection can end.
"""

import selectors
import socket

from appliance.stages import soup
from appliance.stages.soup import Closed

ACCEPTS_A_TURN = 16
SEND_SZ = 1 << 18          # bytes that the kernel keeps for a reader
LOGIN_S = 30.0             # for a connection to log in
ENDINGS = ("gone", "logout", "malformed", "unexpected", "no_login", "silent", "slow", "refused",
           "unanswered", "overrun", "disconnected", "taken_over", "day_over", "served")
TALLIES = ("accepted", "source", "full", "logins", *ENDINGS)


class Caps:
    """How many connections there may be: in all, and of one source address; over all services."""

    def __init__(self, total: int, of_source: int, sources):
        self.total, self.of_source, self.sources = total, of_source, frozenset(sources)
        self.held: dict[str, int] = {}

    def enter(self, ip: str) -> str:
        """"" when one more may come in from there, else the counter that says why not."""
        if ip not in self.sources:
            return "source"
        if sum(self.held.values()) >= self.total or self.held.get(ip, 0) >= self.of_source:
            return "full"
        self.held[ip] = self.held.get(ip, 0) + 1
        return ""

    def leave(self, ip: str) -> None:
        """One has gone."""
        self.held[ip] -= 1
        if not self.held[ip]:
            del self.held[ip]


class Service:
    """The connections of one port. silence_s: a peer from which nothing came for longer is dropped,
    and so is one that has taken nothing for longer while something waits for it."""

    connection = soup.Connection

    def __init__(self, listener, caps, selector, silence_s):
        self.listener, self.caps, self.selector = listener, caps, selector
        self.silence_s = silence_s
        self.connections: set[soup.Connection] = set()
        self.tallies = dict.fromkeys(TALLIES, 0)
        selector.register(listener, selectors.EVENT_READ, (self, None))

    # -- what a subclass says ---------------------------------------------------------------------

    def greet(self, conn, login: bytes, now: float) -> None:
        """A Login Request, its payload; at most one a connection."""
        raise NotImplementedError

    def is_in(self, conn) -> bool:
        """Whether the connection has logged in."""
        raise NotImplementedError

    def hears(self, conn) -> bool:
        """Whether there is room for what it may say; until then nothing is read from it."""
        return True

    def take(self, conn, packets, now: float) -> None:
        """Packets of one that is in: U, R and O."""

    def pump(self, conn, now: float) -> None:
        """Sends what there is for one that is in, as far as conn.room goes."""

    def leave(self, conn, why: str) -> None:
        """The connection is over."""

    # -- the clockwork ----------------------------------------------------------------------------

    def ready(self, conn, mask: int, now: float) -> None:
        """The selector has something for a connection, or for the listener (None)."""
        if conn is None:
            self._accept(now)
            return
        try:
            if mask & selectors.EVENT_READ and self.hears(conn):
                self._read(conn, now)
            conn.flush(now)
        except Closed as over:
            self.end(conn, str(over))

    def turn(self, now: float) -> None:
        """What is due without anybody having said something."""
        for conn in tuple(self.connections):
            try:
                self._watch(conn, now)
                if self.is_in(conn) and not conn.is_closing:
                    self.pump(conn, now)
                    if now - conn.said >= soup.HEARTBEAT_S and not conn.waiting:
                        conn.send(soup.packet("H"), now)
                conn.flush(now)
                if conn.is_closing and not conn.waiting:
                    raise Closed(conn.is_closing)
            except Closed as over:
                self.end(conn, str(over))
                continue
            self._listen(conn, (selectors.EVENT_READ if self.hears(conn) else 0)
                         | (selectors.EVENT_WRITE if conn.waiting else 0))

    def end(self, conn, why: str) -> None:
        """Ends a connection and counts it."""
        self.connections.discard(conn)
        self.tallies[why] += 1
        self._listen(conn, 0)
        self.leave(conn, why)
        conn.close()
        self.caps.leave(conn.ip)

    def close(self) -> None:
        """Ends everything, also the listening."""
        for conn in tuple(self.connections):
            self.end(conn, "day_over")
        self.selector.unregister(self.listener)
        self.listener.close()

    def refuse(self, conn, reason: str, now: float) -> None:
        """Login Rejected, and the end."""
        conn.send(soup.rejected(reason), now)
        conn.is_closing = "refused"

    def _accept(self, now):
        for _ in range(ACCEPTS_A_TURN):
            try:
                sock, address = self.listener.accept()
            except OSError:
                return
            why = self.caps.enter(address[0])
            if why:
                self.tallies[why] += 1
                sock.close()
                continue
            self.tallies["accepted"] += 1
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_SZ)
            conn = self.connection(sock, address[0], now)
            self.connections.add(conn)
            self._listen(conn, selectors.EVENT_READ)

    def _listen(self, conn, events):
        """Has the selector watch a connection for this, 0: not at all."""
        if events == conn.events:
            return
        if conn.events:
            self.selector.unregister(conn.sock)
        if events:
            self.selector.register(conn.sock, events, (self, conn))
        conn.events = events

    def _read(self, conn, now):
        packets = [each for each in conn.receive(now) if each[0] != ord("+")]
        if conn.is_closing:
            return
        if packets and not conn.has_asked:
            letter, payload = packets.pop(0)
            if letter != ord("L") or len(payload) != soup.LOGIN_SZ - 3:
                raise Closed("unexpected")
            conn.has_asked = True
            self.greet(conn, payload, now)
        if packets and not conn.is_closing:
            self._take(conn, packets, now)

    def _take(self, conn, packets, now):
        if any(letter == ord("L") for letter, _ in packets):
            raise Closed("unexpected")
        if self.is_in(conn):
            self.take(conn, packets, now)
        elif any(letter != ord("R") for letter, _ in packets):
            raise Closed("unexpected")       # data before the login is answered

    def _watch(self, conn, now):
        if not conn.has_asked and now - conn.since > LOGIN_S:
            raise Closed("no_login")
        if conn.waiting and now - conn.moved > self.silence_s:
            raise Closed("slow")
        if self.is_in(conn) and now - conn.heard > self.silence_s:
            raise Closed("silent")
