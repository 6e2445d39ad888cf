"""The operator's words: a request as JSON becomes orders to partitions, and their outcome a text.

    {"verb": "halt", "symbol": "ACME", "reason": "T1"}        see VERBS for the others

Nothing unknown is ordered: a name that no partition has is refused with the nearest one.
"""

from ..config.mistakes import did_you_mean
from . import standing
from .operator import NUMBER_BITS

REASONS = {"halt": "O1", "resume": "R4"}
MOST = {"max_notional": 1 << 62, "max_position": 1 << 62}
WIDE = 0xFFFFFFFF


class Refused(Exception):
    """A request that makes no sense; the text says why and what would."""


class Verbs:
    """The verbs over all partitions of an appliance (supervise.Appliance)."""

    def __init__(self, appliance):
        self.appliance = appliance

    def take(self, request: dict, who) -> list:
        """[(Ticket or None, what was asked)] of a request; Refused. None: it needs no command."""
        verb = _word(request, "verb")
        if verb not in VERBS:
            raise Refused(f"verb {verb!r}: unknown{did_you_mean(verb, VERBS)}; there are "
                          f"{', '.join(VERBS)}")
        return VERBS[verb](self, request, who)

    def listed(self) -> list:
        """What stands in each partition."""
        return [standing.rows(desk.part) for desk in self._up()]

    # -- finding ----------------------------------------------------------------------------------

    def _up(self):
        desks = [desk for desk in self.appliance.desks if desk.is_trading()]
        if not desks:
            raise Refused("no partition trades now: look at wirematch status")
        return desks

    def _desk_of(self, symbol):
        """(desk, symbol index) of a symbol's name."""
        names = {}
        for desk in self.appliance.desks:
            for item in desk.part.listings:
                names[item.symbol.name] = desk, item.idx
        if symbol not in names:
            raise Refused(f"symbol {symbol!r}: unknown{did_you_mean(symbol, names)}")
        if names[symbol][0] not in self._up():
            raise Refused(f"symbol {symbol!r}: partition {names[symbol][0].idx} is down")
        return names[symbol]

    def _account(self, name):
        names = [account.name for account in self.appliance.config.accounts]
        if name not in names:
            raise Refused(f"account {name!r}: unknown{did_you_mean(name, names)}")
        return names.index(name)

    # -- the verbs --------------------------------------------------------------------------------

    def _halt(self, request, who):
        desk, _ = self._desk_of(_word(request, "symbol"))
        state = request.get("state", "H")
        try:
            return [(desk.halt(request["symbol"], state, request.get("reason", "O1"), who),
                     f"{request['symbol']} is {_STATES.get(state, state)}")]
        except (ValueError, TypeError, AttributeError) as error:
            raise Refused(str(error)) from error

    def _resume(self, request, who):
        return self._halt({**request, "state": "T", "reason": request.get("reason", "R4")}, who)

    def _kill(self, request, who, on=True):
        scope, what = _word(request, "scope"), "killed" if on else "let go again"
        if scope == "account":
            name = _word(request, "name")
            idx = self._account(name)
            return [(desk.switch_off("account", idx, on, who), f"account {name} is {what}")
                    for desk in self._up()]
        if scope == "symbol":
            desk, idx = self._desk_of(_word(request, "name"))
            return [(desk.switch_off("symbol", idx, on, who),
                     f"symbol {request['name']} is {what}")]
        if scope == "venue":
            return [(desk.switch_off("venue", 0, on, who), f"the venue is {what}")
                    for desk in self._up()]
        raise Refused(f"scope {scope!r}: choose account, symbol or venue")

    def _lift(self, request, who):
        return self._kill(request, who, False)

    def _limit(self, request, who):
        account, symbol = request.get("account"), request.get("symbol")
        values = request.get("values")
        if account is None and symbol is None:
            raise Refused("limit: name an account, a symbol or both")
        if not isinstance(values, dict) or not values:
            raise Refused(f"limit: give one key=value at least; keys: {', '.join(standing.RULES)}")
        known = standing.OF_SYMBOL if account is None else (
            standing.OF_ACCOUNT if symbol is None else standing.OF_PAIR)
        for rule, value in values.items():
            most = 1 if rule == "restricted" else MOST.get(rule, WIDE)
            if rule not in known:
                raise Refused(f"limit {rule!r}: unknown here{did_you_mean(rule, known)}; there "
                              f"are {', '.join(known)}")
            if type(value) is not int or not 0 <= value <= most:
                raise Refused(f"{rule} = {value!r}: must be a whole number from 0 (none) to {most}")
        idx = None if account is None else self._account(account)
        places = [(desk, None) for desk in self._up()] if symbol is None else [
            self._desk_of(symbol)]
        whose = " in ".join(filter(None, (account or "everybody", symbol)))
        return [(desk.limit(idx, place, standing.RULES[rule], value, who),
                 f"{rule} of {whose} is {value or 'none'}")
                for desk, place in places
                for rule, value in self._with_window(desk, idx, values).items()]

    def _with_window(self, desk, account, values):
        """`duplicates` of an account that has no window yet gets the configured one."""
        name = "duplicate_window_ms"
        if "duplicates" not in values or name in values or standing.window(desk.part, account):
            return values
        return {name: self.appliance.config.accounts[account].duplicate_window_ms, **values}

    def _bust(self, request, who):
        match, reason = request.get("match"), request.get("reason", "E")
        if type(match) is not int or match < 1:
            raise Refused(f"match {match!r}: must be a match number as on the wire")
        for desk in self._up():
            if match >> NUMBER_BITS == desk.idx:
                try:
                    return [(desk.bust(match, reason, who), f"trade {match} is broken")]
                except ValueError as error:
                    raise Refused(str(error)) from error
        raise Refused(f"match {match}: of partition {match >> NUMBER_BITS}, which does not trade")

    def _open(self, _request, who):
        return [(desk.ask_open(who), "the market is open") for desk in self._up()]

    def _close(self, _request, who):
        return [(desk.ask_close(who), "the day is over") for desk in self._up()]

    def _mode(self, request, who):
        name = _word(request, "mode")
        if name not in standing.MODES:
            raise Refused(f"mode {name!r}: unknown{did_you_mean(name, standing.MODES)}; there are "
                          f"{', '.join(standing.MODES)}")
        mode = standing.MODES.index(name)
        reason = "O1" if mode == len(standing.MODES) - 1 else "R4"
        return [(desk.set_mode(mode, reason, who), f"the mode is {name}") for desk in self._up()]

    def _disconnect(self, request, who):
        name = _word(request, "account")
        idx, what = self._account(name), f"{name} is disconnected"
        return [(desk.disconnect(idx, who), what) for desk in self._up()]

    def _list(self, _request, _who):
        self._up()
        return []


_STATES = {"H": "halted", "P": "paused", "Q": "in quotation", "T": "trading"}
VERBS = {"halt": Verbs._halt, "resume": Verbs._resume, "kill": Verbs._kill, "lift": Verbs._lift,
         "limit": Verbs._limit, "bust": Verbs._bust, "open": Verbs._open, "close": Verbs._close,
         "mode": Verbs._mode, "disconnect": Verbs._disconnect, "list": Verbs._list}
_NOT_NOW = {"halt": "not now: the day is over, or the whole venue is halted (control mode normal)",
            "resume": "not now: the day is over, or the whole venue is halted (control mode "
                      "normal)",
            "bust": "there is no such trade, or it is broken already",
            "open": "not now: the day is over", "mode": "not now: the day is over"}


def _word(request, key):
    value = request.get(key)
    if not isinstance(value, str) or not value or len(value) > 64:
        raise Refused(f"{key}: must be a text of 1 to 64 characters")
    return value


def answer(verb: str, asked: list) -> dict:
    """The reply to a request whose tickets are done."""
    results = []
    for ticket, what in asked:
        if ticket is None:
            row = {"outcome": "already", "text": f"{what} already"}
        else:
            row = {"partition": ticket.partition, "seq": ticket.seq, "outcome": ticket.outcome,
                   "text": _text(verb, ticket, what)}
        results.append(row)
    bad = [row for row in results if row["outcome"] not in ("done", "already")]
    return {"ok": not bad, "results": results}


def _text(verb, ticket, what):
    where = f"command {ticket.seq} of partition {ticket.partition}"
    if ticket.outcome == "done":
        return f"{what} from {where} on"
    if ticket.outcome == "already":
        return f"{what} already; {where} changed nothing"
    if ticket.outcome == "no room":
        return (f"{where} changed nothing: every account that can have limits has them; a "
                "partition with fewer symbols takes more")
    if ticket.outcome == "not now":
        return f"{where} changed nothing: {_NOT_NOW.get(verb, 'not possible')}"
    return (f"partition {ticket.partition} has not confirmed within 10 s; it may still take "
            "effect: see wirematch control list")
