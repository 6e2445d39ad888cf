"""Real and synthetic flow together: Bitstamp's half hour on partition 0, and a seeded synthetic
flow over 100 symbols, which go to the partitions that the hash of their names says.

The synthetic flow is spread evenly among the real commands, each at the time of the one before it,
so that the two are interleaved all along.
"""

import numpy as np

from . import bitstamp, synthetic
from . import commands as c

SYNTHETIC_CNT, SYMBOL_CNT = 200_000, 100


def load(accounts: int, seed: int, limit: int | None = None, path=None,
         symbols: int | None = None) -> c.Flow:
    """Both flows as one. limit: commands in all, half of them (the odd one too) Bitstamp's."""
    if limit == 1:
        raise c.SourceError("a mix has at least 2 commands: one of each flow")
    real = bitstamp.load(accounts, seed, limit and limit - limit // 2, path)
    made = synthetic.load(accounts, seed, limit // 2 if limit else SYNTHETIC_CNT,
                          symbols or SYMBOL_CNT)
    follows = np.arange(len(made.commands)) * len(real.commands) // len(made.commands)
    made.commands["time_ns"] = real.commands["time_ns"][follows]
    made.commands["symbol"] += 1
    named = made.commands["target"] >= 0
    made.commands["target"][named] += len(real.commands)

    together = np.concatenate((real.commands, made.commands))
    order = np.argsort(np.concatenate((np.arange(len(real.commands)), follows)), kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    together = together[order]
    named = together["target"] >= 0
    together["target"][named] = place[together["target"][named]]
    notes = real.notes | {"messages_bitstamp": len(real.commands),
                          "messages_synthetic": len(made.commands)}
    return c.Flow(together, [real.symbols[0] | {"partition": 0}, *made.symbols], notes=notes,
                  data=f"{real.data}; {made.data}")
