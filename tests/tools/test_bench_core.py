"""`wirematch bench core`: the matcher's own kernel, the workload's own truth, loud when wrong."""

import hashlib
import json

import numpy as np
import pytest

from appliance.hot import book, engine
from appliance.layout.record import CANCEL, ENTER
from tools import workload, workload_maker
from tools.bench import core, core_run, core_scale
from tools.bench.yardstick import run_yardstick

PREFIX = {"w1": 200_000, "w2": 300_000, "w3": 150_000}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """make(name, messages, seed): (file, trades, checksum) as the market that made it counts."""
    folder = tmp_path_factory.mktemp("workload")

    def run(name, messages, seed=None):
        path = folder / f"{name}.bin"
        return path, *workload_maker.write(name, path, messages, seed)

    return run


def bench(capsys, *arguments):
    code = core.main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_bench_and_matcher_run_the_same_kernel():
    assert core_run.KERNEL is book.apply_work is engine.apply_work


@pytest.mark.parametrize("name", PREFIX)
def test_prefix_of_a_standard_file_gives_the_generators_trades(make, capsys, name):
    path, trades, checksum = make(name, PREFIX[name])
    code, (result,), _ = bench(capsys, "--workload", path, "--rounds", 1, "--json")
    assert code == 0 and trades > 10_000
    assert (result["trades"], result["checksum"]) == (trades, checksum)
    assert result["messages"] == PREFIX[name] and result["messages_per_second"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", workload_maker.STANDARD)
def test_whole_standard_file_is_made_and_gives_its_published_trades(capsys, tmp_path, name):
    code, (result,), error = bench(capsys, name, "--folder", tmp_path, "--rounds", 1, "--json")
    known = workload_maker.STANDARD[name]
    assert code == 0 and f"making {tmp_path}/{name}.bin" in error
    assert (result["messages"], result["trades"], result["checksum"]) == (
        known.messages, known.trades, known.checksum)


def test_ladder_so_narrow_that_prices_are_far_gives_the_same_trades(make):
    """The window ends at 4095 ticks, the prices lie around 10000: every level is a far level."""
    path, trades, checksum = make("w1", 20_000)
    records = workload.read(path)
    narrow, events = core_run.make_book(records, lg_ladder=12, far_levels=8192)
    found = core_run.run(narrow, workload.to_commands(records), core_run.BURST, events)
    assert (int(found[0]), f"{int(found[1]):016x}") == (trades, checksum)
    assert int(narrow.engine[0]["far_scans"]) > 10_000


def test_standard_file_with_other_trades_fails_loudly(make, capsys, monkeypatch):
    path, trades, checksum = make("w1", 20_000, 99)
    monkeypatch.setitem(workload_maker.STANDARD, "w1", workload_maker.STANDARD["w1"]._replace(
        messages=20_000, trades=trades + 1, checksum=checksum))
    code, results, error = bench(capsys, "--workload", path, "--rounds", 1, "--json")
    assert code == 1 and results == [] and "are not the standard file's" in error


def test_missing_standard_file_is_made_once(capsys, monkeypatch, tmp_path):
    records, trades, checksum = workload_maker.make("w3", 20_000)
    monkeypatch.setitem(workload_maker.STANDARD, "w3", workload_maker.STANDARD["w3"]._replace(
        messages=20_000, trades=trades, checksum=checksum,
        sha256=hashlib.sha256(records).hexdigest()))
    for said in ("making", ""):
        code, (result,), error = bench(capsys, "w3", "--folder", tmp_path, "--rounds", 1, "--json")
        assert code == 0 and result["trades"] == trades and error.startswith(said)
    assert "making" not in error and [*tmp_path.iterdir()] == [tmp_path / "w3.bin"]


def test_latency_is_told_by_kind_of_operation_and_over_all(make, capsys):
    path, _, _ = make("w1", 50_000)
    code, (result,), _ = bench(capsys, path, "--rounds", 1, "--json")
    rows, ops = result["latency"]["ns"], workload.read(path)["op"]
    assert code == 0 and set(rows) == {"all", *core_run.OPS.values()}
    assert {name: row["count"] for name, row in rows.items()} == {"all": 50_000} | {
        name: int((ops == op).sum()) for op, name in core_run.OPS.items()}
    for row in [*rows.values(), *result["latency"]["with_call_ns"].values()]:
        assert 0 <= row["p50"] <= row["p99"] <= row["p99.9"]
    assert result["latency"]["with_call_ns"]["all"]["p50"] > 0 < result["latency"]["timer_ns"]


def test_text_has_every_figure(make, capsys):
    path, trades, checksum = make("w1", 5_000)
    assert core.main([str(path), "--rounds", "1"]) == 0
    said = capsys.readouterr().out
    assert f"{trades:,} trades" in said and checksum in said and "of the bare ladder's" in said
    assert all(f"\n  {kind} " in said for kind in core_run.OPS.values())


@pytest.mark.parametrize("name", PREFIX)
def test_yardstick_gives_the_markets_trades(make, name):
    path, trades, checksum = make(name, PREFIX[name])
    assert run_yardstick(workload.read(path))[1:] == (trades, checksum)


def test_core_that_differs_from_the_yardstick_fails_loudly(make, capsys, monkeypatch):
    path, trades, _ = make("w1", 5_000)
    monkeypatch.setattr(core_run, "run_yardstick", lambda records: (1.0, trades, "0" * 16))
    code, results, error = bench(capsys, path, "--rounds", 1, "--json")
    assert code == 1 and results == [] and "are not the bare ladder's" in error


def test_scale_runs_pinned_processes_and_prints_each_rate_and_the_sum(make, capsys):
    path, _, _ = make("w1", 50_000)
    count = min(2, len(core_scale.free_cores()))
    code, (result,), _ = bench(capsys, path, "--rounds", 2, "--scale", count, "--json")
    scale = result["scale"]
    assert code == 0 and scale["cores"] == core_scale.free_cores()[:count]
    assert len(scale["messages_per_second"]) == count and scale["alone"] > 0
    assert scale["sum"] == sum(scale["messages_per_second"]) > 0 < scale["scaling"]
    assert scale["scaling_by_cpu_time"] > 0


def test_scale_with_wrong_trades_or_too_many_processes_fails(make, capsys):
    path, trades, checksum = make("w1", 5_000)
    with pytest.raises(core_scale.ScaleError, match="a process of --scale found"):
        core_scale.measure_scale(path, 1, 1, None, (trades + 1, checksum))
    code, _, error = bench(capsys, path, "--rounds", 1, "--scale", 10_000, "--json")
    assert code == 1 and "--scale 10000: this process may use" in error


def test_several_files_give_an_object_each(make, capsys):
    path, _, _ = make("w1", 5_000)
    code, results, _ = bench(capsys, "--workload", path, path, "--rounds", 2, "--json")
    assert code == 0 and len(results) == 2


def test_missing_file_is_an_error_with_its_name(capsys, tmp_path):
    code, _, error = bench(capsys, "--workload", tmp_path / "none.bin", "--json")
    assert code == 1 and "none.bin" in error


def test_records_become_commands(tmp_path):
    records = np.zeros(5, workload.RECORD)
    for record, (op, order, qty, price) in zip(
            records, [(1, 1, 100, 50), (3, 1, 30, 0), (3, 1, 20, 0), (4, 2, 7, 51), (2, 1, 0, 0)],
            strict=True):
        record["op"], record["order_id"], record["qty"], record["price"] = op, order, qty, price
    records.tofile(tmp_path / "few.bin")
    commands = workload.to_commands(workload.read(tmp_path / "few.bin"))
    assert commands["kind"].tolist() == [ENTER, CANCEL, CANCEL, ENTER, CANCEL]
    assert commands["qty"].tolist() == [100, 70, 50, 7, 0]
    assert commands["order"].tolist() == [1, 0, 0, 2, 0]
    assert commands["target"].tolist() == [0, 1, 1, 0, 1]


@pytest.mark.parametrize("field, value, words", [
    ("op", 5, "an op outside"), ("op", 0, "an op outside"), ("side", 2, "a side other"),
    ("price", 0, "a price outside"), ("price", 20000, "a price outside"),
    ("qty", 0, "a quantity outside"), ("order_id", 0, "an order id of 0"),
    ("order_id", 3, "an order id of 0 or beyond"), ("order_id", 1, "not the next one")])
def test_broken_record_is_named(tmp_path, field, value, words):
    records = np.zeros(2, workload.RECORD)
    records["op"], records["qty"], records["price"], records["order_id"] = 1, 1, 1, (1, 2)
    records[1][field] = value
    records.tofile(tmp_path / "broken.bin")
    with pytest.raises(workload.WorkloadError, match=f"record 1 has .*{words}"):
        workload.read(tmp_path / "broken.bin")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_file_of_a_wrong_size_is_refused(tmp_path, size):
    (tmp_path / "odd.bin").write_bytes(bytes(size))
    with pytest.raises(workload.WorkloadError, match="make it again"):
        workload.read(tmp_path / "odd.bin")


def test_file_of_more_symbols_than_a_book_has_is_refused(capsys, tmp_path):
    records = np.zeros(1, workload.RECORD)
    records["op"], records["qty"], records["price"], records["order_id"] = 1, 1, 1, 1
    records["symbol"] = core_run.SYMBOLS_MAX
    records.tofile(tmp_path / "wide.bin")
    code, _, error = bench(capsys, tmp_path / "wide.bin")
    assert code == 1 and f"{core_run.SYMBOLS_MAX + 1} symbols" in error
