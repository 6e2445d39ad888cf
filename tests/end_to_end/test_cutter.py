"""Power cuts at level "disk" on a whole appliance: nothing that anybody heard is lost. A thousand
with WIREMATCH_LONG=1, an appliance started from each; else twenty, ten of each appliance.
"""

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.netns import needs_namespaces
from tools.faults import cut_disk, cutter

pytestmark = [needs_namespaces, pytest.mark.slow]
CUTS, TOGETHER = (1000, 1) if os.environ.get("WIREMATCH_LONG") else (20, 10)


@pytest.fixture(scope="module", autouse=True)
def disks():
    if why := cutter.why_not():
        pytest.skip(why)


def test_power_cuts_lose_nothing_that_was_heard(warm):
    found = cutter.run(CUTS, 21, together=TOGETHER)
    print(json.dumps(found))
    assert (found["count"], found["lost"]) == (CUTS, 0) and found["answers"] > 20 * CUTS
    assert found["started_from"] == CUTS // TOGETHER


def test_a_copy_has_only_what_was_synced(tmp_path):
    with cut_disk.Disk(tmp_path, 8) as disk:
        with open(disk.folder / "synced", "wb") as file:
            file.write(b"x" * 10_000)
            file.flush()
            os.fsync(file.fileno())
            (disk.folder / "cached").write_bytes(b"y" * 10_000)
            copy = disk.copy()
        with cut_disk.Disk(tmp_path, 8, copy) as after:
            assert (after.folder / "synced").read_bytes() == b"x" * 10_000
            assert not (after.folder / "cached").exists() \
                or (after.folder / "cached").read_bytes() == b""
    assert os.listdir(tmp_path) == []


def test_another_boot_and_a_whole_family(tmp_path):
    boot = cut_disk.boot_file(tmp_path)
    done = subprocess.run(cut_disk.under_boot(boot, ["cat", "/proc/sys/kernel/random/boot_id"]),
                          capture_output=True, text=True, check=True)
    assert done.stdout == boot.read_text()
    with open("/proc/sys/kernel/random/boot_id") as file:
        assert file.read() != done.stdout
    parent = subprocess.Popen(["sh", "-c", "sleep 100 & sleep 100; true"])
    while [Path(f"/proc/{pid}/comm").read_text() for pid in cut_disk.family(parent.pid)[1:]] \
            != ["sleep\n"] * 2:
        assert parent.poll() is None
    members = cut_disk.stop_all(parent.pid)
    assert len(members) == 3 and members[0] == parent.pid
    cut_disk.kill_all(members)
    assert parent.wait() == -signal.SIGKILL


def test_what_was_heard_and_is_gone_is_noticed():
    life = cutter.Life.__new__(cutter.Life)
    life.unheard, life.people, polls = 0, [], []
    life._poll = lambda timeout: polls.append(timeout)
    life._same("x", [b"a", b"b"], [b"a", b"b", b"c"])
    assert life.unheard == 1 and not polls
    with pytest.raises(cutter.Lost, match="message 2 was 62, it is 63"):
        life._same("x", [b"a", b"b"], [b"a", b"c"])


def test_a_disk_that_forgot_is_noticed(warm, monkeypatch):
    """The copy is older than what was heard: as if syncs were lies."""
    early = []
    honest_trade, honest_cut = cutter.Life.trade, cutter.Life.cut

    def trade(life, messages):
        honest_trade(life, 64)
        early.append(life.disk.copy().rename(life.scene.folder / "early.cut"))
        honest_trade(life, 300)

    def cut(life):
        honest_cut(life)
        return early[0]

    monkeypatch.setattr(cutter.Life, "trade", trade)
    monkeypatch.setattr(cutter.Life, "cut", cut)
    monkeypatch.setattr(cutter, "PATIENCE_S", 5.0)
    with pytest.raises(cutter.Lost):
        cutter.run(1, 5)


def test_a_copy_without_what_was_heard_or_with_other_words_is_noticed(warm):
    """One appliance, three copies of its disk: as it was, one that is too old, one that lies."""
    scene = cutter.CutScene()
    life = cutter.Life(scene, random.Random(3))
    try:
        life.start(cut_disk.Disk(scene.folder, cutter.DISK_MB))
        life.trade(200)
        for _ in range(3):
            life.keep_copy()
        life.trade(50)
        image = life.cut()
        whole, old, lying = life.copies
        assert whole.judge(life)["unheard"] >= 0 and whole.heard[0] > 0
        old.heard = len(life.feed) + 1, *old.heard[1:]
        with pytest.raises(cutter.Lost, match="the feed: .* were heard before the cut, only"):
            old.judge(life)
        life.streams[1][3] = b"another"
        with pytest.raises(cutter.Lost, match="account 1: message 4 was heard as "):
            lying.judge(life)
        image.unlink()
    finally:
        life.close()
        scene.close()


def test_the_command_says_what_it_cannot_do(monkeypatch, capsys):
    monkeypatch.setattr(cutter, "why_not", lambda: "loop devices do not work here: none")
    assert cutter.main(["--cuts", "1"]) == 77
    assert "loop devices do not work here" in capsys.readouterr().err
