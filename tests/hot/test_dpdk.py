"""The burst contract on a DPDK port, over two drivers of DPDK that need no card."""

import errno

import numpy as np
import pytest
from numba import njit

from appliance.hot import port_state as ps
from appliance.hot.port import (
    rx_arrival_ns, rx_burst, rx_release, tx_alloc, tx_free, tx_kick, tx_push,
)
from appliance.shm import dpdk
from tests.dpdk import alone, needs_dpdk
from tests.netns import needs_namespaces

pytestmark = [needs_dpdk, needs_namespaces, pytest.mark.alone]
DRIVERS = ("net_af_packet", "net_af_xdp")


@njit
def receive(port, most):
    return rx_burst(port, most)


@njit
def release(port, count):
    rx_release(port, count)


@njit
def queue(port, packet):
    off = tx_alloc(port)
    if off >= 0:
        for k in range(packet.size):
            port.frames[off + k] = packet[k]
        tx_push(port, off, packet.size)
    return off


@njit
def kick(port):
    return tx_kick(port)


@njit
def echo(port, wanted, polls):
    """Sends `wanted` received packets back, each burst kicked; (received, sent)."""
    received, sent = 0, 0
    for _ in range(polls):
        count = rx_burst(port, 64)
        for i in range(count):
            off = tx_alloc(port)
            if off >= 0:
                start, sz = np.int64(port.rx_desc[i]["addr"]), np.int64(port.rx_desc[i]["len"])
                for k in range(sz):
                    port.frames[off + k] = port.frames[start + k]
                tx_push(port, off, sz)
                sent += 1
        rx_release(port, count)
        received += count
        if count:
            tx_kick(port)
        if received >= wanted:
            break
    return received, sent


@njit
def free_frames(port):
    return tx_free(port)


def array(packet):
    return np.frombuffer(packet, np.uint8)


def take(port, wanted, polls=2_000_000):
    """The packets of the bursts up to `wanted`, given back."""
    found = []
    for _ in range(polls):
        count = receive(port, 64)
        for row in port.rx_desc[:count]:
            start = int(row["addr"])
            found.append(port.frames[start:start + int(row["len"])].tobytes())
        release(port, count)
        if len(found) >= wanted:
            break
    return found


def all_back(port, packet):
    """Every transmit frame is at hand again; drivers look for sent ones within the next burst."""
    for _ in range(3):
        if free_frames(port) == int(port.state[ps.TX_FRAME_CNT]):
            return True
        queue(port, array(packet))
        kick(port)
    return free_frames(port) >= int(port.state[ps.TX_FRAME_CNT]) - 1


def _round_trip(pair, driver):
    sent = [pair.frame(bytes([i % 251]) * (46 + i % 1400)) for i in range(1000)]
    with pair.port(driver) as (port, mac):
        assert mac == pair.mac and int(port.state[ps.KIND]) == ps.DPDK
        for turn in range(6):                      # more than there are frames: rings wrap
            for start in range(0, 1000, 250):
                for frame in sent[start:start + 250]:
                    pair.raw.send(frame)
                assert echo(port, 250, 5_000_000) == (250, 250), turn
                assert pair.hear(250) == sent[start:start + 250]
        assert int(port.state[ps.RX_PACKETS]) == int(port.state[ps.TX_PACKETS]) == 6000
        assert int(port.state[ps.TX_FULL_CNT]) == int(port.state[ps.KICK_AGAIN_CNT]) == 0
        assert all_back(port, sent[0])
        found = dpdk.statistics(port)
        assert found["received"] >= 6000 and found["sent"] >= 6000 and found["missed"] == 0


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_packet_arrives_once_in_order_and_goes_back_unchanged(driver):
    alone(_round_trip, driver)


def _bursts(pair, driver):
    sent = [pair.frame(b"%04d" % i + bytes(50)) for i in range(100)]
    with pair.port(driver) as (port, _):
        for frame in sent:
            pair.raw.send(frame)
        assert receive(port, 0) == 0
        seen = []
        for most, wanted in ((1, 1), (7, 7), (1000, 64), (64, 28), (64, 0)):
            count = receive(port, most)
            assert count == wanted
            rows = [(int(row["addr"]), int(row["len"])) for row in port.rx_desc[:count]]
            assert all(rx_arrival_ns(port, i) == 0 for i in range(count))
            if wanted == 28:
                for frame in sent:                 # what comes now touches no frame in hand
                    pair.raw.send(frame)
            seen += [port.frames[at:at + sz].tobytes() for at, sz in rows]
            release(port, count)
            if len(seen) == 100:
                break
        assert seen == sent


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_burst_never_exceeds_64_or_what_was_asked_and_stays_until_released(driver):
    alone(_bursts, driver)


def _full(pair, driver):
    packet = pair.frame(b"full" + bytes(56))
    with pair.port(driver, tx_frames=128) as (port, _):
        offs = [queue(port, array(packet)) for _ in range(130)]
        assert len(set(offs[:128])) == 128 and offs[128:] == [-1, -1]
        assert int(port.state[ps.TX_FULL_CNT]) == 2
        error = kick(port)
        while error == -errno.EAGAIN:              # a ring of half as many: the rest with the next
            error = kick(port)
        assert error == 0 and len(pair.hear(128)) == 128
        assert all_back(port, packet)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_full_transmit_side_answers_minus_one_and_loses_nothing(driver):
    alone(_full, driver)


def _link_down(pair, driver):
    first, second = pair.frame(b"down" + bytes(56)), pair.frame(b"up" + bytes(58))
    with pair.port(driver) as (port, _):
        pair.ours.run("ip", "link", "set", "wm0", "down")
        for _ in range(40):
            queue(port, array(first))
        assert kick(port) in (0, -errno.EAGAIN)
        pair.ours.run("ip", "link", "set", "wm0", "up")
        for _ in range(2):                         # the socket tells its old error once more
            queue(port, array(second))
            assert kick(port) == 0
        assert pair.hear(42) == [first] * 40 + [second] * 2
        pair.raw.send(pair.frame(b"in again" + bytes(52)))
        assert take(port, 1)[-1][14:22] == b"in again"
        assert all_back(port, second)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_link_that_goes_down_stops_nothing(driver):
    alone(_link_down, driver)


def _tagged(pair, driver):
    tagged = pair.frame(b"\x00\x07\x88\xb5" + bytes(50), kind=b"\x81\x00")
    with pair.port(driver) as (port, _):
        pair.raw.send(tagged)
        assert take(port, 1) == [tagged]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_vlan_tag_arrives_where_the_parser_looks_for_it(driver):
    alone(_tagged, driver)


def _null_output(pair):
    packet = pair.frame(b"nowhere" + bytes(53))
    with pair.port("net_af_packet", tx_frames=64) as (port, _):
        port.state[ps.TX_NULL] = 1
        for _ in range(200):
            assert queue(port, array(packet)) >= 0 and kick(port) == 0
        assert int(port.state[ps.TX_RECYCLED_CNT]) == 200
        assert free_frames(port) == 64 and dpdk.statistics(port)["sent"] == 0


def test_a_null_output_takes_everything_and_sends_nothing():
    alone(_null_output)


def _refused(pair):
    with pair.ours.entered():
        plan = dpdk.Plan("net_af_packet0,iface=wm9", False, 4096, 4096, (), "/dev/shm")
        with pytest.raises(dpdk.DpdkError, match=r"opening net_af_packet0,iface=wm9 with .*wm9"):
            dpdk.open_port(plan)


def test_a_device_that_is_not_there_is_named():
    alone(_refused)


def _too_few(pair):
    with pytest.raises(dpdk.DpdkError, match="port.rx_frames may be too few"):
        with pair.port("net_af_xdp", rx_frames=512, tx_frames=512):
            pass


def test_a_driver_that_wants_more_frames_is_explained():
    alone(_too_few)


def _twice(pair):
    with pair.port("net_af_packet"):
        with pytest.raises(dpdk.DpdkError, match="already"):
            with pair.port("net_af_packet"):
                pass


def test_a_process_has_one_port():
    alone(_twice)
