"""What an operator has ordered and has not taken back, read off a partition's own blocks.

`records` gives it as link records for a core that begins anew, `rows` for people. What the
configuration says by itself is not in it.
"""

from ..journal.genesis import ACCOUNT_RULES
from ..layout import record, shared
from ..shm import region

CARRIED = {"ip": 0, "session": b"carried over"}
MODES = ("normal", "throttled", "cancel-only", "halted")
# Names of the limits: those of the configuration.
RULES = {"max_quantity": record.MAX_QUANTITY, "max_notional": record.MAX_NOTIONAL,
         "max_open_orders": record.MAX_OPEN, "max_position": record.MAX_POSITION,
         "price_band": record.PRICE_BAND, "duplicates": record.DUPLICATES,
         "duplicate_window_ms": record.DUPLICATE_WINDOW, "restricted": record.RESTRICTED}
OF_SYMBOL = ("max_quantity", "max_notional", "price_band")
OF_ACCOUNT = tuple(name for name in RULES if name != "restricted")
OF_PAIR = tuple(name for name in RULES if not name.startswith("duplicate"))
_SCOPES = {"account": "A", "symbol": "S", "venue": "V"}


def kill_record(scope: str, idx: int, on: bool) -> dict:
    """The link record of a kill switch."""
    return {"kind": shared.LINK_KILL, "reason": ord(_SCOPES[scope]),
            "scope": 0 if on else record.LIFT, "account": idx if scope == "account" else 0,
            "udp_port": idx if scope == "symbol" else 0}


def limit_record(account, symbol, rule: int, value: int) -> dict:
    """The link record of a limit."""
    scope = (record.SCOPE_ACCOUNT if account is not None else 0) \
        | (record.SCOPE_SYMBOL if symbol is not None else 0)
    return {"kind": shared.LINK_LIMIT, "reason": rule, "scope": scope, "account": account or 0,
            "udp_port": symbol or 0, "requested_seq": value}


def _blocks(part):
    return {name: region.attach(part.blocks[name], instance=part.instance) for name in (
        "engine", "symbols", "sessions", "limits", "exposures")}


def _field(rule):
    return ACCOUNT_RULES[rule] or "restricted"


def limits(part, blocks):
    """(account index or None, symbol index or None, rule name, value) of every limit that is."""
    symbol_cnt, exposures = len(blocks["symbols"]), blocks["exposures"]
    for symbol in range(symbol_cnt):
        for rule in OF_SYMBOL:
            if value := int(exposures[symbol][_field(rule)]):
                yield None, symbol, rule, value
    for account in blocks["sessions"]["limits"].nonzero()[0].tolist():
        slot = int(blocks["sessions"][account]["limits"])
        for rule in OF_ACCOUNT:
            if value := int(blocks["limits"][slot][_field(rule)]):
                yield account, None, rule, value
        for symbol in range(symbol_cnt):
            for rule in OF_PAIR:
                if value := int(exposures[slot * symbol_cnt + symbol][_field(rule)]):
                    yield account, symbol, rule, value


def window(part, account: int) -> int:
    """The duplicate_window_ms that an account has now, 0 none yet."""
    blocks = _blocks(part)
    slot = int(blocks["sessions"][account]["limits"])
    return int(blocks["limits"][slot]["duplicate_window"]) if slot else 0


def _configured(part):
    found = {}
    for item in part.listings:
        for rule in OF_SYMBOL:
            found[None, item.idx, rule] = getattr(item.symbol, rule)
    names = {item.symbol.name: item.idx for item in part.listings}
    for idx, account in enumerate(part.accounts):
        for rule in OF_ACCOUNT:
            found[idx, None, rule] = getattr(account, rule)
        for name in account.restricted:
            if name in names:
                found[idx, names[name], "restricted"] = 1
    return {key: value for key, value in found.items() if value}


def _kills(blocks):
    """(scope, index) of every kill switch that is on."""
    for account in (blocks["sessions"]["disabled"] & shared.DISABLED_BY_OPERATOR).nonzero()[0]:
        yield "account", int(account)
    for symbol in (blocks["symbols"]["guard"] & record.GUARD_KILLED).nonzero()[0]:
        yield "symbol", int(symbol)
    if blocks["engine"][0]["killed"]:
        yield "venue", 0


def records(part, with_halts: bool) -> list:
    """Link records that bring a core as it begins to where this one is; with_halts: states too."""
    blocks = _blocks(part)
    found = [kill_record(scope, idx, True) for scope, idx in _kills(blocks)]
    here = {key[:3]: key[3] for key in limits(part, blocks)}
    configured = _configured(part)
    if here or any(key[2] != "duplicate_window_ms" for key in configured):
        for key in sorted(here.keys() | configured.keys(), key=str):
            if here.get(key, 0) != configured.get(key, 0):
                found.append(limit_record(*key[:2], RULES[key[2]], here.get(key, 0)))
    if mode := int(blocks["engine"][0]["mode"]):
        found.append({"kind": shared.LINK_MODE, "reason": mode, "token": "O1  "})
    for idx, row in enumerate(blocks["symbols"] if with_halts else ()):
        if chr(row["state"]) in "HPQ" and not row["guard"] & record.GUARD_MODE:
            found.append({"kind": shared.LINK_HALT, "account": idx, "reason": int(row["state"]),
                          "token": bytes(row["reason"])})
    return [{**each, **CARRIED} for each in found]


def rows(part) -> dict:
    """What stands, by name, JSON-ready."""
    blocks = _blocks(part)
    accounts = [account.name for account in part.accounts]
    symbols = [item.symbol.name for item in part.listings]
    engine, guards = blocks["engine"][0], blocks["symbols"]["guard"]
    states = {"H": "halted", "P": "paused", "Q": "quotation"}
    return {
        "partition": part.idx, "phase": ("before", "open", "closed", "pre-open")[
            int(engine["phase"]) & 3],
        "mode": MODES[int(engine["mode"]) & 3],
        "killed": [{"scope": scope, "name": "" if scope == "venue" else (
            accounts if scope == "account" else symbols)[idx]} for scope, idx in _kills(blocks)],
        "halted": [{"symbol": name, "state": states[chr(row["state"])],
                    "reason": bytes(row["reason"]).decode("latin-1").strip("\0 "),
                    "by_mode": bool(guard & record.GUARD_MODE)}
                   for name, row, guard in zip(symbols, blocks["symbols"], guards)
                   if chr(row["state"]) in states],
        "limits": [{"account": None if account is None else accounts[account],
                    "symbol": None if symbol is None else symbols[symbol], rule: value}
                   for account, symbol, rule, value in limits(part, blocks)]}
