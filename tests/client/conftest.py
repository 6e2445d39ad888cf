"""Hosts and participants for the tests of a session."""

import pytest

from appliance.client.orders import OrderSession
from tests.client.venue_host import HOME, PASSWORD, Host


@pytest.fixture
def host():
    made = Host(gap_hold_ns=2_000_000_000)
    yield made
    made.close()


@pytest.fixture
def join(host):
    """A participant that has not logged in."""
    sessions = []

    def make(account=0, password=PASSWORD, **options):
        options = {"bind": (HOME, 0), "retry_s": 0.01} | options
        sessions.append(OrderSession(host.partition, f"ACC{account}", password, **options))
        return sessions[-1]

    yield make
    for each in sessions:
        each.sock.close()
