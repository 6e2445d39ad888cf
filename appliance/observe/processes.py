"""What each of the appliance's processes has used: CPU seconds and memory, from /proc."""

import os

_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGESIZE")


def look(rows: list[dict]) -> list[dict]:
    """status.json's rows with cpu_s, memory_bytes and is_alive; zeros of those that are gone."""
    found = []
    for row in rows:
        used = _of(row["pid"])
        found.append({key: row[key] for key in ("name", "pid", "state", "cpus", "ready_s")} | used)
    return found


def _of(pid) -> dict:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return {"is_alive": False, "cpu_s": 0.0, "memory_bytes": 0}
    return {"is_alive": fields[0] not in "ZX",
            "cpu_s": (int(fields[11]) + int(fields[12])) / _TICK,
            "memory_bytes": int(fields[21]) * _PAGE}
