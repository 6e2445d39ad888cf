"""Logins over TCP: to the launcher's login desk, which knows the passwords, and its answers.

The desk gets what it gets from a matcher: a sequence-0 datagram with one `L` block under a token,
here of our making, in a LINK record of another kind. LINK_TCP_LOGIN asks for the account's trading
session on this partition, as a login over UDP does; LINK_CHECK asks only whether the name and the
password are right. As over UDP the question is repeated each second until it is answered.
"""

import os
import struct

from appliance.layout import shared
from appliance.layout.wire_session import SOUP
from appliance.topology import ip_number

REPEAT_S, PATIENCE_S = 1.0, 10.0
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BLOCK = struct.Struct(">10sQHH")


def new_token() -> bytes:
    """Ten characters that nobody can guess."""
    return bytes(_ALPHABET[byte & 31] for byte in os.urandom(10))


class Doorman:
    """up: Producer of link_tcp_up, down: Consumer of link_tcp_down (appliance/shm/ring.py)."""

    def __init__(self, up, down):
        self.up, self.down = up, down
        self.asked: dict[bytes, list] = {}           # token -> [record, asked first, asked last]

    def ask(self, kind: int, login: bytes, ip: str, now: float) -> bytes:
        """Asks for a Login Request's payload; the token under which the answer comes."""
        token = new_token()
        text = _BLOCK.pack(token, 0, 1, SOUP["L"].size - 2) + b"L" + login
        self.asked[token] = [{"kind": kind, "ip": ip_number(ip), "text": text,
                              "text_sz": len(text)}, now, now]
        self.up.push(**self.asked[token][0])
        return token

    def forget(self, token: bytes) -> None:
        """Nobody waits for this answer any more."""
        self.asked.pop(token, None)

    def turn(self, now: float) -> list[tuple[bytes, dict | None]]:
        """(token, answer) of all that are settled; None: the desk has not answered in time."""
        settled = []
        while (record := self.down.pop()) is not None:
            token = record["token"][:10]
            if self.asked.pop(token, None) is not None:
                settled.append((token, record))
        for token, row in tuple(self.asked.items()):
            if now - row[1] > PATIENCE_S:
                del self.asked[token]
                settled.append((token, None))
            elif now - row[2] > REPEAT_S:
                row[2] = now
                self.up.push(**row[0])
        return settled

    @staticmethod
    def reason(answer: dict | None) -> str:
        """A or S where the desk refuses, "" where it lets in; S where it is silent."""
        if answer is None:
            return "S"
        return chr(answer["reason"]) if answer["kind"] == shared.LINK_REFUSE else ""
