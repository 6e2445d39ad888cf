"""What a seed draws before it begins: level, network, disk, and what goes wrong when."""

from dataclasses import dataclass

MS = 1_000_000
KILLS = ("matcher", "journal", "all", "recovery", "power", "point", "point-power")
TROUBLES = ("sync-fails", "disk-full", "slow-disk", "cut", "snapshot", "snapshot-power", "joiner",
            "greedy", "halt", "bust")


@dataclass(frozen=True)
class Plan:
    """events: (ns from the beginning, what, a number that it may use)."""

    level: str
    rates: dict
    traders: int
    listeners: int
    budget: int
    think_ns: int
    journal_ns: tuple
    load_ns: int
    events: tuple


def draw(picked) -> Plan:
    """The plan of a seed's generator."""
    load_ns = picked.randint(400, 1500) * MS
    quiet = picked.random() < 0.15
    rates = {"lost": 0.0, "doubled": 0.0, "late": 0.0, "flipped": 0.0} if quiet else {
        "lost": picked.choice((0.0, 0.01, 0.05, 0.15)), "doubled": picked.choice((0.0, 0.05)),
        "late": picked.choice((0.0, 0.05, 0.2)), "flipped": picked.choice((0.0, 0.01))}
    kinds = [picked.choice(KILLS) for _ in range(picked.choice((0, 1, 1, 1, 2, 2, 3)))]
    kinds += [picked.choice(TROUBLES) for _ in range(picked.randint(0, 4))]
    events = sorted((picked.randint(20 * MS, load_ns), kind, picked.randrange(1 << 30))
                    for kind in kinds)
    traders = picked.randint(2, 4)
    return Plan(picked.choice(("disk", "disk", "process")), rates, traders, picked.randint(1, 2),
                picked.randint(80, 300) // traders, picked.randint(4, 30) * MS,
                picked.choice(((50_000, 200_000), (200_000, 2 * MS), (2 * MS, 15 * MS))),
                load_ns, tuple(events))
