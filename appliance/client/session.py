"""Session: numbered datagrams both ways between a participant and a host (wire-spec 6).

    send   --> numbered blocks --> the partition's order port; gap requests are answered
    messages <-- numbered blocks <-- in order, once, holes asked for

What the messages mean is `orders`' matter. Nothing happens by itself: `_keep_up` and `_receive`
do what is due, and must run at least once a second.
"""

import errno
import secrets
import select
import socket
import string
import time

from ..layout.codec import WireError
from ..layout.datagram import (
    Request, as_block, build_end_of_session, build_mold, build_request, login_request, parse_block,
    parse_datagram, unsequenced,
)
from ..layout.wire_session import PACKET_MAX
from .inorder import InOrder

PAYLOAD_MAX, HEADER_SZ = 1472, 20
IP_MTU, IP_UDP_SZ = 14, 28                       # the kernel's option; headers of a datagram
MESSAGE_MAX = PAYLOAD_MAX - HEADER_SZ - 3       # less the block's length and its letter
END_OF_SESSION = 0xFFFF
SENT_KEPT = 1 << 16                             # a host takes no number further ahead than that
PROGRESS_S = 0.0015                             # a host answers one request a millisecond
REPEAT_LOGIN_S = 1.0
REFUSALS = {"A": "account, password or source address",
            "S": "session not available, or this token was used before today"}
COUNTS = ("sent", "answers", "duplicates", "overflow", "gaps", "requests", "gaps_answered",
          "malformed", "ignored", "unsent")
_ALPHABET = string.ascii_uppercase + string.digits


class LoginError(ConnectionError):
    """The login was refused or not answered; the text says which and what to check."""


class Session:
    """One login of an account on a partition; a new login takes a new Session. Times in seconds.

    `bind`: the local (ip, port). `token`: ten letters or digits, new at each login; made up when
    not given. `session` is the assigned name, "" before the login. `expelled`: the host ended it,
    because more of its orders were over its rate (J 0029) than its throttle bears. `counts`:
    messages sent, answers, duplicates and overflow (datagrams), gaps and requests (downstream),
    gaps_answered (requests of the host), malformed, ignored (well-formed, not ours), unsent
    (refused by the kernel, which is repaired like any loss).

    OSError when the address cannot be bound.
    """

    def __init__(self, partition, account, password, *, bind=("", 0), token=None, retry_s=0.02,
                 heartbeat_s=1.0, clock=time.monotonic):
        self.account, self.password, self.partition = account, password, partition
        self.token = token or "".join(secrets.choice(_ALPHABET) for _ in range(10))
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            self.sock.bind(bind)
            self.sock.connect((partition.ip, partition.order_port))
        except OSError:
            self.sock.close()
            raise
        self.poller = select.poll()
        self.poller.register(self.sock, select.POLLIN)
        self.heartbeat_s, self.clock = heartbeat_s, clock
        self.counts = dict.fromkeys(COUNTS, 0)
        self.stream = InOrder(1, self.counts, retry_s, PROGRESS_S)
        self.session, self.next_up, self.sent_blocks = "", 1, {}
        self.spoken_at, self.heard_at = -1e9, clock()
        self.login_packet, self.login_due = b"", 0.0
        self.expelled = False

    def login(self, requested: int = 1, timeout: float = 5.0) -> str:
        """Logs in, asking for acknowledgements from number `requested` on (0: only new ones).

        The login packet is repeated every second. Returns the assigned session name. LoginError
        when refused or not answered in time.
        """
        self.begin_login(requested)
        deadline = self.clock() + timeout
        while not self.session:
            if self.clock() >= deadline:
                raise LoginError(
                    f"login of {self.account} at {self.partition.ip}:{self.partition.order_port} "
                    f"was not answered in {timeout} s; is the appliance up, and is this address "
                    "among the account's sources?")
            self._keep_up()
            self._receive(min(self._next_duty(), max(0.0, deadline - self.clock())))
        return self.session

    def begin_login(self, requested: int = 1) -> None:
        """Sends the login and returns; polling repeats it each second and hears the answer.

        `session` has the assigned name then. A refusal raises LoginError out of the poll.
        """
        self.login_packet = build_mold(self.token, 0, [as_block(login_request(
            self.account, self.password, "", requested))])
        self.login_due = self.clock()
        self._keep_up()

    def logout(self) -> None:
        """Logout Request; with cancel-on-disconnect the host cancels what is open. Not answered."""
        self._send_block(b"O")

    def close(self) -> None:
        """Ends the upstream, answering gap requests meanwhile (30 ms), and closes the socket."""
        try:
            for _ in range(3 if self.session and self.sock.fileno() >= 0 else 0):
                self._transmit(build_end_of_session(self.token, self.next_up))
                until = self.clock() + 0.01
                while (left := until - self.clock()) > 0:
                    self._receive(left)
        finally:
            self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def expected(self) -> int:
        """Number of the next acknowledgement: what a later login may ask for."""
        return self.stream.expected

    @property
    def ended(self) -> bool:
        """Whether the host ended the session: the day is over and every acknowledgement of it
        came, or `expelled`, which says that another login may follow at once."""
        return self.stream.ended or self.expelled

    @property
    def local_ip(self) -> str:
        """Address of the interface that reaches the host: where its feed is joined as a rule."""
        return self.sock.getsockname()[0]

    @property
    def silent_s(self) -> float:
        """Seconds since anything came from the host, which says something every second."""
        return self.clock() - self.heard_at

    def send_raw(self, message: bytes) -> None:
        """Any OUCH message as it is. ValueError when it does not fit a datagram."""
        if len(message) > MESSAGE_MAX:
            raise ValueError(f"a message of {len(message)} bytes; {MESSAGE_MAX} fit a datagram")
        self._send_block(as_block(unsequenced(message)))

    def _message(self, message: bytes) -> None:
        """Takes one message of the host, in order. WireError when it is none of OUCH."""
        raise NotImplementedError

    # -- upstream ------------------------------------------------------------------------------

    def _send_block(self, block):
        self.sent_blocks[self.next_up] = block
        self.sent_blocks.pop(self.next_up - SENT_KEPT, None)
        packet = build_mold(self.token, self.next_up, [block])
        self.next_up += 1
        self.counts["sent"] += 1
        self._transmit(packet)

    def _transmit(self, packet):
        """Sends a packet of our own stream: the host counts these as a sign of life."""
        self.spoken_at = self.clock()
        self._put(packet)

    def _put(self, packet):
        for _ in range(2):
            try:
                self.sock.send(packet)
                return
            except ConnectionRefusedError:
                continue                        # told of an earlier packet; this one was not sent
            except OSError:
                break
        self.counts["unsent"] += 1

    def _answer_gap(self, request):
        """Sends the wanted messages again; those no longer kept as empty fillers."""
        self.counts["gaps_answered"] += 1
        room = self._room()
        number = max(1, request.sequence)
        stop = min(request.sequence + request.count, self.next_up)
        while number < stop:
            blocks, size = [], HEADER_SZ
            while number + len(blocks) < stop:
                block = self.sent_blocks.get(number + len(blocks), b"")
                size += 2 + len(block)
                if size > room and blocks:
                    break
                blocks.append(block)
            self._transmit(build_mold(self.token, number, blocks))
            number += len(blocks)

    def _room(self):
        """Bytes of payload that leave here in one piece: a host takes no fragments."""
        try:
            mtu = self.sock.getsockopt(socket.IPPROTO_IP, IP_MTU)
        except OSError:
            return PAYLOAD_MAX
        return min(PAYLOAD_MAX, mtu - IP_UDP_SZ)

    def _keep_up(self):
        """Sends the login, the request and the heartbeat that are due."""
        now = self.clock()
        if self.login_packet and not self.session and now >= self.login_due:
            self.login_due = now + REPEAT_LOGIN_S
            self._transmit(self.login_packet)
        wanted = self.stream.ask(now)
        if wanted is not None:
            self.counts["requests"] += 1
            self._put(build_request(self.session, *wanted))
        if self.session and not self.ended and now - self.spoken_at >= self.heartbeat_s:
            self._transmit(build_mold(self.token, self.next_up))

    def _next_duty(self):
        """Seconds until `_keep_up` will have something to send."""
        now = self.clock()
        beat = self.spoken_at + self.heartbeat_s - now if self.session else self.heartbeat_s
        if self.login_packet and not self.session:
            beat = self.login_due - now
        return max(0.0, min(beat, self.stream.asks_in(now)))

    # -- downstream ----------------------------------------------------------------------------

    def _receive(self, timeout):
        """Takes everything that has arrived; waits up to `timeout` s for the first of it."""
        if not self.poller.poll(max(0.0, timeout) * 1000):
            return
        while True:
            try:
                payload = self.sock.recv(PACKET_MAX, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.EBADF:
                    raise                       # closed
                continue                        # told that an earlier packet was not delivered
            self.heard_at = self.clock()
            self._take(payload)

    def _take(self, payload):
        try:
            packet = parse_datagram(payload)
            if isinstance(packet, Request):
                ours = packet.session == self.token
                if ours:
                    self._answer_gap(packet)
            elif packet.sequence == 0:
                ours = self._control(packet)
            else:
                ours = packet.session == self.session
                if ours:
                    self._stream(packet)
        except WireError:
            self.counts["malformed"] += 1
            return
        self.counts["ignored"] += not ours

    def _control(self, packet):
        """The answer to the login, or the end of a session whose throttle refused too much; False
        for anything else."""
        answer = parse_block(packet.blocks[0]) if packet.blocks else None
        if answer is None or answer.letter not in "AJ":
            return False
        if self.session:
            expels = answer.letter == "J" and answer.reason == "S" and packet.session == self.token
            self.expelled |= expels
            return expels
        if answer.letter == "A":
            self.session = answer.session
            self.stream.begin(answer.sequence)
        elif packet.session == self.token:
            raise LoginError(f"login of {self.account} was refused: reason {answer.reason} "
                             f"({REFUSALS.get(answer.reason, 'unknown')})")
        return True

    def _stream(self, packet):
        if packet.count in (0, END_OF_SESSION):
            self.stream.tell(packet.sequence, packet.count == END_OF_SESSION)
        elif self.stream.take(packet.sequence, packet.blocks):
            for _, block in self.stream.due():
                self._deliver(block)

    def _deliver(self, block):
        try:
            if block[:1] != b"S":
                raise WireError("soup", "packet_type", 0, f"{block[:1]!r} in a sequenced stream")
            self._message(block[1:])
        except WireError:
            self.counts["malformed"] += 1       # its number is used up, nothing else is known
