"""Recorded order flow as live sessions: new logins, renumbered, so that it is accepted again.

A line is one participant's end on one order port: (ip, port) to (ip, port). Its messages, of all
the logins it made in the recording, go out in one new session: token and MoldUDP64 numbers are the
new session's, and every UserRefNum moves so that the first in the recording is the account's next.
Logins, heartbeats, requests and answers in the recording are left out: the session makes its own.
Holes in the recording become empty messages. While an engine sends, a thread answers the host's
requests and takes its answers.
"""

import threading
import time
from dataclasses import dataclass, field, replace

import numpy as np

from appliance.client.session import LoginError, Session
from appliance.layout.codec import WireError, decode, encode
from appliance.layout.datagram import parse_block, parse_mold
from tools.pcap import PcapError
from tools.rewrite import Mold
from tools.sender import SendError, ip_text, payloads

from .renumber import LOGIN_PACKET, OTHER, OWN, UNSEQUENCED, look, renumber

PATIENCE_S = 10.0
TURN_S = 0.0005


@dataclass
class Line:
    """One participant on one order port. source, target: as sent; recorded: (source, target) as in
    the file. which: its packets. span: messages of a run; first, count: of its UserRefNums."""

    source: tuple
    target: tuple
    recorded: tuple
    account: str
    password: str
    which: np.ndarray
    span: int
    first: int
    count: int
    session: object = None
    base: int = 1
    shift: int = 0
    answers: list = field(default_factory=list)

    def __str__(self):
        return f"{self.account} at {self.source[0]}:{self.source[1]}"


class _Sent(dict):
    """The sent messages of a session by number: its own few, and those of the capture."""

    def __init__(self, find):
        super().__init__()
        self.find = find

    def get(self, number, default=None):
        """The block, or `default` when it was never sent."""
        found = super().get(number)
        return self.find(number, default) if found is None else found


class _LiveSession(Session):
    """A session that keeps what comes as it is: (number of arrival is its place) in `heard`."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.heard, self.next_ref = [], 0

    def _message(self, message):
        self.heard.append((time.time_ns(), message))
        self.counts["answers"] += 1
        if message[:1] == b"Q":
            self.next_ref = decode("ouch", "out", message).next_user_ref_num

    def turn(self, timeout=0.0):
        """Does what is due."""
        self._keep_up()
        self._receive(timeout)

    def ask(self, patience_s):
        """An Account Query, answered in order: what was sent before it has been dealt with. The
        answer is taken out of `heard`. TimeoutError."""
        self.next_ref = 0
        self.send_raw(encode("ouch", "in", "Q"))
        until, seen = time.monotonic() + patience_s, self.counts["answers"]
        while not self.next_ref:
            self.turn(min(0.01, self._next_duty()))
            if self.counts["answers"] > seen:
                until, seen = time.monotonic() + patience_s, self.counts["answers"]
            if time.monotonic() > until:
                raise TimeoutError(f"{self.account}: the host did not answer an Account Query for "
                                   f"{patience_s:g} s; is it still up?")
        self.heard = [row for row in self.heard if row[1][:1] != b"Q"]
        return self.next_ref


@dataclass
class _Place:
    """What a Session needs of a partition."""

    ip: str
    order_port: int


class Orders:
    """The order flow of a capture. `capture` holds only what is sent; `lines` who sends it.

    recorded: the capture before it was given other addresses (the same packets). accounts:
    {account: password} that goes before the passwords in the file; tokens: {token: account} for
    logins that it does not hold. Raises PcapError when there is no order flow, or a login of
    which nobody knows the account.
    """

    def __init__(self, capture, recorded=None, accounts=None, tokens=None):
        mold, found = Mold(capture), payloads(capture)
        kinds, firsts, lasts = self._scan(capture, mold, found)
        flow = np.flatnonzero((kinds == UNSEQUENCED) & (mold.seqs > 0) & (mold.counts > 0))
        if not len(flow):
            raise PcapError(f"{capture.path} holds no order flow: no MoldUDP64 packet with a block "
                            "that begins with U (wire-spec 6)")
        ends = _keys(found)
        old = _keys(payloads(recorded)) if recorded is not None else ends
        people = self._people(capture, found, np.flatnonzero(
            (kinds == LOGIN_PACKET) & (mold.seqs == 0)), ends)
        self.strangers, self.lines = 0, []
        self.capture = replace(capture, offsets=capture.offsets[flow].copy(),
                               lengths=capture.lengths[flow].copy(), data=capture.data.copy(),
                               times_ns=capture.times_ns[flow].copy())
        self.starts, self.counts = found.starts[flow], mold.counts[flow]
        self.sizes = found.sizes[flow]
        self.rel = np.zeros(len(flow), np.int64)
        self.owners = np.zeros(len(flow), np.int64)
        self._original = self.capture.data.copy()
        for key in sorted(set(ends[flow].tolist())):
            which = np.flatnonzero(ends[flow] == key)
            span = self._lay(which, mold, flow)
            name, password = self._who(capture, people.get(key), mold, flow[which], accounts or {},
                                       tokens or {})
            made = firsts[flow[which]]
            first = int(made[made > 0].min()) if (made > 0).any() else 1
            last = int(lasts[flow[which]].max())
            self.owners[which] = len(self.lines)
            self.lines.append(Line(*_unkey(key), _unkey(int(old[flow[which[0]]])), name, password,
                                   which, span, first, max(0, last - first + 1)))

    @staticmethod
    def _scan(capture, mold, found):
        count = len(capture)
        kinds = np.zeros(count, np.uint8)
        firsts, lasts = np.zeros(count, np.int64), np.zeros(count, np.int64)
        counts = np.where((mold.counts > 0) & (mold.counts < 65535), mold.counts, 0)
        look(capture.data, found.starts, found.sizes, counts, OWN, firsts, lasts, kinds)
        return kinds, firsts, lasts

    @staticmethod
    def _people(capture, found, logins, ends):
        """{key of a line: (account, password)} of the logins in the file."""
        people = {}
        for at in logins.tolist():
            start = int(found.starts[at])
            payload = capture.data[start:start + int(found.sizes[at])].tobytes()
            try:
                login = parse_block(parse_mold(payload).blocks[0])
            except WireError:
                continue
            people[int(ends[at])] = login.username, login.password
        return people

    def _lay(self, which, mold, flow):
        """Relative numbers of a line's packets, its logins behind each other; how many in all."""
        span = 0
        owners = mold.owners[flow[which]]
        for owner in dict.fromkeys(owners.tolist()):
            mine = which[owners == owner]
            seqs, counts = mold.seqs[flow[mine]], mold.counts[flow[mine]]
            self.rel[mine] = seqs - seqs.min() + span
            span += int((seqs + counts).max() - seqs.min())
        return span

    @staticmethod
    def _who(capture, login, mold, packets, accounts, tokens):
        """(account, password) of a line."""
        token = bytes(mold.names[mold.owners[packets[0]]]).decode("latin-1").strip()
        name = tokens.get(token) or (login or ("",))[0]
        password = accounts.get(name) or (login[1] if login and login[0] == name else "")
        if not name or not password:
            raise PcapError(f"{capture.path}: the session with token {token} has no login in the "
                            f"file{f' for account {name}' if name else ''}; give --accounts FILE "
                            "with [[accounts]] name, password and [[flow.sessions]] token, account")
        return name, password

    # -- in time ----------------------------------------------------------------------------------

    def login(self) -> None:
        """Logs every line in and writes the first run's numbers. Raises LoginError, SendError."""
        for line in self.lines:
            try:
                line.session = _LiveSession(_Place(*line.target), line.account, line.password,
                                            bind=line.source)
            except OSError as problem:
                raise SendError(problem.errno, f"binding {line}: {problem.strerror}; give the "
                                "address to an interface here, or send from another with --from"
                                ) from None
            line.session.sent_blocks = _Sent(self._finder(line))
            line.session.login(requested=0)
        self.renumber()

    def _finder(self, line):
        """The function that finds a sent message of a line by its number."""
        rel = self.rel[line.which]
        order = np.argsort(rel, kind="stable")
        sorted_rel, packets = rel[order], line.which[order]
        ends = np.maximum.accumulate(sorted_rel + self.counts[packets])

        def find(number, default):
            wanted = number - line.base
            at = int(np.searchsorted(ends, wanted, "right"))
            if at == len(packets) or not sorted_rel[at] <= wanted:
                return default
            off = int(self.starts[packets[at]]) + 20
            for _ in range(int(wanted - sorted_rel[at])):
                off += 2 + int.from_bytes(self.capture.data[off:off + 2].tobytes(), "big")
            size = int.from_bytes(self.capture.data[off:off + 2].tobytes(), "big")
            return self.capture.data[off + 2:off + 2 + size].tobytes()

        return find

    def renumber(self, *_) -> None:
        """Before each run: asks every account where it stands and writes token and numbers. What
        was sent before has been dealt with when it returns."""
        for line in self.lines:
            line.session.ask(PATIENCE_S)
            line.base, line.shift = line.session.next_up, line.session.next_ref - line.first
        tokens = np.frombuffer(b"".join(line.session.token.encode().ljust(10)
                                        for line in self.lines), np.uint8).reshape(-1, 10).copy()
        bases = np.array([line.base for line in self.lines])
        self.capture.data[:] = self._original
        self.strangers = renumber(
            self.capture.data, self.starts, self.counts, self.owners,
            self.rel + bases[self.owners], np.array([line.shift for line in self.lines]),
            np.array([line.first for line in self.lines]), tokens, OWN, OTHER)
        self.sent = 0

    def sockets(self):
        """{(ip, port): socket} of the sessions."""
        return {line.source: line.session.sock for line in self.lines}

    def reach(self, sent) -> None:
        """The first `sent` packets of the capture have left: they may be asked for."""
        self.sent = max(self.sent, sent)
        for line in self.lines:
            at = int(np.searchsorted(line.which, self.sent))
            if at:
                packets = line.which[:at][-64:]
                line.session.next_up = max(line.session.next_up, line.base + int(
                    (self.rel[packets] + self.counts[packets]).max()))

    def settle(self) -> None:
        """After the last run: waits until everything was dealt with and every answer is here.
        TimeoutError."""
        self.reach(len(self.capture))
        for line in self.lines:
            line.session.ask(PATIENCE_S)
            line.answers = line.session.heard

    def close(self) -> None:
        """Ends the sessions; harmless when repeated."""
        for line in self.lines:
            if line.session is not None:
                line.session.close()

    def facts(self) -> dict:
        """Lines, answers by letter, rejects by reason, orders that got no answer of their own."""
        letters, reasons, answered = {}, {}, 0
        for line in self.lines:
            for _, message in line.answers:
                letter = chr(message[0])
                letters[letter] = letters.get(letter, 0) + 1
                if letter == "J":
                    reason = f"{decode('ouch', 'out', message).reason:04X}"
                    reasons[reason] = reasons.get(reason, 0) + 1
        answered = letters.get("A", 0) + letters.get("J", 0) + letters.get("U", 0)
        return {"sessions": len(self.lines), "answers": sum(letters.values()), "letters": letters,
                "rejects": reasons, "answered": answered, "strangers": self.strangers,
                "gaps_answered": sum(line.session.counts["gaps_answered"] for line in self.lines)}


class Keeper:
    """A thread that keeps the sessions alive while an engine sends. Use it in a `with`."""

    def __init__(self, orders, engine):
        self.orders, self.engine, self.problem = orders, engine, None
        self.lock, self._ended = threading.Lock(), False
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._ended:
                with self.lock:
                    self.orders.reach(self.engine.reached(self.orders.sent))
                    for line in self.orders.lines:
                        line.session.turn()
                time.sleep(TURN_S)
        except (OSError, LoginError) as problem:
            self.problem = problem

    def renumber(self, *_):
        """Orders.renumber, with the thread held still."""
        with self.lock:
            self.orders.reach(len(self.orders.capture))
            self.orders.renumber()
            self.engine.reload()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self._ended = True
        self.thread.join()


def _keys(found):
    """One number for the two ends of each datagram (an object array, 96 bits)."""
    sides = [(ends[:, 0].astype(np.uint64) << np.uint64(16) | ends[:, 1]).astype(object)
             for ends in (found.sources, found.targets)]
    return sides[0] * (1 << 48) + sides[1]


def _unkey(key):
    """((ip, port), (ip, port)) of such a number."""
    return tuple((ip_text(side >> 16), side & 0xFFFF) for side in (key >> 48, key & (1 << 48) - 1))
