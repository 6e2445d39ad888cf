"""Everything that a running appliance tells of itself, in one look that disturbs nobody.

    reader = Reader("/dev/shm/wirematch")
    snapshot = reader.look()                   rates count from the look before
    snapshot.content["partitions"][0]["rates"]["orders"]

Counters, latencies, cursors and books come from shared memory, mapped read-only; alarms, processes
and the port's side from status.json, which is up to a second old. Whoever may not read the memory
(another user), or looks while a partition is between two instances, gets what status.json has, and
`problems` says so; where nothing runs, `found` is "nothing". No passwords, tokens or orders of
participants are in any block that is opened here.

content is JSON-ready; times in it are in the unit that the key ends in, `rates` are per second,
`latency` is from the return of the call that brought a frame to the return of the one that sent
what came of it, all of this instance (`latency`) and since the look before (`latency_now`).
"""

import json
import os
import time
from dataclasses import dataclass, field

import numpy as np

from .. import topology as topo
from ..config.load import thaw
from ..config.mistakes import ConfigError
from ..control.states import PHASES, STATES
from ..layout import shared
from ..shm import region
from . import processes, readiness

BLOCKS = ("status", "counters", "histograms", "engine", "feed_log", "journal_header",
          "journal_status")
RATES = ("orders", "trades", "rejects", "messages", "rx_frames", "tx_frames", "ack_packets",
         "feed_packets")
QUANTILES = {"p50_ns": 0.50, "p99_ns": 0.99, "p999_ns": 0.999}
STALE_S = 5.0                # status.json is written once a second
SYMBOLS_MAX = 200            # books of a partition in a snapshot
WHOLE, PART, NOTHING = "everything", "status.json alone", "nothing"


@dataclass
class Snapshot:
    """content: see above. histograms: by partition, u64[HISTOGRAM_CNT] of nanoseconds."""

    content: dict
    histograms: dict = field(default_factory=dict)


class Memory:
    """One partition's blocks through one instance of its matcher."""

    def __init__(self, part, with_books):
        """RegionError when one of them is not there or not ours to read."""
        self.instance, self.part = part.instance, part
        self.blocks = {name: region.attach(part.blocks[name], instance=part.instance)
                       for name in BLOCKS}
        self.books = None
        if with_books and part.sizes.depth_levels and part.listings:
            from ..shm.depth import DepthReader       # loads the compiler: only who shows books
            self.books = DepthReader(part.blocks["depth"], part.sizes.symbols,
                                     part.sizes.depth_levels)

    def row(self, name):
        """The only record of a block."""
        return self.blocks[name][0]

    def histogram(self) -> np.ndarray:
        """A copy of the latency histogram."""
        return self.blocks["histograms"][:shared.HISTOGRAM_CNT].copy()


class Reader:
    """One appliance, by its runtime folder. books: read the best levels of every symbol too."""

    def __init__(self, folder, books: bool = False):
        self.folder, self.with_books = os.fspath(folder), books
        self.config = self.config_key = None
        self.memories, self.before = {}, {}
        self.disk = None

    def look(self) -> Snapshot:
        """Reads everything once."""
        now, problems = time.time(), []
        status, age_s = self._status(problems)
        if status is None:
            return Snapshot({"at_s": now, "found": NOTHING, "problems": problems, "ready": False,
                             "reasons": problems, "partitions": [], "processes": [], "alarms": [],
                             "drops": []})
        self._know(status, problems)
        snapshot = Snapshot({
            "at_s": now, "found": WHOLE, "problems": problems, "status_age_s": round(age_s, 3),
            **{key: status[key] for key in ("name", "state", "pid", "config", "config_digest",
                                            "interface", "ip", "mode_wanted", "day", "market",
                                            "cores", "wait", "port", "alarms")},
            "drops": status.get("drops", []), "processes": processes.look(status["processes"]),
            "disk": self._disk()})
        snapshot.content["partitions"] = [self._partition(row, snapshot)
                                          for row in status["partitions"]]
        if any(not row["has_memory"] for row in snapshot.content["partitions"]):
            snapshot.content["found"] = PART
        late_ms = self.config.supervision.late_ms if self.config else 1000
        reasons = readiness.reasons(snapshot.content, late_ms, STALE_S)
        return self._finish(snapshot, reasons)

    def _finish(self, snapshot, reasons):
        content = snapshot.content
        for row in content["partitions"]:
            row["ready"] = not any(reason["partition"] in (row["partition"], None)
                                   for reason in reasons)
        content["ready"] = not reasons
        content["reasons"] = [reason["text"] for reason in reasons]
        return snapshot

    # -- where things are -------------------------------------------------------------------------

    def _status(self, problems):
        """(status.json, its age in seconds), or (None, 0) and why."""
        path = f"{self.folder}/status.json"
        try:
            with open(path, encoding="utf-8") as file:
                content, age_s = json.load(file), time.time() - os.fstat(file.fileno()).st_mtime
            pid = int(content["pid"])
        except OSError as error:
            problems.append(f"no appliance runs in {self.folder}: {error.strerror} status.json; "
                            "name its --config or --runtime-dir")
            return None, 0.0
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"{path} is not an appliance's: {error!r}")
            return None, 0.0
        if not os.path.exists(f"/proc/{pid}"):
            problems.append(f"no appliance runs in {self.folder}: its launcher, process {pid}, was "
                            "killed; the next start cleans up")
            return None, 0.0
        return content, age_s

    def _know(self, status, problems):
        """Config and memory of the present instances; what cannot be had is told."""
        key = status["pid"], status["config_digest"]
        if key != self.config_key:
            self.memories.clear()
            self.before.clear()
            try:
                self.config, self.config_key = thaw(f"{self.folder}/config.json"), key
            except ConfigError as error:
                self.config = self.config_key = None
                problems.append(f"no shared memory: {error}; look as the user who started it")
                return
        wanted = {row["partition"]: row["instance"] for row in status["partitions"]}
        missing = [idx for idx, instance in wanted.items()
                   if idx not in self.memories or self.memories[idx].instance != instance]
        if not missing:
            return
        table = topo.build(self.config, [wanted.get(idx, 0)
                                         for idx in range(self.config.partitions.count)])
        for idx in missing:
            self.memories.pop(idx, None)
            try:
                self.memories[idx] = Memory(table.partitions[idx], self.with_books)
            except (region.RegionError, OSError) as error:
                problems.append(f"partition {idx}: {error}")

    def open_disk(self) -> None:
        """Keeps the journal's folder open, so that its free space can be told without rights."""
        if self.config is not None and self.config.durability.level != "none":
            try:
                self.disk = os.open(self.config.durability.directory, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                self.disk = None

    def _disk(self):
        """Bytes of the journal's disk, None without a journal."""
        if self.config is None or self.config.durability.level == "none":
            return None
        try:
            found = os.statvfs(self.config.durability.directory if self.disk is None
                               else self.disk)
        except OSError:
            return None
        return {"free_bytes": found.f_bavail * found.f_frsize,
                "total_bytes": found.f_blocks * found.f_frsize}

    # -- one partition ----------------------------------------------------------------------------

    def _partition(self, row, snapshot):
        """Its part of the content, from memory where it can be had."""
        idx, memory = row["partition"], self.memories.get(row["partition"])
        shown = {key: row[key] for key in (
            "partition", "instance", "state", "layout", "generation", "zero_copy", "cpu", "wait",
            "symbols", "live_sessions", "open_gaps", "held", "logins", "xsk", "sends", "device",
            "recovery", "order_port", "group_a", "group_b", "feed_port")}
        shown |= {"rung": row["mode"], "level": row["durability"]["level"],
                  "counters": row["counters"], "commands": row["commands"],
                  "feed_seq": row["feed_seq"], "live_orders": row["live_orders"],
                  "has_memory": memory is not None, "shadow": row["durability"].get("shadow"),
                  "latency": None, "latency_now": None, "rings": {}, "gate": None,
                  "journal": None, "heartbeat_age_s": None, "phase": None, "books": []}
        if memory is not None:
            self._from_memory(shown, memory, row)
            snapshot.histograms[idx] = memory.histogram()
        counts = [shown["counters"].get(name, 0) for name in RATES]
        self._since(shown, counts, snapshot.histograms.get(idx))
        return shown

    def _from_memory(self, shown, memory, row):
        status, engine, log = (memory.row(name) for name in ("status", "engine", "feed_log"))
        names, sizes = [name for name, _ in shared.COUNTERS], memory.part.sizes
        counts = memory.blocks["counters"]
        beat = int(status["heartbeat_ns"])
        if row["state"] not in ("failed", "late"):
            shown["state"] = STATES.get(int(status["state"]), str(int(status["state"])))
        shown |= {
            "counters": {name: int(counts[i]) for i, name in enumerate(names)},
            "rung": shared.RUNGS.get(int(status["rung"]), "?"),
            "commands": int(status["journal_seq"]), "feed_seq": int(status["feed_seq"]),
            "live_orders": int(status["live_orders"]),
            "heartbeat_age_s": max(0, time.monotonic_ns() - beat) / 1e9 if beat else None,
            "phase": PHASES.get(int(engine["phase"]), str(int(engine["phase"]))),
            "fault": int(engine["fault"]), "books": _books(memory)}
        kept = row["durability"]["level"] != "none"
        journal = memory.row("journal_status")
        ready = int(memory.row("journal_header")["ready_seq"])
        copied, durable = int(journal["copied_seq"]), int(journal["durable_seq"])
        waits = {"none": ready, "process": copied, "disk": durable}[row["durability"]["level"]]
        shown["gate"] = {"lag_commands": max(0, ready - waits),
                         "lag_messages": max(0, int(log["next_seq"]) - int(log["released_seq"]))
                         if kept else 0}
        if kept:
            shown["journal"] = {
                "state": shared.JOURNAL_STATES.get(int(journal["state"]), "?"),
                "lag_copied": max(0, ready - copied), "lag_durable": max(0, ready - durable),
                "sync_s": int(journal["sync_ns"]) / 1e9,
                "sync_max_s": int(journal["sync_max_ns"]) / 1e9,
                "syncs": int(journal["sync_cnt"]), "blocks": int(journal["block_cnt"]),
                "bytes": int(journal["byte_cnt"]),
                "heartbeat_age_s": max(0, time.monotonic_ns() - int(journal["heartbeat_ns"])) / 1e9}
        used = {"journal": (ready - copied if kept else 0, sizes.journal),
                "feed": (int(log["next_seq"]) - int(log["sent_seq"]), sizes.feed_messages),
                "pages": (sizes.pages - int(engine["free_page"]), sizes.pages),
                "chunks": (sizes.chunks - int(engine["free_chunk"]), sizes.chunks),
                "far_levels": (sizes.far_levels - int(engine["free_far"]), sizes.far_levels),
                "holds": (shown["held"], sizes.holds)}
        shown["rings"] = {name: {"used": min(max(0, count), size), "size": size}
                          for name, (count, size) in used.items()}

    def _since(self, shown, counts, histogram):
        """Rates and latencies since the look before; of another instance nothing is known yet."""
        now, idx, key = time.monotonic(), shown["partition"], shown["instance"]
        instance, then, before, old = self.before.get(idx, (None, 0.0, None, None))
        seconds = now - then if instance == key else 0.0
        shown["interval_s"] = round(seconds, 3)
        shown["rates"] = {name: round(max(0, count - was) / seconds, 1) for name, count, was in
                          zip(RATES, counts, before, strict=True)} if seconds else None
        if histogram is not None:
            shown["latency"] = latencies(histogram)
            if seconds and old is not None:
                shown["latency_now"] = latencies(histogram - np.minimum(old, histogram))
        self.before[idx] = key, now, counts, histogram


def latencies(histogram) -> dict:
    """count, p50_ns, p99_ns, p999_ns (floors of their buckets, at most 1/16 low) and max_ns."""
    from ..hot.counters import bucket_floor, quantile
    last = np.flatnonzero(histogram)
    return {"count": int(histogram.sum()),
            **{name: quantile(histogram, share) for name, share in QUANTILES.items()},
            "max_ns": bucket_floor(int(last[-1])) if len(last) else 0}


def _books(memory):
    """The best level of each side of every symbol; prices in currency, 0 where a side is empty."""
    if memory.books is None:
        return []
    from ..shm.depth import DepthError
    rows = []
    for listing in memory.part.listings[:SYMBOLS_MAX]:
        row = {"symbol": listing.symbol.name, "bid": 0.0, "bid_qty": 0, "ask": 0.0, "ask_qty": 0}
        try:
            depth = memory.books.read(listing.idx)
        except DepthError:                       # its matcher died as it wrote: the next has others
            memory.books = None
            return []
        for side in ("bid", "ask"):
            best = getattr(depth, f"{side}s")[:1] if depth else ()
            if best:
                row[side] = best[0].price_ticks * listing.symbol.tick_size / 10_000
                row[f"{side}_qty"] = best[0].qty
        rows.append(row)
    return rows
