"""Region files: made once, checked at the door, one writer."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.layout import shared
from appliance.layout.digest import layout_digest
from appliance.shm import region
from appliance.topology import Block


@pytest.fixture
def block(tmp_path):
    made = Block("counters", "matcher", np.dtype(np.uint64), 128, tmp_path / "counters")
    region.create(made, instance=3)
    yield made
    region.release(made.path)


def test_reader_sees_what_the_writer_stores(block):
    writer, reader = region.attach(block, write=True), region.attach(block)
    assert reader.sum() == 0
    writer[5] = 77
    assert reader[5] == 77


def test_reader_cannot_store(block):
    with pytest.raises(ValueError, match="read-only"):
        region.attach(block)[0] = 1


def test_second_writer_is_refused_until_the_first_gives_up(block):
    region.attach(block, write=True)
    with pytest.raises(region.RegionError, match="has a writer already"):
        region.attach(block, write=True)
    region.release(block.path)
    region.attach(block, write=True)


def test_writer_that_dies_leaves_the_place_free(block):
    code = ("import numpy as np, os, pathlib; from appliance.shm import region\n"
            "from appliance.topology import Block\n"
            f"path = pathlib.Path({str(block.path)!r})\n"
            "a = region.attach(Block('counters', 'm', np.dtype('u8'), 128, path), True)\n"
            "a[0] = 9; os.kill(os.getpid(), 9)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert region.attach(block, write=True)[0] == 9


def test_both_ends_of_a_link_write(tmp_path):
    link = Block("link_up", "matcher", np.dtype(np.uint8), 512, tmp_path / "link", True)
    region.create(link)
    first, second = region.attach(link, True), region.attach(link, True)
    first[0], second[1] = 1, 2
    assert first[:2].tolist() == second[:2].tolist() == [1, 2]


def test_file_is_closed_to_other_users(block):
    assert os.stat(block.path).st_mode & 0o077 == 0


def test_region_is_made_once(block):
    with pytest.raises(region.RegionError, match="running already"):
        region.create(block)


def test_other_layout_names_both_digests(block):
    with open(block.path, "r+b") as file:
        file.seek(shared.REGION["layout_digest"].off)
        file.write((0x1234).to_bytes(8, "little"))
    with pytest.raises(region.RegionError) as caught:
        region.attach(block)
    assert "0000000000001234" in str(caught.value)
    assert f"{layout_digest():016x}" in str(caught.value)


def test_foreign_file_is_refused(block):
    block.path.write_bytes(bytes(4096))
    with pytest.raises(region.RegionError, match="is no region: magic 0x0000000000000000"):
        region.attach(block)


def test_cut_file_is_refused_before_it_is_mapped(block):
    os.truncate(block.path, 256)
    with pytest.raises(region.RegionError, match=f"has 256 bytes, expected {128 + 1024}"):
        region.attach(block)


def test_other_shape_and_other_instance_are_refused(block):
    with pytest.raises(region.RegionError, match=r"holds counters\[128\].*expected counters\[64\]"):
        region.attach(replace(block, count=64))
    with pytest.raises(region.RegionError, match="to instance 3, this process is instance 4"):
        region.attach(block, instance=4)


def test_missing_file_says_what_to_ask(block):
    with pytest.raises(region.RegionError, match="is the appliance running"):
        region.attach(replace(block, path=block.path.with_name("none")))


def test_maker_gives_only_what_the_table_has(block):
    make = region.maker({"counters": block}, write=True, instance=3)
    assert make("counters", np.uint64, 128).shape == (128,)
    with pytest.raises(region.RegionError, match="no such block"):
        make("orders", np.uint64, 128)
    with pytest.raises(region.RegionError, match=r"asked for uint32\[128\]"):
        make("counters", np.uint32, 128)


def test_a_writer_keeps_no_descriptor_that_could_cut_the_file(block):
    writer = region.attach(block, write=True)
    flags = [Path(f"/proc/self/fdinfo/{fd}").read_text().split("flags:")[1].split()[0]
             for fd in os.listdir("/proc/self/fd")
             if os.path.realpath(f"/proc/self/fd/{fd}") == str(block.path)]
    assert flags and {int(each, 8) & os.O_ACCMODE for each in flags} == {os.O_RDONLY}
    assert writer.flags.writeable


def test_the_memory_goes_with_the_last_array(block):
    def is_mapped():
        return str(block.path) in Path("/proc/self/maps").read_text()

    part = region.attach(block)[5:9]
    assert is_mapped() and part.sum() == 0
    del part
    assert not is_mapped()
