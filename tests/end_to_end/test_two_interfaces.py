"""Feed A by one interface, feed B by another, and jumbo frames: who hears what, and what a lost
interface costs."""

import contextlib
import os
import signal
import socket

import pytest

from appliance.host.nic import HEADERS_SZ, join
from tests.end_to_end.place import PRICE, SYMBOL, Place, counts, listen, trade
from tests.hot.harness import blocks_of
from tests.netns import Namespace, needs_bpf, needs_namespaces

pytestmark = [needs_namespaces, needs_bpf, pytest.mark.slow]

HERE_B, THERE_B, IPV4 = "10.79.0.1", "10.79.0.2", 0x0800
BURST = 120


class TwoFeeds(Place):
    """A Place whose feed B leaves by wm2, to a network `far` of its own; market: which participants
    are on, too."""

    def __init__(self, mode, market=False, **options):
        super().__init__(mode, **options)
        self.market, self.far, self.ears = market, Namespace(), {}

    def _edit(self, path):
        if self.market:
            self.far.close()
            self.far = self.scene.outside
        self.link()
        super()._edit(path)
        with open(path, "a") as file:
            file.write('\n[feed]\ninterface_b = "wm2"\nheartbeat_ms = 60000\n')

    def link(self):
        """The second veth pair, as a machine's cables are: offloads as they come."""
        near = self.scene.appliance
        near.run("ip", "link", "add", "wm2", "type", "veth", "peer", "name", "wm3", "netns",
                 self.far.path)
        for namespace, name, ip in ((near, "wm2", HERE_B), (self.far, "wm3", THERE_B)):
            namespace.run("ip", "addr", "add", f"{ip}/24", "dev", name)
            namespace.run("ip", "link", "set", name, "up")

    def listen_raw(self):
        """Ears on both networks: what is on the wire, and both groups joined on each."""
        part = self.partition()
        for place, namespace, name, ip in (("near", self.scene.outside, "wm1",
                                            self.scene.market_ip), ("far", self.far, "wm3",
                                                                    THERE_B)):
            with namespace.entered():
                wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4))
                wire.bind((name, IPV4))
                self.ears[place] = (wire, join(part.group_a, part.feed_port, ip),
                                    join(part.group_b, part.feed_port, ip))
            for sock in self.ears[place]:
                sock.setblocking(False)
                self.opened.append(sock)

    def heard(self, place) -> tuple:
        """(groups on the wire, A's and B's messages by number) since the last call."""
        wire, *joined = self.ears[place]
        groups = {socket.inet_ntoa(packet[30:34]) for packet in taken(wire)
                  if packet[30] >= 224 and packet[23] == socket.IPPROTO_UDP}
        found = []
        for sock in joined:
            messages = {}
            for payload in taken(sock):
                _, seq, _, blocks = blocks_of(payload)
                messages |= dict(enumerate(blocks, seq))
            found.append(messages)
        return groups, *found

    def counters(self):
        return counts(self.regions()("counters"))

    def settle(self, patience_s=60.0):
        """Until A and B have sent all there is."""
        log = self.regions()("feed_log")[0]
        self.until(lambda _: log["sent_seq"] == log["next_seq"] == log["twin_seq"], patience_s)

    def __exit__(self, *problem):
        super().__exit__(*problem)
        self.far.close()


def taken(sock):
    """What has arrived; a socket on a device that is gone says so once."""
    found = []
    with contextlib.suppress(OSError):
        while True:
            found.append(sock.recv(65536))
    return found


def many(place, buyer, seller, rounds=BURST):
    """Orders that rest and trade, taken by the matcher in a few bursts."""
    matcher = place.pid("matcher@0")
    os.kill(matcher, signal.SIGSTOP)
    try:
        for _ in range(rounds):
            seller.enter("S", 1, SYMBOL, PRICE)
            buyer.enter("B", 1, SYMBOL, PRICE)
    finally:
        os.kill(matcher, signal.SIGCONT)
    listen(buyer, seller, seconds=0.1)


@pytest.mark.parametrize("mode", ["native", "socket"])
def test_a_arrives_at_one_interface_only_and_b_at_the_other(warm, mode):
    with TwoFeeds(mode) as place:
        place.listen_raw()
        buyer, seller = place.login(0), place.login(1)
        trade(buyer, seller)
        many(place, buyer, seller)
        place.settle()
        part = place.partition()
        near, far = place.heard("near"), place.heard("far")
        assert near[0] == {part.group_a} and far[0] == {part.group_b}
        assert near[2] == far[1] == {}
        assert far[2] == near[1] and len(far[2]) >= 2 * BURST
        found = place.counters()
        assert found["twin_packets"] > 0 and found["twin_lost"] == found["twin_full"] == 0
        assert not {alarm["kind"] for alarm in place.house.fresh_status()["alarms"]} & {
            "twin-down", "twin-lost"}


def test_a_participant_on_both_networks_follows_the_feed_on_either(warm):
    with TwoFeeds("native", market=True) as place:
        feed = place.feed(ip_b=THERE_B)
        buyer, seller = place.login(0), place.login(1)
        trade(buyer, seller)
        listen(feed)
        gaps = feed.counts["gaps"]               # what was told before it came
        assert feed.counts["packets_a"] > 0 < feed.counts["packets_b"] and feed.missing() == 0
        place.scene.outside.run("ip", "link", "set", "wm3", "down")
        trade(buyer, seller)
        listen(feed)
        assert feed.books.trade_cnt == 2 and feed.missing() == 0 and feed.counts["gaps"] == gaps


@pytest.mark.parametrize("how", ["down", "carrier", "deleted"])
def test_losing_the_interface_of_b_costs_b_alone(warm, how):
    with TwoFeeds("native") as place:
        place.listen_raw()
        buyer, seller, feed = place.login(0), place.login(1), place.feed()
        trade(buyer, seller)
        place.settle()
        listen(feed)
        gaps = feed.counts["gaps"]               # what was told before it came
        before = place.heard("far")[2]
        near = place.scene.appliance
        if how == "deleted":
            near.run("ip", "link", "del", "wm2")
        elif how == "carrier":
            place.far.run("ip", "link", "set", "wm3", "down")
        else:
            near.run("ip", "link", "set", "wm2", "down")
        place.until(lambda c: "twin-down" in {alarm["kind"] for alarm in c["alarms"]})
        for _ in range(5):
            trade(buyer, seller)
        listen(buyer, seller, feed)
        assert feed.missing() == 0 and feed.books.trade_cnt == 6 and feed.counts["gaps"] == gaps
        assert place.row["mode"] == "native"
        if how == "carrier":                     # then the kernel takes packets and drops them
            place.until(lambda c: {"twin-down", "twin-tx-dropped"} <= {
                alarm["kind"] for alarm in c["alarms"]})
            port = place.house.fresh_status()["port"]
            assert port["interface_b"]["tx_dropped"] > 0 == port["interface"]["tx_dropped"]
        else:
            place.until(lambda c: "twin-lost" in {alarm["kind"] for alarm in c["alarms"]})
            assert place.counters()["twin_lost"] > 0
        assert place.heard("far")[2] == {}

        if how == "deleted":
            place.link()
            place.listen_raw()
        elif how == "carrier":
            place.far.run("ip", "link", "set", "wm3", "up")
        else:
            near.run("ip", "link", "set", "wm2", "up")
        place.until(lambda c: c["port"]["events"]["twin_up"])
        listen(buyer, seller, feed, seconds=0.1)
        first = int(place.regions()("feed_log")[0]["next_seq"])
        trade(buyer, seller)
        place.settle()
        listen(feed)
        after = place.heard("far")[2]
        assert min(after) >= min(first, max(before) + 1) and max(after) == max(
            place.heard("near")[1]) > max(before)
        assert place.stop() == 0, place.house.words()


def test_b_is_told_the_end_of_the_day_after_its_last_message(warm):
    with TwoFeeds("native") as place:
        place.listen_raw()
        trade(place.login(0), place.login(1))
        assert place.stop() == 0, place.house.words()
        told = []
        for place_of, group in (("near", 1), ("far", 2)):
            payloads = taken(place.ears[place_of][group])
            counted = [int.from_bytes(payload[18:20], "big") for payload in payloads]
            assert counted[-3:] == [0xFFFF] * 3 and 0xFFFF not in counted[:-3]
            told.append(blocks_of(payloads[-1])[1])
        assert told[0] == told[1] > 1
        assert "twin-unended" not in place.house.words()


def test_an_end_of_the_day_that_b_cannot_be_told_comes_all_the_same(warm):
    with TwoFeeds("native") as place:
        trade(place.login(0), place.login(1))
        place.scene.appliance.run("ip", "link", "del", "wm2")
        place.until(lambda c: c["port"]["events"]["twin_down"])
        counters = place.regions()("counters")
        assert place.stop() == 0, place.house.words()
        assert counts(counters)["twin_unended"] == 1
        assert "ALARM twin-unended" in place.house.words()


def test_an_interface_of_b_that_is_not_there_is_named_at_the_start(warm):
    class Missing(TwoFeeds):
        def link(self):
            """No second interface."""
    with pytest.raises(Exception) as found, Missing("native"):
        pass
    assert "interface 'wm2' does not exist here" in str(found.value)


class Jumbo(Place):
    """A Place whose links have that MTU; packets carry up to `payload` bytes."""

    def __init__(self, mode, mtu, payload, **options):
        super().__init__(mode, **options)
        self.mtu, self.payload = mtu, payload

    def _edit(self, path):
        for namespace, name in ((self.scene.appliance, "wm0"), (self.scene.outside, "wm1")):
            namespace.run("ip", "link", "set", name, "mtu", str(self.mtu))
        super()._edit(path)
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text.replace("[interface]\n", f"[interface]\npayload = {self.payload}\n"))


@pytest.mark.parametrize("mode, mtu, payload, layout", [
    ("native", 2034, 2006, "own"), ("native", 3498, 3470, "own"), ("native", 3498, 3470, "shared"),
    ("generic", 9000, 4054, "own"), ("socket", 9000, 4054, "auto")])
def test_jumbo_links_carry_larger_packets_and_nothing_is_missing(warm, mode, mtu, payload, layout):
    with Jumbo(mode, mtu, payload, layout=layout) as place:
        sizes = {"a": [], "b": [], "rerequest": []}

        def note(side, packet):
            sizes[side].append(len(packet))
        feed, buyer, seller = place.feed(on_packet=note), place.login(0), place.login(1)
        many(place, buyer, seller)
        listen(feed, buyer, seller)
        late = place.feed(on_packet=note)
        trade(buyer, seller)
        listen(feed, late, buyer, seller)
        assert feed.missing() == late.missing() == 0
        assert feed.books.trade_cnt == late.books.trade_cnt == BURST + 1
        live, asked = sizes["a"] + sizes["b"], sizes["rerequest"]
        assert 1500 < max(live) <= payload and payload - 40 < max(asked) <= payload
        assert buyer.stream.missing() == seller.stream.missing() == 0


def test_a_link_that_is_too_small_is_refused_with_both_figures(warm):
    with pytest.raises(Exception) as found, Jumbo("native", 1500, 1800):
        pass
    assert f"interface.payload = 1800 needs an MTU of {1800 + HEADERS_SZ}, wm0 has 1500" in str(
        found.value)
