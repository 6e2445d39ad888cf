"""portd and feed B's own interface: whose socket it is, what becomes of it, and MTUs."""

import os
import socket

import pytest

from appliance.host import nic
from tests.netns import Namespace, needs_bpf, needs_namespaces, veth_pair
from tests.stages.portd_kit import Portd

pytestmark = [needs_namespaces, needs_bpf]

HERE, THERE, HERE_B = "10.0.0.1", "10.0.0.2", "10.9.0.1"


class Wires:
    """portd whose feed B leaves by wm2."""

    def __init__(self, folder, settings='[feed]\ninterface_b = "wm2"\n'):
        self.near, self.far = Namespace(), Namespace()
        veth_pair(self.near, "wm0", HERE, self.far, "wm1", THERE)
        self.make()
        self.portd = Portd(folder, "native", "wm0", HERE, self.near)
        with open(self.portd.config, "a") as file:
            file.write(f"\n{settings}")

    def make(self):
        self.make_bare()
        self.near.run("ip", "addr", "add", f"{HERE_B}/24", "dev", "wm2")

    def make_bare(self):
        """Up, and without its address."""
        self.near.run("ip", "link", "add", "wm2", "type", "veth", "peer", "name", "wm3", "netns",
                      self.far.path)
        self.near.run("ip", "link", "set", "wm2", "up")
        self.far.run("ip", "link", "set", "wm3", "up")

    def until_event(self, name, count=1):
        self.portd.until(lambda: self.portd.events().get(name, 0) >= count)

    def leaves_by(self, fd):
        """The device by which a datagram of this socket leaves."""
        with self.far.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                               socket.htons(0x0800)) as ear:
            ear.settimeout(60)
            with socket.socket(fileno=os.dup(fd)) as feed:
                feed.sendto(b"here", ("239.192.65.1", 26477))
            while True:
                packet, place = ear.recvfrom(2048)
                if packet.endswith(b"here"):
                    return place[0], socket.inet_ntoa(packet[26:30])

    def close(self):
        self.portd.end()
        self.near.close()
        self.far.close()


@pytest.fixture
def wires(tmp_path):
    made = []

    def make(**options):
        made.append(Wires(tmp_path, **options))
        return made[0]
    yield make
    for each in made:
        each.close()


def test_matchers_are_handed_a_socket_of_that_interface_last(wires):
    place = wires()
    place.portd.start()
    _, answer, fds = place.portd.ask()
    assert answer["feed_b"] is True and len(fds) == 6
    assert place.leaves_by(fds[-1]) == ("wm3", HERE_B)
    for fd in fds:
        os.close(fd)


def test_without_the_setting_there_is_no_such_socket(wires):
    place = wires(settings="")
    place.portd.start()
    _, answer, fds = place.portd.ask()
    assert answer["feed_b"] is False and len(fds) == 5 and "feed_b" not in place.portd.box.kept
    for fd in fds:
        os.close(fd)


def test_a_successor_hands_out_the_same_socket(wires):
    place = wires()
    place.portd.start()
    place.portd.kill()
    place.portd.start()
    _, _, fds = place.portd.ask()
    assert place.leaves_by(fds[-1]) == ("wm3", HERE_B)
    assert place.portd.events()["adopted"] == 1
    for fd in fds:
        os.close(fd)
    code, words = place.portd.stop()
    assert code == 0 and place.portd.box.kept == {}, words


def test_down_and_up_are_told_and_a_new_interface_is_used(wires):
    place = wires()
    place.portd.start()
    _, _, fds = place.portd.ask()
    place.near.run("ip", "link", "set", "wm2", "down")
    place.until_event("twin_down")
    place.near.run("ip", "link", "set", "wm2", "up")
    place.until_event("twin_up")
    place.near.run("ip", "link", "del", "wm2")
    place.until_event("twin_down", 2)
    place.near.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "more")
    place.make()
    place.until_event("twin_up", 2)
    assert place.leaves_by(fds[-1]) == ("wm3", HERE_B)
    words = place.portd.words.read_text()
    assert "wm2 is down: no feed B" in words and "wm2 is up again: feed B leaves" in words
    assert not {"link_down", "rung_lost"} & set(place.portd.events())
    for fd in fds:
        os.close(fd)


def test_an_interface_without_its_address_blinds_nobody(wires):
    """It is made again and gets its address late; the order interface is watched meanwhile."""
    place = wires()
    place.portd.start()
    place.near.run("ip", "link", "del", "wm2")
    place.until_event("twin_down")
    place.make_bare()
    place.near.run("ip", "link", "set", "wm0", "down")
    place.until_event("link_down")
    assert not place.portd.events().get("twin_up")
    place.near.run("ip", "addr", "add", f"{HERE_B}/24", "dev", "wm2")
    place.until_event("twin_up")


@pytest.mark.parametrize("settings, why", [
    ('[feed]\ninterface_b = "wm9"\n', "interface 'wm9' does not exist here"),
    ('[feed]\ninterface_b = "lone"\n', "interface 'lone' has no IPv4 address"),
])
def test_what_cannot_be_is_refused_in_words(wires, settings, why):
    place = wires(settings=settings)
    place.near.run("ip", "link", "add", "lone", "type", "veth", "peer", "name", "far")
    with pytest.raises(AssertionError, match=why):
        place.portd.start()


def test_payloads_must_fit_the_mtu():
    with Namespace() as here, here.entered():
        nic.check_payload("lo", 4054)
        here.run("ip", "link", "set", "lo", "mtu", "1500")
        nic.check_payload("lo", 1472)
        with pytest.raises(nic.NicError, match="payload = 1473 needs an MTU of 1501, lo has 1500; "
                                               "lower it to 1472"):
            nic.check_payload("lo", 1473)
