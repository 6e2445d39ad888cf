"""`wirematch top`: an appliance on a live screen, drawn by a few ANSI sequences.

A look and a frame cost three to five milliseconds: four a second disturb nobody. The terminal is
put back as it was however the command ends, SIGKILL excepted.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time

import click

from . import place

ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
HOME, LINE_END, REST = "\x1b[H", "\x1b[K\n", "\x1b[J"
QUIT = b"qQ\x03\x1b"


@click.command()
@place.options
@click.option("--once", is_flag=True, help="Print one frame as text and end; for pipes.")
@click.option("--every", default=0.25, type=click.FloatRange(0.05, 60), metavar="S",
              help="Seconds between two frames; default 0.25.")
@click.option("--frames", default=0, type=click.IntRange(0), metavar="N",
              help="End after N frames.")
def command(folder, once, every, frames):
    """Watch an appliance live; q ends it.

    mode is the way frames are taken, level what acknowledgements wait for; ord/s, trd/s, rej/s
    orders, trades, rejects a second; p50 p99 p99.9 the latency inside the appliance since the frame
    before (all of it while nothing happens); live sess live orders and sessions. Below: how full
    rings and pools are, commands whose results wait at the gate or for the disk, the newest sync,
    sessions with a gap, and how long ago the matcher last looked up.
    """
    from .reading import Reader
    look = Looker(Reader(folder))
    if once or not sys.stdout.isatty():
        look()
        time.sleep(0.5)
        content = look()
        place.need(content)
        from .frame import frame
        width = shutil.get_terminal_size((80, 24)).columns
        click.echo("\n".join(frame(content, width, 10_000)))
        return
    with _screen() as (keys, stopping):
        _live(look, every, frames, keys, stopping)


class Looker:
    """Looks, and adds each process's share of a CPU since the look before."""

    def __init__(self, reader):
        self.reader, self.before = reader, {}

    def __call__(self) -> dict:
        content, now = self.reader.look().content, time.monotonic()
        for row in content["processes"]:
            then, used = self.before.get(row["pid"], (now, row["cpu_s"]))
            row["cpu_share"] = (row["cpu_s"] - used) / (now - then) if now > then else None
            if now - then >= 1.0 or now == then:           # /proc counts in hundredths of a second
                self.before[row["pid"]] = now, row["cpu_s"]
        return content


def _live(look, every, frames, keys, stopping):
    from .frame import frame
    drawn = 0
    while not stopping:
        size = shutil.get_terminal_size((80, 24))
        lines = frame(look(), size.columns, size.lines - 1, colours=True)
        sys.stdout.write(HOME + "".join(line + LINE_END for line in lines) + REST)
        sys.stdout.flush()
        drawn += 1
        if drawn == frames:
            return
        with contextlib.suppress(InterruptedError):
            if select.select([keys], [], [], every)[0] and set(os.read(keys, 64)) & set(QUIT):
                return


@contextlib.contextmanager
def _screen():
    """(descriptor of the keyboard, list that is not empty once a signal came); puts all back."""
    import termios
    import tty
    stopping, keys = [], sys.stdin.fileno()
    old = termios.tcgetattr(keys) if os.isatty(keys) else None
    handlers = {number: signal.signal(number, lambda *_: stopping.append(1))
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        if old is not None:
            tty.setcbreak(keys)
        sys.stdout.write(ENTER)
        yield keys, stopping
    finally:
        if old is not None:
            termios.tcsetattr(keys, termios.TCSADRAIN, old)
        with contextlib.suppress(OSError):                 # the terminal may be gone
            sys.stdout.write(LEAVE)
            sys.stdout.flush()
        for number, handler in handlers.items():
            signal.signal(number, handler)
