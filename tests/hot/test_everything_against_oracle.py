"""Whole days with every order type and every operator's command: product and oracle, byte for byte.

`tests/oracle/everything.py` makes the days; each action is a burst record of the compiled core and
a call of the oracle's venue. WIREMATCH_LONG=1 runs ten million actions instead of some 200,000.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.hot import engine
from appliance.layout import record
from appliance.layout.shared import COUNTER_INDEX
from tests.hot.book_validate import validate
from tests.hot.test_against_oracle import Core, Flow, assert_same, stream_of
from tests.hot.wire_day import RULES
from tests.oracle.everything import apply, everything
from tests.oracle.limited import limited
from tests.oracle.venue import Venue
from tests.oracle.words import itch_words, ouch_words

ROOT = Path(__file__).resolve().parents[2]
LONG = os.environ.get("WIREMATCH_LONG") == "1"
DAYS = 167 if LONG else 4                     # of each flow
COMPARED = ("messages_unknown", "messages_short", "messages_stale", "orders", "rejects",
            "cancels_ignored", "trades", "orders_expired", "busts_ignored", "risk_quantity",
            "risk_notional", "risk_open", "risk_position", "risk_price", "risk_duplicate",
            "risk_restricted", "risk_killed", "risk_mode")
SMP = {"off": 0, "oldest": 1, "newest": 2, "decrement": 3}
SYMBOLS = [dict(name="AAA", tick_size=100, lot_size=100, reference_price=1_000_000),
           dict(name="BBB", tick_size=1, lot_size=1, reference_price=10_000, collar=12),
           dict(name="LONGNAME", tick_size=25, lot_size=10, reference_price=250_000, collar=40)]
ACCOUNTS = [dict(name=f"ACC{idx}", firm=f"FI{idx}",
                 smp=("off", "oldest", "newest", "decrement")[idx % 4]) for idx in range(6)]
FLOWS = (Flow(everything, 1, 20_000), Flow(everything, 2, 20_000, window=10_000),
         Flow(everything, 3, 20_000, symbols=1, accounts=2, window=1_000_000, partition=0))
LIMITED = (Flow(limited, 11, 20_000), Flow(limited, 12, 20_000, symbols=1, accounts=2))


class Day(Core):
    """The core with collars, references and the operator's commands."""

    def __init__(self, flow, symbols, accounts):
        super().__init__(flow, symbols, [dict(each, smp="off") for each in accounts])
        for row, each in zip(self.core.book.symbols, symbols):
            reference = each["reference_price"] // each["tick_size"]
            row["reference_ticks"], row["collar_ticks"] = reference, each.get("collar", 0)
            if each.get("collar"):
                row["buy_bound_ticks"] = reference + each["collar"]
                row["sell_bound_ticks"] = max(1, reference - each["collar"])
        for row, each in zip(self.core.accounts.sessions, accounts):
            row["smp_default"] = SMP[each["smp"]]
            row["aiq_default"] = ord("NOWD"[SMP[each["smp"]]])

    def record(self, kind, now_ns, symbol=0, flags=0, account=0, **detail):
        burst = self.core.burst
        burst.commands[0], burst.details[0] = 0, 0
        burst.commands[0]["kind"], burst.commands[0]["symbol"] = kind, symbol
        burst.commands[0]["flags"], burst.commands[0]["account"] = flags, account
        for name, value in detail.items():
            burst.details[0][name] = value
        engine.run(self.core, 0, 1, now_ns)

    def act(self, action):
        """One action of `everything`."""
        word, *rest, now_ns = action
        if word == "message":
            self.burst([tuple(rest)], now_ns)
        elif word == "start":
            self.record(record.DAY_START, now_ns, flags=record.OPENS_LATER * rest[0])
        elif word == "halt":
            self.record(record.HALT, now_ns, rest[0], side_letter=ord(rest[1]),
                        firm=np.frombuffer(rest[2], np.uint8))
        elif word == "bust":
            self.record(record.BUST, now_ns, upstream_seq=rest[0], side_letter=ord(rest[1]))
        elif word == "imbalance":
            self.record(record.IMBALANCE, now_ns, cross=ord(rest[0]))
        elif word == "limit":
            account, symbol, rule, value = rest
            scope = (record.SCOPE_ACCOUNT if account is not None else 0) \
                | (record.SCOPE_SYMBOL if symbol is not None else 0)
            self.record(record.LIMIT, now_ns, symbol or 0, account=account or 0,
                        side_letter=RULES[rule], upstream_seq=value, present=scope)
        elif word == "kill":
            scope, idx, on = rest
            symbol = idx if scope == "symbol" else 0
            self.record(record.KILL, now_ns, symbol, 0 if on else record.LIFT,
                        account=idx if scope == "account" else 0, cross=ord(scope[0].upper()),
                        symbol_text=self.core.book.symbols[symbol]["name"])
        elif word == "mode":
            self.record(record.MODE, now_ns, side_letter=rest[0],
                        firm=np.frombuffer(rest[1], np.uint8))
        else:
            self.record({"open": record.MARKET_OPEN, "end": record.DAY_END,
                         "clock": record.CLOCK}[word], now_ns)


def compare(flow, validated=0):
    """Runs a day through both and asserts that they said the same; the oracle's venue.

    validated: the book's whole structure is checked after one of so many actions, 0 never.
    """
    symbols, accounts = SYMBOLS[:flow.symbols], ACCOUNTS[:flow.accounts]
    core, venue = Day(flow, symbols, accounts), Venue(flow.partition, symbols, accounts)
    for number, action in enumerate(flow.generator(
            flow.seed, symbols, accounts, flow.count, middle=flow.middle, is_live=venue.is_live,
            last_match=lambda: venue.book.last_match)):
        apply(venue, action)
        core.act(action)
        if validated and number % validated == 0:
            validate(core.core.book)
    assert_same("feed", core.feed(), venue.feed, b"", itch_words)
    for account in range(len(accounts)):
        assert_same(f"account {account}", stream_of(core.core, account), venue.streams[account],
                    b"S", ouch_words)
    got = {name: int(core.core.counters[COUNTER_INDEX[name]]) for name in COMPARED}
    assert got == {name: venue.counters[name] for name in COMPARED}
    book_engine = core.core.book.engine[0]
    assert book_engine["fault"] == 0 and book_engine["live_orders"] == 0
    assert core.core.counters[COUNTER_INDEX["capacity_rejects"]] == 0
    return venue


@pytest.mark.slow
@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_days_with_everything_equal_the_oracles(flow):
    for day in range(DAYS):
        venue = compare(Flow(flow.generator, flow.seed + 100 * day, flow.count, flow.symbols,
                             flow.accounts, flow.window, flow.middle, flow.partition),
                        validated=97)
        kinds = {message[:1] for message in venue.feed}
        assert kinds >= set(b"%c" % letter for letter in b"ACDEHIPQSX"), kinds
        told = {message[:1] for stream in venue.streams for message in stream}
        assert told >= set(b"%c" % letter for letter in b"ABCDEJMRSTU"), told


@pytest.mark.slow
@pytest.mark.parametrize("flow", LIMITED, ids=str)
def test_days_with_limits_and_kill_switches_equal_the_oracles(flow):
    fired = set()
    for day in range(DAYS):
        venue = compare(Flow(flow.generator, flow.seed + 100 * day, flow.count, flow.symbols,
                             flow.accounts), validated=97)
        fired |= {name for name, count in venue.counters.items() if count}
    assert fired >= {name for name in COMPARED if name.startswith("risk_")}, fired


def test_a_sample_without_the_compiler_equals_the_oracle_too():
    sample = "import numba; assert numba.config.DISABLE_JIT; " \
             "from tests.hot import test_everything_against_oracle as t; " \
             "t.compare(t.Flow(t.everything, 7, 2500), 31); " \
             "t.compare(t.Flow(t.limited, 8, 2500), 31)"
    done = subprocess.run(
        [sys.executable, "-c", sample], cwd=ROOT, capture_output=True, text=True, timeout=1800,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-4000:]
