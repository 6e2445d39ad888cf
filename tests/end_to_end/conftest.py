"""One demo a rung, one over DPDK, one of the whole Bitstamp half hour: made once for all here."""

import importlib.util
import subprocess
import sys

import pytest

from tests.end_to_end.demo_kit import Demo
from tests.shared_data import ROOT
from tools.flow import make

ORDERS, RUNGS = 20_000, ("native", "socket")


@pytest.fixture(scope="session")
def warm():
    """Every kernel is in the cache, so that no start has to compile."""
    subprocess.run([sys.executable, "-m", "appliance.cli", "warm", "--if-needed"], cwd=ROOT,
                   check=True, capture_output=True)


@pytest.fixture(scope="session")
def order_file(tmp_path_factory):
    """A synthetic order file of 20,000 messages from eight accounts."""
    return make("synthetic", tmp_path_factory.mktemp("orders") / "orders.pcap", limit=ORDERS,
                seed=11).pcap


def _play(mode, order_file, folder):
    demo = Demo(folder, "--orders", str(order_file), "--mode", mode, "--json",
                "--record", str(folder / "feed.pcap"), "--messages", str(folder / "feed.itch"))
    try:
        return demo.watch()
    finally:
        demo.end()


@pytest.fixture(scope="session")
def rungs(warm, order_file, tmp_path_factory):
    """The same order file through both rungs: {"native": Outcome, "socket": Outcome}."""
    return {mode: _play(mode, order_file, tmp_path_factory.mktemp(mode)) for mode in RUNGS}


@pytest.fixture(scope="session")
def over_dpdk(warm, order_file, tmp_path_factory):
    """The same order file through the DPDK port."""
    return _play("dpdk", order_file, tmp_path_factory.mktemp("dpdk"))


@pytest.fixture(scope="session")
def bitstamp(warm, tmp_path_factory):
    """The demo on one partition, the whole real half hour over native AF_XDP, its feed recorded."""
    if importlib.util.find_spec("ob_analytics") is None:
        pytest.skip("the Bitstamp sample is missing; install it with: pip install ob-analytics")
    folder = tmp_path_factory.mktemp("bitstamp")
    demo = Demo(folder, "--partitions", "1", "--mode", "native", "--json", "--record",
                str(folder / "feed.pcap"), "--messages", str(folder / "feed.itch"), played=False)
    try:
        return demo.watch()
    finally:
        demo.end()
