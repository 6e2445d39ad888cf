"""What may be ordered of one partition, and when it took effect: the operator's part of its desk.

An order with a ticket is a record on the link that becomes a command with who asked for it. Tickets
are served one after the other: the engine says in its block which request it did last, at which
sequence and with what outcome; the ticket is done when that command is as safe as
[durability] asks for. A matcher that dies in between is asked again, so every order here changes
nothing when it is done twice.
"""

import time
from collections import deque
from dataclasses import dataclass

from ..layout import record, shared
from . import standing

STATES, BUST_REASONS, CROSSES = tuple("HPQT"), tuple("ECSX"), tuple("OCH")
NUMBER_BITS = 56                     # a match number on the wire: partition << 56 | n
NUMBER_MASK = (1 << NUMBER_BITS) - 1
PATIENCE_S = 10.0
OUTCOMES = {shared.DONE: "done", shared.ALREADY: "already", shared.NOT_NOW: "not now",
            shared.NO_ROOM: "no room"}


@dataclass
class Ticket:
    """One order on its way. outcome: of OUTCOMES, or "unconfirmed"; "" while it is on its way."""

    number: int
    partition: int
    fields: dict
    deadline_s: float
    seq: int = 0
    outcome: str = ""


class Operator:
    """Orders of a partition; PartitionDesk adds `waiting`'s way to the matcher (`_push`)."""

    def __init__(self):
        self.tickets, self.carried = deque(), []
        self.number = time.time_ns() // 1000 & 0x3FFFFFFF     # not those of an earlier launcher
        self.asked = self.waiting_for = None

    def begin_orders(self, opens_later: bool) -> None:
        """A new instance: nothing is on its way, what stands is ordered first."""
        self.waiting, self.quoting = list(self.carried), set()
        self.market_opened, self.day_over = not opens_later, False
        self.carried, self.asked, self.waiting_for = [], None, None

    def carry_over(self, with_halts: bool) -> None:
        """Notes what a core without a past has to be told before it trades."""
        if hasattr(self, "engine"):
            self.carried = standing.records(self.part, with_halts)

    # -- tickets ----------------------------------------------------------------------------------

    def ask(self, who, **fields) -> Ticket:
        """Orders a link record in the name of who = (uid, name)."""
        self.number = self.number % 0x7FFFFFFF + 1
        ticket = Ticket(self.number, self.idx, {
            **fields, "request": self.number, "ip": who[0], "session": who[1].encode()[:14]},
            time.monotonic() + PATIENCE_S)
        self.tickets.append(ticket)
        return ticket

    def serve_tickets(self) -> None:
        """Sends the next one, or sees what has come of the one that was sent."""
        if not self.tickets:
            return
        ticket, engine = self.tickets[0], self.engine[0]
        if self.asked is not ticket:
            self.asked, self.waiting_for = ticket, None
            self._order(**ticket.fields)
        elif self.waiting_for is None and int(engine["asked"]) == ticket.number:
            self.waiting_for = int(engine["asked_seq"])
        elif self.waiting_for is not None and self._safe_seq() >= self.waiting_for:
            ticket.seq = self.waiting_for
            ticket.outcome = OUTCOMES.get(int(engine["outcome"]), "done")
        elif time.monotonic() > ticket.deadline_s:
            ticket.outcome = "unconfirmed"
        if ticket.outcome:
            self.tickets.popleft()

    def _safe_seq(self):
        if self.journal is None or self.level != "disk":
            return int(self.ring[0][0]["ready_seq"])
        return int(self.journal.row["durable_seq"])

    def _order(self, **fields):
        self.waiting.append(fields)
        self._push()

    # -- the day ----------------------------------------------------------------------------------

    def end_day(self):
        """Asks for the end of the day: everything canceled, end-of-session packets sent. Once an
        instance."""
        if not self.day_over:
            self.day_over = True
            self._order(kind=shared.LINK_END_DAY)

    def open_market(self):
        """Orders are taken from here on; once an instance."""
        if not self.market_opened:
            self.market_opened = True
            self._order(kind=shared.LINK_OPEN)

    def ask_open(self, who) -> Ticket:
        """The operator opens the market."""
        self.market_opened = True
        return self.ask(who, kind=shared.LINK_OPEN)

    def ask_close(self, who) -> Ticket:
        """The operator ends the day."""
        self.day_over = True
        return self.ask(who, kind=shared.LINK_END_DAY)

    # -- symbols and trades -----------------------------------------------------------------------

    def halt(self, symbol: str, state: str, reason: str = "", who=None):
        """Orders a trading state: H halted, P paused, Q quotation for a halt cross, T trading.

        reason: up to four characters, as the feed tells it. ValueError when something is unknown.
        """
        found = [item.idx for item in self.part.listings if item.symbol.name == symbol]
        if not found:
            raise ValueError(f"symbol {symbol!r}: partition {self.idx} has no such symbol; "
                             "ask the partition that owns it")
        if state not in STATES:
            raise ValueError(f"state {state!r} of {symbol}: choose one of {', '.join(STATES)}")
        if len(reason) > 4 or not (reason.isascii() and reason.isprintable()):
            raise ValueError(f"reason {reason!r}: at most 4 ASCII characters, such as T1 or LUDP")
        self.quoting.discard(found[0])
        if state == "Q":
            self.quoting.add(found[0])
        return self._ask_or_order(who, kind=shared.LINK_HALT, account=found[0], reason=ord(state),
                                  token=reason.ljust(4))

    def bust(self, match: int, reason: str, who=None):
        """Orders a trade to be broken. match: its number as on the wire; reason: E C S X.

        ValueError when it cannot be of this partition; an old or unknown one is ignored, counted.
        """
        if reason not in BUST_REASONS:
            raise ValueError(f"reason {reason!r}: choose one of {', '.join(BUST_REASONS)}")
        if match >> NUMBER_BITS != self.idx or not match & NUMBER_MASK:
            raise ValueError(f"match number {match}: not of partition {self.idx}; its numbers are "
                             f"{self.idx << NUMBER_BITS} + 1, 2, 3 ...")
        return self._ask_or_order(who, kind=shared.LINK_BUST, requested_seq=match & NUMBER_MASK,
                                  reason=ord(reason))

    def imbalance(self, letter: str) -> None:
        """Has the imbalances before a cross told: O opening, C closing, H of symbols in quotation.

        ValueError for another letter.
        """
        if letter not in CROSSES:
            raise ValueError(f"cross type {letter!r}: choose one of {', '.join(CROSSES)}")
        self._order(kind=shared.LINK_IMBALANCE, reason=ord(letter))

    def _ask_or_order(self, who, **fields):
        return self._order(**fields) if who is None else self.ask(who, **fields)

    # -- risk -------------------------------------------------------------------------------------

    def switch_off(self, scope: str, idx: int, on: bool, who) -> Ticket:
        """All orders of an account, symbol (by index) or the venue leave and none is taken; or,
        with on False, orders are taken again."""
        return self.ask(who, **standing.kill_record(scope, idx, on))

    def limit(self, account, symbol, rule: int, value: int, who) -> Ticket:
        """A risk limit of an account, a symbol or both (indices, None: not of one)."""
        return self.ask(who, **standing.limit_record(account, symbol, rule, value))

    def set_mode(self, mode: int, reason: str, who) -> Ticket:
        """record.MODE_NORMAL ... MODE_HALTED; reason: four characters of the trading action."""
        return self.ask(who, kind=shared.LINK_MODE, reason=mode, token=reason.ljust(4))

    def disconnect(self, account: int, who):
        """Ends an account's session; None when it has none."""
        row = self.sessions[account]
        if int(row["state"]) != shared.SESSION_LIVE:
            return None
        token = int(row["token_hi"]).to_bytes(8, "big") + int(row["token_lo"]).to_bytes(2, "big")
        return self.ask(who, kind=shared.LINK_DISCONNECT, account=account, token=token)

    def mode(self) -> int:
        """The mode its matcher is in."""
        return int(self.engine[0]["mode"]) if hasattr(self, "engine") else record.MODE_NORMAL
