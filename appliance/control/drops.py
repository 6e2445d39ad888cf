"""Since when the counters of lost and refused things count: each with its first and last time.

    drops = Drops()
    drops.look(partition_rows, port_row)       about once a second; the rows of status.json

Counters themselves have no times. A counter that begins anew with a partition's next instance is
added to what it was; one of the interface counts from the appliance's start on.
"""

import time

from .alarms import of_partition, stamp
from .remedies import REMEDIES

OF_PARTITION = ("counters", "xsk", "sends", "device", "recovery")


class Drops:
    """The counters of remedies.py that have grown. clock: seconds since 1970."""

    def __init__(self, clock=time.time):
        self.clock, self.seen, self.rows = clock, {}, {}

    def look(self, partitions: list[dict], port: dict) -> list[dict]:
        """Counts what has grown since the last call; every row so far, JSON-ready."""
        for part in partitions:
            for group in OF_PARTITION:
                self._note(group, of_partition(part["partition"]), part.get(group) or {})
        self._note("reasons", "", port["reasons"])
        for name, where in (("interface", ""), ("interface_b", "feed B")):
            self._note("interface", where, port[name] or {}, since_start=True)
        return [dict(row, first=stamp(row["first"]), last=stamp(row["last"]))
                for row in self.rows.values()]

    def _note(self, group, where, values, since_start=False):
        for name in REMEDIES[group]:
            key, value = (group, name, where), values.get(name, 0)
            before = self.seen.get(key, value if since_start else 0)
            self.seen[key] = value
            grown = value - before if value >= before else value
            if grown:
                now = self.clock()
                row = self.rows.setdefault(key, {"group": group, "counter": name, "where": where,
                                                 "count": 0, "first": now, "last": now})
                row["count"], row["last"] = row["count"] + grown, now
