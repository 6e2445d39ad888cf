"""The book's tests again, in processes of their own: with the JIT off, with every index checked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Reads past the end of `orders`: what a kernel that trusts a broken link would do.
OUT_OF_RANGE = """
from tests.hot.book_kit import BUY, Desk, cancel, enter
desk = Desk(checked=False)
desk.send(enter(300, BUY, 10, 2000), enter(301, BUY, 10, 2000))
desk.book.orders[300]["next"] = 5_000_000
try:
    desk.send(cancel(300))
except IndexError as error:
    print("raised", error)
"""


def run(folder, arguments, **settings):
    """A Python process of its own, whose kernels are compiled into an empty cache folder."""
    environment = os.environ | settings | {"NUMBA_CACHE_DIR": str(folder / "kernels"),
                                           "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment,
                          capture_output=True, text=True)


def suite(*more):
    return ["-m", "pytest", "-qx", "-p", "no:cacheprovider", "tests/hot/test_book.py",
            "tests/hot/test_far.py", *more]


@pytest.mark.slow
def test_every_index_is_in_range_and_one_that_is_not_raises(tmp_path):
    checked = run(tmp_path, suite(), NUMBA_BOUNDSCHECK="1")
    assert checked.returncode == 0, checked.stdout[-3000:]
    raised = run(tmp_path, ["-c", OUT_OF_RANGE], NUMBA_BOUNDSCHECK="1")
    assert raised.stdout.startswith("raised"), raised.stdout + raised.stderr


def test_situations_give_the_same_with_the_jit_off(tmp_path):
    plain = run(tmp_path, suite("-k", "not stream and not burst"), NUMBA_DISABLE_JIT="1")
    assert plain.returncode == 0, plain.stdout[-3000:]
    assert not (tmp_path / "kernels").exists() or not any((tmp_path / "kernels").rglob("*.nbc"))
