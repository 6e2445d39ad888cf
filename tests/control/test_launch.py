"""Runtime folder, child processes, notification socket, alarms: the launcher's tools, for real."""

import json
import os
import signal
import subprocess
import sys
import time
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
    with pytest.raises(launch.LaunchError, match=r"holds other files \(thesis.tex\)"):
        launch.RuntimeFolder(table)
    assert (table.runtime_dir / "thesis.tex").read_text() == "years"


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


def wait_for(condition, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.01)
    return found


def child(box, code, cpus=None, wait="yield"):
    cpus = tuple(os.sched_getaffinity(0)) if cpus is None else cpus
    return launch.start("child", ["-c", code], cpus, wait, box.sock.getsockname())


def test_child_says_ready_with_its_cores_and_wait_policy(box):
    cpu = max(os.sched_getaffinity(0))
    made = child(box, "from appliance import notify; from appliance.host import cores\n"
                 "notify.ready('%d %s' % cores.granted())", (cpu,), "spin")
    pid, lines = wait_for(box.read)[0]
    assert (pid, lines) == (made.pid, {"READY": "1", "STATUS": f"{cpu} spin"})
    assert made.wait(20) and made.how() == "exit code 0"


def test_child_that_ignores_sigterm_is_killed(box):
    made = child(box, "import signal, time; signal.signal(15, signal.SIG_IGN)\n"
                 "from appliance import notify; notify.ready(); time.sleep(60)")
    wait_for(box.read)
    launch.end(made, 0.2)
    assert made.how() == "killed by SIGKILL"


def test_children_die_with_a_killed_launcher(tmp_path):
    code = ("import sys, time; from appliance.control import launch\n"
            "c = launch.start('c', ['-c', 'import time; time.sleep(60)'], (0,), 'yield', '')\n"
            "print(c.pid, flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", code], text=True,
                          stdout=subprocess.PIPE) as parent:
        grandchild = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{grandchild}")
             or " Z " in Path(f"/proc/{grandchild}/stat").read_text())


def test_alarm_of_a_kind_is_counted_and_logged_once_a_second(capsys):
    now = [1000.0]
    board = alarms.Alarms(lambda: now[0])
    for _ in range(5):
        board.sound("matcher-died", "gone")
    assert capsys.readouterr().err.count("ALARM matcher-died: gone") == 1
    now[0] += 1.5
    board.sound("matcher-died", "gone again")
    assert "gone again" in capsys.readouterr().err
    assert board.table() == [{"kind": "matcher-died", "text": "gone again", "count": 6,
                              "first": "1970-01-01T00:16:40Z", "last": "1970-01-01T00:16:41Z"}]


def test_status_is_replaced_whole(tmp_path):
    path = tmp_path / "status.json"
    status.write(path, {"a": 1})
    status.write(path, {"b": [2]})
    assert status.read(path) == json.loads(path.read_text()) == {"b": [2]}
    assert [entry.name for entry in tmp_path.iterdir()] == ["status.json"]
