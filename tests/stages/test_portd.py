"""portd alone: which rung and layout it takes, what it hands to whom, what is left of it."""

import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from appliance.layout import shared
from appliance.native import lib
from appliance.shm import region, steer
from appliance.stages import link, ports
from appliance.stages.places import Holding, SharedQueue
from appliance.stages.portd import OPENED_BY_USER_MAX
from appliance.stages.store import Store
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tests.shared_data import ROOT
from tests.stages.portd_kit import Portd

TRIES = 5
HERE, THERE = "10.0.0.1", "10.0.0.2"


@pytest.fixture
def begin(tmp_path):
    made = []

    def make(*arguments, **options):
        made.append(Portd(tmp_path, *arguments, **options))
        return made[-1]

    yield make
    for portd in made:
        portd.end()


@pytest.fixture
def pair():
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "wm0", HERE, far, "wm1", THERE, 4)
        yield near, far


def close(fds):
    for fd in fds:
        os.close(fd)


def hold(portd, partition):
    """A process that takes a partition's port as a matcher does, also at the second or third try,
    and keeps it; its number."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        lib.wm_die_with_parent(signal.SIGKILL)
        close(portd.box.kept.values())        # a matcher is no child of the parent that keeps them
        for _ in range(TRIES):                # a queue that was just closed may be busy for long
            connection = portd.connect()
            link.send(connection, {"op": "open", "partition": partition, "instance": 3})
            reply, fds = link.receive(connection)
            ports.open_guard(reply, fds)
            port = ports.open_port(reply, fds, partition)
            link.send(connection, {"op": "mapped"})
            bound, _ = link.receive(connection)
            connection.close()
            if bound.get("op") == "bound":
                break
            del port
            close((*fds[:2], *fds[3:4]))
        os.write(writer, b"y" if bound.get("op") == "bound" and port else str(bound).encode())
        while True:
            time.sleep(10)
    os.close(writer)
    portd.until(lambda: portd._readable(reader))
    answer = os.read(reader, 4096)
    assert answer == b"y", (answer, portd.words.read_text())
    os.close(reader)
    return pid


def end(pid):
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_auto_falls_back_on_a_device_without_native_xdp_and_says_why(begin):
    portd = begin("auto").start()
    connection, answer, fds = portd.ask()
    if answer["rung"] == "socket":                   # generic XDP may be had even on loopback
        assert (answer["layout"], answer["ip"], len(fds)) == ("none", "127.0.0.1", 2)
        assert "falling back to plain sockets: " in portd.words.read_text()
    with socket.socket(fileno=fds[0]) as order, socket.socket(fileno=fds[1]) as multicast:
        assert order.getsockname() == ("127.0.0.1", answer["order_port"])
        assert multicast.getsockname()[0] == "127.0.0.1"
    assert portd.bind(connection)["op"] == "bound"
    close(fds[2:])
    connection.close()
    code, _ = portd.stop()
    assert code == 0 and portd.box.kept == {}
    assert not Path(portd.table.portd_socket).exists()


@pytest.mark.parametrize("mode", ["zero-copy", "native"])
def test_a_forced_rung_that_cannot_be_had_ends_with_77_and_words(begin, mode):
    portd = begin(mode)
    done = subprocess.run(portd.arguments(), cwd=ROOT, capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 77
    assert f"mode = '{mode}' cannot be had: " in done.stderr and "Traceback" not in done.stderr


def test_an_order_port_that_is_taken_ends_with_1_and_a_remedy(begin):
    portd = begin("socket")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", portd.table.partitions[0].order_port))
        done = subprocess.run(portd.arguments(), cwd=ROOT, capture_output=True, text=True,
                              timeout=120, check=False)
    assert done.returncode == 1 and "order_port_base" in done.stderr


@pytest.mark.parametrize("message", [
    b"", b"[]", b"{", b'{"op": "mapped"}', b'{"op": "open"}', b'{"op": "open", "partition": 7}',
    b'{"op": "open", "partition": -1}', b'{"op": "open", "partition": "0"}', b"\xff" * 60_000,
    b"[" * 60_000, b'{"op": "open", "partition": true}',
    *(b'{"op": "open", "partition": 0, "instance": %s}' % value for value in (
        b"[]", b"null", b"{}", b"1e999", b"NaN", b"-1", b"1" + b"0" * 30, b'"x"'))])
def test_what_is_no_question_costs_the_connection_and_nothing_else(begin, message):
    portd = begin("socket").start()
    stranger = portd.connect()
    stranger.send(message)
    portd.until(lambda: portd._readable(stranger))
    assert stranger.recv(10) == b""
    connection, answer, fds = portd.ask()
    assert answer["rung"] == "socket" and portd.bind(connection)["op"] == "bound"
    close(fds)


def test_another_user_gets_no_port(begin):
    if os.geteuid():
        pytest.skip("changing the user needs root")
    portd = begin("socket", partitions=2)
    for folder in (portd.table.runtime_dir, *portd.table.runtime_dir.parents):
        os.chmod(folder, os.stat(folder).st_mode | 0o111)
    portd.start()
    outcomes = {}
    for uid, partition in ((portd.table.partitions[0].matcher_uid, 0),
                           (portd.table.partitions[0].matcher_uid, 1), (65534, 0)):
        pid = os.fork()
        if pid == 0:
            os.setresuid(uid, uid, uid)
            connection = portd.connect()
            try:
                link.send(connection, {"op": "open", "partition": partition})
                reply, _ = link.receive(connection)
            except ConnectionError:
                reply = {}
            os._exit(0 if reply.get("op") == "port" else 7)
        outcomes[uid, partition] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert list(outcomes.values()) == [0, 7, 7]
    assert portd.events()["open_refused"] == 2


@needs_namespaces
@needs_bpf
@pytest.mark.parametrize("mode", ["native", "generic"])
@pytest.mark.parametrize("layout, count", [("own", 1), ("shared", 2), ("own", 3)])
def test_matchers_come_and_go_and_nothing_is_left_at_the_end(begin, pair, mode, layout, count):
    near, _ = pair
    portd = begin(mode, "wm0", HERE, near, count, layout)
    if (mode, layout, count) == ("generic", "own", 3):
        done = subprocess.run(portd.arguments(), cwd=ROOT, capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 77 and 'layout = "shared"' in done.stderr
        return
    portd.start()
    ifindex = near.ifindex("wm0")
    with near.entered():
        program = steer.attached_program(ifindex)
    assert program > 0
    for turn in range(3):                     # also a restarted matcher
        pids = [hold(portd, p) for p in range(count)]
        wanted = shared.OWN_QUEUE if layout == "own" else shared.SHARED_QUEUE
        assert {int(row["layout"]) for row in portd.rows} == {wanted}
        assert [int(row["queue"]) for row in portd.rows] == (
            list(range(count)) if layout == "own" else [0] * count)
        assert [int(row["pid"]) for row in portd.rows] == pids
        assert {int(row["bound"]) for row in portd.rows} == {1}
        for pid in pids:
            end(pid)
        portd.until(lambda turn=turn: portd.events().get("matcher_gone") == count * (turn + 1))
        assert {int(row["bound"]) for row in portd.rows} == {0}
    with near.entered():
        assert steer.attached_program(ifindex) == program
    assert portd.stop()[0] == 0 and portd.box.kept == {}
    with near.entered():
        assert steer.attached_program(ifindex) == 0


@needs_namespaces
@needs_bpf
def test_own_queues_that_the_device_has_not_are_refused_with_a_remedy(begin):
    with Namespace() as near, Namespace() as far:
        veth_pair(near, "wm0", HERE, far, "wm1", THERE, 2)
        portd = begin("native", "wm0", HERE, near, 3, "own")
        done = subprocess.run(portd.arguments(), cwd=ROOT, capture_output=True, text=True,
                              timeout=120, check=False)
    assert done.returncode == 1 and "need 3 receive queues, wm0 has 2" in done.stderr


@needs_namespaces
@needs_bpf
@pytest.mark.parametrize("layout", ["own", "shared"])
def test_a_killed_portd_is_followed_by_one_that_takes_everything_over(begin, pair, layout):
    near, _ = pair
    portd = begin("native", "wm0", HERE, near, 2, layout).start()
    ifindex = near.ifindex("wm0")
    pids = [hold(portd, p) for p in range(2)]
    generations = [int(row["generation"]) for row in portd.rows]
    with near.entered():
        program = steer.attached_program(ifindex)
    for turn in range(3):
        portd.kill()
        with near.entered():
            assert steer.attached_program(ifindex) == program, "nothing detaches"
        portd.start()
        assert portd.events() == {"adopted": turn + 1}
        assert [int(row["generation"]) for row in portd.rows] == generations
        assert [int(row["pid"]) for row in portd.rows] == pids
    portd.kill()
    end(pids[0])                              # dies while nobody looks
    portd.start()
    portd.until(lambda: portd.events().get("matcher_gone") == 1)
    assert [int(row["bound"]) for row in portd.rows] == [0, 1]
    again = hold(portd, 0)
    assert portd.stop()[0] == 0 and portd.box.kept == {}
    for pid in (again, pids[1]):
        end(pid)
    with near.entered():
        assert steer.attached_program(ifindex) == 0


def test_one_user_cannot_take_all_connections(begin):
    if os.geteuid():
        pytest.skip("changing the user needs root")
    portd = begin("socket", partitions=2)
    for folder in (portd.table.runtime_dir, *portd.table.runtime_dir.parents):
        os.chmod(folder, os.stat(folder).st_mode | 0o111)
    portd.start()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            lib.wm_die_with_parent(signal.SIGKILL)
            uid = portd.table.partitions[0].matcher_uid
            os.setresuid(uid, uid, uid)
            opened = [portd.connect() for _ in range(OPENED_BY_USER_MAX + 4)]
            ended = [each.recv(1) for each in opened[OPENED_BY_USER_MAX:]]
            rest, _, _ = select.select(opened[:OPENED_BY_USER_MAX], [], [], 0)
            os.write(writer, b"y" if ended == [b""] * 4 and not rest else b"n")
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(writer)
    portd.until(lambda: portd._readable(reader))
    assert os.read(reader, 1) == b"y"
    connection, answer, fds = portd.ask(1)
    assert answer["op"] == "port" and portd.bind(connection)["op"] == "bound"
    close((*fds, reader))
    end(pid)


def rewritten(portd):
    """portd's blocks, to be changed while it is dead."""
    blocks = portd.table.blocks
    return region.attach(blocks["portd_status"], True)[0], region.attach(
        blocks["port_status"], True)


def given_up(portd):
    """`rewritten` is over."""
    for block in portd.table.blocks.values():
        region.release(block.path)


@needs_namespaces
@needs_bpf
@pytest.mark.parametrize("layout", ["own", "shared"])
@pytest.mark.parametrize("died", ["climbing", "falling"])
def test_a_portd_that_died_between_two_rungs_is_followed_by_one_that_starts_over(
        begin, pair, layout, died):
    """The rung that it had noted and what it kept do not fit: matchers are told, AF_XDP comes."""
    near, _ = pair
    portd = begin("auto", "wm0", HERE, near, 2, layout).start()
    pids = [hold(portd, p) for p in range(2)]
    generations = [int(row["generation"]) for row in portd.rows]
    portd.kill()
    if died == "climbing":
        rewritten(portd)[0]["rung"] = shared.RUNG_SOCKET
        given_up(portd)
    else:
        os.close(portd.box.kept.pop("link"))
    portd.start()
    for pid in pids:
        end(pid)
    portd.until(lambda: portd.events().get("rung_regained") == 2)
    assert portd.events().get("rung_lost", 0) == (2 if died == "falling" else 0)
    assert "program_foreign" not in portd.events(), "its own program is no stranger's"
    assert [int(row["generation"]) for row in portd.rows] == [g + 2 for g in generations]
    again = [hold(portd, p) for p in range(2)]
    assert {shared.RUNGS[int(row["rung"])] for row in portd.rows} == {"native"}
    assert portd.stop()[0] == 0 and portd.box.kept == {}
    for pid in again:
        end(pid)


def test_a_dead_matchers_socket_is_kept_until_its_frames_are_taken_back():
    """A portd that is killed meanwhile has a successor that still can read the rings."""
    class Killed(Exception):
        """Stands for SIGKILL."""

    class Dying:
        def take_back(self, *_):
            raise Killed

    class Config:
        class interface:
            payload = 1472

        class partitions:
            count = 1

        class port:
            rx_frames = tx_frames = 64

    store = Store({"xsk.0": os.open(os.devnull, os.O_RDONLY)})
    places = SharedQueue(Config, store, 0)
    places.recycler = Dying()
    with pytest.raises(Killed):
        places.take_back(0, Holding(store.get("xsk.0")))
    assert "xsk.0" in store
    store.drop_all()
