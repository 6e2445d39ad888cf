"""The flight recorder: what is copied, bounds, damage, and a matcher that really died."""

import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from appliance import cli
from appliance.control import recorder
from appliance.layout import record, shared
from tests.control.test_run import RUNTIME, start  # noqa: F401  a fixture

pytestmark = pytest.mark.alone


def test_the_newest_records_of_a_ring_oldest_first():
    ring = np.zeros(8, record.JOURNAL_RECORD.dtype)
    header = np.zeros(1, shared.JOURNAL_HEADER.dtype)
    assert recorder.newest(header, ring).size == 0
    for seq in range(1, 12):
        ring[seq & 7]["seq"] = seq
    header[0]["next_seq"] = 12
    assert recorder.newest(header, ring)["seq"].tolist() == list(range(4, 12))
    assert recorder.newest(header, ring, 3)["seq"].tolist() == [9, 10, 11]


def test_feed_messages_are_cut_out_by_their_index():
    log, data = np.zeros(1, shared.FEED_LOG.dtype), np.zeros(64, np.uint8)
    index = np.zeros(4, np.uint64)
    data[:9] = list(b"\0\x03Abc\0\x02Xy")
    index[1], index[2] = 0, 5
    log[0]["next_seq"], log[0]["oldest_seq"] = 3, 1
    assert recorder.messages(log, data, index) == [[1, "A", "416263"], [2, "X", "5879"]]
    assert recorder.messages(log, data, index, 1) == [[2, "X", "5879"]]


def test_what_cannot_be_written_or_read_is_said(tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("")
    desk = SimpleNamespace(idx=0, ring=None)
    assert recorder.record(desk, "x", "y", {}, blocked / "crashes") is None
    assert "cannot be kept" in capsys.readouterr().err
    with pytest.raises(ValueError, match="not a record of a crash"):
        recorder.load(tmp_path)
    for arguments in ((), (str(tmp_path), "--live", "x")):
        assert CliRunner().invoke(cli.main, ["inspect", *arguments]).exit_code == 2
    assert CliRunner().invoke(cli.main, ["inspect", str(tmp_path)]).exit_code == 1


@pytest.mark.slow
def test_a_killed_matcher_leaves_its_last_commands(start):  # noqa: F811
    running = start()
    running.ready(0)
    assert running.login(b"TOKEN00001")[22:23] == b"A"
    alive = CliRunner().invoke(cli.main, ["inspect", "--live", str(RUNTIME), "--json"])
    assert alive.exit_code == 0, alive.output
    seen = json.loads(alive.output)
    assert [row["kind"] for row in seen["commands"]][-1] == "login" and seen["feed"]
    os.kill(running.pid("matcher@0"), signal.SIGSEGV)
    running.ready(1)
    kept, = recorder.folders(RUNTIME / "crashes")
    found = recorder.load(kept)
    assert found["about"]["how"] == "killed by SIGSEGV" and found["counters"]["logins"] == 1
    shown = CliRunner().invoke(cli.main, ["inspect", str(kept)])
    assert shown.exit_code == 0 and "login" in shown.output and "LOGIN of account 0" in shown.output
    assert str(kept) in CliRunner().invoke(cli.main, ["inspect", str(RUNTIME / "crashes")]).output
    assert str(kept) in running.log.read_text()
