"""Names, units and meanings; buckets, frames, remedies; the dashboard's and the rules' names."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from appliance import cli
from appliance.control.drops import Drops
from appliance.control.remedies import REMEDIES
from appliance.hot.counters import bucket_floor
from appliance.host.nic import COUNTERS as DEVICE
from appliance.layout import shared
from appliance.observe import exposition, reading, readiness, series
from appliance.observe.frame import frame, short, span
from appliance.shm.dpdk import STATISTICS
from appliance.shm.steer import REASONS
from appliance.shm.umem import XSK_STATISTICS
from appliance.stages.recovery import names as recovery_names
from tests.observe.rules_kit import RULES, needs_promtool, promtool

FOLDER = RULES.parent
NAME = re.compile(r"\b(wirematch_[a-z0-9_]+)")
SUFFIXES = ("_bucket", "_sum", "_count")


def known():
    """Every name that /metrics may show."""
    return {*series.DECLARED, *(f"wirematch_latency_seconds{suffix}" for suffix in SUFFIXES),
            exposition.EXPORTER[0]}


def test_every_counter_of_the_matcher_has_a_name_and_a_meaning():
    for name, text in shared.COUNTERS:
        assert series.DECLARED[f"wirematch_{name}_total"] == ("counter", text) and text
    for name, (kind, text) in series.DECLARED.items():
        assert (kind == "counter") == name.endswith("_total"), name
        assert len(text) > 3


@pytest.mark.parametrize("file", ["wirematch-dashboard.json", "wirematch.rules.yml",
                                  "wirematch.test.yml"])
def test_dashboard_and_rules_use_names_that_there_are(file):
    used = set(NAME.findall((FOLDER / file).read_text()))
    assert used and used <= known(), used - known()


def test_the_dashboard_is_whole():
    board = json.loads((FOLDER / "wirematch-dashboard.json").read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 12
    assert all(target["expr"] for panel in panels for target in panel["targets"])
    boxes = [tuple(panel["gridPos"][key] for key in "xywh") for panel in panels]
    for i, (x, y, w, h) in enumerate(boxes):
        assert x + w <= 24
        assert not any(x < a + c and a < x + w and y < b + d and b < y + h
                       for a, b, c, d in boxes[:i]), panels[i]["title"]


@needs_promtool
def test_promtool_accepts_the_rules_and_their_tests():
    checked = promtool("check", "rules", RULES)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = promtool("test", "rules", FOLDER / "wirematch.test.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_a_runbook_and_a_summary():
    text = RULES.read_text()
    count = text.count("- alert: ")
    assert count == text.count("runbook: ") == text.count("summary: ") > 15


def test_every_dashboard_expression_is_promql(tmp_path):
    board = json.loads((FOLDER / "wirematch-dashboard.json").read_text())
    exprs = [target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
             for panel in board["panels"] for target in panel["targets"]]
    rules = [{"record": f"x:{i}", "expr": expr} for i, expr in enumerate(exprs)]
    path = tmp_path / "board.yml"
    path.write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_buckets_count_every_value_once_and_exactly():
    values = [0, 1, 255, 256, 257, 383, 384, 1000, 1023, 1024, 10**6, 10**9, 2**33, 2**40]
    histogram = np.zeros(shared.HISTOGRAM_CNT, np.uint64)
    floors = [bucket_floor(i) for i in range(shared.HISTOGRAM_CNT - 64)]
    for value in values:
        histogram[max(i for i, floor in enumerate(floors) if floor <= value)] += np.uint64(1)
    rows, total = exposition.buckets(histogram)
    assert rows[-1] == ("+Inf", len(values))
    for bound, count in rows[:-1]:
        assert count == sum(value < round(float(bound) * 1e9) for value in values), bound
    assert total == pytest.approx(sum(values) / 1e9, rel=1 / 32)


def test_latencies_of_nothing_and_of_something():
    histogram = np.zeros(shared.HISTOGRAM_CNT, np.uint64)
    assert reading.latencies(histogram) == {"count": 0, "p50_ns": 0, "p99_ns": 0, "p999_ns": 0,
                                            "max_ns": 0}
    histogram[10], histogram[100] = 99, 1
    found = reading.latencies(histogram)
    assert (found["count"], found["p50_ns"], found["max_ns"]) == (100, 10, bucket_floor(100))


def test_remedies_name_counters_that_there_are():
    places = {"counters": shared.COUNTER_INDEX, "xsk": XSK_STATISTICS, "device": STATISTICS,
              "reasons": REASONS, "interface": DEVICE, "recovery": recovery_names(),
              "sends": ("calls", "again", "busy", "down", "errors", "refused", "invalid")}
    for group, rows in REMEDIES.items():
        assert set(rows) <= set(places[group]), set(rows) - set(places[group])
        assert all(len(text) > 10 for text in rows.values())
    taken = {"rx_applied", "rx_control", "rx_debug", "rx_heartbeat", "rx_end_of_session",
             "rx_rerequest", "rx_duplicate", "rx_held"}
    assert {name for name, _ in shared.DISPOSITIONS} - taken <= set(REMEDIES["counters"])
    assert {name for name in REASONS if name.startswith("drop_")} <= set(REMEDIES["reasons"])


def test_drops_have_a_first_and_a_last_time_and_survive_an_instance():
    clock = iter((100.0, 160.0, 220.0)).__next__
    drops = Drops(clock)

    def look(count, errors=7):
        return drops.look([{"partition": 1, "counters": {"rx_checksum": count}}],
                          {"reasons": {}, "interface": {"rx_errors": errors}, "interface_b": None})

    assert look(0) == []
    (row,) = look(5)
    assert row == {"group": "counters", "counter": "rx_checksum", "where": "partition 1",
                   "count": 5, "first": "1970-01-01T00:01:40Z", "last": "1970-01-01T00:01:40Z"}
    assert look(5) == [row]
    (row,) = look(2)                                     # its next instance has had two
    assert (row["count"], row["first"][14:19], row["last"][14:19]) == (7, "01:40", "02:40")
    assert [each["counter"] for each in look(2, 9)] == ["rx_checksum", "rx_errors"]


def content():
    """What readiness and frame need of an appliance that is well."""
    row = {"partition": 0, "state": "ready", "has_memory": True, "heartbeat_age_s": 0.001,
           "phase": "open", "journal": {"state": "open", "lag_durable": 3, "sync_s": 0.002},
           "ready": True, "rung": "native", "level": "disk", "live_orders": 12345,
           "rates": {"orders": 1e6, "trades": 2.5e4, "rejects": 0.0}, "latency_now": None,
           "latency": {"count": 9, "p50_ns": 850, "p99_ns": 12_345, "p999_ns": 4_500_000},
           "rings": {name: {"used": 9, "size": 10} for name in ("journal", "feed", "pages",
                                                                "chunks", "holds")},
           "gate": {"lag_commands": 17}, "open_gaps": 2, "live_sessions": 3}
    return {"name": "desk", "state": "running", "status_age_s": 0.5, "mode_wanted": "auto",
            "port": {"link": True, "rung": "native"}, "interface": "eth0", "ip": "10.0.0.1",
            "partitions": [row], "problems": [], "reasons": [], "ready": True, "at_s": 0.0,
            "market": {"phase": "open"}, "alarms": [], "drops": [], "processes": []}


@pytest.mark.parametrize("change, words", [
    ({"state": "stopping"}, "the appliance is stopping"),
    ({"status_age_s": 9.0}, "written no status for 9.0 s"),
    ({"port": {"link": False}}, "interface eth0 is down")])
def test_why_an_appliance_is_not_ready(change, words):
    assert readiness.reasons(content(), 100, 5) == []
    (reason,) = readiness.reasons(content() | change, 100, 5)
    assert words in reason["text"] and reason["partition"] is None


@pytest.mark.parametrize("change, words", [
    ({"state": "warming"}, "its matcher is warming"),
    ({"heartbeat_age_s": 0.3}, "has not looked up for 300 ms"),
    ({"phase": "pre-open"}, "its market is pre-open"),
    ({"journal": {"state": "full"}}, "its journal is full")])
def test_why_a_partition_is_not_ready(change, words):
    made = content()
    made["partitions"][0] |= change
    (reason,) = readiness.reasons(made, 100, 5)
    assert reason == {"partition": 0, "text": f"partition 0: {reason['text'][13:]}"}
    assert words in reason["text"]


def test_a_frame_fits_and_says_what_is_left_out():
    lines = frame(content(), 80, 24)
    assert max(map(len, lines)) <= 80
    assert " 0 ready    native    disk    1.00M  25.0k      0  850n 12.3u  4.5m 12.3k    3" in lines
    assert any("90%" in line for line in lines)
    small = frame(content(), 40, 5)
    assert len(small) == 5 and "lines more" in small[-1] and max(map(len, small)) <= 40
    assert any(line.startswith("\x1b[31m") for line in frame(content(), 80, 24, colours=True))


@pytest.mark.parametrize("number, text", [(None, "-"), (0, "0"), (9999, "9999"), (81_234, "81.2k"),
                                          (1_250_000, "1.25M"), (3 * 10**9, "3.00G")])
def test_short_numbers(number, text):
    assert short(number) == text


@pytest.mark.parametrize("ns, text", [(None, "-"), (850, "850n"), (12_345, "12.3u"),
                                      (123_456, "123u"), (4_500_000, "4.5m"), (1.2e9, "1.2s")])
def test_spans(ns, text):
    assert span(ns) == text


def test_stat_lists_every_number_without_an_appliance():
    out = CliRunner().invoke(cli.main, ["stat", "--list"])
    assert out.exit_code == 0
    assert {line.split()[0] for line in out.output.splitlines()} == set(series.DECLARED)


def test_every_new_command_has_quick_help():
    for name in ("stat", "top", "errors", "ready", "watch"):
        out = CliRunner().invoke(cli.main, [name, "--help"])
        assert out.exit_code == 0 and "Usage:" in out.output
