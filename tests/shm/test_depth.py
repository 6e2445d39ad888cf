"""Depth read while another process writes it: never torn, and the test sees it without the lock."""

import errno
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.hot.depth_state import HEAD_WORDS, row_words
from appliance.layout.shared import DEPTH, DEPTH_LEVEL
from appliance.native import ffi, lib
from appliance.shm import depth as shm_depth
from appliance.shm import region
from appliance.shm.depth import DepthError, DepthReader
from tests.shm.depth_writer import block_in

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[2]
LEVELS, READS, DIFFERENT, PATIENCE_S = 20, 20_000, 2_000, 120


@pytest.fixture
def block(tmp_path):
    made = block_in(tmp_path, LEVELS)
    region.create(made)
    yield made
    region.release(made.path)


@pytest.fixture
def writing(block, request):
    """A process that writes the block all the time; it has begun."""
    process = subprocess.Popen([sys.executable, "-m", "tests.shm.depth_writer",
                                str(block.path.parent), str(LEVELS), *request.param], cwd=ROOT)
    words, deadline = region.attach(block), time.monotonic() + 300
    while words[0] < 1000:
        assert process.poll() is None and time.monotonic() < deadline, "the writer does not write"
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait()


def agrees(depth):
    """Whether a row is of one writing: all quantities and the feed number are the same."""
    return ({level.qty for side in (depth.bids, depth.asks) for level in side}
            == {depth.feed_seq & 0xFFFFFFFF} and len(depth.bids) == len(depth.asks) == LEVELS)


def torn_reads(block, plain=False, is_wanted=False):
    """How many of at least READS reads and DIFFERENT rows are torn.

    plain: copied as any memory is, without the lock. is_wanted: goes on until one is.
    """
    reader = DepthReader(block, 1, LEVELS)
    if plain:
        reader._whole_row = lambda symbol: np.copyto(reader._copy, reader.words)
    torn, seen, number, deadline = 0, set(), 0, time.monotonic() + PATIENCE_S
    while number < READS or len(seen) < DIFFERENT or (is_wanted and not torn):
        assert time.monotonic() < deadline, f"{number} reads of {len(seen)} rows, {torn} torn"
        depth = reader.read(0)
        seen.add(depth.feed_seq)
        torn += not agrees(depth)
        number += 1
    return torn


@pytest.mark.parametrize("writing", [()], indirect=True)
def test_no_read_is_torn_while_a_process_writes(block, writing):
    assert torn_reads(block) == 0


@pytest.mark.parametrize("writing", [()], indirect=True)
def test_reads_without_the_lock_are_torn(block, writing):
    assert torn_reads(block, plain=True, is_wanted=True) > 0


@pytest.mark.parametrize("writing", [("--unlocked",)], indirect=True)
def test_writing_without_the_lock_is_seen_as_torn(block, writing):
    """The writer never makes the sequence odd: the reader's check of it proves nothing then."""
    assert torn_reads(block, is_wanted=True) > 0


@pytest.mark.parametrize("writing", [()], indirect=True)
def test_writer_killed_at_any_moment_is_told_or_leaves_a_whole_row(block, writing, monkeypatch):
    monkeypatch.setattr(shm_depth, "PATIENCE_S", 0.02)
    reader = DepthReader(block, 1, LEVELS)
    writing.kill()
    writing.wait()
    if reader.words[0] % 2:
        with pytest.raises(DepthError, match="died while it wrote"):
            reader.read(0)
    else:
        assert agrees(reader.read(0))


def test_half_written_row_is_told_after_a_while(block, monkeypatch):
    monkeypatch.setattr(shm_depth, "PATIENCE_S", 0.02)
    writer = region.attach(block, write=True)
    writer[0] = 7
    with pytest.raises(DepthError, match="symbol 0: its row has not been whole"):
        DepthReader(block, 1, LEVELS).read(0)


def test_row_never_written_is_nothing(block):
    assert DepthReader(block, 1, LEVELS).read(0) is None


def test_levels_that_do_not_count_are_not_shown(block):
    writer = region.attach(block, write=True)
    writer[HEAD_WORDS:] = 0xFFFF
    head = writer[:HEAD_WORDS].view(DEPTH.dtype)[0]
    head["seq"], head["feed_seq"], head["time_ns"] = 4, 9, 5
    head["bid_cnt"], head["ask_cnt"] = 1, 2
    levels = writer[HEAD_WORDS:][:2 * LEVELS * 2].view(DEPTH_LEVEL.dtype)
    levels[0] = (100, 2, 30)
    levels[LEVELS], levels[LEVELS + 1] = (101, 1, 5), (103, 4, 2**40)
    found = DepthReader(block, 1, LEVELS).read(0)
    assert found == (9, 5, ((100, 30, 2),), ((101, 5, 1), (103, 2**40, 4)))


@pytest.mark.parametrize("symbol", [-1, 1])
def test_symbol_that_is_not_there_is_refused(block, symbol):
    with pytest.raises(IndexError, match=f"symbol {symbol} of 1"):
        DepthReader(block, 1, LEVELS).read(symbol)


@pytest.mark.parametrize("symbols, levels", [(1, 0), (1, LEVELS - 2), (2, LEVELS)])
def test_block_of_other_levels_is_refused(block, symbols, levels):
    with pytest.raises(DepthError, match="capacity.depth_levels"):
        DepthReader(block, symbols, levels)


def test_copy_says_how_often_it_tried():
    row, out = np.arange(row_words(1), dtype=np.uint64) + 2, np.zeros(row_words(1), np.uint64)
    source, target = (ffi.cast("uint64_t *", array.ctypes.data) for array in (row, out))
    assert lib.wm_seq_copy(source, len(row), target, 5) == 1 and (out == row).all()
    row[0] = 3
    assert lib.wm_seq_copy(source, len(row), target, 5) == -errno.EAGAIN
    assert lib.wm_seq_copy(source, len(row), target, 0) == -errno.EAGAIN
