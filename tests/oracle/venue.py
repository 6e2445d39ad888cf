"""The whole venue, plainly: sessions, order entry, book, streams and feed of one partition.

Feed it datagrams (or bare OUCH messages) with their times and read what every participant must
have received: `streams[account]` (OUCH), `feed` (ITCH), `dispositions`, `rejects`, `trades`.
It shares no code with the product, so equal bytes mean something.
"""

from collections import Counter

from tests.oracle import entry
from tests.oracle.book import Book
from tests.oracle.cross import Cross
from tests.oracle.entry import OPEN, OVER, PRE_OPEN
from tests.oracle.feed import mask_itch
from tests.oracle.order import CLOSING, HALT, OFF, OPENING
from tests.oracle.publisher import Publisher
from tests.oracle.reports import mask_ouch
from tests.oracle.risk import STOPPED
from tests.oracle.session import Sessions, session_name

__all__ = ["Venue", "mask_itch", "mask_ouch"]


def text(value, width):
    """`value` (str or bytes) as bytes, padded with spaces."""
    return (value if isinstance(value, bytes) else value.encode()).ljust(width)


class Symbol:
    """name: eight bytes; tick_size in units of 0.0001; lot_size for the directory.

    state: letter of the trading state. reference: price of the last cross, else as configured, 0
    for none. collar: how many ticks from it an order may trade, 0 for as many as it likes.
    """

    def __init__(self, partition, idx, described):
        self.name = text(described["name"], 8)
        self.tick_size = described.get("tick_size", 1)
        self.lot_size = described.get("lot_size", 1)
        self.locate = described.get("locate", (partition * 1000 + idx + 1) & 0xFFFF)
        self.state = text(described.get("state", "T"), 1)
        self.reference = described.get("reference_price", 0)
        self.collar = described.get("collar", 0)
        self.halted_by_mode = False


class Venue:
    """One partition.

    symbols: dicts with name, tick_size, lot_size, reference_price (units of 0.0001), collar
    (ticks, 0 for none), state letter and, if not by rule, locate.
    accounts: dicts with name, firm, smp ("off", "oldest", "newest", "decrement"),
    cancel_on_disconnect, disconnect_grace_ms, orders_per_second, orders_burst, throttle_refusals.
    Whatever comes with a time first lets the orders go whose time has come by then. Times are
    nanoseconds since midnight and never go back.
    """

    def __init__(self, partition, symbols, accounts, day=1, instance="0",
                 gap_request_interval_ns=1_000_000, gap_hold_ns=1_000_000, hold_pool=256,
                 allowed_sources=None):
        self.symbols = [Symbol(partition, idx, each) for idx, each in enumerate(symbols)]
        self.accounts = [
            entry.Account(idx, text(each.get("firm", ""), 4), each.get("smp", OFF),
                          entry.Throttle(each.get("orders_per_second", 0),
                                         each.get("orders_burst", 0),
                                         each.get("throttle_refusals", 0)))
            for idx, each in enumerate(accounts)]
        self.graces_ns = [each.get("disconnect_grace_ms", 0) * 1_000_000 for each in accounts]
        self.leaving = {}                    # account -> when the orders of a lost session leave
        self.cancels_on_disconnect = [
            bool(each.get("cancel_on_disconnect")) for each in accounts]
        self.publisher = Publisher(partition, self.symbols, self.accounts)
        self.book = Book(self.symbols, len(accounts), self.publisher)
        self.desk = entry.Desk(self.symbols, self.accounts, self.book, self.publisher,
                               self.publisher.counters)
        self.risk = self.publisher.risk = self.desk.risk
        self.feed_name = session_name(day, "F", partition, 0, instance)
        self.sessions = Sessions(
            self, [session_name(day, "O", partition, idx + 1, instance)
                   for idx in range(len(accounts))],
            gap_request_interval_ns, gap_hold_ns, hold_pool)
        self.allowed_sources = allowed_sources
        self.streams, self.feed = self.publisher.streams, self.publisher.feed
        self.trades, self.rejects = self.publisher.trades, self.publisher.rejects
        self.dispositions = self.sessions.dispositions
        self.sent, self.control = self.sessions.sent, self.sessions.control

    @property
    def counters(self):
        """Tallies of messages and of sessions, by the names of the product's counters."""
        return Counter(self.publisher.counters) + Counter(self.sessions.counters)

    def is_live(self, account, user_ref_num):
        """Has this order of the account open shares?"""
        return user_ref_num in self.book.live[account]

    # -- the day -------------------------------------------------------------------------------

    def clock(self, now_ns):
        """Time has passed."""
        self.publisher.time = now_ns
        self.book.expire(now_ns)

    def start(self, now_ns=0, opens_later=False):
        """Start of day: directory, states, system events; then orders are taken, or at
        `open_market`."""
        self.clock(now_ns)
        self.publisher.feed_event(b"O")
        self.publisher.directory()
        self.publisher.feed_event(b"S")
        self.desk.phase = PRE_OPEN
        if not opens_later:
            self.open_market(now_ns)
        self.publisher.stream_event(b"S")

    def open_market(self, now_ns=0):
        """Opening crosses, then continuous trading; nothing but before the opening."""
        self.clock(now_ns)
        if self.desk.phase != PRE_OPEN:
            return
        for idx, symbol in enumerate(self.symbols):
            cross = Cross(self.book, idx, OPENING)
            if symbol.state == b"T":
                cross.run()
            else:
                cross.cancel_rest()
        self.publisher.feed_event(b"Q")
        self.desk.phase = OPEN

    def end(self, now_ns=0):
        """End of day: closing crosses, then every live order leaves, nothing more is accepted."""
        self.clock(now_ns)
        if self.desk.phase == OPEN:
            self.publisher.feed_event(b"M")
            for idx, symbol in enumerate(self.symbols):
                if symbol.state == b"T":
                    Cross(self.book, idx, CLOSING).run()
        for account in self.accounts:
            self.book.cancel_account(account.idx, b"E")
        self.publisher.feed_event(b"E")
        self.publisher.feed_event(b"C")
        self.publisher.stream_event(b"E")
        self.desk.phase = OVER

    # -- the operator --------------------------------------------------------------------------

    def is_running(self):
        return self.desk.phase in (PRE_OPEN, OPEN)

    def halt(self, symbol_idx, state, reason=b"    ", now_ns=0):
        """New trading state of a symbol: H halted, P paused, Q quotation only, T trading."""
        self.clock(now_ns)
        state = text(state, 1)
        if (not self.is_running() or not 0 <= symbol_idx < len(self.symbols)
                or state not in (b"H", b"P", b"Q", b"T")):
            return
        symbol = self.symbols[symbol_idx]
        if symbol.state == state and not symbol.halted_by_mode \
                or state == b"T" and self.risk.mode == STOPPED:
            return
        if symbol.state == b"Q" and state == b"T" and self.desk.phase == OPEN:
            Cross(self.book, symbol_idx, HALT).run()
        symbol.state, symbol.halted_by_mode = state, False
        self.publisher.trading_action(symbol, text(reason, 4))

    def limit(self, account, symbol, rule, value, now_ns=0):
        """A risk limit of an account, of a symbol (account None) or of an account in a symbol."""
        self.clock(now_ns)
        self.risk.limit(account, symbol, rule, value)

    def kill(self, scope, idx, on=True, now_ns=0):
        """scope: "account", "symbol" or "venue". Its orders leave (S), no new ones are taken."""
        self.clock(now_ns)
        accounts, wanted = self.accounts, None
        if scope == "account":
            accounts = [self.accounts[idx]]
            before, accounts[0].killed = accounts[0].killed, on
        elif scope == "symbol":
            before = idx in self.risk.killed_symbols
            (self.risk.killed_symbols.add if on else self.risk.killed_symbols.discard)(idx)

            def wanted(order):
                return order.symbol == idx
        else:
            before, self.risk.killed_venue = self.risk.killed_venue, on
        for account in accounts if on and not before else ():
            self.book.cancel_account(account.idx, b"S", wanted)

    def mode(self, mode, reason=b"    ", now_ns=0):
        """0 normal, 1 throttled, 2 cancel-only, 3 halted."""
        self.clock(now_ns)
        old = self.risk.mode
        if not self.is_running() or mode == old:
            return
        self.risk.mode = mode
        for symbol in self.symbols:
            if mode == STOPPED and symbol.state == b"T":
                symbol.state, symbol.halted_by_mode = b"H", True
            elif old == STOPPED and symbol.halted_by_mode:
                symbol.state, symbol.halted_by_mode = b"T", False
            else:
                continue
            self.publisher.trading_action(symbol, text(reason, 4))

    def imbalance(self, letter, now_ns=0):
        """An imbalance message of every symbol whose cross of this letter is to come."""
        self.clock(now_ns)
        letter = text(letter, 1)
        for idx, symbol in enumerate(self.symbols):
            if ((letter == OPENING and self.desk.phase == PRE_OPEN and symbol.state == b"T")
                    or (letter == CLOSING and self.desk.phase == OPEN and symbol.state == b"T")
                    or (letter == HALT and self.is_running() and symbol.state == b"Q")):
                self.publisher.imbalance(symbol, letter,
                                         Cross(self.book, idx, letter).imbalance())

    def bust(self, match, reason, now_ns=0):
        """Breaks a trade. match: its number without the partition; reason: E, C, S or X."""
        self.clock(now_ns)
        reason = text(reason, 1)
        if not self.is_running() or reason not in (b"E", b"C", b"S", b"X"):
            self.publisher.counters["busts_ignored"] += 1
        else:
            self.publisher.broken(match, reason, self.book.last_match)

    # -- participants --------------------------------------------------------------------------

    def message(self, account, data, now_ns=0):
        """One OUCH message of an account, past the session."""
        self.clock(now_ns)
        self.desk.message(account, data)

    def login(self, account, token, ip, port, requested=0, now_ns=None):
        """Binds the ten-byte token to the account and its source."""
        if now_ns is not None:
            self.clock(now_ns)
        if not self.sessions.is_bound(account, token, (ip, port)):
            self.leaving.pop(account, None)
            self.accounts[account].throttle.session_over()
        self.sessions.login(account, token, (ip, port), requested)

    def datagram(self, ip, port, payload, now_ns):
        """One UDP payload from a source; counted under exactly one disposition."""
        self.clock(now_ns)
        if self.allowed_sources is not None and ip not in self.allowed_sources:
            self.dispositions["rx_source_refused"] += 1
            return
        self.sessions.datagram((ip, port), payload, now_ns)

    def tick(self, now_ns):
        """Lets timers run that are due at this time."""
        self.clock(now_ns)
        self.sessions.tick(now_ns)

    def disconnect(self, account, now_ns=None):
        """The account was silent too long."""
        if now_ns is not None:
            self.clock(now_ns)
        self.logged_out(account, was_lost=True)

    def look_after(self, now_ns):
        """Ends sessions whose throttle refused too much, then lets the orders go whose grace is
        over. Product and test must do this between the same two datagrams."""
        self.clock(now_ns)
        for account in self.accounts:
            session = self.sessions.sessions[account.idx]
            if account.throttle.overdone:
                self.publisher.counters["throttle_disconnects"] += 1
                self.sessions.refuse(session.token, session.source, b"S")
                self.logged_out(account.idx)
            elif self.leaving.get(account.idx, now_ns + 1) <= now_ns:
                del self.leaving[account.idx]
                self.publisher.counters["graces_over"] += 1
                self.book.cancel_account(account.idx, b"Z")

    # -- what sessions hand over ---------------------------------------------------------------

    def logged_out(self, account, was_lost=False):
        if not self.sessions.end(account):
            return
        was_expelled = self.accounts[account].throttle.overdone
        self.accounts[account].throttle.session_over()
        if not self.cancels_on_disconnect[account]:
            return
        if was_lost and not was_expelled and self.graces_ns[account]:
            self.publisher.counters["graces"] += 1
            self.leaving[account] = self.publisher.time + self.graces_ns[account]
        else:
            self.book.cancel_account(account, b"Z")

    def block(self, account, block):
        """One upstream block in sequence."""
        counters = self.publisher.counters
        counters["messages"] += 1
        if not block:
            counters["messages_filler"] += 1
        elif block[:1] == b"U":
            self.desk.message(account, block[1:])
        elif block == b"O":
            self.logged_out(account)
        else:
            counters["messages_unknown"] += 1
