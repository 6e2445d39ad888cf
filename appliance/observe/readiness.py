"""Whether an appliance takes orders on every partition, and in words what it lacks."""


def reasons(content: dict, late_ms: int, stale_s: float) -> list[dict]:
    """Why it is not ready, [] when it is: {"partition": number or None of all, "text"}.

    Ready is: every partition has come back with all that it had, its matcher is on time, its market
    is open, its journal takes what it is given, and its orders can arrive.
    """
    found = []

    def note(partition, text):
        found.append({"partition": partition, "text": text})

    if content["state"] != "running":
        note(None, f"the appliance is {content['state']}")
    if content["status_age_s"] > stale_s:
        note(None, f"its launcher has written no status for {content['status_age_s']:.1f} s")
    if not content["port"]["link"] and content["mode_wanted"] != "dpdk":
        note(None, f"interface {content['interface']} is down")
    for row in content["partitions"]:
        for text in _of(row, late_ms):
            note(row["partition"], f"partition {row['partition']}: {text}")
    return found


def _of(row, late_ms):
    if row["state"] != "ready":
        yield f"its matcher is {row['state']}"
        return
    if not row["has_memory"]:
        return                                   # what status.json says is all that can be known
    age_s = row["heartbeat_age_s"]
    if age_s is None or age_s * 1000 > late_ms:
        yield f"its matcher has not looked up for {(age_s or 0) * 1000:.0f} ms"
    if row["phase"] != "open":
        yield f"its market is {row['phase']}"
    if row["journal"] is not None and row["journal"]["state"] != "open":
        yield f"its journal is {row['journal']['state']}"
