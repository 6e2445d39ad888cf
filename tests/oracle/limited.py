"""Days with risk limits, kill switches and modes: `everything`, and now and then an order of these.

    ("limit", account index or None, symbol index or None, rule, value, now_ns)
    ("kill", "account" | "symbol" | "venue", index, on, now_ns)
    ("mode", 0 to 3, reason, now_ns)
"""

import random

from tests.oracle.everything import everything

# Values near what the generated orders have, so that some pass and some do not.
VALUES = dict(max_quantity=(1, 100, 400, 800, 0xFFFFFFFF), max_open=(1, 5, 40),
              max_position=(1, 300, 2_000, 20_000, 1 << 62), price_band=(1, 5, 30, 10_000),
              max_notional=(1_000, 5_000_000, 100_000_000, 500_000_000, 1 << 62),
              duplicates=(1, 2), duplicate_window_ms=(1, 50, 5_000), restricted=(1, 0))
OF_SYMBOL = ("max_quantity", "max_notional", "price_band")
NOT_OF_PAIR, ONLY_OF_PAIR = ("duplicates", "duplicate_window_ms"), ("restricted",)


def limited(seed, symbols, accounts, count, often=0.01, **options):
    """`everything`, and with the chance `often` behind each action one that restrains or lets go.
    At times an order has the terms of its account's one before.
    """
    rng, due, terms = random.Random(seed), [], {}
    for action in everything(seed, symbols, accounts, count, **options):
        now_ns = action[-1]
        if action[0] == "message" and action[2][:1] == b"O":
            account, data = action[1:3]
            if account in terms and rng.random() < 0.1:
                action = "message", account, data[:5] + terms[account], now_ns
            else:
                terms[account] = data[5:]
        yield action
        for entry in [each for each in due if rng.random() < 0.02]:
            due.remove(entry)
            yield (*entry, now_ns)
        if action[0] in ("start", "end") or rng.random() >= often:
            continue
        draw = rng.random()
        if draw < 0.8:
            yield (*limit(rng, len(symbols), len(accounts)), now_ns)
        elif draw < 0.93:
            scope = rng.choice(("account", "symbol", "venue"))
            idx = rng.randrange(len(symbols) if scope == "symbol" else len(accounts))
            yield "kill", scope, idx, True, now_ns
            due.append(("kill", scope, idx, False))
        else:
            yield "mode", rng.randrange(4), rng.choice((b"O1  ", b"    ")), now_ns
            due.append(("mode", 0, b"R4  "))


def limit(rng, symbol_cnt, account_cnt):
    """One limit of an account, a symbol or a pair; often none again."""
    scope, rule = rng.choice(("account", "pair", "symbol")), rng.choice(list(VALUES))
    if rule in ONLY_OF_PAIR:
        scope = "pair"
    elif rule in NOT_OF_PAIR:
        scope = "account"
    elif scope == "symbol" and rule not in OF_SYMBOL:
        scope = "account"
    value = 0 if rng.random() < 0.4 and rule != "duplicate_window_ms" else rng.choice(VALUES[rule])
    return ("limit", None if scope == "symbol" else rng.randrange(account_cnt),
            None if scope == "account" else rng.randrange(symbol_cnt), rule, value)
