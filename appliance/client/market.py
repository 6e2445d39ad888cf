"""Market: an account on every partition at once, and its feeds: one poll, one list of events.

    with Market("channel.json", "MM0001", "secret", feed_ip="10.0.0.9") as market:
        market.login()
        key = market.enter("B", 10, "BTCUSD", 783780000)       # routed by the symbol
        for event in market.poll(1.0):
            print(event.kind, event.key, event.record)
        market.cancel(key)
        print(market.book("BTCUSD").best(0))

What happens when a partition's matcher dies, or the whole appliance is started again, is `line`'s
matter; here it shows as events: "lost", "void" for each order that is gone, "in".
"""

import select
import time
from pathlib import Path

from . import channel as channels
from .channel import Channel, ChannelError
from .feed import FeedHandler
from .line import Event, Line, OrderKey
from .orders import Order

__all__ = ["Event", "Market", "OrderKey"]


class Market:
    """channel_file: the appliance writes it anew at each instance; it is read again then.

    symbols: trade only the partitions of these, all by default. bind_ip: local address to send
    from. feed_ip: local address to join the feeds on; "" = no feeds. opened, closing: told of each
    order socket (asyncio needs it). Further options go to OrderSession.

    ChannelError when the file cannot be used or a symbol is in no partition.
    """

    def __init__(self, channel_file, account, password, *, symbols=(), bind_ip="", feed_ip="",
                 opened=lambda sock: None, closing=lambda sock: None, clock=time.monotonic,
                 **options):
        self.path, self.clock = Path(channel_file), clock
        self.channel, self.stamp = channels.load(self.path), self._stamp()
        wanted = {self.channel.partition_of(name).number for name in symbols}
        parts = [part for part in self.channel.partitions if not symbols or part.number in wanted]
        self.lines = {part.number: Line(part, account, password, self._find, bind_ip=bind_ip,
                                        opened=opened, closing=closing, clock=clock, **options)
                      for part in parts}
        self.feeds = {}
        try:
            for part in parts if feed_ip else ():
                self.feeds[part.number] = FeedHandler(part, feed_ip, clock=clock,
                                                      login=(account, password))
        except OSError:
            self.close()
            raise

    def _stamp(self):
        found = self.path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _find(self, number):
        """The partition as the file has it now."""
        try:
            stamp = self._stamp()
        except OSError as error:
            raise ChannelError(f"channel file {self.path}: {error.strerror}") from error
        if stamp != self.stamp:
            self.channel, self.stamp = channels.load(self.path), stamp
        for part in self.channel.partitions:
            if part.number == number:
                return part
        raise ChannelError(f"partition {number} is no longer in {self.path}")

    def refresh(self) -> Channel:
        """The channel file as it is now."""
        self._find(next(iter(self.lines)))
        return self.channel

    # -- orders -------------------------------------------------------------------------------

    def login(self, timeout: float = 10.0) -> list[Event]:
        """Polls until every partition is in; what came meanwhile.

        LoginError when one refuses; TimeoutError names those that did not answer.
        """
        deadline, seen = self.clock() + timeout, []
        while not self.is_in and self.clock() < deadline:
            seen += self.poll(min(0.1, max(0.0, deadline - self.clock())))
        if not self.is_in:
            late = [str(n) for n, line in self.lines.items() if not line.is_in]
            raise TimeoutError(f"partition {', '.join(late)} did not answer the login in "
                               f"{timeout} s; is the appliance up, and is this address among the "
                               "account's sources?")
        return seen

    @property
    def is_in(self) -> bool:
        """Whether orders can be sent to every partition."""
        return all(line.is_in for line in self.lines.values())

    def line_of(self, symbol: str) -> Line:
        """The line of a symbol's partition. ChannelError when there is none."""
        number = self.channel.partition_of(symbol).number
        if number not in self.lines:
            raise ChannelError(f"symbol {symbol!r} is traded on partition {number}, which this "
                               "Market was not opened for")
        return self.lines[number]

    def enter(self, side, quantity, symbol, price, **fields) -> OrderKey:
        """Enter Order to the symbol's partition; fields as in OrderSession.enter.

        ChannelError for an unknown symbol, ConnectionError while its partition is lost.
        """
        line = self.line_of(symbol)
        number = line.need().enter(side, quantity, symbol, price, **fields)
        return line.note(number, symbol, side, price, quantity)

    def _line(self, key: OrderKey) -> Line:
        line = self.lines[key.partition]
        if key.instance != line.instance:
            raise KeyError(f"order {key.user_ref_num} was of instance {key.instance} of partition "
                           f"{key.partition}, which is instance {line.instance} now: void")
        return line

    def replace(self, key: OrderKey, quantity, price, **fields) -> OrderKey:
        """Replace Order; the new order's key. KeyError when the order is of a past instance."""
        line = self._line(key)
        number = line.need().replace(key.user_ref_num, quantity, price, **fields)
        old = line.session.orders.get(key.user_ref_num)
        return line.note(number, old.symbol if old else "", old.side if old else "", price,
                         quantity)

    def cancel(self, key: OrderKey, quantity: int = 0) -> None:
        """Cancels an order down to `quantity`. KeyError as with `replace`."""
        self._line(key).need().cancel(key.user_ref_num, quantity)

    def mass_cancel(self, symbol: str = "") -> None:
        """Cancels every order, of a symbol or on all partitions that are in."""
        for line in [self.line_of(symbol)] if symbol else self.lines.values():
            if line.is_in or symbol:
                line.need().mass_cancel(symbol)

    def orders(self) -> dict[OrderKey, Order]:
        """Every open order."""
        return {key: order for line in self.lines.values()
                for key, order in line.open_orders().items()}

    def book(self, symbol: str):
        """The book of a symbol as its feed has shown it; None before its first message."""
        return self.feeds[self.channel.partition_of(symbol).number].books.by_name.get(symbol)

    # -- the clockwork --------------------------------------------------------------------------

    def turn(self) -> list[Event]:
        """Everything that is due and has arrived, without waiting."""
        events = []
        for line in self.lines.values():
            events += line.turn()
        for feed in self.feeds.values():
            feed.poll(0.0)
        return events

    def sockets(self) -> list:
        """The sockets that may become readable."""
        order = [line.session.sock for line in self.lines.values() if line.session is not None]
        return order + [sock for feed in self.feeds.values() for sock in feed.all_sockets()]

    def wait_s(self) -> float:
        """Seconds until a turn is due though nothing arrives."""
        return min([line.wait_s() for line in self.lines.values()]
                   + [feed.asks_in(self.clock()) for feed in self.feeds.values()])

    def poll(self, timeout: float = 0.0) -> list[Event]:
        """What has happened; waits up to `timeout` s for the first event.

        Call it at least once a second. LoginError once for each partition that refuses the login.
        """
        deadline = self.clock() + timeout
        while True:
            events = self.turn()
            left = deadline - self.clock()
            if events or left <= 0:
                return events
            waiter = select.poll()
            for sock in self.sockets():
                waiter.register(sock, select.POLLIN)
            waiter.poll(max(0.0, min(left, self.wait_s())) * 1000)

    def close(self) -> None:
        """Ends every session and leaves the feeds."""
        for line in self.lines.values():
            line.close()
        for feed in self.feeds.values():
            feed.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
