"""Hostile frames by the hundred thousand: seeded, a matrix of bytes at a time.

`FrameMaker.portion` starts from templates (orders in order, tagged and not, with options, as
fragments, other protocols, all too long) and then, frame by frame at random: sets header fields to
values near the edges, changes bytes anywhere, cuts or extends, makes lengths and checksums right
again. A share is dice from end to end. Same seed and portion number, same frames.
"""

import struct

import numpy as np

SHORTEST, SHORT, LONG = 14, 192, 3456        # bytes; the kernel's test-run takes 14 to about 3,500

# Of a template's IPv4 header on: (offset, bytes, values near the edges). None: any value.
FIELDS = (
    (-2, 2, (0x0800, 0x8100, 0x88A8, 0x86DD, 0x0806, 0x8847, 0)),
    (0, 1, (*range(0x40, 0x50), 0x35, 0x55, 0x65, 0x00, 0xF5)),
    (1, 1, None),
    (2, 2, (0, 19, 20, 27, 28, 29, 47, 48, 49, 1499, 1500, 1501, 65535)),
    (6, 2, (0, 0x4000, 0x2000, 0x2001, 1, 0x1FFF, 0x8000, 0xC000, 0x3FFF, 0xFFFF)),
    (8, 1, (0, 1, 255)),
    (9, 1, (17, 17, 6, 1, 2, 0, 255)),
    (10, 2, (0, 0xFFFF)),
    (20, 2, (0, 1, 65535)),
    (24, 2, (0, 7, 8, 9, 27, 28, 29, 1480, 1481, 65535)),
    (26, 2, (0, 0xFFFF)),
    (46, 2, (0, 1, 2, 5, 100, 400, 726, 727, 0xFFFE, 0xFFFF)),
    (48, 2, (0, 1, 0xFFFF)),
)
_SOURCE, _TARGET, _PORT = (12, 4), (16, 4), (22, 2)


def ether(ether_type=0x0800, tags=()) -> bytes:
    """An Ethernet header with (EtherType, id) tags in front of the type."""
    return bytes(range(2, 14)) + b"".join(struct.pack("!HH", *tag) for tag in tags) + struct.pack(
        "!H", ether_type)


def datagram(source: int, target: int, port: int, payload: bytes, *, protocol=17, fragment=0,
             options=b"") -> bytes:
    """An IPv4 packet with a UDP datagram; lengths right, checksums left to be made."""
    segment = struct.pack("!HHHH", 5555, port, 8 + len(payload), 0) + payload
    words, total = 5 + len(options) // 4, 20 + len(options) + len(segment)
    return struct.pack("!BBHHHBBHII", 0x40 | words, 0, total, 7, fragment, 64, protocol, 0, source,
                       target) + options + segment


def mold(count: int, size: int) -> bytes:
    """A MoldUDP64 packet that claims `count` messages, `size` bytes in all from 20 on."""
    return struct.pack("!10sQH", b"TOKEN00001", 1, count) + bytes(size - 20)


class FrameMaker:
    """Frames for a gate. sources, targets: addresses as numbers that are worth trying; ports too;
    places: rows (ifindex, queue) that frames arrive on, the usual one first."""

    def __init__(self, seed, sources, targets, ports, places):
        self.seed, self.places = seed, np.array(places, np.uint32)
        self.fields = (*FIELDS, (*_SOURCE, tuple(sources)), (*_TARGET, tuple(targets)),
                       (*_PORT, tuple(ports)))
        self.templates = self._templates(sources, targets, ports)

    @staticmethod
    def _templates(sources, targets, ports):
        """[(frame, offset of its IPv4 header or 0, share)]."""
        made = []
        for port in ports:
            for count, size in ((1, 70), (1, 69), (0, 20), (3, 90), (0xFFFF, 20), (40, 100)):
                packet = datagram(sources[0], targets[0], port, mold(count, size))
                made.append((ether() + packet, 14, 4))
                for tag in (0, 0xA000, 5, 0x0800):             # of no VLAN, and in one
                    made.append((ether(tags=[(0x8100, tag)]) + packet, 18, 1))
        for port in ports[:2]:
            for payload in (b"", b"short", bytes(19), mold(1, 1472), mold(726, 1472),
                            mold(9, 1473), mold(1, 3000)):
                made.append((ether() + datagram(sources[0], targets[0], port, payload), 14, 2))
        packet = datagram(sources[0], targets[0], ports[0], mold(1, 70))
        for tags in (((0x88A8, 5),), ((0x8100, 5), (0x8100, 6)), ((0x88A8, 5), (0x8100, 6))):
            made.append((ether(tags=tags) + packet, 14 + 4 * len(tags), 2))
        for changes in ({"options": bytes(4)}, {"options": bytes(40)}, {"fragment": 0x2000},
                        {"fragment": 0x2001}, {"fragment": 185}, {"fragment": 0x4000},
                        {"protocol": 6}, {"protocol": 1}, {"protocol": 2}):
            made.append((ether() + datagram(sources[0], targets[0], ports[0], mold(1, 70),
                                            **changes), 14, 3))
        for ether_type, size in ((0x0806, 28), (0x86DD, 60), (0x8847, 40), (0x0800, 12)):
            made.append((ether(ether_type) + bytes(size), 0, 2))
        return made

    def portion(self, number: int, count: int, long: bool) -> tuple:
        """(frames, lengths, places) of portion `number`: frames[i, :lengths[i]], zeros behind."""
        dice = np.random.default_rng([self.seed, number])
        width = LONG if long else SHORT
        fitting = [row for row in self.templates if len(row[0]) <= width]
        kinds, lengths = np.zeros((len(fitting), width), np.uint8), np.zeros(len(fitting), np.int64)
        for row, (frame, _, _) in enumerate(fitting):
            kinds[row, :len(frame)], lengths[row] = np.frombuffer(frame, np.uint8), len(frame)
        shares = np.array([share * (10 if len(frame) > SHORT else 1)
                           for frame, _, share in fitting], float)
        chosen = dice.choice(len(fitting), count, p=shares / shares.sum())
        frames, lengths = kinds[chosen], lengths[chosen]
        starts = np.array([start for _, start, _ in fitting])[chosen]
        self._addresses(dice, frames, starts)
        repairs = dice.random(count)
        self._set_fields(dice, frames, lengths, starts)
        self._spoil(dice, frames, lengths)
        lengths = self._resize(dice, frames, lengths)
        right = starts > 0
        self._right_lengths(dice, frames, lengths, starts, right & (repairs < 0.45))
        self._right_sum(dice, frames, lengths, starts, right & (repairs < 0.85))
        usual = dice.random(count) < 0.9
        at = np.where(usual, 0, dice.integers(0, len(self.places), count))
        frames[np.arange(width) >= lengths[:, None]] = 0
        return frames, lengths, self.places[at]

    def _addresses(self, dice, frames, starts):
        """Sources from the whole list; the first stands in the templates."""
        self._put(dice, frames, np.flatnonzero((starts > 0) & (dice.random(len(frames)) < 0.7)),
                  starts, (*_SOURCE, self.fields[-3][2]))

    def _set_fields(self, dice, frames, lengths, starts):
        """Half of the frames get one field set, some two or three."""
        for share in (0.5, 0.1, 0.03):
            picked = (starts > 0) & (dice.random(len(frames)) < share)
            which = dice.integers(0, len(self.fields), len(frames))
            for idx, field in enumerate(self.fields):
                rows = np.flatnonzero(picked & (which == idx)
                                      & (starts + field[0] + field[1] <= lengths))
                self._put(dice, frames, rows, starts, field)

    @staticmethod
    def _put(dice, frames, rows, starts, field):
        offset, size, values = field
        if values is None or dice.random() < 0.1:
            new = dice.integers(0, 1 << 8 * size, len(rows))
        else:
            new = np.array(values)[dice.integers(0, len(values), len(rows))]
        for byte in range(size):
            frames[rows, starts[rows] + offset + byte] = new >> 8 * (size - 1 - byte) & 255

    @staticmethod
    def _spoil(dice, frames, lengths):
        """A fifth of the frames get up to three bytes changed; a tenth is nothing but dice."""
        count = len(frames)
        for share in (0.2, 0.1, 0.05):
            rows = np.flatnonzero(dice.random(count) < share)
            at = (dice.random(len(rows)) * lengths[rows]).astype(np.int64)
            frames[rows, at] = dice.integers(0, 256, len(rows))
        rows = np.flatnonzero(dice.random(count) < 0.1)
        noise = dice.integers(0, 256, (len(rows), frames.shape[1]), dtype=np.uint8)
        keep = rows[dice.random(len(rows)) < 0.5]
        kept = frames[keep, 12:14].copy()              # half of it behind a known EtherType
        frames[rows], frames[keep, 12:14] = noise, kept

    @staticmethod
    def _resize(dice, frames, lengths):
        """A tenth is cut, a tenth gets bytes behind."""
        count, width = frames.shape
        kind = dice.random(count)
        cut = (SHORTEST + dice.random(count) * (lengths - SHORTEST)).astype(np.int64)
        grown = np.minimum(lengths + dice.integers(1, 40, count), width)
        return np.where(kind < 0.1, cut, np.where(kind < 0.2, grown, lengths))

    @staticmethod
    def _right_lengths(dice, frames, lengths, starts, which):
        """IP and UDP lengths as long as the frame, where both fields are there; a tenth of them
        agree with each other and lie."""
        rows = np.flatnonzero(which & (lengths >= starts + 28))
        total = lengths[rows] - starts[rows]
        kind = dice.random(len(rows))
        total = np.where(kind < 0.05, dice.integers(20, 32, len(rows)), np.where(
            kind < 0.1, total + dice.integers(-3, 4, len(rows)), total))
        for offset, value in ((2, total), (24, total - 20)):
            frames[rows, starts[rows] + offset] = value >> 8
            frames[rows, starts[rows] + offset + 1] = value & 255

    @staticmethod
    def _right_sum(dice, frames, lengths, starts, which):
        """The IPv4 checksum of the header, options and all, where it is there; a few are off by
        one bit."""
        rows = np.flatnonzero(which & (lengths >= starts + 20))
        start = starts[rows]
        words = np.clip(frames[rows, start] & 15, 5, 15).astype(np.int64)
        frames[rows, start + 10] = frames[rows, start + 11] = 0
        total = np.zeros(len(rows), np.int64)
        for at in range(0, 60, 2):
            inside = (at < words * 4) & (start + at + 2 <= lengths[rows])
            high, low = (np.minimum(start + at + n, frames.shape[1] - 1) for n in (0, 1))
            total += np.where(inside, frames[rows, high].astype(np.int64) << 8
                              | frames[rows, low], 0)
        total = (total & 0xFFFF) + (total >> 16)
        total = 0xFFFF - ((total & 0xFFFF) + (total >> 16))
        total ^= np.where(dice.random(len(rows)) < 0.02, 1 << dice.integers(0, 16, len(rows)), 0)
        frames[rows, start + 10], frames[rows, start + 11] = total >> 8, total & 255
