"""A feed on loopback multicast and its re-request server, for the tests of FeedHandler.

The server is recovery's own code over a feed log in plain arrays; it answers when it is told to,
in the test's thread, so that every test knows what was answered when.
"""

import os
import socket
import time

import numpy as np

from appliance.client.channel import Partition
from appliance.client.feed import FeedHandler
from appliance.host.nic import multicast_socket
from appliance.layout import shared
from appliance.stages.recovery import FeedReader, Server
from tests.oracle.session import packet

HOME, NAME = "127.0.0.1", b"326F010000"
END_OF_SESSION = 0xFFFF


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOME, 0))
        return sock.getsockname()[1]


class Log:
    """A feed log that holds all of `messages`."""

    def __init__(self, messages, name):
        raw = [len(message).to_bytes(2, "big") + message for message in messages]
        size = sum(map(len, raw)) + 1
        self.ring = np.zeros(1 << size.bit_length(), np.uint8)
        self.index = np.zeros(1 << (len(raw) + 2).bit_length(), np.uint64)
        offs = np.cumsum([0] + [len(each) for each in raw])
        self.ring[:offs[-1]] = np.frombuffer(b"".join(raw), np.uint8)
        self.index[1:len(raw) + 1] = offs[:-1]
        self.log = np.zeros(1, shared.FEED_LOG.dtype)
        row = self.log[0]
        row["session_name"][:10] = np.frombuffer(name, np.uint8)
        row["oldest_seq"], row["next_seq"] = 1, len(raw) + 1
        row["sent_seq"] = len(raw) + 1


class Feed:
    """Sends packets of `messages` to the groups; `handler()` makes a follower of them.

    `lost(payload)`: decides which answers of the server get lost. `settle` polls a handler and
    serves its requests.
    """

    def __init__(self, messages, rate=1_000_000):
        self.messages, self.name = messages, NAME
        self.log = Log(messages, NAME)
        self.server = Server(FeedReader(self.log.log, self.log.ring, self.log.index), rate)
        self.desk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.desk.bind((HOME, 0))
        self.out = multicast_socket(HOME, 0)
        base = os.getpid() % 200
        self.partition = Partition(
            1, 0, HOME, 9, f"239.192.{base}.1", f"239.192.{base}.2", free_port(), HOME,
            self.desk.getsockname()[1], NAME.decode(), {}, {})
        self.handlers, self.lost = [], lambda payload: False
        self.answers = []

    def handler(self, *arguments, **options):
        made = FeedHandler(self.partition, HOME, *arguments, **options)
        self.handlers.append(made)
        return made

    def close(self):
        for sock in (*self.handlers, self.desk, self.out):
            sock.close()

    # -- what is sent ----------------------------------------------------------------------------

    def packet(self, seq, count):
        """The packet with `count` of the messages from number seq on."""
        return packet(self.name, seq, self.messages[seq - 1:seq - 1 + count])

    def packets(self, per=3):
        """All messages, `per` in each packet."""
        return [self.packet(seq, per) for seq in range(1, len(self.messages) + 1, per)]

    def bare(self, seq, count=0):
        """A heartbeat, or an end of session."""
        return packet(self.name, seq, [], count)

    def send(self, payload, feeds="ab"):
        for feed in feeds:
            group = {"a": self.partition.group_a, "b": self.partition.group_b}[feed]
            self.out.sendto(payload, (group, self.partition.feed_port))

    # -- what is answered ------------------------------------------------------------------------

    def serve(self):
        """Answers the requests that are waiting."""
        while True:
            try:
                payload, source = self.desk.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            answer = self.server.answer(payload, source[0], time.monotonic())
            if answer and not self.lost(answer):
                self.answers.append(answer)
                self.desk.sendto(answer, source)

    def settle(self, handler, until=None, patience_s=60.0):
        """Polls and serves until `until()` holds: as a rule, until the handler has everything."""
        until = until or (lambda: handler.expected > len(self.messages))
        deadline = time.monotonic() + patience_s
        while not until():
            handler.poll(0.002)
            self.serve()
            assert time.monotonic() < deadline, (handler.expected, handler.statistics())
