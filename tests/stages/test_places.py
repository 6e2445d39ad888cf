"""What the frames of a matcher lie in is said whenever it is not what was said before."""

import contextlib
import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.shm import umem
from appliance.stages.places import OwnQueue
from appliance.stages.store import Store
from tests.netns import needs_namespaces

FRAMES = 512                            # of 2,048 bytes, either way: one huge page
FREE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")


@pytest.fixture
def places():
    """A queue of its own for each of three partitions, nothing handed out."""
    store = Store()
    yield OwnQueue(SimpleNamespace(
        interface=SimpleNamespace(payload=1472, queue=0),
        port=SimpleNamespace(rx_frames=FRAMES, tx_frames=FRAMES, huge_pages="auto")), store, 0)
    store.drop_all()


def hand_out(places, partition):
    for fd in places.hand_out(partition).fds:
        os.close(fd)


@needs_namespaces
def test_huge_pages_that_run_out_later_are_said_once(places, monkeypatch, capsys):
    """The kernel's answer is all that is made up: one page is there, then none."""
    made, left = umem.create_umem, [1]

    def create(geometry, huge_pages=False):
        if huge_pages and not left:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        if huge_pages:
            left.pop()
        return made(geometry)

    monkeypatch.setattr(umem, "create_umem", create)
    hand_out(places, 0)
    assert capsys.readouterr().err == "portd: frames lie in huge pages (partition 0)\n"
    hand_out(places, 1)
    told = capsys.readouterr().err
    assert told.startswith("portd: frames lie in ordinary pages (1 huge pages of 2 MB are needed")
    assert "see vm.nr_hugepages" in told and "partition 1" in told
    hand_out(places, 2)
    assert capsys.readouterr().err == ""


@needs_namespaces
def test_really_taken_huge_pages_are_missed(places, capsys):
    if int(FREE.read_text()) < 2:
        pytest.skip("two huge pages of 2 MB are needed; reserve them: sysctl vm.nr_hugepages=2")
    hand_out(places, 0)
    assert "in huge pages" in capsys.readouterr().err
    with contextlib.ExitStack() as stack:
        for _ in range(int(FREE.read_text())):
            stack.callback(os.close, umem.create_umem(places.geometry, huge_pages=True))
        hand_out(places, 1)
    assert "in ordinary pages (1 huge pages" in capsys.readouterr().err
