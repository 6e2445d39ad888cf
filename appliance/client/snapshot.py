"""Snapshot: the displayed book of a partition by GLIMPSE 5.0, for who joins late or fell behind.

    snapshot = fetch(partition, "MM0001", "secret")      waits; or, inside a loop of one's own:
    joined = Joining(partition, "MM0001", "secret"); ... joined.turn(now) until joined.done

The host sends one message for each symbol, its trading state, and each order in the sequence of its
priority, then the number with which the feed goes on. `books` knows the orders and nothing of the
day's trades.
"""

import select
import socket
import time

from ..layout.codec import WireError
from ..layout.datagram import build_soup, login_request, parse_soup
from .book import Books, FeedError

SILENT_S = 5.0                  # a host that sends nothing for so long is given up
READ_SZ = 1 << 18
BURST_SZ = 1 << 20              # bytes taken in one turn, so that feeds do not wait
REASONS = {"A": "account, password or source address",
           "S": "no snapshot to be had now, too many readers, or another session"}


class SnapshotRefused(ConnectionError):
    """No snapshot: refused, cut off or not answered; the text says which and what to check."""


class Joining:
    """A snapshot on its way. session: of the feed, "" whichever it is. `done` when `books` and
    `next_seq` are whole; `session` is the feed's then. bind_ip: local address to come from.

    OSError when it cannot even be begun.
    """

    def __init__(self, partition, account, password, session="", bind_ip="", now=None):
        self.partition, self.account, self.session = partition, account, session
        self.books, self.next_seq, self.done = Books(), 0, False
        self.data, self.is_in = bytearray(), False
        self.heard_at = time.monotonic() if now is None else now
        self.unsent = login_request(account, password, session, 1)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        try:
            self.sock.bind((bind_ip, 0))
            self.sock.connect_ex((partition.ip, partition.glimpse_port))
        except OSError:
            self.sock.close()
            raise

    def turn(self, now: float) -> bool:
        """Takes what has arrived, without waiting; whether all is there.

        SnapshotRefused when it will never be.
        """
        taken = 0
        try:
            if self.unsent:
                self.unsent = self.unsent[self.sock.send(self.unsent):]
            while not self.done and taken < BURST_SZ:
                fresh = self.sock.recv(READ_SZ)
                if not fresh:
                    raise SnapshotRefused(f"{self._place()} ended the connection before the "
                                          "snapshot was whole")
                taken, self.heard_at = taken + len(fresh), now
                self.data += fresh
                self._take()
        except BlockingIOError:
            pass
        except SnapshotRefused:
            raise
        except (OSError, WireError, FeedError) as error:
            if isinstance(error, OSError) and error.errno in (11, 107, 115):
                pass                                   # the connection is being made
            else:
                raise SnapshotRefused(f"{self._place()}: {error}") from error
        if not self.done and now - self.heard_at > SILENT_S:
            raise SnapshotRefused(f"{self._place()} said nothing for {SILENT_S} s; is the "
                                  "appliance up, and is TCP let through?")
        return self.done

    def _place(self):
        return f"snapshots at {self.partition.ip}:{self.partition.glimpse_port}"

    def _take(self):
        """The whole packets of `data`."""
        at, data = 0, self.data
        while len(data) - at >= 3 and not self.done:
            stop = at + 2 + (data[at] << 8 | data[at + 1])
            if len(data) < stop:
                break
            if data[at + 2] == 0x53:                   # Sequenced Data, nearly all of them
                self._message(bytes(data[at + 3:stop]))
            else:
                self._control(parse_soup(bytes(data[at:stop])))
            at = stop
        del data[:at]

    def _message(self, message):
        if not self.is_in:
            raise SnapshotRefused(f"{self._place()} sent data before it accepted the login")
        if message[:1] == b"G":
            self.next_seq, self.done = int(message[1:21]), True
        else:
            self.books.apply(message)

    def _control(self, record):
        if record.letter == "A":
            self.session, self.is_in = record.session, True
        elif record.letter == "J":
            raise SnapshotRefused(f"{self._place()} refused {self.account}: reason {record.reason} "
                                  f"({REASONS.get(record.reason, 'unknown')})")
        elif record.letter == "Z":
            raise SnapshotRefused(f"{self._place()} ended the session")

    def close(self) -> None:
        """Ends the connection; may be called twice."""
        if self.done and self.sock.fileno() >= 0:
            try:
                self.sock.send(build_soup("O"))
            except OSError:
                pass                                   # the host ends it by itself
        self.sock.close()


def fetch(partition, account, password, session="", bind_ip="", timeout=10.0) -> Joining:
    """A whole snapshot. SnapshotRefused, or TimeoutError when it takes longer than `timeout` s."""
    deadline = time.monotonic() + timeout
    joining = Joining(partition, account, password, session, bind_ip)
    try:
        while not joining.turn(time.monotonic()):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{joining._place()} did not send all of it in {timeout} s")
            select.select([joining.sock], [joining.sock] if joining.unsent else [], [],
                          min(left, 0.25))
        return joining
    finally:
        joining.close()
