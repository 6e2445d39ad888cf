"""The table computed from a Config: names, ports, blocks, session names."""

from pathlib import Path

import pytest

from appliance import topology as topo
from appliance.config import load as loading
from appliance.config.load import load
from appliance.hot import state

EXAMPLE = Path(loading.__file__).parent / "examples" / "appliance.toml"


@pytest.fixture(scope="module")
def table():
    return topo.build(load(EXAMPLE))


@pytest.mark.parametrize("text, value", [   # from the hash's published test suite
    (b"", 0xCBF29CE484222325), (b"a", 0xAF63DC4C8601EC8C), (b"foobar", 0x85944171F73967E8)])
def test_hash_is_fnv1a64(text, value):
    assert topo.fnv1a64(text) == value


def test_partition_of_a_symbol_hashes_the_padded_name():
    assert topo.partition_of("AB", 7) == topo.fnv1a64(b"AB      ") % 7


def test_base36_counts_digits_then_letters():
    assert [topo.base36(n, 3) for n in (0, 9, 10, 35, 36, 36 ** 3 - 1)] == [
        "000", "009", "00A", "00Z", "010", "ZZZ"]
    with pytest.raises(ValueError, match="46656 does not fit 3"):
        topo.base36(36 ** 3, 3)


def test_session_names_of_the_wire_specification(table):
    part = table.partitions[0]
    assert part.feed_session(326) == "326F000000"
    assert part.order_session(326, 0) == "326O000010"
    assert topo.build(table.config, 11).partitions[0].order_session(9, 1) == "009O00002B"


def test_same_files_give_the_same_table(table):
    assert topo.build(load(EXAMPLE)) == table


def test_blocks_are_what_the_core_asks_for(table):
    asked = []
    blocks = table.partitions[0].blocks

    def make(name, dtype, count):
        asked.append(name)
        assert (blocks[name].dtype, blocks[name].count) == (dtype, count)
        return state.private(name, dtype, count)

    state.build(table.partitions[0].sizes, make)
    assert len(asked) == len(set(asked)) > 20
    assert {blocks[name].writer for name in asked} == {topo.MATCHER}


def test_every_block_has_a_file_of_its_own(table):
    paths = [block.path for block in table.partitions[0].blocks.values()]
    assert len(set(paths)) == len(paths)
    assert all(path.parent == table.runtime_dir / "p0" for path in paths)


def test_channel_names_every_symbol_and_session(table):
    part = topo.channel(table, 326)["partitions"][0]
    assert part["symbols"] == [
        {"name": "BTCUSD", "locate": 1, "tick_size": 100, "lot_size": 1},
        {"name": "ACME", "locate": 2, "tick_size": 100, "lot_size": 100}]
    assert part["sessions"] == {"ALICE": "326O000010", "BOB": "326O000020"}
    assert (part["group_a"], part["group_b"]) == ("239.192.64.1", "239.192.65.1")


def test_day_is_that_of_the_zone():
    noon = 1_795_435_200 * 10**9              # 2026-11-23 12:00 UTC, already the 24th at UTC+13
    assert topo.day_of_year("UTC", noon - 12 * 3600 * 10**9) == 327
    assert topo.day_of_year("Pacific/Auckland", noon - 3600 * 10**9) == 328


def test_allowed_sources_are_every_accounts_addresses_once(table):
    assert table.allowed_sources == (0x7F000001,)
