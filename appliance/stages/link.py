"""JSON messages with descriptors over a SEQPACKET socket: how portd hands sockets to matchers."""

import array
import json
import socket

DESCRIPTORS_MAX = 253          # the kernel takes no more in one message


def send(connection, message: dict, fds=()) -> None:
    """One message; the descriptors travel by SCM_RIGHTS and stay open here."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([json.dumps(message).encode()], rights)


def receive(connection) -> tuple[dict, list[int]]:
    """(message, descriptors); ({}, []) when the other side is gone. ValueError: not a message."""
    try:
        data, ancillary, _, _ = connection.recvmsg(
            65536, socket.CMSG_SPACE(DESCRIPTORS_MAX * array.array("i").itemsize))
    except ConnectionError:
        return {}, []
    fds = array.array("i")
    for level, kind, rights in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(rights[:len(rights) - len(rights) % fds.itemsize])
    message = json.loads(data) if data else {}
    if not isinstance(message, dict):
        raise ValueError(f"a message over the descriptor socket is no JSON object: {data[:40]!r}")
    return message, list(fds)
