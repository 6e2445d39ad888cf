"""Line: an account on one partition, through sessions, instances and days.

        +------------ refused for good: LoginError ------------+
        |                                                      |
    LOGGING_IN --answered--> RESUMING --Account Query--> IN    |
        ^                                                 |    |
        +------ pause, channel file read again <--- LOST <-----+  host silent, session ended,
                                                                   or another instance in the file

A partition without a journal whose matcher died begins anew: other session names, an empty book.
Then every order that was open, or of which no answer had come, is *void*: told once, with what was
known of it; it may have executed unseen before. Under the same session names, as a journal keeps
them over any restart, a new login goes on where the old one stopped, and only orders that never
reached the host are void: those of which the whole stream of answers says nothing, and those that
the host has passed over, as an answer to a later one shows.
"""

import time
from typing import NamedTuple

from .channel import ChannelError, Partition
from .orders import SETTLE_S, Order, OrderSession
from .session import LoginError

LOGGING_IN, RESUMING, IN, LOST = "logging in", "resuming", "in", "lost"
SILENT_S = 3.5                     # a host says something every second
PAUSE_S, PAUSE_MAX_S = 0.05, 1.0   # between two logins, doubled each time
LOGIN_S = 3.0                      # without an answer the channel file is read again


class OrderKey(NamedTuple):
    """Names an order of an account for ever: partition, the instance in which the line first saw
    the session names that it trades under, UserRefNum."""

    partition: int
    instance: int
    user_ref_num: int


class Event(NamedTuple):
    """What happened. kind: "answer" (record: an acknowledgement, key: its order's, if it names
    one), "void" (key, order), "lost" and "in" (of a whole partition; instance in `key`)."""

    kind: str
    partition: int
    key: OrderKey | None = None
    record: object = None
    order: Order | None = None


class Line:
    """`find` gives the Partition as the channel file has it now; `opened(sock)` and
    `closing(sock)` are told of sockets. Times in seconds."""

    def __init__(self, part: Partition, account, password, find, *, bind_ip="",
                 opened=lambda sock: None, closing=lambda sock: None, silent_s=SILENT_S,
                 clock=time.monotonic, **options):
        self.part, self.account, self.password, self.find = part, account, password, find
        self.instance = part.instance
        self.bind_ip, self.opened, self.closing = bind_ip, opened, closing
        self.silent_s, self.clock, self.options = silent_s, clock, options
        self.session, self.state, self.pending = None, LOST, {}
        self.orders: dict[int, Order] = {}
        self.expected, self.user_ref, self.began = 1, 0, 0.0
        self.pause_s, self.due = PAUSE_S, clock()
        self.final: LoginError | None = None

    # -- orders -------------------------------------------------------------------------------

    @property
    def is_in(self) -> bool:
        """Whether orders can be sent."""
        return self.state == IN

    def key(self, user_ref_num: int) -> OrderKey:
        """The key of an order of the present instance."""
        return OrderKey(self.part.number, self.instance, user_ref_num)

    def need(self) -> OrderSession:
        """The session; ConnectionError when there is none at the moment."""
        if not self.is_in:
            raise ConnectionError(f"partition {self.part.number} is {self.state}: no order can be "
                                  "sent before it is in again")
        return self.session

    def note(self, number: int, symbol: str, side: str, price: int, quantity: int) -> OrderKey:
        """Remembers an order on its way until an answer names it."""
        self.pending[number] = Order(number, symbol, side, price, quantity, 0)
        return self.key(number)

    def open_orders(self) -> dict[OrderKey, Order]:
        """Accepted orders with open quantity."""
        return {self.key(number): order for number, order in self.orders.items()
                if order.open_qty}

    # -- duties -------------------------------------------------------------------------------

    def turn(self) -> list[Event]:
        """Does what is due without waiting; what happened.

        LoginError once when the login is refused for good; the line stays lost then.
        """
        events = []
        if self.state == LOST:
            if self.final is None and self.clock() >= self.due:
                self._try(events)
            return events
        try:
            records = self.session.poll(0.0)
        except LoginError as error:
            if not self._other_instance():
                self.final = error
                self._lose(events)
                raise
            self._lose(events)
            return events
        for record in records:
            number = record.get("user_ref_num", 0)
            self.pending.pop(number, None)
            if record.letter in "AJU" and self.is_in and self.pending:
                self._void(events, [n for n in self.pending if n < number])
            events.append(Event("answer", self.part.number,
                                self.key(number) if number else None, record))
        self._advance(events)
        return events

    def wait_s(self) -> float:
        """Seconds until something is due."""
        if self.state == LOST:
            return max(0.0, self.due - self.clock()) if self.final is None else 3600.0
        return min(self.session._next_duty(), SETTLE_S if self.state == RESUMING else 0.25)

    def _advance(self, events):
        session = self.session
        if self.state == LOGGING_IN and session.session:
            self.state = RESUMING
            session.query()
        if self.state == RESUMING and session.known:
            self.state, self.pause_s = IN, PAUSE_S
            self._void(events, list(self.pending))      # of the sessions before: no answer comes
            events.append(Event("in", self.part.number, self.key(0)))
        unanswered = self.state != IN and self.clock() - self.began > LOGIN_S
        if session.ended or session.silent_s > self.silent_s or unanswered \
                or self.state == IN and self._other_instance():
            self._lose(events)

    def _other_instance(self) -> bool:
        found = self._look()
        return found is not None and self._name(found) != self._name(self.part)

    def _look(self):
        try:
            return self.find(self.part.number)
        except ChannelError:
            return None                          # the appliance is just being started again

    def _name(self, part):
        return part.sessions.get(self.account, ""), part.feed_session

    def _lose(self, events):
        self.orders, self.user_ref = self.session.orders, self.session.user_ref
        if self.session.session:                 # else it was never in, and knows no number
            self.expected = self.session.expected
        self.closing(self.session.sock)
        self.session.sock.close()
        self.session, self.state = None, LOST
        self.due = self.clock() + self.pause_s
        self.pause_s = min(2 * self.pause_s, PAUSE_MAX_S)
        events.append(Event("lost", self.part.number, self.key(0)))

    def _try(self, events):
        """A new session: of a new instance from its first number, else from where we were."""
        part = self._look()
        if part is None:
            self.due = self.clock() + self.pause_s
            self.pause_s = min(2 * self.pause_s, PAUSE_MAX_S)
            return
        same = self._name(part) == self._name(self.part)
        if not same:
            self._void(events, [n for n, order in self.orders.items() if order.open_qty])
            self._void(events, list(self.pending))
            self.orders, self.expected, self.instance = {}, 1, part.instance
            self.pending.clear()
        self.part = part
        self.session = OrderSession(part, self.account, self.password, bind=(self.bind_ip, 0),
                                    clock=self.clock, **self.options)
        self.opened(self.session.sock)
        self.session.orders = self.orders
        if same and self.expected > 1:
            self.session.user_ref = self.user_ref
        self.state, self.began = LOGGING_IN, self.clock()
        self.session.begin_login(self.expected)

    def _void(self, events, numbers):
        for number in sorted(numbers):
            order = self.pending.pop(number, None) or self.orders.get(number)
            if order is not None:
                events.append(Event("void", self.part.number, self.key(number), None, order))

    def close(self) -> None:
        """Ends the session in good order."""
        if self.session is not None:
            self.closing(self.session.sock)
            self.session.close()
            self.session, self.state = None, LOST
        self.final = self.final or LoginError("closed")

