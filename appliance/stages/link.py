"""JSON messages with descriptors over a SEQPACKET socket: how portd hands sockets to matchers."""

import array
import contextlib
import json
import os
import socket

DESCRIPTORS_MAX = 253          # the kernel takes no more in one message
MESSAGE_SZ_MAX = 65536


def send(connection, message: dict, fds=()) -> None:
    """One message; the descriptors travel by SCM_RIGHTS and stay open here."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([json.dumps(message).encode()], rights)


def tell(connection, message: dict) -> None:
    """One message to a peer that may have gone or reads nothing: then it does not hear it."""
    with contextlib.suppress(OSError):
        send(connection, message)


def receive(connection) -> tuple[dict, list[int]]:
    """(message, descriptors); ({}, []) when the other side is gone.

    ValueError, and nothing left open, when it is no message, whatever the other side has sent.
    """
    try:
        data, ancillary, _, _ = connection.recvmsg(
            MESSAGE_SZ_MAX, socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize))
    except ConnectionError:
        return {}, []
    fds = array.array("i")
    for level, kind, rights in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(rights[:len(rights) - len(rights) % fds.itemsize])
    try:
        message = json.loads(data) if data else {}
        if not isinstance(message, dict):
            raise ValueError("no JSON object")
    except (ValueError, RecursionError) as error:
        close_all(fds)
        raise ValueError(f"a message over the descriptor socket is not understood ({error}): "
                         f"{data[:40]!r}") from error
    return message, list(fds)


def close_all(fds) -> None:
    """Closes descriptors, those too that are closed already."""
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
