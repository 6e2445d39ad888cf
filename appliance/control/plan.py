"""`wirematch topology`: what an appliance is made of, as it runs or as its files would make it.

Nothing is changed and nothing tried: which rung works and whether the card steers is known for
certain only when it runs. Sizes are those of the memory itself (shm/umem.py, shm/exchange.py,
shm/region.py).
"""

import os
import subprocess
from pathlib import Path

from .. import topology as topo
from ..host import cores, nic
from ..layout import shared
from ..shm import dpdk, exchange, region, umem

OWN, SHARED = (shared.LAYOUTS[code] for code in (shared.OWN_QUEUE, shared.SHARED_QUEUE))
NONE = shared.LAYOUTS[0]
NAMES_MAX = 8
DPDK_WHY = "DPDK, a device for each matcher: its queues and frames are EAL's"


def describe(config, content=None) -> dict:
    """The whole layout, JSON-ready. content: status.json of the appliance that runs by this
    configuration, None when none does. Bytes and frames are whole numbers."""
    topology, interface = topo.build(config), config.interface
    layout, why = _as_it_runs(content) if content else _as_it_would(config)
    core_text, wait, processes = _cores(config, content)
    cpu = {row["name"]: row["cpus"][0] for row in processes if row["cpus"]}
    sizes = _sizes(config, layout)
    rows = [_partition(part, config, layout, sizes)
            | {"cpu": cpu.get(f"matcher@{part.idx}", -1), "wait": wait}
            for part in topology.partitions]
    for row, now in zip(rows, content["partitions"] if content else ()):
        row |= {key: now[key] for key in ("instance", "state", "cpu", "wait")}
        row["rung"] = now["mode"]
    machine = _bytes(topology.blocks)
    memory = {"umem": sizes["umem_bytes"], "exchange": sizes["exchange_bytes"],
              "shared_memory": machine + sum(row["shared_memory_bytes"] for row in rows)}
    return {
        "name": config.name, "runs": content is not None, "config": config.path,
        "runtime_dir": config.runtime_dir, "interface": interface.name, "ip": interface.ip,
        "mode_wanted": interface.mode, "rung": _rung(config, content),
        "layout_wanted": config.partitions.layout, "layout": layout, "layout_why": why,
        "cores": core_text, "partitions": rows, "queue_rings": sizes["queue_rings"],
        "frames": sizes["frames"], "memory": memory | {"total": sum(memory.values())},
        "pid": content["pid"] if content else None,
        "processes": processes}


def _rung(config, content):
    """The rung in use, or the one that is certain; None: known when it runs."""
    if content:
        return content["port"]["rung"]
    return None if config.interface.mode in ("auto", "null") else config.interface.mode


def _as_it_runs(content):
    port = content["port"]
    if port["rung"] == shared.RUNGS[shared.RUNG_SOCKET]:
        return NONE, "plain sockets are in use: no queue, no UMEM"
    if port["rung"] == shared.RUNGS[shared.RUNG_DPDK]:
        return NONE, DPDK_WHY
    return port["layout"], "chosen by portd when it started"


def _as_it_would(config):
    """(layout, why) by the rules of portd, as far as they can be known without trying."""
    name, count, wanted = config.interface.name, config.partitions.count, config.partitions.layout
    if config.interface.mode == "socket":
        return NONE, 'interface.mode = "socket": no queue, no UMEM'
    if config.interface.mode == "dpdk":
        why = dpdk.why_not()
        return NONE, DPDK_WHY + (f"; it would not start here: {why}" if why else "")
    needed, otherwise = config.interface.queue + count, "; plain sockets where no AF_XDP works"
    otherwise = otherwise if config.interface.mode in ("auto", "null") else ""
    if not nic.ifindex_of(name):
        own = wanted == "own" or wanted == "auto" and count == 1
        return OWN if own else SHARED, (
            f'partitions.layout = "{wanted}"; {name} does not exist here, so its queues are not '
            f"known, {needed} are needed for the own layout{otherwise}")
    queues = nic.queue_count(name)
    if wanted == "own" and queues < needed:
        return OWN, (f'partitions.layout = "own"; it would not start here: {needed} receive queues '
                     f"are needed, {name} has {queues}{otherwise}")
    if wanted != "auto":
        return {"own": OWN, "shared": SHARED}[wanted], f'partitions.layout = "{wanted}"{otherwise}'
    if count == 1:
        return OWN, f"one partition needs no other{otherwise}"
    if queues < needed:
        return SHARED, (f"{count} partitions of their own would need {needed} receive queues, "
                        f"{name} has {queues}{otherwise}")
    if not _steers(name):
        return SHARED, f"{name} cannot steer UDP ports to queues (ntuple){otherwise}"
    return OWN, (f"{name} has {queues} receive queues and says that it steers (ntuple); shared if "
                 f"it then refuses the rules{otherwise}")


def _steers(name):
    """Whether ethtool says that the card can take ntuple rules."""
    try:
        done = subprocess.run(["ethtool", "-k", name], capture_output=True, text=True, check=False)
    except OSError:
        return False
    words = done.stdout.partition("ntuple-filters:")[2].split()
    return bool(words) and (words[0] == "on" or "[fixed]" not in words[:2])


def _cores(config, content):
    """(one line, wait, a row for each process); pid None and no CPU: not yet."""
    count = config.partitions.count
    if content:
        return content["cores"], content["wait"], [
            {key: row[key] for key in ("name", "pid", "cpus", "state")}
            for row in content["processes"]]
    try:
        plan = cores.plan(config.cores.wait, config.cores.matcher, count,
                          realtime=config.cores.realtime)
        words, wait, matchers, rest = plan.text(), plan.wait, plan.matchers, list(plan.rest)
    except cores.CoreError as error:
        words, wait = f"it would not start here: {error}", config.cores.wait
        matchers, rest = (), []
    processes = [("portd", rest), ("forkserver", rest)]
    for p in range(count):
        processes += [(f"matcher@{p}", list(matchers[p:p + 1])), (f"recovery@{p}", rest)]
        if config.durability.level != "none":
            processes += [(f"journal@{p}", rest)]
            if config.durability.snapshot_commands:
                processes += [(f"shadow@{p}", rest)]
    return words, wait, [{"name": name, "pid": None, "cpus": cpus, "state": "not running"}
                         for name, cpus in processes]


def _sizes(config, layout):
    """Rings, frames and bytes of a layout: of each partition, of the queue, in all."""
    count, port = config.partitions.count, config.port
    frame_sz = umem.frame_size(config.interface.payload)
    if layout == OWN:
        own = umem.Geometry(frame_sz, port.rx_frames, port.tx_frames)
        receive, transmit = own.rx_frame_cnt, own.tx_frame_cnt
        return {"rings": {"rx_ring": receive, "tx_ring": transmit, "fill_ring": receive,
                          "comp_ring": transmit}, "queue_rings": {},
                "frames": {"receive": count * receive, "transmit": count * transmit,
                           "receive_shared": 0},
                "own_frames": {"receive": receive, "transmit": transmit, "receive_shared": 0},
                "own_umem": own.umem_sz, "umem_bytes": count * own.umem_sz, "exchange_bytes": 0}
    if layout == SHARED:
        plan = exchange.Plan(frame_sz, count, port.rx_frames, port.tx_frames)
        receive, transmit = plan.rx_frame_cnt, plan.tx_depth
        return {"rings": {"rx_ring": plan.rx_depth, "tx_ring": transmit,
                          "return_ring": plan.fill_depth, "free_ring": transmit},
                "queue_rings": {"fill_ring": plan.fill_depth, "comp_ring": plan.comp_depth,
                                "keeper_rx_ring": exchange.KEEPER_RX_DEPTH},
                "frames": {"receive": receive, "transmit": count * transmit,
                           "receive_shared": receive},
                "own_frames": {"receive": receive, "transmit": transmit,
                               "receive_shared": receive},
                "own_umem": 0, "umem_bytes": plan.umem_sz, "exchange_bytes": plan.exchange_sz}
    none = {"receive": 0, "transmit": 0, "receive_shared": 0}
    own = dpdk.memory_mb(port.rx_frames, port.tx_frames) << 20 \
        if config.interface.mode == "dpdk" else 0
    return {"rings": {}, "queue_rings": {}, "frames": none, "own_frames": none, "own_umem": own,
            "umem_bytes": count * own, "exchange_bytes": 0}


def _partition(part, config, layout, sizes):
    first = config.interface.queue
    return {
        "partition": part.idx, "symbols": [item.symbol.name for item in part.listings],
        "order_port": part.order_port, "group_a": part.group_a, "group_b": part.group_b,
        "feed_port": part.feed_port, "rerequest_port": part.rerequest_port,
        "glimpse_port": part.glimpse_port,
        "queue": {OWN: first + part.idx, SHARED: first}.get(layout),
        "matcher_uid": part.matcher_uid, "recovery_uid": part.recovery_uid,
        "rings": sizes["rings"], "frames": sizes["own_frames"], "umem_bytes": sizes["own_umem"],
        "shared_memory_bytes": _bytes(part.blocks), "folder": str(part.directory)}


def _bytes(blocks):
    return sum(region.size_of(block) for block in blocks.values())


# -- lines for people -----------------------------------------------------------------------------


def _size(number):
    return f"{number / (1 << 20):.1f} MiB" if number >= 1 << 20 else f"{-(-number >> 10)} KiB"


def _rings(rings):
    return ", ".join(f"{name} {depth}" for name, depth in rings.items())


def text(plan: dict) -> str:
    """What `describe` found, in lines."""
    head = (f"RUNNING as process {plan['pid']}, in {plan['runtime_dir']}" if plan["runs"]
            else "NOT RUNNING: this is what the configuration would give on this machine")
    frames = plan["frames"]
    lines = [
        f"{plan['name']}: {head}", f"config {plan['config']}",
        f"interface {plan['interface']}, {plan['ip']}, mode {plan['mode_wanted']}, rung "
        f"{plan['rung'] or 'known when it runs'}", *needs(plan)]
    if plan["queue_rings"]:
        lines.append(f"queue {plan['partitions'][0]['queue']}, owned by portd: "
                     f"{_rings(plan['queue_rings'])}; {frames['receive']} receive frames for all")
    for row in plan["partitions"]:
        lines += _partition_lines(row, plan)
    for row in plan["processes"]:
        pid = "" if row["pid"] is None else f"pid {row['pid']:<8} "
        cpus = f", CPU {','.join(map(str, row['cpus']))}" if row["cpus"] else ""
        lines.append(f"process {row['name']:<12} {pid}{row['state']}{cpus}")
    return "\n".join(lines)


def needs(plan: dict) -> list[str]:
    """What it takes from the machine, in lines: layout, cores, memory."""
    memory = plan["memory"]
    return [f"layout {plan['layout']} (wanted: {plan['layout_wanted']}): {plan['layout_why']}",
            f"cores: {plan['cores']}",
            f"memory: UMEM {_size(memory['umem'])}, exchange {_size(memory['exchange'])}, "
            f"shared memory {_size(memory['shared_memory'])}; together {_size(memory['total'])}"]


def shortage(plan: dict) -> str:
    """What runtime_dir has too little room for, in words; "" when the plan fits. All shared memory
    is taken at start. Of no meaning for an appliance that runs: it has its memory already."""
    folder = Path(plan["runtime_dir"])
    while not folder.exists():
        folder = folder.parent
    found, needed = os.statvfs(folder), plan["memory"]["shared_memory"]
    free = found.f_bavail * found.f_frsize
    if free >= needed:
        return ""
    return (f"runtime_dir {plan['runtime_dir']}: {_size(needed)} are needed, {folder} has "
            f"{_size(free)} free; lower [capacity] or partitions.count, or choose another folder")


def _partition_lines(row, plan):
    names = row["symbols"]
    listed = ", ".join(names[:NAMES_MAX]) + (", ..." if len(names) > NAMES_MAX else "")
    state = f": {row['state']}, instance {row['instance']}, rung {row['rung']}" if plan[
        "runs"] else ""
    queue = "no queue" if row["queue"] is None else f"queue {row['queue']}"
    cpu = "no CPU of its own" if row["cpu"] < 0 else f"CPU {row['cpu']}"
    lines = [
        f"partition {row['partition']}{state}",
        f"  {len(names)} symbols{': ' if names else ''}{listed}",
        f"  orders to {plan['ip']}:{row['order_port']}, feed {row['group_a']} and "
        f"{row['group_b']} port {row['feed_port']}, re-requests port {row['rerequest_port']}, "
        f"snapshots port {row['glimpse_port']} (TCP)",
        f"  {queue}, {cpu}, wait {row['wait']}; users when started by root: matcher "
        f"{row['matcher_uid']}, recovery {row['recovery_uid']}"]
    if row["rings"]:
        frames = row["frames"]
        shares = " (shared with all)" if frames["receive_shared"] else ""
        lines += [f"  {_rings(row['rings'])}",
                  f"  frames: {frames['receive']} receive{shares}, {frames['transmit']} transmit "
                  f"of its own; UMEM {_size(row['umem_bytes']) if row['umem_bytes'] else 'shared'}"]
    return [*lines, f"  shared memory {_size(row['shared_memory_bytes'])} in "
                    f"{row['folder']}"]
