"""Real faults on a real process: failing system calls, full disks, kill -9, power cuts.

A power cut is a copy of the disk's image while the writer is stopped: what only the page cache had
is not in it. 20 cuts and 20 kills; with WIREMATCH_LONG=1 1,000 of each.
"""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.journal.errors import JournalFailed, JournalFull
from appliance.journal.scan import read, scan
from appliance.journal.writer import Writer
from tests.journal import kit

HOST = Path(__file__).with_name("append_host.py")
TIMES = 1000 if os.environ.get("WIREMATCH_LONG") == "1" else 20
PATIENCE_S = 300
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None,
                                  reason="strace is not installed; apt-get install strace")


def said(text, word):
    """The last number that followed a word on a whole line, 0 when it was never said."""
    lines = text[:text.rfind("\n") + 1].splitlines()
    found = [line.split()[1] for line in lines if line.startswith(word + " ")]
    return int(found[-1]) if found else 0


def check_records(folder, boot=None):
    """Everything in a journal is what append_host writes; its scan."""
    found = scan(folder, boot, hashes=True)
    if found is None:
        return None
    got = np.concatenate([kit.records(1, 0), *read(folder, boot=boot)])
    assert len(got) == found.last_seq
    start, number = 0, 0
    while start < len(got) and not found.segments[0].first_seq > 1:
        number += 1
        count = min(1 + number * 7 % 40, len(got) - start)
        wanted = kit.records(start + 1, 1 + number * 7 % 40)[:count]
        assert np.array_equal(got[start:start + count], wanted), f"from sequence {start + 1} on"
        start += count
    return found


INJECTED = [("fdatasync", "EIO", 6), ("fdatasync", "ENOSPC", 11), ("pwrite64", "EIO", 12),
            ("pwrite64", "ENOSPC", 40), ("fsync", "EIO", 7), ("fsync", "EIO", 9),
            ("ftruncate", "EIO", 1), ("renameat", "EIO", 2), ("fallocate", "EIO", 3)]


@needs_strace
@pytest.mark.parametrize("call,error,when", INJECTED)
def test_the_first_failing_call_is_final(tmp_path, call, error, when):
    result = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", f"trace={call}",
         "-e", f"inject={call}:error={error}:when={when}", sys.executable, str(HOST),
         str(tmp_path / "day"), "60", str(64 << 10)],
        capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 3, result.stdout[-500:] + result.stderr
    assert "failed " in result.stdout and "accepted" not in result.stdout
    assert os.strerror(getattr(errno, error)) in result.stdout
    found = check_records(tmp_path / "day")
    assert found.last_seq >= said(result.stdout, "durable") > 0
    with Writer(tmp_path / "day", kit.GENESIS, 1, segment_sz=64 << 10) as writer:
        writer.append(kit.records(writer.next_seq, 500))
    assert scan(tmp_path / "day", hashes=True).last_seq == found.last_seq + 500


@needs_strace
def test_a_slow_disk_delays_sync_and_nothing_else(tmp_path):
    result = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fdatasync",
         "-e", "inject=fdatasync:delay_enter=200000:when=3..6", sys.executable, str(HOST),
         str(tmp_path), "12"], capture_output=True, text=True, timeout=PATIENCE_S)
    assert result.returncode == 0 and said(result.stdout, "closed") == scan(tmp_path).durable_seq


class Disk:
    """A file system of its own: tmpfs, or ext4 in an image."""

    def __init__(self, folder, kind, sz):
        self.folder, self.kind, self.image = folder / "disk", kind, folder / "image"
        self.folder.mkdir()
        if kind == "ext4":
            with open(self.image, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, sz)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True, timeout=60)
            mount(self.image, self.folder)
        else:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sz}", "none", str(self.folder)],
                           check=True, timeout=60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", str(self.folder)], check=True, timeout=60)


def mount(image, folder):
    """Mounts an ext4 image, or skips where there are no loop devices."""
    result = subprocess.run(["mount", "-o", "loop", str(image), str(folder)], capture_output=True,
                            text=True, timeout=60)
    if result.returncode:
        pytest.skip(f"loop devices do not work here: {result.stderr.strip()}")


@needs_root
@pytest.mark.parametrize("kind,sz,segment_sz", [("tmpfs", 1 << 20, 128 << 10),
                                                ("ext4", 16 << 20, 1 << 20)])
def test_a_full_disk_is_a_state(tmp_path, kind, sz, segment_sz):
    with Disk(tmp_path, kind, sz) as disk:
        folder, ballast = disk.folder / "day", disk.folder / "ballast"
        with open(ballast, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, 3 * segment_sz)
        with Writer(folder, kit.GENESIS, 0, segment_sz=segment_sz) as writer:
            with pytest.raises(JournalFull, match="No space left.*make room"):
                while True:
                    writer._spare.wait()
                    warned = writer.full
                    writer.append(kit.records(writer.next_seq, 500))
            assert "No space left" in warned, "the alarm comes before"
            full = writer.next_seq - 1
            assert writer.sync() == full and writer.failed is None
            with pytest.raises(JournalFull):
                writer.append(kit.records(writer.next_seq, 5000))
            ballast.unlink()
            rows = kit.records(full + 1, 5000)
            writer.append(rows[writer.next_seq - full - 1:][:600])
            writer._spare.wait()
            writer.sync()
            writer._spare.wait()
            assert writer.full == ""
            last = writer.next_seq - 1
        found = scan(folder, hashes=True)
        assert found.clean and found.last_seq == last > full


@needs_root
def test_a_full_disk_at_the_start_leaves_nothing_behind(tmp_path):
    with Disk(tmp_path, "tmpfs", 256 << 10) as disk:
        with pytest.raises(JournalFull):
            Writer(disk.folder / "day", kit.GENESIS, 0, segment_sz=1 << 20)
        assert scan(disk.folder / "day") is None
        with Writer(disk.folder / "day", kit.GENESIS, 0, segment_sz=32 << 10) as writer:
            assert writer.append(kit.records(1, 9)) == 9


class Host:
    """An append_host that runs, its words in a file."""

    def __init__(self, folder, words, *arguments):
        self.words = words
        with open(words, "w") as file:
            self.process = subprocess.Popen([sys.executable, str(HOST), str(folder), *arguments],
                                            stdout=file, stderr=subprocess.STDOUT)

    def wait_for(self, word, at_least):
        """Until it has said a word with such a number."""
        deadline = time.monotonic() + PATIENCE_S
        while said(self.words.read_text(), word) < at_least:
            assert self.process.poll() is None, self.words.read_text()[-500:]
            assert time.monotonic() < deadline, f"no {word} {at_least}"
            time.sleep(0.002)

    def stop(self):
        """Stops it and says what it had said, once it stands."""
        os.kill(self.process.pid, signal.SIGSTOP)
        deadline = time.monotonic() + PATIENCE_S
        while state_of(self.process.pid) != "T":
            assert time.monotonic() < deadline
            time.sleep(0.001)
        return self.words.read_text()

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE_S)


def state_of(pid):
    """The letter that /proc gives for a process."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def test_kill_9_at_random_instants_loses_nothing_that_was_appended(tmp_path):
    random = np.random.default_rng(8)
    for time_no in range(max(3, TIMES // 5)):
        folder = tmp_path / str(time_no)
        host = Host(folder, tmp_path / "words", "0", str(64 << 10), "ahead")
        try:
            host.wait_for("appended", int(random.integers(1, 3000)))
        finally:
            host.kill()
        words = host.words.read_text()
        found = check_records(folder)
        assert found.last_seq >= said(words, "appended")
        assert found.durable_seq >= said(words, "durable") and not found.boot_changed
        with Writer(folder, kit.GENESIS, 0, segment_sz=64 << 10) as writer:
            assert writer.next_seq == found.last_seq + 1
        shutil.rmtree(folder)


@needs_root
def test_power_cuts_lose_nothing_that_was_synced(tmp_path):
    random, cuts, torn = np.random.default_rng(9), 0, 0
    copy, place = tmp_path / "copy", tmp_path / "after"
    place.mkdir()
    while cuts < TIMES:
        (tmp_path / f"run{cuts}").mkdir()
        with Disk(tmp_path / f"run{cuts}", "ext4", 24 << 20) as disk:
            folder = disk.folder / "day"
            host = Host(folder, tmp_path / "words", "0", str(256 << 10), "ahead")
            try:
                seen = 0
                for _ in range(10):
                    host.wait_for("durable", seen + int(random.integers(1, 2000)))
                    words = host.stop()
                    shutil.copyfile(disk.image, copy)
                    os.kill(host.process.pid, signal.SIGCONT)
                    seen = said(words, "durable")
                    torn += after_the_cut(copy, place, seen)
                    cuts += 1
            finally:
                host.kill()
        shutil.rmtree(tmp_path / f"run{cuts - 10}")
    assert cuts >= TIMES


def after_the_cut(image, place, durable_seq):
    """Mounts the copy and starts again from it; whether there was a tail to cut."""
    mount(image, place)
    try:
        found = check_records(place / "day", kit.OTHER_BOOT)
        assert found.last_seq >= durable_seq and found.boot_changed and not found.clean
        with Writer(place / "day", kit.GENESIS, 1, segment_sz=256 << 10,
                    boot=kit.OTHER_BOOT) as writer:
            assert writer.next_seq == found.last_seq + 1
            writer.append(kit.records(writer.next_seq, 30))
        assert scan(place / "day", hashes=True).last_seq == found.last_seq + 30
        return bool(found.cut_bytes)
    finally:
        subprocess.run(["umount", str(place)], check=True, timeout=60)


def test_durable_records_can_be_read_while_the_writer_works(tmp_path):
    host = Host(tmp_path / "day", tmp_path / "words", "0", str(64 << 10), "ahead")
    try:
        host.wait_for("durable", 1)
        next_seq, deadline = 1, time.monotonic() + PATIENCE_S
        while next_seq < 6000:
            assert time.monotonic() < deadline
            for rows in read(tmp_path / "day", next_seq, durable=True):
                assert np.array_equal(rows["seq"], np.arange(next_seq, next_seq + len(rows)))
                next_seq += len(rows)
        assert next_seq - 1 <= scan_of(host, tmp_path / "day").last_seq
    finally:
        host.kill()
    check_records(tmp_path / "day")


def scan_of(host, folder):
    """A scan once the writer is dead."""
    host.kill()
    return scan(folder)


def test_a_second_process_is_refused_while_the_first_lives_and_welcome_after(tmp_path):
    host = Host(tmp_path / "day", tmp_path / "words", "0")
    try:
        host.wait_for("appended", 1)
        with pytest.raises(JournalFailed, match="another process writes"):
            Writer(tmp_path / "day", kit.GENESIS, 0)
    finally:
        host.kill()
    Writer(tmp_path / "day", kit.GENESIS, 0, segment_sz=256 << 10).close()
