"""Limits, exposures and kill switches through a snapshot; and one from before there were any."""

import json

import numpy as np
import pytest

from appliance.journal import snapshot_file, state_hash
from appliance.journal.genesis import build_core, describe
from appliance.journal.replay import apply
from appliance.journal.restore import restore
from appliance.journal.sections import LATER, ROWS, SnapshotError
from appliance.journal.snapshot import canonical
from tests.hot.test_replay import compare
from tests.hot.wire_day import WireDay
from tests.oracle.limited import limited


@pytest.fixture(scope="module")
def day():
    made = WireDay(21, 2_500, generator=lambda *args: limited(*args, often=0.03))
    for _ in made.play():
        pass
    return made


def exposure(core):
    """{(account, symbol): (open buy, open sell, orders)} as the order records have it."""
    found = {}
    orders, cold = core.book.orders, core.accounts.cold
    for handle in np.flatnonzero(orders["qty"]).tolist():
        row = cold[handle]
        shares = int(orders[handle]["qty"])
        if orders[handle]["level"] & 0x40000000:
            shares += int(core.book.extras[handle]["reserve"])
        entry = found.setdefault((int(row["account"]), int(row["symbol"])), [0, 0, 0])
        entry[int(row["side_letter"] != ord("B"))] += shares
        entry[2] += 1
    return found


def counted(core):
    """The same as the exposures have it, of accounts that have a slot."""
    found, symbols = {}, len(core.book.symbols)
    for account, slot in enumerate(core.accounts.sessions["limits"].tolist()):
        for symbol in range(symbols) if slot else ():
            row = core.risk.exposures[slot * symbols + symbol]
            if row["open_cnt"]:
                found[account, symbol] = [int(row[name]) for name in (
                    "open_buy", "open_sell", "open_cnt")]
            else:
                assert row["open_buy"] == row["open_sell"] == 0
    return found


def test_restored_at_any_command_it_goes_on_byte_for_byte(day):
    records, core, at = day.records(), day.twin(), 0
    seen = dict.fromkeys(LATER, 0)
    for cut in range(150, len(records), 170):
        apply(core, records[at:cut])
        at, taken = cut, canonical(core)
        for name in LATER:
            seen[name] += len(taken[name])
        limited_ones = {key: value for key, value in exposure(core).items()
                        if core.accounts.sessions[key[0]]["limits"]}
        assert counted(core) == limited_ones
        again = restore(day.genesis(), taken)
        assert counted(again) == limited_ones
        assert state_hash.of(again) == state_hash.of(core)
        if cut % 3 == 0:
            apply(again, records[at:])
            compare(day.venue.core, again,
                    ("first_page", "last_page", "first_chunk", "last_chunk", "limits"))
            assert state_hash.of(again) == state_hash.of(day.venue.core)
    assert all(count for name, count in seen.items() if name != "venue"), seen


def test_every_limit_counts_in_the_hash(day):
    core, records = day.twin(), day.records()
    apply(core, records[:len(records) // 2])
    taken = canonical(core)
    whole = state_hash.sections(taken)
    for name in LATER:
        for field in ROWS[name].names if len(taken[name]) else ():
            spoilt = {**taken, name: taken[name].copy()}
            spoilt[name][field][-1] ^= 1
            assert state_hash.sections(spoilt) != whole, (name, field)


def test_a_snapshot_of_a_release_without_limits_is_read(tmp_path):
    """Such a file has no section of LATER, and no byte in its hash of them."""
    day = WireDay(5, 300)
    for _ in day.play():
        pass
    core = day.venue.core
    taken = canonical(core)
    path = snapshot_file.write(tmp_path, day.genesis(), taken)
    text = path.read_bytes()[:40_000]
    for name in LATER:
        assert len(taken[name]) == 0 and f'["{name}"'.encode() not in text
    found = snapshot_file.read(path)
    assert found.state_hash == state_hash.of(restore(found.genesis, found.sections))


def test_a_file_with_limits_is_read_back(day, tmp_path):
    core, records = day.twin(), day.records()
    apply(core, records[:len(records) // 2])
    taken = canonical(core)
    found = snapshot_file.read(snapshot_file.write(tmp_path, day.genesis(), taken))
    for name in ROWS:
        np.testing.assert_array_equal(found.sections[name], taken[name], err_msg=name)


def test_limits_of_accounts_that_are_not_there_are_refused(day):
    core, records = day.twin(), day.records()
    apply(core, records[:len(records) // 2])
    taken = canonical(core)
    taken["limits"]["account"][0] = 999
    with pytest.raises(SnapshotError, match="an account"):
        restore(day.genesis(), taken)


MAIN = ('symbols_file = "both.toml"\naccounts_file = "both.toml"\n[interface]\nname = "lo"\n'
        'ip = "127.0.0.1"\n')
BOTH = ('[[symbols]]\nname = "S0"\nreference_price = 50000\n{0}'
        '[[symbols]]\nname = "S1"\nreference_price = 50000\n'
        '[[accounts]]\nname = "A"\npassword = "x"\n[[accounts]]\nname = "B"\npassword = "x"\n{1}')


def genesis_of(folder, symbol="", account=""):
    from appliance import topology as topo
    from appliance.config.load import load
    (folder / "main.toml").write_text(MAIN)
    (folder / "both.toml").write_text(BOTH.format(symbol, account))
    return describe(topo.build(load(folder / "main.toml")).partitions[0], 1)


def test_a_genesis_without_limits_is_word_by_word_what_it_was(tmp_path):
    """So the journal of a day that began with an earlier release goes on."""
    text = json.dumps(genesis_of(tmp_path))
    assert "limits" not in text and "slots" not in text and "max_quantity" not in text


def test_configured_limits_are_in_the_core_from_the_beginning(tmp_path):
    found = genesis_of(tmp_path, "max_notional = 77\nprice_band = 9\n",
                       'max_position = 5\nduplicates = 2\nrestricted = ["S1"]\n')
    core = build_core({**found, "sizes": {**found["sizes"], "pages": 4, "far_levels": 16,
                                          "far_cap": 8, "chunks": 4, "feed_bytes": 1 << 12,
                                          "feed_messages": 64, "journal": 64}})
    assert core.accounts.sessions["limits"].tolist() == [0, 1]
    row = core.risk.limits[1]
    assert (row["max_position"], row["duplicates"], row["duplicate_window"],
            row["max_quantity"]) == (5, 2, 1000, 0)
    assert core.risk.exposures["max_notional"].tolist() == [77, 0, 0, 0, 0, 0]
    assert core.risk.exposures["restricted"].tolist()[:4] == [0, 0, 0, 1]
    assert core.book.symbols["guard"].tolist() == [2, 0]
