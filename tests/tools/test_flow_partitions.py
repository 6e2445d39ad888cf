"""Order pcaps for several partitions: each partition's part is an order pcap like any other."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from appliance import topology
from appliance.config.load import load
from tests.tools.flow_judge import follow, messages, trades_of
from tools.flow import make
from tools.flows import bitstamp
from tools.flows.commands import SourceError, partitions_of

# SHA-256 of FILE.pcap and FILE.toml as they were before there were partitions
KNOWN = {
    ("synthetic", 7, 1): ("d5f0b7f75d106cc45b9c344a989cd5c30e1984284f3a34d3cb43d23a35f55426",
                          "3be5763651ec2dc6dff7ea2ab17f5d1b5282d37198427e95fccc08ffcceb2608"),
    ("synthetic", 7, 7): ("9e953b0b44d6b66cb33868920ded1fc5fbae7b6a236e7ee9e2b41ec28a13bc43",
                          "d1155cf8ba8728bdee32c09cf1b24feb60fc610796c958f77ed15ef040a53258"),
    ("bitstamp", 2, 1): ("c666fda893f4547802b77bf4803088c2ba78122a2276249c35ff1e4a71878698",
                         "9154f446274d87df8bc2c3b7b18fae430fa2cc9c29ff89cd758e936b9e01d420")}
LIMIT = 12_000


def sample():
    """Skips the test when there is no Bitstamp sample."""
    try:
        bitstamp.sample()
    except SourceError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module", params=[2, 4])
def mix(request, tmp_path_factory):
    sample()
    return make("mix", tmp_path_factory.mktemp("mix") / "mix.pcap", partitions=request.param,
                limit=LIMIT, accounts=5, seed=3)


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: f"{kind[0]}-pack-{kind[2]}")
def test_a_file_for_one_partition_is_byte_identical_to_earlier_ones(tmp_path, kind):
    source, seed, pack = kind
    options = {"accounts": 5} | ({"pack": pack} if pack > 1 else {"symbols": 6})
    if source == "bitstamp":
        sample()
        options = {}
    made = make(source, tmp_path / "a.pcap", limit=5_000, seed=seed, **options)
    assert KNOWN[kind] == tuple(hashlib.sha256(file.read_bytes()).hexdigest()
                                for file in (made.pcap, made.toml))
    assert "partition" not in made.toml.read_text()


def test_each_partition_of_a_mix_is_a_whole_flow(mix):
    count = mix.facts["partitions"]
    where = dict(zip([symbol["name"] for symbol in mix.symbols],
                     partitions_of(mix.symbols, count), strict=True))
    assert where["BTCUSD"] == 0 and len(where) == 101
    assert all(where[name] == topology.partition_of(name, count) for name in where
               if name != "BTCUSD")
    total = Counter()
    for partition in range(count):
        stream = list(messages(mix.pcap, partition))
        total += follow(stream)
        assert {mix.sessions[number].partition for number, *_ in stream} == {partition}
        assert len({number for number, *_ in stream}) == 5
        entered = Counter(message.symbol for *_, message in stream if message.letter == "O")
        assert {where[symbol] for symbol in entered} == {partition}
        assert len(entered) > 60 // count and len(stream) > LIMIT // 4 // count
        assert sum(bool(hits) for _, hits in trades_of(
            [each for each in stream if each[2].letter == "O"])) > 10
    assert sum(total.values()) == LIMIT == mix.facts["messages"]
    assert mix.facts["messages_bitstamp"] == mix.facts["messages_synthetic"] == LIMIT // 2


def test_both_flows_are_interleaved_all_along(mix):
    real, times = mix.flow.commands["symbol"] == 0, mix.flow.commands["time_ns"]
    assert (np.diff(times) >= 0).all()
    shares = real.reshape(100, -1).mean(axis=1)
    assert 0.49 <= shares.min() <= shares.max() <= 0.51


def test_every_account_has_a_session_of_its_own_on_each_partition(mix):
    count = mix.facts["partitions"]
    assert mix.facts["logins"] == len(mix.sessions) == 5 * count
    assert [(s.partition, s.account.name) for s in mix.sessions] == [
        (p, f"A{n:05d}") for p in range(count) for n in range(1, 6)]
    assert len({s.token for s in mix.sessions}) == 5 * count
    assert len({s.source for s in mix.sessions}) == 5 * count


def test_the_toml_gives_the_appliance_the_same_partitions(mix):
    count, folder = mix.facts["partitions"], mix.toml.parent
    main = folder / "main.toml"
    main.write_text(f'name = "t"\nsymbols_file = "{mix.toml.name}"\n'
                    f'accounts_file = "{mix.toml.name}"\n[partitions]\ncount = {count}\n'
                    '[interface]\nname = "lo"\nip = "127.0.0.1"\n')
    built = topology.build(load(main)).partitions
    wanted = partitions_of(mix.symbols, count)
    for part in built:
        assert [item.symbol.name for item in part.listings] == [
            symbol["name"] for symbol, where in zip(mix.symbols, wanted, strict=True)
            if where == part.idx]


def test_any_source_can_be_spread_and_only_partitions_with_symbols_are_logged_in_to(tmp_path):
    made = make("synthetic", tmp_path / "a.pcap", limit=3_000, accounts=3, symbols=2, partitions=8,
                pack=4)
    used = sorted(set(partitions_of(made.symbols, 8)))
    assert len(used) == 2 and [s.partition for s in made.sessions] == [
        partition for partition in used for _ in range(3)]
    assert sum(follow(messages(made.pcap)).values()) == 3_000


@pytest.mark.parametrize(("changes", "words"), [
    ({"partitions": 33}, "33 partitions: 1 to 32"),
    ({"source": "mix", "limit": 1}, "at least 2 commands"),
    ({"destination": "10.0.0.1:65535"}, "leaves no ports for 2"),
    ({"sources": "10.0.0.2:65535", "accounts": 1}, "different ports"),
    ({"sources": "10.0.0.2:1,10.0.0.2:3", "accounts": 2}, "different ports"),
])
def test_what_cannot_be_made_for_partitions_is_refused_in_words(tmp_path, changes, words):
    with pytest.raises(SourceError, match=words):
        make(**{"source": "synthetic", "out": tmp_path / "a.pcap", "limit": 10, "partitions": 2,
                "symbols": 20, **changes})
