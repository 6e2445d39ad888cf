"""What the operator and the trading day order of a partition, as records on its link."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from appliance import topology as topo
from appliance.config import load as loading
from appliance.config.load import load
from appliance.control.day import OPEN, PRE_OPEN
from appliance.control.partition import PartitionDesk
from appliance.control.trading_day import TradingDay
from appliance.journal.genesis import describe, fill_tables
from appliance.layout import shared
from appliance.shm.ring import Consumer, Producer

SECOND, EXAMPLES = 1_000_000_000, Path(loading.__file__).parent / "examples"
MIDNIGHT = 1_782_000_000 * SECOND // (86400 * SECOND) * 86400 * SECOND


class Desk(PartitionDesk):
    """A desk over a ring of this process."""

    def __init__(self, topology, idx=0):
        super().__init__(topology, idx, 0, 1, None)
        words, ring = np.zeros(32, np.uint64), np.zeros(16, shared.LINK.dtype)
        self.waiting, self.quoting = [], set()
        self.down, self.matcher_end = Producer(words, ring), Consumer(words, ring)

    def ordered(self):
        """(kind, account, reason letter, number, token) of each record since the last call."""
        found = []
        while (record := self.matcher_end.pop()) is not None:
            found.append((record["kind"], record["account"], chr(record["reason"]),
                          record["requested_seq"], record["token"].rstrip(b"\0")))
        return found


@pytest.fixture
def desk():
    return Desk(topo.build(load(EXAMPLES / "appliance.toml")))


def test_halt_names_symbol_state_and_reason(desk):
    desk.halt("ACME", "Q", "T7")
    desk.halt("BTCUSD", "H")
    assert desk.ordered() == [(shared.LINK_HALT, 1, "Q", 0, b"T7  "),
                              (shared.LINK_HALT, 0, "H", 0, b"    ")]
    assert desk.quoting == {1}
    desk.halt("ACME", "T", "R4")
    assert desk.quoting == set()


@pytest.mark.parametrize("arguments, why", [
    (("NOSUCH", "H"), "no such symbol"), (("ACME", "X"), "one of H, P, Q, T"),
    (("ACME", ""), "one of H, P, Q, T"), (("ACME", "H", "LUDPX"), "at most 4"),
    (("ACME", "H", "\xfc"), "at most 4"), (("ACME", "H", "\n"), "at most 4")])
def test_halt_that_makes_no_sense_is_refused(desk, arguments, why):
    with pytest.raises(ValueError, match=why):
        desk.halt(*arguments)
    assert desk.ordered() == [] and desk.quoting == set()


def test_bust_takes_the_number_of_the_wire():
    config = load(EXAMPLES / "appliance.toml")
    two = msgspec.structs.replace(config.partitions, count=2)
    desk = Desk(topo.build(msgspec.structs.replace(config, partitions=two)), 1)
    desk.bust(1 << 56 | 77, "E")
    assert desk.ordered() == [(shared.LINK_BUST, 0, "E", 77, b"")]
    foreign = "not of partition 1"
    for match, reason, why in ((77, "E", foreign), (1 << 56, "E", foreign),
                               (2 << 56 | 1, "S", foreign), (1 << 56 | 1, "Z", "E, C, S, X")):
        with pytest.raises(ValueError, match=why):
            desk.bust(match, reason)
    assert desk.ordered() == []


def test_imbalance_is_of_one_cross(desk):
    desk.imbalance("C")
    assert desk.ordered() == [(shared.LINK_IMBALANCE, 0, "C", 0, b"")]
    with pytest.raises(ValueError, match="one of O, C, H"):
        desk.imbalance("X")


class Counted:
    """A ready desk that notes the letters of its imbalances."""

    def __init__(self):
        self.letters, self.quoting = "", set()

    def is_trading(self):
        return True

    def open_market(self):
        self.letters += "("

    def end_day(self):
        self.letters += ")"

    def imbalance(self, letter):
        self.letters += letter


def course(moments, lead, pause, opens="08:00", closes="17:30", quoting=()):
    """What a desk is told at these seconds of a day."""
    config = load(EXAMPLES / "appliance.toml")
    hours = msgspec.structs.replace(config.day, opens=opens, closes=closes, imbalance_from=lead,
                                    imbalance_every=pause)
    today, desk = TradingDay(msgspec.structs.replace(config, day=hours), MIDNIGHT), Counted()
    desk.quoting = set(quoting)
    for moment in moments:
        today.look(MIDNIGHT + int(moment * SECOND), [desk])
    assert today.phase in (PRE_OPEN, OPEN)
    return desk.letters


EIGHT, HALF_PAST_FIVE = 8 * 3600, 17 * 3600 + 1800


def test_imbalances_are_told_before_each_cross_at_whole_pauses():
    early = [EIGHT + second / 2 for second in range(-40, 0)]
    assert course(early, 10, 5) == "OO"
    assert course(early, 10, 1) == "O" * 10
    assert course(early, 0, 1) == course(early, 10, 0) == ""
    late = [HALF_PAST_FIVE + second / 2 for second in range(-40, 0)]
    assert course(late, 10, 5).replace("(", "") == "CC"
    assert course(late, 10, 5, closes="").replace("(", "") == ""
    assert course([43_200, 43_201], 10, 5).replace("(", "") == ""


def test_imbalances_of_a_halt_cross_come_while_a_symbol_is_in_quotation():
    noon = [43_200 + second / 2 for second in range(20)]
    assert course(noon, 10, 2, quoting={1}).replace("(", "") == "H" * 5
    assert course(noon, 10, 2).replace("(", "") == ""


def test_tables_get_collar_and_self_match_prevention(tmp_path):
    from appliance.hot import state
    (tmp_path / "main.toml").write_text(
        'symbols_file = "both.toml"\naccounts_file = "both.toml"\n'
        '[interface]\nname = "lo"\nip = "127.0.0.1"\n')
    (tmp_path / "both.toml").write_text(
        "".join(f'[[symbols]]\nname = "S{idx}"\nreference_price = 50000\ncollar = {collar}\n'
                for idx, collar in enumerate((0, 30, 800, 100_000_000)))
        + '[[accounts]]\nname = "A"\npassword = "x"\nsmp = "decrement"\n'
        '[[accounts]]\nname = "B"\npassword = "x"\n')
    part = topo.build(load(tmp_path / "main.toml")).partitions[0]
    core = state.build(state.Sizes(symbols=4, accounts=2, pages=4, far_levels=16, far_cap=8,
                                   chunks=4, feed_bytes=1 << 12, feed_messages=64, journal=64))
    fill_tables(core, describe(part, 1))
    assert core.book.symbols["collar_ticks"].tolist() == [0, 30, 800, 100_000_000]
    bounds = core.book.symbols[["buy_bound_ticks", "sell_bound_ticks"]].tolist()
    assert bounds == [(2147483647, 0), (530, 470), (1300, 1), (100_000_500, 1)]
    sessions = core.accounts.sessions
    assert sessions["smp_default"].tolist() == [3, 0]
    assert bytes(sessions["aiq_default"].tolist()) == b"DN"
