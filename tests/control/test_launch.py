"""Runtime folder, day file, mailbox, alarms, status: the launcher's tools, for real."""

import array
import dataclasses
import json
import os
import socket
from pathlib import Path

import msgspec
import pytest

from appliance import topology as topo
from appliance.config import load as loading
from appliance.config.load import load
from appliance.control import alarms, launch, status


@pytest.fixture
def table(tmp_path):
    config = load(Path(loading.__file__).parent / "examples/appliance.toml")
    return topo.build(msgspec.structs.replace(config, runtime_dir=str(tmp_path / "run")))


def test_runtime_folder_comes_and_goes(table):
    folder = launch.RuntimeFolder(table)
    assert table.lock_file.read_text() == f"{os.getpid()}\n"
    assert os.stat(table.runtime_dir).st_mode & 0o777 == 0o711
    folder.remove()
    assert not table.runtime_dir.exists()


def test_second_appliance_in_the_same_folder_is_refused(table):
    folder = launch.RuntimeFolder(table)
    with pytest.raises(launch.LaunchError, match=rf"running in .*process {os.getpid()}"):
        launch.RuntimeFolder(table)
    folder.remove()


def test_folder_left_behind_is_cleared(table):
    table.runtime_dir.mkdir()
    (table.runtime_dir / "p0").mkdir()
    (table.runtime_dir / "p0" / "feed").write_bytes(b"old")
    table.status_file.write_text("{}")
    folder = launch.RuntimeFolder(table)
    assert folder.was_left_behind
    assert [path.name for path in table.runtime_dir.iterdir()] == ["lock"]
    folder.remove()


def test_folder_with_other_files_is_refused_and_left_alone(table):
    table.runtime_dir.mkdir()
    (table.runtime_dir / "thesis.tex").write_text("years")
    table.runtime_dir.chmod(0o775)
    with pytest.raises(launch.LaunchError, match=r"holds other files \(thesis.tex\)"):
        launch.RuntimeFolder(table)
    assert (table.runtime_dir / "thesis.tex").read_text() == "years"
    assert table.runtime_dir.stat().st_mode & 0o777 == 0o775       # /tmp, say, stays everyone's


def test_link_to_a_foreign_folder_is_refused(table, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    table.runtime_dir.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(launch.LaunchError, match="is not a folder of this user"):
        launch.RuntimeFolder(table)


@pytest.fixture
def box(tmp_path):
    made = launch.Mailbox(str(tmp_path / "notify.sock"))
    yield made
    made.close()


def tell(box, text, fds=()):
    """A datagram to the mailbox, from this process."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendmsg([text.encode()], rights, 0, box.sock.getsockname())


def test_the_mailbox_knows_who_writes(box):
    tell(box, "READY=1\nSTATUS=well")
    assert box.read() == [(os.getpid(), {"READY": "1", "STATUS": "well"})]


def test_the_mailbox_keeps_descriptors_by_name_for_one_process_alone(box):
    reader, writer = os.pipe()
    tell(box, "FDSTORE=1\nFDNAME=pipe", [writer])
    box.read(keeper_pid=os.getpid() + 1)
    assert box.kept == {}
    tell(box, "FDSTORE=1\nFDNAME=pipe", [writer])
    tell(box, "FDSTORE=1\nFDNAME=pipe", [writer])
    box.read(keeper_pid=os.getpid())
    os.close(writer)
    assert list(box.kept) == ["pipe"]
    os.write(box.kept["pipe"], b"kept")
    assert os.read(reader, 10) == b"kept"
    tell(box, "FDSTOREREMOVE=1\nFDNAME=pipe")
    box.read(keeper_pid=os.getpid())
    assert box.kept == {} and os.read(reader, 10) == b"", "nobody else holds the writing end"
    os.close(reader)


def test_nobody_keeps_the_launcher_reading(box, monkeypatch):
    monkeypatch.setattr(launch, "MESSAGES_MAX", 3)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        for number in range(5):
            sender.sendto(f"STATUS={number}".encode(), box.sock.getsockname())
    assert [len(box.read()) for _ in range(3)] == [3, 2, 0]


def test_the_day_file_counts_every_partition_by_itself(table):
    two = dataclasses.replace(table, partitions=table.partitions[:1] * 2)
    day = launch.DayFile(two, "100-001")
    assert [day.take(0), day.take(1), day.take(1), day.take(0)] == [0, 0, 1, 1]
    again = launch.DayFile(two, "100-001")
    assert (again.take(0), again.take(1)) == (2, 2)
    assert launch.DayFile(two, "200-002").take(0) == 0, "another day"
    day.path.write_text(f"200-002 {launch.INSTANCES_MAX} 0\n")
    with pytest.raises(launch.LaunchError, match="no session names are left"):
        launch.DayFile(two, "200-002").take(0)


def test_session_names_of_a_day_never_repeat(table):
    names = set()
    for instance in (0, 1, 35, 36, 37, 1295):
        part = topo.build(table.config, instance).partitions[0]
        names |= {part.order_session(9, 0), part.order_session(9, 1), part.feed_session(9)}
    assert len(names) == 18 and {len(name) for name in names} == {10}


def test_alarm_of_a_kind_is_counted_and_logged_once_a_second(capsys):
    now = [1000.0]
    board = alarms.Alarms(lambda: now[0])
    for _ in range(5):
        board.sound("matcher-died", "gone")
    assert capsys.readouterr().err.count("ALARM matcher-died: gone") == 1
    now[0] += 1.5
    board.sound("matcher-died", "gone again")
    assert "gone again" in capsys.readouterr().err
    assert board.table() == [{"kind": "matcher-died", "where": "", "text": "gone again", "count": 6,
                              "first": "1970-01-01T00:16:40Z", "last": "1970-01-01T00:16:41Z"}]


def test_alarms_of_a_kind_do_not_hide_each_others_place(capsys):
    board = alarms.Alarms(lambda: 1000.0)
    for idx in (0, 1, 1):
        board.sound("matcher-died", f"matcher@{idx} is gone", alarms.of_partition(idx))
    told = capsys.readouterr().err
    assert told.count("matcher@0 is gone") == told.count("matcher@1 is gone") == 1
    assert [(row["where"], row["count"], row["text"]) for row in board.table()] == [
        ("partition 0", 1, "matcher@0 is gone"), ("partition 1", 2, "matcher@1 is gone")]


def test_status_is_replaced_whole(tmp_path):
    path = tmp_path / "status.json"
    status.write(path, {"a": 1})
    status.write(path, {"b": [2]})
    assert status.read(path) == json.loads(path.read_text()) == {"b": [2]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
