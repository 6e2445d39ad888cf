"""The life of every order, one row an event, made by replaying a journal.

Accounts' events are what their streams said, message by message; an execution is two rows, one a
side, each with its counterparty. Logins, logouts, lost sessions, gaps are the journal's commands.
Phases, symbols' states and crosses are what the feed said. Rows stand in the order of commands,
and of one command: itself, its own account's messages, other accounts', the feed's.

What every row has: the sequence of its command in the journal, time in UTC, the clock's state then
(clock.py). EVENTS says what may stand in `event`, TYPES what the columns hold.
"""

from typing import NamedTuple

import numpy as np

from ..layout import record as kinds
from ..layout.codec import decode
from ..layout.codes import PRICE_MARKET
from ..layout.record import COMMAND, DETAIL
from ..layout.wire_itch import ITCH
from .clock import Clock
from .genesis import build_core
from .replay import apply
from .said import Said

EVENTS = {"A": "accept", "U": "replace", "C": "cancel", "D": "self-match", "E": "execution",
          "B": "bust", "J": "reject", "P": "cancel pending", "I": "cancel reject",
          "T": "priority", "M": "modify", "R": "restate", "Q": "query", "X": "mass cancel",
          "G": "entry disabled", "K": "entry enabled"}
SESSION_EVENTS = {kinds.LOGIN: "login", kinds.LOGOUT: "logout", kinds.DISCONNECT: "disconnect",
                  kinds.GRACE_OVER: "grace over", kinds.SKIP: "skip"}
FEED_EVENTS = {"S": "phase", "H": "state", "Q": "cross"}
_REF_TAG = 1                   # Restated: the reference that is on the feed now
_ORDERS = (kinds.ENTER, kinds.REPLACE)


class Row(NamedTuple):
    """One event; None where a column does not apply. See TYPES."""

    seq: int
    event: str
    utc_ns: int
    clock: str
    clock_offset_ns: int | None
    clock_error_ns: int | None
    account: str | None = None
    stream_seq: int | None = None
    symbol: str | None = None
    side: str | None = None
    order_ref: int | None = None
    user_ref_num: int | None = None
    orig_user_ref_num: int | None = None
    clordid: str | None = None
    quantity: int | None = None
    price: int | None = None
    left: int | None = None
    state: str | None = None
    reason: str | None = None
    meaning: str | None = None
    match_number: int | None = None
    liquidity: str | None = None
    contra_account: str | None = None
    contra_side: str | None = None
    contra_liquidity: str | None = None
    contra_order_ref: int | None = None


# number, unsigned or text. Prices count 0.0001, 2147483647 is a market order's. state: of an order
# L live, D dead; of a symbol H P Q T. left: open shares behind the event.
_TEXTS = ("event", "clock", "account", "symbol", "side", "clordid", "state", "reason", "meaning",
          "liquidity", "contra_account", "contra_side", "contra_liquidity")
_UNSIGNED = ("seq", "stream_seq", "order_ref", "user_ref_num", "orig_user_ref_num",
             "match_number", "contra_order_ref")
TYPES = {name: "text" if name in _TEXTS else "unsigned" if name in _UNSIGNED else "number"
         for name in Row._fields}
TYPES["utc"] = "text"
COLUMNS = ("seq", "event", "utc", *Row._fields[2:])


class _Order:
    """What later events of an order do not repeat."""

    __slots__ = ("symbol", "side", "ref", "clordid", "left")

    def __init__(self, symbol, side, ref, clordid, left):
        self.symbol, self.side, self.ref, self.clordid, self.left = symbol, side, ref, clordid, left


class Life:
    """Rows of the commands of a core; `take` after each one that was applied."""

    def __init__(self, core, genesis, clock):
        self.said, self.clock, self.genesis = Said(core), clock, genesis
        self.names = [account["name"] for account in genesis["accounts"]]
        self.orders = {}                       # by (account index, UserRefNum)
        self.trades = {}                       # execution rows by (match, account, UserRefNum)

    def take(self, record) -> list:
        """The Rows of one JOURNAL_RECORD."""
        command = record["command"].view(COMMAND.dtype)[0]
        utc_ns = int(record["time_ns"]) + self.genesis["midnight_ns"]
        clock = self.clock.at(utc_ns)
        base = Row(int(record["seq"]), "", utc_ns, clock.state, clock.offset_ns, clock.error_ns)
        kind, rows = int(command["kind"]), []
        if kind in SESSION_EVENTS:
            rows.append(base._replace(event=SESSION_EVENTS[kind],
                                      account=self.names[int(command["account"])]))
        first = len(rows)
        for account, number, message in self.said.streams(int(command["account"])):
            letter = chr(message[0])
            if letter in EVENTS:               # S, a phase, is told once, by the feed
                said = decode("ouch", "out", message)
                rows.append(self._told(base._replace(
                    event=EVENTS[letter], account=self.names[account], stream_seq=number,
                    user_ref_num=said.get("user_ref_num"), **_meaning(said)),
                    letter, said, account, record))
        _pair(rows, first)
        for row in rows:
            if row.event == "execution":
                self.trades[row.match_number, row.account, row.user_ref_num] = row
        for _, message in self.said.feed():
            if chr(message[0]) in FEED_EVENTS:
                rows.append(_fed(base, decode("itch", "out", message)))
        return rows

    def _told(self, row, letter, said, account, record):
        """A row with what the message says, and what is known of its order."""
        if letter in "AU":
            return self._entered(row, letter, said, account)
        order = self.orders.get((account, row.user_ref_num))
        if letter == "J":
            return self._rejected(row, said, account, record)
        if letter == "B":
            return self._busted(row, said)
        if letter == "Q":
            return row._replace(user_ref_num=said["next_user_ref_num"])
        if letter in "XGK":
            return row._replace(symbol=said.get("symbol"))
        if order is None:                      # of an order that has gone
            return row
        gone = said.get("decrement_shares", said.get("quantity")) if letter in "CDE" else 0
        order.left = said["quantity"] if letter == "M" else order.left - gone
        if letter == "M":
            order.side = said["side"]
        elif letter == "T":
            order.ref = said["order_reference_number"]
        elif letter == "R":
            order.ref = (said["tags"] or {}).get(_REF_TAG, order.ref)
        row = row._replace(symbol=order.symbol, side=order.side, order_ref=order.ref,
                           clordid=order.clordid, left=order.left,
                           quantity=gone if letter in "CDE" else said.get("quantity"),
                           price=said.get("price", said.get("execution_price")))
        if letter == "E":
            row = row._replace(match_number=said["match_number"], liquidity=said["liquidity_flag"])
        if letter in "CDE" and order.left <= 0:
            del self.orders[account, row.user_ref_num]
        return row

    def _entered(self, row, letter, said, account):
        """Accepted or Replaced."""
        live = said["order_state"] == "L"
        if letter == "U":
            self.orders.pop((account, said["orig_user_ref_num"]), None)
        order = _Order(said["symbol"], said["side"], said["order_reference_number"],
                       said["cl_ord_id"], said["quantity"])
        if live:
            self.orders[account, row.user_ref_num] = order
        return row._replace(symbol=order.symbol, side=order.side, order_ref=order.ref,
                            clordid=order.clordid, quantity=order.left, price=said["price"],
                            left=order.left if live else 0, state=said["order_state"],
                            orig_user_ref_num=said.get("orig_user_ref_num"))

    def _rejected(self, row, said, account, record):
        """A reject has what the message asked for, where the command is still that message."""
        command = record["command"].view(COMMAND.dtype)[0]
        detail = record["detail"].view(DETAIL.dtype)[0]
        row = row._replace(clordid=said["cl_ord_id"])
        if (int(command["account"]), int(detail["user_ref_num"])) != (account, row.user_ref_num):
            return row
        row = row._replace(symbol=bytes(detail["symbol_text"]).decode("latin-1").strip(" \0")
                           or None, side=chr(detail["side_letter"]).strip("\0") or None,
                           orig_user_ref_num=int(detail["orig_user_ref_num"]) or None)
        if command["kind"] in _ORDERS:
            tick = self.genesis["symbols"][int(command["symbol"])]["tick_size"]
            row = row._replace(
                quantity=int(command["qty"]), price=PRICE_MARKET if command["flags"] & kinds.MARKET
                else int(command["price_ticks"]) * tick)
        return row

    def _busted(self, row, said):
        """A broken trade, with what the execution said."""
        traded = self.trades.get((said["match_number"], row.account, row.user_ref_num))
        row = row._replace(match_number=said["match_number"], clordid=said["cl_ord_id"])
        return row if traded is None else row._replace(**{name: getattr(traded, name) for name in (
            "symbol", "side", "order_ref", "quantity", "price", "liquidity", "contra_account",
            "contra_side", "contra_liquidity", "contra_order_ref")})


def _meaning(said):
    """reason and meaning of a message that has them."""
    if "reason" not in said:
        return {}
    code, values = said["reason"], said.message["reason"].values
    known = values.get(ord(code) if isinstance(code, str) and len(code) == 1 else code)
    return {"reason": code if isinstance(code, str) else f"{code:04X}", "meaning": known}


def _pair(rows, first):
    """Fills in the counterparties of the executions of one command: two have one match number."""
    waiting = {}
    for at in range(first, len(rows)):
        row = rows[at]
        if row.event != "execution":
            continue
        other = waiting.pop(row.match_number, None)
        if other is None:
            waiting[row.match_number] = at
            continue
        rows[at], rows[other] = _facing(row, rows[other]), _facing(rows[other], row)


def _facing(row, other):
    return row._replace(contra_account=other.account, contra_side=other.side,
                        contra_liquidity=other.liquidity, contra_order_ref=other.order_ref)


def _fed(base, said):
    """A row of a feed message."""
    letter = said.letter
    row = base._replace(event=FEED_EVENTS[letter], symbol=said.get("stock"))
    if letter == "S":
        code = said["event_code"]
        return row._replace(reason=code, meaning=ITCH["S"]["event_code"].values.get(ord(code)))
    if letter == "H":
        return row._replace(state=said["trading_state"], reason=said["reason"] or None,
                            meaning=ITCH["H"]["trading_state"].values.get(
                                ord(said["trading_state"])))
    return row._replace(quantity=said["shares"], price=said["cross_price"],
                        match_number=said["match_number"], reason=said["cross_type"],
                        meaning=ITCH["Q"]["cross_type"].values.get(ord(said["cross_type"])))


def events(genesis, arrays, clock=None):
    """Yields lists of Rows, some for each array of JOURNAL_RECORDs; the journal from its beginning.

    Raises ReplayError, Missed, WireError. clock: a Clock; without one its state is "unknown".
    """
    core = build_core(genesis)
    life = Life(core, genesis, clock or Clock())
    for records in arrays:
        rows = []
        for at in range(len(records)):
            apply(core, records[at:at + 1], 1)
            rows += life.take(records[at])
        yield rows


def table(rows) -> dict:
    """{column: list} of Rows, `utc` besides: text with nanoseconds."""
    columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True)) if rows else {
        name: () for name in Row._fields}
    utc = np.datetime_as_string(np.array(columns["utc_ns"], np.int64).view("datetime64[ns]"))
    columns["utc"] = [f"{text}Z" for text in utc.tolist()]
    return {name: list(columns[name]) for name in COLUMNS}
