"""Participants and subscribers: the real client library, which trades and listens by the seed."""

from appliance.client.channel import ChannelError
from appliance.client.feed import FeedHandler
from appliance.client.line import Line

SYMBOL, MIDDLE, TICK = "ACME", 100_000, 100
LEAST_NS, TURN_NS = 50_000, 20_000


class Trader:
    """A participant: a Line, and what it does with it."""

    def __init__(self, world, name, password, ip, budget):
        self.world, self.name, self.ip, self.budget = world, name, ip, budget
        self.picked, self.timeline = world.picked, world.timeline
        self.due, self.voids, self.answers = None, 0, 0
        world.net.hosts["wake", ip] = lambda: self.wake(TURN_NS)
        self.line = Line(world.box.channel, name, password, self._find, bind_ip=ip,
                         clock=self.timeline.seconds, retry_s=0.02, heartbeat_s=1.0)
        self.wake(self.picked.randint(0, 20_000_000))
        self.timeline.after(self.picked.randint(0, 100_000_000), self.trade)

    def _find(self, _number):
        if self.world.box.channel is None or self.world.box.venue is None:
            raise ChannelError("the appliance is just being started again")
        return self.world.box.channel

    def wake(self, ns) -> None:
        """Has its duties done so soon at the latest."""
        due = self.timeline.now_ns + ns
        if self.due is None or due < self.due:
            self.due = due
            self.timeline.after(ns, lambda: self.turn(due))

    def turn(self, due) -> None:
        """What the library has to do."""
        if self.due != due:
            return
        self.due = None
        for event in self.line.turn():
            self.voids += event.kind == "void"
            self.answers += event.kind == "answer"
            if event.kind != "answer":
                self.timeline.note(event.kind, self.name)
        self.wake(max(LEAST_NS, int(self.line.wait_s() * 1e9)))

    # -- trading ----------------------------------------------------------------------------------

    def trade(self) -> None:
        """A few orders, and again later while the budget lasts."""
        if self.budget <= 0 or self.world.healing:
            return
        if self.line.is_in:
            for _ in range(self.picked.randint(1, 6)):
                self.budget -= 1
                self._act(self.line.session)
            self.wake(TURN_NS)
        self.timeline.after(self.picked.expovariate(1 / self.world.plan.think_ns), self.trade)

    def _act(self, session):
        picked = self.picked
        live = [order for order in session.orders.values() if order.open_qty]
        draw = picked.random()
        if not live or draw < 0.62:
            self._enter(session)
        elif draw < 0.78:
            session.cancel(picked.choice(live).user_ref_num,
                           picked.choice((0, 0, 0, picked.randint(1, 60))))
        elif draw < 0.93:
            order = picked.choice(live)
            number = session.replace(order.user_ref_num, picked.randint(1, 100), self._price())
            self.line.note(number, order.symbol, order.side, order.price, order.open_qty)
        elif draw < 0.97:
            order = picked.choice(live)
            session.modify(order.user_ref_num, order.side, picked.randint(1, 100))
        elif draw < 0.99:
            session.mass_cancel(SYMBOL)
        else:
            session.query()

    def _price(self):
        return MIDDLE + TICK * int(self.picked.gauss(0, 6))

    def _enter(self, session):
        picked = self.picked
        side, quantity, price = picked.choice("BS"), picked.randint(1, 100), self._price()
        tags, options = {}, {}
        kind = picked.random()
        if kind < 0.1:
            options["time_in_force"] = "3"
        elif kind < 0.16:
            options["display"] = "N"
        elif kind < 0.22:
            tags["max_floor"] = picked.randint(1, quantity)
        elif kind < 0.28:
            tags["post_only"] = "P"
        elif kind < 0.34:
            options["time_in_force"] = "6"
            tags["expire_time"] = picked.randint(1, 3)
        number = session.enter(side, quantity, SYMBOL, price, tags=tags or None, **options)
        self.line.note(number, SYMBOL, side, price, quantity)

    @property
    def is_settled(self) -> bool:
        """Whether it is in and waits for nothing."""
        line = self.line
        return line.is_in and not line.session.stream.lacking


class Listener:
    """A subscriber of both feeds."""

    def __init__(self, world, ip):
        self.world, self.timeline, self.due = world, world.timeline, None
        world.net.hosts["wake", ip] = lambda: self.wake(TURN_NS)
        self.handler = world.canary.handler(FeedHandler)(
            world.box.channel, ip, clock=self.timeline.seconds)

    def wake(self, ns) -> None:
        """Has it listen so soon at the latest."""
        due = self.timeline.now_ns + ns
        if self.due is None or due < self.due:
            self.due = due
            self.timeline.after(ns, lambda: self.turn(due))

    def turn(self, due) -> None:
        """What has arrived."""
        if self.due != due:
            return
        self.due = None
        handler = self.handler
        handler.poll()
        wait = handler.stream.asks_in(self.timeline.seconds())
        if wait != float("inf"):
            self.wake(max(LEAST_NS, int(wait * 1e9)))

    def is_settled(self, next_seq) -> bool:
        """Whether it has every message before this number."""
        return self.handler.expected == next_seq

    def shown(self) -> dict:
        """Its book, as ledger.displayed gives the matcher's."""
        return {ref: (side, price, shares)
                for ref, (_, side, price, shares) in self.handler.books.orders.items()}
