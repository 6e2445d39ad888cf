"""What holds for every test."""

import os

import pytest


@pytest.fixture(autouse=True)
def gives_back_what_it_took():
    """A test leaves CPUs and priority as they were: the next one needs them."""
    before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    yield
    after = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    os.sched_setaffinity(0, before[0])
    assert after == before, "CPUs and priority"
