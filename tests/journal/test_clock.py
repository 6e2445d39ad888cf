"""clock.csv: what the kernel says of its clock, in a file that survives being cut off."""

import shutil
import subprocess
import time

import pytest

from appliance.journal import clock

JUDGE = r"""
#include <stdio.h>
#include <sys/timex.h>
int main(void) { struct timex t = {0}; int s = adjtimex(&t);
  printf("%d %d %ld %ld %ld %d %zu\n", s, t.status, t.offset, t.maxerror, t.esterror, t.tai,
         sizeof t); }
"""


def test_a_reading_is_what_c_reads(tmp_path):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    (tmp_path / "judge.c").write_text(JUDGE, encoding="ascii")
    subprocess.run(["cc", "-o", "judge", "judge.c"], cwd=tmp_path, check=True, timeout=60)
    for _ in range(5):                         # a clock that is being corrected moves meanwhile
        before = clock.reading()
        out = subprocess.run([tmp_path / "judge"], capture_output=True, text=True, check=True)
        state, status, offset, most, estimated, tai, size = map(int, out.stdout.split())
        if before == clock.reading()._replace(
                wall_ns=before.wall_ns, monotonic_ns=before.monotonic_ns):
            break
    scale = 1 if status & 0x2000 else 1000
    good = "synchronised" if state != 5 and not status & 0x40 else "not synchronised"
    assert (before.state, before.tai_s) == (good, tai)
    assert size == clock.ctypes.sizeof(clock._Timex)
    assert abs(before.offset_ns - offset * scale) <= 1_000_000
    assert abs(before.error_ns - most * 1000) <= 10_000_000
    assert abs(before.estimated_ns - estimated * 1000) <= 10_000_000
    assert abs(before.wall_ns - time.time_ns()) < 60 * 10**9


def test_a_recorder_writes_now_and_then_and_goes_on_behind_a_cut(tmp_path):
    recorder = clock.Recorder(tmp_path, every_s=0.01)
    recorder.start()
    deadline = time.monotonic() + 10
    while len(clock.Clock.load(tmp_path).readings) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    recorder.stop()
    time.sleep(0.05)
    path = tmp_path / clock.NAME
    count = len(clock.Clock.load(tmp_path).readings)
    assert count >= 3 and path.read_text().count("wall_ns") == 1
    path.write_bytes(path.read_bytes()[:-9])
    clock.Recorder(tmp_path).write()
    found = clock.Clock.load(tmp_path).readings
    assert len(found) == count
    assert found[-1].state in ("synchronised", "not synchronised")


def test_a_disk_that_takes_nothing_stops_nobody(tmp_path):
    recorder = clock.Recorder(tmp_path / "nowhere", every_s=0.005)
    recorder.start()
    time.sleep(0.05)
    (tmp_path / "nowhere").mkdir()
    deadline = time.monotonic() + 10
    while not clock.Clock.load(tmp_path / "nowhere").readings and time.monotonic() < deadline:
        time.sleep(0.01)
    recorder.stop()
    assert clock.Clock.load(tmp_path / "nowhere").readings


def test_a_reading_speaks_for_a_while_only():
    known = clock.Reading(1_000, 5, "synchronised", 1, 2, 3, 37)
    found = clock.Clock([known])
    assert found.at(999) == clock.UNKNOWN == clock.Clock().at(1_000)
    assert found.at(1_000) == found.at(1_000 + clock.STALE_NS) == known
    assert found.at(1_001 + clock.STALE_NS) == clock.UNKNOWN
