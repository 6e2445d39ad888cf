"""The journal: every command, in order, with a time that never goes back and a checksum."""

import numpy as np
import pytest

from appliance.layout import record
from appliance.native import ffi, lib
from tests.hot.core_kit import (
    NOON, Kit, cancel, enter,
)


@pytest.fixture
def kit():
    kit = Kit()
    yield kit
    kit.check_healthy()


def test_journal_holds_every_record_before_it_acts(kit):
    header, ring = kit.core.journal.header[0], kit.core.journal.ring
    before, checksum = int(header["next_seq"]), int(header["checksum"])
    kit.send(enter(1))
    kit.now -= 10
    kit.send(cancel(1))
    kit.send(b"?")
    assert header["next_seq"] == before + 3 and header["checksum"] != checksum
    records = ring[before:before + 3]
    assert records["seq"].tolist() == [before, before + 1, before + 2]
    assert records["time_ns"].tolist() == [NOON] * 3
    command = np.frombuffer(records[0]["command"].tobytes(), record.COMMAND.dtype)[0]
    assert (command["kind"], command["order"], command["qty"]) == (record.ENTER, 0, 100)
    for one in records:
        checksum = lib.wm_crc32c(checksum, ffi.from_buffer(one.tobytes()), 128)
    assert header["checksum"] == checksum
