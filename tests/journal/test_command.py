"""`wirematch journal verify | dump`: what they print, how they end, how quickly they help."""

import json
import resource
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from appliance.cli import main
from appliance.journal.writer import Writer
from appliance.layout import record
from appliance.layout.record import COMMAND, DETAIL
from tests.journal import kit


def run(*arguments):
    """(exit code, standard output, standard error) of `wirematch journal ...`."""
    result = CliRunner().invoke(main, ["journal", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path):
    """A journal with one real order, three records of noise, and hashes."""
    rows = kit.records(1, 4)
    command, detail = np.zeros(1, COMMAND.dtype), np.zeros(1, DETAIL.dtype)
    command["kind"], command["qty"], command["price_ticks"] = record.ENTER, 100, 7837
    detail["user_ref_num"], detail["clordid"][0][:3] = 17, list(b"abc")
    detail["symbol_text"][0] = list(b"BTCUSD  ")
    rows["command"][1], rows["detail"][1] = command.view(np.uint8), detail.view(np.uint8)
    rows["time_ns"] = 34_200 * 10**9 + np.arange(4)
    with Writer(tmp_path, kit.GENESIS, 2, segment_sz=kit.SMALL) as writer:
        writer.append(rows)
        writer.check(0xAB, 0xCD)
    return tmp_path


def test_verify_says_what_is_there(folder):
    code, out, _ = run("verify", folder)
    assert code == 0 and "partition     3, day 20250314, instance 2, level disk" in out
    assert "4, sequence 1 to 4, in 2 blocks" in out and "tail          whole" in out
    assert "state 00000000000000ab, outputs 00000000000000cd" in out
    code, out, _ = run("verify", folder, "--json")
    found = json.loads(out)
    assert code == 0 and found["last_seq"] == found["durable_seq"] == 4 and found["clean"]
    assert found["segments"][0]["number"] == 1 and found["genesis"] == kit.GENESIS


def test_verify_names_the_place_of_corruption_and_fails(folder):
    path = kit.path_of(folder)
    content = bytearray(path.read_bytes())
    content[4096 + 64 + 128] ^= 1
    path.write_bytes(content)
    code, out, err = run("verify", folder)
    assert (code, out) == (1, "") and f"{path}, offset 4096, sequence 1: a block's checksum" in err
    assert run("dump", folder)[0] == 1


def test_verify_reports_a_torn_tail_and_a_bad_superblock(tmp_path):
    kit.make(tmp_path, [3, 4], [5])
    path = kit.path_of(tmp_path)
    off, sz = kit.blocks_of(tmp_path)[-1]
    content = bytearray(path.read_bytes())
    content[off + sz - 3:off + sz] = bytes(3)
    path.write_bytes(content)
    code, out, err = run("verify", tmp_path)
    assert code == 0 and f"offset {off}, sequence 8: a block's checksum is wrong; " in out
    assert path.read_bytes() == content
    with open(tmp_path / "watermark", "r+b") as file:
        file.seek(4096 + 30)
        file.write(b"\xff")
    code, out, err = run("verify", tmp_path)
    assert code == 1 and "superblock 1 is bad" in err and "sequence 1 to 7" in out


def test_dump_prints_records(folder):
    code, out, _ = run("dump", folder, "--from", 2, "--count", 1)
    assert code == 0 and out.startswith("2 09:30:00.000000001 enter ") and out.count("\n") == 1
    assert "qty=100 price_ticks=7837" in out and "symbol_text=BTCUSD" in out
    assert "clordid=abc" in out and "user_ref_num=17" in out
    code, out, _ = run("dump", folder, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["seq"] for row in rows] == [1, 2, 3, 4] and rows[1]["kind"] == "enter"
    assert rows[1]["symbol_text"] == "BTCUSD" and rows[1]["min_qty"] == 0
    assert run("dump", folder, "--count", 0)[1] == ""


def test_a_folder_without_a_journal(tmp_path):
    code, _, err = run("verify", tmp_path)
    assert code == 1 and "holds no journal" in err
    assert run("verify", tmp_path / "nothing")[0] == 1


def test_help_imports_nothing_slow():
    program = ("import sys; sys.argv = ['wirematch', 'journal', '--help']\n"
               "from appliance.cli import main\n"
               "try: main()\n"
               "except SystemExit: print(sorted({'numba', 'numpy', 'cffi'} & set(sys.modules)))")
    best = min(_cpu_seconds(program) for _ in range(5))
    assert best < 0.15, best


def _cpu_seconds(program):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                         check=True, timeout=60).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "verify" in out and out.endswith("[]\n")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
