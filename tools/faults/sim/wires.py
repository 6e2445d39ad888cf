"""The network: datagrams with a fate, and the sockets of those at its ends.

A fate is drawn for each datagram and each of its receivers: lost, doubled, late (and so out of
order), flipped. Flips are made in whole frames on the way in, for the matcher to find; on the way
out the receiver's kernel finds them, so that they are losses here. A cut of one direction between
one address and the appliance loses everything. Every datagram ends in exactly one of `COUNTS`.

`Sockets` stands where the client library has imported `socket` and `select`.
"""

import errno
import socket
from collections import deque

COUNTS = ("sent", "doubled", "lost", "cut", "flipped", "nobody", "delivered")


class Network:
    """rates: lost, doubled, late, flipped (of 1). base_ns, late_ns: how long a datagram takes."""

    def __init__(self, timeline, picked, rates, base_ns=20_000, late_ns=3_000_000):
        self.timeline, self.picked, self.rates = timeline, picked, rates
        self.base_ns, self.late_ns = base_ns, late_ns
        self.cuts, self.counts = set(), dict.fromkeys(COUNTS, 0)
        self.sockets, self.groups, self.hosts, self.flying = {}, {}, {}, 0

    def heal(self) -> None:
        """No faults from here on."""
        self.rates = dict.fromkeys(self.rates, 0.0)
        self.cuts.clear()

    def send(self, source, target, payload) -> None:
        """One datagram to an address: a host's (`hosts`), or a socket's."""
        self._post(("up", source[0]), payload, lambda data, flip: self._arrive(
            source, target, data, flip))

    def multicast(self, target, payload) -> None:
        """One datagram to each member of a group."""
        for member in self.groups.get(target, ()):
            self._post(("down", member.ip), payload,
                       lambda data, flip, to=member: self._into(to, data, flip))

    def answer(self, target, payload) -> None:
        """One datagram from the appliance."""
        self._post(("down", target[0]), payload, lambda data, flip: self._into(
            self.sockets.get(target), data, flip))

    def _post(self, way, payload, arrive):
        draw, counts = self.picked.random, self.counts
        counts["sent"] += 1
        copies = 1
        if draw() < self.rates["doubled"]:
            counts["doubled"] += 1
            copies = 2
        for _ in range(copies):
            if way in self.cuts:
                counts["cut"] += 1
            elif draw() < self.rates["lost"]:
                counts["lost"] += 1
            else:
                ns = self.base_ns + int(draw() * self.base_ns)
                if draw() < self.rates["late"]:
                    ns += int(draw() * self.late_ns)
                self.flying += 1
                flip = draw() < self.rates["flipped"]
                self.timeline.after(ns, lambda flip=flip: self._land(arrive, payload, flip))

    def _land(self, arrive, payload, flip):
        self.flying -= 1
        arrive(payload, flip)

    def _arrive(self, source, target, data, flip):
        host = self.hosts.get(target)
        if host is None:
            self._into(self.sockets.get(target), data, flip)
        elif host(source, data, flip):
            self.counts["delivered"] += 1
        else:
            self.counts["nobody"] += 1

    def _into(self, receiver, data, flip):
        if flip:
            self.counts["flipped"] += 1
        elif receiver is None or receiver.closed:
            self.counts["nobody"] += 1
        else:
            self.counts["delivered"] += 1
            receiver.queue.append(data)
            receiver.wake()


class Socket:
    """A UDP socket of a participant."""

    def __init__(self, net):
        self.net, self.queue, self.closed = net, deque(), False
        self.ip, self.udp_port, self.target, self.wake = "", 0, None, lambda: None
        self.number = net.sockets_made = getattr(net, "sockets_made", 2) + 1

    def setsockopt(self, *_):
        """Taken as said."""

    def getsockopt(self, *_) -> int:
        """The path's MTU, the only thing that is asked for."""
        return 1500

    def bind(self, address) -> None:
        """Takes an address; port 0: one of its own."""
        self.ip, self.udp_port = address[0], address[1] or 40000 + self.number
        self.net.sockets[self.ip, self.udp_port] = self
        self.wake = self.net.hosts.get(("wake", self.ip), self.wake)

    def connect(self, address) -> None:
        """Names whom `send` means."""
        self.target = address

    def getsockname(self):
        """Its address."""
        return self.ip, self.udp_port

    def fileno(self) -> int:
        """A number that no other has."""
        return -1 if self.closed else self.number

    def send(self, payload) -> None:
        """To the connected address."""
        self.net.send((self.ip, self.udp_port), self.target, bytes(payload))

    def sendto(self, payload, address) -> None:
        """To any address."""
        self.net.send((self.ip, self.udp_port), address, bytes(payload))

    def recv(self, size, flags=0) -> bytes:
        """The oldest datagram."""
        if not self.queue:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        return self.queue.popleft()[:size]

    def close(self) -> None:
        """Nothing arrives any more."""
        self.closed = True
        self.net.sockets.pop((self.ip, self.udp_port), None)


class Poller:
    """`select.poll()` that never waits: time goes on elsewhere."""

    def __init__(self):
        self.members = {}

    def register(self, sock, _events) -> None:
        """Watches a socket."""
        self.members[sock.fileno()] = sock

    def poll(self, _ms=0) -> list:
        """Those with something to read."""
        return [(fd, 1) for fd, sock in self.members.items() if sock.queue]


class Sockets:
    """The names that the client library takes from `socket` and `select`."""

    AF_INET, SOCK_DGRAM, MSG_DONTWAIT = socket.AF_INET, socket.SOCK_DGRAM, socket.MSG_DONTWAIT
    SOL_SOCKET, SO_RCVBUF, IPPROTO_IP = socket.SOL_SOCKET, socket.SO_RCVBUF, socket.IPPROTO_IP
    POLLIN, poll = 1, Poller

    def __init__(self, net):
        self.net = net

    def socket(self, *_) -> Socket:
        """A new one."""
        return Socket(self.net)

    def join(self, group, port, address, _receive_bytes) -> Socket:
        """A socket that is a member of a group (host/nic.py)."""
        made = Socket(self.net)
        made.bind((address, 0))
        self.net.groups.setdefault((group, port), []).append(made)
        return made
