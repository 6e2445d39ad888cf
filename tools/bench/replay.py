"""`wirematch bench replay`: the replay tool beside a bare generator, and how well it keeps time.

    wirematch bench replay [--packets N] [--rounds N] [--rate N] [--file FILE] [--json]

Two namespaces joined by a veth; at the far end an XDP program counts what arrives, notes when, and
drops it. The bare generator is the least that can send there: the kernel's live frames, all one
never written frame of the capture's average length, redirected (measure.bpf.c `forward`). The tool
sends a capture file by its in-kernel engine at full speed. Rounds of both stand next to each other,
on the same core; medians are printed. Then each engine sends packets in the file's own time,
`--rate` a second on average with exponential gaps, and is judged by the arrivals. It needs root.

A figure is printed only when every packet arrived with its bytes counted.
"""

import argparse
import contextlib
import json
import os
import statistics
import struct
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from appliance.native import check, lib
from appliance.shm import steer
from tools import pcap
from tools.netns import Namespace, mac_of, veth_pair, why_not
from tools.record import frame
from tools.replay.engines import PacketEngine, RingEngine
from tools.replay.live import BATCH, CALL, LiveEngine, Loaded, Resident
from tools.replay.pacing import schedule
from tools.replay.run import Replay

ENGINES = {"live": LiveEngine, "packet": PacketEngine, "ring": RingEngine}
HERE, THERE = "10.79.0.1", "10.79.0.2"
SIZES = (40, 120)                     # of payloads made: 82 to 162 bytes of frame, as orders have
MADE_MAX = 4096                       # different packets in a made capture
SETTLE_S, WITHIN_NS = 0.05, 20_000


class Lost(RuntimeError):
    """Packets did not arrive, so there is no figure."""


def make_capture(path, count, rate) -> None:
    """Writes a capture of UDP datagrams between the ends, `rate` a second on average."""
    random = np.random.default_rng(1)
    macs = b"".join(bytes.fromhex(mac_of(ip).replace(":", "")) for ip in (HERE, THERE))
    frames = [macs + frame(random.bytes(int(size)), (THERE, 42001), (HERE, 26400))[12:]
              for size in random.integers(*SIZES, MADE_MAX)]
    sizes = np.array([len(each) for each in frames])
    which = np.arange(count) % MADE_MAX
    times = 1_700_000_000 * 10**9 + np.cumsum(random.exponential(1e9 / rate, count)).astype(int)
    with pcap.Writer(path) as writer:
        writer.write(times, np.frombuffer(b"".join(frames), np.uint8),
                     (np.cumsum(sizes) - sizes)[which], sizes[which])


class Field:
    """The two ends; `far` is entered to send, `seen` counts frames and bytes at the near end."""

    def __init__(self, count):
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", HERE, self.far, "wm1", THERE)
        self.ifindex = self.far.ifindex("wm1")
        self.witness = Loaded(arrived_ns=count)
        self.seen = self.witness.mapped("seen", np.uint64, 2)
        self.arrived_ns = self.witness.mapped("arrived_ns", np.int64, count)
        with self.near.entered():
            self.link = steer.attach(self.witness.program("witness"), self.near.ifindex("wm0"))
        bare = steer.BpfObject(steer.BPF_FOLDER / "measure.bpf.o")
        self.forward, self.devices = bare.program("forward"), bare.map("devices")
        bare.close()
        self.resident = Resident(self.forward)
        with self.far.entered():              # a device map takes devices of the thread's namespace
            steer.map_set(self.devices, bytes(4), struct.pack("=I", self.ifindex))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in (self.link, self.forward, self.devices):
            os.close(fd)
        self.resident.close()
        self.witness.close()
        self.near.close()
        self.far.close()

    @contextlib.contextmanager
    def judged(self, what, frames, sizes):
        """Raises Lost unless so many frames and bytes arrive inside the block."""
        self.seen[:] = 0
        yield
        time.sleep(SETTLE_S)
        if tuple(map(int, self.seen)) != (frames, sizes):
            raise Lost(f"{what}: {frames} packets of {sizes} bytes were sent, {self.seen[0]} of "
                       f"{self.seen[1]} arrived; other traffic, or the veth's ring was full")

    def bare(self, count, size) -> float:
        """Packets a second of the bare generator."""
        one = bytes(size)
        with self.judged("bare generator", count, count * size), self.far.entered():
            begun = time.perf_counter()
            for at in range(0, count, CALL):
                check(lib.wm_xdp_live_run(self.forward, one, size, self.ifindex, 0,
                                          min(CALL, count - at), BATCH),
                      "generating live frames", "it needs Linux 5.18 or newer")
            return count / (time.perf_counter() - begun)

    def replay(self, engine) -> float:
        """Packets a second of the tool at full speed."""
        capture = engine.capture
        with self.judged(f"engine {engine.kind}", len(capture), int(capture.lengths.sum())), \
                self.far.entered():
            report = Replay(capture, engine).run()
        return report.packets / report.seconds

    def keep_time(self, engine, due_ns) -> dict:
        """How long after their time packets arrive, in us, sent in the capture's own time."""
        capture = engine.capture
        with self.judged(f"engine {engine.kind}", len(capture), int(capture.lengths.sum())), \
                self.far.entered():
            job = Replay(capture, engine, due_ns)
            job.run()
        late_ns = self.arrived_ns[:len(capture)] - job.zero_ns - due_ns
        p50, p99, p99_9 = np.percentile(late_ns, (50, 99, 99.9))
        return {"within_20_us": float((late_ns <= WITHIN_NS).mean()), "p50_us": p50 / 1e3,
                "p99_us": p99 / 1e3, "p99_9_us": p99_9 / 1e3, "max_us": int(late_ns.max()) / 1e3,
                "early": int((late_ns < 0).sum())}


def _head(capture, count):
    """The first packets of a capture."""
    return replace(capture, offsets=capture.offsets[:count].copy(),
                   lengths=capture.lengths[:count].copy(),
                   times_ns=capture.times_ns[:count].copy())


def _before_others() -> str:
    """Takes SCHED_FIFO, where it may; the scheduler's name."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    except OSError:
        return "SCHED_OTHER"
    return "SCHED_FIFO"


def measure(options, path, note) -> dict:
    """The report that --json prints. Raises Lost, OSError, PcapError."""
    capture = pcap.read(path, options.packets, drop_cut_tail=True)
    size = round(float(capture.lengths.mean()))
    core = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        with Field(len(capture)) as field:
            bare, tool = [], []
            with field.far.entered():
                engine = LiveEngine(capture, "wm1")
            with engine:
                field.replay(engine)                               # warm
                for number in range(options.rounds):
                    note(f"round {number + 1} of {options.rounds}")
                    bare.append(field.bare(len(capture), size))
                    tool.append(field.replay(engine))
            timing = {}
            short = _head(capture, min(len(capture), int(options.rate * options.seconds)))
            due_ns = schedule(short, pps=None if options.own_time else options.rate)
            scheduler = _before_others()
            for name, kind in ENGINES.items():
                note(f"engine {name} in time")
                with field.far.entered():
                    engine = kind(short, "wm1")
                with engine:
                    timing[name] = field.keep_time(engine, due_ns)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, before)
    ceiling, measured = statistics.median(bare), statistics.median(tool)
    return {"ceiling": ceiling, "measured": measured, "ratio": measured / ceiling, "lost": 0,
            "mode": "live frames, veth native", "wait": "spin", "cores": [core],
            "packets": len(capture), "bytes_a_packet": size, "rounds": options.rounds,
            "ceiling_rounds": bare, "measured_rounds": tool,
            "scheduler_in_time": scheduler,
            "timing": {"packets": len(short), "packets_a_second": len(short) * 1e9 / max(
                1, int(due_ns[-1])), **timing}}


def show(report) -> None:
    """The report for people."""
    print(f"{report['packets']:,} packets of {report['bytes_a_packet']} bytes on average; "
          f"{report['mode']}, core {report['cores'][0]}; medians of {report['rounds']}, lost 0")
    print(f"  bare generator {report['ceiling'] / 1e6:.2f} M/s, replay "
          f"{report['measured'] / 1e6:.2f} M/s, ratio {report['ratio']:.3f}")
    timing = report["timing"]
    print(f"in time, {timing['packets']:,} packets, {timing['packets_a_second']:,.0f} a second, at "
          f"the far end by {report['scheduler_in_time']}, us after their time:")
    for name in ENGINES:
        row = timing[name]
        print(f"  {name:<7} within 20 us {row['within_20_us']:.2%}, p50 {row['p50_us']:.1f}, p99 "
              f"{row['p99_us']:.1f}, p99.9 {row['p99_9_us']:.1f}, worst {row['max_us']:.1f}")


def main(arguments=None) -> int:
    """Exit codes: 0 done, 1 a check failed, 77 cannot run here."""
    parser = argparse.ArgumentParser(prog="wirematch bench replay", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--rate", type=float, default=10_000, help="packets a second in time")
    parser.add_argument("--seconds", type=float, default=3, help="in time")
    parser.add_argument("--file", help="a capture to send instead of one made here")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(arguments)
    if min(options.packets, options.rounds, options.rate, options.seconds) <= 0:
        parser.error("--packets, --rounds, --rate and --seconds: more than 0")
    options.own_time = not options.file
    if (reason := why_not()):
        print(f"bench replay: {reason}", file=sys.stderr)
        return 77

    def note(text):
        print(text, file=sys.stderr, flush=True)

    try:
        with tempfile.TemporaryDirectory(prefix="wirematch-bench-") as folder:
            path = options.file or Path(folder) / "made.pcap"
            if not options.file:
                make_capture(path, options.packets, options.rate)
            report = measure(options, path, note)
    except (RuntimeError, OSError, ValueError) as error:
        print(f"bench replay: {error}", file=sys.stderr)
        return 1
    if options.as_json:
        print(json.dumps(report))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
