"""portd alone: which rung it takes, what it hands to matchers, what is left when it is gone."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance import topology
from appliance.config import load
from appliance.shm import region, steer, umem
from appliance.stages import link
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tests.shared_data import ROOT
from tools.demo import house

SETTINGS = {"symbols": [{"name": "ACME", "reference_price": 100_000}],
            "accounts": [{"name": "A1", "password": "pw"}]}


class Portd:
    """portd as a process of its own on a device, without launcher and matcher."""

    def __init__(self, folder, mode, interface="lo", ip="127.0.0.1", namespace=None):
        class Scene:
            """What `write_config` asks for."""
        Scene.folder, Scene.runtime, Scene.interface, Scene.ip = (
            folder, folder / "run", interface, ip)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            Scene.order_port = probe.getsockname()[1]
        self.config = house.write_config(Scene, SETTINGS, mode, [("A1", "", ("10.0.0.2", 1))])
        self.table = topology.build(load.load(self.config))
        Scene.runtime.mkdir()
        for block in self.table.blocks.values():
            region.create(block)
        self.before = ["nsenter", f"--net={namespace.path}"] if namespace else []
        self.process = None

    def arguments(self):
        return [*self.before, sys.executable, "-m", "appliance.stages.portd", "--config",
                self.config]

    def start(self):
        self.process = subprocess.Popen(self.arguments(), cwd=ROOT, text=True,
                                        stderr=subprocess.PIPE)
        deadline = time.monotonic() + 20
        while not Path(self.table.portd_socket).exists():
            assert self.process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def ask(self):
        """(connection, answer, descriptors) of a matcher's first question."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(10)
        connection.connect(self.table.portd_socket)
        link.send(connection, {"op": "open", "partition": 0})
        return connection, *link.receive(connection)

    def stop(self):
        """(exit code, words)"""
        if self.process is None:
            return 0, ""
        self.process.send_signal(signal.SIGTERM)
        _, words = self.process.communicate(timeout=10)
        return self.process.returncode, words


@pytest.fixture
def begin(tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Portd(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for portd in made:
        if portd.process is not None and portd.process.returncode is None:
            portd.process.kill()
            portd.process.communicate()


def close(fds):
    for fd in fds:
        os.close(fd)


def test_auto_falls_back_on_a_device_without_native_xdp_and_says_why(begin):
    portd = begin("auto").start()
    connection, answer, fds = portd.ask()
    assert (answer["mode"], answer["ip"], len(fds)) == ("socket", "127.0.0.1", 2)
    assert answer["reason"]
    with socket.socket(fileno=fds[0]) as order, socket.socket(fileno=fds[1]) as multicast:
        assert order.getsockname() == ("127.0.0.1", answer["order_port"])
        assert multicast.getsockname()[0] == "127.0.0.1"
    link.send(connection, {"op": "mapped"})
    assert link.receive(connection)[0] == {"op": "bound", "zero_copy": False}
    connection.close()
    code, words = portd.stop()
    assert code == 0 and "falling back to plain sockets: " in words
    assert not Path(portd.table.portd_socket).exists()


def test_a_forced_rung_that_cannot_be_had_ends_with_77_and_words(begin):
    portd = begin("native")
    done = subprocess.run(portd.arguments(), cwd=ROOT, capture_output=True, text=True, timeout=30,
                          check=False)
    assert done.returncode == 77
    assert "mode = 'native' cannot be had: " in done.stderr and "Traceback" not in done.stderr


def test_an_order_port_that_is_taken_ends_with_1_and_a_remedy(begin):
    portd = begin("socket")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", portd.table.partitions[0].order_port))
        done = subprocess.run(portd.arguments(), cwd=ROOT, capture_output=True, text=True,
                              timeout=30, check=False)
    assert done.returncode == 1 and "order_port_base" in done.stderr


@needs_namespaces
@needs_bpf
def test_native_serves_one_matcher_after_the_other_and_detaches_at_the_end(begin):
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "wm0", "10.0.0.1", far, "wm1", "10.0.0.2")
        portd = begin("native", "wm0", "10.0.0.1", near).start()
        ifindex = near.ifindex("wm0")
        with near.entered():
            program = steer.attached_program(ifindex)
        assert program > 0
        for _ in range(2):                    # the second is a restarted matcher
            connection, answer, fds = portd.ask()
            assert (answer["mode"], len(fds)) == ("native", 4)
            geometry = umem.Geometry(*answer["geometry"])
            port = umem.make_xsk_port(fds[3], umem.map_umem(fds[2]), geometry)
            assert port is not None, "rings can be mapped before the socket is bound"
            link.send(connection, {"op": "mapped"})
            assert link.receive(connection)[0]["op"] == "bound"
            connection.close()
            close(fds)
        with near.entered():
            assert steer.attached_program(ifindex) == program
        assert portd.stop()[0] == 0
        with near.entered():
            assert steer.attached_program(ifindex) == 0
