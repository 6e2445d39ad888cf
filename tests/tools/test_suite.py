"""tools/test.sh: two runs of pytest, and the exit code is right whichever of them fails."""

import os
import subprocess

import pytest

from tests.shared_data import ROOT

PASSED, FAILED, INTERRUPTED, USAGE, EMPTY = 0, 1, 2, 4, 5
FAKE = """#!/bin/sh
printf '%s\\n' "$@" >> "$SAID"
case "$*" in
*shm.cache) echo /nowhere ;;
*"--part together"*) exit $TOGETHER ;;
*"--part alone"*) exit $ALONE ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    """run(together, alone, arguments): (exit code, what the interpreter was given)."""
    fake, said = tmp_path / "python", tmp_path / "said"
    fake.write_text(FAKE)
    fake.chmod(0o755)

    def once(together, alone, *arguments):
        said.unlink(missing_ok=True)
        done = subprocess.run(["bash", ROOT / "tools" / "test.sh", *arguments], env=os.environ | {
            "PYTHON": str(fake), "SAID": str(said), "TOGETHER": str(together),
            "ALONE": str(alone)})
        return done.returncode, said.read_text().splitlines()

    return once


@pytest.mark.parametrize("together, alone, code", [
    (PASSED, PASSED, PASSED), (PASSED, EMPTY, PASSED), (EMPTY, PASSED, PASSED),
    (EMPTY, EMPTY, EMPTY), (FAILED, PASSED, FAILED), (PASSED, FAILED, FAILED),
    (FAILED, EMPTY, FAILED), (EMPTY, FAILED, FAILED), (FAILED, FAILED, FAILED),
    (USAGE, USAGE, USAGE), (PASSED, INTERRUPTED, INTERRUPTED)])
def test_both_runs_must_pass_and_one_may_be_empty(run, together, alone, code):
    assert run(together, alone)[0] == code


def test_an_interrupted_first_run_is_the_last(run):
    code, said = run(INTERRUPTED, PASSED)
    assert code == INTERRUPTED and "alone" not in said


def test_arguments_go_to_both_runs(run):
    _, said = run(PASSED, PASSED, "-k", "one or two")
    assert said.count("one or two") == 2 and {"together", "alone"} < set(said)
