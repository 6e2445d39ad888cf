"""The converter's picture of the appliance's book while it turns CME records into commands.

Price and time only, no self-match prevention (the accounts of this flow have it off). `commands`
grows by a tuple of COMMAND's fields for everything sent; orders that would cross are held back.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from . import commands as c


@dataclass(slots=True)
class Order:
    """side: B or A. size: still open. executed: of its chain. command: that made it, -1 if held."""

    side: str
    price: int
    size: int
    account: int
    executed: int = 0
    command: int = -1


class Mirror:
    """live: what the appliance has; held: what waits until it would not cross, in arrival order."""

    def __init__(self):
        self.live, self.held, self.commands = {}, {}, []
        self.held_most = self.held_ever = 0
        self._levels = {"B": {}, "A": {}}          # price -> orders in time order
        self._heaps = {"B": [], "A": []}           # prices, best first, emptied ones included
        self._time_ns = self._account = 0
        self._tried = None

    def __contains__(self, order):
        return order in self.live or order in self.held

    def now(self, time_ns, account):
        """The time of what follows, and the account of an order entered by it."""
        self._time_ns, self._account = time_ns, account

    def maker(self, order) -> int:
        """The command that made this live order, -1 when it is not live."""
        return self.live[order].command if order in self.live else -1

    def enter(self, name, side, price, size):
        """A new order: sent, or held while it would cross."""
        self._place(name, Order(side, price, size, self._account))

    def cancel(self, name):
        """Takes an order away whole, if there is one."""
        if name in self.live:
            self._send(c.CANCEL, self.live[name], 0)
            self._leave(name)
        else:
            self.held.pop(name, None)

    def reduce(self, name, size):
        """Takes `size` off an order in place; away with it when nothing is left."""
        order = self.live.get(name) or self.held.get(name)
        if order is None or size <= 0:
            return
        if size >= order.size:
            self.cancel(name)
            return
        order.size -= size
        if name in self.live:
            self._send(c.CANCEL, order, order.executed + order.size)

    def modify(self, name, price, size):
        """The same price and not larger: in place. Else it loses its priority."""
        order = self.live.get(name) or self.held[name]
        if price == order.price and size <= order.size:
            self.reduce(name, order.size - size)
        elif name in self.held or size <= 0 or self._crosses(order.side, price):
            self.cancel(name)
            if size > 0:
                self._place(name, Order(order.side, price, size, order.account))
        else:
            self._leave(name)
            order.price, order.size = price, size
            order.command = self._send(c.REPLACE, order, order.executed + size)
            self._join(name, order)

    def aggress(self, side, limit, size, real):
        """An incoming order whose real hits [(order, price, size)] are known.

        Returns (command or -1, hits explained, sent whole): whole when price and time give just
        the real hits; else only the leading hits that both agree on are sent for.
        """
        ours = self._would_fill(side, limit, size)
        alike = 0
        while alike < min(len(ours), len(real)) and ours[alike] == tuple(real[alike]):
            alike += 1
        whole = alike == len(ours) == len(real)
        wanted = size if whole else sum(hit[2] for hit in real[:alike])
        if not wanted:
            return -1, alike, False
        incoming = Order(side, limit, wanted, self._account)
        command = self._send(c.ENTER, incoming, wanted, tif=c.IOC)
        for name, _, filled in ours[:alike]:
            order = self.live[name]
            order.size -= filled
            order.executed += filled
            if not order.size:
                self._leave(name)
        return command, alike, whole

    def release(self):
        """Sends the held orders that no longer cross, oldest first."""
        bests = self._best("B"), self._best("A")
        if not self.held or bests == self._tried:
            return
        for name in [name for name, order in self.held.items()
                     if not self._crosses(order.side, order.price)]:
            order = self.held.pop(name)
            self._place(name, order)
        self._tried = self._best("B"), self._best("A")

    def array(self):
        """The commands as a COMMAND array."""
        columns = ("time_ns", "price", "target", "qty", "account", "kind", "side", "tif")
        result = np.zeros(len(self.commands), c.COMMAND)
        for name, column in zip(columns, zip(*self.commands, strict=True), strict=True):
            result[name] = column
        return result

    def _would_fill(self, side, limit, size):
        """The resting orders that an incoming order meets: (order, price, quantity)."""
        other, hits = ("A" if side == "B" else "B"), []
        for price in sorted(self._levels[other], reverse=other == "B"):
            if (price > limit) if side == "B" else (price < limit):
                break
            for name, order in self._levels[other][price].items():
                if not size:
                    return hits
                hits.append((name, price, min(size, order.size)))
                size -= hits[-1][2]
        return hits

    def _best(self, side):
        heap, levels = self._heaps[side], self._levels[side]
        sign = -1 if side == "B" else 1
        while heap and sign * heap[0] not in levels:
            heapq.heappop(heap)
        return sign * heap[0] if heap else None

    def _crosses(self, side, price):
        best = self._best("A" if side == "B" else "B")
        return best is not None and (price >= best if side == "B" else price <= best)

    def _place(self, name, order):
        if self._crosses(order.side, order.price):
            self.held[name] = order
            self._tried = None
            self.held_ever += 1
            self.held_most = max(self.held_most, len(self.held))
            return
        order.command = self._send(c.ENTER, order, order.size)
        self._join(name, order)

    def _join(self, name, order):
        level = self._levels[order.side].get(order.price)
        if level is None:
            level = self._levels[order.side][order.price] = {}
            sign = -1 if order.side == "B" else 1
            heapq.heappush(self._heaps[order.side], sign * order.price)
        level[name] = self.live[name] = order

    def _leave(self, name):
        order = self.live.pop(name)
        level = self._levels[order.side][order.price]
        del level[name]
        if not level:
            del self._levels[order.side][order.price]

    def _send(self, kind, order, qty, tif=c.DAY):
        """Appends a command; returns its index. Cancels and replaces name the order's maker."""
        target = -1 if kind == c.ENTER else order.command
        self.commands.append((self._time_ns, order.price, target, qty, order.account, kind,
                              c.BUY if order.side == "B" else c.SELL, tif))
        return len(self.commands) - 1
