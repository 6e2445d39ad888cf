"""Checks of the risk limits that no single key shows."""

from ..hot.state import Sizes, slots
from .mistakes import did_you_mean

RULES = ("restricted", "max_quantity", "max_notional", "max_open_orders", "max_position",
         "price_band", "duplicates")


def judge(defaults, symbols, accounts, say) -> None:
    """Complains by say(path, text). defaults: [account_defaults]; symbols, accounts: their entries
    with the defaults filled in."""
    known = {entry.get("name") for entry in symbols if isinstance(entry.get("name"), str)}
    limited = 0
    for i, entry in enumerate(accounts):
        listed = entry.get("restricted", [])
        for name in listed if isinstance(listed, list) and known else ():
            if isinstance(name, str) and name not in known:
                whose = ("account_defaults",) if listed == defaults.get("restricted") \
                    else ("accounts", i)
                say((*whose, "restricted"), f': there is no symbol "{name}"'
                    f"{did_you_mean(name, known)}")
        limited += any(entry.get(rule) for rule in RULES)
    most = slots(Sizes(symbols=max(1, len(symbols)), accounts=max(1, len(accounts))))
    if limited > most:
        say(("accounts",), f": {limited} accounts have risk limits; of {len(accounts)} accounts "
            f"and {len(symbols)} symbols {most} at most can; spread the symbols over more "
            "partitions.count, or set limits for fewer")
