"""The judge of a demo: the oracle's answers and feed for the same orders, message by message.

The oracle (tests/oracle) shares no code with the product; one Venue a partition gets the datagrams
that the partition was sent, in that order, and must come to the same bytes, time stamps aside.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Verdict:
    """equal: None when the oracle is not there. missing: the oracle's messages that never came."""

    equal: bool | None
    missing: int = 0
    surplus: int = 0
    differing: int = 0
    first: str = ""
    rejects: Counter = field(default_factory=Counter)
    trades: int = 0


def oracle():
    """The oracle's venue module; None outside of a checkout."""
    if not (ROOT / "tests" / "oracle" / "venue.py").exists():
        return None
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests.oracle import venue
    return venue


def expected(material, partition, datagrams, day):
    """The oracle's Venue of a partition after the day: logins, then every (session, payload)."""
    module, settings = oracle(), material.settings
    symbols = [dict(symbol, locate=partition * 1000 + idx + 1)
               for idx, symbol in enumerate(material.symbols[partition])]
    venue = module.Venue(partition, symbols, settings["accounts"], day=day)
    venue.start()
    for session in material.sessions:
        if session.partition == partition:
            venue.login(session.account, session.token.encode(), *session.source, 1)
    for session, payload in datagrams:
        venue.datagram(*material.sessions[session].source, payload, 0)
    venue.end()
    return venue, module


def compare(material, partition, datagrams, day, streams, feed) -> Verdict:
    """Judges a partition: `streams` (OUCH messages by session) and `feed` (ITCH messages)."""
    if oracle() is None:
        return Verdict(None)
    venue, module = expected(material, partition, datagrams, day)
    verdict = Verdict(True)
    for session, heard in streams.items():
        whose = material.sessions[session]
        _judge(verdict, f"partition {partition}, account {whose.name}", module.mask_ouch,
               venue.streams[whose.account], heard)
    _judge(verdict, f"feed of partition {partition}", module.mask_itch, venue.feed, feed)
    verdict.equal = not (verdict.missing or verdict.surplus or verdict.differing)
    verdict.rejects, verdict.trades = Counter(venue.rejects), len(venue.trades)
    return verdict


def _judge(verdict, what, mask, wanted, heard):
    verdict.missing += max(0, len(wanted) - len(heard))
    verdict.surplus += max(0, len(heard) - len(wanted))
    for number, (one, other) in enumerate(zip(wanted, heard), 1):
        if one != other and mask(one) != mask(other):
            verdict.differing += 1
            verdict.first = verdict.first or (f"{what}, message {number}: expected "
                                              f"{mask(one).hex()}, heard {mask(other).hex()}")
