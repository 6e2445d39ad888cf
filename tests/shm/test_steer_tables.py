"""The gate's tables: what is packed is what was meant, and what nobody can mean is refused."""

import ipaddress
import random

import numpy as np
import pytest

from appliance.layout import gate
from appliance.shm import steer_tables
from appliance.shm.steer_tables import Place, Plan, limit


def crowd(count, seed=1):
    """A plan with so many sources, half of them neighbours."""
    dice, plan = random.Random(seed), Plan()
    while len(plan.sources) < count:
        number = (0x0A000001 + len(plan.sources) if len(plan.sources) % 2
                  else dice.randrange(1 << 24, 224 << 24))
        plan.allow(str(ipaddress.IPv4Address(number)), dice.randrange(1000), 5)
    plan.owners, plan.places = {1: 0, 65535: 255, 41000: 7}, {
        0: Place("10.0.0.1", 3, 0, True), 7: Place("10.0.0.2", 4, 63), 255: Place("10.0.0.3")}
    return plan


@pytest.mark.parametrize("count", [0, 1, 500, gate.SOURCE_MAX])
def test_a_plan_comes_back_as_it_was(count):
    plan = crowd(count)
    packed = plan.pack(9)
    found = Plan.unpack(packed)
    assert found == plan and packed[0]["version"] == 9
    assert found.pack(9).tobytes() == packed.tobytes()


def test_no_set_holds_a_source_twice_and_free_places_match_nothing():
    row = crowd(gate.SOURCE_MAX).pack(1)[0]
    for at, entry in enumerate(row["sets"]["ip"]):
        taken = [int(ip) for ip in entry if ip not in (0, 0xFFFFFFFF)]
        assert len(set(taken)) == len(taken)
        for ip in map(int, entry):
            home = steer_tables._set_of(np.array([ip], np.uint64), int(row["seed"]))[0]
            assert (home == at) == (ip in taken)


def test_ids_stay_while_others_come_and_go():
    plan = Plan()
    assert [plan.allow(f"10.0.0.{n}") for n in range(1, 5)] == [0, 1, 2, 3]
    del plan.sources["10.0.0.2"]
    assert plan.allow("10.0.0.9") == 1 and plan.allow("10.0.0.3", 7, 8) == 2
    assert plan.sources["10.0.0.3"] == steer_tables.Source(2, 7, 8)


@pytest.mark.parametrize("ip", ["0.0.0.0", "0.9.9.9", "224.0.0.1", "239.255.0.1", "240.0.0.1",
                                "255.255.255.255"])
def test_an_address_that_nobody_has_is_refused(ip):
    with pytest.raises(ValueError, match=f"{ip}: nobody can send from it"):
        Plan().allow(ip)


def test_one_source_too_many_is_refused():
    with pytest.raises(ValueError, match="1024 are allowed already"):
        crowd(gate.SOURCE_MAX).allow("9.9.9.9")


def test_a_limit_is_a_price_and_room_for_the_burst():
    assert limit(0, 5) == (0, 0)
    assert limit(1_000_000, 50) == (16_000, 800_000)
    assert limit(1, 100_000_000)[1] < 1 << 62
    for rate, burst in ((-1, 5), (steer_tables.RATE_MAX + 1, 5), (10, 0), (1, 1 << 40)):
        with pytest.raises(ValueError, match="messages"):
            limit(rate, burst)
