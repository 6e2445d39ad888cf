"""One way through the relay: what it does to frames, what became of them, and the same in Python.

    faults = Faults(drop=0.05, duplicate=0.05, reorder=0.05, flip=0.01)

A frame has one fate of: blocked, dropped, too long, passed. One that passed may be flipped or
truncated, duplicated (the copy leaves at once), and delayed or reordered. All of it is drawn from
the seed and the frame's number in its way: `fate` here says the same as native/relay.c.
"""

from dataclasses import dataclass

SETTINGS = ("seed", "drop", "flip", "truncate", "duplicate", "delay", "reorder", "block",
            "delay_ns", "spread_ns", "depth", "wait_ns")
COUNTS = ("received", "blocked", "dropped", "too_long", "passed", "flipped", "truncated",
          "duplicated", "delayed", "reordered", "no_room", "sent", "unsent", "held")
FATES = ("blocked", "dropped", "flipped", "truncated", "duplicated", "delayed", "reordered",
         "too_long")                                       # by bit of the log's byte
OPEN, BLOCK_ALL, BLOCK_MULTICAST = 0, 1, 2
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Faults:
    """Shares of the frames of one way (0.05 is one in twenty), times in seconds.

    delay_s and spread_s: a delayed frame is late by delay_s, and up to spread_s more. depth: how
    many frames a reordered one lets pass, at most; wait_s: it waits no longer for them.
    """

    drop: float = 0.0
    flip: float = 0.0
    truncate: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.002
    spread_s: float = 0.002
    depth: int = 5
    wait_s: float = 0.01

    def words(self, seed: int) -> list[int]:
        """The settings as native/relay.c reads them. ValueError for what is no share, no time."""
        shares = [getattr(self, name) for name in SETTINGS[1:7]]
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares are between 0 and 1, these are {shares}")
        if min(self.delay_s, self.spread_s, self.wait_s) < 0 or self.depth < 1:
            raise ValueError("delay_s, spread_s and wait_s are 0 at least, depth 1 at least")
        seed &= _MASK
        return [seed - (1 << 64) * (seed >> 63), *(round(share * (1 << 32)) for share in shares),
                OPEN, round(self.delay_s * 1e9), round(self.spread_s * 1e9), self.depth,
                round(self.wait_s * 1e9)]


def draw(seed: int, frame: int, k: int) -> int:
    """Draw number k for a frame: 64 bits."""
    z = (seed + (frame * 16 + k + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & _MASK
    return z ^ z >> 31


def fate(faults: Faults, seed: int, frame: int, size: int) -> set[str]:
    """What happens to a frame while nothing is blocked and there is room to hold it."""
    words = faults.words(seed)

    def hits(name):
        idx = SETTINGS.index(name)
        return draw(seed, frame, idx) >> 32 < words[idx]

    if hits("drop"):
        return {"dropped"}
    found = set()
    if hits("flip"):
        found.add("flipped")
    elif size > 14 and hits("truncate"):
        found.add("truncated")
    if hits("duplicate"):
        found.add("duplicated")
    if hits("delay"):
        found.add("delayed")
    elif hits("reorder"):
        found.add("reordered")
    return found


def logged(byte: int) -> set[str]:
    """The names in a byte of the log."""
    return {name for bit, name in enumerate(FATES) if byte >> bit & 1}


def contradictions(counts: dict) -> list[str]:
    """Sums of a way's counts that do not come out; [] for a whole account."""
    ends = counts["blocked"] + counts["dropped"] + counts["too_long"] + counts["passed"]
    leaves = counts["sent"] + counts["unsent"] + counts["held"]
    found = []
    if counts["received"] != ends:
        found.append(f"{counts['received']} frames were received, {ends} have a fate")
    if counts["passed"] + counts["duplicated"] != leaves:
        found.append(f"{counts['passed']} frames passed and {counts['duplicated']} copies, but "
                     f"{leaves} were sent, unsent or held")
    return found
