"""`wirematch topology` of configurations that do not run: layouts, sizes, words."""

import json
import os

import msgspec
import pytest
from click.testing import CliRunner

from appliance import cli
from appliance import topology as topo
from appliance.config.load import load
from appliance.control import plan
from appliance.shm import dpdk, exchange, region, umem

MAIN = """\
name = "{name}"
symbols_file = "symbols.toml"
accounts_file = "accounts.toml"
[interface]
name = "lo"
ip = "127.0.0.1"
mode = "{mode}"
queue = 2
[partitions]
count = {count}
layout = "{layout}"
[port]
rx_frames = 256
tx_frames = 128
"""


@pytest.fixture
def config(tmp_path):
    """config(mode, count, layout): a Config; four symbols, the first one on partition 0."""
    (tmp_path / "symbols.toml").write_text("".join(
        f'[[symbols]]\nname = "S{i}"\nreference_price = 100\npartition = {i and -1}\n'
        for i in range(4)))
    (tmp_path / "accounts.toml").write_text('[[accounts]]\nname = "A"\npassword = "x"\n')

    def make(mode="native", count=3, layout="shared", extra=""):
        path = tmp_path / "main.toml"
        path.write_text(MAIN.format(name=f"wm-t-plan-{os.getpid()}", mode=mode, count=count,
                                    layout=layout) + extra)
        return load(path)
    return make


def test_shared_queue_has_the_sizes_of_its_memory(config):
    found, sizes = plan.describe(config()), exchange.Plan(2048, 3, 256, 128)
    assert (found["runs"], found["rung"], found["layout"]) == (False, "native", "shared queue")
    assert found["frames"] == {"receive": 1024, "transmit": 384, "receive_shared": 1024}
    assert found["queue_rings"] == {"fill_ring": 1024, "comp_ring": 512, "keeper_rx_ring": 64}
    for fd, name in ((umem.create_umem(sizes), "umem"), (exchange.create(sizes), "exchange")):
        assert os.fstat(fd).st_size == found["memory"][name]
        os.close(fd)
    assert [row["queue"] for row in found["partitions"]] == [2, 2, 2]
    assert {str(row["rings"]) for row in found["partitions"]} == {str(
        {"rx_ring": 256, "tx_ring": 128, "return_ring": 1024, "free_ring": 128})}
    assert sum(len(row["symbols"]) for row in found["partitions"]) == 4
    assert found["memory"]["total"] == sum(
        found["memory"][name] for name in ("umem", "exchange", "shared_memory"))


def test_own_queues_have_the_sizes_of_their_memory(config):
    found = plan.describe(config(count=2, layout="own"))
    fd = umem.create_umem(umem.Geometry(2048, 256, 128))
    assert os.fstat(fd).st_size == found["partitions"][0]["umem_bytes"]
    os.close(fd)
    assert found["memory"]["umem"] == 2 * found["partitions"][0]["umem_bytes"]
    assert [row["queue"] for row in found["partitions"]] == [2, 3]
    assert found["frames"] == {"receive": 512, "transmit": 256, "receive_shared": 0}
    assert "it would not start here: 4 receive queues are needed" in found["layout_why"]


@pytest.mark.parametrize("mode, count, layout, wanted, why", [
    ("socket", 3, "own", "none", 'interface.mode = "socket"'),
    ("auto", 1, "auto", "own queue", "one partition needs no other"),
    ("auto", 3, "auto", "shared queue", "lo has 1"),
    ("auto", 2, "shared", "shared queue", "plain sockets where no AF_XDP works")])
def test_layout_is_chosen_as_portd_would_and_says_why(config, mode, count, layout, wanted, why):
    found = plan.describe(config(mode, count, layout))
    assert found["layout"] == wanted and why in found["layout_why"]


def test_processes_that_would_run_are_named_with_their_cpus(config):
    found = plan.describe(config(count=2))
    assert [row["name"] for row in found["processes"]] == [
        "portd", "forkserver", "matcher@0", "recovery@0", "matcher@1", "recovery@1"]
    cpus = {row["name"]: row["cpus"] for row in found["processes"]}
    assert [cpus[f"matcher@{p}"] for p in (0, 1)] == [[row["cpu"]] for row in found["partitions"]]
    assert {row["pid"] for row in found["processes"]} == {None}
    found = plan.describe(config(count=1, extra='[durability]\nlevel = "process"\n'))
    assert [row["name"] for row in found["processes"]][2:] == [
        "matcher@0", "recovery@0", "journal@0", "shadow@0"]


def test_too_little_room_is_told_with_what_is_needed(config, tmp_path):
    found = plan.describe(config())
    found["memory"]["shared_memory"] = 1 << 60
    found["runtime_dir"] = str(tmp_path / "not" / "yet")
    text = plan.shortage(found)
    assert "1099511627776.0 MiB are needed" in text and f"{tmp_path} has" in text
    found["memory"]["shared_memory"] = 1
    assert plan.shortage(found) == ""


@pytest.mark.parametrize("count, layout, wanted", [
    (1, "auto", "own queue"), (2, "auto", "shared queue"), (2, "own", "own queue"),
    (2, "shared", "shared queue")])
def test_nothing_is_said_of_the_queues_of_a_device_that_is_not_there(config, count, layout, wanted):
    plain = config("auto", count, layout)
    absent = msgspec.structs.replace(plain.interface, name="wm-not-there")
    found = plan.describe(msgspec.structs.replace(plain, interface=absent))
    assert found["layout"] == wanted
    assert "wm-not-there does not exist here" in found["layout_why"]
    assert "has 1" not in found["layout_why"]


def test_shared_memory_is_counted_with_the_headers_of_its_files(config):
    plain = config()
    part = topo.build(plain).partitions[0]
    found = plan.describe(plain)["partitions"][0]["shared_memory_bytes"]
    assert found == sum(map(region.size_of, part.blocks.values()))


def test_words_say_that_nothing_runs(config):
    path = config().path
    result = CliRunner().invoke(cli.main, ["topology", "--config", path])
    assert result.exit_code == 0 and "NOT RUNNING: this is what the configuration" in result.output
    assert "1024 receive (shared with all), 128 transmit of its own" in result.output
    assert "fill_ring 1024, comp_ring 512" in result.output
    as_json = CliRunner().invoke(cli.main, ["topology", "--config", path, "--json"])
    assert json.loads(as_json.output) == plan.describe(load(path))


def test_dpdk_takes_memory_for_each_matcher_and_no_queue(config, monkeypatch, tmp_path):
    found = plan.describe(config("dpdk", 2, "auto"))
    assert (found["rung"], found["layout"]) == ("dpdk", "none")
    assert [row["queue"] for row in found["partitions"]] == [None, None]
    assert found["memory"]["umem"] == 2 * dpdk.memory_mb(256, 128) << 20
    monkeypatch.setattr(dpdk, "SHIM", tmp_path / "_dpdk.so")
    text = plan.text(plan.describe(config("dpdk", 2, "auto")))
    assert "it would not start here: _dpdk.so is not built" in text and "libdpdk-dev" in text
