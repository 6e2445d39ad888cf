"""The same orders through every rung and layout: each partition answers and publishes the same."""

import random

import pytest

from tests.dpdk import needs_dpdk
from tests.end_to_end.place import PRICE, Place, listen
from tests.netns import needs_bpf, needs_namespaces

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

COUNT, ORDERS, TICK = 2, 80, 100
ITCH_TIME = slice(5, 11)
ON_QUEUE_1 = '\n[dpdk]\ndevices = ["net_af_xdp0,iface=wm0,start_queue=1,busy_budget=0"]\n'


def flow(partition):
    """(account, side, quantity, price, cancels the order before) in a seeded order."""
    draw = random.Random(partition)
    return [(draw.randrange(2), draw.choice("BS"), draw.randrange(1, 50),
             PRICE + TICK * draw.randrange(-3, 4), draw.random() < 0.2) for _ in range(ORDERS)]


def play(mode, layout, count=COUNT, **options):
    """[(answers of each account, feed messages)] by partition, times of the day masked."""
    result = []
    with Place(mode, partitions=count, layout=layout, **options) as place:
        for p in range(count):
            heard, told = {0: [], 1: []}, {}
            feed = place.feed(partition=p, on_message=told.__setitem__)
            people = [place.login(n, partition=p, answers=heard[n].append) for n in range(2)]
            last = [0, 0]
            for account, side, quantity, price, cancels in flow(p):
                session = people[account]
                if cancels and last[account]:
                    session.cancel(last[account])
                last[account] = session.enter(side, quantity, place.symbol(p), price)
                session.wait(last[account])
            listen(*people, feed, seconds=0.1)
            assert feed.missing() == 0 and all(each.stream.missing() == 0 for each in people)
            answers = [[bytes_of(record) for record in heard[n]] for n in range(2)]
            result.append((answers, [masked(told[n]) for n in sorted(told)]))
        assert {row["mode"] for row in place.rows} == {mode}
    return result


def bytes_of(record):
    """An acknowledgement without its time."""
    return record.letter, sorted((name, value) for name, value in dict(record).items()
                                 if "timestamp" not in name)


def masked(message):
    """A feed message without its time."""
    return message[:ITCH_TIME.start] + bytes(6) + message[ITCH_TIME.stop:]


@pytest.fixture(scope="module")
def wanted(warm):
    """What native AF_XDP on a shared queue gives."""
    return play("native", "shared")


def test_native_generic_and_socket_on_both_layouts_give_the_same_messages(wanted):
    for answers, feed in wanted:
        assert all(len(each) > ORDERS // 3 for each in answers) and len(feed) > ORDERS
        assert sum(message[:1] == b"E" for message in feed) > 10
    for mode, layout in (("native", "own"), ("generic", "shared"), ("socket", "auto")):
        assert play(mode, layout) == wanted, (mode, layout)


@needs_dpdk
def test_dpdk_over_packet_sockets_gives_the_same_messages(wanted):
    assert play("dpdk", "auto") == wanted


@needs_dpdk
def test_dpdk_over_af_xdp_gives_the_same_messages(wanted):
    assert play("dpdk", "auto", 1, extra=ON_QUEUE_1, queue=1) == wanted[:1]
