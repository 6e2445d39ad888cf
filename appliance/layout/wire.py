"""The registry of every wire message: find one by protocol, direction and type byte.

Protocols: "soup", "ouch", "itch", "glimpse" (ITCH and its own G). Directions as the venue sees
them: "in" to the host, "out" from the host. MoldUDP64 has headers only: `wire_session`.
"""

from .lang import Message
from .wire_itch import GLIMPSE, ITCH
from .wire_ouch import OUCH_IN, OUCH_OUT
from .wire_session import SOUP_IN, SOUP_OUT

PROTOCOLS = {
    ("soup", "in"): SOUP_IN, ("soup", "out"): SOUP_OUT,
    ("ouch", "in"): OUCH_IN, ("ouch", "out"): OUCH_OUT,
    ("itch", "out"): ITCH, ("glimpse", "out"): ITCH | GLIMPSE,
}
MESSAGES = {(protocol, direction, ord(letter)): message
            for (protocol, direction), table in PROTOCOLS.items()
            for letter, message in table.items()}


def find(protocol: str, direction: str, type_byte: int) -> Message | None:
    """The message with this type byte, None when the protocol has none.

    Raises KeyError when there is no such protocol in that direction.
    """
    if (protocol, direction) not in PROTOCOLS:
        known = ", ".join(f"{p} {d}" for p, d in PROTOCOLS)
        raise KeyError(f"no protocol {protocol!r} in direction {direction!r}; there are {known}")
    return MESSAGES.get((protocol, direction, type_byte))
