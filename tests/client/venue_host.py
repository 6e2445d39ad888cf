"""The oracle's venue behind a UDP socket on loopback: the host of a session, in a thread.

It shares no code with the product. What a supervisor does besides the venue (passwords, tokens used
before, sending the streams from each login's number on, heartbeats) stands here, plainly.
"""

import socket
import threading
import time

from appliance.client.channel import Partition
from tests.client.market import ACCOUNTS, SYMBOLS
from tests.oracle.session import HEADER, LIVE, packet
from tests.oracle.venue import Venue

HOME, END_OF_SESSION, PASSWORD = "127.0.0.1", 0xFFFF, "secret"


class Host:
    """`venue` may be looked at under `lock`. `lost_in(payload)` and `lost_out(payload)` decide
    which datagrams get lost; `heard` and `said` hold those that did not: [(time, payload)].
    """

    def __init__(self, heartbeat_s=0.05, **options):
        accounts = [each | {"cancel_on_disconnect": each["name"] == "ACC0"} for each in ACCOUNTS]
        self.venue = Venue(1, SYMBOLS, accounts, day=326, **options)
        self.venue.start()
        self.heartbeat_s, self.tokens, self.cursors = heartbeat_s, set(), {}
        self.lost_in = self.lost_out = lambda payload: False
        self.heard, self.said, self.spoken_at = [], [], {}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((HOME, 0))
        self.sock.settimeout(0.002)
        self.partition = Partition(1, 0, HOME, self.sock.getsockname()[1], "", "", 0, "", 0, "",
                                   {}, {})
        self.lock, self.stopping = threading.Lock(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            try:
                payload, source = self.sock.recvfrom(2048)
            except TimeoutError:
                payload = None
            with self.lock:
                now = time.monotonic_ns()
                if payload is not None and not self.lost_in(payload):
                    self.heard.append((now / 1e9, payload))
                    self.venue.datagram(*source, payload, now)
                self.venue.tick(now)
                self.logins()
                self.send_all(now / 1e9)

    def close(self):
        self.stopping = True
        self.thread.join()
        self.sock.close()

    # -- the supervisor's part -------------------------------------------------------------------

    def logins(self):
        while self.venue.control:
            source, payload = self.venue.control.pop(0)
            token, block = payload[:10], payload[22:]
            name, password = block[1:7].decode().strip(), block[7:17].decode().strip()
            number = int(block[27:47])
            account = next((n for n, each in enumerate(ACCOUNTS) if each["name"] == name), None)
            if account is None or password != PASSWORD:
                self.venue.sessions.refuse(token, source, b"A")
                continue
            session = self.venue.sessions.sessions[account]
            repeated = session.state == LIVE and (session.token, session.source) == (token, source)
            if token in self.tokens and not repeated:
                self.venue.sessions.refuse(token, source, b"S")
                continue
            self.tokens.add(token)
            self.venue.login(account, token, *source, number)
            if not repeated:
                self.cursors[account] = session.login_seq

    # -- what goes out ---------------------------------------------------------------------------

    def send_all(self, now):
        while self.venue.sent:
            self.put(*self.venue.sent.pop(0))
        for session in self.venue.sessions.sessions:
            if session.state != LIVE:
                continue
            stream, at = self.venue.streams[session.account], self.cursors[session.account]
            while at <= len(stream):
                blocks = [b"S" + each for each in stream[at - 1:at]]
                self.put(session.source, packet(session.name, at, blocks))
                at += len(blocks)
                self.spoken_at[session.account] = now
            self.cursors[session.account] = at
            if now - self.spoken_at.get(session.account, 0) >= self.heartbeat_s:
                self.spoken_at[session.account] = now
                self.put(session.source, packet(session.name, at, []))

    def put(self, source, payload):
        if not self.lost_out(payload):
            self.said.append((time.monotonic(), payload))
            self.sock.sendto(payload, source)

    # -- what a test does ------------------------------------------------------------------------

    def end_day(self):
        """The day's last messages, then the end of every live session, three times."""
        with self.lock:
            self.venue.end(time.monotonic_ns())
            self.send_all(time.monotonic())
            for session in self.venue.sessions.sessions:
                for _ in range(3 if session.state == LIVE else 0):
                    end = packet(session.name, self.cursors[session.account], [], END_OF_SESSION)
                    self.put(session.source, end)
            self.heartbeat_s = 1e9

    def say(self, account, payload):
        """Any datagram to the account's present source."""
        with self.lock:
            self.sock.sendto(payload, self.venue.sessions.sessions[account].source)


def numbers(payload):
    """(name, first number, count) of a MoldUDP64 datagram."""
    return HEADER.unpack_from(payload)


def carrying(*wanted):
    """Matches a datagram that carries one of these numbers."""
    def matches(payload):
        _, seq, count = numbers(payload)
        return 0 < count < END_OF_SESSION and len(payload) > 20 and any(
            seq <= each < seq + count for each in wanted)
    return matches


def first(matches, times=1):
    """Matches only the first `times` that `matches` does."""
    left = [times]

    def once(payload):
        hit = left[0] > 0 and matches(payload)
        left[0] -= bool(hit)
        return hit
    return once


def until(session, condition, patience_s=60.0):
    """Polls until condition() holds; the acknowledgements received."""
    seen, deadline = [], time.monotonic() + patience_s
    while not condition():
        seen += session.poll(0.01)
        assert time.monotonic() < deadline, (session.counts, [r.letter for r in seen])
    return seen + session.poll()


def idle(session, seconds):
    """Polls for so long; the acknowledgements received."""
    over = time.monotonic() + seconds
    return until(session, lambda: time.monotonic() > over)


def letters(records):
    return "".join(record.letter for record in records)
