"""Frames that no honest participant sends: random bytes, broken headers, sessions and orders.

`Noise.frames` gives thirds: random bytes; orders with damage anywhere in the frame; and frames in
perfect Ethernet, IPv4 and UDP from the source and with the token of a live session, whose framing,
numbers or orders are wrong. Seeded: same seed, same answers of the host, same frames.
"""

import random

from tests.oracle.adversary import adversarial
from tools.record import frame

SHORTEST, LONGEST = 14, 1514
HEADER_SZ, HEADERS_SZ = 20, 42
FLOW_CNT = 4_000
ODD_BLOCKS = (b"", b"R", b"H", b"O?", b"U", b"+text", b"Uz", b"UO\0\0\0", b"S\xff", b"\xff" * 40)


class Noise:
    """symbols, accounts: as the oracle's generator takes them. source, destination: (ip, port)."""

    def __init__(self, seed, symbols, accounts, source, destination, macs):
        self.dice = random.Random(seed)
        self.source, self.destination, self.macs = source, destination, macs
        self.orders = [message for _, message in adversarial(seed, symbols, accounts, FLOW_CNT)]
        self.next_seq = 1

    def frames(self, count, token, next_seq):
        """`count` frames; token: ten bytes of the live session, next_seq: the number it is at."""
        self.next_seq = next_seq
        makers = (self.random_bytes, self.damaged, self.session_noise)
        return [makers[number % 3](token) for number in range(count)]

    def whole(self, payload):
        """A good frame around the payload."""
        return self.macs + frame(payload, self.source, self.destination)[len(self.macs):]

    def random_bytes(self, _token):
        """Nothing but dice, half of it behind our addresses and the type of IPv4."""
        size = self.dice.choice((self.dice.randrange(SHORTEST, 120),
                                 self.dice.randrange(SHORTEST, LONGEST + 1)))
        data = self.dice.randbytes(size)
        return (self.macs + b"\x08\x00" + data)[:size] if self.dice.random() < 0.5 else data

    def damaged(self, token):
        """A good order with bytes changed, cut off or added anywhere."""
        data = bytearray(self.whole(self.packet(token, self.next_seq, [b"U" + self.order()])))
        for _ in range(self.dice.randrange(1, 4)):
            data[self.dice.randrange(12, len(data))] = self.dice.randrange(256)
        kind = self.dice.random()
        if kind < 0.2:
            data = data[:self.dice.randrange(SHORTEST, len(data))]
        elif kind < 0.3:
            data += self.dice.randbytes(self.dice.randrange(1, 30))
        return bytes(data)

    def session_noise(self, token):
        """A datagram that the session must judge."""
        kind, dice = self.dice.random(), self.dice
        seq = self.number()
        if kind < 0.02:
            return self.whole(token[:9] + b"\0" + bytes(10))
        if kind < 0.08:                                   # heartbeats, requests, short, ends
            payload = token + seq.to_bytes(8, "big") + dice.choice((0, 0, 1, 7, 65534)).to_bytes(
                2, "big")
            return self.whole(payload[:dice.choice((20, 20, 20, 19, 10, 1, 0))])
        if kind < 0.0805:
            return self.whole(token + self.next_seq.to_bytes(8, "big") + b"\xff\xff")
        blocks = [self.block() for _ in range(dice.choice((1, 1, 1, 2, 4)))]
        payload = bytearray(self.packet(token, seq, blocks))
        if kind < 0.35:                                   # the framing lies
            at = dice.choice((10, 17, 18, 19, 20, 21, dice.randrange(10, len(payload))))
            payload[at] ^= dice.choice((1, 2, 255, 1 << dice.randrange(8)))
        elif kind < 0.45:
            payload = payload[:dice.randrange(HEADER_SZ, len(payload))]
        elif kind < 0.5:
            payload += dice.randbytes(dice.randrange(1, 9))
        elif seq == self.next_seq:
            self.next_seq += len(blocks)
        return self.whole(bytes(payload[:1472]))

    def number(self):
        """Mostly the number that is due."""
        kind, due = self.dice.random(), self.next_seq
        if kind < 0.75:
            return due
        return max(0, due + self.dice.choice((-1, -3, 1, 2, 40, 70_000, -due, (1 << 64) - 1 - due)))

    def order(self):
        """An order of the hostile generator."""
        return self.dice.choice(self.orders)

    def block(self):
        """A block with an order, half of them with bytes changed, or something odd."""
        kind = self.dice.random()
        if kind < 0.08:
            return self.dice.choice(ODD_BLOCKS)
        data = bytearray(b"U" + self.order())
        if kind < 0.54:
            for _ in range(self.dice.randrange(1, 4)):
                data[self.dice.randrange(1, len(data))] = self.dice.randrange(256)
        return bytes(data)

    @staticmethod
    def packet(token, seq, blocks):
        """A MoldUDP64 packet in good order."""
        body = b"".join(len(block).to_bytes(2, "big") + block for block in blocks)
        return token + seq.to_bytes(8, "big") + len(blocks).to_bytes(2, "big") + body
