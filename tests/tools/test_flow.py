"""Order pcaps of every source, read back by tshark and by the plain codec, and matched by a small
price-time book of the tests' own."""

import csv
import shutil
import subprocess
from collections import Counter, defaultdict

import numpy as np
import pytest
from click.testing import CliRunner

from tests.shared_data import shared_file
from tests.tools.flow_judge import Book, datagrams, follow, messages, trades_of
from tools import pcap, workload
from tools.flow import command
from tools.flow import make
from tools.flows import bitstamp
from tools.flows.commands import EPOCH_NS, SourceError, mix

MARKET = 0x7FFFFFFF


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("flows")


@pytest.fixture(scope="module")
def bitcoin(folder):
    try:
        bitstamp.sample()
    except SourceError as missing:
        pytest.skip(str(missing))
    return make("bitstamp", folder / "bitcoin.pcap", accounts=8, seed=1)


@pytest.fixture(scope="module")
def bitcoin_messages(bitcoin):
    return list(messages(bitcoin.pcap))


@pytest.fixture(scope="module")
def cme_messages(cme_flow):
    return list(messages(cme_flow.pcap))


@pytest.fixture(scope="module")
def cme_flow(folder):
    pytest.importorskip("databento_dbn")
    pytest.importorskip("zstandard")
    return make("cme", folder / "cme.pcap", accounts=5, seed=3,
                data=shared_file("data/esh4-20231225.mbo.dbn.zst"))


@pytest.fixture(scope="module")
def workload_file(folder):
    source, compiler = shared_file("workload/gen.c"), shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler (cc) to build the workload generator with")
    subprocess.run([compiler, "-O2", "-o", folder / "gen", source, "-lm"], check=True)
    subprocess.run([folder / "gen", "w2", "30000", folder / "w2.bin"], check=True,
                   capture_output=True)
    return folder / "w2.bin"


def test_the_bitstamp_flow_is_the_whole_half_hour(bitcoin):
    facts = bitcoin.facts
    assert (facts["rows"], facts["rows_opening_book"], facts["enters"]) == (314_057, 6_512, 156_889)
    assert facts["rows_left_out"] == 13 and facts["messages"] == 314_057 - 13
    assert facts["datagrams"] == facts["messages"] + 8
    assert (facts["rows_above_highest_price"], facts["market_orders"]) == (678, 27)
    assert len(pcap.read(bitcoin.pcap)) == facts["datagrams"]


def test_the_bitstamp_flow_reads_back_with_live_orders_only(bitcoin_messages):
    assert follow(bitcoin_messages) == {"O": 156_889, "X": 157_155}
    per_account = Counter(account for account, _, _ in bitcoin_messages)
    assert min(per_account.values()) > 25_000
    entered = [message for _, _, message in bitcoin_messages if message.letter == "O"]
    assert {message.symbol for message in entered} == {"BTCUSD"}
    assert all(1 <= message.quantity <= 999_999 for message in entered)
    market = [message for message in entered if message.time_in_force == "3"]
    assert len(market) == 27 and {message.price for message in market} == {MARKET}
    # 678 rows lie above the highest price: enters, and the deletes of the same orders
    assert 300 < sum(message.price > 1_999_999_900 for message in entered) - 27 < 678


def test_the_bitstamp_times_are_the_exchange_times(bitcoin):
    capture, commands = pcap.read(bitcoin.pcap), bitcoin.flow.commands
    assert (capture.times_ns[8:] == commands["time_ns"]).all()
    assert capture.times_ns[8] == 1_777_689_380_521_000_000
    assert capture.times_ns[0] == capture.times_ns[8] - 1_000_000_000


def test_orders_of_one_participant_meet_rarely_but_do_meet(bitcoin_messages):
    met = same = 0
    for incoming, hits in trades_of(bitcoin_messages):
        met += len(hits)
        same += sum(resting[0] == incoming[0] for resting, _, _ in hits)
    assert 0 < same < met / 4


def test_cme_flow_reproduces_at_least_2817_of_the_2972_trades(cme_flow, cme_messages):
    done = dict(trades_of(cme_messages))
    real, whole = defaultdict(list), {}
    with open(cme_flow.fills) as file:
        for row in csv.DictReader(file):
            row = {name: int(value) for name, value in row.items()}
            aggressor = (row["aggressor_account"], row["aggressor_ref"])
            whole[row["trade"]] = aggressor if row["whole"] else None
            if row["quantity"]:
                real[row["trade"]].append(((row["resting_account"], row["resting_ref"]),
                                           row["price"], row["quantity"]))
    exact = sum(aggressor is not None and done[aggressor] == real[trade]
                for trade, aggressor in whole.items())
    assert len(whole) == 2_972 and exact >= 2_817
    assert exact == cme_flow.facts["trades_sent_whole"]


def test_cme_flow_trades_only_where_the_venue_did(cme_messages):
    immediate = {(account, message.user_ref_num) for account, _, message in cme_messages
                 if message.letter == "O" and message.time_in_force == "3"}
    done = trades_of(cme_messages)
    assert {order for order, hits in done if hits} <= immediate
    assert len(immediate) > 2_817


def test_cme_flow_reads_back_with_live_orders_only(cme_flow, cme_messages):
    counts = follow(cme_messages)
    assert sum(counts.values()) == cme_flow.facts["messages"] and set(counts) == set("OUX")


def test_cme_flow_may_not_lose_the_order_between_accounts(tmp_path):
    with pytest.raises(SourceError, match="--pack 1 or --accounts 1"):
        make("cme", tmp_path / "a.pcap", accounts=2, pack=2,
             data=shared_file("data/esh4-20231225.mbo.dbn.zst"))


def test_a_workload_flow_trades_as_the_workload_itself(workload_file, folder):
    made = make("workload", folder / "w.pcap", data=workload_file, accounts=3)
    books, trades, totals = defaultdict(Book), [], {}
    records = np.fromfile(workload_file, workload.RECORD)
    for record in records.tolist():
        order, _, price, qty, symbol, op, side, _ = record
        if op in (workload.ADD, workload.MARKETABLE):
            totals[order] = qty
            hits = books[symbol].enter(order, side, price, qty)
            trades += [(resting, order, at, filled) for resting, at, filled in hits]
        else:
            totals[order] = totals[order] - qty if op == workload.REDUCE else 0
            books[symbol].set_total(order, totals[order])
    commands = made.flow.commands
    ids = records["order_id"][commands["kind"] == ord("O")]
    keys = zip(commands["account"][commands["kind"] == ord("O")].tolist(),
               commands["user_ref"][commands["kind"] == ord("O")].tolist(), strict=True)
    number = dict(zip(keys, ids.tolist(), strict=True))
    ours = [(number[resting], number[order], price // 100, qty)
            for order, hits in trades_of(messages(made.pcap)) for resting, price, qty in hits]
    assert len(trades) > 1_000 and ours == trades
    assert len(made.symbols) == 100 and {a.smp for a in made.accounts} == {"off"}


def test_a_workload_of_the_first_symbols_only_keeps_their_records(workload_file, folder):
    made = make("workload", folder / "w5.pcap", data=workload_file, symbols=5)
    symbols = np.fromfile(workload_file, workload.RECORD)["symbol"]
    assert made.facts["messages"] == int((symbols < 5).sum()) and len(made.symbols) == 5
    follow(messages(made.pcap))


def test_what_is_no_workload_is_refused(tmp_path):
    path = tmp_path / "a.bin"
    for content, words in ((b"x" * 33, "33 bytes"), (b"", "no records"),
                           (b"\xff" * 64, "record 0 has an op outside")):
        path.write_bytes(content)
        with pytest.raises(SourceError, match=words):
            make("workload", tmp_path / "a.pcap", data=path)
    records = np.zeros(2, workload.RECORD)
    records["order_id"], records["price"], records["qty"] = 1, 10_000, 5
    records["op"] = workload.ADD, workload.REDUCE
    path.write_bytes(records.tobytes())
    with pytest.raises(SourceError, match="record 1 .* takes off too much"):
        make("workload", tmp_path / "a.pcap", data=path)
    records["symbol"] = 100
    path.write_bytes(records[:1].tobytes())
    with pytest.raises(SourceError, match="a symbol above 99"):
        make("workload", tmp_path / "a.pcap", data=path)


def test_the_synthetic_flow_has_the_proportions_of_a_nasdaq_day(tmp_path):
    made = make("synthetic", tmp_path / "a.pcap", limit=40_000, seed=5)
    commands, counts = made.flow.commands, follow(messages(made.pcap))
    immediate = int((commands["tif"] == ord("3")).sum())
    deletes = int(((commands["kind"] == ord("X")) & (commands["qty"] == 0)).sum())
    shares = {"adds": counts["O"] - immediate, "deletes": deletes, "replaces": counts["U"],
              "executions": immediate, "reductions": counts["X"] - deletes}
    wanted = {"adds": 44, "deletes": 43, "replaces": 7, "executions": 2, "reductions": 4}
    assert {name: round(count / 400) for name, count in shares.items()} == pytest.approx(
        wanted, abs=1)
    gaps = np.diff(commands["time_ns"])
    assert 0.49 < (gaps == 0).mean() < 0.51 and commands["time_ns"][0] >= EPOCH_NS
    assert set(commands["symbol"].tolist()) == {0, 1, 2, 3}
    stream = [entry for entry in messages(made.pcap) if entry[2].letter == "O"]
    marketable = {(a, m.user_ref_num) for a, _, m in stream if m.time_in_force == "3"}
    traded = {order for order, hits in trades_of(stream) if hits}
    assert len(traded & marketable) > 0.9 * len(marketable)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    made = [make("synthetic", tmp_path / f"{name}.pcap", limit=2_000, seed=seed)
            for name, seed in (("a", 7), ("b", 7), ("c", 8))]
    first, again, other = (each.pcap.read_bytes() for each in made)
    assert first == again != other
    assert made[0].toml.read_text() == made[1].toml.read_text()
    assert {s.token for s in made[0].sessions}.isdisjoint(s.token for s in made[2].sessions)


@pytest.mark.parametrize("pack", [2, 7, 29])
def test_packed_datagrams_carry_what_single_ones_do(tmp_path, pack):
    made = [make("synthetic", tmp_path / f"{size}.pcap", limit=3_000, accounts=5, pack=size)
            for size in (1, pack)]
    single, packed = ([(a, n, dict(m)) for a, n, m in messages(each.pcap)] for each in made)
    assert sorted(single, key=lambda m: m[:2]) == sorted(packed, key=lambda m: m[:2])
    counts = Counter(packet.count for *_, packet in datagrams(made[1].pcap))
    assert max(counts) == pack and counts[pack] >= 3_000 // pack - 5
    assert made[1].facts["order_between_accounts_kept"] is False


def tshark(path, *fields, display="", port=26400):
    found = shutil.which("tshark")
    if not found:
        pytest.skip("tshark is not installed")
    done = subprocess.run(
        [found, "-r", path, "-d", f"udp.port=={port},moldudp64", "-o", "ip.check_checksum:TRUE",
         "-o", "udp.check_checksum:TRUE", "-T", "fields", "-E", "separator=|", "-Y", display,
         *[part for field in fields for part in ("-e", field)]],
        capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("pack", [1, 12])
def test_tshark_reads_every_datagram_as_moldudp64_without_complaint(tmp_path, pack):
    made = make("synthetic", tmp_path / "a.pcap", limit=3_000, pack=pack)
    rows = tshark(made.pcap, "moldudp64.count", "ip.checksum.status", "udp.checksum.status",
                  "udp.dstport", "ip.dst", "moldudp64.session", display="moldudp64")
    assert len(rows) == made.facts["datagrams"]
    assert sum(int(row[0]) for row in rows) == made.facts["messages"] + made.facts["logins"]
    assert {tuple(row[1:5]) for row in rows} == {("1", "1", "26400", "10.77.0.1")}
    assert {row[5] for row in rows} == {session.token for session in made.sessions}
    assert tshark(made.pcap, "frame.number", display="_ws.expert || _ws.malformed") == []


def test_the_toml_is_a_symbols_and_accounts_file_of_the_configuration(tmp_path):
    from appliance.config.load import load
    made = make("synthetic", tmp_path / "a.pcap", limit=10, accounts=3, symbols=2)
    main = tmp_path / "main.toml"
    main.write_text('name = "t"\nsymbols_file = "a.toml"\naccounts_file = "a.toml"\n'
                    '[interface]\nname = "lo"\nip = "127.0.0.1"\n')
    config = load(main)
    assert [(s.name, s.tick_size, s.lot_size, s.reference_price) for s in config.symbols] == [
        ("SYN000", 100, 100, 500_000), ("SYN001", 100, 100, 500_000)]
    assert [(a.name, a.password, a.firm, list(a.sources), a.smp, a.cancel_on_disconnect)
            for a in config.accounts] == [
        (a.name, a.password, a.firm, ["10.77.0.2"], smp, False)
        for a, smp in zip(made.accounts, ("oldest", "newest", "oldest"), strict=True)]


def test_addresses_and_macs_are_the_ones_asked_for(tmp_path):
    made = make("synthetic", tmp_path / "a.pcap", limit=5, accounts=3, destination="192.0.2.9:5000",
                sources="192.0.2.1:6000,192.0.2.2:7000", destination_mac="02:aa:00:00:00:01")
    rows = tshark(made.pcap, "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "eth.dst",
                  display="moldudp64", port=5000)
    assert [tuple(row[:2]) for row in rows[:3]] == [
        ("192.0.2.1", "6000"), ("192.0.2.2", "7000"), ("192.0.2.2", "7001")]
    assert {tuple(row[2:]) for row in rows} == {("192.0.2.9", "5000", "02:aa:00:00:00:01")}


@pytest.mark.parametrize(("changes", "words"), [
    ({"accounts": 0}, "0 accounts: 1 to 1000"), ({"pack": 30}, "1 to 29 fit"),
    ({"destination": "10.0.0.1"}, "not an IPv4 address and port"),
    ({"destination": "10.0.0.1:70000"}, "not an IPv4 address and port"),
    ({"sources": "10.0.0.2:65535", "accounts": 2}, "different ports"),
    ({"sources": "10.0.0.2:1,10.0.0.2:1", "accounts": 2}, "different ports"),
    ({"source_mac": "02:00"}, "not a MAC"), ({"source": "workload"}, "needs --data"),
    ({"source": "cme"}, "needs --data"), ({"source": "bitstamp", "symbols": 3}, "one symbol"),
    ({"tick": 4_000_000_000}, "--tick 4000000000 .* give 1 to 1999999900"), ({"tick": 0}, "--tick"),
    ({"tick": 1_999_999_901}, "give 1 to 1999999900"),
])
def test_what_cannot_be_made_is_refused_in_words(tmp_path, changes, words):
    with pytest.raises(SourceError, match=words):
        make(**{"source": "synthetic", "out": tmp_path / "a.pcap", "limit": 10, **changes})


@pytest.mark.parametrize("tick", [3, 7_000_000, 1_999_999_900])
def test_any_tick_leaves_a_reference_price_that_the_config_takes(tmp_path, tick):
    made = make("synthetic", tmp_path / "a.pcap", limit=10, tick=tick)
    assert [symbol["tick_size"] for symbol in made.symbols] == [tick] * 4
    for symbol in made.symbols:
        assert 0 < symbol["reference_price"] <= 1_999_999_900
        assert symbol["reference_price"] % tick == 0


def test_the_command_says_what_it_made_and_what_is_wrong(tmp_path):
    out = tmp_path / "a.pcap"
    said = CliRunner().invoke(command, ["synthetic", "--out", str(out), "--limit", "100"])
    assert said.exit_code == 0 and "108 datagrams, 100 messages" in said.output
    said = CliRunner().invoke(command, ["workload", "--out", str(out)])
    assert said.exit_code == 1 and "needs --data" in said.output


def test_the_account_hash_spreads_ids_and_follows_the_seed():
    ids = np.arange(10_000)
    counts = np.bincount((mix(ids, 1) % np.uint64(8)).astype(int))
    assert counts.min() > 1_100 and counts.max() < 1_400
    assert (mix(ids, 1) != mix(ids, 2)).all()
