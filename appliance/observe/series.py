"""Every number with its name, kind, unit and meaning: one list for `stat`, /metrics and the docs.

    for family in families(snapshot):
        for labels, value in family.samples: ...

Names follow Prometheus: wirematch_ first, base units at the end (seconds, bytes, ratio), counters
end in _total. A counter is of one instance of its partition and begins anew with the next.
`DECLARED` has every family, also those that an appliance here has no sample of.
"""

import calendar
import time
from typing import NamedTuple

from ..control.states import STATES
from ..layout import shared
from .reading import Snapshot

COUNTER, GAUGE, HISTOGRAM, INFO = "counter", "gauge", "histogram", "info"


class Family(NamedTuple):
    """samples: (labels as a dict, value); of a histogram the value is its counts by bucket."""

    name: str
    kind: str
    text: str
    samples: list


# Families beside the partitions' counters: (name, kind, meaning).
OTHERS = dict((name, (kind, text)) for name, kind, text in (
    ("wirematch_appliance_info", INFO, "1; which appliance, interface and configuration this is"),
    ("wirematch_ready", GAUGE, "1: every partition has recovered and trades, as /readyz says"),
    ("wirematch_status_age_seconds", GAUGE, "age of status.json, which its launcher writes once a "
                                            "second"),
    ("wirematch_partition_ready", GAUGE, "1: this partition has recovered and trades"),
    ("wirematch_partition_state", GAUGE, "1 for the state that the partition is in, 0 for others"),
    ("wirematch_partition_rung", GAUGE, "1; how its frames are taken: zero-copy, native, generic, "
                                        "socket, dpdk"),
    ("wirematch_partition_level", GAUGE, "1; what an acknowledgement waits for: none, process, "
                                         "disk"),
    ("wirematch_partition_instance", GAUGE, "instance of its matcher today, 0 the first"),
    ("wirematch_market_open", GAUGE, "1: the partition's market is open"),
    ("wirematch_heartbeat_age_seconds", GAUGE, "since its matcher last looked at its control word"),
    ("wirematch_live_orders", GAUGE, "orders with open quantity"),
    ("wirematch_live_sessions", GAUGE, "participants that are logged in"),
    ("wirematch_open_gaps", GAUGE, "sessions with a gap in what they sent"),
    ("wirematch_held_datagrams", GAUGE, "datagrams held behind gaps"),
    ("wirematch_commands_total", COUNTER, "commands sequenced today"),
    ("wirematch_feed_messages_total", COUNTER, "messages put on the feed today"),
    ("wirematch_latency_seconds", HISTOGRAM, "from the return of the call that brought a frame to "
                                             "the return of the one that sent what came of it"),
    ("wirematch_latency_quantile_seconds", GAUGE, "that latency's quantile over the time since the "
                                                  "scrape before, of any reader"),
    ("wirematch_ring_used", GAUGE, "places in use of a ring or pool"),
    ("wirematch_ring_size", GAUGE, "places of that ring or pool"),
    ("wirematch_ring_used_ratio", GAUGE, "the part of it in use, 0 to 1"),
    ("wirematch_gate_lag_commands", GAUGE, "commands whose results may not leave yet"),
    ("wirematch_gate_lag_messages", GAUGE, "feed messages that may not leave yet"),
    ("wirematch_journal_open", GAUGE, "1: the journal takes what it is given; 0: full or failed"),
    ("wirematch_journal_lag_commands", GAUGE, "commands of the ring that are in no file (to=file) "
                                              "or not synced (to=disk)"),
    ("wirematch_journal_sync_seconds", GAUGE, "time of the newest sync to the disk"),
    ("wirematch_journal_sync_max_seconds", GAUGE, "time of the longest sync of this instance"),
    ("wirematch_journal_heartbeat_age_seconds", GAUGE, "since the journal last looked at its ring"),
    ("wirematch_journal_syncs_total", COUNTER, "syncs to the disk"),
    ("wirematch_journal_blocks_total", COUNTER, "blocks written"),
    ("wirematch_journal_bytes_total", COUNTER, "bytes written"),
    ("wirematch_disk_free_bytes", GAUGE, "free bytes of the journal's disk"),
    ("wirematch_disk_bytes", GAUGE, "bytes of the journal's disk"),
    ("wirematch_shadow_diverged_total", COUNTER, "differences between live state and replay"),
    ("wirematch_shadow_snapshot_failures_total", COUNTER, "snapshots that could not be written"),
    ("wirematch_logins_by_outcome_total", COUNTER, "logins by how they were answered"),
    ("wirematch_recovery_total", COUNTER, "re-requests, and connections over TCP, by how they "
                                          "ended"),
    ("wirematch_xsk_total", COUNTER, "the kernel's counters of a partition's AF_XDP sockets"),
    ("wirematch_sends_total", COUNTER, "system calls that send, and frames, by what came of them"),
    ("wirematch_dpdk_total", COUNTER, "the DPDK driver's counters of a partition's device"),
    ("wirematch_link_up", GAUGE, "1: the interface is up"),
    ("wirematch_portd_starts_total", COUNTER, "times a portd was started"),
    ("wirematch_port_events_total", COUNTER, "what portd's watchdog saw"),
    ("wirematch_xdp_frames_total", COUNTER, "frames seen by the XDP program, by what came of them"),
    ("wirematch_interface_frames_total", COUNTER, "the interface's own counters, since it exists"),
    ("wirematch_process_up", GAUGE, "1: the process lives"),
    ("wirematch_process_cpu_seconds_total", COUNTER, "CPU time that the process has used"),
    ("wirematch_process_resident_bytes", GAUGE, "memory that it has, shared memory included"),
    ("wirematch_alarms_total", COUNTER, "alarms by kind and place; `wirematch errors` has their "
                                        "words"),
    ("wirematch_alarm_last_seconds", GAUGE, "when that alarm last sounded, seconds since 1970"),
    ("wirematch_drops_total", COUNTER, "what was lost or refused, of all instances together"),
))
COUNTERS = {f"wirematch_{name}_total": (name, text) for name, text in shared.COUNTERS}
DECLARED = {name: (COUNTER, text) for name, (_, text) in COUNTERS.items()} | OTHERS


def families(snapshot: Snapshot) -> list[Family]:
    """Every family that has samples, in the order of DECLARED. Without an appliance: ready alone.
    """
    found = {name: [] for name in DECLARED}
    content = snapshot.content

    def put(name, value, /, **labels):
        if value is not None:
            found[f"wirematch_{name}"].append(({key: str(text) for key, text in labels.items()},
                                               value))

    put("ready", int(content["ready"]))
    if "name" in content:
        _appliance(content, put)
        for row in content["partitions"]:
            _partition(row, put)
            _journal(row, put)
            counts = snapshot.histograms.get(row["partition"])
            put("latency_seconds", counts, partition=row["partition"])
    return [Family(name, kind, text, found[name]) for name, (kind, text) in DECLARED.items()
            if found[name]]


def _appliance(content, put):
    put("appliance_info", 1, **{key: content[key] for key in ("name", "interface", "ip", "config",
                                                              "config_digest")})
    put("status_age_seconds", content["status_age_s"])
    port, disk = content["port"], content["disk"]
    put("link_up", int(port["link"]))
    put("portd_starts_total", port["starts"])
    for name, count in port["events"].items():
        put("port_events_total", count, event=name)
    for name, count in port["reasons"].items():
        put("xdp_frames_total", count, reason=name)
    for which in ("interface", "interface_b"):
        for name, count in (port[which] or {}).items():
            put("interface_frames_total", count, interface=which, counter=name)
    if disk:
        put("disk_free_bytes", disk["free_bytes"])
        put("disk_bytes", disk["total_bytes"])
    for row in content["processes"]:
        put("process_up", int(row["is_alive"]), process=row["name"])
        put("process_cpu_seconds_total", row["cpu_s"], process=row["name"])
        put("process_resident_bytes", row["memory_bytes"], process=row["name"])
    for row in content["alarms"]:
        put("alarms_total", row["count"], kind=row["kind"], where=row["where"])
        put("alarm_last_seconds", _seconds(row["last"]), kind=row["kind"], where=row["where"])
    for row in content["drops"]:
        put("drops_total", row["count"], group=row["group"], counter=row["counter"],
            where=row["where"])


def _seconds(stamp):
    return calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))


def _partition(row, put):
    here = {"partition": row["partition"]}
    for name, count in row["counters"].items():
        put(f"{name}_total", count, **here)
    put("partition_ready", int(row["ready"]), **here)
    for state in (*STATES.values(), "late"):
        put("partition_state", int(row["state"] == state), state=state, **here)
    put("partition_rung", 1, rung=row["rung"], **here)
    put("partition_level", 1, level=row["level"], **here)
    put("partition_instance", row["instance"], **here)
    if row["phase"] is not None:
        put("market_open", int(row["phase"] == "open"), **here)
    put("heartbeat_age_seconds", row["heartbeat_age_s"], **here)
    put("live_orders", row["live_orders"], **here)
    put("live_sessions", row["live_sessions"], **here)
    put("open_gaps", row["open_gaps"], **here)
    put("held_datagrams", row["held"], **here)
    put("commands_total", row["commands"], **here)
    put("feed_messages_total", max(0, row["feed_seq"] - 1), **here)
    for name, share in (("p50_ns", "0.5"), ("p99_ns", "0.99"), ("p999_ns", "0.999"),
                        ("max_ns", "1")):
        if row["latency_now"] and row["latency_now"]["count"]:
            put("latency_quantile_seconds", row["latency_now"][name] / 1e9, share=share, **here)
    for name, ring in row["rings"].items():
        put("ring_used", ring["used"], ring=name, **here)
        put("ring_size", ring["size"], ring=name, **here)
        put("ring_used_ratio", round(ring["used"] / ring["size"], 6), ring=name, **here)
    for metric, label, group in (("logins_by_outcome", "outcome", "logins"),
                                 ("recovery", "outcome", "recovery"), ("xsk", "counter", "xsk"),
                                 ("dpdk", "counter", "device"), ("sends", "outcome", "sends")):
        for name, count in row[group].items():
            if name != "errno":
                put(f"{metric}_total", count, **here, **{label: name})


def _journal(row, put):
    here, journal, shadow = {"partition": row["partition"]}, row["journal"], row["shadow"]
    if row["gate"]:
        put("gate_lag_commands", row["gate"]["lag_commands"], **here)
        put("gate_lag_messages", row["gate"]["lag_messages"], **here)
    if journal:
        put("journal_open", int(journal["state"] == "open"), **here)
        put("journal_lag_commands", journal["lag_copied"], to="file", **here)
        put("journal_lag_commands", journal["lag_durable"], to="disk", **here)
        put("journal_sync_seconds", journal["sync_s"], **here)
        put("journal_sync_max_seconds", journal["sync_max_s"], **here)
        put("journal_heartbeat_age_seconds", journal["heartbeat_age_s"], **here)
        for name in ("syncs", "blocks", "bytes"):
            put(f"journal_{name}_total", journal[name], **here)
    if shadow:
        put("shadow_diverged_total", shadow["diverged_cnt"], **here)
        put("shadow_snapshot_failures_total", shadow["snapshot_failures"], **here)
