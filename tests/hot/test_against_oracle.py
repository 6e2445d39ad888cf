"""The compiled core against the oracle: the same messages in, every byte of every stream compared.

Streams are generated (`tests/oracle/generate.py`, `adversary.py`), a burst of them is decoded and
run through the product's kernels, and the acknowledgement streams, the feed and the counters must
equal those of `tests/oracle/venue.py`, timestamps included: a burst has one time for both.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from appliance.hot import engine, state
from appliance.hot.codec import decode
from appliance.hot.symbols import index_symbols
from appliance.layout.record import DAY_END, DAY_START
from appliance.layout.shared import CHUNK_SZ, COUNTER_INDEX
from tests.oracle.adversary import adversarial
from tests.oracle.generate import realistic
from tests.oracle.venue import Venue
from tests.oracle.words import itch_words, ouch_words

ROOT = Path(__file__).resolve().parents[2]
BURST = 1_000
MILLISECOND = 1_000_000
SMP = {"off": 0, "oldest": 1, "newest": 2}
COMPARED_COUNTERS = ("messages_unknown", "messages_short", "messages_stale", "orders", "rejects",
                     "cancels_ignored", "trades")
SYMBOLS = [dict(name="AAA", tick_size=100, lot_size=100), dict(name="BBB", tick_size=1, lot_size=1),
           dict(name="LONGNAME", tick_size=25, lot_size=10)]
ACCOUNTS = [dict(name=f"ACC{idx}", firm=f"FI{idx}", smp=("off", "oldest", "newest")[idx % 3])
            for idx in range(6)]


@dataclass(frozen=True)
class Flow:
    """One day of generated orders. window: first tick of every symbol's ladder of 2^12 levels."""

    generator: object
    seed: int
    count: int
    symbols: int = 3
    accounts: int = 6
    window: int = 10_000 - 2_048
    middle: int = 10_000
    partition: int = 1

    def __str__(self):
        return f"{self.generator.__name__}-{self.seed}"


FLOWS = (
    Flow(realistic, 1, 400_000),
    Flow(realistic, 2, 100_000, symbols=1, accounts=2, window=10_000),       # half the touch is far
    Flow(adversarial, 3, 300_000),
    Flow(adversarial, 4, 100_000, symbols=1, accounts=2, window=10_010, partition=255),
    Flow(adversarial, 5, 50_000, symbols=2, accounts=1),                     # alone: self-matches
    Flow(adversarial, 6, 60_000, window=1_000_000, partition=0),             # everything is far
)


@njit
def take_burst(core, frames, edges, accounts, count, now_ns):
    """Decodes `count` messages, frames[edges[i]:edges[i + 1]] each, then runs them."""
    for i in range(count):
        decode(core, frames, edges[i], edges[i + 1] - edges[i], accounts[i], i)
    engine.run(core, 0, count, now_ns)


class Core:
    """The product's core, set up as a matcher sets it up, fed with bytes."""

    def __init__(self, flow, symbols, accounts):
        sizes = state.Sizes(symbols=len(symbols), accounts=len(accounts), pages=4096, lg_ladder=12,
                            far_cap=2048, far_levels=8192, chunks=3000, feed_bytes=1 << 27,
                            feed_messages=1 << 22, journal=1 << 10)
        self.core = state.build(sizes, partition=flow.partition)
        for idx, (record, each) in enumerate(zip(self.core.book.symbols, symbols)):
            record["name"] = np.frombuffer(each["name"].ljust(8).encode(), np.uint8)
            record["tick_size"], record["lot_size"] = each["tick_size"], each["lot_size"]
            record["locate"] = flow.partition * 1000 + idx + 1 & 0xFFFF
            record["state"], record["window_ticks"] = ord("T"), flow.window
        index_symbols(self.core.book.symbols)
        for record, each in zip(self.core.accounts.sessions, accounts):
            record["default_firm"] = np.frombuffer(each["firm"].ljust(4).encode(), np.uint8)
            record["smp_default"] = SMP[each["smp"]]
            record["aiq_default"] = ord("NOW"[SMP[each["smp"]]])
            record["page_quota"] = sizes.pages

    def day(self, kind, now_ns):
        self.core.burst.commands[0] = 0
        self.core.burst.details[0] = 0
        self.core.burst.commands[0]["kind"] = kind
        engine.run(self.core, 0, 1, now_ns)

    def burst(self, messages, now_ns):
        frames = np.frombuffer(b"".join(data for _, data in messages) + bytes(64), np.uint8).copy()
        edges = np.zeros(len(messages) + 1, np.int64)
        np.cumsum([len(data) for _, data in messages], out=edges[1:])
        accounts = np.array([account for account, _ in messages], np.int64)
        take_burst(self.core, frames, edges, accounts, len(messages), now_ns)

    def feed(self):
        """All blocks of the feed, one after the other."""
        log = self.core.feed.log[0]
        assert log["oldest_seq"] == 1, "the test's feed ring is too small for its flow"
        return self.core.feed.ring[:int(log["write_off"])].tobytes()


def stream_of(core, account):
    """All blocks of an account's stream, one after the other."""
    heads, pieces = core.streams.heads, []
    chunk = int(core.accounts.sessions[account]["first_chunk"])
    while chunk:
        begin = chunk * CHUNK_SZ
        pieces.append(core.streams.data[begin:begin + int(heads[chunk]["data_off"])].tobytes())
        chunk = int(heads[chunk]["next"])
    return b"".join(pieces)


def blocks(messages, kind=b""):
    """Messages as MoldUDP64 blocks, `kind` before each."""
    return b"".join((len(message) + len(kind)).to_bytes(2, "big") + kind + message
                    for message in messages)


def messages_of(data, kind_sz):
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at:at + 2], "big")
        found.append(data[at + 2 + kind_sz:at + 2 + length])
        at += 2 + length
    return found


def assert_same(name, got, expected, kind, words):
    """Equal bytes; else the first difference is told in words, with what led to it."""
    if got == blocks(expected, kind):
        return
    found = messages_of(got, len(kind))
    at = next((i for i, (left, right) in enumerate(zip(found, expected)) if left != right),
              min(len(found), len(expected)))
    lead = [words(each) for each in expected[max(0, at - 5):at]]
    pytest.fail(
        f"{name}: message {at + 1} of {len(found)}, expected {len(expected)}\nbefore: {lead}\n"
        f"got      {[(words(each), each.hex()) for each in found[at:at + 3]]}\n"
        f"expected {[(words(each), each.hex()) for each in expected[at:at + 3]]}")


def compare(flow):
    """Runs the flow through both and asserts that they said the same; the oracle's venue."""
    symbols, accounts = SYMBOLS[:flow.symbols], ACCOUNTS[:flow.accounts]
    core, venue = Core(flow, symbols, accounts), Venue(flow.partition, symbols, accounts)
    generated = flow.generator(flow.seed, symbols, accounts, flow.count, middle=flow.middle,
                               is_live=venue.is_live)
    now = MILLISECOND
    core.day(DAY_START, now)
    venue.start(now)
    while True:
        now += MILLISECOND
        messages = []
        for account, data in islice(generated, BURST):
            venue.message(account, data, now)
            messages.append((account, data))
        if not messages:
            break
        core.burst(messages, now)
    live = [int(cnt) for cnt in core.core.accounts.sessions["live_cnt"]]
    assert live == [len(orders) for orders in venue.book.live]
    core.day(DAY_END, now)
    venue.end(now)
    assert_same("feed", core.feed(), venue.feed, b"", itch_words)
    for account in range(len(accounts)):
        assert_same(f"account {account}", stream_of(core.core, account), venue.streams[account],
                    b"S", ouch_words)
    got = {name: int(core.core.counters[COUNTER_INDEX[name]]) for name in COMPARED_COUNTERS}
    assert got == {name: venue.counters[name] for name in COMPARED_COUNTERS}
    assert core.core.book.engine[0]["fault"] == 0 and sum(live) > 0
    assert core.core.counters[COUNTER_INDEX["capacity_rejects"]] == 0
    assert core.core.book.engine[0]["live_orders"] == 0
    return venue


def test_generated_flows_are_a_million_commands():
    assert sum(flow.count for flow in FLOWS) >= 1_000_000


@pytest.mark.parametrize("flow", FLOWS, ids=str)
def test_every_acknowledgement_and_feed_message_equals_the_oracles(flow):
    venue = compare(flow)
    assert len(venue.trades) > flow.count // 200 and len(venue.feed) > flow.count // 4


def test_a_sample_without_the_compiler_equals_the_oracle_too():
    sample = "import numba; assert numba.config.DISABLE_JIT; " \
             "from tests.hot import test_against_oracle as t; " \
             "t.compare(t.Flow(t.realistic, 7, 1500)); t.compare(t.Flow(t.adversarial, 8, 3000))"
    done = subprocess.run(
        [sys.executable, "-c", sample], cwd=ROOT, capture_output=True, text=True, timeout=1800,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-4000:]
