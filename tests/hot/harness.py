"""A whole venue in this process: the burst loop on a NULL port, with a clock that stands still.

    venue = Venue(symbols=["EXAMPLE"], accounts=["ALPHA", "BETA"])
    venue.login("ALPHA")
    venue.send("ALPHA", [ouch, ...])          queued, in sequence, `pack` messages a datagram
    venue.run()                               everything queued is processed and collected
    venue.acks("ALPHA"), venue.feed_messages(), venue.counters["trades"]

Datagrams are whole Ethernet frames; what comes out is decoded from whole frames, so headers and
checksums are checked on the way. Nothing here imports kernels except through `burst`.
"""

import struct

import numpy as np

from appliance.hot import burst, io_state, state
from appliance.hot import port_state as ps
from appliance.journal.genesis import set_limits
from appliance.layout import shared
from appliance.shm.ring import Consumer, Producer
from appliance.shm.umem import make_null_port, take_captured

OUR_IP, ORDER_PORT = "10.9.0.1", 26400
FEED_A, FEED_B = ("239.9.0.1", 31001), ("239.9.0.2", 31002)
OUR_MAC = bytes.fromhex("020000000001")
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SMP = {"off": 0, "oldest": 1, "newest": 2, "decrement": 3}
SLOT_SZ, BACKLOG = 2048, 256
MOLD = struct.Struct(">10sQH")
TEST_SIZES = dict(pages=256, far_cap=64, far_levels=1024, chunks=64, feed_bytes=1 << 20,
                  feed_messages=1 << 14, journal=1 << 14, holds=64, link_depth=16)


def base36(number, width):
    text = ""
    for _ in range(width):
        number, digit = divmod(number, 36)
        text = DIGITS[digit] + text
    return text


def internet_sum(data: bytes) -> int:
    """Ones' complement sum of the 16-bit words of data."""
    total = sum(struct.unpack(f">{len(data) // 2}H", data[:len(data) // 2 * 2]))
    if len(data) % 2:
        total += data[-1] << 8
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def address(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def frame(source, target, payload: bytes, mac=bytes.fromhex("020000000909"), checksum=True,
          vlan=None) -> bytes:
    """An Ethernet frame from (ip, port) to (ip, port); vlan: what an 802.1Q tag says."""
    ends = address(source[0]) + address(target[0])
    udp = struct.pack(">HHHH", source[1], target[1], 8 + len(payload), 0)
    if checksum:
        pseudo = ends + struct.pack(">BBH", 0, 17, 8 + len(payload))
        udp = udp[:6] + struct.pack(">H", (internet_sum(pseudo + udp + payload) ^ 0xFFFF) or 0xFFFF)
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0x4000, 64, 17, 0) + ends
    ip = ip[:10] + struct.pack(">H", internet_sum(ip) ^ 0xFFFF) + ip[12:]
    kind = b"\x08\x00" if vlan is None else struct.pack(">HHH", 0x8100, vlan, 0x0800)
    return OUR_MAC + mac + kind + ip + udp + payload


def mold(session, seq, blocks, count=None) -> bytes:
    """A MoldUDP64 payload of these blocks."""
    session = session.encode() if isinstance(session, str) else session
    return MOLD.pack(session, seq, len(blocks) if count is None else count) + b"".join(
        struct.pack(">H", len(block)) + block for block in blocks)


def blocks_of(payload: bytes) -> tuple:
    """(session, seq, count, blocks) of a payload; AssertionError when it is not well formed."""
    session, seq, count = MOLD.unpack_from(payload)
    blocks, at = [], MOLD.size
    while at < len(payload):
        size = int.from_bytes(payload[at:at + 2], "big")
        blocks.append(payload[at + 2:at + 2 + size])
        at += 2 + size
    assert at == len(payload), "a block runs past the end of a packet we sent"
    assert count in (0, 0xFFFF, len(blocks)) or not blocks, "blocks and count disagree"
    return session, seq, count, blocks


class Sent:
    """A packet that left: destination, source and UDP payload; checks its checksums."""

    def __init__(self, raw: bytes):
        self.raw, self.mac = raw, raw[:6]
        ip, udp = raw[14:34], raw[34:42]
        self.source = (".".join(map(str, ip[12:16])), int.from_bytes(udp[:2], "big"))
        self.target = (".".join(map(str, ip[16:20])), int.from_bytes(udp[2:4], "big"))
        self.payload, self.ttl = raw[42:], ip[8]
        assert raw[12:14] == b"\x08\x00" and int.from_bytes(ip[2:4], "big") == len(raw) - 14
        assert int.from_bytes(udp[4:6], "big") == len(raw) - 34
        assert internet_sum(ip) == 0xFFFF, "wrong IPv4 checksum in a packet we sent"
        pseudo = ip[12:] + struct.pack(">BBH", 0, 17, len(raw) - 34)
        assert internet_sum(pseudo + raw[34:]) == 0xFFFF, "wrong UDP checksum in a packet we sent"


class Client:
    """What the harness knows of an account: its source, its token, its next upstream number."""

    def __init__(self, idx, name, session):
        self.idx, self.name, self.session = idx, name, session
        self.source = (f"10.9.1.{idx % 250 + 1}", 40000 + idx)
        self.mac = bytes((2, 0, 0, 1, idx >> 8, idx & 255))
        self.logins, self.token, self.seq = 0, "", 1
        self.payloads = []              # every datagram that was sent to it


class Venue:
    """One partition. symbols and accounts: names, or dicts as the oracle takes them.

    `sizes` overrides state.Sizes, further keywords go to fill_params; tx_frames is the depth of the
    transmit side, `drain` False leaves what was sent on it (so that it fills up).
    """

    def __init__(self, symbols=("EXAMPLE",), accounts=("ALPHA", "BETA"), *, partition=0, day=1,
                 instance="0", sizes=None, tx_frames=1024, opened=True, **params):
        symbols = [each if isinstance(each, dict) else {"name": each} for each in symbols]
        accounts = [each if isinstance(each, dict) else {"name": each} for each in accounts]
        wanted = dict(TEST_SIZES, symbols=len(symbols), accounts=len(accounts)) | (sizes or {})
        self.sizes, self.blocks = state.Sizes(**wanted), {}
        self.core = state.build(self.sizes, self._make, partition)
        self.io = io_state.build_io(self.sizes, self._make)
        self.port = make_null_port([bytes(SLOT_SZ)] * BACKLOG, tx_frames, tx_frames)
        self.port.state[ps.RX_TOTAL] = 0
        self.clients = {}
        self._fill(partition, day, instance, symbols, accounts)
        settings = dict(our_ip=OUR_IP, order_port=ORDER_PORT, mac=OUR_MAC, feed_ip_a=FEED_A[0],
                        feed_port_a=FEED_A[1], feed_ip_b=FEED_B[0], feed_port_b=FEED_B[1],
                        allow_cnt=self._allow(), idle_polls=2, run_cycles=1 << 62)
        self.params = io_state.fill_params(self.io, **(settings | params))
        self.now_ns, self.queue, self.sent, self.drain = 1_000_000_000, [], [], True
        self.to_supervisor = Consumer(self.io.out_words, self.io.out_ring)
        self.from_supervisor = Producer(self.io.in_words, self.io.in_ring)
        self.feed_payloads = {"A": [], "B": []}
        if opened:
            self._clock()
            burst.start_day(self.core, self.port, self.io, self.params)
            self.run()

    def _make(self, name, dtype, count):
        self.blocks[name] = np.zeros(count, dtype)
        return self.blocks[name]

    def _fill(self, partition, day, instance, symbols, accounts):
        for idx, each in enumerate(symbols):
            row = self.core.book.symbols[idx]
            row["name"] = np.frombuffer(each["name"].encode().ljust(8), np.uint8)
            row["tick_size"], row["lot_size"] = each.get("tick_size", 1), each.get("lot_size", 1)
            row["locate"], row["state"] = partition * 1000 + idx + 1, ord(each.get("state", "T"))
            row["reference_ticks"] = each.get("reference_ticks", 0)
            row["window_ticks"] = each.get("window_ticks", 0)
            collar, reference = each.get("collar", 0), int(row["reference_ticks"])
            row["collar_ticks"] = collar
            if collar and reference:
                row["buy_bound_ticks"] = reference + collar
                row["sell_bound_ticks"] = max(1, reference - collar)
        for idx, each in enumerate(accounts):
            row = self.core.accounts.sessions[idx]
            smp = SMP[each.get("smp", "off")]
            firm = each.get("firm", "")
            firm = firm if isinstance(firm, bytes) else firm.encode()
            row["page_quota"] = each.get("page_quota", self.sizes.pages)
            row["cancel_on_disconnect"] = bool(each.get("cancel_on_disconnect"))
            row["smp_default"], row["aiq_default"] = smp, ord("NOWD"[smp])
            set_limits(row, each)
            row["default_firm"] = np.frombuffer(firm.ljust(4), np.uint8)
            name = f"{day:03d}O{base36(partition, 2)}{base36(idx + 1, 3)}{instance}"
            row["session_name"][:10] = np.frombuffer(name.encode(), np.uint8)
            self.clients[each["name"]] = Client(idx, each["name"], name)
        self.feed_name = f"{day:03d}F{base36(partition, 2)}000{instance}"
        feed_name = np.frombuffer(self.feed_name.encode(), np.uint8)
        self.core.feed.log[0]["session_name"][:10] = feed_name

    def _allow(self):
        known = sorted({io_state.ip_number(each.source[0]) for each in self.clients.values()})
        self.core.accounts.allowed[:len(known)] = known
        return len(known)

    # -- what happens --------------------------------------------------------------------------

    def advance(self, ns: int) -> None:
        """Lets virtual time pass; nothing runs until `run`."""
        self.now_ns += ns

    def _clock(self):
        self.params[0]["base_ns"] = self.params[0]["mono_base_ns"] = self.now_ns

    def login(self, name, requested=0, token=None, run=True) -> str:
        """The supervisor's answer to a login: binds a token (a fresh one) to the account."""
        client = self.clients[name]
        client.logins += 1
        client.token = token or f"T{client.idx:05d}{client.logins:04d}"
        client.seq = 1
        self.tell(kind=shared.LINK_LOGIN, account=client.idx, requested_seq=requested,
                  token=client.token, session=client.session, **self._place(client))
        if run:
            self.run()
        return client.token

    @staticmethod
    def _place(client):
        return {"ip": io_state.ip_number(client.source[0]), "udp_port": client.source[1],
                "mac": client.mac}

    def tell(self, **fields) -> None:
        """A record on the link from the supervisor; a disconnect means the client's last token."""
        clients = list(self.clients.values())
        if fields.get("kind") == shared.LINK_DISCONNECT and fields["account"] < len(clients):
            fields.setdefault("token", clients[fields["account"]].token)
        assert self.from_supervisor.push(**fields), "the link from the supervisor is full"

    def raw(self, data: bytes, flags: int = 0) -> None:
        """Queues a frame as it is."""
        self.queue.append((bytes(data), flags))

    def datagram(self, ip, port, payload, **options) -> None:
        """Queues one UDP payload from a source to the order port; options as for `frame`."""
        self.raw(frame((ip, port), (OUR_IP, ORDER_PORT), payload, **options))

    def payload(self, name, payload, **options) -> None:
        """Queues one UDP payload from the account's own source."""
        client = self.clients[name]
        self.datagram(*client.source, payload, mac=client.mac, **options)

    def send(self, name, messages, seq=None, pack=1) -> None:
        """Queues OUCH messages as `U` blocks, numbered on from the client's next (or from seq)."""
        self.blocks_from(name, [b"U" + message for message in messages], seq, pack)

    def blocks_from(self, name, blocks, seq=None, pack=1) -> None:
        """Queues raw blocks, `pack` a datagram; a given seq leaves the client's own count alone."""
        client = self.clients[name]
        at = client.seq if seq is None else seq
        for first in range(0, len(blocks), pack):
            part = blocks[first:first + pack]
            self.payload(name, mold(client.token, at, part))
            at += len(part)
        if seq is None:
            client.seq = at

    def run(self, calls=None) -> list:
        """Runs the loop until everything queued is done and nothing more leaves; new packets.

        calls: at most that many kernel calls, each with at most BACKLOG queued frames.
        """
        fresh, made = [], 0
        while calls is None or made < calls:
            self._load()
            self._clock()
            burst.run(self.core, self.port, self.io, self.params)
            made += 1
            taken = self._take() if self.drain else []
            fresh += taken
            if not taken and not self.queue:
                break
        return fresh

    def _load(self):
        batch, self.queue = self.queue[:BACKLOG], self.queue[BACKLOG:]
        for i, (data, flags) in enumerate(batch):
            off = i * SLOT_SZ
            self.port.frames[off:off + len(data)] = np.frombuffer(data, np.uint8)
            self.port.rx_descs[2 * i], self.port.rx_descs[2 * i + 1] = off, len(data) | flags << 32
        self.port.state[ps.RX_CONSUMER], self.port.state[ps.RX_TOTAL] = 0, len(batch)

    def _take(self):
        taken = [Sent(raw) for raw in take_captured(self.port)]
        self.sent += taken
        for each in taken:
            if each.target in (FEED_A, FEED_B):
                self.feed_payloads["A" if each.target == FEED_A else "B"].append(each.payload)
            for client in self.clients.values():
                if each.target == client.source:
                    client.payloads.append(each.payload)
        return taken

    # -- what came of it -----------------------------------------------------------------------

    @property
    def counters(self) -> dict:
        """Every counter by name."""
        return {name: int(self.core.counters[idx]) for name, idx in shared.COUNTER_INDEX.items()}

    @property
    def dispositions(self) -> dict:
        """The dispositions that are not zero."""
        values = self.counters
        return {name: values[name] for name, _ in shared.DISPOSITIONS if values[name]}

    def stream(self, name) -> dict:
        """Downstream number -> message, of every `S` block sent to the account."""
        client, found = self.clients[name], {}
        for payload in client.payloads:
            session, seq, count, blocks = blocks_of(payload)
            if session != client.session.encode() or seq == 0 or count in (0, 0xFFFF):
                continue
            for number, block in enumerate(blocks, seq):
                assert block[:1] == b"S"
                assert found.setdefault(number, block[1:]) == block[1:], "one number, two contents"
        return found

    def acks(self, name) -> list:
        """The OUCH messages sent to the account, in order of their numbers."""
        return [message for _, message in sorted(self.stream(name).items())]

    def feed_messages(self, side="A") -> list:
        """The ITCH messages of feed A (or B), in order; numbers without holes are checked."""
        messages, following = [], None
        for payload in self.feed_payloads[side]:
            session, seq, _, blocks = blocks_of(payload)
            assert session == self.feed_name.encode()
            assert following in (None, seq), f"feed jumps from {following} to {seq}"
            following = seq + len(blocks)
            messages += blocks
        return messages
