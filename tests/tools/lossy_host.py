"""A host for the latency pass that loses chosen datagrams: one answer to each order, no heartbeats.

    python -m tests.tools.lossy_host IP '{"ports": [...], "upstream": [...], ...}'

ports: a socket each. upstream: the first order number of each. lost_orders (counted from that one
on), lost_answers: numbers lost the first time that they come. never: answers that are lost always.
A JSON line at the end of standard input tells what was lost and asked for.
"""

import collections
import itertools
import json
import select
import socket
import sys

NAME = b"123O010001"


def mold(name, seq, count, blocks=b""):
    return name + seq.to_bytes(8, "big") + count.to_bytes(2, "big") + blocks


def answer(number):
    """The OUCH message that answers stand for here: an A and the number."""
    return b"A" + number.to_bytes(8, "big")


def block(number):
    message = b"S" + answer(number)
    return len(message).to_bytes(2, "big") + message


class Port:
    """One partition: its socket, the next order number, the answers given."""

    def __init__(self, address, upstream, plan, counts):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.expected, self.given, self.counts = upstream, 0, counts
        self.lost_orders = {upstream + number for number in plan["lost_orders"]}
        self.lost_answers = set(plan["lost_answers"])
        self.never = set(plan["never"])

    def take(self):
        data, source = self.sock.recvfrom(2048)
        seq, count = (int.from_bytes(data[a:b], "big") for a, b in ((10, 18), (18, 20)))
        if seq == 0:
            self.sock.sendto(mold(NAME, 0, 1, b"\0\1A"), source)
        elif data[:10] == NAME:
            self.repeat(seq, count, source)
        elif seq in self.lost_orders and count:
            self.lost_orders.remove(seq)
            self.counts["orders lost"] += 1
        elif seq > self.expected:
            self.counts["orders asked for"] += 1
            self.sock.sendto(mold(data[:10], self.expected, seq + count - self.expected), source)
        elif count and seq == self.expected:
            self.expected, self.given = seq + 1, self.given + 1
            if self.given in self.lost_answers | self.never:
                self.counts["answers lost"] += 1
            else:
                self.sock.sendto(mold(NAME, self.given, 1, block(self.given)), source)

    def repeat(self, seq, count, source):
        """Answers a request as the appliance does: one datagram, and nothing beyond the end."""
        end = min(seq + count, seq + 20, self.given + 1)
        wanted = list(itertools.takewhile(lambda number: number not in self.never,
                                          range(seq, end)))
        self.counts["requests"] += 1
        if wanted:
            self.sock.sendto(mold(NAME, seq, len(wanted), b"".join(map(block, wanted))), source)


def main(ip, plan):
    counts = collections.Counter()
    ports = [Port((ip, port), first, plan, counts)
             for port, first in zip(plan["ports"], plan["upstream"], strict=True)]
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([0, *(port.sock for port in ports)], [], [])
        if 0 in ready:
            break
        for port in ports:
            if port.sock in ready:
                port.take()
    print(json.dumps(counts), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
