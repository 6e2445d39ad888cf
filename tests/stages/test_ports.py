"""What a matcher makes of portd's answer, for every rung and layout, and tells of its ports."""

import errno
import os
import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from appliance.hot import port_state as ps
from appliance.layout import gate, shared
from appliance.layout.shared import LAYOUTS, OWN_QUEUE, SHARED_QUEUE
from appliance.shm import exchange, recycler, steer, umem
from appliance.control.status import SENDS
from appliance.hot.port import tx_alloc, tx_kick, tx_push
from appliance.stages import link, matcher
from appliance.stages.ports import open_guard, open_port
from tests.netns import Namespace, needs_bpf, needs_namespaces

GEOMETRY, PLAN = umem.Geometry(2048, 64, 128), exchange.Plan(2048, 3, 64, 128)


def answer(rung, layout="none", plan=(), null=False):
    return {"op": "port", "rung": rung, "layout": layout, "generation": 1, "ip": "127.0.0.1",
            "mac": "020000000001", "order_port": 9000, "queue": 0, "null": null,
            "plan": list(plan)}


@pytest.fixture
def plain():
    """Descriptors of an order and a multicast socket."""
    pair = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    yield [sock.fileno() for sock in pair]
    for sock in pair:
        sock.close()


@pytest.fixture(scope="module")
def place():
    with Namespace() as made:
        yield made


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("null", [False, True])
def test_plain_sockets(plain, null):
    port = open_port(answer("socket", null=null), plain, 0)
    assert int(port.state[ps.KIND]) == ps.SOCKET
    assert [int(port.state[word]) for word in (ps.RX_FD, ps.MULTICAST_FD)] == plain
    assert int(port.state[ps.TX_NULL]) == null


@needs_namespaces
@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("rung", ["zero-copy", "native", "generic"])
class TestWire:
    """AF_XDP sockets that are not bound: mapping comes first."""

    def test_own_queue(self, plain, place, rung, null):
        umem_fd = umem.create_umem(GEOMETRY)
        with place.entered():
            xsk = umem.open_xsk(umem.map_umem(umem_fd), GEOMETRY)
        reply = answer(rung, LAYOUTS[OWN_QUEUE], GEOMETRY, null)
        port = open_port(reply, [*plain, umem_fd, xsk], 2)
        assert int(port.state[ps.KIND]) == ps.XSK and int(port.state[ps.RX_FD]) == xsk
        assert int(port.state[ps.STACK_CNT]) == 128 and int(port.state[ps.TX_NULL]) == null
        assert is_open(xsk) and not is_open(umem_fd)
        os.close(xsk)

    def test_shared_queue(self, plain, place, rung, null):
        umem_fd, exchange_fd = umem.create_umem(PLAN), exchange.create(PLAN)
        with place.entered():
            keeper = exchange.open_keeper(umem.map_umem(umem_fd), PLAN)
            xsk = exchange.open_sharer(PLAN)
        made = recycler.Recycler.of(keeper, exchange_fd, PLAN)
        made.grant(2)
        reply = answer(rung, LAYOUTS[SHARED_QUEUE], PLAN, null)
        port = open_port(reply, [*plain, umem_fd, xsk, exchange_fd], 2)
        assert int(port.state[ps.KIND]) == ps.XSK and int(port.state[ps.RX_FD]) == xsk
        assert int(port.state[ps.STACK_CNT]) == 0 and int(port.state[ps.TX_NULL]) == null
        assert sorted(port.comp_addrs) == [*range(*PLAN.tx_range(2), 2048)]
        assert port.frames.size == PLAN.umem_sz
        assert is_open(xsk) and not is_open(umem_fd) and not is_open(exchange_fd)
        os.close(xsk)
        os.close(keeper)


@needs_namespaces
@needs_bpf
def test_the_guard_is_taken_off_the_end_and_mapped():
    steering = steer.Steering()
    fds = [900, 901, steering.guard_fd()]
    guard_fd = fds[-1]
    rows = open_guard({"guarded": True}, fds)
    assert fds == [900, 901] and not is_open(guard_fd)
    assert rows.size == gate.SOURCE_MAX * 3 and not rows.any() and not rows.flags.writeable
    steering.close()
    assert open_guard({"guarded": False}, fds).tolist() == [0, 0, 0] and fds == [900, 901]


@pytest.mark.parametrize(("rung", "layout", "count"), [
    ("socket", "none", 3), ("dpdk", "none", 4), ("native", LAYOUTS[OWN_QUEUE], 2),
    ("native", LAYOUTS[OWN_QUEUE], 5),
    ("generic", LAYOUTS[SHARED_QUEUE], 4)])
def test_descriptors_that_do_not_fit_the_answer_are_refused(rung, layout, count):
    with pytest.raises(ValueError, match=f"sent {count} descriptors"):
        open_port(answer(rung, layout, GEOMETRY), list(range(900, 900 + count)), 0)


def waiting(monkeypatch, state, answer_s):
    """(a matcher in this state that waits for portd, portd's end of the connection, its end)."""
    monkeypatch.setattr(matcher, "ANSWER_S", answer_s)
    made = matcher.Matcher.__new__(matcher.Matcher)
    made.status = np.zeros(1, shared.MATCHER_STATUS.dtype)
    made.status["state"] = state
    return made, *socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@pytest.mark.parametrize("state", [shared.WARMING, shared.READY])
def test_a_matcher_that_waits_for_a_new_port_is_alive(monkeypatch, state):
    """Binding may take the kernel longer than the time after which a matcher counts as hung."""
    made, portd, connection = waiting(monkeypatch, state, 10.0)
    with portd, connection:
        later = threading.Timer(0.2, lambda: portd.send(b"{}"))
        later.start()
        made._await(connection)
        later.join()
    assert (made.status[0]["heartbeat_ns"] > 0) == (state == shared.READY)


def test_a_portd_that_does_not_answer_is_not_waited_for_for_ever(monkeypatch):
    made, portd, connection = waiting(monkeypatch, shared.READY, 0.1)
    with portd, connection, pytest.raises(TimeoutError, match="has not answered within"):
        made._await(connection)


class Reopening:
    """A matcher on plain sockets and a portd that hands out new ones whenever it asks."""

    def __init__(self, folder):
        path = str(folder / "portd.sock")
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen()
        made = matcher.Matcher.__new__(matcher.Matcher)
        made.topology = SimpleNamespace(portd_socket=path, config=SimpleNamespace(
            interface=SimpleNamespace(payload=1472)))
        made.partition = SimpleNamespace(idx=0, instance=0)
        made.status = np.zeros(1, shared.MATCHER_STATUS.dtype)
        made.io = SimpleNamespace(_replace=lambda **_: made.io)
        made.port, made.fds, made.sent_before = None, [], np.zeros(len(matcher.SENDS), np.uint64)
        self.matcher = made

    def _serve(self):
        portd, _ = self.listener.accept()
        with portd:
            assert link.receive(portd)[0]["op"] == "open"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as order, \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as multicast:
                link.send(portd, answer("socket"), [order.fileno(), multicast.fileno()])
            assert link.receive(portd)[0]["op"] == "mapped"
            link.send(portd, {"op": "bound", "zero_copy": False})

    def open(self):
        portd = threading.Thread(target=self._serve)
        portd.start()
        self.matcher.open()
        portd.join()

    def send(self, ip):
        """One datagram to ip:9; what the matcher says of its sends, by name."""
        port, packet = self.matcher.port, np.zeros(60, np.uint8)
        packet[30:34] = [int(part) for part in ip.split(".")]
        packet[37] = 9
        off = int(tx_alloc(port))
        port.frames[off:off + packet.size] = packet
        tx_push(port, off, packet.size)
        tx_kick(port)
        self.matcher._note_device()
        return dict(zip(SENDS, self.matcher.status[0]["sends"].tolist(), strict=True))

    def close(self):
        self.listener.close()
        for fd in self.matcher.fds:
            os.close(fd)


def test_what_sending_met_outlives_the_port(tmp_path):
    desk = Reopening(tmp_path)
    desk.open()
    desk.send("127.0.0.1")
    told = desk.send("255.255.255.255")                # broadcast is not permitted
    wanted = {"calls": 2, "errors": 1, "refused": 1, "errno": errno.EACCES}
    assert told == dict.fromkeys(SENDS, 0) | wanted
    desk.open()
    assert desk.send("127.0.0.1") == told | {"calls": 3}
    desk.open()
    assert desk.send("255.255.255.255") == told | {"calls": 4, "errors": 2, "refused": 2}
    desk.close()
