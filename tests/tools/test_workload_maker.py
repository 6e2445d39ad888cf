"""The workload's own maker: the bytes of the common generator, on every machine."""

import hashlib
import shutil
import subprocess

import numpy as np
import pytest

from tests.shared_data import shared_file
from tools import workload, workload_maker

# SHA-256 of the first 300,000 records of each standard file.
PREFIX_HASHES = {
    "w1": "e403225ad967dcc9b1c527f6861a4658cfbaad60ccc164c997b9e34dc88a3b67",
    "w2": "5367e21fe8d40b86c3ee04d21f204f93b7742786d576f30c8e1dea72a413f0ee",
    "w3": "a1832bd0c75eca4d0afa70c51aa73d96d5da9e5677f5375444d6ed449bc7e454",
}


@pytest.mark.parametrize("name", PREFIX_HASHES)
def test_prefix_of_a_standard_file_is_the_same_bytes(name):
    records, trades, _ = workload_maker.make(name, 300_000)
    assert hashlib.sha256(records).hexdigest() == PREFIX_HASHES[name] and trades > 20_000


@pytest.mark.slow
@pytest.mark.parametrize("name", workload_maker.STANDARD)
def test_whole_standard_file_has_its_hash_and_its_trades(name, tmp_path):
    known = workload_maker.STANDARD[name]
    assert workload_maker.write(name, tmp_path / "made.bin") == (known.trades, known.checksum)


@pytest.mark.parametrize("name, messages, seed", [
    ("w1", 100_000, None), ("w2", 100_000, 7), ("w3", 100_000, 2**63 + 5)])
def test_own_maker_and_the_common_generator_agree(name, messages, seed, tmp_path):
    source = shared_file("workload/gen.c")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler to build the workload generator with")
    subprocess.run([compiler, "-O2", "-w", "-o", tmp_path / "gen", source, "-lm"], check=True)
    arguments = [name, str(messages), tmp_path / "theirs.bin"]
    subprocess.run([tmp_path / "gen", *arguments, *([] if seed is None else [str(seed)])],
                   check=True, capture_output=True)
    workload_maker.write(name, tmp_path / "own.bin", messages, seed)
    assert (tmp_path / "own.bin").read_bytes() == (tmp_path / "theirs.bin").read_bytes()


def test_made_file_is_a_workload_with_the_announced_mix(tmp_path):
    assert workload_maker.main(["w2", str(tmp_path / "w2.bin"), "--messages", "200000"]) == 0
    ops = workload.read(tmp_path / "w2.bin")["op"]
    shares = np.bincount(ops, minlength=5)[1:] / len(ops)
    assert np.allclose(shares, (0.6, 0.3, 0.05, 0.05), atol=0.05)


def test_file_that_comes_out_otherwise_is_refused_and_not_left_behind(tmp_path, monkeypatch,
                                                                      capsys):
    monkeypatch.setitem(workload_maker.STANDARD, "w1", workload_maker.STANDARD["w1"]._replace(
        messages=1_000))
    assert workload_maker.main(["w1", str(tmp_path / "w1.bin")]) == 1
    assert "not as the standard file" in capsys.readouterr().err and not [*tmp_path.iterdir()]
