"""The demo's command and its course: set up, trade, measure, end the day, judge, tell."""

import contextlib
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import click

PACE_RATE, PACE_SECONDS, PACE_ACCOUNT = 2000, 10, 0


def _interrupt(*_):
    raise KeyboardInterrupt


class Course:
    """One demo from the first namespace to the verdict. `result` is what --json prints."""

    def __init__(self, options, say):
        self.options, self.say, self.stack = options, say, contextlib.ExitStack()
        self.result, self.facts = {}, {}

    def prepare(self):
        """Scene, orders, config, appliance, subscriber."""
        from tools.demo import audience, house, material, scene
        self.scene, why = scene.choose()
        self.stack.callback(self.scene.close)
        mode = self.options["mode"]
        if why:
            self.say(f"Falling back to plain sockets on loopback: {why}.")
            if mode == "native":
                raise click.ClickException(f"--mode native cannot be had here: {why}")
            mode = "socket"
        self.orders = material.load(self._order_file(), self.scene)
        config = house.write_config(self.scene, self.orders.settings, mode, self.orders.accounts)
        self.house = house.House(self.scene, config)
        self.stack.callback(self.house.stop)
        took = self.house.wait_ready()
        self.row = self.house.status["partitions"][0]
        self.say(f"Appliance ready after {took:.2f} s: rung {self.row['mode']}, "
                 f"{self.house.status['cores']}.")
        self.facts["ready_s"] = took
        record = self.options["record"]
        self.audience = audience.Audience(
            self.scene, str(self.house.channel), self.orders.settings["symbols"][0]["name"],
            os.path.abspath(record) if record else None)
        self.stack.callback(self.audience.kill)
        self.audience.wait_ready()

    def _order_file(self):
        """--orders, or the Bitstamp half hour made anew (synthetic when the sample is missing)."""
        if self.options["orders"]:
            return self.options["orders"]
        from tools import flow
        from tools.flows.commands import SourceError
        out = self.scene.folder / "orders.pcap"
        try:
            flow.make("bitstamp", out)
        except SourceError as error:
            self.say(f"Using a synthetic flow: {error}")
            flow.make("synthetic", out, limit=300_000)
        return out

    def trade(self):
        """The order file inside the window, as fast as it goes."""
        from tools.demo.crowd import MESSAGES, Crowd
        with self.scene.market():
            self.crowd = Crowd(self.orders, self.scene)
        self.stack.callback(self.crowd.close)
        cpus = set(os.sched_getaffinity(0)) - {self.row["cpu"]}
        if cpus and self.row["wait"] == "spin":
            os.sched_setaffinity(0, cpus)
        self.crowd.login((self.scene.ip, self.scene.order_port))
        seconds = self.crowd.trade(self._progress)
        self.crowd.drain()
        self._progress_end()
        self.answers = int(self.crowd.tallies[:, MESSAGES].sum())
        self.facts["seconds"] = seconds
        self.say(f"{self.orders.messages:,} orders in {seconds:.2f} s: "
                 f"{self.orders.messages / seconds:,.0f} orders/s, {self.answers:,} answers.")

    def _progress(self, sent, answers):
        from tools.demo.audience import ASK, BID, LAST, MESSAGES, TRADES
        shown = self.audience.shown
        self._live(f"{sent:>9,} sent  {answers:>9,} answers  {shown[MESSAGES]:>9,} feed messages  "
                   f"{shown[TRADES]:>7,} trades   {shown[BID] / 1e4:,.2f} / {shown[ASK] / 1e4:,.2f}"
                   f"  last {shown[LAST] / 1e4:,.2f}")

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
        """Latency: an even rate, open loop."""
        from tools.demo import pace
        mine = (self.orders.owner == PACE_ACCOUNT) & (self.orders.seqs > 0)
        ends = (self.orders.seqs + self.orders.counts)[mine]
        count = PACE_RATE * PACE_SECONDS
        last_ref = self._last_ref()
        self.paced = pace.orders(self.orders, PACE_ACCOUNT, self.orders.settings["symbols"][0],
                                 count, int(ends.max()) if len(ends) else 1, last_ref + 1)
        self.say(f"Latency: {PACE_RATE:,} orders/s for {PACE_SECONDS} s, open loop.")
        times = pace.measure(self.crowd, self.scene, self.paced, PACE_ACCOUNT, PACE_RATE)
        self.latency = pace.microseconds(times)

    def _last_ref(self):
        """Highest UserRefNum that the pacing account has used in the file."""
        numbers = range(self.orders.logins, len(self.orders.owner))
        return max((_refs(self.orders.payload(n)) for n in numbers
                    if self.orders.owner[n] == PACE_ACCOUNT), default=0)

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
        """Everything heard against the oracle."""
        from tools.demo import verdict
        numbers = range(self.orders.logins, len(self.orders.owner))
        datagrams = [(int(self.orders.owner[n]), self.orders.payload(n)) for n in numbers]
        datagrams += [(PACE_ACCOUNT, payload) for payload in self.paced]
        self.streams = [self.crowd.messages(a) for a in range(len(self.orders.accounts))]
        self.heard, feed = self.audience.report()
        self.say("Comparing with the oracle ...")
        self.verdict = verdict.compare(self.orders, datagrams, int(self.crowd.sessions[0][:3]),
                                       self.streams, feed)
        self.feed = feed

    def tell(self):
        """The summary, and the JSON object last."""
        answers = [m for stream in self.streams for m in stream]
        rejects = Counter(int.from_bytes(m[13:15], "big") for m in answers if m[:1] == b"J")
        trades = sum(1 for m in self.feed if m[:1] == b"E")
        holes = (self.crowd.missing() + self.heard["missing"]
                 + self.row_end["counters"]["messages_skipped"])
        self.result = {
            "mode": self.row["mode"], "orders": self.orders.messages + len(self.paced),
            "acknowledged": len(answers), "rejected": sum(rejects.values()), "trades": trades,
            "feed_messages": len(self.feed), "lost": self.verdict.missing + holes,
            "oracle_equal": self.verdict.equal,
            "orders_per_second": round(self.orders.messages / self.facts["seconds"]),
            "ack_us": self.latency, "wait": self.row["wait"], "cores": self.house_cores,
            "scene": self.scene.kind, "crossed": self.heard["crossed"],
            "far_scans": self.row_end["far_scans"],
            "ready_seconds": round(self.facts["ready_s"], 2)}
        self._print(rejects)

    @property
    def row_end(self):
        """The partition's last status."""
        rows = self.final.get("partitions") or [self.row]
        return rows[0]

    @property
    def house_cores(self):
        """The core map, in words."""
        return self.final.get("cores", "")

    def _print(self, rejects):
        from appliance.layout.codes import REJECT_REASONS
        result, latency = self.result, self.latency
        words = {True: "equal, message by message", False: "NOT EQUAL", None: "not available here"}
        reasons = ", ".join(f"{count:,} x {code:04X} {REJECT_REASONS.get(code, '')}".rstrip()
                            for code, count in sorted(rejects.items())) or "none"
        lines = [
            ("rung", f"{result['mode']} ({result['scene']})"),
            ("wait policy, cores", result["cores"]),
            ("orders", f"{result['orders']:,}"),
            ("acknowledgements", f"{result['acknowledged']:,}"),
            ("rejects", f"{result['rejected']:,} ({reasons})"),
            ("trades", f"{result['trades']:,}"),
            ("feed messages", f"{result['feed_messages']:,}, crossed books {result['crossed']}"),
            ("lost", f"{result['lost']:,}"),
            ("far-price scans", f"{result['far_scans']:,}"),
            ("orders/s", f"{result['orders_per_second']:,} (window, one order a datagram)"),
            ("order to acknowledgement", f"p50 {latency['p50']} us, p99 {latency['p99']} us, "
                                         f"p99.9 {latency['p99_9']} us at {PACE_RATE:,}/s"),
            ("oracle", words[result["oracle_equal"]]),
        ]
        for name, value in lines:
            self.say(f"  {name:<26}{value}")
        if self.verdict.first:
            self.say(f"  first difference: {self.verdict.first}")
        if self.options["as_json"]:
            print(json.dumps(result), flush=True)


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
              help="Another order pcap (made by `wirematch flow`).")
@click.option("--record", type=click.Path(dir_okay=False), help="Keep the feed as FILE.pcap.")
@click.option("--messages", type=click.Path(dir_okay=False),
              help="Keep the feed's ITCH messages as a day file.")
@click.option("--mode", type=click.Choice(["auto", "native", "socket"]), default="auto",
              show_default=True, help="Force a rung.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object last.")
def command(**options):
    """Run the appliance in two network namespaces (on loopback without root), send it a whole order
    file, follow everything it answers and publishes, and compare all of it with the oracle."""
    say = (lambda text: print(text, file=sys.stderr, flush=True)) if options["as_json"] else (
        lambda text: print(text, flush=True))
    signal.signal(signal.SIGTERM, _interrupt)
    course = Course(options, say)
    try:
        with course.stack:
            for step in (course.prepare, course.trade, course.pace, course.end, course.judge):
                step()
            if options["messages"]:
                Path(options["messages"]).write_bytes(
                    (course.scene.folder / "feed.itch").read_bytes())
            course.tell()
    except KeyboardInterrupt:
        say("Interrupted; everything is taken down.")
        sys.exit(130)
    except (OSError, RuntimeError, ValueError) as error:
        say(f"demo: {error}")
        sys.exit(1)
    good = course.result["oracle_equal"] is not False and not course.result["lost"]
    sys.exit(0 if good and not course.result["crossed"] else 1)
