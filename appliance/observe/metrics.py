"""metrics: shows the numbers over HTTP; reads, and can do nothing else.

    run as    the stage "metrics" of the fork server, with the launcher's listening socket
    boot      maps the blocks of reading.py read-only, keeps no descriptor of them, gives up its
              rights (a user of its own, no capability, no new executable memory), runs at nice 5
    serves    /metrics       Prometheus' text (exposition.py)
              /healthz       200: this process lives
              /readyz        200 when every partition has recovered and trades, else 503; JSON
              /snapshot.json everything (reading.py)
              /              a page for people (page.html)

What was made is given to whoever asks within KEEP_S, so it costs the same however many ask. A
partition's next instance has other memory: the launcher starts this process anew then.
"""

import argparse
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

from .. import notify
from ..config.load import thaw
from ..native import lib
from ..stages import rights
from ..topology import metrics_uid
from . import exposition
from .reading import Reader
from .web import Answer, Web

KEEP_S = 0.5
NICE = 5
JSON, TEXT = "application/json", "text/plain; charset=utf-8"
PAGE = Path(__file__).with_name("page.html")
POLICY = ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; "
          "script-src 'unsafe-inline'; connect-src 'self'; img-src data:; frame-ancestors 'none'")


class Numbers:
    """What is answered to each path."""

    def __init__(self, reader, page: bytes, clock=time.monotonic):
        self.reader, self.page, self.clock = reader, page, clock
        self.web_counts, self.kept = {}, {}
        self.snapshot, self.taken = None, -KEEP_S
        self.paths = {"/": self._page, "/metrics": self._metrics, "/healthz": self._health,
                      "/readyz": self._ready, "/snapshot.json": self._json}

    def answer(self, path: str) -> Answer:
        """The Answer to a GET."""
        make = self.paths.get(path)
        if make is None:
            return Answer(404, TEXT, f"there are {', '.join(self.paths)}\n".encode())
        return make()

    def _look(self):
        now = self.clock()
        if now - self.taken >= KEEP_S:
            self.snapshot, self.taken, self.kept = self.reader.look(), now, {}
        return self.snapshot

    def _once(self, name, make):
        """Made once of each snapshot."""
        snapshot = self._look()
        if name not in self.kept:
            self.kept[name] = make(snapshot)
        return self.kept[name]

    def _page(self):
        return Answer(200, "text/html; charset=utf-8", self.page, (POLICY,))

    def _metrics(self):
        return self._once("metrics", lambda found: Answer(
            200, exposition.CONTENT_TYPE, exposition.expose(found, self.web_counts)))

    def _health(self):
        return Answer(200, TEXT, b"alive\n")

    def _ready(self):
        def make(found):
            content = found.content
            body = {"ready": content["ready"], "reasons": content["reasons"]}
            return Answer(200 if content["ready"] else 503, JSON, json.dumps(body).encode())
        return self._once("ready", make)

    def _json(self):
        return self._once("json", lambda found: Answer(200, JSON, json.dumps(
            found.content).encode()))


def main(arguments=None, kept=None) -> int:
    """Exit codes: 0 stopped, 1 failure (no socket was handed over, rights could not be dropped)."""
    parser = argparse.ArgumentParser(prog="appliance.observe.metrics")
    parser.add_argument("--config", required=True)
    parser.add_argument("--instances", default="")
    options = parser.parse_args(arguments)
    lib.wm_die_with_parent(signal.SIGTERM)
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(1))
    if not kept or "listen" not in kept:
        print("metrics: no listening socket was handed over; the launcher starts this process",
              file=sys.stderr, flush=True)
        return 1
    sock, config = socket.socket(fileno=kept["listen"]), thaw(options.config)
    os.chdir(config.runtime_dir)
    reader = Reader(".", books=True)
    reader.look()                        # maps what there is while it may be opened
    reader.open_disk()
    numbers = Numbers(reader, PAGE.read_bytes())
    numbers.answer("/metrics")           # imports and compiles what it needs
    os.nice(NICE)
    try:
        rights.drop(metrics_uid(config), deny_write_execute=True)
    except rights.RightsError as error:
        print(f"metrics: {error}", file=sys.stderr, flush=True)
        return 1
    sock.setblocking(False)
    web = Web(sock, numbers.answer)
    numbers.web_counts = web.counts
    notify.ready()
    while not stopping:
        web.turn(0.5)
    web.close()
    return 0
