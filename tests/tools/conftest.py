"""An order pcap to send, and a loopback socket to receive it with."""

import socket

import pytest

from tools.flow import make


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    """An order pcap: 4 logins and 1,000 messages."""
    out = tmp_path_factory.mktemp("replay") / "orders.pcap"
    return make("synthetic", out, limit=1_000, accounts=4).pcap


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        made.bind(("127.0.0.1", 0))
        made.settimeout(60)
        yield made
