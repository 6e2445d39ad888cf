"""DropCopy: everything that all accounts of a firm are told on a partition, in one numbered stream.

    with DropCopy(partition, "DROP1", "secret") as copy:
        for number, account, record in copy.poll(1.0):
            print(number, account, record.letter, dict(record))

A later one goes on with `session` and `number` of an earlier one, also over restarts of the host:
a number has one content for as long as the session's name is the same.
"""

import select
import socket
import time
from typing import NamedTuple

from ..layout.codec import Record, WireError, decode
from ..layout.datagram import build_soup, login_request, parse_soup

SILENT_S = 15.0                 # a host says something every second
HEARTBEAT_S = 1.0
READ_SZ = 1 << 18
REASONS = {"A": "name, password or source address",
           "S": "another session, or the host cannot serve it now"}


class DropCopyError(ConnectionError):
    """Refused, cut off or silent; the text says which and what to check."""


class Copied(NamedTuple):
    """Message `number` of the drop copy: `account` was told `record`."""

    number: int
    account: str
    record: Record


class DropCopy:
    """One connection. session: as it was before, "" whichever it is now. number: of the first
    message that is wanted, 0: only new ones. bind_ip: local address to come from.

    `session` is the assigned name once it is in, `number` that of the next message; `is_over` when
    the host has ended the day and all has come. OSError when the host cannot be reached.
    """

    def __init__(self, partition, name, password, *, session="", number=1, bind_ip="", timeout=5.0):
        self.place = f"drop copy {name} at {partition.ip}:{partition.order_port}"
        self.session, self.number, self.account = session, number, ""
        self.is_in = self.is_over = False
        self.data = bytearray()
        self.sock = socket.create_connection((partition.ip, partition.order_port), timeout,
                                             (bind_ip, 0))
        self.heard_at = self.spoken_at = time.monotonic()
        self.sock.sendall(login_request(name, password, session, number))
        self.sock.setblocking(False)

    def poll(self, timeout: float = 0.0) -> list[Copied]:
        """What has come; waits up to `timeout` s for the first of it. DropCopyError when no more
        can come."""
        deadline = time.monotonic() + timeout
        while not (found := self._turn()) and not self.is_over:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            select.select([self.sock], [], [], min(left, HEARTBEAT_S / 2))
        return found

    def _turn(self):
        """What has arrived, without waiting."""
        now = time.monotonic()
        if now - self.spoken_at >= HEARTBEAT_S and self.is_in:
            self._say("R", now)
        try:
            fresh = self.sock.recv(READ_SZ)
        except BlockingIOError:
            if now - self.heard_at > SILENT_S:
                raise DropCopyError(f"{self.place} said nothing for {SILENT_S:.0f} s; is the "
                                    "appliance up?") from None
            return []
        except OSError as error:
            raise DropCopyError(f"{self.place}: {error}") from error
        if not fresh:
            if self.is_over:
                return []
            raise DropCopyError(f"{self.place} ended the connection; log in again from number "
                                f"{self.number} on")
        self.heard_at = now
        self.data += fresh
        try:
            return self._take()
        except WireError as error:
            raise DropCopyError(f"{self.place}: {error}") from error

    def _take(self):
        """The messages of the whole packets in `data`."""
        at, data, found = 0, self.data, []
        while len(data) - at >= 3:
            stop = at + 2 + (data[at] << 8 | data[at + 1])
            if len(data) < stop:
                break
            letter, payload = chr(data[at + 2]), bytes(data[at + 3:stop])
            if letter == "S":
                found.append(Copied(self.number, self.account, decode("ouch", "out", payload)))
                self.number += 1
            elif letter == "+" and payload.startswith(b"account "):
                self.account = payload[8:].decode("ascii", "replace")
            else:
                self._control(parse_soup(bytes(data[at:stop])))
            at = stop
        del data[:at]
        return found

    def _control(self, record):
        if record.letter == "A":
            self.session, self.number, self.is_in = record.session, record.sequence, True
        elif record.letter == "J":
            raise DropCopyError(f"{self.place} was refused: reason {record.reason} "
                                f"({REASONS.get(record.reason, 'unknown')})")
        elif record.letter == "Z":
            self.is_over = True

    def _say(self, letter, now):
        self.spoken_at = now
        try:
            self.sock.send(build_soup(letter))
        except OSError:
            pass                                       # told by the next read

    def close(self) -> None:
        """Logs out; may be called twice."""
        if self.is_in and not self.is_over and self.sock.fileno() >= 0:
            self._say("O", time.monotonic())
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
