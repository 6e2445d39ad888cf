"""A participant's Market over restarts of an appliance with a journal: orders and keys stay."""

import time

import pytest

from appliance.client.market import Market
from tests.end_to_end.place import PRICE, SYMBOL
from tests.end_to_end.test_comes_back import journalled, killed
from tests.netns import needs_namespaces
from tools.demo import house

pytestmark = [needs_namespaces, pytest.mark.slow]
PATIENCE_S = 60.0


def until(market, condition):
    """Polls until condition(an event) is true; everything until then."""
    seen, deadline = [], time.monotonic() + PATIENCE_S
    while not any(condition(event) for event in seen):
        seen += market.poll(0.1)
        assert time.monotonic() < deadline, [event.kind for event in seen]
    return seen


def answered(letter, key):
    return lambda event: (event.kind == "answer" and event.record.letter == letter
                          and event.key == key)


def test_a_market_goes_on_where_it_was(warm, tmp_path):
    with journalled(tmp_path / "journal", "process") as place, place.scene.market():
        ip = place.scene.market_ip
        with Market(place.house.channel, *place.person(0), bind_ip=ip, feed_ip=ip) as market:
            market.login(PATIENCE_S)
            first, second = (market.enter("B", 5, SYMBOL, PRICE - 5000 - n) for n in (0, 100))
            seen = until(market, answered("A", second))
            killed(place, "matcher@0")
            third = market.enter("B", 5, SYMBOL, PRICE - 5200)
            seen += until(market, answered("A", third))
            market.cancel(first)
            seen += until(market, answered("C", first))
            assert set(market.orders()) == {second, third}
            assert not [event for event in seen if event.kind in ("void", "lost")]

            assert place.house.stop() == 0
            place.house = house.House(place.scene, place.config_path)
            place.house.wait_ready()
            assert set(market.orders()) == {second, third}
            market.cancel(second)
            seen = until(market, answered("C", second))
            assert {event.kind for event in seen} <= {"answer", "lost", "in"}, "its session lives"
            assert set(market.orders()) == {third}
            deadline = time.monotonic() + PATIENCE_S
            while market.book(SYMBOL).depth(0, 9) != [(PRICE - 5200, 5)]:
                market.poll(0.05)
                assert time.monotonic() < deadline, market.book(SYMBOL).depth(0, 9)
