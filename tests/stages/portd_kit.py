"""portd as a process with a parent that keeps its descriptors, without launcher and matchers."""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from appliance import topology
from appliance.config import load
from appliance.control import launch
from appliance.layout import shared
from appliance.shm import region
from appliance.stages import link
from tests.shared_data import ROOT
from tools.demo import house

SETTINGS = {"symbols": [{"name": f"SYM{p}", "reference_price": 100_000, "partition": p}
                        for p in range(4)],
            "accounts": [{"name": "A1", "password": "pw"}]}
LIBC = ctypes.CDLL(None, use_errno=True)


class Portd:
    """The machine's regions, a mailbox that keeps descriptors, and portd in a namespace."""

    def __init__(self, folder, mode, interface="lo", ip="127.0.0.1", namespace=None, partitions=1,
                 layout="auto"):
        class Scene:
            """What `write_config` asks for."""
        Scene.folder, Scene.runtime, Scene.interface, Scene.ip = (
            folder, folder / "run", interface, ip)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            Scene.order_port = probe.getsockname()[1] // 8 * 8
        settings = SETTINGS | {"symbols": SETTINGS["symbols"][:partitions]}
        self.config = house.write_config(Scene, settings, mode, [("A1", "", ("10.0.0.2", 1))],
                                         partitions=partitions, layout=layout)
        self.table = topology.build(load.load(self.config))
        Scene.runtime.mkdir(exist_ok=True)
        for block in self.table.blocks.values():
            region.create(block)
        self.status = region.attach(self.table.blocks["portd_status"])[0]
        self.rows = region.attach(self.table.blocks["port_status"])
        self.box = launch.Mailbox(str(folder / "notify.sock"))
        self.before = ["nsenter", f"--net={namespace.path}"] if namespace else []
        self.process, self.words, self.opened = None, folder / "words", []

    def arguments(self):
        return [*self.before, sys.executable, "-m", "appliance.stages.portd", "--config",
                self.config]

    def start(self):
        """Starts it with everything that is kept, as systemd would."""
        kept = dict(self.box.kept)
        fds = list(kept.values())

        def prepare():
            high = [LIBC.fcntl(fd, 0, 500) for fd in fds]          # F_DUPFD: out of the way
            for place, fd in enumerate(high):
                os.dup2(fd, 3 + place)
            os.closerange(3 + len(fds), 1024)

        began = time.monotonic_ns()
        environment = os.environ | {
            "NOTIFY_SOCKET": self.box.sock.getsockname(), "LISTEN_FDS": str(len(fds)),
            "LISTEN_FDNAMES": ":".join(kept)}
        # nsenter keeps the process number, so LISTEN_PID is right also behind it.
        with open(self.words, "a") as words:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *self.arguments()], cwd=ROOT,
                env=environment, stderr=words, close_fds=False, preexec_fn=prepare)
        self.until(lambda: int(self.status["heartbeat_ns"]) > began
                   and int(self.status["pid"]) == self.process.pid
                   and Path(self.table.portd_socket).exists())
        return self

    def until(self, condition, patience_s=60.0):
        """Waits for a condition, keeping what portd sends meanwhile."""
        deadline = time.monotonic() + patience_s
        while not (found := condition()):
            self.box.read(self.process.pid)
            assert self.process.poll() is None, self.words.read_text()
            assert time.monotonic() < deadline, self.words.read_text()
            time.sleep(0.002)
        self.box.read(self.process.pid)
        return found

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(60)
        connection.connect(self.table.portd_socket)
        self.opened.append(connection)
        return connection

    def ask(self, partition=0):
        """(connection, answer, descriptors) of a matcher's first question."""
        connection = self.connect()
        link.send(connection, {"op": "open", "partition": partition, "instance": 0})
        self.until(lambda: self._readable(connection))
        return connection, *link.receive(connection)

    def bind(self, connection):
        """The answer to "mapped"."""
        link.send(connection, {"op": "mapped"})
        self.until(lambda: self._readable(connection))
        return link.receive(connection)[0]

    @staticmethod
    def _readable(connection):
        return bool(select.select([connection], [], [], 0)[0])

    def events(self):
        """The events that have happened, by name."""
        return {name: int(self.status["events"][i]) for name, i in shared.PORT_EVENT_INDEX.items()
                if self.status["events"][i]}

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.box.read(self.process.pid)

    def stop(self):
        """(exit code, words)"""
        if self.process is None:
            return 0, ""
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self.box.read(self.process.pid)
            time.sleep(0.005)
        return self.process.returncode, self.words.read_text()

    def end(self):
        """Whatever is left of it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for connection in self.opened:
            connection.close()
        self.box.close()
