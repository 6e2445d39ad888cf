"""Every alert fires when its cause is there: scrapes of a real appliance, judged by promtool.

What can be broken here is broken: processes, links, disks, participants. What cannot (a disk that
is slow, a replay that differs) is written into the text of a real scrape.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest

from appliance.layout.shared import COUNTER_INDEX
from tests.end_to_end.place import PRICE, SMALL, SYMBOL, Place, trade, wait_for
from tests.end_to_end.wire_kit import halted
from tests.netns import needs_namespaces
from tests.observe import metrics_kit as kit
from tests.observe.rules_kit import Scrape, firing, needs_promtool, promtool
from tests.shared_data import ROOT

pytestmark = [needs_namespaces, needs_promtool, pytest.mark.slow]
BUSY = {"WirematchMatcherLate", "WirematchLatencyHigh"}   # a busy machine's own: never asked for


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """A folder on a disk of 24 MB."""
    folder = tmp_path_factory.mktemp("disk")
    kit_run("mount", "-t", "tmpfs", "-o", "size=24m,mode=755", "none", str(folder))
    yield folder
    kit_run("umount", "-l", str(folder))


def kit_run(*command):
    """Runs a command that must work."""
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def place(warm, disk):
    """An appliance with a journal on a small disk, small rings and a strict flood guard."""
    extra = f'[durability]\nlevel = "process"\ndirectory = "{disk}/j"\nsegment_mb = 2\n'
    orders = {"gap_hold_us": 100_000, "flood_rate": 2000, "flood_burst": 500}
    sizes = SMALL | {"journal": 1 << 14, "pages": 4}
    with Place("native", orders, sizes=sizes, extra=extra, metrics=kit.LISTEN) as made:
        made.buyer, made.seller = made.login(0), made.login(1)
        trade(made.buyer, made.seller)
        kit.until(lambda: kit.ready(made)[0] == 200)
        yield made


def fires(place, before, *names):
    """Waits until exactly these fire after that scrape, but for what a busy machine adds."""
    def judged():
        found = firing([before, kit.scrape(place)]) - (BUSY - set(names))
        return found >= set(names) and found
    found = kit.until(judged, 30, 0.3)
    assert found == set(names)


def quiet(place):
    """A scrape at which nothing fires but what has been provoked before and is still told."""
    kit.until(lambda: kit.ready(place)[0] == 200, 30)
    scrape = kit.scrape(place)
    return scrape, firing([scrape]) - BUSY


def test_nothing_fires_on_an_appliance_that_is_well(place):
    assert quiet(place)[1] == set()


def test_link_down(place):
    before, _ = quiet(place)
    place.scene.outside.run("ip", "link", "set", "wm1", "down")
    try:
        fires(place, before, "WirematchLinkDown", "WirematchNotReady", "WirematchPartitionNotReady")
        assert "LINK DOWN" in kit.wirematch(place, "top", "--once").stdout
    finally:
        place.scene.outside.run("ip", "link", "set", "wm1", "up")


def test_a_flood_and_strangers(place):
    before, known = quiet(place)
    port = place.row["order_port"]
    script = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
              "s.bind(('{}', 0)); [s.sendto(b'x' * 30, ('{}', {})) for _ in range({})]")
    place.scene.outside.run(sys.executable, "-c", script.format(
        place.scene.market_ip, place.scene.ip, port, 20_000))
    fires(place, before, "WirematchFlood", *known)
    assert "drop-flood" in kit.wirematch(place, "errors").stdout
    place.scene.outside.run("ip", "addr", "add", "10.77.0.99/24", "dev", "wm1")
    try:
        place.scene.outside.run(sys.executable, "-c", script.format("10.77.0.99", place.scene.ip,
                                                                    port, 3))
        fires(place, before, "WirematchFlood", "WirematchStrangers", *known)
    finally:
        place.scene.outside.run("ip", "addr", "del", "10.77.0.99/24", "dev", "wm1")


def test_a_launcher_that_stands_still(place):
    before, known = quiet(place)
    with halted(place.house.status["pid"]):
        time.sleep(6)
        fires(place, before, "WirematchLauncherStalled", "WirematchNotReady",
              "WirematchPartitionNotReady", *known)


def test_a_process_that_was_killed(place):
    before, known = quiet(place)
    os.kill(place.pid("recovery@0"), signal.SIGKILL)
    fires(place, before, "WirematchProcessRestarted", *known)


def test_a_pool_that_is_empty(place):
    before, known = quiet(place)
    low = PRICE - 5_000
    deadline = time.monotonic() + 60
    counters = place.regions()("counters")
    idx = COUNTER_INDEX["capacity_rejects"]
    while counters[idx] < 1:
        assert time.monotonic() < deadline
        for n in range(40):
            place.buyer.enter("B", 1, SYMBOL, low - 100 * (n % 20))
        place.buyer.poll(0.1)
    found = kit.until(lambda: "WirematchCapacity" in (
        fired := firing([before, kit.scrape(place)])) and fired, 30)
    assert found - BUSY <= {"WirematchCapacity", "WirematchRingFilling", *known}
    place.buyer.mass_cancel()
    kit.until(lambda: not place.buyer.poll(0.2))


def test_a_full_disk(place, disk):
    before, known = quiet(place)
    known -= {"WirematchCapacity"}
    ballast = disk / "ballast"
    with open(ballast, "wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    try:
        def trades_on():
            for _ in range(200):
                place.buyer.enter("B", 1, SYMBOL, PRICE)
                place.seller.enter("S", 1, SYMBOL, PRICE)
            place.buyer.poll(0.05)
            place.seller.poll(0.05)
            return place.row["durability"]["state"] == "full"
        kit.until(trades_on, 60, 0.2)
        found = kit.until(lambda: {"WirematchJournalStopped", "WirematchDiskFilling"} <= (
            fired := firing([before, kit.scrape(place)])) and fired, 30)
        assert {"WirematchNotReady", "WirematchPartitionNotReady"} <= found
        assert kit.wirematch(place, "ready").returncode == 4
        assert "its journal is full" in kit.ready(place)[1]["reasons"][0]
    finally:
        ballast.unlink()
    kit.until(lambda: place.row["durability"]["state"] == "open", 30)


def test_a_matcher_that_was_stopped_then_killed(place):
    before, known = quiet(place)
    pid = place.pid("matcher@0")
    with halted(pid):
        kit.until(lambda: "WirematchMatcherLate" in firing([before, kit.scrape(place)]), 5, 0.05)
        kit.until(lambda: place.row["instance"] > 0, 30)      # ended as hung
    found = kit.until(lambda: "WirematchMatcherRestarted" in (
        fired := firing([before, kit.scrape(place)])) and fired, 30)
    assert "WirematchMatcherLate" in found
    kit.until(lambda: kit.ready(place)[0] == 200, 30)
    assert "matcher-died" in kit.wirematch(place, "top", "--once").stdout


WRITTEN = (
    ("WirematchGateLag", 'wirematch_gate_lag_commands{partition="0"}', "20000"),
    ("WirematchSlowDisk", 'wirematch_journal_sync_seconds{partition="0"}', "0.5"),
    ("WirematchDiverged", 'wirematch_shadow_diverged_total{partition="0"}', "1"),
    ("WirematchRingFilling", 'wirematch_ring_used_ratio{partition="0",ring="holds"}', "0.95"),
    ("WirematchReceiveLoss", 'wirematch_xsk_total{counter="rx_dropped",partition="0"}', "7"),
    ("WirematchMessagesSkipped", 'wirematch_messages_skipped_total{partition="0"}', "1e6"),
    ("WirematchSendErrors", 'wirematch_sends_total{outcome="errors",partition="0"}', "1e6"),
    ("WirematchFeedBLost", 'wirematch_twin_lost_total{partition="0"}', "1e6"),
    ("WirematchRungLost", 'wirematch_port_events_total{event="rung_lost"}', "1e6"),
)


@pytest.mark.parametrize("name, series, value", WRITTEN)
def test_what_cannot_be_broken_here(place, name, series, value):
    before = kit.scrape(place)
    lines = before.text.splitlines()
    found = [line for line in lines if _same(line, series)]
    assert len(found) == 1, (series, [line for line in lines if series[:25] in line])
    text = before.text.replace(found[0], f"{found[0].rpartition(' ')[0]} {value}")
    assert name in firing([before, Scrape(before.at_s, text)])
    assert name not in firing([before, before])


def _same(line, series):
    """Whether a line is of that series, whatever the order of its labels."""
    name, _, labels = line.rpartition(" ")[0].partition("{")
    wanted, _, more = series.partition("{")
    return name == wanted and set(labels.rstrip("}").split(",")) == set(more.rstrip("}").split(","))


def test_a_latency_that_is_high(place):
    before = kit.scrape(place)
    lines = []
    for line in before.text.splitlines():
        if line.startswith("wirematch_latency_seconds_") and "_sum" not in line:
            series, _, value = line.rpartition(" ")
            low = "_bucket" in series and "+Inf" not in series and float(
                series.partition('le="')[2].partition('"')[0]) < 0.004
            line = f"{series} {float(value) + (0 if low else 5000)}"
        lines.append(line)
    texts = [before, Scrape(before.at_s, "\n".join(lines))]
    assert "WirematchLatencyHigh" in firing(texts, 3)         # while its frames are in the rate
    assert "WirematchLatencyHigh" not in firing([before, before], 3)


def test_an_exporter_that_does_not_answer():
    """`up` is Prometheus' own."""
    ran = promtool("test", "rules", ROOT / "systemd/prometheus/wirematch.test.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
