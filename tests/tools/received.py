"""What the sending tests ask of a receiver and of a capture."""

import pytest


def take(receiver, count):
    """`count` packets, and none after them."""
    got = [receiver.recv(2048) for _ in range(count)]
    receiver.setblocking(False)
    with pytest.raises(BlockingIOError):
        receiver.recv(2048)
    return got


def frames(capture):
    return [bytes(frame) for _, frame in capture]
