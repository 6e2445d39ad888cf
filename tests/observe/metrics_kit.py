"""Asking a running appliance for its numbers, as a scraper, a browser or an operator would."""

import contextlib
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import time

from tests.observe.rules_kit import Scrape, samples
from tests.shared_data import ROOT

PORT = 9464
LISTEN = f"127.0.0.1:{PORT}"


def get(place, path, timeout=20.0) -> tuple:
    """(status code, body as text) of one request from the appliance's own machine."""
    with place.scene.appliance.entered():
        link = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
        link.connect()
    with contextlib.closing(link):
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read().decode()


def scrape(place) -> Scrape:
    """/metrics as it is now; the time is of the answer."""
    code, text = get(place, "/metrics")
    assert code == 200, text
    return Scrape(time.time(), text)


def numbers(place) -> dict:
    """{series: number} of /metrics."""
    return {series: float(value) for series, value in samples(scrape(place).text).items()}


def ready(place) -> tuple:
    """(status code, what /readyz says)."""
    code, text = get(place, "/readyz")
    return code, json.loads(text)


def until(condition, patience_s=20.0, pause_s=0.1):
    """Waits until condition() is true; gives what it gave."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(pause_s)
    return found


def wirematch(place, *arguments, market=False, timeout=60, **more) -> subprocess.CompletedProcess:
    """`wirematch ARGUMENTS` for that appliance, where it is or where participants are."""
    where = place.scene.outside if market else place.scene.appliance
    return subprocess.run(
        ["nsenter", f"--net={where.path}", sys.executable, "-m", "appliance.cli", *arguments,
         "--runtime-dir", str(place.scene.runtime)],
        cwd=ROOT, text=True, capture_output=True, timeout=timeout, **more)


def browser(place, *arguments, timeout=120) -> subprocess.CompletedProcess:
    """Headless Chromium at the page."""
    return subprocess.run(
        ["nsenter", f"--net={place.scene.appliance.path}", chromium(), "--no-sandbox",
         "--disable-gpu", "--virtual-time-budget=4000", *arguments, f"http://{LISTEN}/"],
        text=True, capture_output=True, timeout=timeout)


def chromium() -> str:
    """The browser's path, "" when there is none."""
    for name in ("chromium-headless-shell", "chromium"):
        for folder in os.environ["PATH"].split(os.pathsep):
            if os.access(f"{folder}/{name}", os.X_OK):
                return f"{folder}/{name}"
    return ""


class Hanging:
    """So many who connect and then ask for nothing; whoever is thrown out comes again after
    PAUSE_S, as a scraper would."""

    PAUSE_S = 15.0

    def __init__(self, place, count):
        self.place, self.count, self.socks, self.poller = place, count, {}, select.epoll()
        self.later = []

    def __enter__(self):
        self._come(self.count)
        return self

    def _come(self, count):
        with self.place.scene.appliance.entered():
            made = [socket.socket() for _ in range(count)]
        for sock in made:
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(("127.0.0.1", PORT))
            self.socks[sock.fileno()] = sock
            self.poller.register(sock, select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR)

    def again(self) -> int:
        """Whoever was thrown out a while ago connects anew; how many were thrown out now."""
        now, gone = time.monotonic(), [fd for fd, mask in self.poller.poll(0, self.count)]
        for fd in gone:
            self.poller.unregister(fd)
            self.socks.pop(fd).close()
        self.later += [now + self.PAUSE_S] * len(gone)
        due = sum(at <= now for at in self.later)
        self.later = self.later[due:]
        self._come(due)
        return len(gone)

    def __exit__(self, *_):
        for sock in self.socks.values():
            sock.close()
        self.poller.close()
