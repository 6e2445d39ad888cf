"""Memory that a thread makes present: no fault is left for who writes, and small things stay."""

import mmap
import os
import resource
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from appliance.shm import present, region
from appliance.topology import Block

SZ = 16 << 20


class Inner(NamedTuple):
    log: np.ndarray
    small: np.ndarray


class Outer(NamedTuple):
    inner: Inner
    again: np.ndarray
    fixed: np.ndarray


def faults_of_writing(array):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array[::mmap.PAGESIZE] = 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def wait(presence):
    presence.start()
    deadline = time.monotonic() + 60
    while not presence.done:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def log():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        block = Block("feed", "matcher", np.dtype(np.uint8), SZ, Path(folder) / "feed")
        region.create(block)
        yield region.attach(block, write=True)
        region.release(block.path)


def test_no_page_of_a_region_is_touched_first_by_its_writer(log):
    assert faults_of_writing(log[:SZ // 2]) > 64
    wait(present.Presence([log]))
    assert faults_of_writing(log) < 64
    assert log[0] == 1 and log[SZ // 2 + 1] == 0, "the contents changed"


def test_private_memory_too():
    array = np.zeros(SZ, np.uint8)
    wait(present.Presence([array]))
    assert faults_of_writing(array) < 64 and array.sum() == SZ // mmap.PAGESIZE


def test_large_writable_arrays_are_found_once():
    log, small, fixed = np.zeros(SZ, np.uint8), np.zeros(9), np.zeros(SZ, np.uint8)
    fixed.flags.writeable = False
    found = present.arrays_of(Outer(Inner(log, small), log, fixed))
    assert len(found) == 1 and found[0] is log


def test_a_kernel_that_does_not_know_how_is_asked_once(monkeypatch, log):
    monkeypatch.setattr(present, "_POPULATE_WRITE", 9999)
    wait(present.Presence([log, log]))
    assert faults_of_writing(log) > 64


def test_the_matchers_cpu_and_priority_are_its_own():
    before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    for cpus in (set(), {min(before[0])}, {4095}):
        presence, seen = present.Presence([np.zeros(SZ, np.uint8)], cpus), []

        def populate(*_, seen=seen):
            me = threading.get_native_id()
            seen.append((os.sched_getaffinity(me), os.getpriority(os.PRIO_PROCESS, me)))
            return True

        presence._populate = populate
        wait(presence)
        assert seen[0] == (cpus if cpus == {min(before[0])} else before[0], before[1])
        assert (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)) == before


def test_only_memory_counts_as_memory():
    assert present.is_in_memory("/dev/shm") and not present.is_in_memory("/proc")
    assert not present.is_in_memory("/nowhere")
    kind = subprocess.run(["stat", "-f", "-c", "%T", "/"], capture_output=True, text=True)
    assert present.is_in_memory("/") == (kind.stdout.strip() == "tmpfs")
