"""`wirematch watch SYMBOL`: a symbol's book and trades from the multicast feed, as a participant.

Joins both feeds of the symbol's partition, asks for what is missing, and shows the best levels and
the newest trades. It needs the channel file and an address of this machine that the feed reaches;
no rights, and nothing of the appliance's memory.
"""

import json
import socket
import sys
import time
from collections import deque

import click

from .channel import load
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


def watch(symbol, channel, ip, login, levels, once, as_json, timeout) -> int:
    """Shows the symbol until Ctrl-C, or once; the exit code. channel: path of the channel file;
    login: (account, password) or (). ChannelError, FeedError, OSError."""
    tape = Tape(symbol)

    def show():
        content = tape.content(levels)
        return json.dumps(content) if as_json else text(content)

    part = load(channel).partition_of(symbol)
    with FeedHandler(part, ip or _address_towards(part.ip), tape.note, login=login,
                     hole_max=1000 if login else 1 << 40) as feed:
        tape.feed = feed
        if once:
            return _once(feed, tape, show, timeout)
        _live(feed, show)
    return 0
