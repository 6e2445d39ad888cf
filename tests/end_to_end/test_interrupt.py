"""A demo that is interrupted or killed leaves no process, namespace, program or shared memory."""

import ctypes
import errno
import os
import re
import signal
import struct
import time
from pathlib import Path

import pytest

from tests.end_to_end.demo_kit import Demo
from tests.netns import needs_bpf, needs_namespaces
from tools.flow import make

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

PATIENCE_S = 60.0
LIBC = ctypes.CDLL(None, use_errno=True)
BPF_CALL = {"x86_64": 321, "aarch64": 280}
FD_BY_NUMBER = {"prog": 13, "map": 14}          # BPF_PROG_GET_FD_BY_ID, BPF_MAP_GET_FD_BY_ID


@pytest.fixture(scope="module")
def long_order_file(tmp_path_factory):
    """Enough orders that a demo is still trading when it is interrupted."""
    return make("synthetic", tmp_path_factory.mktemp("orders") / "orders.pcap", limit=300_000,
                seed=12).pcap


def children_of(pid):
    """All descendants of a process."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")")[1].split()[1])
        except OSError:
            continue
    found, fresh = set(), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def namespace_of(pid):
    return os.readlink(f"/proc/{pid}/ns/net")


def holders_of(namespace):
    """Processes that are in the network namespace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(folder / "ns" / "net") == namespace:
                found.append(folder.name)
        except OSError:
            continue
    return found


def programs_of(pid):
    """Numbers of the BPF programs and maps that a process has open: {("prog", 12), ("map", 7)}."""
    found = set()
    for file in Path(f"/proc/{pid}/fdinfo").iterdir():
        found |= {(kind, int(number)) for kind, number in
                  re.findall(r"^(prog|map)_id:\s*(\d+)$", file.read_text(), re.MULTILINE)}
    return found


def exists(kind, number):
    """Whether the kernel still has the object: asked by number, as root, without another tool."""
    attributes = struct.pack("=III", number, 0, 0)
    fd = LIBC.syscall(BPF_CALL[os.uname().machine], FD_BY_NUMBER[kind], attributes,
                      len(attributes))
    if fd >= 0:
        os.close(fd)
        return True
    assert ctypes.get_errno() == errno.ENOENT, os.strerror(ctypes.get_errno())
    return False


def alive(pid):
    """Whether the process runs (one that has ended and waits to be reaped does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL],
                         ids=lambda number: number.name)
def test_nothing_stays_behind(warm, long_order_file, tmp_path, number):
    demo = Demo(tmp_path, "--orders", str(long_order_file), "--mode", "native", played=False)
    try:
        content = demo.until_trading()
        matcher, portd = ({row["name"]: row["pid"] for row in content["processes"]}[name]
                          for name in ("matcher@0", "portd"))
        everyone, namespace = children_of(demo.process.pid), namespace_of(matcher)
        objects = programs_of(portd)
        assert len(everyone) >= 5 and matcher in everyone, "launcher, three processes, subscriber"
        assert namespace != namespace_of(os.getpid())
        assert {kind for kind, _ in objects} == {"prog", "map"}
        assert all(exists(*each) for each in objects)

        demo.process.send_signal(number)
        code = demo.process.wait(120)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130), demo.words()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            left = {"processes": [pid for pid in everyone if alive(pid)],
                    "in the namespace": holders_of(namespace),
                    "BPF": [each for each in objects if exists(*each)],
                    "shared memory": [demo.runtime] if demo.runtime.exists() else []}
            if number != signal.SIGKILL:          # who is killed cannot clear its own folder
                left["folders"] = list(tmp_path.glob("wirematch-demo-*"))
            if not any(left.values()):
                break
            assert time.monotonic() < deadline, (left, demo.words())
            time.sleep(0.1)
    finally:
        demo.end()
