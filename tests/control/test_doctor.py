"""What the doctor says: each finding by a cause that is put into the status of a well appliance."""

import copy
import errno

import pytest
from click.testing import CliRunner

from appliance import cli
from appliance.control import doctor
from appliance.host import configure
from appliance.host.machine import Machine
from tests.host.recorded import record, wants

NOW = 1_800_000_000.0
RING = 1 << 16


def well():
    """A sample of an appliance that is well."""
    counters = {name: 0 for name, *_ in doctor.PARTITION} | {"orders": 5}
    journal = {"level": "disk", "state": "open", "left": 3, "durable_seq": 990, "sync_us": 300,
               "sync_max_us": 900, "shadow": {"diverged": ""}}
    row = {"partition": 0, "state": "ready", "mode": "native", "memory_present": True,
           "durability": journal, "commands": 1000, "counters": counters,
           "xsk": {name: 0 for name, _ in doctor.SOCKET}, "sends": {"errors": 0, "errno": 0}}
    processes = [{"name": "portd", "pid": 2, "cpus": [0]},
                 {"name": "matcher@0", "pid": 3, "cpus": [1]}]
    port = {"link": True, "rung": "native", "reasons": {name: 0 for name, _ in doctor.PROGRAM},
            "interface": {name: 0 for name, _ in doctor.DEVICE}}
    return {"age_s": 0.4, "at_s": NOW, "switches": {"matcher@0": 7}, "throttled": 0,
            "status": {"state": "running", "pid": 1, "interface": "eth7", "mode_wanted": "auto",
                       "partitions": [row], "processes": processes, "port": port, "alarms": []}}


def change(sample, path, value):
    """Sets what a dotted path names."""
    *way, last = path.split("/")
    for word in way:
        sample = sample[int(word) if isinstance(sample, list) else word]
    sample[last] = value


PART, JOURNAL = "status/partitions/0", "status/partitions/0/durability"
CAUSES = [
    ("launcher-stands", {"age_s": 30.0}, "kill -CONT 1"),
    ("not-running", {"status/state": "failed"}, "the log says why"),
    ("no-link", {"status/port/link": False}, "no order arrives"),
    ("partition-down", {f"{PART}/state": "failed"}, "wirematch inspect"),
    ("journal-disk", {f"{JOURNAL}/state": "full"}, "make room in durability.directory"),
    ("ring-fills", {f"{JOURNAL}/left": 50_000}, "76 % full"),
    ("gate-lag", {f"{PART}/commands": 90_000}, "89010 commands"),
    ("disk-slow", {f"{JOURNAL}/sync_us": 45_000}, "a disk of its own"),
    ("diverged", {f"{JOURNAL}/shadow": {"diverged": "behind command 7"}}, "behind command 7"),
    ("send-errors", {f"{PART}/sends": {"errors": 2, "errno": errno.EPERM}}, "nft list ruleset"),
    ("shared-core", {"status/processes/0/cpus": [0, 1]}, "shares CPU 1 with portd"),
    ("core-taken", {"switches": {"matcher@0": 5000}}, "configure check isolated irq"),
    ("throttled", {"throttled": 4}, "CPUQuota="),
    ("slow-rung", {f"{PART}/mode": "generic"}, "mode generic"),
    ("slow-rung", {f"{PART}/mode": "socket"}, "mode socket"),
    ("pages-absent", {f"{PART}/memory_present": False}, "first touch"),
    ("alarm-matcher-died", {"status/alarms": [
        {"kind": "matcher-died", "where": "partition 0", "text": "its book comes back", "count": 2,
         "first": "2027-01-15T07:59:00Z", "last": "2027-01-15T07:59:50Z"}]}, "sounded 2 times"),
    *((name.replace("_", "-"), {f"{PART}/counters/{name}": 9}, f"{name} rises, by 9 to 9")
      for name, *_ in doctor.PARTITION),
    *((name.replace("_", "-"), {f"{PART}/xsk/{name}": 9}, f"partition 0: {name} rises")
      for name, _ in doctor.SOCKET),
    *((name.replace("_", "-"), {f"status/port/reasons/{name}": 9}, f"program: {name} rises")
      for name, _ in doctor.PROGRAM),
    *((name.replace("_", "-"), {f"status/port/interface/{name}": 9}, f"eth7: {name} rises")
      for name, _ in doctor.DEVICE)]


@pytest.mark.parametrize(("kind", "cause", "words"), CAUSES)
def test_each_cause_is_named_alone_and_with_a_remedy(kind, cause, words):
    before, after = well(), copy.deepcopy(well())
    after["at_s"] += 2.0
    for path, value in cause.items():
        change(after, path, value)
    found = doctor.diagnose(before, after, (), RING)
    assert [each.kind for each in found] == [kind]
    assert words in found[0].text() and found[0].why and found[0].do
    assert doctor.healthy(found) == (kind in ("shared-core", "slow-rung", "pages-absent"))


def test_a_well_appliance_is_healthy_and_what_stood_before_is_no_news():
    before = well()
    change(before, f"{PART}/counters/rx_hold_full", 500)
    change(before, "status/alarms", [{"kind": "x", "text": "t", "count": 1, "where": "",
                                      "first": "2027-01-15T07:00:00Z",
                                      "last": "2027-01-15T07:00:00Z"}])
    assert doctor.diagnose(before, copy.deepcopy(before), (), RING) == []


def test_the_host_adds_what_is_wrong_there(tmp_path):
    items = configure.look(Machine(record(tmp_path)), wants())
    found = doctor.diagnose(well(), well(), items, RING)
    kinds = {(each.kind, each.level) for each in found}
    assert ("host-clock", doctor.PROBLEM) in kinds and ("host-bpf", doctor.PROBLEM) in kinds
    assert ("host-governor", doctor.ADVICE) in kinds
    levels = [each.level for each in found]
    assert levels == sorted(levels, reverse=True)         # problems come first
    throttled = [each for each in found if "rt_runtime" in each.what]
    assert [each.level for each in throttled] == [doctor.PROBLEM]


def test_without_an_appliance_it_is_not_ready(tmp_path):
    from tests.control.test_cli import EXAMPLE
    result = CliRunner().invoke(cli.main, ["doctor", "--config", str(EXAMPLE)])
    assert result.exit_code == 4 and "no appliance runs" in result.stderr
