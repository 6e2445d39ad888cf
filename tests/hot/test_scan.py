"""The C scan of sorted prices: every variant against numpy, and a wrong one must not go unseen."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from appliance.layout.record import FAR_BLOCK
from appliance.native import SCAN_VARIANTS, ffi, lib

ROOT = Path(__file__).resolve().parents[2]
# Those of this architecture; tests/native/test_scan_twin.py runs the other's under emulation.
OTHERS = ("NEON",) if platform.machine() == "x86_64" else ("AVX2", "AVX-512")
VARIANTS = {name: number for number, name in enumerate(SCAN_VARIANTS) if name not in OTHERS}
COUNTS = [*range(0, 70), 127, 128, 129, 130, 255, 256, 257, 300, 1000, 4096]


def pointer(array):
    return ffi.cast("int32_t *", array.ctypes.data)


def ascending(generator, count, low=-2**31, high=2**31):
    drawn = generator.integers(low, high, 2 * count + 8, np.int64)
    prices = np.unique(drawn)[:count].astype(np.int32)
    assert len(prices) == count
    return prices


@pytest.mark.parametrize("name", VARIANTS)
def test_scan_equals_searchsorted(name):
    if lib.wm_scan_with(VARIANTS[name], ffi.NULL, 0, 0) < 0:
        pytest.skip(f"this CPU has no {name}")
    generator = np.random.default_rng(7)
    for count in COUNTS:
        for low, high in ((-2**31, 2**31), (0, 3 * count + 9)):
            prices = ascending(generator, count, low, high)
            near = prices[generator.integers(0, count, 20)] if count else np.zeros(0, np.int32)
            for wanted in {-2**31, 2**31 - 1, 0, *(int(price) + step for price in near
                                                   for step in (-1, 0, 1))}:
                wanted = min(max(wanted, -2**31), 2**31 - 1)
                found = lib.wm_scan_with(VARIANTS[name], pointer(prices), count, wanted)
                assert found == np.searchsorted(prices, np.int32(wanted)), (count, wanted)
                if VARIANTS[name] == lib.wm_scan_best():
                    assert lib.wm_scan(pointer(prices), count, wanted) == found


def test_scan_reads_nothing_behind_the_array():
    """The prices after the used ones would be counted if they were looked at."""
    prices = np.full(4096, -2**31, np.int32)
    for count in COUNTS:
        prices[:count] = np.arange(count)
        assert lib.wm_scan(pointer(prices), count, 2**31 - 1) == count
        prices[:count] = -2**31


def test_unknown_variant_and_negative_count_are_refused():
    prices = np.zeros(4, np.int32)
    assert lib.wm_scan_with(len(SCAN_VARIANTS), pointer(prices), 4, 1) < 0
    assert lib.wm_scan_with(-1, pointer(prices), 4, 1) < 0
    assert lib.wm_scan(pointer(prices), -1, 1) < 0


def test_gap_opens_and_closes_like_a_list():
    generator = np.random.default_rng(8)
    array, plain = np.zeros(300, np.int32), []
    for _ in range(2000):
        at = int(generator.integers(0, len(plain) + 1))
        if len(plain) < 299 and (not plain or generator.random() < 0.55):
            value = int(generator.integers(-2**31, 2**31))
            assert lib.wm_gap_open(pointer(array), len(plain), at, value) == len(plain) + 1
            plain.insert(at, value)
        elif at < len(plain):
            assert lib.wm_gap_close(pointer(array), len(plain), at) == len(plain) - 1
            del plain[at]
        assert array[:len(plain)].tolist() == plain


@pytest.mark.parametrize("at", [-1, 5])
def test_gap_outside_the_array_is_refused(at):
    array = np.arange(4, dtype=np.int32)
    assert lib.wm_gap_open(pointer(array), 4, at, 9) < 0
    assert lib.wm_gap_close(pointer(array), 4, at) < 0
    assert lib.wm_gap_close(pointer(array), 4, 4) < 0
    assert array.tolist() == [0, 1, 2, 3]


def test_block_opens_and_closes_like_two_lists():
    generator = np.random.default_rng(9)
    words = np.full(2 * FAR_BLOCK + 2, -7, np.int32)         # and what lies in front and behind
    block = words[1:-1]
    block[:FAR_BLOCK], plain = 2**31 - 1, []
    for number in range(4000):
        if len(plain) < FAR_BLOCK and (not plain or generator.random() < 0.55):
            rank = int(generator.integers(-2**31, 2**31))
            at = sum(other < rank for other, _ in plain)
            assert lib.wm_block_open(pointer(block), at, rank, number) == 0
            plain.insert(at, (rank, number))
        else:
            at = int(generator.integers(0, len(plain)))
            assert lib.wm_block_close(pointer(block), at) == 0
            del plain[at]
        unused = [2**31 - 1] * (FAR_BLOCK - len(plain))
        assert block[:FAR_BLOCK].tolist() == [rank for rank, _ in plain] + unused
        assert block[FAR_BLOCK:][:len(plain)].tolist() == [slot for _, slot in plain]
        assert words[0] == words[-1] == -7


@pytest.mark.parametrize("at", [-1, FAR_BLOCK])
def test_place_outside_the_block_is_refused(at):
    block = np.arange(2 * FAR_BLOCK, dtype=np.int32)
    assert lib.wm_block_open(pointer(block), at, 1, 1) < 0
    assert lib.wm_block_close(pointer(block), at) < 0
    assert block.tolist() == list(range(2 * FAR_BLOCK))


@pytest.mark.parametrize("name, wrong, expected", [
    ("right", "cnt, wanted)", 0),
    ("one_too_far", "cnt, wanted) + 1", 1),
    ("one_too_near", "cnt, wanted) - (cnt > 0)", 1),
    ("next_price", "cnt, wanted + (wanted < INT32_MAX))", 1),
])
def test_wrong_scan_fails_the_tests_of_the_book(tmp_path, name, wrong, expected):
    """A copy of the tree whose wm_scan is wrong by one; its book tests run with the JIT off."""
    for room in ("appliance", "native", "tests/hot"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    scan = tmp_path / "native" / "scan.c"
    right = "return wm_scan_with(chosen, prices, cnt, wanted);"
    assert scan.read_text().count(right) == 1
    scan.write_text(scan.read_text().replace(right, right.replace("cnt, wanted)", wrong)))
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "native/build.py"], cwd=tmp_path, check=True, env=environment,
                   capture_output=True)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider",
             "tests/hot/test_far.py"],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=1800)
    except subprocess.TimeoutExpired:       # a wrong scan may also never find its way out
        assert expected == 1
        return
    assert ran.returncode == expected, ran.stdout[-3000:] + ran.stderr[-1000:]
