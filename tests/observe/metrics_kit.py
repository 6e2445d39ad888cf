"""Asking a running appliance for its numbers, as a scraper, a browser or an operator would."""

import contextlib
import http.client
import json
import os
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
    """So many who connect and then ask for nothing; whoever is thrown out comes again."""

    def __init__(self, place, count):
        self.place, self.count, self.socks, self.refused = place, count, [], 0

    def __enter__(self):
        with self.place.scene.appliance.entered():
            self.socks = [socket.socket() for _ in range(self.count)]
            for sock in self.socks:
                sock.setblocking(False)
                self._connect(sock)
        return self

    def _connect(self, sock):
        with contextlib.suppress(OSError):
            sock.connect(("127.0.0.1", PORT))

    def again(self) -> int:
        """Whoever was thrown out connects anew; how many were."""
        gone = []
        for i, sock in enumerate(self.socks):
            with contextlib.suppress(BlockingIOError):
                try:
                    if sock.recv(1) == b"":
                        gone.append(i)
                except OSError as error:
                    if isinstance(error, BlockingIOError):
                        continue
                    if not isinstance(error, ConnectionError):
                        gone.append(i)
                    else:
                        self.refused += 1
        if gone:
            with self.place.scene.appliance.entered():
                for i in gone:
                    self.socks[i].close()
                    self.socks[i] = socket.socket()
                    self.socks[i].setblocking(False)
                    self._connect(self.socks[i])
        return len(gone)

    def __exit__(self, *_):
        for sock in self.socks:
            sock.close()
