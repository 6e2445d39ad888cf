"""The control socket: `<runtime_dir>/control.sock`, a JSON object a line each way.

Who is at the other end is told by the kernel (SO_PEERCRED): root, the user that runs the appliance,
and the users and groups of [control] are heard, everybody else gets one line that says so. Served
between two turns of the launcher's loop and never waited for; what is too long, too much or too
slow is closed. Each request is answered once its commands are journalled and in effect.
"""

import contextlib
import grp
import json
import os
import pwd
import socket
import struct

from . import verbs
from .alarms import WARNING, log

CONNECTIONS_MAX, LINE_MAX, ANSWER_MAX = 16, 4096, 1 << 22
ACCEPTS_A_TURN, IDLE_S = 4, 60.0
_CREDENTIALS = struct.Struct("3i")


class Doorkeeper:
    """Who may give orders: names are looked up once, at the start."""

    def __init__(self, users, groups):
        self.names = {0: "root"}
        self.groups = set()
        with contextlib.suppress(KeyError):
            self.names[os.geteuid()] = pwd.getpwuid(os.geteuid()).pw_name
        self.names.setdefault(os.geteuid(), str(os.geteuid()))
        for user in users:
            self._add(user)
        for name in groups:
            try:
                group = grp.getgrnam(name)
            except KeyError:
                log(f"control.groups: there is no group {name!r}", WARNING)
                continue
            self.groups.add(group.gr_gid)
            for user in group.gr_mem:
                self._add(user)

    def _add(self, user):
        try:
            self.names[pwd.getpwnam(user).pw_uid] = user
        except KeyError:
            log(f"[control]: there is no user {user!r}", WARNING)

    def who(self, uid: int, gid: int):
        """(uid, name) of somebody who may give orders, else None."""
        if uid in self.names:
            return uid, self.names[uid]
        return (uid, f"uid {uid}") if gid in self.groups else None


class Connection:
    """One operator at the other end."""

    def __init__(self, sock, who, now):
        self.sock, self.who, self.since = sock, who, now
        self.taken, self.out, self.verb, self.asked = b"", b"", "", None
        self.closing = False

    def say(self, content: dict) -> None:
        """Puts a reply on its way."""
        self.out += json.dumps(content).encode() + b"\n"


class ControlSocket:
    """Everything about it; `turn` is called by the launcher's loop."""

    def __init__(self, appliance, path):
        self.verbs, self.path = verbs.Verbs(appliance), path
        control = appliance.config.control
        self.keeper = Doorkeeper(control.users, control.groups)
        self.connections, self.alarms = [], appliance.alarms
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.sock.bind(path)
        os.chmod(path, 0o666)             # who comes is judged by his credentials
        self.sock.listen(CONNECTIONS_MAX)

    def turn(self, now: float) -> None:
        """What can be done without waiting."""
        for _ in range(ACCEPTS_A_TURN):
            if not self._accept(now):
                break
        for connection in list(self.connections):
            try:
                self._serve(connection, now)
            except (OSError, ConnectionError):
                connection.closing = True
                connection.out = b""
            if connection.closing and not connection.out:
                connection.sock.close()
                self.connections.remove(connection)

    def _accept(self, now):
        try:
            sock, _ = self.sock.accept()
        except OSError:
            return False
        sock.setblocking(False)
        pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        connection = Connection(sock, self.keeper.who(uid, gid), now)
        if connection.who is None:
            self.alarms.sound("control-denied", f"process {pid} of user {uid} came to the control "
                              "socket and may not give orders; see [control] users and groups")
            connection.say({"ok": False, "error": f"user {uid} may not give orders here; [control] "
                            "users and groups of the configuration say who may"})
            connection.closing = True
        elif len(self.connections) >= CONNECTIONS_MAX:
            connection.say({"ok": False, "error": f"{CONNECTIONS_MAX} connections are open; close "
                            "one"})
            connection.closing = True
        if len(self.connections) >= 2 * CONNECTIONS_MAX:
            sock.close()
            return True
        self.connections.append(connection)
        return True

    def _serve(self, connection, now):
        if connection.asked is not None:
            if not all(ticket is None or ticket.outcome for ticket, _ in connection.asked):
                return
            self._finish(connection)
        if not connection.closing:
            self._read(connection, now)
        if connection.out:
            sent = connection.sock.send(connection.out[:65536], socket.MSG_NOSIGNAL)
            connection.out = connection.out[sent:]
        if now - connection.since > IDLE_S:
            connection.closing, connection.out = True, b""

    def _read(self, connection, now):
        with contextlib.suppress(BlockingIOError):
            piece = connection.sock.recv(LINE_MAX)
            if not piece:
                connection.closing = True
            connection.taken += piece
        line, newline, rest = connection.taken.partition(b"\n")
        if newline and len(line) <= LINE_MAX and len(connection.out) < ANSWER_MAX:
            connection.taken, connection.since = rest, now
            self._take(connection, line)
        elif len(connection.taken) > LINE_MAX:
            connection.say({"ok": False, "error": f"a request has at most {LINE_MAX} bytes"})
            connection.closing, connection.taken = True, b""

    def _take(self, connection, line):
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError) as error:
            connection.say({"ok": False, "error": f"not one JSON object a line: {error}"})
            return
        try:
            connection.asked = self.verbs.take(request, connection.who)
        except verbs.Refused as error:
            connection.say({"ok": False, "error": str(error)})
            return
        except Exception as error:  # a request of whatever kind never ends the launcher
            self.alarms.sound("control-failed", f"the request {line[:200]!r} of "
                              f"{connection.who[1]} failed: {error!r}; `wirematch control list` "
                              "shows what stands")
            connection.say({"ok": False, "error": f"this failed inside: {error!r}"})
            return
        connection.verb = request["verb"]
        if connection.verb == "list":
            connection.asked = None
            connection.say({"ok": True, "partitions": self.verbs.listed()})
        elif all(ticket is None for ticket, _ in connection.asked):
            self._finish(connection)

    def _finish(self, connection):
        reply = verbs.answer(connection.verb, connection.asked)
        connection.asked = None
        for row in reply["results"]:
            log(f"control: {connection.who[1]} (uid {connection.who[0]}): {row['text']}")
        connection.say(reply)

    def close(self) -> None:
        """Ends every connection."""
        for connection in self.connections:
            connection.sock.close()
        self.sock.close()
