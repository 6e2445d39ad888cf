"""An appliance whose receive side is set otherwise than by default trades like any other."""

import os
from pathlib import Path

import pytest

from tests.end_to_end.place import Place, trade
from tests.netns import needs_bpf, needs_namespaces

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

SETTINGS = ('[port]\nbatch = 3\nrx_frames = 1024\ntx_frames = 1024\nhuge_pages = "auto"\n'
            "[cores]\nrealtime = {}\n")


def test_huge_pages_always_or_not_at_all():
    free = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages").read_text()
    if int(free) >= 16:
        with Place("native", extra='[port]\nhuge_pages = "always"\n') as place:
            assert "frames lie in huge pages" in place.house.words()
        return
    with pytest.raises(RuntimeError, match='port.huge_pages = "always": 8 huge pages'), \
            Place("native", configured="auto", extra='[port]\nhuge_pages = "always"\n'):
        pass


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="a real-time matcher needs two CPUs")
def test_small_batches_few_frames_and_a_realtime_matcher():
    with Place("native", extra=SETTINGS.format(7)) as place:
        pid = place.pid("matcher@0")
        assert os.sched_getscheduler(pid) == os.SCHED_FIFO
        assert os.sched_getparam(pid).sched_priority == 7
        assert os.sched_getscheduler(place.pid("portd")) == os.SCHED_OTHER
        words = place.house.words()
        assert "SCHED_FIFO 7" in words and "frames lie in" in words
        trade(place.login(0), place.login(1))
        assert place.stop() == 0, place.house.words()
