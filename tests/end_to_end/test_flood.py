"""A million hostile frames a second, or as many as this machine makes, and an account far over its
limit cost nobody else an order. What was reached is printed (pytest -s), not judged.
"""

import copy

import pytest

from tests.netns import needs_bpf, needs_namespaces
from tools.faults import flood
from tools.faults.killer_place import wait

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]


def test_a_flood_costs_nobody_else_an_order_and_nothing_is_asked_of_its_sender(warm):
    with flood.place() as place:
        run = flood.Flood(place)
        found = run.run()
        print(flood.report(found))
        assert found["faults"] == [] and found["orders"] == 2 * flood.ROUNDS
        sessions = place.regions["sessions"]
        assert all(sessions[who]["next_upstream_seq"] == flood.ROUNDS + 1 for who in range(2))
        said = wait(lambda: next((row["text"] for row in place.house.status.get("alarms", ())
                                  if row["kind"] == "drop-flood"), None), "no alarm", 60.0)
        assert f"of {flood.WILD_IP} ({place.people[flood.WILD][0]})" in said
        assert place.end() == 0, place.words()
    for change, words in ((("orders_lost", 1), "honest orders"), (("on_the_way", 1), "gate"),
                          (("socket_lost", 2), "dropped 2"), (("gap_requests", 10**6), "due")):
        wrong = copy.deepcopy(found)
        wrong[change[0]] += change[1]
        assert any(words in fault for fault in flood.judge(wrong)), change
