"""The tracer as a test of the path: an unprivileged compiled loop over AF_XDP, no clock judged."""

import json

import pytest

from appliance.shm import steer, umem
from tests.netns import needs_bpf, needs_namespaces
from tools.bench import tracer
from tools.bench.tracer_path import BareEnd, Path, StageEnd

pytestmark = [needs_namespaces, needs_bpf]

ORDERS = 3_000              # fewer than the receive frames: none may be lost whoever else runs


@pytest.fixture(params=[steer.NATIVE, steer.GENERIC], ids=["native", "generic"])
def path(request):
    with Path(umem.Geometry(2048, 4096, 16384), request.param, -1, -1) as path:
        yield path


def settle(condition, seconds=60):
    import time
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_every_order_arrives_and_every_answer_leaves(path):
    with StageEnd(path) as end:
        assert end.report["uid"] == 65534
        assert end.report["capabilities"] == 0
        assert end.report["own_af_xdp_socket"] == -1
        for frames in (0, 1, 3):
            received, seen = end.received(), path.seen_far()
            end.answer_with(frames)
            path.generate(ORDERS)
            assert settle(lambda: end.received() - received == ORDERS)
            assert settle(lambda: path.seen_far() - seen == frames * ORDERS)
        assert end.counters()["not_sent"] == 0
        assert end.socket_statistics()["rx_dropped"] == 0
    assert path.steering.counters()["redirected"] == 3 * ORDERS


def test_every_ping_is_answered_by_stage_and_by_bare_echo(path):
    with StageEnd(path) as end:
        end.answer_with(3)
        assert len(path.ping(500, 0)) == 500
    with BareEnd(path, echo=True):
        assert len(path.ping(500, 0)) == 500


def test_a_killed_stage_frees_the_queue_for_the_next_one(path):
    with StageEnd(path) as end:
        end._child.kill()
        end._child.wait()
    with StageEnd(path) as end:
        end.answer_with(1)
        path.generate(100)
        assert settle(lambda: end.received() == 100)


def test_the_command_prints_one_json_object(capsys):
    assert tracer.main(["--quick", "--json", "--orders", "1000"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["frames"] for row in report["rows"]] == [0, 0, 1, 0, 1, 3, 3]
    assert {entry["kernels"] for entry in report["start_up"]} == {"cached", "uncached"}
    assert report["wait_policy"] == "spin" and report["core_map"]


@pytest.mark.parametrize("content", ["", "\n", "/autogroup-7 nice", None],
                         ids=["empty", "blank", "no number", "missing"])
def test_a_process_without_a_session_group_is_measured_all_the_same(tmp_path, monkeypatch, content):
    group = tmp_path / "autogroup"
    if content is not None:
        group.write_text(content)
    monkeypatch.setattr(tracer, "SESSION_GROUP", group)
    with tracer.over_the_neighbours(0):
        assert tracer.session_group() is None
    assert content is None or group.read_text() == content


def test_a_session_group_is_raised_and_put_back(tmp_path, monkeypatch):
    group = tmp_path / "autogroup"
    group.write_text("/autogroup-7 nice -3\n")
    monkeypatch.setattr(tracer, "SESSION_GROUP", group)
    with tracer.over_the_neighbours(0):
        assert group.read_text() == "0"
    assert group.read_text() == "-3"
