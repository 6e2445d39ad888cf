"""Telling whoever started us how we are: systemd's notification protocol, without a library.

A process gets the address of a datagram socket in NOTIFY_SOCKET and sends lines such as `READY=1`
and `STATUS=text`. Under systemd that is systemd; under `wirematch run` it is the launcher. Without
NOTIFY_SOCKET nothing is sent.
"""

import os
import socket


def send(*lines: str) -> bool:
    """Sends the lines as one datagram; False when nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
    return True


def ready(status: str = "") -> bool:
    """This process can do its work from now on."""
    return send("READY=1", *([f"STATUS={status}"] if status else []))


def status(text: str) -> bool:
    """One line for people."""
    return send(f"STATUS={text}")


def stopping(text: str = "") -> bool:
    """This process is on its way out."""
    return send("STOPPING=1", *([f"STATUS={text}"] if text else []))


def watchdog() -> bool:
    """Still alive; due every `watchdog_interval_s`."""
    return send("WATCHDOG=1")


def watchdog_interval_s() -> float:
    """Half of the time that the watchdog allows; 0.0 when there is none for this process."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = os.environ.get("WATCHDOG_USEC", "0")
    return int(text) / 2e6 if text.isdigit() else 0.0
