"""TCP services in this process: real sockets on loopback, a real matcher's loop, a real login desk.

`House.turn` is what launcher, matcher and recovery do in turn; `Peer` is a participant who writes
and reads bytes. The clock is `House.now`, moved by hand.
"""

import selectors
import socket
from types import SimpleNamespace

import numpy as np

from appliance.config.model import Account, DropCopy
from appliance.control.logins import Desk
from appliance.hot import image
from appliance.layout import shared
from appliance.shm.ring import Consumer, Producer
from appliance.stages import dropcopy, service, soup
from appliance.stages.doorman import Doorman
from appliance.stages.gateway import Gateway, Upstream
from appliance.stages.glimpse import Glimpse
from appliance.stages.recovery import FeedReader
from appliance.stages.snapshots import Snapshots
from tests.hot.harness import Venue

HOME, DAY = "127.0.0.1", 326
NAMES = ("ALPHA", "BETA")


def account(name, **more):
    return Account(**dict(name=name, password="secret", firm="", sources=[HOME], smp="off",
                          cancel_on_disconnect=True, disconnect_grace_ms=0, orders_per_second=0,
                          orders_burst=0, throttle_refusals=0, max_pages=100, restricted=[],
                          max_quantity=0, max_notional=0, max_open_orders=0, max_position=0,
                          price_band=0, duplicates=0, duplicate_window_ms=1000) | more)


def listener():
    sock = socket.create_server((HOME, 0))
    sock.setblocking(False)
    return sock


class House:
    """silence_s and caps as of the services; accounts: (name, firm), one symbol. copies: (name,
    firm) of drop copies. waits: answers wait for the disk (by hand: `released_seq`)."""

    def __init__(self, silence_s=15.0, total=16, of_source=16, sources=(HOME,), accounts=None,
                 copies=(), waits=False, limits=None):
        people = accounts or [(name, "") for name in NAMES]
        self.venue = Venue(accounts=[{"name": name, "cancel_on_disconnect": True} | (limits or {})
                                     for name, _ in people], day=DAY, sizes={"link_depth": 64})
        core, self.now = self.venue.core, 1000.0
        part = SimpleNamespace(
            accounts=[account(name, firm=firm) for name, firm in people],
            drop_copies=[DropCopy(name=name, password="secret", firm=firm, sources=[HOME])
                         for name, firm in copies],
            order_session=lambda day, idx: f"{day:03d}O00{idx + 1:03d}0",
            drop_session=lambda day, idx: f"{day:03d}D00{idx + 1:03d}0")
        self.part = part
        self.desk = Desk(part, DAY, core.accounts.sessions, {}, 10 ** 18)
        rings = [(np.zeros(32, np.uint64), np.zeros(16, shared.LINK.dtype)) for _ in range(2)]
        self.up, self.down = Consumer(*rings[0]), Producer(*rings[1])
        self.doorman = Doorman(Producer(*rings[0]), Consumer(*rings[1]))
        self.selector = selectors.DefaultSelector()
        caps = service.Caps(total, of_source, sources)
        upstream = Upstream.__new__(Upstream)
        upstream.words, upstream.data = self.venue.io.tcp_words, self.venue.io.tcp_data
        upstream.depth = self.venue.sizes.link_depth
        blocks = (core.accounts.sessions, core.streams.heads, core.streams.data, core.book.engine)
        self.gateway = Gateway(listener(), caps, self.selector, silence_s, self.doorman, upstream,
                               blocks, [desk_name.encode() for desk_name in
                                        (part.order_session(DAY, idx)
                                         for idx in range(len(people)))],
                               dropcopy.build(part, DAY, blocks, self.venue.io.status.view(
                                   shared.MATCHER_STATUS.dtype), waits))
        reader = FeedReader(core.feed.log, core.feed.ring, core.feed.index)
        self.snapshots = Snapshots(reader, image.build_image(self.venue.sizes, *core.feed), 1)
        self.glimpse = Glimpse(listener(), caps, self.selector, silence_s, self.doorman,
                               self.snapshots, self.venue.feed_name.encode())
        self.services, self.peers, self.desk_answers = (self.gateway, self.glimpse), [], True

    def turn(self, times=4, seconds=0.0):
        """Everybody does what is due, some times over."""
        self.now += seconds
        self.venue.advance(int(seconds * 1e9))
        for _ in range(times):
            while self.desk_answers and (record := self.up.pop()) is not None:
                outcome, answer = self.desk.answer(record)
                self.down.push(**answer)
                if outcome in ("bound", "repeated"):
                    self.venue.tell(**answer)
            self.venue.run()
            for key, mask in self.selector.select(0.01):
                owner, conn = key.data
                if key.fileobj.fileno() >= 0:
                    owner.ready(conn, mask, self.now)
            for token, answer in self.doorman.turn(self.now):
                assert any(each.answered(token, answer, self.now) for each in self.services)
            for each in self.services:
                each.turn(self.now)

    def peer(self, kind="orders", **options):
        made = Peer(self, {"orders": self.gateway, "glimpse": self.glimpse}[kind], **options)
        self.peers.append(made)
        return made

    def close(self):
        for each in self.peers:
            each.sock.close()
        for each in self.services:
            each.close()
        self.selector.close()


class Peer:
    """A participant's end of a connection. receive_sz: bytes that its kernel keeps for it."""

    def __init__(self, house, target, receive_sz=0):
        self.house, self.sock = house, socket.socket()
        if receive_sz:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_sz)
        self.sock.connect(target.listener.getsockname())
        self.sock.settimeout(0.2)
        self.data, self.is_over = b"", False

    def say(self, *packets, **options):
        """Sends whole packets; everybody has a turn."""
        self.sock.sendall(b"".join(packets))
        self.house.turn(**options)

    def hear(self):
        """Every whole packet that has come, as (letter, payload)."""
        try:
            while data := self.sock.recv(1 << 20):
                self.data += data
            self.is_over = True
        except (TimeoutError, BlockingIOError):
            pass
        except ConnectionResetError:
            self.is_over = True
        found = []
        while len(self.data) >= 2 and len(self.data) >= 2 + (size := int.from_bytes(
                self.data[:2], "big")):
            found.append((chr(self.data[2]), self.data[3:2 + size]))
            self.data = self.data[2 + size:]
        return found


def login(name="ALPHA", password="secret", session="", number="1"):
    """A Login Request; the number stands on the right, as it is sent by the book."""
    return soup.packet("L", name.encode().ljust(6) + password.encode().ljust(10)
                       + session.encode().ljust(10) + number.encode().rjust(20))
