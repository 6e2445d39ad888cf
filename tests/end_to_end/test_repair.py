"""Losses on the way to and from a running appliance are repaired, on both rungs."""

import time

import pytest

from tests.end_to_end.place import PRICE, SYMBOL, Place, listen, trade, wait_for
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]


class Lossy:
    """A socket that loses chosen datagrams. lost_in, lost_out: datagram -> lost?"""

    def __init__(self, sock, lost_in=None, lost_out=None):
        self.sock, self.lost_in, self.lost_out = sock, lost_in, lost_out
        self.lost_cnt = 0

    def recv(self, *arguments):
        while True:
            data = self.sock.recv(*arguments)
            if not (self.lost_in and self.lost_in(data)):
                return data
            self.lost_cnt += 1

    def send(self, data):
        if self.lost_out and self.lost_out(data):
            self.lost_cnt += 1
            return len(data)
        return self.sock.send(data)

    def __getattr__(self, name):
        return getattr(self.sock, name)


def numbers(data):
    """(first number, messages) of a MoldUDP64 datagram."""
    return int.from_bytes(data[10:18], "big"), int.from_bytes(data[18:20], "big")


def once(wanted):
    """Loses a datagram that carries one of the numbers, the first time that it comes."""
    left = set(wanted)

    def lost(data):
        first, count = numbers(data)
        hit = left & set(range(first, first + count)) if 0 < count < 0xFFFF else set()
        left.difference_update(hit)
        return bool(hit)

    return lost


@pytest.fixture(params=["native", "socket"])
def place(request, warm):
    with Place(request.param, {"gap_hold_us": 500_000, "heartbeat_ms": 100}) as made:
        yield made


def test_losses_everywhere_and_everyone_has_everything_in_the_end(place):
    """One day: feed packets lost on A and B, answers lost, orders lost, a client that comes back,
    the end of the session."""
    messages = {}
    feed = place.feed(on_message=messages.setdefault)
    feed.sockets = [Lossy(sock, lost_in=lambda data: 20 <= numbers(data)[0] <= 29
                          or 40 <= numbers(data)[0] <= 44) for sock in feed.sockets]
    whole = {}
    other = place.feed(on_message=whole.setdefault)
    answers = []
    buyer, seller = place.login(0, answers=answers.append), place.login(1)
    buyer.sock = Lossy(buyer.sock, lost_in=once({5, 6, 11}), lost_out=once({3, 4, 9}))
    for round_number in range(12):
        trade(buyer, seller, price=PRICE + 100 * round_number)
        listen(other, seconds=0.01)
        feed.poll(0.01)              # it cannot know of a loss while heartbeats are lost, too
    assert buyer.counts["gaps_answered"] >= 2, "the host asked for the lost orders"
    assert buyer.sock.lost_cnt == 6 and buyer.counts["requests"] >= 2
    assert [a.letter for a in answers if a.letter in "AE"] == ["A", "E"] * 12

    listen(feed, other)
    assert feed.statistics()["missing"] == 0 and feed.counts["requests"] >= 1
    assert feed.counts["packets_rerequest"] >= 1
    assert messages == whole and sorted(messages) == list(range(1, len(messages) + 1))
    assert feed.books.crossed_cnt == 0 and feed.books.trade_cnt == 12
    assert all(sock.lost_cnt for sock in feed.sockets)

    resting = buyer.enter("B", 7, SYMBOL, PRICE - 10_000)
    buyer.wait(resting)
    again = []
    back = place.session(0, answers=again.append)
    back.login(requested=4)                           # another address, from message 4 on
    back.query()
    deadline = time.monotonic() + 60
    while not again or again[-1].letter != "Q":
        back.poll(0.05)
        assert time.monotonic() < deadline, [a.letter for a in again]
    begun = [a.letter for a in answers]
    assert [a.letter for a in again[:-1]] == begun[3:], "answers were numbered from 1"
    assert again[-1].next_user_ref_num == resting + 1
    back.user_ref = resting
    back.cancel(resting)
    assert wait_for(back, resting, "C")[-1].quantity == 7

    fresh = place.login(2, requested=0)               # only what is new
    assert fresh.poll(0.2) == []
    place.house.end_day()
    deadline = time.monotonic() + 60
    people = [feed, other, back, seller, fresh]
    while not all(each.ended for each in people) and time.monotonic() < deadline:
        for each in people:
            each.poll(0.02)
    assert [each.ended for each in people] == [True] * 5
    assert messages == whole and feed.books.events[-1] == "C"
    assert again[-1].letter == "S" and again[-1].event_code == "E"
    assert place.stop() == 0, place.house.words()
