"""Telling whoever started us how we are: systemd's notification protocol, without a library.

A process gets the address of a datagram socket in NOTIFY_SOCKET and sends lines such as `READY=1`
and `STATUS=text`. Under systemd that is systemd; under `wirematch run` it is the launcher. Without
NOTIFY_SOCKET nothing is sent. The same socket keeps descriptors over a process's death: `keep`
sends one, whoever is started next gets it back by name (`inherited`, or from the fork server).
"""

import array
import os
import socket
import time

_FIRST_FD = 3


def send(*lines: str, fds=()) -> bool:
    """Sends the lines as one datagram, with descriptors; False when nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            sock.sendmsg(["\n".join(lines).encode()], rights, 0, address)
        except OSError:
            return False
    return True


def ready(status: str = "") -> bool:
    """This process can do its work from now on."""
    return send("READY=1", *([f"STATUS={status}"] if status else []))


def reloading() -> bool:
    """A reload begins; `ready` ends it. systemd wants the monotonic time with it (253 on)."""
    return send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def status(text: str) -> bool:
    """One line for people."""
    return send(f"STATUS={text}")


def keep(name: str, fd: int) -> bool:
    """Lets the parent keep a descriptor under a name, until `forget`."""
    return send("FDSTORE=1", f"FDNAME={name}", fds=[fd])


def forget(name: str) -> bool:
    """The parent closes what it keeps under that name."""
    return send("FDSTOREREMOVE=1", f"FDNAME={name}")


def inherited() -> dict[str, int]:
    """Descriptors that the parent kept for this process, by name; read once, at start."""
    if os.environ.get("LISTEN_PID", "") != str(os.getpid()):
        return {}
    count = int(os.environ.get("LISTEN_FDS", "0") or 0)
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    return {name: _FIRST_FD + i for i, name in enumerate(names[:count])}


def stopping(text: str = "") -> bool:
    """This process is on its way out."""
    return send("STOPPING=1", *([f"STATUS={text}"] if text else []))

