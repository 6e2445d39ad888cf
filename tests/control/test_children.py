"""The fork server and the processes it makes: whose children they are, and who may die."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from appliance.control import alarms, children, crashes, launch, portside
from appliance.layout import record, shared

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("NUMBA_DISABLE_JIT", raising=False)                 # it answers for kernels
        box = launch.Mailbox(str(tmp_path_factory.mktemp("box") / "notify.sock"))
        stack.callback(box.close)
        made = children.ForkServer(sorted(os.sched_getaffinity(0)), box.sock.getsockname())
        stack.callback(children._libc.prctl, children._PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        stack.callback(made.stop)                                        # before others' orphans
        made.wait_ready()
        yield made


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")")[1].split()[1])


def lasting(server, tmp_path):
    """A stage that stays: a matcher that waits for a portd that never comes."""
    cpu = max(os.sched_getaffinity(0))
    return server.fork("portd", "portd", ["--config", str(tmp_path / "none.json")], (cpu,), "spin")


def test_a_stage_is_a_child_of_the_launcher_and_its_end_is_told(server, tmp_path):
    child = server.fork("recovery", "recovery@0", ["--nonsense"], (0,), "yield")
    assert child.wait(60) and child.how() == "exit code 2", "argparse's own"
    child = lasting(server, tmp_path)
    assert child.wait(60) and child.how() == "exit code 1"
    assert child.code == 1 and child.ended()


def test_an_unknown_stage_is_refused(server):
    with pytest.raises(launch.LaunchError, match="did not make gambler@0"):
        server.fork("gambler", "gambler@0", [], (0,), "yield")


def test_the_fork_servers_death_harms_no_stage(server):
    cpu = max(os.sched_getaffinity(0))
    first = server.child.pid
    assert parent_of(first) == os.getpid()
    server.child.signal(signal.SIGKILL)
    assert server.child.wait(60) and server.ended()
    child = server.fork("recovery", "recovery@0", ["--help"], (cpu,), "yield")
    assert child.wait(60) and child.code == 0, "it was started again by itself"
    assert server.child.pid != first


def test_the_same_crash_three_times_is_poison_and_other_ends_are_not():
    guard = crashes.Crashes(3)
    segv = -signal.SIGSEGV
    assert not guard.note(segv, 0, "a", 1.0)
    assert not guard.note(segv, 0, "a", 1.0)
    for _ in range(5):
        assert not guard.note(-signal.SIGKILL, 0, "a", 1.0), "from outside"
    assert guard.note(segv, 0, "a", 1.0)
    guard = crashes.Crashes(3)
    for digest in "abababab":
        assert not guard.note(segv, 0, digest, 1.0), "another command each time"
    assert not guard.note(segv, 7, "b", 1.0), "another broken invariant"
    assert not guard.note(segv, 7, "b", 1.0)
    assert not guard.note(segv, 7, "b", crashes.CALM_S + 1), "it had been well for long"


def test_the_last_command_is_read_from_the_journal_ring():
    header = np.zeros(1, shared.JOURNAL_HEADER.dtype)
    ring = np.zeros(8, record.JOURNAL_RECORD.dtype)
    header["next_seq"] = 1
    assert crashes.last_command(header, ring) == ("", "nothing")
    command = np.zeros(1, record.COMMAND.dtype)
    command["kind"], command["account"], command["qty"] = record.ENTER, 3, 100
    ring[9 & 7]["command"] = np.frombuffer(command.tobytes(), np.uint8)
    header["next_seq"] = 10
    digest, words = crashes.last_command(header, ring)
    assert len(digest) == 16 and words == "ENTER of account 3, command 9 of the day"
    ring[9 & 7]["seq"], ring[9 & 7]["time_ns"] = 9, 12345
    assert crashes.last_command(header, ring)[0] == digest
    command["qty"] = 101
    ring[9 & 7]["command"] = np.frombuffer(command.tobytes(), np.uint8)
    assert crashes.last_command(header, ring)[0] != digest


def test_silence_counts_only_while_somebody_looks():
    now = [10.0]
    silence = children.Silence(lambda: now[0])
    assert silence.look(1) == 0.0
    for _ in range(30):
        now[0] += 0.05
        found = silence.look(1)
    assert found == pytest.approx(1.5)
    now[0] += 60.0                            # nobody was there, the machine was halted
    assert silence.look(1) == pytest.approx(1.6)
    now[0] += 0.05
    assert silence.look(2) == 0.0


VFORK = ("import ctypes, os, time; "
         "ctypes.PyDLL(None).vfork() or (time.sleep(60), os._exit(0))")


@pytest.fixture
def stuck():
    """A process that waits inside the kernel: for its vforked child, which sleeps."""
    process = subprocess.Popen([sys.executable, "-c", VFORK], start_new_session=True)
    deadline = time.monotonic() + 60
    while not children.waits_in_kernel(process.pid):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_portd_that_waits_inside_the_kernel_is_told_and_not_ended(stuck):
    now, desk = [0.0], portside.PortSide.__new__(portside.PortSide)
    desk.child = SimpleNamespace(pid=stuck.pid, started_s=-100.0, doomed=False,
                                 ended=lambda: False)
    desk.status = np.zeros(1, shared.PORTD_STATUS.dtype)
    desk.status["heartbeat_ns"] = 1
    desk.seen, desk.alarms = dict.fromkeys(shared.PORT_EVENT_INDEX, 0), alarms.Alarms()
    desk.silence = children.Silence(lambda: now[0])
    for _ in range(50):                          # five seconds
        now[0] += 0.1
        assert desk.look(now[0])
    told, = desk.alarms.table()
    assert told["kind"] == "portd-waits" and told["count"] == 2 and "vfork" in told["text"]
    assert stuck.poll() is None


def test_who_sleeps_is_stopped_or_is_gone_does_not_wait_inside_the_kernel():
    process = subprocess.Popen(["sleep", "60"])
    stat, deadline = Path(f"/proc/{process.pid}/stat"), time.monotonic() + 60
    try:
        while ") S " not in stat.read_text():       # its pages may still come from the disk: D
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not children.waits_in_kernel(process.pid)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        assert not children.waits_in_kernel(process.pid)
    finally:
        process.kill()
        process.wait()
    assert not children.waits_in_kernel(process.pid)
