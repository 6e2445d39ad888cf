"""AsyncMarket: the same Market under asyncio; no threads, no second implementation.

    async with AsyncMarket("channel.json", "MM0001", "secret") as market:
        key = await market.enter("B", 10, "BTCUSD", 783780000)
        answer = await market.answer(key)                # the first acknowledgement of the order
        async for event in market.events():
            ...

A readable socket or a due duty makes one `Market.turn`; its events go to whoever waits for them.
"""

import asyncio

from .line import Event, OrderKey
from .market import Market

WAITING_MAX = 65536            # first answers kept for `answer`


class AsyncMarket:
    """Arguments as Market's. `market` is the Market itself: its orders, books and lines."""

    def __init__(self, channel_file, account, password, **options):
        self.loop = asyncio.get_running_loop()
        self.queue, self.waiting = asyncio.Queue(), {}
        self.timer = self.entered = None
        self.market = Market(channel_file, account, password, opened=self._opened,
                             closing=self._closing, **options)
        for feed in self.market.feeds.values():
            for sock in (*feed.sockets, feed.asker):
                self._opened(sock)

    def _opened(self, sock):
        self.loop.add_reader(sock.fileno(), self._turn)

    def _closing(self, sock):
        if sock.fileno() >= 0:
            self.loop.remove_reader(sock.fileno())

    def _turn(self):
        """One turn of the market, and the clock for the next one."""
        try:
            events = self.market.turn()
        except Exception as error:               # to whoever waits: nobody else would hear of it
            self._fail(error)
            events = []
        for event in events:
            self._tell(event)
        if self.entered is not None and not self.entered.done() and self.market.is_in:
            self.entered.set_result(None)
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.loop.call_later(max(0.001, self.market.wait_s()), self._turn)

    def _fail(self, error):
        for future in (self.entered, *self.waiting.values()):
            if future is not None and not future.done():
                future.set_exception(error)
        self.queue.put_nowait(error)

    def _tell(self, event):
        future = self.waiting.get(event.key)
        if future is not None and not future.done():
            future.set_result(event)
        self.queue.put_nowait(event)

    async def login(self, timeout: float = 10.0) -> None:
        """Returns when every partition is in. LoginError, or TimeoutError after `timeout` s."""
        self.entered = self.loop.create_future()
        self._turn()
        try:
            await asyncio.wait_for(asyncio.shield(self.entered), timeout)
        except TimeoutError as error:
            late = [str(n) for n, line in self.market.lines.items() if not line.is_in]
            raise TimeoutError(f"partition {', '.join(late)} did not answer the login in "
                               f"{timeout} s") from error

    async def enter(self, side, quantity, symbol, price, **fields) -> OrderKey:
        """Market.enter; its first answer can be awaited by `answer`."""
        key = self.market.enter(side, quantity, symbol, price, **fields)
        self.waiting[key] = self.loop.create_future()
        if len(self.waiting) > WAITING_MAX:
            self.waiting.pop(next(iter(self.waiting))).cancel()      # nobody asked for it
        return key

    async def answer(self, key: OrderKey, timeout: float = 5.0) -> Event:
        """The first event that names an order of `enter`: its answer, or that it is void."""
        future = self.waiting.get(key)
        if future is None:
            raise KeyError(f"{key} was not entered here, or its answer was told already")
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout)
        finally:
            self.waiting.pop(key, None)

    def cancel(self, key: OrderKey, quantity: int = 0) -> None:
        """Market.cancel."""
        self.market.cancel(key, quantity)

    async def events(self):
        """Every event from here on, as it happens. Raises what a turn has raised."""
        while True:
            event = await self.queue.get()
            if isinstance(event, Exception):
                raise event
            yield event

    async def close(self) -> None:
        """Ends every session, leaves the feeds and the loop."""
        if self.timer is not None:
            self.timer.cancel()
        for feed in self.market.feeds.values():
            for sock in (*feed.sockets, feed.asker):
                self._closing(sock)
        self.market.close()

    async def __aenter__(self):
        await self.login()
        return self

    async def __aexit__(self, *_):
        await self.close()
