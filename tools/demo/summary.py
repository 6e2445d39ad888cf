"""What a demo tells at the end: one Part a partition, the totals, the lines for people."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tools.demo.pace import microseconds


@dataclass
class Part:
    """All that is known of one partition when the day is over.

    row, last: its status at the start and at the end. orders: messages sent. streams: the OUCH
    messages of each session. heard: the subscriber's statistics. feed: its ITCH messages. holes:
    messages known to be missing. times_ns: of the latency pass.
    """

    partition: int
    row: dict
    last: dict
    orders: int
    streams: dict
    heard: dict
    feed: list
    holes: int
    verdict: object
    times_ns: np.ndarray

    def rejects(self) -> Counter:
        """How many orders were rejected, by reason."""
        return Counter(int.from_bytes(message[13:15], "big") for stream in self.streams.values()
                       for message in stream if message[:1] == b"J")

    def result(self) -> dict:
        """The partition's entry of --json."""
        return {
            "partition": self.partition, "mode": self.row["mode"],
            "layout": self.row.get("layout", "none"), "orders": self.orders,
            "acknowledged": sum(map(len, self.streams.values())),
            "rejected": sum(self.rejects().values()),
            "trades": sum(1 for message in self.feed if message[:1] == b"E"),
            "feed_messages": len(self.feed), "lost": self.verdict.missing + self.holes,
            "oracle_equal": self.verdict.equal,
            "ack_us": microseconds(self.times_ns) if len(self.times_ns) else None}


def _together(rows, key):
    """The one value that all have, or all different ones."""
    return " and ".join(sorted({row[key] for row in rows}))


def total(parts) -> dict:
    """The sums over all partitions, and each partition's own result."""
    rows = [part.result() for part in parts]
    sums = {key: sum(row[key] for row in rows) for key in (
        "orders", "acknowledged", "rejected", "trades", "feed_messages", "lost")}
    equal = [row["oracle_equal"] for row in rows]
    return {
        "mode": _together(rows, "mode"), **sums,
        "oracle_equal": None if None in equal else all(equal),
        "ack_us": microseconds(np.concatenate([part.times_ns for part in parts])),
        "layout": _together(rows, "layout"),
        "wait": _together([part.row for part in parts], "wait"),
        "crossed": sum(part.heard["crossed"] for part in parts),
        "far_scans": sum(part.last["far_scans"] for part in parts), "partitions": rows}


VERDICTS = {True: "equal, message by message", False: "NOT EQUAL", None: "not available here"}


def lines(result, parts, rate) -> list:
    """(name, value) of each line for people."""
    from appliance.layout.codes import REJECT_REASONS
    rejects, latency = sum((part.rejects() for part in parts), Counter()), result["ack_us"]
    reasons = ", ".join(f"{count:,} x {code:04X} {REJECT_REASONS.get(code, '')}".rstrip()
                        for code, count in sorted(rejects.items())) or "none"
    several = [(f"partition {row['partition']}", _partition(row))
               for row in result["partitions"]] if len(parts) > 1 else []
    return [
        ("rung", f"{result['mode']}, {result['layout']} ({result['scene']})"),
        ("wait policy, cores", result["cores"]),
        *several,
        ("orders", f"{result['orders']:,}"),
        ("acknowledgements", f"{result['acknowledged']:,}"),
        ("rejects", f"{result['rejected']:,} ({reasons})"),
        ("trades", f"{result['trades']:,}"),
        ("feed messages", f"{result['feed_messages']:,}, crossed books {result['crossed']}"),
        ("lost", f"{result['lost']:,}"),
        ("far-price scans", f"{result['far_scans']:,}"),
        ("orders/s", f"{result['orders_per_second']:,} (windows, one order a datagram)"),
        ("order to acknowledgement", f"p50 {latency['p50']} us, p99 {latency['p99']} us, "
                                     f"p99.9 {latency['p99_9']} us at {rate:,}/s"),
        ("oracle", VERDICTS[result["oracle_equal"]])]


def _partition(row):
    """One partition in a line."""
    latency = f"p50 {row['ack_us']['p50']} us" if row["ack_us"] else "not timed"
    return (f"{row['orders']:,} orders, {row['acknowledged']:,} acknowledgements, "
            f"{row['rejected']:,} rejects, {row['trades']:,} trades, {row['feed_messages']:,} feed "
            f"messages, lost {row['lost']:,}, {latency}, oracle "
            f"{VERDICTS[row['oracle_equal']].split(',')[0]}")
