"""Own queues isolate: whoever stands in one matcher's place gets at nothing of another's."""

import ctypes
import json
import os
import socket

import pytest

from appliance.native import lib
from appliance.stages import link
from tests.end_to_end.place import Place, trade
from tests.netns import needs_bpf, needs_namespaces

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]


def attempts(place, victim) -> dict:
    """What a process with matcher@0's user tries at `victim`, and what came of it."""
    found = {}

    def attempt(name, act):
        try:
            found[name] = act() or "done"
        except (OSError, ConnectionError) as error:
            found[name] = type(error).__name__

    def ask():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as portd:
            portd.settimeout(60)
            portd.connect(str(place.scene.runtime / "portd.sock"))
            link.send(portd, {"op": "open", "partition": 1, "instance": 0})
            reply, fds = link.receive(portd)
            return f"{reply.get('op', 'closed')} with {len(fds)} descriptors"

    attempt("ask portd for its port", ask)
    for name in ("orders", "feed", "link_down", "sessions"):
        path = place.scene.runtime / "p1" / name
        attempt(f"read {name}", lambda path=path: os.close(os.open(path, os.O_RDONLY)))
        attempt(f"write {name}", lambda path=path: os.close(os.open(path, os.O_RDWR)))
    own = place.scene.runtime / "p0" / "status"
    attempt("cut a block that the launcher reads", lambda: os.truncate(own, 0))
    attempt("open its own for writing", lambda: os.close(os.open(own, os.O_RDWR)))
    attempt("list its descriptors", lambda: str(os.listdir(f"/proc/{victim}/fd")))
    attempt("read its memory", lambda: os.close(os.open(f"/proc/{victim}/mem", os.O_RDONLY)))
    attempt("take a descriptor of it", lambda: os.close(
        _pidfd_getfd(os.pidfd_open(victim), 3)))
    attempt("kill it", lambda: os.kill(victim, 0))
    attempt("an AF_XDP socket of its own", lambda: os.close(_checked(lib.wm_xsk_socket())))
    return found


def _pidfd_getfd(pidfd, number):
    result = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _checked(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def writable(pid, folder) -> list:
    """Files of the runtime folder that a process has open for writing."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with open(f"/proc/{pid}/fdinfo/{fd}") as file:
            flags = int(file.read().split("flags:")[1].split()[0], 8)
        path = os.readlink(f"/proc/{pid}/fd/{fd}")
        if path.startswith(f"{folder}/") and flags & os.O_ACCMODE != os.O_RDONLY:
            found.append(path)
    return found


def test_a_hostile_process_in_a_matchers_place_gets_at_nothing_of_another():
    with Place("native", partitions=2, layout="own") as place:
        mine, victim = place.pid("matcher@0"), place.pid("matcher@1")
        uid = os.stat(f"/proc/{mine}").st_uid
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os.write(writer, json.dumps(attempts(place, victim)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            found = json.loads(answers.read())
        os.waitpid(pid, 0)
        assert found.pop("ask portd for its port") == "closed with 0 descriptors"
        assert set(found.values()) == {"PermissionError"}, found
        assert writable(mine, place.scene.runtime) == []
        events = place.house.fresh_status()["port"]["events"]
        assert events["open_refused"] == 1
        assert "open-refused" in {alarm["kind"] for alarm in place.house.status["alarms"]}
        for p in range(2):
            trade(place.login(0, partition=p), place.login(1, partition=p), symbol=place.symbol(p))
