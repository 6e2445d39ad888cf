"""The command line of `wirematch replay`. Its letters are tcpreplay's: -i -x -p -M -t -l."""

import contextlib
import json
import os
import sys
import time
import tomllib
from dataclasses import replace

import click

from appliance.client.session import LoginError
from tools import pcap as pcap_file
from tools.flow import endpoint, mac
from tools.flows.commands import SourceError
from tools.options import Finite
from tools.pcap import PcapError
from tools.rewrite import Mold, retag, rewrite
from tools.sender import SendError, payloads

from . import files, report as reports, verify as verifying
from .engines import NAMES, EngineError, addresses, open_engine
from .pacing import schedule
from .run import Replay
from .sessions import Keeper, Orders

MOLD_HEADER_SZ, REALTIME_PRIORITY = 20, 50
TROUBLE = (PcapError, SendError, EngineError, SourceError, LoginError, TimeoutError, OSError)


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


class _Progress:
    """A line that renews itself on a terminal, and one that stays every `stats` seconds."""

    def __init__(self, stats):
        self.live, self.stats = sys.stderr.isatty() and not stats, stats
        self._next = time.monotonic() + (stats or 0.5)

    def due(self):
        """Whether it is time for a line."""
        return bool(self.live or self.stats) and time.monotonic() >= self._next

    def __call__(self, report):
        self._next = time.monotonic() + (self.stats or 0.5)
        click.echo(f"\r\x1b[K{report.line()}" if self.live else report.line(), err=True,
                   nl=not self.live)

    def end(self):
        """Clears the line."""
        if self.live:
            click.echo("\r\x1b[K", err=True, nl=False)


def _refuse(options):
    """Raises UsageError for options that do not go together."""
    given = [letter for letter, key in (("-x", "multiplier"), ("-p", "pps"), ("-M", "mbps"),
                                        ("-t", "topspeed")) if options[key]]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} are two paces; give one of -x, -p, -M, -t")
    if options["use_socket"]:
        if options["engine"] not in ("auto", "socket"):
            raise click.UsageError(f"--socket is --engine socket, not {options['engine']}")
        options["engine"] = "socket"
    by_frames = bool(options["interface"])
    if not options["sessions"] and by_frames == (options["engine"] == "socket"):
        raise click.UsageError("give --interface IF (frames, by an engine live, packet or ring) or "
                               "--socket (UDP payloads)")
    if options["engine"] in ("live", "packet", "ring") and not by_frames:
        raise click.UsageError(f"--engine {options['engine']} sends frames: give --interface IF")
    if options["verify"] and not options["sessions"]:
        raise click.UsageError("--verify compares the answers to live sessions: give --sessions")
    if options["verify"] and options["loop"] != 1:
        raise click.UsageError("--verify compares one run with one recording: leave --loop out")
    if options["answers"] and not options["sessions"]:
        raise click.UsageError("--answers writes the answers to live sessions: give --sessions")
    if options["sessions"] and (options["mold_session"] or options["mold_sequence"] is not None
                                or options["mold_continue"]):
        raise click.UsageError("--sessions renumbers by itself: leave the --mold options out")
    if options["vlan"] is not None and options["untag"]:
        raise click.UsageError("--vlan and --untag: one or the other")


def _ip(text):
    """The address itself. Raises SourceError."""
    try:
        return endpoint(f"{text}:1")[0]
    except SourceError:
        raise SourceError(f"{text!r} is not an IPv4 address such as 10.77.0.1") from None


def _end(text):
    """(ip, port) of "IP" or "IP:PORT"; port 0 where there is none."""
    return endpoint(text) if ":" in text else (_ip(text), 0)


def tables(capture, options):
    """(destination, sources) as `rewrite` takes them, of --to, --from and --map."""
    destination = _end(options["to"]) if options["to"] else None
    sources = {}
    if options["from_ip"]:
        new = _ip(options["from_ip"])
        sources = {(ip, 0): (new, 0) for ip in addresses(capture, "sources")}
    exchanged = {}
    for text in options["map"]:
        old, _, new = text.partition("=")
        if not new:
            raise SourceError(f"--map {text!r} is not OLD=NEW, such as 10.0.0.1=10.77.0.1 or "
                              "10.0.0.1:5000=10.77.0.1:6000")
        exchanged[_end(old)] = _end(new)
    if destination and exchanged:
        raise SourceError("--to and --map: put the destination into --map instead")
    return destination or exchanged or None, exchanged | sources


def readdressed(capture, options):
    """The capture with the addresses, MACs and tags that were asked for."""
    destination, sources = tables(capture, options)
    macs = {key: mac(options[name]) for key, name in (("destination_mac", "to_mac"),
                                                      ("source_mac", "from_mac")) if options[name]}
    if destination or sources or macs:
        capture = rewrite(capture, destination=destination, sources=sources, **macs)
    if options["untag"] or options["vlan"] is not None:
        capture = retag(capture, None if options["untag"] else options["vlan"])
    return capture


def _renumbering(capture, options):
    """(capture, what to do before a loop): MoldUDP64 names and numbers as asked for."""
    name, first = options["mold_session"], options["mold_sequence"]
    if not (name or first is not None or options["mold_continue"]):
        return capture, None
    if name and not 1 <= len(name.encode()) <= 10:
        raise SourceError(f"--mold-session {name!r}: 1 to 10 characters")
    capture = replace(capture, data=capture.data.copy())
    mold = Mold(capture)
    if not mold.which.any():
        raise PcapError(f"{capture.path} holds no MoldUDP64 packets to renumber")
    name = name.encode().ljust(10) if name else None
    mold.renumber(name, first)
    if not options["mold_continue"]:
        return capture, None
    return capture, lambda loop: mold.renumber(name, first, loop - 1)


def _accounts(path):
    """({account: password}, {token: account}) of a TOML with [[accounts]] and, perhaps,
    [[flow.sessions]]. Raises PcapError."""
    try:
        with open(path, "rb") as file:
            content = tomllib.load(file)
        return ({row["name"]: row["password"] for row in content["accounts"]},
                {row["token"]: row["account"]
                 for row in content.get("flow", {}).get("sessions", ())})
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as problem:
        raise PcapError(f"{path}: {problem!r}; it needs [[accounts]] with name and password, and "
                        "may have [[flow.sessions]] with token and account") from problem


def _place(options):
    """The process on the CPU and with the priority that were asked for. Raises SendError."""
    try:
        if options["cpu"] is not None:
            os.sched_setaffinity(0, {options["cpu"]})
        if options["realtime"]:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    except OSError as problem:
        raise SendError(problem.errno, f"--cpu {options['cpu']} or --realtime: {problem.strerror}; "
                        f"there are CPUs {sorted(os.sched_getaffinity(0))}, and SCHED_FIFO needs "
                        "CAP_SYS_NICE") from None


class Job:
    """All that one replay needs, made of the options; raises TROUBLE."""

    def __init__(self, paths, options, stack):
        self.options, self.orders, self.why = options, None, []
        recorded = files.read(paths, options["limit"], options["drop_cut_tail"],
                              options["in_turn"])
        self.recording = verify_file(options)
        capture = readdressed(recorded, options)
        if options["sessions"]:
            accounts, tokens = _accounts(options["accounts"]) if options["accounts"] else ({}, {})
            self.orders = Orders(capture, recorded, accounts, tokens)
            stack.callback(self.orders.close)
            self.orders.login()
            capture = self.orders.capture
        capture, self.before_loop = _renumbering(capture, options)
        self.capture = capture
        self.engine = self._open()
        stack.callback(lambda: self.engine.close())
        self.due_ns = schedule(capture, multiplier=options["multiplier"] or 1.0,
                               pps=options["pps"], mbps=options["mbps"],
                               top_speed=options["topspeed"], max_gap=options["max_gap"])

    def _open(self, without=None):
        sockets = self.orders.sockets() if self.orders else None
        return open_engine(self.options["engine"], self.capture, self.options["interface"],
                           sockets=sockets, why=self.why, without=without)

    def run(self, progress):
        """Sends it; the Replay. `live` falls back when the first packet does not leave."""
        while True:
            logins = 0 if self.orders else login_count(self.capture)
            job = Replay(self.capture, self.engine, self.due_ns, self.options["loop"], logins,
                         self.options["login_wait"], progress,
                         int(self.options["late"] * 1e3), self.before_loop)
            job.report.why = self.why
            try:
                with contextlib.ExitStack() as stack:
                    if self.orders:
                        keeper = stack.enter_context(Keeper(self.orders, self.engine))
                        job.before_loop = keeper.renumber
                    stack.enter_context(job.signals())
                    job.run()
                if self.orders and keeper.problem:
                    raise keeper.problem
            except EngineError as problem:
                if self.options["engine"] != "auto":
                    raise
                self.why.append(f"{self.engine.kind}: {problem.strerror}")
                self.engine.close()
                self.engine = self._open(without=self.engine.kind)
                continue
            except SendError as problem:
                click.echo(f"Error: {problem.strerror}", err=True)
                job.report.stopped = True
            return job


def verify_file(options):
    """The recording of --verify, None without. Read first, so that a wrong file is told early."""
    if not options["verify"]:
        return None
    recording = pcap_file.read(options["verify"])
    verifying.answers_of(recording)
    return recording


@click.command("replay", short_help="Send captures again, in their own time or another.")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True,
                type=click.Path(exists=True, dir_okay=False))
@click.option("--interface", "-i", help="Interface to send frames on (root or CAP_NET_RAW).")
@click.option("--engine", type=click.Choice(("auto", *NAMES)), default="auto", show_default=True,
              help="live: in the kernel; packet: AF_PACKET; ring: AF_XDP; socket: UDP payloads. "
              "auto: the first of live, packet, ring that runs.")
@click.option("--socket", "use_socket", is_flag=True, help="The same as --engine socket.")
@click.option("-x", "--multiplier", type=Finite(0, min_open=True),
              help="So many times the capture's speed (default 1).")
@click.option("-p", "--pps", type=Finite(0, min_open=True), help="Packets a second.")
@click.option("-M", "--mbps", type=Finite(0, min_open=True), help="Megabits a second.")
@click.option("-t", "--topspeed", is_flag=True, help="As fast as possible.")
@click.option("--max-gap", type=Finite(0), help="Seconds; a longer silence lasts as long as that.")
@click.option("-l", "--loop", default=1, show_default=True, type=click.IntRange(0),
              help="Times; 0 = until interrupted.")
@click.option("--limit", type=click.IntRange(1), help="The first N packets only.")
@click.option("--in-turn", is_flag=True, help="Several files one after the other, not by time.")
@click.option("--stats", type=Finite(0, min_open=True), help="A line every SECS seconds.")
@click.option("--late", default=1000.0, show_default=True, type=Finite(0),
              help="Microseconds after its time from which a packet counts as late.")
@click.option("--cpu", type=click.IntRange(0), help="Send from this CPU.")
@click.option("--realtime", is_flag=True, help="Before all ordinary processes (SCHED_FIFO).")
@click.option("--to", help="IP:PORT to send to instead, or IP (ports stay).")
@click.option("--from", "from_ip", help="IP to send from instead (ports stay).")
@click.option("--map", multiple=True, metavar="OLD=NEW",
              help="IP or IP:PORT, exchanged as source and as destination; repeat it.")
@click.option("--to-mac", help="Destination MAC instead.")
@click.option("--from-mac", help="Source MAC instead.")
@click.option("--vlan", type=click.IntRange(0, 4094), help="Tag every frame with this VLAN.")
@click.option("--untag", is_flag=True, help="Take VLAN tags off.")
@click.option("--mold-session", help="Another MoldUDP64 session name.")
@click.option("--mold-sequence", type=click.IntRange(1),
              help="First MoldUDP64 number of each session; gaps stay.")
@click.option("--mold-continue", is_flag=True, help="Each loop goes on with the numbers.")
@click.option("--sessions", is_flag=True,
              help="Order flow as live sessions: log in anew, renumber, hear the answers.")
@click.option("--accounts", type=click.Path(exists=True, dir_okay=False),
              help="TOML with passwords of accounts, and accounts of tokens.")
@click.option("--answers", type=click.Path(dir_okay=False), help="Write the answers as a capture.")
@click.option("--verify", type=click.Path(exists=True, dir_okay=False),
              help="Compare the answers with this recording of answers, field by field but for "
              "time stamps and session names; the feed is not compared.")
@click.option("--login-wait", default=0.5, show_default=True, type=Finite(0),
              help="Seconds from an order pcap's logins to its first order, at least.")
@click.option("--drop-cut-tail", is_flag=True, help="Leave out a last packet that is not whole.")
@click.option("--picture", type=click.Path(dir_okay=False), help="Draw rate and jitter as a PNG.")
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object.")
def command(paths, **options):
    """Send the packets of capture files: pcap or pcapng, plain, gzip or zstd.

    Signals: USR1 pauses, USR2 or CONT goes on, INT ends with the report.
    """
    _refuse(options)
    progress = _Progress(options["stats"])
    with contextlib.ExitStack() as stack:
        try:
            _place(options)
            job = Job(paths, options, stack)
            course = job.run(progress)
            if job.orders and not course.report.stopped:
                job.orders.settle()
        except TROUBLE as problem:
            words = getattr(problem, "strerror", None) if isinstance(
                problem, (SendError, EngineError)) else None
            raise click.ClickException(words or str(problem)) from problem
        finally:
            progress.end()
        good = _tell(", ".join(map(str, paths)), job, course.report)
    if not good:
        raise SystemExit(1)


def _tell(name, job, report) -> bool:
    """Prints the summary, draws and writes what was asked for; whether all went well."""
    options, facts, rows = job.options, report.facts(), [f"{name}: {report.text()}"]
    good = not (report.stopped or report.failed or report.dropped)
    try:
        if job.orders:
            facts["orders"] = told = job.orders.facts()
            rows.append(f"orders: {told['sessions']} sessions, {told['answers']:,} answers "
                        + " ".join(f"{letter} {count:,}" for letter, count in sorted(
                            told["letters"].items()))
                        + "".join(f", rejected {reason}: {count:,}" for reason, count in sorted(
                            told["rejects"].items())))
        if options["answers"]:
            verifying.write_answers(options["answers"], job.orders.lines)
        if job.recording is not None and not report.stopped:
            verdict = verifying.judge(job.recording, job.orders.lines)
            facts["verify"] = verdict.facts()
            rows.append(verdict.text())
            good = good and verdict.good
        if options["picture"]:
            reports.draw(report, name, options["picture"])
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"--picture needs the package {missing.name}; install it with: "
                                   "pip install 'wirematch[picture]'") from missing
    except (PcapError, OSError) as problem:
        raise click.ClickException(str(problem)) from problem
    click.echo(json.dumps({"file": name} | facts) if options["as_json"] else "\n".join(rows))
    return good
