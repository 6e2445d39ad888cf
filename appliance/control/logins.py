"""Logins: judges the sequence-0 datagrams that a matcher hands up, and what recovery sends in their
form for logins over TCP; ends silent sessions.

One desk a partition. It reads LINK_CONTROL records, compares name and password, source address and
token with the accounts, and answers LINK_LOGIN or LINK_REFUSE; the matcher does the binding and
talks to the participant (wire-spec 6). Refusals: `A` not authorised (name, password, source
address), `S` the session cannot be had (token used before today or malformed, another session
asked for, a number that is none). A datagram that is no login gets no answer.

Where the file has a hash instead of a password the check takes some 50 ms in another thread: the
datagram is "checking" and `ready` has its answer later; "busy" ones find too many checks before
them and get none. Participants repeat their logins anyway, and so does recovery for those over TCP.
A TCP session is one with source port 0, which no datagram may claim. Drop copies, which log in over
TCP alone, are numbered on behind the accounts; recovery serves them, no matcher hears of them.
"""

from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ..layout import shared
from ..topology import ip_number, ip_text
from .secrets import Checker

HEADER_SZ, LOGIN_SZ = 20, 47
NOT_AUTHORISED, NOT_AVAILABLE = ord("A"), ord("S")
_ALPHANUMERIC = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NUMBER_MAX = (1 << 63) - 1
OUTCOMES = ("bound", "repeated", "not_a_login", "name_or_password", "source", "token_malformed",
            "token_reused", "other_session", "bad_number", "checking", "busy", "checked",
            "drop_copy")


@dataclass(frozen=True)
class Request:
    """A Login Request as it came, fields stripped of padding."""

    token: bytes
    name: bytes
    password: bytes
    session: bytes
    number: bytes
    ip: int
    udp_port: int


@dataclass
class Bound:
    """The login that an account trades under: one source, one token, the epoch it will have."""

    token: bytes
    ip: int
    udp_port: int
    epoch: int


def parse(record: dict) -> Request | None:
    """The Login Request of a datagram or over TCP, None when it holds no single whole `L` block."""
    data = record["text"]
    over_tcp = record["kind"] in (shared.LINK_TCP_LOGIN, shared.LINK_CHECK)
    if len(data) != HEADER_SZ + 2 + LOGIN_SZ or (record["udp_port"] == 0) != over_tcp \
            or not over_tcp and record["kind"] != shared.LINK_CONTROL:
        return None
    if data[10:18] != bytes(8) or data[18:23] != b"\x00\x01\x00\x2fL":
        return None
    return Request(data[:10], data[23:29].rstrip(b" "), data[29:39].rstrip(b" "),
                   data[39:49].strip(b" "), data[49:69].strip(b" "),
                   record["ip"], record["udp_port"])


class Desk:
    """Logins of one instance of one partition.

    sessions: SESSION[accounts], read-only. used: token -> account index of the whole day; it is
    handed on to the next instance's desk; bound: the login under which each account trades, kept as
    long as sessions are. checker: of all partitions; without one the desk makes
    its own. tally counts how each datagram was taken: one that waits for its password's check is
    "checking" and then counted once more, with its end.
    """

    def __init__(self, partition, day, sessions, used, silence_ns, checker=None, bound=None):
        self.partition, self.sessions, self.used = partition, sessions, used
        self.silence_ns = silence_ns
        self.names = [partition.order_session(day, i).encode()
                      for i in range(len(partition.accounts))]
        self.account_cnt = len(self.names)
        copies = tuple(getattr(partition, "drop_copies", ()))
        self.names += [partition.drop_session(day, i).encode() for i in range(len(copies))]
        people = (*partition.accounts, *copies)
        self.by_name = {person.name.lower().encode(): i for i, person in enumerate(people)}
        self.take_over(partition, checker or Checker(people))
        self.bound: dict[int, Bound] = {} if bound is None else bound
        self.told: dict[int, int] = {}
        self.expulsions = None
        self.tally = dict.fromkeys(OUTCOMES, 0)

    def take_over(self, partition, checker):
        """The same accounts with other passwords and sources; a check under way gets no answer."""
        self.partition, self.checker = partition, checker
        self.pending: dict[Request, tuple[dict, Future]] = {}
        people = (*partition.accounts, *getattr(partition, "drop_copies", ()))
        self.sources = [frozenset(ip_number(ip) for ip in each.sources) for each in people]

    def answer(self, record: dict) -> tuple[str, dict | None]:
        """(outcome, fields of the LINK record to push or None) for one record of a Login Request:
        LINK_CONTROL, LINK_TCP_LOGIN or LINK_CHECK."""
        request = parse(record)
        if request is None:
            return self._tallied("not_a_login"), None
        if request in self.pending:
            return self._tallied("checking"), None
        account = self.by_name.get(request.name.lower(), -1)
        right = self.checker.check(account, request.name, request.password, request.ip)
        if right is None:
            return self._tallied("busy"), None
        if isinstance(right, Future):
            self.pending[request] = record, right
            return self._tallied("checking"), None
        return self._reply(record, request, account, right)

    def ready(self) -> list[tuple[dict, str, dict | None]]:
        """(record, outcome, fields) of every login whose check has finished since, oldest first."""
        done = [request for request, (_, future) in self.pending.items() if future.done()]
        found = []
        for request in done:
            record, future = self.pending.pop(request)
            if future.cancelled() or future.exception() is not None:
                found.append((record, self._tallied("busy"), None))
                continue
            account = self.by_name.get(request.name.lower(), -1)
            found.append((record, *self._reply(record, request, account, future.result())))
        return found

    def _tallied(self, outcome):
        self.tally[outcome] += 1
        return outcome

    def _reply(self, record, request, account, right):
        outcome = "name_or_password"
        if right:
            outcome = self._judge(request, account, record["kind"])
        self._tallied(outcome)
        reply = {"ip": request.ip, "udp_port": request.udp_port, "mac": record["mac"],
                 "token": request.token}
        if outcome in ("bound", "repeated", "checked", "drop_copy"):
            number = 0 if outcome == "checked" else int(request.number)
            return outcome, reply | {
                "kind": shared.LINK_LOGIN, "account": account, "session": self.names[account],
                "requested_seq": min(number, _NUMBER_MAX)}
        wrong_person = outcome in ("name_or_password", "source")
        return outcome, reply | {"kind": shared.LINK_REFUSE,
                                 "reason": NOT_AUTHORISED if wrong_person else NOT_AVAILABLE}

    def _judge(self, request, account, kind):
        """How a login with the right password ends."""
        if request.ip not in self.sources[account]:
            return "source"
        if kind == shared.LINK_CHECK:
            return "checked"
        is_copy = account >= self.account_cnt
        if is_copy and kind != shared.LINK_TCP_LOGIN:
            return "name_or_password"
        if len(request.token) != 10 or not _ALPHANUMERIC.issuperset(request.token):
            return "token_malformed"
        if request.session not in (b"", self.names[account]):
            return "other_session"
        if not (request.number.isdigit() and request.number.isascii()):
            return "bad_number"
        return "drop_copy" if is_copy else self._token(request, account)

    def _token(self, request, account):
        """A token is good once a day; only the login that it made may repeat it, while it lives."""
        session, bound = self.sessions[account], self.bound.get(account)
        if request.token not in self.used:
            self.used[request.token] = account
            self.bound[account] = Bound(request.token, request.ip, request.udp_port,
                                        int(session["epoch"]) + 1)
            return "bound"
        if bound is None or (bound.token, bound.ip, bound.udp_port) != (
                request.token, request.ip, request.udp_port):
            return "token_reused"
        ended = (int(session["state"]) == shared.SESSION_ENDED
                 and int(session["epoch"]) >= bound.epoch)
        return "token_reused" if ended else "repeated"

    def expelled(self) -> list[str]:
        """Of each account whose throttle has ended a session since the last call: what to tell the
        operator. The first call only looks."""
        counts = self.sessions["expulsions"].astype(int)
        before, self.expulsions = self.expulsions, counts
        if before is None:
            return []
        return [f"{self.partition.accounts[account].name} was disconnected, {counts[account]} "
                "times today: its throttle_refusals orders were refused (0029) within a second; it "
                "may log in again" for account in np.flatnonzero(counts > before)]

    def silent(self, now_ns: int) -> list[dict]:
        """LINK_DISCONNECT fields for live sessions not heard for the limit, once a login each.

        now_ns: record time (since midnight). `token` names the login that is meant, so that a newer
        one need not be ended by an old word.
        """
        found = []
        for account in np.flatnonzero(self.sessions["state"] == shared.SESSION_LIVE).tolist():
            session = self.sessions[account]
            epoch, heard = int(session["epoch"]), int(session["heard_ns"])
            if now_ns - heard <= self.silence_ns or self.told.get(account) == epoch:
                continue
            self.told[account] = epoch
            token = int(session["token_hi"]).to_bytes(8, "big") + (
                int(session["token_lo"]) & 0xFFFF).to_bytes(2, "big")
            found.append({"kind": shared.LINK_DISCONNECT, "account": account, "token": token,
                          "ip": int(session["ip"]), "udp_port": int(session["udp_port"])})
        return found


def welcome(record: dict, answer: dict) -> str:
    """A login that is in, in words."""
    port = f":{record['udp_port']}" if record["udp_port"] else " over TCP"
    return (f"{parse(record).name.decode('ascii', 'replace')} logged in from "
            f"{ip_text(record['ip'])}{port} as {answer['session'].decode()}")


def describe(record: dict, outcome: str) -> str:
    """A refused login in words, without its password."""
    request = parse(record)
    name = request.name.decode("ascii", "replace") if request else "?"
    port = f":{record['udp_port']}" if record["udp_port"] else " over TCP"
    return (f"login of {name!r} from {ip_text(record['ip'])}{port} "
            f"refused: {outcome.replace('_', ' ')}")
