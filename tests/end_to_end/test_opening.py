"""A journal that takes its time to open, or dies at it, holds up its own partition and nobody else.

journal@0 is caught by its name as soon as it exists, and halted: a disk that does not answer.
"""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.place import trade
from tests.end_to_end.test_comes_back import journalled
from tests.netns import needs_namespaces

pytestmark = [needs_namespaces, pytest.mark.slow]


def catch(place, name, old, number, patience_s=20.0):
    """Sends a signal to the launcher's next child of that name, before it has opened anything."""
    launcher, deadline = place.house.process.pid, time.monotonic() + patience_s
    while time.monotonic() < deadline:
        for task in Path(f"/proc/{launcher}/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                try:
                    comm = Path(f"/proc/{pid}/comm").read_text().strip()
                except OSError:
                    continue
                if comm == f"wm-{name}" and pid not in old:
                    os.kill(pid, number)
                    return pid
    raise AssertionError((f"no new {name}", place.house.words()))


def alarms(place):
    """{kind: text} of the appliance."""
    return {alarm["kind"]: alarm["text"] for alarm in place.house.status["alarms"]}


def test_a_journal_that_opens_slowly_or_is_killed_holds_up_nobody(warm, tmp_path):
    with journalled(tmp_path / "journal", "process") as place:
        trade(place.login(0), place.login(1))
        first = place.pid("journal@0")
        os.kill(place.pid("matcher@0"), signal.SIGKILL)
        halted = catch(place, "journal@0", {first}, signal.SIGSTOP)
        place.until(lambda content: content["partitions"][0]["state"] == "opening")
        stamps, path = set(), place.house.scene.runtime / "status.json"
        for _ in range(30):                          # the launcher lives: status goes on
            stamps.add(path.stat().st_mtime_ns)
            time.sleep(0.1)
        assert len(stamps) >= 2 and place.row["durability"]["phase"] == "opening"
        place.until(lambda content: any(alarm["kind"] == "journal-opening"
                                        for alarm in content["alarms"]))
        assert place.row["state"] == "opening"
        os.kill(halted, signal.SIGKILL)              # it dies at it: the next one opens
        place.until(lambda content: content["partitions"][0]["state"] == "ready", 60.0)
        assert "while it opened" in alarms(place)["journal-died"]
        assert place.row["durability"]["restarts"] == 1
        trade(place.login(0), place.login(1))
        assert place.stop() == 0, place.house.words()


def test_a_stop_while_a_journal_opens_waits_for_nobody(warm, tmp_path):
    with journalled(tmp_path / "journal", "disk") as place:
        first = place.pid("journal@0")
        os.kill(place.pid("matcher@0"), signal.SIGKILL)
        catch(place, "journal@0", {first}, signal.SIGSTOP)
        place.until(lambda content: content["partitions"][0]["state"] == "opening")
        begun = time.monotonic()
        assert place.stop() == 0, place.house.words()
        assert time.monotonic() - begun < 30
        assert "Traceback" not in place.house.words()
