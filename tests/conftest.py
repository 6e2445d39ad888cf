"""What holds for every test, and which tests may run beside others.

`--part together` leaves out the tests that are marked `alone`, `--part alone` leaves out the rest:
`make test` runs the first on every core at once, then the second one by one. Alone are those whose
claim is about time or about the whole machine: running appliances, AF_XDP, killing, great memory.
"""

import os

import hypothesis
import pytest

ALONE = ("bpf", "end_to_end", "package", "stages")     # rooms of which every test is alone

# A busy machine is no failure, and a landing is no place for a new example: LONG looks for those.
LONG = os.environ.get("WIREMATCH_LONG") == "1"
hypothesis.settings.register_profile("wirematch", deadline=None, derandomize=not LONG,
                                     suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("wirematch")


def pytest_addoption(parser):
    """--part."""
    parser.addoption("--part", choices=("together", "alone"),
                     help="only the tests that may run beside others, or only those that may not")


def pytest_collection_modifyitems(config, items):
    """Marks whole rooms as alone; takes out what is not of the part."""
    here = config.rootpath / "tests"
    for item in items:
        if item.path.is_relative_to(here) and item.path.relative_to(here).parts[0] in ALONE:
            item.add_marker(pytest.mark.alone)
    if part := config.getoption("--part"):
        wanted = [item for item in items
                  if (item.get_closest_marker("alone") is not None) == (part == "alone")]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
        items[:] = wanted


@pytest.fixture(autouse=True)
def gives_back_what_it_took():
    """A test leaves CPUs and priority as they were: the next one needs them."""
    before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    yield
    after = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    os.sched_setaffinity(0, before[0])
    assert after == before, "CPUs and priority"
