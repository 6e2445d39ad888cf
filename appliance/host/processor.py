"""Stages of `configure` about CPUs and time: isolation, frequency, sleep states, the clock."""

from .cores import parse_list
from .machine import GOOD, NONE, WRONG, Change, Item, Machine, Wants, of_file

CPU = "/sys/devices/system/cpu"
CLOCK = "/sys/devices/system/clocksource/clocksource0"
WAKE_US_MAX = 10                 # a state that takes longer to leave is switched off
ERROR_US_MAX = 100_000           # the kernel's own bound on its offset from UTC


def isolated(machine: Machine, wants: Wants) -> list[Item]:
    """Matchers' CPUs without other processes, timer ticks and RCU work. Only a boot changes it."""
    cpus = ",".join(map(str, wants.matchers))
    rows = []
    for name, path, cost in (
            ("isolcpus", f"{CPU}/isolated", "other processes run on the matcher's core: pauses of "
             "milliseconds"),
            ("nohz_full", f"{CPU}/nohz_full", "a timer tick interrupts the matcher 100 to 1,000 "
             "times a second, some microseconds each")):
        text = machine.read(path)
        found = set(_cpus(text)) if text is not None else None
        if found is None:
            rows.append(Item("isolated", name, "the kernel has no such thing", cpus, NONE, cost))
            continue
        good = set(wants.matchers) <= found
        rows.append(Item("isolated", name, text.strip("()") or "none", cpus,
                         (GOOD if good else WRONG) if wants.spins else NONE, cost,
                         f"kernel command line: isolcpus=managed_irq,domain,{cpus} "
                         f"nohz_full={cpus} rcu_nocbs={cpus}; then boot"))
    return rows


def _cpus(text):
    try:
        return parse_list(text.strip("()").replace("null", ""))
    except ValueError:
        return []


def governor(machine: Machine, wants: Wants) -> list[Item]:
    """The frequency governor of each matcher's CPU."""
    return [of_file("governor", f"CPU {cpu}", f"{CPU}/cpu{cpu}/cpufreq/scaling_governor", machine,
                    "performance", "the core slows down and takes up to milliseconds to be fast "
                    "again") for cpu in sorted(set(wants.matchers))]


def cstates(machine: Machine, wants: Wants) -> list[Item]:
    """Sleep states of each matcher's CPU that take longer than WAKE_US_MAX to leave."""
    rows = []
    cost = "an idle core sleeps deeply: the first order after a pause waits for it to wake"
    for cpu in sorted(set(wants.matchers)):
        folder, found = f"{CPU}/cpu{cpu}/cpuidle", 0
        for state in machine.names(folder):
            base = f"{folder}/{state}"
            latency = machine.read(f"{base}/latency")
            if latency is None or int(latency) <= WAKE_US_MAX:
                continue
            found += 1
            name, disabled = machine.read(f"{base}/name"), machine.read(f"{base}/disable")
            rows.append(Item("cstates", f"CPU {cpu} {name}",
                             f"{'off' if disabled == '1' else 'on'}, {latency} us to leave", "off",
                             GOOD if disabled == "1" else WRONG, cost, f"echo 1 > {base}/disable",
                             change=Change(f"{base}/disable", disabled or "0", "1")))
        if not found:
            rows.append(Item("cstates", f"CPU {cpu}", "no deep state on this machine", "off", NONE,
                             cost))
    return rows


def clock(machine: Machine, _wants: Wants) -> list[Item]:
    """Whether the clock is synchronised, how far from UTC it may be, and what it counts with."""
    found = machine.clock()
    cost = "time stamps of orders and trades are not UTC's: no audit can use them"
    daemon = "apt install chrony; systemctl enable --now chrony"
    rows = [of_file("clock", "clock source", f"{CLOCK}/current_clocksource", machine, "tsc",
                    "a reading of the clock costs a microsecond or a call into the kernel",
                    accepts=lambda value: value in ("tsc", "arch_sys_counter"))]
    offered = (machine.read(f"{CLOCK}/available_clocksource") or "").split()
    if rows[0].state == WRONG and "tsc" not in offered:
        rows = [Item("clock", "clock source", rows[0].found, "tsc", NONE,
                     rows[0].cost + f"; offered are {', '.join(offered)}")]
    if found is None:
        return [*rows, Item("clock", "synchronised", "adjtimex does not answer", "yes", NONE,
                            cost)]
    good = found["synchronised"]
    rows.append(Item("clock", "synchronised", "yes" if good else "no", "yes",
                     GOOD if good else WRONG, cost, daemon))
    near = found["maxerror_us"] <= ERROR_US_MAX
    rows.append(Item("clock", "offset from UTC", f"{found['offset_us']:.0f} us, at most "
                     f"{found['maxerror_us']} us wrong", f"at most {ERROR_US_MAX} us wrong",
                     (GOOD if near else WRONG) if good else NONE, cost,
                     "chronyc makestep; chronyc waitsync"))
    rows.append(Item("clock", "TAI - UTC", f"{found['tai']} s", "37 s",
                     GOOD if found["tai"] else WRONG, "CLOCK_TAI is UTC: packet schedulers and "
                     "hardware time stamps in TAI are 37 s off; the appliance itself uses UTC",
                     "chrony.conf: leapsectz right/UTC"))
    code, text = machine.tool("chronyc", "-c", "tracking")
    if code == 0 and text.count(",") >= 6:
        words = text.split(",")
        rows.append(Item("clock", "chrony", f"reference {words[1] or words[0]}, stratum {words[2]}"
                         f", {float(words[4]) * 1e6:+.0f} us", "a reference",
                         GOOD if int(words[2]) else WRONG, cost, "chronyc sources"))
    return rows
