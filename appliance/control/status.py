"""The state of an appliance as JSON and as lines for people.

The launcher writes `status.json` in the runtime folder about once a second and at every change; it
holds no secrets and anyone may read it. `text` prints what an operator looks at first.
"""

import json
import os
import time

from ..host import nic
from ..layout import shared
from ..shm import steer
from ..shm.dpdk import STATISTICS as DEVICE
from ..shm.umem import XSK_STATISTICS
from .states import STATES

SENDS = ("calls", "again", "busy", "down", "errors", "refused", "invalid", "errno")


def write(path, content: dict) -> None:
    """Replaces the file in one step."""
    fresh = f"{path}.new"
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    os.chmod(fresh, 0o644)
    os.replace(fresh, path)


def read(path) -> dict:
    """What `write` wrote; OSError when there is none."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def content(appliance) -> dict:
    """What status.json holds of a supervise.Appliance."""
    interface, rows = appliance.config.interface, [
        desk.row() | {"xsk": socket_row(appliance.port.rows[desk.idx])}
        for desk in appliance.desks]
    port = port_row(appliance.port.status, interface.name, appliance.config.feed.interface_b)
    return {
        "name": appliance.config.name, "state": appliance.state, "pid": os.getpid(),
        "config": appliance.config.path, "config_digest": appliance.config.digest,
        "interface": interface.name, "ip": interface.ip, "mode_wanted": interface.mode,
        "day": appliance.today.day, "midnight_ns": appliance.today.midnight,
        "cores": appliance.cores.text(),
        "wait": appliance.cores.wait, "market": appliance.today.row(time.time_ns()),
        "partitions": rows, "port": port, "drops": appliance.drops.look(rows, port),
        "steering": reasons(appliance.port.status),
        "processes": [{"name": child.name, "pid": child.pid, "cpus": list(child.cpus),
                       "state": child.how(), "status": child.status,
                       "ready_s": round(max(0.0, child.ready_s - child.started_s), 3)}
                      for child in appliance.children()],
        "reload": appliance.reload, "alarms": appliance.alarms.table()}


def partition_row(part, matcher_status, sessions, counters, tally) -> dict:
    """JSON-ready state of one partition from its shared blocks."""
    now = matcher_status[0]
    names = [name for name, _ in shared.COUNTERS]
    return {
        "partition": part.idx, "instance": part.instance,
        "state": STATES.get(int(now["state"]), str(int(now["state"]))),
        "mode": shared.RUNGS.get(int(now["rung"]), str(int(now["rung"]))),
        "layout": shared.LAYOUTS.get(int(now["layout"]), str(int(now["layout"]))),
        "generation": int(now["generation"]), "reopens": int(now["reopens"]),
        "zero_copy": bool(now["zero_copy"]), "cpu": int(now["cpu"]),
        "wait": {1: "spin", 2: "yield", 3: "block"}.get(int(now["wait"]), "none yet"),
        "warm_ms": int(now["warm_ms"]), "kernels_cached": bool(now["cached"]),
        "order_port": part.order_port, "group_a": part.group_a, "group_b": part.group_b,
        "feed_port": part.feed_port, "rerequest_port": part.rerequest_port,
        "glimpse_port": part.glimpse_port,
        "symbols": len(part.listings), "commands": int(now["journal_seq"]),
        "feed_seq": int(now["feed_seq"]), "live_orders": int(now["live_orders"]),
        "live_sessions": int((sessions["state"] == shared.SESSION_LIVE).sum()),
        "open_gaps": int((sessions["gap_ns"] != 0).sum()),
        "held": int(sessions["held_cnt"].sum()),
        "logins": dict(tally),
        "counters": {name: int(counters[i]) for i, name in enumerate(names)},
        "memory_present": bool(now["present"]),
        "sends": {name: int(now["sends"][i]) for i, name in enumerate(SENDS)},
        "device": {name: int(now["device"][i]) for i, name in enumerate(DEVICE)},
    }


def port_row(portd_status, interface: str, interface_b: str = "") -> dict:
    """The port side of the machine: rung, layout, events, frames by reason, recycler, and what the
    interface counts itself, and feed B's own where it has one (else null)."""
    row = portd_status[0]
    return {"rung": shared.RUNGS.get(int(row["rung"]), "?"),
            "layout": shared.LAYOUTS.get(int(row["layout"]), "?"), "link": bool(row["link"]),
            "starts": int(row["starts"]),
            **{name: int(row[name]) for name in ("recycled", "completed", "fill_level")},
            "events": {name: int(row["events"][i]) for name, i in shared.PORT_EVENT_INDEX.items()},
            "reasons": reasons(portd_status), "interface": nic.counters(interface),
            "interface_b": nic.counters(interface_b) if interface_b else None}


def reasons(portd_status) -> dict:
    """Frames by reason of the XDP program."""
    return {name: int(portd_status[0]["reasons"][i]) for i, name in enumerate(steer.REASONS)}


def socket_row(port_status) -> dict:
    """The kernel's statistics of a partition's AF_XDP sockets so far; port_status: its row."""
    return {name: int(port_status["statistics"][i]) for i, name in enumerate(XSK_STATISTICS)}


def text(content: dict) -> str:
    """Lines for people: the appliance, its partitions, processes, alarms."""
    lines = [f"{content['name']}: {content['state']} (process {content['pid']}), config "
             f"{content['config']}", f"cores: {content['cores']}"]
    for row in content["partitions"]:
        counters = row["counters"]
        lines += [
            f"partition {row['partition']}: {row['state']}, mode {row['mode']}"
            f"{', ' + row['layout'] if row['layout'] != 'none' else ''}, "
            f"wait {row['wait']} on CPU {row['cpu']}, "
            f"instance {row['instance']}, warmed up in {row['warm_ms']} ms "
            f"({'cached' if row['kernels_cached'] else 'compiled'})",
            f"  orders to {content['ip']}:{row['order_port']}, feed {row['group_a']} and "
            f"{row['group_b']} port {row['feed_port']}, re-requests port {row['rerequest_port']}, "
            f"snapshots port {row['glimpse_port']} (TCP)",
            f"  {row['live_sessions']} sessions, {row['live_orders']} live orders, "
            f"{counters['orders']} accepted, {counters['rejects']} rejected, "
            f"{counters['trades']} trades, next feed number {row['feed_seq']}"]
    for row in content["processes"]:
        lines.append(f"process {row['name']:<12} pid {row['pid']:<8} {row['state']}"
                     f"{', ready after %.2f s' % row['ready_s'] if row['ready_s'] else ''}")
    if not content["alarms"]:
        lines.append("no alarms")
    for row in content["alarms"]:
        lines.append(f"ALARM {row['kind']} x{row['count']}, last {row['last']}: {row['text']}")
    return "\n".join(lines)
