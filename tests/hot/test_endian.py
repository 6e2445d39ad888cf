"""Wire bytes: each compiled load and store against its twin and against int.from_bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from appliance.hot import endian

CASES = [(16, "be", "big"), (32, "be", "big"), (48, "be", "big"), (64, "be", "big"),
         (32, "le", "little"), (64, "le", "little")]
IDS = [f"{order}{bits}" for bits, order, _ in CASES]
BUFFER_SZ = 40


def compiled_pair(bits, order):
    load, store = getattr(endian, f"load_{order}{bits}"), getattr(endian, f"store_{order}{bits}")

    @njit
    def run_load(array, off):
        return load(array, off)

    @njit
    def run_store(array, off, value):
        store(array, off, value)

    return run_load, run_store


PAIRS = {(bits, order): compiled_pair(bits, order) for bits, order, _ in CASES}


@njit
def copy(dst, dst_off, src, src_off, sz):
    endian.copy_bytes(dst, dst_off, src, src_off, sz)


@pytest.mark.parametrize(("bits", "order", "name"), CASES, ids=IDS)
@settings(deadline=None)
@given(data=st.binary(min_size=BUFFER_SZ, max_size=BUFFER_SZ), off=st.integers(0, BUFFER_SZ - 8))
def test_a_load_reads_exactly_its_bytes(bits, order, name, data, off):
    array = np.frombuffer(data, np.uint8)
    wanted = int.from_bytes(data[off:off + bits // 8], name)
    assert int(PAIRS[bits, order][0](array.copy(), off)) == wanted
    assert int(getattr(endian, f"plain_load_{order}{bits}")(array, off)) == wanted


@pytest.mark.parametrize(("bits", "order", "name"), CASES, ids=IDS)
@settings(deadline=None)
@given(value=st.integers(0, 2**64 - 1), off=st.integers(0, BUFFER_SZ - 8))
def test_a_store_writes_exactly_the_low_bytes(bits, order, name, value, off):
    wanted = bytearray(b"\xAA" * BUFFER_SZ)
    low = value & ((1 << bits) - 1)
    wanted[off:off + bits // 8] = low.to_bytes(bits // 8, name)
    compiled = np.full(BUFFER_SZ, 0xAA, np.uint8)
    PAIRS[bits, order][1](compiled, off, np.uint64(value))
    plain = np.full(BUFFER_SZ, 0xAA, np.uint8)
    getattr(endian, f"plain_store_{order}{bits}")(plain, off, value)
    assert compiled.tobytes() == plain.tobytes() == bytes(wanted)


@settings(deadline=None)
@given(src_off=st.integers(0, 20), dst_off=st.integers(0, 20), sz=st.integers(0, 20))
def test_copy_bytes_moves_only_its_range(src_off, dst_off, sz):
    source = np.arange(BUFFER_SZ, dtype=np.uint8)
    compiled, plain = np.full(BUFFER_SZ, 0xAA, np.uint8), np.full(BUFFER_SZ, 0xAA, np.uint8)
    copy(compiled, dst_off, source, src_off, sz)
    endian.plain_copy_bytes(plain, dst_off, source, src_off, sz)
    wanted = bytearray(b"\xAA" * BUFFER_SZ)
    wanted[dst_off:dst_off + sz] = source.tobytes()[src_off:src_off + sz]
    assert compiled.tobytes() == plain.tobytes() == bytes(wanted)


def test_the_result_stays_unsigned():
    run_load, _ = PAIRS[64, "be"]
    assert int(run_load(np.full(8, 0xFF, np.uint8), 0)) == 2**64 - 1


def test_twins_refuse_to_leave_the_array():
    array = np.zeros(8, np.uint8)
    with pytest.raises(IndexError):
        endian.plain_load_be32(array, 5)
    with pytest.raises(IndexError):
        endian.plain_store_be64(array, 1, 0)
    with pytest.raises(IndexError):
        endian.plain_load_be16(array, -1)
