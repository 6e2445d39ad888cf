"""Line: what it keeps through sessions that come to nothing. No host is there, only its words."""

import socket

import pytest

from appliance.client.channel import Partition
from appliance.client.line import LOGIN_S, LOST, Line
from appliance.layout.codec import encode
from appliance.layout.datagram import as_block, build_mold, login_accepted, sequenced

NAME, PRICE = "331O000010", 1_250_000


class Clock:
    """Moved by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def host():
    """A socket that a line takes for its host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(60.0)
        yield sock


def made(host, clock):
    """A line to that host; it has sent its login."""
    part = Partition(0, 0, "127.0.0.1", host.getsockname()[1], "", "", 0, "127.0.0.1", 0, "331F0",
                     {"ACME": (1, 100, 1)}, {"A1": NAME})
    line = Line(part, "A1", "pw1", lambda _: part, bind_ip="127.0.0.1", clock=clock)
    line.turn()
    return line


def login_of(host, line):
    """(address, number from which acknowledgements are wanted) of the present session's login."""
    while True:
        payload, address = host.recvfrom(2048)
        if payload[:10] == line.session.token.encode() and payload[22:23] == b"L":
            return address, int(payload[-20:].strip())


def say(host, address, line, clock, seq, *messages):
    """Acknowledgements from number seq on; what the line made of them."""
    host.sendto(build_mold(NAME, seq, [as_block(sequenced(m)) for m in messages]), address)
    events = line.turn()
    clock.now += 0.1
    return events + line.turn()


def accepted(number):
    """Order Accepted of that number."""
    return encode("ouch", "out", "A", timestamp=1, user_ref_num=number, side="B", quantity=1,
                  symbol="ACME", price=PRICE, time_in_force="0", display="Y",
                  order_reference_number=number, capacity="P", intermarket_sweep="N",
                  cross_type="N", order_state="L", cl_ord_id="")


def queried(following):
    """Answer to the Account Query."""
    return encode("ouch", "out", "Q", timestamp=1, next_user_ref_num=following)


def enter(line):
    """An order on its way, as Market sends it."""
    number = line.need().enter("B", 1, "ACME", PRICE)
    line.note(number, "ACME", "B", PRICE, 1)
    return number


def came_in(host, line, clock, seq, following):
    """Answers the login, and the query as number `seq`; the events."""
    address, wanted = login_of(host, line)
    host.sendto(build_mold(line.session.token, 0, [as_block(login_accepted(NAME, wanted))]),
                address)
    line.turn()
    return address, wanted, say(host, address, line, clock, seq, queried(following))


def test_a_login_without_an_answer_forgets_nothing(host):
    clock = Clock()
    line = made(host, clock)
    address, wanted, _ = came_in(host, line, clock, 1, 1)
    assert wanted == 1 and line.is_in
    numbers = [enter(line) for _ in range(3)]
    say(host, address, line, clock, 2, accepted(numbers[0]))
    clock.now += 10.0                             # the host is gone
    assert [event.kind for event in line.turn()] == ["lost"]
    for _ in range(3):
        clock.now += 1.5
        line.turn()
        assert login_of(host, line)[1] == 3, "where it was, not the beginning"
        clock.now += LOGIN_S + 0.5
        line.turn()
        assert line.state == LOST
    clock.now += 1.5
    line.turn()
    _, wanted, events = came_in(host, line, clock, 3, 2)
    assert wanted == 3 and line.is_in
    assert [event.key.user_ref_num for event in events if event.kind == "void"] == numbers[1:]
    assert not line.pending and enter(line) == 4, "no number is used twice"
    line.session.sock.close()


def test_an_order_that_the_host_passed_over_is_void(host):
    clock = Clock()
    line = made(host, clock)
    address, _, _ = came_in(host, line, clock, 1, 1)
    numbers = [enter(line) for _ in range(4)]
    events = say(host, address, line, clock, 2, accepted(numbers[0]), accepted(numbers[2]))
    assert [(event.kind, event.key.user_ref_num) for event in events] == [
        ("answer", 1), ("void", 2), ("answer", 3)]
    assert list(line.pending) == [4]
    line.session.sock.close()
