"""GLIMPSE 5.0: a late joiner's snapshot over SoupBinTCP (wire-spec 4).

A participant logs in with the name and the password of any account, from one of its sources, gets
the displayed book, and `G` with the feed's number to go on with. The packets are numbered from 1 at
each login, whatever number was asked for: a snapshot that was cut off is not gone on with. It stays
for LINGER_S, for the client to log out first, then the session ends.

Bounds: at most READERS at a time (each may hold a snapshot of its own, until it has taken it all or
`TAKE_S` are over), besides the caps of all services.
"""

from appliance.layout import shared
from appliance.stages import soup
from appliance.stages.service import Service
from appliance.stages.soup import Closed

READERS, TAKE_S, LINGER_S = 8, 60.0, 30.0


class Reader(soup.Connection):
    """A late joiner. token: of its login while it is asked about; taken_s: when it got its
    snapshot, 0.0 before."""

    token, taken_s = b"", 0.0


class Glimpse(Service):
    """snapshots: Snapshots. session: the feed's session name."""

    connection = Reader

    def __init__(self, listener, caps, selector, silence_s, doorman, snapshots, session):
        super().__init__(listener, caps, selector, silence_s)
        self.doorman, self.snapshots, self.session = doorman, snapshots, session
        self.asking: dict[bytes, Reader] = {}

    def is_in(self, conn) -> bool:
        return conn.taken_s > 0

    def greet(self, conn, login, now):
        """Asks the desk; refuses at once what cannot be."""
        wanted = login[16:26].strip(b" ")
        busy = sum(1 for each in self.connections if each.token or each.taken_s)
        if wanted not in (b"", self.session) or self.snapshots.why_not or busy >= READERS:
            self.refuse(conn, "S", now)
            return
        conn.token = self.doorman.ask(shared.LINK_CHECK, login, conn.ip, now)
        self.asking[conn.token] = conn

    def answered(self, token, answer, now) -> bool:
        """The desk's answer; False when this was not asked here."""
        conn = self.asking.pop(token, None)
        if conn is None:
            return False
        conn.token = b""
        if reason := self.doorman.reason(answer):
            self.refuse(conn, reason, now)
            return True
        data, _ = self.snapshots.take(now)
        if self.snapshots.why_not:
            self.refuse(conn, "S", now)
            return True
        self.tallies["logins"] += 1
        conn.taken_s = conn.heard = now
        conn.send(soup.accepted(self.session, 1), now)
        conn.send(data, now)
        return True

    def take(self, conn, packets, now):
        """Nothing is expected but heartbeats and the logout."""
        if any(letter == ord("O") for letter, _ in packets):
            raise Closed("logout")

    def pump(self, conn, now):
        """The end of the session, once it has had its time."""
        if conn.waiting and now - conn.taken_s > TAKE_S:
            raise Closed("slow")
        if not conn.waiting and now - conn.taken_s > LINGER_S:
            conn.send(soup.packet("Z"), now)
            conn.is_closing = "served"

    def leave(self, conn, why):
        self.asking.pop(conn.token, None)
        self.doorman.forget(conn.token)
