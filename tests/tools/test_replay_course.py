"""A replay's course: several files, capped gaps, pause and resume by signal, loops that go on with
the numbers, the histogram and the picture."""

import json
import os
import signal
import subprocess
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from appliance.layout.datagram import build_mold, parse_mold
from tests.shared_data import shared_file
from tests.tools.received import frames
from tests.tools.test_replay import COMMAND, TIME_NS, ends, run  # noqa: F401
from tests.tools.test_replay_engines import Heard, mixed, napi
from tools import pcap
from tools.record import frame
from tools.replay import command, files
from tools.replay.live import LiveEngine
from tools.replay.pacing import schedule
from tools.replay.report import EDGES_US, Jitter
from tools.replay.run import Replay

pytestmark = pytest.mark.alone


def test_several_files_are_merged_by_time_or_follow_each_other(tmp_path):
    first, second = tmp_path / "a.pcap", tmp_path / "b.pcap"
    pcap.write(first, [(TIME_NS + n * 1000, bytes([1, n]) * 30) for n in range(5)])
    pcap.write(second, [(TIME_NS + n * 1000 + 500 * (n > 1), bytes([2, n]) * 40) for n in range(5)],
               big_endian=True)
    merged = files.read([first, second])
    assert [bytes(f[:2]) for _, f in merged] == [bytes(pair) for pair in (
        (1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (2, 3), (1, 4), (2, 4))]
    assert merged.times_ns.tolist() == sorted(merged.times_ns.tolist()) and len(
        files.read([first, second], limit=3)) == 3
    turns = files.read([first, second], in_turn=True)
    assert [f[0] for _, f in turns] == [1] * 5 + [2] * 5
    assert np.diff(turns.times_ns)[4] == files.GAP_NS
    pcap.write(second, [(TIME_NS, bytes(60))], link_type=101)
    with pytest.raises(pcap.PcapError, match="different link types: .*a.pcap 1, .*b.pcap 101"):
        files.read([first, second])


def test_silences_are_capped(tmp_path):
    path = tmp_path / "a.pcap"
    pcap.write(path, [(TIME_NS + t, bytes(60)) for t in (0, 10**9, 10**9 + 5000, 60 * 10**9)])
    assert schedule(pcap.read(path), max_gap=0.001).tolist() == [0, 10**6, 10**6 + 5000,
                                                                 2 * 10**6 + 5000]


def test_pause_and_resume_by_signal_shift_the_times(ends, tmp_path):  # noqa: F811
    left, right = ends
    napi(left, "wm0")
    path = tmp_path / "a.pcap"
    capture = mixed(path, 1500)
    heard = Heard(left, "wm0")
    begin, paused_s = time.monotonic(), 0.0
    process = right.popen(*COMMAND, str(path), "-i", "wm1", "-p", "500", "--json", "--stats", "0.2",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "packets" in process.stderr.readline()
    for stop, go in ((signal.SIGUSR1, signal.SIGUSR2), (signal.SIGUSR1, signal.SIGCONT),
                     (signal.SIGTSTP, signal.SIGCONT)):
        process.send_signal(stop)
        count = quiet(heard)
        assert count < 1500, "paused"
        paused_s += 0.3
        process.send_signal(go)
        until(lambda count=count: len(heard.frames) > count)
    out, _ = process.communicate(timeout=120)
    wall_s, told = time.monotonic() - begin, json.loads(out)
    assert (process.returncode, told["packets"], told["paused"]) == (0, 1500, 3)
    assert told["seconds"] <= wall_s - paused_s, "pauses are no part of it"
    assert heard.all() == frames(capture)


def until(true):
    """Waits for something."""
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def quiet(heard):
    """Waits until nothing came for 0.3 s; how many frames came until then."""
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline
        count = len(heard.frames)
        time.sleep(0.3)
        if len(heard.frames) == count:
            return count


def test_each_loop_goes_on_with_the_numbers_when_asked(ends, tmp_path):  # noqa: F811
    left, right = ends
    napi(left, "wm0")
    path = tmp_path / "a.pcap"
    pcap.write(path, [(TIME_NS, frame(build_mold("DAY", 5 + 2 * n, [b"a", b"b"]), ("10.0.0.1", 1),
                                      ("239.1.1.1", 2))) for n in range(3)])
    heard = Heard(left, "wm0")
    code, out, err = run(right, path, "-i", "wm1", "-t", "-l", "3", "--mold-continue",
                         "--mold-sequence", "1", "--mold-session", "NEW")
    assert code == 0, err
    told = [parse_mold(each[42:]) for each in heard.all()]
    assert [(each.session, each.sequence) for each in told] == [
        ("NEW", 1 + 2 * n) for n in range(9)]


def test_the_iex_capture_keeps_its_bytes_gaps_and_times(ends):  # noqa: F811
    left, right = ends
    napi(left, "wm0")
    whole = pcap.read(shared_file("data/iex_DEEP10.pcap.gz"), drop_cut_tail=True)
    count = 30_000
    capture = replace(whole, offsets=whole.offsets[:count], lengths=whole.lengths[:count],
                      times_ns=whole.times_ns[:count])
    due = schedule(capture, multiplier=(whole.times_ns[count - 1] - whole.times_ns[0]) / 2e9)
    heard = Heard(left, "wm0")
    with right.entered(), LiveEngine(capture, "wm1") as engine:
        job = Replay(capture, engine, due)
        report = job.run()
        behind = engine.left_ns - job.zero_ns - due
    assert heard.all() == frames(capture) and report.packets == count
    assert behind.min() >= 0, "none leaves before its time"
    assert (np.diff(due) > 1_000_000).any(), "silences are kept"


def test_percentiles_and_shares_are_those_of_the_times():
    late = np.random.default_rng(1).exponential(8000, 50_000).astype(np.int64)
    jitter = Jitter()
    for part in np.array_split(late, 7):
        jitter.add(part)
    for share in (0.5, 0.99, 0.999):
        assert jitter.percentile_us(share) == pytest.approx(
            np.quantile(late, share) / 1e3, rel=0.07)
    assert jitter.within(20) == pytest.approx((late <= 20_000).mean(), abs=0.01)
    rows = jitter.rows()
    assert sum(count for _, count in rows) == 50_000 and len(rows) == len(EDGES_US) + 1
    assert jitter.max_ns == late.max()


def test_the_picture_is_drawn_and_a_bad_place_is_told(ends, tmp_path):  # noqa: F811
    pytest.importorskip("matplotlib")
    left, right = ends
    napi(left, "wm0")
    path, picture = tmp_path / "a.pcap", tmp_path / "picture.png"
    mixed(path)
    code, _, err = run(right, path, "-i", "wm1", "-p", "20000", "--picture", picture)
    assert code == 0 and picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", err
    code, _, err = run(right, path, "-i", "wm1", "-t", "--picture", "/proc/none/x.png")
    assert code == 1 and "/proc/none/x.png" in err, (code, err)


def test_a_thread_that_stops_it_gets_the_report(ends, tmp_path):  # noqa: F811
    left, right = ends
    napi(left, "wm0")
    capture = mixed(tmp_path / "a.pcap", 200)
    with right.entered(), LiveEngine(capture, "wm1") as engine:
        job = Replay(capture, engine, loops=0)
        threading.Timer(0.3, job.stop).start()
        report = job.run()
    assert report.stopped and report.loops > 1 and report.packets % 200 == 0


@pytest.mark.parametrize(("arguments", "words"), [
    (["--verify", "{file}", "-i", "lo"], "give --sessions"),
    (["--sessions", "-l", "2", "--verify", "{file}"], "leave --loop out"),
    (["--sessions", "--mold-session", "X"], "leave the --mold options out"),
    (["--answers", "x", "-i", "lo"], "give --sessions"),
    (["--engine", "live"], "give --interface IF"), (["--socket", "--engine", "live"], "not live"),
    (["-i", "lo", "--vlan", "1", "--untag"], "one or the other"),
    (["-i", "lo", "--map", "10.0.0.1"], "is not OLD=NEW"),
    (["-i", "lo", "--mold-session", "ABCDEFGHIJK"], "1 to 10 characters"),
    (["-i", "lo", "--mold-sequence", "1"], "holds no MoldUDP64 packets"),
    (["--sessions"], "holds no order flow"),
    (["-i", "lo", "--cpu", "4000"], "there are CPUs"),
    (["--sessions", "--verify", "{file}"], "holds no answers of order sessions"),
])
def test_what_does_not_go_together_is_refused_in_words(tmp_path, arguments, words):
    path = tmp_path / "a.pcap"
    pcap.write(path, [(TIME_NS, frame(b"nothing", ("10.0.0.1", 1), ("10.0.0.2", 2)))])
    before = os.sched_getaffinity(0)
    said = CliRunner().invoke(command, [str(path), *[a.format(file=path) for a in arguments]])
    assert said.exit_code in (1, 2) and words in said.output
    assert os.sched_getaffinity(0) == before
