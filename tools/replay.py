"""`wirematch replay FILE.pcap`: sends a capture again, in its own time or another.

The letters are tcpreplay's: -x -p -M -t -l --limit --stats. Packets leave at their time: sleep,
then spin, then all that is due goes in one batch. An order pcap begins with logins; the first
order waits until they may have been answered.
"""

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass

import click
import numpy as np

from . import pcap as pcap_file
from .flow import endpoint, mac
from .flows.commands import SourceError
from .options import Finite
from .sender import RawSender, SendError, UdpSender, ip_text, payloads, rewrite, wait

BATCH = 512
SLICE_NS = 100_000_000       # a look at the clock, Ctrl-C and the progress line at least this often
LATE_NS = 1_000_000          # a packet sent later than this after its time counts as late
FAR_NS = 1 << 61             # what is due later than this is due then, in 73 years
MOLD_HEADER_SZ = 20


@dataclass
class Report:
    """What became of a replay. packets and bytes: left this machine's socket. failed: did not.

    seconds: from the first packet to the last, the wait for the logins left out.
    late: left more than 1 ms after their time; latest_ns: the worst. loops: begun. sender: its
    kind. stopped: interrupted before the end."""

    packets: int = 0
    bytes: int = 0
    seconds: float = 0.0
    failed: int = 0
    late: int = 0
    latest_ns: int = 0
    retries: int = 0
    loops: int = 0
    stopped: bool = False
    sender: str = ""

    @property
    def pps(self):
        """Packets a second."""
        return self.packets / self.seconds if self.seconds else 0.0

    @property
    def mbps(self):
        """Megabits of frames a second, as tcpreplay counts them."""
        return self.bytes * 8e-6 / self.seconds if self.seconds else 0.0

    def line(self) -> str:
        """One line for people."""
        return (f"{self.packets:,} packets, {self.bytes:,} bytes, {self.seconds:.2f} s, "
                f"{self.pps:,.0f} pps, {self.mbps:,.2f} Mbps, {self.failed:,} failed, "
                f"{self.late:,} late")


def login_count(capture) -> int:
    """How many packets at the beginning are logins of order entry (MoldUDP64 number 0, an `L`)."""
    count, found = 0, payloads(capture)
    for start, size in zip(found.starts.tolist(), found.sizes.tolist(), strict=True):
        if start < 0 or size < MOLD_HEADER_SZ + 3:
            break
        payload = bytes(capture.data[start:start + MOLD_HEADER_SZ + 3])
        if payload[10:18] != bytes(8) or payload[22:23] != b"L":
            break
        count += 1
    return count


def schedule(capture, *, multiplier=1.0, pps=None, mbps=None, top_speed=False):
    """When each packet is due, in ns from the first (i64), or None for top speed.

    The capture's own time divided by `multiplier`, or a fixed rate of packets or megabits."""
    count = len(capture)
    if top_speed:
        return None
    slowest = 1 / FAR_NS
    if pps:
        due_ns = np.arange(count) * (1e9 / max(pps, slowest))
    elif mbps:
        before = np.concatenate(([0], np.cumsum(capture.lengths.astype(np.int64))[:-1]))
        due_ns = before * (8e3 / max(mbps, slowest))
    else:
        times = np.maximum.accumulate(capture.times_ns)
        due_ns = (times - times[0]) / max(multiplier, slowest)
    return np.minimum(due_ns, FAR_NS).astype(np.int64)


class Replay:
    """One replay: `run()` sends everything; `report` is filled meanwhile; `stop()` ends it soon."""

    def __init__(self, capture, sender, due_ns=None, loops=1, logins=0, login_wait=0.0,
                 progress=None):
        self.capture, self.sender, self.due_ns = capture, sender, due_ns
        self.loops, self.logins, self.login_wait_ns = loops, logins, int(login_wait * 1e9)
        self.progress, self.report = progress, Report(sender=sender.kind)
        self._bytes = np.concatenate(([0], np.cumsum(capture.lengths.astype(np.int64))))
        self._stopped, self._begin_ns, self._paused_ns = False, 0, 0

    def stop(self, *_):
        """Ends `run` at the next look, a tenth of a second at most."""
        self._stopped = True

    def run(self) -> Report:
        """Sends all loops (0: until stopped). Raises SendError when the interface goes away."""
        self._begin_ns = time.monotonic_ns()
        count, report = len(self.capture), self.report
        while not self._stopped and count and (report.loops < self.loops or not self.loops):
            report.loops += 1
            zero_ns = time.monotonic_ns()
            if self.logins and report.loops == 1:
                self._span(0, self.logins, zero_ns)
                wait_ns = self.login_wait_ns - (0 if self.due_ns is None or self.logins >= count
                                                else int(self.due_ns[self.logins]))
                zero_ns += max(0, wait_ns)
                self._pause(zero_ns)       # with its own time kept, the capture waits by itself
                self._span(self.logins, count, zero_ns)
            else:
                self._span(0, count, zero_ns)
        self._note()
        report.stopped = self._stopped
        return report

    def _pause(self, until_ns):
        begin_ns = time.monotonic_ns()
        while not self._stopped and (left_ns := until_ns - time.monotonic_ns()) > 0:
            time.sleep(min(left_ns, SLICE_NS) * 1e-9)
        self._paused_ns += time.monotonic_ns() - begin_ns

    def _note(self):
        self.report.seconds = (time.monotonic_ns() - self._begin_ns - self._paused_ns) * 1e-9
        self.report.failed, self.report.retries = self.sender.failed, self.sender.retries

    def _span(self, start, stop, zero_ns):
        """Sends packets [start, stop), each at its time after zero_ns."""
        at, look_ns = start, 0
        while at < stop and not self._stopped:
            end = min(stop, at + BATCH)
            if self.due_ns is not None:
                now_ns = time.monotonic_ns()
                end = at + wait(self.due_ns, at, end, zero_ns, now_ns + SLICE_NS)
            if end > at:
                if self.due_ns is not None:
                    self._judge(at, end, zero_ns)
                failed_bytes = self.sender.failed_bytes
                self.report.packets += self.sender.send(at, end)
                self.report.bytes += (int(self._bytes[end] - self._bytes[at])
                                      - (self.sender.failed_bytes - failed_bytes))
                at = end
            if time.monotonic_ns() > look_ns:
                self._note()
                if self.progress:
                    self.progress(self.report)
                look_ns = time.monotonic_ns() + SLICE_NS

    def _judge(self, start, end, zero_ns):
        """Counts the packets of a batch that are late."""
        now_ns = time.monotonic_ns() - zero_ns
        behind_ns = now_ns - int(self.due_ns[start])
        self.report.latest_ns = max(self.report.latest_ns, behind_ns)
        if behind_ns > LATE_NS:
            self.report.late += int(np.searchsorted(self.due_ns[start:end], now_ns - LATE_NS))


class _Progress:
    """A line that renews itself on a terminal, and one that stays every `stats` seconds."""

    def __init__(self, stats):
        self.live, self.stats = sys.stderr.isatty() and not stats, stats
        self._next = time.monotonic() + (stats or 0.5)

    def __call__(self, report):
        now = time.monotonic()
        if now < self._next or not (self.live or self.stats):
            return
        self._next = now + (self.stats or 0.5)
        click.echo(f"\r\x1b[K{report.line()}" if self.live else report.line(), err=True,
                   nl=not self.live)

    def end(self):
        """Clears the line."""
        if self.live:
            click.echo("\r\x1b[K", err=True, nl=False)


def _one_pace(multiplier, pps, mbps, top_speed):
    """Raises UsageError when more than one pace was asked for."""
    given = [letter for letter, value in (("-x", multiplier), ("-p", pps), ("-M", mbps),
                                          ("-t", top_speed)) if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} are two paces; give one of -x, -p, -M, -t")


def open_sender(capture, interface=None, use_socket=False, to=None, to_mac=None, from_mac=None,
                from_ip=None):
    """(capture, sender): readdressed as asked. to: "IP:PORT", "IP" (ports stay, as an order pcap of
    several partitions needs it) or None; from_ip: "IP" or None."""
    destination = None
    if to:
        destination = endpoint(to) if ":" in to else (_ip(to), 0)
    from_ip = _ip(from_ip) if from_ip else None
    sources = {(ip, 0): (from_ip, 0) for ip in _ips(payloads(capture).sources)} if from_ip else {}
    if use_socket:
        targets = {(ip, 0): destination for ip in _ips(payloads(capture).targets)} if to else {}
        return capture, UdpSender(capture, targets, sources)
    if to or to_mac or from_mac or from_ip:
        capture = rewrite(capture, destination=destination, sources=sources,
                          destination_mac=mac(to_mac) if to_mac else None,
                          source_mac=mac(from_mac) if from_mac else None)
    return capture, RawSender(capture, interface)


def _ip(text):
    """The address itself. Raises SourceError."""
    try:
        return endpoint(f"{text}:1")[0]
    except SourceError:
        raise SourceError(f"{text!r} is not an IPv4 address such as 10.77.0.1") from None


def _ips(ends):
    """The different addresses of (ip, port) rows, as texts."""
    return [ip_text(number) for number in np.unique(ends[:, 0]).tolist()]


@click.command("replay", short_help="Send a pcap again, in its own time or another.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--interface", "-i", help="Interface to send frames on (root or CAP_NET_RAW).")
@click.option("--socket", "use_socket", is_flag=True, help="Send payloads by UDP sockets instead.")
@click.option("-x", "--multiplier", type=Finite(0, min_open=True),
              help="So many times the capture's speed (default 1).")
@click.option("-p", "--pps", type=Finite(0, min_open=True), help="Packets a second.")
@click.option("-M", "--mbps", type=Finite(0, min_open=True), help="Megabits a second.")
@click.option("-t", "--topspeed", is_flag=True, help="As fast as possible.")
@click.option("-l", "--loop", default=1, show_default=True, type=click.IntRange(0),
              help="Times; 0 = until interrupted.")
@click.option("--limit", type=click.IntRange(1), help="The first N packets only.")
@click.option("--stats", type=Finite(0, min_open=True), help="A line every SECS seconds.")
@click.option("--to", help="IP:PORT to send to instead, or IP (ports stay).")
@click.option("--from", "from_ip", help="IP to send from instead (ports stay).")
@click.option("--to-mac", help="Destination MAC instead.")
@click.option("--from-mac", help="Source MAC instead.")
@click.option("--login-wait", default=0.5, show_default=True, type=Finite(0),
              help="Seconds from an order pcap's logins to its first order, at least.")
@click.option("--drop-cut-tail", is_flag=True, help="Leave out a last packet that is not whole.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
def command(file, interface, use_socket, multiplier, pps, mbps, topspeed, loop, limit, stats, to,
           from_ip, to_mac, from_mac, login_wait, drop_cut_tail, as_json):
    """Send the packets of a classic pcap file."""
    _one_pace(multiplier, pps, mbps, topspeed)
    if bool(interface) == use_socket:
        raise click.UsageError("give --interface IF (raw frames) or --socket (UDP payloads)")
    try:
        capture = pcap_file.read(file, limit, drop_cut_tail)
        if not len(capture):
            raise pcap_file.PcapError(f"{file} holds no packets")
        capture, sender = open_sender(capture, interface, use_socket, to, to_mac, from_mac, from_ip)
    except (pcap_file.PcapError, SendError, SourceError, OSError) as problem:
        raise click.ClickException(getattr(problem, "strerror", None) or str(problem)
                                   if isinstance(problem, SendError) else str(problem)) from problem
    logins = login_count(capture)
    due_ns = schedule(capture, multiplier=multiplier or 1.0, pps=pps, mbps=mbps, top_speed=topspeed)
    progress = _Progress(stats)
    with sender:
        job = Replay(capture, sender, due_ns, loop, logins, login_wait, progress)
        before = signal.signal(signal.SIGINT, job.stop), signal.signal(signal.SIGTERM, job.stop)
        try:
            report = job.run()
        except SendError as problem:
            report = job.report
            click.echo(f"Error: {problem.strerror}", err=True)
            report.stopped = True
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
            progress.end()
    _summary(file, report, as_json, sender.last_errno)
    if report.stopped or report.failed:
        raise SystemExit(1)


def _summary(file, report, as_json, last_errno):
    """Prints the summary, for people or as JSON."""
    if as_json:
        click.echo(json.dumps({"file": str(file), **asdict(report), "pps": report.pps,
                               "mbps": report.mbps}))
        return
    click.echo(f"{file}: {report.line()}" + (" (stopped)" if report.stopped else ""))
    if report.failed:
        click.echo(f"failed: the last one with {os.strerror(last_errno)}")
    if report.late:
        click.echo(f"late: more than {LATE_NS / 1e6:g} ms after their time, at worst "
                   f"{report.latest_ns / 1e6:.2f} ms")
