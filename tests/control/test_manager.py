"""What systemd hears: readiness once, and a watchdog that is fed for progress alone."""

import os
import socket
from types import SimpleNamespace

import pytest

from appliance.control.manager import Manager

BOOT_S, HANG_MS = 100.0, 1000


def desk(*, trading=True, silent_s=0.0, started_s=0.0, down=False):
    """A partition as far as the manager looks at it."""
    return SimpleNamespace(
        stage="", is_down=down, is_trading=lambda: trading and not down, silent_s=lambda: silent_s,
        matcher=SimpleNamespace(started_s=started_s),
        config=SimpleNamespace(supervision=SimpleNamespace(hang_ms=HANG_MS)))


@pytest.fixture
def heard(tmp_path, monkeypatch):
    """A function: every datagram since the last call."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        def read():
            found = []
            while True:
                try:
                    found.append(sock.recv(4096).decode())
                except BlockingIOError:
                    return found

        yield read


def manager(span_us="4000000"):
    return Manager(BOOT_S, {"WATCHDOG_USEC": span_us, "WATCHDOG_PID": str(os.getpid())})


def test_ready_is_said_once_and_not_before_all_trade(heard):
    ours = manager("0")
    ours.turn(1.0, "starting", [desk(trading=False)])
    assert heard() == ["STATUS=starting: 0 of 1 partition(s) trading"]
    ours.turn(2.0, "running", [desk()])
    assert heard() == ["READY=1\nSTATUS=running: 1 of 1 partition(s) trading"]
    ours.turn(3.0, "running", [desk()])
    assert heard() == []
    ours.turn(4.0, "running", [desk(trading=False)])
    assert heard() == ["STATUS=running: 0 of 1 partition(s) trading"]
    ours.stopping()
    assert heard()[0].startswith("STOPPING=1\n")


def fed(heard, now, ours, *desks):
    """Whether a turn at that time feeds the watchdog."""
    ours.turn(now, "running", desks)
    return "WATCHDOG=1" in heard()


def test_the_watchdog_is_fed_four_times_in_its_span(heard):
    ours = manager()
    times = [n * 0.05 for n in range(1, 81)]
    assert sum(fed(heard, now, ours, desk()) for now in times) in (4, 5)


def test_nobody_who_makes_progress_means_no_food(heard):
    assert not fed(heard, 10.0, manager(), desk(silent_s=1.5))
    assert not fed(heard, 10.0, manager(), desk(down=True))
    assert not fed(heard, BOOT_S + 1, manager(), desk(trading=False, started_s=0.5))


def test_one_that_trades_or_starts_is_enough(heard):
    assert fed(heard, 10.0, manager(), desk(silent_s=1.5), desk())
    assert fed(heard, 10.0, manager(), desk(trading=False, started_s=5.0))


def test_another_process_watchdog_is_not_ours(heard):
    ours = Manager(BOOT_S, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
    assert not fed(heard, 10.0, ours, desk())
