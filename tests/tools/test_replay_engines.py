"""Every engine on a real wire: its bytes as captured at the other end, why it does not run, and
what takes its place."""

import errno
import json
import os
import socket
import threading

import numpy as np
import pytest

from appliance.shm import steer
from tests.tools.received import frames
from tests.tools.test_replay import TIME_NS, ends, frame_receiver, run  # noqa: F401
from tools import pcap
from tools.pcap import PcapError
from tools.replay.engines import EngineError, PacketEngine, RingEngine, open_engine
from tools.replay.live import BLOCK_SZ, LINE_SZ, PACKET_MAX, LiveEngine, layout
from tools.replay.run import Replay
from tools.sender import SendError

pytestmark = pytest.mark.alone

ENGINES = {"live": LiveEngine, "packet": PacketEngine, "ring": RingEngine}


def napi(namespace, device):
    """Lets a veth's peer transmit redirected frames."""
    namespace.run("ethtool", "-K", device, "gro", "on")


def mixed(path, count=500):
    """A capture of frames of every length from 60 bytes on, of random bytes but for the type."""
    random = np.random.default_rng(7)
    rows = [(TIME_NS + 10_000 * n, random.bytes(12) + b"\x08\x00"
             + random.bytes(46 + n * 1454 // count)) for n in range(count)]
    pcap.write(path, rows)
    return pcap.read(path)


class Heard:
    """A thread that takes what arrives at a device, until `all` was asked for and nothing comes."""

    def __init__(self, namespace, device):
        self.sock, self.frames = frame_receiver(namespace, device), []
        self.sock.settimeout(0.5)
        self.is_over = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while True:
            was_over = self.is_over
            try:
                self.frames.append(self.sock.recv(8192))
            except TimeoutError:
                if was_over:
                    return
            except OSError as gone:                # told once when the device goes down
                if gone.errno != errno.ENETDOWN:
                    raise

    def all(self):
        """Everything, called when everything was sent."""
        self.is_over = True
        self.thread.join()
        self.sock.close()
        return self.frames


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize("name", ENGINES)
def test_the_bytes_at_the_other_end_are_the_files(ends, tmp_path, name, timed):  # noqa: F811
    left, right = ends
    napi(left, "wm0")
    capture = mixed(tmp_path / "a.pcap")
    due = np.arange(len(capture), dtype=np.int64) * 20_000 if timed else None
    heard = Heard(left, "wm0")
    with right.entered(), ENGINES[name](capture, "wm1") as engine:
        report = Replay(capture, engine, due, loops=3).run()
    assert (report.packets, report.failed, report.dropped) == (1500, 0, 0)
    assert report.bytes == 3 * capture.lengths.sum() and report.engine == name
    assert heard.all() == 3 * frames(capture)
    assert report.jitter is None if not timed else report.jitter.count == 1500


@pytest.mark.parametrize("name", ["packet", "ring"])
def test_a_frame_that_does_not_fit_fails_alone(ends, tmp_path, name):  # noqa: F811
    left, right = ends
    path = tmp_path / "a.pcap"
    wanted = [bytes(12) + b"\x08\x00" + bytes([n]) * size for n, size in enumerate((60, 5000, 100))]
    pcap.write(path, [(TIME_NS, frame) for frame in wanted])
    heard = Heard(left, "wm0")
    with right.entered(), ENGINES[name](pcap.read(path), "wm1") as engine:
        report = Replay(engine.capture, engine).run()
    assert (report.packets, report.failed, report.bytes) == (2, 1, 188)
    assert heard.all() == [wanted[0], wanted[2]]


def test_live_frames_need_napi_at_the_peer_and_auto_goes_on_without(ends, tmp_path):  # noqa: F811
    left, right = ends
    path = tmp_path / "a.pcap"
    capture = mixed(path, 50)
    with right.entered(), LiveEngine(capture, "wm1") as engine, pytest.raises(
            EngineError, match="wm1 does not transmit redirected.*gro on"):
        Replay(capture, engine).run()
    heard = Heard(left, "wm0")
    code, out, _ = run(right, path, "-i", "wm1", "-t", "--json")
    told = json.loads(out)
    assert (code, told["engine"], told["packets"]) == (0, "packet", 50)
    assert len(told["why"]) == 1 and "gro on" in told["why"][0]
    assert heard.all() == frames(capture)
    napi(left, "wm0")
    heard = Heard(left, "wm0")
    code, out, _ = run(right, path, "-i", "wm1", "-t", "--json")
    assert (code, json.loads(out)["engine"], heard.all()) == (0, "live", frames(capture))


def test_an_engine_that_cannot_run_says_why(ends, tmp_path):  # noqa: F811
    _, right = ends
    long, path = tmp_path / "long.pcap", tmp_path / "a.pcap"
    pcap.write(long, [(TIME_NS, bytes(60)), (TIME_NS, bytes(PACKET_MAX + 1))])
    capture = mixed(path, 10)
    with right.entered():
        with pytest.raises(EngineError, match=f"packet 2 has {PACKET_MAX + 1} bytes; live frames"):
            LiveEngine(pcap.read(long), "wm1")
        with RingEngine(capture, "wm1"), pytest.raises(
                EngineError, match="AF_XDP socket cannot send on wm1 queue 0.*EBUSY"):
            RingEngine(capture, "wm1")
        for engine in ENGINES.values():
            with pytest.raises((SendError, EngineError), match="(?i)no .*(interface|device)"):
                engine(capture, "wm9")
    pcap.write(path, [(1, bytes(60))], link_type=101)
    for engine in ENGINES.values():
        with pytest.raises(PcapError, match="link type 101"):
            engine(pcap.read(path), "lo")


def test_auto_tells_all_reasons_when_nothing_runs(tmp_path):
    with pytest.raises(EngineError, match="live: no interface 'wm9' here; there are:"):
        open_engine("auto", mixed(tmp_path / "a.pcap", 10), "wm9")


def test_every_packet_lies_on_lines_of_its_own_in_one_block():
    lengths = np.random.default_rng(3).integers(14, PACKET_MAX + 1, 3000).astype(np.uint32)
    table, blocks = layout(lengths)
    begin = table["line"].astype(np.int64) * LINE_SZ
    assert begin.max() <= BLOCK_SZ - PACKET_MAX and table["block"].max() == blocks - 1
    place = table["block"].astype(np.int64) * BLOCK_SZ + begin
    assert (np.diff(place) >= lengths[:-1]).all()
    assert blocks * BLOCK_SZ < 1.2 * (-(-lengths.astype(np.int64) // LINE_SZ) * LINE_SZ).sum()


def test_what_a_device_does_not_take_is_counted_as_dropped(ends, tmp_path):  # noqa: F811
    left, right = ends
    capture = mixed(tmp_path / "a.pcap", 200)
    with left.entered():
        link = steer.attach(steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o").program("drop"),
                            socket.if_nametoindex("wm0"))
    with right.entered(), LiveEngine(capture, "wm1") as engine:
        job = Replay(capture, engine, loops=2)

        def unplug(_):
            os.close(link)                             # the peer's NAPI ends with its program
        job.before_loop = unplug
        report = job.run()
    assert report.packets == 400 and report.dropped == 200


@pytest.mark.parametrize("timed", [False, True])
def test_what_the_ring_loses_without_a_carrier_has_failed(ends, tmp_path, timed):  # noqa: F811
    """EBUSY: the kernel completed the frame and did not send it. The middle loop of three."""
    left, right = ends
    capture = mixed(tmp_path / "a.pcap", 300)
    due = np.arange(len(capture), dtype=np.int64) * 20_000 if timed else None
    heard = Heard(left, "wm0")
    with right.entered(), RingEngine(capture, "wm1") as engine:
        job = Replay(capture, engine, due, loops=3)
        job.before_loop = lambda loop: left.run("ip", "link", "set", "wm0",
                                                "down" if loop == 2 else "up")
        report = job.run()
        assert (report.packets, report.failed, report.dropped) == (600, 300, 0)
        assert report.bytes == 2 * capture.lengths.sum()
        assert os.strerror(report.last_errno) in report.text()
        assert report.last_errno == errno.EBUSY and report.retries == 0
    assert report.jitter is None if not timed else report.jitter.count == 600
    assert heard.all() == 2 * frames(capture)


def test_a_ring_without_a_carrier_ends_in_failure(ends, tmp_path):  # noqa: F811
    left, right = ends
    path = tmp_path / "a.pcap"
    mixed(path, 50)
    left.run("ip", "link", "set", "wm0", "down")
    code, out, _ = run(right, path, "-i", "wm1", "--engine", "ring", "-t", "--json")
    told = json.loads(out)
    assert (code, told["packets"], told["failed"], told["dropped"]) == (1, 0, 50, 0)


def test_a_live_frame_that_cannot_have_its_size_has_failed(ends, tmp_path):  # noqa: F811
    """Sizes no capture can ask for are written where the program reads them."""
    left, right = ends
    napi(left, "wm0")
    capture = mixed(tmp_path / "a.pcap", 100)
    heard = Heard(left, "wm0")
    with right.entered(), LiveEngine(capture, "wm1") as engine:
        engine.packets["sz"][[7, 50]] = 13, 12                  # shorter than an Ethernet header
        report = Replay(capture, engine).run()
    assert (report.packets, report.failed, report.dropped) == (98, 2, 0)
    assert report.last_errno == errno.EMSGSIZE and os.strerror(errno.EMSGSIZE) in report.text()
    wanted = frames(capture)
    assert heard.all() == wanted[:7] + wanted[8:50] + wanted[51:]
