"""SoupBinTCP 3.00, the server's end of one connection: packets in and out of a non-blocking socket.

    conn = Connection(sock, ip, now)
    for letter, payload in conn.receive(now): ...     Closed when the peer is gone or breaks rules
    conn.send(packet("H"), now); conn.flush(now)

Bytes are bounded both ways: a packet has at most PACKET_MAX bytes, and whoever fills `waiting`
looks at `room` first. Time is the caller's clock in seconds.
"""

import socket
import struct
from collections import deque

from appliance.layout.wire_session import SOUP

PACKET_MAX = 1400          # no message of ours to the venue is half as long
READ_SZ = 16384            # bytes taken from a socket at a time
ROOM = 65536               # bytes that wait for a peer beside a snapshot
HEARTBEAT_S = 1.0
_LENGTH = struct.Struct(">H")
LOGIN_SZ = SOUP["L"].size
_LETTERS = frozenset(b"+LURO")


class Closed(Exception):
    """The connection is over; the text is the name of the counter that says why."""


def packet(letter: str, payload: bytes = b"") -> bytes:
    """A SoupBinTCP packet."""
    return _LENGTH.pack(1 + len(payload)) + letter.encode() + payload


def accepted(session: bytes, seq: int) -> bytes:
    """Login Accepted: the session's ten characters, the number of the next Sequenced Data."""
    return packet("A", session + b"%20d" % seq)


def rejected(reason: str) -> bytes:
    """Login Rejected: A not authorised, S session not available."""
    return packet("J", reason.encode())


def split(data: bytearray) -> list[tuple[int, bytes]]:
    """Takes the whole packets off the front of `data`: (letter, payload) each.

    Closed("malformed") at a length or a letter that no client sends.
    """
    found, at = [], 0
    while len(data) - at >= 3:
        size = data[at] << 8 | data[at + 1]
        if not 1 <= size <= PACKET_MAX or data[at + 2] not in _LETTERS:
            raise Closed("malformed")
        if len(data) - at < 2 + size:
            break
        found.append((data[at + 2], bytes(data[at + 3:at + 2 + size])))
        at += 2 + size
    if len(data) - at >= 2 and not 1 <= data[at] << 8 | data[at + 1] <= PACKET_MAX:
        raise Closed("malformed")
    del data[:at]
    return found


class Connection:
    """One peer. since: of the connection; heard: last byte from it; moved: last byte that it took,
    or the last time that nothing waited for it; said: last packet sent."""

    def __init__(self, sock: socket.socket, ip: str, now: float):
        self.sock, self.ip = sock, ip
        self.since = self.heard = self.moved = self.said = now
        self.received, self.waiting, self.waiting_sz = bytearray(), deque(), 0
        self.has_asked = False          # a Login Request has come
        self.is_closing = ""            # why it is closed as soon as nothing waits
        self.events = 0                 # what the selector watches it for

    @property
    def room(self) -> int:
        """Bytes that may still be put in its way."""
        return max(0, ROOM - self.waiting_sz)

    def receive(self, now: float) -> list[tuple[int, bytes]]:
        """The packets that have arrived whole. Closed when the peer is gone or breaks a rule."""
        try:
            data = self.sock.recv(READ_SZ)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Closed("gone") from error
        if not data:
            raise Closed("gone")
        self.heard = now
        self.received += data
        return split(self.received)

    def send(self, data, now: float) -> None:
        """Puts bytes (any buffer, not copied) in the peer's way."""
        if not self.waiting:
            self.moved = now
        self.waiting.append(memoryview(data))
        self.waiting_sz += len(data)
        self.said = now

    def flush(self, now: float) -> None:
        """Sends what the socket takes. Closed when the peer is gone."""
        while self.waiting:
            view = self.waiting[0]
            try:
                sent = self.sock.send(view)
            except BlockingIOError:
                return
            except OSError as error:
                raise Closed("gone") from error
            self.moved = now
            self.waiting_sz -= sent
            if sent < len(view):
                self.waiting[0] = view[sent:]
                return
            self.waiting.popleft()

    def close(self) -> None:
        """Ends it; what waits is forgotten."""
        self.waiting.clear()
        self.sock.close()
