"""The appliance on DPDK devices when things go wrong, and what its matcher may still do."""

import os
import signal
from pathlib import Path

import pytest

from appliance.host import nic
from tests.dpdk import needs_dpdk
from tests.end_to_end.place import Place, trade
from tests.end_to_end.test_port_loss import cut, mend, reopened, trade_on
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, needs_dpdk, pytest.mark.slow]

XDP = '\n[dpdk]\ndevices = ["net_af_xdp0,iface=wm0,busy_budget=0"]\n'


def threads(pid):
    """{(real user, capabilities, no new privileges)} over the threads of a process."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        rows = dict(line.split(":", 1) for line in path.read_text().splitlines())
        found.add((int(rows["Uid"].split()[0]), int(rows["CapEff"], 16), int(rows["NoNewPrivs"])))
    return found


def test_eals_threads_have_no_rights_either_and_a_killed_matcher_is_back(warm):
    """Over net_af_xdp: the program of the dead one is in the way until portd takes it off."""
    with Place("dpdk", extra=XDP) as place:
        pid = place.pid("matcher@0")
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
        (uid, capabilities, no_new), = threads(pid)
        assert uid != 0 and (capabilities, no_new) == (0, 1)
        trade(place.login(0), place.login(1))
        os.kill(pid, signal.SIGKILL)
        place.until(lambda c: c["partitions"][0]["instance"] == 1
                    and c["partitions"][0]["state"] == "ready" and c["partitions"][0])
        assert place.row["mode"] == "dpdk"
        trade(place.login(0), place.login(1))
        device = place.house.fresh_status()["partitions"][0]["device"]
        assert device["received"] >= 4 and device["sent"] >= 4       # logins and orders, answers
        assert {device[name] for name in ("missed", "receive_errors", "no_frame")} == {0}
        assert place.stop() == 0, place.house.words()
        assert "xdp" not in place.scene.appliance.run("ip", "link", "show", "wm0")


def test_a_device_that_is_deleted_means_plain_sockets_until_the_next_start(warm):
    with Place("dpdk", {"gap_hold_us": 200_000}, partitions=2) as place:
        sessions = [(place.login(0, partition=p), place.login(1, partition=p)) for p in range(2)]
        trade_on(place, sessions)
        cut(place)
        reopened(place, "socket", 1)
        kinds = {alarm["kind"] for alarm in place.house.fresh_status()["alarms"]}
        assert {"device-gone", "rung-lost"} <= kinds
        mend(place)
        trade_on(place, sessions)
        assert {row["mode"] for row in place.rows} == {"socket"}
        channel = place.partition(0)
        with place.scene.market(), nic.join(channel.group_a, channel.feed_port,
                                            place.scene.market_ip) as subscriber:
            subscriber.settimeout(60)
            assert subscriber.recv(2048)          # the feed leaves by the new device
        assert place.stop() == 0, place.house.words()
