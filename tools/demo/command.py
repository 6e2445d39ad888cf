"""The demo's command and its course: set up, trade, measure, end the day, judge, tell."""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import click

PACE_RATE, PACE_SECONDS = 2000, 10
PARTITIONS = 2               # of the demo's own orders, unless --partitions says otherwise


def _interrupt(*_):
    raise KeyboardInterrupt


def _writable(path) -> None:
    """Raises OSError now, not after the day is over, when a wanted file cannot be written."""
    if path:
        with open(path, "ab"):
            pass


class Course:
    """One demo from the first namespace to the verdict. `result` is what --json prints."""

    def __init__(self, options, say):
        self.options, self.say, self.stack = options, say, contextlib.ExitStack()
        self.result, self.facts = {}, {}

    def prepare(self):
        """Scene, orders, config, appliance, subscriber."""
        from tools.demo import audience, house, material, scene
        _writable(self.options["record"])
        _writable(self.options["messages"])
        count, mode, layout = self._partitions(), self.options["mode"], self.options["layout"]
        self.scene, why = scene.choose(count if layout == "own" else 1)
        self.stack.callback(self.scene.close)
        if why:
            self.say(f"Falling back to plain sockets on loopback: {why}.")
            if mode not in ("auto", "socket") or layout == "own":
                raise click.ClickException(f"--mode {mode} --layout {layout} cannot be had here: "
                                           f"{why}")
            mode = "socket"
        self.orders = material.load(self._order_file(count), self.scene)
        people = [(row["name"], "", self.scene.source(0))
                  for row in self.orders.settings["accounts"]]
        config = house.write_config(self.scene, self.orders.settings, mode, people,
                                    partitions=count, layout=layout,
                                    sizes=house.capacity(self.orders))
        self.house = house.House(self.scene, config)
        self.stack.callback(self.house.stop)
        self.facts["ready_s"] = self.house.wait_ready()
        self.rows = self.house.status["partitions"]
        rungs = ", ".join(f"{row['partition']} {row['mode']}" for row in self.rows)
        self.say(f"Appliance ready after {self.facts['ready_s']:.2f} s: rung of partition {rungs}; "
                 f"{self.house.status['cores']}.")
        record = self.options["record"]
        self.audience = audience.Audience(
            self.scene, str(self.house.channel),
            [symbols[0]["name"] if symbols else "" for symbols in self.orders.symbols],
            os.path.abspath(record) if record else None)
        self.stack.callback(self.audience.kill)
        self.audience.wait_ready()

    def _partitions(self) -> int:
        """How many there will be: the order file says, or --partitions."""
        from tools.demo import material
        asked, file = self.options["partitions"], self.options["orders"]
        if not file:
            return asked or PARTITIONS
        count = material.partitions_of(file)
        if asked not in (None, count):
            raise click.ClickException(f"--partitions {asked}: {file} was made for {count}; make "
                                       f"it anew: wirematch flow ... --partitions {asked}")
        return count

    def _order_file(self, count):
        """--orders, or the Bitstamp half hour made anew, with a synthetic flow beside it when there
        are several partitions (and that alone when the sample is missing)."""
        if self.options["orders"]:
            return self.options["orders"]
        from tools import flow
        from tools.flows.commands import SourceError
        out = self.scene.folder / "orders.pcap"
        try:
            flow.make("bitstamp" if count == 1 else "mix", out, partitions=count)
        except SourceError as error:
            self.say(f"Using a synthetic flow: {error}")
            flow.make("synthetic", out, limit=300_000, symbols=4 if count == 1 else 100,
                      partitions=count)
        return out

    def trade(self):
        """The order file inside the windows, as fast as it goes."""
        from tools.demo.crowd import MESSAGES, Crowd
        with self.scene.market():
            self.crowd = Crowd(self.orders, self.scene)
        self.stack.callback(self.crowd.close)
        spinning = {row["cpu"] for row in self.rows if row["wait"] == "spin"}
        if cpus := set(os.sched_getaffinity(0)) - spinning:
            os.sched_setaffinity(0, cpus)
        self.crowd.login()
        seconds = self.crowd.trade(self._progress)
        self.crowd.drain()
        self._progress_end()
        answers = int(self.crowd.tallies[:, MESSAGES].sum())
        self.facts["seconds"] = seconds
        self.say(f"{self.orders.messages:,} orders in {seconds:.2f} s: "
                 f"{self.orders.messages / seconds:,.0f} orders/s, {answers:,} answers.")

    def _progress(self, sent, answers):
        from tools.demo.audience import ASK, BID, LAST, MESSAGES, TRADES
        shown = self.audience.shown
        feed, trades = int(shown[:, MESSAGES].sum()), int(shown[:, TRADES].sum())
        bid, ask, last = (shown[0, word] / 1e4 for word in (BID, ASK, LAST))
        self._live(f"{sent:>9,} sent  {answers:>9,} answers  {feed:>9,} feed messages  "
                   f"{trades:>7,} trades   {bid:,.2f} / {ask:,.2f}  last {last:,.2f}")

    def _live(self, line):
        if sys.stderr.isatty():
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self.facts.get("told", -9) > 1.0:
            self.facts["told"] = time.monotonic()
            print(line, file=sys.stderr, flush=True)

    def _progress_end(self):
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def pace(self):
        """Latency: an even rate, open loop, the partitions in turn."""
        from tools.demo import pace
        sessions = [int(window.sessions[0]) for window in self.crowd.windows
                    if len(window.sessions)]
        count, ways = PACE_RATE * PACE_SECONDS, len(sessions)
        self.paced = {session: self._paced(session, (count - way + ways - 1) // ways)
                      for way, session in enumerate(sessions)}
        payloads = [self.paced[sessions[i % ways]][i // ways] for i in range(count)]
        self.say(f"Latency: {PACE_RATE:,} orders/s for {PACE_SECONDS} s, open loop.")
        times = pace.measure(self.crowd, self.scene, sessions, payloads, PACE_RATE)
        self.times = {session: times[way::ways] for way, session in enumerate(sessions)}

    def _paced(self, session, count):
        """The session's orders of the latency pass, numbered on from the file's."""
        from tools.demo import crowd, pace
        partition, lane = self.orders.sessions[session].partition, self._lane(session)
        last_ref = max((_refs(lane.payload(n)) for n in range(lane.logins, len(lane.owner))
                        if lane.owner[n] == session), default=0)
        return pace.orders(self.orders.sessions[session], self.orders.symbols[partition][0], count,
                           max(1, crowd.next_seq(lane, session)), last_ref + 1)

    def _lane(self, session):
        return self.orders.lanes[self.orders.sessions[session].partition]

    def end(self):
        """Closes the day; everyone hears it to the end."""
        self.final = self.house.fresh_status()
        self.house.end_day()
        deadline = time.monotonic() + 20.0
        while not self.crowd.ended() and time.monotonic() < deadline:
            self.crowd.hear(0.1)
        self.audience.finish(60.0)
        code = self.house.stop()
        if code:
            self.say(f"The appliance ended with exit code {code}:\n{self.house.words()}")

    def judge(self):
        """Everything heard against the oracle, partition by partition."""
        self.streams = [self.crowd.messages(s) for s in range(len(self.orders.sessions))]
        self.say("Comparing with the oracle ...")
        lasts = self.final.get("partitions") or self.rows
        self.parts = [self._part(window, *rows) for window, *rows in zip(
            self.crowd.windows, self.rows, lasts, strict=True)]
        self.feed = [message for part in self.parts for message in part.feed]

    def _part(self, window, row, last):
        """The judged Part of one partition."""
        import numpy as np

        from tools.demo import summary, verdict
        lane, mine = window.lane, window.sessions.tolist()
        datagrams = [(int(lane.owner[n]), lane.payload(n))
                     for n in range(lane.logins, len(lane.owner))]
        paced = [(session, payload) for session in mine
                 for payload in self.paced.get(session, ())]
        streams = {session: self.streams[session] for session in mine}
        heard, feed = self.audience.report(lane.partition)
        day = int(self.crowd.sessions[0][:3])
        found = verdict.compare(self.orders, lane.partition, datagrams + paced, day, streams, feed)
        holes = (sum(map(self.crowd.missing, mine)) + heard["missing"]
                 + last["counters"]["messages_skipped"])
        times = [self.times[session] for session in mine if session in self.times]
        return summary.Part(lane.partition, row, last, lane.messages + len(paced), streams, heard,
                            feed, holes, found, np.concatenate(times or [np.zeros(0, np.int64)]))

    def keep(self):
        """The day files that --messages asked for."""
        from tools.demo.audience import day_file
        path = self.options["messages"]
        for part in self.parts if path else ():
            target = path if len(self.parts) == 1 else f"{path}.p{part.partition}"
            shutil.copyfile(day_file(self.scene.folder, part.partition), Path(target))

    def tell(self):
        """The summary, and the JSON object last."""
        from tools.demo import summary
        self.result = summary.total(self.parts) | {
            "orders_per_second": round(self.orders.messages / self.facts["seconds"]),
            "cores": self.final.get("cores", ""), "scene": self.scene.kind,
            "ready_seconds": round(self.facts["ready_s"], 2)}
        for name, value in summary.lines(self.result, self.parts, PACE_RATE):
            self.say(f"  {name:<26}{value}")
        for part in self.parts:
            if part.verdict.first:
                self.say(f"  first difference: {part.verdict.first}")
        if self.options["as_json"]:
            print(json.dumps(self.result), flush=True)


def _refs(payload):
    """Highest new UserRefNum in a datagram of orders, 0 when there is none."""
    off, highest = 20, 0
    while off + 2 <= len(payload):
        size = payload[off] << 8 | payload[off + 1]
        block = payload[off + 2:off + 2 + size]
        if block[:2] in (b"UO", b"UC", b"UD", b"UE"):
            highest = max(highest, int.from_bytes(block[2:6], "big"))
        elif block[:2] == b"UU":
            highest = max(highest, int.from_bytes(block[6:10], "big"))
        off += 2 + size
    return highest


@click.command("demo", short_help="Run the whole appliance on real order flow and judge it.")
@click.option("--orders", type=click.Path(exists=True, dir_okay=False),
              help="Another order pcap (made by `wirematch flow`), with its number of partitions.")
@click.option("--partitions", type=click.Choice(["1", "2", "4", "8"]),
              callback=lambda _context, _option, text: int(text) if text else None,
              help=f"Matchers ({PARTITIONS}). 1: Bitstamp's orders alone; more: a synthetic flow "
                   "over 100 symbols beside them, on all.")
@click.option("--layout", type=click.Choice(["auto", "shared", "own"]), default="auto",
              show_default=True, help="One queue for all partitions, or one each.")
@click.option("--record", type=click.Path(dir_okay=False), help="Keep the feeds as FILE.pcap.")
@click.option("--messages", type=click.Path(dir_okay=False),
              help="Keep the feed's ITCH messages as a day file (of each partition: FILE.p0 ...).")
@click.option("--mode", type=click.Choice(["auto", "native", "generic", "socket", "dpdk"]),
              default="auto", show_default=True, help="Force a rung, or the DPDK port.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last.")
def command(**options):
    """Run the appliance in two network namespaces (on loopback without root), send it a whole order
    file, follow everything it answers and publishes, and compare all of it with the oracle."""
    say = (lambda text: print(text, file=sys.stderr, flush=True)) if options["as_json"] else (
        lambda text: print(text, flush=True))
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:      # not under nohup
        signal.signal(signal.SIGHUP, _interrupt)
    course = Course(options, say)
    try:
        with course.stack:
            for step in (course.prepare, course.trade, course.pace, course.end, course.judge,
                         course.keep, course.tell):
                step()
    except KeyboardInterrupt:
        say("Interrupted; everything is taken down.")
        sys.exit(130)
    except (OSError, RuntimeError, ValueError) as error:
        say(f"demo: {error}")
        sys.exit(1)
    good = course.result["oracle_equal"] is not False and not course.result["lost"]
    sys.exit(0 if good and not course.result["crossed"] else 1)
