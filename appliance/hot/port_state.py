"""What a port is made of: the arrays every port kernel takes, and the meaning of each state word.

A port is where a matcher's packets come from and go to. All kinds have the same arrays; a kind that
has no use for one holds an array of one element there. Constructors: `shm/umem.py`, `shm/dpdk.py`.
"""

from typing import NamedTuple

import numpy as np

BURST_MAX = 64              # descriptors in rx_desc; also the slots of the socket rung
KICK_BATCH = 32             # frames a single transmit system call takes (the kernel's budget)

NULL, XSK, SOCKET, DPDK = 0, 1, 2, 3      # state[KIND]

RX_CUT = 1                  # rx_desc.flags: the datagram was longer than a slot; count and drop it

HEADER_SZ = 42              # Ethernet + IPv4 without options + UDP, in front of every payload
META_SZ = 16                # {u64 arrival_ns, u32 partition, u32 mark} right before an XSK packet
META_MARK = 0x5354_4D57     # "WMTS" in memory: the program has written the metadata of this packet

RX_DESC = np.dtype([("addr", "<u8"), ("len", "<u4"), ("flags", "<u4")], align=True)


class Port(NamedTuple):
    """Twelve arrays. Words are u32 views of a ring's whole mapping, found by state indices.

    rx_desc[i]["addr"] is the byte offset in `frames` of the Ethernet header, ["len"] the packet's
    bytes from there on. (Attribute access would not work with the JIT off.)
    """

    state: np.ndarray        # u64[64], the words named below
    frames: np.ndarray       # u8[...]: the UMEM, DPDK's pool, private memory of the others
    rx_desc: np.ndarray      # RX_DESC[64]: the last burst
    fill_words: np.ndarray   # u32: fill_ring, whole mapping (XSK)
    fill_addrs: np.ndarray   # u64[fill depth]: given to the kernel (XSK); u64[64]: held (DPDK)
    rx_words: np.ndarray     # u32: rx_ring (XSK)
    rx_descs: np.ndarray     # u64[2 * depth]: address, length | options << 32 (XSK, NULL)
    tx_words: np.ndarray     # u32: tx_ring (XSK)
    tx_descs: np.ndarray     # u64[2 * depth]: as rx_descs (all kinds)
    comp_words: np.ndarray   # u32: comp_ring (XSK)
    comp_addrs: np.ndarray   # u64[comp depth] (XSK); captured packets, address and length (NULL)
    tx_stack: np.ndarray     # u64[tx frames]: free transmit frames, the top is used first


# What the port is. Set by the constructor, constant afterwards.
KIND = 0
RX_FD = 1                   # AF_XDP socket, or the order socket
MULTICAST_FD = 2            # SOCKET: where 224/4 leaves
FRAME_SZ = 3                # bytes of a frame, a power of two
LOCAL_IP_BE = 4             # SOCKET: written into made-up headers, network order
LOCAL_PORT_BE = 5
TX_FRAME_CNT = 6
FILL_MASK, RX_MASK, TX_MASK, COMP_MASK = 7, 8, 9, 10
FILL_PRODUCER_WORD, FILL_FLAGS_WORD = 11, 12        # positions in the u32 views
RX_PRODUCER_WORD, RX_CONSUMER_WORD = 13, 14
TX_PRODUCER_WORD, TX_CONSUMER_WORD, TX_FLAGS_WORD = 15, 16, 17
COMP_PRODUCER_WORD, COMP_CONSUMER_WORD = 18, 19
CAPTURE_MAX = 20            # NULL: packets kept; later ones are recycled
RX_TOTAL = 21               # NULL: packets loaded
TX_NULL = 22                # 1: what is sent goes nowhere, whatever the kind; for measuring
SHIM = 23                   # DPDK: address of the shim's table of functions

# Where the port is. Indices grow without end; a ring position is index & mask.
FILL_PRODUCER = 24
RX_CONSUMER = 25
TX_PRODUCER = 26            # next descriptor to write: packets pushed so far
TX_PUBLISHED = 27           # XSK: descriptors shown to the kernel; others: packets already sent
COMP_CONSUMER = 28          # DPDK: the oldest descriptor whose frame has not come back
STACK_CNT = 29              # free transmit frames on tx_stack
CAPTURED_CNT = 30
SCRATCH = 31                # an error number out of C

# Counters. They only grow.
RX_PACKETS = 32
RX_CUT_CNT = 33             # datagrams longer than a slot
RX_ERROR_CNT = 34           # receive calls that failed
RX_KICK_CNT = 35            # wake-ups of the receive side (zero copy drivers)
TX_PACKETS = 36             # packets pushed
TX_COMPLETED = 37           # frames that came back
TX_FULL_CNT = 38            # tx_alloc found no frame
TX_DROPPED_CNT = 39         # SOCKET: datagrams the kernel refused for good
TX_RECYCLED_CNT = 40        # NULL: packets sent beyond CAPTURE_MAX
KICK_CNT = 41               # transmit system calls
KICK_AGAIN_CNT = 42         # EAGAIN: more is left, call again
KICK_BUSY_CNT = 43          # EBUSY: the device dropped the frame; it counts as completed
KICK_DOWN_CNT = 44          # ENETDOWN, ENXIO: link down or device gone
KICK_ERROR_CNT = 45         # any other error
KICK_LAST_ERRNO = 46        # the newest of those others, positive
TX_INVALID_CNT = 47         # packets refused before they were queued: they do not fit a frame

# Feed B where it leaves by an interface of its own; see hot/twin.py.
TWIN_FD = 48                # its socket, 0: B leaves by the port, as A does
TWIN_SEGMENTED = 49         # 1: the kernel cuts messages into packets

STATE_WORD_CNT = 64
