"""What a core is before its first command: names, symbols, accounts and sizes as plain JSON.

`describe` says it of a partition, `fill_tables` and `build_core` make a core of it. A matcher and a
replay build from the same words, so the same commands give the same bytes in both.
"""

from dataclasses import asdict

import numpy as np

from ..hot import state
from ..layout.record import GUARD_LIMITS
from .risk_state import give_slot

FORMAT = 1
# Of an account, and only where they are not 0: a genesis of a time before they were is still equal.
OPTIONAL = ("orders_per_second", "orders_burst", "throttle_refusals", "disconnect_grace_ms")
# Limits by the names of the configuration: the field of the symbol, or of LIMITS.
SYMBOL_RULES = {name: name for name in ("max_quantity", "max_notional", "price_band")}
ACCOUNT_RULES = {**SYMBOL_RULES, "max_position": "max_position", "max_open_orders": "max_open",
                 "duplicates": "duplicates", "duplicate_window_ms": "duplicate_window",
                 "restricted": ""}
SMP = {"off": 0, "oldest": 1, "newest": 2, "decrement": 3}
AIQ = dict(zip(SMP, b"NOWD", strict=True))


def describe(partition, day: int, **also) -> dict:
    """The genesis of a partition (topology.Partition) on day `day` of the year; no passwords.

    also: what a journal wants to know besides, such as date and midnight_ns.
    """
    return {
        **also,
        "format": FORMAT, "partition": partition.idx, "instance": partition.names, "day": day,
        "feed_session": partition.feed_session(day), "sizes": asdict(partition.sizes),
        "symbols": [{"name": item.symbol.name, "locate": item.locate,
                     "tick_size": item.symbol.tick_size, "lot_size": item.symbol.lot_size,
                     "reference_price": item.symbol.reference_price,
                     "collar": item.symbol.collar, **_limits(item.symbol, SYMBOL_RULES)}
                    for item in partition.listings],
        "accounts": [{"name": account.name, "session": partition.order_session(day, idx),
                      "firm": account.firm, "smp": account.smp, "max_pages": account.max_pages,
                      "cancel_on_disconnect": account.cancel_on_disconnect,
                      **_limits(account, ACCOUNT_RULES)}
                     | {key: getattr(account, key) for key in OPTIONAL if getattr(account, key)}
                     for idx, account in enumerate(partition.accounts)]}


def _limits(item, rules):
    """{"limits": those that are set}, nothing where there are none: such a genesis is word by word
    that of a release without limits, and goes on with its journal."""
    found = {name: getattr(item, name) for name in rules if getattr(item, name)}
    if set(found) == {"duplicate_window_ms"}:
        found = {}
    return {"limits": found} if found else {}


def build_core(genesis: dict, make=state.private):
    """A core as it is before its first command; `make` as in state.build."""
    from ..hot.symbols import index_symbols       # a kernel: not to be loaded with this module
    core = state.build(state.Sizes(**genesis["sizes"]), make, genesis["partition"])
    fill_tables(core, genesis)
    index_symbols(core.book.symbols)
    return core


def fill_names(core, genesis: dict) -> None:
    """The session names, also into a core that has gone far."""
    for row, account in zip(core.accounts.sessions, genesis["accounts"]):
        row["session_name"] = text(account["session"], 16, b"\0")
    core.feed.log[0]["session_name"] = text(genesis["feed_session"], 16, b"\0")


def fill_tables(core, genesis: dict) -> None:
    """Symbols, accounts and names into an empty core."""
    sizes = genesis["sizes"]
    window = 1 << sizes["lg_ladder"]
    for row, symbol in zip(core.book.symbols, genesis["symbols"]):
        row["name"] = text(symbol["name"], 8, b" ")
        row["tick_size"], row["lot_size"] = symbol["tick_size"], symbol["lot_size"]
        row["locate"], row["state"] = symbol["locate"], ord("T")
        row["reference_ticks"] = symbol["reference_price"] // symbol["tick_size"]
        row["window_ticks"] = max(0, int(row["reference_ticks"]) - window // 2)
        row["collar_ticks"], reference = symbol["collar"], int(row["reference_ticks"])
        if symbol["collar"]:                  # else the bounds that state.build gave
            row["buy_bound_ticks"] = reference + symbol["collar"]
            row["sell_bound_ticks"] = max(1, reference - symbol["collar"])
    for row, account in zip(core.accounts.sessions, genesis["accounts"]):
        row["page_quota"] = min(account["max_pages"], sizes["pages"] - 1)
        row["cancel_on_disconnect"] = account["cancel_on_disconnect"]
        set_limits(row, account)
        row["smp_default"] = SMP[account["smp"]]
        row["aiq_default"] = AIQ[account["smp"]]
        row["default_firm"] = text(account["firm"], 4, b" ")
    _fill_limits(core, genesis)
    fill_names(core, genesis)


def set_limits(row, account: dict) -> None:
    """An account's throttle and grace into its SESSION; keys that are missing are 0, none."""
    rate, burst, refusals, grace_ms = (account.get(key, 0) for key in OPTIONAL)
    row["order_interval_ns"] = 1_000_000_000 // rate if rate else 0
    row["order_burst"] = burst or rate
    row["throttle_refusals"], row["grace_ms"] = refusals, grace_ms


def _fill_limits(core, genesis):
    for idx, symbol in enumerate(genesis["symbols"]):
        for name, value in symbol.get("limits", {}).items():
            core.risk.exposures[idx][SYMBOL_RULES[name]] = value
            core.book.symbols[idx]["guard"] = GUARD_LIMITS
    names = [symbol["name"] for symbol in genesis["symbols"]]
    for idx, account in enumerate(genesis["accounts"]):
        limits = dict(account.get("limits", {}))
        if not limits:
            continue
        slot, here = give_slot(core, idx), [names.index(name) for name in limits.pop(
            "restricted", ()) if name in names]
        if not slot:
            raise ValueError(f"limits of {account['name']}: at most {len(core.risk.limits) - 1} "
                             "accounts of a partition of so many symbols can have limits")
        for name, value in limits.items():
            core.risk.limits[slot][ACCOUNT_RULES[name]] = value
        for symbol in here:
            core.risk.exposures[slot * len(core.book.symbols) + symbol]["restricted"] = 1


def text(value, size, pad):
    """ASCII bytes of `value` padded to `size` as a numpy array."""
    return np.frombuffer(value.encode("ascii").ljust(size, pad), np.uint8)
