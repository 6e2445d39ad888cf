"""Fences and bit counts: the compiled form equals the plain twin; a spin sees another's store."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config, njit

from appliance.hot import fence

ROOT = Path(__file__).resolve().parents[2]
U64 = st.integers(0, 2**64 - 1)


@njit(nogil=True)
def move_u32(array, source, target):
    fence.store_release_u32(array, target, fence.load_acquire_u32(array, source))


@njit(nogil=True)
def move_u64(array, source, target):
    fence.store_release_u64(array, target, fence.load_acquire_u64(array, source))


@njit
def store_anything(array, value):
    fence.store_release_u32(array, 1, value)


@njit
def counts(word):
    return fence.ctz64(word), fence.clz64(word)


@njit
def touch(records, idx):
    fence.prefetch(records, idx)
    fence.pause()
    return records[idx]["number"]


@njit(nogil=True)
def spin_until(words, wanted, turns_max):
    turns = 0
    while fence.load_acquire_u64(words, 0) != wanted:
        turns += 1
        if turns == turns_max:
            break
        fence.pause()
    return turns


@settings(deadline=None)
@given(U64)
def test_compiled_bit_counts_equal_their_twins(word):
    word = np.uint64(word)
    assert counts(word) == (fence.plain_ctz64(word), fence.plain_clz64(word))


def test_bit_counts_of_the_edges():
    assert counts(np.uint64(0)) == (64, 64)
    assert counts(np.uint64(1)) == (0, 63)
    assert counts(np.uint64(1 << 63)) == (63, 0)


@pytest.mark.parametrize(("move", "dtype"), [(move_u32, np.uint32), (move_u64, np.uint64)])
def test_a_value_moves_whole_and_touches_no_neighbour(move, dtype):
    top = np.iinfo(dtype).max
    array = np.array([1, 2, top, 4, 5], dtype)
    move(array, 2, 0)
    assert array.tolist() == [top, 2, top, 4, 5]
    move(array, np.uint64(1), np.int32(4))
    assert array.tolist() == [top, 2, top, 4, 2]


def test_a_wide_value_wraps_to_the_word_like_its_twin():
    compiled, plain = np.zeros(2, np.uint32), np.zeros(2, np.uint32)
    store_anything(compiled, np.int64(-2))
    fence.plain_store(plain, 1, -2)
    assert compiled.tolist() == plain.tolist() == [0, 0xFFFF_FFFE]


def test_prefetch_and_pause_change_nothing():
    records = np.zeros(4, [("number", "<u8"), ("other", "<u8")])
    records["number"] = [5, 6, 7, 8]
    assert touch(records, 3) == 8
    assert records["number"].tolist() == [5, 6, 7, 8]


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="a plain spin would hold the interpreter lock")
def test_a_compiled_spin_sees_the_store_of_another_thread():
    turns_max = 20_000_000_000
    for wait_s in (0.05, 0.5, 5):                # a busy machine begins a thread late
        words, seen = np.zeros(2, np.uint64), []
        spin_until(words, np.uint64(0), turns_max)
        thread = threading.Thread(
            target=lambda: seen.append(spin_until(words, np.uint64(7), turns_max)))
        thread.start()
        time.sleep(wait_s)
        words[0] = 7
        thread.join(timeout=60)
        assert seen and seen[0] < turns_max
        if seen[0] > 0:
            return
    pytest.fail("the thread never waited")


def test_twins_refuse_an_index_outside_the_array():
    words = np.zeros(2, np.uint32)
    with pytest.raises(IndexError):
        fence.plain_load(words, -1)
    with pytest.raises(IndexError):
        fence.plain_store(words, 2, 1)


def test_everything_runs_with_the_jit_off():
    """The hot tests of this room again in a process without the compiler."""
    if config.DISABLE_JIT:
        pytest.skip("this is that process")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/hot/test_fence.py",
         "tests/hot/test_endian.py", "tests/hot/test_port.py", "tests/hot/test_xsk.py",
         "-k", "not Real"],
        cwd=ROOT, env=dict(os.environ, NUMBA_DISABLE_JIT="1"), capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
