"""The demo's orders: divided into lanes by partition, and sent inside a window each."""

import json
import socket
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest

from appliance.layout.datagram import parse_mold
from tests.netns import needs_namespaces
from tests.tools.flow_judge import follow, messages
from tools.demo import house, material, scene
from tools.demo.crowd import HORIZON, Window, next_seq
from tools.flow import make
from tools.flows.commands import partitions_of
from tools.sender import UdpSender, payloads

pytestmark = pytest.mark.alone

LIMIT, PARTITIONS, ACCOUNTS = 4_000, 4, 3
QUEUES = """
import re, socket, sys, time
from tools.demo.scene import NamespaceScene, ORDER_PORT
from tools.record import frame
from tools.sender import RawSender
from tools import pcap
place = NamespaceScene(4)
place.appliance.run("ip", "link", "set", "dev", "wm0", "xdpdrv", "object", sys.argv[1], "section",
                    "xdp")
for number in range(4):
    packet = place.mac + place.source_mac + frame(
        b"x" * 60, (place.market_ip, 42001), (place.ip, ORDER_PORT + number))[12:]
    pcap.write(sys.argv[2], [(0, packet)] * 10 * (number + 1))
    with place.market():
        with RawSender(pcap.read(sys.argv[2]), "wm1", egress=True) as sender:
            sender.send(0, 10 * (number + 1))
deadline = time.monotonic() + 60
while True:
    words = place.appliance.run("ethtool", "-S", "wm0")
    if sum(map(int, re.findall(r"rx_queue_\\d+_xdp_packets: (\\d+)", words))) >= 100 \
            or time.monotonic() > deadline:
        break
    time.sleep(0.05)
print(words)
place.close()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make("synthetic", tmp_path_factory.mktemp("lanes") / "a.pcap", limit=LIMIT, seed=4,
                accounts=ACCOUNTS, symbols=40, partitions=PARTITIONS)


@pytest.fixture
def loopback():
    place = scene.Scene()
    yield place
    place.close()


def test_lanes_hold_every_packet_once_in_file_order(made, loopback):
    loaded = material.load(made.pcap, loopback)
    assert len(loaded.lanes) == PARTITIONS and loaded.messages == LIMIT
    numbers = np.concatenate([lane.numbers for lane in loaded.lanes])
    assert sorted(numbers.tolist()) == list(range(made.facts["datagrams"]))
    for partition, lane in enumerate(loaded.lanes):
        assert (np.diff(lane.numbers) > 0).all() and lane.logins == ACCOUNTS
        wanted = [(number, upstream) for number, upstream, _ in messages(made.pcap, partition)]
        assert list(zip(lane.owner[lane.logins:].tolist(), lane.seqs[lane.logins:].tolist(),
                        strict=True)) == wanted
        kinds = follow(messages(made.pcap, partition))
        assert (lane.enters[-1], lane.makes) == (kinds["O"], kinds["O"] + kinds["U"])


def test_lanes_have_the_addresses_of_the_scene(made, loopback):
    loaded = material.load(made.pcap, loopback)
    for partition, lane in enumerate(loaded.lanes):
        found = payloads(lane.pcap)
        assert set(found.targets[:, 1].tolist()) == {scene.ORDER_PORT + partition}
        for number in (0, len(lane.owner) - 1):
            session = loaded.sessions[lane.owner[number]]
            assert session.partition == partition
            assert session.source[1] == found.sources[number, 1]
            assert parse_mold(lane.payload(number)).session == session.token


def test_symbols_are_divided_as_the_flow_divided_them(made, loopback):
    loaded = material.load(made.pcap, loopback)
    where = partitions_of(made.symbols, PARTITIONS)
    assert [[s["name"] for s in owned] for owned in loaded.symbols] == [
        [s["name"] for s, at in zip(made.symbols, where, strict=True) if at == partition]
        for partition in range(PARTITIONS)]


def test_a_file_that_knows_no_partitions_is_one_lane(tmp_path, loopback):
    path = make("synthetic", tmp_path / "a.pcap", limit=200, accounts=2).pcap
    loaded = material.load(path, loopback)
    assert material.partitions_of(path) == len(loaded.lanes) == 1
    assert [session.partition for session in loaded.sessions] == [0, 0]
    assert loaded.lanes[0].numbers.tolist() == list(range(202))


@pytest.mark.parametrize(("old", "new", "words"), [
    ("partition = 1", "partition = 2", "belong to sessions of partitions"),
    ("partition = 3", "partition = 9", "only 4 partitions"),
    ('account = "A00001"', 'account = "NOBODY"', "has no account there"),
    ("port = 42003", "port = 999", "is no datagram of a session"),
    ("token =", "tokken =", "make it with `wirematch flow`"),
])
def test_a_toml_that_does_not_fit_its_pcap_is_refused_in_words(made, loopback, tmp_path, old, new,
                                                               words):
    path = tmp_path / "b.pcap"
    path.write_bytes(made.pcap.read_bytes())
    head, mark, sessions = made.toml.read_text().partition("[[flow.sessions]]")
    path.with_suffix(".toml").write_text(head + mark + sessions.replace(old, new, 1))
    with pytest.raises(material.MaterialError, match=words):
        material.load(path, loopback)


SESSION = b"[[flow.sessions]]\naccount = 'A'\ntoken = 'T'\nip = '10.0.0.1'\nport = 1\n"


@pytest.mark.parametrize(("text", "words"), [
    (b"", "flow. is missing"), (b"flow = 1", "flow. is missing"), (b"[flow", "Expected"),
    (b"\xff", "utf-8"), (b"[flow]\npartitions = 33", "not 1 to 32"),
    (b"[flow]\npartitions = true", "not 1 to 32"), (b"[flow]\nsessions = 1", "flow.sessions"),
    (SESSION.replace(b"'A'", b"1"), "lacks account, token"),
    (SESSION, "symbols.. is missing"),
    (SESSION + b"[[symbols]]\nname = 'A'\npartition = 1", "only 1 partitions"),
    (SESSION + b"[[symbols]]\nname = 'A'", "accounts.. is missing"),
])
def test_a_toml_of_something_else_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "b.pcap"
    path.with_suffix(".toml").write_bytes(text)
    with pytest.raises(material.MaterialError, match=f"b.toml: .*{words}.*wirematch flow"):
        material.settings_of(path)


def test_a_window_stops_at_its_size_and_at_the_horizon(made, loopback):
    loaded = material.load(made.pcap, loopback)
    lane = loaded.lanes[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as host:
        host.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        host.bind((loopback.ip, scene.ORDER_PORT + 1))
        with UdpSender(lane.pcap) as sender:
            window = Window(lane, sender, host.getsockname(), np.arange(3, 6))
            while window.push(HORIZON, 50, time.monotonic()) and window.sent < window.total:
                before = window.sent
                window.push(HORIZON, 50, time.monotonic())
                if window.sent == before:
                    break
            assert lane.enters[window.sent] == 50
            window.done = 50
            horizon = int(lane.numbers[window.sent + 5])
            window.push(horizon, 50, time.monotonic() + 1)
            assert window.place == horizon
    assert next_seq(lane, 3) == max(u for s, u, _ in messages(made.pcap, 1) if s == 3) + 1


def test_the_config_is_no_larger_than_its_orders_need(made, loopback):
    loaded = material.load(made.pcap, loopback)
    sizes = house.capacity(loaded)
    people = [(row["name"], "", loopback.source(0)) for row in loaded.settings["accounts"]]
    path = house.write_config(loopback, loaded.settings, "socket", people, partitions=PARTITIONS,
                              layout="shared", sizes=sizes)
    from appliance import topology
    from appliance.config.load import load
    config = load(path)
    assert (config.partitions.count, config.partitions.layout) == (PARTITIONS, "shared")
    assert sizes["pages"] * 256 > max(lane.makes for lane in loaded.lanes)
    for part in topology.build(config).partitions:
        assert sum(b.dtype.itemsize * b.count for b in part.blocks.values()) < 100 << 20
    assert json.loads(json.dumps(sizes)) == tomllib.loads(
        (loopback.folder / "wirematch.toml").read_text())["capacity"]


@needs_namespaces
def test_a_veth_hands_each_partition_its_own_queue(tmp_path):
    if not scene.QUEUE_PROGRAM.exists():
        pytest.skip(f"{scene.QUEUE_PROGRAM} is not built: make setup")
    steer = scene.QUEUE_PROGRAM.with_name("measure.bpf.o")
    done = subprocess.run([sys.executable, "-c", QUEUES, str(steer), str(tmp_path / "a.pcap")],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts = {int(line.split("_")[2]): int(line.rsplit(":", 1)[1])
              for line in done.stdout.splitlines()
              if "rx_queue" in line and "xdp_packets" in line}
    assert counts == {0: 10, 1: 20, 2: 30, 3: 40}
