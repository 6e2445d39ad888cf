"""One suite for every number of partitions, layout and rung: the whole appliance, several matchers.

Own queue needs a device with as many queues; on veth the sender's transmit queue chooses, which the
scene's egress program does by UDP port, as a card's steering rules would.
"""

import os
import signal

import pytest

from appliance.layout import shared
from tests.end_to_end.place import PRICE, Place, counts, listen, trade, wait_for
from tests.netns import needs_bpf, needs_namespaces

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

SHAPES = [("native", "shared", n) for n in (1, 2, 4, 8)] + [
    ("native", "own", n) for n in (1, 2, 4)] + [
    ("generic", "shared", 2), ("socket", "auto", 2), ("socket", "auto", 4)]


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: "-".join(map(str, shape)))
def place(request):
    mode, layout, count = request.param
    with Place(mode, partitions=count, layout=layout) as place:
        yield place


def test_the_status_says_which_layout_and_rung_each_partition_has(place):
    rows = place.house.status["partitions"]
    assert [row["partition"] for row in rows] == list(range(place.count))
    wanted = "none" if place.mode == "socket" else f"{place.layout} queue"
    assert {(row["mode"], row["layout"]) for row in rows} == {(place.mode, wanted)}
    uids = {os.stat(f"/proc/{place.pid(f'matcher@{p}')}").st_uid for p in range(place.count)}
    assert len(uids) == place.count and 0 not in uids


def test_every_partition_trades_and_tells_its_own_feed_alone(place):
    feeds = [place.feed(partition=p) for p in range(place.count)]
    for p in range(place.count):
        buyer, seller = place.login(0, partition=p), place.login(1, partition=p)
        trade(buyer, seller, price=PRICE, symbol=place.symbol(p))
        assert buyer.session == place.partition(p).sessions["ACC0"]
    listen(*feeds)
    for p, feed in enumerate(feeds):
        assert feed.books.trade_cnt == 1 and feed.missing() == 0
        assert set(feed.books.by_name) == {place.symbol(p)}


def test_an_order_for_another_partitions_symbol_is_refused(place):
    """Where there is no other partition: for a symbol that nobody has."""
    session = place.login(2, partition=0)
    number = session.enter("B", 10, place.symbol(1) if place.count > 1 else "NOWHERE", PRICE)
    answer = wait_for(session, number, "J")[-1]
    assert answer.reason == 0x17


def resumed(place, partition):
    """Account 0 logged in again on a partition, with its next order number."""
    session = place.login(0, partition=partition)
    session.resume()
    return session


def test_a_killed_matcher_costs_its_own_partition_only(place):
    """Its book is void under a new instance; everybody else trades on in the same session."""
    victim = place.count - 1
    others = [resumed(place, p) for p in range(place.count - 1)]
    before = {p: place.pid(f"matcher@{p}") for p in range(place.count)}
    gone = resumed(place, victim)
    resting = gone.enter("B", 10, place.symbol(victim), PRICE - 1000)
    wait_for(gone, resting, "A")
    instance = place.rows[victim]["instance"]
    os.kill(before[victim], signal.SIGKILL)
    for p, session in enumerate(others):
        number = session.enter("B", 10, place.symbol(p), PRICE - 1000)
        wait_for(session, number, "A")
    place.until(lambda status: status["partitions"][victim]["instance"] == instance + 1
                and status["partitions"][victim]["state"] == "ready")
    after = {p: place.pid(f"matcher@{p}") for p in range(place.count)}
    assert {p for p in before if before[p] != after[p]} == {victim}
    fresh = place.login(0, partition=victim)
    trade(fresh, place.login(1, partition=victim), symbol=place.symbol(victim))
    for p, session in enumerate(others):
        number = session.enter("S", 10, place.symbol(p), PRICE - 1000)
        wait_for(session, number, "E")
    assert place.rows[victim]["mode"] == place.mode


def test_every_frame_of_every_partition_is_accounted_for(place):
    for p in range(place.count):
        attach = place.regions(p)
        counters = attach("counters")

        def whole(_, counters=counters):
            seen = counts(counters)
            return seen["rx_frames"] == sum(seen[name] for name, _ in shared.DISPOSITIONS) > 0

        place.until(whole)                       # heartbeats still arrive while we read
