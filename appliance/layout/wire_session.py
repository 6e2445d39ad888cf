"""The session layers on the wire: MoldUDP64 1.00 and SoupBinTCP 3.00 (wire-spec 1, 2 and 6).

MOLD_HEADER begins every datagram, MOLD_BLOCK every message in it, MOLD_REQUEST is a re-request.
SOUP[letter] is a SoupBinTCP packet, offsets counted from its length; in a MoldUDP64 block the same
bytes follow with the block length in the place of the packet length.
"""

from .codes import meanings
from .lang import Message, wire

MOLD_HEARTBEAT = 0                # message count of a header alone
MOLD_END_OF_SESSION = 0xFFFF      # message count that ends a stream
MOLD_COUNT_MAX = 0xFFFE           # most messages a packet can announce
MOLD_PAYLOAD_MAX = 1472           # UDP payload at an Ethernet MTU of 1500 and IPv4
PACKET_MAX = 4096                 # no packet of ours has more, whatever interface.payload says
CONTROL_SEQ = 0                   # sequence number that marks a control datagram of order entry

MOLD_HEADER = wire(
    "mold_header", 20, "First 20 bytes of every downstream packet.",
    (0, "session", "alpha", 10, "name of the stream, constant for its life"),
    (10, "sequence", "u64", "number of the first message, or of the next one when none follows"),
    (18, "count", "u16", "messages that follow",
     {0: "heartbeat", 0xFFFF: "end of session"}),
)

MOLD_BLOCK = wire(
    "mold_block", 2, "Precedes each message of a packet.",
    (0, "length", "u16", "bytes of data that follow; 0 is legal"),
)

MOLD_REQUEST = wire(
    "mold_request", 20, "Receiver to re-request server.",
    (0, "session", "alpha", 10, "stream asked for"),
    (10, "sequence", "u64", "first message wanted"),
    (18, "count", "u16", "messages wanted"),
)


def _packet(direction, letter, name, size, *rows, tail=False, doc=""):
    head = ((0, "packet_length", "u16", "bytes after this field"),
            (2, "packet_type", "alpha", f"`{letter}`"))
    return Message("soup", direction, letter, name, size, head + rows, tail=tail, doc=doc)


_PACKETS = (
    _packet("both", "+", "debug", 3, tail=True, doc="Free text for people; software ignores it."),
    _packet("out", "A", "login_accepted", 33,
            (3, "session", "alpha", 10, "session logged in to"),
            (13, "sequence", "numeric", 20, "number of the next sequenced data packet"),
            doc="The login succeeded."),
    _packet("out", "J", "login_rejected", 4,
            (3, "reason", "alpha", "", meanings("LOGIN_")), doc="The login failed."),
    _packet("out", "S", "sequenced_data", 3, tail=True,
            doc="One message of the layer above; takes the next sequence number."),
    _packet("out", "H", "server_heartbeat", 3, doc="The server has sent nothing for a second."),
    _packet("out", "Z", "end_of_session", 3, doc="Nothing follows in this session."),
    _packet("in", "L", "login_request", 49,
            (3, "username", "alpha", 6, "letter case ignored"),
            (9, "password", "alpha", 10, "letter case ignored"),
            (19, "session", "alpha", 10, "all spaces = the current one"),
            (29, "sequence", "numeric", 20, "next number wanted; 0 = only what is new"),
            doc="First packet of a client."),
    _packet("in", "U", "unsequenced_data", 3, tail=True,
            doc="One message of the layer above, outside the sequence."),
    _packet("in", "R", "client_heartbeat", 3, doc="The client has sent nothing for a second."),
    _packet("in", "O", "logout_request", 3, doc="The client is done."),
)
SOUP = {packet.letter: packet for packet in _PACKETS}
SOUP_IN = {p.letter: p for p in _PACKETS if p.direction in ("in", "both")}
SOUP_OUT = {p.letter: p for p in _PACKETS if p.direction in ("out", "both")}

STRUCTS = (MOLD_HEADER, MOLD_BLOCK, MOLD_REQUEST)
