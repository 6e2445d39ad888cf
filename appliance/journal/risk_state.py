"""Limits, exposures and kill switches as sections of a snapshot, and back into a core.

There are rows for what is not zero only. Open shares are not among them: they are counted anew from
the orders. An account's slot is no part of its state: after a restart it may be another one.
"""

import numpy as np

from ..layout.record import RECENT_CNT
from .sections import (
    EXPOSURE_ROW, LIMITS_ROW, RECENT_ROW, SYMBOL_RISK_ROW, VENUE_ROW, SnapshotError, rows_of,
)

_GUARD, *_SYMBOL_FIELDS = SYMBOL_RISK_ROW.names[1:]
_PAIR_FIELDS = EXPOSURE_ROW.names[2:]
_RECENT_FIELDS = RECENT_ROW.names[2:]


def give_slot(core, account: int) -> int:
    """The slot of an account without orders, a new one if need be; 0 when all are used."""
    session, engine = core.accounts.sessions[account], core.book.engine[0]
    if not session["limits"] and int(engine["slots"]) + 1 < len(core.risk.limits):
        engine["slots"] += 1
        session["limits"] = engine["slots"]
        core.risk.limits[int(session["limits"])]["account"] = account
    return int(session["limits"])


def canonical(core) -> dict:
    """Section name -> array, for those in LATER."""
    risk, symbols = core.risk, core.book.symbols
    slots = 1 + np.argsort(risk.limits["account"][1:int(core.book.engine[0]["slots"]) + 1])
    every = _numbered(risk.exposures[:len(symbols)], SYMBOL_RISK_ROW, "symbol")
    every[_GUARD] = symbols[_GUARD]
    return {"venue": _kept(rows_of(core.book.engine, VENUE_ROW), VENUE_ROW.names),
            "symbol_risk": _kept(every, SYMBOL_RISK_ROW.names[1:]),
            "limits": rows_of(risk.limits[slots], LIMITS_ROW),
            "exposures": _by_account(risk, risk.exposures, slots, EXPOSURE_ROW, _PAIR_FIELDS),
            "recent": _by_account(risk, risk.recent, slots, RECENT_ROW, ("count",))}


def _kept(rows, names):
    """The rows in which one of these fields is not zero."""
    kept = np.zeros(len(rows), bool)
    for name in names:
        kept |= rows[name] != 0
    return rows[kept]


def _numbered(records, dtype, name):
    """rows_of, and in the field `name` the number of each."""
    rows = rows_of(records, dtype)
    rows[name] = np.arange(len(rows))
    return rows


def _by_account(risk, records, slots, dtype, names):
    """The rows of every slot of a block."""
    width, found = len(records) // len(risk.limits), [np.zeros(0, dtype)]
    for slot in slots.tolist():
        rows = _numbered(records[slot * width:(slot + 1) * width], dtype, dtype.names[1])
        rows["account"] = risk.limits[slot]["account"]
        found.append(_kept(rows, names))
    return np.concatenate(found)


def seat(core, sections: dict) -> None:
    """Gives a core what `canonical` said, and counts its open orders. SnapshotError."""
    from ..hot.exposure import recount            # a kernel: not to be loaded with this module
    risk, symbols, engine = core.risk, core.book.symbols, core.book.engine
    for name in VENUE_ROW.names:
        engine[name] = sections["venue"][name] if len(sections["venue"]) else 0
    accounts = risk.limits["account"].copy()
    risk.limits[:], risk.exposures[:], risk.recent[:] = 0, 0, 0
    risk.limits["account"], symbols[_GUARD], every = accounts, 0, sections["symbol_risk"]
    symbols[_GUARD][every["symbol"]] = every[_GUARD]
    for name in _SYMBOL_FIELDS:
        risk.exposures[name][every["symbol"]] = every[name]
    for row in sections["limits"]:
        slot = give_slot(core, int(row["account"]))
        if not slot:
            raise SnapshotError(f"limits: there is no slot for account {row['account']}")
        for name in LIMITS_ROW.names:
            risk.limits[slot][name] = row[name]
    slots = core.accounts.sessions["limits"].astype(np.int64)
    for name, records, width, fields in (
            ("exposures", risk.exposures, len(symbols), _PAIR_FIELDS),
            ("recent", risk.recent, RECENT_CNT, _RECENT_FIELDS)):
        rows = sections[name]
        places = slots[rows["account"]] * width + rows[rows.dtype.names[1]]
        for field in fields:
            records[field][places] = rows[field]
    recount(core)
