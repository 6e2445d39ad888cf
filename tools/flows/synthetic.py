"""A seeded generator with the proportions of a real Nasdaq day.

44 % adds, 43 % deletes, 7 % replaces, 2 % executions (an immediate-or-cancel order that crosses the
touch), 4 % partial cancels; half of the gaps between messages are 0. Each symbol has a middle price
that walks slowly; adds rest on their side of it, so some meet old orders and trade.
"""

import numba
import numpy as np

from . import commands as c

SHARES = ((440, "adds"), (430, "deletes"), (70, "replaces"), (20, "executions"),
          (40, "partial_cancels"))
TICK, LOT = 100, 100
MIDDLE_TICKS, LOW_TICKS, HIGH_TICKS = 5_000, 500, 9_500
MEAN_GAP_NS = 2_000          # of the gaps that are not 0
DEPTH_TICKS = 200            # how far from the middle orders rest; most are near


@numba.njit(cache=True)
def _generate(seed, accounts, symbols, kind, side, tif, symbol, account, price, qty, target, gap):
    """Fills the columns. live[]: rows whose order the generator has not taken away, any order."""
    np.random.seed(seed)
    count = kind.size
    live = np.empty(count + 1, np.int64)
    total = np.zeros(count, np.int64)
    middle = np.full(symbols, MIDDLE_TICKS, np.int64)
    live_cnt = 0
    for row in range(count):
        gap[row] = 0 if np.random.random() < 0.5 else 1 + int(
            np.random.exponential(MEAN_GAP_NS))
        draw = np.random.randint(0, 1000)
        if live_cnt == 0:
            draw = 0
        target[row], tif[row] = -1, c.DAY
        if draw < 440 or 940 <= draw < 960:
            here = np.random.randint(0, symbols)
            if np.random.random() < 0.02:
                middle[here] += np.random.randint(-1, 2)
                middle[here] = min(max(middle[here], LOW_TICKS), HIGH_TICKS)
            buys = np.random.randint(0, 2) == 0
            symbol[row], account[row] = here, np.random.randint(0, accounts)
            side[row] = c.BUY if buys else c.SELL
            kind[row] = c.ENTER
            lots = 1 + min(int(np.random.exponential(3.0)), 99)
            qty[row] = lots * LOT if np.random.random() < 0.9 else np.random.randint(1, LOT)
            away = 1 + min(int(np.random.exponential(12.0)), DEPTH_TICKS)
            if draw < 440:
                price[row] = (middle[here] - away if buys else middle[here] + away) * TICK
                total[row] = qty[row]
                live[live_cnt] = row
                live_cnt += 1
            else:
                tif[row] = c.IOC
                price[row] = (middle[here] + 5 if buys else middle[here] - 5) * TICK
            continue
        slot = np.random.randint(0, live_cnt)
        chosen = live[slot]
        symbol[row], account[row], side[row] = symbol[chosen], account[chosen], side[chosen]
        price[row], target[row] = price[chosen], chosen
        if draw < 870:
            kind[row], qty[row] = c.CANCEL, 0
            live_cnt -= 1
            live[slot] = live[live_cnt]
        elif draw < 940:
            here = symbol[chosen]
            away = 1 + min(int(np.random.exponential(12.0)), DEPTH_TICKS)
            kind[row], qty[row] = c.REPLACE, (1 + np.random.randint(0, 10)) * LOT
            price[row] = (middle[here] - away if side[row] == c.BUY else middle[here] + away) * TICK
            total[row] = qty[row]
            live[slot] = row
        else:
            kind[row] = c.CANCEL
            if total[chosen] > 1:
                total[chosen] -= np.random.randint(1, total[chosen])
            qty[row] = total[chosen]


def load(accounts: int, seed: int, limit: int | None = None, symbols: int | None = None) -> c.Flow:
    """`limit` commands (100,000) on `symbols` symbols (4) as a Flow; the same for the same seed."""
    count, symbols = limit or 100_000, symbols or 4
    flow = np.zeros(count, c.COMMAND)
    names = ("kind", "side", "tif", "symbol", "account", "price", "qty", "target")
    columns = {name: np.zeros(count, np.int64) for name in (*names, "gap")}
    _generate(seed & 0xFFFFFFFF, accounts, symbols, **columns)
    for name in names:
        flow[name] = columns[name]
    flow["time_ns"] = c.EPOCH_NS + np.cumsum(columns["gap"])
    listed = [{"name": f"SYN{number:03d}", "tick_size": TICK, "lot_size": LOT,
               "reference_price": MIDDLE_TICKS * TICK} for number in range(symbols)]
    return c.Flow(flow, listed, data="seeded synthetic generator")
