"""A hostile network between participants and venue: datagrams lost, late, doubled, forged, cut.

`batches` yields what happens at one moment each: time that passes, logins and disconnects, then
datagrams. It looks at the oracle's sessions to aim at the edges (the expected number, the far-ahead
limit, what can be asked for again), so the oracle must take each batch before the next is made.
"""

import random

from tests.oracle.adversary import adversarial
from tests.oracle.session import LIVE, packet

MS = 1_000_000
ODD_BLOCKS = (b"", b"", b"R", b"H", b"O ", b"U", b"+x", b"Uz", b"UO\0\0\0", b"\xff" * 40)


class Batch:
    """passed_ns first; then logins (account, token, requested), disconnects (account), datagrams
    (ip, port, payload), in this order.

    Requests of acknowledgements go before other datagrams: a venue that answers a burst as a whole
    may know of an acknowledgement of the same moment or not.
    """

    def __init__(self, passed_ns):
        self.passed_ns = passed_ns
        self.logins, self.disconnects, self.requests, self.others = [], [], [], []

    @property
    def datagrams(self):
        return self.requests + self.others


class Participant:
    """A client's own view: its source, its token, what it has sent so far."""

    def __init__(self, idx, source):
        self.idx, self.source = idx, source
        self.token, self.login_cnt = b"", 0
        self.sent = []              # blocks of this login; number = index + 1
        self.late = []              # payloads still under way
        self.old_tokens = [b"NEVERUSED0"]

    def fresh_token(self):
        if self.token:
            self.old_tokens.append(self.token)
        self.login_cnt += 1
        self.token = b"T%04d%05d" % (self.idx, self.login_cnt)
        self.sent, self.late = [], self.late[-2:]
        return self.token


class Network:
    """All participants' datagrams. sources: (ip, port) of each account."""

    def __init__(self, seed, symbols, accounts, venue, sources, messages):
        self.rng, self.venue = random.Random(seed), venue
        self.flow = adversarial(seed + 1, symbols, accounts, messages, is_live=venue.is_live,
                                depth=100)
        self.participants = [Participant(idx, source) for idx, source in enumerate(sources)]
        self.over = False

    def chance(self, share):
        return self.rng.random() < share

    def session(self, who):
        return self.venue.sessions.sessions[who.idx]

    def batch(self):
        batch = Batch(self.rng.choice((0, 1, MS // 3, MS - 1, MS, MS + 1, 3 * MS)))
        for who in self.participants:
            live = self.session(who).state == LIVE
            if not live and self.chance(0.6) or live and self.chance(0.004):
                next_seq = len(self.venue.streams[who.idx]) + 1
                requested = self.rng.choice((0, 1, 5, next_seq, 1 << 40))
                batch.logins.append((who.idx, who.fresh_token(), requested))
            elif live and self.chance(0.02):
                batch.logins.append((who.idx, who.token, self.rng.choice((0, 1, 7))))
            elif self.chance(0.003):
                batch.disconnects.append(who.idx)
        for _ in range(self.rng.randrange(1, 40)):
            self.speak(batch)
        for who in self.participants:
            while who.late and self.chance(0.4):
                self.put(batch, who, who.late.pop(self.rng.randrange(len(who.late))))
        return batch

    def put(self, batch, who, payload):
        batch.others.append((*who.source, payload))

    def speak(self, batch):
        """One datagram of some participant, or several of one event."""
        who = self.rng.choice(self.participants)
        dice = self.rng.random()
        if dice < 0.75:
            self.stream(batch, who)
        elif dice < 0.85:
            self.bare(batch, who)
        elif dice < 0.92:
            self.request(batch, who)
        else:
            self.forge(batch, who)

    def stream(self, batch, who):
        """New messages, that may get lost, come late, twice, or together with old ones."""
        first = len(who.sent) + 1
        for _ in range(self.rng.choice((1, 1, 1, 2, 3, 8))):
            account, data = next(self.flow, (None, None))
            if data is None:
                self.over = True
                return
            owner = self.participants[account]  # the flow's order is kept within each account
            owner.sent.append(b"U" + data)
            if owner is not who:
                self.put(batch, owner, packet(owner.token, len(owner.sent), owner.sent[-1:]))
            if self.chance(0.03):
                who.sent.append(self.rng.choice(ODD_BLOCKS))
        if self.chance(0.004):
            who.sent.append(b"O")
        blocks = who.sent[first - 1:]
        if not blocks:
            return
        if self.chance(0.1):                    # overlaps what was sent before
            first = max(1, first - self.rng.randrange(1, 12))
            blocks = who.sent[first - 1:]
        payload = packet(who.token, first, blocks)
        if len(payload) > 1472:
            blocks = blocks[:10]
            payload = packet(who.token, first, blocks)
        dice = self.rng.random()
        if dice < 0.03:
            return                              # lost
        if dice < 0.08:
            who.late.append(payload)
            return
        self.put(batch, who, payload)
        if dice < 0.12:
            self.put(batch, who, payload)
        if dice < 0.10:
            who.late.append(payload)

    def bare(self, batch, who):
        """Heartbeats, ends of session and resends around the expected number."""
        expected = self.session(who).expected
        seq = expected + self.rng.choice((0, 0, 0, -1, 1, 2))
        if self.chance(0.02):
            seq = expected + self.rng.choice((40, 65535, 65536, 65537, 1 << 63))
        kind = self.rng.random()
        if kind < 0.5:
            self.put(batch, who, packet(who.token, max(seq, 0), []))
        elif kind < 0.55:
            self.put(batch, who, packet(who.token, max(seq, 0), [], 0xFFFF))
        elif kind < 0.6:
            self.put(batch, who, packet(who.token, max(seq, 1), [b""] * self.rng.randrange(1, 5)))
        else:                                   # what an honest client answers to a gap request
            blocks = who.sent[expected - 1:expected + self.rng.randrange(12)]
            if blocks:
                self.put(batch, who, packet(who.token, expected, blocks))

    def request(self, batch, who):
        """Requests for messages of an account's stream."""
        session, next_seq = self.session(who), len(self.venue.streams[who.idx]) + 1
        name = self.rng.choice((session.name, session.name, session.name, who.token,
                                self.venue.feed_name, b"001O0000Z0",
                                self.venue.sessions.sessions[0].name))
        seq = self.rng.choice((1, 1, 2, max(1, next_seq - 3), next_seq - 1, next_seq, next_seq + 1,
                               0, 1 << 62, (1 << 64) - 1))
        batch.requests.append(
            (*who.source, packet(name, seq, [], self.rng.choice((1, 2, 30, 65534)))))

    def forge(self, batch, who):
        """Wrong token, wrong source, bad framing, control datagrams."""
        kind, expected = self.rng.randrange(9), self.session(who).expected
        good = packet(who.token, expected, [b"UQ"])
        other = self.rng.choice(self.participants)
        if kind == 0:
            payload = packet(self.rng.choice(who.old_tokens), expected, [b"UQ"])
        elif kind == 1:
            batch.others.append((who.source[0], who.source[1] + 1, good))
            return
        elif kind == 2:
            batch.others.append((*other.source, good))
            return
        elif kind == 3:
            payload = good[:self.rng.randrange(len(good))]
        elif kind == 4:
            payload = good + bytes(self.rng.randrange(1, 4))
        elif kind == 5:
            payload = good[:18] + self.rng.choice((0, 2, 9, 65534, 65535)).to_bytes(2, "big") \
                + good[20:]
        elif kind == 6:
            payload = packet(who.token, 0, self.rng.choice(
                ([b"+hello"], [b"+"], [b"L" + bytes(45)], [b"L" + bytes(46)], [b"L" + bytes(46)],
                 [b"+", b"+"], [], [b"UQ"], [b""], [b"L" + bytes(47)])))
        elif kind == 7:
            payload = packet(who.token, 0, [], self.rng.choice((0xFFFF, 3)))
        else:
            start = expected + 65536 - self.rng.choice((-1, 0, 1, 2, 3))
            payload = packet(who.token, start, [b""] * self.rng.randrange(1, 5))
            if self.chance(0.8):                # mostly refused, or the numbers run away
                payload = packet(who.token, start + 5, [b""])
        self.put(batch, who, payload)


def batches(seed, symbols, accounts, venue, sources, messages):
    """Batches until about `messages` OUCH messages have been sent."""
    network = Network(seed, symbols, accounts, venue, sources, messages)
    while not network.over:
        yield network.batch()
