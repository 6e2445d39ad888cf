"""The matcher dies over native AF_XDP: an alarm, a new instance, and trading goes on."""

import os
import signal
from pathlib import Path

import pytest

from appliance.client.orders import LoginError
from appliance.stages import sandbox, seccomp
from tests.end_to_end.demo_kit import rights_of
from tests.end_to_end.filters import filter_of
from tests.end_to_end.place import PRICE, SYMBOL, Place, listen, trade
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]


def in_its_sandbox(pid, stage):
    """No right in any set, and exactly the filter that tests/stages/test_sandbox.py tries out."""
    rows = dict(line.split(":\t", 1) for line in
                Path(f"/proc/{pid}/status").read_text().splitlines())
    assert (rows["Seccomp"], rows["NoNewPrivs"]) == ("2", "1")
    assert {int(rows[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert filter_of(pid) == seccomp.build(sandbox.policy(stage, pid))


def test_killed_matcher_is_replaced_by_a_new_instance(warm):
    with Place("native") as place:
        buyer, seller, feed = place.login(0), place.login(1), place.feed()
        trade(buyer, seller)
        buyer.wait(buyer.enter("B", 5, SYMBOL, PRICE - 5_000))
        listen(feed)
        assert len(feed.books.orders) == 1
        before = {name: place.pid(name) for name in ("portd", "matcher@0", "recovery@0")}
        old, old_token = place.partition(), buyer.token

        os.kill(before["matcher@0"], signal.SIGKILL)
        content = place.until(lambda c: c["partitions"][0]["instance"] == 1
                              and c["partitions"][0]["state"] == "ready"
                              and all(row["ready_s"] for row in c["processes"]) and c)
        alarms = {alarm["kind"]: alarm["text"] for alarm in content["alarms"]}
        assert set(alarms) - {"matcher-late"} == {"matcher-died"}, "late: the machine is busy"
        assert "SIGKILL" in alarms["matcher-died"]
        assert place.row["mode"] == "native" and content["state"] == "running"
        after = {name: place.pid(name) for name in before}
        assert after["portd"] == before["portd"] and after["matcher@0"] != before["matcher@0"]
        for name in ("matcher@0", "recovery@0"):
            rights = rights_of(after[name])
            assert (rights.uid != 0, rights.capabilities) == (True, 0)
            in_its_sandbox(after[name], name.partition("@")[0])

        new = place.partition()
        assert new.instance == 1 and new.feed_session != old.feed_session
        assert all(new.sessions[name][:9] == old.sessions[name][:9]
                   and (old.sessions[name][9], new.sessions[name][9]) == ("0", "1")
                   for name in old.sessions)
        with pytest.raises(LoginError, match="reason S"):
            place.login(0, token=old_token)
        buyer, seller, late = place.login(0), place.login(1), place.feed()
        assert buyer.session == new.sessions["ACC0"]
        trade(buyer, seller)
        listen(feed, late)
        assert feed.session.decode() == new.feed_session and feed.counts["sessions"] == 2
        assert feed.books.trade_cnt == late.books.trade_cnt == 1, "the old book is gone"
        assert not late.books.orders and late.missing() == 0
        assert late.counts["packets_rerequest"] >= 1, "recovery gave what was before the joining"
        assert place.stop() == 0, place.house.words()
