"""`wirematch bench core`: the matcher's own kernel, the workload's own truth, loud when wrong."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from appliance.hot import book, engine
from appliance.layout.record import CANCEL, ENTER
from tests.shared_data import shared_file
from tools import workload
from tools.bench import core

PREFIX = {"w1": 200_000, "w2": 300_000, "w3": 150_000}
WHOLE = {name: known[0] for name, known in core.STANDARD.items()}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """make(name, messages, seed): (file, trades, checksum) as the generator counts them."""
    source = shared_file("workload/gen.c")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler to build the workload generator with")
    folder = tmp_path_factory.mktemp("workload")
    subprocess.run([compiler, "-O2", "-w", "-o", folder / "gen", source, "-lm"], check=True)

    def run(name, messages, *seed):
        path = folder / f"{name}.bin"
        said = subprocess.run([folder / "gen", name, str(messages), path, *seed], check=True,
                              capture_output=True, text=True).stdout
        return (path, int(re.search(r"trades (\d+)", said)[1]),
                re.search(r"checksum ([0-9a-f]{16})", said)[1])

    return run


def bench(capsys, *arguments):
    code = core.main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_bench_and_matcher_run_the_same_kernel():
    assert core.KERNEL is book.apply is engine.apply


@pytest.mark.parametrize("name", PREFIX)
def test_prefix_of_a_standard_file_gives_the_generators_trades(make, capsys, name):
    path, trades, checksum = make(name, PREFIX[name])
    code, (result,), _ = bench(capsys, "--workload", path, "--rounds", 1, "--json")
    assert code == 0 and trades > 10_000
    assert (result["trades"], result["checksum"]) == (trades, checksum)
    assert result["messages"] == PREFIX[name] and result["messages_per_second"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", WHOLE)
def test_whole_standard_file_gives_its_published_trades(make, capsys, name):
    path, _, _ = make(name, WHOLE[name])
    code, (result,), _ = bench(capsys, "--workload", path, "--rounds", 1, "--json")
    assert code == 0
    assert (result["trades"], result["checksum"]) == core.STANDARD[name][2:]
    path.unlink()


def test_ladder_so_narrow_that_prices_are_far_gives_the_same_trades(make):
    """The window ends at 4095 ticks, the prices lie around 10000: every level is a far level."""
    path, trades, checksum = make("w1", 20_000)
    records = workload.read(path)
    narrow, events = core.make_book(records, lg_ladder=12, far_levels=8192)
    found = core.run(narrow, workload.to_commands(records), core.BURST, events)
    assert (int(found[0]), f"{int(found[1]):016x}") == (trades, checksum)
    assert int(narrow.engine[0]["far_scans"]) > 10_000


def test_standard_file_with_other_trades_fails_loudly(make, capsys, monkeypatch):
    path, trades, checksum = make("w1", 20_000, "99")
    monkeypatch.setitem(core.STANDARD, "w1", (20_000, 1, trades + 1, checksum))
    code, results, error = bench(capsys, "--workload", path, "--rounds", 1, "--json")
    assert code == 1 and results == [] and "are not the standard file's" in error


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
    with pytest.raises(workload.WorkloadError, match="gen.c"):
        workload.read(tmp_path / "odd.bin")
