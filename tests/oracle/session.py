"""The datagrams of order entry over UDP (wire-spec 1 and 6): who may speak, and in what order.

A `Sessions` takes payloads with their source and time, decides exactly one disposition for each,
and hands messages to the venue in sequence: nothing twice, holes asked for, then given up.
"""

import struct
from collections import Counter

HEADER = struct.Struct(">10sQH")
END_OF_SESSION = 0xFFFF
LARGEST_PAYLOAD = 1472
FAR_AHEAD = 65536
MOST_HELD = 32
MOST_REQUESTED = 65534
NONE, LIVE, ENDED = "none", "live", "ended"
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def base36(number, width):
    text = ""
    for _ in range(width):
        text = DIGITS[number % 36] + text
        number //= 36
    return text


def session_name(day, kind, partition, number, instance):
    """Ten characters: day of the year, O orders or F feed, partition, account, instance."""
    return (f"{day:03d}{kind}{base36(partition, 2)}{base36(number, 3)}{instance}").encode()


def packet(session, seq, blocks, count=None):
    """A MoldUDP64 packet; `count` overrides the number of blocks (0xFFFF, or a request's)."""
    return HEADER.pack(session, seq, len(blocks) if count is None else count) + b"".join(
        len(block).to_bytes(2, "big") + block for block in blocks)


def read_blocks(payload, count):
    """The `count` message blocks after the header, None when they and the length disagree."""
    blocks, at = [], HEADER.size
    for _ in range(count):
        if at + 2 > len(payload):
            return None
        length = int.from_bytes(payload[at:at + 2], "big")
        if at + 2 + length > len(payload):
            return None
        blocks.append(payload[at + 2:at + 2 + length])
        at += 2 + length
    return blocks if at == len(payload) else None


class Session:
    """One account's session. `expected`: next upstream number. `held`: list of (seq, blocks)."""

    def __init__(self, account, name):
        self.account, self.name = account, name
        self.state, self.token, self.source = NONE, None, None
        self.epoch = 0
        self.login_seq = 0
        self.heard_ns = 0
        self.begin()

    def begin(self):
        """Nothing received yet in this login."""
        self.expected = 1
        self.held = []
        self.told_end = 0           # one past the newest number that the client has named
        self.gap_end = 0            # one past the hole; 0 when there is none
        self.gap_seen_ns = 0
        self.asked_ns = None
        self.served_ns = None       # when the last re-request was answered

    def hole_end(self):
        """One past the hole before the lowest held number, or before what the client has named."""
        if self.held:
            return min(seq for seq, _ in self.held)
        return self.told_end if self.told_end > self.expected else 0


class Sessions:
    """All sessions of a partition. `venue` offers `block(account, bytes)`, `logged_out(account)`,
    `disconnect(account)` and `streams`. `sent` collects (source, payload) of requests and answers.
    """

    def __init__(self, venue, names, request_interval_ns, hold_ns, hold_pool):
        self.venue = venue
        self.sessions = [Session(account, name) for account, name in enumerate(names)]
        self.by_name = {session.name: session for session in self.sessions}
        self.by_token = {}
        self.request_interval_ns, self.hold_ns = request_interval_ns, hold_ns
        self.hold_pool = hold_pool
        self.dispositions = Counter()
        self.counters = Counter()
        self.sent = []
        self.control = []

    # -- login and its end ---------------------------------------------------------------------

    def is_bound(self, account, token, source):
        """Whether this very login is the account's live one."""
        session = self.sessions[account]
        return session.state == LIVE and (session.token, session.source) == (token, source)

    def login(self, account, token, source, requested):
        """Binds a token to an account and a source (ip, port); the answer is one more in `sent`."""
        session = self.sessions[account]
        if session.state != LIVE or (session.token, session.source) != (token, source):
            self.forget(session)
            session.begin()
            session.state, session.token, session.source = LIVE, token, source
            session.epoch += 1
            next_seq = len(self.venue.streams[account]) + 1
            session.login_seq = requested if 1 <= requested <= next_seq else next_seq
            self.by_token[token] = session
            self.counters["logins"] += 1
        text = b"A" + session.name + str(session.login_seq).rjust(20).encode()
        self.answer(source, packet(session.name, 0, [text]))

    def refuse(self, token, source, reason):
        self.answer(source, packet(token, 0, [b"J" + reason]))

    def answer(self, source, payload):
        self.counters["login_answers"] += 1
        self.sent.append((source, payload))

    def forget(self, session):
        self.by_token.pop(session.token, None)
        session.token = None
        session.held = []

    def end(self, account):
        """Logout, end of session or silence. False when the account was not logged in."""
        session = self.sessions[account]
        if session.state != LIVE:
            return False
        self.forget(session)
        session.begin()
        session.state = ENDED
        self.counters["disconnects"] += 1
        return True

    # -- one datagram --------------------------------------------------------------------------

    def datagram(self, source, payload, now_ns):
        """Decides the disposition of one UDP payload and does what it asks for."""
        self.dispositions[self.dispose(source, payload, now_ns)] += 1

    def dispose(self, source, payload, now_ns):
        if len(payload) < HEADER.size:
            return "rx_short"
        name, seq, count = HEADER.unpack_from(payload)
        bare = len(payload) == HEADER.size
        if count == END_OF_SESSION or count == 0:
            blocks = [] if bare else None
        else:
            blocks = [] if bare else read_blocks(payload, count)
        if blocks is None:
            return "rx_framing"
        if seq == 0:
            return self.dispose_control(source, payload, blocks)
        if bare and count not in (0, END_OF_SESSION):
            return self.dispose_request(source, name, seq, count, now_ns)
        session = self.by_token.get(name)
        if session is None:
            return "rx_unknown_token"
        if session.source != source:
            return "rx_wrong_source"
        session.heard_ns = now_ns
        if bare:
            return self.dispose_bare(session, seq, count, now_ns)
        return self.dispose_data(session, seq, blocks, now_ns)

    def dispose_control(self, source, payload, blocks):
        if len(blocks) == 1 and blocks[0][:1] == b"+":
            return "rx_debug"
        if len(blocks) == 1 and blocks[0][:1] == b"L" and len(blocks[0]) == 47:
            self.control.append((source, payload))
            return "rx_control"
        return "rx_framing"

    def dispose_request(self, source, name, seq, count, now_ns):
        """A re-request of messages of an account's stream."""
        session = self.by_name.get(name)
        if session is None or session.state != LIVE:
            return "rx_unknown_token"
        if session.source != source:
            return "rx_wrong_source"
        stream = self.venue.streams[session.account]
        too_soon = session.served_ns is not None and now_ns - session.served_ns < 1_000_000
        if too_soon or not 1 <= seq <= len(stream):
            return "rx_rerequest_refused"
        session.served_ns = now_ns
        blocks, size = [], HEADER.size
        for message in stream[seq - 1:seq - 1 + count]:
            size += 2 + 1 + len(message)
            if size > LARGEST_PAYLOAD:
                break
            blocks.append(b"S" + message)
        self.sent.append((source, packet(name, seq, blocks)))
        return "rx_rerequest"

    def dispose_bare(self, session, seq, count, now_ns):
        """Heartbeat or end of session."""
        if session.expected < seq <= session.expected + FAR_AHEAD:
            session.told_end = max(session.told_end, seq)
            self.see_gap(session, now_ns)
        elif count == END_OF_SESSION and seq <= session.expected:
            self.venue.logged_out(session.account)
        return "rx_heartbeat" if count == 0 else "rx_end_of_session"

    def dispose_data(self, session, seq, blocks, now_ns):
        end = seq + len(blocks)
        if end <= session.expected:
            return "rx_duplicate"
        if seq > session.expected + FAR_AHEAD:
            return "rx_far_ahead"
        if seq > session.expected:
            disposition = "rx_hold_full"
            held_cnt = sum(len(each.held) for each in self.sessions)
            if len(session.held) < MOST_HELD and held_cnt < self.hold_pool:
                session.held.append((seq, blocks))
                disposition = "rx_held"
            session.told_end = max(session.told_end, end)
            self.see_gap(session, now_ns)
            return disposition
        self.apply(session, seq, blocks)
        self.drain(session, now_ns)
        return "rx_applied"

    # -- in sequence ---------------------------------------------------------------------------

    def apply(self, session, seq, blocks):
        """Consumes the blocks from the expected number on; a logout ends the datagram."""
        for block in blocks[session.expected - seq:]:
            session.expected += 1
            self.venue.block(session.account, block)
            if session.state != LIVE:
                return

    def drain(self, session, now_ns):
        """Held datagrams that have become due, in order; then what hole remains."""
        session.held.sort(key=lambda held: held[0])
        while session.state == LIVE and session.held and session.held[0][0] <= session.expected:
            seq, blocks = session.held.pop(0)
            self.apply(session, seq, blocks)
        if session.state == LIVE:
            self.see_gap(session, now_ns)

    def see_gap(self, session, now_ns):
        """Notes a new hole, asks for it (at most once an interval), skips it at hold time 0."""
        end = session.hole_end()
        if not end:
            session.gap_end = 0
            return
        if not session.gap_end or session.gap_end <= session.expected:
            session.gap_seen_ns, session.asked_ns = now_ns, None
        session.gap_end = end
        if session.asked_ns is None or now_ns - session.asked_ns >= self.request_interval_ns:
            session.asked_ns = now_ns
            self.counters["gap_requests"] += 1
            wanted = min(end - session.expected, MOST_REQUESTED)
            self.sent.append((session.source, packet(
                session.token, session.expected, [], wanted)))
        if self.hold_ns == 0:
            self.skip(session, now_ns)

    def skip(self, session, now_ns):
        """Gives the hole up."""
        self.counters["messages_skipped"] += session.gap_end - session.expected
        session.expected = session.gap_end
        self.drain(session, now_ns)

    def tick(self, now_ns):
        """Timers: holes that are due are asked for again, or given up."""
        for session in self.sessions:
            if session.state != LIVE or not session.gap_end:
                continue
            if now_ns - session.gap_seen_ns > self.hold_ns:
                self.skip(session, now_ns)
            else:
                self.see_gap(session, now_ns)
