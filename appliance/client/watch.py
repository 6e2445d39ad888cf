"""`wirematch watch SYMBOL`: a symbol's book and trades from the multicast feed, as a participant.

Joins both feeds of the symbol's partition, asks for what is missing, and shows the best levels and
the newest trades. It needs the channel file and an address of this machine that the feed reaches;
no rights, and nothing of the appliance's memory.
"""

import json
import os
import socket
import sys
import time
from collections import deque
from pathlib import Path

import click

from .book import FeedError
from .channel import ChannelError, load
from .feed import FeedHandler

TRADES_MAX, EVERY_S = 10, 0.25
CLEAR, HIDE, SHOW = "\x1b[H\x1b[2J", "\x1b[?25l", "\x1b[?25h"
TIME = slice(5, 11)                  # of every ITCH message: ns since midnight
NOT_READY = 4


class Tape:
    """The newest trades of one symbol, from its feed; `feed` is set before its first message.

    trades: newest first, (ns since midnight, price in currency, shares).
    """

    def __init__(self, symbol):
        self.symbol, self.feed, self.trades = symbol, None, deque(maxlen=TRADES_MAX)
        self.count = self.volume = 0

    @property
    def book(self):
        """The SymbolBook, None before the feed has told of it."""
        return self.feed.books.by_name.get(self.symbol)

    def note(self, _number, message):
        """After the books took a message."""
        book = self.book
        if book is None:
            return
        if book.trade_cnt > self.count:
            self.trades.appendleft((int.from_bytes(message[TIME], "big"), book.last_price / 10_000,
                                    book.volume - self.volume))
        self.count, self.volume = book.trade_cnt, book.volume

    @property
    def is_whole(self) -> bool:
        """Whether the book is complete as of the newest packet."""
        counts = self.feed.counts
        return (self.book is not None and self.feed.missing() == 0
                and counts["packets_a"] + counts["packets_b"] > 0)

    def content(self, levels) -> dict:
        """JSON-ready: prices in currency, quantities in shares, best levels and newest trades
        first."""
        book = self.book
        sides = [[{"price": price / 10_000, "qty": qty} for price, qty in book.depth(side, levels)]
                 if book else [] for side in (0, 1)]
        return {"symbol": self.symbol, "state": book.state if book else "", "bids": sides[0],
                "asks": sides[1], "trades": [
                    {"time_ns": ns, "price": price, "qty": qty} for ns, price, qty in self.trades],
                "trade_count": book.trade_cnt if book else 0,
                "volume": book.volume if book else 0, "missing": self.feed.missing(),
                "ended": self.feed.ended, "next_message": self.feed.expected}


def text(content: dict) -> str:
    """The content as lines: buys on the left, the trades below."""
    lines = [f"{content['symbol']}: state {content['state'] or '-'}, {content['trade_count']} "
             f"trades of {content['volume']} shares, feed message {content['next_message'] - 1}"
             + (f", {content['missing']} missing" if content["missing"] else "")
             + (", the day has ended" if content["ended"] else ""),
             f"{'shares':>12} {'buy':>12} | {'sell':<12} {'shares':>12}"]
    bids, asks = content["bids"], content["asks"]
    for i in range(max(len(bids), len(asks))):
        bid = f"{bids[i]['qty']:>12} {bids[i]['price']:>12.4f}" if i < len(bids) else " " * 25
        ask = f"{asks[i]['price']:<12.4f} {asks[i]['qty']:>12}" if i < len(asks) else ""
        lines.append(f"{bid} | {ask}".rstrip())
    lines += [f"{_clock(row['time_ns'])} {row['qty']:>10} at {row['price']:.4f}"
              for row in content["trades"]]
    return "\n".join(lines)


def _clock(ns):
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest // 1000:06}"


def _address_towards(ip):
    """The address by which this machine reaches `ip`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((ip, 9))
        return probe.getsockname()[0]


def _once(feed, tape, show, timeout):
    deadline = time.monotonic() + timeout
    while not tape.is_whole and time.monotonic() < deadline:
        feed.poll(0.05)
    if not tape.is_whole:
        click.echo(f"watching {tape.symbol}: no complete book within {timeout} s (packets: "
                   f"{feed.counts['packets_a']} of A, {feed.counts['packets_b']} of B; "
                   f"{feed.missing()} messages missing); see --ip and --account", err=True)
        return NOT_READY
    click.echo(show())
    return 0


def _live(feed, show):
    """A picture four times a second while a terminal looks, else a line of JSON."""
    terminal = sys.stdout.isatty()
    try:
        click.echo(HIDE if terminal else "", nl=False)
        while True:
            due = time.monotonic() + EVERY_S
            while time.monotonic() < due:
                feed.poll(max(0.0, due - time.monotonic()))
            click.echo((CLEAR if terminal else "") + show())
    finally:
        click.echo(SHOW if terminal else "", nl=False)


@click.command()
@click.option("--channel", "path", metavar="FILE", help="Channel file that the appliance wrote.")
@click.option("--runtime-dir", default="/dev/shm/wirematch", metavar="DIR",
              help="Take channel.json from there; default /dev/shm/wirematch.")
@click.option("--ip", default="", metavar="ADDRESS",
              help="Address of the interface that the feed reaches; default: the one by which this "
                   "machine reaches the appliance.")
@click.option("--account", default="", metavar="NAME",
              help="Begin with a snapshot, which this account may have; the password is asked for, "
                   "or taken from WIREMATCH_PASSWORD. Without it the day is asked for again.")
@click.option("--levels", default=8, type=click.IntRange(1, 100), help="Levels a side; default 8.")
@click.option("--once", is_flag=True, help="Print once, when the book is complete.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON objects instead of a picture.")
@click.option("--timeout", default=5.0, type=click.FloatRange(0.1, 3600), metavar="S",
              help="With --once: wait so long for a complete book; default 5.")
@click.argument("symbol")
def command(path, runtime_dir, ip, account, levels, once, as_json, timeout, symbol):
    """Watch SYMBOL's book and trades as the feed shows them; Ctrl-C ends it.

    Prices are in currency, quantities in shares. Exit code 4: the book was not complete in time.
    """
    login = ()
    if account:
        login = account, os.environ.get("WIREMATCH_PASSWORD") or click.prompt("Password",
                                                                              hide_input=True)
    tape = Tape(symbol)

    def show():
        content = tape.content(levels)
        return json.dumps(content) if as_json else text(content)

    try:
        part = load(path or Path(runtime_dir) / "channel.json").partition_of(symbol)
        with FeedHandler(part, ip or _address_towards(part.ip), tape.note, login=login,
                         hole_max=1000 if login else 1 << 40) as feed:
            tape.feed = feed
            if once:
                sys.exit(_once(feed, tape, show, timeout))
            _live(feed, show)
    except (ChannelError, FeedError, OSError) as error:
        raise click.ClickException(f"watching {symbol}: {error}") from error
    except KeyboardInterrupt:
        sys.exit(0)
