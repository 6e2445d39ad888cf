"""The launcher's side of the process metrics: a port that is taken, an instance that is new."""

import socket
from types import SimpleNamespace

import pytest

from appliance.control import metricside
from appliance.control.alarms import Alarms
from appliance.control.launch import LaunchError


class Made:
    """A fork server that notes what it was asked for; children live until they are signalled."""

    def __init__(self):
        self.asked, self.refuses = [], False

    def fork(self, stage, name, arguments, cpus, wait, kept):
        if self.refuses:
            raise LaunchError("none is left")
        assert (stage, name, cpus) == ("metrics", "metrics", (0,))
        child = SimpleNamespace(gone=False, started_s=0.0, arguments=arguments, kept=dict(kept))
        child.ended = lambda: child.gone
        child.signal = lambda number: setattr(child, "gone", True)
        child.how = lambda: "killed"
        child.wait = lambda patience: child.gone
        self.asked.append(child)
        return child


def side(listen):
    """(MetricsSide, its fork server, its alarms)."""
    made, alarms = Made(), Alarms()
    config = SimpleNamespace(metrics=SimpleNamespace(listen=listen))
    table = SimpleNamespace(config=config, config_file="config.json")
    return metricside.MetricsSide(table, made, SimpleNamespace(rest=(0,)), alarms), made, alarms


def desks(*instances):
    return [SimpleNamespace(part=SimpleNamespace(instance=each)) for each in instances]


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock, f"127.0.0.1:{sock.getsockname()[1]}"


def test_none_is_wanted():
    found, made, _ = side("")
    found.look(0.0, True, desks(0))
    assert made.asked == [] and found.child is None


def test_a_taken_port_is_an_alarm_and_tried_again(taken):
    sock, listen = taken
    found, made, alarms = side(listen)
    for now in (0.0, 1.0, metricside.RETRY_S - 0.1):
        found.look(now, True, desks(0))
    (row,) = alarms.table()
    assert (row["kind"], row["count"]) == ("metrics-port", 1)
    assert listen in row["text"] and "in use" in row["text"] and made.asked == []
    sock.close()
    found.look(metricside.RETRY_S + 0.1, True, desks(0))
    assert len(made.asked) == 1 and made.asked[0].arguments[-1] == "0"
    found.stop()


def test_a_new_instance_has_a_new_process_on_the_same_socket(taken):
    sock, listen = taken
    sock.close()
    found, made, alarms = side(listen)
    found.look(0.0, True, desks(0, 0))
    found.look(0.1, True, desks(0, 1))
    found.look(0.2, True, desks(0, 1))
    first, second = made.asked
    assert first.gone and first.kept == second.kept and second.arguments[-1] == "0,1"
    assert alarms.table() == []
    found.stop()


def test_one_that_died_is_started_again_after_longer_and_longer(taken):
    sock, listen = taken
    sock.close()
    found, made, alarms = side(listen)
    now = 0.0
    for _ in range(4):
        found.look(now, True, desks(0))
        made.asked[-1].gone = True
        made.asked[-1].started_s = now
        found.look(now + 0.1, True, desks(0))
        assert found.sock is None, "who asks meanwhile is refused at once"
        found.look(now + 0.5, True, desks(0))
        now += 2 * found.pause_s
    assert len(made.asked) == 4 and found.pause_s == 16.0
    assert [(row["kind"], row["count"]) for row in alarms.table()] == [("metrics-died", 4)]
    found.stop()


def test_no_fork_server_is_no_reason_to_stop(taken):
    sock, listen = taken
    sock.close()
    found, made, alarms = side(listen)
    found.look(0.0, False, desks(0))
    made.refuses = True
    found.look(0.1, True, desks(0))
    assert [row["kind"] for row in alarms.table()] == ["metrics-died"]
    found.stop()
