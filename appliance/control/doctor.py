"""`wirematch doctor`: what is wrong now, why it matters, what to do; in plain words.

Two samples of a running appliance (status.json, and what the kernel counts of its processes) and
the host's settings come in, findings go out: `diagnose` is a pure function of them. A counter
matters when it rose between the samples; an alarm when it sounded in the last minute.
"""

import datetime
import os
from dataclasses import asdict, dataclass

from . import losses
from .partition import WATCHED

PROBLEM, ADVICE = "problem", "advice"
STALE_S = 3.0                    # the launcher writes status.json every second
RECENT_S = 60.0
RING_PART = 0.5                  # of the journal's ring, from which on it is told
LAG_MAX = 20_000                 # commands that wait for the disk and have grown
SYNC_US_MAX = 20_000             # a sync of a disk that is well takes 0.3 to 3 ms
SWITCHES_MAX = 20.0              # a second that others took the matcher's core
PARTITION = tuple((name, meaning, "") for name, meaning in WATCHED) + (
    ("journal_full", "passes took nothing in, because the journal lags behind",
     "put durability.directory on a faster disk, or choose level = \"process\""),
    ("rx_hold_full", "datagrams behind a gap found no place to wait", "raise capacity.holds"),
    ("rx_unknown_token", "datagrams carried a token that no session has: a participant sends "
     "without a login, or after its session's end", "ask who sends; see the log for logins"),
    ("rx_wrong_source", "datagrams carried a session's token from another address than it logged "
     "in from: a stolen token, or a participant that moved", "name the sender: tshark on the "
     "order port"),
    ("rx_source_refused", "datagrams came from addresses that no account names",
     "add the address to sources, or stop the sender"),
    ("rx_framing", "datagrams were malformed: blocks and count do not agree",
     "the participant's encoder is wrong"),
    ("messages_skipped", "messages of participants were given up after a gap that nobody filled",
     "look for loss on the way: the participant's switch port and orders.gap_hold_us"))
SOCKET = losses.SOCKET + (
    ("fill_ring_empty", "times the card found no free receive frame: the matcher or portd was "
     "away, or port.rx_frames is too small"),)
PROGRAM = losses.PROGRAM + (
    ("drop_flood", "datagrams were dropped by the flood guard: a source sends more than "
     "orders.flood_rate allows; wirematch status names it (alarm drop-flood)"),
    ("drop_unknown_source", "frames for an order port came from addresses that no account names; "
     "add them to sources, or stop the sender"),
    ("drop_bogon_source", "frames came from addresses that nobody can have; find the switch port "
     "they come from"),
    ("pass_no_socket", "frames found no AF_XDP socket on their queue: steering and partitions do "
     "not agree; see wirematch topology"))
DEVICE = losses.DEVICE + (
    ("rx_dropped", "frames were dropped by the interface before anybody saw them: a ring too "
     "small, or the matcher was away; see wirematch configure check rings"),
    ("rx_errors", "frames arrived damaged: a cable, a connector or a transceiver"))


@dataclass(frozen=True)
class Finding:
    """kind: a short constant name. level: PROBLEM or ADVICE. what is wrong, why it matters, what to
    do about it."""

    kind: str
    level: str
    what: str
    why: str
    do: str

    def row(self) -> dict:
        """JSON-ready."""
        return asdict(self)

    def text(self) -> str:
        """Lines for people."""
        return (f"{self.level.upper()} {self.kind}: {self.what}.\n  why: {self.why}\n"
                f"  do:  {self.do}")


def sample(status, path, now) -> dict:
    """What is counted now: the status, its age in seconds, and the kernel's words on processes."""
    return {"status": status, "age_s": now - os.stat(path).st_mtime, "at_s": now,
            "switches": {row["name"]: _switches(row["pid"]) for row in status["processes"]},
            "throttled": _throttled(status["pid"])}


def _switches(pid):
    """How often others took the CPU of a process away, by its main thread."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file
                        if line.startswith("nonvoluntary_ctxt_switches"))
    except (OSError, StopIteration, ValueError):
        return 0


def _throttled(pid):
    """How often the CPU quota of the process's control group was used up; 0 without one."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            path = next(line.strip().partition("::")[2] for line in file if "::" in line)
        with open(f"/sys/fs/cgroup{path}/cpu.stat", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("nr_throttled"))
    except (OSError, StopIteration, ValueError):
        return 0


def diagnose(before: dict, after: dict, items=(), journal_ring=0) -> list[Finding]:
    """Findings, problems first. before, after: of `sample`; items: of configure.look;
    journal_ring: records of [capacity] journal."""
    found = [*_whole(after), *_counters(before["status"], after["status"])]
    rows = dict(enumerate(before["status"]["partitions"]))
    for idx, row in enumerate(after["status"]["partitions"]):
        found += _partition(row, after["status"])
        found += _durability(rows.get(idx, {}), row, journal_ring)
    found += [*_cores(before, after), *_alarms(after), *_host(items)]
    return sorted(found, key=lambda finding: finding.level != PROBLEM)


def _problem(kind, what, why, do):
    return Finding(kind, PROBLEM, what, why, do)


def _whole(after):
    status = after["status"]
    if after["age_s"] > STALE_S:
        yield _problem("launcher-stands", f"the launcher (process {status['pid']}) has not written "
                       f"status.json for {after['age_s']:.0f} s", "nobody restarts what dies, and "
                       "no login is answered", f"kill -CONT {status['pid']} if it was halted; else "
                       f"see cat /proc/{status['pid']}/stack")
    if status["state"] not in ("running", "closed"):
        yield _problem("not-running", f"the appliance is {status['state']}", "nobody can trade "
                       "everywhere yet, or any more", "wirematch status; the log says why")
    if not status["port"]["link"] and status["port"]["rung"] not in ("socket", "none yet", "?"):
        yield _problem("no-link", f"interface {status['interface']} has no carrier, or the "
                       "steering program is off it", "no order arrives",
                       f"ip link show {status['interface']}; check the cable and the switch")


def _partition(row, status):
    where = f"partition {row['partition']}"
    if row["state"] not in ("ready", "ended"):
        yield _problem("partition-down", f"{where} is {row['state']}", "its symbols cannot be "
                       "traded", "wirematch status; the log has its last words, and "
                       "wirematch inspect shows a crash's record")
    if row["mode"] == "generic" or row["mode"] == "socket" and status["mode_wanted"] == "auto":
        yield Finding("slow-rung", ADVICE, f"{where} works in mode {row['mode']}",
                      "each frame takes the kernel's long way: several microseconds more",
                      "wirematch configure check nic bpf says what native mode lacks here")
    if row["state"] == "ready" and not row["memory_present"]:
        yield Finding("pages-absent", ADVICE, f"{where} could not have all its memory present",
                      "the first touch of a page costs microseconds in the middle of trading",
                      "wirematch configure check memlock hugepages; free memory on this machine")


def _durability(before, row, ring):
    now, where = row["durability"], f"partition {row['partition']}"
    if now["level"] == "none":
        return
    then = before.get("durability", {})
    if now["state"] in ("full", "failed"):
        yield _problem("journal-disk", f"the journal of {where} is {now['state']}", "soon no order "
                       "is taken any more: what cannot be kept is not acknowledged",
                       "make room in durability.directory (df), or see dmesg for the disk's words")
    if ring and now["left"] > ring * RING_PART:
        yield _problem("ring-fills", f"the journal ring of {where} is "
                       f"{100 * now['left'] // ring} % full ({now['left']} of {ring} commands)",
                       "when it is full the matcher takes nothing in",
                       "the disk is too slow or journal@p stands: see wirematch status")
    if now["level"] == "disk":
        lag = row["commands"] - now["durable_seq"]
        old = before.get("commands", 0) - then.get("durable_seq", 0)
        if lag > LAG_MAX and lag >= old:
            yield _problem("gate-lag", f"{lag} commands of {where} wait for the disk, {old} a "
                           "moment ago", "their acknowledgements and trades are held back",
                           "a faster disk for durability.directory, or level = \"process\"")
        if now["sync_us"] > SYNC_US_MAX:
            yield _problem("disk-slow", f"a sync of the journal of {where} takes {now['sync_us']} "
                           f"us (longest {now['sync_max_us']})", "every answer waits for it",
                           "who else writes there: iostat -x 1; a disk of its own for the journal")
    if (now.get("shadow") or {}).get("diverged"):
        yield _problem("diverged", f"the replay of {where} differs: {now['shadow']['diverged']}",
                       "a restart would not come back to the book that was traded",
                       "keep the journal folder, stop the day there, report it")


def _counters(before, after):
    """What rose between the samples, by name."""
    for old, row in zip(before["partitions"], after["partitions"], strict=False):
        where = f"partition {row['partition']}"
        for name, meaning, do in PARTITION:
            yield from _rise(name, old["counters"], row["counters"], meaning, do, where)
        for name, meaning in SOCKET:
            yield from _rise(name, old["xsk"], row["xsk"], meaning, "", where)
        if row["sends"]["errors"] > old["sends"]["errors"]:
            yield _problem("send-errors", f"{where}: sending fails ("
                           f"{os.strerror(row['sends']['errno'])})", "acknowledgements and feed do "
                           "not leave", losses.TRIED.get(row["sends"]["errno"], "see: ip -s link"))
    old, new = before["port"], after["port"]
    for name, meaning in PROGRAM:
        yield from _rise(name, old["reasons"], new["reasons"], meaning, "", "steering program")
    for name, meaning in DEVICE:
        yield from _rise(name, old["interface"], new["interface"], meaning, "",
                         after["interface"])


def _rise(name, old, new, meaning, do, where):
    grown = new.get(name, 0) - old.get(name, 0)
    if grown > 0:
        what, _, remedy = meaning.partition("; ")
        yield _problem(name.replace("_", "-"), f"{where}: {name} rises, by {grown} to {new[name]}",
                       what, do or remedy or "watch it; the log has the alarm")


def _cores(before, after):
    status = after["status"]
    cpus = {row["name"]: row["cpus"] for row in status["processes"]}
    matchers = {name: list(own) for name, own in cpus.items() if name.startswith("matcher@")}
    for name, own in matchers.items():
        others = [other for other, taken in cpus.items() if other != name and set(own) & set(taken)]
        if others:
            rivals = [other for other in others if other in matchers]
            yield Finding("shared-core", ADVICE, f"{name} shares CPU {own[0]} with "
                          f"{', '.join(rivals or others)}", "they stop each other for whole "
                          "scheduler slices, milliseconds", "fewer partitions, or more CPUs; "
                          "cores.matcher names them")
    seconds = max(0.1, after["at_s"] - before["at_s"])
    for name in matchers:
        rate = (after["switches"].get(name, 0) - before["switches"].get(name, 0)) / seconds
        if rate > SWITCHES_MAX:
            yield _problem("core-taken", f"others took the core of {name} {rate:.0f} times a "
                           "second", "each time it stands still for up to some milliseconds",
                           "wirematch configure check isolated irq; see who runs there: "
                           f"ps -eLo psr,comm,pcpu | awk '$1 == {(matchers[name] or ['?'])[0]}'")
    if after["throttled"] > before["throttled"]:
        yield _problem("throttled", "the CPU quota of its control group was used up "
                       f"{after['throttled'] - before['throttled']} times", "all processes of the "
                       "appliance stand still for the rest of each period",
                       "take CPUQuota= (or the container's limit) away")


def _alarms(after):
    """Alarms of the last minute; the others are history."""
    for row in after["status"]["alarms"]:
        last = datetime.datetime.fromisoformat(row["last"]).timestamp()
        if after["at_s"] - last <= RECENT_S:
            yield _problem(f"alarm-{row['kind']}", f"alarm {row['kind']} sounded {row['count']} "
                           f"times, last {row['last']}", row["text"],
                           "do what its text says; wirematch status has all alarms")


def _host(items):
    """Host settings that are wrong: what is required, and the clock, are problems."""
    for item in items:
        if item.state == "wrong" and item.name != "TAI - UTC":
            grave = item.required or item.stage == "clock" or "rt_runtime" in item.name
            yield Finding(f"host-{item.stage}", PROBLEM if grave else ADVICE,
                          f"{item.name} is {item.found}, {item.wanted} is wanted", item.cost,
                          item.command or "see wirematch configure check")


def healthy(findings) -> bool:
    """Whether nothing found is a problem."""
    return not any(finding.level == PROBLEM for finding in findings)
