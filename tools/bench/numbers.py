"""What looking costs: a scrape of /metrics, `wirematch top` at four frames a second; and pictures.

    python -m tools.bench.numbers [--pictures DIR]

An appliance of two partitions trades at a modest pace meanwhile. CPU time is that of the process
that does it, from /proc, so a busy machine changes it little. With --pictures the page (page.png,
page-phone.png, by headless Chromium) and the screen (top.svg) are kept.
"""

import contextlib
import html
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from appliance.client.channel import load
from appliance.client.orders import OrderSession
from tools.demo import house, scene

PORT, PARTITIONS, PRICE = 9464, 2, 1_250_000
NAMES = ("ACME", "BOLT", "CRUX", "DUNE")
SETTINGS = {
    "symbols": [{"name": name, "tick_size": 100, "lot_size": 1, "reference_price": PRICE,
                 "partition": n % PARTITIONS} for n, name in enumerate(NAMES)],
    "accounts": [{"name": f"MM{n}", "password": f"secret{n}", "firm": f"F{n}", "smp": "off",
                  "cancel_on_disconnect": False} for n in range(2)]}
SIZES = {"pages": 4096, "chunks": 2048, "feed_bytes": 1 << 26, "feed_messages": 1 << 20,
         "lg_ladder": 12, "far_levels": 4096, "far_cap": 1024}
BROWSERS = ("chromium-headless-shell", "chromium")


class Trading(threading.Thread):
    """Both participants trade on every partition until `stop`."""

    def __init__(self, place, channel):
        super().__init__(daemon=True)
        self.place, self.channel, self.over, self.count = place, channel, False, 0

    def run(self):
        """Quotes, and now and then somebody takes one."""
        with self.place.market(), contextlib.ExitStack() as stack:
            seats = [[stack.enter_context(OrderSession(
                part, row["name"], row["password"], bind=(self.place.market_ip, 0)))
                for row in SETTINGS["accounts"]] for part in self.channel.partitions]
            for both in seats:
                for each in both:
                    each.login(timeout=20.0)
            while not self.over:
                for part, (maker, taker) in zip(self.channel.partitions, seats, strict=True):
                    self._turn(maker, taker, [*part.symbols][self.count % len(part.symbols)])
                self.count += 1
                time.sleep(0.002)

    def _turn(self, maker, taker, symbol):
        step = 100 * (1 + self.count % 7)
        quotes = [maker.enter("S", 100, symbol, PRICE + step),
                  maker.enter("B", 100, symbol, PRICE - step)]
        if self.count % 3 == 0:
            taker.enter("B", 60, symbol, PRICE + step)
        if self.count % 20:
            for number in quotes:
                maker.cancel(number)
        for each in (maker, taker):
            each.poll(0.0)

    def stop(self):
        """Ends it."""
        self.over = True
        self.join(20)


def cpu_s(pid) -> float:
    """CPU seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def get(path) -> bytes:
    """One answer of the numbers' port; the caller is on the appliance's machine."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)) as link:
        link.request("GET", path)
        return link.getresponse().read()


def measure(place, running, rounds) -> dict:
    """Milliseconds of CPU, by what was asked for."""
    pid = {row["name"]: row["pid"] for row in running.status["processes"]}["metrics"]
    found = {}
    with place.appliance.entered():
        for path in ("/metrics", "/snapshot.json", "/readyz"):
            begun = cpu_s(pid)
            for _ in range(rounds):
                size = len(get(path))
                time.sleep(0.55)                       # a new look each time
            found[path] = {"cpu_ms": round((cpu_s(pid) - begun) / rounds * 1e3, 1), "bytes": size}
    found["top, a frame"] = {"cpu_ms": round(_of_top(place, rounds) * 1e3, 1)}
    return found


def _of_top(place, rounds) -> float:
    """CPU seconds of a frame of `top` on a terminal, drawn four times a second."""
    master, slave = os.openpty()
    subprocess.run(["stty", "rows", "40", "cols", "100"], stdin=slave, check=True)
    threading.Thread(target=_drain, args=(master,), daemon=True).start()
    every = 0.25
    with subprocess.Popen([sys.executable, "-m", "appliance.cli", "top", "--every", str(every),
                           "--runtime-dir", str(place.runtime)], stdin=slave, stdout=slave) as top:
        time.sleep(8.0)                                # its imports are no part of a frame
        begun, used = time.monotonic(), cpu_s(top.pid)
        time.sleep(max(4.0, rounds))
        seconds, used = time.monotonic() - begun, cpu_s(top.pid) - used
        top.terminate()
    os.close(slave)
    return used / (seconds / every)


def _drain(fd):
    with contextlib.suppress(OSError):
        while os.read(fd, 65536):
            pass


def pictures(place, folder) -> list:
    """Paths of what was drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    for name, size in (("page.png", "1200,1250"), ("page-phone.png", "420,1500")):
        if browser is None:
            click.echo(f"no {name}: install Debian's package {BROWSERS[0]}", err=True)
            continue
        subprocess.run(["nsenter", f"--net={place.appliance.path}", browser, "--no-sandbox",
                        "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=15000",
                        f"--window-size={size}", f"--screenshot={folder / name}",
                        f"http://127.0.0.1:{PORT}/"], check=True, capture_output=True, timeout=180)
        drawn.append(folder / name)
    text = subprocess.run([sys.executable, "-m", "appliance.cli", "top", "--once", "--runtime-dir",
                           str(place.runtime)], check=True, capture_output=True, text=True,
                          env=os.environ | {"COLUMNS": "100"}).stdout
    (folder / "top.svg").write_text(svg(text))
    return [*drawn, folder / "top.svg"]


def svg(text) -> str:
    """Lines of a terminal as a picture."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).splitlines()
    width, height = 12 + 8.43 * max(map(len, lines)), 14 + 18 * len(lines)
    rows = "".join(f'<text x="8" y="{22 + 18 * n}" xml:space="preserve">{html.escape(line)}</text>'
                   for n, line in enumerate(lines))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}">'
            f'<rect width="100%" height="100%" rx="6" fill="#10151b"/><g fill="#e3e9ef" '
            f'font-family="DejaVu Sans Mono, monospace" font-size="14">{rows}</g></svg>\n')


@click.command("numbers")
@click.option("--rounds", default=10, type=click.IntRange(1, 1000), help="Of each; default 10.")
@click.option("--pictures", "folder", type=click.Path(path_type=Path), metavar="DIR",
              help="Keep pictures of the page and of the screen there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(rounds, folder, as_json):
    """Measure what looking at an appliance costs, and draw what is seen."""
    place, why = scene.choose()
    if why:
        raise click.ClickException(why)
    with contextlib.closing(place):
        people = [(row["name"], "", place.source(n)) for n, row in
                  enumerate(SETTINGS["accounts"])]
        running = house.House(place, house.write_config(
            place, SETTINGS, "native", people, partitions=PARTITIONS, layout="shared", sizes=SIZES,
            metrics=f"127.0.0.1:{PORT}"))
        try:
            running.wait_ready()
            time.sleep(3.0)                            # the process metrics comes last
            trading = Trading(place, load(running.channel))
            trading.start()
            time.sleep(3.0)
            found = measure(place, running, rounds)
            for path in pictures(place, folder) if folder else ():
                click.echo(f"drawn: {path}", err=True)
            trading.stop()
        finally:
            running.stop()
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, row in found.items():
        size = f", {row['bytes']} bytes" if "bytes" in row else ""
        click.echo(f"{name:<16} {row['cpu_ms']:>8} ms of CPU{size}")


if __name__ == "__main__":
    main()
