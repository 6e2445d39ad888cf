"""What became of a replay: counts, rates, how late packets left, as text, JSON or a picture.

Lateness is the time a packet had left less the time it was due, from the engine's own stamps, in a
histogram of sixteen steps to the octave, so percentiles are right within 6 %.
"""

import os
from dataclasses import dataclass, field

import numpy as np

LATE_NS = 1_000_000          # a packet sent later than this after its time counts as late
OCTAVE = 16
BIN_CNT = 64 * OCTAVE
EDGES_US = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 100_000, 1_000_000)
RATE_POINTS = 4096
INK, MUTED, OURS = "#222222", "#777777", "#c8442b"


class Jitter:
    """A histogram of lateness; `add` takes an array of ns."""

    def __init__(self):
        self.bins, self.max_ns, self.count = np.zeros(BIN_CNT, np.int64), 0, 0

    def add(self, late_ns):
        """Counts them; before its time is on time."""
        if not len(late_ns):
            return
        late_ns = np.maximum(late_ns, 0)
        self.max_ns = max(self.max_ns, int(late_ns.max()))
        self.count += len(late_ns)
        places = (np.log2(late_ns + 1.0) * OCTAVE).astype(np.int64)
        self.bins += np.bincount(np.minimum(places, BIN_CNT - 1), minlength=BIN_CNT)

    def percentile_us(self, share) -> float:
        """The lateness that this share (0 to 1) of the packets does not exceed."""
        if not self.count:
            return 0.0
        at = int(np.searchsorted(np.cumsum(self.bins), share * self.count - 1e-9))
        return min(float(2 ** ((at + 1) / OCTAVE) - 1), self.max_ns) / 1e3

    def within(self, us) -> float:
        """The share of packets that left within so many microseconds of their time."""
        last = int(np.log2(us * 1e3 + 1.0) * OCTAVE)
        return float(self.bins[:last].sum() / self.count) if self.count else 1.0

    def rows(self) -> list:
        """[upper bound in us (None: above all), packets] of the coarse histogram."""
        totals = np.cumsum(self.bins)
        below = [0] + [int(totals[int(np.log2(edge * 1e3 + 1.0) * OCTAVE) - 1])
                       for edge in EDGES_US] + [self.count]
        return [[edge, int(count)] for edge, count in zip(
            (*EDGES_US, None), np.diff(below), strict=True)]

    def facts(self) -> dict:
        """What --json says of it."""
        return {"p50_us": self.percentile_us(0.5), "p99_us": self.percentile_us(0.99),
                "p99_9_us": self.percentile_us(0.999), "max_us": self.max_ns / 1e3,
                "within_20_us": self.within(20), "histogram_us": self.rows()}


@dataclass
class Report:
    """What became of a replay. packets and bytes: left this machine. failed: did not. dropped: the
    device did not take, of those that left.

    seconds: from the first packet to the last, pauses and the wait for logins left out. late: left
    more than late_ns after their time; latest_ns: the worst. loops: begun. engine: its name; why:
    what was said of engines that did not run. paused: times. stopped: interrupted before the end.
    rate: (seconds, packets so far) now and then."""

    packets: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failed: int = 0
    dropped: int = 0
    late: int = 0
    latest_ns: int = 0
    late_ns: int = LATE_NS
    retries: int = 0
    loops: int = 0
    paused: int = 0
    stopped: bool = False
    engine: str = ""
    why: list = field(default_factory=list)
    jitter: Jitter | None = None
    rate: list = field(default_factory=list)
    last_errno: int = 0

    @property
    def pps(self):
        """Packets a second."""
        return self.packets / self.seconds if self.seconds else 0.0

    @property
    def mbps(self):
        """Megabits of frames a second, as tcpreplay counts them."""
        return self.bytes * 8e-6 / self.seconds if self.seconds else 0.0

    def lateness(self, late_ns):
        """Takes the lateness of packets that have left (i64 array)."""
        self.jitter = self.jitter or Jitter()
        self.jitter.add(late_ns)
        self.latest_ns = self.jitter.max_ns
        self.late += int((late_ns > self.late_ns).sum())

    def point(self):
        """Notes where it stands, for the picture; every other point goes when there are many."""
        self.rate.append((self.seconds, self.packets))
        if len(self.rate) > RATE_POINTS:
            self.rate = self.rate[::2]

    def line(self) -> str:
        """One line for people."""
        return (f"{self.packets:,} packets, {self.bytes:,} bytes, {self.seconds:.2f} s, "
                f"{self.pps:,.0f} pps, {self.mbps:,.2f} Mbps, {self.failed:,} failed, "
                f"{self.late:,} late")

    def facts(self) -> dict:
        """What --json prints."""
        names = ("packets", "bytes", "seconds", "failed", "dropped", "late", "latest_ns", "late_ns",
                 "retries", "loops", "paused", "stopped", "engine", "why", "pps", "mbps")
        jitter = {"jitter": self.jitter.facts()} if self.jitter else {}
        return {name: getattr(self, name) for name in names} | jitter

    def text(self) -> str:
        """All of it for people."""
        rows = [f"{self.line()}, engine {self.engine}" + (" (stopped)" if self.stopped else "")]
        rows += [f"not {reason}" for reason in self.why]
        if self.failed:
            rows.append(f"failed: the last one with {os.strerror(self.last_errno)}")
        if self.dropped:
            rows.append(f"dropped: {self.dropped:,} of the packets were not taken by the device")
        if self.late:
            rows.append(f"late: more than {self.late_ns / 1e6:g} ms after their time, at worst "
                        f"{self.latest_ns / 1e6:.2f} ms")
        if self.jitter:
            rows += self._histogram()
        return "\n".join(rows)

    def _histogram(self):
        facts, most = self.jitter, max(count for _, count in self.jitter.rows()) or 1
        rows = [f"after their time: p50 {facts.percentile_us(0.5):.1f} us, p99 "
                f"{facts.percentile_us(0.99):.1f} us, p99.9 {facts.percentile_us(0.999):.1f} us, "
                f"worst {facts.max_ns / 1e3:.1f} us"]
        for edge, count in facts.rows():
            if count:
                name = f"to {edge:,} us" if edge else f"over {EDGES_US[-1]:,} us"
                rows.append(f"  {name:>15} {count:>12,} {'#' * -(-40 * count // most)}")
        return rows


def draw(report, title, path):
    """A PNG: packets a second over time and, where packets had a time, how late they left.

    Raises ModuleNotFoundError without matplotlib, OSError when it cannot be written."""
    import matplotlib
    from matplotlib.figure import Figure
    with matplotlib.rc_context({"font.size": 9, "axes.edgecolor": MUTED, "text.color": INK,
                                "axes.labelcolor": INK, "xtick.color": MUTED,
                                "ytick.color": MUTED}):
        figure = Figure(figsize=(9, 3.6), dpi=160)
        axes = figure.subplots(1, 2 if report.jitter else 1, squeeze=False)[0]
        _draw_rate(axes[0], report)
        if report.jitter:
            _draw_jitter(axes[1], report.jitter)
        for each in axes:
            each.spines[["top", "right"]].set_visible(False)
            each.grid(axis="y", color="#e4e4e4", linewidth=0.6)
            each.set_axisbelow(True)
        figure.text(0.99, 0.01, f"{title}: {report.line()}, engine {report.engine}", ha="right",
                    fontsize=7, color=MUTED)
        figure.tight_layout(rect=(0, 0.03, 1, 1))
        figure.savefig(path)


def _draw_rate(axes, report):
    points = np.array([(0.0, 0), *report.rate], float).reshape(-1, 2)
    seconds, packets = np.diff(points[:, 0]), np.diff(points[:, 1])
    known = seconds > 0
    axes.plot(points[1:, 0][known], packets[known] / seconds[known], color=OURS, linewidth=1.2)
    axes.set_title("packets a second, over seconds", fontsize=10, loc="left")
    axes.set_ylim(bottom=0)


def _draw_jitter(axes, jitter):
    places = np.arange(BIN_CNT)
    used = np.flatnonzero(jitter.bins)
    low, high = max(0, int(used.min()) - 4), int(used.max()) + 5
    edges = (2.0 ** (places[low:high] / OCTAVE)) / 1e3
    axes.bar(edges, jitter.bins[low:high], width=edges * (2 ** (1 / OCTAVE) - 1), align="edge",
             color=OURS)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title("packets, by microseconds after their time", fontsize=10, loc="left")
