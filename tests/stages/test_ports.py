"""What a matcher makes of portd's answer, for every rung and layout."""

import os
import socket

import pytest

from appliance.hot import port_state as ps
from appliance.layout.shared import LAYOUTS, OWN_QUEUE, SHARED_QUEUE
from appliance.shm import exchange, recycler, umem
from appliance.stages.ports import open_port
from tests.netns import Namespace, needs_namespaces

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


@pytest.mark.parametrize(("rung", "layout", "count"), [
    ("socket", "none", 3), ("native", LAYOUTS[OWN_QUEUE], 2), ("native", LAYOUTS[OWN_QUEUE], 5),
    ("generic", LAYOUTS[SHARED_QUEUE], 4)])
def test_descriptors_that_do_not_fit_the_answer_are_refused(rung, layout, count):
    with pytest.raises(ValueError, match=f"sent {count} descriptors"):
        open_port(answer(rung, layout, GEOMETRY), list(range(900, 900 + count)), 0)
